/**
 * Grades a QR symbol in a picture by the parameters of ISO/IEC 15415, edition 2011 or 2024, or, where nothing is calibrated, with the
 * cell contrast and cell modulation of ISO/IEC 29158. Not a verifier in the sense of the standards: what the numbers rest on
 * (edition, aperture, pixels a module, calibrated or not, cut-offs known from memory) is part of every answer.
 *
 * Rules: SPEC Q36-Q47. Theory: the caller knows the symbol's true modules and roughly where it is. The grid is measured (refine-grid),
 * every module looked at through a round aperture (reflectance), set against the threshold (modulation), and what is weak or wrong
 * is weighed by what error correction could bear (error-correction) or by the pattern it stands in (fixed-patterns).
 */
import { assert, failed, ok, type Result } from "../../base/result.ts";
import type { GreyPicture } from "../grey-picture.ts";
import type { Point, SymbolMap } from "../plane.ts";
import { type ErrorCorrectionLevel, type MaskPattern, modulesOfVersion } from "../qr/layout.ts";
import { type BlockUse, gradeMargins, measureBlocks, weakestDataMargin } from "./error-correction.ts";
import { gradePatterns, type PatternGrades, quietZoneModules, type SegmentGrade } from "./fixed-patterns.ts";
import { evenIllumination, fitIllumination, hasShadowEdge, type Illumination } from "./illumination.ts";
import { type Levels, marginOf, measureLevels, modulationOf, type ReflectanceKind } from "./modulation.ts";
import { type ClearSides, measureClearSides } from "./quiet-zone.ts";
import { type GridShape, measureGridShape, type RefinedGrid, refineGrid } from "./refine-grid.ts";
import {
  apertureDisc,
  apertureMean,
  type PictureTone,
  type ReflectancePicture,
  reflectancePicture,
} from "./reflectance.ts";
import {
  type GradeEdition,
  type GradeLetter,
  gradeByThreshold,
  letterOfGrade,
  type ThresholdName,
} from "./thresholds.ts";

/** A symbol that was found and whose every module is known (read and encoded again, or known to hang there). */
export type GradedSymbol = {
  readonly map: SymbolMap;
  readonly version: number;
  readonly level: ErrorCorrectionLevel;
  readonly mask: MaskPattern;
  /** The true modules, 1 dark, row by row. */
  readonly dark: Uint8Array;
  /** Printed light on dark. */
  readonly inverted: boolean;
};

export type GradeOptions = {
  readonly edition: GradeEdition;
  /** `calibrated` for print files and for scans whose white and black are known; `uncalibrated` for photographs. */
  readonly reflectance: ReflectanceKind;
  /** Default: `linear` where calibrated, `srgb` where not. Scanners and cameras deliver `srgb`. */
  readonly tone?: PictureTone;
  /** Whether lengths in the picture are true (files, scans) or seen at an angle. Default: by `reflectance`. */
  readonly view?: "flat" | "perspective";
  /** From pixels to a plane with true lengths (mm by bezel, card or density): makes axial nonuniformity known in a photo. */
  readonly toPlane?: (point: Point) => Point;
  /** Aperture in modules. Default 0.8. */
  readonly apertureShare?: number;
};

export type ParameterName =
  | "decode"
  | "symbolContrast"
  | "cellContrast"
  | "modulation"
  | "reflectanceMargin"
  | "fixedPatternDamage"
  | "axialNonuniformity"
  | "gridNonuniformity"
  | "unusedErrorCorrection"
  | "formatInformation"
  | "versionInformation"
  | "printGrowth";

export type ParameterGrade = {
  readonly name: ParameterName;
  /** In `unit`; undefined when it could not be measured, and for `decode`. */
  readonly value: number | undefined;
  readonly unit: "points" | "share" | "modules" | "wrong modules" | "none";
  /** 4..0; undefined when the parameter is only told (`why`). */
  readonly grade: number | undefined;
  readonly letter: GradeLetter | undefined;
  readonly why: "graded" | "informative" | "not-measurable";
  /** A decimal between the cut-offs of 2011: the standard's own way is not known here. */
  readonly interpolated: boolean;
  /** `recalled` [R]: some cut-off of it is known from memory only. */
  readonly known: "stated" | "recalled";
};

/** What a reader of the grade must know, for each that holds. */
export type GradeCaveat =
  | "uncalibrated"
  | "few-pixels"
  | "light-evened-out"
  /** Light and shade lie across the symbol: another shot may be graded better. */
  | "shadow-edge"
  | "axes-not-comparable"
  /** The photographed surface is bent; the bend is taken out of the grid and not graded. */
  | "bent-surface"
  | "quiet-zone-outside-picture"
  | "recalled-thresholds"
  | "interpolated-decimals"
  | "grid-not-measured";

/** Every module, row by row, for pictures. */
export type ModuleGrades = {
  readonly modules: number;
  /** 0..1, as a symbol dark on light; evened out where the picture is uncalibrated. NaN outside the picture. */
  readonly reflectance: Float64Array;
  /** 0 wrong or at the threshold, 1 as clear as can be (calibrated) or as the mean of its kind (uncalibrated). */
  readonly modulation: Float64Array;
  readonly wrong: Uint8Array;
  /** Where modules really are in the picture. */
  readonly map: SymbolMap;
};

export type SymbolGrade = {
  readonly edition: GradeEdition;
  readonly reflectance: ReflectanceKind;
  /** What this grade may be called. */
  readonly title: "ISO/IEC 15415 parameters" | "ISO-style, uncalibrated";
  /** The lowest of all graded parameters. */
  readonly overall: { readonly grade: number; readonly letter: GradeLetter; readonly lowest: readonly ParameterName[] };
  readonly parameters: readonly ParameterGrade[];
  /** Of fixed pattern damage: A1 A2 A3 B1 B2 C. */
  readonly segments: readonly SegmentGrade[];
  readonly formatCopies: readonly SegmentGrade[];
  readonly versionCopies: readonly SegmentGrade[];
  readonly blocks: readonly BlockUse[];
  readonly quietZone: ClearSides;
  /** Dark modules wider than their pitch by this share of a module; below 0 narrower. */
  readonly growth: { readonly across: number; readonly down: number };
  /** Pixels a module. */
  readonly pixelsPerModule: { readonly across: number; readonly down: number };
  readonly apertureShare: number;
  /** Lightest, darkest and threshold as the edition has them, 0..1. */
  readonly levels: Levels;
  readonly caveats: readonly GradeCaveat[];
  readonly modules: ModuleGrades;
};

export type GradeFault =
  | { readonly code: "too-few-pixels"; readonly pixelsPerModule: number; readonly least: number }
  /** The light modules are not lighter than the dark ones where the map says they are. */
  | { readonly code: "no-contrast"; readonly contrastPercent: number }
  | { readonly code: "outside-picture" };

/** Pixels a module below which no grade is given. Source: Beckhoff TF7xxx, at least 3 and better 5 to 8. */
const pixelsPerModuleMin = 3;

/**
 * Grades a located symbol whose modules are known. `dark` and `map` must be of the size of `version`: another size is our mistake.
 * Faults: too-few-pixels (below 3 a module), no-contrast, outside-picture (less than half of it is in the picture). Never throws
 * for what is in the picture. Source: SPEC Q36-Q47.
 */
export function gradeSymbol(
  picture: GreyPicture,
  symbol: GradedSymbol,
  options: GradeOptions,
): Result<SymbolGrade, GradeFault> {
  const { version, dark, map, inverted } = symbol;
  const modules = modulesOfVersion(version);
  assert(map.modules === modules && dark.length === modules * modules, "the map and modules are those of the version");
  const calibrated = options.reflectance === "calibrated";
  const source = reflectancePicture(picture, options.tone ?? (calibrated ? "linear" : "srgb"), inverted);
  const rough = measureGridShape(map, false).pitch;
  const pixels = Math.min(rough.across, rough.down);
  if (!(pixels >= pixelsPerModuleMin)) {
    return failed({ code: "too-few-pixels", pixelsPerModule: pixels, least: pixelsPerModuleMin });
  }
  const contrast = roughContrast(source, symbol);
  if (contrast === undefined) return failed({ code: "outside-picture" });
  if (!(contrast > contrastMin)) return failed({ code: "no-contrast", contrastPercent: Math.max(100 * contrast, 0) });
  const grid = refineGrid(source, map, dark, contrast);
  const cells = sampleCells(source, grid.map, symbol, options);
  const levels = cellLevels(cells, options);
  if (levels === undefined || !(levels.light > levels.dark)) {
    return failed({ code: "no-contrast", contrastPercent: 0 });
  }
  return ok(assembleGrade(source, symbol, options, { grid, cells, levels, pixels }));
}

/** Modules with the quiet zone, row by row, `side` x `side`; module (c, r) is at (c + 4, r + 4). */
type Cells = {
  readonly side: number;
  readonly modules: number;
  readonly reflectance: Float64Array;
  readonly dark: Uint8Array;
  readonly illumination: Illumination;
  readonly shadowEdge: boolean;
};

type Measured = {
  readonly grid: RefinedGrid;
  readonly cells: Cells;
  readonly levels: Levels;
  readonly pixels: number;
};

/** The median light module less the median dark one; undefined when half the symbol is outside the picture. */
function roughContrast(source: ReflectancePicture, symbol: GradedSymbol): number | undefined {
  const { map, dark } = symbol;
  const disc = apertureDisc(roughAperture, roughPlaces);
  const both: [number[], number[]] = [[], []];
  for (const [at, isDark] of dark.entries()) {
    const [column, row] = [at % map.modules, Math.floor(at / map.modules)];
    const value = apertureMean(source, map, column + 0.5, row + 0.5, disc);
    if (!Number.isNaN(value)) both[isDark === 1 ? 1 : 0].push(value);
  }
  if (both[0].length + both[1].length < dark.length / 2) return undefined;
  return median(both[0]) - median(both[1]);
}

function sampleCells(
  source: ReflectancePicture,
  map: SymbolMap,
  { dark, inverted, map: ideal }: GradedSymbol,
  options: GradeOptions,
): Cells {
  const { modules } = map;
  const side = modules + 2 * quietZoneModules;
  const places = modules > manyModules ? fewPlaces : undefined;
  const disc = apertureDisc(options.apertureShare ?? apertureShareDefault, places);
  const reflectance = new Float64Array(side * side);
  const cellDark = new Uint8Array(side * side);
  for (let at = 0; at < side * side; at++) {
    const column = (at % side) - quietZoneModules;
    const row = Math.floor(at / side) - quietZoneModules;
    reflectance[at] = apertureMean(source, map, column + 0.5, row + 0.5, disc, ideal);
    if (isModule(column, row, modules)) cellDark[at] = dark[row * modules + column] ?? 0;
  }
  const cells = { side, modules, reflectance, dark: cellDark };
  if (options.reflectance === "calibrated") return { ...cells, illumination: evenIllumination, shadowEdge: false };
  // What light falls on is physical: in a symbol printed light on dark the light modules are the "dark" ones.
  const lit = [...reflectance.entries()].flatMap(([at, value]) => {
    const column = (at % side) - quietZoneModules;
    const row = Math.floor(at / side) - quietZoneModules;
    if (Number.isNaN(value) || !isModule(column, row, modules)) return [];
    const light = (cellDark[at] === 1) === inverted;
    return [{ column: column + 0.5, row: row + 0.5, value: inverted ? 1 - value : value, light }];
  });
  const illumination = fitIllumination(
    lit.filter(({ light }) => light),
    modules,
  );
  const evened = reflectance.map((value, at) => {
    const column = (at % side) - quietZoneModules + 0.5;
    const row = Math.floor(at / side) - quietZoneModules + 0.5;
    return evenOut(value, illumination(column, row), inverted);
  });
  const shadowEdge = hasShadowEdge(
    lit.map((one) => ({ ...one, value: one.value / illumination(one.column, one.row) })),
    modules,
  );
  return { ...cells, reflectance: evened, illumination, shadowEdge };
}

function evenOut(reflectance: number, light: number, inverted: boolean): number {
  return inverted ? 1 - (1 - reflectance) / light : reflectance / light;
}

/** From the modules; calibrated also from what is light in the quiet zone, as the standard's inspection area includes it. */
function cellLevels(cells: Cells, { edition, reflectance }: GradeOptions): Levels | undefined {
  const { side, modules } = cells;
  const isInside = (at: number): boolean =>
    isModule((at % side) - quietZoneModules, Math.floor(at / side) - quietZoneModules, modules);
  const inside = cells.reflectance.filter((_, at) => isInside(at));
  const levels = measureLevels(inside, edition, reflectance);
  if (reflectance === "uncalibrated" || levels === undefined) return levels;
  // What is dark there is a frame or another print, which must not make the symbol look richer in contrast.
  return measureLevels(
    cells.reflectance.filter((value, at) => isInside(at) || value >= levels.threshold),
    edition,
    reflectance,
  );
}

function assembleGrade(
  source: ReflectancePicture,
  symbol: GradedSymbol,
  options: GradeOptions,
  measured: Measured,
): SymbolGrade {
  const { grid, cells, levels, pixels } = measured;
  const { version, level, inverted } = symbol;
  const modules = judgeModules(cells, levels, options, grid.map);
  const blocks = measureBlocks(version, level, modules.wrong);
  const patterns = gradeCellPatterns(version, cells, levels, options);
  const perspective =
    (options.view ?? (options.reflectance === "calibrated" ? "flat" : "perspective")) === "perspective";
  const shape = measureGridShape(grid.map, perspective, options.toPlane);
  const inPixels = options.toPlane === undefined ? shape.pitch : measureGridShape(grid.map, perspective).pitch;
  const comparable = !perspective || options.toPlane !== undefined;
  const parameters = listParameters(symbol, options, {
    ...{ cells, levels, modules, blocks, patterns, shape, comparable, growth: grid.growth },
  });
  const even = cells.illumination;
  const quietZone = measureClearSides(
    source,
    grid.map,
    (value, column, row) => evenOut(value, even(column, row), inverted) >= levels.threshold,
  );
  return {
    edition: options.edition,
    reflectance: options.reflectance,
    title: options.reflectance === "calibrated" ? "ISO/IEC 15415 parameters" : "ISO-style, uncalibrated",
    overall: lowestOf(parameters),
    parameters,
    segments: patterns.fixed,
    formatCopies: patterns.format,
    versionCopies: patterns.version,
    blocks,
    quietZone,
    growth: grid.growth,
    pixelsPerModule: inPixels,
    apertureShare: options.apertureShare ?? apertureShareDefault,
    levels,
    caveats: listCaveats(parameters, options, { grid, cells, comparable, bend: shape.bend, pixels }),
    modules,
  };
}

function judgeModules(cells: Cells, levels: Levels, options: GradeOptions, map: SymbolMap): ModuleGrades {
  const { modules, side } = cells;
  const reflectance = new Float64Array(modules * modules);
  const modulation = new Float64Array(modules * modules);
  const wrong = new Uint8Array(modules * modules);
  for (let at = 0; at < modules * modules; at++) {
    const cell = (Math.floor(at / modules) + quietZoneModules) * side + (at % modules) + quietZoneModules;
    const value = cells.reflectance[cell] ?? Number.NaN;
    reflectance[at] = value;
    modulation[at] = cellMargin(cells, cell, levels, options.reflectance);
    wrong[at] = isWrongCell(cells, cell, levels) ? 1 : 0;
  }
  return { modules, reflectance, modulation, wrong, map };
}

function gradeCellPatterns(version: number, cells: Cells, levels: Levels, options: GradeOptions): PatternGrades {
  const cellAt = (column: number, row: number): number =>
    (row + quietZoneModules) * cells.side + column + quietZoneModules;
  return gradePatterns(
    version,
    (column, row) => cellMargin(cells, cellAt(column, row), levels, options.reflectance),
    (column, row) => isWrongCell(cells, cellAt(column, row), levels),
    options.edition,
  );
}

/** Outside the picture nothing is as it should be. */
function cellMargin(cells: Cells, cell: number, levels: Levels, kind: ReflectanceKind): number {
  const value = cells.reflectance[cell] ?? Number.NaN;
  return Number.isNaN(value) ? 0 : marginOf(value, cells.dark[cell] === 1, levels, kind);
}

function isWrongCell(cells: Cells, cell: number, levels: Levels): boolean {
  const value = cells.reflectance[cell] ?? Number.NaN;
  return Number.isNaN(value) || value < levels.threshold !== (cells.dark[cell] === 1);
}

type Findings = {
  readonly cells: Cells;
  readonly levels: Levels;
  readonly modules: ModuleGrades;
  readonly blocks: readonly BlockUse[];
  readonly patterns: PatternGrades;
  readonly shape: GridShape;
  readonly comparable: boolean;
  readonly growth: { readonly across: number; readonly down: number };
};

function listParameters(symbol: GradedSymbol, options: GradeOptions, found: Findings): readonly ParameterGrade[] {
  const { edition } = options;
  const { patterns, shape, blocks } = found;
  const graded = (name: ParameterName & ThresholdName, value: number, unit: ParameterGrade["unit"]): ParameterGrade =>
    parameter(name, value, unit, gradeByThreshold(name, value, edition), options);
  const segments = (name: ParameterName, of: readonly SegmentGrade[]): ParameterGrade =>
    parameter(name, Math.max(...of.map(({ wrong }) => wrong)), "wrong modules", lowestGrade(of), options);
  const wrongFixed = patterns.fixed.reduce((sum, { wrong }) => sum + wrong, 0);
  const axial = Math.abs(shape.pitch.across - shape.pitch.down) / ((shape.pitch.across + shape.pitch.down) / 2);
  return [
    parameter("decode", undefined, "none", isDecodable(blocks, patterns) ? 4 : 0, options),
    ...contrastParameters(symbol, options, found),
    ...marginParameters(symbol, options, found),
    parameter("fixedPatternDamage", wrongFixed, "wrong modules", lowestGrade(patterns.fixed), options),
    found.comparable
      ? graded("axialNonuniformity", axial, "share")
      : { ...parameter("axialNonuniformity", undefined, "share", undefined, options), why: "not-measurable" },
    graded("gridNonuniformity", shape.largestStray, "modules"),
    graded("unusedErrorCorrection", Math.min(...blocks.map(({ unused }) => unused)), "share"),
    segments("formatInformation", patterns.format),
    ...(patterns.version.length === 0 ? [] : [segments("versionInformation", patterns.version)]),
    growthParameter(options, found),
  ];
}

function contrastParameters(
  { inverted }: GradedSymbol,
  options: GradeOptions,
  { levels }: Findings,
): readonly ParameterGrade[] {
  const { edition, reflectance } = options;
  const difference = levels.light - levels.dark;
  if (reflectance === "calibrated") {
    const points = 100 * difference;
    return [
      parameter("symbolContrast", points, "points", gradeByThreshold("symbolContrast", points, edition), options),
    ];
  }
  const share = difference / Math.max(inverted ? 1 - levels.dark : levels.light, reflectanceMin);
  return [parameter("cellContrast", share, "share", gradeByThreshold("cellContrast", share, edition), options)];
}

/** The value is that of the weakest module with data; the grade weighs it by what error correction bears. */
function marginParameters(
  { version, level }: GradedSymbol,
  options: GradeOptions,
  { modules, levels }: Findings,
): readonly ParameterGrade[] {
  const { edition, reflectance } = options;
  const margins = modules.modulation;
  const judged = (name: "modulation" | "reflectanceMargin", values: Float64Array): ParameterGrade =>
    parameter(
      name,
      weakestDataMargin(version, values),
      "share",
      gradeMargins(version, level, values, edition),
      options,
    );
  if (edition === "2024") return [judged("modulation", margins)];
  const eitherSide = modules.reflectance.map((value) =>
    Number.isNaN(value) ? 0 : modulationOf(value, levels, reflectance),
  );
  return [judged("modulation", eitherSide), judged("reflectanceMargin", margins)];
}

/** Half the growth is what the duty cycle of a dark and a light module strays from 0.5; 0.15 of that is all that is allowed. */
function growthParameter(options: GradeOptions, { growth }: Findings): ParameterGrade {
  const worse = Math.abs(growth.across) > Math.abs(growth.down) ? growth.across : growth.down;
  const value = worse / 2 / dutyCycleMax;
  if (options.edition === "2011") {
    return { ...parameter("printGrowth", value, "share", undefined, options), why: "informative" };
  }
  const grade = gradeByThreshold("printGrowth", Math.abs(value), options.edition);
  return parameter("printGrowth", value, "share", grade, options);
}

/** As a reader would: every block correctable, and one copy each of format and version information within 3 wrong bits. */
function isDecodable(blocks: readonly BlockUse[], { format, version }: PatternGrades): boolean {
  const isTold = (copies: readonly SegmentGrade[]): boolean =>
    copies.length === 0 || copies.some(({ wrong }) => wrong <= informationErrorsMax);
  return blocks.every(({ correctable }) => correctable) && isTold(format) && isTold(version);
}

function parameter(
  name: ParameterName,
  value: number | undefined,
  unit: ParameterGrade["unit"],
  grade: number | undefined,
  { edition }: GradeOptions,
): ParameterGrade {
  const recalled = recalledParameters.includes(name) || (edition === "2024" && name !== "decode");
  return {
    ...{ name, value, unit, grade },
    letter: grade === undefined ? undefined : letterOfGrade(grade),
    why: "graded",
    interpolated: edition === "2024" && grade !== undefined && name !== "decode",
    known: recalled ? "recalled" : "stated",
  };
}

function lowestOf(parameters: readonly ParameterGrade[]): SymbolGrade["overall"] {
  const grade = Math.min(...parameters.flatMap((one) => (one.grade === undefined ? [] : [one.grade])));
  return {
    grade,
    letter: letterOfGrade(grade),
    lowest: parameters.filter((one) => one.grade === grade).map(({ name }) => name),
  };
}

function listCaveats(
  parameters: readonly ParameterGrade[],
  { edition, reflectance }: GradeOptions,
  about: {
    readonly grid: RefinedGrid;
    readonly cells: Cells;
    readonly comparable: boolean;
    readonly bend: number;
    readonly pixels: number;
  },
): readonly GradeCaveat[] {
  const { grid, cells, comparable, bend, pixels } = about;
  const caveats: [boolean, GradeCaveat][] = [
    [reflectance === "uncalibrated", "uncalibrated"],
    [pixels < pixelsPerModuleGood, "few-pixels"],
    [cells.illumination !== evenIllumination, "light-evened-out"],
    [cells.shadowEdge, "shadow-edge"],
    [!comparable, "axes-not-comparable"],
    [bend > bendMin, "bent-surface"],
    [cells.reflectance.some(Number.isNaN), "quiet-zone-outside-picture"],
    [grid.edges.measured < grid.edges.all * edgesShareMin, "grid-not-measured"],
    [edition === "2024", "interpolated-decimals"],
    [parameters.some(({ known }) => known === "recalled"), "recalled-thresholds"],
  ];
  return caveats.filter(([holds]) => holds).map(([, caveat]) => caveat);
}

function lowestGrade(segments: readonly SegmentGrade[]): number {
  return Math.min(...segments.map(({ grade }) => grade));
}

function isModule(column: number, row: number, modules: number): boolean {
  return column >= 0 && row >= 0 && column < modules && row < modules;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const recalledParameters: readonly ParameterName[] = [
  ...(["fixedPatternDamage", "formatInformation", "versionInformation", "printGrowth"] as const),
  // Its cut-offs are stated; that capacity counts less what is kept against misdecoding is recalled.
  "unusedErrorCorrection",
];
const apertureShareDefault = 0.8;
/** Above version 10 an aperture is looked through at fewer places, or the largest symbols would take seconds. */
const manyModules = 57;
const fewPlaces = 96;
const roughAperture = 0.4;
const roughPlaces = 24;
/** Reflectance; less than this is the noise of 8 bits. */
const contrastMin = 0.02;
const reflectanceMin = 1e-6;
/** Source: Beckhoff TF7xxx, 5 to 8 pixels a module for grading. */
const pixelsPerModuleGood = 5;
const edgesShareMin = 0.3;
/** Modules; less is lens and noise. */
const bendMin = 0.25;
/** The largest the duty cycle may stray from a half in the old Data Matrix scheme: 0.35 to 0.65 [R]. */
const dutyCycleMax = 0.15;
/** Format and version information are codes of distance 7. */
const informationErrorsMax = 3;
