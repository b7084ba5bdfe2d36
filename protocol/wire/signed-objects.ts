/**
 * The objects that the authority signs for locks and the lock MACs for the authority, as bytes. A courier carries them
 * as they are: `SignedBlob` keeps the very bytes that the signature covers. Each has its own signed type, so that one
 * can never pass for another. Source: SPEC O1-O7, Y10, Y12; PROTOCOL parts 1, 3, 4, 5.
 */
import {
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborChoice,
  cborRecord,
  cborText,
  cborUint,
  field,
  optional,
} from "../base/cbor-record.ts";
import type { UnixMs, UnixSeconds } from "../base/units.ts";
import type { SignedType } from "../crypto.ts";

/** An object's bytes and the Ed25519 signature over its signed type and these bytes. */
export interface SignedBlob {
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

export const signedTypes = {
  courier: "doorlink/1/courier",
  policy: "doorlink/1/policy",
  time: "doorlink/1/time",
  release: "doorlink/1/release",
  unlock: "doorlink/1/unlock",
  app: "doorlink/1/app",
  access: "doorlink/1/access",
} as const satisfies Record<string, SignedType>;

const uint32Max = 0xffffffff;
const unixSecondsField = cborUint<UnixSeconds>(2 ** 40);
const unixMsField = cborUint<UnixMs>(2 ** 50);
const pairingId = cborBytes(16);
const hash = cborBytes(32);
/** `site`: a time delegate set it. */
export const clockSource = cborChoice({ authority: 1, site: 2 });

/** SPEC O2: whom a lock takes as a courier. An empty list of locks means every lock of the site's authority. */
export const courierCertificate = cborRecord({
  staticPublicKey: field(1, cborBytes(32)),
  holder: field(2, cborText(32)),
  role: field(3, cborChoice({ courier: 1, app: 2 })),
  locks: field(4, cborArray(pairingId, 64)),
  notAfter: field(5, unixSecondsField),
});
export type CourierCertificate = CborTypeOf<typeof courierCertificate>;

/**
 * SPEC Y10: a phone that may ask for access as one app credential, until `notAfter`. The phone proves `staticPublicKey`
 * (X25519) by the session and signs each access request with the key of `signingPublicKey` (Ed25519). An empty list of locks
 * means every lock of the authority; what the credential opens stands in the lock's policy, not here.
 */
export const appCertificate = cborRecord({
  staticPublicKey: field(1, cborBytes(32)),
  signingPublicKey: field(2, cborBytes(32)),
  credential: field(3, cborText(32)),
  locks: field(4, cborArray(pairingId, 64)),
  issuedAt: field(5, unixSecondsField),
  notAfter: field(6, unixSecondsField),
});
export type AppCertificate = CborTypeOf<typeof appCertificate>;

/** Bytes of the challenge that a lock gives an app. */
export const CHALLENGE_BYTES = 16;

/** SPEC Y12: what a phone signs to be let in once: this lock, its challenge, and this very session. */
export const accessProof = cborRecord({
  pairingId: field(1, pairingId),
  challenge: field(2, cborBytes(CHALLENGE_BYTES)),
  handshakeHash: field(3, hash),
});
export type AccessProof = CborTypeOf<typeof accessProof>;

/** Bytes of the bundle in one page; the last may be shorter. Half a flash erase block of common lock controllers. */
export const PAGE_BYTES = 2048;
/** A sealed snapshot of 5,000 credentials is about 90 kB (`scripts/bench sync`); more than twice that is refused. */
export const BUNDLE_LIMIT_BYTES = 256 * 1024;

/**
 * SPEC O3: what comes, before any of it is written. `from` 0 says snapshot, otherwise it is the version (of the same epoch) that the
 * delta stands on. `length` and `pageHashes` speak of the bundle as it travels; without hashes it is one page in the manifest's message.
 */
export const policyManifest = cborRecord({
  pairingId: field(1, pairingId),
  epoch: field(2, cborUint(uint32Max)),
  from: field(3, cborUint(uint32Max)),
  to: field(4, cborUint(uint32Max)),
  length: field(5, cborUint(BUNDLE_LIMIT_BYTES)),
  pageHashes: field(6, cborArray(cborBytes(16), BUNDLE_LIMIT_BYTES / PAGE_BYTES)),
  root: field(7, hash),
  notAfter: field(8, unixSecondsField),
});
export type PolicyManifest = CborTypeOf<typeof policyManifest>;

/** SPEC O4: what time it is, for the lock that asked with this nonce. */
export const timeAnswer = cborRecord({
  pairingId: field(1, pairingId),
  nonce: field(2, cborBytes(16)),
  /** Instants of a policy and of a log end in the year 2106; a clock that is set beyond would stop both. */
  unixMs: field(3, cborUint<UnixMs>(0xffffffff * 1_000)),
  radiusMs: field(4, cborUint(60_000)),
});
export type TimeAnswer = CborTypeOf<typeof timeAnswer>;

/** SPEC O5: the authority holds everything up to `through`; the lock may use that part of its ring again. */
export const logRelease = cborRecord({
  pairingId: field(1, pairingId),
  through: field(2, cborUint(uint32Max)),
  chainHead: field(3, hash),
});
export type LogRelease = CborTypeOf<typeof logRelease>;

/** SPEC O6: what a lock holds, MACed under the report key of its pairing. */
export const lockReport = cborRecord({
  pairingId: field(1, pairingId),
  epoch: field(2, cborUint(uint32Max)),
  version: field(3, cborUint(uint32Max)),
  root: field(4, hash),
  bootCount: field(5, cborUint(uint32Max)),
  clock: field(6, cborChoice({ set: 1, "lower-bound": 2, unset: 3 })),
  unixMs: optional(7, unixMsField),
  logNext: field(8, cborUint(uint32Max)),
  chainHead: field(9, hash),
  nonce: field(10, cborBytes(16)),
  /** The oldest entry that the lock keeps for the authority; `logNext` when there is none. What came before is released or lost. */
  logFirst: field(11, cborUint(uint32Max)),
  /** The chain head after the entry before `logFirst`. */
  headBefore: field(12, hash),
  /** The epoch of the keyset that the lock believes; its policy may still be of an older one. */
  keysetEpoch: field(13, cborUint(uint32Max)),
  /** On whose word the clock rests; absent when it is unset. */
  clockSource: optional(14, clockSource),
});
export type LockReport = CborTypeOf<typeof lockReport>;
