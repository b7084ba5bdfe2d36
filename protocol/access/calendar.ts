/**
 * The site's calendar as a lock knows it: offset changes in place of a time-zone database (SPEC P5).
 *
 * Schedules and holidays are about the site's civil clock. A civil time is the instant plus the offset then in force, so an hour
 * that the clocks repeat is within a window twice, and an hour that they skip never comes.
 */
import { type LocalDay, localDay, type UnixSeconds } from "../base/units.ts";
import type { PolicyHoliday, PolicySchedule, ZoneTable } from "./policy.ts";

const daySeconds = 86_400;
const weekMinutes = 10_080;
/** 1970-01-01 was a Thursday, three days after the Monday that begins its week. */
const epochMinuteOfWeek = 3 * 1_440;

/** The site's offset in seconds, or undefined outside the table's bounds. */
export function offsetAt(zone: ZoneTable, instant: UnixSeconds): number | undefined {
  if (instant < zone.from || instant >= zone.until) return undefined;
  let low = 0;
  let high = zone.transitions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const transition = zone.transitions[middle];
    if (transition !== undefined && transition.at <= instant) low = middle + 1;
    else high = middle;
  }
  return zone.transitions[low - 1]?.offsetSeconds ?? zone.initialOffsetSeconds;
}

/** Seconds of the civil clock since 1970-01-01T00:00 civil. */
export function civilSeconds(instant: UnixSeconds, offsetSeconds: number): number {
  return instant + offsetSeconds;
}

export function civilDay(civil: number): LocalDay {
  return localDay(Math.floor(civil / daySeconds));
}

/** Whole minutes since Monday 00:00, 0-10,079. */
export function minuteOfWeek(civil: number): number {
  return (((Math.floor(civil / 60) + epochMinuteOfWeek) % weekMinutes) + weekMinutes) % weekMinutes;
}

/** Whole minutes since midnight, 0-1,439. */
export function minuteOfDay(civil: number): number {
  return Math.floor((((civil % daySeconds) + daySeconds) % daySeconds) / 60);
}

/** A schedule's ranges in two flat rows: from, to, from, to ... One look into memory in place of one for each range. */
export interface ScheduleRows {
  readonly weekly: Uint16Array;
  readonly dated: Uint32Array;
}

export function scheduleRows({ weekly, dated }: PolicySchedule): ScheduleRows {
  return { weekly: Uint16Array.from(weekly.flat()), dated: Uint32Array.from(dated.flat()) };
}

/** True when the schedule covers the instant: in any weekly window or any dated range. */
export function scheduleCovers(schedule: ScheduleRows, instant: UnixSeconds, civil: number): boolean {
  return inRow(schedule.weekly, minuteOfWeek(civil)) || inRow(schedule.dated, instant);
}

/** The first holiday that is on and outside whose working hours the instant lies: it keeps out who observes holidays. */
export function closingHoliday(holidays: readonly PolicyHoliday[], civil: number): PolicyHoliday | undefined {
  const day = civilDay(civil);
  for (const holiday of holidays) {
    if (day < holiday.fromDay || day > holiday.toDay) continue;
    if (!inRanges(holiday.workingHours, minuteOfDay(civil))) return holiday;
  }
  return undefined;
}

/** True when some holiday is on that day. */
export function isHoliday(holidays: readonly PolicyHoliday[], civil: number): boolean {
  const day = civilDay(civil);
  return holidays.some(({ fromDay, toDay }) => day >= fromDay && day <= toDay);
}

function inRow(row: Uint16Array | Uint32Array, value: number): boolean {
  for (let index = 0; index + 1 < row.length; index += 2) {
    if (value < (row[index] ?? 0)) return false;
    if (value < (row[index + 1] ?? 0)) return true;
  }
  return false;
}

function inRanges(ranges: readonly (readonly [number, number])[], value: number): boolean {
  for (const [from, to] of ranges) {
    if (value < from) return false;
    if (value < to) return true;
  }
  return false;
}
