import { describe, expect, it } from "vitest";
import { formatMistake } from "../../../protocol/site/document.ts";
import { oddsText, siteOdds } from "../../../protocol/site/odds.ts";
import { parseSite, parseSiteWith } from "../../../protocol/site/parse-site.ts";
import { siteFileSchema } from "../../../protocol/site/site.ts";
import { mapleCourt, siteOf, start } from "./fixtures.ts";

const fourDigits = mapleCourt
  .replace("timeZone: America/New_York", "timeZone: America/New_York\n  doorcodeDigits: 4")
  .replace('"4815162"', '"4815"');
const withWaiver = fourDigits.replace(
  "doorcodeDigits: 4",
  "doorcodeDigits: 4\n  guessing: { waiver: { by: Max Moss, reason: the residents asked for it } }",
);

describe("odds of a site", () => {
  it("[C10] for each device: every slot and every code of people with a key, by length", () => {
    const odds = siteOdds(siteOf(mapleCourt));
    const row = (id: string) => odds.find(({ deviceId }) => deviceId === id);
    expect([...(row("lobby-lock")?.acceptedByDigits ?? [])]).toEqual([[7, 33]]);
    expect(row("lobby-lock")?.odds).toBeCloseTo((30 * 33) / 1e7, 15);
    expect([...(row("home-lock")?.acceptedByDigits ?? [])]).toEqual([[7, 5]]);
    expect(row("lobby-lock")?.verdict).toBe("within bound");
  });

  it("[C10] while a daily key is renewed, the slots count for the old one and the new one", () => {
    const odds = siteOdds(siteOf(mapleCourt));
    const row = (id: string) => odds.find(({ deviceId }) => deviceId === id);
    expect(row("lobby-lock")?.renewalOdds).toBeCloseTo((30 * 65) / 1e7, 15);
    expect(row("home-lock")?.renewalOdds).toBeCloseTo((30 * 9) / 1e7, 15);
    expect(row("garage-reader")?.renewalOdds).toBe(row("garage-reader")?.odds);
  });

  it("[C10] a reader's tries are unknown, and beyond the bound with our throttle is beyond it", () => {
    const reader = (text: string) => siteOdds(siteOf(text)).find(({ deviceId }) => deviceId === "garage-reader");
    expect(reader(mapleCourt)).toMatchObject({ triesPerDay: undefined, verdict: "throttle unknown" });
    const short = mapleCourt.replace('code: "90210"', 'code: "9021"');
    expect(reader(short)).toMatchObject({ verdict: "beyond bound even throttled", odds: 30 / 1e4 });
    const waiver = "\n  guessing: { waiver: { by: Max Moss, reason: PINs of four digits } }";
    const zone = "timeZone: America/New_York";
    expect(reader(short.replace(zone, zone + waiver))?.verdict).toBe("waived");
  });

  it("[C10] a reader without codes has none to guess", () => {
    const bare = mapleCourt.replaceAll(/ {2}- \{ id: \S+, kind: (pin|temp-key).*\n/g, "");
    expect(siteOdds(siteOf(bare)).find(({ deviceId }) => deviceId === "garage-reader")).toMatchObject({
      verdict: "no keypad",
      odds: 0,
    });
  });

  it("[C10] a site beyond its bound is refused, lock by lock, with the odds", () => {
    const parsed = parseSite(fourDigits, { start });
    const lines = parsed.ok ? [] : parsed.fault.mistakes.map(formatMistake);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(
      /^\d+:5 devices\[0\]: expected at most 1 in 1,000 a day by guessing.* or site\.guessing\.waiver, came 1 in 10$/,
    );
  });

  it("[C10] a waiver takes it, and stays visible in the odds", () => {
    const verdicts = siteOdds(siteOf(withWaiver)).map(({ verdict }) => verdict);
    expect(verdicts.slice(0, 2)).toEqual(["waived", "waived"]);
  });

  it("[C10] four digits need the waiver even where the odds would do", () => {
    const strict = fourDigits.replace(
      "doorcodeDigits: 4",
      "doorcodeDigits: 4\n  guessing: { triesAtOnce: 1, refillSeconds: 86400, bound: 0.5 }",
    );
    expect(parseSite(strict, { start }).ok).toBe(false);
  });

  it("[C10] whoever wants to see the odds reads the site all the same", () => {
    expect(parseSiteWith(fourDigits, siteFileSchema, { start, anyOdds: true }).ok).toBe(true);
  });

  it.each([
    [0, "none"],
    [1, "1 in 1"],
    [0.001, "1 in 1,000"],
    [9.9e-5, "1 in 10,101"],
  ])("[C10] %f is %s", (odds, text) => {
    expect(oddsText(odds)).toBe(text);
  });
});
