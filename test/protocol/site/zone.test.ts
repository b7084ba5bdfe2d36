import { describe, expect, it } from "vitest";
import { civilDay, civilSeconds, offsetAt } from "../../../protocol/access/calendar.ts";
import { localDay, unixSeconds } from "../../../protocol/base/units.ts";
import {
  dayStart,
  isTimeZone,
  localDayText,
  parseCivilTime,
  parseDate,
  siteDay,
  zoneTable,
} from "../../../protocol/site/zone.ts";

const instant = (text: string) => unixSeconds(Date.parse(text) / 1_000);
const dayOf = (text: string): ReturnType<typeof localDay> => {
  const day = parseDate(text);
  if (day === undefined) throw new Error(`${text} is no date`);
  return day;
};

describe("civil days", () => {
  it("[C1] days count from 1970-01-01, by the site's civil date", () => {
    expect(dayOf("1970-01-01")).toBe(0);
    expect(dayOf("2026-11-24")).toBe(20_781);
    expect(localDayText(localDay(20_781))).toBe("2026-11-24");
    expect(siteDay("America/New_York", instant("2026-11-24T04:59:59Z"))).toBe(20_780);
    expect(siteDay("America/New_York", instant("2026-11-24T05:00:00Z"))).toBe(20_781);
    expect(siteDay("Pacific/Kiritimati", instant("2026-11-24T10:00:00Z"))).toBe(20_782);
  });

  it.each([
    // A day of 23 hours, a day of 25, and an ordinary one.
    ["America/New_York", "2026-03-08", 23],
    ["America/New_York", "2026-11-01", 25],
    ["America/New_York", "2026-11-24", 24],
    // The clocks go forward at midnight, so the day begins at 01:00.
    ["Africa/Cairo", "2026-04-24", 23],
    ["America/Havana", "2026-03-08", 23],
    ["Asia/Beirut", "2026-03-29", 23],
    // Lord Howe Island turns its clocks by half an hour.
    ["Australia/Lord_Howe", "2026-10-04", 23.5],
    ["Australia/Lord_Howe", "2026-04-05", 24.5],
  ])("[C1] in %s %s has %s hours", (zone, date, hours) => {
    const day = dayOf(date);
    const [from, until] = [dayStart(zone, day), dayStart(zone, localDay(day + 1))];
    expect((until - from) / 3_600).toBe(hours);
    expect([siteDay(zone, from), siteDay(zone, unixSeconds(from - 1))]).toEqual([day, day - 1]);
    expect([siteDay(zone, unixSeconds(until - 1)), siteDay(zone, until)]).toEqual([day, day + 1]);
  });

  it("[N5] dates that do not exist", () => {
    expect([parseDate("2026-02-29"), parseDate("2026-13-01"), parseDate("x")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("[N5] a civil time that the zone carries out of what Temporal can count is none", () => {
    expect(parseCivilTime("America/New_York", "+275760-09-13T23:59")).toBeUndefined();
    expect(parseCivilTime("Asia/Tokyo", "-271821-04-19T00:00")).toBeUndefined();
    expect(parseCivilTime("Europe/Vienna", "2026-12-24T08:00")).toBe(1_798_095_600);
  });

  it("[N6] a site's zone is a name, not an offset", () => {
    expect(["America/New_York", "UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"].map(isTimeZone)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(["+05:00", "America/Gotham", "", "../etc/passwd", "America/New York"].map(isTimeZone)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("zone table", () => {
  const now = instant("2026-11-24T17:00:00Z");

  it("[P5] holds eight years of offset changes", () => {
    const table = zoneTable("America/New_York", unixSeconds(now - 7 * 86_400), now);
    expect(table.initialOffsetSeconds).toBe(-18_000);
    expect(table.transitions).toHaveLength(16);
    expect(table.transitions[0]).toEqual({ at: instant("2027-03-14T07:00:00Z"), offsetSeconds: -14_400 });
    expect(table.until).toBe(instant("2034-11-24T17:00:00Z"));
  });

  it("[P5] gives the offset up to its bounds and none beyond", () => {
    const table = zoneTable("America/New_York", now, now);
    const at = instant("2027-03-14T07:00:00Z");
    expect([at - 1, at].map((second) => offsetAt(table, unixSeconds(second)))).toEqual([-18_000, -14_400]);
    expect([now - 1, now, table.until - 1, table.until].map((second) => offsetAt(table, unixSeconds(second)))).toEqual([
      undefined,
      -18_000,
      -18_000,
      undefined,
    ]);
  });

  it("[P5] a lock's civil day is the site's, around every midnight of a year", () => {
    for (const zone of [
      "America/New_York",
      "Africa/Cairo",
      "America/Havana",
      "Australia/Lord_Howe",
      "America/Scoresbysund",
    ]) {
      const table = zoneTable(zone, now, now);
      for (let day = 20_783; day < 20_783 + 366; day++) {
        const midnight = dayStart(zone, localDay(day));
        for (const second of [midnight - 3_600, midnight - 1, midnight, midnight + 3_600].map(unixSeconds)) {
          const offset = offsetAt(table, second) ?? Number.NaN;
          expect(civilDay(civilSeconds(second, offset))).toBe(siteDay(zone, second));
        }
      }
    }
  });
});
