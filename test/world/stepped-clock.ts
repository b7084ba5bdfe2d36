/** A clock that stands still until a test moves it. Timers fire in the order of their time, each with what it set off settled first. */
import type { Clock } from "../../agent/ports/clock.ts";
import { type MonotonicMs, monotonicMs, type UnixMs, unixMs } from "../../protocol/base/units.ts";

interface Timer {
  readonly dueMs: number;
  readonly action: () => void;
}

export class SteppedClock implements Clock {
  #elapsedMs = 0;
  #offsetMs: number;
  readonly #timers = new Set<Timer>();

  constructor(startMs = Date.UTC(2026, 10, 20, 8, 0, 0)) {
    this.#offsetMs = startMs;
  }

  nowMs(): UnixMs {
    return unixMs(this.#offsetMs + this.#elapsedMs);
  }

  monotonicMs(): MonotonicMs {
    return monotonicMs(this.#elapsedMs);
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { dueMs: this.#elapsedMs + Math.max(0, delayMs), action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the wall clock alone, as setting it does. */
  setWall(toMs: number): void {
    this.#offsetMs = toMs - this.#elapsedMs;
  }

  async advance(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    await settle();
    for (;;) {
      const next = [...this.#timers]
        .filter(({ dueMs }) => dueMs <= untilMs)
        .reduce<Timer | undefined>(
          (first, timer) => (first === undefined || timer.dueMs < first.dueMs ? timer : first),
          undefined,
        );
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.action();
      await settle();
    }
    this.#elapsedMs = untilMs;
    await settle();
  }
}

/** Lets every promise that is ready run, and what those make ready: in memory that ends within a few turns. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
}
