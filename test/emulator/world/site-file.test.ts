import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readSiteFile } from "../../../emulator/world/site-file.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { judgeFirmware } from "../../../protocol/firmware/version.ts";
import { explainDirectory, listDirectory } from "../../../protocol/site/directory.ts";
import { formatMistake } from "../../../protocol/site/document.ts";
import { activeDevices } from "../../../protocol/site/rights.ts";
import { siteDay } from "../../../protocol/site/zone.ts";

const start = unixSeconds(Date.UTC(2026, 10, 20, 15) / 1000);

function readText(name: string): string {
  return readFileSync(new URL(name, import.meta.url), "utf8");
}

function mapleCourt(at = start) {
  const read = readSiteFile(readText("../../../emulator/sites/maple-court.yaml"), at);
  if (!read.ok) throw new Error(read.fault.mistakes.map(formatMistake).join("\n"));
  return read.value;
}

function mistakesOf(text: string): string[] {
  const read = readSiteFile(text, start);
  return read.ok ? [] : read.fault.mistakes.map(formatMistake);
}

describe("maple-court.yaml", () => {
  it("has what the house needs: models, firmware of every verdict, twelve people, phones", () => {
    const { site, world } = mapleCourt();
    expect(site.timeZone).toBe("America/New_York");
    expect(site.panels.map(({ id }) => id)).toEqual(["lobby-link", "package-link"]);
    expect(site.people).toHaveLength(12);
    expect(world.phones).toHaveLength(12);
    const verdictByModel = site.devices.map(({ id, model }) => {
      const firmware = world.devices.find((each) => each.id === id)?.firmware ?? undefined;
      return [model, judgeFirmware(model, firmware).verdict];
    });
    expect(Object.fromEntries(verdictByModel)).toEqual({
      C1: "no floor known",
      C2: "no floor known",
      M2: "no floor known",
      R2: "no floor known",
      R29: "ok",
      R20: "below floor",
      EC33: "not comparable",
      A08: "unknown",
    });
    expect(site.schedules.length).toBeGreaterThan(0);
    expect(site.holidays.length).toBeGreaterThan(0);
  });

  it("leaves three residents out of the Lobby's directory, each for another reason", () => {
    const { site } = mapleCourt();
    expect(listDirectory(site, "lobby-link", start).map(({ personId }) => personId)).toEqual([
      "ana-reyes",
      "ben-okafor",
      "chloe-martin",
      "grace-kim",
    ]);
    const missing = (person: string) => explainDirectory(site, "lobby-link", person, start).missing;
    expect(missing("dev-patel")).toEqual(["no-unit"]);
    expect(missing("ella-novak")).toEqual(["no-key"]);
    expect(missing("finn-larsen")).toEqual(["not-shown"]);
  });

  it("row 30: the Lobby has one active lock, the package room has none and so can offer no doorcode", () => {
    const { site } = mapleCourt();
    expect(activeDevices(site, "lobby").map(({ id }) => id)).toEqual(["lobby-lock"]);
    expect(activeDevices(site, "package-room")).toEqual([]);
  });

  it("is sound whenever it is started, also seconds before midnight and on days when clocks change", () => {
    for (const iso of [
      "2026-11-20T04:59:58Z",
      "2026-03-08T06:59:59Z",
      "2026-11-01T05:30:00Z",
      "2028-02-29T12:00:00Z",
    ]) {
      const at = unixSeconds(Date.parse(iso) / 1000);
      const { site } = mapleCourt(at);
      const holiday = site.holidays.find(({ id }) => id === "founders-day");
      expect(holiday?.fromDay).toBe(siteDay(site.timeZone, at));
    }
  });
});

describe("a malformed site file", () => {
  it("says all mistakes of both parts at once, each with its line and what was expected", () => {
    const mistakes = mistakesOf(readText("malformed/many-mistakes.yaml"));
    const places = mistakes.map((mistake) => mistake.split(" ").slice(0, 2).join(" "));
    expect(places).toEqual([
      "4:13 site.timeZone:",
      "5:19 site.doorcodeDigits:",
      "8:37 doors[0].kind:",
      "11:40 devices[0].door:",
      expect.stringMatching(/^16:\d+ credentials\[0\]\.code:/),
      expect.stringMatching(/^19:\d+ world\.devices\[0\]/),
      expect.stringMatching(/^20:\d+ world\.devices\[1\]\.batteryPercent:/),
      expect.stringMatching(/^21:\d+ world\.devices\[2\]\.id:/),
      expect.stringMatching(/^23:\d+ world\.phones\[0\]\.person:/),
      expect.stringMatching(/^23:\d+ world\.phones\[0\]\.app/),
      expect.stringMatching(/^25:\d+ world\.pockets\[0\]\.credentials\[0\]:/),
    ]);
    for (const mistake of mistakes) expect(mistake).toMatch(/expected .+, came .+/);
    expect(mistakes.join("\n")).not.toContain("48x5162");
  });

  it("says where a file stops being YAML, and which part is missing", () => {
    expect(mistakesOf(readText("malformed/not-yaml.yaml")).length).toBeGreaterThan(0);
    expect(mistakesOf(readText("malformed/no-world.yaml"))).toEqual(["1:1 world: expected a map, came nothing"]);
    expect(mistakesOf("")).not.toEqual([]);
    expect(mistakesOf("just a line")).not.toEqual([]);
  });

  it("refuses two cards that no reader could tell apart, without showing their number", () => {
    const text = readText("../../../emulator/sites/maple-court.yaml").replace('"7f31aa12"', '"7f31aa99"');
    const mistakes = mistakesOf(text);
    expect(mistakes).toEqual([expect.stringContaining("expected another one than leo-rf has")]);
    expect(mistakes.join()).not.toContain("7f31aa99");
  });
});
