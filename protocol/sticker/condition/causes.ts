/**
 * What happened to a sticker: names a cause for each patch that does not show what was printed, and for its quiet zone. Rules: SPEC Q78.
 *
 * Theory: causes differ by shape and by what they show. Light that comes on top is brighter than paper; a scratch is long and thin; a blank label
 * has straight sides; a torn or peeled place shows the wall, at a corner when it peels; dirt is as dark as ink; a code on top is dark and light.
 */
import { type CellMap, cellPlace, cellState, cellsPerModule, quietModules } from "./cell-map.ts";
import { describeCells, findPatches, isWrongCell, type Patch } from "./patches.ts";

export type CauseCode =
  | "glare"
  | "overlay"
  | "covered"
  | "scratch"
  | "dirt"
  | "torn"
  | "peeling"
  | "worn"
  | "quiet-zone-eaten";

export type Side = "left" | "top" | "right" | "bottom";

/** One cause; `patch` is absent for a side of the quiet zone. Lengths in modules. */
export type Cause = {
  readonly code: CauseCode;
  readonly patch?: Patch;
  readonly side?: Side;
  /** With `quiet-zone-eaten`: how far out it stays clear. */
  readonly clearModules?: number;
};

/** Finds the causes, the gravest first. `overlaid`: where identity found a pattern of another code, in modules. */
export function findCauses(
  map: CellMap,
  overlaid:
    | { readonly column: number; readonly row: number; readonly columns: number; readonly rows: number }
    | undefined,
): readonly Cause[] {
  const sides = eatenSides(map);
  const patches = absorbSmall(joinLines(findPatches({ ...map, states: withoutFrame(map, sides) }), map), map);
  const causes = patches.map((patch): Cause => ({ code: causeOf(patch, map, overlaid), patch }));
  const rank = (cause: Cause) => order.indexOf(cause.code);
  return [...causes, ...sides].sort((a, b) => rank(a) - rank(b));
}

function causeOf(patch: Patch, map: CellMap, overlaid: Parameters<typeof findCauses>[1]): CauseCode {
  if (patch.glare >= glareShare) return "glare";
  if (overlaid !== undefined && overlaps(patch, overlaid)) return "overlay";
  if (isLine(patch)) return "scratch";
  if (patch.darkened > patch.lightened + patch.grey) return "dirt";
  const isBroad = patch.area >= broadAreaMin;
  if (isBroad && rectangleShare(patch, map) >= rectangleShareMin) return "covered";
  if (isAtCorner(patch, map)) return "peeling";
  return isBroad ? "torn" : "worn";
}

/** Half of the patch lies in the region. */
function overlaps(patch: Patch, region: NonNullable<Parameters<typeof findCauses>[1]>): boolean {
  const width = Math.min(patch.right, region.column + region.columns) - Math.max(patch.left, region.column);
  const height = Math.min(patch.bottom, region.row + region.rows) - Math.max(patch.top, region.row);
  const whole = (patch.right - patch.left) * (patch.bottom - patch.top);
  return width > 0 && height > 0 && width * height >= whole / 2;
}

/** Touches two neighbouring sides of the symbol, or comes so near to its corner that the quiet zone there is gone too. */
function isAtCorner(patch: Patch, { modules }: CellMap): boolean {
  const acrossEdge = patch.left <= cornerReach || patch.right >= modules - cornerReach;
  const downEdge = patch.top <= cornerReach || patch.bottom >= modules - cornerReach;
  return acrossEdge && downEdge;
}

/** Area of the convex hull against that of the smallest rectangle around it: 1 for a rectangle, 0.79 for a disc. */
function rectangleShare({ cells }: Patch, { side }: CellMap): number {
  const hull = convexHull(cells.map((at) => [cellPlace(at % side), cellPlace(Math.floor(at / side))] as const));
  let area = 0;
  for (const [at, [x, y]] of hull.entries()) {
    const [nextX, nextY] = hull[(at + 1) % hull.length] ?? [x, y];
    area += (x * nextY - nextX * y) / 2;
  }
  let smallest = Number.POSITIVE_INFINITY;
  for (let step = 0; step < rectangleTurns; step++) {
    const turn = (step * Math.PI) / 2 / rectangleTurns;
    const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
    const along = hull.map(([x, y]) => x * cosine + y * sine);
    const across = hull.map(([x, y]) => y * cosine - x * sine);
    smallest = Math.min(smallest, spanOf(along) * spanOf(across));
  }
  return smallest > 0 ? Math.abs(area) / smallest : 0;
}

type Place = readonly [x: number, y: number];

/** Andrew's monotone chain. */
function convexHull(places: readonly Place[]): readonly Place[] {
  const sorted = places.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turnsLeft = (o: Place, a: Place, b: Place) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]) > 0;
  const chain = (from: readonly Place[]): Place[] => {
    const kept: Place[] = [];
    for (const place of from) {
      while (kept.length >= 2 && !turnsLeft(kept.at(-2) ?? place, kept.at(-1) ?? place, place)) kept.pop();
      kept.push(place);
    }
    return kept.slice(0, -1);
  };
  return [...chain(sorted), ...chain(sorted.toReversed())];
}

function spanOf(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

/**
 * A scratch that bares the paper shows only where ink should be, so it comes in pieces: pieces of one kind that together are long and thin are
 * one.
 */
function joinLines(patches: readonly Patch[], map: CellMap): readonly Patch[] {
  let parts = [...patches];
  for (let from = 0; from < parts.length; from++) {
    for (let other = from + 1; other < parts.length; other++) {
      const [one, two] = [parts[from], parts[other]];
      if (one === undefined || two === undefined || !isSameKind(one, two)) continue;
      const joined = describeCells([...one.cells, ...two.cells], map);
      const isThinner = joined.width <= Math.max(one.width, two.width) * joinWidthMax;
      if (!isThinner || !isLine(joined) || joined.length > one.length + two.length + joinGapMax) continue;
      parts = [...parts.slice(0, from), joined, ...parts.slice(from + 1, other), ...parts.slice(other + 1)];
      // What did not fit before may fit the longer line.
      other = from;
    }
  }
  return parts;
}

/**
 * Where what was printed happens to look like what lies there, a patch falls apart: smaller ones of its kind that lie nearer than a finder's ring
 * is wide belong to it.
 */
function absorbSmall(patches: readonly Patch[], map: CellMap): readonly Patch[] {
  const parts = patches.toSorted((a, b) => b.area - a.area);
  for (let large = 0; large < parts.length; large++) {
    for (let small = large + 1; small < parts.length; small++) {
      const [one, two] = [parts[large], parts[small]];
      if (one === undefined || two === undefined || !isSameKind(one, two) || isLine(one)) continue;
      if (isLine(two) && two.length > one.length) continue;
      if (!areNear(one, two, map)) continue;
      parts[large] = describeCells([...one.cells, ...two.cells], map);
      parts.splice(small, 1);
      // The larger it is, the more lies near it.
      small = large;
    }
  }
  return parts;
}

function isLine({ length, width }: Patch): boolean {
  return length >= scratchLengthMin && width <= scratchWidthMax && length >= scratchSlenderness * width;
}

function areNear(one: Patch, other: Patch, { side }: CellMap): boolean {
  const reach = absorbModules * cellsPerModule;
  const apart = Math.max(
    one.left - other.right,
    other.left - one.right,
    one.top - other.bottom,
    other.top - one.bottom,
  );
  if (apart > absorbModules) return false;
  const [some, others] = [thinned(one.cells, nearCellsMax), thinned(other.cells, smallCellsMax)];
  return others.some((at) => {
    const [x, y] = [at % side, Math.floor(at / side)];
    return some.some((near) => Math.hypot((near % side) - x, Math.floor(near / side) - y) <= reach);
  });
}

/** Every so-manieth, at most `most`: whether patches are near is seen without looking at all of them. */
function thinned(cells: readonly number[], most: number): readonly number[] {
  const step = Math.ceil(cells.length / most);
  return step <= 1 ? cells : cells.filter((_, at) => at % step === 0);
}

function isSameKind(one: Patch, other: Patch): boolean {
  return one.darkened > 0.5 === other.darkened > 0.5 && one.glare >= glareShare === other.glare >= glareShare;
}

/** Sides along which most of the quiet zone is not paper nearer than it should be. */
function eatenSides(map: CellMap): readonly Cause[] {
  const causes: Cause[] = [];
  for (const side of ["left", "top", "right", "bottom"] as const) {
    const clearModules = clearDepth(map, side);
    if (clearModules < quietModules) causes.push({ code: "quiet-zone-eaten", side, clearModules });
  }
  return causes;
}

/** How far out, in modules, until most of a line beside the symbol is dark or grey; below 0 when the symbol itself is cut into. */
function clearDepth(map: CellMap, side: Side): number {
  const inner = -frameInsideMax * cellsPerModule;
  for (let depth = inner; depth < quietModules * cellsPerModule; depth++) {
    let [eaten, all] = [0, 0];
    for (let along = 0; along < map.modules * cellsPerModule; along++) {
      const state = map.states[cellBeside(map, side, depth, along)];
      if (state === cellState.outside) continue;
      all++;
      const darkness = map.darkness[cellBeside(map, side, depth, along)] ?? 0;
      // Inside the symbol about half must be dark: a frame makes all of it dark.
      if (depth < 0 ? darkness > frameDarkness : state === cellState.darkened || state === cellState.grey) eaten++;
    }
    if (all > 0 && eaten >= (depth < 0 ? frameShareInside : frameShare) * all) return depth / cellsPerModule;
  }
  return quietModules;
}

/** The cell `depth` cells outside of a side (below 0: inside), `along` cells from its left or upper end. */
function cellBeside({ side: cells, modules }: CellMap, side: Side, depth: number, along: number): number {
  const from = quietModules * cellsPerModule;
  const to = from + modules * cellsPerModule;
  switch (side) {
    case "left":
      return (from + along) * cells + from - 1 - depth;
    case "right":
      return (from + along) * cells + to + depth;
    case "top":
      return (from - 1 - depth) * cells + from + along;
    case "bottom":
      return (to + depth) * cells + from + along;
  }
}

/** What a frame covers is the frame's doing and no dirt. */
function withoutFrame(map: CellMap, sides: readonly Cause[]): Uint8Array {
  const states = map.states.slice();
  for (let at = 0; at < states.length; at++) {
    const [column, row] = [cellPlace(at % map.side), cellPlace(Math.floor(at / map.side))];
    const out = { left: -column, top: -row, right: column - map.modules, bottom: row - map.modules };
    const isFrame = sides.some(({ side, clearModules }) => side !== undefined && out[side] > (clearModules ?? 0) - 0.7);
    if (isFrame && isWrongCell(states[at])) states[at] = cellState.sound;
  }
  return states;
}

const order: readonly CauseCode[] = [
  "overlay",
  "covered",
  "peeling",
  "torn",
  "scratch",
  "dirt",
  "quiet-zone-eaten",
  "worn",
  "glare",
];
const glareShare = 0.3;
const scratchWidthMax = 3;
const scratchLengthMin = 4;
const scratchSlenderness = 3.2;
const broadAreaMin = 6;
const cornerReach = 1.5;
const rectangleShareMin = 0.88;
const rectangleTurns = 45;
const joinWidthMax = 1.45;
const joinGapMax = 6;
const absorbModules = 3.2;
const nearCellsMax = 600;
const smallCellsMax = 60;
const frameShare = 0.6;
const frameShareInside = 0.93;
const frameDarkness = 0.6;
const frameInsideMax = 2;
