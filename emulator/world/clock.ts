/** Time in the emulated world. Firmware takes time as arguments; only hosts hold one of these. */
import { type MonotonicMs, monotonicMs, type UnixMs, unixMs } from "../../protocol/base/units.ts";

export interface WorldClock {
  nowMs(): UnixMs;
  monotonicMs(): MonotonicMs;
  /** Calls `callback` once after `delayMs`; the returned function cancels it. A waiting timer keeps no process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

export const realClock: WorldClock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until `advance`; what became due is called in order of its time. */
export class SteppedClock implements WorldClock {
  #unixMs: number;
  #monotonicMs = 0;
  #timers: { readonly dueMs: number; readonly callback: () => void }[] = [];

  constructor(startUnixMs: number) {
    this.#unixMs = startUnixMs;
  }

  nowMs(): UnixMs {
    return unixMs(this.#unixMs);
  }

  monotonicMs(): MonotonicMs {
    return monotonicMs(this.#monotonicMs);
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    const until = this.#monotonicMs + ms;
    for (;;) {
      const next = this.#timers.filter(({ dueMs }) => dueMs <= until).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#moveTo(Math.max(next.dueMs, this.#monotonicMs));
      next.callback();
    }
    this.#moveTo(until);
  }

  #moveTo(monotonic: number): void {
    this.#unixMs += monotonic - this.#monotonicMs;
    this.#monotonicMs = monotonic;
  }
}
