/**
 * The setup code of a lock: what is printed on a card in its box, and nowhere else, as the text of a QR symbol.
 *
 *     DOORLINK: and in Crockford Base32: version u8 = 1 | lock's X25519 public key 32 | secret 16 | root's fingerprint 16 | check 4
 *
 * The fingerprint may be left out: then the lock was made without knowing whose it will be, and takes the root that whoever knows
 * the secret brings. All characters are of the QR alphanumeric mode. The secret has 128 bits, so nobody can try codes; the check (the
 * first 4 bytes of the SHA-256 of what stands before it) tells a misread code from a wrong one. Source: SPEC Z6.
 */

import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { bytesToCrockford, type CrockfordFault, crockfordToBytes } from "../base/crockford.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { hkdfSha256, sha256 } from "../crypto.ts";
import { ROOT_FINGERPRINT_BYTES } from "./keyset.ts";

export interface SetupCode {
  /** The key that the lock was made with. After a factory reset it has another; the secret stays (SPEC Z10). */
  readonly lockPublicKey: Uint8Array;
  /** 16 bytes. */
  readonly secret: Uint8Array;
  /** 16 bytes; absent: any root. */
  readonly rootFingerprint?: Uint8Array;
}

export const SETUP_SECRET_BYTES = 16;
/** Longest text: 9 characters before 69 bytes in base 32. */
export const SETUP_CODE_LIMIT_CHARACTERS = 9 + 111;

export type SetupCodeFault =
  | { readonly code: "not-a-setup-code" }
  | { readonly code: "setup-code-too-long"; readonly length: number; readonly max: number }
  | CrockfordFault
  | { readonly code: "setup-code-version"; readonly expected: number; readonly found: number }
  | { readonly code: "setup-code-length"; readonly found: number }
  | { readonly code: "setup-code-check" }
  /** All bytes of the secret are the same: a lock that was never given one. */
  | { readonly code: "setup-secret-blank" };

export function formatSetupCode({ lockPublicKey, secret, rootFingerprint }: SetupCode): string {
  assert(lockPublicKey.length === 32 && secret.length === SETUP_SECRET_BYTES, "a key of 32 and a secret of 16 bytes");
  assert((rootFingerprint?.length ?? 16) === ROOT_FINGERPRINT_BYTES, "a fingerprint is 16 bytes");
  const body = concatBytes(Uint8Array.of(version), lockPublicKey, secret, rootFingerprint ?? new Uint8Array(0));
  return prefix + bytesToCrockford(concatBytes(body, checkOf(body)));
}

/**
 * Reads exactly what `formatSetupCode` writes. Faults never hold a part of the code: not-a-setup-code, setup-code-too-long,
 * those of Crockford, setup-code-version, setup-code-length, setup-code-check, setup-secret-blank.
 */
export function parseSetupCode(text: string): Result<SetupCode, SetupCodeFault> {
  if (text.length > SETUP_CODE_LIMIT_CHARACTERS) {
    return failed({ code: "setup-code-too-long", length: text.length, max: SETUP_CODE_LIMIT_CHARACTERS });
  }
  if (!text.startsWith(prefix)) return failed({ code: "not-a-setup-code" });
  const read = crockfordToBytes(text.slice(prefix.length));
  if (!read.ok) return read;
  const bytes = read.value;
  const found = bytes[0];
  if (found !== undefined && found !== version) {
    return failed({ code: "setup-code-version", expected: version, found });
  }
  if (bytes.length !== shortBytes && bytes.length !== shortBytes + ROOT_FINGERPRINT_BYTES) {
    return failed({ code: "setup-code-length", found: bytes.length });
  }
  const body = bytes.subarray(0, -checkBytes);
  if (!equalBytes(checkOf(body), bytes.subarray(-checkBytes))) return failed({ code: "setup-code-check" });
  const secret = body.slice(33, 33 + SETUP_SECRET_BYTES);
  if (secret.every((byte) => byte === secret[0])) return failed({ code: "setup-secret-blank" });
  const rootFingerprint = body.slice(33 + SETUP_SECRET_BYTES);
  return ok({ lockPublicKey: body.slice(1, 33), secret, ...(rootFingerprint.length === 0 ? {} : { rootFingerprint }) });
}

/** The 32-byte preshared key of the pairing session (Noise XXpsk3). It rests on the secret alone, so that it outlives a factory reset. */
export function setupPresharedKey(secret: Uint8Array): Uint8Array {
  assert(secret.length === SETUP_SECRET_BYTES, "a setup secret is 16 bytes");
  return hkdfSha256(secret, new Uint8Array(0), utf8("doorlink/1/setup/psk"), 32);
}

function checkOf(body: Uint8Array): Uint8Array {
  return sha256(body).subarray(0, checkBytes);
}

const prefix = "DOORLINK:";
const version = 1;
const checkBytes = 4;
const shortBytes = 1 + 32 + SETUP_SECRET_BYTES + checkBytes;
