/** Small helpers on byte strings. Everything here is pure and takes and gives Uint8Array. */
import { assert } from "./result.ts";

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Equality in a time that depends on the lengths alone, so that a comparison with a secret tells nothing. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index++) {
    difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  }
  return difference === 0;
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** How many bytes `utf8` gives for a text. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a pair counts two; a half without its other is replaced by three bytes.
    if (unit < 0x800 || isPairedHalf(text, index)) length += 1;
    else length += 2;
  }
  return length;
}

function isPairedHalf(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  if (isHighHalf(unit)) return isLowHalf(text.charCodeAt(index + 1));
  return isLowHalf(unit) && index > 0 && isHighHalf(text.charCodeAt(index - 1));
}

function isHighHalf(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLowHalf(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

/** Big-endian u32 of a whole number 0..2^32-1. */
export function u32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Reads a big-endian u32 at `offset`; the caller has checked that four bytes are there. */
export function readU32(bytes: Uint8Array, offset: number): number {
  assert(offset >= 0 && offset + 4 <= bytes.length, "four bytes are there to read");
  // No DataView: to ask a short array for its buffer moves it to memory of its own, which takes as long as a hash.
  return readU16(bytes, offset) * 0x1_0000 + readU16(bytes, offset + 2);
}

function readU16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

export function bytesToHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Reads lower- or upper-case hex; odd length or another character gives undefined. */
export function hexToBytes(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}

export function bytesToBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Reads standard, padded base64; anything else gives undefined. */
export function base64ToBytes(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

const encoder = new TextEncoder();
