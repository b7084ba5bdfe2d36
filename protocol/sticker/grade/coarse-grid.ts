/**
 * Brings a map near where edges can be measured: parts of the symbol are laid on the picture at different shifts, and the shift at
 * which dark and light modules agree best is taken. A bent or stretched sticker may be more than half a module off a flat map.
 *
 * Rule: SPEC Q40.
 */
import type { SymbolMap } from "../plane.ts";
import { type ReflectancePicture, reflectanceAt } from "./reflectance.ts";
import { fitSurface, type Surface, type SurfaceSample } from "./smooth-surface.ts";

/** By how many modules the map has to be moved at a place, along the rows and along the columns. */
export type CoarseShift = { readonly across: Surface; readonly down: Surface };

/** Undefined when the map is good as it is, or when too little of the symbol can be recognised to tell. */
export function findCoarseShift(
  source: ReflectancePicture,
  map: SymbolMap,
  dark: Uint8Array,
  contrast: number,
): CoarseShift | undefined {
  const { modules } = map;
  const across: SurfaceSample[] = [];
  const down: SurfaceSample[] = [];
  let moved = false;
  const windows = Math.min(Math.max(Math.round(modules / windowSpacing), windowsMin), windowsMax);
  for (let at = 0; at < windows * windows; at++) {
    const column = windowStart(at % windows, windows, modules);
    const row = windowStart(Math.floor(at / windows), windows, modules);
    const shift = matchWindow(source, map, dark, { column, row, full: contrast });
    if (shift === undefined) continue;
    moved ||= shift.x !== 0 || shift.y !== 0;
    const place = { column: column + windowSide / 2, row: row + windowSide / 2 };
    across.push({ ...place, value: shift.x });
    down.push({ ...place, value: shift.y });
  }
  if (!moved) return undefined;
  const surfaces = [across, down].map((samples) => fitSurface(samples, modules, surfaceDegree, missMin));
  const [first, second] = surfaces;
  return first === undefined || second === undefined ? undefined : { across: first, down: second };
}

function windowStart(at: number, windows: number, modules: number): number {
  return Math.round((at / (windows - 1)) * (modules - windowSide));
}

type Window = { readonly column: number; readonly row: number; readonly full: number };

/** The middle of all shifts that agree about as well as the best; 0 when no shift is needed, undefined when none agrees. */
function matchWindow(
  source: ReflectancePicture,
  map: SymbolMap,
  dark: Uint8Array,
  window: Window,
): { readonly x: number; readonly y: number } | undefined {
  const score = agreementIn(source, map, dark, window);
  if (score(0, 0) > agreesWell) return { x: 0, y: 0 };
  const scores: { readonly x: number; readonly y: number; readonly score: number }[] = [];
  for (let row = -shiftSteps; row <= shiftSteps; row++) {
    for (let column = -shiftSteps; column <= shiftSteps; column++) {
      const [x, y] = [column * shiftStep, row * shiftStep];
      scores.push({ x, y, score: score(x, y) });
    }
  }
  const best = Math.max(...scores.map(({ score: one }) => one));
  if (best < agreesAtAll) return undefined;
  const good = scores.filter(({ score: one }) => one > best - agreesAsWell);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { x: mean(good.map(({ x }) => x)), y: mean(good.map(({ y }) => y)) };
}

/** 1 when all modules of the window are of their own colour with full contrast, 0 by chance. */
function agreementIn(
  source: ReflectancePicture,
  map: SymbolMap,
  dark: Uint8Array,
  { column, row, full }: Window,
): (x: number, y: number) => number {
  const places = Array.from({ length: windowSide * windowSide }, (_, at) => {
    const [c, r] = [column + (at % windowSide), row + Math.floor(at / windowSide)];
    const middle = map.toPicture(c + 0.5, r + 0.5);
    const right = map.toPicture(c + 1.5, r + 0.5);
    const below = map.toPicture(c + 0.5, r + 1.5);
    const across = { x: right.x - middle.x, y: right.y - middle.y };
    const down = { x: below.x - middle.x, y: below.y - middle.y };
    return { middle, across, down, isDark: dark[r * map.modules + c] === 1 };
  });
  const darkCount = Math.max(places.filter(({ isDark }) => isDark).length, 1);
  const lightCount = Math.max(places.length - darkCount, 1);
  return (x, y) => {
    let sum = 0;
    for (const { middle, across, down, isDark } of places) {
      const at = reflectanceAt(source, middle.x + x * across.x + y * down.x, middle.y + x * across.y + y * down.y);
      sum += isDark ? -at / darkCount : at / lightCount;
    }
    return sum / full;
  };
}

const windowSide = 9;
const windowSpacing = 4;
const windowsMin = 4;
// 144 windows of 81 modules at 121 shifts are 1.4 million looks at the picture, for the largest symbols too.
const windowsMax = 12;
const shiftStep = 0.25;
const shiftSteps = 5;
const agreesWell = 0.92;
const agreesAtAll = 0.45;
const agreesAsWell = 0.04;
const surfaceDegree = 3;
/** Modules: a window this far off its neighbours is not taken for damage. */
const missMin = 0.4;
