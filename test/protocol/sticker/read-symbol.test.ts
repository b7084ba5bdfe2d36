import { create } from "qrcode";
import { describe, expect, it } from "vitest";
import { assert } from "../../../protocol/base/result.ts";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import { readSymbol } from "../../../protocol/sticker/read-symbol.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import {
  isDark,
  payloadToSymbol,
  type SymbolMatrix,
  symbolRuns,
  symbolToSvg,
} from "../../../protocol/sticker/symbol.ts";

const text = "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5";

function symbolOf(payload = text, change: Partial<typeof defaultStickerSpecification> = {}): SymbolMatrix {
  const made = payloadToSymbol(payload, { ...defaultStickerSpecification, ...change });
  assert(made.ok, "the test's payload fits");
  return made.value;
}

/** Draws by area: each pixel has the share of dark that lies in it, as a perfect printer-and-scanner would give it. */
function drawPicture(
  symbol: SymbolMatrix,
  place: { readonly left: number; readonly top: number; readonly moduleX: number; readonly moduleY: number },
  margin = 4,
  turn: (x: number, y: number) => readonly [number, number] = (x, y) => [x, y],
): GreyPicture {
  const width = Math.ceil((symbol.modules + 2 * margin) * place.moduleX);
  const height = Math.ceil((symbol.modules + 2 * margin) * place.moduleY);
  const luma = new Uint8Array(width * height);
  const steps = 5;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let dark = 0;
      for (let step = 0; step < steps * steps; step++) {
        const [atX, atY] = turn(x + ((step % steps) + 0.5) / steps, y + (Math.floor(step / steps) + 0.5) / steps);
        const column = Math.floor((atX - place.left) / place.moduleX - margin);
        const row = Math.floor((atY - place.top) / place.moduleY - margin);
        const inside = column >= 0 && row >= 0 && column < symbol.modules && row < symbol.modules;
        if (inside && isDark(symbol, column, row)) dark++;
      }
      luma[y * width + x] = 255 - (215 * dark) / (steps * steps);
    }
  }
  return { width, height, luma };
}

/** A symbol alone on a large white page, without anti-aliasing. */
function pageOf(
  symbol: SymbolMatrix,
  place: { readonly left: number; readonly top: number; readonly moduleX: number; readonly moduleY: number },
  width: number,
  height: number,
): GreyPicture {
  const luma = new Uint8Array(width * height).fill(255);
  for (const run of symbolRuns(symbol)) {
    const from = Math.round(place.left + run.column * place.moduleX);
    const to = Math.round(place.left + (run.column + run.width) * place.moduleX);
    const bottom = Math.round(place.top + (run.row + 1) * place.moduleY);
    for (let y = Math.round(place.top + run.row * place.moduleY); y < bottom; y++) {
      luma.fill(0, y * width + from, y * width + to);
    }
  }
  return { width, height, luma };
}

function read(picture: GreyPicture) {
  const result = readSymbol(picture, 4);
  assert(result.ok, "the test's picture reads");
  return result.value;
}

describe("encoding", () => {
  it("[Q5] is one alphanumeric segment at the specified version and level, refused when it does not fit", () => {
    expect(symbolOf()).toMatchObject({ modules: 33, version: 4, errorCorrectionLevel: "Q" });
    expect(payloadToSymbol("https://a", defaultStickerSpecification)).toMatchObject({
      fault: { code: "payload-not-alphanumeric", at: 0 },
    });
    expect(payloadToSymbol("A".repeat(68), defaultStickerSpecification)).toMatchObject({
      fault: { code: "payload-too-long", length: 68, symbolVersion: 4 },
    });
  });

  it("[Q5] knows for each version and level how many characters fit", () => {
    for (let symbolVersion = 1; symbolVersion <= 10; symbolVersion++) {
      for (const errorCorrectionLevel of ["L", "M", "Q", "H"] as const) {
        // More characters never fit where fewer do not.
        let [length, tooLong] = [1, 4_297];
        while (tooLong - length > 1) {
          const middle = (length + tooLong) >> 1;
          if (payloadToSymbol("A".repeat(middle), { symbolVersion, errorCorrectionLevel }).ok) length = middle;
          else tooLong = middle;
        }
        const encode = (characters: number) =>
          create([{ data: "A".repeat(characters), mode: "alphanumeric" }], {
            version: symbolVersion,
            errorCorrectionLevel,
            maskPattern: 0,
          });
        expect(() => encode(length)).not.toThrow();
        expect(() => encode(length + 1)).toThrow();
      }
    }
  });

  it("[Q13] merges dark modules into runs that cover exactly the dark modules, and writes SVG in mm", () => {
    const symbol = symbolOf();
    const covered = new Uint8Array(symbol.dark.length);
    for (const run of symbolRuns(symbol)) {
      for (let column = run.column; column < run.column + run.width; column++) {
        covered[run.row * symbol.modules + column] = (covered[run.row * symbol.modules + column] ?? 0) + 1;
      }
    }
    expect(covered).toEqual(symbol.dark);
    const svg = symbolToSvg(symbol, { ...defaultStickerSpecification, moduleMm: 1.016 });
    expect(svg).toContain('width="41.656mm" height="41.656mm" viewBox="0 0 41 41"');
  });
});

describe("reading", () => {
  it.each([
    [24, 24, 0, 0],
    [7.31, 7.31, 0.4, 0.7],
    [22.56, 22.56, 0.1, 0.9],
    [10, 9.4, 0.5, 0.25],
    [3.7, 3.7, 0.3, 0.3],
  ])(
    "[Q21] measures modules of %f x %f px at offset %f, %f to a pixel over the whole symbol",
    (moduleX, moduleY, left, top) => {
      const symbol = symbolOf();
      const found = read(drawPicture(symbol, { left, top, moduleX, moduleY }));
      expect(found.text).toBe(text);
      assert(found.extent.kind === "flat", "an upright symbol is flat");
      expect(Math.abs(found.extent.width - 33 * moduleX)).toBeLessThan(0.25);
      expect(Math.abs(found.extent.height - 33 * moduleY)).toBeLessThan(0.25);
    },
  );

  it("[Q21] corrects a slight turn, and keeps width along the picture's width when the page lies on its side", () => {
    const symbol = symbolOf();
    const place = { left: 0, top: 0, moduleX: 8, moduleY: 7.6 };
    const turned = (degrees: number) => {
      const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
      return drawPicture(symbol, place, 6, (x, y) => {
        const [dx, dy] = [x - 22.5 * 8, y - 22.5 * 7.6];
        return [22.5 * 8 + dx * cos - dy * sin, 22.5 * 7.6 + dx * sin + dy * cos];
      });
    };
    const slight = read(turned(2));
    assert(slight.extent.kind === "flat", "two degrees are a crooked scan, not a photo");
    expect(Math.abs(slight.extent.width - 264)).toBeLessThan(0.5);
    expect(Math.abs(slight.extent.height - 250.8)).toBeLessThan(0.5);
    const side = read(turned(90));
    assert(side.extent.kind === "flat", "a page on its side is flat");
    expect(Math.abs(side.extent.width - 250.8)).toBeLessThan(0.5);
    expect(read(turned(10)).extent.kind).toBe("tilted");
  });

  it("[Q21] says tilted for perspective", () => {
    const symbol = symbolOf();
    const tilted = drawPicture(symbol, { left: 0, top: 0, moduleX: 10, moduleY: 10 }, 6, (x, y) => {
      const depth = 1 + (x - 225) / 3000;
      return [225 + (x - 225) * depth, 225 + (y - 225) * depth];
    });
    const found = read(tilted);
    expect(found.text).toBe(text);
    expect(found.extent.kind).toBe("tilted");
  });

  it.each(["L", "M", "Q", "H"] as const)(
    "[Q22] finds level %s and the mask from the codewords",
    (errorCorrectionLevel) => {
      const symbol = symbolOf(text, { errorCorrectionLevel, symbolVersion: 5 });
      const found = read(drawPicture(symbol, { left: 0, top: 0, moduleX: 5, moduleY: 5 }));
      expect(found.quality).toMatchObject({
        symbolVersion: 5,
        errorCorrectionLevel,
        maskPattern: symbol.maskPattern,
        moduleErrors: 0,
      });
    },
  );

  it("[Q22] counts modules that differ from the corrected symbol, of our codes and of others", () => {
    const symbol = symbolOf();
    const dark = symbol.dark.slice();
    for (const at of [20 * 33 + 20, 21 * 33 + 15, 12 * 33 + 30]) dark[at] = 1 - (dark[at] ?? 0);
    const found = read(drawPicture({ ...symbol, dark }, { left: 0, top: 0, moduleX: 6, moduleY: 6 }));
    expect(found).toMatchObject({ text, quality: { moduleErrors: 3 } });
    const foreign = create("https://doors.example/L/hello", { errorCorrectionLevel: "M" });
    const modules = foreign.modules.size;
    const matrix = { ...symbol, modules, dark: Uint8Array.from(foreign.modules.data, Number) };
    const other = read(drawPicture(matrix, { left: 0, top: 0, moduleX: 6, moduleY: 6 }));
    expect(other).toMatchObject({
      text: "https://doors.example/L/hello",
      quality: { moduleErrors: 0, errorCorrectionLevel: "M" },
    });
    assert(other.extent.kind === "flat", "a foreign symbol is measured too");
    expect(Math.abs(other.extent.width - 6 * modules)).toBeLessThan(0.25);
  });

  it.each([
    [5, 4],
    [4, 4],
    [2.5, 2.5],
    [1, 1],
  ])("[Q23] with %f modules of margin sees a quiet zone of %f", (margin, expected) => {
    const found = read(drawPicture(symbolOf(), { left: 0, top: 0, moduleX: 8, moduleY: 8 }, margin));
    expect(Math.abs((found.quality.quietZoneModules ?? 0) - expected)).toBeLessThanOrEqual(0.25);
  });

  it("[Q21] [Q23] keeps the frame straight on a page that jsQR sees at a fifth of its pixels", () => {
    for (const [left, top] of [
      [0, 0],
      [3.3, 1.7],
      [11.9, 7.1],
    ] as const) {
      const page = { left: left + 900, top: top + 1500, moduleX: 22.2, moduleY: 22.2 };
      const symbol = symbolOf();
      const picture = pageOf(symbol, page, 3300, 4700);
      const found = read(picture);
      assert(found.extent.kind === "flat", "an upright symbol is flat");
      expect(Math.abs(found.extent.width - 33 * 22.2)).toBeLessThan(1);
      expect(found.quality).toMatchObject({ quietZoneModules: 4, moduleErrors: 0 });
    }
  });

  it("[Q23] sees a line that cuts into the quiet zone of one side", () => {
    const picture = drawPicture(symbolOf(), { left: 0, top: 0, moduleX: 8, moduleY: 8 }, 6);
    for (let y = 0; y < picture.height; y++) picture.luma.fill(0, y * picture.width + 24, y * picture.width + 28);
    // The line ends 28 px from the border, the symbol begins at 48: 20 px are 2.5 modules.
    expect(read(picture).quality.quietZoneModules).toBeCloseTo(2.5, 0.3);
  });

  it("[Q20] nothing, noise and pictures of one colour are no symbol; contrast is measured where there is one", () => {
    const flat = { width: 200, height: 200, luma: new Uint8Array(40_000).fill(128) };
    expect(readSymbol(flat, 4)).toEqual({ ok: false, fault: { code: "no-symbol" } });
    let state = 1;
    const noise = Uint8Array.from({ length: 40_000 }, () => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return state >> 23;
    });
    expect(readSymbol({ width: 200, height: 200, luma: noise }, 4).ok).toBe(false);
    const found = read(drawPicture(symbolOf(), { left: 0, top: 0, moduleX: 8, moduleY: 8 }));
    expect(found.quality.contrastPercent).toBeCloseTo((100 * 215) / 255, 0);
  });

  it("[Q20] a symbol without any text is no symbol", () => {
    const empty = create([{ data: new Uint8Array(), mode: "byte" }], { version: 2 });
    const modules = empty.modules.size;
    const matrix = { ...symbolOf(), modules, dark: Uint8Array.from(empty.modules.data, Number) };
    const picture = drawPicture(matrix, { left: 0, top: 0, moduleX: 6, moduleY: 6 });
    expect(readSymbol(picture, 4)).toEqual({ ok: false, fault: { code: "no-symbol" } });
  });
});
