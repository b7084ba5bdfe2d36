/**
 * Draws the calibration card: a frame with the outline of an ID-1 card that is cut out, laid in the sticker's plane and photographed with it.
 * The photo is measured by `protocol/sticker/size`; both go by the numbers of `calibration-card.ts`. Rules: SPEC Q66.
 */
import {
  calibrationCardBorderMm,
  calibrationCardHeightMm,
  calibrationCardHollowMm,
  calibrationCardMarginMm,
  calibrationCardMarkMm,
  calibrationCardMarks,
  calibrationCardWidthMm,
} from "../../protocol/sticker/size/calibration-card.ts";
import {
  type Box,
  cropMarkOperators,
  type Paper,
  PrintDocument,
  type PrintPage,
  rectangleOperators,
} from "./pdf-page.ts";

/** One page with one card. Same input, same bytes. */
export async function drawCardPdf(paper: Paper): Promise<Uint8Array> {
  const document = await PrintDocument.create("Calibration card for sticker photos");
  const page = document.addPage(paper);
  page.write("Calibration card", wordsLeftMm, 27, { size: 22, bold: true });
  page.write("A thing of known size for photos of stickers.", wordsLeftMm, 34.5, { size: 10.5, grey: 0.35 });
  const leftMm = (page.widthMm - calibrationCardWidthMm) / 2;
  drawCard(page, leftMm, cardTopMm);
  const cut: Box = {
    leftMm: leftMm - calibrationCardMarginMm,
    topMm: cardTopMm - calibrationCardMarginMm,
    widthMm: calibrationCardWidthMm + 2 * calibrationCardMarginMm,
    heightMm: calibrationCardHeightMm + 2 * calibrationCardMarginMm,
  };
  page.draw(...cropMarkOperators(cut, 5));
  page.drawControlRule(ruleTopMm);
  drawSteps(page);
  return document.save();
}

function drawCard(page: PrintPage, leftMm: number, topMm: number): void {
  const border = calibrationCardBorderMm;
  const outer = { leftMm, topMm, widthMm: calibrationCardWidthMm, heightMm: calibrationCardHeightMm };
  const inner = {
    leftMm: leftMm + border,
    topMm: topMm + border,
    widthMm: calibrationCardWidthMm - 2 * border,
    heightMm: calibrationCardHeightMm - 2 * border,
  };
  page.draw(...rectangleOperators(outer), ...rectangleOperators(inner, 1));
  const square = (centre: { readonly x: number; readonly y: number }, sideMm: number): Box => ({
    leftMm: leftMm + centre.x - sideMm / 2,
    topMm: topMm + centre.y - sideMm / 2,
    widthMm: sideMm,
    heightMm: sideMm,
  });
  for (const mark of calibrationCardMarks) page.draw(...rectangleOperators(square(mark, calibrationCardMarkMm)));
  const [first] = calibrationCardMarks;
  if (first !== undefined) page.draw(...rectangleOperators(square(first, calibrationCardHollowMm), 1));
  const middle = leftMm + calibrationCardWidthMm / 2;
  const centre = topMm + calibrationCardHeightMm / 2;
  page.writeCentred("Calibration card", middle, centre - 3, { size: 11, bold: true });
  page.writeCentred("black frame 85.60 x 53.98 mm outside", middle, centre + 3, { size: 7.5 });
  page.writeCentred("hold it flat beside the sticker, in the same plane", middle, centre + 8, {
    size: 7.5,
    grey: 0.25,
  });
}

function drawSteps(page: PrintPage): void {
  const steps = [
    'Print at 100 % ("actual size"), on stiff paper.',
    "Lay a bank card on the black frame: both have the same outline. If they differ, print again.",
    "Cut along the corner marks, outside the frame: the white margin belongs to the card.",
    "Hold it flat on the wall beside the sticker and take one photo of both.",
  ];
  steps.forEach((text, index) => {
    const baseline = ruleTopMm + 31 + index * 8;
    page.write(String(index + 1), wordsLeftMm, baseline, { size: 11, bold: true });
    page.write(text, wordsLeftMm + 7, baseline, { size: 11 });
  });
}

const wordsLeftMm = 25;
const cardTopMm = 56;
const ruleTopMm = cardTopMm + calibrationCardHeightMm + 24;
