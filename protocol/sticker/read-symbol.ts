/**
 * Finds, reads and measures one QR symbol in a grey picture: print files and flat scans. This is the one file of protocol/
 * that knows `jsqr`.
 *
 * Rules: SPEC Q20-Q23. Theory: jsQR finds and decodes on a reduced copy, because it needs seconds for a page at full
 * resolution. Its corners are good to a module or so only; size is therefore measured again in the full picture, from the outer edges
 * of the finder patterns along many parallel lines, to a fraction of a pixel. jsQR tells neither level nor errors: the
 * text is encoded again with every level and mask, and the grid that fits best says both.
 */
import jsqr from "jsqr";
import { failed, ok, type Result } from "../base/result.ts";
import { type GreyPicture, greyToRgba, lumaAt, reducePicture } from "./grey-picture.ts";
import { distance, type Point } from "./plane.ts";
import type { SymbolQuality } from "./print-check.ts";
import { symbolModules } from "./specification.ts";
import { payloadToSymbol } from "./symbol.ts";

/** Symbol without quiet zone, in pixels along the picture's axes; `tilted` when its sides do not follow them. */
export type PixelExtent =
  | { readonly kind: "flat"; readonly width: number; readonly height: number; readonly uncertainty: number }
  | { readonly kind: "tilted" };

export type ReadSymbol = {
  readonly text: string;
  readonly extent: PixelExtent;
  readonly quality: Omit<SymbolQuality, "printScalingOff">;
  /** Outer corners as the symbol stands: top left, top right, bottom right, bottom left; in pixels. */
  readonly corners: readonly [Point, Point, Point, Point];
};

/** `empty-text`: a symbol was found and its text is empty or not UTF-8, which no sticker is. */
export type ReadSymbolFault = { readonly code: "no-symbol" } | { readonly code: "empty-text" };

/**
 * Reads the most prominent symbol. `quietZoneModules` is how far out the quiet zone is looked at.
 * Faults: no-symbol, empty-text. Never throws; the work is bounded by the picture's size. Source: SPEC Q20-Q23.
 */
export function readSymbol(picture: GreyPicture, quietZoneModules: number): Result<ReadSymbol, ReadSymbolFault> {
  const found = findSymbol(picture);
  if (!found.ok) return found;
  const { text, version } = found.value;
  const frame = measureFrame(picture, found.value);
  const unknown = { errorCorrectionLevel: undefined, maskPattern: undefined, moduleErrors: undefined };
  if (frame === undefined) {
    return ok({
      text,
      extent: { kind: "tilted" },
      quality: { symbolVersion: version, ...unknown, quietZoneModules: undefined, contrastPercent: undefined },
      corners: found.value.corners,
    });
  }
  const grid = sampleModules(picture, frame);
  return ok({
    text,
    extent: frameExtent(frame),
    quality: {
      symbolVersion: version,
      ...(encodeAgain(text, version, grid.dark) ?? unknown),
      quietZoneModules: measureQuietZone(picture, frame, quietZoneModules),
      contrastPercent: grid.contrastPercent,
    },
    corners: frameCorners(frame),
  });
}

type FoundSymbol = {
  readonly text: string;
  readonly version: number;
  readonly topLeft: Point;
  readonly topRight: Point;
  readonly bottomLeft: Point;
  readonly corners: readonly [Point, Point, Point, Point];
};

/** Tries jsQR on ever finer copies; the first that gives a text wins. */
function findSymbol(picture: GreyPicture): Result<FoundSymbol, ReadSymbolFault> {
  const longest = Math.max(picture.width, picture.height);
  const factors = new Set(searchSidesPx.map((side) => Math.max(1, Math.ceil(longest / side))));
  let sawEmpty = false;
  for (const factor of factors) {
    const copy = reducePicture(picture, factor);
    // jsQR keeps options between calls, so each call states its own (reference: its `defaultOptions` is mutated).
    const read = jsqr.default(greyToRgba(copy), copy.width, copy.height, { inversionAttempts: "attemptBoth" });
    if (read === null) continue;
    if (read.data === "") {
      sawEmpty = true;
      continue;
    }
    const full = (point: Point): Point => ({ x: point.x * factor, y: point.y * factor });
    const at = read.location;
    return ok({
      text: read.data,
      version: read.version,
      topLeft: full(at.topLeftFinderPattern),
      topRight: full(at.topRightFinderPattern),
      bottomLeft: full(at.bottomLeftFinderPattern),
      corners: [full(at.topLeftCorner), full(at.topRightCorner), full(at.bottomRightCorner), full(at.bottomLeftCorner)],
    });
  }
  return failed({ code: sawEmpty ? "empty-text" : "no-symbol" });
}

/** The symbol's own axes in the picture: unit vectors along its top and left sides, its corner and its extent. */
type Frame = {
  readonly modules: number;
  readonly corner: Point;
  readonly across: Point;
  readonly down: Point;
  readonly width: number;
  readonly height: number;
  /** Luma between the finder's dark ring and the light ring inside it. */
  readonly threshold: number;
};

/**
 * Undefined when the symbol is not an upright rectangle, or a finder has no clear edge. jsQR's finder centres may be off
 * by several pixels, which over a symbol's width would turn the frame; so the finders are measured twice, the second time
 * along axes through the centres that the first time found.
 */
function measureFrame(picture: GreyPicture, found: FoundSymbol): Frame | undefined {
  const modules = symbolModules(found.version);
  const rough = measureFinders(picture, found, modules);
  const fine = rough === undefined ? undefined : measureFinders(picture, centresOf(rough), modules);
  if (fine === undefined) return undefined;
  const { across, down, topLeft, topRight, bottomLeft, threshold } = fine;
  const squareError = Math.abs(across.x * down.x + across.y * down.y);
  const axisError = Math.min(Math.abs(across.x), Math.abs(across.y));
  if (squareError > squareErrorMax || axisError > axisErrorMax) return undefined;
  // The finders are of one size unless the picture was taken at an angle.
  const widths = [topLeft, topRight, bottomLeft].map((finder) => finder.left + finder.right);
  const heights = [topLeft, topRight, bottomLeft].map((finder) => finder.top + finder.bottom);
  if (differ(widths) || differ(heights)) return undefined;
  return {
    modules,
    corner: moved(moved(topLeft.centre, across, -topLeft.left), down, -topLeft.top),
    across,
    down,
    width: distance(topLeft.centre, topRight.centre) + topLeft.left + topRight.right,
    height: distance(topLeft.centre, bottomLeft.centre) + topLeft.top + bottomLeft.bottom,
    threshold,
  };
}

type FinderCentres = Pick<FoundSymbol, "topLeft" | "topRight" | "bottomLeft">;

/** A finder's middle, and how far it is from there to its four edges along the symbol's axes, in pixels. */
type Finder = {
  readonly centre: Point;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
};

type Finders = {
  readonly across: Point;
  readonly down: Point;
  readonly threshold: number;
  readonly topLeft: Finder;
  readonly topRight: Finder;
  readonly bottomLeft: Finder;
};

function measureFinders(picture: GreyPicture, centres: FinderCentres, modules: number): Finders | undefined {
  const across = unitVector(centres.topLeft, centres.topRight);
  const down = unitVector(centres.topLeft, centres.bottomLeft);
  const moduleAcross = distance(centres.topLeft, centres.topRight) / (modules - 7);
  const moduleDown = distance(centres.topLeft, centres.bottomLeft) / (modules - 7);
  const threshold = finderThreshold(picture, centres.topLeft, across, moduleAcross);
  if (threshold === undefined) return undefined;
  const edge = (centre: Point, out: Point, along: Point, outModule: number, alongModule: number) =>
    edgeDistances(picture, { centre, out, along, outModule, alongModule, threshold });
  const measure = (centre: Point): Finder => ({
    centre,
    left: edge(centre, negative(across), down, moduleAcross, moduleDown),
    right: edge(centre, across, down, moduleAcross, moduleDown),
    top: edge(centre, negative(down), across, moduleDown, moduleAcross),
    bottom: edge(centre, down, across, moduleDown, moduleAcross),
  });
  const [topLeft, topRight, bottomLeft] = [
    measure(centres.topLeft),
    measure(centres.topRight),
    measure(centres.bottomLeft),
  ];
  const complete = [topLeft, topRight, bottomLeft].every(
    ({ left, right, top, bottom }) => !Number.isNaN(left + right + top + bottom),
  );
  return complete ? { across, down, threshold, topLeft, topRight, bottomLeft } : undefined;
}

/** The true middles, halfway between opposite edges. */
function centresOf(finders: Finders): FinderCentres {
  const middle = ({ centre, left, right, top, bottom }: Finder): Point =>
    moved(moved(centre, finders.across, (right - left) / 2), finders.down, (bottom - top) / 2);
  return {
    topLeft: middle(finders.topLeft),
    topRight: middle(finders.topRight),
    bottomLeft: middle(finders.bottomLeft),
  };
}

function differ(sizes: readonly number[]): boolean {
  const largest = Math.max(...sizes);
  return largest - Math.min(...sizes) > Math.max(finderSpreadPxMin, finderSpreadShare * largest);
}

/**
 * Median distance in pixels from a finder's centre to its edge in direction `out`, over lines across the middle five of
 * its seven modules; NaN when fewer than half of the lines meet an edge.
 */
function edgeDistances(
  picture: GreyPicture,
  line: {
    readonly centre: Point;
    readonly out: Point;
    readonly along: Point;
    readonly outModule: number;
    readonly alongModule: number;
    readonly threshold: number;
  },
): number {
  const distances: number[] = [];
  for (let step = -edgeLines; step <= edgeLines; step++) {
    const start = moved(line.centre, line.along, (2.5 * line.alongModule * step) / edgeLines);
    const met = edgeDistance(picture, start, line.out, line.outModule, line.threshold);
    if (met !== undefined) distances.push(met);
  }
  return distances.length > edgeLines ? median(distances) : Number.NaN;
}

/** Walks outward from the middle of the dark ring (3 modules from the centre) to the first light sample. */
function edgeDistance(
  picture: GreyPicture,
  start: Point,
  out: Point,
  module: number,
  threshold: number,
): number | undefined {
  const step = Math.min(0.5, module / 8);
  let walked = 3 * module;
  let before = sample(picture, moved(start, out, walked));
  // A dark ring that is light at its middle is no finder edge.
  if (before >= threshold) return undefined;
  while (walked < 5 * module) {
    walked += step;
    const at = moved(start, out, walked);
    // Where the picture ends the symbol ends: a file may be cut at the symbol's edge.
    if (!isInside(picture, at)) return walked;
    const here = sample(picture, at);
    if (here >= threshold) return walked - (step * (here - threshold)) / (here - before);
    before = here;
  }
  return undefined;
}

function finderThreshold(picture: GreyPicture, centre: Point, across: Point, module: number): number | undefined {
  const light =
    (sample(picture, moved(centre, across, 2 * module)) + sample(picture, moved(centre, across, -2 * module))) / 2;
  const dark =
    (sample(picture, moved(centre, across, 3 * module)) + sample(picture, moved(centre, across, -3 * module))) / 2;
  return light - dark >= lumaStepMin ? (light + dark) / 2 : undefined;
}

function frameExtent(frame: Frame): PixelExtent {
  // A page that lies on its side has the symbol's top along the picture's height.
  const upright = Math.abs(frame.across.x) >= Math.abs(frame.across.y);
  const [width, height] = upright ? [frame.width, frame.height] : [frame.height, frame.width];
  return { kind: "flat", width, height, uncertainty: extentUncertaintyPx };
}

function frameCorners(frame: Frame): readonly [Point, Point, Point, Point] {
  const topRight = moved(frame.corner, frame.across, frame.width);
  return [
    frame.corner,
    topRight,
    moved(topRight, frame.down, frame.height),
    moved(frame.corner, frame.down, frame.height),
  ];
}

function modulePoint(frame: Frame, column: number, row: number): Point {
  const right = moved(frame.corner, frame.across, (column * frame.width) / frame.modules);
  return moved(right, frame.down, (row * frame.height) / frame.modules);
}

function sampleModules(
  picture: GreyPicture,
  frame: Frame,
): { readonly dark: Uint8Array; readonly contrastPercent: number | undefined } {
  const dark = new Uint8Array(frame.modules * frame.modules);
  const darkLuma: number[] = [];
  const lightLuma: number[] = [];
  for (let row = 0; row < frame.modules; row++) {
    for (let column = 0; column < frame.modules; column++) {
      const luma = sample(picture, modulePoint(frame, column + 0.5, row + 0.5));
      const isDark = luma < frame.threshold;
      dark[row * frame.modules + column] = isDark ? 1 : 0;
      (isDark ? darkLuma : lightLuma).push(luma);
    }
  }
  const light = median(lightLuma);
  const contrast = light > 0 ? (100 * (light - median(darkLuma))) / light : undefined;
  return { dark, contrastPercent: contrast };
}

/** Level, mask and differing modules of the best fit; undefined when none fits (a text that we would encode otherwise). */
function encodeAgain(text: string, version: number, dark: Uint8Array) {
  let best: Pick<SymbolQuality, "errorCorrectionLevel" | "maskPattern" | "moduleErrors"> | undefined;
  if (version > encodeVersionMax) return undefined;
  let fewest = dark.length * differingShareMax;
  for (const errorCorrectionLevel of ["L", "M", "Q", "H"] as const) {
    for (const maskPattern of [0, 1, 2, 3, 4, 5, 6, 7] as const) {
      const symbol = payloadToSymbol(text, { symbolVersion: version, errorCorrectionLevel }, maskPattern);
      if (!symbol.ok) break;
      const errors = symbol.value.dark.reduce((sum, module, at) => sum + (module === dark[at] ? 0 : 1), 0);
      if (errors >= fewest) continue;
      fewest = errors;
      best = { errorCorrectionLevel, maskPattern, moduleErrors: errors };
    }
  }
  return best;
}

/** The narrowest of the four sides, in modules, up to `wanted`: how far out it stays light and inside the picture. */
function measureQuietZone(picture: GreyPicture, frame: Frame, wanted: number): number {
  const { modules } = frame;
  for (let out = quietStepModules / 2; out < wanted; out += quietStepModules) {
    for (let along = -out; along <= modules + out; along += 0.5) {
      const points: readonly Point[] = [
        modulePoint(frame, -out, along),
        modulePoint(frame, modules + out, along),
        modulePoint(frame, along, -out),
        modulePoint(frame, along, modules + out),
      ];
      const clear = points.every((point) => isInside(picture, point) && sample(picture, point) >= frame.threshold);
      if (!clear) return out - quietStepModules / 2;
    }
  }
  return wanted;
}

/** Box average over `factor` x `factor` pixels; what is left over at the right and bottom is dropped. */
function isInside(picture: GreyPicture, point: Point): boolean {
  return point.x >= 0 && point.y >= 0 && point.x <= picture.width && point.y <= picture.height;
}

function moved(from: Point, direction: Point, by: number): Point {
  return { x: from.x + direction.x * by, y: from.y + direction.y * by };
}

function negative(direction: Point): Point {
  return { x: -direction.x, y: -direction.y };
}

function sample(picture: GreyPicture, point: Point): number {
  return lumaAt(picture, point.x, point.y);
}

function unitVector(from: Point, to: Point): Point {
  const length = distance(from, to);
  return { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

// Longest sides at which jsQR looks. It wants modules of 3 to 12 pixels, and a page shows small symbols only when fine.
const searchSidesPx = [1000, 600, 2000, 3500];
// About one degree between the symbol's sides, and three degrees between them and the picture's.
const squareErrorMax = 0.02;
const axisErrorMax = 0.053;
const finderSpreadShare = 0.03;
const finderSpreadPxMin = 1;
const edgeLines = 10;
// Less than this between black and white is noise, not a symbol.
const lumaStepMin = 16;
const extentUncertaintyPx = 1;
const encodeVersionMax = 10;
// A text encoded in other segments agrees on about half of the modules; a damaged print on far more than nine tenths.
const differingShareMax = 0.1;
const quietStepModules = 0.25;
