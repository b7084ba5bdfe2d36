/**
 * A lock's own clock: a crystal that runs a little fast or slow, and the flash that keeps what must outlive power. What the clock
 * believes, and from whom, is judged in `protocol/sync/lock-clock.ts` (SPEC J2-J6); this file counts and remembers.
 */
import type { LockState } from "../../protocol/access/attempt.ts";
import { cborRecord, cborUint, field, optional } from "../../protocol/base/cbor-record.ts";
import {
  type MonotonicMs,
  monotonicMs,
  type UnixMs,
  type UnixSeconds,
  unixSeconds,
} from "../../protocol/base/units.ts";
import {
  bootClock,
  type ClockSource,
  type LockClock as ClockState,
  clockForDecision,
  isPersistDue,
  type PersistedClock,
  persistedClock,
  readClock,
} from "../../protocol/sync/lock-clock.ts";
import type { ClockQuality } from "../../protocol/wire/messages/fields.ts";
import type { Flash } from "./flash.ts";
import { readRecord } from "./flash-record.ts";

export interface ClockReading {
  /** Absent only while `unset`. */
  readonly unixMs?: UnixMs;
  readonly quality: ClockQuality;
  /** On whose word the reading rests; absent while `unset`. */
  readonly source?: ClockSource;
}

export class LockClock {
  readonly #flash: Flash;
  readonly #rate: number;
  readonly #bootedAt: MonotonicMs;
  #state: ClockState;
  /** Undefined: what flash keeps has rotted, and is written anew. */
  #kept: PersistedClock | undefined;

  /** `signedAt`: a time that the authority signed and that this lock can still read elsewhere; the floor when the marks have rotted (SPEC L16). */
  constructor(flash: Flash, driftPpm: number, bootedAt: MonotonicMs, signedAt: UnixSeconds = FIRMWARE_BUILT_AT) {
    this.#flash = flash;
    this.#rate = 1 + driftPpm / 1e6;
    this.#bootedAt = bootedAt;
    this.#kept = readKept(flash);
    const rotten = { floor: signedAt, poweredUnsetSeconds: LEASES_RAN_OUT_SECONDS };
    this.#state = bootClock(this.#kept ?? rotten, FIRMWARE_BUILT_AT, this.counter(bootedAt));
  }

  /** The moment as this lock's crystal counts it. */
  counter(now: MonotonicMs): MonotonicMs {
    return monotonicMs(this.uptimeMs(now));
  }

  get state(): ClockState {
    return this.#state;
  }

  read(now: MonotonicMs): ClockReading {
    const { quality, source } = this.#state;
    const shown = readClock(this.#state, this.counter(now));
    if (shown === undefined || source === undefined) return { quality };
    return { unixMs: shown, quality, source };
  }

  /** What a decision needs to know of it. */
  forDecision(now: MonotonicMs): { readonly now: UnixSeconds; readonly clock: LockState["clock"] } {
    return clockForDecision(this.#state, this.counter(now));
  }

  /** Milliseconds since boot as the crystal counts them. */
  uptimeMs(now: MonotonicMs): number {
    return Math.floor((now - this.#bootedAt) * this.#rate);
  }

  /** Goes on from `state`, which followed from this clock's own; persisted if it is worth a write. */
  put(state: ClockState, now: MonotonicMs): void {
    this.#state = state;
    this.keepMarks(now);
  }

  /** The bench sets a new lock's clock: that is nobody's signed word, so the authority's first answer undoes it whatever it says. */
  set(time: UnixMs, now: MonotonicMs): void {
    const { marks, floor } = this.#state;
    const counter = this.counter(now);
    const site = unixSeconds(time / 1000);
    const state: ClockState = {
      quality: "set",
      source: "site",
      reading: { unixMs: time, at: counter },
      marks: { authority: marks.authority, site },
      floor,
      poweredUnsetSeconds: 0,
      unsetSince: counter,
    };
    this.put(state, now);
  }

  /** Moves the marks on when they are due; flash wears out, so this is seldom. */
  keepMarks(now: MonotonicMs): void {
    if (!isPersistDue(this.#state, this.#kept, this.counter(now))) return;
    this.#kept = persistedClock(this.#state, this.counter(now));
    const { marks, floor, poweredUnsetSeconds } = this.#kept;
    this.#flash.write(CLOCK_REGION, kept.encode({ ...marks, floor, poweredUnsetSeconds }), 2);
  }
}

const instant = cborUint<UnixSeconds>(2 ** 40);
/** Without `authority` the clock was never set: there is no mark, only powered time. */
const kept = cborRecord({
  authority: optional(1, instant),
  site: optional(2, instant),
  floor: field(3, instant),
  poweredUnsetSeconds: field(4, cborUint(2 ** 40)),
});

function readKept(flash: Flash): PersistedClock | undefined {
  const read = readRecord(flash, CLOCK_REGION, kept);
  if (read === "rotten") return undefined;
  if (read === undefined) return { floor: FIRMWARE_BUILT_AT, poweredUnsetSeconds: 0 };
  const { authority, site, floor, poweredUnsetSeconds } = read;
  const marks = authority === undefined ? {} : { marks: { authority, ...(site === undefined ? {} : { site }) } };
  return { ...marks, floor, poweredUnsetSeconds };
}

/** No firmware is older than the protocol; a lock that was never set knows at least that. */
const FIRMWARE_BUILT_AT: UnixSeconds = unixSeconds(0);
/** Longer than any lease runs on while the clock is not set (SPEC D9): nobody knows how much of it was used up. */
const LEASES_RAN_OUT_SECONDS = 2 ** 30;
const CLOCK_REGION = "clock";
