/**
 * Every refusal that the wire has a number for, each brought about once. The record is typed by the list itself, so a refusal
 * that is added without a test does not compile.
 */
import { describe, expect, it } from "vitest";
import { monotonicMs, unixSeconds } from "../../../protocol/base/units.ts";
import { sha256, signTyped } from "../../../protocol/crypto.ts";
import { bundlePages, pageHash, signManifest, signRelease } from "../../../protocol/sync/authority.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { type PolicyManifest, policyManifest, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage, type Refusal, refusalNumbers } from "../../../protocol/wire/sync-message.ts";
import {
  authorityKeys,
  certificateFor,
  courierKey,
  honestTime,
  pairing,
  pairingId,
  policyFor,
  runSync,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

type SyncOptions = NonNullable<Parameters<typeof runSync>[1]>;

/** How the refusal comes about at this lock; gives what the lock refused. */
type Case = (lock: TinyLock) => readonly Refusal[];

const visit =
  (options: SyncOptions): Case =>
  (lock) =>
    runSync(lock, options).events.flatMap((event) => (event.kind === "refused" ? [event.refusal] : []));

/** The lock's answers to messages that no honest courier sends in this order. */
const told =
  (...messages: readonly Uint8Array[]): Case =>
  (lock) => {
    const sync = new LockSync(pairing, courierKey, new Uint8Array(16).fill(9));
    for (const message of messages) sync.receive(message, lock.facts(), monotonicMs(0));
    return sync.takeMessages().flatMap((bytes) => {
      const answer = lockMessage.decode(bytes);
      return answer.ok && answer.value.kind === "refused" ? [answer.value.refusal] : [];
    });
  };

const greeting = ((): Uint8Array => {
  const { bytes: certificate, signature } = certificateFor();
  return courierMessage.encode({ kind: "greet", certificate, signature });
})();

/** The manifest of version 2, signed by the authority, with something in it changed. */
function manifestWith(change: Partial<PolicyManifest>, bundle = policyFor(2).bundle): SyncOptions {
  const manifest = policyManifest.encode({
    pairingId,
    epoch: 1,
    from: 0,
    to: 2,
    length: bundle.length,
    pageHashes: bundlePages(bundle).map(pageHash),
    root: sha256(bundle),
    notAfter: unixSeconds(startMs / 1000 + 60),
    ...change,
  });
  const signature = signTyped(authorityKeys.policy, signedTypes.policy, manifest);
  return { load: { policy: { epoch: 1, version: 2, manifest: { bytes: manifest, signature }, bundle } } };
}

const changePages = (message: Uint8Array): Uint8Array => {
  const read = courierMessage.decode(message);
  if (!read.ok || read.value.kind !== "page") return message;
  return courierMessage.encode({ ...read.value, bytes: read.value.bytes.map((byte) => byte ^ 1) });
};

const caseByRefusal: Record<Refusal, Case> = {
  "malformed-message": told(Uint8Array.of(0xff)),
  "unexpected-message": told(courierMessage.encode({ kind: "finish" })),
  "bad-signature": visit({ load: { certificate: { ...certificateFor(), signature: new Uint8Array(64) } } }),
  "wrong-pairing": visit({ load: { certificate: certificateFor({ locks: [new Uint8Array(16)] }) } }),
  "wrong-key": visit({ load: { certificate: certificateFor({ staticPublicKey: new Uint8Array(32).fill(8) }) } }),
  "not-a-courier": visit({ load: { certificate: certificateFor({ role: "app" }) } }),
  expired: visit({ load: { certificate: certificateFor({ notAfter: unixSeconds(startMs / 1000 - 1) }) } }),
  rollback: visit({ load: { policy: { ...policyFor(1), version: 2 } } }),
  "unknown-base": visit(manifestWith({ from: 1 })),
  "page-mismatch": visit({ load: { policy: policyFor(2) }, tamper: changePages }),
  "root-mismatch": visit(manifestWith({ root: new Uint8Array(32).fill(7) })),
  "bad-policy": visit(manifestWith({}, new Uint8Array(3_000).fill(7))),
  "stale-nonce": visit({ time: () => honestTime(new Uint8Array(16)) }),
  "round-trip-too-long": visit({ roundTripMs: 2_001 }),
  "chain-mismatch": (lock) => {
    lock.addEntries(3);
    const release = signRelease(authorityKeys, { pairingId, through: 1, chainHead: new Uint8Array(32) });
    return visit({ load: { release } })(lock);
  },
  "storage-failed": (lock) => {
    lock.failsToCommit = true;
    return visit({ load: { policy: policyFor(2) } })(lock);
  },
  "not-an-app": told(greeting, courierMessage.encode({ kind: "access-request", signature: new Uint8Array(64) })),
};

describe("what a lock refuses", () => {
  it.each(Object.entries(caseByRefusal))("[Y1] by name, and holds what it held: %s", (refusal, refused) => {
    const lock = new TinyLock();
    const before = lock.policy;
    expect(refused(lock)).toEqual([refusal]);
    expect(lock.policy).toEqual(before);
    expect(lock.logFirst).toBe(0);
  });

  it("[Y1] no refusal of the wire is without such a test", () => {
    expect(Object.keys(caseByRefusal).sort()).toEqual(Object.keys(refusalNumbers).sort());
  });

  it("[Y7] root-mismatch: every page has its signed hash and the whole has not its signed root, so nothing is committed", () => {
    const lock = new TinyLock();
    const options = manifestWith({ root: new Uint8Array(32).fill(7) });
    const run = runSync(lock, options);
    expect(run.events).toContainEqual({ kind: "refused", step: "policy", refusal: "root-mismatch" });
    const actions = lock.actions.map(({ kind }) => kind);
    expect(actions).toContain("stage");
    expect(actions).not.toContain("commit");
    // The very same pages under their own root are taken.
    const { bundle } = policyFor(2);
    const notAfter = unixSeconds(startMs / 1000 + 60);
    const manifest = signManifest(authorityKeys, { pairingId, epoch: 1, version: 2, bundle, notAfter });
    runSync(lock, { load: { policy: { epoch: 1, version: 2, manifest, bundle } } });
    expect(lock.policy).toMatchObject({ version: 2, root: sha256(bundle) });
  });
});
