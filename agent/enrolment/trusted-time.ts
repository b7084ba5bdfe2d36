/**
 * What time it is, and whether that may be believed: a Raspberry Pi without a clock of its own starts in 1970, or where it was switched off.
 *
 * The floor is the later of the day this version was built and the last time that was believed, which is kept on disk. Time is believed
 * by the authority's own word (a signed answer to this gateway's question, carried on by the monotonic counter), or by this machine's
 * clock when it stands above the floor and the system does not say that nobody has set it. Until then certificates of the site's own CA
 * are judged by the floor, and nothing is signed. SPEC I10; PROTOCOL part 5, last line.
 */
import { z } from "zod";
import { utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, type MonotonicMs, type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { type PayloadFault, parsePayload, versioned } from "../../protocol/wire/payload.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";

/** The day before this version was made; no true clock shows less. */
export const BUILD_TIME = unixMs(Date.UTC(2026, 10, 1));

/** `asking`: the system has not answered yet. `unknown`: it has no word for it (a container, another init). */
export type SystemClockState = "synchronised" | "not-synchronised" | "unknown" | "asking";
export type TimeBasis = "authority" | "system-synchronised" | "system-clock";

/** `now` is the floor while time is not trusted. */
export type KnownTime =
  | { readonly trusted: true; readonly now: UnixMs; readonly basis: TimeBasis }
  | { readonly trusted: false; readonly now: UnixMs };

export interface TrustedTimeOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly gateway: DeviceId;
  /** What the system says of its own clock now. */
  readonly systemClock: () => SystemClockState;
  readonly buildTime?: UnixMs;
}

export class TrustedTime {
  readonly #options: TrustedTimeOptions;
  readonly #buildTime: UnixMs;
  #floor: UnixMs;
  #kept: UnixMs;
  #anchor: { readonly unixMs: UnixMs; readonly at: MonotonicMs } | undefined;
  #cancel: () => void = () => undefined;

  constructor(options: TrustedTimeOptions) {
    this.#options = options;
    this.#buildTime = options.buildTime ?? BUILD_TIME;
    this.#floor = this.#buildTime;
    this.#kept = this.#buildTime;
  }

  /** Reads the last time that was believed. What cannot be read counts as none. */
  async load(): Promise<void> {
    const { store, gateway } = this.#options;
    const document = (await store.readDocuments("clock")).find(({ device }) => device === gateway);
    const read = document === undefined ? undefined : parseClockDocument(utf8(document.body));
    if (read?.ok !== true) return;
    this.#kept = read.value;
    this.#raiseFloor(read.value);
  }

  now(): KnownTime {
    const { clock, systemClock } = this.#options;
    const anchor = this.#anchor;
    if (anchor !== undefined) {
      const now = unixMs(anchor.unixMs + (clock.monotonicMs() - anchor.at));
      return { trusted: true, now, basis: "authority" };
    }
    const now = clock.nowMs();
    const state = systemClock();
    if (now < this.#floor || state === "not-synchronised" || state === "asking") {
      return { trusted: false, now: this.#floor };
    }
    return { trusted: true, now, basis: state === "synchronised" ? "system-synchronised" : "system-clock" };
  }

  /**
   * The authority said what time it is, and its signature was checked. It may also take back a floor that a wrong clock had raised, though
   * never below the day of the build.
   */
  noteAuthority(said: UnixMs): void {
    if (said < this.#buildTime) return;
    this.#anchor = { unixMs: said, at: this.#options.clock.monotonicMs() };
    this.#floor = said;
  }

  /** The authority's link is authenticated, and something it wrote carries this moment: it is later than that now. */
  noteNotBefore(moment: UnixMs): void {
    this.#raiseFloor(moment);
  }

  /** Keeps the floor on disk now and at an interval, until `stop`. */
  async start(onError: (error: unknown) => void): Promise<void> {
    await this.keep();
    const next = (): void => {
      this.#cancel = this.#options.clock.after(KEEP_EVERY_MS, () => {
        this.keep().then(next, onError);
      });
    };
    next();
  }

  stop(): void {
    this.#cancel();
  }

  /** Writes the floor if it has moved by enough to be worth a write. */
  async keep(): Promise<void> {
    const time = this.now();
    if (time.trusted) this.#raiseFloor(time.now);
    if (Math.abs(this.#floor - this.#kept) < KEEP_STEP_MS) return;
    const { store, gateway } = this.#options;
    const body = JSON.stringify({ v: 1, floorMs: this.#floor });
    this.#kept = this.#floor;
    await store.putDocuments([{ kind: "clock", device: gateway, body }]);
  }

  #raiseFloor(moment: UnixMs): void {
    this.#floor = unixMs(Math.max(this.#floor, moment));
  }
}

/** Faults: those of a payload. */
export function parseClockDocument(bytes: Uint8Array): Result<UnixMs, PayloadFault> {
  const read = parsePayload(clockSchema, bytes, CLOCK_LIMIT_BYTES);
  return read.ok ? ok(unixMs(read.value.floorMs)) : failed(read.fault);
}

const clockSchema = versioned({ floorMs: z.number().int().min(0).max(8.64e15) });
const CLOCK_LIMIT_BYTES = 256;
const KEEP_EVERY_MS = 10 * 60_000;
const KEEP_STEP_MS = 5 * 60_000;
