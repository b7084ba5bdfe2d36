/**
 * The claim string of a networked device: what an operator gives it, as text or as a QR symbol, so that it can ask this site's gateway for
 * a certificate, and knows whom to ask.
 *
 *     DOORLINK-CLAIM: and in Crockford Base32: version u8 = 1 | one-time code 16 | hash of the site CA's public key 32 | serial 1-40 | check 4
 *
 * The hash is the SHA-256 of the key's SubjectPublicKeyInfo in DER; the serial is the device's own, in the characters of QR's alphanumeric
 * mode without the space and `$ % * + :`. The check (the first 4 bytes of the SHA-256 of what stands before it) tells a misread string from a
 * refused one. The code is a secret until it is used; the string opens no door. Source: SPEC I1.
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { bytesToCrockford, type CrockfordFault, crockfordToBytes } from "../base/crockford.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { sha256 } from "../crypto.ts";

export interface Claim {
  /** `[A-Z0-9./-]{1,40}`. */
  readonly serial: string;
  /** 16 bytes, used once. */
  readonly code: Uint8Array;
  /** 32 bytes. */
  readonly authorityHash: Uint8Array;
}

export const CLAIM_CODE_BYTES = 16;
export const AUTHORITY_HASH_BYTES = 32;
export const CLAIM_PREFIX = "DOORLINK-CLAIM:";
const SERIAL_LIMIT = 40;
/** Longest text: 15 characters before 93 bytes in base 32. */
export const CLAIM_LIMIT_CHARACTERS = 15 + 149;

export type ClaimFault =
  | { readonly code: "not-a-claim" }
  | { readonly code: "claim-too-long"; readonly length: number; readonly max: number }
  | CrockfordFault
  | { readonly code: "claim-version"; readonly expected: number; readonly found: number }
  | { readonly code: "claim-length"; readonly found: number }
  | { readonly code: "claim-check" }
  | { readonly code: "claim-serial" };

export function formatClaim({ serial, code, authorityHash }: Claim): string {
  assert(code.length === CLAIM_CODE_BYTES && authorityHash.length === AUTHORITY_HASH_BYTES, "a code and a hash");
  assert(isClaimSerial(serial), "a serial of [A-Z0-9./-]{1,40}");
  const body = concatBytes(Uint8Array.of(version), code, authorityHash, utf8(serial));
  return CLAIM_PREFIX + bytesToCrockford(concatBytes(body, checkOf(body)));
}

/**
 * Reads exactly what `formatClaim` writes. Faults never hold a part of the string: not-a-claim, claim-too-long, those of Crockford,
 * claim-version, claim-length, claim-check, claim-serial.
 */
export function parseClaim(text: string): Result<Claim, ClaimFault> {
  if (text.length > CLAIM_LIMIT_CHARACTERS) {
    return failed({ code: "claim-too-long", length: text.length, max: CLAIM_LIMIT_CHARACTERS });
  }
  if (!text.startsWith(CLAIM_PREFIX)) return failed({ code: "not-a-claim" });
  const read = crockfordToBytes(text.slice(CLAIM_PREFIX.length));
  if (!read.ok) return read;
  const bytes = read.value;
  const found = bytes[0];
  if (found !== undefined && found !== version) return failed({ code: "claim-version", expected: version, found });
  if (bytes.length <= fixedBytes + checkBytes) return failed({ code: "claim-length", found: bytes.length });
  const body = bytes.subarray(0, -checkBytes);
  if (!equalBytes(checkOf(body), bytes.subarray(-checkBytes))) return failed({ code: "claim-check" });
  const serial = String.fromCharCode(...body.subarray(fixedBytes));
  if (!isClaimSerial(serial)) return failed({ code: "claim-serial" });
  return ok({
    serial,
    code: body.slice(1, 1 + CLAIM_CODE_BYTES),
    authorityHash: body.slice(1 + CLAIM_CODE_BYTES, fixedBytes),
  });
}

/** Whether a device's serial can stand in a claim string. */
export function isClaimSerial(text: string): boolean {
  return serialPattern.test(text);
}

function checkOf(body: Uint8Array): Uint8Array {
  return sha256(body).subarray(0, checkBytes);
}

const version = 1;
const checkBytes = 4;
const fixedBytes = 1 + CLAIM_CODE_BYTES + AUTHORITY_HASH_BYTES;
const serialPattern = new RegExp(`^[A-Z0-9./-]{1,${SERIAL_LIMIT}}$`);
