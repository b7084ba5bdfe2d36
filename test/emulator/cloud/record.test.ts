import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, it } from "vitest";
import { EventRecord, openCloudDatabase } from "../../../emulator/cloud/record.ts";
import { parseDeviceId, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import type { DeviceEvent } from "../../../protocol/wire/messages/event.ts";

const lock = deviceId("lock-c1");
const now = unixMs(1_800_000_000_000);
const folders: string[] = [];

function deviceId(text: string) {
  const id = parseDeviceId(text);
  if (id === undefined) throw new Error(`${text} is no device id`);
  return id;
}

function openRecord(path = ":memory:") {
  const opened = openCloudDatabase(path);
  if (!opened.ok) throw new Error(opened.fault.code);
  return { database: opened.value, record: new EventRecord(opened.value) };
}

function event(sequence: number, more: Partial<DeviceEvent> = {}): DeviceEvent {
  return {
    boot: 1,
    sequence,
    at: { unixSeconds: unixSeconds(1_800_000_000), quality: "set" },
    kind: "access-granted",
    person: "ada",
    ...more,
  };
}

const noName = () => undefined;

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe("the cloud's record", () => {
  // A process that is killed loses nothing either way, so only the database itself can say what a power cut would cost.
  it("[M8] is on the disk before a receipt says so: write-ahead log with synchronous FULL", () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-cloud-"));
    folders.push(folder);
    const { database } = openRecord(join(folder, "cloud.sqlite"));
    expect(database.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 2 });
    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
  });

  it("stores each event once by its name and counts what came again", () => {
    const { record } = openRecord();
    expect(record.append(lock, [event(1), event(2)], now, noName)).toMatchObject({ redelivered: 0, conflicting: 0 });
    const again = record.append(lock, [event(2), event(3)], now, noName);
    expect(again.added.map(({ sequence }) => sequence)).toEqual([3]);
    expect(again.redelivered).toBe(1);
    expect(record.summary()).toMatchObject({ events: 3, duplicates: 0, redelivered: 1, conflicting: 0, gaps: 0 });
  });

  it("keeps the first of two events with one name and counts the conflict", () => {
    const { record } = openRecord();
    record.append(lock, [event(1), event(1, { person: "eve" })], now, noName);
    expect(record.events({})).toMatchObject([{ sequence: 1, person: "ada" }]);
    expect(record.summary()).toMatchObject({ events: 1, conflicting: 1 });
    record.append(lock, [event(2, { raw: Uint8Array.of(1) }), event(2, { raw: Uint8Array.of(2) })], now, noName);
    expect(record.summary()).toMatchObject({ events: 2, conflicting: 2 });
  });

  it("finds a double name and a gap by looking, whoever wrote them", () => {
    const { record, database } = openRecord();
    record.append(lock, [event(1), event(2), event(5), event(9)], now, noName);
    database.exec(
      "INSERT INTO events (device, boot, sequence, kind, body, received_at) SELECT device, boot, sequence, kind, body, 0 FROM events WHERE sequence = 5",
    );
    expect(record.summary()).toMatchObject({ events: 5, duplicates: 1, gaps: 5 });
  });

  it("is append-only: a change or a removal is refused by the database itself", () => {
    const { record, database } = openRecord();
    record.append(lock, [event(1)], now, noName);
    expect(() => database.exec("UPDATE events SET kind = 'boot'")).toThrow(/append-only/);
    expect(() => database.exec("DELETE FROM events")).toThrow(/append-only/);
  });

  it("receipts through the last sequence with nothing missing below, and asks for what was passed over", () => {
    const { record } = openRecord();
    expect(record.receipt(lock)).toEqual({ through: null, missing: [] });
    record.append(lock, [event(3)], now, noName);
    expect(record.receipt(lock)).toEqual({ through: null, missing: [{ from: 1, to: 2 }] });
    record.append(lock, [event(1), event(2), event(6)], now, noName);
    expect(record.receipt(lock)).toEqual({ through: 3, missing: [{ from: 4, to: 5 }] });
    record.append(lock, [event(5)], now, noName);
    expect(record.receipt(lock)).toEqual({ through: 3, missing: [{ from: 4, to: 4 }] });
    record.append(lock, [event(4)], now, noName);
    expect(record.receipt(lock)).toEqual({ through: 6, missing: [] });
  });

  it("receipts by sequence across boots and each device by itself", () => {
    const { record } = openRecord();
    record.append(lock, [event(1), event(2, { boot: 2, kind: "boot" })], now, noName);
    record.append(deviceId("lock-c2"), [event(0)], now, noName);
    expect(record.receipt(lock)).toEqual({ through: 2, missing: [] });
    expect(record.receipt(deviceId("lock-c2"))).toEqual({ through: 0, missing: [] });
    expect(record.summary().devices).toMatchObject([
      { device: "lock-c1", events: 2, first: 1, last: 2, boots: 2, gaps: 0 },
      { device: "lock-c2", events: 1, first: 0, last: 0, boots: 1, gaps: 0 },
    ]);
  });

  it("asks for at most 32 ranges", () => {
    const { record } = openRecord();
    record.append(
      lock,
      Array.from({ length: 50 }, (_, index) => event(index * 2 + 1)),
      now,
      noName,
    );
    expect(record.receipt(lock).missing).toHaveLength(32);
  });

  it("does not ask for what the device itself reports as lost", () => {
    const { record } = openRecord();
    record.append(lock, [event(1), event(10, { kind: "log-gap", facts: { before: 2, after: 9 } })], now, noName);
    expect(record.receipt(lock)).toEqual({ through: 10, missing: [] });
    expect(record.summary().gaps).toBe(0);
  });

  it("keeps what the authority named beside the lock's own words", () => {
    const { record } = openRecord();
    const denied = event(1, { kind: "access-denied", reason: "CREDENTIAL_UNKNOWN", entryTag: "0123abcd" });
    record.append(lock, [denied], now, () => ({
      kind: "denied",
      reason: "WRONG_LOCK",
      detail: "a code of another door",
    }));
    expect(record.events({ kind: "access-denied" })).toMatchObject([
      { reason: "CREDENTIAL_UNKNOWN", authorityReason: "WRONG_LOCK", authorityDetail: "a code of another door" },
    ]);
  });

  it("answers by device, kind and position", () => {
    const { record } = openRecord();
    record.append(lock, [event(1), event(2, { kind: "boot" }), event(3)], now, noName);
    const sequences = (query: Parameters<EventRecord["events"]>[0]) =>
      record.events(query).map((each) => each.sequence);
    expect(sequences({ kind: "boot" })).toEqual([2]);
    expect(sequences({ after: 1 })).toEqual([2, 3]);
    expect(sequences({ device: "lock-c2" })).toEqual([]);
    expect(sequences({ limit: 1 })).toEqual([1]);
  });

  it("gives chained bytes as far as they go without a hole", () => {
    const { record } = openRecord();
    const chained = (sequence: number) => event(sequence, { raw: Uint8Array.of(sequence) });
    record.append(lock, [chained(1), chained(2), event(3), chained(4)], now, noName);
    expect(record.rawEntries(lock, 1, 4)).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
    expect(record.rawEntries(lock, 4, 9)).toEqual([Uint8Array.of(4)]);
  });

  it("counts every refused message and shows the latest thousand without their payloads", () => {
    const { record } = openRecord();
    for (let index = 0; index < 1100; index++) {
      record.refuse({ at: now, from: "gateway-main", topic: "x".repeat(500), code: "payload-not-json", bytes: index });
    }
    expect(record.summary().refused).toBe(1100);
    expect(record.refusals(2000)).toHaveLength(1000);
    expect(record.refusals(1)).toEqual([
      { at: now, from: "gateway-main", topic: "x".repeat(200), code: "payload-not-json", bytes: 1099 },
    ]);
  });

  it("is there after a restart, and a later version's record is a fault", () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-record-"));
    folders.push(folder);
    const path = join(folder, "cloud.sqlite");
    const before = openRecord(path);
    before.record.append(lock, [event(1), event(2)], now, noName);
    before.database.close();
    const after = openRecord(path);
    expect(after.record.append(lock, [event(2)], now, noName).redelivered).toBe(1);
    expect(after.record.receipt(lock)).toEqual({ through: 2, missing: [] });
    after.database.close();
    const newer = new DatabaseSync(path);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    expect(openCloudDatabase(path)).toEqual({ ok: false, fault: { code: "record-newer", expected: 1, came: 99 } });
  });
});
