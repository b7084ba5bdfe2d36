/**
 * Measures what a flat, upright symbol looks like module by module: where its lines of modules lie to a fraction of a pixel,
 * how wide each row and column is, what stands in its quiet zone, and which modules are not of one colour.
 *
 * Rules: SPEC Q21, Q23, Q48, Q49. Theory: between the middle of a light and the middle of a dark module the light is summed up; the sum
 * says where the edge is whether the picture is crisp, smoothed or blurred, because smoothing keeps sums. Ink that spreads moves edges to
 * opposite sides, so each line is the mean of its dark-to-light and its light-to-dark edges, and the pitch of the lines is the
 * size that was printed.
 */
import { type GreyPicture, lumaAt } from "./grey-picture.ts";
import type { Point } from "./plane.ts";

/** A symbol's own axes in the picture: unit vectors along its top and left sides, its corner and its extent in pixels. */
export type SymbolFrame = {
  readonly modules: number;
  readonly corner: Point;
  readonly across: Point;
  readonly down: Point;
  readonly width: number;
  readonly height: number;
  /** Luma halfway between dark and light. */
  readonly threshold: number;
};

/**
 * One axis, in pixels: `start` is line 0 from the frame's corner; `narrowest` and `widest` are single rows or columns, and
 * `noise` is how much of their difference chance alone may make (0 in a clean file).
 */
export type ModuleLines = {
  readonly pitch: number;
  readonly start: number;
  readonly narrowest: number;
  readonly widest: number;
  readonly noise: number;
};

/** How far out each side stays clear, in modules, up to what was asked for. Sides as the symbol stands. */
export type QuietZone = {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
};

export type FrameAxis = "across" | "down";

/**
 * Measures the lines of modules along one axis. `dark` is the symbol's grid, row by row. Undefined when fewer than half of
 * the lines show an edge.
 */
export function measureLines(
  picture: GreyPicture,
  frame: SymbolFrame,
  dark: Uint8Array,
  axis: FrameAxis,
): ModuleLines | undefined {
  const edges = findEdges(picture, frame, dark, axis);
  const both = edges.filter(({ rising, falling }) => !Number.isNaN(rising + falling));
  if (both.length < frame.modules / 2) return undefined;
  const spread = median(both.map(({ rising, falling }) => (rising - falling) / 2));
  const places = edges.map(({ rising, falling }) => {
    if (!Number.isNaN(rising + falling)) return (rising + falling) / 2;
    // The outer lines have one kind of edge only; what ink spreads elsewhere it spreads here.
    return Number.isNaN(falling) ? rising - spread : falling + spread;
  });
  const fit = fitLine(places);
  let [narrowest, widest] = [Number.POSITIVE_INFINITY, 0];
  for (let line = 0; line < frame.modules; line++) {
    const width = (places[line + 1] ?? Number.NaN) - (places[line] ?? Number.NaN);
    if (Number.isNaN(width)) continue;
    narrowest = Math.min(narrowest, width);
    widest = Math.max(widest, width);
  }
  return { ...fit, narrowest, widest, noise: noiseShare * median(edges.map((edge) => edge.error)) };
}

/**
 * Looks at the quiet zone, corners included, out to `wanted` modules. Specks of less than a fiftieth of a module are dust;
 * beyond the picture there is no quiet zone.
 */
export function measureQuietZone(picture: GreyPicture, frame: SymbolFrame, wanted: number): QuietZone {
  const { modules } = frame;
  const clear = (side: (along: number, out: number) => Point) => clearDistance(picture, frame, wanted, side);
  return {
    left: clear((along, out) => modulePoint(frame, -out, along)),
    top: clear((along, out) => modulePoint(frame, along, -out)),
    right: clear((along, out) => modulePoint(frame, modules + out, along)),
    bottom: clear((along, out) => modulePoint(frame, along, modules + out)),
  };
}

/**
 * Counts modules of which at least a fifth of the middle has the other colour than `dark` says: scratches, drops and marks
 * too small to turn a module. Undefined where modules are too small (under 6 px) to tell a mark from a soft edge.
 */
export function countMixedModules(picture: GreyPicture, frame: SymbolFrame, dark: Uint8Array): number | undefined {
  const { modules } = frame;
  if (Math.min(frame.width, frame.height) / modules < mixedModulePxMin) return undefined;
  let mixed = 0;
  for (let at = 0; at < modules * modules; at++) {
    let other = 0;
    for (let place = 0; place < mixedSide * mixedSide; place++) {
      const column = (at % modules) + middleAt(place % mixedSide);
      const row = Math.floor(at / modules) + middleAt(Math.floor(place / mixedSide));
      const point = modulePoint(frame, column, row);
      if (lumaAt(picture, point.x, point.y) < frame.threshold !== (dark[at] === 1)) other++;
    }
    if (other >= (mixedSide * mixedSide) / 5) mixed++;
  }
  return mixed;
}

/** Where (column, row) lies, in module units from the symbol's outer corner; fractions and places outside are fine. */
export function modulePoint(frame: SymbolFrame, column: number, row: number): Point {
  const { corner, across, down, modules } = frame;
  const right = (column * frame.width) / modules;
  const below = (row * frame.height) / modules;
  return { x: corner.x + across.x * right + down.x * below, y: corner.y + across.y * right + down.y * below };
}

/**
 * Median places of one line's edges, in pixels from the frame's corner; NaN where the line has none of the kind. `error`:
 * the standard error of these medians.
 */
type LineEdges = { readonly rising: number; readonly falling: number; readonly error: number };

/** `rising` is from light to dark. */
function findEdges(picture: GreyPicture, frame: SymbolFrame, dark: Uint8Array, axis: FrameAxis): readonly LineEdges[] {
  const { modules } = frame;
  const modulePx = (axis === "across" ? frame.width : frame.height) / modules;
  // Outside the symbol it is light.
  const isDark = (along: number, beside: number) =>
    along >= 0 &&
    along < modules &&
    dark[axis === "across" ? beside * modules + along : along * modules + beside] === 1;
  const edges: LineEdges[] = [];
  for (let line = 0; line <= modules; line++) {
    const rising: number[] = [];
    const falling: number[] = [];
    for (let beside = 0; beside < modules; beside++) {
      const after = isDark(line, beside);
      if (isDark(line - 1, beside) === after) continue;
      const place = edgePlace(picture, frame, axis, line, beside);
      if (place !== undefined) (after ? rising : falling).push(place * modulePx);
    }
    const error = Math.max(medianError(rising), medianError(falling));
    edges.push({ rising: median(rising), falling: median(falling), error });
  }
  return edges;
}

/** The edge near `line` in the row (or column) `beside`, in modules from the frame's corner; undefined without a clear one. */
function edgePlace(
  picture: GreyPicture,
  frame: SymbolFrame,
  axis: FrameAxis,
  line: number,
  beside: number,
): number | undefined {
  const modulePx = (axis === "across" ? frame.width : frame.height) / frame.modules;
  const steps = Math.min(edgeStepsMax, Math.max(edgeStepsMin, Math.ceil(modulePx * edgeStepsPerPx)));
  const lumaFrom = (part: number) => {
    const along = line - 0.5 + part;
    const point = axis === "across" ? modulePoint(frame, along, beside + 0.5) : modulePoint(frame, beside + 0.5, along);
    return isInside(picture, point) ? lumaAt(picture, point.x, point.y) : Number.NaN;
  };
  const before = lumaFrom(0);
  const after = lumaFrom(1);
  if (!(Math.abs(after - before) >= edgeLumaMin)) return undefined;
  let sum = 0;
  for (let step = 0; step < steps; step++) {
    sum += Math.min(1, Math.max(0, (after - lumaFrom((step + 0.5) / steps)) / (after - before)));
  }
  return line - 0.5 + sum / steps;
}

function clearDistance(
  picture: GreyPicture,
  frame: SymbolFrame,
  wanted: number,
  side: (along: number, out: number) => Point,
): number {
  const modulePx = Math.min(frame.width, frame.height) / frame.modules;
  const step = Math.max(1 / modulePx, 1 / quietStepsPerModule);
  let nearest: number | undefined;
  let area = 0;
  // The symbol's own soft edge reaches a little outward.
  for (let out = quietFrom; out < wanted; out += step) {
    for (let along = -out; along <= frame.modules + out; along += step) {
      const point = side(along, out);
      if (!isInside(picture, point)) return nearest ?? borderDistance(picture, side, Math.max(0, out - step), out);
      if (lumaAt(picture, point.x, point.y) >= frame.threshold) continue;
      nearest ??= out;
      area += step * step;
      if (area >= dustAreaModules) return nearest;
    }
  }
  return wanted;
}

/** How far out the picture's border is, between a distance that is inside and one that is not. */
function borderDistance(
  picture: GreyPicture,
  side: (along: number, out: number) => Point,
  inside: number,
  outside: number,
): number {
  let [from, to] = [inside, outside];
  for (let halving = 0; halving < 10; halving++) {
    const middle = (from + to) / 2;
    if (isInside(picture, side(0, middle))) from = middle;
    else to = middle;
  }
  return from;
}

/** Least squares over the lines that have a place. */
function fitLine(places: readonly number[]): { readonly pitch: number; readonly start: number } {
  const known = places.flatMap((place, line) => (Number.isNaN(place) ? [] : [{ line, place }]));
  const meanLine = known.reduce((sum, { line }) => sum + line, 0) / known.length;
  const meanPlace = known.reduce((sum, { place }) => sum + place, 0) / known.length;
  let [above, below] = [0, 0];
  for (const { line, place } of known) {
    above += (line - meanLine) * (place - meanPlace);
    below += (line - meanLine) ** 2;
  }
  const pitch = above / below;
  return { pitch, start: meanPlace - pitch * meanLine };
}

function isInside(picture: GreyPicture, point: Point): boolean {
  return point.x >= 0 && point.y >= 0 && point.x <= picture.width && point.y <= picture.height;
}

/** NaN of none. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** 1.25 standard deviations over the root of the count, by the median distance from the median. Source: any book of statistics. */
function medianError(values: readonly number[]): number {
  if (values.length < 3) return 0;
  const middle = median(values);
  const distance = median(values.map((value) => Math.abs(value - middle)));
  return (1.25 * 1.4826 * distance) / Math.sqrt(values.length);
}

function middleAt(place: number): number {
  return 0.2 + (0.6 * (place + 0.5)) / mixedSide;
}

// The difference of two widths of two lines each, of the widest and the narrowest of some forty.
const noiseShare = 5;
const mixedSide = 5;
const mixedModulePxMin = 6;
// Less than this between two neighbours is noise, not an edge.
const edgeLumaMin = 16;
const edgeStepsPerPx = 4;
const edgeStepsMin = 16;
const edgeStepsMax = 256;
const quietStepsPerModule = 40;
const quietFrom = 0.2;
const dustAreaModules = 0.02;
