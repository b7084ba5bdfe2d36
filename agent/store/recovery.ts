/**
 * Opening a database that a power cut or a dying card may have damaged. What is found damaged is put aside under another name, never
 * deleted; a new one takes its place, with all that can still be read out of the old one. SPEC G67.
 *
 * The look at the start is bounded, because a gateway with a million events must be there in a second: a small file is checked whole; of a
 * large one the tables that everything stands on, and of each device the newest rows, where a cut would have torn. What is found out later
 * leaves a note, and the next start checks everything.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../ports/store.ts";
import { addRange, type Coverage, cutRange, type Range } from "./coverage.ts";
import { messageOf, openDatabase, SQLITE_CORRUPT, SQLITE_NOTADB, sqliteCode } from "./database.ts";
import type { StoreOpened } from "./store-calls.ts";
import { lostGap } from "./telemetry.ts";

export interface SoundDatabase extends StoreOpened {
  readonly database: DatabaseSync;
}

/** Throws StoreError: unavailable, too-new. */
export function openSoundDatabase(path: string): SoundDatabase {
  let damage: string;
  let database: DatabaseSync | undefined;
  try {
    database = openDatabase(path);
    const isSuspect = existsSync(notePath(path));
    const found = findDamage(database, isSuspect || statSync(path).size <= WHOLE_CHECK_BYTES);
    if (found === undefined) {
      if (isSuspect) rmSync(notePath(path), { force: true });
      return { database, setAside: null };
    }
    damage = found;
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage = messageOf(error);
  }
  if (database?.isOpen === true) database.close();
  return startAnew(path, damage);
}

/** Whether SQLite says that the file itself is wrong. */
export function isDamage(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** Found while the store was at work: the next start looks at everything. */
export function noteDamage(path: string): void {
  writeFileSync(notePath(path), "");
}

/** Undefined: nothing was found. */
function findDamage(database: DatabaseSync, looksAtAll: boolean): string | undefined {
  try {
    const names = looksAtAll ? [""] : smallTables.map((table) => `'${table}'`);
    for (const name of names) {
      const check = database.prepare(`PRAGMA quick_check${name === "" ? "(1)" : `(${name})`}`).get();
      const said = String(check?.["quick_check"] ?? "ok");
      if (said !== "ok") return said;
    }
    const newest = database.prepare("SELECT body FROM events WHERE device = ? ORDER BY sequence DESC LIMIT 64");
    for (const { key } of database.prepare("SELECT key FROM devices LIMIT 1000").all()) newest.all(Number(key));
    return undefined;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return messageOf(error);
  }
}

function startAnew(path: string, reason: string): SoundDatabase {
  const asidePath = putAside(path);
  const database = openDatabase(path);
  const salvagedEvents = salvage(asidePath, database);
  return { database, setAside: { path: asidePath, reason, salvagedEvents } };
}

function putAside(path: string): string {
  const folder = dirname(path);
  const prefix = `${basename(path)}.damaged-`;
  const before = readdirSync(folder).filter(
    (name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)),
  );
  // A card that spoils one database after the other needs a person, and the old ones need room.
  if (before.length >= ASIDE_MAX) {
    throw new StoreError(
      "unavailable",
      `the database is damaged, and ${ASIDE_MAX} damaged ones lie beside it already: look at the disk`,
    );
  }
  const numbers = before.map((name) => Number(name.slice(prefix.length)));
  const aside = `${path}.damaged-${Math.max(0, ...numbers) + 1}`;
  for (const tail of ["", "-wal", "-shm"]) if (existsSync(path + tail)) renameSync(path + tail, aside + tail);
  rmSync(notePath(path), { force: true });
  const directory = openSync(folder, "r");
  fsyncSync(directory);
  closeSync(directory);
  return aside;
}

/** Takes over what can be read: documents, how far upstream has each log, and all events without a receipt. Gives how many. */
function salvage(from: string, into: DatabaseSync): number {
  let old: DatabaseSync | undefined;
  try {
    old = new DatabaseSync(from, { readOnly: true });
    into.exec("BEGIN");
    const events = new Salvage(old, into).run();
    into.exec("COMMIT");
    return events;
  } catch {
    // Nothing of it can be opened: the new one begins empty, and the old one is kept for somebody with better tools.
    if (into.isTransaction) into.exec("ROLLBACK");
    return 0;
  } finally {
    if (old?.isOpen === true) old.close();
  }
}

type Row = Record<string, unknown>;

class Salvage {
  readonly #old: DatabaseSync;
  readonly #new: DatabaseSync;

  constructor(old: DatabaseSync, into: DatabaseSync) {
    this.#old = old;
    this.#new = into;
  }

  run(): number {
    this.#copy("documents", ["kind", "device", "body"]);
    this.#copy("devices", ["key", "name", "receipted"]);
    this.#copy("receipt_marks", ["device", "at_ms", "through"]);
    this.#copy("erasures", ["person", "device", "credentials", "next", "last"]);
    let events = 0;
    for (const { key, receipted } of this.#new.prepare("SELECT key, receipted FROM devices").all()) {
      events += this.#copyEvents(Number(key), Number(receipted));
    }
    return events;
  }

  #copy(table: string, columns: readonly string[]): void {
    const insert = this.#new.prepare(`INSERT OR IGNORE INTO ${table} VALUES (${columns.map(() => "?").join(", ")})`);
    for (const row of this.#rows(`SELECT ${columns.join(", ")} FROM ${table}`)) {
      insert.run(...columns.map((column) => sqlValue(row[column])));
    }
  }

  /** Rows up to the first that cannot be read. */
  *#rows(sql: string, ...values: number[]): Generator<Row> {
    try {
      yield* this.#old.prepare(sql).iterate(...values);
    } catch (error) {
      if (sqliteCode(error) === undefined) throw error;
    }
  }

  /** What was here and cannot be read any more is said to be lost, so that nobody asks for it for ever. */
  #copyEvents(device: number, receipted: number): number {
    const insert = this.#new.prepare(
      "INSERT OR IGNORE INTO events (device, sequence, boot, received_ms, body) VALUES (?, ?, ?, ?, ?)",
    );
    const had = [...this.#rows("SELECT first, last FROM covered WHERE device = ?", device)].map(rangeOf);
    let kept: Coverage = [];
    let events = 0;
    let boot = 0;
    const above =
      "SELECT sequence, boot, received_ms, body FROM events WHERE device = ? AND sequence > ? ORDER BY sequence";
    // From the other end as well: what is damaged may lie in the middle.
    for (const sql of [above, `${above} DESC`]) {
      for (const row of this.#rows(sql, device, receipted)) {
        const sequence = Number(row["sequence"]);
        boot = Math.max(boot, Number(row["boot"]));
        if (kept.some(({ first, last }) => first <= sequence && sequence <= last)) break;
        const body = String(row["body"]);
        insert.run(device, sequence, Number(row["boot"]), Number(row["received_ms"]), body);
        events += 1;
        kept = addRange(kept, { first: sequence, last: sequence });
      }
    }
    for (const range of had) this.#cover(device, range, receipted, kept, boot);
    return events;
  }

  #cover(device: number, had: Range, receipted: number, kept: Coverage, boot: number): void {
    const insert = this.#new.prepare(
      "INSERT OR IGNORE INTO events (device, sequence, boot, received_ms, body) VALUES (?, ?, ?, 0, ?)",
    );
    const unreceipted = { first: Math.max(had.first, receipted + 1), last: had.last };
    const lost = unreceipted.first > unreceipted.last ? [] : kept.reduce<Coverage>(cutRange, [unreceipted]);
    for (const { first, last } of lost) insert.run(device, last, boot, lostGap(first, last, boot).body);
    this.#new.prepare("INSERT OR REPLACE INTO covered VALUES (?, ?, ?)").run(device, had.first, had.last);
  }
}

function rangeOf(row: Row): Range {
  return { first: Number(row["first"]), last: Number(row["last"]) };
}

function sqlValue(value: unknown): string | number {
  return typeof value === "number" ? value : String(value);
}

function notePath(path: string): string {
  return `${path}-suspect`;
}

const smallTables = ["devices", "covered", "documents", "receipt_marks", "erasures"];
/** Checked whole in some 20 ms. */
const WHOLE_CHECK_BYTES = 16 * 1024 * 1024;
const ASIDE_MAX = 8;
