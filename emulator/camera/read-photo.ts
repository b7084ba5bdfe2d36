/**
 * The scanner in a visitor's phone: plain jsQR, no tricks, so that what it reads any phone reads. Knows sharp: short-lived
 * processes only.
 */
import jsqr from "jsqr";
import sharp from "sharp";
import { failed, ok, type Result } from "../../protocol/base/result.ts";

export type ScannedPhoto = {
  readonly text: string;
  /** Top left, top right, bottom right, bottom left, in pixels of the photo. */
  readonly corners: readonly (readonly [number, number])[];
  readonly symbolVersion: number;
};

export type ScanFault =
  | { readonly code: "not-a-picture" }
  | { readonly code: "picture-too-large"; readonly maxPixels: number }
  | { readonly code: "no-code-seen" }
  | { readonly code: "empty-code" };

/**
 * Reads a photo. Faults: not-a-picture (or damaged), picture-too-large (over 50 million pixels), no-code-seen, empty-code
 * (jsQR gives an empty text for bytes that are not UTF-8). Never throws.
 */
export async function readPhoto(photo: Uint8Array): Promise<Result<ScannedPhoto, ScanFault>> {
  const pixels = await decodePhoto(photo);
  if (!pixels.ok) return pixels;
  const { rgba, width, height, scale } = pixels.value;
  // Fresh options for each call: jsQR writes what it is given into its own defaults.
  const read = jsqr.default(rgba, width, height, { inversionAttempts: "attemptBoth" });
  if (read === null) return failed({ code: "no-code-seen" });
  if (read.data === "") return failed({ code: "empty-code" });
  const { topLeftCorner, topRightCorner, bottomRightCorner, bottomLeftCorner } = read.location;
  const corners = [topLeftCorner, topRightCorner, bottomRightCorner, bottomLeftCorner].map(
    ({ x, y }) => [x * scale, y * scale] as const,
  );
  return ok({ text: read.data, corners, symbolVersion: read.version });
}

type PhotoPixels = {
  readonly rgba: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** Photo pixels to one pixel here. */
  readonly scale: number;
};

async function decodePhoto(photo: Uint8Array): Promise<Result<PhotoPixels, ScanFault>> {
  try {
    const { width, height } = await sharp(photo, { limitInputPixels: false }).metadata();
    if (width * height > photoPixelsMax) return failed({ code: "picture-too-large", maxPixels: photoPixelsMax });
    const { data, info } = await sharp(photo, { limitInputPixels: photoPixelsMax })
      .timeout({ seconds: decodeSecondsMax })
      .resize({ width: viewSidePx, height: viewSidePx, fit: "inside", withoutEnlargement: true })
      .toColourspace("srgb")
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const scale = width / info.width;
    return ok({ rgba: new Uint8ClampedArray(data), width: info.width, height: info.height, scale });
  } catch {
    // sharp has one error for everything that is wrong with a file; a phone knows no better either.
    return failed({ code: "not-a-picture" });
  }
}

const photoPixelsMax = 50_000_000;
const decodeSecondsMax = 20;
// What a scanner app looks at: a video frame, not the full photo.
const viewSidePx = 1280;
