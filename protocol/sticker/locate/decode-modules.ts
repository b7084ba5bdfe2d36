/**
 * From how dark each module is to the codewords that were printed. The format is taken by correlation over both copies; each
 * block is corrected with ever more of its least certain codewords given up as erasures (Forney's generalised minimum distance
 * decoding); and what comes out is believed only when chance cannot have made it.
 */

import { blockPlaces, blockShapes, codewordsToModules } from "../qr/codewords.ts";
import { type FormatReading, formatBits, nearestFormats } from "../qr/format.ts";
import {
  type ErrorCorrectionLevel,
  formatPlaces,
  isMasked,
  type MaskPattern,
  moduleRole,
  type SymbolLayout,
  symbolLayout,
} from "../qr/layout.ts";
import { decodeBlock } from "../qr/reed-solomon.ts";
import { readSegments } from "../qr/segments.ts";

export type DecodedModules = {
  readonly version: number;
  readonly level: ErrorCorrectionLevel;
  readonly mask: MaskPattern;
  readonly data: Uint8Array;
  /** The clean symbol: 1 a dark module, row by row. */
  readonly dark: Uint8Array;
  /** Columns and rows of what was sampled are swapped. */
  readonly mirrored: boolean;
  readonly errors: number;
  readonly erasures: number;
  /** Share of the modules, each by how certain it is, that look as the clean symbol says. */
  readonly agreement: number;
};

/** How hard to try: `formats` candidates, `erasureSteps` numbers of erasures a block. */
export type DecodeEffort = { readonly formats: number; readonly erasureSteps: number };

/** `darkness` as `judgeModules` gives it. Undefined when nothing that can be believed comes out. */
export function decodeModules(
  darkness: Float32Array,
  version: number,
  effort: DecodeEffort,
): DecodedModules | undefined {
  const layout = symbolLayout(version);
  const fixed = functionAgreement(darkness, layout);
  if (fixed < functionAgreementMin) return undefined;
  const certainty = certaintyOf(darkness, layout.modules);
  const bits = surpriseBitsMin + surpriseBitsPerFault * (1 - fixed);
  const straight = decodeStanding({ darkness, certainty }, layout, effort, bits);
  if (straight !== undefined) return { ...straight, mirrored: false };
  const turned = { darkness: transposed(darkness, layout.modules), certainty: transposed(certainty, layout.modules) };
  const mirrored = decodeStanding(turned, layout, effort, bits);
  return mirrored === undefined ? undefined : { ...mirrored, mirrored: true };
}

type Judged = { readonly darkness: Float32Array; readonly certainty: Float32Array };

/**
 * How far each module is from the threshold, 0..1, and next to nothing for modules of a patch of one colour: masks leave none, so it
 * is a blob, a hole or glare and says nothing about what was printed.
 */
function certaintyOf(darkness: Float32Array, modules: number): Float32Array {
  const certainty = darkness.map((value) => Math.abs(clip(value)));
  for (const [width, height] of patchShapes) {
    for (let row = 0; row + height <= modules; row++) {
      for (let column = 0; column + width <= modules; column++) {
        if (!isOneColour(darkness, modules, column, row, width, height)) continue;
        for (let y = row; y < row + height; y++) {
          for (let at = y * modules + column; at < y * modules + column + width; at++) {
            certainty[at] = Math.min(certainty[at] ?? 0, patchCertainty * Math.abs(clip(darkness[at] ?? 0)));
          }
        }
      }
    }
  }
  return certainty;
}

function isOneColour(
  darkness: Float32Array,
  modules: number,
  column: number,
  row: number,
  width: number,
  height: number,
): boolean {
  const isDark = (darkness[row * modules + column] ?? 0) > 0;
  for (let y = row; y < row + height; y++) {
    for (let at = y * modules + column; at < y * modules + column + width; at++) {
      if ((darkness[at] ?? 0) > 0 !== isDark) return false;
    }
  }
  return true;
}

/** Share of the finder, separator, timing and alignment modules, by certainty, that look as they must. */
export function functionAgreement(darkness: Float32Array, { roles, functionDark }: SymbolLayout): number {
  let agreeing = 0;
  let total = 0;
  for (let at = 0; at < roles.length; at++) {
    const role = roles[at] ?? 0;
    if (role === moduleRole.data || role === moduleRole.format || role === moduleRole.version) continue;
    const value = clip(darkness[at] ?? 0);
    total += Math.abs(value);
    if (value > 0 === (functionDark[at] === 1)) agreeing += Math.abs(value);
  }
  return total > 0 ? agreeing / total : 0;
}

function decodeStanding(
  judged: Judged,
  layout: SymbolLayout,
  effort: DecodeEffort,
  surpriseBits: number,
): Omit<DecodedModules, "mirrored"> | undefined {
  for (const { level, mask } of likelyFormats(judged.darkness, layout.modules, effort.formats)) {
    const read = correctBlocks(judged, layout, level, mask, effort.erasureSteps);
    if (read === undefined || read.surpriseBits + messageBits(read.data, layout.version) < surpriseBits) continue;
    const dark = codewordsToModules(read.data, layout.version, level, mask);
    const agreement = agreementOf(judged, dark);
    if (agreement < agreementMin) continue;
    const { data, errors, erasures } = read;
    return { version: layout.version, level, mask, data, dark, errors, erasures, agreement };
  }
  return undefined;
}

/**
 * How unlikely chance is to have written such a message, in bits: its padding, and characters that are text. None at all when it is not
 * well formed.
 */
function messageBits(data: Uint8Array, version: number): number {
  const message = readSegments(data, version);
  if (!message.ok || message.value.segments.length === 0) return Number.NEGATIVE_INFINITY;
  let bits = 0;
  for (let at = data.length - 1; at > 0 && bits < paddingBitsMax; at--) {
    const [here, before] = [data[at], data[at - 1]];
    if (!((here === 0xec && before === 0x11) || (here === 0x11 && before === 0xec))) break;
    bits += 8;
  }
  for (const segment of message.value.segments) {
    if (segment.mode !== "byte") continue;
    const printable = segment.bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d);
    if (printable) bits += Math.min(printableBitsMax, 1.4 * segment.bytes.length);
  }
  return bits;
}

/** The formats that both copies together, or one of them alone, resemble most. */
function likelyFormats(darkness: Float32Array, modules: number, wanted: number): readonly FormatReading[] {
  const { first, second } = formatPlaces(modules);
  const copies = [first, second].map((places) =>
    Float64Array.from(places, ({ column, row }) => clip(darkness[row * modules + column] ?? 0)),
  );
  const [one = new Float64Array(15), other = new Float64Array(15)] = copies;
  const ranked = allFormats.map(({ format, signs }) => {
    const inFirst = correlation(one, signs);
    const inSecond = correlation(other, signs);
    return { format, score: inFirst + inSecond, inFirst, inSecond };
  });
  const chosen = new Set<FormatReading>();
  for (const key of ["score", "inFirst", "inSecond"] as const) {
    ranked.sort((a, b) => b[key] - a[key]);
    const best = ranked[0];
    if (best !== undefined && best[key] > (key === "score" ? formatScoreMin : formatCopyScoreMin))
      chosen.add(best.format);
  }
  ranked.sort((a, b) => b.score - a.score);
  for (const { format, score } of ranked.slice(0, wanted)) if (score > formatScoreMin) chosen.add(format);
  return [...chosen].slice(0, wanted);
}

/** 1 when all bits fit with certainty, -1 when none does. */
function correlation(values: Float64Array, signs: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < 15; at++) sum += (values[at] ?? 0) * (signs[at] ?? 0);
  return sum / 15;
}

type CorrectedBlocks = {
  readonly data: Uint8Array;
  readonly errors: number;
  readonly erasures: number;
  /** How unlikely chance is to have made this, as a number of bits: what of the redundancy was not used up. */
  readonly surpriseBits: number;
};

function correctBlocks(
  judged: Judged,
  layout: SymbolLayout,
  level: ErrorCorrectionLevel,
  mask: MaskPattern,
  erasureSteps: number,
): CorrectedBlocks | undefined {
  const { codewords, certainty } = readCodewords(judged, layout, mask);
  const shapes = blockShapes(layout.version, level);
  const places = blockPlaces(layout.version, level);
  const data: number[] = [];
  let errors = 0;
  let erasures = 0;
  let surpriseBits = 0;
  for (const [at, { dataCodewords, correctionCodewords }] of shapes.entries()) {
    const place = places[at] ?? new Uint16Array(0);
    const block = correctBlock(codewords, certainty, place, correctionCodewords, erasureSteps);
    if (block === undefined) return undefined;
    for (let index = 0; index < dataCodewords; index++) data.push(block.codewords[index] ?? 0);
    errors += block.errors;
    erasures += block.erasures;
    surpriseBits += block.surpriseBits;
  }
  return { data: Uint8Array.from(data), errors, erasures, surpriseBits };
}

/** Codewords as they were placed, and for each the certainty of its least certain bit. */
function readCodewords(
  judged: Judged,
  { bitOrder, codewords, modules }: SymbolLayout,
  mask: MaskPattern,
): { readonly codewords: Uint8Array; readonly certainty: Float32Array } {
  const read = new Uint8Array(codewords);
  const certainty = new Float32Array(codewords).fill(Number.POSITIVE_INFINITY);
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const index = bitOrder[bit] ?? 0;
    const word = bit >> 3;
    const sure = judged.certainty[index] ?? 0;
    if ((judged.darkness[index] ?? 0) > 0 !== isMasked(mask, index % modules, Math.floor(index / modules))) {
      read[word] = (read[word] ?? 0) | (0x80 >> (bit & 7));
    }
    if (sure < (certainty[word] ?? 0)) certainty[word] = sure;
  }
  return { codewords: read, certainty };
}

function correctBlock(
  codewords: Uint8Array,
  certainty: Float32Array,
  place: Uint16Array,
  correctionCodewords: number,
  erasureSteps: number,
) {
  const received = Uint8Array.from(place, (index) => codewords[index] ?? 0);
  const clean = decodeBlock(received, correctionCodewords, []);
  if (clean !== undefined) {
    const bits = surpriseOf(received.length, correctionCodewords, clean.errors, 0);
    if (bits >= blockSurpriseBitsMin) return { ...clean, surpriseBits: bits };
  }
  if (erasureSteps === 0) return undefined;
  const doubtful = Array.from(received.keys()).sort(
    (a, b) => (certainty[place[a] ?? 0] ?? 0) - (certainty[place[b] ?? 0] ?? 0),
  );
  const most = correctionCodewords - erasureReserve;
  for (let step = 1; step <= erasureSteps; step++) {
    const count = Math.round((most * step) / erasureSteps);
    if (count < 1) continue;
    const block = decodeBlock(received, correctionCodewords, doubtful.slice(0, count));
    if (block === undefined) continue;
    const bits = surpriseOf(received.length, correctionCodewords, block.errors, count);
    if (bits >= blockSurpriseBitsMin) return { ...block, surpriseBits: bits };
  }
  return undefined;
}

/** Each erasure gives up 8 bits of redundancy, each error 8 more and the choice of its place. */
function surpriseOf(length: number, correctionCodewords: number, errors: number, erasures: number): number {
  let choices = 0;
  for (let at = 0; at < errors; at++) choices += Math.log2((length - erasures - at) / (at + 1));
  return 8 * (correctionCodewords - erasures - errors) - choices;
}

function agreementOf({ darkness, certainty }: Judged, dark: Uint8Array): number {
  let agreeing = 0;
  let total = 0;
  for (let at = 0; at < dark.length; at++) {
    const sure = certainty[at] ?? 0;
    total += sure;
    if ((darkness[at] ?? 0) > 0 === (dark[at] === 1)) agreeing += sure;
  }
  return total > 0 ? agreeing / total : 0;
}

function transposed(values: Float32Array, modules: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++)
      turned[column * modules + row] = values[row * modules + column] ?? 0;
  }
  return turned;
}

function clip(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

function signsOf(places: number): Float64Array {
  return Float64Array.from({ length: 15 }, (_, at) => ((places >> (14 - at)) & 1 ? 1 : -1));
}

const allFormats = nearestFormats(0).map((format) => ({
  format,
  signs: signsOf(formatBits(format.level, format.mask)),
}));
const functionAgreementMin = 0.7;
const formatScoreMin = 0.5;
const formatCopyScoreMin = 0.4;
const erasureReserve = 3;
const blockSurpriseBitsMin = 12;
// Chance makes a right-looking symbol once in 2 to the power of so many; the more of the fixed patterns is wrong, the more is asked.
const surpriseBitsMin = 24;
const surpriseBitsPerFault = 60;
// A patch of this size has one colour by chance once in a thousand places.
const patchShapes = [
  [3, 4],
  [4, 3],
] as const;
const patchCertainty = 0.1;
const paddingBitsMax = 16;
const printableBitsMax = 14;
const agreementMin = 0.8;
