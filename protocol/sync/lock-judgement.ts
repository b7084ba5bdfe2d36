/**
 * What a lock makes of the signed things that a courier brings: taken, or refused by name. Pure functions; the session's order, its
 * nonce and its staging are `LockSync`'s. Each makes its checks in the order that the SPEC gives, and the first that fails is the
 * refusal. Source: SPEC Y3-Y7, Z3, Z4, J1.
 */
import type { LockPolicy } from "../access/policy.ts";
import { applyPolicyDelta } from "../access/policy-delta.ts";
import { equalBytes } from "../base/bytes.ts";
import { failed, ok, type Result } from "../base/result.ts";
import type { UnixMs, UnixSeconds } from "../base/units.ts";
import { sha256, verifyTyped } from "../crypto.ts";
import type { Keyset } from "../wire/keyset.ts";
import { bundleHeader, openSealed } from "../wire/sealing.ts";
import {
  type CourierCertificate,
  courierCertificate,
  type LogRelease,
  logRelease,
  PAGE_BYTES,
  type PolicyManifest,
  policyManifest,
  type SignedBlob,
  signedTypes,
  timeAnswer,
} from "../wire/signed-objects.ts";
import type { CourierMessage, Refusal } from "../wire/sync-message.ts";
import { readDelegatedTime } from "../wire/time-delegate.ts";
import { pageHash } from "./authority.ts";
import { acceptKeyset, type HeldKeyset, judgePolicyOrder } from "./keyset.ts";
import type { TimeOffer } from "./lock-clock.ts";

export interface RefusalFault {
  readonly code: Refusal;
}

/** Whose word counts at this lock, and which lock it is. */
export interface KnownAuthority {
  readonly pairingId: Uint8Array;
  readonly keyset: Keyset;
}

/** SPEC Y3: signature, then holder's key, then role, then locks, then end. `sessionKey` is the X25519 key that the session proved. */
export function judgeGreeting(
  { pairingId, keyset }: KnownAuthority,
  sessionKey: Uint8Array,
  blob: SignedBlob,
  judgedAt: UnixSeconds,
): Result<CourierCertificate, RefusalFault> {
  if (!verifyTyped(keyset.courier, signedTypes.courier, blob.bytes, blob.signature)) return refused("bad-signature");
  const read = courierCertificate.decode(blob.bytes);
  if (!read.ok) return refused("malformed-message");
  const { staticPublicKey, role, locks, notAfter } = read.value;
  if (!equalBytes(staticPublicKey, sessionKey)) return refused("wrong-key");
  if (role !== "courier") return refused("not-a-courier");
  if (locks.length > 0 && !locks.some((lock) => equalBytes(lock, pairingId))) return refused("wrong-pairing");
  return judgedAt > notAfter ? refused("expired") : ok(read.value);
}

/** `acceptKeyset`, with its faults by the names that the wire has for them. SPEC Y15, Z2. */
export function judgeKeyset(
  root: Uint8Array,
  held: HeldKeyset,
  blob: SignedBlob,
  judgedAt: UnixSeconds,
): Result<HeldKeyset & { readonly isNew: boolean }, RefusalFault> {
  const accepted = acceptKeyset(root, held, blob, judgedAt);
  return accepted.ok ? accepted : refused(keysetRefusals[accepted.fault.code]);
}

/** What a time message says, before round trip and clock have their say. */
export type OfferedTime =
  | { readonly source: "authority"; readonly unixMs: UnixMs }
  | {
      readonly source: "site";
      readonly unixMs: UnixMs;
      readonly delegation: Extract<TimeOffer, { source: "site" }>["delegation"];
    };

/** SPEC Y4, J1: who answered this session's nonce, and what. `nonce` is undefined when it was answered before. */
export function judgeTime(
  { pairingId, keyset }: KnownAuthority,
  nonce: Uint8Array | undefined,
  message: Extract<CourierMessage, { kind: "time" }>,
): Result<OfferedTime, RefusalFault> {
  const blob = { bytes: message.answer, signature: message.signature };
  const { delegate, delegateSignature } = message;
  if (delegate !== undefined && delegateSignature !== undefined) {
    const certificate = { bytes: delegate, signature: delegateSignature };
    const read = readDelegatedTime(keyset.time, { pairingId, nonce: nonce ?? noNonce }, certificate, blob);
    if (!read.ok) return refused(delegateRefusals[read.fault.code]);
    return ok({ source: "site", unixMs: read.value.unixMs, delegation: read.value.delegation });
  }
  // One without the other is nobody's certificate.
  if (delegate !== undefined || delegateSignature !== undefined) return refused("malformed-message");
  if (!verifyTyped(keyset.time, signedTypes.time, blob.bytes, blob.signature)) return refused("bad-signature");
  const read = timeAnswer.decode(blob.bytes);
  if (!read.ok) return refused("malformed-message");
  if (!equalBytes(read.value.pairingId, pairingId)) return refused("wrong-pairing");
  if (!equalBytes(read.value.nonce, nonce ?? noNonce)) return refused("stale-nonce");
  return ok({ source: "authority", unixMs: read.value.unixMs });
}

/**
 * SPEC Y5: signature, form, pairing, order, end, base. `riding` is the bundle that came along; `held` the version that the lock holds,
 * 0 and 0 for none.
 */
export function judgeManifest(
  { pairingId, keyset }: KnownAuthority,
  held: { readonly epoch: number; readonly version: number },
  blob: SignedBlob,
  riding: Uint8Array | undefined,
  judgedAt: UnixSeconds,
): Result<PolicyManifest, RefusalFault> {
  if (!verifyTyped(keyset.policy, signedTypes.policy, blob.bytes, blob.signature)) return refused("bad-signature");
  const read = policyManifest.decode(blob.bytes);
  if (!read.ok || !isWellFormed(read.value, riding)) return refused("malformed-message");
  const { epoch, to: version, from, notAfter } = read.value;
  if (!equalBytes(read.value.pairingId, pairingId)) return refused("wrong-pairing");
  const order = judgePolicyOrder(keyset.epoch, held, { epoch, version });
  if (!order.ok) return refused(order.fault.code);
  if (judgedAt > notAfter) return refused("expired");
  const standsOnHeld = from === held.version && epoch === held.epoch;
  return from === 0 || standsOnHeld ? ok(read.value) : refused("unknown-base");
}

/** Whether this is the page that comes next after `received` bytes of the bundle. SPEC Y6. */
export function isNextPage(manifest: PolicyManifest, received: number, offset: number, bytes: Uint8Array): boolean {
  const expectedHash = manifest.pageHashes[received / PAGE_BYTES];
  if (offset !== received || expectedHash === undefined) return false;
  return bytes.length === Math.min(PAGE_BYTES, manifest.length - received) && equalBytes(pageHash(bytes), expectedHash);
}

/** The staged bytes as far as they are whole pages that the manifest confirms; flash may have rotted since. SPEC Y6. */
export function wholePages(staged: Uint8Array, manifest: PolicyManifest): Uint8Array {
  let kept = 0;
  for (const expected of manifest.pageHashes) {
    const end = Math.min(kept + PAGE_BYTES, manifest.length);
    if (staged.length < end || !equalBytes(pageHash(staged.subarray(kept, end)), expected)) break;
    kept = end;
  }
  return staged.subarray(0, kept);
}

/**
 * SPEC Y7: seal, delta, root, epoch and version. Gives the new policy as it is encoded. `held` is the policy that the lock holds; a
 * snapshot takes no account of it.
 */
export function openBundle(
  bundleKey: Uint8Array,
  manifest: PolicyManifest,
  sealed: Uint8Array,
  held: LockPolicy | undefined,
): Result<Uint8Array, RefusalFault> {
  const opened = openSealed("bundle", bundleKey, bundleHeader(manifest), sealed);
  if (!opened.ok) return refused("seal-does-not-open");
  const applied = applyPolicyDelta(manifest.from === 0 ? undefined : held, opened.value);
  if (!applied.ok) return refused(applied.fault.code === "wrong-base" ? "unknown-base" : "bad-policy");
  const { policy, bytes } = applied.value;
  if (!equalBytes(sha256(bytes), manifest.root)) return refused("root-mismatch");
  const isAsSaid = policy.epoch === manifest.epoch && policy.version === manifest.to;
  return isAsSaid ? ok(bytes) : refused("bad-policy");
}

/** Signature, form, pairing; whether the chain head fits, the log knows. SPEC Y9. */
export function judgeRelease(
  { pairingId, keyset }: KnownAuthority,
  blob: SignedBlob,
): Result<LogRelease, RefusalFault> {
  if (!verifyTyped(keyset.release, signedTypes.release, blob.bytes, blob.signature)) return refused("bad-signature");
  const read = logRelease.decode(blob.bytes);
  if (!read.ok) return refused("malformed-message");
  return equalBytes(read.value.pairingId, pairingId) ? ok(read.value) : refused("wrong-pairing");
}

function refused(code: Refusal): Result<never, RefusalFault> {
  return failed({ code });
}

/** A bundle that rides along is one page and needs no hash; one that follows has a hash for each of its pages. */
function isWellFormed({ length, pageHashes }: PolicyManifest, riding: Uint8Array | undefined): boolean {
  if (length === 0) return false;
  if (riding !== undefined) return pageHashes.length === 0 && riding.length === length;
  return pageHashes.length === Math.ceil(length / PAGE_BYTES);
}

const keysetRefusals = {
  "bad-signature": "bad-signature",
  "malformed-keyset": "malformed-message",
  "keyset-rollback": "rollback",
  "epoch-reused": "rollback",
  "keyset-expired": "expired",
} as const satisfies Record<string, Refusal>;

const delegateRefusals = {
  "bad-signature": "bad-signature",
  malformed: "malformed-message",
  "delegation-too-long": "malformed-message",
  "wrong-pairing": "wrong-pairing",
  "stale-nonce": "stale-nonce",
} as const satisfies Record<string, Refusal>;

/** Of no length that a nonce has, so nothing is an answer to it. */
const noNonce = new Uint8Array(0);
