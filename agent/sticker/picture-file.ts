/**
 * Pictures as files: reading them into grey pixels within limits, and writing PNG. The only file of the agent that knows
 * sharp, which costs 26 MB resident: only a command's own process imports it (dynamically), never the agent's resident one.
 *
 * Rules: SPEC Q24, Q55. What kind of file it is, is told by its first bytes and never by its name, so that no loader but the
 * four that are wanted ever sees a byte of it.
 */
import sharp from "sharp";
import { readU32 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { type PixelDensity, readDensity } from "./picture-density.ts";
import { isCameraExif } from "./picture-exif.ts";

export type PictureFormat = "png" | "jpeg" | "webp" | "tiff";

/**
 * `density` is of the upright picture: EXIF orientation has been applied to pixels and axes alike. `pages`: how many the file
 * has; the first was read. `isPhoto`: a camera's exposure stands in its EXIF.
 */
export type ReadPicture = {
  readonly format: PictureFormat;
  readonly picture: GreyPicture;
  readonly density: PixelDensity | undefined;
  readonly pages: number;
  readonly isPhoto: boolean;
};

export type PictureFault =
  | {
      readonly code: "not-a-picture";
      readonly expected: string;
      readonly bytes: number;
      /** A kind that is not read but known by its first bytes: GIF, HEIC, ... */
      readonly looksLike?: string | undefined;
    }
  | { readonly code: "picture-animated"; readonly format: PictureFormat; readonly frames: number }
  | { readonly code: "picture-damaged"; readonly format: PictureFormat; readonly where: "header" | "pixels" }
  | { readonly code: "picture-too-small"; readonly width: number; readonly height: number; readonly minimum: number }
  | { readonly code: "picture-too-large"; readonly width: number; readonly height: number; readonly maxPixels: number };

/**
 * Reads one picture into luma. Transparent parts are white, as paper is; of several pages the first is read.
 * Faults: not-a-picture (first bytes are of none of the four formats), picture-damaged (truncated or broken),
 * picture-animated, picture-too-small (a symbol cannot be in it), picture-too-large (more than 80 million pixels, told from
 * the header before any pixel is unpacked). `upright` false: EXIF orientation is left alone, as in a PDF. Source: SPEC Q24, Q55.
 */
export async function readPicture(
  bytes: Uint8Array,
  { upright = true }: { readonly upright?: boolean } = {},
): Promise<Result<ReadPicture, PictureFault>> {
  const format = sniffPicture(bytes);
  if (format === undefined) {
    const looksLike = sniffOther(bytes);
    return failed({ code: "not-a-picture", expected: "PNG, JPEG, WebP or TIFF", bytes: bytes.length, looksLike });
  }
  const header = await readHeader(bytes);
  if (header === undefined) return failed({ code: "picture-damaged", format, where: "header" });
  const { width, height } = header;
  if (width < pictureSideMin || height < pictureSideMin) {
    return failed({ code: "picture-too-small", width, height, minimum: pictureSideMin });
  }
  if (width * height > picturePixelsMax) {
    return failed({ code: "picture-too-large", width, height, maxPixels: picturePixelsMax });
  }
  const frames = format === "png" ? pngFrames(bytes) : header.pages;
  if (frames > 1 && format !== "tiff") return failed({ code: "picture-animated", format, frames });
  const picture = await readLuma(bytes, upright);
  if (picture === undefined) return failed({ code: "picture-damaged", format, where: "pixels" });
  const density = readDensity(bytes, format);
  const turned = upright && density !== undefined && header.orientation >= 5;
  return ok({
    format,
    picture,
    density: turned ? { ...density, x: density.y, y: density.x } : density,
    pages: frames,
    isPhoto: header.isPhoto,
  });
}

/** Says by its first bytes which of the four formats a file claims to be. */
function sniffPicture(bytes: Uint8Array): PictureFormat | undefined {
  const starts = (offset: number, ...expected: readonly number[]) =>
    expected.every((byte, at) => bytes[offset + at] === byte);
  if (starts(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "png";
  if (starts(0, 0xff, 0xd8, 0xff)) return "jpeg";
  if (starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50)) return "webp";
  if (starts(0, 0x49, 0x49, 0x2a, 0x00) || starts(0, 0x4d, 0x4d, 0x00, 0x2a)) return "tiff";
  return undefined;
}

/** Renders our own SVG (never one from outside) to an 8-bit grey PNG of `pixelsPerMm`. */
export async function svgToPng(svg: string, pixelsPerMm: number): Promise<Uint8Array> {
  const png = sharp(Buffer.from(svg))
    .flatten({ background: "#fff" })
    .greyscale()
    .toColourspace("b-w")
    .png({ compressionLevel: 9, adaptiveFiltering: false })
    // Not withMetadata: it would add a colour profile, and with it three channels.
    .withDensity(pixelsPerMm * millimetresPerInch);
  return new Uint8Array(await png.toBuffer());
}

/** Kinds of file that people have and that are not read, so that the fault can say more than "no picture". */
function sniffOther(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  if (head.startsWith("GIF8")) return "GIF";
  if (head.startsWith("BM")) return "BMP";
  if (head.startsWith("%!PS")) return "PostScript";
  if (head.startsWith("\u001f\u008b")) return "gzip";
  if (head.startsWith("PK")) return "zip";
  if (head.startsWith("^XA") || head.startsWith("~DG")) return "ZPL";
  if (head.startsWith("II+") || head.startsWith("MM\u0000+")) return "BigTIFF";
  if (head.slice(4, 8) === "ftyp") return head.slice(8, 12).startsWith("avi") ? "AVIF" : "HEIC";
  return undefined;
}

/** Frames that an animated PNG states (acTL stands before the pixels); 1 for a plain one. */
function pngFrames(bytes: Uint8Array): number {
  let at = 8;
  for (let chunk = 0; chunk < chunksMax && at + 12 <= bytes.length; chunk++) {
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === "acTL") return readU32(bytes, at + 8);
    if (name === "IDAT") return 1;
    at += 12 + readU32(bytes, at);
  }
  return 1;
}

type PictureHeader = {
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
  readonly pages: number;
  readonly isPhoto: boolean;
};

async function readHeader(bytes: Uint8Array): Promise<PictureHeader | undefined> {
  try {
    // The header alone is read here, so its size may be told whatever it claims; the limit is ours to name.
    const { width, height, orientation, pages, exif } = await sharp(bytes, { limitInputPixels: false }).metadata();
    const isPhoto = exif !== undefined && isCameraExif(exif);
    return { width, height, orientation: orientation ?? 1, pages: pages ?? 1, isPhoto };
  } catch {
    // sharp has one error for everything that is wrong with a header; the caller names the stage.
    return undefined;
  }
}

async function readLuma(bytes: Uint8Array, upright: boolean): Promise<GreyPicture | undefined> {
  try {
    const whole = sharp(bytes, {
      limitInputPixels: picturePixelsMax,
      failOn: "truncated",
      sequentialRead: true,
    }).timeout({
      seconds: readSecondsMax,
    });
    const read = await (upright ? whole.autoOrient() : whole)
      .flatten({ background: "#fff" })
      .greyscale()
      .extractChannel(0)
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return { width: read.info.width, height: read.info.height, luma: new Uint8Array(read.data) };
  } catch {
    // Truncated data, broken data and a loader that gives up are one thing to the reader of the report: damaged pixels.
    return undefined;
  }
}

const millimetresPerInch = 25.4;
// The smallest QR symbol has 21 modules.
const pictureSideMin = 21;
// A page of A4 at 600 dpi has 35 million pixels, a large phone photo 50; 80 million grey pixels are 80 MB here.
const picturePixelsMax = 80_000_000;
const readSecondsMax = 60;
const chunksMax = 1_000;
