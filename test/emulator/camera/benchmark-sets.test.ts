import { describe, expect, it } from "vitest";
import { benchmarkCategories, benchmarkPhoto } from "../../../emulator/camera/benchmark-sets.ts";
import { negativeKinds, negativePhoto } from "../../../emulator/camera/negatives.ts";
import { moduleState } from "../../../emulator/camera/photo-truth.ts";
import { readByZbar, readByZxing } from "./plain-decoders.ts";

describe("benchmark sets", () => {
  it.each(benchmarkCategories)("%s shows a whole code with its true text and place", (category) => {
    const { picture, truth } = benchmarkPhoto(category, 1);
    expect(picture.luma.length).toBe(picture.width * picture.height);
    for (const code of truth.codes) {
      expect(code.whole).toBe(true);
      expect(code.text.length).toBeGreaterThan(0);
      expect(code.pxPerModule.least).toBeGreaterThan(0.8);
      for (const { x, y } of code.corners) {
        expect(x).toBeGreaterThan(0);
        expect(x).toBeLessThan(picture.width);
        expect(y).toBeGreaterThan(0);
        expect(y).toBeLessThan(picture.height);
      }
    }
  });

  it.each(["nominal", "close", "rotations", "high_version", "monitor"] as const)(
    "%s is read by zxing-cpp, so it is a picture of the code it says",
    async (category) => {
      const { picture, truth } = benchmarkPhoto(category, 2);
      expect(await readByZxing(picture)).toContain(truth.codes[0]?.text);
    },
  );

  it("lots has as many codes as the truth says, all of them read", async () => {
    const { picture, truth } = benchmarkPhoto("lots", 2);
    expect(truth.codes.length).toBeGreaterThan(5);
    expect((await readByZxing(picture)).toSorted()).toEqual(truth.codes.map(({ text }) => text).toSorted());
  });

  it("gives the same bytes for the same seed and other bytes for another", () => {
    const [one, again, other] = [
      benchmarkPhoto("damaged", 5),
      benchmarkPhoto("damaged", 5),
      benchmarkPhoto("damaged", 6),
    ];
    expect(again.picture).toEqual(one.picture);
    expect(again.truth.codes[0]?.states).toEqual(one.truth.codes[0]?.states);
    expect(other.picture.luma).not.toEqual(one.picture.luma);
  });

  it("damages and washes out what it says it does", () => {
    const states = (category: "damaged" | "glare") =>
      [1, 2, 3].flatMap((seed) => [...(benchmarkPhoto(category, seed).truth.codes[0]?.states ?? [])]);
    expect(states("damaged")).toContain(moduleState.flipped);
    expect(states("damaged")).toContain(moduleState.covered);
    expect(states("glare")).toContain(moduleState.washed);
  });
});

describe("negatives", () => {
  it("hold nothing that zxing-cpp or ZBar reads, one of each kind", async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= negativeKinds.length; seed++) {
      const kind = negativeKinds[seed % negativeKinds.length] ?? "";
      if (seen.has(kind)) continue;
      const negative = negativePhoto(seed);
      expect(negative.kind).toBe(kind);
      seen.add(kind);
      expect([seed, await readByZxing(negative.picture), await readByZbar(negative.picture)]).toEqual([seed, [], []]);
    }
    expect(seen).toEqual(new Set(negativeKinds));
  });

  it("are the same for the same seed", () => {
    expect(negativePhoto(23)).toEqual(negativePhoto(23));
    expect(negativePhoto(23).picture.luma).not.toEqual(negativePhoto(47).picture.luma);
  });
});
