/**
 * What happens at the doors, as somebody standing there would see it, newest last. For people to look at: evidence is taken
 * from the devices' own logs and the cloud's record.
 */
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";

export interface WorldLine {
  /** Counts from 1 since the process began. */
  readonly number: number;
  readonly at: UnixMs;
  readonly device: DeviceId;
  readonly kind:
    | "granted"
    | "denied"
    | "synced"
    | "paired"
    | "visit-failed"
    | "online"
    | "offline"
    | "sticker"
    | "scan"
    | "call"
    | "door";
  /** Who did it, where the world knows; the visitor has no id. */
  readonly who?: string;
  readonly with?: string;
  readonly reason?: string;
  /** The entry in the device's own log. */
  readonly boot?: number;
  readonly sequence?: number;
  readonly note?: string;
}

export class WorldLog {
  readonly #now: () => UnixMs;
  readonly #onLine: (line: WorldLine) => void;
  #lines: WorldLine[] = [];
  #count = 0;

  constructor(now: () => UnixMs, onLine: (line: WorldLine) => void) {
    this.#now = now;
    this.#onLine = onLine;
  }

  add(line: Omit<WorldLine, "number" | "at">): void {
    this.#count += 1;
    const whole = { number: this.#count, at: this.#now(), ...line };
    this.#lines = [...this.#lines.slice(1 - LINES_KEPT), whole];
    this.#onLine(whole);
  }

  /** The latest lines, oldest first. */
  latest(): readonly WorldLine[] {
    return this.#lines;
  }
}

const LINES_KEPT = 200;
