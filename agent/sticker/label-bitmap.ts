/** The face of a sticker in a label printer's own dots: every module a whole number of them, every dot black or white. */
import { assert, type Result } from "../../protocol/base/result.ts";
import type { WholeDots } from "../../protocol/sticker/whole-dots.ts";
import { readPicture, svgToPng } from "./picture-file.ts";
import { type FaceFault, makeFace, type StickerOrder, type SymbolFacts, symbolFacts } from "./print-sticker.ts";
import { faceToPixelSvg } from "./sticker-svg.ts";

/** `rows` are `bytesPerRow` bytes each, one after the other; the first dot of a row is the highest bit of its first byte, 1 prints. */
export type DotPicture = {
  readonly widthDots: number;
  readonly heightDots: number;
  readonly bytesPerRow: number;
  readonly rows: Uint8Array;
};

export type Label = {
  readonly picture: DotPicture;
  readonly symbol: SymbolFacts;
  readonly dotsPerModule: number;
  readonly printerDpi: number;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly missingCharacters: string;
};

/** Faults: those of `makeFace`. Source: SPEC Q62. */
export async function makeLabel(
  order: Pick<StickerOrder, "payload" | "doorName" | "epoch">,
  { specification, dots, moduleMm }: WholeDots,
): Promise<Result<Label, FaceFault>> {
  const made = makeFace({ ...order, specification }, "label");
  if (!made.ok) return made;
  const { layout, runs, symbol } = made.value;
  const { svg, pixelsPerMm } = faceToPixelSvg({ layout, runs, moduleMm }, dots);
  // Letters have soft edges in a grey picture and hard ones on a label; modules have hard ones in both.
  const drawn = await readPicture(await svgToPng(svg, pixelsPerMm));
  assert(drawn.ok, "a picture of our own reads");
  const { width, height, luma } = drawn.value.picture;
  return {
    ok: true,
    value: {
      picture: lumaToDots(luma, width, height),
      symbol: symbolFacts(symbol, specification),
      dotsPerModule: dots,
      printerDpi: specification.printerDpi,
      widthMm: width / pixelsPerMm,
      heightMm: height / pixelsPerMm,
      missingCharacters: layout.missing,
    },
  };
}

function lumaToDots(luma: Uint8Array, width: number, height: number): DotPicture {
  const bytesPerRow = Math.ceil(width / 8);
  const rows = new Uint8Array(bytesPerRow * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if ((luma[y * width + x] ?? 255) >= 128) continue;
      const at = y * bytesPerRow + (x >> 3);
      rows[at] = (rows[at] ?? 0) | (0x80 >> (x & 7));
    }
  }
  return { widthDots: width, heightDots: height, bytesPerRow, rows };
}
