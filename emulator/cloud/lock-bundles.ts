/**
 * What couriers carry to a lock: the snapshot of its newest policy, and a delta from each version that it may still hold where that is
 * worth it. Made once for a version, because the same two policies seal to the same bytes and comparing two large ones takes a while.
 */
import { decodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { type AuthorityKeys, type SealedBundle, sealBundle } from "../../protocol/sync/authority.ts";
import type { PolicyState } from "./authority-state.ts";
import type { KnownPairing } from "./lock-log.ts";

export class LockBundles {
  /** By the very state that they were made of, which is never changed, only replaced. */
  readonly #madeOf = new WeakMap<
    PolicyState,
    { readonly pairingId: string; readonly bundles: readonly SealedBundle[] }
  >();

  /** The deltas, then the snapshot. `roles` are of the policy's own epoch. */
  of(roles: AuthorityKeys, { pairingId, keys }: KnownPairing, state: PolicyState): readonly SealedBundle[] {
    const name = Buffer.from(pairingId).toString("hex");
    const made = this.#madeOf.get(state);
    if (made?.pairingId === name) return made.bundles;
    const next = { policy: readPolicy(state.bundle), notAfter: state.notAfter };
    const snapshot = sealBundle(roles, keys.bundle, pairingId, next);
    assert(snapshot !== undefined, "a policy within its limits makes a snapshot within its own");
    // SPEC Z5: the first policy of an epoch is a snapshot.
    const deltas = state.former
      .filter(({ epoch }) => epoch === state.epoch)
      .map(({ bundle }) => sealBundle(roles, keys.bundle, pairingId, next, readPolicy(bundle)))
      .filter((delta) => delta !== undefined)
      .filter((delta) => delta.bytes.length < snapshot.bytes.length);
    const bundles = [...withinLimit(deltas), snapshot];
    this.#madeOf.set(state, { pairingId: name, bundles });
    return bundles;
  }
}

/** The newest of them, as long as they leave room for the snapshot and for everything else in their message. */
function withinLimit(deltas: readonly SealedBundle[]): readonly SealedBundle[] {
  let left = DELTAS_LIMIT_BYTES;
  const first = deltas.findLastIndex(({ bytes }) => {
    left -= bytes.length;
    return left < 0;
  });
  return deltas.slice(first + 1);
}

function readPolicy(bundle: Uint8Array): LockPolicy {
  const policy = decodePolicy(bundle);
  assert(policy.ok, "the authority reads its own policies");
  return policy.value;
}

/**
 * Of all deltas in one document: in base64 they are 43 KiB, the largest snapshot 342 KiB, 1,000 revocations 95 KiB, manifests and
 * keyset 20 KiB, which is 500 KiB of the 512 that a payload may have.
 */
const DELTAS_LIMIT_BYTES = 32 * 1024;
