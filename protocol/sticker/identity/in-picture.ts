/**
 * Identity of a symbol in a picture: samples its modules by its map, finds out which way up it was printed, and compares it with every known
 * sticker. Works where the symbol was merely located as well as where it was read. Rules: SPEC Q70, Q76.
 */
import type { GreyPicture } from "../grey-picture.ts";
import { booksFor, identifyModules, type SymbolIdentity, structureStrength } from "../identify.ts";
import type { SymbolMap } from "../plane.ts";
import { nearestFormats } from "../qr/format.ts";
import { type ErrorCorrectionLevel, formatPlaces, moduleRole, symbolLayout } from "../qr/layout.ts";
import type { PanelRecord } from "../verdict.ts";
import { type ModuleSamples, sampleModules } from "./samples.ts";
import { settleMap } from "./settle-map.ts";

/** Where a symbol stands. `certain`: the map is known to be the right way up, because the symbol was read. */
export type PlacedSymbol = {
  readonly map: SymbolMap;
  readonly version: number;
  readonly inverted: boolean;
  readonly certain: boolean;
};

export type PictureIdentity = SymbolIdentity & {
  /** Of the book that it was compared with. */
  readonly level: ErrorCorrectionLevel;
  /** As the symbol was printed. */
  readonly map: SymbolMap;
  readonly samples: ModuleSamples;
};

type Known = {
  readonly panels: readonly PanelRecord[];
  readonly level: ErrorCorrectionLevel;
  readonly expectedPanel?: string | undefined;
};

/** Identifies one symbol. `level`: the site's. Never throws. */
export function identifySymbol(picture: GreyPicture, placed: PlacedSymbol, known: Known): PictureIdentity {
  const asFound = identifyAsPlaced(picture, placed, known);
  if (placed.certain || isRecognised(asFound)) return asFound;
  const settled = settleMap(picture, asFound.map, placed.version, placed.inverted);
  if (settled === undefined) return sureOfGrid(asFound);
  const again = identifyAsPlaced(picture, { ...placed, map: settled, certain: true }, known);
  const better = isRecognised(again) || again.samples.mixedShare < asFound.samples.mixedShare ? again : asFound;
  return sureOfGrid(better);
}

function isRecognised({ candidate }: PictureIdentity): boolean {
  return candidate !== undefined;
}

/** SPEC Q75: a grid that does not fit what is seen makes any symbol look foreign; that a symbol was read proves its grid. */
function sureOfGrid(identity: PictureIdentity): PictureIdentity {
  if (identity.verdict !== "foreign") return identity;
  const { samples } = identity;
  const isUnsure =
    samples.mixedShare > mixedShareMax ||
    showsOtherThanFinder(samples) ||
    timingShare(samples) < timingShareMin ||
    formatDistance(samples) > formatDistanceMax;
  return isUnsure ? { ...identity, verdict: "unreadable", reason: "grid-unsure" } : identity;
}

/** Share of the known timing modules that stand: frames and clutter have none. */
function timingShare({ version, dark, known }: ModuleSamples): number {
  const { roles, functionDark } = symbolLayout(version);
  let [seen, agreeing] = [0, 0];
  for (const [at, role] of roles.entries()) {
    if (role !== moduleRole.timing || known[at] !== 1) continue;
    seen++;
    if (dark[at] === functionDark[at]) agreeing++;
  }
  return seen === 0 ? 0 : agreeing / seen;
}

/** Bits by which the better copy of the format information is off the nearest format. */
function formatDistance({ version, modules, dark }: ModuleSamples): number {
  const { first, second } = formatPlaces(symbolLayout(version).modules);
  const distances = [first, second].map((places) => {
    const bits = places.reduce((sum, { column, row }) => (sum << 1) | (dark[row * modules + column] ?? 0), 0);
    return nearestFormats(bits)[0]?.distance ?? formatBitsAll;
  });
  return Math.min(...distances);
}

/** Where a finder must be there is dark and light, but not a finder's. A finder that is covered shows one colour and says nothing. */
function showsOtherThanFinder({ version, modules, dark, known }: ModuleSamples): boolean {
  const { functionDark } = symbolLayout(version);
  const last = modules - finderModules;
  return [[0, 0] as const, [last, 0] as const, [0, last] as const].some(([left, top]) => {
    let [seen, darkSeen, agreeing] = [0, 0, 0];
    for (let at = 0; at < finderModules ** 2; at++) {
      const index = (top + Math.floor(at / finderModules)) * modules + left + (at % finderModules);
      if (known[index] !== 1) continue;
      seen++;
      if (dark[index] === 1) darkSeen++;
      if (dark[index] === functionDark[index]) agreeing++;
    }
    const isTwoColoured = darkSeen >= oneColourMax * seen && seen - darkSeen >= oneColourMax * seen;
    return isTwoColoured && agreeing < finderShareMin * seen;
  });
}

function identifyAsPlaced(picture: GreyPicture, placed: PlacedSymbol, known: Known): PictureIdentity {
  const asFound = sampleModules(picture, placed.map, placed.version, placed.inverted);
  const way = placed.certain ? 0 : bestWay(asFound);
  const samples = turnSamples(asFound, way);
  const map = way === 0 ? placed.map : turnMap(placed.map, way);
  const identities = booksFor(known.panels, samples, known.level).map((book) => ({
    ...identifyModules(samples, book, known.expectedPanel),
    level: book.level,
  }));
  const best = identities.reduce((most, one) => (one.strength > most.strength ? one : most));
  return { ...best, map, samples };
}

/** Of the eight ways to lay a square, the one in which most fixed patterns stand. */
function bestWay(samples: ModuleSamples): number {
  let best = 0;
  let most = structureStrength(samples);
  for (let way = 1; way < ways; way++) {
    const strength = structureStrength(turnSamples(samples, way));
    if (strength <= most) continue;
    most = strength;
    best = way;
  }
  return best;
}

function turnSamples(samples: ModuleSamples, way: number): ModuleSamples {
  if (way === 0) return samples;
  const { modules } = samples;
  const turn = <Values extends Float32Array | Uint8Array>(values: Values): Values => {
    const turned = values.slice();
    for (let row = 0; row < modules; row++) {
      for (let column = 0; column < modules; column++) {
        const [x, y] = turnPlace(column + 0.5, row + 0.5, modules, way);
        turned[row * modules + column] = values[Math.floor(y) * modules + Math.floor(x)] ?? 0;
      }
    }
    return turned as Values;
  };
  const { luma, dark, known, evidence } = samples;
  return { ...samples, luma: turn(luma), dark: turn(dark), known: turn(known), evidence: turn(evidence) };
}

function turnMap({ modules, toPicture }: SymbolMap, way: number): SymbolMap {
  return {
    modules,
    toPicture: (column, row) => {
      const [x, y] = turnPlace(column, row, modules, way);
      return toPicture(x, y);
    },
  };
}

/** Quarter turns 0..3, and the same with columns for rows. */
function turnPlace(column: number, row: number, modules: number, way: number): readonly [number, number] {
  const [x, y] = way >= 4 ? [row, column] : [column, row];
  switch (way % 4) {
    case 0:
      return [x, y];
    case 1:
      return [modules - y, x];
    case 2:
      return [modules - x, modules - y];
    default:
      return [y, modules - x];
  }
}

const ways = 8;
const mixedShareMax = 0.3;
const timingShareMin = 0.7;
// Fifteen random bits are so near to a format one time in eight.
const formatDistanceMax = 2;
const formatBitsAll = 15;
const finderModules = 7;
const oneColourMax = 0.15;
const finderShareMin = 0.72;
