/**
 * The proof of the grader: symbols with invented defects, graded from the picture and from the truth, and how far the two are
 * apart. Run by tests (a sample) and by the bench (thousands); the same seed gives the same symbol everywhere.
 */
import { gradeSymbol, type SymbolGrade } from "../../protocol/sticker/grade/grade.ts";
import { letterOfGrade } from "../../protocol/sticker/grade/thresholds.ts";
import { codewordsToModules, dataCapacity } from "../../protocol/sticker/qr/codewords.ts";
import { type MaskPattern, modulesOfVersion, symbolLayout } from "../../protocol/sticker/qr/layout.ts";
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { type InjectedSymbol, idealMap, type Scan, scanSymbol } from "./graded-symbols.ts";
import { gradeByTruth, type TruthGrade, type TruthMode, weakestTruth } from "./graded-truth.ts";

export type GradedCase = { readonly symbol: InjectedSymbol; readonly scan: Scan; readonly mode: TruthMode };

/** How far the grader is from the truth. Differences are absolute; `undefined` where the grader gave a fault instead. */
export type GradeComparison = {
  readonly seed: number;
  readonly fault: string | undefined;
  /** Some module stands within a hundredth of the contrast of the threshold: it is wrong or not by less than can be measured. */
  readonly undecided: boolean;
  readonly unusedErrorCorrectionExact: boolean;
  readonly fixedPatternExact: boolean;
  /** Points (calibrated) or hundredths of a share. */
  readonly contrast: number;
  /** Of the parameter's value, and the worst of all modules. */
  readonly modulation: number;
  readonly moduleModulation: number;
  readonly axialNonuniformity: number;
  readonly gridNonuniformity: number;
  readonly growth: number;
  readonly overall: number;
  readonly letterEqual: boolean;
  readonly letter: string;
  /** Parameters whose grades differ, with both grades. */
  readonly differing: readonly string[];
};

/** Invents a symbol, a scan of it and a way to grade it. `versionMax` keeps samples quick. */
export function inventGradedCase(seed: number, versionMax = 10): GradedCase {
  const random = seededRandom(seed, "graded/case");
  const defects = Object.values(printDefects);
  let symbol = inventCleanSymbol(random, 1 + random.integer(versionMax));
  for (const [at, defect] of defects.entries()) {
    if (at === seed % defects.length || random.next() < otherDefects) symbol = defect(symbol, random, 1);
  }
  const aspect = random.next() < 0.4 ? 1 + 0.14 * (2 * random.next() - 1) : 1;
  const pixels = 8 + 3.4 * random.next();
  const scan: Scan = {
    pixelsAcross: random.next() < 0.3 ? Math.round(pixels) : pixels,
    pixelsDown: pixels * aspect,
    turn: random.next() < 0.5 ? 0 : (2 * random.next() - 1) * turnMax,
    offset: { x: random.next(), y: random.next() },
    noise: random.next() < 0.5 ? 0 : noiseMax * random.next(),
  };
  const edition = random.next() < 0.5 ? "2011" : "2024";
  return {
    symbol: random.next() < 0.1 ? negative(symbol) : symbol,
    scan,
    mode: { edition, reflectance: random.next() < 0.8 ? "calibrated" : "uncalibrated" },
  };
}

/** Renders a case and grades the picture. The map is the ideal grid's. */
export function gradeCase({ symbol, scan, mode }: GradedCase, seed: number) {
  const picture = scanSymbol(symbol, scan, seededRandom(seed, "graded/noise"));
  return gradeSymbol(
    picture,
    { ...symbol, map: idealMap(symbol.modules, scan) },
    { ...mode, tone: "linear", view: "flat" },
  );
}

/** Grades one case from the picture and from the truth. */
export function compareCase(graded: GradedCase, seed: number): GradeComparison {
  const truth = gradeByTruth(graded.symbol, graded.scan, graded.mode);
  const result = gradeCase(graded, seed);
  if (!result.ok) return { ...missing, seed, fault: result.fault.code };
  return compareGrades(graded, truth, result.value, seed);
}

/** What a campaign is judged by: how many symbols, and on how many of them the grader kept within each bound. */
export type GradeCampaign = {
  readonly symbols: number;
  readonly faults: number;
  readonly undecided: number;
  /** Of all that are decided. */
  readonly unusedErrorCorrectionExact: number;
  readonly fixedPatternExact: number;
  /** Of all: contrast within 2 points, modulation within 0.03, axial within 0.005, grid within 0.02, grade within 0.5. */
  readonly contrastWithin: number;
  readonly modulationWithin: number;
  readonly axialWithin: number;
  readonly gridWithin: number;
  readonly gradeWithin: number;
  readonly letterEqual: number;
  readonly worst: {
    readonly contrast: number;
    readonly modulation: number;
    readonly axialNonuniformity: number;
    readonly gridNonuniformity: number;
  };
};

/** Sums up comparisons of any number of seeds. */
export function sumUpCampaign(comparisons: readonly GradeComparison[]): GradeCampaign {
  const count = (holds: (one: GradeComparison) => boolean): number => comparisons.filter(holds).length;
  const worst = (of: (one: GradeComparison) => number): number =>
    comparisons.reduce((most, one) => (of(one) > most ? of(one) : most), 0);
  return {
    symbols: comparisons.length,
    faults: count(({ fault }) => fault !== undefined),
    undecided: count(({ undecided }) => undecided),
    unusedErrorCorrectionExact: count((one) => one.unusedErrorCorrectionExact && !one.undecided),
    fixedPatternExact: count((one) => one.fixedPatternExact && !one.undecided),
    contrastWithin: count(({ contrast }) => contrast <= 2),
    modulationWithin: count(({ modulation }) => modulation <= 0.03),
    axialWithin: count(({ axialNonuniformity }) => axialNonuniformity <= 0.005),
    gridWithin: count(({ gridNonuniformity }) => gridNonuniformity <= 0.02),
    gradeWithin: count(({ overall }) => overall <= 0.5),
    letterEqual: count(({ letterEqual }) => letterEqual),
    worst: {
      contrast: worst(({ contrast }) => contrast),
      modulation: worst(({ modulation }) => modulation),
      axialNonuniformity: worst(({ axialNonuniformity }) => axialNonuniformity),
      gridNonuniformity: worst(({ gridNonuniformity }) => gridNonuniformity),
    },
  };
}

function compareGrades(graded: GradedCase, truth: TruthGrade, grade: SymbolGrade, seed: number): GradeComparison {
  const value = (name: string): number => grade.parameters.find((one) => one.name === name)?.value ?? Number.NaN;
  const calibrated = graded.mode.reflectance === "calibrated";
  const contrast = calibrated ? value("symbolContrast") : 100 * value("cellContrast");
  const margins = grade.modules.modulation;
  const capped = (margin: number): number => Math.min(margin, 1);
  const name = graded.mode.edition === "2011" ? "reflectanceMargin" : "modulation";
  return {
    seed,
    fault: undefined,
    undecided: truth.nearest < undecidedShare,
    unusedErrorCorrectionExact: Math.abs(value("unusedErrorCorrection") - truth.unusedErrorCorrection) < 1e-9,
    fixedPatternExact: grade.segments.every(({ wrong }, at) => wrong === truth.fixedWrong[at]),
    contrast: Math.abs(contrast - (calibrated ? truth.contrast : 100 * truth.contrast)),
    modulation: Math.abs(value(name) - weakestTruth(graded.symbol, truth)),
    moduleModulation: Math.max(
      ...truth.modulation.map((margin, at) => Math.abs(capped(margin) - capped(margins[at] ?? 0))),
    ),
    axialNonuniformity: Math.abs(value("axialNonuniformity") - truth.axialNonuniformity),
    gridNonuniformity: Math.abs(value("gridNonuniformity") - truth.gridNonuniformity),
    growth: Math.max(
      Math.abs(grade.growth.across - truth.growth.across),
      Math.abs(grade.growth.down - truth.growth.down),
    ),
    overall: Math.abs(grade.overall.grade - truth.overall),
    letterEqual: grade.overall.letter === letterOfGrade(truth.overall),
    letter: letterOfGrade(truth.overall),
    differing: Object.entries(truth.grades).flatMap(([parameter, deserved]) => {
      const given = grade.parameters.find((one) => one.name === parameter)?.grade;
      return given !== undefined && Math.abs(given - deserved) < 1e-9 ? [] : [`${parameter} ${given} for ${deserved}`];
    }),
  };
}

/** `amount` 0 does nothing, 1 is the defect in full; a larger amount of the same random stream holds the smaller one. */
type Defect = (symbol: InjectedSymbol, random: SeededRandom, amount: number) => InjectedSymbol;

/** A clean print of random data. */
export function inventCleanSymbol(random: SeededRandom, version: number): InjectedSymbol {
  const level = (["L", "M", "Q", "H"] as const)[random.integer(4)] ?? "M";
  const mask = random.integer(8) as MaskPattern;
  const modules = modulesOfVersion(version);
  const dark = codewordsToModules(random.bytes(dataCapacity(version, level)), version, level, mask);
  const paper = 0.72 + 0.25 * random.next();
  const ink = 0.03 + 0.1 * random.next();
  const inked = new Uint8Array((modules + 8) ** 2);
  for (const [at, isDark] of dark.entries()) inked[cellAt(modules, at % modules, Math.floor(at / modules))] = isDark;
  return {
    ...{ version, level, mask, modules, dark, inked },
    reflectance: Float64Array.from(inked, (isInk) => (isInk === 1 ? ink : paper)),
    columnSlip: new Float64Array(modules + 1),
    rowSlip: new Float64Array(modules + 1),
    stretch: { acrossAmount: 0, downAmount: 0, phase: 0 },
    growth: { across: 0, down: 0 },
    inverted: false,
  };
}

/** Modules printed in the other colour: in the data only, anywhere and in the quiet zone, or in the fixed patterns. */
const flipModules: Defect = (symbol, random, amount) => {
  const { modules, version } = symbol;
  const { roles } = symbolLayout(version);
  const where = random.integer(3);
  const count = amount * (1 + random.integer(where === 0 ? Math.ceil(modules / 3) : 5));
  const margin = where === 1 ? 4 : 0;
  const changed = copyOf(symbol);
  const [ink, paper] = [inkOf(symbol), paperOf(symbol)];
  for (let done = 0; done < count; done++) {
    const column = random.integer(modules + 2 * margin) - margin;
    const row = random.integer(modules + 2 * margin) - margin;
    const isOutside = column < 0 || row < 0 || column >= modules || row >= modules;
    if (where !== 1 && (roles[row * modules + column] === 0) !== (where === 0)) continue;
    const at = cellAt(modules, column, row);
    changed.inked[at] = isOutside ? 1 : 1 - (symbol.inked[at] ?? 0);
    changed.reflectance[at] = changed.inked[at] === 1 ? ink : paper;
  }
  return changed;
};

/** Single modules that came out grey, on their own side or a little on the other. */
const greyModules: Defect = (symbol, random, amount) => {
  const changed = copyOf(symbol);
  const [ink, paper] = [inkOf(symbol), paperOf(symbol)];
  const count = 1 + random.integer(12);
  for (let done = 0; done < count; done++) {
    const at = cellAt(symbol.modules, random.integer(symbol.modules), random.integer(symbol.modules));
    const share = 0.62 * amount * random.next();
    const isInk = symbol.inked[at] === 1;
    changed.reflectance[at] = isInk ? ink + share * (paper - ink) : paper - share * (paper - ink);
  }
  return changed;
};

/** Ink and paper that differ from module to module. */
const unevenInk: Defect = (symbol, random, amount) => {
  const changed = copyOf(symbol);
  const spread = 0.16 * amount * random.next() * (paperOf(symbol) - inkOf(symbol));
  for (const [at, isInk] of changed.inked.entries()) {
    const change = spread * random.next();
    changed.reflectance[at] = (changed.reflectance[at] ?? 0) + (isInk === 1 ? change : -change);
  }
  return changed;
};

/** All that differs from the paper comes nearer to it. */
const faded: Defect = (symbol, random, amount) => {
  const left = 1 - 0.85 * amount * random.next();
  const paper = paperOf(symbol);
  return { ...symbol, reflectance: symbol.reflectance.map((value) => paper - left * (paper - value)) };
};

const grown: Defect = (symbol, random, amount) => ({
  ...symbol,
  growth: { across: amount * (0.7 * random.next() - 0.35), down: amount * (0.7 * random.next() - 0.35) },
});

/** Lines slip against each other, as under an uneven feed. */
const slipped: Defect = (symbol, random, amount) => {
  const most = 0.22 * amount * random.next();
  const slip = () => Float64Array.from({ length: symbol.modules + 1 }, () => most * (2 * random.next() - 1));
  return { ...symbol, columnSlip: slip(), rowSlip: random.next() < 0.5 ? slip() : symbol.rowSlip };
};

/** A small symbol stretches less: paper gives way by a few hundredths of a length, not by a quarter of a module each. */
const stretched: Defect = (symbol, random, amount) => {
  const most = 0.9 * amount * Math.min(symbol.modules / stretchModules, 1);
  return {
    ...symbol,
    stretch: {
      acrossAmount: most * (2 * random.next() - 1),
      downAmount: most * (2 * random.next() - 1),
      phase: Math.PI * random.next(),
    },
  };
};

/** Defects of a print by name. */
export const printDefects = { unevenInk, faded, flipModules, greyModules, grown, slipped, stretched } as const;

export type PrintDefect = keyof typeof printDefects;

/** Light on dark: what was ink is now the paper's reflectance and the other way round. */
export function negative(symbol: InjectedSymbol): InjectedSymbol {
  return { ...symbol, inverted: !symbol.inverted, reflectance: symbol.reflectance.map((value) => 1 - value) };
}

/** Index of a cell; the quiet zone is at -4 to -1 and from `modules` on. */
export function cellAt(modules: number, column: number, row: number): number {
  return (row + 4) * (modules + 8) + column + 4;
}

function copyOf(symbol: InjectedSymbol): InjectedSymbol {
  return { ...symbol, reflectance: Float64Array.from(symbol.reflectance), inked: Uint8Array.from(symbol.inked) };
}

/** Some of the paper and of the ink is always as it should be. */
function paperOf({ reflectance }: InjectedSymbol): number {
  return Math.max(...reflectance);
}

function inkOf({ reflectance }: InjectedSymbol): number {
  return Math.min(...reflectance);
}

const missing: Omit<GradeComparison, "seed" | "fault"> = {
  ...{
    undecided: false,
    unusedErrorCorrectionExact: false,
    fixedPatternExact: false,
    letterEqual: false,
    letter: "",
    differing: [],
  },
  ...{ contrast: Number.NaN, modulation: Number.NaN, moduleModulation: Number.NaN, axialNonuniformity: Number.NaN },
  ...{ gridNonuniformity: Number.NaN, growth: Number.NaN, overall: Number.NaN },
};

/** From this size on, modules may stray by all of the stretch. */
const stretchModules = 45;
const undecidedShare = 0.01;
/** Besides the one defect that a seed is about, each other comes with this chance. */
const otherDefects = 0.15;
/** Steps of luma: a verifier's camera or a good scanner. */
const noiseMax = 1;
/** Two degrees, as a sheet lies on a scanner. */
const turnMax = 0.035;
