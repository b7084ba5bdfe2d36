/** `agent/SECURITY.md` claims nothing without a test: each that it names is there, under that title, and every claim names one. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const top = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(`${top}agent/SECURITY.md`, "utf8");
const citation = /`(test\/[^`]+\.ts)`: "([^"\n]+)"/g;
const cited = [...page.matchAll(citation)].map(([, file = "", title = ""]) => ({ file, title }));

describe("the security review", () => {
  it("names tests that are there, under their titles", () => {
    expect(cited.length).toBeGreaterThan(50);
    const missing = cited.filter(({ file, title }) => {
      const path = `${top}${file}`;
      return !existsSync(path) || !readFileSync(path, "utf8").includes(title);
    });
    expect(missing).toEqual([]);
  });

  it("has a test for every claim, and says for each thief what it can do", () => {
    const claims = page.split("\n").filter((line) => line.startsWith("- "));
    expect(claims.filter((line) => !line.match(citation))).toEqual([]);
    for (const thief of [
      "A stolen lock",
      "A stolen gateway",
      "A hostile device",
      "A hostile broker",
      "A hostile cloud",
    ]) {
      const section = page.split(`## ${thief}\n`)[1]?.split("\n## ")[0] ?? "";
      expect(section, thief).toContain("\nIt can: ");
      expect(section.split("\n").filter((line) => line.startsWith("- ")).length, thief).toBeGreaterThan(4);
    }
  });
});
