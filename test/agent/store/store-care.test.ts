import { describe, expect, it } from "vitest";
import { StoreError } from "../../../agent/ports/store.ts";
import { StoreCare } from "../../../agent/store/store-care.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { memoryLog } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const panel = "panel-r29" as DeviceId;
const dayMs = 24 * 3_600_000;

function startCare(store: MemoryStore, clock: SteppedClock) {
  const logged: { level: string; text: string }[] = [];
  const failures: unknown[] = [];
  const care = new StoreCare({
    store,
    clock,
    log: memoryLog(logged),
    keepMs: () => 90 * dayMs,
    onFailure: (error) => failures.push(error),
  });
  care.start();
  return { care, logged, failures };
}

async function appendOne(store: MemoryStore, clock: SteppedClock): Promise<void> {
  const events = [{ boot: 1, sequence: 1, body: "{}" }];
  await store.appendEvents({ device: panel, receivedAtMs: clock.nowMs(), events });
  await store.recordReceipt(panel, 1);
}

describe("care of the store", () => {
  it("[G64] removes what is old enough by itself, and nothing on the word of a clock that was never set", async () => {
    const store = new MemoryStore();
    const clock = new SteppedClock(0);
    await appendOne(store, clock);
    const { care } = startCare(store, clock);
    await clock.advance(3_600_000);
    clock.setWall(Date.UTC(2026, 10, 20));
    await clock.advance(3_600_000);
    expect(await store.readEvents(panel, -1, 9)).toHaveLength(1);
    clock.setWall(Date.UTC(2026, 10, 20) + 89 * dayMs);
    await clock.advance(3_600_000);
    expect(await store.readEvents(panel, -1, 9)).toHaveLength(1);
    clock.setWall(Date.UTC(2026, 10, 20) + 91 * dayMs);
    await clock.advance(3_600_000);
    expect(await store.readEvents(panel, -1, 9)).toEqual([]);
    care.stop();
  });

  it("[G62] says once that the store is full and once that it has room again, and goes on meanwhile", async () => {
    const store = new MemoryStore();
    const clock = new SteppedClock();
    const { care, logged, failures } = startCare(store, clock);
    store.full = true;
    await clock.advance(300_000);
    store.failing = new StoreError("full", "no room at all");
    await clock.advance(300_000);
    store.failing = undefined;
    store.full = false;
    await clock.advance(300_000);
    expect(logged.map(({ text }) => text.includes("full") || text.includes("room again"))).toEqual([true, true]);
    expect(failures).toEqual([]);
    store.failing = new StoreError("failed", "the disk is gone");
    await clock.advance(1_200_000);
    expect(failures).toHaveLength(1);
    care.stop();
  });
});
