/**
 * The cryptography of the protocol: SHA-256, HMAC, HKDF, X25519, ChaCha20-Poly1305, Ed25519.
 *
 * This is the only file of `protocol/` that touches `node:crypto`. Everything takes and gives plain Uint8Array.
 * Private keys are their 32 bytes (RFC 7748 scalar, RFC 8032 seed). A private key, nonce or symmetric key of the wrong
 * length is our own mistake and stops the program; a public key, a ciphertext or a signature comes from somebody else, so
 * whatever it is, it gives undefined or false, never a throw.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { concatBytes, utf8 } from "./base/bytes.ts";
import { assert } from "./base/result.ts";

/** What a signature is for: `doorlink/1/policy`, `doorlink/1/time` ... A signature under one type is none under another. */
export type SignedType = `doorlink/1/${string}`;

/** SHA-256 (FIPS 180-4): 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
}

/** HMAC-SHA-256 (RFC 2104, RFC 4231): a key of any length gives 32 bytes. */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  const work = workFor(data.length);
  work.data.set(data);
  return macOf(key, work, data.length, hashBytes);
}

/** The first `length` bytes, 1..32, of the HMAC-SHA-256 of a text in UTF-8. */
export function hmacSha256OfText(key: Uint8Array, text: string, length: number): Uint8Array {
  assert(length >= 1 && length <= hashBytes, "an HMAC-SHA-256 has 32 bytes");
  // UTF-8 takes at most three bytes for each unit of a text.
  const work = workFor(text.length * 3);
  const { written } = encoder.encodeInto(text, work.data);
  return macOf(key, work, written, length);
}

/** HKDF-SHA-256 (RFC 5869), extract and expand: `length` is 1..8160 bytes. */
export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  assert(length >= 1 && length <= hkdfLengthMax, "HKDF gives 1..8160 bytes");
  // node:crypto refuses more than 1,024 bytes of info, RFC 5869 does not; nobody here needs more.
  assert(info.length <= hkdfInfoMax, "HKDF info is at most 1,024 bytes");
  return new Uint8Array(hkdfSync("sha256", secret, salt, info, length));
}

/** The 32-byte X25519 public key of a 32-byte private key (RFC 7748). */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  return rawPublicKey(privateKeyObject(pkcs8X25519, privateKey));
}

/**
 * X25519 (RFC 7748 part 6.1): 32 shared bytes; undefined for a public key that is not 32 bytes or is a point of low order,
 * for which the result would be zero whatever our key is.
 */
export function x25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  const own = privateKeyObject(pkcs8X25519, privateKey);
  if (publicKey.length !== keyLength) return undefined;
  const other = publicKeyObject(spkiX25519, publicKey);
  try {
    return plain(diffieHellman({ privateKey: own, publicKey: other }));
  } catch {
    // OpenSSL fails the derivation for the low-order points alone: both keys are whole X25519 keys here.
    return undefined;
  }
}

/** ChaCha20-Poly1305 (RFC 8439 part 2.8): 32-byte key, 12-byte nonce; gives ciphertext and its 16-byte tag. */
export function chachaSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", symmetricKey(key), sealNonce(nonce), { authTagLength: tagLength });
  cipher.setAAD(associatedData, { plaintextLength: plaintext.length });
  const body = cipher.update(plaintext);
  cipher.final();
  return concatBytes(body, cipher.getAuthTag());
}

/** Opens what `chachaSeal` made: the plaintext, or undefined when it is too short or its tag does not fit. */
export function chachaOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const decipher = createDecipheriv("chacha20-poly1305", symmetricKey(key), sealNonce(nonce), {
    authTagLength: tagLength,
  });
  if (sealed.length < tagLength) return undefined;
  const bodyLength = sealed.length - tagLength;
  decipher.setAAD(associatedData, { plaintextLength: bodyLength });
  decipher.setAuthTag(sealed.subarray(bodyLength));
  const plaintext = plain(decipher.update(sealed.subarray(0, bodyLength)));
  try {
    decipher.final();
  } catch {
    // The one failure `final` has here: the tag does not fit. The plaintext is dropped unseen.
    return undefined;
  }
  return plaintext;
}

/** The 32-byte Ed25519 public key of a 32-byte seed (RFC 8032). */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  return rawPublicKey(privateKeyObject(pkcs8Ed25519, seed));
}

/** Ed25519 (RFC 8032): 64 bytes over the message as it is. Objects of the protocol are signed with `signTyped`. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return plain(sign(null, message, privateKeyObject(pkcs8Ed25519, seed)));
}

/** True only for a right 64-byte signature under a right 32-byte key; any other bytes are false. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== keyLength || signature.length !== signatureLength) return false;
  try {
    return verify(null, message, publicKeyObject(spkiEd25519, publicKey), signature);
  } catch {
    // Some releases of OpenSSL throw for 32 bytes that are no point of the curve instead of saying false.
    return false;
  }
}

/** The bytes that a signature covers: the type in UTF-8, one zero byte, the object's bytes. */
export function signedMessage(type: SignedType, bytes: Uint8Array): Uint8Array {
  assert(signedTypePattern.test(type), "a signed type is doorlink/1/ and lower-case words");
  return concatBytes(utf8(type), zeroByte, bytes);
}

export function signTyped(seed: Uint8Array, type: SignedType, bytes: Uint8Array): Uint8Array {
  return ed25519Sign(seed, signedMessage(type, bytes));
}

/** As `ed25519Verify`, for a signature made by `signTyped` with the same type. */
export function verifyTyped(
  publicKey: Uint8Array,
  type: SignedType,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  return ed25519Verify(publicKey, signedMessage(type, bytes), signature);
}

/** Where an HMAC is put together. */
interface MacWork {
  /** The key's inner block and behind it room for the data. */
  readonly inner: Uint8Array;
  readonly data: Uint8Array;
  /** The key's outer block and behind it the inner hash. */
  readonly outer: Uint8Array;
  /** `inner` with so many bytes of data; empty where it is not worth the while. */
  readonly views: readonly Uint8Array[];
}

/**
 * Two one-shot hashes, as RFC 2104 writes it: node's Hmac makes a key object for each call and takes four times as long, and a Buffer for
 * each hash takes three times as long as its text. The key's two blocks are wiped before this returns.
 */
function macOf(key: Uint8Array, work: MacWork, dataLength: number, length: number): Uint8Array {
  const { inner, outer } = work;
  const short = key.length > hashBlockBytes ? sha256(key) : key;
  for (let index = 0; index < hashBlockBytes; index++) {
    const byte = short[index] ?? 0;
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  const whole = work.views[dataLength] ?? inner.subarray(0, hashBlockBytes + dataLength);
  writeBinary(outer, hashBlockBytes, hashBytes, hash("sha256", whole, "binary"));
  const mac = new Uint8Array(length);
  writeBinary(mac, 0, length, hash("sha256", outer, "binary"));
  whole.fill(0);
  outer.fill(0);
  return mac;
}

/** This module's own memory for short data, as nearly all here is: to take new memory costs more than to hash it. */
function workFor(dataLength: number): MacWork {
  return dataLength <= shortDataMax ? shortWork : { ...macWork(dataLength), views: [] };
}

function shortMacWork(): MacWork {
  const work = macWork(shortDataMax);
  const views = Array.from({ length: shortDataMax + 1 }, (_, length) =>
    work.inner.subarray(0, hashBlockBytes + length),
  );
  return { ...work, views };
}

function macWork(dataLength: number): Omit<MacWork, "views"> {
  const inner = new Uint8Array(hashBlockBytes + dataLength);
  return { inner, data: inner.subarray(hashBlockBytes), outer: new Uint8Array(hashBlockBytes + hashBytes) };
}

/** Writes the first `length` characters of a text that has one byte in each. */
function writeBinary(bytes: Uint8Array, at: number, length: number, text: string): void {
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
}

function privateKeyObject(prefix: Uint8Array, privateKey: Uint8Array): KeyObject {
  assert(privateKey.length === keyLength, "a private key is 32 bytes");
  return createPrivateKey({ key: Buffer.concat([prefix, privateKey]), format: "der", type: "pkcs8" });
}

function publicKeyObject(prefix: Uint8Array, publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: "der", type: "spki" });
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return plain(spki.subarray(spki.length - keyLength));
}

function symmetricKey(key: Uint8Array): Uint8Array {
  assert(key.length === keyLength, "a ChaCha20-Poly1305 key is 32 bytes");
  return key;
}

function sealNonce(nonce: Uint8Array): Uint8Array {
  assert(nonce.length === nonceLength, "a ChaCha20-Poly1305 nonce is 12 bytes");
  return nonce;
}

/** A copy that is no Buffer: a Buffer has other `slice` and `toString`, and may share its memory with strangers. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

const keyLength = 32;
const nonceLength = 12;
const tagLength = 16;
const signatureLength = 64;
/** SHA-256 (FIPS 180-4): it takes 64 bytes at a time and gives 32. */
const hashBlockBytes = 64;
const hashBytes = 32;
/** Codes, card numbers, plates and counters, with what stands before them, are shorter. */
const shortDataMax = 192;
const shortWork = shortMacWork();
const encoder = new TextEncoder();
const hkdfLengthMax = 255 * 32;
const hkdfInfoMax = 1024;
const zeroByte = Uint8Array.of(0);
const signedTypePattern = /^doorlink\/1\/[a-z0-9]+(?:[-/][a-z0-9]+)*$/;

// The fixed DER in front of the 32 bytes of a key (RFC 8410 parts 4 and 7): 1.3.101.110 is X25519, 1.3.101.112 Ed25519.
const pkcs8X25519 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);
const pkcs8Ed25519 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);
const spkiX25519 = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0);
const spkiEd25519 = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0);
