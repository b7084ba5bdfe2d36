import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../emulator/world/random.ts";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/seeded-random.json", import.meta.url), "utf8")) as {
  readonly streams: readonly { readonly seed: number; readonly label: string; readonly words: readonly number[] }[];
};

describe("seeded random", () => {
  it.each(vectors.streams)("gives the frozen numbers for seed $seed, label '$label'", ({ seed, label, words }) => {
    const random = seededRandom(seed, label);
    expect(words.map(() => random.next() * 2 ** 32)).toEqual(words);
    const again = seededRandom(seed, label);
    expect([...again.bytes(4)]).toEqual(words.map((word) => word & 0xff));
  });

  it("keeps its ranges and spreads over them", () => {
    const random = seededRandom(3, "spread");
    const counts = new Array(6).fill(0);
    for (let draw = 0; draw < 6_000; draw++) counts[random.integer(6)]++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    expect(random.integer(1)).toBe(0);
    const values = Array.from({ length: 10_000 }, () => random.gaussian());
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(variance - 1)).toBeLessThan(0.06);
  });

  it("another label or another seed is another stream; a fraction is no seed", () => {
    const first = (seed: number, label: string) => seededRandom(seed, label).next();
    expect(new Set([first(1, "a"), first(1, "b"), first(2, "a"), first(-1, "a")]).size).toBe(4);
    expect(() => seededRandom(0.5, "a")).toThrow();
    expect(() => seededRandom(1, "a").integer(0)).toThrow();
  });
});
