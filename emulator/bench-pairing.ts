/**
 * What a lock on the bench is paired with when no cloud is named: an authority, a door and a pairing that all derive from one
 * seed. Whoever knows the seed can therefore play authority and courier to it; such a lock must never hang on a door.
 */
import { type DeviceId, type UnixSeconds, unixSeconds } from "../protocol/base/units.ts";
import { x25519PublicKey } from "../protocol/crypto.ts";
import {
  type AuthorityKeys,
  authorityKeysFromSeed,
  derivePairingKeys,
  issueCourierCertificate,
  keysetOf,
  type PairingKeys,
  rootKeyFromSeed,
} from "../protocol/sync/authority.ts";
import { rootPublicKey, signKeyset } from "../protocol/wire/keyset.ts";
import type { SignedBlob } from "../protocol/wire/signed-objects.ts";
import type { BenchGrant } from "./device/lock.ts";
import { seededRandom } from "./world/random.ts";

export interface BenchPairing {
  /** Private keys of the bench's authority: the same as those of `doorlink-emulator cloud --seed` with this seed. */
  readonly authority: AuthorityKeys;
  readonly lockStaticPrivateKey: Uint8Array;
  readonly lockStaticPublicKey: Uint8Array;
  /** What the lock keeps of it. */
  readonly record: BenchGrant;
  /** What lock and authority derive alike. */
  readonly keys: PairingKeys;
}

/** The pairing of one device under a seed; the same again for the same two. */
export function benchPairing(seed: number, device: DeviceId): BenchPairing {
  const bytes = (use: string, length: number): Uint8Array => seededRandom(seed, use).bytes(length);
  const authoritySeed = bytes("authority", 32);
  const authority = authorityKeysFromSeed(authoritySeed);
  const rootSeed = rootKeyFromSeed(authoritySeed);
  const lockStaticPrivateKey = lockStaticKey(seed, device);
  const lockStaticPublicKey = x25519PublicKey(lockStaticPrivateKey);
  const pairingId = bytes(`bench/${device}/pairing`, 16);
  const keys = derivePairingKeys(authority.static, lockStaticPublicKey, pairingId);
  if (keys === undefined) throw new Error("a key that was derived is never of low order");
  return {
    authority,
    lockStaticPrivateKey,
    lockStaticPublicKey,
    record: {
      pairingId,
      root: rootPublicKey(rootSeed),
      keyset: signKeyset(rootSeed, keysetOf(authority, BENCH_EPOCH, KEYSET_NOT_AFTER)),
      dailyKeys: [{ keyId: 1, key: bytes(`bench/${device}/daily-key`, 32) }],
    },
    keys,
  };
}

/** The lock's own key: made at the factory, so it does not depend on whom the lock is paired with. */
export function lockStaticKey(seed: number, device: DeviceId): Uint8Array {
  return seededRandom(seed, `lock/${device}/static-key`).bytes(32);
}

/** A courier's certificate for every lock of the bench's authority. */
export function benchCourierCertificate(
  pairing: BenchPairing,
  courierStaticPublicKey: Uint8Array,
  now: UnixSeconds,
): SignedBlob {
  return issueCourierCertificate(pairing.authority, {
    staticPublicKey: courierStaticPublicKey,
    holder: "gateway-bench",
    role: "courier",
    locks: [],
    notAfter: unixSeconds(now + CERTIFICATE_SECONDS),
  });
}

/** The first epoch; a lock on the bench sees no other. */
const BENCH_EPOCH = 1;
/** The year 2100: the keyset of a seed has no date of its own. */
const KEYSET_NOT_AFTER = unixSeconds(4_102_444_800);
const CERTIFICATE_SECONDS = 7 * 86_400;
