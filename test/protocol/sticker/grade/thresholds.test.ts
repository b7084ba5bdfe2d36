import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  gradeByThreshold,
  gradeThresholds,
  letterOfGrade,
  type ThresholdName,
} from "../../../../protocol/sticker/grade/thresholds.ts";

const names = Object.keys(gradeThresholds) as ThresholdName[];

describe("cut-offs", () => {
  // Typed in from reference/qr.md part 1, where each has its source.
  const table: readonly (readonly [ThresholdName, readonly [number, number, number, number]])[] = [
    ["symbolContrast", [70, 55, 40, 20]],
    ["modulation", [0.5, 0.4, 0.3, 0.2]],
    ["cellContrast", [0.3, 0.25, 0.2, 0.15]],
    ["axialNonuniformity", [0.06, 0.08, 0.1, 0.12]],
    ["gridNonuniformity", [0.38, 0.5, 0.63, 0.75]],
    ["unusedErrorCorrection", [0.62, 0.5, 0.37, 0.25]],
    ["finderSegment", [0, 1, 2, 3]],
    ["timingSegment", [0, 7, 11, 14]],
    ["alignmentSegment", [0, 10, 20, 30]],
    ["formatInformation", [0, 1, 2, 3]],
    ["versionInformation", [0, 1, 2, 3]],
    ["printGrowth", [0.5, 0.7, 0.85, 1]],
  ];

  it.each(table)(
    "[Q36] %s: at a cut-off its grade, a little worse the next; both editions agree at the cut-offs",
    (name, cuts) => {
      const worse = gradeThresholds[name].better === "more" ? -1 : 1;
      for (const [at, cut] of cuts.entries()) {
        expect(gradeByThreshold(name, cut, "2011")).toBe(4 - at);
        expect(gradeByThreshold(name, cut + worse * 1e-6, "2011")).toBe(3 - at);
        expect(gradeByThreshold(name, cut, "2024")).toBe(4 - at);
      }
    },
  );

  it("[Q36] of all parameters are in the table, each with its source", () => {
    expect(table.map(([name]) => name).sort()).toEqual(names.toSorted());
    for (const name of names) expect(gradeThresholds[name].source.length).toBeGreaterThan(10);
  });

  it("[Q36] decimals lie between the cut-offs and are cut, never rounded up", () => {
    expect(gradeByThreshold("symbolContrast", 62.5, "2024")).toBe(3.5);
    expect(gradeByThreshold("symbolContrast", 69.99, "2024")).toBe(3.9);
    expect(gradeByThreshold("axialNonuniformity", 0.07, "2024")).toBe(3.5);
    expect(gradeByThreshold("modulation", 0.05, "2024")).toBe(0);
    expect(gradeByThreshold("modulation", 2, "2024")).toBe(4);
  });

  it("[Q36] no worse value has a better grade, and a decimal is never a whole grade away", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.double({ min: -0.2, max: 1.4, noNaN: true }),
        fc.double({ min: 0, max: 0.3, noNaN: true }),
        (name, share, step) => {
          const row = gradeThresholds[name];
          const value = row.zero + share * (row.four - row.zero);
          const worse = value - step * (row.four - row.zero);
          for (const edition of ["2011", "2024"] as const) {
            expect(gradeByThreshold(name, worse, edition)).toBeLessThanOrEqual(gradeByThreshold(name, value, edition));
          }
          expect(gradeByThreshold(name, value, "2024") - gradeByThreshold(name, value, "2011")).toBeGreaterThanOrEqual(
            0,
          );
          expect(gradeByThreshold(name, value, "2024") - gradeByThreshold(name, value, "2011")).toBeLessThan(1);
        },
      ),
    );
  });

  it("[Q36] letters: A from 3.5, B from 2.5, C from 1.5, D from 0.5", () => {
    expect([4, 3.5, 3.4, 2.5, 2.4, 1.5, 1.4, 0.5, 0.4, 0].map(letterOfGrade).join("")).toBe("AABBCCDDFF");
  });
});
