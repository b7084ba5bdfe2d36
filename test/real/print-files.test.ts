/**
 * Our PDFs drawn by poppler, which is what many print paths use: sizes on the drawn page to a pixel, at the densities of common printers, and
 * codes read by decoders that are not ours.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { drawCardPdf } from "../../agent/sticker/card-pdf.ts";
import { makeFiles } from "../../agent/sticker/make-files.ts";
import type { FilesOrder } from "../../agent/sticker/make-order.ts";
import { assert } from "../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../protocol/sticker/specification.ts";
import { readByZbar, readByZxing } from "../agent/sticker/outside-readers.ts";
import { lobby, payload, print } from "../agent/sticker/sticker-files.ts";

const folder = mkdtempSync(join(tmpdir(), "doorlink-poppler-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface DrawnPage {
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly luma: Uint8Array;
}

let drawings = 0;

/** All pages, black and white as a laser printer's, at `dpi`. */
async function draw(pdf: Uint8Array, dpi: number): Promise<readonly DrawnPage[]> {
  drawings++;
  const file = join(folder, `${drawings}.pdf`);
  writeFileSync(file, pdf);
  execFileSync("pdftoppm", ["-r", String(dpi), "-gray", "-png", file, join(folder, `page-${drawings}`)]);
  const names = readdirSync(folder).filter((name) => name.startsWith(`page-${drawings}-`));
  return Promise.all(
    names.toSorted().map(async (name) => {
      const png = new Uint8Array(readFileSync(join(folder, name)));
      const { data, info } = await sharp(png).greyscale().raw().toBuffer({ resolveWithObject: true });
      return { png, width: info.width, height: info.height, luma: new Uint8Array(data) };
    }),
  );
}

/** The box of dark pixels inside a part of the page, in pixels. */
function darkBox({ width, luma }: DrawnPage, part: { left: number; top: number; right: number; bottom: number }) {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 0];
  for (let y = Math.floor(part.top); y < part.bottom; y++) {
    for (let x = Math.floor(part.left); x < part.right; x++) {
      if ((luma[y * width + x] ?? 255) >= 128) continue;
      [left, top, right, bottom] = [
        Math.min(left, x),
        Math.min(top, y),
        Math.max(right, x + 1),
        Math.max(bottom, y + 1),
      ];
    }
  }
  return { width: right - left, height: bottom - top };
}

describe("PDFs drawn by poppler", () => {
  it.each([203, 300, 600])(
    "[Q13] [Q61] at %i dpi the code measures 33 mm to a pixel, and other decoders read it",
    async (dpi) => {
      const { pdf } = await print();
      const [page] = await draw(pdf, dpi);
      assert(page !== undefined, "the PDF has a page");
      const mm = dpi / 25.4;
      expect(Math.abs(page.width - 210 * mm)).toBeLessThanOrEqual(1);
      expect(Math.abs(page.height - 297 * mm)).toBeLessThanOrEqual(1);
      // The symbol lies in the middle of the page, 64.5 mm from its top, alone in this part of it.
      const middle = page.width / 2;
      const box = darkBox(page, { left: middle - 20 * mm, right: middle + 20 * mm, top: 62 * mm, bottom: 99.5 * mm });
      expect(Math.abs(box.width - 33 * mm)).toBeLessThanOrEqual(1);
      expect(Math.abs(box.height - 33 * mm)).toBeLessThanOrEqual(1);
      expect(await readByZxing(page.png)).toEqual([{ text: lobby.current, version: "4", level: "Q" }]);
      expect(await readByZbar(page.png)).toEqual([lobby.current]);
    },
  );

  it("[Q61] a sheet of 11 panels has 9 and 2 codes, each its own and once", async () => {
    const panels = Array.from({ length: 11 }, (_, index) => ({
      ...lobby,
      panel: `panel-${index}`,
      doorName: `Door ${index}`,
      current: payload(index + 1, 3),
    }));
    const order: FilesOrder = {
      formats: ["pdf"],
      specification: defaultStickerSpecification,
      dots: undefined,
      paper: "letter",
      roll: 62,
      sheet: true,
    };
    const made = await makeFiles(panels, order);
    assert(made.ok && made.value.files[0]?.bytes instanceof Uint8Array, "the sheet is made");
    const pages = await draw(made.value.files[0].bytes, 150);
    const texts = await Promise.all(pages.map(async ({ png }) => (await readByZxing(png)).map(({ text }) => text)));
    expect(texts.map((each) => each.length)).toEqual([9, 2]);
    expect(texts.flat().toSorted()).toEqual(panels.map(({ current }) => current).toSorted());
  });

  it("[Q66] the calibration card's frame measures 85.60 x 53.98 mm to a pixel, and nothing else is read for a code", async () => {
    const [page] = await draw(await drawCardPdf("letter"), 600);
    assert(page !== undefined, "the PDF has a page");
    const mm = 600 / 25.4;
    const middle = page.width / 2;
    const around = { left: middle - 45 * mm, right: middle + 45 * mm, top: 54 * mm, bottom: 112 * mm };
    const box = darkBox(page, around);
    expect(Math.abs(box.width - 85.6 * mm)).toBeLessThanOrEqual(1);
    expect(Math.abs(box.height - 53.98 * mm)).toBeLessThanOrEqual(1);
    expect(await readByZxing(page.png)).toEqual([]);
  });
});
