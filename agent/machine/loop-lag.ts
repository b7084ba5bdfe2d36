/** How late the event loop is, over the time since it was last asked. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Milliseconds beyond when a timer was due. */
export interface LoopLag {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class LoopLagMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /** Since the last call, but for the first tenth of a second, by which the histogram sets its watch; null: nothing was measured. */
  take(): LoopLag | null {
    if (this.#histogram.count === 0) return null;
    // The histogram holds the time between two of its timers, so the interval itself is in it.
    const lag = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e5) / 10 - RESOLUTION_MS);
    const taken = {
      p50Ms: lag(this.#histogram.percentile(50)),
      p99Ms: lag(this.#histogram.percentile(99)),
      maxMs: lag(this.#histogram.max),
    };
    this.#histogram.reset();
    return taken;
  }

  stop(): void {
    this.#histogram.disable();
  }
}

/** Ten wake-ups a second cost a resting Pi nothing that can be measured; a lag that matters here is longer. */
const RESOLUTION_MS = 100;
