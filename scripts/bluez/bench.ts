/** Who meets in the virtual machine, known inside and outside: the lock, its pairing, and what each version of its policy is. */
import { type BenchPairing, benchPairing } from "../../emulator/bench-pairing.ts";
import { benchBundle } from "../../emulator/bench-policy.ts";
import { decodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { parseDeviceId, type UnixSeconds } from "../../protocol/base/units.ts";
import { type SealedBundle, sealBundle } from "../../protocol/sync/authority.ts";
import { auditBatch, openAuditBatch } from "../../protocol/wire/sealing.ts";

const device = parseDeviceId("bench-lock");
assert(device !== undefined, "bench-lock is a device id");

export const benchSeed = 4;
export const benchDevice = device;
export const benchBond: BenchPairing = benchPairing(benchSeed, benchDevice);

export function bundleOf(version: number, credentials: number): Uint8Array {
  return benchBundle(benchBond, { device: benchDevice, version, credentials });
}

/** What a version of the bench's policy is made from. */
export interface BenchVersion {
  readonly version: number;
  readonly credentials: number;
}

/**
 * What a courier carries: the delta from what the lock holds, or the snapshot. How long it is does not depend on `notAfter`. `base`: null
 * for a snapshot.
 */
export function carriedTo(next: BenchVersion, base: BenchVersion | null, notAfter: UnixSeconds): SealedBundle {
  const { authority, keys, record } = benchBond;
  const held = base === null ? undefined : policyOf(base);
  const sealed = sealBundle(authority, keys.bundle, record.pairingId, { policy: policyOf(next), notAfter }, held);
  assert(sealed !== undefined, "the bench's policies fit into a bundle");
  return sealed;
}

/** The entries of a batch as the lock chained them, and the sequence of the first; undefined when the bench's authority cannot open it. */
export function openBatch(
  bytes: Uint8Array,
): { readonly from: number; readonly entries: readonly Uint8Array[] } | undefined {
  const batch = auditBatch.decode(bytes);
  const opened = batch.ok ? openAuditBatch(benchBond.keys.audit, batch.value) : undefined;
  return batch.ok && opened?.ok === true ? { from: batch.value.from, entries: opened.value } : undefined;
}

function policyOf({ version, credentials }: BenchVersion): LockPolicy {
  const policy = decodePolicy(bundleOf(version, credentials));
  assert(policy.ok, "the bench reads its own policies");
  return policy.value;
}
