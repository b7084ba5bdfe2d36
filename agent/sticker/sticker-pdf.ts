/**
 * Draws the sheet of one sticker: the face between crop marks, a control rule to lay a ruler on, and how to print it. All
 * geometry is written in millimetres under one matrix, so the file itself says the exact size.
 */
import {
  concatTransformationMatrix,
  fill,
  LineCapStyle,
  lineTo,
  moveTo,
  PDFDocument,
  type PDFFont,
  type PDFOperator,
  type PDFPage,
  PrintScaling,
  popGraphicsState,
  pushGraphicsState,
  rectangle,
  rgb,
  StandardFonts,
  setFillingGrayscaleColor,
  setLineWidth,
  setStrokingGrayscaleColor,
  stroke,
} from "pdf-lib";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import type { ModuleRun } from "../../protocol/sticker/symbol.ts";
import { strokeWidth } from "./lettering.ts";
import type { PlacedLine, StickerLayout } from "./sticker-layout.ts";

export type SheetOrder = {
  readonly payload: string;
  readonly doorName: string;
  readonly epoch: number;
  readonly specification: StickerSpecification;
  readonly layout: StickerLayout;
  readonly runs: readonly ModuleRun[];
  readonly madeAt?: Date;
};

/** An A4 page with one sticker. Same input, same bytes. */
export async function drawStickerPdf(order: SheetOrder): Promise<Uint8Array> {
  const document = await PDFDocument.create({ updateMetadata: false });
  document.setTitle(`Sticker for ${order.doorName}, number ${order.epoch}`);
  document.setCreator("doorlink");
  if (order.madeAt !== undefined) document.setCreationDate(order.madeAt);
  const preferences = document.catalog.getOrCreateViewerPreferences();
  preferences.setPrintScaling(PrintScaling.None);
  preferences.setPickTrayByPDFSize(true);
  const page = document.addPage([pageWidthMm * pointsPerMm, pageHeightMm * pointsPerMm]);
  const plain = await document.embedFont(StandardFonts.Helvetica);
  const bold = await document.embedFont(StandardFonts.HelveticaBold);
  drawWords(page, order, plain, bold);
  const left = (pageWidthMm - order.layout.widthMm) / 2;
  page.pushOperators(
    pushGraphicsState(),
    // From here on: millimetres from the top left corner of the page, y down.
    concatTransformationMatrix(pointsPerMm, 0, 0, -pointsPerMm, 0, pageHeightMm * pointsPerMm),
    ...symbolOperators(order, left),
    ...cropMarkOperators(order.layout, left),
    ...controlRuleOperators(ruleTopMm(order.layout)),
    popGraphicsState(),
  );
  for (const line of order.layout.lines) drawLetters(page, line, left, faceTopMm);
  // Object streams would hide the geometry from simple readers and save nothing here.
  return document.save({ useObjectStreams: false });
}

/** All dark runs in one path: filled together, no reader leaves hairlines between rows. */
function symbolOperators(order: SheetOrder, left: number): readonly PDFOperator[] {
  const { moduleMm } = order.specification;
  const x = left + order.layout.symbolLeftMm;
  const y = faceTopMm + order.layout.symbolTopMm;
  return [
    setFillingGrayscaleColor(0),
    ...order.runs.map((run) =>
      rectangle(
        millimetre(x + run.column * moduleMm),
        millimetre(y + run.row * moduleMm),
        millimetre(run.width * moduleMm),
        millimetre(moduleMm),
      ),
    ),
    fill(),
  ];
}

function cropMarkOperators(layout: StickerLayout, left: number): readonly PDFOperator[] {
  const [x0, x1] = [left, left + layout.widthMm];
  const [y0, y1] = [faceTopMm, faceTopMm + layout.heightMm];
  const marks: PDFOperator[] = [setStrokingGrayscaleColor(0), setLineWidth(0.15)];
  for (const [x, outX] of [
    [x0, -1],
    [x1, 1],
  ] as const) {
    for (const [y, outY] of [
      [y0, -1],
      [y1, 1],
    ] as const) {
      marks.push(...line(x + outX * markGapMm, y, x + outX * (markGapMm + markLengthMm), y));
      marks.push(...line(x, y + outY * markGapMm, x, y + outY * (markGapMm + markLengthMm)));
    }
  }
  return marks;
}

/** A rule of `controlRuleMm`, a tick each mm, longer ones each 5 and 10, and feet at both ends to lay a ruler against. */
function controlRuleOperators(top: number): readonly PDFOperator[] {
  const left = (pageWidthMm - controlRuleMm) / 2;
  const rule: PDFOperator[] = [setLineWidth(0.15), setStrokingGrayscaleColor(0)];
  rule.push(...line(left, top, left + controlRuleMm, top));
  for (let mm = 0; mm <= controlRuleMm; mm++) {
    const length = mm % controlRuleMm === 0 ? 6 : mm % 10 === 0 ? 3.5 : mm % 5 === 0 ? 2.5 : 1.5;
    rule.push(...line(left + mm, top, left + mm, top + length));
  }
  return rule;
}

function drawLetters(page: PDFPage, placed: PlacedLine, leftMm: number, topMm: number): void {
  for (const glyph of placed.line.glyphs) {
    page.drawSvgPath(glyph.path, {
      x: (leftMm + placed.leftMm + glyph.x * placed.scale) * pointsPerMm,
      y: (pageHeightMm - topMm - placed.topMm) * pointsPerMm,
      scale: placed.scale * pointsPerMm,
      borderColor: rgb(0, 0, 0),
      borderWidth: strokeWidth,
      borderLineCap: LineCapStyle.Round,
    });
  }
}

function drawWords(page: PDFPage, order: SheetOrder, plain: PDFFont, bold: PDFFont): void {
  const write = (text: string, xMm: number, baselineMm: number, size: number, font: PDFFont, grey = 0) =>
    page.drawText(printable(text, font), {
      x: xMm * pointsPerMm,
      y: (pageHeightMm - baselineMm) * pointsPerMm,
      size,
      font,
      color: rgb(grey, grey, grey),
    });
  write(order.doorName, wordsLeftMm, 27, 22, bold);
  write(
    `QR sticker no. ${order.epoch} (rotation epoch ${order.epoch}). Every earlier number of this door is dead.`,
    wordsLeftMm,
    34.5,
    10.5,
    plain,
    0.35,
  );

  const below = ruleTopMm(order.layout);
  const caption = `This rule is ${controlRuleMm} mm long. If your ruler disagrees, the page was scaled: print again.`;
  const captionMm = plain.widthOfTextAtSize(caption, 9) / pointsPerMm;
  write(caption, (pageWidthMm - captionMm) / 2, below + 15, 9, plain, 0.35);
  for (let mm = 0; mm <= controlRuleMm; mm += 10) {
    const digits = mm === controlRuleMm ? `${mm} mm` : String(mm);
    // The unit hangs to the right, so that the digits stay centred under their tick.
    const digitsMm = plain.widthOfTextAtSize(String(mm), 6.5) / pointsPerMm;
    write(digits, (pageWidthMm - controlRuleMm) / 2 + mm - digitsMm / 2, below + 9, 6.5, plain, 0.2);
  }

  const sizeMm = (order.layout.widthMm - 2 * order.layout.symbolLeftMm).toFixed(2).replace(/\.?0+$/, "");
  const steps = [
    ['Print at 100 % ("actual size").', 'Switch "fit to page" off.'],
    [`Measure the rule above: ${controlRuleMm} mm.`, `The code itself is ${sizeMm} x ${sizeMm} mm.`],
    ["Cut along the corner marks.", "Keep the white border: phones need it."],
    ["Peel the old sticker off, clean, stick, and scan it once.", ""],
  ] as const;
  steps.forEach(([first, second], index) => {
    const baseline = below + 31 + index * 8;
    write(String(index + 1), wordsLeftMm, baseline, 11, bold);
    write(first, wordsLeftMm + 7, baseline, 11, bold);
    const firstMm = bold.widthOfTextAtSize(first, 11) / pointsPerMm;
    write(second, wordsLeftMm + 7 + firstMm + 1.6, baseline, 11, plain, 0.25);
  });
  write(order.payload, wordsLeftMm, pageHeightMm - 16, 7.5, plain, 0.5);
}

/** The standard fonts hold Western letters only; another character becomes a question mark rather than stopping the print. */
function printable(text: string, font: PDFFont): string {
  const known = new Set(font.getCharacterSet());
  return Array.from(text, (character) => (known.has(character.codePointAt(0) ?? 0) ? character : "?")).join("");
}

function line(x0: number, y0: number, x1: number, y1: number): readonly PDFOperator[] {
  return [moveTo(millimetre(x0), millimetre(y0)), lineTo(millimetre(x1), millimetre(y1)), stroke()];
}

function ruleTopMm(layout: StickerLayout): number {
  return faceTopMm + layout.heightMm + 20;
}

/** Numbers to a tenth of a micrometre: 12.300000000000001 in a print file helps nobody. */
function millimetre(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

const pointsPerMm = 72 / 25.4;
const pageWidthMm = 210;
const pageHeightMm = 297;
const wordsLeftMm = 25;
const faceTopMm = 56;
const controlRuleMm = 100;
const markGapMm = 1.5;
const markLengthMm = 5;
