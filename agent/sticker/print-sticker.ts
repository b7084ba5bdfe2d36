/**
 * The print files of one sticker: a PDF, an SVG and a PNG of the same face, all in exact millimetres. Same order, same bytes.
 *
 * Loads sharp and pdf-lib: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import {
  type ModuleRun,
  payloadToSymbol,
  type SymbolFault,
  type SymbolMatrix,
  symbolRuns,
} from "../../protocol/sticker/symbol.ts";
import { parseStickerUrl } from "../../protocol/sticker/token.ts";
import type { Paper } from "./pdf-page.ts";
import { svgToPng } from "./picture-file.ts";
import { layOutSticker, type StickerForm, type StickerLayout } from "./sticker-layout.ts";
import { drawStickerPdf, pageRoomMm } from "./sticker-pdf.ts";
import { faceToPixelSvg, faceToSvg } from "./sticker-svg.ts";

export type StickerOrder = {
  readonly payload: string;
  readonly doorName: string;
  readonly epoch: number;
  readonly specification: StickerSpecification;
  /** A4 when it is not said. */
  readonly paper?: Paper | undefined;
  /** Written into the PDF when given; without it the PDF has no date at all. */
  readonly madeAt?: Date;
};

export type SymbolFacts = {
  readonly modules: number;
  readonly version: number;
  readonly moduleMm: number;
  readonly sizeMm: number;
};

export type FaceFault = SymbolFault | { readonly code: "payload-not-a-sticker" };
export type RoomFault = {
  readonly code: "sticker-too-large";
  readonly on: string;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly roomWidthMm: number;
  readonly roomHeightMm: number;
};
export type PrintFault = FaceFault | RoomFault;

export type StickerFace = {
  readonly symbol: SymbolMatrix;
  readonly layout: StickerLayout;
  readonly runs: readonly ModuleRun[];
};

/**
 * What stands on a sticker, and where. Faults: payload-not-a-sticker (nothing else is printed as a sticker), payload-too-long for the
 * specified version, payload-not-alphanumeric. Source: SPEC Q13.
 */
export function makeFace(
  order: Pick<StickerOrder, "payload" | "doorName" | "epoch" | "specification">,
  form: StickerForm,
): Result<StickerFace, FaceFault> {
  if (!parseStickerUrl(order.payload).ok) return failed({ code: "payload-not-a-sticker" });
  const symbol = payloadToSymbol(order.payload, order.specification);
  if (!symbol.ok) return symbol;
  const layout = layOutSticker(order.specification, order, form);
  return ok({ symbol: symbol.value, layout, runs: symbolRuns(symbol.value) });
}

/** Fault: sticker-too-large for the paper. */
export async function facePdf(order: StickerOrder, face: StickerFace): Promise<Result<Uint8Array, RoomFault>> {
  const { paper = "a4" } = order;
  const room = pageRoomMm(paper);
  const { widthMm, heightMm } = face.layout;
  if (widthMm > room.widthMm || heightMm > room.heightMm)
    return failed(tooLarge(`a page of ${paper}`, face.layout, room));
  return ok(await drawStickerPdf({ ...order, ...face, paper }));
}

export function faceSvg({ layout, runs }: StickerFace, { moduleMm }: StickerSpecification): string {
  return faceToSvg({ layout, runs, moduleMm });
}

export type FacePng = { readonly png: Uint8Array; readonly pixelsPerModule: number; readonly pixelsPerMetre: number };

/**
 * Whole pixels a module; the density follows from them, so that the size is exact whatever the module is. A printer's dots a module make it
 * the printer's own density.
 */
export async function facePng(
  { layout, runs }: StickerFace,
  { moduleMm }: StickerSpecification,
  pixelsPerModule = defaultPixelsPerModule,
): Promise<FacePng> {
  const { svg, pixelsPerMm } = faceToPixelSvg({ layout, runs, moduleMm }, pixelsPerModule);
  const pixelsPerMetre = Math.round(pixelsPerMm * 1000);
  return { png: await svgToPng(svg, pixelsPerMm), pixelsPerModule, pixelsPerMetre };
}

export function symbolFacts({ modules, version }: SymbolMatrix, { moduleMm }: StickerSpecification): SymbolFacts {
  return { modules, version, moduleMm, sizeMm: modules * moduleMm };
}

export function tooLarge(
  on: string,
  { widthMm, heightMm }: { readonly widthMm: number; readonly heightMm: number },
  room: { readonly widthMm: number; readonly heightMm: number },
): RoomFault {
  return {
    code: "sticker-too-large",
    on,
    widthMm,
    heightMm,
    roomWidthMm: room.widthMm,
    roomHeightMm: room.heightMm,
  };
}

// 24 pixels to a module of 1 mm is 610 dpi: finer than office printers, and still a small file.
const defaultPixelsPerModule = 24;
