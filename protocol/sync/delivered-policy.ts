/**
 * A policy that comes whole, as a networked device gets it in its `desired`: the checks of a door sync without the pages. Whoever
 * carried it proves nothing; the authority's signature, the order and the root do. Source: SPEC O3, M15.
 */
import { comparePolicyOrder, decodePolicy, type LockPolicy } from "../access/policy.ts";
import { equalBytes } from "../base/bytes.ts";
import { failed, ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { sha256, verifyTyped } from "../crypto.ts";
import { policyManifest, type SignedBlob, signedTypes } from "../wire/signed-objects.ts";

export interface DeliveredPolicy {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
  readonly bundle: Uint8Array;
  readonly policy: LockPolicy;
}

export type DeliveryFault = {
  readonly code:
    | "bad-signature"
    | "malformed-manifest"
    | "wrong-pairing"
    | "rollback"
    | "expired"
    | "unknown-base"
    | "root-mismatch"
    | "bad-policy";
};

/** What the device knows: pinned at its enrolment, held, and shown by its clock. */
export interface DeliveryFacts {
  readonly pairingId: Uint8Array;
  /** The authority's Ed25519 public key for policies. */
  readonly policyKey: Uint8Array;
  readonly holds: { readonly epoch: number; readonly version: number };
  readonly now: UnixSeconds;
}

/** Takes a policy only if it is the authority's, for this device, newer than the one held, in date and whole. Faults in the order of the checks. */
export function verifyDelivery(
  manifestBlob: SignedBlob,
  bundle: Uint8Array,
  { pairingId, policyKey, holds, now }: DeliveryFacts,
): Result<DeliveredPolicy, DeliveryFault> {
  if (!verifyTyped(policyKey, signedTypes.policy, manifestBlob.bytes, manifestBlob.signature)) {
    return failed({ code: "bad-signature" });
  }
  const read = policyManifest.decode(manifestBlob.bytes);
  if (!read.ok) return failed({ code: "malformed-manifest" });
  const { epoch, to: version, from, root, length, notAfter } = read.value;
  if (!equalBytes(read.value.pairingId, pairingId)) return failed({ code: "wrong-pairing" });
  if (comparePolicyOrder({ epoch, version }, holds) <= 0) return failed({ code: "rollback" });
  if (now > notAfter) return failed({ code: "expired" });
  if (from !== 0) return failed({ code: "unknown-base" });
  // The root covers every page, so the pages' own hashes have nothing to add where all of it came at once.
  if (bundle.length !== length || !equalBytes(sha256(bundle), root)) return failed({ code: "root-mismatch" });
  const policy = decodePolicy(bundle);
  // What the device will order by must be what the authority signed for it.
  const isSame = policy.ok && policy.value.epoch === epoch && policy.value.version === version;
  return policy.ok && isSame
    ? ok({ epoch, version, root, bundle, policy: policy.value })
    : failed({ code: "bad-policy" });
}
