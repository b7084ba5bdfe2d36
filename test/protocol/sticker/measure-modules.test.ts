import { describe, expect, it } from "vitest";
import { assert } from "../../../protocol/base/result.ts";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import {
  countMixedModules,
  measureLines,
  measureQuietZone,
  type SymbolFrame,
} from "../../../protocol/sticker/measure-modules.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { isDark, payloadToSymbol } from "../../../protocol/sticker/symbol.ts";

const made = payloadToSymbol("HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5", defaultStickerSpecification);
assert(made.ok, "the test's payload fits");
const symbol = made.value;
const margin = 5;

/** Draws by area: `lines` are where the lines of modules lie, in px from the symbol's corner; dark grows by `ink` each way. */
function draw(lines: (line: number) => number, ink = 0, modulePx = 10): GreyPicture {
  const side = Math.ceil(lines(symbol.modules) + 2 * margin * modulePx);
  const luma = new Uint8Array(side * side).fill(255);
  const darkness = new Float64Array(side * side);
  for (let row = 0; row < symbol.modules; row++) {
    for (let column = 0; column < symbol.modules; column++) {
      if (!isDark(symbol, column, row)) continue;
      // Ink spreads into light neighbours only.
      const free = (x: number, y: number) => (isDark(symbol, column + x, row + y) ? 0 : ink);
      const inside = column > 0 && column < symbol.modules - 1;
      const left = lines(column) - (inside || column > 0 ? free(-1, 0) : ink);
      const right = lines(column + 1) + (column < symbol.modules - 1 ? free(1, 0) : ink);
      const top = lines(row) - (row > 0 ? free(0, -1) : ink);
      const bottom = lines(row + 1) + (row < symbol.modules - 1 ? free(0, 1) : ink);
      addBox(
        darkness,
        side,
        [left, top, right, bottom].map((each) => each + margin * modulePx),
      );
    }
  }
  for (let at = 0; at < luma.length; at++) luma[at] = Math.round(255 * (1 - Math.min(1, darkness[at] ?? 0)));
  return { width: side, height: side, luma };
}

function addBox(darkness: Float64Array, side: number, [left = 0, top = 0, right = 0, bottom = 0]: readonly number[]) {
  for (let y = Math.floor(top); y < Math.ceil(bottom); y++) {
    for (let x = Math.floor(left); x < Math.ceil(right); x++) {
      const across = Math.min(right, x + 1) - Math.max(left, x);
      const down = Math.min(bottom, y + 1) - Math.max(top, y);
      darkness[y * side + x] = (darkness[y * side + x] ?? 0) + across * down;
    }
  }
}

function frameAt(modulePx: number, change: Partial<SymbolFrame> = {}): SymbolFrame {
  const side = symbol.modules * modulePx;
  const corner = { x: margin * 10, y: margin * 10 };
  const axes = { across: { x: 1, y: 0 }, down: { x: 0, y: 1 } };
  return { modules: symbol.modules, corner, ...axes, width: side, height: side, threshold: 128, ...change };
}

describe("lines of modules", () => {
  it.each([10, 9.37, 10.21])(
    "[Q48] pitch of %f px is found to a thousandth, and no module is called wider",
    (pitch) => {
      const lines = measureLines(
        draw((line) => line * pitch),
        frameAt(pitch),
        symbol.dark,
        "across",
      );
      assert(lines !== undefined, "a clean symbol has lines");
      expect(Math.abs(lines.pitch - pitch)).toBeLessThan(0.001);
      expect(lines.widest - lines.narrowest).toBeLessThan(0.06);
    },
  );

  it.each([-1.2, 0.6, 1.8])("[Q48] ink that spreads by %f px changes neither pitch nor start", (ink) => {
    const lines = measureLines(
      draw((line) => line * 10, ink),
      frameAt(10),
      symbol.dark,
      "down",
    );
    assert(lines !== undefined, "a clean symbol has lines");
    expect(Math.abs(lines.pitch - 10)).toBeLessThan(0.01);
    expect(Math.abs(lines.start)).toBeLessThan(0.1);
    expect(lines.widest - lines.narrowest).toBeLessThan(0.2);
  });

  it("[Q48] finds the lines from a frame that is off by a third of a module", () => {
    const off = frameAt(10, { corner: { x: 53, y: 47 }, width: 327, height: 333 });
    const lines = measureLines(
      draw((line) => line * 10),
      off,
      symbol.dark,
      "across",
    );
    assert(lines !== undefined, "a clean symbol has lines");
    expect(Math.abs(lines.pitch - 10)).toBeLessThan(0.05);
    expect(Math.abs(lines.start + 3)).toBeLessThan(0.5);
  });

  it("[Q49] modules of 7 and 8 px are told from modules of 7.3", () => {
    const rounded = measureLines(
      draw((line) => Math.round(line * 7.317)),
      frameAt(7.317),
      symbol.dark,
      "across",
    );
    const even = measureLines(
      draw((line) => line * 7.317),
      frameAt(7.317),
      symbol.dark,
      "across",
    );
    assert(rounded !== undefined && even !== undefined, "clean symbols have lines");
    expect(rounded.narrowest).toBeCloseTo(7, 1);
    expect(rounded.widest).toBeCloseTo(8, 1);
    expect(even.widest - even.narrowest).toBeLessThan(0.3);
  });

  it("[Q48] a picture of one colour has none", () => {
    const blank = { width: 430, height: 430, luma: new Uint8Array(430 * 430).fill(200) };
    expect(measureLines(blank, frameAt(10), symbol.dark, "across")).toBeUndefined();
  });
});

describe("around and inside", () => {
  const clean = draw((line) => line * 10);

  it.each([
    ["left", 30, 200],
    ["right", 400, 200],
    ["top", 200, 30],
    ["bottom", 200, 400],
  ] as const)("[Q23] a mark in the quiet zone is seen on the %s, and only there", (side, x, y) => {
    const picture = { ...clean, luma: clean.luma.slice() };
    for (let row = y; row < y + 3; row++) picture.luma.fill(0, row * picture.width + x, row * picture.width + x + 3);
    const quiet = measureQuietZone(picture, frameAt(10), 4);
    const { [side]: narrow, ...others } = quiet;
    expect(narrow).toBeGreaterThan(1.5);
    expect(narrow).toBeLessThan(2.1);
    expect(Object.values(others)).toEqual([4, 4, 4]);
  });

  it("[Q23] a speck of a hundredth of a module is dust", () => {
    const picture = { ...clean, luma: clean.luma.slice() };
    picture.luma[200 * picture.width + 30] = 0;
    expect(measureQuietZone(picture, frameAt(10), 4).left).toBe(4);
  });

  it("[Q22] counts modules with a spot on them, and not where modules are too small to tell", () => {
    const picture = { ...clean, luma: clean.luma.slice() };
    for (const [column, row] of [
      [12, 20],
      [25, 17],
    ] as const) {
      const light = isDark(symbol, column, row) ? 255 : 0;
      const [x, y] = [50 + column * 10 + 3, 50 + row * 10 + 3];
      for (let at = y; at < y + 5; at++) picture.luma.fill(light, at * picture.width + x, at * picture.width + x + 5);
    }
    expect(countMixedModules(clean, frameAt(10), symbol.dark)).toBe(0);
    expect(countMixedModules(picture, frameAt(10), symbol.dark)).toBe(2);
    expect(countMixedModules(clean, frameAt(5), symbol.dark)).toBeUndefined();
  });
});
