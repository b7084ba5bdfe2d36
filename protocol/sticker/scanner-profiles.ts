/**
 * Would other phones read it? Shows a symbol to decoders as weaker phones see it, so that a sticker's fault and a phone's fault are told apart.
 *
 * Rules: SPEC Q82. Theory: a visitor's phone looks at frames of a video, which are much smaller than a photograph, with a plain decoder and little
 * patience. A profile says how large the frame is, how much of it the symbol fills, and how soft it is; the photograph is brought down to that and
 * plain jsQR looks once. Decoders that the product does not ship can be shown the same frames by a developer.
 */
import jsqr from "jsqr";
import { type GreyPicture, greyToRgba, lumaAt } from "./grey-picture.ts";
import { distance, type SymbolMap } from "./plane.ts";

export type ScannerName = "phone" | "old-phone" | "no-native-qr";

export type ScannerProfile = {
  readonly name: ScannerName;
  readonly about: string;
  /** The video frame; undefined for a camera app that reads no codes whatever it sees. */
  readonly frame: { readonly width: number; readonly height: number } | undefined;
  /** How much of the frame's shorter side the symbol fills, held as people hold phones. */
  readonly fill: number;
};

export type ScanOutcome = {
  readonly name: ScannerName | "doorlink";
  readonly about: string;
  /** `other-text`: it read something, but not this sticker. `cannot-tell`: the photograph is coarser than what that phone would see. */
  readonly outcome: "reads" | "other-text" | "does-not-read" | "cannot-tell" | "never-reads";
  readonly pixelsPerModule: number | undefined;
};

/** Whose fault it is when a visitor's phone does not read this. */
export type ScanFault = {
  readonly fault: "none" | "phone" | "sticker" | "photo";
  readonly reason: string;
};

export const scannerProfiles: readonly ScannerProfile[] = [
  { name: "phone", about: "a usual phone, 640 x 480 video", frame: { width: 640, height: 480 }, fill: 0.45 },
  {
    name: "old-phone",
    about: "an old phone with a coarse camera, 320 x 240 video",
    frame: { width: 320, height: 240 },
    fill: 0.4,
  },
  { name: "no-native-qr", about: "an older camera app that does not read codes", frame: undefined, fill: 0 },
];

/** Tries every profile. `text`: what the sticker says; undefined: any text will do. Never throws. */
export function tryScanners(picture: GreyPicture, map: SymbolMap, text: string | undefined): readonly ScanOutcome[] {
  return scannerProfiles.map((profile): ScanOutcome => {
    const { name, about, frame } = profile;
    if (frame === undefined) return { name, about, outcome: "never-reads", pixelsPerModule: undefined };
    const seen = scannerFrame(picture, map, profile);
    if (seen === undefined) return { name, about, outcome: "cannot-tell", pixelsPerModule: undefined };
    const read = readPlainly(seen.frame);
    const outcome = read === undefined ? "does-not-read" : text === undefined || read === text ? "reads" : "other-text";
    return { name, about, outcome, pixelsPerModule: seen.pixelsPerModule };
  });
}

/**
 * The frame that a scanner of this profile would see. Undefined when the photograph has fewer pixels a module than that, or the profile has no
 * frame.
 */
export function scannerFrame(
  picture: GreyPicture,
  { modules, toPicture }: SymbolMap,
  { frame, fill }: ScannerProfile,
): { readonly frame: GreyPicture; readonly pixelsPerModule: number } | undefined {
  if (frame === undefined) return undefined;
  const middle = toPicture(modules / 2, modules / 2);
  const corners = [toPicture(0, 0), toPicture(modules, 0), toPicture(modules, modules), toPicture(0, modules)];
  const sides = corners.map((corner, at) => distance(corner, corners[(at + 1) % corners.length] ?? corner));
  const pixelsNow = sides.reduce((sum, side) => sum + side, 0) / sides.length / modules;
  const pixelsPerModule = (fill * Math.min(frame.width, frame.height)) / modules;
  const step = pixelsNow / pixelsPerModule;
  if (!(step >= stepMin)) return undefined;
  const luma = new Uint8Array(frame.width * frame.height);
  const rays = Math.min(raysMax, Math.max(1, Math.ceil(step)));
  for (let at = 0; at < luma.length; at++) {
    const x = middle.x + ((at % frame.width) - frame.width / 2) * step;
    const y = middle.y + (Math.floor(at / frame.width) - frame.height / 2) * step;
    luma[at] = meanLuma(picture, x, y, step, rays);
  }
  return { frame: { ...frame, luma }, pixelsPerModule };
}

/**
 * Judges what the outcomes say together. `doorlink`: whether the thorough reader read it; `glare`: light reflects from it; `damaged`: something is
 * wrong with the sticker itself.
 */
export function judgeScanners(
  outcomes: readonly ScanOutcome[],
  seen: { readonly doorlink: boolean; readonly glare: boolean; readonly damaged: boolean },
): ScanFault {
  const reads = (name: ScannerName) => outcomes.find((each) => each.name === name)?.outcome;
  if (reads("phone") === "cannot-tell") {
    return { fault: "photo", reason: "The photo is coarser than what a phone's scanner would see: come nearer." };
  }
  if (reads("phone") === "reads") {
    if (reads("old-phone") === "does-not-read") {
      const reason = "Usual phones read it. One with a coarse camera may not: hold it nearer, or use another phone.";
      return { fault: seen.damaged ? "sticker" : "phone", reason: seen.damaged ? damagedReason : reason };
    }
    const reason =
      "Usual phones read it. A phone that does not has a fault of its own, or its camera app reads no codes: try another.";
    return { fault: "none", reason };
  }
  if (seen.glare && !seen.damaged) {
    return {
      fault: "photo",
      reason: "A usual phone would not read it through this reflection: photograph again at an angle.",
    };
  }
  if (seen.damaged || !seen.doorlink) return { fault: "sticker", reason: damagedReason };
  return {
    fault: "photo",
    reason: "Only the thorough reader reads it, and the sticker looks sound: the photo is too soft or too dark.",
  };
}

/** Plain jsQR, once, as most web scanners use it. */
function readPlainly(frame: GreyPicture): string | undefined {
  const read = jsqr.default(greyToRgba(frame), frame.width, frame.height, { inversionAttempts: "dontInvert" });
  return read === null || read.data === "" ? undefined : read.data;
}

function meanLuma(picture: GreyPicture, x: number, y: number, step: number, rays: number): number {
  let sum = 0;
  for (let down = 0; down < rays; down++) {
    for (let across = 0; across < rays; across++) {
      const [dx, dy] = [((across + 0.5) / rays - 0.5) * step, ((down + 0.5) / rays - 0.5) * step];
      sum += lumaAt(picture, x + dx, y + dy);
    }
  }
  return sum / (rays * rays);
}

const damagedReason = "The sticker is at fault: weaker phones do not read it as it is.";
// A little enlarging does no harm; more would show a phone what the photo does not hold.
const stepMin = 0.85;
// A finer look at a huge photo changes nothing.
const raysMax = 8;
