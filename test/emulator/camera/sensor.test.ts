import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { loseAsJpeg } from "../../../emulator/camera/jpeg-loss.ts";
import { blurLight, developLight, idealSensor, levelOfLight } from "../../../emulator/camera/sensor.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

const size = { width: 96, height: 72 };

function spotOfLight(): Float32Array {
  const light = new Float32Array(size.width * size.height);
  light[36 * size.width + 48] = 1;
  return light;
}

describe("blur", () => {
  const kinds = [
    ["defocus", { defocusPx: 6.5 }],
    ["shake", { motionPx: 9, motionTurn: 0.7 }],
    ["optics", { blurPx: 2 }],
    ["all three", { defocusPx: 3, motionPx: 4, blurPx: 1 }],
  ] as const;

  it.each(kinds)("%s neither makes nor loses light", (_, sensor) => {
    const { light } = blurLight({ ...size, light: spotOfLight() }, { ...idealSensor, ...sensor });
    expect(light.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1, 4);
    expect(Math.max(...light)).toBeLessThan(0.2);
  });

  it.each(kinds)("%s leaves an even wall even, up to its edges", (_, sensor) => {
    const even = new Float32Array(size.width * size.height).fill(0.5);
    const { light } = blurLight({ ...size, light: even }, { ...idealSensor, ...sensor });
    expect(Math.max(...light) - Math.min(...light)).toBeLessThan(1e-4);
  });

  it("of a point out of focus is a disc of the radius it says", () => {
    const { light } = blurLight({ ...size, light: spotOfLight() }, { ...idealSensor, defocusPx: 6 });
    const at = (dx: number, dy: number) => light[(36 + dy) * size.width + 48 + dx] ?? 0;
    expect(at(0, 0)).toBeCloseTo(1 / (Math.PI * 36), 3);
    expect([at(5, 0) > 0, at(7, 0), at(0, 7), at(5, 5)]).toEqual([true, 0, 0, 0]);
  });
});

describe("development", () => {
  const grey = new Float32Array(size.width * size.height).fill(0.2);

  it("has as much noise at mid grey as it says, and none when it says none", () => {
    const quiet = developLight({ ...size, light: grey }, idealSensor, seededRandom(1, "test"));
    expect(new Set(quiet)).toEqual(new Set([51]));
    const sensor = { ...idealSensor, noise: 5, gamma: 2.2 };
    const noisy = developLight({ ...size, light: grey }, sensor, seededRandom(1, "test"));
    const mean = noisy.reduce((sum, level) => sum + level, 0) / noisy.length;
    const spread = Math.sqrt(noisy.reduce((sum, level) => sum + (level - mean) ** 2, 0) / noisy.length);
    expect(mean).toBeCloseTo(levelOfLight(0.2, 2.2), -0.5);
    expect(spread).toBeGreaterThan(4.3);
    expect(spread).toBeLessThan(5.7);
  });

  it("burns out what is too bright and darkens the corners", () => {
    const bright = new Float32Array(size.width * size.height).fill(1.4);
    const levels = developLight({ ...size, light: bright }, { ...idealSensor, vignette: 0.5 }, seededRandom(1, "test"));
    expect(levels[36 * size.width + 48]).toBe(255);
    expect(levels[0]).toBeLessThan(190);
  });
});

describe("JPEG losses", () => {
  it.each([95, 85, 60, 30])("at quality %d are those of a JPEG file of that quality", async (quality) => {
    const random = seededRandom(3, "test/jpeg");
    const luma = Uint8Array.from({ length: size.width * size.height }, (_, at) => {
      const [x, y] = [at % size.width, Math.floor(at / size.width)];
      return 128 + 70 * Math.sign(Math.sin(x / 3.1) * Math.cos(y / 4.7)) + 8 * random.gaussian();
    });
    const file = await sharp(luma, { raw: { ...size, channels: 1 } })
      .toColourspace("b-w")
      .jpeg({ quality })
      .toBuffer();
    const decoded = await sharp(file).extractChannel(0).raw().toBuffer();
    const ours = loseAsJpeg({ ...size, luma }, quality).luma;
    const difference = (other: Uint8Array) =>
      Math.sqrt(ours.reduce((sum, level, at) => sum + (level - (other[at] ?? 0)) ** 2, 0) / ours.length);
    // Ties of rounding fall either way, so the two differ by a small part of what either has lost.
    expect(difference(decoded)).toBeLessThan(difference(luma) / 3);
    expect(difference(luma)).toBeGreaterThan(1.2);
  });

  it("keep a picture whose sides are no multiples of eight", () => {
    const odd = loseAsJpeg({ width: 13, height: 9, luma: new Uint8Array(117).fill(77) }, 90);
    expect([odd.width, odd.height, new Set(odd.luma)]).toEqual([13, 9, new Set([77])]);
  });
});
