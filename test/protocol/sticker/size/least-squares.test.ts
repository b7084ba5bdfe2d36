import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../emulator/world/random.ts";
import { type LeastSquaresProblem, solveLeastSquares } from "../../../../protocol/sticker/size/least-squares.ts";

/** y = a exp(b x) with noise of 0.05, 40 places. */
function decay(seed: number, outliers: number): LeastSquaresProblem {
  const random = seededRandom(seed, "size/least-squares");
  const seen = Array.from({ length: 40 }, (_, at) => 3 * Math.exp(-0.07 * at) + 0.05 * random.gaussian());
  for (let one = 0; one < outliers; one++) seen[random.integer(40)] = 9;
  return {
    priors: [
      { mean: 0, sigma: Number.POSITIVE_INFINITY, step: 1e-6 },
      { mean: 0, sigma: Number.POSITIVE_INFINITY, step: 1e-7 },
    ],
    start: [2.6, -0.06],
    observations: seen.length,
    residuals: (parameters, into) => {
      for (let at = 0; at < seen.length; at++) {
        into[at] = ((parameters[0] ?? 0) * Math.exp((parameters[1] ?? 0) * at) - (seen[at] ?? 0)) / 0.05;
      }
    },
    outlierAt: 5,
  };
}

describe("least squares", () => {
  it("finds the numbers, and states a spread that the truth keeps to", () => {
    let within = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const answer = solveLeastSquares(decay(seed, 0));
      const [a = 0, b = 0] = answer?.parameters ?? [];
      expect(Math.abs(a - 3)).toBeLessThan(0.2);
      if (Math.abs(b + 0.07) < 1.96 * Math.sqrt(answer?.covariance[3] ?? 0)) within++;
    }
    expect(within).toBeGreaterThanOrEqual(180);
  });

  it("is not moved by what is something else", () => {
    const answer = solveLeastSquares(decay(7, 6));
    expect(answer?.parameters[0]).toBeCloseTo(3, 0);
    expect(answer?.parameters[1]).toBeCloseTo(-0.07, 1);
  });

  it("holds what is known, and says so", () => {
    const problem = decay(3, 0);
    const held = solveLeastSquares({
      ...problem,
      priors: [{ mean: 2.6, sigma: 0, step: 1e-6 }, ...problem.priors.slice(1)],
    });
    expect(held?.parameters[0]).toBe(2.6);
    expect(held?.covariance[0]).toBe(0);
  });

  it("has no answer for what the observations do not fix", () => {
    const problem = decay(3, 0);
    const loose = { ...problem, residuals: (_: Float64Array, into: Float64Array) => into.fill(1) };
    expect(solveLeastSquares(loose)).toBeUndefined();
  });
});
