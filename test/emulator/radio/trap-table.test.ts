/** The README's table of traps against the tree: each number is there, each switch exists, and each test it names is a test. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEFAULT_AIR_PROFILE } from "../../../emulator/radio/air-profile.ts";

const root = join(import.meta.dirname, "../../..");
const readme = readFileSync(join(root, "emulator/radio/README.md"), "utf8");
const rows = readme
  .split("\n")
  .map((line) => /^\| (\d+) \|(.*)\|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, number, rest = ""]) => [Number(number), ...rest.split(" | ").map((cell) => cell.trim())] as const);
const titles = ["test/real/radio", "test/real/bluez"].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => readFileSync(join(root, folder, name), "utf8"))
    .flatMap((text) => [...text.matchAll(/^ {2,4}(?:it\()?"(.+)",/gm)].map(([, title = ""]) => title)),
);
/** Switches that are no field of the profile. */
const otherSwitches = ["limits", "restart", "crash"];

describe("the table of traps", () => {
  it("has the eighteen, in their order", () => {
    expect(rows.map(([number]) => number)).toEqual(Array.from({ length: 18 }, (_, index) => index + 1));
    for (const row of rows) expect(row).toHaveLength(5);
  });

  it("names switches that exist, at least one for each trap", () => {
    const known = [...Object.keys(DEFAULT_AIR_PROFILE), ...otherSwitches];
    for (const [number, , switches = ""] of rows) {
      const named = [...switches.matchAll(/`([A-Za-z]+)[^`]*`/g)].map(([, name]) => name);
      expect(named.length, `trap ${number}`).toBeGreaterThan(0);
      for (const name of named) expect(known).toContain(name);
    }
  });

  it("names a test that falls in and another that survives", () => {
    for (const [number, , , falls = "", survives = ""] of rows) {
      for (const title of [falls, survives]) {
        const isThere = titles.some((each) => each.includes(title));
        expect(isThere, `trap ${number}: ${title}`).toBe(true);
      }
      expect(falls).not.toBe(survives);
    }
  });
});
