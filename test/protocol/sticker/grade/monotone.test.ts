/** More damage never gives a better grade: each defect alone, in steps, at several symbols. */
import { describe, expect, it } from "vitest";
import {
  gradeCase,
  inventCleanSymbol,
  type PrintDefect,
  printDefects,
} from "../../../../emulator/camera/graded-campaign.ts";
import type { Scan } from "../../../../emulator/camera/graded-symbols.ts";
import { seededRandom } from "../../../../emulator/world/random.ts";

const steps = [0, 0.35, 0.7, 1];
const scan: Scan = { pixelsAcross: 8.3, pixelsDown: 8.3, turn: 0.01, offset: { x: 0.3, y: 0.6 }, noise: 0 };
const modes = [
  { edition: "2011", reflectance: "calibrated" },
  { edition: "2024", reflectance: "calibrated" },
  { edition: "2024", reflectance: "uncalibrated" },
] as const;

function gradesOf(defect: PrintDefect, seed: number, mode: (typeof modes)[number]): readonly number[] {
  return steps.map((amount) => {
    const random = seededRandom(seed, `monotone/${defect}`);
    const clean = inventCleanSymbol(random, 1);
    const graded = gradeCase({ symbol: printDefects[defect](clean, random, amount), scan, mode }, seed);
    // What cannot be graded at all is worse than any grade.
    return graded.ok ? graded.value.overall.grade : -1;
  });
}

describe("more damage", () => {
  const cases = Object.keys(printDefects).flatMap((defect) =>
    modes.map((mode) => ({ defect: defect as PrintDefect, mode })),
  );
  it.each(cases)("[Q47] never gives a better grade: $defect, $mode.edition $mode.reflectance", ({ defect, mode }) => {
    for (let seed = 1; seed <= 2; seed++) {
      const grades = gradesOf(defect, seed, mode);
      expect({ seed, grades }).toEqual({ seed, grades: grades.toSorted((a, b) => b - a) });
    }
  });

  it("[Q47] of axes that differ never gives a better grade", () => {
    for (const mode of modes.slice(0, 2)) {
      const symbol = inventCleanSymbol(seededRandom(1, "monotone/axes"), 2);
      const grades = [0, 0.05, 0.07, 0.09, 0.11, 0.13].map((share) => {
        const graded = gradeCase({ symbol, scan: { ...scan, pixelsDown: scan.pixelsDown * (1 + share) }, mode }, 1);
        return graded.ok ? graded.value.overall.grade : -1;
      });
      expect(grades).toEqual(grades.toSorted((a, b) => b - a));
      expect(grades[0]).toBeGreaterThanOrEqual(3);
      expect(grades.at(-1)).toBeLessThan(1);
    }
  });
});
