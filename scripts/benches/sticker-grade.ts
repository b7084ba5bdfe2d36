/** Grades of rendered symbols beside the grades that their injected reflectances and module errors deserve. */
import { compareCase, inventGradedCase, sumUpCampaign } from "../../emulator/camera/graded-campaign.ts";
import type { Figure } from "./result.ts";

export const gradeModel =
  "grades: symbols of versions 1-4 (every eighth up to 8) with uneven ink, fading, flipped and grey modules, growth, slips and stretch, scanned at 8-12 px a module; the grade that each deserves follows from what was injected (emulator/camera/graded-truth.ts), not from the grader; a symbol with a module within a hundredth of the contrast of the threshold is undecided and not asked for exactness";

/** `symbols` seeds from 10,001 on; every eighth may have a version up to 8, the others up to 4. */
export function gradeFigures(symbols: number): readonly Figure[] {
  const comparisons = Array.from({ length: symbols }, (_, at) => {
    const seed = firstSeed + at;
    return compareCase(inventGradedCase(seed, seed % 8 === 0 ? 8 : 4), seed);
  });
  const sum = sumUpCampaign(comparisons);
  const decided = sum.symbols - sum.undecided;
  const all = (id: string, value: number, of: number): Figure => ({
    ...{ id, value, unit: `of ${of}`, target: "all" },
    holds: value === of,
  });
  const letters = (100 * sum.letterEqual) / sum.symbols;
  return [
    { id: "grade-symbols", value: sum.symbols, unit: `symbols, ${sum.undecided} of them undecided` },
    { id: "grade-not-graded", value: sum.faults, unit: "symbols", target: "0", holds: sum.faults === 0 },
    all("grade-unused-error-correction-exact", sum.unusedErrorCorrectionExact, decided),
    all("grade-fixed-pattern-damage-exact", sum.fixedPatternExact, decided),
    all("grade-contrast-within-2-points", sum.contrastWithin, sum.symbols),
    all("grade-modulation-within-0.03", sum.modulationWithin, sum.symbols),
    all("grade-axial-within-0.005", sum.axialWithin, sum.symbols),
    all("grade-grid-within-0.02", sum.gridWithin, sum.symbols),
    all("grade-within-half", sum.gradeWithin, sum.symbols),
    { id: "grade-letter-equal", value: letters, unit: "%", target: ">= 95", holds: letters >= 95 },
  ];
}

const firstSeed = 10_001;
