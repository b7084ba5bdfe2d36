/**
 * Print files of many makers with one known defect each, or none: everything wrong is found and nothing right is called
 * wrong. A sample by seed; `scripts/bench sticker` runs thousands.
 */
import { describe, expect, it } from "vitest";
import { checkStickerFile } from "../../../agent/sticker/check-sticker.ts";
import {
  defectsOf,
  makePrintFile,
  mistakesOf,
  type PrintMaker,
  printMakers,
} from "../../../emulator/camera/print-files.ts";
import { lobby, panels, payload } from "./sticker-files.ts";

const payloads = {
  current: lobby.current,
  retired: payload(1, 2),
  otherPanel: payload(2, 1),
  foreign: payload(1, 3, "https://evil.example"),
};

async function mistakes(seed: number, maker: PrintMaker, defect: Parameters<typeof makePrintFile>[2]) {
  const sample = await makePrintFile(seed, maker, defect, payloads);
  const checked = await checkStickerFile(sample.bytes, sample.specification, { panels, expectedPanel: "lobby" });
  if (!checked.ok) return [`${sample.name}: ${checked.fault.code}`];
  return mistakesOf(sample, checked.value).map((mistake) => `${sample.name}: ${mistake}`);
}

/** As the bench deals them out. */
function pairOfSeed(seed: number) {
  const pairs = printMakers.flatMap((maker) => defectsOf(maker).map((defect) => [maker, defect] as const));
  const pair = pairs[seed % pairs.length];
  if (pair === undefined) throw new Error("there are pairs");
  return pair;
}

describe("made print files", () => {
  it.each(printMakers.map((maker, at) => [maker, at] as const))(
    "[Q48] [Q51] [Q55] %s: every eighth of its defects is found, its good file passes",
    async (maker, at) => {
      const defects = defectsOf(maker).filter((defect, index) => defect === "none" || (index + at) % 8 === 0);
      const all = await Promise.all(defects.map((defect, index) => mistakes(1_000 * at + index, maker, defect)));
      expect(all.flat()).toEqual([]);
    },
  );

  it("[Q51] seed 997, an uneven raster whose last corner lies far off: called uneven, not tilted", async () => {
    const [maker, defect] = pairOfSeed(997);
    expect(await mistakes(997, maker, defect)).toEqual([]);
  });

  it("the same seed makes the same file, and each defect is one that some maker can have", async () => {
    const [one, other] = await Promise.all([
      makePrintFile(7, "pdf-path", "scaled", payloads),
      makePrintFile(7, "pdf-path", "scaled", payloads),
    ]);
    expect(other.bytes).toEqual(one.bytes);
    expect(new Set(printMakers.flatMap(defectsOf)).size).toBe(22);
  });
});
