import { describe, expect, it } from "vitest";
import { Outbox } from "../../../agent/upstream/outbox.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock, settle } from "../../world/stepped-clock.ts";

const lock = "lock-c1" as DeviceId;

interface Sent {
  readonly device: string;
  readonly sequences: readonly number[];
}

function outboxOf(store: MemoryStore) {
  const clock = new SteppedClock();
  const sent: Sent[] = [];
  const outbox = new Outbox({
    store,
    clock,
    onError: (error) => {
      throw error;
    },
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
    expect(sent).toHaveLength(64);
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
});
