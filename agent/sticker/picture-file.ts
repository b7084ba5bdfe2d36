/**
 * Pictures as files: reading them into grey pixels within limits, and writing PNG. The only file of the agent that knows
 * sharp, which costs 26 MB resident: only a command's own process imports it (dynamically), never the agent's resident one.
 *
 * Rules: SPEC Q24. What kind of file it is, is told by its first bytes and never by its name, so that no loader but the
 * four that are wanted ever sees a byte of it.
 */
import sharp from "sharp";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { type PixelDensity, readDensity } from "./picture-density.ts";

export type PictureFormat = "png" | "jpeg" | "webp" | "tiff";

/** `density` is of the upright picture: EXIF orientation has been applied to pixels and axes alike. */
export type ReadPicture = {
  readonly format: PictureFormat;
  readonly picture: GreyPicture;
  readonly density: PixelDensity | undefined;
};

export type PictureFault =
  | { readonly code: "not-a-picture"; readonly expected: string; readonly bytes: number }
  | { readonly code: "picture-damaged"; readonly format: PictureFormat; readonly where: "header" | "pixels" }
  | { readonly code: "picture-too-small"; readonly width: number; readonly height: number; readonly minimum: number }
  | { readonly code: "picture-too-large"; readonly width: number; readonly height: number; readonly maxPixels: number };

/**
 * Reads one picture into luma. Transparent parts are white, as paper is; of several pages the first is read.
 * Faults: not-a-picture (first bytes are of none of the four formats), picture-damaged (truncated or broken),
 * picture-too-small (a symbol cannot be in it), picture-too-large (more than 80 million pixels, told from the header
 * before any pixel is unpacked). Source: SPEC Q24.
 */
export async function readPicture(bytes: Uint8Array): Promise<Result<ReadPicture, PictureFault>> {
  const format = sniffPicture(bytes);
  if (format === undefined) {
    return failed({ code: "not-a-picture", expected: "PNG, JPEG, WebP or TIFF", bytes: bytes.length });
  }
  const size = await readSize(bytes);
  if (size === undefined) return failed({ code: "picture-damaged", format, where: "header" });
  const { width, height } = size;
  if (width < pictureSideMin || height < pictureSideMin) {
    return failed({ code: "picture-too-small", width, height, minimum: pictureSideMin });
  }
  if (width * height > picturePixelsMax) {
    return failed({ code: "picture-too-large", width, height, maxPixels: picturePixelsMax });
  }
  const picture = await readLuma(bytes);
  if (picture === undefined) return failed({ code: "picture-damaged", format, where: "pixels" });
  const density = readDensity(bytes, format);
  const turned = density !== undefined && size.orientation >= 5;
  return ok({ format, picture, density: turned ? { ...density, x: density.y, y: density.x } : density });
}

/** Says by its first bytes which of the four formats a file claims to be. */
export function sniffPicture(bytes: Uint8Array): PictureFormat | undefined {
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

async function readSize(
  bytes: Uint8Array,
): Promise<{ readonly width: number; readonly height: number; readonly orientation: number } | undefined> {
  try {
    // The header alone is read here, so its size may be told whatever it claims; the limit is ours to name.
    const { width, height, orientation } = await sharp(bytes, { limitInputPixels: false }).metadata();
    return { width, height, orientation: orientation ?? 1 };
  } catch {
    // sharp has one error for everything that is wrong with a header; the caller names the stage.
    return undefined;
  }
}

async function readLuma(bytes: Uint8Array): Promise<GreyPicture | undefined> {
  try {
    const read = await sharp(bytes, { limitInputPixels: picturePixelsMax, failOn: "truncated", sequentialRead: true })
      .timeout({ seconds: readSecondsMax })
      .autoOrient()
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
