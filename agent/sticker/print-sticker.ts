/**
 * Makes the print files of one sticker: a sheet as PDF in exact millimetres, and the sticker's face as PNG with its true
 * density. The payload is taken as the authority minted it. Same input, same bytes: no date, no random name.
 *
 * Loads sharp and pdf-lib: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import { payloadToSymbol, type SymbolFault, symbolRuns } from "../../protocol/sticker/symbol.ts";
import { parseStickerUrl } from "../../protocol/sticker/token.ts";
import { strokeWidth } from "./lettering.ts";
import { svgToPng } from "./picture-file.ts";
import { layOutSticker, type PlacedLine } from "./sticker-layout.ts";
import { drawStickerPdf } from "./sticker-pdf.ts";

export type StickerOrder = {
  readonly payload: string;
  readonly doorName: string;
  readonly epoch: number;
  readonly specification: StickerSpecification;
  /** Written into the PDF when given; without it the PDF has no date at all. */
  readonly madeAt?: Date;
};

export type PrintedSticker = {
  readonly pdf: Uint8Array;
  readonly png: Uint8Array;
  readonly symbol: { readonly modules: number; readonly version: number; readonly sizeMm: number };
  readonly face: { readonly widthMm: number; readonly heightMm: number };
  readonly pixelsPerModule: number;
  readonly pixelsPerMetre: number;
  /** Characters of the door name that are not on the sticker because they cannot be drawn. */
  readonly missingCharacters: string;
};

export type PrintFault = SymbolFault | { readonly code: "payload-not-a-sticker" };

/**
 * Makes both files in memory.
 * Faults: payload-not-a-sticker (nothing else is printed as a sticker), payload-too-long for the specified version,
 * payload-not-alphanumeric. Source: SPEC Q13.
 */
export async function printSticker(order: StickerOrder): Promise<Result<PrintedSticker, PrintFault>> {
  if (!parseStickerUrl(order.payload).ok) return failed({ code: "payload-not-a-sticker" });
  const symbol = payloadToSymbol(order.payload, order.specification);
  if (!symbol.ok) return symbol;
  const { moduleMm } = order.specification;
  const layout = layOutSticker(order.specification, order);
  const runs = symbolRuns(symbol.value);
  const pdf = await drawStickerPdf({ ...order, layout, runs });
  // Whole pixels a module; the density follows from them, so that the size is exact whatever the module is.
  const pixelsPerMm = pixelsPerModule / moduleMm;
  const widthPx = Math.round(layout.widthMm * pixelsPerMm);
  const heightPx = Math.round(layout.heightMm * pixelsPerMm);
  const left = Math.round(layout.symbolLeftMm * pixelsPerMm);
  const top = Math.round(layout.symbolTopMm * pixelsPerMm);
  const rectangles = runs
    .map((run) => {
      const width = run.width * pixelsPerModule;
      const x = left + run.column * pixelsPerModule;
      return `M${x} ${top + run.row * pixelsPerModule}h${width}v${pixelsPerModule}h-${width}z`;
    })
    .join("");
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${widthPx}" height="${heightPx}">` +
    `<path fill="#fff" d="M0 0h${widthPx}v${heightPx}H0z"/>` +
    `<path d="${rectangles}" shape-rendering="crispEdges"/>${lettersToSvg(layout.lines, pixelsPerMm)}</svg>`;
  return ok({
    pdf,
    png: await svgToPng(svg, pixelsPerMm),
    symbol: {
      modules: symbol.value.modules,
      version: symbol.value.version,
      sizeMm: symbol.value.modules * moduleMm,
    },
    face: { widthMm: layout.widthMm, heightMm: layout.heightMm },
    pixelsPerModule,
    pixelsPerMetre: Math.round(pixelsPerMm * 1000),
    missingCharacters: layout.missing,
  });
}

function lettersToSvg(lines: readonly PlacedLine[], pixelsPerMm: number): string {
  const groups = lines.map(({ line, leftMm, topMm, scale }) => {
    const place = `translate(${leftMm * pixelsPerMm} ${topMm * pixelsPerMm}) scale(${scale * pixelsPerMm})`;
    const paths = line.glyphs.map((glyph) => `<path transform="translate(${glyph.x} 0)" d="${glyph.path}"/>`);
    return `<g transform="${place}">${paths.join("")}</g>`;
  });
  const pen = `fill="none" stroke="#000" stroke-width="${strokeWidth}" stroke-linecap="round" stroke-linejoin="round"`;
  return `<g ${pen}>${groups.join("")}</g>`;
}

// 24 pixels to a module of 1 mm is 610 dpi: finer than office printers, and still a small file.
const pixelsPerModule = 24;
