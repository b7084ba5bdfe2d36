/**
 * Civil dates and time zones, by Temporal. The only file that touches it: what leaves this file is seconds, day numbers and offset
 * tables, so that a lock needs no time-zone database (SPEC N6, P5).
 */
import { Temporal } from "temporal-polyfill";
import { policyLimits, type ZoneTable, type ZoneTransition, zoneYears } from "../access/policy.ts";
import { assert } from "../base/result.ts";
import { type LocalDay, localDay, type UnixSeconds, unixSeconds } from "../base/units.ts";

/** True for a name that Temporal knows as a time zone, fixed offsets excepted: a site lies somewhere. */
export function isTimeZone(name: string): boolean {
  if (!timeZonePattern.test(name)) return false;
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name);
    return true;
  } catch {
    // Temporal has no question for this but to try.
    return false;
  }
}

/** The site's civil date at an instant, as days since 1970-01-01. */
export function siteDay(timeZone: string, instant: UnixSeconds): LocalDay {
  return dayNumber(zoned(timeZone, instant).toPlainDate());
}

/** The first instant of a civil day; where its midnight does not exist, the first instant after the gap. */
export function dayStart(timeZone: string, day: LocalDay): UnixSeconds {
  return secondsOf(plainDate(day).toZonedDateTime({ timeZone }));
}

/** `2026-12-24`. */
export function localDayText(day: LocalDay): string {
  return plainDate(day).toString();
}

/** Reads `2026-12-24`; undefined for a date that does not exist. */
export function parseDate(text: string): LocalDay | undefined {
  const date = read(() => Temporal.PlainDate.from(text, { overflow: "reject" }));
  return date === undefined ? undefined : dayNumber(date);
}

/**
 * Reads a civil time `2026-12-24T08:00` of the site. One that the clocks skip is taken as much later, one that they repeat is the
 * first of the two (Temporal's "compatible"). Undefined for one that does not exist in any year.
 */
export function parseCivilTime(timeZone: string, text: string): UnixSeconds | undefined {
  // The zone may carry the last and first of Temporal's days out of its range, so that belongs to the reading.
  const time = read(() => Temporal.PlainDateTime.from(text, { overflow: "reject" }).toZonedDateTime(timeZone));
  return time === undefined ? undefined : secondsOf(time);
}

/** Reads an exact time with `Z` or an offset, whole seconds. */
export function parseInstant(text: string): UnixSeconds | undefined {
  const instant = read(() => Temporal.Instant.from(text));
  return instant === undefined ? undefined : unixSeconds(instant.epochMilliseconds / 1_000);
}

/** The site's offsets from `from` until `zoneYears` years after `now`, for a lock. */
export function zoneTable(timeZone: string, from: UnixSeconds, now: UnixSeconds): ZoneTable {
  const until = secondsOf(zoned(timeZone, now).add({ years: zoneYears }));
  const first = zoned(timeZone, from);
  const transitions: ZoneTransition[] = [];
  let next = first.getTimeZoneTransition("next");
  while (next !== null && secondsOf(next) < until) {
    assert(transitions.length < policyLimits.transitions, "no zone changes more often than the table has room");
    transitions.push({ at: secondsOf(next), offsetSeconds: offsetSecondsOf(next) });
    next = next.getTimeZoneTransition("next");
  }
  return { from, until, initialOffsetSeconds: offsetSecondsOf(first), transitions };
}

function zoned(timeZone: string, instant: UnixSeconds): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(instant * 1_000).toZonedDateTimeISO(timeZone);
}

function secondsOf(time: Temporal.ZonedDateTime): UnixSeconds {
  return unixSeconds(time.epochMilliseconds / 1_000);
}

function offsetSecondsOf(time: Temporal.ZonedDateTime): number {
  return time.offsetNanoseconds / 1e9;
}

function dayNumber(date: Temporal.PlainDate): LocalDay {
  return localDay(epochDate.until(date, { largestUnit: "days" }).days);
}

function plainDate(day: LocalDay): Temporal.PlainDate {
  return epochDate.add({ days: day });
}

/** Temporal throws a RangeError for text that is no date; here that is no more than "no". */
function read<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof RangeError) return undefined;
    throw cause;
  }
}

const epochDate = Temporal.PlainDate.from("1970-01-01");
const timeZonePattern = /^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/;
