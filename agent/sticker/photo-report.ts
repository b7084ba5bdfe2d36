/**
 * One page about one photograph: verdict, the photo with the symbol's outline, the symbol with what is wrong marked, grade, size, identity and
 * findings with their remedies. The same check gives the same bytes.
 */
import { PDFDocument, type PDFFont, type PDFPage, rgb, StandardFonts } from "pdf-lib";
import type { SymbolGrade } from "../../protocol/sticker/grade/grade.ts";
import { gradeRows } from "../../protocol/sticker/grade/grade-rows.ts";
import type { PhotoFinding, PhotoReport } from "../../protocol/sticker/photo-check.ts";
import { photoRows } from "./photo-text.ts";

export type ReportOrder = {
  readonly report: PhotoReport;
  readonly grade: SymbolGrade | undefined;
  readonly fileName: string | undefined;
  /** PNG files. */
  readonly photoPng: Uint8Array;
  readonly markedPng: Uint8Array | undefined;
};

/** Draws the page, A4. */
export async function drawPhotoReport(order: ReportOrder): Promise<Uint8Array> {
  const document = await PDFDocument.create({ updateMetadata: false });
  document.setTitle("Sticker check by photograph");
  document.setCreator("doorlink");
  const page = document.addPage([pageWidth, pageHeight]);
  const fonts = {
    plain: await document.embedFont(StandardFonts.Helvetica),
    bold: await document.embedFont(StandardFonts.HelveticaBold),
    fixed: await document.embedFont(StandardFonts.Courier),
  };
  const sheet: Sheet = { page, fonts };
  drawHead(sheet, order);
  const photo = await document.embedPng(order.photoPng);
  placePicture(page, photo, { left: margin, top: picturesTop, width: photoWidth, height: picturesHeight });
  if (order.markedPng !== undefined) {
    const marked = await document.embedPng(order.markedPng);
    const left = margin + photoWidth + gutter;
    placePicture(page, marked, { left, top: picturesTop, width: pageWidth - margin - left, height: picturesHeight });
  }
  let top = drawRows(sheet, order.report, picturesTop + picturesHeight + 16);
  top = drawFindings(sheet, order.report.findings, top + 6);
  drawGrade(sheet, order.grade, top + 6);
  return document.save({ useObjectStreams: false });
}

type Fonts = { readonly plain: PDFFont; readonly bold: PDFFont; readonly fixed: PDFFont };
type Sheet = { readonly page: PDFPage; readonly fonts: Fonts };
type Look = { readonly size: number; readonly font?: keyof Fonts; readonly grey?: number };

function drawHead(sheet: Sheet, { report, fileName }: ReportOrder): void {
  const [red, green, blue] = verdictColours[report.verdict];
  const { page, fonts } = sheet;
  page.drawRectangle({ x: margin, y: pageHeight - 74, width: 150, height: 34, color: rgb(red, green, blue) });
  const verdict = report.verdict.replace("-", " ").toUpperCase();
  const width = fonts.bold.widthOfTextAtSize(verdict, 15);
  page.drawText(verdict, {
    x: margin + 75 - width / 2,
    y: pageHeight - 62,
    size: 15,
    font: fonts.bold,
    color: rgb(1, 1, 1),
  });
  write(sheet, "Sticker check by photograph", margin + 166, 54, { size: 15, font: "bold" });
  const name = fitText(fonts.plain, fileName ?? "", 9, pageWidth - 2 * margin - 166);
  write(sheet, name, margin + 166, 70, { size: 9, grey: 0.35 });
}

/** Rows of the summary; gives where the next may begin. */
function drawRows(sheet: Sheet, report: PhotoReport, from: number): number {
  let top = from;
  for (const [name, words] of photoRows(report)) {
    write(sheet, name, margin, top, { size: 9, font: "bold" });
    top = writeWrapped(sheet, words, margin + 62, top, { size: 9 });
  }
  return top;
}

function drawFindings(sheet: Sheet, findings: readonly PhotoFinding[], from: number): number {
  let top = from;
  write(sheet, findings.length === 0 ? "No findings" : "Findings", margin, top, { size: 11, font: "bold" });
  top += 15;
  for (const [at, { code, where, measured, expected, remedy }] of findings.entries()) {
    if (top > findingsBottom) {
      const left = `${findings.length - at} more in the text and JSON report`;
      write(sheet, left, margin, top, { size: 8.5, grey: 0.35 });
      return top + 12;
    }
    write(sheet, code, margin, top, { size: 9, font: "bold" });
    top = writeWrapped(sheet, `${where}: ${measured}; expected ${expected}`, margin + 110, top, { size: 8.5 });
    top = writeWrapped(sheet, `Remedy: ${remedy}`, margin + 110, top, { size: 8.5, grey: 0.35 }) + 2;
  }
  return top;
}

function drawGrade(sheet: Sheet, grade: SymbolGrade | undefined, from: number): void {
  if (grade === undefined) return;
  let top = from;
  write(sheet, "Grade", margin, top, { size: 11, font: "bold" });
  top += 14;
  for (const row of gradeRows(grade)) {
    if (top > pageHeight - margin) return;
    const text = fitText(sheet.fonts.fixed, row, 7, pageWidth - 2 * margin);
    write(sheet, text, margin, top, { size: 7, font: "fixed" });
    top += 9;
  }
}

/** `top`: the baseline, from the upper edge. */
function write({ page, fonts }: Sheet, text: string, left: number, top: number, look: Look): void {
  const font = fonts[look.font ?? "plain"];
  const grey = look.grey ?? 0;
  page.drawText(printable(text, font), {
    x: left,
    y: pageHeight - top,
    size: look.size,
    font,
    color: rgb(grey, grey, grey),
  });
}

/** Breaks words at the right margin, four lines at most; gives the next baseline. */
function writeWrapped(sheet: Sheet, text: string, left: number, from: number, look: Look): number {
  const font = sheet.fonts[look.font ?? "plain"];
  const width = pageWidth - margin - left;
  const lines: string[] = [""];
  for (const word of printable(text, font).split(" ")) {
    const last = lines.at(-1) ?? "";
    const longer = last === "" ? word : `${last} ${word}`;
    if (font.widthOfTextAtSize(longer, look.size) <= width) lines[lines.length - 1] = longer;
    else lines.push(fitText(font, word, look.size, width));
  }
  let top = from;
  for (const line of lines.filter((each) => each !== "").slice(0, linesMax)) {
    write(sheet, line, left, top, look);
    top += look.size * 1.3;
  }
  return top;
}

/** Cuts what does not fit. */
function fitText(font: PDFFont, text: string, size: number, width: number): string {
  let fitted = printable(text, font);
  while (fitted.length > 0 && font.widthOfTextAtSize(fitted, size) > width) fitted = fitted.slice(0, -1);
  return fitted;
}

function placePicture(
  page: PDFPage,
  picture: Awaited<ReturnType<PDFDocument["embedPng"]>>,
  box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
): void {
  const scale = Math.min(box.width / picture.width, box.height / picture.height);
  const height = picture.height * scale;
  page.drawImage(picture, { x: box.left, y: pageHeight - box.top - height, width: picture.width * scale, height });
}

/** The standard fonts hold Western letters only; anything else, a hostile text above all, becomes a question mark. */
function printable(text: string, font: PDFFont): string {
  const known = new Set(font.getCharacterSet());
  return Array.from(text, (character) => (known.has(character.codePointAt(0) ?? 0) ? character : "?")).join("");
}

// Points; A4.
const pageWidth = 595;
const pageHeight = 842;
const margin = 40;
const gutter = 14;
const picturesTop = 90;
const picturesHeight = 230;
const photoWidth = 290;
const findingsBottom = 640;
const linesMax = 4;
const verdictColours = {
  pass: [0.1, 0.5, 0.2],
  fail: [0.75, 0.1, 0.12],
  "not-measurable": [0.75, 0.5, 0],
} as const;
