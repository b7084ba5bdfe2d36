/**
 * Checks a print file: what kind of file, which symbol, how large, whose. The judging itself is protocol/sticker.
 *
 * Loads sharp and pdf-lib: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import {
  checkPrint,
  type PrintReport,
  type SymbolExtent,
  type SymbolQuality,
} from "../../protocol/sticker/print-check.ts";
import { type ReadSymbol, readSymbol } from "../../protocol/sticker/read-symbol.ts";
import { type StickerSpecification, symbolModules } from "../../protocol/sticker/specification.ts";
import { judgePayload, type KnownStickers } from "../../protocol/sticker/verdict.ts";
import { boundRectangles, type PdfFault, type ReadPdf, readPdf, rectanglesToPicture } from "./pdf-file.ts";
import { type PictureFault, readPicture } from "./picture-file.ts";

export type FileFault =
  | PictureFault
  | PdfFault
  | { readonly code: "file-empty" }
  | { readonly code: "file-too-large"; readonly bytes: number; readonly maxBytes: number };

export type StickerCheck = PrintReport & {
  readonly format: "pdf" | "png" | "jpeg" | "webp" | "tiff";
  /** Undefined when nothing could be read. */
  readonly payload: string | undefined;
};

/** The largest file that is looked at: a page of A4 at 600 dpi, uncompressed, with room to spare. */
export const stickerFileBytesMax = 64_000_000;

/**
 * Checks one file against a specification and the known payloads.
 * Faults: file-empty, file-too-large (64 MB), those of `readPicture` and `readPdf`. A readable file without a symbol is no
 * fault but the verdict `fail` with the finding `sticker-unreadable`. Source: SPEC Q14-Q25.
 */
export async function checkStickerFile(
  bytes: Uint8Array,
  specification: StickerSpecification,
  known: KnownStickers,
): Promise<Result<StickerCheck, FileFault>> {
  if (bytes.length === 0) return failed({ code: "file-empty" });
  if (bytes.length > stickerFileBytesMax) {
    return failed({ code: "file-too-large", bytes: bytes.length, maxBytes: stickerFileBytesMax });
  }
  const measured = isPdf(bytes) ? await measurePdf(bytes, specification) : await measurePicture(bytes, specification);
  if (!measured.ok) return measured;
  const { format, payload, extent, quality } = measured.value;
  const identity = judgePayload(payload, known);
  return ok({ ...checkPrint({ extent, quality, identity, specification }), format, payload });
}

type MeasuredFile = {
  readonly format: StickerCheck["format"];
  readonly payload: string | undefined;
  readonly extent: SymbolExtent;
  readonly quality: SymbolQuality;
};

async function measurePicture(
  bytes: Uint8Array,
  specification: StickerSpecification,
): Promise<Result<MeasuredFile, PictureFault>> {
  const file = await readPicture(bytes);
  if (!file.ok) return file;
  const { format, picture, density } = file.value;
  const read = readSymbol(picture, specification.quietZoneModules);
  if (!read.ok) return ok({ format, ...nothingRead(undefined) });
  const { text, extent, quality } = read.value;
  return ok({
    format,
    payload: text,
    extent: extent.kind === "tilted" ? { unit: "none", reason: "tilted" } : { unit: "px", ...extent, density },
    quality: { ...quality, printScalingOff: undefined },
  });
}

async function measurePdf(
  bytes: Uint8Array,
  specification: StickerSpecification,
): Promise<Result<MeasuredFile, PdfFault>> {
  const pdf = await readPdf(bytes);
  if (!pdf.ok) return pdf;
  const { widthMm, heightMm, printScalingOff } = pdf.value;
  const pixelsPerMm = Math.min(readingPixelsPerMm, Math.sqrt(readingPixelsMax / (widthMm * heightMm)));
  const picture = rectanglesToPicture(pdf.value, pixelsPerMm);
  const read = readSymbol(picture, specification.quietZoneModules);
  if (!read.ok) return ok({ format: "pdf", ...nothingRead(printScalingOff) });
  return ok({
    format: "pdf",
    payload: read.value.text,
    extent: vectorExtent(pdf.value, read.value, pixelsPerMm),
    // Ink has no contrast yet: what a file calls black is judged when it is scanned.
    quality: { ...read.value.quality, contrastPercent: undefined, printScalingOff },
  });
}

/** The picture says where the symbol is; the file's own numbers say how large. */
function vectorExtent(pdf: ReadPdf, read: ReadSymbol, pixelsPerMm: number): SymbolExtent {
  const { extent, corners, quality } = read;
  if (extent.kind === "tilted" || quality.symbolVersion === undefined) return { unit: "none", reason: "tilted" };
  const xs = corners.map((corner) => corner.x / pixelsPerMm);
  const ys = corners.map((corner) => corner.y / pixelsPerMm);
  const around = { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
  const halfModuleMm = extent.width / pixelsPerMm / symbolModules(quality.symbolVersion) / 2;
  const box = boundRectangles(pdf.rectangles, around, halfModuleMm / 2);
  if (box === undefined) return { unit: "none", reason: "no-symbol" };
  return { unit: "mm", width: box.right - box.left, height: box.bottom - box.top, uncertainty: vectorUncertaintyMm };
}

function nothingRead(printScalingOff: boolean | undefined): Omit<MeasuredFile, "format"> {
  return {
    payload: undefined,
    extent: { unit: "none", reason: "no-symbol" },
    quality: {
      symbolVersion: undefined,
      errorCorrectionLevel: undefined,
      maskPattern: undefined,
      moduleErrors: undefined,
      quietZoneModules: undefined,
      contrastPercent: undefined,
      printScalingOff,
    },
  };
}

function isPdf(bytes: Uint8Array): boolean {
  // The standard allows other bytes before the header; readers look at the first 1,024.
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1024)).includes("%PDF-");
}

const readingPixelsPerMm = 10;
const readingPixelsMax = 40_000_000;
// Numbers in a PDF are written to five digits or so; a micrometre is more than they lose.
const vectorUncertaintyMm = 0.001;
