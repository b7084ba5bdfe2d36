/**
 * Between the modules of a symbol and its codewords: reading and placing bits under a mask, taking blocks apart and together,
 * correcting them. Source: ISO/IEC 18004 clauses 7.5, 7.6, 7.7 and table 9.
 */
import { failed, ok, type Result } from "../../base/result.ts";
import { formatBits, versionBits } from "./format.ts";
import {
  type ErrorCorrectionLevel,
  formatPlaces,
  isMasked,
  type MaskPattern,
  type SymbolLayout,
  symbolLayout,
  versionInformationFrom,
  versionPlaces,
} from "./layout.ts";
import { decodeBlock, encodeBlock } from "./reed-solomon.ts";

/** One block: how many of its codewords are data, how many correct them. */
export type BlockShape = { readonly dataCodewords: number; readonly correctionCodewords: number };

/** What the correction of one block took. */
export type BlockRepair = BlockShape & { readonly errors: number; readonly erasures: number };

export type CorrectedCodewords = {
  /** Data codewords in the order of the message. */
  readonly data: Uint8Array;
  readonly blocks: readonly BlockRepair[];
};

export type CorrectionFault = { readonly code: "not-correctable"; readonly block: number };

/** The blocks of a version and level, short ones first as the standard has them. */
export function blockShapes(version: number, level: ErrorCorrectionLevel): readonly BlockShape[] {
  const codewords = symbolLayout(version).codewords;
  const blocks = blockCounts[level][version - 1] ?? 1;
  const correctionCodewords = (correctionTotals[level][version - 1] ?? 0) / blocks;
  const longBlocks = codewords % blocks;
  const dataCodewords = Math.floor(codewords / blocks) - correctionCodewords;
  return Array.from({ length: blocks }, (_, at) => ({
    dataCodewords: dataCodewords + (at >= blocks - longBlocks ? 1 : 0),
    correctionCodewords,
  }));
}

/** Data codewords of a version at a level, all blocks together. */
export function dataCapacity(version: number, level: ErrorCorrectionLevel): number {
  return symbolLayout(version).codewords - (correctionTotals[level][version - 1] ?? 0);
}

/** Reads all codewords as they were placed (interleaved), the mask taken off. `dark`: 1 a dark module, row by row. */
export function modulesToCodewords(dark: Uint8Array, version: number, mask: MaskPattern): Uint8Array {
  const { bitOrder, codewords, modules } = symbolLayout(version);
  const read = new Uint8Array(codewords);
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const index = bitOrder[bit] ?? 0;
    const isOne = (dark[index] === 1) !== isMasked(mask, index % modules, Math.floor(index / modules));
    if (isOne) read[bit >> 3] = (read[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  }
  return read;
}

/**
 * Corrects codewords as `modulesToCodewords` gives them. `erased[i]` is 1 where codeword i (interleaved order) is not to be
 * trusted; where a block has more of those than it can carry, the caller should have chosen fewer.
 * Faults: not-correctable with the first block that is beyond repair.
 */
export function correctCodewords(
  interleaved: Uint8Array,
  version: number,
  level: ErrorCorrectionLevel,
  erased?: Uint8Array,
): Result<CorrectedCodewords, CorrectionFault> {
  const shapes = blockShapes(version, level);
  const places = blockPlaces(version, level);
  const data = new Uint8Array(dataCapacity(version, level));
  const blocks: BlockRepair[] = [];
  let filled = 0;
  for (const [at, shape] of shapes.entries()) {
    const place = places[at] ?? new Uint16Array(0);
    const received = Uint8Array.from(place, (index) => interleaved[index] ?? 0);
    const erasures: number[] = [];
    if (erased !== undefined) {
      for (const [position, index] of place.entries()) if (erased[index] === 1) erasures.push(position);
    }
    const corrected = decodeBlock(received, shape.correctionCodewords, erasures);
    if (corrected === undefined) return failed({ code: "not-correctable", block: at });
    data.set(corrected.codewords.subarray(0, shape.dataCodewords), filled);
    filled += shape.dataCodewords;
    blocks.push({ ...shape, errors: corrected.errors, erasures: corrected.erasures });
  }
  return ok({ data, blocks });
}

/**
 * For each block, where its codewords (data, then correction) stand in the interleaved order.
 */
export function blockPlaces(version: number, level: ErrorCorrectionLevel): readonly Uint16Array[] {
  const key = `${version}${level}`;
  const known = knownPlaces.get(key);
  if (known !== undefined) return known;
  const shapes = blockShapes(version, level);
  const places = shapes.map((shape) => new Uint16Array(shape.dataCodewords + shape.correctionCodewords));
  let next = 0;
  const longest = Math.max(...shapes.map((shape) => shape.dataCodewords));
  for (let at = 0; at < longest; at++) {
    for (const [block, shape] of shapes.entries()) {
      if (at < shape.dataCodewords) (places[block] ?? places[0])?.set([next++], at);
    }
  }
  const corrections = shapes[0]?.correctionCodewords ?? 0;
  for (let at = 0; at < corrections; at++) {
    for (const [block, shape] of shapes.entries())
      (places[block] ?? places[0])?.set([next++], shape.dataCodewords + at);
  }
  knownPlaces.set(key, places);
  return places;
}

/** The whole clean symbol of data codewords: 1 a dark module, row by row. `data` must fill the level's capacity. */
export function codewordsToModules(
  data: Uint8Array,
  version: number,
  level: ErrorCorrectionLevel,
  mask: MaskPattern,
): Uint8Array {
  const layout = symbolLayout(version);
  const interleaved = interleave(data, version, level);
  const dark = Uint8Array.from(layout.functionDark);
  for (const [bit, index] of layout.bitOrder.entries()) {
    const isOne = (((interleaved[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
    if (isOne !== isMasked(mask, index % layout.modules, Math.floor(index / layout.modules))) dark[index] = 1;
  }
  placeFormat(dark, layout, formatBits(level, mask));
  if (version >= versionInformationFrom) placeVersion(dark, layout, versionBits(version));
  return dark;
}

function interleave(data: Uint8Array, version: number, level: ErrorCorrectionLevel): Uint8Array {
  const places = blockPlaces(version, level);
  const interleaved = new Uint8Array(symbolLayout(version).codewords);
  let taken = 0;
  for (const [at, shape] of blockShapes(version, level).entries()) {
    const part = data.subarray(taken, taken + shape.dataCodewords);
    taken += shape.dataCodewords;
    const correction = encodeBlock(part, shape.correctionCodewords);
    for (const [position, index] of (places[at] ?? new Uint16Array(0)).entries()) {
      interleaved[index] =
        (position < shape.dataCodewords ? part[position] : correction[position - shape.dataCodewords]) ?? 0;
    }
  }
  return interleaved;
}

function placeFormat(dark: Uint8Array, layout: SymbolLayout, bits: number): void {
  const { first, second } = formatPlaces(layout.modules);
  for (const places of [first, second]) {
    for (const [at, { column, row }] of places.entries()) dark[row * layout.modules + column] = (bits >> (14 - at)) & 1;
  }
}

function placeVersion(dark: Uint8Array, layout: SymbolLayout, bits: number): void {
  const { first, second } = versionPlaces(layout.modules);
  for (const places of [first, second]) {
    for (const [at, { column, row }] of places.entries()) dark[row * layout.modules + column] = (bits >> (17 - at)) & 1;
  }
}

const knownPlaces = new Map<string, readonly Uint16Array[]>();

// Source: ISO/IEC 18004 table 9, versions 1..40.
// biome-ignore-start format: a table reads better ten to a line
const blockCounts = {
  L: [
    1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19,
    20, 21, 22, 24, 25,
  ],
  M: [
    1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33,
    35, 37, 38, 40, 43, 45, 47, 49,
  ],
  Q: [
    1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20, 23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45,
    48, 51, 53, 56, 59, 62, 65, 68,
  ],
  H: [
    1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25, 25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51,
    54, 57, 60, 63, 66, 70, 74, 77, 81,
  ],
} as const;
const correctionTotals = {
  L: [
    7, 10, 15, 20, 26, 36, 40, 48, 60, 72, 80, 96, 104, 120, 132, 144, 168, 180, 196, 224, 224, 252, 270, 300, 312, 336,
    360, 390, 420, 450, 480, 510, 540, 570, 570, 600, 630, 660, 720, 750,
  ],
  M: [
    10, 16, 26, 36, 48, 64, 72, 88, 110, 130, 150, 176, 198, 216, 240, 280, 308, 338, 364, 416, 442, 476, 504, 560, 588,
    644, 700, 728, 784, 812, 868, 924, 980, 1036, 1064, 1120, 1204, 1260, 1316, 1372,
  ],
  Q: [
    13, 22, 36, 52, 72, 96, 108, 132, 160, 192, 224, 260, 288, 320, 360, 408, 448, 504, 546, 600, 644, 690, 750, 810,
    870, 952, 1020, 1050, 1140, 1200, 1290, 1350, 1440, 1530, 1590, 1680, 1770, 1860, 1950, 2040,
  ],
  H: [
    17, 28, 44, 64, 88, 112, 130, 156, 192, 224, 264, 308, 352, 384, 432, 480, 532, 588, 650, 700, 750, 816, 900, 960,
    1050, 1110, 1200, 1260, 1350, 1440, 1530, 1620, 1710, 1800, 1890, 1980, 2100, 2220, 2310, 2430,
  ],
} as const;
// biome-ignore-end format: a table reads better ten to a line
