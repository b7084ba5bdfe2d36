/**
 * A label as the raster command stream of Brother QL printers, for continuous rolls: to be sent to the printer as it is.
 *
 * Theory: the print head has 720 pins at 300 dpi, and a row of raster data is their 90 bytes, the pin at the right edge of the paper
 * first. A roll covers some of them, `printableDots` wide and `rightPins` away from the right end; the rest must stay white. Rows are
 * 300 to the inch as well (the finer feed of some models would make modules higher than wide, so it is not used).
 * Source: Brother QL-800 series, Raster Command Reference 1.01; roll geometry as in the brother_ql project; SPEC Q64.
 */
import { concatBytes } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DotPicture } from "./label-bitmap.ts";

/** Continuous rolls by their width in mm. */
export const brotherRolls = {
  29: { printableDots: 306, rightPins: 6 },
  38: { printableDots: 413, rightPins: 12 },
  50: { printableDots: 554, rightPins: 12 },
  54: { printableDots: 590, rightPins: 0 },
  62: { printableDots: 696, rightPins: 12 },
} as const;
export type BrotherRoll = keyof typeof brotherRolls;

export const brotherDpi = 300;

export type RollFault = {
  readonly code: "wider-than-roll";
  readonly widthDots: number;
  readonly roll: BrotherRoll;
  readonly printableDots: number;
};

/** The label stands in the middle of the roll. Fault: wider-than-roll; nothing is ever scaled to fit. */
export function dotsToBrother(picture: DotPicture, roll: BrotherRoll): Result<Uint8Array, RollFault> {
  const { printableDots, rightPins } = brotherRolls[roll];
  const { widthDots, heightDots } = picture;
  if (widthDots > printableDots) return failed({ code: "wider-than-roll", widthDots, roll, printableDots });
  const firstPin = rightPins + Math.floor((printableDots - widthDots) / 2);
  const rows = Array.from({ length: heightDots }, (_, row) => rasterRow(picture, row, firstPin));
  return ok(
    concatBytes(
      // Ends whatever command was broken off before; then everything is as after switching on.
      new Uint8Array(invalidateBytes),
      Uint8Array.of(esc, 0x40),
      // ESC i a 1: raster mode.
      Uint8Array.of(esc, 0x69, 0x61, 0x01),
      printInformation(roll, heightDots),
      // ESC i M: cut; ESC i A: after each label; ESC i K: and at the end.
      Uint8Array.of(esc, 0x69, 0x4d, 0x40),
      Uint8Array.of(esc, 0x69, 0x41, 0x01),
      Uint8Array.of(esc, 0x69, 0x4b, 0x08),
      // ESC i d: 35 dots of feed on both ends, the least that a continuous roll takes (3 mm).
      Uint8Array.of(esc, 0x69, 0x64, feedDots, 0x00),
      ...rows,
      // Print, and feed it out.
      Uint8Array.of(0x1a),
    ),
  );
}

/** ESC i z: kind, width and length are valid, quality before speed, recovery on; a continuous roll has length 0. */
function printInformation(roll: BrotherRoll, rasterLines: number): Uint8Array {
  const flags = 0x02 | 0x04 | 0x08 | 0x40 | 0x80;
  const bytes = Uint8Array.of(esc, 0x69, 0x7a, flags, continuousRoll, roll, 0, 0, 0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(7, rasterLines, true);
  return bytes;
}

/** `g`, zero, the length, and the pins of one row from the right edge to the left. */
function rasterRow({ widthDots, bytesPerRow, rows }: DotPicture, row: number, firstPin: number): Uint8Array {
  const line = new Uint8Array(3 + headBytes);
  line.set([0x67, 0x00, headBytes]);
  for (let x = 0; x < widthDots; x++) {
    const dark = ((rows[row * bytesPerRow + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) !== 0;
    if (!dark) continue;
    const pin = firstPin + (widthDots - 1 - x);
    const at = 3 + (pin >> 3);
    line[at] = (line[at] ?? 0) | (0x80 >> (pin & 7));
  }
  return line;
}

const esc = 0x1b;
const continuousRoll = 0x0a;
/** The QL-800 series wants 400 zero bytes, older models 200; more do no harm. */
const invalidateBytes = 400;
const headBytes = 90;
const feedDots = 35;
