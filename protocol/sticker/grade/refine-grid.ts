/**
 * Where the modules really are: the lines between modules measured to a fraction of a pixel, and by them the middle of each
 * module, the pitch of either axis, how far the grid strays from a regular one, and by how much ink has grown.
 *
 * Rules: SPEC Q40, Q41. Theory: wherever a dark and a light module meet, a short profile across their line shows where the
 * brightness passes half way between the two. Ink that spreads moves dark-to-light and light-to-dark lines to opposite sides: their
 * mean is the line, half their difference the growth. No single module shows all four of its lines, so what was measured is joined
 * to a field over the symbol: a smooth surface (curl, stretch), one offset a line (a slipping feed), and a smooth rest.
 */
import {
  applyHomography,
  distance,
  type Homography,
  homographyBetween,
  invertHomography,
  type Point,
  type SymbolMap,
} from "../plane.ts";
import { findCoarseShift } from "./coarse-grid.ts";
import { type ReflectancePicture, reflectanceAt } from "./reflectance.ts";
import { fitSurface, type Surface } from "./smooth-surface.ts";

export type RefinedGrid = {
  /** The map that was given, moved to where the lines were measured. */
  readonly map: SymbolMap;
  /** Dark modules are wider (below 0: narrower) than their pitch by this share of a module, along each axis. */
  readonly growth: { readonly across: number; readonly down: number };
  /** Lines between a dark and a light module that could be measured, and all there are. */
  readonly edges: { readonly measured: number; readonly all: number };
};

export type GridShape = {
  /** Mean distance of neighbouring modules in pixels (or in the plane's unit), along the rows and along the columns. */
  readonly pitch: { readonly across: number; readonly down: number };
  /** The largest distance of a module's middle from the ideal grid, in modules. */
  readonly largestStray: number;
  /** In a view at an angle: by how many modules the surface's bend moves a module, which is no fault of the print. 0 in a flat one. */
  readonly bend: number;
};

/**
 * Measures all lines between modules. `dark`: the true modules, 1 dark, row by row; `contrast`: what light and dark modules differ
 * by in reflectance. Where next to nothing can be measured the map stays as it was given and the growth is 0.
 */
export function refineGrid(
  source: ReflectancePicture,
  map: SymbolMap,
  dark: Uint8Array,
  contrast: number,
): RefinedGrid {
  const { modules } = map;
  const coarse = findCoarseShift(source, map, dark, contrast);
  const state: GridState = {
    across: startAxis(modules, coarse === undefined ? undefined : (line, lane) => coarse.across(line, lane)),
    down: startAxis(modules, coarse === undefined ? undefined : (line, lane) => coarse.down(lane, line)),
  };
  let all = 0;
  for (let pass = 0; pass < passes; pass++) {
    for (const axis of ["across", "down"] as const) {
      const [own, other] = axis === "across" ? [state.across, state.down] : [state.down, state.across];
      const edges = measureEdges({ source, map, dark, contrast, axis, own: own.field, other: other.field });
      all = pass === 0 ? all + edges.possible : all;
      state[axis] = joinEdges(edges, modules, own);
    }
  }
  return {
    map: movedMap(map, state),
    growth: { across: state.across.growth, down: state.down.growth },
    edges: { measured: state.across.measured + state.down.measured, all },
  };
}

/**
 * The grid's pitch and its largest stray from a regular grid: one that is only turned, stretched and sheared, or, with
 * `perspective`, one seen at an angle on a surface that may be bent. `toPlane` takes pixels to a plane in which lengths are true.
 */
export function measureGridShape(map: SymbolMap, perspective: boolean, toPlane?: (point: Point) => Point): GridShape {
  const { modules } = map;
  const places: Point[] = [];
  const middles: Point[] = [];
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const seen = map.toPicture(column + 0.5, row + 0.5);
      places.push({ x: column + 0.5, y: row + 0.5 });
      middles.push(toPlane === undefined ? seen : toPlane(seen));
    }
  }
  const pitch = { across: meanStep(middles, modules, 1), down: meanStep(middles, modules, modules) };
  const ideal = perspective ? homographyBetween(places, middles) : affineBetween(places, middles, modules);
  if (ideal === undefined) return { pitch, largestStray: Number.POSITIVE_INFINITY, bend: 0 };
  const back = invertHomography(ideal);
  const strays = middles.map((middle, at) => {
    const place = places[at] ?? middle;
    const { x, y } = applyHomography(back, middle.x, middle.y);
    return { ...place, dx: x - place.x, dy: y - place.y };
  });
  const noBend = (): number => 0;
  const [across, down] = (["dx", "dy"] as const).map((part) => {
    if (!perspective) return noBend;
    const samples = strays.map((stray) => ({ column: stray.x, row: stray.y, value: stray[part] }));
    return fitSurface(samples, modules, bendDegree, strayMin) ?? noBend;
  });
  let [largestStray, bend] = [0, 0];
  for (const { x, y, dx, dy } of strays) {
    const [bentX, bentY] = [across?.(x, y) ?? 0, down?.(x, y) ?? 0];
    bend = Math.max(bend, Math.hypot(bentX, bentY));
    largestStray = Math.max(largestStray, Math.hypot(dx - bentX, dy - bentY));
  }
  return { pitch, largestStray, bend };
}

type Axis = "across" | "down";

/** `field`: how far line k is moved at lane l (row or column), in modules, at [k * modules + l]. */
type AxisState = { readonly field: Float64Array; readonly growth: number; readonly measured: number };

type GridState = { across: AxisState; down: AxisState };

function startAxis(modules: number, shift: Surface | undefined): AxisState {
  const field = new Float64Array((modules + 1) * modules);
  if (shift !== undefined) {
    for (let at = 0; at < field.length; at++) field[at] = shift(Math.floor(at / modules), (at % modules) + 0.5);
  }
  return { field, growth: 0, measured: 0 };
}

type EdgeTask = {
  readonly source: ReflectancePicture;
  readonly map: SymbolMap;
  readonly dark: Uint8Array;
  readonly contrast: number;
  readonly axis: Axis;
  /** What is known so far of how lines are moved, along the axis and beside it. */
  readonly own: Float64Array;
  readonly other: Float64Array;
};

type Edge = { readonly line: number; readonly lane: number; readonly moved: number; readonly darkFirst: boolean };

type Edges = { readonly found: readonly Edge[]; readonly possible: number };

function measureEdges(task: EdgeTask): Edges {
  const { map, dark, axis, own } = task;
  const { modules } = map;
  const isDark = (line: number, lane: number): boolean => {
    if (line < 0 || line >= modules) return false;
    return dark[axis === "across" ? lane * modules + line : line * modules + lane] === 1;
  };
  const found: Edge[] = [];
  let possible = 0;
  for (let line = 0; line <= modules; line++) {
    for (let lane = 0; lane < modules; lane++) {
      const darkFirst = isDark(line - 1, lane);
      if (darkFirst === isDark(line, lane)) continue;
      possible++;
      const stray = measureEdge(task, line, lane, darkFirst);
      if (stray === undefined) continue;
      found.push({ line, lane, moved: (own[line * modules + lane] ?? 0) + stray, darkFirst });
    }
  }
  return { found, possible };
}

/**
 * How far from where the map has it the line between two modules is, in modules. Undefined when the two are not as different as they
 * should be: then one of them is damaged, and what lies between them says nothing of the grid.
 */
function measureEdge(
  { source, map, contrast, axis, own, other }: EdgeTask,
  line: number,
  lane: number,
  darkFirst: boolean,
): number | undefined {
  const middle = line + (own[line * map.modules + lane] ?? 0);
  const centre = lane + 0.5 + fieldAt(other, map.modules, lane + 0.5, line);
  const at = (along: number, beside: number): Point =>
    axis === "across" ? map.toPicture(middle + along, centre + beside) : map.toPicture(centre + beside, middle + along);
  const reach = distance(at(-0.5, 0), at(0.5, 0));
  const steps = Math.max(Math.ceil(2 * searchReach * reach * stepsPerPixel), 8);
  const profile = new Float64Array(steps + 1);
  for (const beside of besides) {
    const from = at(-searchReach, beside);
    const to = at(searchReach, beside);
    for (let step = 0; step <= steps; step++) {
      const share = step / steps;
      const x = from.x + (to.x - from.x) * share;
      const y = from.y + (to.y - from.y) * share;
      profile[step] = (profile[step] ?? 0) + reflectanceAt(source, x, y) / besides.length;
    }
  }
  const near = (profile.length - 1) / 2;
  const far = near * (levelReach / searchReach);
  const before = profile.subarray(Math.floor(near - far), Math.ceil(near) + 1);
  const after = profile.subarray(Math.floor(near), Math.ceil(near + far) + 1);
  const low = Math.min(...(darkFirst ? before : after));
  const high = Math.max(...(darkFirst ? after : before));
  if (!(high - low > edgeContrastMin * contrast)) return undefined;
  const crossing = crossingNearMiddle(profile, (low + high) / 2, darkFirst);
  if (crossing === undefined) return undefined;
  const window = Math.min(balancePixels / reach, balanceReach) * (steps / (2 * searchReach));
  return (balancedEdge(profile, crossing, window, { low, high, darkFirst }) / steps - 0.5) * 2 * searchReach;
}

/**
 * The edge between two levels around a first guess: what is light in the window, taken together, would fill its light part up to
 * the edge. Unlike a crossing this does not depend on where pixels begin, because a pixel keeps the sum of what it saw.
 */
function balancedEdge(
  profile: Float64Array,
  guess: number,
  window: number,
  { low, high, darkFirst }: { readonly low: number; readonly high: number; readonly darkFirst: boolean },
): number {
  const parts = 2 * balanceParts;
  let light = 0;
  for (let part = 0; part < parts; part++) {
    const place = guess + window * ((part + 0.5) / balanceParts - 1);
    const before = Math.floor(place);
    const [here, next] = [profile[before], profile[before + 1]];
    if (here === undefined || next === undefined) return guess;
    const value = here + (next - here) * (place - before);
    light += Math.min(Math.max((value - low) / (high - low), 0), 1) / parts;
  }
  return darkFirst ? guess + window * (1 - 2 * light) : guess + window * (2 * light - 1);
}

/** Where the profile passes `level` in the right direction, nearest to its middle; in steps, between steps by proportion. */
function crossingNearMiddle(profile: Float64Array, level: number, rising: boolean): number | undefined {
  const middle = (profile.length - 1) / 2;
  let nearest: number | undefined;
  for (let at = 0; at + 1 < profile.length; at++) {
    const here = profile[at] ?? 0;
    const next = profile[at + 1] ?? 0;
    if (rising ? !(here < level && next >= level) : !(here >= level && next < level)) continue;
    const crossing = at + (level - here) / (next - here);
    if (nearest === undefined || Math.abs(crossing - middle) < Math.abs(nearest - middle)) nearest = crossing;
  }
  return nearest;
}

/** Joins the lines measured one by one to a field over the whole symbol, and to one growth. */
function joinEdges(edges: Edges, modules: number, before: AxisState): AxisState {
  const found = withoutStrays(edges.found);
  if (found.length < edgesMin) return { ...before, measured: found.length };
  // Growth is measured on lines that are straight, so what is known of their course is taken off first.
  const known = Float64Array.from(found, ({ line, lane }) => before.field[line * modules + lane] ?? 0);
  const growth = measureGrowth(found, known, modules);
  const samples = found.map(({ line, lane, moved, darkFirst }) => ({
    column: line,
    row: lane + 0.5,
    value: moved - (darkFirst ? growth : -growth) / 2,
  }));
  const surface = fitSurface(samples, modules, surfaceDegree, strayMin) ?? (() => 0);
  const rest = Float64Array.from(samples, ({ column, row, value }) => value - surface(column, row));
  const offsets = lineOffsets(found, rest, modules);
  const field = smoothRest(found, rest, offsets, modules);
  for (let line = 0; line <= modules; line++) {
    for (let lane = 0; lane < modules; lane++) {
      const at = line * modules + lane;
      field[at] = (field[at] ?? 0) + (offsets[line] ?? 0) + surface(line, lane + 0.5);
    }
  }
  return { field, growth, measured: found.length };
}

/** Leaves out what is far from its neighbours on the same line: beside damage something else than the line was measured. */
function withoutStrays(found: readonly Edge[]): readonly Edge[] {
  return found.filter((edge, at) => {
    const beside: number[] = [];
    // Edges come line by line, so neighbours are near in the list.
    for (let other = Math.max(at - besideLanes, 0); other <= at + besideLanes; other++) {
      const neighbour = found[other];
      if (neighbour === undefined || other === at || neighbour.line !== edge.line) continue;
      if (Math.abs(neighbour.lane - edge.lane) <= besideLanes) beside.push(neighbour.moved);
    }
    return beside.length < 2 || Math.abs(edge.moved - median(beside)) < strayMin;
  });
}

/** On each line that shows both kinds: ink moves the one forth and the other back by half its growth. */
function measureGrowth(found: readonly Edge[], known: Float64Array, modules: number): number {
  const sums = new Float64Array(4 * (modules + 1));
  for (const [which, { line, moved, darkFirst }] of found.entries()) {
    const at = 4 * line + (darkFirst ? 0 : 2);
    sums[at] = (sums[at] ?? 0) + moved - (known[which] ?? 0);
    sums[at + 1] = (sums[at + 1] ?? 0) + 1;
  }
  let [total, weights] = [0, 0];
  for (let line = 0; line <= modules; line++) {
    const [forth = 0, forths = 0, back = 0, backs = 0] = sums.subarray(4 * line, 4 * line + 4);
    if (forths === 0 || backs === 0) continue;
    const weight = (forths * backs) / (forths + backs);
    total += weight * (forth / forths - back / backs);
    weights += weight;
  }
  return weights === 0 ? 0 : total / weights;
}

/** One offset a line: the median, which damage on part of a line does not move. */
function lineOffsets(found: readonly Edge[], rest: Float64Array, modules: number): Float64Array {
  const byLine: number[][] = Array.from({ length: modules + 1 }, () => []);
  for (const [at, { line }] of found.entries()) byLine[line]?.push(rest[at] ?? 0);
  return Float64Array.from(byLine, (values) => (values.length < offsetEdgesMin ? 0 : median(values)));
}

/** What surface and offsets leave, smoothed over neighbours; where few edges were measured it is drawn to nothing. */
function smoothRest(found: readonly Edge[], rest: Float64Array, offsets: Float64Array, modules: number): Float64Array {
  const values = new Float64Array((modules + 1) * modules);
  const weights = new Float64Array((modules + 1) * modules);
  const left = found.map(({ line }, at) => (rest[at] ?? 0) - (offsets[line] ?? 0));
  for (const [at, { line, lane }] of found.entries()) {
    const value = left[at] ?? 0;
    // One edge by itself, with no neighbour to be judged by, must not pull the grid to the next module.
    if (Math.abs(value) > restMax) continue;
    values[line * modules + lane] = value;
    weights[line * modules + lane] = 1;
  }
  for (const plane of [values, weights]) {
    blurLanes(plane, modules + 1, modules, 1);
    blurLanes(plane, modules, 1, modules);
  }
  return values.map((value, at) => value / ((weights[at] ?? 0) + smoothPrior));
}

/** A Gaussian over `count` values that are `stride` apart, for each of the other direction's lanes (`laneStride` apart). */
function blurLanes(plane: Float64Array, count: number, stride: number, laneStride: number): void {
  const lanes = plane.length / count;
  const lane = new Float64Array(count);
  for (let which = 0; which < lanes; which++) {
    for (let at = 0; at < count; at++) lane[at] = plane[which * laneStride + at * stride] ?? 0;
    for (let at = 0; at < count; at++) {
      let sum = 0;
      for (let off = -smoothReach; off <= smoothReach; off++)
        sum += (lane[at + off] ?? 0) * (smoothKernel[off + smoothReach] ?? 0);
      plane[which * laneStride + at * stride] = sum;
    }
  }
}

function movedMap(map: SymbolMap, { across, down }: GridState): SymbolMap {
  const { modules } = map;
  return {
    modules,
    toPicture: (column, row) =>
      map.toPicture(
        column + fieldAt(across.field, modules, column, row),
        row + fieldAt(down.field, modules, row, column),
      ),
  };
}

/** Between lines and lanes by proportion; beyond the symbol its border goes on. */
function fieldAt(field: Float64Array, modules: number, line: number, lane: number): number {
  const onLine = Math.min(Math.max(line, 0), modules);
  const onLane = Math.min(Math.max(lane - 0.5, 0), modules - 1);
  const first = Math.min(Math.floor(onLine), modules - 1);
  const side = Math.min(Math.floor(onLane), modules - 2);
  const [along, beside] = [onLine - first, onLane - side];
  const at = (dLine: number, dLane: number): number => field[(first + dLine) * modules + side + dLane] ?? 0;
  return (
    (at(0, 0) * (1 - beside) + at(0, 1) * beside) * (1 - along) + (at(1, 0) * (1 - beside) + at(1, 1) * beside) * along
  );
}

function meanStep(middles: readonly Point[], modules: number, stride: number): number {
  let [sum, count] = [0, 0];
  for (const [at, middle] of middles.entries()) {
    const isLast = stride === 1 ? at % modules === modules - 1 : at + stride >= middles.length;
    const next = middles[at + stride];
    if (isLast || next === undefined) continue;
    sum += distance(middle, next);
    count++;
  }
  return sum / count;
}

/** Least squares. The places are a full square grid, so its axes are independent and each factor is a quotient of sums. */
function affineBetween(places: readonly Point[], middles: readonly Point[], modules: number): Homography {
  const centre = modules / 2;
  const sums = { x: 0, y: 0, xa: 0, xd: 0, ya: 0, yd: 0, spread: 0 };
  for (const [at, { x, y }] of middles.entries()) {
    const across = (places[at]?.x ?? 0) - centre;
    const down = (places[at]?.y ?? 0) - centre;
    sums.x += x / middles.length;
    sums.y += y / middles.length;
    sums.xa += x * across;
    sums.xd += x * down;
    sums.ya += y * across;
    sums.yd += y * down;
    sums.spread += across * across;
  }
  const [a, b, c, d] = [sums.xa, sums.xd, sums.ya, sums.yd].map((sum) => sum / sums.spread);
  const [ax = 0, dx = 0, ay = 0, dy = 0] = [a, b, c, d];
  return [ax, dx, sums.x - (ax + dx) * centre, ay, dy, sums.y - (ay + dy) * centre, 0, 0, 1];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

// The first pass brings the map near, the later ones measure; more move nothing by a thousandth of a module.
const passes = 3;
// An edge farther off than this belongs to the next module.
const searchReach = 0.75;
/** How far from the line the levels of its two modules are looked for, in modules. */
const levelReach = 0.6;
/** Half the window of an edge's balance: what a pixel and its blending smear, but not the next edge. */
const balancePixels = 1.6;
const balanceReach = 0.35;
const balanceParts = 12;
const stepsPerPixel = 2;
/** Three profiles beside each other, well inside the module. */
const besides = [-0.2, 0, 0.2];
const edgeContrastMin = 0.4;
const edgesMin = 40;
const offsetEdgesMin = 3;
const surfaceDegree = 5;
/** A pipe, a fold or a curl; print and paper stray within shorter lengths. */
const bendDegree = 3;
const besideLanes = 3;
/** Modules: what differs less is never taken for damage. */
const strayMin = 0.3;
/** Modules: what surface and offset of the line may leave. */
const restMax = 0.35;
const smoothReach = 3;
const smoothSigma = 1;
const smoothKernel = Float64Array.from({ length: 2 * smoothReach + 1 }, (_, at) =>
  Math.exp(-((at - smoothReach) ** 2) / (2 * smoothSigma ** 2)),
);
/** Less than one edge at the very place: nothing is drawn to zero but where nothing was measured. */
const smoothPrior = 0.3;
