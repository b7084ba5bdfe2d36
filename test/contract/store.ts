/** What every store must do, run on each implementation. `open` gives an empty one; `reopen` the same one after a stop, where it has a disk. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EventAppend, type Store, StoreError } from "../../agent/ports/store.ts";
import { coverageToReceipt } from "../../agent/store/coverage.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";

export interface StoreUnderTest {
  readonly store: Store;
  readonly reopen?: () => Promise<Store>;
  readonly discard: () => Promise<void>;
}

const lock = "lock-c1" as DeviceId;
const panel = "panel-r29" as DeviceId;

/** An event's body as the gateway keeps it. */
function said(kind: string, more: object = {}): string {
  return JSON.stringify({ boot: 1, sequence: 1, at: { unixSeconds: null, quality: "unset" }, kind, ...more });
}

export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`store contract: ${name}`, () => {
    let under: StoreUnderTest;
    let store: Store;
    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(() => under.discard());

    it("[B6] keeps each name once, whatever is sent again, and counts what contradicts it", async () => {
      const first = append({ sequences: [1, 2, 3], body: said("access-denied") });
      expect(await store.appendEvents(first)).toMatchObject({ stored: 3, duplicates: 0, conflicting: 0 });
      // A gateway that learned meanwhile what the firmware is says so the second time.
      const known = { reasonAbsent: "not reported by this firmware" };
      const again = append({ sequences: [2, 3], body: said("access-denied", known) });
      expect(await store.appendEvents(again)).toMatchObject({ stored: 0, duplicates: 2, conflicting: 0 });
      const other = append({ sequences: [2, 3, 4], body: said("access-granted") });
      expect(await store.appendEvents(other)).toMatchObject({ stored: 1, duplicates: 2, conflicting: 2 });
      const kept = await store.readEvents(lock, -1, 10);
      expect(kept.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
      expect(kept[1]?.body).toBe(said("access-denied"));
    });

    it("takes the same sequence under another boot for another name", async () => {
      await store.appendEvents(append({ sequences: [1], boot: 1 }));
      expect(await store.appendEvents(append({ sequences: [1], boot: 2 }))).toMatchObject({ stored: 1 });
    });

    it("answers calls made at the same time as if they came one after the other", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, index) => store.appendEvents(append({ sequences: [index, index + 1] }))),
      );
      expect(outcomes.reduce((sum, { stored }) => sum + stored, 0)).toBe(41);
      expect(await store.coverage(lock)).toEqual([{ first: 0, last: 40 }]);
    });

    it("[B3] sees a gap, names it in the receipt, and closes it", async () => {
      expect(coverageToReceipt(await store.coverage(lock))).toEqual({ through: null, missing: [] });
      const { coverage: late } = await store.appendEvents(append({ sequences: [3] }));
      expect(coverageToReceipt(late)).toEqual({ through: null, missing: [{ from: 1, to: 2 }] });
      await store.appendEvents(append({ sequences: [1, 2] }));
      const { coverage } = await store.appendEvents(append({ sequences: [6, 9] }));
      expect(coverageToReceipt(coverage)).toEqual({
        through: 3,
        missing: [
          { from: 4, to: 5 },
          { from: 7, to: 8 },
        ],
      });
      await store.appendEvents(append({ sequences: [4, 5, 7, 8] }));
      expect(coverageToReceipt(await store.coverage(lock))).toEqual({ through: 9, missing: [] });
    });

    it("[B3] counts what a device declared lost as covered", async () => {
      await store.appendEvents(append({ sequences: [1, 2] }));
      const gap = { boot: 1, sequence: 10, body: "gap", covers: { first: 3, last: 9 } };
      const { coverage } = await store.appendEvents({ device: lock, receivedAtMs: 5 as UnixMs, events: [gap] });
      expect(coverageToReceipt(coverage)).toEqual({ through: 10, missing: [] });
    });

    it("[G17] drops what no receipt covers before it takes what was read anew, in one commit", async () => {
      await store.appendEvents(append({ sequences: [1, 2, 3, 4, 5, 9], body: said("access-denied") }));
      await store.appendEvents(append({ device: panel, sequences: [4] }));
      await store.recordReceipt(lock, 2);
      const again = append({ sequences: [3, 4], body: said("access-granted") });
      const outcome = await store.appendEvents({ ...again, drops: { first: 1, last: 4 } });
      expect(outcome).toMatchObject({ stored: 2, conflicting: 0 });
      expect(outcome.coverage).toEqual([
        { first: 1, last: 5 },
        { first: 9, last: 9 },
      ]);
      const kept = await store.readEvents(lock, -1, 10);
      expect(kept.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 9]);
      expect(kept.map(({ body }) => body.includes("granted"))).toEqual([false, false, true, true, false, false]);
      const ended = { device: lock, receivedAtMs: 7 as UnixMs, events: [], drops: { first: 5, last: 2 ** 32 - 1 } };
      expect((await store.appendEvents(ended)).coverage).toEqual([{ first: 1, last: 4 }]);
      expect((await store.readEvents(lock, -1, 10)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
      expect(await store.coverage(panel)).toEqual([{ first: 4, last: 4 }]);
      const covered = { ...ended, drops: { first: 1, last: 2 } };
      expect((await store.appendEvents(covered)).coverage).toEqual([{ first: 1, last: 4 }]);
      if (under.reopen === undefined) return;
      expect(await (await under.reopen()).coverage(lock)).toEqual([{ first: 1, last: 4 }]);
    });

    it("gives the outbox per device with its cursor, and a receipt never goes back", async () => {
      expect(await store.outbox()).toEqual([]);
      await store.appendEvents(append({ sequences: [1, 2, 3] }));
      await store.appendEvents(append({ device: panel, sequences: [7] }));
      await store.recordReceipt(lock, 2);
      await store.recordReceipt(lock, 1);
      expect(await store.outbox()).toEqual([
        { device: lock, receipted: 2, last: 3, depth: 1 },
        { device: panel, receipted: -1, last: 7, depth: 1 },
      ]);
      await store.recordReceipt(lock, 3);
      await store.recordReceipt(panel, 7);
      expect(await store.outbox()).toEqual([]);
    });

    it("reads events in the order of their sequence, in pieces", async () => {
      await store.appendEvents(append({ sequences: [4, 2, 3, 1] }));
      expect((await store.readEvents(lock, 1, 2)).map(({ sequence }) => sequence)).toEqual([2, 3]);
      expect(await store.readEvents(panel, -1, 2)).toEqual([]);
    });

    it("reads the log of all devices newest first", async () => {
      await store.appendEvents(append({ sequences: [1, 2], atMs: 1_000 }));
      await store.appendEvents(append({ device: panel, sequences: [1], atMs: 2_000 }));
      const log = await store.readLog(2);
      expect(log.map(({ device, sequence }) => [device, sequence])).toEqual([
        [panel, 1],
        [lock, 2],
      ]);
    });

    it("replaces a document by kind and device, also together with events", async () => {
      await store.putDocuments([{ kind: "desired", device: lock, body: "one" }]);
      await store.appendEvents({
        ...append({ sequences: [1] }),
        documents: [{ kind: "desired", device: lock, body: "two" }],
      });
      await store.putDocuments([{ kind: "birth", device: lock, body: "birth" }]);
      expect(await store.readDocuments("desired")).toEqual([{ kind: "desired", device: lock, body: "two" }]);
    });

    it("refuses calls after it was closed with a StoreError that says so", async () => {
      await store.close();
      const error = await store.outbox().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ code: "closed" });
    });

    it("has everything again after a stop and a start", async () => {
      const { reopen } = under;
      // In memory there is nothing to come back to: the store's own first test is then all that is asked.
      if (reopen === undefined) return expect(await store.outbox()).toEqual([]);
      await store.appendEvents(append({ sequences: [1, 2, 5] }));
      await store.recordReceipt(lock, 1);
      await store.putDocuments([{ kind: "reported", device: lock, body: "report" }]);
      await store.close();
      const again = await reopen();
      expect(await again.coverage(lock)).toEqual([
        { first: 1, last: 2 },
        { first: 5, last: 5 },
      ]);
      expect(await again.outbox()).toEqual([{ device: lock, receipted: 1, last: 5, depth: 2 }]);
      expect(await again.readDocuments("reported")).toEqual([{ kind: "reported", device: lock, body: "report" }]);
      expect(await again.appendEvents(append({ sequences: [2, 5] }))).toMatchObject({ duplicates: 2 });
      await again.close();
    });
  });
}

function append(options: {
  readonly sequences: readonly number[];
  readonly device?: DeviceId;
  readonly boot?: number;
  readonly body?: string;
  readonly atMs?: number;
}): EventAppend {
  const { sequences, device = lock, boot = 1, body, atMs = 1_000 } = options;
  return {
    device,
    receivedAtMs: atMs as UnixMs,
    events: sequences.map((sequence) => ({ boot, sequence, body: body ?? `event ${sequence}` })),
  };
}
