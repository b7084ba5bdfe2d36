/** Any QR symbol a wall may carry, ours or not: all versions, levels and masks, alphanumeric or bytes. */
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { codewordsToModules, dataCapacity } from "../../protocol/sticker/qr/codewords.ts";
import { type ErrorCorrectionLevel, type MaskPattern, modulesOfVersion } from "../../protocol/sticker/qr/layout.ts";
import type { SymbolMatrix } from "../../protocol/sticker/symbol.ts";
import type { SeededRandom } from "../world/random.ts";

export type PrintedSymbol = SymbolMatrix & { readonly text: string };

/** The smallest version that holds the text, unless one is named; a text that does not fit is our own mistake. */
export function makeSymbol(
  text: string,
  errorCorrectionLevel: ErrorCorrectionLevel,
  maskPattern: MaskPattern,
  leastVersion = 1,
): PrintedSymbol {
  for (let version = leastVersion; version <= 40; version++) {
    const capacity = dataCapacity(version, errorCorrectionLevel);
    const bits = textToBits(text, version);
    if (bits.length > 8 * capacity) continue;
    const dark = codewordsToModules(padBits(bits, capacity), version, errorCorrectionLevel, maskPattern);
    return { text, modules: modulesOfVersion(version), dark, version, errorCorrectionLevel, maskPattern };
  }
  assert(false, "the text fits a symbol");
}

/** A made-up link such as strangers' stickers carry, with a path of `length` characters. */
export function inventText(random: SeededRandom, length: number): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const word = (size: number) => Array.from({ length: size }, () => letters[random.integer(36)]).join("");
  return `https://${word(4 + random.integer(8))}.example/${word(length)}`;
}

function textToBits(text: string, version: number): number[] {
  const bits: number[] = [];
  const push = (value: number, count: number) => {
    for (let bit = count - 1; bit >= 0; bit--) bits.push((value >> bit) & 1);
  };
  const group = version < 10 ? 0 : version < 27 ? 1 : 2;
  if (/^[0-9A-Z $%*+\-./:]*$/.test(text)) {
    push(0b0010, 4);
    push(text.length, [9, 11, 13][group] ?? 9);
    for (let at = 0; at < text.length; at += 2) {
      const first = alphanumeric.indexOf(text.charAt(at));
      if (at + 1 < text.length) push(45 * first + alphanumeric.indexOf(text.charAt(at + 1)), 11);
      else push(first, 6);
    }
    return bits;
  }
  const bytes = utf8(text);
  push(0b0100, 4);
  push(bytes.length, group === 0 ? 8 : 16);
  for (const byte of bytes) push(byte, 8);
  return bits;
}

/** Terminator, zeros to the byte, then 0xEC 0x11 in turn. Source: ISO/IEC 18004, bit stream to codewords. */
function padBits(bits: readonly number[], capacity: number): Uint8Array {
  const data = new Uint8Array(capacity);
  for (const [at, bit] of bits.entries()) data[at >> 3] = (data[at >> 3] ?? 0) | (bit << (7 - (at & 7)));
  const used = Math.min(capacity, Math.ceil((bits.length + 4) / 8));
  for (let at = used; at < capacity; at++) data[at] = (at - used) % 2 === 0 ? 0xec : 0x11;
  return data;
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
