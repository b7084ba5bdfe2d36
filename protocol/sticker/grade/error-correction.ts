/**
 * What is left of a symbol's error correction, and what would be left if every weak module were taken for a wrong one.
 *
 * Rules: SPEC Q42, Q43. Theory of the overlay ("notional damage"): a weak module matters only if error correction could not do
 * without it. For each grade in turn, all that is below the grade counts as damage; the grade that this damage leaves, but not
 * more than the grade itself, is a bid; the best bid is the parameter's grade.
 */
import { blockPlaces, blockShapes } from "../qr/codewords.ts";
import { type ErrorCorrectionLevel, symbolLayout } from "../qr/layout.ts";
import {
  cutDecimal,
  type GradeEdition,
  gradeByThreshold,
  gradeThresholds,
  smoothGrade,
  type ThresholdName,
} from "./thresholds.ts";

/** One block: `unused` is 1 - 2 errors / (correction codewords - those kept against misdecoding), not below 0. */
export type BlockUse = {
  readonly codewords: number;
  readonly correctionCodewords: number;
  readonly errors: number;
  readonly unused: number;
  /** Whether a reader could still correct it. */
  readonly correctable: boolean;
};

/** What each block has used. `wrong`: 1 a module of the other colour than it should be, row by row. */
export function measureBlocks(version: number, level: ErrorCorrectionLevel, wrong: Uint8Array): readonly BlockUse[] {
  const codewordWrong = codewordValues(version, (modules) => (modules.some((at) => wrong[at] === 1) ? 1 : 0));
  return countBlocks(version, level, (codeword) => codewordWrong[codeword] === 1);
}

/** Modulation and reflectance margin: `margins` are those of each module, row by row; a codeword is as weak as its weakest. */
export function gradeMargins(
  version: number,
  level: ErrorCorrectionLevel,
  margins: Float64Array,
  edition: GradeEdition,
): number {
  const weakest = codewordValues(version, (modules) => Math.min(...modules.map((at) => margins[at] ?? 0)));
  const leftAt = (cut: number): number =>
    Math.min(...countBlocks(version, level, (codeword) => (weakest[codeword] ?? 0) < cut).map(({ unused }) => unused));
  return overlayGrade(weakest, "unusedErrorCorrection", leftAt, edition);
}

/** Modules that carry data or error correction; what is weak elsewhere is the fixed patterns' matter. */
export function weakestDataMargin(version: number, margins: Float64Array): number {
  return Math.min(...codewordValues(version, (modules) => Math.min(...modules.map((at) => margins[at] ?? 0))));
}

/**
 * The best bid of the overlay. `margins`: of whatever is counted; `damageAt(cut)`: the value that `name` grades, when all below
 * `cut` is damage. Edition 2011 bids at the four cut-offs of modulation; 2024, whose way is not known here, at every margin.
 */
export function overlayGrade(
  margins: Float64Array,
  name: ThresholdName,
  damageAt: (cut: number) => number,
  edition: GradeEdition,
): number {
  const { four, three, two, one, zero } = gradeThresholds.modulation;
  if (edition === "2011") {
    const bids = [four, three, two, one].map((cut, at) =>
      Math.min(4 - at, gradeByThreshold(name, damageAt(cut), edition)),
    );
    return Math.max(...bids);
  }
  // As the cut rises its own grade rises and what the damage leaves falls, so the best bid is where the two cross.
  const cuts = [...new Set([...margins.filter((margin) => margin > zero && margin < four), four])].sort(
    (x, y) => x - y,
  );
  const bidAt = (at: number): { readonly own: number; readonly left: number } => {
    const cut = cuts[at] ?? four;
    return { own: smoothGrade("modulation", cut), left: smoothGrade(name, damageAt(cut)) };
  };
  let [low, high] = [0, cuts.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { own, left } = bidAt(middle);
    if (own < left) low = middle + 1;
    else high = middle;
  }
  const bids = [bidAt(Math.max(low - 1, 0)), bidAt(low)].map(({ own, left }) => Math.min(own, left));
  return cutDecimal(Math.max(...bids));
}

function countBlocks(
  version: number,
  level: ErrorCorrectionLevel,
  isWrong: (codeword: number) => boolean,
): readonly BlockUse[] {
  const places = blockPlaces(version, level);
  const kept = misdecodeProtection[`${version}${level}`] ?? 0;
  return blockShapes(version, level).map(({ dataCodewords, correctionCodewords }, at) => {
    let errors = 0;
    for (const codeword of places[at] ?? []) if (isWrong(codeword)) errors++;
    const usable = correctionCodewords - kept;
    return {
      codewords: dataCodewords + correctionCodewords,
      correctionCodewords,
      errors,
      unused: Math.max(1 - (2 * errors) / usable, 0),
      correctable: 2 * errors <= usable,
    };
  });
}

/** One value a codeword, in the order of placement, from its eight modules. */
function codewordValues(version: number, worth: (modules: readonly number[]) => number): Float64Array {
  const { bitOrder, codewords } = symbolLayout(version);
  return Float64Array.from({ length: codewords }, (_, at) => worth([...bitOrder.subarray(8 * at, 8 * at + 8)]));
}

/** Codewords that small symbols keep back so as not to be taken for another text. Source: ISO/IEC 18004 table 9, note b. */
const misdecodeProtection: Readonly<Record<string, number>> = {
  ...{ "1L": 3, "1M": 2, "1Q": 1, "1H": 1 },
  ...{ "2L": 2, "3L": 1 },
};
