import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import {
  answerTime,
  authorityKeysFromSeed,
  signManifest,
  signRelease,
  verifyReport,
} from "../../../protocol/sync/authority.ts";
import { CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { auditChainNext, auditChainStart } from "../../../protocol/wire/audit-entry.ts";
import { PAGE_BYTES } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../../protocol/wire/sync-message.ts";
import {
  authorityKeys,
  certificateFor,
  courierKey,
  honestTime,
  pairing,
  pairingId,
  policyFor,
  reportKey,
  runSync,
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
    const sync = new LockSync(pairing, courierKey, new Uint8Array(16));
    const before = [{ kind: "read-log", from: 0 } as const, { kind: "finish" } as const];
    for (const message of before) sync.receive(courierMessage.encode(message), new TinyLock().facts(), monotonicMs(0));
    const answers = sync.takeMessages().map((bytes) => lockMessage.decode(bytes));
    expect(answers.map((answer) => answer.ok && answer.value.kind)).toEqual(["refused", "refused"]);
    expect(sync.takeActions()).toEqual([]);
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
    lock.clock.unixMs = unixMs(startMs - 10_000);
    const run = runSync(lock, { roundTripMs: 400 });
    expect(run.events).toContainEqual(
      expect.objectContaining({ oldUnixMs: startMs - 10_000, newUnixMs: startMs + 200, written: true }),
    );
    expect(lock.clock.unixMs).toBe(startMs + 200);
  });

  it("[Y4] leaves a clock alone that is within 2 s, and sets one that was not set", () => {
    const near = new TinyLock();
    near.clock.unixMs = unixMs(startMs - 1_500);
    expect(runSync(near).events).toContainEqual(expect.objectContaining({ kind: "time-handled", written: false }));
    expect(near.clock.unixMs).toBe(startMs - 1_500);
    const unset = new TinyLock();
    unset.clock = { quality: "unset", floor: unixSeconds(0) };
    runSync(unset);
    expect(unset.clock).toMatchObject({ quality: "set", unixMs: startMs + 50 });
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
    const nonce = new Uint8Array(16).fill(9);
    const sync = new LockSync(pairing, courierKey, nonce);
    const lock = new TinyLock();
    const { bytes: certificate, signature } = certificateFor();
    sync.receive(courierMessage.encode({ kind: "greet", certificate, signature }), lock.facts(), monotonicMs(0));
    const time = honestTime(nonce);
    const message = courierMessage.encode({ kind: "time", answer: time.bytes, signature: time.signature });
    sync.receive(message, lock.facts(), monotonicMs(10));
    sync.receive(message, lock.facts(), monotonicMs(20));
    const answers = sync.takeMessages().map((answer) => lockMessage.decode(answer));
    expect(answers[2]).toMatchObject({ value: { kind: "refused", request: "time", refusal: "stale-nonce" } });
  });
});

describe("policy", () => {
  it.each([
    [
      "bad-signature",
      () => ({ ...policyFor(2), manifest: { ...policyFor(2).manifest, signature: new Uint8Array(64) } }),
    ],
    [
      "wrong-pairing",
      () => {
        const { bundle } = policyFor(2);
        const other = new Uint8Array(16).fill(0x22);
        const notAfter = unixSeconds(startMs / 1000 + 10);
        return {
          ...policyFor(2),
          manifest: signManifest(authorityKeys, { pairingId: other, epoch: 1, version: 2, bundle, notAfter }),
        };
      },
    ],
    [
      "expired",
      () => {
        const { bundle } = policyFor(2);
        const notAfter = unixSeconds(startMs / 1000 - 10);
        return {
          ...policyFor(2),
          manifest: signManifest(authorityKeys, { pairingId, epoch: 1, version: 2, bundle, notAfter }),
        };
      },
    ],
    // The courier says 2 and carries an old, honestly signed version: the lock goes by what is signed.
    ["rollback", () => ({ ...policyFor(1), version: 2 })],
  ])("[Y5] refuses a manifest before a byte of its bundle: %s", (refusal, policy) => {
    const lock = new TinyLock();
    const run = runSync(lock, { load: { policy: policy() } });
    expect(refusals(run)).toEqual([`policy: ${refusal}`]);
    expect(lock.actions.map(({ kind }) => kind)).not.toContain("stage");
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
    const pages = Math.ceil(policy.bundle.length / PAGE_BYTES);
    expect(pages).toBeGreaterThan(4);
    for (let cut = 3; cut < 3 + pages; cut++) {
      const lock = new TinyLock();
      runSync(lock, { load: { policy }, cutAfter: cut });
      const stagedPages = (lock.staged?.bytes.length ?? 0) / PAGE_BYTES;
      const resumed = runSync(lock, { load: { policy } });
      const sentPages = kinds(resumed).filter((kind) => kind === "page-sent").length;
      expect(sentPages).toBe(pages - stagedPages);
      expect(lock.policy).toMatchObject({ version: 2, root: sha256(policy.bundle) });
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
    expect(lock.policy).toMatchObject({ version: 2, root: sha256(policy.bundle) });
  });

  it("[Y6] another manifest replaces what was staged", () => {
    const lock = new TinyLock();
    runSync(lock, { load: { policy: policyFor(2, 600) }, cutAfter: 5 });
    runSync(lock, { load: { policy: policyFor(3, 300) } });
    expect(lock.policy.version).toBe(3);
  });

  it("[Y7] bytes that are no policy are not committed, whoever signed them", () => {
    const bundle = new Uint8Array(3_000).fill(7);
    const notAfter = unixSeconds(startMs / 1000 + 10);
    const manifest = signManifest(authorityKeys, { pairingId, epoch: 1, version: 2, bundle, notAfter });
    const lock = new TinyLock();
    const run = runSync(lock, { load: { policy: { epoch: 1, version: 2, manifest, bundle } } });
    expect(refusals(run)).toEqual(["policy: bad-policy"]);
    expect(lock.policy.version).toBe(1);
  });

  it("[Y7] a failed commit leaves the old policy and is said", () => {
    const lock = new TinyLock();
    lock.failsToCommit = true;
    expect(refusals(runSync(lock, { load: { policy: policyFor(2) } }))).toEqual(["policy: storage-failed"]);
    expect(lock.policy.version).toBe(1);
  });

  it("[Y8] without a set clock, dates are judged by the highest signed time", () => {
    const lock = new TinyLock();
    lock.clock = { quality: "unset", floor: unixSeconds(startMs / 1000 + 2 * 86_400) };
    expect(refusals(runSync(lock))).toEqual(["greet: expired"]);
    lock.clock = { quality: "unset", floor: unixSeconds(0) };
    expect(refusals(runSync(lock))).toEqual([]);
  });
});

describe("log", () => {
  it("[Y9] is read from the first sequence that is not on the courier's disk, in parts, each stored before the next", () => {
    const lock = new TinyLock();
    lock.addEntries(150);
    const run = runSync(lock, { load: { logFrom: 10 } });
    const parts = run.events.flatMap((event) => (event.kind === "entries" ? [[event.from, event.entries.length]] : []));
    expect(parts).toEqual([
      [10, 64],
      [74, 64],
      [138, 12],
    ]);
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
    const head = lock.log.slice(0, 3).reduce(auditChainNext, auditChainStart(pairingId));
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
    const policy = policyFor(2, 10);
    const { bytes: certificate, signature } = certificateFor();
    const script = [
      courierMessage.encode({ kind: "greet", certificate, signature }),
      courierMessage.encode({
        kind: "manifest",
        manifest: policy.manifest.bytes,
        signature: policy.manifest.signature,
      }),
      courierMessage.encode({ kind: "page", offset: 0, bytes: policy.bundle }),
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
      }),
      { numRuns: 500 },
    );
  });
});
