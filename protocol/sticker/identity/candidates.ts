/**
 * The stickers that may hang on a wall of this site, as codewords ready to be compared: every payload that was ever published,
 * current and retired, of every panel.
 *
 * Theory: a payload has one sequence of codewords at a version and level; only the mask is the printer's choice, and it is taken off
 * what was seen rather than put on each candidate. Bits that another token would leave as they are (address, length, padding) prove
 * nothing about whose the sticker is; `free` marks those that a token which nobody knows sets as if by tossing coins: its MAC and
 * the error correction. Rules: SPEC Q70, Q71.
 */
import { assert, failed, ok, type Result } from "../../base/result.ts";
import { blockPlaces, blockShapes, codewordsToModules, dataCapacity, modulesToCodewords } from "../qr/codewords.ts";
import { type ErrorCorrectionLevel, symbolLayout } from "../qr/layout.ts";
import { parseStickerUrl } from "../token.ts";
import type { PanelRecord } from "../verdict.ts";

export type Candidate = {
  readonly payload: string;
  readonly panel: string;
  readonly epoch: number | undefined;
  readonly standing: "current" | "retired";
};

/** All of one version and level. `words` holds `wordsEach` words of 32 codeword bits for each candidate, in turn. */
export type CandidateBook = {
  readonly version: number;
  readonly level: ErrorCorrectionLevel;
  readonly candidates: readonly Candidate[];
  readonly wordsEach: number;
  readonly words: Uint32Array;
};

export type CandidateFault =
  | { readonly code: "payload-not-alphanumeric"; readonly at: number }
  | { readonly code: "payload-too-long"; readonly length: number; readonly version: number };

/** A list of more would be no site's: 65,536 panels of one sticker each, or 500 panels with 130 epochs. */
export const candidatesMax = 65_536;

/**
 * Makes the book of a site's lists. Payloads that do not fit the version and level are left out: no sticker of that kind carries
 * them. Beyond `candidatesMax` the oldest retired ones are left out.
 */
export function bookCandidates(
  panels: readonly PanelRecord[],
  version: number,
  level: ErrorCorrectionLevel,
): CandidateBook {
  const listed = listCandidates(panels);
  const wordsEach = Math.ceil(symbolLayout(version).codewords / 4);
  const candidates: Candidate[] = [];
  const words = new Uint32Array(listed.length * wordsEach);
  for (const candidate of listed) {
    const codewords = payloadToCodewords(candidate.payload, version, level);
    if (!codewords.ok) continue;
    packBytes(codewords.value, words, candidates.length * wordsEach);
    candidates.push(candidate);
  }
  return { version, level, candidates, wordsEach, words: words.subarray(0, candidates.length * wordsEach) };
}

/** Current ones first, then the retired ones from the newest to the oldest of each panel. */
function listCandidates(panels: readonly PanelRecord[]): readonly Candidate[] {
  const current = panels.flatMap(({ panel, epoch, current: payload }) =>
    payload === null ? [] : [{ payload, panel, epoch, standing: "current" as const }],
  );
  const retired = panels.flatMap(({ panel, retired: payloads }) =>
    payloads.toReversed().map((payload) => ({ payload, panel, epoch: epochOf(payload), standing: "retired" as const })),
  );
  return [...current, ...retired].slice(0, candidatesMax);
}

/**
 * The codewords of one alphanumeric segment, interleaved as they are placed, no mask on them.
 * Faults: payload-not-alphanumeric, payload-too-long. Source: ISO/IEC 18004 clauses 7.4.4, 7.4.10, 7.6; SPEC Q5.
 */
export function payloadToCodewords(
  payload: string,
  version: number,
  level: ErrorCorrectionLevel,
): Result<Uint8Array, CandidateFault> {
  const bad = payload.search(/[^0-9A-Z $%*+\-./:]/);
  if (bad >= 0) return failed({ code: "payload-not-alphanumeric", at: bad });
  const capacity = dataCapacity(version, level);
  const used = segmentHeadBits(version) + 11 * (payload.length >> 1) + 6 * (payload.length % 2);
  if (used > 8 * capacity) return failed({ code: "payload-too-long", length: payload.length, version });
  const data = new Uint8Array(capacity);
  const put = bitWriter(data);
  put(alphanumericMode, 4);
  put(payload.length, segmentHeadBits(version) - 4);
  const valueAt = (at: number) => alphanumericCharacters.indexOf(payload.charAt(at));
  for (let at = 0; at + 1 < payload.length; at += 2) put(45 * valueAt(at) + valueAt(at + 1), 11);
  if (payload.length % 2 === 1) put(valueAt(payload.length - 1), 6);
  // The terminator and the bits to the next codeword are zero already.
  const padFrom = Math.ceil(Math.min(8 * capacity, used + 4) / 8);
  for (let at = padFrom; at < capacity; at++) data[at] = (at - padFrom) % 2 === 0 ? 0xec : 0x11;
  return ok(modulesToCodewords(codewordsToModules(data, version, level, 0), version, 0));
}

/**
 * Of one block: the bits (packed as the book's) that another token sets as if by coins, and of those the error correction. Its
 * error correction repeats what its own MAC bits say, so the block proves no more than those can: `macBits` tosses.
 */
export type FreeBlock = { readonly free: Uint32Array; readonly correction: Uint32Array; readonly macBits: number };

export type FreeBits = {
  readonly blocks: readonly FreeBlock[];
  /** Of the data bits: the address after `HTTPS://` and the token's head, which a token of another MAC shares. */
  readonly shared: Uint32Array;
};

/** The free bits of payloads of one length. The last 16 characters of a payload in minted form are its MAC. */
export function freeBits(book: CandidateBook, payload: string): FreeBits {
  const key = `${book.version}${book.level}${payload.length}`;
  const known = knownFreeBits.get(key);
  if (known !== undefined) return known;
  const { version, level, wordsEach } = book;
  const places = blockPlaces(version, level);
  const shapes = blockShapes(version, level);
  const shared = new Uint32Array(wordsEach);
  const head = segmentHeadBits(version);
  const macFrom = head + 5.5 * (payload.length - macCharacters);
  const macTo = head + 5.5 * payload.length;
  const addressFrom = head + 5.5 * schemeCharacters;
  let dataBit = 0;
  const blocks = places.map((place, block): FreeBlock => {
    const dataCodewords = shapes[block]?.dataCodewords ?? 0;
    const [free, correction] = [new Uint32Array(wordsEach), new Uint32Array(wordsEach)];
    let macBits = 0;
    for (let at = 0; at < 8 * place.length; at++) {
      const bit = 8 * (place[at >> 3] ?? 0) + (at & 7);
      if (at >= 8 * dataCodewords) {
        setBit(free, bit);
        setBit(correction, bit);
        continue;
      }
      if (dataBit >= addressFrom && dataBit < macFrom) setBit(shared, bit);
      if (dataBit >= macFrom && dataBit < macTo) {
        setBit(free, bit);
        macBits++;
      }
      dataBit++;
    }
    return { free, correction, macBits };
  });
  const made = { blocks, shared };
  // A site has payloads of a handful of lengths; hostile lists must not fill the memory.
  if (knownFreeBits.size < freeBitsMax) knownFreeBits.set(key, made);
  return made;
}

/** Packs bytes big end first, 4 to a word. */
function packBytes(bytes: Uint8Array, words: Uint32Array, from: number): void {
  assert(from + Math.ceil(bytes.length / 4) <= words.length, "the words hold the bytes");
  for (const [at, byte] of bytes.entries()) {
    const word = from + (at >> 2);
    words[word] = (words[word] ?? 0) | (byte << (24 - 8 * (at & 3)));
  }
}

export function setBit(words: Uint32Array, bit: number): void {
  words[bit >> 5] = (words[bit >> 5] ?? 0) | (0x80000000 >>> (bit & 31));
}

/** How many of a word's 32 bits are set. Source: the usual sums of pairs, nibbles and bytes. */
export function bitsSet(word: number): number {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return (((sum + (sum >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** Mode and length of an alphanumeric segment. Source: ISO/IEC 18004 table 3. */
function segmentHeadBits(version: number): number {
  return 4 + (version <= 9 ? 9 : version <= 26 ? 11 : 13);
}

function bitWriter(bytes: Uint8Array): (value: number, bits: number) => void {
  let at = 0;
  return (value, bits) => {
    for (let bit = bits - 1; bit >= 0; bit--, at++) {
      if (((value >> bit) & 1) === 1) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (0x80 >> (at & 7));
    }
  };
}

function epochOf(payload: string): number | undefined {
  const parsed = parseStickerUrl(payload);
  return parsed.ok ? parsed.value.token.epoch : undefined;
}

const knownFreeBits = new Map<string, FreeBits>();
const freeBitsMax = 1000;
const alphanumericMode = 2;
const alphanumericCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
// Ten bytes of MAC in Crockford Base32; `HTTPS://` is everybody's.
const macCharacters = 16;
const schemeCharacters = 8;
