/**
 * Which keys a lock believes: the newest keyset under its pinned root, and what may be ordered under it.
 *
 * Theory of operation. A keyset is taken when the pinned root signed it, its epoch is above the one held, and its end has not come.
 * Everything else that is signed names the epoch under whose keys it was made; it is taken only in the epoch that the lock holds, so a
 * new epoch has to travel first and old keys end with it. Within an epoch versions only rise; a new epoch begins anywhere, so that an
 * authority that was restored from a backup, and no longer knows its newest versions, goes on by a new epoch (SPEC Z2-Z5).
 *
 * A keyset that is held stays in use past its end: locks that could not be visited must not be lost for ever. Whoever wants a key
 * to end brings a new epoch.
 */
import { comparePolicyOrder } from "../access/policy.ts";
import { equalBytes } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { failed, ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { verifyTyped } from "../crypto.ts";
import { KEYSET_LIMIT_BYTES, KEYSET_SIGNED_TYPE, type Keyset, keyset } from "../wire/keyset.ts";
import type { SignedBlob } from "../wire/signed-objects.ts";

/** What a lock keeps: the keyset and the very bytes that were signed. */
export interface HeldKeyset {
  readonly keyset: Keyset;
  readonly bytes: Uint8Array;
}

export type KeysetFault =
  | { readonly code: "bad-signature" }
  | { readonly code: "malformed-keyset"; readonly fault: CborFault }
  | { readonly code: "keyset-rollback"; readonly held: number; readonly offered: number }
  /** The root signed two different keysets of one epoch: the first that came stays. */
  | { readonly code: "epoch-reused"; readonly epoch: number }
  | { readonly code: "keyset-expired"; readonly notAfter: UnixSeconds; readonly judgedAt: UnixSeconds };

/**
 * Judges a keyset that a courier brought, in this order: signature, shape, epoch, end. `judgedAt` is the time by which the lock judges
 * dates. The one that is held already is no fault; `isNew` says whether there is something to store. Source: SPEC Z2.
 */
export function acceptKeyset(
  rootPublicKey: Uint8Array,
  held: HeldKeyset | undefined,
  offered: SignedBlob,
  judgedAt: UnixSeconds,
): Result<HeldKeyset & { readonly isNew: boolean }, KeysetFault> {
  if (!verifyTyped(rootPublicKey, KEYSET_SIGNED_TYPE, offered.bytes, offered.signature)) {
    return failed({ code: "bad-signature" });
  }
  const read = keyset.decode(offered.bytes, { bytesMax: KEYSET_LIMIT_BYTES, depthMax: 1 });
  if (!read.ok) return failed({ code: "malformed-keyset", fault: read.fault });
  const { epoch, notAfter } = read.value;
  if (held !== undefined && epoch < held.keyset.epoch) {
    return failed({ code: "keyset-rollback", held: held.keyset.epoch, offered: epoch });
  }
  if (held !== undefined && epoch === held.keyset.epoch) {
    return equalBytes(held.bytes, offered.bytes)
      ? ok({ ...held, isNew: false })
      : failed({ code: "epoch-reused", epoch });
  }
  if (judgedAt > notAfter) return failed({ code: "keyset-expired", notAfter, judgedAt });
  return ok({ keyset: read.value, bytes: offered.bytes, isNew: true });
}

export type OrderFault =
  /** Its keyset has not come yet: carry that first. */
  | { readonly code: "epoch-not-held"; readonly held: number; readonly offered: number }
  | { readonly code: "rollback"; readonly held: PolicyOrder; readonly offered: PolicyOrder };

export interface PolicyOrder {
  readonly epoch: number;
  readonly version: number;
}

/**
 * Whether a policy may follow the one that is held (undefined: none): it must be of the held keyset's epoch and newer by (epoch,
 * version). Faults: epoch-not-held, rollback. Source: SPEC Z3, Z4.
 */
export function judgePolicyOrder(
  keysetEpoch: number,
  held: PolicyOrder | undefined,
  offered: PolicyOrder,
): Result<PolicyOrder, OrderFault> {
  if (offered.epoch > keysetEpoch) {
    return failed({ code: "epoch-not-held", held: keysetEpoch, offered: offered.epoch });
  }
  // SPEC Z3: keys of an epoch that was replaced sign nothing any more, even if no policy of the new one has come yet.
  const isPast = offered.epoch < keysetEpoch;
  const isNewer = held === undefined || comparePolicyOrder(offered, held) > 0;
  if (isPast || !isNewer)
    return failed({ code: "rollback", held: held ?? { epoch: keysetEpoch, version: 0 }, offered });
  return ok(offered);
}
