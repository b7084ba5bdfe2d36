/**
 * The lock's calendar against Temporal, for every IANA name of a zone: its table has every change of its offset from 2024 to 2036, and
 * minute by minute around each the calendar agrees. A further name of a zone (Asia/Kolkata, US/Eastern) has its changes looked up by
 * that name; the minutes are not walked again where its tables are those of a zone that was walked.
 */
import { Temporal } from "temporal-polyfill";
import { describe, expect, it } from "vitest";
import {
  civilDay,
  civilSeconds,
  closingHoliday,
  isHoliday,
  offsetAt,
  scheduleCovers,
} from "../../../protocol/access/calendar.ts";
import type { PolicyHoliday, ZoneTable } from "../../../protocol/access/policy.ts";
import { localDay, type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import { isTimeZone, zoneTable } from "../../../protocol/site/zone.ts";
import { mapleCourt, policyOf, siteOf } from "../site/fixtures.ts";
import { ianaZones } from "./iana-zones.ts";

const instantOf = (text: string): UnixSeconds => unixSeconds(Date.parse(text) / 1_000);
const first = instantOf("2024-01-01T00:00:00Z");
const end = instantOf("2037-01-01T00:00:00Z");
/** Two tables of eight years cover the thirteen. */
const tableStarts = [first, instantOf("2029-06-01T00:00:00Z")];

/** Windows whose edges lie where clocks are turned, some over midnight, some over the end of the week. */
const windows = [
  { days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from: "00:15", to: "00:45" },
  { days: ["sun", "thu"], from: "01:30", to: "02:20" },
  { days: ["fri", "sat", "sun"], from: "02:59", to: "03:31" },
  { days: ["sat", "sun", "thu"], from: "23:10", to: "00:05" },
] as const;
const text = mapleCourt.replace(
  /schedules:\n.*\n/,
  `schedules:\n  - { id: weekdays, weekly: [${windows.map(({ days, from, to }) => `{ days: [${days.join(", ")}], from: "${from}", to: "${to}" }`).join(", ")}] }\n`,
);
const schedule = policyOf(siteOf(text), "lobby-lock").schedules[0];
if (schedule === undefined) throw new Error("the site has a schedule");

/** Minutes of the civil day: 01:30 to 02:20. */
const holidayHours = { from: 90, to: 140 };

const ownNames = Intl.supportedValuesOf("timeZone");
const zones = [...new Set([...ownNames, ...ianaZones])].map((zone) => ({
  zone,
  changes: changesOf(zone),
  tables: tableStarts.map((start) => zoneTable(zone, start, start)),
}));

describe("the lock's calendar", () => {
  it("[P5] knows every change of every zone, by every name that IANA has for it", { timeout: 60_000 }, () => {
    expect(ownNames.length).toBeGreaterThan(400);
    expect(zones.length).toBeGreaterThanOrEqual(597);
    for (const { zone, changes, tables } of zones) {
      expect(isTimeZone(zone), zone).toBe(true);
      for (const [place, table] of tables.entries()) {
        const expected = changes.filter((at) => at > table.from && at < table.until);
        expect(
          table.transitions.map(({ at }) => at).filter((at) => at < end),
          zone,
        ).toEqual(expected);
        for (const { at, offsetSeconds } of table.transitions) expect(offsetSeconds, zone).toBe(offsetBySpec(zone, at));
        expect(table.initialOffsetSeconds, zone).toBe(offsetBySpec(zone, tableStarts[place] ?? first));
      }
    }
  });

  it("[P5] [P7] [D11] agrees with Temporal on day, schedule and holiday, minute by minute around every change", {
    timeout: 120_000,
  }, () => {
    let minutes = 0;
    const walked = new Set<string>();
    for (const { zone, changes, tables } of zones) {
      const same = JSON.stringify(tables);
      if (walked.has(same) && !ownNames.includes(zone)) continue;
      walked.add(same);
      for (const change of changes) {
        const table = tables.find(({ from, until }) => change - walk > from && change + walk < until);
        if (table === undefined) throw new Error(`no table covers ${zone} at ${change}`);
        for (let at = change - walk; at <= change + walk; at += 60) {
          compareAt(zone, table, unixSeconds(at));
          minutes++;
        }
      }
    }
    expect(minutes).toBeGreaterThan(100_000);
  });

  it("[D11] a holiday that begins before a change of the clocks ends at its civil midnight", () => {
    const zone = "America/New_York";
    const table = zoneTable(zone, instantOf("2027-01-01T00:00:00Z"), instantOf("2027-01-01T00:00:00Z"));
    // Saturday and Sunday 13 and 14 March 2027; on Sunday the clocks go forward at 02:00.
    const holiday: PolicyHoliday = {
      id: "h",
      fromDay: dayOf("2027-03-13"),
      toDay: dayOf("2027-03-14"),
      workingHours: [[60, 240]],
    };
    const closedAt = (instant: string) => {
      const at = instantOf(instant);
      const civil = civilSeconds(at, offsetAt(table, at) ?? Number.NaN);
      return closingHoliday([holiday], civil)?.id;
    };
    expect(closedAt("2027-03-13T04:59:59Z")).toBeUndefined();
    expect(closedAt("2027-03-13T05:00:00Z")).toBe("h");
    // Working hours 01:00-04:00: on the day of the change they last two hours.
    expect(closedAt("2027-03-14T05:59:59Z")).toBe("h");
    expect(closedAt("2027-03-14T06:00:00Z")).toBeUndefined();
    expect(closedAt("2027-03-14T07:59:59Z")).toBeUndefined();
    expect(closedAt("2027-03-14T08:00:00Z")).toBe("h");
    expect(closedAt("2027-03-15T03:59:59Z")).toBe("h");
    expect(closedAt("2027-03-15T04:00:00Z")).toBeUndefined();
  });
});

function compareAt(zone: string, table: ZoneTable, at: UnixSeconds): void {
  const offset = offsetAt(table, at);
  const time = Temporal.Instant.fromEpochMilliseconds(at * 1_000).toZonedDateTimeISO(zone);
  const civil = civilSeconds(at, offset ?? Number.NaN);
  const day = time.toPlainDate().since("1970-01-01").days;
  // Of each even day one holiday, with working hours whose edges lie where clocks are turned.
  const evenDay = day - (day % 2);
  const holiday: PolicyHoliday = {
    id: "h",
    fromDay: localDay(evenDay),
    toDay: localDay(evenDay),
    workingHours: [[holidayHours.from, holidayHours.to]],
  };
  const minute = time.hour * 60 + time.minute;
  const isOn = day === evenDay;
  const isOpen = minute >= holidayHours.from && minute < holidayHours.to;
  const agree =
    offset === time.offsetNanoseconds / 1e9 &&
    civilDay(civil) === day &&
    isHoliday([holiday], civil) === isOn &&
    (closingHoliday([holiday], civil) === holiday) === (isOn && !isOpen) &&
    (schedule !== undefined && scheduleCovers(schedule, at, civil)) === windowsCover(time);
  if (!agree) expect({ zone, at, time: time.toString(), offset, civilDay: civilDay(civil) }).toBe("as Temporal has it");
}

/** The windows as a person reads them: on that weekday between those times, or the rest of one that began the day before. */
function windowsCover(time: Temporal.ZonedDateTime): boolean {
  const today = dayNames[time.dayOfWeek - 1];
  const yesterday = dayNames[(time.dayOfWeek + 5) % 7];
  const clock = `${String(time.hour).padStart(2, "0")}:${String(time.minute).padStart(2, "0")}`;
  return windows.some(({ days, from, to }) => {
    const has = (name: string | undefined) => days.some((day) => day === name);
    if (from < to) return has(today) && clock >= from && clock < to;
    return (has(today) && clock >= from) || (has(yesterday) && clock < to);
  });
}

function changesOf(zone: string): readonly UnixSeconds[] {
  const changes: UnixSeconds[] = [];
  let time = zonedAt(zone, first).getTimeZoneTransition("next");
  while (time !== null && time.epochMilliseconds / 1_000 < end) {
    changes.push(unixSeconds(time.epochMilliseconds / 1_000));
    time = time.getTimeZoneTransition("next");
  }
  return changes;
}

function offsetBySpec(zone: string, at: UnixSeconds): number {
  return zonedAt(zone, at).offsetNanoseconds / 1e9;
}

function zonedAt(zone: string, at: UnixSeconds): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(at * 1_000).toZonedDateTimeISO(zone);
}

function dayOf(date: string): ReturnType<typeof localDay> {
  return localDay(Temporal.PlainDate.from(date).since("1970-01-01").days);
}

const dayNames = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** Seconds before and after a change: more than any zone turns its clocks by. */
const walk = 2.5 * 3_600;
