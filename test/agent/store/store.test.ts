import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../agent/ports/store.ts";
import { openDatabase } from "../../../agent/store/database.ts";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import { describeStore } from "../../contract/store.ts";
import { MemoryStore } from "../../world/memory-store.ts";

describeStore("in memory", async () => {
  const store = new MemoryStore();
  return { store, discard: () => store.close() };
});

describeStore("SQLite in a worker thread", async () => {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-store-"));
  const open = () => openSqliteStore(join(folder, "agent.db"), unexpected);
  const store = await open();
  return {
    store,
    reopen: open,
    discard: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
});

describe("SQLite store: what survives a power cut", () => {
  // A process that is killed loses nothing either way, so only the database itself can say what a power cut would cost.
  it("[G4] a commit waits for the disk: write-ahead log with synchronous FULL", async () => {
    const folder = await mkdtemp(join(tmpdir(), "doorlink-store-"));
    const database = openDatabase(join(folder, "agent.db"));
    expect(database.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 2 });
    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
    await rm(folder, { recursive: true });
  });
});

describe("SQLite store: what its files can do wrong", () => {
  it("a folder that is not there is unavailable, in words", async () => {
    const thrown = await openSqliteStore("/nowhere/at/all/agent.db", unexpected).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(StoreError);
    expect(thrown).toMatchObject({ code: "unavailable" });
  });

  it("a database of a newer doorlink is refused", async () => {
    const folder = await mkdtemp(join(tmpdir(), "doorlink-store-"));
    const path = join(folder, "agent.db");
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    await expect(openSqliteStore(path, unexpected)).rejects.toMatchObject({ code: "too-new" });
    await rm(folder, { recursive: true });
  });
});

function unexpected(error: StoreError): void {
  throw error;
}
