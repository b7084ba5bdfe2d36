import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { signTyped } from "../../../protocol/crypto.ts";
import {
  answerTime,
  auditChainHead,
  authorityKeysFromSeed,
  bundlePages,
  pageHash,
  signRelease,
  verifyReport,
} from "../../../protocol/sync/authority.ts";
import { type CourierLoad, CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { auditChainStart, auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { bundleHeader, seal } from "../../../protocol/wire/sealing.ts";
import { PAGE_BYTES, policyManifest, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage } from "../../../protocol/wire/sync-message.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  clockThat,
  courierKey,
  HostileVisit,
  honestTime,
  loadOf,
  onlyBundle,
  openedEntries,
  pairing,
  pairingId,
  pairingKeys,
  policyFor,
  policyOf,
  reportKey,
  rootOf,
  runSync,
  signedKeyset,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

const kinds = (run: ReturnType<typeof runSync>) => run.events.map(({ kind }) => kind);
const refusals = (run: ReturnType<typeof runSync>) =>
  run.events.flatMap((event) => (event.kind === "refused" ? [`${event.step}: ${event.refusal}`] : []));
const strangerKeys = authorityKeysFromSeed(new Uint8Array(32).fill(99));

describe("a whole sync", () => {
  it("[Y1] goes greet, time, policy, log, finish, and ends complete", () => {
    const lock = new TinyLock();
    lock.addEntries(3);
    const run = runSync(lock, { load: { policy: policyFor(2) } });
    const steps = kinds(run).filter((kind) => kind !== "page-sent");
    expect(steps).toEqual(["hello", "time-wanted", "time-handled", "committed", "entries", "report", "finished"]);
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: true });
    expect(lock.policy.version).toBe(2);
    expect(lock.actions.at(-1)).toEqual({ kind: "end" });
  });

  it("[Y1] row 61: a sync brings clock and policy and takes log, battery and firmware back", () => {
    const lock = new TinyLock();
    lock.addEntries(1);
    const run = runSync(lock, { load: { policy: policyFor(2) } });
    const hello = run.events.find((event) => event.kind === "hello");
    expect(hello).toMatchObject({ hello: { firmware: "1.4.2", batteryMillivolts: 5_600, batteryPercent: 80 } });
    expect(kinds(run)).toEqual(expect.arrayContaining(["time-handled", "committed", "entries"]));
  });

  it("[Y1] leaves out what there is nothing to carry for", () => {
    const run = runSync(new TinyLock(), { load: { policy: policyFor(1) }, time: undefined });
    expect(kinds(run)).toEqual(["hello", "time-wanted", "report", "finished"]);
  });

  it("[Y1] a refused step does not stop the following ones", () => {
    const lock = new TinyLock();
    lock.addEntries(2);
    const run = runSync(lock, {
      load: { policy: policyFor(2) },
      time: (nonce) => answerTime(strangerKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 1 }),
    });
    expect(refusals(run)).toEqual(["time: bad-signature"]);
    expect(kinds(run)).toEqual(expect.arrayContaining(["committed", "entries", "report"]));
  });

  it("[Y7] the report is MACed for the authority and says what the lock now holds", () => {
    const lock = new TinyLock();
    const run = runSync(lock, { load: { policy: policyFor(2) } });
    const report = run.events.find((event) => event.kind === "report");
    const read = report?.kind === "report" ? verifyReport(reportKey, report.report, report.mac) : undefined;
    expect(read).toMatchObject({ ok: true, value: { epoch: 1, version: 2, logNext: 0 } });
  });
});

describe("greeting", () => {
  it("[Y2] a lock says nothing of itself before the greeting is accepted", () => {
    const visit = new HostileVisit();
    const before = [{ kind: "read-log", from: 0 } as const, { kind: "finish" } as const];
    const answers = visit.tell(...before.map((message) => courierMessage.encode(message)));
    expect(answers).toEqual([
      { kind: "refused", request: "read-log", refusal: "unexpected-message" },
      { kind: "refused", request: "finish", refusal: "unexpected-message" },
    ]);
    expect(visit.lock.actions).toEqual([]);
  });

  it("[Y2] leaves somebody who brings it nothing but the keyset that it has", () => {
    const visit = new HostileVisit();
    const { blob } = signedKeyset(1);
    const known = courierMessage.encode({ kind: "keyset", keyset: blob.bytes, signature: blob.signature });
    for (let tries = 0; tries < 4; tries++) expect(visit.tell(known)).toEqual([{ kind: "keyset-held", epoch: 1 }]);
    expect(visit.lock.actions).toEqual([{ kind: "end" }]);
    expect(visit.tell(known)).toEqual([]);
    expect(visit.greet()).toEqual([]);
  });

  it("[Y2] leaves somebody whom it refused four times, and takes nothing more from them", () => {
    const visit = new HostileVisit();
    const forged = { ...certificateFor(), signature: new Uint8Array(64) };
    for (let time = 1; time <= 3; time++) visit.greet(forged);
    expect(visit.lock.actions).toEqual([]);
    expect(visit.greet(forged)).toEqual([{ kind: "refused", request: "greet", refusal: "bad-signature" }]);
    expect(visit.lock.actions).toEqual([{ kind: "end" }]);
    expect(visit.greet()).toEqual([]);
  });

  it.each([
    ["bad-signature", { certificate: { ...certificateFor(), signature: new Uint8Array(64) } }],
    ["wrong-key", { certificate: certificateFor({ staticPublicKey: new Uint8Array(32).fill(8) }) }],
    ["not-a-courier", { certificate: certificateFor({ role: "app" }) }],
    ["wrong-pairing", { certificate: certificateFor({ locks: [new Uint8Array(16)] }) }],
    ["expired", { certificate: certificateFor({ notAfter: unixSeconds(startMs / 1000 - 1) }) }],
  ])("[Y3] refuses a certificate: %s", (refusal, load) => {
    const run = runSync(new TinyLock(), { load });
    expect(refusals(run)).toEqual([`greet: ${refusal}`]);
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: false, fault: "greeting-refused" });
    expect(kinds(run)).not.toContain("hello");
  });

  it("[Y3] takes a certificate that names this pairing", () => {
    const run = runSync(new TinyLock(), { load: { certificate: certificateFor({ locks: [pairingId] }) } });
    expect(kinds(run)).toContain("hello");
  });
});

describe("time", () => {
  it("[Y4] writes the middle of the round trip when the clock is more than 2 s off, and says old and new", () => {
    const lock = new TinyLock();
    lock.clock = clockThat({ shows: unixMs(startMs - 10_000) });
    const run = runSync(lock, { roundTripMs: 400 });
    expect(run.events).toContainEqual(
      expect.objectContaining({ oldUnixMs: startMs - 9_600, newUnixMs: startMs + 200, written: true }),
    );
    expect(lock.shows(monotonicMs(1_400))).toBe(startMs + 200);
  });

  it("[Y4] leaves a clock alone that is within 2 s, and sets one that was not set", () => {
    const near = new TinyLock();
    near.clock = clockThat({ shows: unixMs(startMs - 1_500) });
    expect(runSync(near).events).toContainEqual(expect.objectContaining({ kind: "time-handled", written: false }));
    expect(near.shows()).toBe(startMs - 1_500);
    const unset = new TinyLock();
    unset.clock = clockThat({});
    runSync(unset);
    expect(unset.clock.quality).toBe("set");
    expect(unset.shows(monotonicMs(1_100))).toBe(startMs + 50);
  });

  it("[Y4] refuses a slow answer, another session's nonce and another pairing's time", () => {
    expect(refusals(runSync(new TinyLock(), { roundTripMs: 2_001 }))).toEqual(["time: round-trip-too-long"]);
    expect(refusals(runSync(new TinyLock(), { time: () => honestTime(new Uint8Array(16)) }))).toEqual([
      "time: stale-nonce",
    ]);
    const elsewhere = (nonce: Uint8Array) =>
      answerTime(authorityKeys, { pairingId: new Uint8Array(16), nonce, unixMs: startMs, radiusMs: 1 });
    expect(refusals(runSync(new TinyLock(), { time: elsewhere }))).toEqual(["time: wrong-pairing"]);
  });

  it("[Y4] a nonce answers once", () => {
    const visit = new HostileVisit();
    const { bytes: certificate, signature } = certificateFor();
    visit.tell(courierMessage.encode({ kind: "greet", certificate, signature }));
    const time = honestTime(visit.nonce);
    const message = courierMessage.encode({ kind: "time", answer: time.bytes, signature: time.signature });
    expect(visit.tell(message, message)).toMatchObject([
      { kind: "time-handled" },
      { kind: "refused", request: "time", refusal: "stale-nonce" },
    ]);
  });
});

describe("policy", () => {
  const second = policyOf(2);
  it.each<[string, () => NonNullable<CourierLoad["policy"]>]>([
    [
      "bad-signature",
      () => {
        const bundle = bundleOf(second);
        return loadOf({ ...bundle, manifest: { ...bundle.manifest, signature: new Uint8Array(64) } }, 2);
      },
    ],
    ["wrong-pairing", () => loadOf(bundleOf(second, undefined, { forPairing: new Uint8Array(16).fill(0x22) }), 2)],
    ["expired", () => loadOf(bundleOf(second, undefined, { notAfter: unixSeconds(startMs / 1000 - 10) }), 2)],
    // The courier says 2 and carries an old, honestly signed version: the lock goes by what is signed.
    ["rollback", () => loadOf(bundleOf(policyOf(1)), 2)],
  ])("[Y5] refuses a manifest before a byte of its bundle: %s", (refusal, policy) => {
    const lock = new TinyLock();
    const run = runSync(lock, { load: { policy: policy() } });
    expect(refusals(run)).toEqual([`policy: ${refusal}`]);
    expect(lock.actions.map(({ kind }) => kind)).not.toContain("stage");
    expect(lock.actions.map(({ kind }) => kind)).not.toContain("begin-staging");
    expect(lock.policy.version).toBe(1);
  });

  it("[Y6] a changed page ends the transfer, the old policy stays and the rest of the sync goes on", () => {
    const lock = new TinyLock();
    lock.addEntries(1);
    let changed = false;
    const run = runSync(lock, {
      load: { policy: policyFor(2) },
      tamper: (message) => {
        const read = courierMessage.decode(message);
        if (changed || !read.ok || read.value.kind !== "page" || read.value.offset !== PAGE_BYTES) return message;
        changed = true;
        return courierMessage.encode({ ...read.value, bytes: read.value.bytes.map((byte) => byte ^ 1) });
      },
    });
    expect(changed).toBe(true);
    expect(refusals(run)).toEqual(["policy: page-mismatch"]);
    expect(lock.policy.version).toBe(1);
    expect(kinds(run)).toEqual(expect.arrayContaining(["entries", "report"]));
  });

  it("[Y6] a cut sync resumes behind the last whole page in another session", () => {
    const policy = policyFor(2, 600);
    const pages = Math.ceil(onlyBundle(policy).bytes.length / PAGE_BYTES);
    expect(pages).toBeGreaterThan(4);
    for (let cut = 3; cut < 3 + pages; cut++) {
      const lock = new TinyLock();
      runSync(lock, { load: { policy }, cutAfter: cut });
      const stagedPages = (lock.staged?.bytes.length ?? 0) / PAGE_BYTES;
      const resumed = runSync(lock, { load: { policy } });
      const sentPages = kinds(resumed).filter((kind) => kind === "page-sent").length;
      expect(sentPages).toBe(pages - stagedPages);
      expect(lock.policy).toMatchObject({ version: 2, root: rootOf(policyOf(2, 600)) });
    }
  });

  it("[Y6] staged pages that rotted in flash are sent again", () => {
    const policy = policyFor(2, 600);
    const lock = new TinyLock();
    runSync(lock, { load: { policy }, cutAfter: 6 });
    const staged = lock.staged;
    if (staged === undefined) throw new Error("nothing was staged");
    staged.bytes[PAGE_BYTES + 5] = (staged.bytes[PAGE_BYTES + 5] ?? 0) ^ 1;
    runSync(lock, { load: { policy } });
    expect(lock.policy).toMatchObject({ version: 2, root: rootOf(policyOf(2, 600)) });
  });

  it("[Y6] another manifest replaces what was staged", () => {
    const lock = new TinyLock();
    runSync(lock, { load: { policy: policyFor(2, 600) }, cutAfter: 5 });
    runSync(lock, { load: { policy: policyFor(3, 300) } });
    expect(lock.policy.version).toBe(3);
  });

  it.each([3_000, 100])(
    "[Y7] %i bytes that are no policy are not committed, whoever signed and sealed them",
    (length) => {
      const manifest = {
        pairingId,
        epoch: 1,
        from: 0,
        to: 2,
        root: new Uint8Array(32),
        notAfter: unixSeconds(startMs / 1000 + 10),
      };
      const bytes = seal("bundle", pairingKeys.bundle, bundleHeader(manifest), new Uint8Array(length).fill(7));
      const pages = bundlePages(bytes);
      const pageHashes = pages.length === 1 ? [] : pages.map(pageHash);
      const encoded = policyManifest.encode({ ...manifest, length: bytes.length, pageHashes });
      const signature = signTyped(authorityKeys.policy, signedTypes.policy, encoded);
      const lock = new TinyLock();
      const run = runSync(lock, {
        load: { policy: loadOf({ from: 0, manifest: { bytes: encoded, signature }, bytes }, 2) },
      });
      expect(refusals(run)).toEqual(["policy: bad-policy"]);
      expect(lock.policy.version).toBe(1);
    },
  );

  it("[Y7] a failed commit leaves the old policy and is said", () => {
    const lock = new TinyLock();
    lock.failsToCommit = true;
    expect(refusals(runSync(lock, { load: { policy: policyFor(2) } }))).toEqual(["policy: storage-failed"]);
    expect(lock.policy.version).toBe(1);
  });

  it("[Y8] without a set clock, dates are judged by the highest signed time", () => {
    const lock = new TinyLock();
    lock.clock = clockThat({ floor: unixSeconds(startMs / 1000 + 2 * 86_400) });
    expect(refusals(runSync(lock))).toEqual(["greet: expired"]);
    lock.clock = clockThat({ floor: unixSeconds(0) });
    expect(refusals(runSync(lock))).toEqual([]);
  });
});

describe("log", () => {
  it("[Y9] is read from the first sequence that is not on the courier's disk, in parts, each stored before the next", () => {
    const lock = new TinyLock();
    lock.addEntries(150);
    const run = runSync(lock, { load: { logFrom: 10 } });
    const parts = run.events.flatMap((event) => (event.kind === "entries" ? [[event.from, event.count]] : []));
    expect(parts).toEqual([
      [10, 64],
      [74, 64],
      [138, 12],
    ]);
    expect(openedEntries(run)).toEqual(lock.log.slice(10));
    const sequences = openedEntries(run).map((bytes) => {
      const entry = auditEntry.decode(bytes);
      return entry.ok ? entry.value.sequence : undefined;
    });
    expect(sequences).toEqual(Array.from({ length: 140 }, (_, index) => index + 10));
  });

  it("[Y9] says which entries the lock no longer has", () => {
    const lock = new TinyLock();
    lock.logFirst = 20;
    lock.addEntries(2);
    const run = runSync(lock, { load: { logFrom: 5 } });
    expect(run.events).toContainEqual(expect.objectContaining({ kind: "entries", from: 20 }));
  });

  it("[Y9] only a release whose chain head fits frees entries", () => {
    const lock = new TinyLock();
    lock.addEntries(5);
    const start = auditChainStart(pairingKeys.chain, pairingId);
    const head = auditChainHead(pairingKeys.chain, start, lock.log.slice(0, 3));
    const wrong = signRelease(authorityKeys, { pairingId, through: 2, chainHead: new Uint8Array(32) });
    expect(refusals(runSync(lock, { load: { release: wrong } }))).toEqual(["release: chain-mismatch"]);
    expect(lock.logFirst).toBe(0);
    const stranger = signRelease(strangerKeys, { pairingId, through: 2, chainHead: head });
    expect(refusals(runSync(lock, { load: { release: stranger } }))).toEqual(["release: bad-signature"]);
    const right = signRelease(authorityKeys, { pairingId, through: 2, chainHead: head });
    expect(runSync(lock, { load: { release: right } }).events).toContainEqual(
      expect.objectContaining({ kind: "released", through: 2 }),
    );
    expect(lock.logFirst).toBe(3);
  });
});

describe("whatever arrives", () => {
  it("[Y1] any bytes to either end give a refusal or an end, never a throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }), (messages) => {
        const lock = new TinyLock();
        const sync = new LockSync(pairing, courierKey, new Uint8Array(16));
        const courier = new CourierSync({ certificate: certificateFor(), logFrom: 0 });
        for (const message of messages) {
          sync.receive(message, lock.facts(), monotonicMs(0));
          courier.receive(message);
        }
        expect(lock.policy.version).toBe(1);
      }),
      { numRuns: 300 },
    );
  });

  it("[Y1] valid messages in any order never throw, never commit without a manifest, never open", () => {
    const { manifest, bytes } = bundleOf(policyOf(2, 90));
    const pages = bundlePages(bytes);
    expect(pages).toHaveLength(2);
    const { bytes: certificate, signature } = certificateFor();
    const script = [
      courierMessage.encode({ kind: "greet", certificate, signature }),
      courierMessage.encode({ kind: "manifest", manifest: manifest.bytes, signature: manifest.signature }),
      ...pages.map((page, index) => courierMessage.encode({ kind: "page", offset: index * PAGE_BYTES, bytes: page })),
      courierMessage.encode({ kind: "read-log", from: 0 }),
      courierMessage.encode({ kind: "finish" }),
    ];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: script.length - 1 }), { maxLength: 12 }), (order) => {
        const lock = new TinyLock();
        const sync = new LockSync(pairing, courierKey, new Uint8Array(16));
        const manifestAt = order.indexOf(1, order.indexOf(0));
        for (const index of order) {
          sync.receive(script[index] ?? new Uint8Array(0), lock.facts(), monotonicMs(0));
          for (const action of sync.takeActions()) lock.carryOut(action, sync);
        }
        if (lock.policy.version === 2) expect(manifestAt).toBeGreaterThan(-1);
        if (lock.policy.version === 2)
          expect(order.indexOf(3, order.indexOf(2, manifestAt))).toBeGreaterThan(manifestAt);
      }),
      { numRuns: 500 },
    );
  });
});
