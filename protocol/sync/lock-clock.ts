/**
 * A lock's clock as a pure state machine: what it shows, how far that is believed, and what may change it (SPEC J2-J6).
 *
 *     set by the authority <--- authority --- any state
 *     set by the site      <--- delegate  --- unset, lower-bound, set; forward only, within the delegation
 *     lower-bound          <--- boot with a mark    unset <--- boot without one
 *
 * Theory of operation. The clock is a reading at a moment of the lock's own counter. Power takes the reading; what stays is a mark,
 * persisted now and then: a time that was certainly past. Marks are kept apart by who they rest on, because a delegate's time may be a
 * lie of a stolen gateway and the authority's next answer undoes it, mark and all; the authority's own mark only rises. Beside them
 * stands the floor: the highest time that the authority itself signed; by it dates are judged while the clock is not set, because a
 * crystal that runs is nobody's word (SPEC Y8). While the clock is not set, powered seconds are counted across boots: leases run on
 * them (SPEC D9).
 */
import type { ClockQuality, LockState } from "../access/attempt.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type MonotonicMs, type UnixMs, type UnixSeconds, unixMs, unixSeconds } from "../base/units.ts";

export type ClockSource = "authority" | "site";

export interface LockClock {
  readonly quality: ClockQuality;
  /** On whose word the reading rests; absent when unset. */
  readonly source?: ClockSource;
  /** What it showed at a moment of the lock's counter; absent when unset. */
  readonly reading?: { readonly unixMs: UnixMs; readonly at: MonotonicMs };
  readonly marks: ClockMarks;
  /** When a delegate last wrote it in this boot; absent when none did since the authority spoke. */
  readonly delegatedAt?: MonotonicMs;
  /** The highest time that the authority signed for this lock and it took; 0 before the first. Only rises. */
  readonly floor: UnixSeconds;
  /** Powered seconds without a set clock, until `unsetSince`; 0 while it is set. */
  readonly poweredUnsetSeconds: number;
  readonly unsetSince: MonotonicMs;
}

/** Times that were certainly past, by the authority's word and by a delegate's. */
export interface ClockMarks {
  readonly authority: UnixSeconds;
  readonly site?: UnixSeconds;
}

/** What survives a loss of power. */
export interface PersistedClock {
  /** Absent when the clock was never set. */
  readonly marks?: ClockMarks;
  readonly floor: UnixSeconds;
  readonly poweredUnsetSeconds: number;
}

/** An answer to the lock's nonce whose signatures hold. */
export type TimeOffer =
  | { readonly source: "authority"; readonly unixMs: UnixMs; readonly roundTripMs: number }
  | {
      readonly source: "site";
      readonly unixMs: UnixMs;
      readonly roundTripMs: number;
      readonly delegation: { readonly from: UnixSeconds; readonly notAfter: UnixSeconds };
    };

export type TimeRefusal =
  | { readonly code: "round-trip-too-long"; readonly roundTripMs: number; readonly max: number }
  | { readonly code: "delegation-expired"; readonly notAfter: UnixSeconds }
  | { readonly code: "beyond-delegation"; readonly from: UnixSeconds; readonly notAfter: UnixSeconds }
  /** Each write is a log entry, and the log has an end: a delegate writes once in an hour of the lock's own counter. */
  | { readonly code: "too-soon"; readonly waitMs: number }
  /** A delegate moves time forward only. */
  | { readonly code: "backwards"; readonly byMs: number };

export interface TimeTaken {
  readonly clock: LockClock;
  /** What it showed before; absent when it was unset. */
  readonly oldUnixMs?: UnixMs;
  readonly newUnixMs: UnixMs;
  /** False: it was right, within the tolerance. */
  readonly written: boolean;
}

/** A clock is written only when it is further off than this. */
export const DRIFT_TOLERANCE_MS = 2_000;
/** Longer round trips make the midpoint worthless. */
export const ROUND_TRIP_LIMIT_MS = 2_000;
/** At most 168 entries of a delegation: a stolen gateway must not fill a lock's log with them. */
export const DELEGATE_WRITES_EVERY_MS = 3_600_000;
/** How much time a loss of power may cost the mark: a flash write each hour is nothing, an hour of doubt is little. */
export const PERSIST_EVERY_SECONDS = 3_600;

/** The clock after power came: `lower-bound` from the mark, or `unset`. `builtAt` is when the firmware was made: that is past too. SPEC J2. */
export function bootClock(persisted: PersistedClock | undefined, builtAt: UnixSeconds, now: MonotonicMs): LockClock {
  const poweredUnsetSeconds = persisted?.poweredUnsetSeconds ?? 0;
  const marks = persisted?.marks;
  const floor = unixSeconds(Math.max(persisted?.floor ?? 0, builtAt));
  if (marks === undefined) {
    return { quality: "unset", marks: { authority: builtAt }, floor, poweredUnsetSeconds, unsetSince: now };
  }
  const kept = { ...marks, authority: unixSeconds(Math.max(marks.authority, builtAt)) };
  return {
    quality: "lower-bound",
    source: (kept.site ?? 0) > kept.authority ? "site" : "authority",
    reading: { unixMs: unixMs(highestMark(kept) * 1_000), at: now },
    marks: kept,
    floor,
    poweredUnsetSeconds,
    unsetSince: now,
  };
}

/** What the clock shows; absent when it is unset. */
export function readClock({ reading }: LockClock, now: MonotonicMs): UnixMs | undefined {
  return reading === undefined ? undefined : unixMs(reading.unixMs + (now - reading.at));
}

/** The time by which dates of signed objects are judged: the reading of a clock that is set, else the floor. SPEC Y8. */
export function judgedAt(clock: LockClock, now: MonotonicMs): UnixSeconds {
  const shown = readClock(clock, now);
  return clock.quality === "set" && shown !== undefined ? unixSeconds(Math.floor(shown / 1_000)) : clock.floor;
}

/** What `decide` needs: its `now` and the lock's clock. */
export function clockForDecision(
  clock: LockClock,
  now: MonotonicMs,
): { readonly now: UnixSeconds; readonly clock: LockState["clock"] } {
  const { quality } = clock;
  const poweredSecondsUnset = poweredUnset(clock, now);
  const shown = readClock(clock, now);
  return {
    now: unixSeconds(shown === undefined ? highestMark(clock.marks) : shown / 1_000),
    clock: { quality, highWater: unixSeconds(highestMark(marksAt(clock, now))), poweredSecondsUnset },
  };
}

/**
 * Takes a time that was asked for. The lock adds half the round trip. The authority's word sets the clock whatever it showed; a
 * delegate's only forward and within its delegation. Within two seconds nothing is written; the authority's word then makes a
 * site's time its own. Source: SPEC J3-J5.
 */
export function takeTime(clock: LockClock, offer: TimeOffer, now: MonotonicMs): Result<TimeTaken, TimeRefusal> {
  const { source, roundTripMs } = offer;
  assert(roundTripMs >= 0, "a round trip is not negative");
  if (roundTripMs > ROUND_TRIP_LIMIT_MS) {
    return failed({ code: "round-trip-too-long", roundTripMs, max: ROUND_TRIP_LIMIT_MS });
  }
  const newUnixMs = unixMs(offer.unixMs + Math.floor(roundTripMs / 2));
  const shown = readClock(clock, now);
  const isRight = clock.quality === "set" && shown !== undefined && Math.abs(newUnixMs - shown) <= DRIFT_TOLERANCE_MS;
  if (offer.source === "site") {
    const refusal = delegateRefusal(clock, offer.delegation, newUnixMs, isRight, now);
    if (refusal !== undefined) return failed(refusal);
  }
  const old = shown === undefined ? {} : { oldUnixMs: shown };
  const heldSource = source === "authority" ? source : (clock.source ?? source);
  const floor = source === "authority" ? unixSeconds(Math.max(clock.floor, newUnixMs / 1_000)) : clock.floor;
  if (isRight) {
    const marks = source === "authority" ? { authority: clock.marks.authority } : clock.marks;
    const { delegatedAt, ...rest } = clock;
    const delegated = source === "authority" || delegatedAt === undefined ? {} : { delegatedAt };
    const kept = { ...rest, ...delegated, source: heldSource, marks, floor };
    return ok({ clock: kept, ...old, newUnixMs, written: false });
  }
  const set = {
    quality: "set",
    source,
    reading: { unixMs: newUnixMs, at: now },
    poweredUnsetSeconds: 0,
    unsetSince: now,
  };
  const before = marksAt(clock, now);
  // SPEC J5: the authority's answer undoes what a delegate did; before a delegate's, what the authority's reading had reached is kept.
  const marks = source === "authority" ? { authority: clock.marks.authority } : before;
  const delegated = source === "site" ? { delegatedAt: now } : {};
  const next: LockClock = { ...set, ...delegated, quality: "set", marks, floor };
  return ok({ clock: { ...next, marks: marksAt(next, now) }, ...old, newUnixMs, written: true });
}

/** What must survive a loss of power at this moment. */
export function persistedClock(clock: LockClock, now: MonotonicMs): PersistedClock {
  const marks = clock.quality === "unset" ? {} : { marks: marksAt(clock, now) };
  return { ...marks, floor: clock.floor, poweredUnsetSeconds: poweredUnset(clock, now) };
}

/** Whether the difference to what was last persisted is worth a write: an hour of either count, a mark that was undone, or the floor. SPEC J6. */
export function isPersistDue(clock: LockClock, last: PersistedClock | undefined, now: MonotonicMs): boolean {
  if (last === undefined) return true;
  const next = persistedClock(clock, now);
  const gained = markOf(next) - markOf(last);
  const powered = next.poweredUnsetSeconds - last.poweredUnsetSeconds;
  const isLater = (difference: number): boolean => difference >= PERSIST_EVERY_SECONDS || difference < 0;
  return isLater(gained) || isLater(powered) || next.floor > last.floor;
}

function delegateRefusal(
  clock: LockClock,
  { from, notAfter }: { readonly from: UnixSeconds; readonly notAfter: UnixSeconds },
  newUnixMs: UnixMs,
  isRight: boolean,
  now: MonotonicMs,
): TimeRefusal | undefined {
  if (judgedAt(clock, now) > notAfter) return { code: "delegation-expired", notAfter };
  if (newUnixMs < from * 1_000 || newUnixMs > notAfter * 1_000) return { code: "beyond-delegation", from, notAfter };
  const leastMs = readClock(clock, now) ?? highestMark(clock.marks) * 1_000;
  if (isRight) return undefined;
  if (newUnixMs < leastMs) return { code: "backwards", byMs: leastMs - newUnixMs };
  const { delegatedAt } = clock;
  const waitMs = delegatedAt === undefined ? 0 : delegatedAt + DELEGATE_WRITES_EVERY_MS - now;
  return waitMs > 0 ? { code: "too-soon", waitMs } : undefined;
}

/** The marks as the reading has moved them: what it shows has passed, on the word of its source. */
function marksAt(clock: LockClock, now: MonotonicMs): ClockMarks {
  const { marks, source } = clock;
  const shown = readClock(clock, now);
  if (shown === undefined) return marks;
  const seconds = unixSeconds(shown / 1_000);
  if (source === "site") return { ...marks, site: unixSeconds(Math.max(marks.site ?? 0, seconds)) };
  return { ...marks, authority: unixSeconds(Math.max(marks.authority, seconds)) };
}

function markOf({ marks }: PersistedClock): number {
  return marks === undefined ? 0 : highestMark(marks);
}

function highestMark({ authority, site }: ClockMarks): number {
  return Math.max(authority, site ?? 0);
}

function poweredUnset({ quality, poweredUnsetSeconds, unsetSince }: LockClock, now: MonotonicMs): number {
  return quality === "set" ? 0 : poweredUnsetSeconds + Math.floor((now - unsetSince) / 1_000);
}
