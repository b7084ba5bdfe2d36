/**
 * Where the edges between a symbol's dark and light modules truly lie in a picture, to a fraction of a pixel.
 *
 * Theory: on a line across an edge the luma runs from the level of one module to that of the next; the place where it is half
 * way is the edge, however wide a symmetric blur is. Ink that runs, and a camera's tone curve, move dark-to-light edges one way and
 * light-to-dark edges the other by the same amount; both kinds are measured, so a fit can tell that growth from size.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import type { Point, SymbolMap } from "../plane.ts";

export type SymbolEdge = {
  /** Of the edge's middle, in modules: a whole number on the axis that it crosses. */
  readonly column: number;
  readonly row: number;
  /** "x": between two modules of one row. */
  readonly axis: "x" | "y";
  /** 1: dark follows light as the coordinate grows; -1: light follows dark. */
  readonly sign: 1 | -1;
  readonly seen: Point;
  /** Of length one, across the edge, in the picture. */
  readonly normal: Point;
  /** Pixels of one module across the edge. */
  readonly modulePx: number;
};

/** At most `edgesMax` edges, spread over the symbol. `map` need be right to 0.4 modules only. */
export function measureSymbolEdges(picture: GreyPicture, map: SymbolMap, dark: Uint8Array): readonly SymbolEdge[] {
  const contrast = symbolContrast(picture, map, dark);
  if (Math.abs(contrast) < contrastMin) return [];
  const places = edgePlaces(map.modules, dark);
  const stride = Math.max(1, places.length / edgesMax);
  const edges: SymbolEdge[] = [];
  for (let at = 0; at < places.length; at += stride) {
    const place = places[Math.floor(at)];
    const edge = place === undefined ? undefined : measureEdge(picture, map, place, contrast);
    if (edge !== undefined) edges.push(edge);
  }
  return edges;
}

type EdgePlace = Pick<SymbolEdge, "column" | "row" | "axis" | "sign">;

/** Of all edges, the border to the quiet zone included. */
function edgePlaces(modules: number, dark: Uint8Array): readonly EdgePlace[] {
  const at = (column: number, row: number): number =>
    column < 0 || row < 0 || column >= modules || row >= modules ? 0 : (dark[row * modules + column] ?? 0);
  const places: EdgePlace[] = [];
  for (let line = 0; line < modules; line++) {
    for (let step = 0; step <= modules; step++) {
      const across = at(step, line) - at(step - 1, line);
      if (across !== 0) places.push({ column: step, row: line + 0.5, axis: "x", sign: across > 0 ? 1 : -1 });
      const down = at(line, step) - at(line, step - 1);
      if (down !== 0) places.push({ column: line + 0.5, row: step, axis: "y", sign: down > 0 ? 1 : -1 });
    }
  }
  return places;
}

/** Mean light minus mean dark at the modules' middles; negative for an inverted symbol. */
function symbolContrast(picture: GreyPicture, map: SymbolMap, dark: Uint8Array): number {
  const sums = [0, 0];
  const counts = [0, 0];
  const { modules } = map;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const kind = dark[row * modules + column] === 1 ? 1 : 0;
      const { x, y } = map.toPicture(column + 0.5, row + 0.5);
      sums[kind] = (sums[kind] ?? 0) + lumaAt(picture, x, y);
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
  }
  return (sums[0] ?? 0) / (counts[0] || 1) - (sums[1] ?? 0) / (counts[1] || 1);
}

function measureEdge(picture: GreyPicture, map: SymbolMap, place: EdgePlace, contrast: number): SymbolEdge | undefined {
  const { column, row, axis, sign } = place;
  const across = axis === "x" ? [1, 0] : [0, 1];
  const point = (offset: number) => map.toPicture(column + offset * (across[0] ?? 0), row + offset * (across[1] ?? 0));
  const before = point(-0.5);
  const after = point(0.5);
  const modulePx = Math.hypot(after.x - before.x, after.y - before.y);
  if (!(modulePx >= modulePxMin)) return undefined;
  if (!within(picture, before) || !within(picture, after)) return undefined;
  const normal = edgeNormal(map, place, { x: (after.x - before.x) / modulePx, y: (after.y - before.y) / modulePx });
  const middle = { x: (before.x + after.x) / 2, y: (before.y + after.y) / 2 };
  // The levels at the middles of both modules.
  const level = (offset: number): number => {
    const { x, y } = point(offset);
    return lumaAt(picture, x, y);
  };
  const [low, high] = [level(-0.5), level(0.5)];
  const step = (low - high) * sign;
  if (step * Math.sign(contrast) < stepMinShare * Math.abs(contrast)) return undefined;
  const offset = halfWay(picture, before, after, (low + high) / 2, Math.sign(high - low));
  if (offset === undefined) return undefined;
  const seen = {
    x: middle.x + (after.x - before.x) * offset,
    y: middle.y + (after.y - before.y) * offset,
  };
  return { column, row, axis, sign, seen, normal, modulePx };
}

/** The one crossing of `level` between `from` and `to`: -0.5 .. 0.5, 0 in the middle; undefined for none or several. */
function halfWay(picture: GreyPicture, from: Point, to: Point, level: number, rising: number): number | undefined {
  const steps = Math.max(8, Math.min(40, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) * 2)));
  let crossing: number | undefined;
  let last = (lumaAt(picture, from.x, from.y) - level) * rising;
  for (let step = 1; step <= steps; step++) {
    const part = step / steps;
    const here = (lumaAt(picture, from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part) - level) * rising;
    if (last < 0 && here >= 0) {
      if (crossing !== undefined) return undefined;
      crossing = (step - 1 + last / (last - here)) / steps - 0.5;
    }
    last = here;
  }
  return crossing;
}

/** Perpendicular to the edge's own line, on the side that the coordinate grows to. */
function edgeNormal(map: SymbolMap, { column, row, axis }: EdgePlace, across: Point): Point {
  const one = axis === "x" ? map.toPicture(column, row - 0.4) : map.toPicture(column - 0.4, row);
  const other = axis === "x" ? map.toPicture(column, row + 0.4) : map.toPicture(column + 0.4, row);
  const length = Math.hypot(other.x - one.x, other.y - one.y) || 1;
  const normal = { x: (other.y - one.y) / length, y: (one.x - other.x) / length };
  const side = normal.x * across.x + normal.y * across.y < 0 ? -1 : 1;
  return { x: side * normal.x, y: side * normal.y };
}

function within({ width, height }: GreyPicture, { x, y }: Point): boolean {
  return x >= 1 && y >= 1 && x <= width - 1 && y <= height - 1;
}

/** More edges do not make the answer better: what they share (blur, tone, the map) is what is left. */
const edgesMax = 700;
/** Levels of 255; less than that is noise. */
const contrastMin = 12;
/** An edge of less than this part of the symbol's contrast is covered, faded or glared away. */
const stepMinShare = 0.35;
/** Narrower modules have no middle that shows their own level. */
const modulePxMin = 1.6;
