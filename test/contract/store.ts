/** What every store must do, run on each implementation. `open` gives an empty one; `reopen` the same one after a stop, where it has a disk. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EventAppend, type LogQuery, type Store, StoreError } from "../../agent/ports/store.ts";
import { COVERAGE_RANGES_MAX, coverageToReceipt } from "../../agent/store/coverage.ts";
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
      const { events: log } = await store.readLog({ limit: 2 });
      expect(log.map(({ device, sequence }) => [device, sequence])).toEqual([
        [panel, 1],
        [lock, 2],
      ]);
    });

    it("[G65] reads the log by device, person, reason and kind, page by page", async () => {
      const granted = said("access-granted", { person: "alice", credential: "alice-app" });
      const denied = said("access-denied", { person: "ben", reason: "ACCOUNT_REVOKED" });
      await store.appendEvents(append({ sequences: [1, 2], body: granted, atMs: 1_000 }));
      await store.appendEvents(append({ sequences: [3, 4], body: denied, atMs: 2_000 }));
      await store.appendEvents(append({ device: panel, sequences: [1, 2, 3], body: granted, atMs: 1_500 }));
      const names = async (query: Partial<LogQuery>): Promise<unknown> =>
        (await store.readLog({ limit: 10, ...query })).events.map(({ device, sequence }) => [device, sequence]);
      expect(await names({ person: "ben" })).toEqual([
        [lock, 4],
        [lock, 3],
      ]);
      expect(await names({ reasons: ["ACCOUNT_REVOKED"], devices: [panel] })).toEqual([]);
      expect(await names({ kinds: ["access-granted"], devices: [lock], limit: 1 })).toEqual([[lock, 2]]);
      expect(await names({ sinceMs: 1_500 as UnixMs, beforeMs: 2_000 as UnixMs })).toEqual([
        [panel, 3],
        [panel, 2],
        [panel, 1],
      ]);
      const first = await store.readLog({ limit: 3 });
      expect(first.next).not.toBeNull();
      const second = await store.readLog({ limit: 10, after: first.next ?? "" });
      expect(second.next).toBeNull();
      const all = [...first.events, ...second.events].map(({ device, sequence }) => `${device}/${sequence}`);
      expect(all.map((name) => name.replace(/^[a-z]+-/, ""))).toEqual([
        "c1/4",
        "c1/3",
        "r29/3",
        "r29/2",
        "r29/1",
        "c1/2",
        "c1/1",
      ]);
    });

    it("[G65] what fills a hole late stands where it belongs in its log", async () => {
      await store.appendEvents(append({ sequences: [1, 4], atMs: 1_000 }));
      await store.appendEvents(append({ device: panel, sequences: [7], atMs: 2_000 }));
      await store.appendEvents(append({ sequences: [2, 3], atMs: 9_000 }));
      const { events } = await store.readLog({ limit: 10 });
      expect(events.map(({ sequence }) => sequence)).toEqual([7, 4, 3, 2, 1]);
    });

    it("[G66] a person is taken out of what has a receipt at once, out of the rest when it has one", async () => {
      const of = (person: string) =>
        said("access-granted", { person, credential: `${person}-app`, detail: "Hello Alice" });
      await store.appendEvents(append({ sequences: [1, 3], body: of("alice") }));
      await store.appendEvents(append({ sequences: [2], body: of("ben") }));
      await store.recordReceipt(lock, 2);
      expect(await store.erasePerson("alice", ["alice-app"])).toMatchObject({ erased: 1 });
      const shown = async () => (await store.readLog({ limit: 9 })).events;
      expect(
        (await shown()).map(({ sequence, body }) => [sequence, /alice/i.test(body.replace("Hello Alice", ""))]),
      ).toEqual([
        [3, false],
        [2, false],
        [1, false],
      ]);
      expect((await store.readLog({ limit: 9, person: "alice" })).events).toEqual([]);
      const [one, two, three] = await store.readEvents(lock, -1, 9);
      expect(one?.body).toBe(
        '{"boot":1,"sequence":1,"at":{"unixSeconds":null,"quality":"unset"},"kind":"access-granted","erased":true}',
      );
      expect(two?.body).toBe(of("ben"));
      expect(three?.body).toBe(of("alice"));
      expect(await store.appendEvents(append({ sequences: [1], body: of("alice") }))).toMatchObject({ conflicting: 0 });
      await store.recordReceipt(lock, 3);
      await until(async () => (await store.readEvents(lock, 2, 1))[0]?.body.endsWith(',"erased":true}') === true);
      // Who comes back after that is a new guest.
      await store.appendEvents(append({ sequences: [4], body: of("alice") }));
      expect((await store.readLog({ limit: 9, person: "alice" })).events).toHaveLength(1);
    });

    it("[G64] what upstream has had long enough goes, nothing else does, and its names stay taken", async () => {
      const day = 24 * 3_600_000;
      const keepMs = 90 * day;
      const tidyAt = async (days: number) => {
        let purged = 0;
        for (;;) {
          const piece = await store.tidy({ nowMs: (1_800_000_000_000 + days * day) as UnixMs, keepMs });
          purged += piece.purged;
          if (piece.done) return purged;
        }
      };
      await store.appendEvents(append({ sequences: Array.from({ length: 600 }, (_, index) => index + 1) }));
      expect(await tidyAt(0)).toBe(0);
      await store.recordReceipt(lock, 550);
      expect(await tidyAt(2)).toBe(0);
      expect(await tidyAt(91)).toBe(0);
      expect(await tidyAt(93)).toBe(550);
      expect((await store.readEvents(lock, -1, 999)).map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: 50 }, (_, index) => index + 551),
      );
      expect(await store.coverage(lock)).toEqual([{ first: 1, last: 600 }]);
      expect(await tidyAt(9_999)).toBe(0);
    });

    it("[G61] a log with more holes than are kept track of is refused, until they are filled", async () => {
      const odd = Array.from({ length: COVERAGE_RANGES_MAX }, (_, index) => 2 * index + 1);
      expect(await store.appendEvents(append({ sequences: odd }))).toMatchObject({ stored: odd.length });
      const beyond = append({ sequences: [10_000, 10_001] });
      expect(await store.appendEvents(beyond)).toMatchObject({ stored: 0, refused: "too-many-holes" });
      expect(await store.appendEvents(append({ sequences: [2] }))).toMatchObject({ stored: 1 });
      expect(await store.appendEvents(beyond)).toMatchObject({ stored: 2 });
      expect(await store.coverage(lock)).toHaveLength(COVERAGE_RANGES_MAX);
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

/** What a store does by itself, it does soon. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error("it never came to hold");
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
