/**
 * From finders to a decoded symbol: version, map, modules, codewords; each step tried in the few ways that make sense, the likely ones
 * first. What looks like a symbol and does not decode is handed out, to be tried harder when all else is done.
 */
import { symbolLayout } from "../qr/layout.ts";
import type { FinderPair, FinderTriple } from "./arrange-finders.ts";
import { candidateMaps } from "./candidate-maps.ts";
import { type DecodedModules, type DecodeEffort, decodeModules, functionAgreement } from "./decode-modules.ts";
import { finderPattern, findPattern } from "./find-patterns.ts";
import { finderPlaces, guessPairVersions, guessVersions, type VersionGuess } from "./find-version.ts";
import { fitFlat } from "./fit-flat.ts";
import { type ModuleMap, modulePixels } from "./module-map.ts";
import type { Level, Pyramid } from "./pyramid.ts";
import { type Anchor, refineMap } from "./refine-map.ts";
import { judgeModules, judgeWithThresholds, levelForModules, sampleModules, sharpenModules } from "./sample-modules.ts";
import { unblurModules } from "./unblur-modules.ts";

export type FoundModules = {
  readonly level: Level;
  readonly map: ModuleMap;
  readonly values: Float32Array;
  readonly darkness: Float32Array;
  readonly decoded: DecodedModules;
};

/** A map that was tried. `score`: how much of the fixed patterns is where it puts them, 0..1. */
export type Candidate = {
  readonly level: Level;
  readonly version: number;
  readonly map: ModuleMap;
  readonly anchors: readonly Anchor[];
  readonly score: number;
  /** What it was before it was bent to the picture. */
  readonly from?: Candidate;
};

export type Reader = {
  /** Asked between attempts; true ends them. */
  readonly isOutOfTime: () => boolean;
  /** Told of the maps that were tried in vain. */
  readonly onCandidate: (candidate: Candidate) => void;
};

export function readTriple(pyramid: Pyramid, triple: FinderTriple, reader: Reader): FoundModules | undefined {
  const legPixels = Math.hypot(triple.right.x - triple.corner.x, triple.right.y - triple.corner.y);
  const otherPixels = Math.hypot(triple.below.x - triple.corner.x, triple.below.y - triple.corner.y);
  const level = levelForModules(pyramid, (legPixels + otherPixels) / 2 / triple.legModules);
  return readGuesses(level, guessVersions(triple, level), reader);
}

/** A symbol of which two finders were found: the third is looked for where it must be, and done without if need be. */
export function readPair(pyramid: Pyramid, pair: FinderPair, reader: Reader): FoundModules | undefined {
  const level = levelForModules(pyramid, pair.modulePixels);
  const guesses = guessPairVersions(pair, level);
  return readGuesses(
    level,
    guesses.map((guess) => withThird(level, pair, guess)),
    reader,
  );
}

function withThird(level: Level, pair: FinderPair, guess: VersionGuess): VersionGuess {
  const { modules, moduleToPicture, finders } = guess;
  const { column, row } = finderPlaces(modules)[pair.missing];
  const spot = findPattern(finderPattern, level, moduleToPicture, column, row, thirdReach, thirdScoreMin)[0];
  if (spot === undefined) return guess;
  const point = { x: spot.x, y: spot.y, column, row, weight: thirdWeight };
  const fitted = fitFlat(finders, [point], modules);
  return fitted === undefined ? guess : { ...guess, moduleToPicture: fitted, points: [point] };
}

function readGuesses(level: Level, guesses: readonly VersionGuess[], reader: Reader): FoundModules | undefined {
  for (const guess of guesses) {
    if (guess.timing < timingMin && !guess.stated) continue;
    const candidates: Candidate[] = [];
    for (const { map, anchors } of candidateMaps(level, guess)) {
      const { candidate, found } = tryMap(level, guess.version, map, anchors, quickDecode);
      if (found !== undefined || reader.isOutOfTime()) return found;
      candidates.push(candidate);
    }
    candidates.sort((a, b) => b.score - a.score);
    for (const candidate of candidates.slice(0, refinedMax)) {
      const found = readRefined(candidate, reader);
      if (found !== undefined || reader.isOutOfTime()) return found;
    }
    for (const candidate of candidates.slice(refinedMax)) reader.onCandidate(candidate);
    // Where nearly all fixed patterns are in their places no other version fits.
    if ((candidates[0]?.score ?? 0) > sureScore) break;
  }
  return undefined;
}

/** Bends the map to the picture step by step, decoding after each. */
function readRefined(start: Candidate, reader: Reader): FoundModules | undefined {
  const { found, best } = refineCandidate(start, reader.isOutOfTime);
  if (found === undefined && !reader.isOutOfTime())
    reader.onCandidate(best === start ? best : { ...best, from: start });
  return found;
}

function refineCandidate(
  start: Candidate,
  isOutOfTime: () => boolean,
  stiffness?: number,
): { readonly found: FoundModules | undefined; readonly best: Candidate } {
  let best = start;
  if (start.score < refineScoreMin) return { found: undefined, best };
  let { map } = start;
  const { level, version, anchors } = start;
  for (const reach of refineReaches) {
    if (modulePixels(map) / level.scale < refinePixelsMin) break;
    const judged = judgeWithThresholds(sampleModules(level, map), map.modules, firstRule);
    map = refineMap(level, map, symbolLayout(version), judged, anchors, reach * map.modules, stiffness);
    const { candidate, found } = tryMap(level, version, map, anchors, quickDecode);
    if (found !== undefined || isOutOfTime()) return { found, best };
    if (candidate.score > best.score) best = candidate;
    if (candidate.score < best.score - refineLossMax) break;
  }
  return { found: undefined, best };
}

/** Every threshold rule, with the blur taken out more or less, and many numbers of erasures; then softer and stiffer paper. */
export function readThoroughly(candidate: Candidate, isOutOfTime: () => boolean): FoundModules | undefined {
  const found = readByAllRules(candidate, isOutOfTime);
  if (found !== undefined || candidate.score < bendScoreMin) return found;
  for (const stiffness of otherStiffness) {
    if (isOutOfTime()) return undefined;
    const bent = refineCandidate(candidate.from ?? candidate, isOutOfTime, stiffness);
    if (bent.found !== undefined) return bent.found;
  }
  return undefined;
}

function readByAllRules({ level, version, map }: Candidate, isOutOfTime: () => boolean): FoundModules | undefined {
  const values = sampleModules(level, map);
  for (const amount of sharpenAmounts) {
    const sharp = amount === 0 ? values : sharpenModules(values, map.modules, amount);
    for (const window of thoroughWindows) {
      if (isOutOfTime()) return undefined;
      const darkness = judgeModules(sharp, map.modules, { window });
      const unblurred = amount === 0 ? unblurModules(darkness, symbolLayout(version)) : undefined;
      for (const judged of unblurred === undefined ? [darkness] : [darkness, unblurred]) {
        const decoded = decodeModules(judged, version, thoroughDecode);
        if (decoded !== undefined) return { level, map, values, darkness, decoded };
      }
    }
  }
  return undefined;
}

function tryMap(
  level: Level,
  version: number,
  map: ModuleMap,
  anchors: readonly Anchor[],
  effort: DecodeEffort,
): { readonly candidate: Candidate; readonly found: FoundModules | undefined } {
  const values = sampleModules(level, map);
  const darkness = judgeModules(values, map.modules, firstRule);
  const score = functionAgreement(darkness, symbolLayout(version));
  const candidate = { level, version, map, anchors, score };
  const decoded = decodeModules(darkness, version, effort);
  if (decoded !== undefined) return { candidate, found: { level, map, values, darkness, decoded } };
  const sharp = score < unblurScoreMin ? undefined : unblurModules(darkness, symbolLayout(version));
  const again = sharp === undefined ? undefined : decodeModules(sharp, version, effort);
  const found = again === undefined ? undefined : { level, map, values, darkness, decoded: again };
  return { candidate, found };
}

const unblurScoreMin = 0.8;
const firstRule = { window: 3 };
const quickDecode: DecodeEffort = { formats: 2, erasureSteps: 3 };
const thoroughDecode: DecodeEffort = { formats: 3, erasureSteps: 10 };
const timingMin = 0.55;
const sureScore = 0.92;
const refinedMax = 2;
const refineScoreMin = 0.72;
const refineLossMax = 0.08;
const refinePixelsMin = 1.8;
const refineReaches = [0.25, 0.3, 0.4, 0.5, 0.65, 0.85, 1.2, 2, 2, 2];
const sharpenAmounts = [0, 0.6, 1.2];
const thoroughWindows = [1, 3, 0, 6];
const otherStiffness = [0.3, 8];
const bendScoreMin = 0.82;
const thirdReach = 4;
const thirdScoreMin = 0.35;
const thirdWeight = 40;
