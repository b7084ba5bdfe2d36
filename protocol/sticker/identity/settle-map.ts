/**
 * Moves a roughly located symbol's corners until its fixed patterns stand best: what was located by two finders and little else is often off by
 * a module or two at its far corner. Rules: SPEC Q70.
 *
 * Theory: the brightness at the middles of fixed modules, and one module outside of the symbol, is compared with what must be there by its
 * correlation, which minds neither light nor contrast. Corners move one by one along rows and columns, in ever smaller steps.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import {
  applyHomography,
  flatSymbolMap,
  type Homography,
  homographyBetween,
  type Point,
  type SymbolMap,
} from "../plane.ts";
import { moduleRole, symbolLayout } from "../qr/layout.ts";

/** The settled map; undefined when nothing was gained. A bent map comes out flat. */
export function settleMap(
  picture: GreyPicture,
  map: SymbolMap,
  version: number,
  inverted: boolean,
): SymbolMap | undefined {
  const places = fixedPlaces(version);
  const { modules, toPicture } = map;
  const square = [0, 1, 2, 3].map((corner) => cornerOf(corner, modules));
  let corners: Point[] = square.map(({ x, y }) => toPicture(x, y));
  if (corners.some(({ x, y }) => !Number.isFinite(x) || !Number.isFinite(y))) return undefined;
  const worth = (to: readonly Point[]): number => {
    const plane = homographyBetween(square, to);
    return plane === undefined ? -1 : correlation(picture, plane, places, inverted);
  };
  const before = worth(corners);
  let best = before;
  for (const step of stepsModules) {
    for (let round = 0; round < roundsMax; round++) {
      const start = best;
      for (let corner = 0; corner < 4; corner++) {
        for (const move of moves) {
          const tried = moveCorner(corners, corner, (step * move[0]) / modules, (step * move[1]) / modules);
          const value = worth(tried);
          if (value <= best) continue;
          best = value;
          corners = tried;
        }
      }
      if (best - start < gainMin) break;
    }
  }
  const plane = best > before ? homographyBetween(square, corners) : undefined;
  return plane && flatSymbolMap(modules, plane);
}

type FixedPlace = { readonly column: number; readonly row: number; readonly dark: 0 | 1 };

function fixedPlaces(version: number): readonly FixedPlace[] {
  const { modules, roles, functionDark } = symbolLayout(version);
  const places: FixedPlace[] = [];
  const unknown: readonly number[] = [moduleRole.data, moduleRole.format, moduleRole.version];
  for (const [at, role] of roles.entries()) {
    if (unknown.includes(role)) continue;
    const place = { column: (at % modules) + 0.5, row: Math.floor(at / modules) + 0.5 };
    places.push({ ...place, dark: functionDark[at] === 1 ? 1 : 0 });
  }
  for (let along = 0; along < modules; along += 2) {
    for (const [column, row] of [
      [along, -1],
      [along, modules],
      [-1, along],
      [modules, along],
    ] as const) {
      places.push({ column: column + 0.5, row: row + 0.5, dark: 0 });
    }
  }
  return places;
}

/** Pearson's, between being dark and having to be; places outside the picture are left out. */
function correlation(
  picture: GreyPicture,
  plane: Homography,
  places: readonly FixedPlace[],
  inverted: boolean,
): number {
  let [count, sumSeen, sumDark, seenSeen, seenDark] = [0, 0, 0, 0, 0];
  for (const { column, row, dark } of places) {
    const { x, y } = applyHomography(plane, column, row);
    if (!(x >= 0 && y >= 0 && x <= picture.width && y <= picture.height)) continue;
    const luma = lumaAt(picture, x, y);
    const seen = inverted ? luma : 255 - luma;
    count++;
    sumSeen += seen;
    sumDark += dark;
    seenSeen += seen * seen;
    seenDark += seen * dark;
  }
  if (count < places.length / 2) return -1;
  const spreadSeen = seenSeen - (sumSeen * sumSeen) / count;
  const spreadDark = sumDark - (sumDark * sumDark) / count;
  return spreadSeen <= 0 || spreadDark <= 0
    ? -1
    : (seenDark - (sumSeen * sumDark) / count) / Math.sqrt(spreadSeen * spreadDark);
}

/** Along the symbol's own sides, by parts of them. */
function moveCorner(corners: readonly Point[], corner: number, across: number, down: number): Point[] {
  const [first, second, , last] = corners;
  const [right, below] = [directionOf(first, second), directionOf(first, last)];
  return corners.map((point, at) =>
    at === corner
      ? { x: point.x + across * right.x + down * below.x, y: point.y + across * right.y + down * below.y }
      : point,
  );
}

function directionOf(from: Point | undefined, to: Point | undefined): Point {
  return { x: (to?.x ?? 0) - (from?.x ?? 0), y: (to?.y ?? 0) - (from?.y ?? 0) };
}

function cornerOf(corner: number, modules: number): Point {
  return { x: corner === 1 || corner === 2 ? modules : 0, y: corner >= 2 ? modules : 0 };
}

const moves = [
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
] as const;
const stepsModules = [1.5, 0.7, 0.3, 0.12];
const roundsMax = 8;
const gainMin = 1e-4;
