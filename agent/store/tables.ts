/**
 * What is done with the tables of the agent's database. Runs in the store's worker thread only, so that no fsync ever stands on the event
 * loop, and only inside `transact`, which makes one commit of all that comes together.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import {
  type AppendOutcome,
  type DocumentKind,
  type Erasure,
  type EventAppend,
  type LogPage,
  type LogQuery,
  type OutboxEntry,
  type StoredDocument,
  type StoredEvent,
  StoreError,
} from "../ports/store.ts";
import {
  addEvents,
  COVERAGE_RANGES_MAX,
  type Coverage,
  countAbove,
  cutRange,
  highest,
  type Range,
} from "./coverage.ts";
import { NOTHING_RECEIPTED } from "./database.ts";
import { Erasures, type WalkState } from "./erasures.ts";
import { isSameEvent } from "./event-body.ts";
import { readLogSlice } from "./log-query.ts";
import { Retention } from "./retention.ts";
import type { Space } from "./space.ts";
import { type DroppedRow, gapFactsOf, gapOf, isTelemetry, thinTelemetry } from "./telemetry.ts";

interface DeviceRow {
  readonly key: number;
  readonly device: DeviceId;
  receipted: number;
  coverage: Coverage;
  /** Below it no telemetry is left that could give way. */
  telemetryFrom: number;
}

export class StoreTables {
  readonly #database: DatabaseSync;
  readonly #space: Space;
  readonly #statements: Statements;
  readonly #erasures: Erasures;
  readonly #retention: Retention;
  /** What the tables devices and covered say; read again after a rollback. */
  #rowByDevice = new Map<DeviceId, DeviceRow>();
  #rowByKey = new Map<number, DeviceRow>();

  constructor(database: DatabaseSync, space: Space) {
    this.#database = database;
    this.#space = space;
    this.#statements = prepareStatements(database);
    this.#erasures = new Erasures(database);
    this.#retention = new Retention(database);
    this.#loadDevices();
  }

  /** Runs `work` as one commit. Whatever it throws undoes all of it. */
  transact<Value>(work: () => Value): Value {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const value = work();
      this.#database.exec("COMMIT");
      return value;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#loadDevices();
      this.#erasures.load();
      this.#retention.load();
      throw error;
    }
  }

  /** Throws StoreError "full" before anything of it is written. */
  appendEvents(batch: EventAppend): AppendOutcome {
    const filling = this.#space.filling();
    const row = this.#row(batch.device);
    // What is there already needs no room, and whoever sends it wants nothing but its receipt.
    if (filling === "full" && batch.events.some((event) => !this.#isHeld(row, event))) {
      throw new StoreError("full", "there is no room for events");
    }
    const isThinned = filling !== "room" && filling !== "full";
    const { events, dropped } = isThinned
      ? thinTelemetry(batch.events, batch.receivedAtMs)
      : { events: batch.events, dropped: 0 };
    const cut = batch.drops === undefined ? undefined : droppedRange(row, batch.drops);
    const coverage = addEvents(cut === undefined ? row.coverage : cutRange(row.coverage, cut), events);
    if (coverage.length > COVERAGE_RANGES_MAX && coverage.length > row.coverage.length) {
      return { stored: 0, duplicates: 0, conflicting: 0, refused: "too-many-holes", coverage: row.coverage };
    }
    if (cut !== undefined) this.#statements.dropEvents.run(row.key, cut.first, cut.last);
    const { stored, conflicting } = this.#insert(row, events, batch.receivedAtMs);
    this.#space.droppedEvents += dropped;
    this.#saveCoverage(row, coverage);
    this.putDocuments(batch.documents ?? []);
    return { stored, duplicates: events.length - stored, conflicting, coverage };
  }

  #insert(
    row: DeviceRow,
    events: readonly StoredEvent[],
    receivedAtMs: UnixMs,
  ): { stored: number; conflicting: number } {
    let stored = 0;
    let conflicting = 0;
    for (const { sequence, boot, body } of events) {
      const isNew = Number(this.#statements.insertEvent.run(row.key, sequence, boot, receivedAtMs, body).changes) > 0;
      if (isNew) stored += 1;
      else if (!this.#holdsEvent(row, { sequence, boot, body })) conflicting += 1;
      if (isNew) this.#retention.filled(row.key, sequence);
      row.telemetryFrom = Math.min(row.telemetryFrom, sequence);
    }
    return { stored, conflicting };
  }

  #isHeld({ key, coverage }: DeviceRow, { sequence, boot }: StoredEvent): boolean {
    const isCovered = coverage.some(({ first, last }) => first <= sequence && sequence <= last);
    return isCovered && this.#statements.readEvent.get(key, sequence, boot) !== undefined;
  }

  #holdsEvent({ key }: DeviceRow, { sequence, boot, body }: StoredEvent): boolean {
    const held = this.#statements.readEvent.get(key, sequence, boot);
    return held !== undefined && isSameEvent(String(held["body"]), body);
  }

  coverage(device: DeviceId): Coverage {
    return this.#rowByDevice.get(device)?.coverage ?? [];
  }

  outbox(): readonly OutboxEntry[] {
    return [...this.#rowByDevice.values()]
      .map(({ device, receipted, coverage }) => ({
        device,
        receipted,
        last: highest(coverage),
        depth: countAbove(coverage, receipted),
      }))
      .filter(({ depth }) => depth > 0)
      .sort((left, right) => (left.device < right.device ? -1 : 1));
  }

  readEvents(device: DeviceId, after: number, limit: number): readonly StoredEvent[] {
    const row = this.#rowByDevice.get(device);
    if (row === undefined) return [];
    return this.#statements.readEvents.all(row.key, after, limit).map((columns) => ({
      sequence: Number(columns["sequence"]),
      boot: Number(columns["boot"]),
      body: String(columns["body"]),
    }));
  }

  recordReceipt(device: DeviceId, through: number): void {
    const row = this.#row(device);
    if (through <= row.receipted) return;
    row.receipted = through;
    this.#statements.saveReceipt.run(through, row.key);
  }

  readLog(query: LogQuery): LogPage {
    return readLogSlice([...this.#rowByDevice.keys()].sort(), query, (device, below, limit) => {
      const key = this.#row(device).key;
      return this.#statements.readBelow.all(key, below.sequence, below.boot, limit).map((columns) => ({
        sequence: Number(columns["sequence"]),
        boot: Number(columns["boot"]),
        receivedAtMs: Number(columns["received_ms"]) as UnixMs,
        body: this.#erasures.shown(key, Number(columns["sequence"]), String(columns["body"])),
      }));
    });
  }

  /** `erased`: since the start, before this order. */
  orderErasure(person: string, credentials: readonly string[]): Erasure {
    const { erased } = this.#erasures;
    for (const { key, coverage } of this.#rowByDevice.values()) {
      if (coverage.length > 0) this.#erasures.order({ person, credentials }, key, highest(coverage));
    }
    return { erased, waiting: this.outbox().reduce((sum, { depth }) => sum + depth, 0) };
  }

  get hasErasures(): boolean {
    return !this.#erasures.isEmpty;
  }

  /** Looks at some more of what was ordered to be erased. */
  walkErasures(): WalkState {
    return this.#erasures.walk((key) => this.#rowByKey.get(key)?.receipted ?? NOTHING_RECEIPTED, ROWS_AT_ONCE);
  }

  /** Removes some of what was receipted long enough ago. */
  tidy(retention: { readonly nowMs: number; readonly keepMs: number }): {
    readonly purged: number;
    readonly done: boolean;
  } {
    let purged = 0;
    for (const { key, receipted } of this.#rowByDevice.values()) {
      this.#retention.note(key, receipted, retention.nowMs);
      if (purged < ROWS_AT_ONCE) purged += this.#retention.removeOld(key, retention, ROWS_AT_ONCE - purged);
    }
    return { purged, done: purged < ROWS_AT_ONCE };
  }

  /**
   * Makes some room: first the oldest of what upstream has, whatever it is, then telemetry, the oldest device's first. `done`: nothing is
   * left that may go. SPEC G62.
   */
  makeRoom(): { readonly done: boolean } {
    return { done: this.#removeReceipted() === 0 && !this.#dropTelemetry() };
  }

  #removeReceipted(): number {
    const oldest = this.#oldestRow(({ key, receipted }) => this.#retention.oldestMs(key, receipted));
    return oldest === undefined ? 0 : this.#retention.removeThrough(oldest.key, oldest.receipted, ROWS_AT_ONCE);
  }

  /** False: no telemetry is left. */
  #dropTelemetry(): boolean {
    const row = this.#oldestRow(({ key, telemetryFrom }) => {
      const ms = this.#statements.oldestFrom.get(key, telemetryFrom)?.["received_ms"];
      return typeof ms === "number" ? ms : undefined;
    });
    if (row !== undefined) this.#dropTelemetryOf(row);
    return row !== undefined;
  }

  /** Looks at some rows of a device from where it was left off; runs of telemetry become one gap record each. */
  #dropTelemetryOf(row: DeviceRow): void {
    const rows = this.#statements.readFrom.all(row.key, row.telemetryFrom, ROWS_AT_ONCE).map((columns) => ({
      sequence: Number(columns["sequence"]),
      boot: Number(columns["boot"]),
      cameMs: Number(columns["received_ms"]),
      body: String(columns["body"]),
    }));
    let dropped = 0;
    for (const run of telemetryRuns(rows)) dropped += this.#dropRun(row, run);
    const last = rows.at(-1);
    // A run that goes on behind what was read now is taken up again with its record.
    const isEnd = rows.length < ROWS_AT_ONCE || last === undefined;
    row.telemetryFrom = isEnd ? Number.MAX_SAFE_INTEGER : Math.max(row.telemetryFrom + 1, last.sequence);
    this.#space.droppedEvents += dropped;
  }

  #dropRun(row: DeviceRow, run: readonly DroppedRow[]): number {
    const events = run.filter(({ body }) => isTelemetry(body)).length;
    const [first, gap] = [run[0], gapOf(run)];
    if (events === 0 || first === undefined || gap === undefined) return 0;
    this.#statements.dropEvents.run(row.key, first.sequence, gap.sequence);
    this.#statements.insertEvent.run(row.key, gap.sequence, gap.boot, run.at(-1)?.cameMs ?? 0, gap.body);
    return events;
  }

  #oldestRow(ageOf: (row: DeviceRow) => number | undefined): DeviceRow | undefined {
    let oldest: DeviceRow | undefined;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const row of this.#rowByDevice.values()) {
      const ms = ageOf(row);
      if (ms === undefined || ms >= oldestMs) continue;
      oldest = row;
      oldestMs = ms;
    }
    return oldest;
  }

  putDocuments(documents: readonly StoredDocument[]): void {
    for (const { kind, device, body } of documents) this.#statements.putDocument.run(kind, device, body);
  }

  readDocuments(kind: DocumentKind): readonly StoredDocument[] {
    return this.#statements.readDocuments.all(kind).map((columns) => ({
      kind,
      device: String(columns["device"]) as DeviceId,
      body: String(columns["body"]),
    }));
  }

  close(): void {
    this.#database.close();
  }

  #row(device: DeviceId): DeviceRow {
    const known = this.#rowByDevice.get(device);
    if (known !== undefined) return known;
    const { lastInsertRowid } = this.#statements.insertDevice.run(device);
    return this.#addRow(Number(lastInsertRowid), device, NOTHING_RECEIPTED);
  }

  #addRow(key: number, device: DeviceId, receipted: number): DeviceRow {
    const row: DeviceRow = { key, device, receipted, coverage: [], telemetryFrom: 0 };
    this.#rowByDevice.set(device, row);
    this.#rowByKey.set(key, row);
    return row;
  }

  /** Writes only the ranges that changed: in the usual case one range that grew at its end. */
  #saveCoverage(row: DeviceRow, coverage: Coverage): void {
    const lastByFirst = new Map(row.coverage.map(({ first, last }) => [first, last]));
    for (const { first, last } of coverage) {
      if (lastByFirst.get(first) !== last) this.#statements.saveRange.run(row.key, first, last);
      lastByFirst.delete(first);
    }
    for (const first of lastByFirst.keys()) this.#statements.deleteRange.run(row.key, first);
    row.coverage = coverage;
  }

  #loadDevices(): void {
    this.#rowByDevice = new Map();
    this.#rowByKey = new Map();
    for (const columns of this.#statements.readDevices.all()) {
      this.#addRow(Number(columns["key"]), String(columns["name"]) as DeviceId, Number(columns["receipted"]));
    }
    const rangesByKey = Map.groupBy(this.#statements.readRanges.all(), (columns) => Number(columns["device"]));
    for (const [key, ranges] of rangesByKey) {
      const row = this.#rowByKey.get(key);
      if (row === undefined) continue;
      row.coverage = ranges.map((columns) => ({ first: Number(columns["first"]), last: Number(columns["last"]) }));
    }
  }
}

/** What a receipt covers stays: upstream has it. */
function droppedRange({ receipted }: DeviceRow, { first, last }: Range): Range | undefined {
  const from = Math.max(first, receipted + 1);
  return from > last ? undefined : { first: from, last };
}

/** Telemetry that follows each other in a log without a hole, with earlier gap records among it. */
function telemetryRuns(rows: readonly DroppedRow[]): readonly (readonly DroppedRow[])[] {
  const runs: DroppedRow[][] = [];
  let run: DroppedRow[] | undefined;
  let next = -1;
  for (const row of rows) {
    const gap = gapFactsOf(row.body);
    const begins = gap?.before ?? row.sequence;
    if (gap === undefined && !isTelemetry(row.body)) run = undefined;
    else if (run !== undefined && begins === next) run.push(row);
    else {
      run = [row];
      runs.push(run);
    }
    next = row.sequence + 1;
  }
  return runs;
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    insertDevice: prepare(`INSERT INTO devices (name, receipted) VALUES (?, ${NOTHING_RECEIPTED})`),
    readDevices: prepare("SELECT key, name, receipted FROM devices"),
    saveReceipt: prepare("UPDATE devices SET receipted = ? WHERE key = ?"),
    insertEvent: prepare(
      "INSERT OR IGNORE INTO events (device, sequence, boot, received_ms, body) VALUES (?, ?, ?, ?, ?)",
    ),
    dropEvents: prepare("DELETE FROM events WHERE device = ? AND sequence BETWEEN ? AND ?"),
    readEvent: prepare("SELECT body FROM events WHERE device = ? AND sequence = ? AND boot = ?"),
    readEvents: prepare(
      "SELECT sequence, boot, body FROM events WHERE device = ? AND sequence > ? ORDER BY sequence, boot LIMIT ?",
    ),
    readFrom: prepare(
      "SELECT sequence, boot, received_ms, body FROM events WHERE device = ? AND sequence >= ? ORDER BY sequence, boot LIMIT ?",
    ),
    oldestFrom: prepare(
      "SELECT received_ms FROM events WHERE device = ? AND sequence >= ? ORDER BY sequence, boot LIMIT 1",
    ),
    readBelow: prepare(
      "SELECT sequence, boot, received_ms, body FROM events WHERE device = ? AND (sequence, boot) < (?, ?) ORDER BY sequence DESC, boot DESC LIMIT ?",
    ),
    saveRange: prepare("INSERT OR REPLACE INTO covered VALUES (?, ?, ?)"),
    deleteRange: prepare("DELETE FROM covered WHERE device = ? AND first = ?"),
    readRanges: prepare("SELECT device, first, last FROM covered ORDER BY device, first"),
    putDocument: prepare("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)"),
    readDocuments: prepare("SELECT device, body FROM documents WHERE kind = ? ORDER BY device"),
  };
}

/** A slice of work that takes a few milliseconds, so that no commit waits for it. */
const ROWS_AT_ONCE = 256;
