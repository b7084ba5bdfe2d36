/**
 * Pictures inside a PDF as grey pixels: raw samples of 1 to 16 bits in the usual colour spaces, stencils, and JPEG by way of
 * `picture-file.ts`. Rules: SPEC Q54. What is not read (JPEG 2000, fax, JBIG2, odd colour spaces) is named.
 */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import {
  asDictionary,
  asList,
  asName,
  asNumber,
  asNumbers,
  asStream,
  type PdfObjects,
  resolvePdf,
  unpackStream,
} from "./pdf-objects.ts";
import type { PdfDictionary, PdfStream, PdfValue } from "./pdf-words.ts";
import { readPicture } from "./picture-file.ts";

export type PdfPicture = { readonly picture: GreyPicture; readonly opacity: Uint8Array | undefined };

/** What could not be read, in words for the report. */
export type PdfPictureFault = { readonly notRead: string };

/**
 * Reads an image object (or an inline one whose short keys were made long). `light`: the fill colour, for stencils;
 * `resources`: where colour spaces are named. At most 40 million pixels.
 */
export async function readPdfPicture(
  objects: PdfObjects,
  stream: PdfStream,
  light: number,
  resources: PdfDictionary | undefined,
): Promise<PdfPicture | PdfPictureFault> {
  const { dictionary } = stream;
  const width = asNumber(objects, dictionary.get("Width")) ?? 0;
  const height = asNumber(objects, dictionary.get("Height")) ?? 0;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) return { notRead: "image" };
  if (width * height > pixelsMax) return { notRead: "image of over 40 million pixels" };
  const isStencil = resolvePdf(objects, dictionary.get("ImageMask")) === true;
  const read = await readSamples(objects, stream, { width, height, isStencil, resources });
  if ("notRead" in read) return read;
  if (isStencil) {
    const opacity = read.luma.map((luma) => 255 - luma);
    return { picture: { width, height, luma: new Uint8Array(width * height).fill(Math.round(255 * light)) }, opacity };
  }
  const mask = await readMask(objects, dictionary);
  if (mask === undefined) return { picture: read, opacity: undefined };
  if ("notRead" in mask) return mask;
  // The finer of the two decides: a single black pixel with a fine mask is a drawing too.
  const size = mask.luma.length > read.luma.length ? mask : read;
  return { picture: resized(read, size), opacity: resized(mask, size).luma };
}

type Wanted = {
  readonly width: number;
  readonly height: number;
  readonly isStencil: boolean;
  readonly resources: PdfDictionary | undefined;
};

async function readSamples(
  objects: PdfObjects,
  stream: PdfStream,
  wanted: Wanted,
): Promise<GreyPicture | PdfPictureFault> {
  const { width, height, isStencil } = wanted;
  const { dictionary } = stream;
  const unpacked = unpackStream(objects, stream, width * height * bytesPerPixelMax + 65_536);
  if (typeof unpacked === "string")
    return { notRead: unpacked === "too-large" ? "image larger than it says" : "image" };
  const decode = asNumbers(objects, dictionary.get("Decode"));
  if (unpacked.left === "DCTDecode" || unpacked.left === "DCT") {
    const jpeg = await readPicture(unpacked.bytes, { upright: false });
    if (!jpeg.ok) return { notRead: "image (JPEG)" };
    const { picture } = jpeg.value;
    const isTurned = decode !== undefined && (decode[0] ?? 0) > (decode[1] ?? 1);
    return isTurned ? { ...picture, luma: picture.luma.map((luma) => 255 - luma) } : picture;
  }
  if (unpacked.left !== undefined) return { notRead: `image (${unpacked.left})` };
  const bits = isStencil ? 1 : (asNumber(objects, dictionary.get("BitsPerComponent")) ?? 8);
  const space = isStencil ? grey : readSpace(objects, dictionary.get("ColorSpace"), wanted.resources);
  if (space === undefined || ![1, 2, 4, 8, 16].includes(bits)) return { notRead: "image colours" };
  return { width, height, luma: samplesToLuma(unpacked.bytes, { width, height, bits, space, decode }) };
}

/** One sample is missing: black, as viewers have it. */
function samplesToLuma(
  bytes: Uint8Array,
  layout: {
    readonly width: number;
    readonly height: number;
    readonly bits: number;
    readonly space: Space;
    readonly decode: readonly number[] | undefined;
  },
): Uint8Array {
  const { width, height, bits, space, decode } = layout;
  const { components } = space;
  const rowBytes = Math.ceil((width * components * bits) / 8);
  const largest = 2 ** bits - 1;
  const luma = new Uint8Array(width * height);
  const values = new Array<number>(components).fill(0);
  // An index is a whole number; everything else is a share of 1.
  const [low, high] = space.indexed ? [0, largest] : [0, 1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let component = 0; component < components; component++) {
        const sample = sampleAt(bytes, y * rowBytes, x * components + component, bits) / largest;
        const from = decode?.[2 * component] ?? low;
        const to = decode?.[2 * component + 1] ?? high;
        values[component] = from + sample * (to - from);
      }
      luma[y * width + x] = Math.round(255 * Math.min(1, Math.max(0, space.light(values))));
    }
  }
  return luma;
}

function sampleAt(bytes: Uint8Array, rowStart: number, index: number, bits: number): number {
  if (bits === 8) return bytes[rowStart + index] ?? 0;
  if (bits === 16) return ((bytes[rowStart + 2 * index] ?? 0) << 8) | (bytes[rowStart + 2 * index + 1] ?? 0);
  const bit = index * bits;
  return ((bytes[rowStart + (bit >> 3)] ?? 0) >> (8 - bits - (bit & 7))) & (2 ** bits - 1);
}

/** `Mask` (a stencil that hides) or `SMask` (how much is seen): 255 where the picture covers. */
async function readMask(
  objects: PdfObjects,
  dictionary: PdfDictionary,
): Promise<GreyPicture | PdfPictureFault | undefined> {
  const soft = asStream(objects, dictionary.get("SMask"));
  const hard = asStream(objects, dictionary.get("Mask"));
  const stream = soft ?? hard;
  if (stream === undefined) {
    return asList(objects, dictionary.get("Mask")) === undefined ? undefined : { notRead: "image with a colour key" };
  }
  const maskWidth = asNumber(objects, stream.dictionary.get("Width")) ?? 0;
  const maskHeight = asNumber(objects, stream.dictionary.get("Height")) ?? 0;
  if (!(maskWidth > 0 && maskHeight > 0 && maskWidth * maskHeight <= pixelsMax)) return { notRead: "image mask" };
  const size = { width: maskWidth, height: maskHeight };
  const mask = await readSamples(objects, stream, { ...size, isStencil: soft === undefined, resources: undefined });
  if ("notRead" in mask) return { notRead: "image mask" };
  // In a stencil that hides, 1 hides.
  return soft === undefined ? { ...mask, luma: mask.luma.map((luma) => 255 - luma) } : mask;
}

/** The nearest pixels at another size. */
function resized(picture: GreyPicture, { width, height }: GreyPicture): GreyPicture {
  if (picture.width === width && picture.height === height) return picture;
  const luma = new Uint8Array(width * height);
  for (let at = 0; at < luma.length; at++) {
    const x = Math.floor((((at % width) + 0.5) * picture.width) / width);
    const y = Math.floor(((Math.floor(at / width) + 0.5) * picture.height) / height);
    luma[at] = picture.luma[y * picture.width + x] ?? 0;
  }
  return { width, height, luma };
}

/** How samples become light, 0 (black) to 1. */
export type Space = {
  readonly components: number;
  readonly indexed: boolean;
  readonly light: (values: readonly number[]) => number;
};

/**
 * A colour space by name or by its list; undefined for one that is not read (patterns, Lab). Colours are taken as they are
 * printed by an office printer: no profiles, ink over paper.
 */
export function readSpace(
  objects: PdfObjects,
  value: PdfValue | undefined,
  resources: PdfDictionary | undefined,
  depth = 0,
): Space | undefined {
  if (depth > spaceDepthMax) return undefined;
  const name = asName(objects, value);
  if (name !== undefined) {
    const known = deviceSpaces[name];
    if (known !== undefined && Object.hasOwn(deviceSpaces, name)) return known;
    const named = asDictionary(objects, resources?.get("ColorSpace"))?.get(name);
    return named === undefined ? undefined : readSpace(objects, named, undefined, depth + 1);
  }
  const list = asList(objects, value) ?? [];
  const family = asName(objects, list[0]) ?? "";
  if (family === "CalGray") return grey;
  if (family === "CalRGB") return colour;
  if (family === "ICCBased") {
    const components = asNumber(objects, asDictionary(objects, list[1])?.get("N"));
    return components === 1 ? grey : components === 3 ? colour : components === 4 ? ink : undefined;
  }
  if (family === "Indexed" || family === "I") return readIndexed(objects, list, resources, depth);
  if (family === "Separation") return { components: 1, indexed: false, light: ([tint = 0]) => 1 - tint };
  if (family === "DeviceN") {
    const components = asList(objects, list[1])?.length ?? 0;
    // Each ink takes light away; more than one is as good as its darkest.
    return components === 0 ? undefined : { components, indexed: false, light: (tints) => 1 - Math.max(...tints) };
  }
  return readSpace(objects, list[0], resources, depth + 1);
}

function readIndexed(
  objects: PdfObjects,
  list: readonly PdfValue[],
  resources: PdfDictionary | undefined,
  depth: number,
): Space | undefined {
  const base = readSpace(objects, list[1], resources, depth + 1);
  const lookup = resolvePdf(objects, list[3]);
  if (base === undefined || base.indexed) return undefined;
  const table = paletteBytes(objects, lookup);
  if (table === undefined) return undefined;
  const lights = Array.from({ length: 256 }, (_, index) => {
    const values = Array.from(
      { length: base.components },
      (_each, at) => (table[index * base.components + at] ?? 0) / 255,
    );
    return base.light(values);
  });
  return { components: 1, indexed: true, light: ([index = 0]) => lights[Math.round(index)] ?? 0 };
}

function paletteBytes(objects: PdfObjects, lookup: PdfValue | undefined): Uint8Array | undefined {
  const stream = asStream(objects, lookup);
  if (stream !== undefined) {
    const unpacked = unpackStream(objects, stream, paletteBytesMax);
    return typeof unpacked === "string" || unpacked.left !== undefined ? undefined : unpacked.bytes;
  }
  const isString = typeof lookup === "object" && lookup !== null && "kind" in lookup && lookup.kind === "string";
  return isString ? new Uint8Array(Buffer.from(lookup.text, "latin1")) : undefined;
}

/** Where every page begins. */
export const grey: Space = { components: 1, indexed: false, light: ([light = 0]) => light };
const colour: Space = {
  components: 3,
  indexed: false,
  light: ([red = 0, green = 0, blue = 0]) => 0.299 * red + 0.587 * green + 0.114 * blue,
};
const ink: Space = {
  components: 4,
  indexed: false,
  light: ([cyan = 0, magenta = 0, yellow = 0, black = 0]) =>
    (1 - Math.min(1, black)) * (1 - 0.299 * cyan - 0.587 * magenta - 0.114 * yellow),
};
const deviceSpaces: Readonly<Record<string, Space>> = {
  DeviceGray: grey,
  CalGray: grey,
  G: grey,
  DeviceRGB: colour,
  CalRGB: colour,
  RGB: colour,
  DeviceCMYK: ink,
  CMYK: ink,
};
const pixelsMax = 40_000_000;
// Four inks of 16 bits.
const bytesPerPixelMax = 8;
const spaceDepthMax = 4;
const paletteBytesMax = 65_536;
