import { PDFDocument, PrintScaling } from "pdf-lib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { setLine } from "../../../agent/sticker/lettering.ts";
import { readPicture } from "../../../agent/sticker/picture-file.ts";
import { makeFace } from "../../../agent/sticker/print-sticker.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { isDark, payloadToSymbol } from "../../../protocol/sticker/symbol.ts";
import { contentOf } from "./pdf-content.ts";
import { lobby, print } from "./sticker-files.ts";

describe("PDF", () => {
  it("[Q13] has the symbol in exact millimetres: one matrix, modules of 1 mm, 33 mm from first to last", async () => {
    const content = contentOf((await print()).pdf);
    const matrix = /^([\d.]+) 0 0 -([\d.]+) 0 ([\d.]+) cm$/m.exec(content);
    expect(Number(matrix?.[1])).toBeCloseTo(72 / 25.4, 12);
    expect(Number(matrix?.[2])).toBeCloseTo(72 / 25.4, 12);
    expect(Number(matrix?.[3])).toBeCloseTo((297 * 72) / 25.4, 9);
    const rectangles = [...content.matchAll(/^([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re$/gm)].map((match) =>
      match.slice(1).map(Number),
    );
    expect(rectangles.length).toBeGreaterThan(200);
    expect(new Set(rectangles.map(([, , , height]) => height))).toEqual(new Set([1]));
    const left = Math.min(...rectangles.map(([x = 0]) => x));
    const right = Math.max(...rectangles.map(([x = 0, , width = 0]) => x + width));
    const top = Math.min(...rectangles.map(([, y = 0]) => y));
    const bottom = Math.max(...rectangles.map(([, y = 0, , height = 0]) => y + height));
    expect([right - left, bottom - top]).toEqual([33, 33]);
  });

  it("[Q13] has a control rule of 100 mm, a page of A4, no print scaling, and no date unless one is given", async () => {
    const { pdf } = await print();
    const rule = /^55 (\S+) m\n155 (\S+) l$/m.exec(contentOf(pdf));
    expect(rule?.[1]).toBe(rule?.[2]);
    const document = await PDFDocument.load(pdf, { updateMetadata: false });
    const { width, height } = document.getPage(0).getSize();
    expect([width, height].map((points) => Math.round((points * 25.4) / 0.72) / 100)).toEqual([210, 297]);
    expect(document.catalog.getViewerPreferences()?.getPrintScaling()).toBe(PrintScaling.None);
    expect(document.getTitle()).toBe("Sticker for Lobby, number 3");
    expect(Buffer.from(pdf).toString("latin1")).not.toMatch(/Date/);
    const dated = await print({ madeAt: new Date(Date.UTC(2026, 0, 2)) });
    expect(Buffer.from(dated.pdf).toString("latin1")).toContain("D:20260102000000Z");
  });

  it("prints a door name that the standard fonts do not have", async () => {
    const { pdf, missingCharacters } = await print({ doorName: "Вход 2 (Łódź)" });
    expect(pdf.length).toBeGreaterThan(1000);
    expect(missingCharacters).toBe("ВХОД");
  });
});

describe("PNG", () => {
  it.each([1, 1.016, 0.5])(
    "[Q13] has 24 whole pixels a module of %f mm and the density that makes it so",
    async (moduleMm) => {
      const specification = { ...defaultStickerSpecification, moduleMm };
      const { png, pixelsPerMetre, face } = await print({ specification });
      const raw = Buffer.from(png);
      const at = raw.indexOf("pHYs");
      expect([raw.readUInt32BE(at + 4), raw.readUInt32BE(at + 8), raw[at + 12]]).toEqual([
        pixelsPerMetre,
        pixelsPerMetre,
        1,
      ]);
      // 792 px of symbol at the stated density, to a hundredth of a percent.
      expect((792 / pixelsPerMetre) * 1000).toBeCloseTo(33 * moduleMm, 2);
      const read = await readPicture(png);
      assert(read.ok, "our own PNG reads");
      const { picture } = read.value;
      expect((picture.width / pixelsPerMetre) * 1000).toBeCloseTo(face.widthMm, 1);
      const symbol = payloadToSymbol(lobby.current, specification);
      assert(symbol.ok, "the test's payload fits");
      const dark = (x: number, y: number) => (picture.luma[y * picture.width + x] ?? 128) < 128;
      const left = picture.luma.indexOf(0) % picture.width;
      const top = Math.floor(picture.luma.indexOf(0) / picture.width);
      // Every pixel of every module, so that none is a pixel wider than its neighbour.
      let wrong = 0;
      for (let y = 0; y < 792; y++) {
        for (let x = 0; x < 792; x++) {
          if (dark(left + x, top + y) !== isDark(symbol.value, Math.floor(x / 24), Math.floor(y / 24))) wrong++;
        }
      }
      expect(wrong).toBe(0);
    },
  );

  it("is 8-bit grey, so that it prints in black ink alone", async () => {
    const { channels, depth } = await sharp((await print()).png).metadata();
    expect([channels, depth]).toEqual([1, "uchar"]);
  });
});

describe("print", () => {
  it("[Q13] gives the same bytes for the same order, and others for another payload", async () => {
    const [one, two] = [await print(), await print()];
    expect(one.pdf).toEqual(two.pdf);
    expect(one.png).toEqual(two.png);
    const other = await print({ payload: lobby.retired[0] ?? "" });
    expect(other.png).not.toEqual(one.png);
    expect(other.pdf).not.toEqual(one.pdf);
  });

  it("[Q13] prints nothing that is no sticker, and nothing that does not fit", () => {
    const order = { doorName: "Lobby", epoch: 1, specification: defaultStickerSpecification };
    expect(makeFace({ ...order, payload: "HTTPS://EXAMPLE.COM/" }, "sheet")).toMatchObject({
      fault: { code: "payload-not-a-sticker" },
    });
    const long = `HTTPS://${"A".repeat(33)}/L/04002003DEQMRYA5CSV2EGC5`;
    expect(makeFace({ ...order, payload: long }, "label")).toMatchObject({
      fault: { code: "payload-too-long", length: 68, symbolVersion: 4 },
    });
  });

  it("letters: accents go, look-alikes stay apart, what has no strokes is named once", () => {
    expect(setLine("Café  Ærø").glyphs).toEqual(setLine("CAFE AERO").glyphs);
    expect(setLine("日本 日")).toMatchObject({ glyphs: [], width: 0, missing: "日本" });
    const paths = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"].map((each) => setLine(each).glyphs[0]?.path);
    expect(new Set(paths).size).toBe(36);
  });
});
