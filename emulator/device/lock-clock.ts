/**
 * A lock's own clock: a crystal that runs a little fast or slow, set by somebody else, forgotten when power is lost.
 *
 * States (PROTOCOL part 5): `set`: trusted since somebody set it in this boot; `lower-bound`: power was lost since, so it is
 * not before the high-water mark that flash keeps, and goes on from there; `unset`: it was never set (SPEC L5).
 * Beside that mark stands the signed floor: the highest time that the authority ever signed for this lock. It only rises, and by
 * nothing else; a courier whose certificate has ended is told by it while the clock is not set (SPEC Y8).
 * Flash also keeps how many powered seconds have passed, because leases and the keypad's throttle must not begin anew with
 * each battery change.
 */
import { type CborTypeOf, cborRecord, cborUint, field, optional } from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { type MonotonicMs, type UnixMs, type UnixSeconds, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import type { ClockQuality } from "../../protocol/wire/messages/fields.ts";
import type { Flash } from "./flash.ts";

export interface ClockReading {
  /** Absent only while `unset`. */
  readonly unixMs?: UnixMs;
  readonly quality: ClockQuality;
}

export class LockClock {
  readonly #flash: Flash;
  readonly #rate: number;
  readonly #bootedAt: MonotonicMs;
  readonly #atBoot: Kept;
  #quality: ClockQuality;
  /** What the clock showed at `#anchorAt`. */
  #anchorUnixMs: number;
  #anchorAt: MonotonicMs;
  #kept: Kept;

  constructor(flash: Flash, driftPpm: number, bootedAt: MonotonicMs) {
    this.#flash = flash;
    this.#rate = 1 + driftPpm / 1e6;
    this.#bootedAt = bootedAt;
    this.#atBoot = readKept(flash);
    this.#kept = this.#atBoot;
    this.#quality = this.#kept.highWater > 0 ? "lower-bound" : "unset";
    this.#anchorUnixMs = this.#kept.highWater * 1000;
    this.#anchorAt = bootedAt;
  }

  read(now: MonotonicMs): ClockReading {
    if (this.#quality === "unset") return { quality: "unset" };
    return { unixMs: this.#unixMsAt(now), quality: this.#quality };
  }

  /** The highest time that was ever known to be past; 0 when the clock was never set. */
  get highWater(): UnixSeconds {
    return unixSeconds(this.#kept.highWater);
  }

  /** The highest time that the authority signed for this lock; 0 before the first. */
  get signedFloor(): UnixSeconds {
    return unixSeconds(this.#kept.signedFloor ?? 0);
  }

  /** Takes note of a time that the authority signed, whether or not the clock is set by it. */
  noteSigned(time: UnixMs): void {
    const seconds = Math.floor(time / 1000);
    if (seconds <= this.signedFloor) return;
    this.#kept = { ...this.#kept, signedFloor: seconds };
    this.#flash.write(CLOCK_REGION, kept.encode(this.#kept));
  }

  /** Milliseconds since boot as the crystal counts them. */
  uptimeMs(now: MonotonicMs): number {
    return Math.floor((now - this.#bootedAt) * this.#rate);
  }

  /** Powered seconds of this and earlier boots; what passed between the last write and a power cut is missing. */
  poweredSeconds(now: MonotonicMs): number {
    return this.#atBoot.poweredSeconds + Math.floor(this.uptimeMs(now) / 1000);
  }

  /** Powered seconds since the clock was last set; 0 while it is. */
  poweredSecondsUnset(now: MonotonicMs): number {
    return this.#quality === "set" ? 0 : this.poweredSeconds(now) - this.#kept.setAtPoweredSeconds;
  }

  /** Sets the clock and, so that time is not lost with the next power cut, its high-water mark. */
  set(time: UnixMs, now: MonotonicMs): void {
    this.#quality = "set";
    this.#anchorUnixMs = time;
    this.#anchorAt = now;
    // The authority may undo a time that ran ahead, so the mark follows a trusted time down as well as up.
    this.#keep(time, now);
  }

  /** Moves the marks on when they are due; flash wears out, so this happens at most every ten minutes. */
  keepMarks(now: MonotonicMs): void {
    const due = this.poweredSeconds(now) - this.#kept.poweredSeconds >= KEEP_EVERY_SECONDS;
    if (due) this.#keep(this.#quality === "unset" ? 0 : this.#unixMsAt(now), now);
  }

  #unixMsAt(now: MonotonicMs): UnixMs {
    return unixMs(Math.floor(this.#anchorUnixMs + (now - this.#anchorAt) * this.#rate));
  }

  #keep(timeMs: number, now: MonotonicMs): void {
    const poweredSeconds = this.poweredSeconds(now);
    const setAtPoweredSeconds = this.#quality === "set" ? poweredSeconds : this.#kept.setAtPoweredSeconds;
    this.#kept = { ...this.#kept, highWater: Math.floor(timeMs / 1000), poweredSeconds, setAtPoweredSeconds };
    this.#flash.write(CLOCK_REGION, kept.encode(this.#kept));
  }
}

const uint = cborUint(2 ** 40);
const kept = cborRecord({
  highWater: field(1, uint),
  poweredSeconds: field(2, uint),
  setAtPoweredSeconds: field(3, uint),
  signedFloor: optional(4, uint),
});
type Kept = CborTypeOf<typeof kept>;

function readKept(flash: Flash): Kept {
  const bytes = flash.read(CLOCK_REGION);
  if (bytes === undefined) return { highWater: 0, poweredSeconds: 0, setAtPoweredSeconds: 0 };
  const read = kept.decode(bytes);
  assert(read.ok, "the clock's marks read back");
  return read.value;
}

export const KEEP_EVERY_SECONDS = 600;
const CLOCK_REGION = "clock";
