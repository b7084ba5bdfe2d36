/**
 * What all printed pages have in common: their paper, exact millimetres, crop marks, a control rule to lay a ruler on, letters and
 * words. Geometry is written in millimetres under one matrix, so that the file itself says the exact size.
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
import type { ModuleRun } from "../../protocol/sticker/symbol.ts";
import { strokeWidth } from "./lettering.ts";
import { millimetre } from "./millimetre.ts";
import type { PlacedLine } from "./sticker-layout.ts";

/** In mm. */
export const paperSizes = {
  a4: { widthMm: 210, heightMm: 297 },
  letter: { widthMm: 215.9, heightMm: 279.4 },
} as const;
export type Paper = keyof typeof paperSizes;

/** A document whose print dialog opens at 100 %. Same input, same bytes: it has no date unless one is given. */
export class PrintDocument {
  readonly #document: PDFDocument;
  readonly plain: PDFFont;
  readonly bold: PDFFont;

  private constructor(document: PDFDocument, plain: PDFFont, bold: PDFFont) {
    this.#document = document;
    this.plain = plain;
    this.bold = bold;
  }

  static async create(title: string, madeAt?: Date): Promise<PrintDocument> {
    const document = await PDFDocument.create({ updateMetadata: false });
    document.setTitle(title);
    document.setCreator("doorlink");
    if (madeAt !== undefined) document.setCreationDate(madeAt);
    // Both only preselect: a viewer may ignore them, which is why the rule is on every page.
    const preferences = document.catalog.getOrCreateViewerPreferences();
    preferences.setPrintScaling(PrintScaling.None);
    preferences.setPickTrayByPDFSize(true);
    const plain = await document.embedFont(StandardFonts.Helvetica);
    return new PrintDocument(document, plain, await document.embedFont(StandardFonts.HelveticaBold));
  }

  addPage(paper: Paper): PrintPage {
    const { widthMm, heightMm } = paperSizes[paper];
    const page = this.#document.addPage([widthMm * pointsPerMm, heightMm * pointsPerMm]);
    return new PrintPage(page, this, widthMm, heightMm);
  }

  async save(): Promise<Uint8Array> {
    // Object streams would hide the geometry from simple readers and save nothing here.
    return this.#document.save({ useObjectStreams: false });
  }
}

/** A page in mm from its top left corner, y down. */
export class PrintPage {
  readonly #page: PDFPage;
  readonly fonts: { readonly plain: PDFFont; readonly bold: PDFFont };
  readonly widthMm: number;
  readonly heightMm: number;

  constructor(
    page: PDFPage,
    fonts: { readonly plain: PDFFont; readonly bold: PDFFont },
    width: number,
    height: number,
  ) {
    this.#page = page;
    this.fonts = fonts;
    this.widthMm = width;
    this.heightMm = height;
  }

  draw(...operators: readonly PDFOperator[]): void {
    this.#page.pushOperators(
      pushGraphicsState(),
      concatTransformationMatrix(pointsPerMm, 0, 0, -pointsPerMm, 0, this.heightMm * pointsPerMm),
      ...operators,
      popGraphicsState(),
    );
  }

  /** Capitals of the sticker's own strokes. */
  drawLine(placed: PlacedLine, leftMm: number, topMm: number): void {
    for (const glyph of placed.line.glyphs) {
      this.#page.drawSvgPath(glyph.path, {
        x: (leftMm + placed.leftMm + glyph.x * placed.scale) * pointsPerMm,
        y: (this.heightMm - topMm - placed.topMm) * pointsPerMm,
        scale: placed.scale * pointsPerMm,
        borderColor: rgb(0, 0, 0),
        borderWidth: strokeWidth,
        borderLineCap: LineCapStyle.Round,
      });
    }
  }

  /** `size` in points, `grey` 0 black. */
  write(text: string, leftMm: number, baselineMm: number, { size, bold, grey = 0 }: Words): void {
    const font = bold === true ? this.fonts.bold : this.fonts.plain;
    this.#page.drawText(printable(text, font), {
      x: leftMm * pointsPerMm,
      y: (this.heightMm - baselineMm) * pointsPerMm,
      size,
      font,
      color: rgb(grey, grey, grey),
    });
  }

  writeCentred(text: string, middleMm: number, baselineMm: number, words: Words): void {
    this.write(text, middleMm - this.widthOf(text, words) / 2, baselineMm, words);
  }

  /** In mm. */
  widthOf(text: string, { size, bold }: Words): number {
    const font = bold === true ? this.fonts.bold : this.fonts.plain;
    return font.widthOfTextAtSize(printable(text, font), size) / pointsPerMm;
  }

  /** A rule of `controlRuleMm` in the middle of the page, with its digits and what to do when a ruler disagrees. */
  drawControlRule(topMm: number): void {
    const left = (this.widthMm - controlRuleMm) / 2;
    this.draw(...controlRuleOperators(left, topMm));
    const digits = { size: 6.5, grey: 0.2 };
    for (let mm = 0; mm <= controlRuleMm; mm += 10) {
      const text = mm === controlRuleMm ? `${mm} mm` : String(mm);
      // The unit hangs to the right, so that the digits stay centred under their tick.
      this.write(text, left + mm - this.widthOf(String(mm), digits) / 2, topMm + 9, digits);
    }
    const caption = `This rule is ${controlRuleMm} mm long. If your ruler disagrees, the page was scaled: print again.`;
    this.writeCentred(caption, this.widthMm / 2, topMm + 15, { size: 9, grey: 0.35 });
  }
}

export type Words = { readonly size: number; readonly bold?: boolean; readonly grey?: number };

/** All dark runs in one path: filled together, no reader leaves hairlines between rows. */
export function symbolOperators(
  runs: readonly ModuleRun[],
  moduleMm: number,
  corner: { readonly leftMm: number; readonly topMm: number },
): readonly PDFOperator[] {
  return [
    setFillingGrayscaleColor(0),
    ...runs.map((run) =>
      rectangle(
        millimetre(corner.leftMm + run.column * moduleMm),
        millimetre(corner.topMm + run.row * moduleMm),
        millimetre(run.width * moduleMm),
        millimetre(moduleMm),
      ),
    ),
    fill(),
  ];
}

/** A filled rectangle; `grey` 0 is black, 1 is paper. */
export function rectangleOperators(box: Box, grey = 0): readonly PDFOperator[] {
  const { leftMm, topMm, widthMm, heightMm } = box;
  const corner = [millimetre(leftMm), millimetre(topMm)] as const;
  return [setFillingGrayscaleColor(grey), rectangle(...corner, millimetre(widthMm), millimetre(heightMm)), fill()];
}

export type Box = {
  readonly leftMm: number;
  readonly topMm: number;
  readonly widthMm: number;
  readonly heightMm: number;
};

/** Two strokes outside each corner of a box, so that nothing of them stays on what is cut out. */
export function cropMarkOperators(box: Box, lengthMm: number): readonly PDFOperator[] {
  const { leftMm, topMm, widthMm, heightMm } = box;
  const marks: PDFOperator[] = [setStrokingGrayscaleColor(0), setLineWidth(0.15)];
  for (const [x, outX] of [
    [leftMm, -1],
    [leftMm + widthMm, 1],
  ] as const) {
    for (const [y, outY] of [
      [topMm, -1],
      [topMm + heightMm, 1],
    ] as const) {
      marks.push(...line(x + outX * cropMarkGapMm, y, x + outX * (cropMarkGapMm + lengthMm), y));
      marks.push(...line(x, y + outY * cropMarkGapMm, x, y + outY * (cropMarkGapMm + lengthMm)));
    }
  }
  return marks;
}

/** A tick each mm, longer ones each 5 and 10, and feet at both ends to lay a ruler against. */
function controlRuleOperators(left: number, top: number): readonly PDFOperator[] {
  const rule: PDFOperator[] = [setLineWidth(0.15), setStrokingGrayscaleColor(0)];
  rule.push(...line(left, top, left + controlRuleMm, top));
  for (let mm = 0; mm <= controlRuleMm; mm++) {
    const length = mm % controlRuleMm === 0 ? 6 : mm % 10 === 0 ? 3.5 : mm % 5 === 0 ? 2.5 : 1.5;
    rule.push(...line(left + mm, top, left + mm, top + length));
  }
  return rule;
}

/** The standard fonts hold Western letters only; another character becomes a question mark rather than stopping the print. */
function printable(text: string, font: PDFFont): string {
  const known = new Set(font.getCharacterSet());
  return Array.from(text, (character) => (known.has(character.codePointAt(0) ?? 0) ? character : "?")).join("");
}

function line(x0: number, y0: number, x1: number, y1: number): readonly PDFOperator[] {
  return [moveTo(millimetre(x0), millimetre(y0)), lineTo(millimetre(x1), millimetre(y1)), stroke()];
}

export const controlRuleMm = 100;
const cropMarkGapMm = 1.5;
const pointsPerMm = 72 / 25.4;
