/**
 * How many modules a symbol has: every version near what the finders' distance says is laid over the picture, and its timing
 * patterns must alternate there. Versions 7 and up also say it themselves beside two finders.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import { applyHomography, type Homography } from "../plane.ts";
import { nearestVersion } from "../qr/format.ts";
import { modulesOfVersion, versionInformationFrom, versionMax, versionPlaces } from "../qr/layout.ts";
import type { FinderPair, FinderTriple } from "./arrange-finders.ts";
import { bendQuadratically, finderPoints } from "./bend-map.ts";
import { fitFlat, type PlacedFinder, type PlacedPoint, placeFinder } from "./fit-flat.ts";
import { type ModuleMap, mapModule } from "./module-map.ts";
import type { Level } from "./pyramid.ts";

/** `timing`: 1 when both timing patterns alternate cleanly, about 0 when they do not. */
export type VersionGuess = {
  readonly version: number;
  readonly modules: number;
  readonly moduleToPicture: Homography;
  readonly finders: readonly PlacedFinder[];
  /** Other places that are known, such as the middle of a finder that was found by its pattern only. */
  readonly points: readonly PlacedPoint[];
  readonly timing: number;
  /** The version information near the finders says so too. */
  readonly stated: boolean;
};

/** Guesses, best first, at most `guessesMax`; none when no version fits at all. */
export function guessVersions(triple: FinderTriple, level: Level): VersionGuess[] {
  const expected = (triple.legModules - 10) / 4;
  const slack = Math.max(versionSlackMin, versionSlackShare * expected);
  const from = Math.max(1, Math.floor(expected - slack));
  const to = Math.min(versionMax, Math.ceil(expected + slack));
  const guesses: VersionGuess[] = [];
  for (let version = from; version <= to; version++) {
    const guess = guessVersion(triple, version, level);
    if (guess !== undefined) guesses.push(guess);
  }
  const worth = (guess: VersionGuess): number =>
    guess.timing + (guess.stated ? 1 : 0) - 0.04 * Math.abs(guess.version - expected);
  guesses.sort((a, b) => worth(b) - worth(a));
  return guesses.slice(0, guessesMax);
}

function guessVersion(triple: FinderTriple, version: number, level: Level): VersionGuess | undefined {
  const modules = modulesOfVersion(version);
  const finders = placeTriple(triple, modules);
  const moduleToPicture = fitFlat(finders, [], modules);
  if (moduleToPicture === undefined) return undefined;
  const contrast = triple.corner.light - triple.corner.dark;
  const flat = timingScore(level, { modules, moduleToPicture }, contrast);
  // On bent paper the timing patterns are where the finders' slants say, not on straight lines.
  const timing =
    flat > timingSure
      ? flat
      : Math.max(
          flat,
          timingScore(level, bendQuadratically(moduleToPicture, modules, finderPoints(finders)), contrast),
        );
  const stated =
    version >= versionInformationFrom - 2 && statedVersions(level, moduleToPicture, modules, triple).has(version);
  return { version, modules, moduleToPicture, finders, points: [], timing, stated };
}

/** Guesses for a symbol of which two finders are known. Only the timing pattern between two of them is a safe witness. */
export function guessPairVersions(pair: FinderPair, level: Level): VersionGuess[] {
  const expected = (pair.legModules - 10) / 4;
  const slack = Math.max(versionSlackMin, versionSlackShare * expected);
  const guesses: VersionGuess[] = [];
  const contrast = pair.one.light - pair.one.dark;
  for (
    let version = Math.max(1, Math.floor(expected - slack));
    version <= Math.min(versionMax, Math.ceil(expected + slack));
    version++
  ) {
    const modules = modulesOfVersion(version);
    const finders = placePair(pair, modules);
    const moduleToPicture = fitFlat(finders, [], modules);
    if (moduleToPicture === undefined) continue;
    const row = sideTiming(level, { modules, moduleToPicture }, false, contrast);
    const column = sideTiming(level, { modules, moduleToPicture }, true, contrast);
    const timing = pair.missing === "below" ? row : pair.missing === "right" ? column : (row + column) / 2;
    if (timing < pairTimingMin) continue;
    guesses.push({ version, modules, moduleToPicture, finders, points: [], timing, stated: false });
  }
  guesses.sort((a, b) => b.timing - a.timing);
  return guesses.slice(0, pairGuessesMax);
}

/** Middles of the three finders in module units. */
export function finderPlaces(
  modules: number,
): Record<FinderPair["missing"], { readonly column: number; readonly row: number }> {
  return {
    corner: { column: 3.5, row: 3.5 },
    right: { column: modules - 3.5, row: 3.5 },
    below: { column: 3.5, row: modules - 3.5 },
  };
}

function placePair({ one, other, missing, across, down }: FinderPair, modules: number): readonly PlacedFinder[] {
  const places = finderPlaces(modules);
  const [first, second] =
    missing === "below"
      ? [places.corner, places.right]
      : missing === "right"
        ? [places.corner, places.below]
        : [places.right, places.below];
  return [
    placeFinder(one, first.column, first.row, across, down),
    placeFinder(other, second.column, second.row, across, down),
  ];
}

/** The three finders with their places in a symbol of so many modules. */
function placeTriple({ corner, right, below }: FinderTriple, modules: number): readonly PlacedFinder[] {
  const across = { x: right.x - corner.x, y: right.y - corner.y };
  const down = { x: below.x - corner.x, y: below.y - corner.y };
  return [
    placeFinder(corner, 3.5, 3.5, across, down),
    placeFinder(right, modules - 3.5, 3.5, across, down),
    placeFinder(below, 3.5, modules - 3.5, across, down),
  ];
}

/** The mean of both timing patterns, each the best of a few tracks beside each other, since paper bends. */
function timingScore(level: Level, map: ModuleMap, contrast: number): number {
  return (sideTiming(level, map, false, contrast) + sideTiming(level, map, true, contrast)) / 2;
}

function sideTiming(level: Level, map: ModuleMap, isColumn: boolean, contrast: number): number {
  let best = 0;
  for (const offset of timingOffsets) best = Math.max(best, trackScore(level, map, isColumn, offset, contrast));
  return best;
}

function trackScore(
  { picture, scale }: Level,
  map: ModuleMap,
  isColumn: boolean,
  offset: number,
  contrast: number,
): number {
  const count = map.modules - 16;
  for (let at = 0; at < count; at++) {
    const along = 8.5 + at;
    const beside = 6.5 + offset;
    const place = isColumn ? mapModule(map, beside, along) : mapModule(map, along, beside);
    const value = lumaAt(picture, place.x / scale, place.y / scale);
    track[at] = value;
  }
  let agreeing = 0;
  let total = 0;
  for (let at = 0; at < count; at++) {
    // Light falls unevenly: each module is compared with its neighbours, which are of the other colour.
    const before = track[at > 0 ? at - 1 : at + 1] ?? 0;
    const after = track[at + 1 < count ? at + 1 : at - 1] ?? 0;
    const lighter = (track[at] ?? 0) - (before + after) / 2;
    agreeing += at % 2 === 0 ? -lighter : lighter;
    total += Math.abs(lighter);
  }
  return total < timingContrastShare * contrast * count ? 0 : Math.max(0, agreeing / total);
}

/** What the version information of both copies says, where it can be read with confidence. */
function statedVersions(
  { picture, scale }: Level,
  map: Homography,
  modules: number,
  triple: FinderTriple,
): Set<number> {
  const said = new Set<number>();
  const { first, second } = versionPlaces(modules);
  const copies = [
    { places: first, finder: triple.right },
    { places: second, finder: triple.below },
  ];
  for (const { places, finder } of copies) {
    let bits = 0;
    let mirroredBits = 0;
    for (const { column, row } of places) {
      const threshold = (finder.dark + finder.light) / 2;
      bits = (bits << 1) | (moduleLuma(picture, scale, map, column, row) < threshold ? 1 : 0);
    }
    // In a mirrored symbol the other copy stands here.
    const other = places === first ? second : first;
    for (const { column, row } of other) {
      const threshold = (finder.dark + finder.light) / 2;
      mirroredBits = (mirroredBits << 1) | (moduleLuma(picture, scale, map, row, column) < threshold ? 1 : 0);
    }
    for (const read of [nearestVersion(bits), nearestVersion(mirroredBits)]) {
      if (read.distance <= versionDistanceMax) said.add(read.version);
    }
  }
  return said;
}

function moduleLuma(picture: GreyPicture, scale: number, map: Homography, column: number, row: number): number {
  const place = applyHomography(map, column + 0.5, row + 0.5);
  return lumaAt(picture, place.x / scale, place.y / scale);
}

const track = new Float64Array(177);
const timingOffsets = [0, -0.6, 0.6];
const timingSure = 0.7;
const timingContrastShare = 0.15;
const versionSlackMin = 0.9;
const versionSlackShare = 0.14;
const versionDistanceMax = 2;
const guessesMax = 3;
const pairTimingMin = 0.5;
const pairGuessesMax = 2;
