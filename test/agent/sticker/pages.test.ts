/** Sheets of many stickers, the calibration card, and the face as SVG: their geometry by the numbers in the files, their codes by other decoders. */
import { PDFDocument, PrintScaling } from "pdf-lib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { drawCardPdf } from "../../../agent/sticker/card-pdf.ts";
import { makeFiles } from "../../../agent/sticker/make-files.ts";
import type { FilesOrder } from "../../../agent/sticker/make-order.ts";
import { paperSizes } from "../../../agent/sticker/pdf-page.ts";
import { sheetGrid } from "../../../agent/sticker/sheet-pdf.ts";
import { assert } from "../../../protocol/base/result.ts";
import {
  calibrationCardBorderMm,
  calibrationCardHeightMm,
  calibrationCardMarks,
  calibrationCardWidthMm,
} from "../../../protocol/sticker/size/calibration-card.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { isDark, payloadToSymbol } from "../../../protocol/sticker/symbol.ts";
import { readByZbar, readByZxing } from "./outside-readers.ts";
import { contentOf, rectanglesIn, strokesIn } from "./pdf-content.ts";
import { lobby, payload, print } from "./sticker-files.ts";

const order: FilesOrder = {
  formats: ["pdf"],
  specification: defaultStickerSpecification,
  dots: undefined,
  paper: "a4",
  roll: 62,
  sheet: true,
};

/** A corridor of panels, each with its own payload. */
const panels = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ...lobby,
    panel: `panel-${index}`,
    doorName: `Door ${index}`,
    panelNumber: index + 1,
    current: payload(index + 1, 3),
  }));

async function sheetOf(count: number, change: Partial<FilesOrder> = {}) {
  const made = await makeFiles(panels(count), { ...order, ...change });
  assert(made.ok, "the test's sheet can be made");
  return made.value;
}

describe("a sheet", () => {
  it.each(["a4", "letter"] as const)(
    "[Q61] on %s: every face whole on its page, 9 a page, none over another",
    async (paper) => {
      const { files, sheet } = await sheetOf(11, { paper });
      expect(sheet).toEqual({ pdf: "stickers.pdf", pages: 2 });
      expect(files.map(({ name }) => name)).toEqual(["stickers.pdf"]);
      const bytes = files[0]?.bytes;
      assert(bytes instanceof Uint8Array, "a PDF is bytes");
      const document = await PDFDocument.load(bytes, { updateMetadata: false });
      expect(document.getPageCount()).toBe(2);
      expect(document.catalog.getViewerPreferences()?.getPrintScaling()).toBe(PrintScaling.None);
      const content = contentOf(bytes);
      const { widthMm, heightMm } = paperSizes[paper];
      // Faces are found by their crop marks: the two strokes at their top left corners.
      const marks = strokesIn(content).filter(
        ({ x0, y0, x1, y1 }) => Math.abs(Math.abs(x1 - x0) + Math.abs(y1 - y0) - 3) < 1e-6,
      );
      expect(marks).toHaveLength(11 * 8);
      for (const { x0, y0, x1, y1 } of marks) {
        expect(Math.min(x0, x1)).toBeGreaterThan(4);
        expect(Math.max(x0, x1)).toBeLessThan(widthMm - 4);
        expect(Math.min(y0, y1)).toBeGreaterThan(4);
        expect(Math.max(y0, y1)).toBeLessThan(heightMm - 4);
      }
      // Each face is one path of modules; their boxes are 33 mm and stand apart.
      const rectangles = rectanglesIn(content);
      expect(rectangles.every(({ height, grey }) => height === 1 && grey === 0)).toBe(true);
      const rules = strokesIn(content).filter(
        ({ x0, x1, y0, y1 }) => y0 === y1 && Math.abs(Math.abs(x1 - x0) - 100) < 1e-6,
      );
      expect(rules).toHaveLength(2);
    },
  );

  it("[Q61] a page's grid is what fits, by the sizes alone", () => {
    const cases = [
      { widthMm: 50, heightMm: 64.2, paper: "a4", columns: 3, rows: 3 },
      { widthMm: 186, heightMm: 237, paper: "a4", columns: 1, rows: 1 },
      { widthMm: 186.1, heightMm: 64, paper: "a4", columns: 0, rows: 3 },
      { widthMm: 88, heightMm: 113.5, paper: "a4", columns: 2, rows: 2 },
      { widthMm: 50, heightMm: 220, paper: "letter", columns: 3, rows: 0 },
    ] as const;
    for (const { paper, columns, rows, ...face } of cases) expect(sheetGrid(face, paper)).toEqual({ columns, rows });
  });

  it("[Q61] a face that is larger than the paper is refused with both sizes, and as SVG there is no paper", async () => {
    const specification = { ...defaultStickerSpecification, moduleMm: 5 };
    const refused = await makeFiles(panels(1), { ...order, specification });
    expect(refused).toMatchObject({ ok: false, fault: { code: "not-printable" } });
    assert(!refused.ok, "it was refused");
    expect(refused.fault.line).toMatch(
      /^panel-0: the sticker is 214\.0 x 228\.2 mm and a sheet of a4 has room for 186\.0 x 237\.0 mm: /,
    );
    const page = await makeFiles(panels(1), { ...order, sheet: false, specification });
    expect(page).toMatchObject({ ok: false });
    const svg = await makeFiles(panels(1), { ...order, sheet: false, formats: ["svg"], specification });
    expect(svg).toMatchObject({ ok: true, value: { stickers: [{ symbol: { sizeMm: 165 } }] } });
  });

  it("[Q61] same order, same bytes", async () => {
    expect(await sheetOf(3)).toEqual(await sheetOf(3));
  });
});

describe("the calibration card", () => {
  it("[Q66] is a black frame of ID-1 size with four marks, to the micrometre, on a page without scaling", async () => {
    const pdf = await drawCardPdf("a4");
    const rectangles = rectanglesIn(contentOf(pdf));
    const [outer, inner, ...marks] = rectangles;
    assert(outer !== undefined && inner !== undefined, "the card has a frame");
    expect(outer).toMatchObject({ width: 85.6, height: 53.98, grey: 0 });
    expect([inner.x - outer.x, inner.y - outer.y].map((each) => Number(each.toFixed(6)))).toEqual([4, 4]);
    expect(inner).toMatchObject({ width: 77.6, height: 45.98, grey: 1 });
    expect(marks.map(({ width, height, grey }) => [width, height, grey])).toEqual([
      [6, 6, 0],
      [6, 6, 0],
      [6, 6, 0],
      [6, 6, 0],
      [2, 2, 1],
    ]);
    const centres = marks.map(({ x, y, width, height }) => [x + width / 2 - outer.x, y + height / 2 - outer.y]);
    const rounded = centres.map((centre) => centre.map((each) => Number(each.toFixed(4))));
    expect(rounded).toEqual([
      [11, 11],
      [74.6, 11],
      [74.6, 42.98],
      [11, 42.98],
      [11, 11],
    ]);
    expect(calibrationCardMarks.map(({ x, y }) => [x, y])).toEqual(rounded.slice(0, 4));
    // The page is A4 and the card stands in its middle.
    expect(outer.x + calibrationCardWidthMm / 2).toBeCloseTo(105, 4);
    const cut = strokesIn(contentOf(pdf)).filter(
      ({ x0, x1, y0, y1 }) => y0 === y1 && Math.abs(Math.abs(x1 - x0) - 5) < 1e-6,
    );
    expect(cut.map(({ y0 }) => Number((y0 - outer.y).toFixed(4))).toSorted((a, b) => a - b)).toEqual([
      -3, -3, 56.98, 56.98,
    ]);
    const document = await PDFDocument.load(pdf, { updateMetadata: false });
    expect(document.catalog.getViewerPreferences()?.getPrintScaling()).toBe(PrintScaling.None);
    expect(await drawCardPdf("a4")).toEqual(pdf);
  });

  it("[Q66] its inside leaves room for the marks, and the marks stand clear of each other", () => {
    const gap = calibrationCardMarks.map(({ x, y }) =>
      Math.min(x, y, calibrationCardWidthMm - x, calibrationCardHeightMm - y),
    );
    expect(gap.every((each) => each - 3 >= calibrationCardBorderMm + 3)).toBe(true);
  });
});

describe("SVG", () => {
  it.each([1, 1.016, 0.5])("[Q13] states mm and draws every module of %f mm where it belongs", async (moduleMm) => {
    const specification = { ...defaultStickerSpecification, moduleMm };
    const { svg, face } = await print({ specification });
    const size = /width="([\d.]+)mm" height="([\d.]+)mm" viewBox="0 0 ([\d.]+) ([\d.]+)"/
      .exec(svg)
      ?.slice(1)
      .map(Number);
    expect(size).toEqual([face.widthMm, face.heightMm, face.widthMm, face.heightMm].map((mm) => Number(mm.toFixed(4))));
    const runs = [...svg.matchAll(/M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-\3z/g)].map((run) => run.slice(1).map(Number));
    const right = Math.max(...runs.map(([x = 0, , width = 0]) => x + width));
    const left = Math.min(...runs.map(([x = 0]) => x));
    expect(right - left).toBeCloseTo(33 * moduleMm, 3);
    // Drawn by librsvg; libvips scales by the density twice, so the scale is taken from the picture.
    const png = await sharp(Buffer.from(svg), { density: 220 }).flatten({ background: "#fff" }).png().toBuffer();
    const { data, info } = await sharp(png).greyscale().raw().toBuffer({ resolveWithObject: true });
    const pixelsPerMm = info.width / face.widthMm;
    expect(Math.abs(info.height - face.heightMm * pixelsPerMm)).toBeLessThanOrEqual(1.5);
    const symbol = payloadToSymbol(lobby.current, specification);
    assert(symbol.ok, "the payload fits");
    const topMm = Math.min(...runs.map(([, y = 0]) => y));
    let wrong = 0;
    for (let row = 0; row < 33; row++) {
      for (let column = 0; column < 33; column++) {
        const x = Math.floor((left + (column + 0.5) * moduleMm) * pixelsPerMm);
        const y = Math.floor((topMm + (row + 0.5) * moduleMm) * pixelsPerMm);
        if ((data[y * info.width + x] ?? 128) < 128 !== isDark(symbol.value, column, row)) wrong++;
      }
    }
    expect(wrong).toBe(0);
    expect(await readByZxing(new Uint8Array(png))).toEqual([{ text: lobby.current, version: "4", level: "Q" }]);
    expect(await readByZbar(new Uint8Array(png))).toEqual([lobby.current]);
  });
});
