import { describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../agent/ports/store.ts";
import { Outbox, type OutboxOptions } from "../../../agent/upstream/outbox.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { eventBatchSchema } from "../../../protocol/wire/messages/event.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock, settle } from "../../world/stepped-clock.ts";

const lock = "lock-c1" as DeviceId;

interface Sent {
  readonly device: string;
  readonly sequences: readonly number[];
}

function outboxOf(store: MemoryStore, options: Partial<OutboxOptions> = {}) {
  const clock = new SteppedClock();
  const sent: Sent[] = [];
  const outbox = new Outbox({
    store,
    clock,
    onError: (error) => {
      throw error;
    },
    ...options,
  });
  const connect = () =>
    outbox.start(async (device, payload) => {
      const { events } = JSON.parse(payload) as { events: { sequence: number }[] };
      sent.push({ device, sequences: events.map(({ sequence }) => sequence) });
    });
  return { clock, sent, outbox, connect };
}

async function append(store: MemoryStore, first: number, last: number, device = lock): Promise<void> {
  const events = Array.from({ length: last - first + 1 }, (_, index) => {
    const sequence = first + index;
    const body = { boot: 1, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "boot" };
    return { boot: 1, sequence, body: JSON.stringify(body) };
  });
  await store.appendEvents({ device, receivedAtMs: new SteppedClock().nowMs(), events });
}

const spans = (sent: readonly Sent[]) => sent.map(({ sequences }) => [sequences[0], sequences.at(-1)]);

describe("outbox", () => {
  it("[U3] sends what the store holds in order, in batches of at most 64, and nothing without a connection", async () => {
    const store = new MemoryStore();
    const { sent, outbox, connect } = outboxOf(store);
    await append(store, 1, 150);
    outbox.stored(lock, 1, 150);
    await settle();
    expect(sent).toEqual([]);
    await connect();
    await settle();
    expect(spans(sent)).toEqual([
      [1, 64],
      [65, 128],
      [129, 150],
    ]);
  });

  it("[U3] holds a window over all devices until receipts make room", async () => {
    const store = new MemoryStore();
    for (let index = 0; index < 10; index++) await append(store, 1, 64 * 20, `lock-${index}` as DeviceId);
    const { sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    expect(sent).toHaveLength(16);
    await outbox.receipt("lock-0" as DeviceId, 128);
    await settle();
    expect(sent).toHaveLength(66);
  });

  it("[U3] begins behind the receipts on each connection, and a receipt survives the agent", async () => {
    const store = new MemoryStore();
    await append(store, 1, 10);
    const first = outboxOf(store);
    await first.connect();
    await settle();
    await first.outbox.receipt(lock, 4);
    first.outbox.stop();
    const second = outboxOf(store);
    await second.connect();
    await settle();
    expect(spans(second.sent)).toEqual([[5, 10]]);
  });

  it("[U3] sends again what has no receipt, later each time, and stops when it has one", async () => {
    const store = new MemoryStore();
    await append(store, 1, 3);
    const { clock, sent, outbox, connect } = outboxOf(store);
    await connect();
    await clock.advance(9_000);
    expect(sent).toHaveLength(1);
    await clock.advance(2_000);
    expect(sent).toHaveLength(2);
    await clock.advance(15_000);
    expect(sent).toHaveLength(2);
    await clock.advance(6_000);
    expect(sent).toHaveLength(3);
    await outbox.receipt(lock, 3);
    await clock.advance(3_600_000);
    expect(sent).toHaveLength(3);
  });

  it("[U3] a hole that nobody fills does not keep later events from upstream", async () => {
    const store = new MemoryStore();
    const { clock, sent, outbox, connect } = outboxOf(store);
    await append(store, 5, 64 * 40);
    await connect();
    // Upstream misses 1 to 4 for ever, so its receipts never move.
    await clock.advance(60_000);
    expect(new Set(sent.flatMap(({ sequences }) => sequences)).size).toBe(64 * 40 - 4);
    await append(store, 64 * 40 + 1, 64 * 40 + 1);
    outbox.stored(lock, 64 * 40 + 1, 64 * 40 + 1);
    await clock.advance(60_000);
    expect(sent.some(({ sequences }) => sequences.includes(64 * 40 + 1))).toBe(true);
  });

  it("[U3] a hole that is filled late goes up when it is filled", async () => {
    const store = new MemoryStore();
    const { sent, outbox, connect } = outboxOf(store);
    await append(store, 1, 2);
    await append(store, 5, 6);
    await connect();
    await settle();
    await outbox.receipt(lock, 2);
    await append(store, 3, 4);
    outbox.stored(lock, 3, 4);
    await settle();
    expect(sent.at(-1)?.sequences).toEqual([3, 4, 5, 6]);
  });

  it("[G17] what fills a hole later is sent, though what lies far behind it came first", async () => {
    const store = new MemoryStore();
    const { sent, outbox, connect } = outboxOf(store);
    await append(store, 1, 2);
    await connect();
    await settle();
    await outbox.receipt(lock, 2);
    // A lock lied about its numbers, and then told the truth.
    await append(store, 100_003, 100_005);
    outbox.stored(lock, 100_003, 100_005);
    await settle();
    await append(store, 3, 9);
    outbox.stored(lock, 3, 9);
    await settle();
    expect(spans(sent)).toEqual([
      [1, 2],
      [100_003, 100_005],
      [3, 100_005],
    ]);
  });

  it("[G17] knows what upstream does not take, and forgets what is not on the disk any more", async () => {
    const store = new MemoryStore();
    const { clock, sent, outbox, connect } = outboxOf(store);
    await append(store, 1, 4);
    await connect();
    await settle();
    expect(outbox.isUntaken(lock)).toBe(false);
    await outbox.receipt(lock, 2);
    await clock.advance(10_000);
    expect(outbox.isUntaken(lock)).toBe(true);
    const before = sent.length;
    outbox.dropped(lock, 3);
    expect(outbox.isUntaken(lock)).toBe(false);
    await clock.advance(600_000);
    expect(sent).toHaveLength(before);
    await append(store, 3, 3);
    outbox.stored(lock, 3, 3);
    await settle();
    expect(sent.at(-1)?.sequences[0]).toBe(3);
  });

  it("[U10] backlog goes up at the stated rate, and what happens now goes before it, in its own order", async () => {
    const store = new MemoryStore();
    await append(store, 1, 1_000);
    const { clock, sent, outbox, connect } = outboxOf(store, { backlogEventsPerSecond: () => 100 });
    await connect();
    await settle();
    expect(spans(sent)).toEqual([[1, 64]]);
    await append(store, 1_001, 1_001);
    outbox.stored(lock, 1_001, 1_001);
    await settle();
    expect(spans(sent).at(-1)).toEqual([1_001, 1_001]);
    await append(store, 1_002, 1_003);
    outbox.stored(lock, 1_002, 1_003);
    await settle();
    expect(spans(sent).at(-1)).toEqual([1_002, 1_003]);
    // Receipts name the backlog as missing, and nothing of it goes twice for that.
    await outbox.receipt(lock, 64, [{ from: 65, to: 1_000 }]);
    const before = sent.length;
    for (let second = 1; second <= 5; second++) {
      await clock.advance(1_000);
      const through = sent.at(-1)?.sequences.at(-1) ?? 0;
      await outbox.receipt(lock, through, [{ from: through + 1, to: 1_000 }]);
    }
    const backlog = sent.slice(before).flatMap(({ sequences }) => sequences);
    expect(backlog.length).toBeGreaterThanOrEqual(400);
    expect(backlog.length).toBeLessThanOrEqual(600);
    expect(new Set(backlog).size).toBe(backlog.length);
  });

  it("[U11] what is on its way is not missing, though something later came before it", async () => {
    const store = new MemoryStore();
    await append(store, 1, 3_000);
    const { sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    await append(store, 3_001, 3_001);
    outbox.stored(lock, 3_001, 3_001);
    await settle();
    await outbox.receipt(lock, 64, [{ from: 65, to: 3_000 }]);
    await settle();
    const sequences = sent.flatMap((message) => message.sequences);
    expect(sequences).toHaveLength(3_001);
    expect(new Set(sequences).size).toBe(3_001);
  });

  it("[U10] what went ahead and was lost goes again, though its backlog arrived whole", async () => {
    const store = new MemoryStore();
    await append(store, 1, 128);
    const { clock, sent, outbox, connect } = outboxOf(store, { backlogEventsPerSecond: () => 64 });
    await connect();
    await settle();
    await append(store, 129, 130);
    outbox.stored(lock, 129, 130);
    await clock.advance(2_000);
    expect(spans(sent)).toEqual([
      [1, 64],
      [129, 130],
      [65, 128],
    ]);
    await outbox.receipt(lock, 128, []);
    await clock.advance(11_000);
    expect(spans(sent).at(-1)).toEqual([129, 130]);
    expect(sent).toHaveLength(4);
  });

  it("[U10] a lock's log goes up in its order, also what was read just now", async () => {
    const store = new MemoryStore();
    await append(store, 1, 200);
    const { clock, sent, outbox, connect } = outboxOf(store, { backlogEventsPerSecond: () => 100 });
    await connect();
    await settle();
    await append(store, 201, 210);
    outbox.stored(lock, 201, 210, "in-order");
    await clock.advance(3_000);
    const sequences = sent.flatMap((message) => message.sequences);
    expect(sequences).toEqual(Array.from({ length: 210 }, (_, index) => index + 1));
  });

  it("[U10] the backlog of one device does not hold up another's live events", async () => {
    const store = new MemoryStore();
    const panel = "panel-r29" as DeviceId;
    await append(store, 1, 10_000);
    const { sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    expect(sent).toHaveLength(16);
    await append(store, 1, 1, panel);
    outbox.stored(panel, 1, 1);
    await settle();
    expect(sent.at(-1)).toEqual({ device: panel, sequences: [1] });
  });

  it("[U11] exactly what a receipt names as missing goes again, at once, and then after growing waits", async () => {
    const store = new MemoryStore();
    await append(store, 1, 300);
    const { clock, sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    const before = sent.length;
    const hole = [{ from: 65, to: 70 }];
    for (const _ of [1, 2, 3]) await outbox.receipt(lock, 64, hole);
    await settle();
    expect(spans(sent.slice(before))).toEqual([[65, 70]]);
    await outbox.receipt(lock, 300, []);
    await clock.advance(60_000);
    expect(sent).toHaveLength(before + 1);
  });

  it("[U11] a restored authority is given again what it had before", async () => {
    const store = new MemoryStore();
    await append(store, 1, 200);
    const { sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    await outbox.receipt(lock, 200, []);
    await append(store, 201, 201);
    outbox.stored(lock, 201, 201);
    await settle();
    const before = sent.length;
    await outbox.receipt(lock, 100, [{ from: 101, to: 200 }]);
    await settle();
    expect(spans(sent.slice(before))).toEqual([
      [101, 164],
      [165, 200],
    ]);
  });

  it("[U12] what was here once and is not any more is said to be lost; of what never was nothing is said", async () => {
    const store = new MemoryStore();
    const payloads: string[] = [];
    const { clock, outbox } = outboxOf(store);
    await append(store, 1, 20);
    await append(store, 31, 50);
    await store.recordReceipt(lock, 20);
    const longAgo = { nowMs: clock.nowMs(), keepMs: 0 };
    await store.tidy(longAgo);
    await store.tidy(longAgo);
    expect(await store.readEvents(lock, 0, 1)).toMatchObject([{ sequence: 31 }]);
    await outbox.start(async (_device, payload) => void payloads.push(payload));
    await settle();
    payloads.length = 0;
    await outbox.receipt(lock, 9, [{ from: 10, to: 30 }]);
    await settle();
    expect(payloads.map((payload) => JSON.parse(payload).events)).toEqual([
      [
        expect.objectContaining({
          sequence: 20,
          kind: "log-gap",
          facts: expect.objectContaining({ before: 10, after: 19, dropped: 11 }),
        }),
      ],
    ]);
    expect(parsePayload(eventBatchSchema, utf8(payloads[0] ?? "")).ok).toBe(true);
    payloads.length = 0;
    const sealed = outboxOf(store, { mayDeclareLost: () => false });
    await sealed.outbox.start(async (_device, payload) => void payloads.push(payload));
    await settle();
    payloads.length = 0;
    await sealed.outbox.receipt(lock, 9, [{ from: 10, to: 30 }]);
    await settle();
    expect(payloads).toEqual([]);
    expect(sealed.outbox.askedFrom(lock)).toBe(10);
  });

  it("[G60] of what waits no more is read than one window, however much it is", async () => {
    const store = new MemoryStore();
    await append(store, 1, 50_000);
    const read = vi.spyOn(store, "readEvents");
    const { connect } = outboxOf(store);
    await connect();
    await settle();
    expect(read.mock.calls.length).toBeLessThanOrEqual(16);
    for (const [, , limit] of read.mock.calls) expect(limit).toBeLessThanOrEqual(64);
  });

  it("[U9] a device that gets receipts may use the whole window, and large events fill it sooner", async () => {
    const store = new MemoryStore();
    await append(store, 1, 20_000);
    const { sent, outbox, connect } = outboxOf(store);
    await connect();
    await settle();
    expect(sent).toHaveLength(16);
    await outbox.receipt(lock, 64);
    await settle();
    expect(sent).toHaveLength(1 + 64);
    const large = new MemoryStore();
    const events = Array.from({ length: 64 * 64 }, (_, index) => {
      const said = { boot: 1, sequence: index + 1, kind: "sealed-log", raw: "A".repeat(5_800) };
      return { boot: 1, sequence: index + 1, body: JSON.stringify(said) };
    });
    await large.appendEvents({ device: lock, receivedAtMs: new SteppedClock().nowMs(), events });
    const few = outboxOf(large);
    await few.connect();
    await settle();
    expect(few.sent.length).toBeGreaterThanOrEqual(11);
    expect(few.sent.length).toBeLessThanOrEqual(12);
  });

  it("[U9] goes on when the store had no room for a while", async () => {
    const store = new MemoryStore();
    const errors: unknown[] = [];
    const { clock, sent, outbox, connect } = outboxOf(store, { onError: (error) => void errors.push(error) });
    await append(store, 1, 3);
    await connect();
    await settle();
    store.failing = new StoreError("full", "no room");
    await expect(outbox.receipt(lock, 3)).rejects.toMatchObject({ code: "full" });
    store.failing = undefined;
    await outbox.receipt(lock, 3);
    expect(await store.outbox()).toEqual([]);
    await append(store, 4, 4);
    outbox.stored(lock, 4, 4);
    await clock.advance(5_000);
    expect(sent.at(-1)?.sequences).toEqual([4]);
  });
});
