/** Draws many stickers on as few pages as they need: faces between crop marks in a grid, a control rule on every page. */
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import type { ModuleRun } from "../../protocol/sticker/symbol.ts";
import { cropMarkOperators, type Paper, PrintDocument, type PrintPage, paperSizes } from "./pdf-page.ts";
import type { StickerLayout } from "./sticker-layout.ts";
import { drawFace } from "./sticker-pdf.ts";

export type SheetSticker = {
  readonly panel: string;
  readonly epoch: number;
  readonly layout: StickerLayout;
  readonly runs: readonly ModuleRun[];
};

export type SheetOrder = {
  /** At least one, all by one specification, so that their faces are the same size. */
  readonly stickers: readonly SheetSticker[];
  readonly specification: StickerSpecification;
  readonly paper: Paper;
  readonly madeAt?: Date | undefined;
};

/** Faces are placed row by row; no face is turned, because a printer's two axes are not the same. Same input, same bytes. */
export async function drawSheetPdf({ stickers, specification, paper, madeAt }: SheetOrder): Promise<Uint8Array> {
  const document = await PrintDocument.create(`${stickers.length} stickers`, madeAt);
  const face = stickers[0]?.layout ?? { widthMm: 0, heightMm: 0 };
  const { columns, rows } = sheetGrid(face, paper);
  const perPage = columns * rows;
  const pages = Math.ceil(stickers.length / perPage);
  for (let index = 0; index < pages; index++) {
    const page = document.addPage(paper);
    drawWords(page, index + 1, pages);
    const here = stickers.slice(index * perPage, (index + 1) * perPage);
    const left = (page.widthMm - columns * face.widthMm - (columns - 1) * gapMm) / 2;
    here.forEach((sticker, at) => {
      const leftMm = left + (at % columns) * (face.widthMm + gapMm);
      const topMm = gridTopMm + Math.floor(at / columns) * (face.heightMm + gapMm);
      drawFace(page, { ...sticker, specification }, { leftMm, topMm });
      page.draw(...cropMarkOperators({ leftMm, topMm, ...sizeOf(face) }, markLengthMm));
      // Between the marks of this row and the next, so that it is cut off.
      page.writeCentred(
        `${sticker.panel}, no. ${sticker.epoch}`,
        leftMm + face.widthMm / 2,
        topMm + face.heightMm + captionBelowMm,
        { size: 6.5, grey: 0.35 },
      );
    });
    page.drawControlRule(page.heightMm - ruleFromBottomMm);
  }
  return document.save();
}

/** How many faces of this size stand on a page: columns or rows are 0 when not even one does. */
export function sheetGrid(
  { widthMm, heightMm }: Pick<StickerLayout, "widthMm" | "heightMm">,
  paper: Paper,
): { readonly columns: number; readonly rows: number } {
  const room = sheetRoomMm(paper);
  const fitting = (roomMm: number, sizeMm: number) => Math.max(0, Math.floor((roomMm + gapMm) / (sizeMm + gapMm)));
  return {
    columns: fitting(room.widthMm, widthMm),
    rows: fitting(room.heightMm, heightMm),
  };
}

/** For faces and what is between them. */
export function sheetRoomMm(paper: Paper): { readonly widthMm: number; readonly heightMm: number } {
  const { widthMm, heightMm } = paperSizes[paper];
  return { widthMm: widthMm - 2 * sideMm, heightMm: heightMm - gridTopMm - gridBottomMm };
}

function drawWords(page: PrintPage, number: number, pages: number): void {
  const instruction = 'Print at 100 % ("actual size"), cut along the corner marks, keep the white borders.';
  page.write(instruction, sideMm, 13, { size: 10.5, bold: true });
  const text = `page ${number} of ${pages}`;
  page.write(text, page.widthMm - sideMm - page.widthOf(text, { size: 9 }), 13, { size: 9, grey: 0.35 });
}

function sizeOf({ widthMm, heightMm }: Pick<StickerLayout, "widthMm" | "heightMm">) {
  return { widthMm, heightMm };
}

/** Room for the crop marks of two neighbours and a hair of paper between them. */
const gapMm = 10;
const markLengthMm = 3;
const captionBelowMm = 5.8;
const gridTopMm = 22;
/** Crop marks, caption and the control rule with its words. */
const gridBottomMm = 38;
const ruleFromBottomMm = 28;
const sideMm = 12;
