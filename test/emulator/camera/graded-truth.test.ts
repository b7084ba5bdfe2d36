/** The judge of the grader, judged by hand: values that need no program to work out. */
import { describe, expect, it } from "vitest";
import {
  cellAt,
  inventCleanSymbol,
  inventGradedCase,
  sumUpCampaign,
} from "../../../emulator/camera/graded-campaign.ts";
import {
  type InjectedSymbol,
  idealMap,
  printedReflectance,
  type Scan,
  scanSymbol,
} from "../../../emulator/camera/graded-symbols.ts";
import { gradeByTruth, type TruthMode } from "../../../emulator/camera/graded-truth.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

const scan: Scan = { pixelsAcross: 10, pixelsDown: 10, turn: 0, offset: { x: 0, y: 0 }, noise: 0 };
const older: TruthMode = { edition: "2011", reflectance: "calibrated" };

function plain(version: number): InjectedSymbol {
  const symbol = inventCleanSymbol(seededRandom(4, "truth-test"), version);
  return { ...symbol, reflectance: Float64Array.from(symbol.inked, (isInk) => (isInk === 1 ? 0.1 : 0.9)) };
}

describe("the truth about injected defects", () => {
  it("gives a clean print of 0.9 and 0.1 contrast 80, threshold 0.5 and 4 throughout, in both editions", () => {
    for (const edition of ["2011", "2024"] as const) {
      const truth = gradeByTruth(plain(2), scan, { ...older, edition });
      expect(truth.contrast).toBeCloseTo(80, 9);
      expect(truth.threshold).toBeCloseTo(0.5, 9);
      expect(Object.values(truth.grades).every((grade) => grade === 4)).toBe(true);
    }
    const photo = gradeByTruth(plain(2), scan, { edition: "2011", reflectance: "uncalibrated" });
    expect(photo.contrast).toBeCloseTo(8 / 9, 9);
  });

  it("gives axes of 10 and 11 pixels 1/10.5, a line slipped by 0.4 its share, and growth by its duty cycle", () => {
    expect(gradeByTruth(plain(1), { ...scan, pixelsDown: 11 }, older).axialNonuniformity).toBeCloseTo(1 / 10.5, 9);
    const slip = new Float64Array(22);
    slip[10] = 0.4;
    // Two columns' middles move by 0.2; the best regular grid takes back the mean, 0.4 / 21, and next to no slope.
    expect(gradeByTruth({ ...plain(1), columnSlip: slip }, scan, older).gridNonuniformity).toBeCloseTo(
      0.2 - 0.4 / 21,
      2,
    );
    const grown = { ...plain(1), growth: { across: 0.18, down: -0.24 } };
    expect(gradeByTruth(grown, scan, { ...older, edition: "2024" }).grades["printGrowth"]).toBe(2.3);
  });

  it("counts one wrong module in the finder as one, and lets ink reach over a line by half its growth", () => {
    const symbol = plain(2);
    const inked = Uint8Array.from(symbol.inked);
    inked[cellAt(symbol.modules, 3, 3)] = 0;
    const reflectance = Float64Array.from(inked, (isInk) => (isInk === 1 ? 0.1 : 0.9));
    const truth = gradeByTruth({ ...symbol, inked, reflectance }, scan, older);
    expect(truth.fixedWrong).toEqual([1, 0, 0, 0, 0, 0]);
    expect(truth.overall).toBe(3);
    // Column 7 beside the finder is its separator, light.
    const grown = { ...symbol, growth: { across: 0.2, down: 0 } };
    expect(printedReflectance(grown, 7.09, 3.5)).toBe(0.1);
    expect(printedReflectance(grown, 7.11, 3.5)).toBe(0.9);
    expect(printedReflectance(symbol, 7.09, 3.5)).toBe(0.9);
  });

  it("is scanned where the ideal map says, pixels at an edge by their share", () => {
    const symbol = plain(1);
    const half: Scan = { ...scan, pixelsAcross: 8.5, pixelsDown: 8.5 };
    const picture = scanSymbol(symbol, half, seededRandom(1, "truth-test"));
    const corner = idealMap(symbol.modules, half).toPicture(0, 3.5);
    expect(corner.x).toBeCloseTo(42.5, 9);
    const at = Math.floor(corner.y) * picture.width + Math.floor(corner.x);
    expect([picture.luma[at - 1], picture.luma[at], picture.luma[at + 1]]).toEqual([230, 127, 26]);
  });

  it("comes again for the same seed, and a campaign counts what kept within its bounds", () => {
    expect(inventGradedCase(7, 3)).toEqual(inventGradedCase(7, 3));
    const good = {
      ...{ seed: 1, fault: undefined, undecided: false, unusedErrorCorrectionExact: true, fixedPatternExact: true },
      ...{ contrast: 2, modulation: 0.03, moduleModulation: 0.1, axialNonuniformity: 0.005, gridNonuniformity: 0.02 },
      ...{ growth: 0, overall: 0.5, letterEqual: true, letter: "A", differing: [] },
    };
    const bad = { ...good, contrast: 2.1, modulation: Number.NaN, undecided: true, letterEqual: false };
    expect(sumUpCampaign([good, bad])).toMatchObject({
      ...{ symbols: 2, faults: 0, undecided: 1, unusedErrorCorrectionExact: 1, fixedPatternExact: 1 },
      ...{ contrastWithin: 1, modulationWithin: 1, axialWithin: 2, gridWithin: 2, gradeWithin: 2, letterEqual: 1 },
    });
  });
});
