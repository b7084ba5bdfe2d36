/**
 * The door log, newest first, out of logs that are kept per device. One device's events stand in the order of its log whatever a clock
 * said (SPEC M5); between devices the time they came here decides. An event that filled a hole late came later than its successor in the
 * log, and counts as having come with it: so each device's times only fall on the way down, and `sinceMs` may end the way. SPEC G65.
 */
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { LoggedEvent, LogPage, LogQuery } from "../ports/store.ts";
import { isErasedBody } from "./event-body.ts";

export interface LogRow {
  readonly sequence: number;
  readonly boot: number;
  readonly receivedAtMs: UnixMs;
  readonly body: string;
}

export interface LogPosition {
  readonly sequence: number;
  readonly boot: number;
}

/** Rows of a device below a position, newest first. */
export type ReadBelow = (device: DeviceId, below: LogPosition, limit: number) => readonly LogRow[];

/** Looks at `rowsMax` events at most, and a few more for each device. */
export function readLogSlice(
  devices: readonly DeviceId[],
  query: LogQuery,
  readBelow: ReadBelow,
  rowsMax = LOG_SLICE_ROWS,
): LogPage {
  const streams = startStreams(devices, query, readBelow);
  const events: LoggedEvent[] = [];
  for (let looked = 0; looked < rowsMax && events.length < query.limit; looked++) {
    const newest = newestOf(streams, query);
    if (newest === undefined) return { events, next: null };
    const row = newest.take();
    if (row !== undefined && isAskedFor(query, newest.floorMs, row)) events.push(loggedEvent(newest.device, row));
  }
  return { events, next: newestOf(streams, query) === undefined ? null : streams.map(streamToText).join(",") };
}

class Stream {
  readonly device: DeviceId;
  readonly #readBelow: ReadBelow;
  #at: LogPosition;
  #rows: readonly LogRow[] = [];
  #index = 0;
  #chunk = FIRST_CHUNK_ROWS;
  /** When the last one that was taken counts as having come. */
  floorMs: number;

  constructor(device: DeviceId, readBelow: ReadBelow, at: LogPosition, floorMs: number) {
    this.device = device;
    this.#readBelow = readBelow;
    this.#at = at;
    this.floorMs = floorMs;
  }

  /** When the next one counts as having come; undefined: there is none. */
  nextMs(): number | undefined {
    const row = this.#next();
    return row === undefined ? undefined : Math.min(this.floorMs, row.receivedAtMs);
  }

  take(): LogRow | undefined {
    const row = this.#next();
    if (row === undefined) return undefined;
    this.#index += 1;
    this.#at = { sequence: row.sequence, boot: row.boot };
    this.floorMs = Math.min(this.floorMs, row.receivedAtMs);
    return row;
  }

  get position(): LogPosition {
    return this.#at;
  }

  #next(): LogRow | undefined {
    if (this.#index >= this.#rows.length) {
      if (this.#rows.length > 0 || this.#chunk === FIRST_CHUNK_ROWS) {
        this.#rows = this.#readBelow(this.device, this.#at, this.#chunk);
        this.#chunk = Math.min(this.#chunk * 2, CHUNK_ROWS_MAX);
      }
      this.#index = 0;
    }
    return this.#rows[this.#index];
  }
}

function startStreams(devices: readonly DeviceId[], query: LogQuery, readBelow: ReadBelow): readonly Stream[] {
  const asked = query.devices === undefined ? devices : devices.filter((device) => query.devices?.includes(device));
  if (query.after === undefined) {
    return asked.map((device) => new Stream(device, readBelow, BEYOND_ALL, Number.POSITIVE_INFINITY));
  }
  const placeByDevice = new Map(query.after.split(",").map((text) => textToPlace(text)));
  return asked.flatMap((device) => {
    const place = placeByDevice.get(device);
    return place === undefined ? [] : [new Stream(device, readBelow, place.at, place.floorMs)];
  });
}

function newestOf(streams: readonly Stream[], { sinceMs }: LogQuery): Stream | undefined {
  let newest: Stream | undefined;
  let newestMs = Number.NEGATIVE_INFINITY;
  for (const stream of streams) {
    const ms = stream.nextMs();
    if (ms === undefined || (sinceMs !== undefined && ms < sinceMs) || ms <= newestMs) continue;
    newest = stream;
    newestMs = ms;
  }
  return newest;
}

function isAskedFor(query: LogQuery, cameMs: number, { body }: LogRow): boolean {
  const { beforeMs, person, reasons, kinds } = query;
  if (beforeMs !== undefined && cameMs >= beforeMs) return false;
  // Most rows end here, without being read as JSON.
  if (person !== undefined && !body.includes(`"person":"${person}"`)) return false;
  if (person === undefined && reasons === undefined && kinds === undefined) return true;
  const said = fieldsOf(body);
  if (person !== undefined && said["person"] !== person) return false;
  if (reasons !== undefined && !reasons.includes(String(said["reason"]))) return false;
  return kinds === undefined || kinds.includes(String(said["kind"]));
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> {
  try {
    const said: unknown = JSON.parse(body);
    return typeof said === "object" && said !== null ? { ...said } : {};
  } catch {
    return {};
  }
}

function loggedEvent(device: DeviceId, { sequence, boot, receivedAtMs, body }: LogRow): LoggedEvent {
  return { device, sequence, boot, receivedAtMs, body, ...(isErasedBody(body) ? { erased: true } : {}) };
}

function streamToText({ device, position, floorMs }: Stream): string {
  return `${device}:${position.sequence}.${position.boot}.${Number.isFinite(floorMs) ? floorMs : ""}`;
}

function textToPlace(text: string): [string, { at: LogPosition; floorMs: number } | undefined] {
  const [device = "", place = ""] = text.split(":");
  const [sequence = "", boot = "", floor = ""] = place.split(".");
  const at = { sequence: Number(sequence), boot: Number(boot) };
  const isPlace = /^\d+$/.test(sequence) && /^\d+$/.test(boot) && /^\d*$/.test(floor);
  return [device, isPlace ? { at, floorMs: floor === "" ? Number.POSITIVE_INFINITY : Number(floor) } : undefined];
}

const BEYOND_ALL: LogPosition = { sequence: 2 ** 32, boot: 0 };
/** About 5 ms of the store's thread, in which no commit can be made. */
const LOG_SLICE_ROWS = 4_096;
const FIRST_CHUNK_ROWS = 8;
const CHUNK_ROWS_MAX = 256;
