import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { create } from "qrcode";
import { describe, expect, it } from "vitest";
import { readPicture } from "../../../agent/sticker/picture-file.ts";
import { type BenchmarkCategory, benchmarkPhoto } from "../../../emulator/camera/benchmark-sets.ts";
import { negativePhoto } from "../../../emulator/camera/negatives.ts";
import { makeSymbol } from "../../../emulator/camera/symbol-maker.ts";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import { codewordsToModules, dataCapacity } from "../../../protocol/sticker/qr/codewords.ts";
import { locateSymbols, readSymbols, type SymbolReading } from "../../../protocol/sticker/read-symbols.ts";
import { drawTurned, drawUpright } from "./drawn-symbols.ts";

const payload = "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5";
const symbol = makeSymbol(payload, "Q", 2, 4);

function only(picture: GreyPicture): SymbolReading {
  const readings = readSymbols(picture);
  expect(readings.map(({ text }) => text)).toHaveLength(1);
  const [reading] = readings;
  if (reading === undefined) throw new Error("nothing was read");
  return reading;
}

function textsIn(category: BenchmarkCategory, seed: number): { wanted: readonly string[]; read: readonly string[] } {
  const { picture, truth } = benchmarkPhoto(category, seed);
  return { wanted: truth.codes.map(({ text }) => text), read: readSymbols(picture).map(({ text }) => text) };
}

/** Stored pixels to those of a picture that was changed pixel by pixel. */
function changed(picture: GreyPicture, change: (luma: number, x: number, y: number) => number): GreyPicture {
  const { width } = picture;
  return { ...picture, luma: picture.luma.map((value, at) => change(value, at % width, Math.floor(at / width))) };
}

describe("what a reading says", () => {
  it("[Q26] text, version, level, mask, true modules and corners, all as printed", () => {
    const picture = drawUpright(symbol, 6);
    const reading = only(picture);
    expect(reading).toMatchObject({
      ...{ text: payload, version: 4, modules: 33, errorCorrectionLevel: "Q", maskPattern: 2 },
      ...{ inverted: false, mirrored: false, codewordErrors: 0 },
    });
    expect(reading.symbol).toEqual(symbol.dark);
    expect(new TextDecoder().decode(reading.bytes)).toBe(payload);
    const [topLeft, topRight, bottomRight, bottomLeft] = reading.corners;
    for (const [corner, x, y] of [
      [topLeft, 24, 24],
      [topRight, 222, 24],
      [bottomRight, 222, 222],
      [bottomLeft, 24, 222],
    ] as const) {
      expect(Math.hypot(corner.x - x, corner.y - y)).toBeLessThan(0.5);
    }
    expect(reading.agreement).toBeGreaterThan(0.99);
  });

  it("[Q26] light on dark and mirrored symbols, told as such, with corners as printed", () => {
    const picture = drawUpright(symbol, 5);
    expect(only(changed(picture, (luma) => 255 - luma))).toMatchObject({ text: payload, inverted: true });
    const turnedOver = changed(picture, (_, x, y) => picture.luma[x * picture.width + y] ?? 255);
    const mirrored = only(turnedOver);
    expect(mirrored).toMatchObject({ text: payload, mirrored: true });
    expect(mirrored.symbol).toEqual(symbol.dark);
    // What was the top right corner in print is now at the bottom left of the picture.
    expect(mirrored.corners[1].x).toBeLessThan(mirrored.corners[3].x);
    expect(mirrored.corners[1].y).toBeGreaterThan(mirrored.corners[3].y);
  });

  it("[Q26] every symbol of a picture, each once", () => {
    const { wanted, read } = textsIn("lots", 2);
    expect(wanted.length).toBeGreaterThan(5);
    expect(read.toSorted()).toEqual(wanted.toSorted());
  });

  it("[Q26] a version of many alignment patterns", () => {
    const { wanted, read } = textsIn("high_version", 1);
    expect(read).toEqual(wanted);
  });
});

describe("what is believed", () => {
  it("[Q27] a symbol beyond its error correction is not read, nor is another text", () => {
    const picture = drawUpright(symbol, 5);
    const half = changed(picture, (luma, x) => (x > 0.52 * picture.width ? 255 : luma));
    expect(readSymbols(half)).toEqual([]);
  });

  it("[Q27] an empty message is no text", () => {
    const picture = drawUpright(makeSymbol("", "M", 0, 1), 6);
    expect(readSymbols(picture)).toEqual([]);
  });

  it("[Q34] nothing is read where there is no symbol", () => {
    for (const seed of [3, 8]) {
      expect([seed, readSymbols(negativePhoto(seed).picture)]).toEqual([seed, []]);
    }
  });
});

describe("what no simple reader reads", () => {
  it("[Q28] a finder is gone", () => {
    const picture = drawUpright(symbol, 5);
    for (const [left, top] of [
      [0, 0],
      [140, 0],
      [0, 140],
    ] as const) {
      const holed = changed(picture, (luma, x, y) =>
        x >= left + 15 && x < left + 50 && y >= top + 15 && y < top + 50 ? 200 : luma,
      );
      expect(readSymbols(holed).map(({ text }) => text)).toEqual([payload]);
    }
  });

  it("[Q29] paper around a bottle; the map lies within a third of a module", () => {
    const { picture, truth } = benchmarkPhoto("curved", 3);
    const [code] = truth.codes;
    if (code === undefined) throw new Error("the picture has a code");
    const reading = only(picture);
    expect(reading.text).toBe(code.text);
    const middles = Array.from({ length: code.modules }, (_, at) => [at + 0.5, code.modules - at - 0.5] as const);
    for (const [column, row] of middles) {
      const is = reading.map.toPicture(column, row);
      const should = code.map.toPicture(column, row);
      expect(Math.hypot(is.x - should.x, is.y - should.y)).toBeLessThan(0.35 * code.pxPerModule.mean);
    }
  });

  it("[Q30] holes of one colour are erasures: more than could be corrected as errors", () => {
    const weak = makeSymbol("DOORLINK", "H", 3, 2);
    const picture = drawUpright(weak, 6);
    // A hole of a hundred modules: 18 of 44 codewords, of which 14 could be corrected were they not known to be lost.
    const holed = changed(picture, (luma, x, y) => (x >= 96 && x < 162 && y >= 84 && y < 150 ? 255 : luma));
    const reading = only(holed);
    expect(reading.text).toBe("DOORLINK");
    expect(reading.symbol).toEqual(weak.dark);
  });

  it("[Q30] shadow edges, glare, dark and noisy pictures", () => {
    for (const [category, seed] of [
      ["shadows", 1],
      ["bright_spots", 1],
      ["brightness", 2],
    ] as const) {
      const { wanted, read } = textsIn(category, seed);
      expect([category, read]).toEqual([category, wanted]);
    }
  });

  it("[Q33] ten turns at 1.25 pixels a module", () => {
    for (let turn = 0; turn < 10; turn++) {
      const picture = drawTurned(symbol, 1.25, 0.05 + (turn * Math.PI) / 20, 0.25);
      expect([turn, readSymbols(picture).map(({ text }) => text)]).toEqual([turn, [payload]]);
    }
  });
});

describe("texts", () => {
  it("[Q31] bytes that are not UTF-8 are read by their charset, and given as they are", () => {
    for (const [bytes, text] of [
      [[0x83, 0x65, 0x83, 0x58, 0x83, 0x67], "テスト"],
      [[0x47, 0x72, 0xfc, 0xdf, 0x65, 0x21], "Grüße!"],
    ] as const) {
      const reading = only(drawUpright(makeBytesSymbol(Uint8Array.from(bytes)), 5));
      expect(reading.bytes).toEqual(Uint8Array.from(bytes));
      expect(reading.text).toBe(text);
    }
  });
});

describe("texts of several segments", () => {
  it("[Q31] a segment that is not UTF-8 is not left out between others (zxing-java qrcode-2/16 lost all but its kanji)", () => {
    const made = create(
      [
        { mode: "alphanumeric", data: "DOOR 1 " },
        { mode: "byte", data: Uint8Array.of(0xdc, 0x62, 0x65, 0x72) },
        { mode: "numeric", data: "42" },
      ],
      { version: 2, errorCorrectionLevel: "M" },
    );
    const dark = Uint8Array.from(made.modules.data, (module) => (module ? 1 : 0));
    expect(only(drawUpright({ modules: 25, dark }, 5)).text).toBe("DOOR 1 Über42");
  });
});

describe("bounds", () => {
  it("[Q32] ends when time is out, with what was read by then", () => {
    const { picture } = benchmarkPhoto("lots", 2);
    let asked = 0;
    const all = readSymbols(picture).length;
    const some = readSymbols(picture, { isOutOfTime: () => ++asked > 5 });
    expect(some.length).toBeLessThan(all);
    expect(readSymbols(picture, { isOutOfTime: () => true })).toEqual([]);
    expect(readSymbols(picture, { symbolsMax: 2 })).toHaveLength(2);
  });

  it("[Q28] says where a symbol is that cannot be read", () => {
    const picture = drawUpright(symbol, 5);
    const half = changed(picture, (luma, x, y) => (y > 70 && x > 60 && y < 150 ? 255 : luma));
    expect(readSymbols(half)).toEqual([]);
    const [best] = locateSymbols(half);
    expect(best).toMatchObject({ version: 4, inverted: false });
    const corner = best?.map.toPicture(0, 0);
    expect(Math.hypot((corner?.x ?? 0) - 20, (corner?.y ?? 0) - 20)).toBeLessThan(2.5);
  });
});

const photos = process.env["DOORLINK_QR_PHOTOS"] ?? "../shared/qr-dev";

/** They are not part of this project; where they are not, there is nothing to read. */
describe("real photographs, a sample", () => {
  it.each([
    ["jsqr-e2e", 10, 24],
    ["zxing-java", 8, 22],
  ])("[Q26] %s: every %i-th, at least %i", async (set, step, least) => {
    const truthFile = path.join(photos, set, "ground-truth.json");
    const truth: { files: Record<string, { text: string | null }> } = existsSync(truthFile)
      ? JSON.parse(readFileSync(truthFile, "utf8"))
      : { files: {} };
    let read = 0;
    const files = Object.keys(truth.files).filter((_, at) => at % step === 0);
    for (const file of files) {
      const picture = await readPicture(new Uint8Array(readFileSync(path.join(photos, set, file))), { upright: false });
      if (picture.ok && readSymbols(picture.value.picture).length > 0) read++;
    }
    expect(read).toBeGreaterThanOrEqual(Math.min(least, files.length));
  });
});

/** One byte segment of the given bytes, in a symbol of version 2. */
function makeBytesSymbol(bytes: Uint8Array): { readonly modules: number; readonly dark: Uint8Array } {
  const data = new Uint8Array(dataCapacity(2, "M"));
  // The mode takes half a byte, so that everything after it stands half a byte later.
  const stream = [bytes.length, ...bytes, 0];
  let before = 0x4;
  for (const [at, byte] of stream.entries()) {
    data[at] = (before << 4) | (byte >> 4);
    before = byte & 15;
  }
  for (let at = stream.length; at < data.length; at++) data[at] = (at - stream.length) % 2 === 0 ? 0xec : 0x11;
  return { modules: 25, dark: codewordsToModules(data, 2, "M", 1) };
}
