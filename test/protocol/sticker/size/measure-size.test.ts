/**
 * A sample of the trials that `scripts/bench sticker` runs by the hundred: seeds chosen once, one photograph of 3 megapixels each.
 */
import { describe, expect, it } from "vitest";
import { runSizeTrial, takeSizePhoto } from "../../../../emulator/camera/size-trials.ts";
import { readSymbols } from "../../../../protocol/sticker/read-symbols.ts";
import { measureSize } from "../../../../protocol/sticker/size/measure-size.ts";

const goals = [
  ["bezel", 1, 8],
  ["id-1", 1.5, 8],
  ["calibration-card", 1, 4],
] as const;

describe.each(goals)("size against a %s", (scene, goalPercent, smallSeed) => {
  it.each([5, 11])("[Q84] is right and says how sure it is (seed %i)", (seed) => {
    const trial = runSizeTrial(scene, seed, 1);
    expect(trial?.answer).toMatchObject({ ok: true, value: { reference: scene } });
    expect(Math.abs(trial?.errorPercent?.mean ?? Number.NaN)).toBeLessThan(goalPercent);
    expect(trial?.flagged).toBe(false);
    if (trial?.answer.ok === true) {
      const { uncertaintyPercent, referenceCorners } = trial.answer.value;
      expect(uncertaintyPercent.x).toBeGreaterThan(0.1);
      expect(uncertaintyPercent.x).toBeLessThan(2.5);
      expect(referenceCorners).toHaveLength(4);
    }
  });

  it(`[Q89] shows a print of 97 % (seed ${smallSeed})`, () => {
    const trial = runSizeTrial(scene, smallSeed, 0.97);
    expect(trial?.flagged).toBe(true);
    expect(Math.abs(trial?.errorPercent?.mean ?? Number.NaN)).toBeLessThan(goalPercent);
  });
});

describe("size by the map that the reader gives", () => {
  it("[Q84] is the same as by the true map, to a tenth of a per cent (seed 5)", () => {
    const byReader = runSizeTrial("bezel", 5, 1, ({ picture }) => readSymbols(picture, { symbolsMax: 1 })[0]?.map);
    const byTruth = runSizeTrial("bezel", 5, 1);
    const [one, other] = [byReader?.errorPercent?.mean ?? Number.NaN, byTruth?.errorPercent?.mean ?? Number.NaN];
    expect(Math.abs(one - other)).toBeLessThan(0.1);
  });
});

describe("size on a scan", () => {
  it.each([1, 2])("[Q85] takes its density for the ruler (seed %i)", (seed) => {
    const trial = runSizeTrial("scan", seed, 0.96);
    expect(trial?.answer).toMatchObject({ ok: true, value: { reference: "density" } });
    expect(Math.abs(trial?.errorPercent?.x ?? Number.NaN)).toBeLessThan(0.1);
    expect(trial?.flagged).toBe(true);
  });

  it("[Q85] is none when the symbol is seen at an angle", () => {
    const { picture, code } = takeSizePhoto("nothing", 3, 1);
    const size = measureSize({
      ...{ picture, map: code.map, dark: code.symbol, moduleMm: 1 },
      reference: { kind: "density", density: { x: 6, y: 6 } },
    });
    expect(size).toMatchObject({ ok: false, fault: { code: "not-a-scan" } });
  });
});

describe("size without a reference", () => {
  it.each([
    ["nothing", 1],
    ["phone", 1],
    ["business-card", 3],
    ["picture-frame", 1],
  ] as const)("[Q90] is not measured: %s (seed %i)", (scene, seed) => {
    const trial = runSizeTrial(scene, seed, 1);
    expect(trial?.answer).toMatchObject({ ok: false, fault: { code: "no-reference" } });
    if (trial?.answer.ok === false && trial.answer.fault.code === "no-reference") {
      expect(trial.answer.fault.tried.map(({ reference }) => reference)).toEqual(["calibration-card", "bezel", "id-1"]);
    }
  });
});

describe("the step between both planes", () => {
  it("[Q88] is taken out: a card said to stand 3 mm farther out than it does makes the print seem larger", () => {
    const { picture, code, focalRatio } = takeSizePhoto("id-1", 5, 1);
    const size = (proudMm: number | undefined): number => {
      const reference = { kind: "id-1", proudMm } as const;
      const answer = measureSize({ picture, map: code.map, dark: code.symbol, moduleMm: 1, reference, focalRatio });
      return answer.ok ? answer.value.scalePercent.x : Number.NaN;
    };
    const [right, wrong] = [size(undefined), size(3.76)];
    expect(Math.abs(right - 100)).toBeLessThan(0.5);
    // 3 mm of some 270 mm.
    expect(wrong - right).toBeGreaterThan(0.7);
    expect(wrong - right).toBeLessThan(1.6);
  });
});
