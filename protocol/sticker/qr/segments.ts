/**
 * The message inside a symbol's data codewords: segments by mode, then the terminator and padding. Used to confirm a read (a
 * wrongly corrected symbol has no well-formed message) and to get the bytes of texts that are not UTF-8.
 * Source: ISO/IEC 18004 clause 7.4.
 */
import { failed, ok, type Result } from "../../base/result.ts";

/**
 * `designator`: the ECI assignment that was in force, undefined for the default. `kanji` bytes are Shift JIS.
 */
export type Segment = {
  readonly mode: "numeric" | "alphanumeric" | "byte" | "kanji";
  readonly bytes: Uint8Array;
  readonly designator: number | undefined;
};

export type Message = {
  readonly segments: readonly Segment[];
  /** Position in a message of several symbols (structured append), undefined when it stands alone. */
  readonly append: { readonly at: number; readonly of: number; readonly parity: number } | undefined;
  /** True when FNC1 marks the message as one of GS1 or another application. */
  readonly fnc1: boolean;
  /**
   * True when after the terminator only zero bits to the next codeword, and then 0xEC and 0x11 in turns follow, as every encoder
   * must write them. Some printed symbols of careless encoders do not.
   */
  readonly paddingHolds: boolean;
};

export type MessageFault =
  | { readonly code: "unknown-mode"; readonly mode: number; readonly atBit: number }
  | { readonly code: "ends-too-early"; readonly atBit: number }
  | { readonly code: "value-out-of-range"; readonly atBit: number };

/**
 * Reads a message. Faults: unknown-mode, ends-too-early (a segment is longer than what is left), value-out-of-range (a numeric or
 * alphanumeric group that no encoder writes). Never throws.
 */
export function readSegments(data: Uint8Array, version: number): Result<Message, MessageFault> {
  const bits: BitReader = { data, at: 0 };
  const segments: Segment[] = [];
  let append: Message["append"];
  let fnc1 = false;
  let designator: number | undefined;
  while (bitsLeft(bits) >= 4) {
    const atBit = bits.at;
    const mode = takeBits(bits, 4);
    if (mode === modeNumbers.terminator) break;
    if (mode === modeNumbers.append) {
      if (bitsLeft(bits) < 16) return failed({ code: "ends-too-early", atBit });
      append = { at: takeBits(bits, 4), of: takeBits(bits, 4) + 1, parity: takeBits(bits, 8) };
    } else if (mode === modeNumbers.fnc1First || mode === modeNumbers.fnc1Second) {
      fnc1 = true;
      if (mode === modeNumbers.fnc1Second) takeBits(bits, Math.min(8, bitsLeft(bits)));
    } else if (mode === modeNumbers.designator) {
      const taken = takeDesignator(bits);
      if (taken === undefined) return failed({ code: "ends-too-early", atBit });
      designator = taken;
    } else {
      const name = segmentModes.get(mode);
      if (name === undefined) return failed({ code: "unknown-mode", mode, atBit });
      const bytes = takeSegment(bits, name, version);
      if (!bytes.ok) return bytes;
      segments.push({ mode: name, bytes: bytes.value, designator });
    }
  }
  return ok({ segments, append, fnc1, paddingHolds: paddingHolds(bits) });
}

type BitReader = { readonly data: Uint8Array; at: number };

function bitsLeft(bits: BitReader): number {
  return 8 * bits.data.length - bits.at;
}

function takeBits(bits: BitReader, count: number): number {
  let value = 0;
  for (let bit = 0; bit < count; bit++, bits.at++) {
    value = (value << 1) | (((bits.data[bits.at >> 3] ?? 0) >> (7 - (bits.at & 7))) & 1);
  }
  return value;
}

function takeSegment(bits: BitReader, mode: Segment["mode"], version: number): Result<Uint8Array, MessageFault> {
  const atBit = bits.at;
  const lengthBits = countBits[mode][version <= 9 ? 0 : version <= 26 ? 1 : 2];
  if (bitsLeft(bits) < lengthBits) return failed({ code: "ends-too-early", atBit });
  const count = takeBits(bits, lengthBits);
  if (segmentBits(mode, count) > bitsLeft(bits)) return failed({ code: "ends-too-early", atBit });
  const bytes = takeCharacters(bits, mode, count);
  return bytes === undefined ? failed({ code: "value-out-of-range", atBit }) : ok(bytes);
}

function segmentBits(mode: Segment["mode"], count: number): number {
  switch (mode) {
    case "numeric":
      return 10 * Math.floor(count / 3) + (count % 3 === 0 ? 0 : 1 + 3 * (count % 3));
    case "alphanumeric":
      return 11 * Math.floor(count / 2) + 6 * (count % 2);
    case "byte":
      return 8 * count;
    case "kanji":
      return 13 * count;
  }
}

function takeCharacters(bits: BitReader, mode: Segment["mode"], count: number): Uint8Array | undefined {
  switch (mode) {
    case "numeric":
      return takeNumeric(bits, count);
    case "alphanumeric":
      return takeAlphanumeric(bits, count);
    case "byte":
      return Uint8Array.from({ length: count }, () => takeBits(bits, 8));
    case "kanji":
      return takeKanji(bits, count);
  }
}

function takeNumeric(bits: BitReader, count: number): Uint8Array | undefined {
  const digits: number[] = [];
  for (let left = count; left > 0; left -= 3) {
    const size = Math.min(3, left);
    const value = takeBits(bits, 1 + 3 * size);
    if (value >= 10 ** size) return undefined;
    for (const digit of String(value).padStart(size, "0")) digits.push(digit.charCodeAt(0));
  }
  return Uint8Array.from(digits);
}

function takeAlphanumeric(bits: BitReader, count: number): Uint8Array | undefined {
  const characters = new Uint8Array(count);
  for (let at = 0; at < count; at += 2) {
    const isPair = at + 1 < count;
    const value = takeBits(bits, isPair ? 11 : 6);
    if (value >= (isPair ? 45 * 45 : 45)) return undefined;
    if (isPair) characters[at] = alphanumericCharacters.charCodeAt(Math.floor(value / 45));
    characters[isPair ? at + 1 : at] = alphanumericCharacters.charCodeAt(value % 45);
  }
  return characters;
}

function takeKanji(bits: BitReader, count: number): Uint8Array {
  const bytes = new Uint8Array(2 * count);
  for (let at = 0; at < count; at++) {
    const value = takeBits(bits, 13);
    const packed = (Math.floor(value / 0xc0) << 8) | (value % 0xc0);
    const shiftJis = packed + (packed < 0x1f00 ? 0x8140 : 0xc140);
    bytes[2 * at] = shiftJis >> 8;
    bytes[2 * at + 1] = shiftJis & 0xff;
  }
  return bytes;
}

/** One to three bytes by their leading bits; undefined when they are not all there. */
function takeDesignator(bits: BitReader): number | undefined {
  if (bitsLeft(bits) < 8) return undefined;
  const first = takeBits(bits, 8);
  if ((first & 0x80) === 0) return first;
  const more = (first & 0xc0) === 0x80 ? 8 : 16;
  if (bitsLeft(bits) < more) return undefined;
  return ((more === 8 ? first & 0x3f : first & 0x1f) << more) | takeBits(bits, more);
}

function paddingHolds(bits: BitReader): boolean {
  while (bits.at % 8 !== 0) if (takeBits(bits, 1) !== 0) return false;
  for (let at = bits.at >> 3, turn = 0; at < bits.data.length; at++, turn++) {
    if (bits.data[at] !== (turn % 2 === 0 ? 0xec : 0x11)) return false;
  }
  return true;
}

const modeNumbers = { terminator: 0, append: 3, fnc1First: 5, designator: 7, fnc1Second: 9 } as const;
const segmentModes: ReadonlyMap<number, Segment["mode"]> = new Map([
  [1, "numeric"],
  [2, "alphanumeric"],
  [4, "byte"],
  [8, "kanji"],
]);
// Source: ISO/IEC 18004 table 3: versions 1-9, 10-26, 27-40.
const countBits = {
  numeric: [10, 12, 14],
  alphanumeric: [9, 11, 13],
  byte: [8, 16, 16],
  kanji: [8, 10, 12],
} as const;
const alphanumericCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
