/**
 * The density that a picture file states, exactly and per axis. sharp rounds it to whole dpi (0.2 % at 300 dpi) and shows
 * one axis only, so the four formats are read here: PNG pHYs, JPEG JFIF, and TIFF tags (also inside EXIF).
 * Rules: SPEC Q15. Every loop is bounded by the file's length or a named limit; any bytes give a density or undefined.
 */
import { readU32 } from "../../protocol/base/bytes.ts";

/** Pixels per millimetre. `source` names the field that was read. */
export type PixelDensity = {
  readonly x: number;
  readonly y: number;
  readonly source: "pHYs" | "JFIF" | "EXIF" | "TIFF";
};

/**
 * Reads the density; undefined when the file states none, states no unit, or states one that nobody measured: 72 dpi in a
 * JPEG is what cameras and programs write when they know nothing.
 */
export function readDensity(bytes: Uint8Array, format: "png" | "jpeg" | "webp" | "tiff"): PixelDensity | undefined {
  const density =
    format === "png"
      ? pngDensity(bytes)
      : format === "jpeg"
        ? jpegDensity(bytes)
        : format === "webp"
          ? webpDensity(bytes)
          : tiffDensity(bytes, "TIFF");
  if (density === undefined || !isPlausible(density.x) || !isPlausible(density.y)) return undefined;
  const placeholder = format === "jpeg" && Math.abs(density.x * 25.4 - 72) < 0.5;
  return placeholder ? undefined : density;
}

function pngDensity(bytes: Uint8Array): PixelDensity | undefined {
  let at = 8;
  for (let chunk = 0; chunk < chunksMax && at + 12 <= bytes.length; chunk++) {
    const length = readU32(bytes, at);
    const name = ascii(bytes, at + 4, 4);
    if (name === "IDAT" || name === "IEND") return undefined;
    if (name === "pHYs" && length === 9 && at + 17 <= bytes.length) {
      // Unit 1 is the metre; unit 0 gives the shape of a pixel only.
      if (bytes[at + 16] !== 1) return undefined;
      return { x: readU32(bytes, at + 8) / 1000, y: readU32(bytes, at + 12) / 1000, source: "pHYs" };
    }
    at += 12 + length;
  }
  return undefined;
}

function jpegDensity(bytes: Uint8Array): PixelDensity | undefined {
  let fromJfif: PixelDensity | undefined;
  let at = 2;
  for (let segment = 0; segment < chunksMax && at + 4 <= bytes.length; segment++) {
    const marker = bytes[at + 1] ?? 0;
    // Not a marker, or the picture data begins: there is no header after it.
    if (bytes[at] !== 0xff || marker === 0xda) break;
    const length = readU16(bytes, at + 2);
    const body = at + 4;
    if (marker === 0xe0 && ascii(bytes, body, 5) === "JFIF\0") fromJfif = jfifDensity(bytes, body) ?? fromJfif;
    if (marker === 0xe1 && ascii(bytes, body, 6) === "Exif\0\0") {
      const exif = tiffDensity(bytes.subarray(body + 6, at + 2 + length), "EXIF");
      // Programs that change the density keep JFIF right and may leave the camera's EXIF as it was.
      if (fromJfif === undefined && exif !== undefined) return exif;
    }
    at += 2 + length;
  }
  return fromJfif;
}

function jfifDensity(bytes: Uint8Array, body: number): PixelDensity | undefined {
  const unit = bytes[body + 7];
  const perMm = unit === 1 ? 1 / 25.4 : unit === 2 ? 1 / 10 : undefined;
  if (perMm === undefined) return undefined;
  return { x: readU16(bytes, body + 8) * perMm, y: readU16(bytes, body + 10) * perMm, source: "JFIF" };
}

function webpDensity(bytes: Uint8Array): PixelDensity | undefined {
  let at = 12;
  for (let chunk = 0; chunk < chunksMax && at + 8 <= bytes.length; chunk++) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = view.getUint32(at + 4, true);
    if (ascii(bytes, at, 4) === "EXIF") {
      const body = bytes.subarray(at + 8, at + 8 + length);
      // Some writers keep JPEG's prefix in front of the TIFF header.
      return tiffDensity(ascii(body, 0, 6) === "Exif\0\0" ? body.subarray(6) : body, "EXIF");
    }
    at += 8 + length + (length % 2);
  }
  return undefined;
}

/** Tags 282 and 283 (resolution, rational) and 296 (unit: 2 inch, 3 centimetre; inch when absent) of the first directory. */
function tiffDensity(bytes: Uint8Array, source: "EXIF" | "TIFF"): PixelDensity | undefined {
  if (bytes.length < 14) return undefined;
  const little = bytes[0] === 0x49;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const directory = view.getUint32(4, little);
  if (directory + 2 > bytes.length) return undefined;
  const entries = Math.min(view.getUint16(directory, little), tagsMax);
  let x: number | undefined;
  let y: number | undefined;
  let unit = 2;
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + entry * 12;
    if (at + 12 > bytes.length) break;
    const tag = view.getUint16(at, little);
    if (tag === 296) unit = view.getUint16(at + 8, little);
    if (tag === 282) x = rational(view, view.getUint32(at + 8, little), little);
    if (tag === 283) y = rational(view, view.getUint32(at + 8, little), little);
  }
  const unitsPerMm = unit === 2 ? 1 / 25.4 : unit === 3 ? 1 / 10 : undefined;
  if (x === undefined || y === undefined || unitsPerMm === undefined) return undefined;
  return { x: x * unitsPerMm, y: y * unitsPerMm, source };
}

function rational(view: DataView, at: number, little: boolean): number | undefined {
  if (at + 8 > view.byteLength) return undefined;
  const below = view.getUint32(at + 4, little);
  return below === 0 ? undefined : view.getUint32(at, little) / below;
}

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

/**
 * Between 30 and 10,000 dpi: anything else is a broken or empty field. One pixel a millimetre (25.4 dpi) is what libvips
 * writes into PNG and TIFF for "unknown".
 */
function isPlausible(pixelsPerMm: number): boolean {
  return pixelsPerMm >= 30 / 25.4 && pixelsPerMm <= 10_000 / 25.4;
}

const chunksMax = 1_000;
const tagsMax = 1_000;
