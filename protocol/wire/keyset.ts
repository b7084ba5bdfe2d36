/**
 * The keyset: which keys speak for a site's authority, signed by an offline root that each lock pinned when it was paired.
 *
 * The roles are those of TUF (theupdateframework.io, specification part 2): one root that seldom signs and never travels, and a
 * key for each thing that is signed daily. A new epoch replaces all of them at once. Source: SPEC Z1; PROTOCOL part 1.
 */
import { type CborTypeOf, cborBytes, cborInt, cborRecord, cborUint, field } from "../base/cbor-record.ts";
import type { UnixSeconds } from "../base/units.ts";
import { ed25519PublicKey, sha256, signTyped } from "../crypto.ts";
import type { SignedBlob } from "./signed-objects.ts";

export const KEYSET_SIGNED_TYPE = "doorlink/1/keyset";
/** Six keys of 32 bytes with their heads, epoch and end: 220 bytes at most. */
export const KEYSET_LIMIT_BYTES = 256;
/** Bytes of a root's fingerprint: as many as make a second key with the same one out of reach. */
export const ROOT_FINGERPRINT_BYTES = 16;

const publicKey = cborBytes(32);

export const keyset = cborRecord({
  epoch: field(1, cborInt(1, 0xffffffff)),
  /** Until when a lock may take it; one that is held stays in use. */
  notAfter: field(2, cborUint<UnixSeconds>(2 ** 40)),
  policy: field(3, publicKey),
  time: field(4, publicKey),
  release: field(5, publicKey),
  unlock: field(6, publicKey),
  courier: field(7, publicKey),
  /** The X25519 key that new pairings are made with; those that stand keep the one they were made with. */
  static: field(8, publicKey),
});
export type Keyset = CborTypeOf<typeof keyset>;

/** Signs a keyset with the root's 32-byte seed, away from every machine that is on a network. */
export function signKeyset(rootSeed: Uint8Array, value: Keyset): SignedBlob {
  const bytes = keyset.encode(value);
  return { bytes, signature: signTyped(rootSeed, KEYSET_SIGNED_TYPE, bytes) };
}

/** The first 128 bits of the SHA-256 of a root's public key. */
export function rootFingerprint(rootPublicKey: Uint8Array): Uint8Array {
  return sha256(rootPublicKey).subarray(0, ROOT_FINGERPRINT_BYTES);
}

/** The public key of a root's seed. */
export function rootPublicKey(rootSeed: Uint8Array): Uint8Array {
  return ed25519PublicKey(rootSeed);
}
