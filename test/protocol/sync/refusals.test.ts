/**
 * Every refusal that the wire has a number for, each brought about once. The record is typed by the list itself, so a refusal
 * that is added without a test does not compile.
 */
import { describe, expect, it } from "vitest";
import type { LockPolicy } from "../../../protocol/access/policy.ts";
import { diffPolicy, encodePolicyDelta } from "../../../protocol/access/policy-delta.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, signTyped } from "../../../protocol/crypto.ts";
import { bundlePages, pageHash, signRelease } from "../../../protocol/sync/authority.ts";
import { bundleHeader, seal } from "../../../protocol/wire/sealing.ts";
import { type PolicyManifest, policyManifest, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage, type Refusal, refusalNumbers } from "../../../protocol/wire/sync-message.ts";
import { answerDelegatedTime, issueTimeDelegate } from "../../../protocol/wire/time-delegate.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  clockThat,
  HostileVisit,
  honestTime,
  loadOf,
  pairingId,
  pairingKeys,
  policyFor,
  policyOf,
  rootOf,
  runSync,
  startMs,
  startsAt,
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
  (lock) =>
    new HostileVisit(lock).tell(...messages).flatMap((answer) => (answer.kind === "refused" ? [answer.refusal] : []));

const greeting = ((): Uint8Array => {
  const { bytes: certificate, signature } = certificateFor();
  return courierMessage.encode({ kind: "greet", certificate, signature });
})();

/** The manifest of version 2 and its bundle, signed and sealed by the authority, with something in it changed. */
function manifestWith(
  change: Partial<PolicyManifest>,
  content: Uint8Array = encodePolicyDelta(diffPolicy(undefined, policyOf(2))),
): SyncOptions {
  const head = {
    pairingId,
    epoch: 1,
    from: 0,
    to: 2,
    root: rootOf(policyOf(2)),
    notAfter: unixSeconds(startMs / 1000 + 60),
    ...change,
  };
  const bytes = seal("bundle", pairingKeys.bundle, bundleHeader(head), content);
  const pages = bundlePages(bytes);
  const manifest = policyManifest.encode({
    ...head,
    length: bytes.length,
    pageHashes: pages.length === 1 ? [] : pages.map(pageHash),
  });
  const signature = signTyped(authorityKeys.policy, signedTypes.policy, manifest);
  return { load: { policy: loadOf({ from: 0, manifest: { bytes: manifest, signature }, bytes }, 2) } };
}

const changePages = (message: Uint8Array): Uint8Array => {
  const read = courierMessage.decode(message);
  if (!read.ok || read.value.kind !== "page") return message;
  return courierMessage.encode({ ...read.value, bytes: read.value.bytes.map((byte) => byte ^ 1) });
};

const changeRiding = (message: Uint8Array): Uint8Array => {
  const read = courierMessage.decode(message);
  if (!read.ok || read.value.kind !== "manifest" || read.value.bundle === undefined) return message;
  return courierMessage.encode({ ...read.value, bundle: read.value.bundle.map((byte) => byte ^ 1) });
};

/** A gateway that may tell the time from `fromSeconds` on for `forSeconds`, and what it tells, all from the start of the run. */
function delegated(fromSeconds: number, forSeconds: number, tellsSeconds: number): SyncOptions {
  const seed = new Uint8Array(32).fill(31);
  const from = unixSeconds(startMs / 1000 + fromSeconds);
  return {
    delegate: issueTimeDelegate(authorityKeys.time, {
      publicKey: ed25519PublicKey(seed),
      holder: "gateway-maple",
      locks: [],
      from,
      notAfter: unixSeconds(from + forSeconds),
    }),
    time: (nonce) =>
      answerDelegatedTime(seed, { pairingId, nonce, unixMs: unixMs(startMs + tellsSeconds * 1_000), radiusMs: 5 }),
  };
}

const small = (version: number): LockPolicy => policyOf(version, 0);

const caseByRefusal: Record<Refusal, Case> = {
  "malformed-message": told(Uint8Array.of(0xff)),
  "unexpected-message": told(courierMessage.encode({ kind: "finish" })),
  "bad-signature": visit({ load: { certificate: { ...certificateFor(), signature: new Uint8Array(64) } } }),
  "wrong-pairing": visit({ load: { certificate: certificateFor({ locks: [new Uint8Array(16)] }) } }),
  "wrong-key": visit({ load: { certificate: certificateFor({ staticPublicKey: new Uint8Array(32).fill(8) }) } }),
  "not-a-courier": visit({ load: { certificate: certificateFor({ role: "app" }) } }),
  expired: visit({ load: { certificate: certificateFor({ notAfter: unixSeconds(startMs / 1000 - 1) }) } }),
  rollback: visit({ load: { policy: loadOf(bundleOf(policyOf(1)), 2) } }),
  "epoch-not-held": visit({
    load: { policy: loadOf(bundleOf(policyOf(1, 0, 2), undefined, { keys: authorityKeys }), 1, 2) },
  }),
  // The courier offers as a snapshot what the authority signed as a delta from a version that this lock does not hold.
  "unknown-base": visit({ load: { policy: loadOf({ ...bundleOf(small(4), small(3)), from: 0 }, 4) } }),
  "page-mismatch": visit({ load: { policy: policyFor(2) }, tamper: changePages }),
  "seal-does-not-open": visit({ load: { policy: loadOf(bundleOf(small(2)), 2) }, tamper: changeRiding }),
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
  "delegation-expired": visit(delegated(-7_200, 3_600, -3_601)),
  "beyond-delegation": visit(delegated(-3_600, 7_200, 7_200)),
  backwards: (lock) => {
    lock.clock = clockThat({ shows: unixMs(startMs + 60_000) });
    return visit(delegated(-3_600, 7_200, 0))(lock);
  },
  "too-soon": (lock) => {
    lock.clock = { ...clockThat({ shows: unixMs(startMs) }), delegatedAt: startsAt };
    return visit(delegated(-3_600, 7_200, 60))(lock);
  },
};

describe("what a lock refuses", () => {
  it.each(Object.entries(caseByRefusal))("[Y1] by name, and holds what it held: %s", (refusal, refused) => {
    const lock = new TinyLock();
    const before = lock.policy;
    expect(refused(lock)).toEqual([refusal]);
    expect(lock.policy).toEqual(before);
    expect(lock.logFirst).toBe(0);
    expect(lock.actions.map(({ kind }) => kind)).not.toContain("keep-keyset");
  });

  it("[Y1] no refusal of the wire is without such a test", () => {
    expect(Object.keys(caseByRefusal).sort()).toEqual(Object.keys(refusalNumbers).sort());
  });

  it("[Y7] root-mismatch: every page has its signed hash and the whole has not its signed root, so nothing is committed", () => {
    const lock = new TinyLock();
    const run = runSync(lock, manifestWith({ root: new Uint8Array(32).fill(7) }));
    expect(run.events).toContainEqual({ kind: "refused", step: "policy", refusal: "root-mismatch" });
    const actions = lock.actions.map(({ kind }) => kind);
    expect(actions).toContain("stage");
    expect(actions).not.toContain("commit");
    // The very same policy under its own root is taken.
    runSync(lock, manifestWith({}));
    expect(lock.policy).toMatchObject({ version: 2, root: rootOf(policyOf(2)) });
  });
});
