/**
 * A battery that goes down with what the lock does: idling, waking for a visit, moving the bolt.
 * The level is a number of drawn microamp-hours, so that the same deeds give the same level in every run.
 * Figures are plain estimates of six AA cells (about 2,600 mAh each, in series): no vendor publishes a discharge curve.
 */
export interface BatteryReading {
  readonly millivolts: number;
  /** 0..100, one decimal. */
  readonly percent: number;
}

export class Battery {
  #drawn: number;

  /** `percent` is what is left at the start, 0..100. */
  constructor(percent: number) {
    this.#drawn = capacityMicroampHours * (1 - percent / 100);
  }

  idle(elapsedMs: number): void {
    this.#draw((idleMicroamps * elapsedMs) / msPerHour);
  }

  moveBolt(): void {
    this.#draw(boltMoveMicroampHours);
  }

  visit(durationMs: number): void {
    this.#draw((visitMicroamps * durationMs) / msPerHour);
  }

  reading(): BatteryReading {
    const left = Math.max(0, 1 - this.#drawn / capacityMicroampHours);
    return {
      millivolts: Math.round(emptyMillivolts + (fullMillivolts - emptyMillivolts) * left),
      percent: Math.round(left * 1000) / 10,
    };
  }

  #draw(microampHours: number): void {
    this.#drawn = Math.min(capacityMicroampHours, this.#drawn + microampHours);
  }
}

/** Below this a lock advertises "battery low" and its app shows a red dot (domain part 1.4). */
export const BATTERY_LOW_PERCENT = 15;

const msPerHour = 3_600_000;
const capacityMicroampHours = 2_600_000;
const idleMicroamps = 60;
const visitMicroamps = 9_000;
const boltMoveMicroampHours = 250;
const fullMillivolts = 9_000;
const emptyMillivolts = 5_400;
