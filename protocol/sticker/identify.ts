/**
 * Which of the known stickers hangs there? Proved by comparison with all of them, long after decoding fails.
 *
 * Rules: SPEC Q70-Q76. Theory: to read a symbol, error correction must rebuild every bit of it; to recognise one of a few thousand
 * known symbols it is enough that far more bits agree than chance would make agree. Only `free` bits count (candidates.ts): with
 * another token of the same address they fall like tossed coins. If `n` of them are seen and `k` agree, chance does that at most with
 * probability exp(-n D(k/n || 1/2)) (Chernoff's bound); the exponent is the `strength`, in nats. What is demanded is that chance fools us less
 * than once in a thousand million looks, after paying for every candidate, mask and region that was tried.
 */

import {
  bitsSet,
  bookCandidates,
  type Candidate,
  type CandidateBook,
  type FreeBits,
  freeBits,
  setBit,
} from "./identity/candidates.ts";
import { findWrongRegion, isInRegion, type ModuleRegion, moduleFit, regionPrice } from "./identity/region.ts";
import { coverCore, largestPart, mixing, moduleCover, segmentModules } from "./identity/segment.ts";
import { maskPatterns, nearestFormats } from "./qr/format.ts";
import {
  type ErrorCorrectionLevel,
  formatPlaces,
  isMasked,
  type MaskPattern,
  moduleRole,
  symbolLayout,
} from "./qr/layout.ts";
import type { PanelRecord } from "./verdict.ts";

/** What was seen of a symbol, row by row as it was printed: 1 a dark module; 1 where that can be told at all. */
export type SeenModules = {
  readonly version: number;
  readonly dark: Uint8Array;
  readonly known: Uint8Array;
};

export type IdentityVerdict = "current" | "retired" | "misplaced" | "foreign" | "overlay" | "unreadable";

/**
 * `proved`: a known sticker. `two-regions`: a known sticker, and on a part of it something else with dark and light modules.
 * `another-code`: a whole symbol that is none of ours. `another-token`: our address, but a token nobody listed. `one-part-differs`: a
 * listed sticker in all but one block, which damage does not do. `no-structure`: no symbol stands there. `too-little-left`: a symbol, but ours
 * would not be recognised either. `grid-unsure`: the modules' grid does not fit what is seen. `no-list`: nothing to compare with.
 */
export type IdentityReason =
  | "proved"
  | "two-regions"
  | "another-code"
  | "another-token"
  | "one-part-differs"
  | "no-structure"
  | "too-little-left"
  | "grid-unsure"
  | "no-list";

export type SymbolIdentity = {
  readonly verdict: IdentityVerdict;
  readonly reason: IdentityReason;
  /** The known sticker that was recognised (with `overlay`: the one that is covered in part). */
  readonly candidate: Candidate | undefined;
  readonly mask: MaskPattern | undefined;
  /** Share of the known data modules that agree with the best candidate. */
  readonly agreement: number;
  /** How sure, in nats, and what was demanded: chance does it less than once in exp(strength) looks. */
  readonly strength: number;
  readonly required: number;
  /** Estimated share of the symbol's modules that say nothing any more, 0..1. */
  readonly destroyed: number;
  /** With `overlay`: where the other thing lies, in modules as the symbol was printed. */
  readonly region: ModuleRegion | undefined;
};

/** The rate of being fooled by chance that is allowed for one look at one symbol. Source: SPEC Q71. */
const falseAcceptMax = 1e-9;

/**
 * Recognises the sticker. `expectedPanel`: where it should hang; undefined: any panel of the site will do. Never throws.
 * Source: SPEC Q70-Q76.
 */
export function identifyModules(seen: SeenModules, book: CandidateBook, expectedPanel?: string): SymbolIdentity {
  const structure = judgeStructure(seen);
  const bits = packSeen(seen);
  const comparisons = Math.max(1, book.candidates.length) * maskPatterns.length;
  const required = Math.log(comparisons) - Math.log(falseAcceptMax);
  const matches = nearestCandidates(bits, book).map((near) => weigh(seen, bits, book, near));
  matches.sort((a, b) => b.strength - a.strength);
  const best = matches[0];
  const about = { required, destroyed: structure.destroyed };
  if (best === undefined) {
    const reason = structure.strength < structureMin ? "no-structure" : "no-list";
    return { ...about, ...nothing, verdict: "unreadable", reason };
  }
  const measured = { ...about, agreement: best.agreement, strength: best.strength };
  if (best.strength >= required) {
    const recognised = { ...measured, candidate: best.candidate, mask: best.mask, destroyed: best.destroyed };
    if (onePartDiffers(best)) {
      return { ...recognised, candidate: undefined, verdict: "foreign", reason: "one-part-differs", region: undefined };
    }
    const region = overlaidRegion(best, seen);
    if (region !== undefined) return { ...recognised, verdict: "overlay", reason: "two-regions", region };
    return { ...recognised, verdict: standingOf(best.candidate, expectedPanel), reason: "proved", region: undefined };
  }
  const unrecognised = { ...nothing, ...measured };
  if (structure.strength < structureMin) return { ...unrecognised, verdict: "unreadable", reason: "no-structure" };
  // SPEC Q75: "foreign" may be said only where our own, as damaged as this one's fixed patterns are, would have been recognised.
  if (expectedStrength(seen, bits, book, structure) < powerMargin * required) {
    return { ...unrecognised, verdict: "unreadable", reason: "too-little-left" };
  }
  const ours = best.sharedStrength >= sharedMin;
  return { ...unrecognised, verdict: "foreign", reason: ours ? "another-token" : "another-code" };
}

/**
 * Makes the books that a look at a symbol needs: at the site's version and level, or at those that the symbol shows. Undefined level: its
 * format information cannot be trusted.
 */
export function booksFor(
  panels: readonly PanelRecord[],
  seen: SeenModules,
  siteLevel: ErrorCorrectionLevel,
): readonly CandidateBook[] {
  const shown = readLevel(seen);
  const levels = shown === undefined || shown === siteLevel ? [siteLevel] : [siteLevel, shown];
  return levels.map((level) => bookCandidates(panels, seen.version, level));
}

/** How surely a symbol's fixed patterns stand there, in nats: for choosing between ways to lay the same modules. */
export function structureStrength(seen: SeenModules): number {
  return judgeStructure(seen).strength;
}

function standingOf(candidate: Candidate, expectedPanel: string | undefined): "current" | "retired" | "misplaced" {
  // As in verdict.ts: that a code is dead matters before that it is misplaced.
  if (candidate.standing === "retired") return "retired";
  return expectedPanel !== undefined && expectedPanel !== candidate.panel ? "misplaced" : "current";
}

/** The symbol's data bits in the order of its codewords, still masked. */
type WrongRegion = NonNullable<ReturnType<typeof findWrongRegion>>;

type SeenBits = { readonly dark: Uint32Array; readonly known: Uint32Array; readonly knownCount: number };

function packSeen({ version, dark, known }: SeenModules): SeenBits {
  const { bitOrder, codewords } = symbolLayout(version);
  const size = Math.ceil(codewords / 4);
  const packed = { dark: new Uint32Array(size), known: new Uint32Array(size), knownCount: 0 };
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const at = bitOrder[bit] ?? 0;
    if (known[at] !== 1) continue;
    setBit(packed.known, bit);
    packed.knownCount++;
    if (dark[at] === 1) setBit(packed.dark, bit);
  }
  return packed;
}

type Near = { readonly index: number; readonly mask: MaskPattern; readonly differing: number };

/** The candidates, each with its best mask, that differ in the fewest bits. */
function nearestCandidates(bits: SeenBits, book: CandidateBook): readonly Near[] {
  const { wordsEach, words, candidates } = book;
  const nearest: Near[] = [];
  let worst = Number.POSITIVE_INFINITY;
  for (const mask of maskPatterns) {
    const unmasked = maskWords(book.version, mask).map((word, at) => word ^ (bits.dark[at] ?? 0));
    for (let index = 0; index < candidates.length; index++) {
      const from = index * wordsEach;
      let differing = 0;
      for (let at = 0; at < wordsEach; at++) {
        differing += bitsSet(((unmasked[at] ?? 0) ^ (words[from + at] ?? 0)) & (bits.known[at] ?? 0));
      }
      if (differing >= worst && nearest.length >= nearestMax) continue;
      nearest.push({ index, mask, differing });
      nearest.sort((a, b) => a.differing - b.differing);
      if (nearest.length > nearestMax) nearest.pop();
      worst = nearest.at(-1)?.differing ?? worst;
    }
  }
  return nearest;
}

/** A candidate and how well it explains what was seen. */
type Match = {
  readonly candidate: Candidate;
  readonly mask: MaskPattern;
  readonly agreement: number;
  readonly strength: number;
  readonly sharedStrength: number;
  readonly destroyed: number;
  /** 1 where the sticker's module is dark, 2 where that is not known. */
  readonly expected: Uint8Array;
  /** Free bits and error correction of each block. */
  readonly blocks: readonly BlockCount[];
};

type BitCount = { readonly known: number; readonly agreeing: number };
type BlockCount = { readonly free: BitCount; readonly correction: BitCount; readonly macBits: number };

function weigh(seen: SeenModules, bits: SeenBits, book: CandidateBook, near: Near): Match {
  const candidate = book.candidates[near.index] ?? noCandidate;
  const { wordsEach, words } = book;
  const free = freeBits(book, candidate.payload);
  const mask = maskWords(book.version, near.mask);
  const wrong = new Uint32Array(wordsEach);
  for (let at = 0; at < wordsEach; at++) {
    wrong[at] = (bits.dark[at] ?? 0) ^ (mask[at] ?? 0) ^ (words[near.index * wordsEach + at] ?? 0);
  }
  const fit = fitModules(seen, wrong);
  const expected = expectedModules(seen, wrong);
  const { modules } = symbolLayout(seen.version);
  const agreement = bits.knownCount === 0 ? 0 : 1 - near.differing / bits.knownCount;
  // What agrees by chance alone agrees nowhere; looking for a place where it does costs the most of all.
  const wrongRegion = agreement < hopefulMin ? undefined : findWrongRegion(fit, modules);
  const blocks = countBlocks(free, wrong, bits.known);
  const known = fit.reduce((sum, one) => sum + (one === moduleFit.unknown ? 0 : 1), 0);
  const compared = expected.reduce((sum, one) => sum + (one === 2 ? 0 : 1), 0);
  const wrongModules = fit.reduce((sum, one) => sum + (isWrong(one) ? 1 : 0), 0);
  return {
    candidate,
    mask: near.mask,
    agreement,
    strength: Math.max(strengthOfBlocks(blocks, correctionMin), strengthOutside(seen, bits, free, wrong, wrongRegion)),
    sharedStrength: strengthOf(countBits(free.shared, wrong, bits.known)),
    // A destroyed module looks right half of the time.
    destroyed: Math.min(1, (compared - known + 2 * wrongModules) / compared),
    expected,
    blocks,
  };
}

function countBlocks(free: FreeBits, wrong: Uint32Array, known: Uint32Array): readonly BlockCount[] {
  return free.blocks.map((block) => ({
    free: countBits(block.free, wrong, known),
    correction: countBits(block.correction, wrong, known),
    macBits: block.macBits,
  }));
}

/**
 * SPEC Q71: no block proves more than its own MAC bits can: with chance 2^-macBits another token leaves it as it is. And the error
 * correction must speak by itself, or a listed token with one character changed, whose other MAC bits all agree, would pass where dirt hides
 * what gives it away.
 */
function strengthOfBlocks(blocks: readonly BlockCount[], correctionMin: number): number {
  const speaking = blocks.filter(({ macBits }) => macBits >= macBitsMin);
  const known = speaking.reduce((sum, { correction }) => sum + correction.known, 0);
  const agreeing = speaking.reduce((sum, { correction }) => sum + correction.agreeing, 0);
  if (strengthOf({ known, agreeing }) < correctionMin) return 0;
  return blocks.reduce((sum, { free, macBits }) => {
    const strength = Math.min(strengthOf(free), macBits * Math.LN2) - Math.LN2;
    return sum + Math.max(0, strength);
  }, 0);
}

/** SPEC Q72: what lies in one region may be left out, at the price of having chosen it. */
function strengthOutside(
  seen: SeenModules,
  bits: SeenBits,
  free: FreeBits,
  wrong: Uint32Array,
  wrongRegion: WrongRegion | undefined,
): number {
  if (wrongRegion === undefined) return 0;
  const blocks = countBlocks(free, wrong, knownOutside(seen, bits.known, wrongRegion.region));
  return strengthOfBlocks(blocks, correctionOutsideMin) - regionPrice(symbolLayout(seen.version).modules);
}

function countBits(which: Uint32Array, wrong: Uint32Array, known: Uint32Array): BitCount {
  let [seenBits, wrongBits] = [0, 0];
  for (const [at, word] of which.entries()) {
    const here = word & (known[at] ?? 0);
    seenBits += bitsSet(here);
    wrongBits += bitsSet(here & (wrong[at] ?? 0));
  }
  return { known: seenBits, agreeing: seenBits - wrongBits };
}

function knownOutside({ version, known }: SeenModules, packed: Uint32Array, region: ModuleRegion): Uint32Array {
  const { bitOrder, codewords, modules } = symbolLayout(version);
  const outside = new Uint32Array(packed.length);
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const at = bitOrder[bit] ?? 0;
    if (known[at] === 1 && !isInRegion(region, at % modules, Math.floor(at / modules))) setBit(outside, bit);
  }
  return outside;
}

/** What the candidate has where; format and version information are left out. */
function expectedModules({ version, dark }: SeenModules, wrong: Uint32Array): Uint8Array {
  const { bitOrder, codewords, roles, functionDark } = symbolLayout(version);
  const expected = new Uint8Array(roles.length).fill(2);
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const at = bitOrder[bit] ?? 0;
    expected[at] = (dark[at] ?? 0) ^ (((wrong[bit >> 5] ?? 0) >>> (31 - (bit & 31))) & 1);
  }
  for (const [at, role] of roles.entries()) if (fixedRoles.has(role)) expected[at] = functionDark[at] ?? 0;
  return expected;
}

/** Compares every module: data by the candidate, fixed patterns by the standard; format and version information are left out. */
function fitModules({ version, dark, known }: SeenModules, wrong: Uint32Array): Uint8Array {
  const { bitOrder, codewords, roles, functionDark } = symbolLayout(version);
  const fit = new Uint8Array(roles.length).fill(moduleFit.unknown);
  const wrongFit = (isDark: boolean) => (isDark ? moduleFit.darkened : moduleFit.lightened);
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const at = bitOrder[bit] ?? 0;
    if (known[at] !== 1) continue;
    const isWrongBit = ((wrong[bit >> 5] ?? 0) & (0x80000000 >>> (bit & 31))) !== 0;
    fit[at] = isWrongBit ? wrongFit(dark[at] === 1) : moduleFit.agrees;
  }
  for (const [at, role] of roles.entries()) {
    if (known[at] !== 1 || !fixedRoles.has(role)) continue;
    fit[at] = dark[at] === functionDark[at] ? moduleFit.agrees : wrongFit(dark[at] === 1);
  }
  return fit;
}

/**
 * Whether one block's error correction is no better than chance while the others' is far better: a token that differs in one character
 * sets one block anew, whereas damage meets all blocks alike, because their codewords are interleaved. Source: SPEC Q73.
 */
function onePartDiffers({ blocks }: Match): boolean {
  if (blocks.length < 2) return false;
  const counts = blocks.map(({ correction }) => correction);
  return counts.some((block) => {
    const others = counts.reduce(
      (sum, one) => (one === block ? sum : { known: sum.known + one.known, agreeing: sum.agreeing + one.agreeing }),
      { known: 0, agreeing: 0 },
    );
    if (block.known < blockKnownMin || others.known < blockKnownMin) return false;
    const share = block.agreeing / block.known;
    const otherShare = others.agreeing / others.known;
    const pooled = (block.agreeing + others.agreeing) / (block.known + others.known);
    const spread = Math.sqrt(pooled * (1 - pooled) * (1 / block.known + 1 / others.known));
    return share < blockShareMax && (otherShare - share) / spread > blockDeviations;
  });
}

/** The largest part that shows a pattern of dark and light which is not ours. Source: SPEC Q74. */
function overlaidRegion({ expected }: Match, { version, dark }: SeenModules): ModuleRegion | undefined {
  const { modules } = symbolLayout(version);
  const covers = segmentModules(expected, dark, modules);
  const foreign = moduleCover.foreign;
  const core = coverCore(covers, modules, foreign);
  const size = largestPart(core, modules, foreign)?.size ?? 0;
  // Where dirty and worn scratches cross, dark and light mix too; but a code turns from one to the other at every second module.
  if (size < overlayCoreMin || mixing(core, expected, dark, modules, foreign) < overlayMixingMin) return undefined;
  return largestPart(covers, modules, foreign)?.region;
}

/** How much of the finders, timing and alignment patterns still stands, outside the one region that fits least. */
type Structure = {
  readonly agreement: number;
  readonly strength: number;
  readonly destroyed: number;
  /** Undefined when all that is wrong is strewn. */
  readonly wrongRegion: ModuleRegion | undefined;
};

function judgeStructure(seen: SeenModules): Structure {
  const { version, dark, known } = seen;
  const { roles, functionDark, modules } = symbolLayout(version);
  const fit = new Uint8Array(roles.length).fill(moduleFit.unknown);
  let [fixed, seenFixed, agreeing] = [0, 0, 0];
  for (const [at, role] of roles.entries()) {
    if (!fixedRoles.has(role)) continue;
    fixed++;
    if (known[at] !== 1) continue;
    seenFixed++;
    const agrees = dark[at] === functionDark[at];
    if (agrees) agreeing++;
    fit[at] = agrees ? moduleFit.agrees : dark[at] === 1 ? moduleFit.darkened : moduleFit.lightened;
  }
  const destroyed = Math.min(1, (fixed - seenFixed + 2 * (seenFixed - agreeing)) / fixed);
  const whole = { known: seenFixed, agreeing };
  const found = findWrongRegion(fit, modules);
  const rest = { known: found?.outside ?? 0, agreeing: (found?.outside ?? 0) - (found?.wrongOutside ?? 0) };
  const outside = strengthOf(rest) - regionPrice(modules);
  const isOutside = outside > strengthOf(whole);
  return {
    agreement: shareOf(isOutside ? rest : whole),
    strength: Math.max(outside, strengthOf(whole)),
    destroyed,
    wrongRegion: isOutside ? found?.region : undefined,
  };
}

/** How strong our own would be expected to be, if its data were in the state of this symbol's fixed patterns. */
function expectedStrength(seen: SeenModules, bits: SeenBits, book: CandidateBook, structure: Structure): number {
  const payload = book.candidates[0]?.payload ?? "";
  const { wrongRegion } = structure;
  const known = wrongRegion === undefined ? bits.known : knownOutside(seen, bits.known, wrongRegion);
  const share = Math.min(structure.agreement, agreementMax);
  const blocks = countBlocks(freeBits(book, payload), new Uint32Array(known.length), known);
  const expected = ({ known: seenBits }: BitCount): BitCount => ({ known: seenBits, agreeing: share * seenBits });
  return strengthOfBlocks(
    blocks.map(({ free, correction, macBits }) => ({
      free: expected(free),
      correction: expected(correction),
      macBits,
    })),
    correctionMin,
  );
}

function shareOf({ known, agreeing }: BitCount): number {
  return known === 0 ? 0 : agreeing / known;
}

/** The level in the format information, where one of its copies is certain. */
function readLevel({ version, dark, known }: SeenModules): ErrorCorrectionLevel | undefined {
  const { modules } = symbolLayout(version);
  const { first, second } = formatPlaces(modules);
  for (const places of [first, second]) {
    let bits = 0;
    let isKnown = true;
    for (const { column, row } of places) {
      const at = row * modules + column;
      bits = (bits << 1) | (dark[at] ?? 0);
      if (known[at] !== 1) isKnown = false;
    }
    const nearest = nearestFormats(bits)[0];
    if (isKnown && nearest !== undefined && nearest.distance <= formatErrorsMax) return nearest.level;
  }
  return undefined;
}

function strengthOf({ known, agreeing }: BitCount): number {
  return known === 0 || 2 * agreeing <= known ? 0 : known * divergence(agreeing / known);
}

/** Kullback and Leibler's divergence of a coin that falls with `share` from a fair one, in nats. */
function divergence(share: number): number {
  if (share <= 0.5) return 0;
  const rest = 1 - share;
  return Math.LN2 + share * Math.log(share) + (rest === 0 ? 0 : rest * Math.log(rest));
}

function isWrong(fit: number): boolean {
  return fit === moduleFit.lightened || fit === moduleFit.darkened;
}

/** 1 where a mask turns a codeword bit; made once a version and mask. */
function maskWords(version: number, mask: MaskPattern): Uint32Array {
  const key = 8 * version + mask;
  const known = knownMasks.get(key);
  if (known !== undefined) return known;
  const { bitOrder, codewords, modules } = symbolLayout(version);
  const words = new Uint32Array(Math.ceil(codewords / 4));
  for (let bit = 0; bit < 8 * codewords; bit++) {
    const at = bitOrder[bit] ?? 0;
    if (isMasked(mask, at % modules, Math.floor(at / modules))) setBit(words, bit);
  }
  knownMasks.set(key, words);
  return words;
}

const knownMasks = new Map<number, Uint32Array>();
const noCandidate: Candidate = { payload: "", panel: "", epoch: undefined, standing: "retired" };
const nothing = { candidate: undefined, mask: undefined, agreement: 0, strength: 0, region: undefined } as const;
const fixedRoles: ReadonlySet<number> = new Set([
  moduleRole.finder,
  moduleRole.separator,
  moduleRole.timing,
  moduleRole.alignment,
  moduleRole.dark,
]);
// The true one is first by far unless almost everything is gone; a few more cost nothing.
const nearestMax = 2;
const hopefulMin = 0.56;
// Finders are simple figures, which clutter can resemble: more is demanded than of chance alone.
const structureMin = 20;
const agreementMax = 0.98;
const powerMargin = 1;
// A block with fewer bits of the MAC says little of its own.
const macBitsMin = 16;
// Once in nine million looks chance makes the error correction of another token agree so well.
const correctionMin = 16;
const correctionOutsideMin = 24;
// A whole host name is worth 40 nats and more.
const sharedMin = 14;
const blockKnownMin = 60;
const blockShareMax = 0.64;
const blockDeviations = 5.5;
const overlayCoreMin = 5;
const overlayMixingMin = 0.45;
const formatErrorsMax = 3;
