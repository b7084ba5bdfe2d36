/**
 * The agent's database as a file: how it is opened, what its tables are, and how one that an older doorlink wrote becomes this one's.
 * Write-ahead log with synchronous=FULL: a commit that returned survives a power cut.
 *
 * What a card wears by is pages written. Events lie in the order in which they came, so that those of a hundred devices that come together
 * fill the same few pages, and pages are of 1 KB, because each that the index by name changes is written whole: measured, 100 events
 * together cost 0.7 times, of 10 devices 0.4 times, of 100 devices 0.16 times what rows clustered by name in pages of 4 KB cost
 * (`scripts/bench store`). What is removed leaves pages that the next events fill: the file keeps the size that it once had.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../ports/store.ts";

/** Opens or makes it. Throws StoreError: unavailable, too-new; what SQLite says of a damaged file is the cause. */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    const version = versionOf(database);
    if (version > STORE_VERSION) {
      const words = `written by a newer doorlink: expected version ${STORE_VERSION}, came ${version}`;
      throw new StoreError("too-new", words);
    }
    if (version === 0) database.exec(`PRAGMA page_size=${PAGE_BYTES}`);
    if (version === 1) {
      database.close();
      rewriteVersionOne(path);
      database = new DatabaseSync(path);
    }
    database.exec(
      `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000; PRAGMA secure_delete=FAST;
       PRAGMA wal_autocheckpoint=${CHECKPOINT_PAGES}; PRAGMA journal_size_limit=${WAL_KEPT_BYTES};`,
    );
    if (version === 0) database.exec(`BEGIN; ${schema} COMMIT;`);
    return database;
  } catch (cause) {
    if (database?.isOpen === true) database.close();
    if (cause instanceof StoreError) throw cause;
    throw new StoreError("unavailable", `cannot open the database in the state directory: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/**
 * Version 1 had its events clustered by name in pages of 4 KB. A new file is written beside it and takes its name when it is whole and on
 * the disk; until then the old one is as it was. A million events took 2 s, once.
 */
function rewriteVersionOne(path: string): void {
  const nextPath = `${path}.next`;
  for (const tail of ["", "-wal", "-shm", "-journal"]) rmSync(nextPath + tail, { force: true });
  const old = new DatabaseSync(path);
  // Its write-ahead log must not outlive it: under this name the new one's would be looked for.
  old.exec("PRAGMA journal_mode=DELETE");
  old.close();
  const next = new DatabaseSync(nextPath);
  try {
    next.exec(`PRAGMA page_size=${PAGE_BYTES}; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;`);
    next.prepare("ATTACH DATABASE ? AS old").run(path);
    next.exec(`BEGIN; ${schema}
      INSERT INTO devices SELECT key, name, receipted FROM old.devices;
      INSERT INTO covered SELECT device, first, last FROM old.covered;
      INSERT INTO documents SELECT kind, device, body FROM old.documents;
      INSERT INTO events (device, sequence, boot, received_ms, body)
        SELECT device, sequence, boot, received_ms, body FROM old.events ORDER BY device, sequence, boot;
      COMMIT;`);
  } finally {
    next.close();
  }
  syncPath(nextPath);
  renameSync(nextPath, path);
  syncPath(dirname(path));
}

function syncPath(path: string): void {
  const handle = openSync(path, "r");
  fsyncSync(handle);
  closeSync(handle);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** SQLite's result code of what it threw, without the extension; undefined: something else threw. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("errcode" in error && typeof error.errcode === "number") return error.errcode & 0xff;
  return error.cause === undefined ? undefined : sqliteCode(error.cause);
}

/** https://sqlite.org/rescode.html */
export const SQLITE_CORRUPT = 11;
export const SQLITE_FULL = 13;
export const SQLITE_NOTADB = 26;

export const NOTHING_RECEIPTED = -1;
const STORE_VERSION = 2;

// receipt_marks: at that time upstream had everything through that sequence. erasures: what is still to be looked at for a person.
const schema = `
  CREATE TABLE devices (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, receipted INTEGER NOT NULL);
  CREATE TABLE events (
    id INTEGER PRIMARY KEY, device INTEGER NOT NULL, sequence INTEGER NOT NULL, boot INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE UNIQUE INDEX events_by_name ON events (device, sequence, boot);
  CREATE TABLE covered (
    device INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (device, first)
  ) WITHOUT ROWID;
  CREATE TABLE documents (
    kind TEXT NOT NULL, device TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, device)
  ) WITHOUT ROWID;
  CREATE TABLE receipt_marks (
    device INTEGER NOT NULL, at_ms INTEGER NOT NULL, through INTEGER NOT NULL, PRIMARY KEY (device, at_ms)
  ) WITHOUT ROWID;
  CREATE TABLE erasures (
    person TEXT NOT NULL, device INTEGER NOT NULL, credentials TEXT NOT NULL, next INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (person, device)
  ) WITHOUT ROWID;
  PRAGMA user_version = ${STORE_VERSION};
`;
const PAGE_BYTES = 1_024;
/** As many bytes as SQLite's own default has with its pages of 4 KB. */
const CHECKPOINT_PAGES = 4_000;
/** After a rush the write-ahead log is cut to this again. */
const WAL_KEPT_BYTES = 8 * 1024 * 1024;
