/** The sample of the grader's campaign that runs every time; `compareCase` over thousands of seeds is the bench's. */
import { describe, expect, it } from "vitest";
import { compareCase, type GradeComparison, inventGradedCase } from "../../../../emulator/camera/graded-campaign.ts";

const parts = Array.from({ length: 10 }, (_, at) => at);
const seedsAPart = 8;

describe("the grader beside an independent one that knows what was injected", () => {
  it.each(parts)("[Q38] [Q42] [Q44] agrees on 8 symbols with invented defects, part %i", (part) => {
    const all: GradeComparison[] = [];
    for (let at = 0; at < seedsAPart; at++) {
      const seed = 1 + part * seedsAPart + at;
      all.push(compareCase(inventGradedCase(seed, 3), seed));
    }
    const failing = (isWrong: (one: GradeComparison) => boolean) => all.filter(isWrong).map(({ seed }) => seed);
    expect(failing(({ fault }) => fault !== undefined)).toEqual([]);
    expect(failing((one) => !one.unusedErrorCorrectionExact && !one.undecided)).toEqual([]);
    expect(failing((one) => !one.fixedPatternExact && !one.undecided)).toEqual([]);
    expect(failing(({ contrast }) => !(contrast <= 2))).toEqual([]);
    expect(failing(({ axialNonuniformity }) => !(axialNonuniformity <= 0.005))).toEqual([]);
    expect(failing(({ overall }) => !(overall <= 1))).toEqual([]);
    // Noise on a symbol of little contrast, or a bend where no edge shows it, may miss a little; the bench says how many do.
    expect(failing(({ modulation }) => !(modulation <= 0.03)).length).toBeLessThanOrEqual(1);
    expect(failing(({ gridNonuniformity }) => !(gridNonuniformity <= 0.02)).length).toBeLessThanOrEqual(1);
    expect(failing(({ letterEqual }) => !letterEqual).length).toBeLessThanOrEqual(1);
  });
});
