/**
 * Bends a map to the paper. Between two neighbouring modules of unlike colour the picture has an edge; where it lies, halfway
 * or not, says how far the map is off there, across columns or across rows. All these small shifts together, smoothed by the lattice's
 * stiffness, correct the map. It starts where the map is known (finders, alignment patterns) and grows from there, because a map
 * that is off by more than half a module sees the wrong edges.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import { moduleRole, type SymbolLayout } from "../qr/layout.ts";
import {
  addShift,
  fitShifts,
  type ModuleMap,
  moduleMiddles,
  type ShiftLattice,
  type ShiftMeasures,
  shiftAt,
  shiftMeasures,
} from "./module-map.ts";
import type { Level } from "./pyramid.ts";

/** A place in module units where the map is right. */
export type Anchor = { readonly column: number; readonly row: number };

/**
 * One round. `judged` was sampled through `map` in `level`; modules whose colour the layout fixes are taken at its word; edges count the less the farther they are from an
 * anchor, with `reach` in modules the distance at which little is left. `stiffness`: how much the lattice resists bending.
 */
export function refineMap(
  level: Level,
  map: ModuleMap,
  layout: SymbolLayout,
  judged: Judged,
  anchors: readonly Anchor[],
  reach: number,
  stiffness = stiffnessUsual,
): ModuleMap {
  const { modules } = map;
  const cells = Math.min(cellsMax, Math.max(cellsMin, Math.round(modules / modulesPerCell)));
  const trust = anchorTrust(modules, anchors, reach);
  const sampled: Sampled = {
    picture: level.picture,
    scale: level.scale,
    middles: moduleMiddles(map),
    darkness: knownDarkness(judged.darkness, layout),
    thresholds: judged.thresholds,
    trust,
  };
  const across = edgeShifts(map, sampled, 1);
  const down = edgeShifts(map, sampled, modules);
  if (across.count < edgesMin || down.count < edgesMin) return map;
  const nodes = nodesOf(map, cells);
  add(nodes.across, fitShifts(across, modules, cells, stiffness));
  add(nodes.down, fitShifts(down, modules, cells, stiffness));
  return { modules, moduleToPicture: map.moduleToPicture, shifts: nodes };
}

/** The map's shifts on a lattice of so many cells. */
function nodesOf({ shifts, modules }: ModuleMap, cells: number): ShiftLattice {
  const side = cells + 1;
  const nodes = { cells, across: new Float64Array(side * side), down: new Float64Array(side * side) };
  if (shifts === undefined) return nodes;
  for (let at = 0; at < side * side; at++) {
    const column = ((at % side) * modules) / cells;
    const row = (Math.floor(at / side) * modules) / cells;
    nodes.across[at] = shiftAt(shifts, shifts.across, modules, column, row);
    nodes.down[at] = shiftAt(shifts, shifts.down, modules, column, row);
  }
  return nodes;
}

function add(to: Float64Array, values: Float64Array): void {
  for (let at = 0; at < to.length; at++) to[at] = (to[at] ?? 0) + (values[at] ?? 0);
}

/**
 * The map of a symbol that has been read, bent until the edges of its true modules lie where the picture shows them. A map that was good
 * already stays as it is. `dark` is laid out as the map is.
 */
export function settleMap(
  level: Level,
  start: ModuleMap,
  dark: Uint8Array,
  judge: (map: ModuleMap) => Judged,
): ModuleMap {
  const { modules } = start;
  const cells = Math.min(cellsMax, Math.max(cellsMin, Math.round(modules / modulesPerCell)));
  const trust = new Float32Array(modules * modules).fill(1);
  const darkness = Float32Array.from(dark, (value) => (value === 1 ? 1 : -1));
  let map = start;
  for (let round = 0; round < settleRounds; round++) {
    const { picture, scale } = level;
    const { thresholds } = judge(map);
    const sampled: Sampled = { picture, scale, middles: moduleMiddles(map), darkness, thresholds, trust };
    const across = edgeShifts(map, sampled, 1);
    const down = edgeShifts(map, sampled, modules);
    if (across.count < edgesMin || down.count < edgesMin) return map;
    const nodes = nodesOf(map, cells);
    const fitted = {
      across: fitShifts(across, modules, cells, stiffnessUsual),
      down: fitShifts(down, modules, cells, stiffnessUsual),
    };
    if (largest(fitted.across) < settledModules && largest(fitted.down) < settledModules) return map;
    add(nodes.across, fitted.across);
    add(nodes.down, fitted.down);
    map = { modules, moduleToPicture: map.moduleToPicture, shifts: nodes };
  }
  return map;
}

type Judged = { readonly darkness: Float32Array; readonly thresholds: Float32Array };

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

type Sampled = {
  readonly picture: GreyPicture;
  readonly scale: number;
  readonly middles: Float64Array;
  readonly darkness: Float32Array;
  readonly thresholds: Float32Array;
  readonly trust: Float32Array;
};

/** `stride` 1 for edges between columns, `modules` for those between rows. */
function edgeShifts(map: ModuleMap, sampled: Sampled, stride: number): ShiftMeasures {
  const { modules } = map;
  const { thresholds, darkness, trust } = sampled;
  const measures = shiftMeasures(modules * modules);
  const acrossColumns = stride === 1;
  for (let row = 0; row < (acrossColumns ? modules : modules - 1); row++) {
    for (let column = 0; column < (acrossColumns ? modules - 1 : modules); column++) {
      const at = row * modules + column;
      const one = darkness[at] ?? 0;
      const other = darkness[at + stride] ?? 0;
      if (one * other >= 0 || Math.min(Math.abs(one), Math.abs(other)) < certaintyMin) continue;
      const weight = (trust[at] ?? 0) * Math.min(1, Math.abs(one - other) / 2);
      if (weight < 0.01) continue;
      const threshold = ((thresholds[at] ?? 0) + (thresholds[at + stride] ?? 0)) / 2;
      const crossing = crossingAt(sampled, at, at + stride, threshold, one > 0);
      if (crossing === undefined) continue;
      const off = crossing - 0.5;
      const u = acrossColumns ? column + 1 : column + 0.5;
      const v = acrossColumns ? row + 0.5 : row + 1;
      addShift(measures, u, v, off, weight);
    }
  }
  return measures;
}

/**
 * Where along the way from one middle (0) to the next (1) the luma crosses the threshold in the wanted direction, nearest to
 * halfway; a little of the way before and after is looked at too.
 */
function crossingAt(
  { picture, scale, middles }: Sampled,
  one: number,
  other: number,
  threshold: number,
  toLight: boolean,
): number | undefined {
  const x = (middles[2 * one] ?? 0) / scale;
  const y = (middles[2 * one + 1] ?? 0) / scale;
  const dx = (middles[2 * other] ?? 0) / scale - x;
  const dy = (middles[2 * other + 1] ?? 0) / scale - y;
  let nearest: number | undefined;
  let least = 1;
  let before = lumaAt(picture, x + crossingFrom * dx, y + crossingFrom * dy) - threshold;
  for (let step = 1; step <= crossingSteps; step++) {
    const t = crossingFrom + step * crossingStep;
    const here = lumaAt(picture, x + t * dx, y + t * dy) - threshold;
    if (toLight ? before < 0 && here >= 0 : before >= 0 && here < 0) {
      const crossing = t - (crossingStep * here) / (here - before);
      if (Math.abs(crossing - 0.5) < least) {
        least = Math.abs(crossing - 0.5);
        nearest = crossing;
      }
    }
    before = here;
  }
  return nearest;
}

/** The judged darkness with the colours that the layout fixes put in. */
function knownDarkness(darkness: Float32Array, { roles, functionDark }: SymbolLayout): Float32Array {
  return darkness.map((value, at) => {
    const role = roles[at] ?? 0;
    const isOpen = role === moduleRole.data || role === moduleRole.format || role === moduleRole.version;
    return isOpen ? value : functionDark[at] === 1 ? 1 : -1;
  });
}

function anchorTrust(modules: number, anchors: readonly Anchor[], reach: number): Float32Array {
  const trust = new Float32Array(modules * modules).fill(1);
  if (reach >= modules) return trust;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      let nearest = Number.POSITIVE_INFINITY;
      for (const anchor of anchors) {
        const away = (anchor.column - column) ** 2 + (anchor.row - row) ** 2;
        if (away < nearest) nearest = away;
      }
      trust[row * modules + column] = Math.exp(-nearest / (reach * reach));
    }
  }
  return trust;
}

const cellsMin = 4;
const cellsMax = 26;
const modulesPerCell = 5;
const stiffnessUsual = 1.5;
const edgesMin = 20;
const settleRounds = 4;
const settledModules = 0.15;
const certaintyMin = 0.25;
const crossingFrom = -0.2;
const crossingStep = 0.175;
const crossingSteps = 8;
