/**
 * A known symbol's face in cells of a third of a module, quiet zone included: what is ink, paper, brighter than paper or in between, and
 * where that is not what was printed. The ground for naming causes, and for the picture with bad modules marked.
 *
 * Theory: ink and paper are smooth surfaces of brightness, fitted to the modules that must be dark and light; what differs from its surface
 * by a good part of the contrast is not what was printed there. Cells beside an edge are allowed more, because edges are soft.
 * Rules: SPEC Q77.
 */
import { fitSurface, type Surface, type SurfaceSample } from "../grade/smooth-surface.ts";
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import type { SymbolMap } from "../plane.ts";

/** A symbol whose every module is known, and where it stands. `dark`: true modules, 1 dark, row by row. */
export type KnownSymbol = {
  readonly map: SymbolMap;
  readonly dark: Uint8Array;
  readonly inverted: boolean;
};

/** What a cell shows: as printed; darker, lighter than it should; neither ink nor paper; brighter than any paper; not in the picture. */
export const cellState = { sound: 0, darkened: 1, lightened: 2, grey: 3, glare: 4, outside: 5 } as const;

/** `side` x `side` cells, row by row; cell (0, 0) lies `quietModules` left of and above the symbol. */
export type CellMap = {
  readonly side: number;
  readonly modules: number;
  readonly states: Uint8Array;
  /** 0 as light as the paper there, 1 as dark as the ink; beyond both at glare and the like. NaN outside. */
  readonly darkness: Float32Array;
  /** Luma of ink and paper at the symbol's middle. */
  readonly inkLuma: number;
  readonly paperLuma: number;
};

export const cellsPerModule = 3;
export const quietModules = 4;

/** Undefined when dark and light modules do not differ: nothing can be said of single cells then. */
export function mapCells(picture: GreyPicture, { map, dark, inverted }: KnownSymbol): CellMap | undefined {
  const { modules } = map;
  const side = (modules + 2 * quietModules) * cellsPerModule;
  const luma = new Float32Array(side * side);
  for (let at = 0; at < luma.length; at++) {
    luma[at] = lumaOfCell(picture, map, cellPlace(at % side), cellPlace(Math.floor(at / side)), inverted);
  }
  const expected = expectedCells(dark, modules, side);
  const levels = fitLevels(luma, expected, dark, modules, side);
  if (levels === undefined) return undefined;
  const darkness = new Float32Array(luma.length);
  for (let at = 0; at < luma.length; at++) {
    const [column, row] = [cellPlace(at % side), cellPlace(Math.floor(at / side))];
    const [light, ink] = [levels.light(column, row), levels.ink(column, row)];
    darkness[at] = (light - (luma[at] ?? Number.NaN)) / Math.max(contrastMin, light - ink);
  }
  const middle = modules / 2;
  const isBurnt = (at: number) => (luma[at] ?? 0) >= burntLuma && levels.light(middle, middle) < burntLuma - burntStep;
  const states = darkness.map((one, at) => (isBurnt(at) ? cellState.glare : judgeCell(one, expected, at, side)));
  const [inkLuma, paperLuma] = [levels.ink(middle, middle), levels.light(middle, middle)];
  return { side, modules, states: Uint8Array.from(states), darkness, inkLuma, paperLuma };
}

/** Middle of a cell in modules of the symbol. */
export function cellPlace(cell: number): number {
  return (cell + 0.5) / cellsPerModule - quietModules;
}

/** The middle of a cell and four points around it. NaN when the middle is outside the picture. */
function lumaOfCell(picture: GreyPicture, map: SymbolMap, column: number, row: number, inverted: boolean): number {
  const middle = map.toPicture(column, row);
  if (!(middle.x >= 0 && middle.y >= 0 && middle.x <= picture.width && middle.y <= picture.height)) return Number.NaN;
  let sum = lumaAt(picture, middle.x, middle.y);
  for (const [across, down] of around) {
    const at = map.toPicture(column + across, row + down);
    sum += lumaAt(picture, at.x, at.y);
  }
  const mean = sum / (around.length + 1);
  return inverted ? 255 - mean : mean;
}

/** 1 dark, 0 light: the symbol and light quiet zone. */
function expectedCells(dark: Uint8Array, modules: number, side: number): Uint8Array {
  const expected = new Uint8Array(side * side);
  for (let at = 0; at < expected.length; at++) {
    const column = Math.floor((at % side) / cellsPerModule) - quietModules;
    const row = Math.floor(Math.floor(at / side) / cellsPerModule) - quietModules;
    if (column < 0 || row < 0 || column >= modules || row >= modules) continue;
    expected[at] = dark[row * modules + column] ?? 0;
  }
  return expected;
}

type Levels = { readonly light: Surface; readonly ink: Surface };

function fitLevels(
  luma: Float32Array,
  expected: Uint8Array,
  dark: Uint8Array,
  modules: number,
  side: number,
): Levels | undefined {
  const both: [SurfaceSample[], SurfaceSample[]] = [[], []];
  for (const [at, isDark] of dark.entries()) {
    const [column, row] = [at % modules, Math.floor(at / modules)];
    const cell = (row + quietModules) * cellsPerModule * side + (column + quietModules) * cellsPerModule + side + 1;
    const value = luma[cell] ?? Number.NaN;
    // A module between two of the other kind looks like neither where the picture is soft; one beside its own kind is truer.
    if (Number.isNaN(value) || !hasEqualNeighbour(expected, cell, side)) continue;
    both[isDark === 1 ? 1 : 0].push({ column: column + 0.5, row: row + 0.5, value });
  }
  const [light, ink] = both.map((samples) => middleValue(samples));
  if (light === undefined || ink === undefined || light - ink < contrastMin) return undefined;
  const surfaceOf = (samples: readonly SurfaceSample[], level: number, above: number): Surface => {
    // Damage is not allowed to bend the surface: only what is about as bright as most takes part.
    const near = samples.filter(
      ({ value }) => value - level <= above * (light - ink) && level - value <= nearShare * (light - ink),
    );
    const surface = near.length >= samplesMin ? fitSurface(near, modules, 2, missShare * (light - ink)) : undefined;
    const held = (place: number) => Math.min(Math.max(place, 0), modules);
    const limit = nearShare * (light - ink);
    return (column, row) =>
      surface === undefined
        ? level
        : Math.min(level + above * (light - ink), Math.max(level - limit, surface(held(column), held(row))));
  };
  // Brighter than most paper is glare rather than light that falls unevenly.
  return { light: surfaceOf(both[0], light, brighterShare), ink: surfaceOf(both[1], ink, nearShare) };
}

function hasEqualNeighbour(expected: Uint8Array, cell: number, side: number): boolean {
  const own = expected[cell];
  return [-cellsPerModule, cellsPerModule, -cellsPerModule * side, cellsPerModule * side].some(
    (step) => expected[cell + step] === own,
  );
}

function middleValue(samples: readonly SurfaceSample[]): number | undefined {
  return samples.map(({ value }) => value).sort((a, b) => a - b)[Math.floor(samples.length / 2)];
}

function judgeCell(darkness: number, expected: Uint8Array, at: number, side: number): number {
  if (Number.isNaN(darkness)) return cellState.outside;
  if (darkness < glareDarkness) return cellState.glare;
  const own = expected[at] ?? 0;
  const isEdge = [-1, 1, -side, side].some((step) => (expected[at + step] ?? own) !== own);
  const allowed = isEdge ? edgeMiss : middleMiss;
  if (Math.abs(darkness - own) <= allowed) return cellState.sound;
  if (own === 0) return darkness > inkDarkness ? cellState.darkened : cellState.grey;
  return darkness < paperDarkness ? cellState.lightened : cellState.grey;
}

const around = [
  [-0.08, -0.08],
  [0.08, -0.08],
  [-0.08, 0.08],
  [0.08, 0.08],
] as const;
// Levels of luma: less is noise, not a symbol.
const contrastMin = 8;
const nearShare = 0.45;
const brighterShare = 0.22;
// What a sensor gives where it can take no more.
const burntLuma = 250;
const burntStep = 14;
const missShare = 0.08;
const samplesMin = 40;
const middleMiss = 0.4;
const edgeMiss = 0.65;
const glareDarkness = -0.22;
const inkDarkness = 0.75;
const paperDarkness = 0.3;
