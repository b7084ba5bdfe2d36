/**
 * A mounted symbol as a grid of modules after a hard life: the shortest way from a symbol to what a perfect camera would see of it, for
 * trials by the hundred thousand. Whole photographs are photograph.ts' business.
 */
import { assert } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import {
  applyHomography,
  flatSymbolMap,
  homographyBetween,
  type Point,
  type SymbolMap,
} from "../../protocol/sticker/plane.ts";
import type { SeededRandom } from "../world/random.ts";

export type Grid = { readonly modules: number; readonly dark: Uint8Array };

/**
 * `strewn`: single modules that show either colour. `blob`: spots of dirt (dark) and wear (light). `line`: scratches, all showing the paper or
 * all full of dirt. `scribble`: scratches of both kinds across each other, which from close by look like a code themselves.
 */
export type WearKind = "strewn" | "blob" | "line" | "scribble";

/** Destroys about `share` of the modules (0..1): what they show has nothing to do with the print any more. */
export function wearModules(grid: Grid, kind: WearKind, share: number, random: SeededRandom): Grid {
  const dark = grid.dark.slice();
  const gone = new Uint8Array(dark.length);
  const wanted = Math.round(share * dark.length);
  let destroyed = 0;
  const destroy = (at: number, isDark: boolean): void => {
    if (gone[at] !== 1) destroyed++;
    gone[at] = 1;
    dark[at] = isDark ? 1 : 0;
  };
  const isDirty = random.next() < 0.4;
  while (destroyed < wanted) {
    if (kind === "strewn") {
      destroy(random.integer(dark.length), random.next() < 0.5);
      continue;
    }
    const isDark = kind === "line" ? isDirty : random.next() < 0.6;
    const shape = kind === "blob" ? spot(grid.modules, random) : scratch(grid.modules, random);
    for (let at = 0; at < dark.length && destroyed < wanted; at++) {
      if (shape((at % grid.modules) + 0.5, Math.floor(at / grid.modules) + 0.5)) destroy(at, isDark);
    }
  }
  return { ...grid, dark };
}

/**
 * Lays another symbol over a part of the first: a sheet with its middle at `middle`, `size` modules of the lower symbol a side, turned, with
 * a light border, filled by the upper symbol at whatever scale that gives.
 */
export function layOver(
  lower: Grid,
  upper: Grid,
  place: { readonly middle: readonly [number, number]; readonly size: number; readonly turn: number },
): Grid {
  const { modules } = lower;
  const unit = place.size / (upper.modules + 2 * borderModules);
  const [cosine, sine] = [Math.cos(place.turn), Math.sin(place.turn)];
  const dark = lower.dark.map((module, at) => {
    const x = (at % modules) + 0.5 - place.middle[0];
    const y = Math.floor(at / modules) + 0.5 - place.middle[1];
    const [across, down] = [x * cosine + y * sine, y * cosine - x * sine];
    if (Math.max(Math.abs(across), Math.abs(down)) > place.size / 2) return module;
    const column = Math.floor(across / unit + upper.modules / 2);
    const row = Math.floor(down / unit + upper.modules / 2);
    const isInside = column >= 0 && row >= 0 && column < upper.modules && row < upper.modules;
    return isInside ? (upper.dark[row * upper.modules + column] ?? 0) : 0;
  });
  return { modules, dark };
}

/**
 * A quick photograph of a flat grid: tilted, unevenly lit, a little soft, noisy, about six pixels a module; and a map that is off by as much as a
 * located one is. Whole scenes are camera.ts' business.
 */
export function photographGrid(
  grid: Grid,
  random: SeededRandom,
): { readonly picture: GreyPicture; readonly map: SymbolMap } {
  const { modules } = grid;
  const side = Math.round((modules + 2 * quietModules) * pixelsPerModule);
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const away = () => between(0.02, 0.12) * side;
  const square = [0, 1, 2, 3].map((corner) => ({
    x: (corner === 1 || corner === 2 ? modules : 0) + (corner === 1 || corner === 2 ? 1 : -1) * quietModules,
    y: (corner >= 2 ? modules : 0) + (corner >= 2 ? 1 : -1) * quietModules,
  }));
  const corners = [
    { x: away(), y: away() },
    { x: side - away(), y: away() },
    { x: side - away(), y: side - away() },
    { x: away(), y: side - away() },
  ];
  const toModules = homographyBetween(corners, square);
  const jitter = () => pixelsPerModule * between(-mapOffMax, mapOffMax);
  const roughly = corners.map(({ x, y }) => ({ x: x + jitter(), y: y + jitter() }));
  const toPicture = homographyBetween(square, roughly);
  assert(toModules !== undefined && toPicture !== undefined, "four corners make a plane");
  const [paper, ink] = [between(150, 230), between(25, 70)];
  const [fallX, fallY] = [between(-0.3, 0.3), between(-0.3, 0.3)];
  const luma = new Uint8Array(side * side);
  for (let at = 0; at < luma.length; at++) {
    const [x, y] = [at % side, Math.floor(at / side)];
    let dark = 0;
    for (const [across, down] of rays) dark += isDarkAt(grid, applyHomography(toModules, x + across, y + down));
    const light = 1 + fallX * (x / side - 0.5) + fallY * (y / side - 0.5);
    const level = (paper + ((ink - paper) * dark) / rays.length) * light + noiseLevels * random.gaussian();
    luma[at] = Math.max(0, Math.min(255, level));
  }
  return { picture: { width: side, height: side, luma }, map: flatSymbolMap(modules, toPicture) };
}

function isDarkAt({ modules, dark }: Grid, { x, y }: Point): number {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  return column < 0 || row < 0 || column >= modules || row >= modules ? 0 : (dark[row * modules + column] ?? 0);
}

type Shape = (x: number, y: number) => boolean;

function spot(modules: number, random: SeededRandom): Shape {
  const [x0, y0] = [random.next() * modules, random.next() * modules];
  const radius = modules * (0.08 + 0.2 * random.next());
  const flat = 0.6 + 0.4 * random.next();
  return (x, y) => Math.hypot(x - x0, (y - y0) / flat) <= radius;
}

function scratch(modules: number, random: SeededRandom): Shape {
  const [x0, y0] = [random.next() * modules, random.next() * modules];
  const turn = random.next() * Math.PI;
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const half = 0.5 + 1.2 * random.next();
  return (x, y) => Math.abs((x - x0) * sine - (y - y0) * cosine) <= half;
}

const borderModules = 2;
const quietModules = 3;
const pixelsPerModule = 6;
const mapOffMax = 0.2;
const noiseLevels = 5;
// Around the pixel's middle and a little beyond it: a soft lens.
const rays = [
  [0, 0.5],
  [1, 0.5],
  [0.5, 0],
  [0.5, 1],
  [0.5, 0.5],
] as const;
