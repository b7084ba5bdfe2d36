/** A lock that answers what nobody asked, and a log that does not end: what a courier takes from it, and for how long. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answerTime } from "../../../protocol/sync/authority.ts";
import {
  type CourierEvent,
  type CourierLoad,
  CourierSync,
  LOG_BATCHES_LIMIT,
} from "../../../protocol/sync/courier-sync.ts";
import { AUDIT_BATCH_CONTENT_BYTES, auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import {
  courierMessage,
  type Hello,
  type LockMessage,
  lockMessage,
  type Refusal,
  refusalNumbers,
  requestNumbers,
} from "../../../protocol/wire/sync-message.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  nextKeys,
  openedEntries,
  pairingId,
  pairingKeys,
  policyOf,
  reportAfter,
  rootOf,
  runSync,
  signedKeyset,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

type Kind = LockMessage["kind"];
type Standing = "greet" | "keyset" | "time" | "manifest" | "page" | "release" | "read-log" | "finish";

const hello: Hello = {
  kind: "hello",
  pairingId,
  model: "C1",
  firmware: "1.4.2",
  hardware: "rev-b",
  bootCount: 1,
  epoch: 1,
  version: 1,
  root: new Uint8Array(32),
  stagedBytes: 0,
  logFirst: 1,
  logNext: 1,
  clock: "unset",
  uptimeSeconds: 1,
  batteryMillivolts: 5_000,
  batteryPercent: 50,
  nonce: new Uint8Array(16),
  keysetEpoch: 1,
};
const logOf = (from: number, count: number, of = pairingId): LockMessage => {
  const entries = Array.from({ length: count }, () => new Uint8Array(8));
  const batch = auditBatch.encode(sealAuditBatch(pairingKeys.audit, of, from, entries));
  return { kind: "log", batch, next: from + count };
};

/** One of each thing that a lock can say, in the form that is right where it is due. */
const answers: Record<Exclude<Kind, "refused">, LockMessage> = {
  hello,
  "time-handled": { kind: "time-handled", newUnixMs: startMs, written: true },
  "send-pages": { kind: "send-pages", offset: 0 },
  committed: { kind: "committed", epoch: 2, version: 3 },
  released: { kind: "released", through: 0 },
  log: logOf(0, 0),
  report: reportAfter(hello),
  challenge: { kind: "challenge", challenge: new Uint8Array(16) },
  "access-result": { kind: "access-result", granted: true, failedChecks: [], warnings: [] },
  "keyset-held": { kind: "keyset-held", epoch: 2 },
};

const due: Record<Standing, readonly Kind[]> = {
  greet: ["hello"],
  keyset: ["keyset-held"],
  time: ["time-handled"],
  manifest: ["send-pages", "committed"],
  page: ["committed"],
  release: ["released"],
  "read-log": ["log"],
  finish: ["report"],
};
const order = Object.keys(due) as readonly Standing[];

const load: CourierLoad = {
  certificate: certificateFor(),
  keyset: signedKeyset(2),
  policy: { epoch: 2, version: 3, bundles: [bundleOf(policyOf(3, 300, 2))] },
  release: { bytes: new Uint8Array(8), signature: new Uint8Array(64) },
  logFrom: 0,
};

/** A courier whose request of this kind stands; the lock was honest until then. */
function standingAt(standing: Standing): CourierSync {
  const courier = new CourierSync(load);
  for (const step of order.slice(0, order.indexOf(standing))) {
    const [kind] = due[step];
    if (kind === undefined || kind === "refused") throw new Error("an answer is due to each request");
    say(courier, answers[kind]);
    if (step === "keyset") provideTime(courier);
  }
  expect(lastAsked(courier)).toBe(standing);
  courier.takeEvents();
  return courier;
}

function say(courier: CourierSync, message: LockMessage): void {
  courier.receive(lockMessage.encode(message));
}

function provideTime(courier: CourierSync): void {
  const nonce = new Uint8Array(16);
  courier.provideTime(answerTime(authorityKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 1 }));
}

function lastAsked(courier: CourierSync): string | undefined {
  const last = courier.takeMessages().at(-1);
  const read = last === undefined ? undefined : courierMessage.decode(last);
  return read?.ok === true ? read.value.kind : undefined;
}

const badAnswer: readonly CourierEvent[] = [{ kind: "finished", complete: false, fault: "bad-answer" }];

describe("a lock that says what is not due", () => {
  it("[Y1] while the courier waits for the time or its disk ends the sync, and what comes after that changes nothing", () => {
    const waits: readonly (() => CourierSync)[] = [
      () => {
        const courier = new CourierSync({ certificate: certificateFor(), logFrom: 0 });
        say(courier, hello);
        return courier;
      },
      () => {
        const courier = standingAt("read-log");
        say(courier, logOf(0, 2));
        return courier;
      },
    ];
    for (const waiting of waits) {
      const courier = waiting();
      courier.takeEvents();
      courier.takeMessages();
      say(courier, answers.log);
      expect(courier.takeEvents()).toEqual(badAnswer);
      provideTime(courier);
      courier.skipTime();
      courier.entriesStored();
      expect(courier.takeMessages()).toEqual([]);
      expect(courier.takeEvents()).toEqual([]);
    }
  });

  it.each(order)("[Y1] while %s stands, every other answer ends the sync, and nothing more is sent", (standing) => {
    for (const [kind, message] of Object.entries(answers)) {
      if (due[standing].some((expected) => expected === kind)) continue;
      const courier = standingAt(standing);
      say(courier, message);
      expect([kind, courier.takeEvents()]).toEqual([kind, badAnswer]);
      for (const later of Object.values(answers)) say(courier, later);
      expect(courier.takeMessages()).toEqual([]);
      expect(courier.takeEvents()).toEqual([]);
    }
  });

  it.each(order)("[Y1] while %s stands, a refusal of another request ends the sync", (standing) => {
    for (const request of Object.keys(requestNumbers) as readonly (keyof typeof requestNumbers)[]) {
      if (request === standing) continue;
      const courier = standingAt(standing);
      say(courier, { kind: "refused", request, refusal: "storage-failed" });
      expect([request, courier.takeEvents()]).toEqual([request, badAnswer]);
    }
  });

  it("[Y15] keyset-held over and over, before the greeting and after it", () => {
    const before = new CourierSync({ ...load, certificate: certificateFor({}, nextKeys) });
    say(before, { kind: "refused", request: "greet", refusal: "bad-signature" });
    say(before, answers["keyset-held"]);
    expect(lastAsked(before)).toBe("greet");
    say(before, answers["keyset-held"]);
    expect(before.takeEvents()).toEqual(badAnswer);
    const forgetful = new CourierSync({ ...load, certificate: certificateFor({}, nextKeys) });
    say(forgetful, { kind: "refused", request: "greet", refusal: "bad-signature" });
    say(forgetful, answers["keyset-held"]);
    say(forgetful, hello);
    expect(forgetful.takeEvents().map(({ kind }) => kind)).toEqual(["hello", "time-wanted"]);
    const after = standingAt("keyset");
    say(after, answers["keyset-held"]);
    expect(after.takeEvents().map(({ kind }) => kind)).toEqual(["time-wanted"]);
    say(after, answers["keyset-held"]);
    expect(after.takeEvents()).toEqual(badAnswer);
  });

  it("[Y15] bad-signature over and over: the keyset is offered once", () => {
    const courier = new CourierSync(load);
    const refusal: LockMessage = { kind: "refused", request: "greet", refusal: "bad-signature" };
    say(courier, refusal);
    say(courier, answers["keyset-held"]);
    courier.takeMessages();
    say(courier, refusal);
    expect(courier.takeMessages()).toEqual([]);
    expect(courier.takeEvents().at(-1)).toEqual({ kind: "finished", complete: false, fault: "greeting-refused" });
  });

  it("[Y15] an epoch that was not offered is no answer to the keyset", () => {
    for (const epoch of [0, 1, 3]) {
      const courier = standingAt("keyset");
      say(courier, { kind: "keyset-held", epoch });
      expect(courier.takeEvents()).toEqual(badAnswer);
    }
  });

  it("[Y6] send-pages over and over, or from where no page begins", () => {
    const courier = standingAt("manifest");
    say(courier, answers["send-pages"]);
    expect(courier.takeMessages().length).toBeGreaterThan(1);
    courier.takeEvents();
    say(courier, answers["send-pages"]);
    expect(courier.takeEvents()).toEqual(badAnswer);
    const length = load.policy?.bundles[0]?.bytes.length ?? 0;
    for (const offset of [1, 2_047, length - 1, length + 1, 262_144]) {
      const other = standingAt("manifest");
      say(other, { kind: "send-pages", offset });
      expect(other.takeEvents()).toEqual(badAnswer);
      expect(other.takeMessages()).toEqual([]);
    }
  });

  it("[Y7] a version that was not carried is no confirmation", () => {
    for (const [epoch, version] of [
      [2, 4],
      [2, 2],
      [1, 3],
    ] as const) {
      const courier = standingAt("page");
      say(courier, { kind: "committed", epoch, version });
      expect(courier.takeEvents()).toEqual(badAnswer);
    }
  });

  it("[Y1] speaking while the courier asks for the time, or writes to its disk, ends the sync", () => {
    const asking = standingAt("keyset");
    say(asking, answers["keyset-held"]);
    asking.takeEvents();
    say(asking, answers["time-handled"]);
    expect(asking.takeEvents()).toEqual(badAnswer);
    const storing = standingAt("read-log");
    say(storing, logOf(0, 2));
    expect(storing.takeEvents().map(({ kind }) => kind)).toEqual(["entries"]);
    say(storing, logOf(2, 2));
    expect(storing.takeEvents()).toEqual(badAnswer);
  });

  it("[Y1] whatever it answers, the courier ends: it asks a bounded number of times", () => {
    const anything = fc.oneof(
      fc.constantFrom(...Object.values(answers)),
      fc.record({
        kind: fc.constant("refused" as const),
        request: fc.constantFrom(...(Object.keys(requestNumbers) as (keyof typeof requestNumbers)[])),
        refusal: fc.constantFrom(...(Object.keys(refusalNumbers) as Refusal[])),
      }),
    );
    // A lock that answers to the point most of the time comes further than one that throws dice.
    const answerer = fc.array(fc.tuple(fc.nat(9), anything), { maxLength: 40 });
    const bundles = [bundleOf(policyOf(3, 300), policyOf(1, 0)), bundleOf(policyOf(3, 2), policyOf(1, 0))];
    const honest = {
      ...answers,
      committed: { kind: "committed", epoch: 1, version: 3 },
      report: reportAfter(hello, { version: 3, root: rootOf(policyOf(3, 300)) }),
    } as const;
    let cameToTheEnd = 0;
    fc.assert(
      fc.property(answerer, (script) => {
        const policy = { epoch: 1, version: 3, bundles: [...bundles, bundleOf(policyOf(3, 2))] };
        const courier = new CourierSync({ ...load, policy });
        let requests = 0;
        for (const [dice, random] of script) {
          for (const event of courier.takeEvents()) {
            if (event.kind === "time-wanted") provideTime(courier);
            if (event.kind === "entries") courier.entriesStored();
          }
          const asked = courier.takeMessages().flatMap((bytes) => {
            const read = courierMessage.decode(bytes);
            return read.ok && read.value.kind !== "page" ? [read.value.kind as Standing] : [];
          });
          requests += asked.length;
          const [wanted] = due[asked[0] ?? "page"];
          say(courier, dice > 1 && wanted !== undefined && wanted !== "refused" ? honest[wanted] : random);
        }
        if (courier.takeEvents().some((event) => event.kind === "finished" && event.complete)) cameToTheEnd += 1;
        // Two greetings, a keyset, the time, three manifests, a release, one log (each of these is empty), a finish.
        expect(requests).toBeLessThanOrEqual(10);
      }),
      { numRuns: 300 },
    );
    expect(cameToTheEnd).toBeGreaterThan(0);
  });
});

describe("the log in batches", () => {
  const batchesOf = ({ events }: ReturnType<typeof runSync>) =>
    events.flatMap((event) => (event.kind === "entries" ? [event] : []));

  it("[X10] are split where the next entry would go beyond 4,096 bytes, and asked for until one is empty", () => {
    const lock = new TinyLock();
    lock.addEntries(150, 3);
    const size = lock.log[149]?.length ?? 0;
    const fit = Math.floor(AUDIT_BATCH_CONTENT_BYTES / size);
    expect(fit).toBeLessThan(64);
    const run = runSync(lock);
    const batches = batchesOf(run);
    expect(batches.slice(0, -1).every(({ count }) => count >= fit && count < 64)).toBe(true);
    expect(openedEntries(run)).toEqual(lock.log);
    const [first] = batches;
    const entries = lock.log.slice(0, first?.count ?? 0);
    const bytes = (list: readonly Uint8Array[]) => list.reduce((sum, entry) => sum + entry.length, 0);
    expect(bytes(entries)).toBeLessThanOrEqual(AUDIT_BATCH_CONTENT_BYTES);
    expect(bytes([...entries, lock.log[entries.length] ?? new Uint8Array(4_096)])).toBeGreaterThan(
      AUDIT_BATCH_CONTENT_BYTES,
    );
    const froms = run.toLock.flatMap((message) => {
      const read = courierMessage.decode(message);
      return read.ok && read.value.kind === "read-log" ? [read.value.from] : [];
    });
    expect(froms).toEqual([...batches.map(({ from }) => from), 150]);
  });

  it("[X10] hold 64 entries at most, however small", () => {
    const lock = new TinyLock();
    lock.addEntries(129);
    expect(batchesOf(runSync(lock)).map(({ count }) => count)).toEqual([64, 64, 1]);
  });

  it("[Y9] that are no batch, another pairing's, from before what was asked or beyond the log's next, are no answer", () => {
    const batch = logOf(5, 2);
    if (batch.kind !== "log") throw new Error("a log is a log");
    const wrong: readonly LockMessage[] = [
      { kind: "log", batch: new Uint8Array(10), next: 5 },
      logOf(5, 2, new Uint8Array(16)),
      { ...batch, next: 6 },
      logOf(4, 2),
      logOf(4, 0),
    ];
    for (const message of wrong) {
      const courier = new CourierSync({ certificate: certificateFor(), logFrom: 5 });
      say(courier, { ...hello, logNext: 5 });
      courier.skipTime();
      courier.takeEvents();
      say(courier, message);
      expect(courier.takeEvents()).toEqual(badAnswer);
    }
  });

  it("[Y9] end before what the courier has: it reads again from what upstream has, and the rest of the visit goes on", () => {
    const load = { certificate: certificateFor(), logFrom: 100_000 };
    for (const [logAgainFrom, asked] of [
      [3, 3],
      [50, 9],
      [undefined, 9],
    ] as const) {
      const courier = new CourierSync({ ...load, ...(logAgainFrom === undefined ? {} : { logAgainFrom }) });
      courier.takeMessages();
      say(courier, { ...hello, logNext: 9 });
      courier.skipTime();
      const [request] = courier.takeMessages().map((bytes) => courierMessage.decode(bytes));
      expect(request).toEqual({ ok: true, value: { kind: "read-log", from: asked } });
      say(courier, logOf(asked, 9 - asked));
      if (asked < 9) {
        courier.entriesStored();
        say(courier, logOf(9, 0));
      }
      say(courier, reportAfter(hello, { logNext: 9 }));
      expect(courier.takeEvents().at(-1)).toEqual({ kind: "finished", complete: true });
    }
  });

  it("[G17] are not read where the courier has no room for them", () => {
    const courier = new CourierSync({ certificate: certificateFor(), logFrom: 1, readsLog: false });
    say(courier, hello);
    courier.takeMessages();
    courier.skipTime();
    expect(lastAsked(courier)).toBe("finish");
  });

  it("[Y9] without end are read for so many batches in one visit, and the visit is finished in order", () => {
    const courier = new CourierSync({ certificate: certificateFor(), logFrom: 0 });
    say(courier, hello);
    courier.skipTime();
    courier.takeEvents();
    let from = 0;
    while (lastAsked(courier) === "read-log") {
      say(courier, logOf(from, 1));
      from += 1;
      expect(from).toBeLessThanOrEqual(LOG_BATCHES_LIMIT);
      expect(courier.takeEvents().map(({ kind }) => kind)).toEqual(["entries"]);
      courier.entriesStored();
    }
    expect(from).toBe(LOG_BATCHES_LIMIT);
    say(courier, reportAfter(hello, { logNext: LOG_BATCHES_LIMIT }));
    expect(courier.takeEvents().at(-1)).toEqual({ kind: "finished", complete: true });
  });
});
