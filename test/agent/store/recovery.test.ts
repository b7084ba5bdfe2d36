/** A database that is damaged, or written by an older doorlink. */
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store, StoredEvent } from "../../../agent/ports/store.ts";
import { nextBootCount } from "../../../agent/store/boot-count.ts";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import type { StoreOpened } from "../../../agent/store/store-calls.ts";
import type { DeviceId, UnixMs } from "../../../protocol/base/units.ts";
import { gatewayId } from "../../world/gateway-builder.ts";

const panel = "panel-r29" as DeviceId;
const nowMs = 1_800_000_000_000 as UnixMs;

let folder: string;
let path: string;
let store: Store | undefined;
let setAside: StoreOpened["setAside"];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-recovery-"));
  path = join(folder, "agent.db");
});
afterEach(async () => {
  await store?.close();
  await rm(folder, { recursive: true });
});

async function open(): Promise<Store> {
  setAside = null;
  const onFailure = (error: Error): void => {
    throw error;
  };
  const onSetAside = (said: StoreOpened["setAside"]): void => {
    setAside = said;
  };
  store = await openSqliteStore(path, onFailure, { onSetAside });
  return store;
}

function events(first: number, last: number): readonly StoredEvent[] {
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const sequence = first + index;
    const said = {
      boot: 1,
      sequence,
      at: { unixSeconds: null, quality: "unset" },
      kind: "door",
      detail: "x".repeat(200),
    };
    return { boot: 1, sequence, body: JSON.stringify(said) };
  });
}

/** Overwrites a part of the file with nonsense, as a dying card does. */
function spoil(file: string, fromByte: number, bytes: number): void {
  const handle = openSync(file, "r+");
  writeSync(handle, new Uint8Array(bytes).fill(0xa5), 0, bytes, fromByte);
  closeSync(handle);
}

describe("a damaged database", () => {
  it("[G67] that is none at all is put aside as it was, and a new one begun", async () => {
    const text = "this is not a database, and long enough to be looked at as one: ".repeat(40);
    await writeFile(path, text);
    const fresh = await open();
    expect(setAside).toMatchObject({ path: `${path}.damaged-1`, reason: expect.stringContaining("not a database") });
    expect(await readFile(`${path}.damaged-1`, "utf8")).toBe(text);
    await fresh.appendEvents({ device: panel, receivedAtMs: nowMs, events: events(1, 2) });
    expect(await fresh.coverage(panel)).toEqual([{ first: 1, last: 2 }]);
  });

  it("[G67] gives over what can be read: documents, receipts, events without a receipt; what cannot is said to be lost", async () => {
    const before = await open();
    await before.appendEvents({ device: panel, receivedAtMs: nowMs, events: events(1, 600) });
    await before.recordReceipt(panel, 100);
    const boots = [await nextBootCount(before, gatewayId), await nextBootCount(before, gatewayId)];
    expect(boots).toEqual([1, 2]);
    await before.close();
    // Pages in the middle of the file are leaves full of events.
    const { size } = await stat(path);
    spoil(path, Math.floor(size / 2 / 4096) * 4096, 3 * 4096);
    const after = await open();
    expect(setAside).toMatchObject({ path: `${path}.damaged-1` });
    expect(setAside?.salvagedEvents).toBeGreaterThan(300);
    expect(setAside?.salvagedEvents).toBeLessThan(500);
    expect(await nextBootCount(after, gatewayId)).toBe(3);
    expect(await after.coverage(panel)).toEqual([{ first: 1, last: 600 }]);
    expect(await after.outbox()).toEqual([{ device: panel, receipted: 100, last: 600, depth: 500 }]);
    const kept = (await after.readEvents(panel, 100, 999)).map(({ body }) => JSON.parse(body));
    const lost = kept.filter(({ kind }) => kind === "log-gap");
    expect(lost).toHaveLength(1);
    expect(kept.length - 1 + lost[0].facts.dropped).toBe(500);
    expect(lost[0].facts).toMatchObject({ after: lost[0].sequence - 1 });
    await after.close();
    await open();
    expect(setAside).toBeNull();
  });

  it("[G67] a boot count is kept twice, and goes on when the database has to begin anew", async () => {
    const file = join(folder, "boot-count");
    const before = await open();
    for (const count of [1, 2, 3]) expect(await nextBootCount(before, gatewayId, file)).toBe(count);
    await before.close();
    await rm(path);
    const fresh = await open();
    expect(await nextBootCount(fresh, gatewayId, file)).toBe(4);
    await writeFile(file, "nonsense");
    expect(await nextBootCount(fresh, gatewayId, file)).toBe(5);
  });

  it("[G67] damage of a large one that is found at work only is found by the next start", async () => {
    const before = await open();
    for (let first = 1; first <= 60_000; first += 4_000) {
      await before.appendEvents({ device: panel, receivedAtMs: nowMs, events: events(first, first + 3_999) });
    }
    await before.close();
    const { size } = await stat(path);
    expect(size).toBeGreaterThan(16 * 1024 * 1024);
    spoil(path, Math.floor(size / 2 / 4096) * 4096, 64 * 1024);
    const meanwhile = await open();
    expect(setAside).toBeNull();
    await expect(meanwhile.readEvents(panel, -1, 60_000)).rejects.toMatchObject({ code: "failed" });
    await meanwhile.close();
    const after = await open();
    expect(setAside).toMatchObject({ path: `${path}.damaged-1` });
    expect(await after.coverage(panel)).toEqual([{ first: 1, last: 60_000 }]);
    const kept = (await after.readEvents(panel, -1, 60_000)).map(({ body }) => JSON.parse(body));
    expect(kept.length).toBeGreaterThan(59_000);
    const lost = kept.filter(({ kind }) => kind === "log-gap");
    expect(kept.length - lost.length + lost.reduce((sum, { facts }) => sum + facts.dropped, 0)).toBe(60_000);
  });

  it("[G67] the ninth damaged database needs a person", async () => {
    for (let time = 1; time <= 8; time++) await writeFile(`${path}.damaged-${time}`, "an earlier one");
    await writeFile(path, "no database ".repeat(400));
    store = undefined;
    await expect(open()).rejects.toMatchObject({ code: "unavailable" });
    expect((await readdir(folder)).filter((name) => name.includes("damaged"))).toHaveLength(8);
    expect(await readFile(path, "utf8")).toContain("no database");
  });
});

describe("a database of an older doorlink", () => {
  it("[G68] becomes this one's, with everything that was in it", async () => {
    const old = new DatabaseSync(path);
    old.exec(versionOne);
    old.close();
    // What an attempt left that lost its power.
    await writeFile(`${path}.next`, "half of something");
    await writeFile(`${path}.next-wal`, "and half of something else");
    const migrated = await open();
    expect(await migrated.coverage(panel)).toEqual([
      { first: 1, last: 2 },
      { first: 5, last: 5 },
    ]);
    expect(await migrated.outbox()).toEqual([{ device: panel, receipted: 1, last: 5, depth: 2 }]);
    expect((await migrated.readEvents(panel, -1, 9)).map(({ body }) => body)).toEqual(["one", "two", "five"]);
    expect(await migrated.readDocuments("reported")).toEqual([{ kind: "reported", device: panel, body: "report" }]);
    expect((await migrated.readLog({ limit: 1 })).events[0]).toMatchObject({ sequence: 5, receivedAtMs: 3_000 });
    expect(await migrated.tidy({ nowMs, keepMs: 1 })).toEqual({ purged: 0, done: true });
    expect(await migrated.erasePerson("alice")).toEqual({ erased: 0, waiting: 2 });
    await migrated.close();
    const database = new DatabaseSync(path);
    expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 2 });
    expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    database.close();
    expect((await readdir(folder)).filter((name) => name.includes("next"))).toEqual([]);
    store = undefined;
  });
});

/** The schema of version 1 word for word, with some of everything. */
const versionOne = `
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
  PRAGMA user_version = 1;
  INSERT INTO devices VALUES (1, 'panel-r29', 1);
  INSERT INTO events VALUES (1, 1, 1, 1000, 'one'), (1, 2, 1, 2000, 'two'), (1, 5, 2, 3000, 'five');
  INSERT INTO covered VALUES (1, 1, 2), (1, 5, 5);
  INSERT INTO documents VALUES ('reported', 'panel-r29', 'report');
  COMMIT;
`;
