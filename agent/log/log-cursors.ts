/**
 * Where answers of the door log ended, so that the next may go on there. Kept here and handed out as a word without meaning: the place
 * itself would tell who looks how much of the log is hidden from them (SPEC M20), and for a thousand devices no URL could hold it.
 */
import { randomBytes } from "node:crypto";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { LogFilter } from "./log-query.ts";

export interface LogPlace {
  readonly filter: LogFilter;
  /** The store's own word for it; undefined: from the newest on. */
  readonly after: string | undefined;
  /** The lowest entry of each device that was looked at so far: holes above it were shown. */
  readonly lowestByDevice: ReadonlyMap<DeviceId, LowestSeen>;
}

export interface LowestSeen {
  readonly sequence: number;
  readonly receivedAtMs: UnixMs;
}

export class LogCursors {
  readonly #placeByCursor = new Map<string, LogPlace>();

  keep(place: LogPlace): string {
    const cursor = randomBytes(CURSOR_BYTES).toString("hex");
    this.#placeByCursor.set(cursor, place);
    const [oldest] = this.#placeByCursor.keys();
    if (this.#placeByCursor.size > CURSORS_KEPT && oldest !== undefined) this.#placeByCursor.delete(oldest);
    return cursor;
  }

  /** Undefined: it is of before the last start, or too many have been given since. A cursor may be used again. */
  place(cursor: string): LogPlace | undefined {
    return this.#placeByCursor.get(cursor);
  }
}

const CURSOR_BYTES = 16;
/** Of a thousand devices, each place is about 40 KB. */
const CURSORS_KEPT = 64;
