/**
 * Times in a site file (SPEC N5): a date, a civil time of the site, an exact instant, or relative to the start.
 *
 *   2026-12-24   2026-12-24T08:00   2026-12-24T08:00:00-05:00   start   start-2h   start+3d      (s m h d w)
 */
import { type LocalDay, localDay, type UnixSeconds, unixSeconds } from "../base/units.ts";
import { dayStart, parseCivilTime, parseDate, parseInstant, siteDay } from "./zone.ts";

export interface SiteClock {
  readonly start: UnixSeconds;
  readonly timeZone: string;
}

/** True when the text has the form of a time; a date that does not exist is found when it is resolved. */
export function isTimeText(text: string): boolean {
  return relativePattern.test(text) || datePattern.test(text) || civilPattern.test(text) || instantPattern.test(text);
}

/**
 * The instant of a time. A date stands for the whole day: as `from` it is the day's first instant, as `until` the first instant
 * after the day. Undefined: no time, or one that does not exist or lies outside 1970-2106.
 */
export function resolveTime(text: string, edge: "from" | "until", clock: SiteClock): UnixSeconds | undefined {
  const instant = resolveAny(text, edge, clock);
  return instant !== undefined && instant >= 0 && instant <= instantMax ? instant : undefined;
}

/** The civil day of a time. Undefined as with `resolveTime`. */
export function resolveDay(text: string, clock: SiteClock): LocalDay | undefined {
  if (datePattern.test(text)) {
    const day = parseDate(text);
    return day !== undefined && day >= 0 && day <= dayMax ? day : undefined;
  }
  const instant = resolveTime(text, "from", clock);
  return instant === undefined ? undefined : siteDay(clock.timeZone, instant);
}

/** Minutes of the day of `08:30`; `24:00` is 1,440. The caller has checked the form. */
export function minutesOf(clockText: string): number {
  return Number(clockText.slice(0, 2)) * 60 + Number(clockText.slice(3, 5));
}

function resolveAny(text: string, edge: "from" | "until", clock: SiteClock): UnixSeconds | undefined {
  const relative = relativePattern.exec(text);
  if (relative !== null) {
    const [, sign, count, unit] = relative;
    if (unit === undefined) return clock.start;
    const seconds = Number(count) * (secondsByUnit[unit] ?? 0);
    return unixSeconds(sign === "-" ? clock.start - seconds : clock.start + seconds);
  }
  if (datePattern.test(text)) {
    const day = parseDate(text);
    if (day === undefined) return undefined;
    return dayStart(clock.timeZone, edge === "from" ? day : localDay(day + 1));
  }
  if (civilPattern.test(text)) return parseCivilTime(clock.timeZone, text);
  return instantPattern.test(text) ? parseInstant(text) : undefined;
}

const relativePattern = /^start(?:([+-])([0-9]{1,6})([smhdw]))?$/;
const datePattern = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const civilPattern = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$/;
const instantPattern = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})$/;
const secondsByUnit: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };
/** Instants travel as u32 seconds. */
const instantMax = 0xffff_ffff;
const dayMax = 49_710;
