/** Run as a process of its own on a small file system: fills it with somebody else's file and events, and says what became of the store. */
import { rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Store, StoreError } from "../../../agent/ports/store.ts";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import type { DeviceId, UnixMs } from "../../../protocol/base/units.ts";

const [folder = ""] = process.argv.slice(2);
const path = join(folder, "agent.db");
const device = "panel-r29" as DeviceId;
const limits = { limitBytes: 1024 * 1024 * 1024, reserveBytes: 1024 * 1024 };

const store = await openSqliteStore(path, fail, limits);
await store.tidy({ nowMs: 0 as UnixMs, keepMs: 0 });
if (statSync(`${path}-reserve`).size !== limits.reserveBytes) throw new Error("room is held back");
const taken: number[] = [];
const refusedAs = await fill(store);
const heavy = join(folder, "somebody-elses");
const documentWhileFull = await holds(store.putDocuments([{ kind: "visit", device, body: "z".repeat(20_000) }]));
const receiptWhileFull = await holds(store.recordReceipt(device, 1));
const { filling, diskFull } = await store.space();
rmSync(heavy);
const healed = await comesTrue(() => append(store, taken.length + 1));
const kept = new Set((await store.readEvents(device, -1, 1_000_000)).map(({ sequence }) => sequence));
await store.close();
const again = await openSqliteStore(path, fail, limits);
const reopened = (await again.readEvents(device, -1, 1_000_000)).length === kept.size;
await again.close();
const keptAll = taken.every((sequence) => kept.has(sequence));
const spaceWhileFull = { filling, diskFull };
process.stdout.write(
  JSON.stringify({ refusedAs, keptAll, documentWhileFull, receiptWhileFull, spaceWhileFull, healed, reopened }),
);

/** Gives the code of what refused first. */
async function fill(into: Store): Promise<string> {
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(join(folder, "somebody-elses"), new Uint8Array(bavail * bsize - 2 * 1024 * 1024));
  for (;;) {
    try {
      await append(into, taken.length + 1);
    } catch (error) {
      return error instanceof StoreError ? error.code : String(error);
    }
  }
}

async function append(into: Store, sequence: number): Promise<void> {
  const body = JSON.stringify({ boot: 1, sequence, kind: "access-granted", detail: "x".repeat(2_000) });
  await into.appendEvents({ device, receivedAtMs: 0 as UnixMs, events: [{ boot: 1, sequence, body }] });
  taken.push(sequence);
}

async function holds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

async function comesTrue(work: () => Promise<void>): Promise<boolean> {
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline) {
    if (await holds(work())) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function fail(error: StoreError): void {
  throw error;
}
