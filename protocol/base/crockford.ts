/**
 * Crockford Base32: five bits a character, most significant first; the digits and upper-case letters without I, L, O, U.
 * A last, partial group is filled with zero bits. No check character and no hyphens are written.
 * Source: douglascrockford.com/base32; SPEC Q2.
 */
import { failed, ok, type Result } from "./result.ts";

export type CrockfordFault =
  | { readonly code: "bad-character"; readonly at: number }
  | { readonly code: "bad-length"; readonly length: number }
  | { readonly code: "padding-not-zero" };

/** Writes any bytes: ceil(8 * length / 5) characters. */
export function bytesToCrockford(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let heldBits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    heldBits += 8;
    while (heldBits >= 5) {
      heldBits -= 5;
      text += alphabet.charAt((held >> heldBits) & 31);
    }
    held &= (1 << heldBits) - 1;
  }
  return heldBits > 0 ? text + alphabet.charAt((held << (5 - heldBits)) & 31) : text;
}

/**
 * Reads what `bytesToCrockford` writes, and nothing else: lower case, the look-alikes I L O and hyphens are refused, so
 * that every byte string has exactly one text. See `foldCrockford` for what a person types.
 * Faults: bad-character (with its index), bad-length (no byte string has it), padding-not-zero.
 */
export function crockfordToBytes(text: string): Result<Uint8Array, CrockfordFault> {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  if (Math.ceil((bytes.length * 8) / 5) !== text.length) return failed({ code: "bad-length", length: text.length });
  let held = 0;
  let heldBits = 0;
  let filled = 0;
  for (let at = 0; at < text.length; at++) {
    const value = alphabet.indexOf(text.charAt(at));
    if (value < 0) return failed({ code: "bad-character", at });
    held = (held << 5) | value;
    heldBits += 5;
    if (heldBits >= 8) {
      heldBits -= 8;
      bytes[filled++] = held >> heldBits;
      held &= (1 << heldBits) - 1;
    }
  }
  return held === 0 ? ok(bytes) : failed({ code: "padding-not-zero" });
}

/** Takes what a person typed to the one written form: upper case, I and L are 1, O is 0, hyphens and spaces go. */
export function foldCrockford(typed: string): string {
  return typed.toUpperCase().replace(/[- ]/g, "").replace(/[IL]/g, "1").replace(/O/g, "0");
}

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
