import { describe, expect, it } from "vitest";
import { runVisit } from "../../../agent/ble/visit.ts";
import type { SealedRun, VisitOptions, VisitOutcome, VisitProgress } from "../../../agent/ports/visit.ts";
import { type DeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, x25519PublicKey } from "../../../protocol/crypto.ts";
import { answerTime, verifyReport } from "../../../protocol/sync/authority.ts";
import { auditBatch, openAuditBatch } from "../../../protocol/wire/sealing.ts";
import { answerDelegatedTime, issueTimeDelegate } from "../../../protocol/wire/time-delegate.ts";
import { MemoryRadio, type MemoryRadioOptions } from "../../world/memory-radio.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  honestTime,
  lockPrivateKey,
  nextKeys,
  pairingId,
  pairingKeys,
  policyFor,
  policyOf,
  reportKey,
  rootOf,
  signedKeyset,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

interface Visited {
  readonly outcome: VisitOutcome;
  readonly radio: MemoryRadio;
  readonly stored: readonly SealedRun[];
  readonly progress: readonly VisitProgress[];
}

async function visit(
  lock: TinyLock,
  radioOptions: MemoryRadioOptions = {},
  overrides: Partial<VisitOptions> = {},
): Promise<Visited> {
  const clock = new SteppedClock();
  const radio = new MemoryRadio(clock, lock, radioOptions);
  const stored: SealedRun[] = [];
  const progress: VisitProgress[] = [];
  const policy = policyFor(2);
  let outcome: VisitOutcome | undefined;
  let randomCalls = 0;
  const running = runVisit({
    radio,
    address: "C0:FF:EE:00:00:01",
    courier: { staticPrivateKey: new Uint8Array(32).fill(2), certificate: certificateFor() },
    lock: { device: "c1-lobby" as DeviceId, staticPublicKey: x25519PublicKey(lockPrivateKey), pairingId },
    desired: { policy, keyset: signedKeyset(1), bundles: policy.bundles, release: null },
    logFrom: 0,
    askTime: async (nonce) => ({ answer: honestTime(nonce) }),
    storeRun: async (run) => {
      stored.push(run);
    },
    onProgress: (step) => progress.push(step),
    clock,
    random: { bytes: (length) => new Uint8Array(length).fill(++randomCalls), fraction: () => 0.5 },
    ...overrides,
  }).then((result) => {
    outcome = result;
  });
  // Twice the visit's own limit, in steps: whatever happens, it ends by itself.
  for (let step = 0; step < 180 && outcome === undefined; step++) await clock.advance(1_000);
  if (outcome === undefined) throw new Error("the visit never ended");
  await running;
  return { outcome, radio, stored, progress };
}

/** What the authority makes of the runs: the entries' own bytes, in order. */
function opened(stored: readonly SealedRun[]): readonly Uint8Array[] {
  return stored.flatMap(({ from, count, batch }) => {
    const read = auditBatch.decode(batch);
    if (!read.ok) throw new Error(read.fault.code);
    expect(read.value).toMatchObject({ from, count });
    const entries = openAuditBatch(pairingKeys.audit, read.value);
    if (!entries.ok) throw new Error(entries.fault.code);
    return entries.value;
  });
}

describe("a visit", () => {
  it("sets the clock, brings the policy, takes the log and gives the lock's own report", async () => {
    const lock = new TinyLock();
    lock.clock = { ...lock.clock, quality: "unset" };
    lock.addEntries(70);
    const { outcome, stored, radio } = await visit(lock);
    expect(outcome).toMatchObject({
      ok: true,
      from: { epoch: 1, version: 1 },
      battery: { percent: 80 },
      firmware: "1.4.2",
      clock: { written: true },
      logEntries: 70,
      reported: { policy: { epoch: 1, version: 2 } },
    });
    expect(opened(stored)).toEqual(lock.log);
    expect(stored.map(({ from, boot }) => [from, boot])).toEqual([
      [0, 2],
      [64, 2],
    ]);
    expect(lock.policy.root).toEqual(rootOf(policyOf(2)));
    const { report, mac } = outcome.reported ?? { report: new Uint8Array(0), mac: new Uint8Array(0) };
    expect(verifyReport(reportKey, report, mac).ok).toBe(true);
    expect(radio.open).toBe(0);
  });

  it("never sends a frame of more than 244 bytes", async () => {
    const { radio } = await visit(new TinyLock());
    expect(radio.longestFrame).toBeGreaterThan(200);
    expect(radio.longestFrame).toBeLessThanOrEqual(244);
  });

  it.each([1, 2, 3, 4, 5])("comes through reordering, loss and doubles (seed %i)", async (seed) => {
    const lock = new TinyLock();
    lock.addEntries(20);
    const link = { seed, loss: 0.1, duplication: 0.1, reorderDepth: 8 };
    const { outcome, stored } = await visit(lock, { link });
    expect(outcome.ok).toBe(true);
    expect(opened(stored)).toEqual(lock.log);
    expect(lock.policy.version).toBe(2);
  });

  it("goes on without the time when the authority cannot be reached", async () => {
    const lock = new TinyLock();
    const { outcome } = await visit(lock, {}, { askTime: async () => undefined });
    expect(outcome).toMatchObject({ ok: true, clock: null });
    const { outcome: silent } = await visit(new TinyLock(), {}, { askTime: () => new Promise(() => undefined) });
    expect(silent).toMatchObject({ ok: true, clock: null });
  });

  it("a link lost at any frame leaves a named fault, the old or the new policy, and a later visit finishes", async () => {
    for (let cutAfterFrames = 1; cutAfterFrames < 30; cutAfterFrames += 3) {
      const lock = new TinyLock();
      lock.addEntries(3);
      const { outcome, radio } = await visit(lock, { cutAfterFrames });
      if (!outcome.ok) expect(outcome.fault).toMatchObject({ code: "radio", reason: "link-lost" });
      expect([1, 2]).toContain(lock.policy.version);
      expect(radio.open).toBe(0);
      const again = await visit(lock);
      expect(again.outcome.ok).toBe(true);
      expect(lock.policy.version).toBe(2);
    }
  });

  it("says not-found for a lock that does not answer the connection", async () => {
    const { outcome } = await visit(new TinyLock(), { absent: true });
    expect(outcome).toMatchObject({ ok: false, fault: { code: "not-found", reason: "connect-timeout" } });
  });

  it("does not take another lock for this one", async () => {
    const { outcome } = await visit(
      new TinyLock(),
      {},
      {
        lock: {
          device: "c1-lobby" as DeviceId,
          staticPublicKey: x25519PublicKey(new Uint8Array(32).fill(77)),
          pairingId,
        },
      },
    );
    expect(outcome).toMatchObject({ ok: false, fault: { code: "handshake" } });
  });

  it("names the refusal and still brings the log home", async () => {
    const lock = new TinyLock();
    lock.addEntries(4);
    lock.failsToCommit = true;
    const { outcome, stored } = await visit(lock);
    expect(outcome).toMatchObject({ ok: false, fault: { code: "refused", reason: "policy: storage-failed" } });
    expect(outcome.reported?.policy.version).toBe(1);
    expect(opened(stored)).toEqual(lock.log);
  });

  it("tells the lock of no entry that is not on disk", async () => {
    const lock = new TinyLock();
    lock.addEntries(4);
    const { outcome } = await visit(lock, {}, { storeRun: () => Promise.reject(new Error("disk full")) });
    expect(outcome).toMatchObject({ ok: false, fault: { code: "protocol" }, logEntries: 0 });
  });

  it("ends by itself when the lock does not close the link", async () => {
    const { outcome, radio } = await visit(new TinyLock(), { lockStays: true });
    expect(outcome.ok).toBe(true);
    expect(radio.open).toBe(0);
  });

  it("[Y16] brings a delta where it has one that fits, whole in one message, and says that it went over whole", async () => {
    const lock = new TinyLock();
    lock.held = policyOf(1, 200);
    const bundles = [bundleOf(policyOf(2, 201), policyOf(1, 200)), bundleOf(policyOf(2, 201))];
    const desired = { policy: { epoch: 1, version: 2 }, keyset: signedKeyset(1), bundles, release: null };
    const { outcome, progress } = await visit(lock, {}, { desired });
    expect(outcome).toMatchObject({ ok: true, deltaRefused: null });
    expect(lock.policy.root).toEqual(rootOf(policyOf(2, 201)));
    const length = bundles[0]?.bytes.length ?? 0;
    expect(progress.filter(({ step }) => step === "policy")).toEqual([
      { step: "policy", done: 0, of: length },
      { step: "policy", done: length, of: length },
    ]);
    const other = new TinyLock();
    other.held = policyOf(1, 7);
    const { outcome: helped } = await visit(other, {}, { desired });
    expect(helped).toMatchObject({ ok: true, deltaRefused: { refusal: "unknown-base", from: 1 } });
    expect(other.policy.root).toEqual(rootOf(policyOf(2, 201)));
  });

  it("[Y15] brings a lock of an older epoch the keyset, and then what is signed under it", async () => {
    const lock = new TinyLock();
    const policy = { epoch: 2, version: 1 };
    const desired = { policy, keyset: signedKeyset(2), bundles: [bundleOf(policyOf(1, 3, 2))], release: null };
    const courier = { staticPrivateKey: new Uint8Array(32).fill(2), certificate: certificateFor({}, nextKeys) };
    const askTime = async (nonce: Uint8Array) => ({
      answer: answerTime(nextKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 20 }),
    });
    const { outcome } = await visit(lock, {}, { desired, courier, askTime });
    expect(outcome).toMatchObject({ ok: true, from: { epoch: 1, version: 1 }, reported: { policy } });
    expect(lock.pairing.keyset.keyset.epoch).toBe(2);
    expect(lock.policy).toEqual({ ...policy, root: rootOf(policyOf(1, 3, 2)) });
  });

  it("[J1] gives the lock the time of a delegate, with its certificate, when the authority cannot be asked", async () => {
    const lock = new TinyLock();
    lock.clock = { ...lock.clock, quality: "unset" };
    const signingKey = new Uint8Array(32).fill(41);
    const from = unixSeconds(startMs / 1000 - 3_600);
    const delegate = issueTimeDelegate(authorityKeys.time, {
      publicKey: ed25519PublicKey(signingKey),
      holder: "gateway-maple",
      locks: [],
      from,
      notAfter: unixSeconds(from + 86_400),
    });
    const { outcome } = await visit(
      lock,
      {},
      {
        askTime: async (nonce) => {
          const answer = answerDelegatedTime(signingKey, { pairingId, nonce, unixMs: startMs, radiusMs: 100 });
          return { answer, delegate };
        },
      },
    );
    expect(outcome).toMatchObject({ ok: true, clock: { written: true } });
    expect(lock.clock).toMatchObject({ quality: "set", source: "site" });
  });

  it("shows how far it is", async () => {
    const { progress } = await visit(new TinyLock());
    const steps = [...new Set(progress.map(({ step }) => step))];
    expect(steps).toEqual(["connecting", "handshake", "clock", "policy", "report", "closing"]);
    const bundles = [bundleOf(policyOf(2, 3_000))];
    const desired = { policy: { epoch: 1, version: 2 }, keyset: signedKeyset(1), bundles, release: null };
    const { progress: long } = await visit(new TinyLock(), {}, { desired });
    const policy = long.filter(({ step }) => step === "policy");
    // Not all at once: as the frames go out, and never backwards.
    expect(policy.length).toBeGreaterThan(5);
    const done = policy.map((told) => told.done ?? 0);
    expect(done).toEqual([...done].sort((left, right) => left - right));
    expect(done.at(-1)).toBe(policy.at(-1)?.of);
  });
});
