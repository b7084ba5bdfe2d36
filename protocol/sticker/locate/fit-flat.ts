/**
 * The homography of a symbol from the edge points of its finders. Every edge point lies on a line of the module grid that is
 * known, so it gives one linear equation in the map from the picture to modules; hundreds of them are solved together.
 */
import { type Homography, invertHomography, multiplyHomographies, solveLinear } from "../plane.ts";
import type { FinderFrame } from "./fit-finder.ts";

/** A finder with its place in the symbol: its middle in modules, and which of its axes runs along columns. */
export type PlacedFinder = {
  readonly frame: FinderFrame;
  readonly column: number;
  readonly row: number;
  /** Direction of growing columns: 1 or -1 times u or v. */
  readonly columnAxis: 0 | 1;
  readonly columnSign: number;
  readonly rowSign: number;
};

/** A known place: picture (x, y) shows module (column, row). */
export type PlacedPoint = {
  readonly x: number;
  readonly y: number;
  readonly column: number;
  readonly row: number;
  readonly weight: number;
};

/** Turns a finder so that its axes run along the given directions of the picture. */
export function placeFinder(
  frame: FinderFrame,
  column: number,
  row: number,
  across: { readonly x: number; readonly y: number },
  down: { readonly x: number; readonly y: number },
): PlacedFinder {
  const alongU = (frame.ux * across.x + frame.uy * across.y) / Math.hypot(frame.ux, frame.uy);
  const alongV = (frame.vx * across.x + frame.vy * across.y) / Math.hypot(frame.vx, frame.vy);
  const columnAxis = Math.abs(alongU) >= Math.abs(alongV) ? 0 : 1;
  const downU = frame.ux * down.x + frame.uy * down.y;
  const downV = frame.vx * down.x + frame.vy * down.y;
  const columnSign = Math.sign(columnAxis === 0 ? alongU : alongV) || 1;
  const rowSign = Math.sign(columnAxis === 0 ? downV : downU) || 1;
  return { frame, column, row, columnAxis, columnSign, rowSign };
}

/** Module units to pixels. Undefined when the finders do not fix it or it turns inside out within the symbol. */
export function fitFlat(
  finders: readonly PlacedFinder[],
  points: readonly PlacedPoint[],
  modules: number,
): Homography | undefined {
  const frame = normaliser(finders, points, modules);
  const normal = new Float64Array(64);
  const right = new Float64Array(8);
  for (const finder of finders) addFinder(normal, right, finder, frame);
  for (const point of points) {
    const x = (point.x - frame.x) * frame.scale;
    const y = (point.y - frame.y) * frame.scale;
    addEquation(normal, right, 0, x, y, (2 * point.column) / modules - 1, point.weight);
    addEquation(normal, right, 1, x, y, (2 * point.row) / modules - 1, point.weight);
  }
  const solved = solveLinear(normal, right);
  if (solved === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = solved;
  const inner = invertHomography([a, b, c, d, e, f, g, h, 1]);
  const toNormal: Homography = [2 / modules, 0, -1, 0, 2 / modules, -1, 0, 0, 1];
  const toPicture: Homography = [1 / frame.scale, 0, frame.x, 0, 1 / frame.scale, frame.y, 0, 0, 1];
  const map = multiplyHomographies(toPicture, multiplyHomographies(inner, toNormal));
  return isWhole(map, modules) ? map : undefined;
}

type Normaliser = { readonly x: number; readonly y: number; readonly scale: number; readonly modules: number };

function normaliser(finders: readonly PlacedFinder[], points: readonly PlacedPoint[], modules: number): Normaliser {
  let x = 0;
  let y = 0;
  const places = [...finders.map(({ frame }) => frame), ...points];
  for (const place of places) {
    x += place.x / places.length;
    y += place.y / places.length;
  }
  let spread = 1;
  for (const place of places) spread = Math.max(spread, Math.hypot(place.x - x, place.y - y));
  return { x, y, scale: 1 / spread, modules };
}

function addFinder(normal: Float64Array, right: Float64Array, finder: PlacedFinder, to: Normaliser): void {
  const { edges } = finder.frame;
  for (let at = 0; at < edges.count; at++) {
    const x = ((edges.x[at] ?? 0) - to.x) * to.scale;
    const y = ((edges.y[at] ?? 0) - to.y) * to.scale;
    const isColumn = edges.along[at] === finder.columnAxis;
    const place = edges.place[at] ?? 0;
    const module = isColumn ? finder.column + finder.columnSign * place : finder.row + finder.rowSign * place;
    addEquation(normal, right, isColumn ? 0 : 1, x, y, (2 * module) / to.modules - 1, 1);
  }
}

/** u (g x + h y + 1) = a x + b y + c, and the like for v with d, e, f. */
function addEquation(
  normal: Float64Array,
  right: Float64Array,
  which: 0 | 1,
  x: number,
  y: number,
  value: number,
  weight: number,
): void {
  const first = 3 * which;
  equation.fill(0);
  equation[first] = x;
  equation[first + 1] = y;
  equation[first + 2] = 1;
  equation[6] = -value * x;
  equation[7] = -value * y;
  for (let i = 0; i < 8; i++) {
    const left = weight * (equation[i] ?? 0);
    if (left === 0) continue;
    for (let j = 0; j < 8; j++) normal[8 * i + j] = (normal[8 * i + j] ?? 0) + left * (equation[j] ?? 0);
    right[i] = (right[i] ?? 0) + left * value;
  }
}

/** The depth keeps one sign over the symbol and its quiet zone, and does not vary more than any camera sees it vary. */
function isWhole(map: Homography, modules: number): boolean {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const column of [0, modules]) {
    for (const row of [0, modules]) {
      const depth = map[6] * column + map[7] * row + map[8];
      least = Math.min(least, depth);
      most = Math.max(most, depth);
    }
  }
  return Number.isFinite(least + most) && least * most > 0 && Math.max(least / most, most / least) < depthRatioMax;
}

const equation = new Float64Array(8);
const depthRatioMax = 6;
