import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMistake } from "../../../protocol/site/document.ts";
import { parseSite } from "../../../protocol/site/parse-site.ts";
import { mapleCourt, start } from "./fixtures.ts";

/** Reads whatever it is given; a mistake must have a place in the text. */
function readAny(text: string): "read" | "refused" {
  const parsed = parseSite(text, { start });
  if (parsed.ok) return "read";
  expect(parsed.fault.mistakes.length).toBeGreaterThan(0);
  const lines = text.split("\n").length;
  for (const mistake of parsed.fault.mistakes) {
    expect(mistake.line, formatMistake(mistake)).toBeGreaterThanOrEqual(1);
    expect(mistake.line, formatMistake(mistake)).toBeLessThanOrEqual(lines);
    expect(mistake.column).toBeGreaterThanOrEqual(1);
    expect(formatMistake(mistake)).not.toMatch(/undefined|\[object/);
  }
  return "refused";
}

const fragments = [
  "{",
  "}",
  "[",
  "]",
  ":",
  "- ",
  "&a ",
  "*a",
  "!!js/function ",
  "|\n",
  "'",
  '"',
  "#",
  "\t",
  "\n  ",
  "? ",
  "<<: ",
  "null",
  "0x1",
  "__proto__: ",
  "start-2h",
  "é",
  "\u0000",
  "%YAML 1.1\n---\n",
  "...\n",
];

describe("any text", () => {
  it("[N4] gives a site or mistakes: texts made of YAML's own signs", { timeout: 60_000 }, () => {
    const text = fc.array(fc.oneof(fc.constantFrom(...fragments), fc.string({ maxLength: 6 })), { maxLength: 40 });
    fc.assert(
      fc.property(text, (parts) => {
        expect(readAny(parts.join(""))).toBe("refused");
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(["? ", "- ? ", "a: ? ", "&a ", "!x ", "?\n", "a:\n ", "[", "{a: "])(
    "[N4] refuses %j said many times over, however deep it would nest",
    { timeout: 20_000 },
    (part) => {
      expect(readAny(part.repeat(20_000))).toBe("refused");
    },
  );

  it("[N4] gives a site or mistakes: a sound file with something put in, taken out or doubled", {
    timeout: 60_000,
  }, () => {
    const lines = mapleCourt.split("\n");
    const change = fc.tuple(fc.nat(mapleCourt.length), fc.nat(12), fc.constantFrom(...fragments, ""));
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(change, fc.nat(lines.length), ([at, remove, put], line) => {
        seen[readAny(mapleCourt.slice(0, at) + put + mapleCourt.slice(at + remove))]++;
        seen[readAny([...lines.slice(0, line), ...lines.slice(line + 1)].join("\n"))]++;
      }),
      { numRuns: 150 },
    );
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(10);
  });

  it("[N4] gives a site or mistakes: a sound file with one value replaced by another kind", { timeout: 60_000 }, () => {
    const values = [
      "null",
      "5",
      "-1",
      "1e99",
      "true",
      "[]",
      "{}",
      "[[[]]]",
      '""',
      '"x"',
      "2026-02-30",
      ".nan",
      "{ from: start, until: start }",
    ];
    const places = [...mapleCourt.matchAll(/: ([^\s{[][^,}\n]*)/g)].map(({ index, 1: value }) => ({
      at: index + 2,
      length: value?.length ?? 0,
    }));
    for (const [number, { at, length }] of places.entries()) {
      const value = values[number % values.length] ?? "";
      readAny(mapleCourt.slice(0, at) + value + mapleCourt.slice(at + length));
    }
    expect(places.length).toBeGreaterThan(150);
  });
});
