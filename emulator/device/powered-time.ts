/**
 * How many seconds a device has been powered, over all boots. Its throttle is refilled by nothing else, because pulling the plug
 * and putting the network's clock forward are open to anybody (SPEC C8).
 *
 * What passed between the last write and a power cut is missing from the count, and all that the throttle did not see when the count
 * has rotted: it may be behind, never ahead.
 */
import { cborRecord, cborUint, field } from "../../protocol/base/cbor-record.ts";
import type { MonotonicMs } from "../../protocol/base/units.ts";
import type { Flash } from "./flash.ts";
import { readRecord } from "./flash-record.ts";

export class PoweredTime {
  readonly #flash: Flash;
  readonly #bootedAt: MonotonicMs;
  readonly #secondsAtBoot: number;
  #keptSeconds: number;

  /** The count goes on from what flash keeps, or from `notBefore` where that is later. */
  constructor(flash: Flash, bootedAt: MonotonicMs, notBefore: number) {
    this.#flash = flash;
    this.#bootedAt = bootedAt;
    this.#secondsAtBoot = Math.max(readSeconds(flash), notBefore);
    this.#keptSeconds = this.#secondsAtBoot;
  }

  seconds(now: MonotonicMs): number {
    return this.#secondsAtBoot + Math.floor((now - this.#bootedAt) / 1000);
  }

  /** Writes the count down when that is due; flash wears out, so this happens at most every ten minutes. */
  keep(now: MonotonicMs): void {
    const seconds = this.seconds(now);
    if (seconds - this.#keptSeconds < KEEP_EVERY_SECONDS) return;
    this.#flash.write(REGION, kept.encode({ seconds }));
    this.#keptSeconds = seconds;
  }
}

const kept = cborRecord({ seconds: field(1, cborUint(2 ** 40)) });

function readSeconds(flash: Flash): number {
  const read = readRecord(flash, REGION, kept);
  return read === undefined || read === "rotten" ? 0 : read.seconds;
}

const KEEP_EVERY_SECONDS = 600;
const REGION = "powered-time";
