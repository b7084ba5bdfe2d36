/**
 * The card that `doorlink sticker card` prints, as numbers: what is drawn on it and what a photo of it is measured against.
 *
 * Theory: a photo knows no millimetres; a thing of known size that lies in the sticker's plane lends it some. The card has the
 * outline of an ID-1 card (ISO/IEC 7810), so that a bank card laid over it proves the print before it is used. A thick black frame
 * between white inside and a white margin outside has two closed edges of full contrast, whatever wall it is held against; the four
 * marks tell it from other frames, and the hollow one says which way up it is.
 * All lengths are in mm, from the frame's outer top left corner, y down.
 */

/** The frame's outer edge: the outline of an ID-1 card. */
export const calibrationCardWidthMm = 85.6;
export const calibrationCardHeightMm = 53.98;

/** Black, inside that outline on all four sides; what it encloses is white. */
export const calibrationCardBorderMm = 4;

/** White paper outside the frame that is cut with it. */
export const calibrationCardMarginMm = 3;

/** Side of each of the four black square marks inside the frame. */
export const calibrationCardMarkMm = 6;

const markInsetMm = 11;

/** Centres of the marks: each 11 mm from both outer edges of its corner. Order: top left, top right, bottom right, bottom left. */
export const calibrationCardMarks: readonly { readonly x: number; readonly y: number }[] = [
  { x: markInsetMm, y: markInsetMm },
  { x: calibrationCardWidthMm - markInsetMm, y: markInsetMm },
  { x: calibrationCardWidthMm - markInsetMm, y: calibrationCardHeightMm - markInsetMm },
  { x: markInsetMm, y: calibrationCardHeightMm - markInsetMm },
];

/** The first mark (top left) has a white square of this side in its middle; the others are full. */
export const calibrationCardHollowMm = 2;
