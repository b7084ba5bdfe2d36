/**
 * What a lock on the bench is paired with when no cloud is named: an authority, a door and a pairing that all derive from one
 * seed. Whoever knows the seed can therefore play authority and courier to it; such a lock must never hang on a door.
 */
import { type DeviceId, type UnixSeconds, unixSeconds } from "../protocol/base/units.ts";
import { x25519PublicKey } from "../protocol/crypto.ts";
import {
  type AuthorityKeys,
  authorityKeysFromSeed,
  authorityPublicKeys,
  derivePairingKeys,
  issueCourierCertificate,
  type PairingKeys,
} from "../protocol/sync/authority.ts";
import type { SignedBlob } from "../protocol/wire/signed-objects.ts";
import type { PairingRecord } from "./device/lock-store.ts";
import { seededRandom } from "./world/random.ts";

export interface BenchPairing {
  /** Private keys of the bench's authority: the same as those of `doorlink-emulator cloud --seed` with this seed. */
  readonly authority: AuthorityKeys;
  readonly lockStaticPrivateKey: Uint8Array;
  readonly lockStaticPublicKey: Uint8Array;
  /** What the lock keeps of it. */
  readonly record: PairingRecord;
  /** What lock and authority derive alike. */
  readonly keys: PairingKeys;
}

/** The pairing of one device under a seed; the same again for the same two. */
export function benchPairing(seed: number, device: DeviceId): BenchPairing {
  const bytes = (use: string, length: number): Uint8Array => seededRandom(seed, use).bytes(length);
  const authority = authorityKeysFromSeed(bytes("authority", 32));
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
      ...authorityPublicKeys(authority),
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

const CERTIFICATE_SECONDS = 7 * 86_400;
