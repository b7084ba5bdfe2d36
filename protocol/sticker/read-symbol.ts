/**
 * Reads and measures one QR symbol of a flat picture: print files and flat scans.
 *
 * Rules: SPEC Q20-Q23. Theory: `read-symbols.ts` finds, reads and proves a symbol wherever it stands; of one that lies flat and
 * upright, all lines of modules are then measured in the full picture (`measure-modules.ts`), first from where the symbol was
 * found and once more from where that says it is.
 */
import { failed, ok, type Result } from "../base/result.ts";
import { type GreyPicture, lumaAt } from "./grey-picture.ts";
import {
  countMixedModules,
  type ModuleLines,
  measureLines,
  measureQuietZone,
  modulePoint,
  type QuietZone,
  type SymbolFrame,
} from "./measure-modules.ts";
import { distance, type Point } from "./plane.ts";
import type { SymbolQuality, WidthRange } from "./print-check.ts";
import { readSymbols, type SymbolReading } from "./read-symbols.ts";

/** Symbol without quiet zone, in pixels along the picture's axes; `tilted` when its sides do not follow them. */
export type PixelExtent =
  | { readonly kind: "flat"; readonly width: number; readonly height: number; readonly uncertainty: number }
  | { readonly kind: "tilted" };

export type ReadSymbol = {
  readonly text: string;
  readonly extent: PixelExtent;
  readonly quality: Omit<SymbolQuality, "printScalingOff">;
  /** Outer corners as the symbol was printed: top left, top right, bottom right, bottom left; in pixels. */
  readonly corners: readonly [Point, Point, Point, Point];
};

export type ReadSymbolFault = { readonly code: "no-symbol" };

/**
 * Reads the most certain symbol. `quietZoneModules` is how far out the quiet zone is looked at.
 * Fault: no-symbol (also one whose text is empty). Never throws; the work is bounded by the picture's size. Source: SPEC Q20-Q23.
 */
export function readSymbol(picture: GreyPicture, quietZoneModules: number): Result<ReadSymbol, ReadSymbolFault> {
  const [first] = measureFlatSymbols(picture, quietZoneModules, 1);
  return first === undefined ? failed({ code: "no-symbol" }) : ok(first);
}

/** Reads up to `symbolsMax` symbols of a flat picture, such as a sheet of stickers; the most certain ones first. */
export function measureFlatSymbols(
  picture: GreyPicture,
  quietZoneModules: number,
  symbolsMax: number,
): readonly ReadSymbol[] {
  const few = readWithin(picture, Math.min(symbolsMax, 2), attemptsMax);
  // One symbol is the rule; only where there are two are all of a sheet looked for.
  const all = few.length < 2 || symbolsMax <= 2 ? few : readWithin(picture, symbolsMax, sheetAttemptsMax);
  return all.map((reading) => measureReading(picture, reading, quietZoneModules));
}

/** A flat file shows its symbols early or not at all; what takes a photograph longer is not looked for here. */
function readWithin(picture: GreyPicture, symbolsMax: number, attempts: number): readonly SymbolReading[] {
  let asked = 0;
  return readSymbols(picture, { symbolsMax, isOutOfTime: () => ++asked > attempts });
}

/** Measures a symbol that was read in `picture`. */
function measureReading(picture: GreyPicture, reading: SymbolReading, quietZoneModules: number): ReadSymbol {
  const { text, version, errorCorrectionLevel, maskPattern, inverted, mirrored, symbol } = reading;
  const upright = inverted ? { ...picture, luma: picture.luma.map((luma) => 255 - luma) } : picture;
  const measured = measureFrame(upright, reading);
  const about = { symbolVersion: version, errorCorrectionLevel, maskPattern, inverted, mirrored };
  if (measured === undefined) {
    const unseen = { moduleErrors: undefined, quietZoneModules: undefined, contrastPercent: undefined };
    return { text, extent: { kind: "tilted" }, quality: { ...about, ...unseen }, corners: reading.corners };
  }
  const { frame, across, down } = measured;
  const isUpright = isAlongPicture(frame);
  const [x, y] = isUpright ? [across, down] : [down, across];
  const [width, height] = isUpright ? [frame.width, frame.height] : [frame.height, frame.width];
  const quiet = measureQuietZone(upright, frame, quietZoneModules);
  const { light, dark } = medianLuma(picture, frame, symbol);
  return {
    text,
    extent: { kind: "flat", width, height, uncertainty: extentUncertaintyPx },
    quality: {
      ...about,
      moduleErrors: countOtherModules(upright, frame, symbol),
      mixedModules: countMixedModules(upright, frame, symbol),
      quietZoneModules: Math.min(quiet.left, quiet.top, quiet.right, quiet.bottom),
      quietZoneSide: narrowestSide(quiet),
      contrastPercent: light > 0 ? (100 * (light - dark)) / light : undefined,
      moduleRange: { x: rangeOf(x), y: rangeOf(y), unit: "px" },
    },
    corners: frameCorners(frame),
  };
}

type MeasuredFrame = { readonly frame: SymbolFrame; readonly across: ModuleLines; readonly down: ModuleLines };

/** Undefined when the symbol is not an upright rectangle of one scale, or shows no clear edges. */
function measureFrame(picture: GreyPicture, reading: SymbolReading): MeasuredFrame | undefined {
  let frame = frameOf(picture, reading, reading.corners) ?? frameOfThree(picture, reading);
  let lines: Omit<MeasuredFrame, "frame"> | undefined;
  for (let round = 0; round < measureRounds && frame !== undefined; round++) {
    const across = measureLines(picture, frame, reading.symbol, "across");
    const down = measureLines(picture, frame, reading.symbol, "down");
    if (across === undefined || down === undefined) return undefined;
    lines = { across, down };
    frame = {
      ...frame,
      corner: moved(moved(frame.corner, frame.across, across.start), frame.down, down.start),
      width: across.pitch * frame.modules,
      height: down.pitch * frame.modules,
    };
  }
  return frame === undefined || lines === undefined ? undefined : { frame, ...lines };
}

/** The frame where the symbol was found. Undefined for one that is turned, skewed or seen at an angle. */
function frameOf(
  picture: GreyPicture,
  { modules, symbol }: SymbolReading,
  corners: SymbolReading["corners"],
): SymbolFrame | undefined {
  const [topLeft, topRight, bottomRight, bottomLeft] = corners;
  const [top, bottom] = [distance(topLeft, topRight), distance(bottomLeft, bottomRight)];
  const [left, right] = [distance(topLeft, bottomLeft), distance(topRight, bottomRight)];
  if (![top, bottom, left, right].every((side) => side >= modules)) return undefined;
  if (differ(top, bottom) || differ(left, right)) return undefined;
  // Halfway between opposite sides: a corner that was found a little off turns the frame half as much.
  const across = unitVector(
    { x: topLeft.x + bottomLeft.x, y: topLeft.y + bottomLeft.y },
    { x: topRight.x + bottomRight.x, y: topRight.y + bottomRight.y },
  );
  const down = unitVector(
    { x: topLeft.x + topRight.x, y: topLeft.y + topRight.y },
    { x: bottomLeft.x + bottomRight.x, y: bottomLeft.y + bottomRight.y },
  );
  if (Math.abs(across.x * down.x + across.y * down.y) > squareErrorMax) return undefined;
  if (Math.min(Math.abs(across.x), Math.abs(across.y)) > axisErrorMax) return undefined;
  const [width, height] = [(top + bottom) / 2, (left + right) / 2];
  const frame = { modules, corner: topLeft, across, down, width, height, threshold: 0 };
  const { light, dark } = medianLuma(picture, frame, symbol);
  return light - dark < lumaStepMin ? undefined : { ...frame, threshold: (light + dark) / 2 };
}

/**
 * Corners of a map that bends after uneven modules may be far off; as far in as the finders' middles are, hardly more than one place of
 * four is. A frame through three of them counts if hardly any module disagrees with it, which under perspective many at the fourth would.
 */
function frameOfThree(picture: GreyPicture, reading: SymbolReading): SymbolFrame | undefined {
  const { map, modules, symbol } = reading;
  const [near, far] = [finderMiddle, modules - finderMiddle];
  // The three finders first.
  const elbows = [
    [near, near],
    [far, far],
    [near, far],
    [far, near],
  ] as const;
  for (const [elbowColumn, elbowRow] of elbows) {
    const elbow = map.toPicture(elbowColumn, elbowRow);
    const across = between(map.toPicture(near, elbowRow), map.toPicture(far, elbowRow), far - near);
    const down = between(map.toPicture(elbowColumn, near), map.toPicture(elbowColumn, far), far - near);
    const at = (column: number, row: number): Point => ({
      x: elbow.x + (column - elbowColumn) * across.x + (row - elbowRow) * down.x,
      y: elbow.y + (column - elbowColumn) * across.y + (row - elbowRow) * down.y,
    });
    const frame = frameOf(picture, reading, [at(0, 0), at(modules, 0), at(modules, modules), at(0, modules)]);
    if (frame !== undefined && countOtherModules(picture, frame, symbol) <= otherShareMax * symbol.length) return frame;
  }
  return undefined;
}

/** One module's step from one place to another. */
function between(from: Point, to: Point, modules: number): Point {
  return { x: (to.x - from.x) / modules, y: (to.y - from.y) / modules };
}

function differ(one: number, other: number): boolean {
  const larger = Math.max(one, other);
  return Math.abs(one - other) > Math.max(sideSpreadPxMin, sideSpreadShare * larger);
}

/** Of the modules' middles. */
function medianLuma(picture: GreyPicture, frame: SymbolFrame, symbol: Uint8Array) {
  const luma: [number[], number[]] = [[], []];
  for (let at = 0; at < symbol.length; at++) luma[symbol[at] === 1 ? 1 : 0].push(moduleLuma(picture, frame, at));
  return { light: median(luma[0]), dark: median(luma[1]) };
}

function countOtherModules(picture: GreyPicture, frame: SymbolFrame, symbol: Uint8Array): number {
  let others = 0;
  for (let at = 0; at < symbol.length; at++) {
    if (moduleLuma(picture, frame, at) < frame.threshold !== (symbol[at] === 1)) others++;
  }
  return others;
}

function moduleLuma(picture: GreyPicture, frame: SymbolFrame, at: number): number {
  const row = Math.floor(at / frame.modules);
  const point = modulePoint(frame, (at % frame.modules) + 0.5, row + 0.5);
  return lumaAt(picture, point.x, point.y);
}

function rangeOf({ narrowest, widest, noise }: ModuleLines): WidthRange {
  return { narrowest, widest, noise };
}

function narrowestSide(quiet: QuietZone): keyof QuietZone {
  const sides = ["left", "top", "right", "bottom"] as const;
  return sides.reduce((least, side) => (quiet[side] < quiet[least] ? side : least));
}

/** A page that lies on its side has the symbol's top along the picture's height. */
function isAlongPicture(frame: SymbolFrame): boolean {
  return Math.abs(frame.across.x) >= Math.abs(frame.across.y);
}

function frameCorners(frame: SymbolFrame): readonly [Point, Point, Point, Point] {
  const topRight = moved(frame.corner, frame.across, frame.width);
  return [
    frame.corner,
    topRight,
    moved(topRight, frame.down, frame.height),
    moved(frame.corner, frame.down, frame.height),
  ];
}

function moved(from: Point, direction: Point, by: number): Point {
  return { x: from.x + direction.x * by, y: from.y + direction.y * by };
}

function unitVector(from: Point, to: Point): Point {
  const length = distance(from, to);
  return { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

// Flat symbols of a thousand made files took up to 72 attempts; this many are about a second.
const attemptsMax = 300;
const sheetAttemptsMax = 5_000;
const measureRounds = 2;
// Modules from a symbol's edge to the middle of its finder.
const finderMiddle = 3.5;
// About one degree between the symbol's sides, and three degrees between them and the picture's.
const squareErrorMax = 0.02;
const axisErrorMax = 0.053;
const sideSpreadShare = 0.03;
const sideSpreadPxMin = 1;
const otherShareMax = 0.01;
// Less than this between black and white is noise, not a symbol.
const lumaStepMin = 16;
const extentUncertaintyPx = 1;
