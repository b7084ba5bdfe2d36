/** Draws the page of one sticker: the face between crop marks, a control rule to lay a ruler on, and how to print it. */
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import type { ModuleRun } from "../../protocol/sticker/symbol.ts";
import {
  type Box,
  controlRuleMm,
  cropMarkOperators,
  type Paper,
  PrintDocument,
  type PrintPage,
  paperSizes,
  symbolOperators,
} from "./pdf-page.ts";
import type { StickerLayout } from "./sticker-layout.ts";

export type PageOrder = {
  readonly payload: string;
  readonly doorName: string;
  readonly epoch: number;
  readonly specification: StickerSpecification;
  readonly layout: StickerLayout;
  readonly runs: readonly ModuleRun[];
  readonly paper: Paper;
  readonly madeAt?: Date | undefined;
};

/** One page with one sticker. The face fits: `pageRoomMm` says how large it may be. Same input, same bytes. */
export async function drawStickerPdf(order: PageOrder): Promise<Uint8Array> {
  const title = `Sticker for ${order.doorName}, number ${order.epoch}`;
  const document = await PrintDocument.create(title, order.madeAt);
  const page = document.addPage(order.paper);
  drawHead(page, order);
  const face = faceBox(page, order.layout);
  drawFace(page, order, face);
  page.draw(...cropMarkOperators(face, markLengthMm));
  page.drawControlRule(ruleTopMm(order.layout));
  drawSteps(page, order);
  return document.save();
}

/** The largest face that a page has room for. */
export function pageRoomMm(paper: Paper): { readonly widthMm: number; readonly heightMm: number } {
  const { widthMm, heightMm } = paperSizes[paper];
  const around = faceTopMm + ruleGapMm + stepsBelowRuleMm + steps * stepMm + payloadFromBottomMm;
  return { widthMm: widthMm - 2 * sideMm, heightMm: heightMm - around };
}

/** Symbol and lines of one face, wherever it stands on the page. */
export function drawFace(
  page: PrintPage,
  { specification, layout, runs }: Pick<PageOrder, "specification" | "layout" | "runs">,
  { leftMm, topMm }: Pick<Box, "leftMm" | "topMm">,
): void {
  const corner = { leftMm: leftMm + layout.symbolLeftMm, topMm: topMm + layout.symbolTopMm };
  page.draw(...symbolOperators(runs, specification.moduleMm, corner));
  for (const line of layout.lines) page.drawLine(line, leftMm, topMm);
}

function drawHead(page: PrintPage, { doorName, epoch }: PageOrder): void {
  page.write(doorName, wordsLeftMm, 27, { size: 22, bold: true });
  page.write(
    `QR sticker no. ${epoch} (rotation epoch ${epoch}). Every earlier number of this door is dead.`,
    wordsLeftMm,
    34.5,
    { size: 10.5, grey: 0.35 },
  );
}

function drawSteps(page: PrintPage, { layout, payload }: PageOrder): void {
  const sizeMm = (layout.widthMm - 2 * layout.symbolLeftMm).toFixed(2).replace(/\.?0+$/, "");
  const texts = [
    ['Print at 100 % ("actual size").', 'Switch "fit to page" off.'],
    [`Measure the rule above: ${controlRuleMm} mm.`, `The code itself is ${sizeMm} x ${sizeMm} mm.`],
    ["Cut along the corner marks.", "Keep the white border: phones need it."],
    ["Peel the old sticker off, clean, stick, and scan it once.", ""],
  ] as const;
  const words = { size: 11, bold: true };
  texts.forEach(([first, second], index) => {
    const baseline = ruleTopMm(layout) + stepsBelowRuleMm + index * stepMm;
    page.write(String(index + 1), wordsLeftMm, baseline, words);
    page.write(first, wordsLeftMm + 7, baseline, words);
    page.write(second, wordsLeftMm + 8.6 + page.widthOf(first, words), baseline, { size: 11, grey: 0.25 });
  });
  page.write(payload, wordsLeftMm, page.heightMm - payloadFromBottomMm, { size: 7.5, grey: 0.5 });
}

function faceBox(page: PrintPage, { widthMm, heightMm }: StickerLayout): Box {
  return { leftMm: (page.widthMm - widthMm) / 2, topMm: faceTopMm, widthMm, heightMm };
}

function ruleTopMm(layout: StickerLayout): number {
  return faceTopMm + layout.heightMm + ruleGapMm;
}

const wordsLeftMm = 25;
const faceTopMm = 56;
const ruleGapMm = 20;
const markLengthMm = 5;
const stepsBelowRuleMm = 31;
const stepMm = 8;
const steps = 4;
const payloadFromBottomMm = 16;
/** Beside the face: the crop marks, and what office printers leave white. */
const sideMm = 12;
