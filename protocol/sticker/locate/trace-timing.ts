/**
 * Follows the two timing patterns from finder to finder. Their edges alternate, so when as many are met as there must be, each is
 * known for certain, however unevenly bent paper has spread them; that says how modules crowd together across and down.
 */
import { lumaAt } from "../grey-picture.ts";
import {
  addShift,
  fitShifts,
  type ModuleMap,
  mapModule,
  type ShiftMeasures,
  shiftAt,
  shiftMeasures,
} from "./module-map.ts";
import type { Level } from "./pyramid.ts";

/** The map with its columns and rows spread as the timing patterns show; undefined when neither could be followed to its end. */
export function spreadByTiming(level: Level, map: ModuleMap): ModuleMap | undefined {
  const across = traceTiming(level, map, false);
  const down = traceTiming(level, map, true);
  if (across === undefined && down === undefined) return undefined;
  const { modules } = map;
  const cells = Math.max(4, Math.round(modules / 4));
  const side = cells + 1;
  const shifts = { cells, across: new Float64Array(side * side), down: new Float64Array(side * side) };
  const acrossFit = across === undefined ? undefined : fitShifts(across, modules, cells, stiffness);
  const downFit = down === undefined ? undefined : fitShifts(down, modules, cells, stiffness);
  for (let at = 0; at < side * side; at++) {
    const column = ((at % side) * modules) / cells;
    const row = (Math.floor(at / side) * modules) / cells;
    const { shifts: old } = map;
    shifts.across[at] =
      (old === undefined ? 0 : shiftAt(old, old.across, modules, column, row)) + (acrossFit?.[at] ?? 0);
    shifts.down[at] = (old === undefined ? 0 : shiftAt(old, old.down, modules, column, row)) + (downFit?.[at] ?? 0);
  }
  return { modules, moduleToPicture: map.moduleToPicture, shifts };
}

/** Shifts of the timing pattern's edges, said again for all rows (or columns), since paper mostly bends one way. */
function traceTiming(level: Level, map: ModuleMap, isColumn: boolean): ShiftMeasures | undefined {
  for (const beside of tracks) {
    const edges = findEdges(level, map, isColumn, beside);
    if (edges === undefined) continue;
    const { modules } = map;
    const measures = shiftMeasures((edges.length + 2) * linesSaid);
    for (let line = 0; line < linesSaid; line++) {
      const other = ((line + 0.5) * modules) / linesSaid;
      const add = (along: number, shift: number): void =>
        isColumn ? addShift(measures, other, along, shift, 1) : addShift(measures, along, other, shift, 1);
      add(3.5, 0);
      for (const [at, edge] of edges.entries()) add(8 + at, edge - (8 + at));
      add(modules - 3.5, 0);
    }
    return measures;
  }
  return undefined;
}

/** Where along the pattern the edges are, in module units; undefined unless there are as many as there must be. */
function findEdges({ picture, scale }: Level, map: ModuleMap, isColumn: boolean, beside: number): number[] | undefined {
  const { modules } = map;
  const from = 7.3;
  const samples = Math.round((modules - 2 * from) * density);
  const values = new Float64Array(samples + 1);
  for (let at = 0; at <= samples; at++) {
    const along = from + at / density;
    const place = isColumn ? mapModule(map, 6.5 + beside, along) : mapModule(map, along, 6.5 + beside);
    values[at] = lumaAt(picture, place.x / scale, place.y / scale);
  }
  const edges: number[] = [];
  let before = 1;
  for (let at = 0; at <= samples; at++) {
    const here = (values[at] ?? 0) - middleAround(values, at);
    if (before * here < 0 && edges.length <= modules) {
      const earlier = (values[at - 1] ?? 0) - middleAround(values, at - 1);
      edges.push(from + (at - here / (here - earlier)) / density);
    }
    if (here !== 0) before = here;
  }
  return edges.length === modules - 15 ? edges : undefined;
}

/** The middle between the darkest and the lightest within a module and a half. */
function middleAround(values: Float64Array, at: number): number {
  let low = 255;
  let high = 0;
  for (let near = Math.max(0, at - reach); near <= Math.min(values.length - 1, at + reach); near++) {
    const value = values[near] ?? 0;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return (low + high) / 2;
}

// Samples a module.
const density = 8;
const reach = 12;
const tracks = [0, -0.3, 0.3];
const linesSaid = 6;
const stiffness = 0.3;
