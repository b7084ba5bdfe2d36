/**
 * The tables of the agent's database and what is done with them. Runs in the store's worker thread only, so that no fsync
 * ever stands on the event loop. Write-ahead log with synchronous=FULL: a commit that returned survives a power cut.
 *
 * Events are clustered by (device, sequence, boot) without a second index, because an index doubles the bytes written per
 * event (reference: write wear); the name's uniqueness, the outbox and the log all read in that order.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import {
  type AppendOutcome,
  type DocumentKind,
  type EventAppend,
  type LoggedEvent,
  type OutboxEntry,
  type StoredDocument,
  type StoredEvent,
  StoreError,
} from "../ports/store.ts";
import { addRange, type Coverage, countAbove, cutRange, highest, type Range } from "./coverage.ts";
import { isSameEvent } from "./event-body.ts";

interface DeviceRow {
  readonly key: number;
  readonly device: DeviceId;
  receipted: number;
  coverage: Coverage;
}

export class StoreTables {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  /** What the tables devices and covered say; read again after a rollback. */
  #rowByDevice = new Map<DeviceId, DeviceRow>();

  /** Throws StoreError: unavailable, too-new. */
  constructor(path: string) {
    this.#database = openDatabase(path);
    this.#statements = prepareStatements(this.#database);
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
      throw error;
    }
  }

  appendEvents(batch: EventAppend): AppendOutcome {
    const row = this.#row(batch.device);
    let stored = 0;
    let conflicting = 0;
    let coverage = batch.drops === undefined ? row.coverage : this.#drop(row, batch.drops);
    for (const { sequence, boot, body, covers } of batch.events) {
      const { changes } = this.#statements.insertEvent.run(row.key, sequence, boot, batch.receivedAtMs, body);
      stored += Number(changes);
      if (Number(changes) === 0 && !this.#holdsEvent(row, { sequence, boot, body })) conflicting += 1;
      coverage = addRange(coverage, { first: sequence, last: sequence });
      if (covers !== undefined) coverage = addRange(coverage, covers);
    }
    this.#saveCoverage(row, coverage);
    this.putDocuments(batch.documents ?? []);
    return { stored, duplicates: batch.events.length - stored, conflicting, coverage };
  }

  /** What a receipt covers stays: upstream has it. */
  #drop({ key, receipted, coverage }: DeviceRow, { first, last }: Range): Coverage {
    const from = Math.max(first, receipted + 1);
    if (from > last) return coverage;
    this.#statements.dropEvents.run(key, from, last);
    return cutRange(coverage, { first: from, last });
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

  readLog(limit: number): readonly LoggedEvent[] {
    const newest: LoggedEvent[] = [];
    for (const row of this.#rowByDevice.values()) {
      for (const columns of this.#statements.readNewest.all(row.key, limit)) {
        newest.push({
          device: row.device,
          sequence: Number(columns["sequence"]),
          boot: Number(columns["boot"]),
          body: String(columns["body"]),
          receivedAtMs: Number(columns["received_ms"]) as UnixMs,
        });
      }
    }
    return newest.sort(newestFirst).slice(0, limit);
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
    const row = { key: Number(lastInsertRowid), device, receipted: NOTHING_RECEIPTED, coverage: [] };
    this.#rowByDevice.set(device, row);
    return row;
  }

  /** Writes only the ranges that changed: in the usual case one range that grew at its end. */
  #saveCoverage(row: DeviceRow, coverage: Coverage): void {
    const same = (range: Range) => (other: Range) => other.first === range.first && other.last === range.last;
    const grown = coverage.filter((range) => !row.coverage.some(same(range)));
    const starts = new Set(coverage.map(({ first }) => first));
    for (const { first } of row.coverage) {
      if (!starts.has(first)) this.#statements.deleteRange.run(row.key, first);
    }
    for (const { first, last } of grown) this.#statements.saveRange.run(row.key, first, last);
    row.coverage = coverage;
  }

  #loadDevices(): void {
    this.#rowByDevice = new Map();
    const rowByKey = new Map<number, DeviceRow>();
    for (const columns of this.#statements.readDevices.all()) {
      const device = String(columns["name"]) as DeviceId;
      const row = { key: Number(columns["key"]), device, receipted: Number(columns["receipted"]), coverage: [] };
      this.#rowByDevice.set(device, row);
      rowByKey.set(row.key, row);
    }
    for (const columns of this.#statements.readRanges.all()) {
      const row = rowByKey.get(Number(columns["device"]));
      const range = { first: Number(columns["first"]), last: Number(columns["last"]) };
      if (row !== undefined) row.coverage = [...row.coverage, range];
    }
  }
}

function newestFirst(left: LoggedEvent, right: LoggedEvent): number {
  return right.receivedAtMs - left.receivedAtMs || right.sequence - left.sequence;
}

/** Opens or makes the agent's database so that a commit that returned is on the disk. Throws StoreError: unavailable, too-new. */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;");
  } catch (cause) {
    throw new StoreError("unavailable", `cannot open the database in the state directory: ${messageOf(cause)}`, {
      cause,
    });
  }
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
  if (version > STORE_VERSION) {
    database.close();
    throw new StoreError("too-new", `written by a newer doorlink: expected version ${STORE_VERSION}, came ${version}`);
  }
  if (version === 0) database.exec(schema);
  return database;
}

interface Statements {
  readonly insertDevice: StatementSync;
  readonly readDevices: StatementSync;
  readonly saveReceipt: StatementSync;
  readonly insertEvent: StatementSync;
  readonly dropEvents: StatementSync;
  readonly readEvent: StatementSync;
  readonly readEvents: StatementSync;
  readonly readNewest: StatementSync;
  readonly saveRange: StatementSync;
  readonly deleteRange: StatementSync;
  readonly readRanges: StatementSync;
  readonly putDocument: StatementSync;
  readonly readDocuments: StatementSync;
}

function prepareStatements(database: DatabaseSync): Statements {
  return {
    insertDevice: database.prepare(`INSERT INTO devices (name, receipted) VALUES (?, ${NOTHING_RECEIPTED})`),
    readDevices: database.prepare("SELECT key, name, receipted FROM devices"),
    saveReceipt: database.prepare("UPDATE devices SET receipted = ? WHERE key = ?"),
    insertEvent: database.prepare("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)"),
    dropEvents: database.prepare("DELETE FROM events WHERE device = ? AND sequence BETWEEN ? AND ?"),
    readEvent: database.prepare("SELECT body FROM events WHERE device = ? AND sequence = ? AND boot = ?"),
    readEvents: database.prepare(
      "SELECT sequence, boot, body FROM events WHERE device = ? AND sequence > ? ORDER BY sequence, boot LIMIT ?",
    ),
    readNewest: database.prepare(
      "SELECT sequence, boot, received_ms, body FROM events WHERE device = ? ORDER BY sequence DESC, boot DESC LIMIT ?",
    ),
    saveRange: database.prepare("INSERT OR REPLACE INTO covered VALUES (?, ?, ?)"),
    deleteRange: database.prepare("DELETE FROM covered WHERE device = ? AND first = ?"),
    readRanges: database.prepare("SELECT device, first, last FROM covered ORDER BY device, first"),
    putDocument: database.prepare("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)"),
    readDocuments: database.prepare("SELECT device, body FROM documents WHERE kind = ? ORDER BY device"),
  };
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const STORE_VERSION = 1;
const NOTHING_RECEIPTED = -1;
const schema = `
  BEGIN;
  CREATE TABLE devices (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, receipted INTEGER NOT NULL);
  CREATE TABLE events (
    device INTEGER NOT NULL, sequence INTEGER NOT NULL, boot INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (device, sequence, boot)
  ) WITHOUT ROWID;
  CREATE TABLE covered (
    device INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (device, first)
  ) WITHOUT ROWID;
  CREATE TABLE documents (
    kind TEXT NOT NULL, device TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, device)
  ) WITHOUT ROWID;
  PRAGMA user_version = ${STORE_VERSION};
  COMMIT;
`;
