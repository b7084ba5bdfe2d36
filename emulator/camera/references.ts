/** Things of known size beside a sticker: the panel's bezel, an ID-1 card, a printed calibration card. */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import type { SeededRandom } from "../world/random.ts";
import { createCanvas, fillCanvas, fillShape, lookUp, rectangle, stroke } from "./canvas.ts";
import { layeredNoise } from "./noise.ts";

/** A door panel: a plate in the plane of the sticker, and a lip around it that stands proud. */
export type Bezel = {
  /** Outer edges of the lip, and its middle on the wall. */
  readonly widthMm: number;
  readonly heightMm: number;
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  readonly lipMm: number;
  readonly proudMm: number;
  readonly cornerMm: number;
  readonly lipShade: number;
  readonly plateShade: number;
  /** A screw in each corner of the plate, this far in from both edges. */
  readonly screwsMm?: number;
};

/** ISO/IEC 7810 ID-1: 85.60 x 53.98 mm, 0.76 mm thick, corners of 3.18 mm. */
export const idCard = { widthMm: 85.6, heightMm: 53.98, thicknessMm: 0.76, cornerMm: 3.18 } as const;

export type Card = {
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  /** How far its back is off the wall: 0 lies flush. */
  readonly heldOffMm: number;
  readonly look: "bright" | "dark" | "patterned";
};

/** A flat print with rectangles of known place, as a calibration card is. Places in mm from its top left corner. */
export type Drawing = {
  readonly name: string;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  readonly heightAboveMm: number;
  readonly paper: number;
  readonly marks: readonly {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
    readonly shade: number;
  }[];
};

/** A picture as it comes from a printer: levels 0..255 become ink and paper. */
export type PrintedPicture = {
  readonly name: string;
  readonly picture: GreyPicture;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
};

/** Reflectance at mm from the middle, negative beyond the edge. */
export type Paint = (x: number, y: number) => number;

/** The lip only; the plate inside is another item, lower. */
export function bezelLip(bezel: Bezel): Paint {
  const outer = rectangle(0, 0, bezel.widthMm, bezel.heightMm, 0, bezel.cornerMm).distance;
  const inner = rectangle(
    0,
    0,
    bezel.widthMm - 2 * bezel.lipMm,
    bezel.heightMm - 2 * bezel.lipMm,
    0,
    Math.max(0, bezel.cornerMm - bezel.lipMm),
  ).distance;
  return (x, y) => {
    if (outer(x, y) > 0 || inner(x, y) < 0) return -1;
    // A bevel: the outer half of the lip leans outwards and catches a little more light.
    return bezel.lipShade * (-outer(x, y) < bezel.lipMm / 2 ? 1.06 : 0.97);
  };
}

/** What is seen of the lip's height: a darker wall under the same outline. */
export function bezelSide(bezel: Bezel): Paint {
  const lip = bezelLip(bezel);
  return (x, y) => {
    const shade = lip(x, y);
    return shade < 0 ? shade : bezel.lipShade * 0.6;
  };
}

export function bezelPlate(bezel: Bezel, random: SeededRandom): Paint {
  const outer = rectangle(0, 0, bezel.widthMm, bezel.heightMm, 0, bezel.cornerMm).distance;
  const grain = layeredNoise(random, 3);
  const turns = Array.from({ length: 4 }, () => random.next() * Math.PI);
  const { screwsMm, plateShade } = bezel;
  return (x, y) => {
    if (outer(x, y) > 0) return -1;
    const plate = plateShade * (1 + 0.05 * grain(x / 20, y * 3));
    if (screwsMm === undefined) return plate;
    const dx = Math.abs(x) - bezel.widthMm / 2 + screwsMm;
    const dy = Math.abs(y) - bezel.heightMm / 2 + screwsMm;
    return screwShade(plate, dx, dy, turns[(x < 0 ? 0 : 1) + (y < 0 ? 0 : 2)] ?? 0);
  };
}

function screwShade(plate: number, x: number, y: number, turn: number): number {
  const away = Math.hypot(x, y);
  if (away > 2.2) return plate;
  if (away > 1.9) return plate * 0.45;
  const isSlot = Math.abs(y * Math.cos(turn) - x * Math.sin(turn)) < 0.28 && away < 1.5;
  return isSlot ? plate * 0.3 : plate * (1.15 + (0.1 * (x - y)) / 2.2);
}

export function cardFace(look: Card["look"], random: SeededRandom): Paint {
  const { widthMm, heightMm, cornerMm } = idCard;
  const outline = rectangle(0, 0, widthMm, heightMm, 0, cornerMm).distance;
  const box = { left: -widthMm / 2, top: -heightMm / 2, right: widthMm / 2, bottom: heightMm / 2 };
  const canvas = createCanvas(box, 8);
  const base = { bright: 0.78, dark: 0.07, patterned: 0.3 }[look];
  const wave = layeredNoise(random, 3);
  const strength = look === "patterned" ? 0.5 : 0.04;
  fillCanvas(canvas, (x, y) => base * (1 + strength * wave(x / 25 + Math.sin(y / 9), y / 25)));
  const ink = look === "bright" ? 0.15 : 0.75;
  fillShape(canvas, rectangle(-26, -4, 12, 9.5, 0, 1.5), { shade: 0.55 });
  for (let digit = 0; digit < 16; digit++) {
    const x = -30 + digit * 3.4 + Math.floor(digit / 4) * 2;
    fillShape(canvas, stroke(x, 8, x + random.next(), 11.5, 0.5), { shade: ink });
    fillShape(canvas, stroke(x, 8 + 3 * random.next(), x + 1.8, 9.5, 0.5), { shade: ink });
  }
  if (look === "patterned") {
    fillShape(canvas, rectangle(0, -18, widthMm, 9), { shade: 0.05 });
    fillShape(canvas, rectangle(22, 14, 22, 16, 0, 2), { shade: 0.8 });
  }
  return (x, y) => (outline(x, y) > 0 ? -1 : lookUp(canvas, canvas.shade, x, y));
}

/** The card's cut edge. */
export function cardSide(): Paint {
  const outline = rectangle(0, 0, idCard.widthMm, idCard.heightMm, 0, idCard.cornerMm).distance;
  return (x, y) => (outline(x, y) > 0 ? -1 : 0.35);
}

export function printedFace({ picture, widthMm, heightMm }: PrintedPicture): Paint {
  const { width, height, luma } = picture;
  const tones = Float32Array.from({ length: 256 }, (_, level) => 0.05 + 0.79 * (level / 255) ** 2.2);
  return (x, y) => {
    const column = Math.floor((x / widthMm + 0.5) * width);
    const row = Math.floor((y / heightMm + 0.5) * height);
    if (column < 0 || row < 0 || column >= width || row >= height) return -1;
    return tones[luma[row * width + column] ?? 0] ?? 0;
  };
}

export function drawingFace(drawing: Drawing): Paint {
  const { widthMm, heightMm, marks, paper } = drawing;
  return (x, y) => {
    const [fromLeft, fromTop] = [x + widthMm / 2, y + heightMm / 2];
    if (fromLeft < 0 || fromTop < 0 || fromLeft > widthMm || fromTop > heightMm) return -1;
    let shade = paper;
    for (const { left, top, width, height, shade: own } of marks) {
      const inside = fromLeft >= left && fromLeft < left + width && fromTop >= top && fromTop < top + height;
      if (inside) shade = own;
    }
    return shade;
  };
}
