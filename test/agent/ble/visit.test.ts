import { describe, expect, it } from "vitest";
import { runVisit } from "../../../agent/ble/visit.ts";
import type { VisitOptions, VisitOutcome, VisitProgress } from "../../../agent/ports/visit.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../../protocol/crypto.ts";
import { verifyReport } from "../../../protocol/sync/authority.ts";
import { MemoryRadio, type MemoryRadioOptions } from "../../world/memory-radio.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";
import {
  certificateFor,
  honestTime,
  lockPrivateKey,
  pairingId,
  policyFor,
  reportKey,
  TinyLock,
} from "../../world/sync-pair.ts";

interface Visited {
  readonly outcome: VisitOutcome;
  readonly radio: MemoryRadio;
  readonly stored: readonly Uint8Array[];
  readonly progress: readonly VisitProgress[];
}

async function visit(
  lock: TinyLock,
  radioOptions: MemoryRadioOptions = {},
  overrides: Partial<VisitOptions> = {},
): Promise<Visited> {
  const clock = new SteppedClock();
  const radio = new MemoryRadio(clock, lock, radioOptions);
  const stored: Uint8Array[] = [];
  const progress: VisitProgress[] = [];
  const policy = policyFor(2);
  let outcome: VisitOutcome | undefined;
  let randomCalls = 0;
  const running = runVisit({
    radio,
    address: "C0:FF:EE:00:00:01",
    courier: { staticPrivateKey: new Uint8Array(32).fill(2), certificate: certificateFor() },
    lock: { device: "c1-lobby" as DeviceId, staticPublicKey: x25519PublicKey(lockPrivateKey), pairingId },
    desired: { policy, manifest: policy.manifest, bundle: policy.bundle, release: null },
    logFrom: 0,
    askTime: async (nonce) => honestTime(nonce),
    storeEntries: async (entries) => {
      stored.push(...entries);
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
    expect(stored).toHaveLength(70);
    expect(lock.policy.root).toEqual(sha256(policyFor(2).bundle));
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
    expect(stored).toHaveLength(20);
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
    expect(stored).toHaveLength(4);
  });

  it("tells the lock of no entry that is not on disk", async () => {
    const lock = new TinyLock();
    lock.addEntries(4);
    const { outcome } = await visit(lock, {}, { storeEntries: () => Promise.reject(new Error("disk full")) });
    expect(outcome).toMatchObject({ ok: false, fault: { code: "protocol" }, logEntries: 0 });
  });

  it("ends by itself when the lock does not close the link", async () => {
    const { outcome, radio } = await visit(new TinyLock(), { lockStays: true });
    expect(outcome.ok).toBe(true);
    expect(radio.open).toBe(0);
  });

  it("shows how far it is", async () => {
    const { progress } = await visit(new TinyLock());
    const steps = [...new Set(progress.map(({ step }) => step))];
    expect(steps).toEqual(["connecting", "handshake", "clock", "policy", "report", "closing"]);
    const policy = progress.filter(({ step }) => step === "policy").at(-1);
    expect(policy?.done).toBe(policy?.of);
  });
});
