/** A store that fills: by its own limit, and by the disk itself, on a real file system too small for it. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import type { Store, StoreSpace } from "../../../agent/ports/store.ts";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import type { DeviceId, UnixMs } from "../../../protocol/base/units.ts";

const panel = "panel-r29" as DeviceId;
const lock = "lock-c1" as DeviceId;
const limitBytes = 512 * 1024;

let folder = "";
let store: Store | undefined;
afterEach(async () => {
  await store?.close();
  await rm(folder, { recursive: true });
});

async function openSmall(): Promise<Store> {
  folder = await mkdtemp(join(tmpdir(), "doorlink-space-"));
  const onFailure = (error: Error): void => {
    throw error;
  };
  store = await openSqliteStore(join(folder, "agent.db"), onFailure, { limitBytes, reserveBytes: 64 * 1024 });
  return store;
}

/** Appends 32 events of a kind behind each other; gives whether they were taken. */
async function append(into: Store, device: DeviceId, first: number, kind: string, size = 300): Promise<boolean> {
  const events = Array.from({ length: 32 }, (_, index) => {
    const event = { boot: 1, sequence: first + index, at: { unixSeconds: null, quality: "unset" }, kind };
    return { boot: 1, sequence: first + index, body: JSON.stringify({ ...event, detail: "x".repeat(size - 100) }) };
  });
  return into.appendEvents({ device, receivedAtMs: 1_800_000_000_000 as UnixMs, events }).then(
    () => true,
    (error: unknown) => {
      expect(error).toMatchObject({ code: "full" });
      return false;
    },
  );
}

async function fill(into: Store, device: DeviceId, kind: string): Promise<number> {
  let taken = 0;
  while (taken < 500 && (await append(into, device, taken * 32 + 1, kind))) taken += 1;
  return taken;
}

async function until(holds: (space: StoreSpace) => boolean): Promise<void> {
  for (let tries = 0; tries < 5_000; tries++) {
    if (store !== undefined && holds(await store.space())) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`it never came: ${JSON.stringify(await store?.space())}`);
}

describe("a store that fills", () => {
  it("[G62] refuses events by name when only what nobody has is left, keeps documents, and heals", async () => {
    const small = await openSmall();
    const taken = await fill(small, panel, "access-granted");
    expect(taken).toBeGreaterThan(20);
    expect(taken).toBeLessThan(100);
    expect(await small.space()).toMatchObject({ filling: "full", limitBytes, diskFull: false, droppedEvents: 0 });
    expect((await small.readEvents(panel, -1, 9_999)).length).toBe(taken * 32);
    // A batch that is there already costs nothing, and its sender gets its receipt.
    expect(await append(small, panel, 1, "access-granted")).toBe(true);
    await small.putDocuments([{ kind: "reported", device: panel, body: "y".repeat(10_000) }]);
    await small.recordReceipt(panel, taken * 32);
    await until(({ filling }) => filling !== "full");
    expect(await append(small, panel, taken * 32 + 1, "access-granted")).toBe(true);
    // What upstream has made room, oldest first, and its names stay taken.
    expect((await small.readEvents(panel, -1, 1))[0]?.sequence).toBeGreaterThan(1);
    expect(await small.coverage(panel)).toEqual([{ first: 1, last: (taken + 1) * 32 }]);
  });

  it("[G63] telemetry gives way to what must be kept, and a gap record says how many and when", async () => {
    const small = await openSmall();
    const event = (sequence: number) => {
      const kind = sequence % 40 === 0 ? "access-granted" : "scan";
      const said = { boot: 1, sequence, at: { unixSeconds: null, quality: "unset" }, kind, detail: "x".repeat(200) };
      return { boot: 1, sequence, body: JSON.stringify(said) };
    };
    const add = (first: number) => {
      const events = Array.from({ length: 40 }, (_, index) => event(first + index));
      return small.appendEvents({ device: lock, receivedAtMs: 1_800_000_000_000 as UnixMs, events });
    };
    for (let first = 1; first <= 4_000; first += 40) {
      await add(first).catch(() => until(({ filling }) => filling !== "full").then(() => add(first)));
    }
    await until(({ filling }) => filling === "room" || filling === "thinning");
    const { droppedEvents } = await small.space();
    expect(droppedEvents).toBeGreaterThan(1_000);
    const kept = (await small.readEvents(lock, -1, 9_999)).map(({ body }) => JSON.parse(body));
    const granted = kept.filter(({ kind }) => kind === "access-granted");
    expect(granted.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 100 }, (_, index) => (index + 1) * 40),
    );
    const gaps = kept.filter(({ kind }) => kind === "log-gap");
    expect(gaps.reduce((sum, { facts }) => sum + facts.dropped, 0)).toBe(droppedEvents);
    expect(gaps[0]).toMatchObject({
      sequence: 39,
      facts: { before: 1, after: 38, dropped: 39, from: 1_800_000_000, until: 1_800_000_000 },
    });
    expect(kept.length + droppedEvents - gaps.length).toBe(4_000);
    expect(await small.coverage(lock)).toEqual([{ first: 1, last: 4_000 }]);
  });

  it("[G63] while it fills, of telemetry in a row only the last is kept, and comes twice without a contradiction", async () => {
    const small = await openSmall();
    let batch = 0;
    while ((await small.space()).filling === "room") {
      batch += 1;
      await append(small, panel, (batch - 1) * 32 + 1, "door");
    }
    await append(small, panel, batch * 32 + 1, "scan");
    const [gap, last] = (await small.readEvents(panel, batch * 32, 9)).map(({ body }) => JSON.parse(body));
    expect(gap).toMatchObject({ kind: "log-gap", sequence: batch * 32 + 31, facts: { dropped: 31 } });
    expect(last).toMatchObject({ kind: "scan", sequence: batch * 32 + 32 });
    const again = JSON.stringify({ ...gap, kind: "scan", facts: undefined, detail: "x".repeat(200) });
    const events = [{ boot: 1, sequence: gap.sequence, body: again }];
    const outcome = await small.appendEvents({ device: panel, receivedAtMs: 0 as UnixMs, events });
    expect(outcome).toMatchObject({ stored: 0, duplicates: 1, conflicting: 0 });
    expect(await small.coverage(panel)).toEqual([{ first: 1, last: batch * 32 + 32 }]);
  });
});

describe("a disk that fills", () => {
  it("[G62] a real one, too small: nothing acknowledged is lost, documents go on, and it heals when there is room", async () => {
    folder = await mkdtemp(join(tmpdir(), "doorlink-disk-"));
    const program = fileURLToPath(new URL("./fill-disk.ts", import.meta.url));
    const script = `mount -t tmpfs -o size=8m tmpfs "${folder}" && exec "${process.execPath}" "${program}" "${folder}"`;
    // A file system of its own in a name space of its own: nobody's rights are needed, and nothing stays mounted.
    const ran = spawnSync("unshare", ["--map-root-user", "--mount", "sh", "-c", script], {
      encoding: "utf8",
      timeout: 60_000,
    });
    expect(ran.stderr).toBe("");
    expect(JSON.parse(ran.stdout)).toEqual({
      refusedAs: "full",
      keptAll: true,
      documentWhileFull: true,
      receiptWhileFull: true,
      spaceWhileFull: { filling: "full", diskFull: true },
      healed: true,
      reopened: true,
    });
  }, 60_000);
});
