/**
 * What a symbol with injected defects deserves: an independent, slow and obvious grader that never sees a picture. It works from
 * the module errors, reflectances, slips and growth that were injected, and knows nothing of `protocol/sticker/grade`; its
 * cut-offs are typed in again from the same sources. Shared is the QR standard itself (`protocol/sticker/qr`): where modules, blocks
 * and copies are.
 */
import type { Point } from "../../protocol/sticker/plane.ts";
import { blockPlaces, blockShapes } from "../../protocol/sticker/qr/codewords.ts";
import { formatPlaces, type ModulePlace, symbolLayout, versionPlaces } from "../../protocol/sticker/qr/layout.ts";
import { type InjectedSymbol, printedReflectance, type Scan, truePlace } from "./graded-symbols.ts";

export type TruthMode = {
  readonly edition: "2011" | "2024";
  readonly reflectance: "calibrated" | "uncalibrated";
};

export type TruthGrade = {
  /** By the names that the grader's parameters have; a parameter that is not graded in this mode is absent. */
  readonly grades: Readonly<Record<string, number>>;
  readonly overall: number;
  readonly contrast: number;
  readonly threshold: number;
  /** Of each module, row by row. */
  readonly modulation: readonly number[];
  readonly wrong: readonly boolean[];
  readonly axialNonuniformity: number;
  readonly gridNonuniformity: number;
  readonly unusedErrorCorrection: number;
  /** Wrong modules of A1, A2, A3, B1, B2 and, where there are alignment patterns, C. */
  readonly fixedWrong: readonly number[];
  readonly growth: { readonly across: number; readonly down: number };
  /** How near to the threshold some module stands, as a share of light less dark: at 0 it could be called right or wrong. */
  readonly nearest: number;
};

/** Grades by what was injected. `aperture` in modules. */
export function gradeByTruth(symbol: InjectedSymbol, scan: Scan, mode: TruthMode, aperture = 0.8): TruthGrade {
  const seen = lookThroughAperture(symbol, aperture);
  const levels = findLevels(symbol, seen, mode);
  const sight = judgeSight(symbol, seen, levels, mode);
  const all = allModules(symbol.modules);
  const codewords = codewordModules(symbol.version);
  const contrast =
    mode.reflectance === "calibrated"
      ? 100 * (levels.light - levels.dark)
      : (levels.light - levels.dark) / (symbol.inverted ? 1 - levels.dark : levels.light);
  const shape = measureTruth(symbol, scan);
  const wrongCodewords = codewords.map((modules) => modules.some(sight.isWrong));
  const grades: Record<string, number> = {
    ...gradeDamage(symbol, sight, codewords, mode),
    gridNonuniformity: gradeOf(mode, cuts.gridNonuniformity, shape.grid),
    axialNonuniformity: gradeOf(mode, cuts.axialNonuniformity, shape.axial),
    unusedErrorCorrection: gradeOf(mode, cuts.unusedErrorCorrection, leastUnused(symbol, wrongCodewords)),
  };
  if (mode.reflectance === "calibrated") grades["symbolContrast"] = gradeOf(mode, cuts.symbolContrast, contrast);
  else grades["cellContrast"] = gradeOf(mode, cuts.cellContrast, contrast);
  if (mode.edition === "2024") {
    const worse = Math.max(Math.abs(symbol.growth.across), Math.abs(symbol.growth.down));
    grades["printGrowth"] = gradeOf(mode, cuts.printGrowth, worse / 0.3);
  }
  return {
    grades,
    overall: Math.min(...Object.values(grades)),
    contrast,
    threshold: levels.threshold,
    modulation: all.map(sight.margin),
    wrong: all.map(sight.isWrong),
    axialNonuniformity: shape.axial,
    gridNonuniformity: shape.grid,
    unusedErrorCorrection: leastUnused(symbol, wrongCodewords),
    fixedWrong: fixedParts(symbol.version).map(({ places }) => places.filter(sight.isWrong).length),
    growth: symbol.growth,
    nearest: Math.min(...all.map((at) => Math.abs(seen(at) - levels.threshold))) / (levels.light - levels.dark),
  };
}

/** How a module looks: `clarity` whichever side of the threshold it is on, `margin` 0 on the wrong one. */
type Sight = {
  readonly isWrong: (at: ModulePlace) => boolean;
  readonly clarity: (at: ModulePlace) => number;
  readonly margin: (at: ModulePlace) => number;
};

function judgeSight(
  symbol: InjectedSymbol,
  seen: (at: ModulePlace) => number,
  { light, dark, threshold }: Levels,
  mode: TruthMode,
): Sight {
  const isDark = (at: ModulePlace): boolean =>
    inside(symbol, at) && symbol.dark[at.row * symbol.modules + at.column] === 1;
  const isWrong = (at: ModulePlace): boolean => seen(at) < threshold !== isDark(at);
  const clarity = (at: ModulePlace): number => {
    const value = seen(at);
    if (mode.reflectance === "calibrated") return (2 * Math.abs(value - threshold)) / (light - dark);
    return value >= threshold ? (value - threshold) / (light - threshold) : (threshold - value) / (threshold - dark);
  };
  return { isWrong, clarity, margin: (at) => (isWrong(at) ? 0 : clarity(at)) };
}

/** All parameters that weigh weak and wrong modules. */
function gradeDamage(
  symbol: InjectedSymbol,
  { isWrong, clarity, margin }: Sight,
  codewords: readonly (readonly ModulePlace[])[],
  mode: TruthMode,
): Record<string, number> {
  const unusedWith = (isBad: (at: ModulePlace) => boolean): number =>
    leastUnused(
      symbol,
      codewords.map((modules) => modules.some(isBad)),
    );
  const ofData = (of: (at: ModulePlace) => number): number =>
    bestBid(mode, cuts.unusedErrorCorrection, codewords.flat().map(of), (least) => unusedWith((at) => of(at) < least));
  const ofPart = ({ places, cut, percent }: Part): number =>
    bestBid(mode, cut, places.map(margin), (least) => {
      const weak = places.filter((at) => margin(at) < least).length;
      return percent ? (100 * weak) / places.length : weak;
    });
  const copies = informationParts(symbol);
  const isTold = (group: readonly Part[]): boolean =>
    group.length === 0 || group.some(({ places }) => places.filter(isWrong).length <= 3);
  const signed = unusedErrorCorrectionSigned(
    symbol,
    codewords.map((modules) => modules.some(isWrong)),
  );
  return {
    decode: signed >= 0 && isTold(copies.format) && isTold(copies.version) ? 4 : 0,
    modulation: ofData(mode.edition === "2011" ? clarity : margin),
    ...(mode.edition === "2011" ? { reflectanceMargin: ofData(margin) } : {}),
    fixedPatternDamage: Math.min(...fixedParts(symbol.version).map(ofPart)),
    formatInformation: Math.min(...copies.format.map(ofPart)),
    ...(copies.version.length > 0 ? { versionInformation: Math.min(...copies.version.map(ofPart)) } : {}),
  };
}

/** The least margin of modules that carry data: what the modulation parameter's value should be. */
export function weakestTruth(symbol: InjectedSymbol, truth: TruthGrade): number {
  return Math.min(
    ...codewordModules(symbol.version)
      .flat()
      .map(({ column, row }) => truth.modulation[row * symbol.modules + column] ?? 0),
  );
}

/** Cut-offs for 4, 3, 2, 1 and the end of the interpolation; typed in from qr.md part 1, not shared with the grader. */
type Cut = readonly [number, number, number, number, number];

const cuts = {
  symbolContrast: [70, 55, 40, 20, 15],
  cellContrast: [0.3, 0.25, 0.2, 0.15, 0.1],
  modulation: [0.5, 0.4, 0.3, 0.2, 0.1],
  axialNonuniformity: [0.06, 0.08, 0.1, 0.12, 0.14],
  gridNonuniformity: [0.38, 0.5, 0.63, 0.75, 0.87],
  unusedErrorCorrection: [0.62, 0.5, 0.37, 0.25, 0.2],
  printGrowth: [0.5, 0.7, 0.85, 1, 1.15],
  count: [0, 1, 2, 3, 4],
  timing: [0, 7, 11, 14, 17],
  alignment: [0, 10, 20, 30, 40],
} as const satisfies Record<string, Cut>;

function gradeOf({ edition }: TruthMode, cut: Cut, value: number): number {
  return edition === "2011" ? wholeGrade(cut, value) : Math.floor(10 * decimalGrade(cut, value) + 1e-9) / 10;
}

function wholeGrade(cut: Cut, value: number): number {
  const isMore = cut[0] > cut[3];
  for (let grade = 4; grade >= 1; grade--) {
    const least = cut[4 - grade] ?? 0;
    if (isMore ? value >= least - 1e-9 : value <= least + 1e-9) return grade;
  }
  return 0;
}

function decimalGrade(cut: Cut, value: number): number {
  const isMore = cut[0] > cut[3];
  if (isMore ? value >= cut[0] : value <= cut[0]) return 4;
  if (isMore ? value <= cut[4] : value >= cut[4]) return 0;
  for (let grade = 4; grade >= 1; grade--) {
    const [upper = 0, lower = 0] = [cut[4 - grade], cut[5 - grade]];
    if (isMore ? value >= lower : value <= lower) return grade - Math.abs(upper - value) / Math.abs(upper - lower);
  }
  return 0;
}

/** All that is weaker than some cut counts as damage; the damage's grade, but not above the cut's own; the best of all cuts. */
function bestBid(mode: TruthMode, cut: Cut, margins: readonly number[], damageAt: (least: number) => number): number {
  if (mode.edition === "2011") {
    return Math.max(
      0,
      ...[4, 3, 2, 1].map((grade) => Math.min(grade, wholeGrade(cut, damageAt(cuts.modulation[4 - grade] ?? 0)))),
    );
  }
  const tried = [...new Set([0.5, ...margins.filter((margin) => margin < 0.5)])];
  const bids = tried.map((least) => Math.min(decimalGrade(cuts.modulation, least), decimalGrade(cut, damageAt(least))));
  return Math.floor(10 * Math.max(0, ...bids) + 1e-9) / 10;
}

type Levels = { readonly light: number; readonly dark: number; readonly threshold: number };

/** The mean of many places under a disc about the true middle of each cell, quiet zone included. */
function lookThroughAperture(symbol: InjectedSymbol, aperture: number): (at: ModulePlace) => number {
  const side = symbol.modules + 8;
  const values = Array.from({ length: side * side }, (_, at) => {
    const middle = truePlace(symbol, (at % side) - 4, Math.floor(at / side) - 4);
    let [sum, count] = [0, 0];
    for (let y = -10; y <= 10; y++) {
      for (let x = -10; x <= 10; x++) {
        if (x * x + y * y > 10.5 * 10.5) continue;
        // Turned, so that no row of places runs along the modules' sides.
        const [u, v] = [(x * 0.8 - y * 0.6) / 21, (x * 0.6 + y * 0.8) / 21];
        sum += printedReflectance(symbol, middle.x + u * aperture, middle.y + v * aperture);
        count++;
      }
    }
    return symbol.inverted ? 1 - sum / count : sum / count;
  });
  return ({ column, row }) => values[(row + 4) * side + column + 4] ?? 0;
}

function findLevels(symbol: InjectedSymbol, seen: (at: ModulePlace) => number, mode: TruthMode): Levels {
  const modules = allModules(symbol.modules).map(seen);
  if (mode.reflectance === "uncalibrated") {
    const threshold = leastVarianceThreshold(modules);
    const light = modules.filter((value) => value >= threshold);
    return { threshold, light: mean(light), dark: mean(modules.filter((value) => value < threshold)) };
  }
  const first = extremes(modules, mode);
  const quiet = quietCells(symbol.modules).map(seen);
  return extremes([...modules, ...quiet.filter((value) => value >= first.threshold)], mode);
}

function extremes(values: readonly number[], { edition }: TruthMode): Levels {
  const sorted = values.toSorted((a, b) => a - b);
  const count = edition === "2011" ? 1 : Math.ceil(sorted.length / 100);
  const [dark, light] = [mean(sorted.slice(0, count)), mean(sorted.slice(-count))];
  return { light, dark, threshold: edition === "2011" ? (light + dark) / 2 : leastVarianceThreshold(sorted) };
}

/** Tries to part the values between each two neighbours; half way between the means of the two parts that vary least. */
function leastVarianceThreshold(values: readonly number[]): number {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  const all = values.toSorted((a, b) => a - b);
  let best = { threshold: 0, spread: Number.POSITIVE_INFINITY };
  for (let at = 1; at < sorted.length; at++) {
    const split = all.indexOf(sorted[at] ?? 0);
    const [dark, light] = [all.slice(0, split), all.slice(split)];
    const spread = variance(dark) + variance(light);
    if (spread < best.spread) best = { threshold: (mean(dark) + mean(light)) / 2, spread };
  }
  return best.threshold;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variance(values: readonly number[]): number {
  const middle = mean(values);
  return mean(values.map((value) => (value - middle) ** 2));
}

/** The eight modules of each codeword, in the order of placement. */
function codewordModules(version: number): readonly (readonly ModulePlace[])[] {
  const { bitOrder, codewords, modules } = symbolLayout(version);
  return Array.from({ length: codewords }, (_, codeword) =>
    Array.from({ length: 8 }, (_, bit) => {
      const index = bitOrder[8 * codeword + bit] ?? 0;
      return { column: index % modules, row: Math.floor(index / modules) };
    }),
  );
}

function leastUnused(symbol: InjectedSymbol, isBad: readonly boolean[]): number {
  return Math.max(0, unusedErrorCorrectionSigned(symbol, isBad));
}

function unusedErrorCorrectionSigned({ version, level }: InjectedSymbol, isBad: readonly boolean[]): number {
  const kept =
    new Map([
      ["1L", 3],
      ["1M", 2],
      ["1Q", 1],
      ["1H", 1],
      ["2L", 2],
      ["3L", 1],
    ]).get(`${version}${level}`) ?? 0;
  const shapes = blockShapes(version, level);
  return Math.min(
    ...blockPlaces(version, level).map((places, block) => {
      const errors = [...places].filter((codeword) => isBad[codeword]).length;
      return 1 - (2 * errors) / ((shapes[block]?.correctionCodewords ?? 0) - kept);
    }),
  );
}

type Part = { readonly places: readonly ModulePlace[]; readonly cut: Cut; readonly percent: boolean };

function fixedParts(version: number): readonly Part[] {
  const { modules, alignmentCentres } = symbolLayout(version);
  const parts: Part[] = [
    { places: rectangle(-4, 7, -4, 7), cut: cuts.count, percent: false },
    { places: rectangle(modules - 8, modules + 3, -4, 7), cut: cuts.count, percent: false },
    { places: rectangle(-4, 7, modules - 8, modules + 3), cut: cuts.count, percent: false },
    { places: rectangle(8, modules - 9, 6, 6), cut: cuts.timing, percent: true },
    { places: rectangle(6, 6, 8, modules - 9), cut: cuts.timing, percent: true },
  ];
  const alignment = alignmentCentres.flatMap(({ column, row }) => rectangle(column - 2, column + 2, row - 2, row + 2));
  return alignment.length === 0 ? parts : [...parts, { places: alignment, cut: cuts.alignment, percent: true }];
}

function informationParts({ version, modules }: InjectedSymbol): {
  readonly format: readonly Part[];
  readonly version: readonly Part[];
} {
  const parts = ({ first, second }: ReturnType<typeof formatPlaces>): readonly Part[] =>
    [first, second].map((places) => ({ places, cut: cuts.count, percent: false }));
  return { format: parts(formatPlaces(modules)), version: version < 7 ? [] : parts(versionPlaces(modules)) };
}

function rectangle(left: number, right: number, top: number, bottom: number): readonly ModulePlace[] {
  const places: ModulePlace[] = [];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) places.push({ column, row });
  }
  return places;
}

function allModules(modules: number): readonly ModulePlace[] {
  return rectangle(0, modules - 1, 0, modules - 1);
}

function quietCells(modules: number): readonly ModulePlace[] {
  return rectangle(-4, modules + 3, -4, modules + 3).filter((at) => !inside({ modules }, at));
}

function inside({ modules }: { readonly modules: number }, { column, row }: ModulePlace): boolean {
  return column >= 0 && row >= 0 && column < modules && row < modules;
}

/** Axial nonuniformity from the mean steps in pixels; grid nonuniformity against the affine grid that fits all middles best. */
function measureTruth(symbol: InjectedSymbol, scan: Scan): { readonly axial: number; readonly grid: number } {
  const { modules } = symbol;
  const middle = (column: number, row: number): Point => truePlace(symbol, column, row);
  const step = (a: Point, b: Point): number =>
    Math.hypot((a.x - b.x) * scan.pixelsAcross, (a.y - b.y) * scan.pixelsDown);
  const across = mean(
    rectangle(0, modules - 2, 0, modules - 1).map(({ column, row }) =>
      step(middle(column, row), middle(column + 1, row)),
    ),
  );
  const down = mean(
    rectangle(0, modules - 1, 0, modules - 2).map(({ column, row }) =>
      step(middle(column, row), middle(column, row + 1)),
    ),
  );
  const places = allModules(modules);
  const fitX = fitPlane(
    places,
    places.map(({ column, row }) => middle(column, row).x),
  );
  const fitY = fitPlane(
    places,
    places.map(({ column, row }) => middle(column, row).y),
  );
  const determinant = fitX.column * fitY.row - fitX.row * fitY.column;
  const strays = places.map(({ column, row }) => {
    const { x, y } = middle(column, row);
    const [u, v] = [x - fitX.constant, y - fitY.constant];
    const backColumn = (u * fitY.row - v * fitX.row) / determinant;
    const backRow = (v * fitX.column - u * fitY.column) / determinant;
    return Math.hypot(backColumn - column, backRow - row);
  });
  return { axial: Math.abs(across - down) / ((across + down) / 2), grid: Math.max(...strays) };
}

/** values = constant + column * c + row * r by least squares; the places are a full square, whose axes are independent. */
function fitPlane(places: readonly ModulePlace[], values: readonly number[]) {
  const [midColumn, midRow] = [mean(places.map(({ column }) => column)), mean(places.map(({ row }) => row))];
  const spread = places.reduce((sum, { column }) => sum + (column - midColumn) ** 2, 0);
  const column = places.reduce((sum, place, at) => sum + (place.column - midColumn) * (values[at] ?? 0), 0) / spread;
  const row = places.reduce((sum, place, at) => sum + (place.row - midRow) * (values[at] ?? 0), 0) / spread;
  return { column, row, constant: mean(values) - column * midColumn - row * midRow };
}
