import { describe, expect, it } from "vitest";
import { type Claim, formatClaim, parseClaim } from "../../protocol/wire/claim-string.ts";
import { outcomeOf, readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly values: readonly (Claim & { readonly text: string })[];
  readonly broken: readonly { readonly what: string; readonly text: string; readonly expect: string }[];
}>("claim-string.json");

describe("claim-string.json", () => {
  it.each(vectors.values)("[I1] reads $text and writes the same", ({ text, ...claim }) => {
    expect(parseClaim(text)).toEqual({ ok: true, value: claim });
    expect(formatClaim(claim)).toBe(text);
    // All of it is in the alphanumeric mode of QR.
    expect(text).toMatch(/^[0-9A-Z $%*+\-./:]+$/);
  });

  it.each(vectors.broken)("[I1] refuses $what: $text", ({ text, expect: code }) => {
    expect(outcomeOf(parseClaim(text))).toBe(code);
  });
});
