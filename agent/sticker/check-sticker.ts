/**
 * Checks a file: what kind it is, which symbols it shows, how large, whose. The judging itself is protocol/sticker.
 *
 * Loads sharp: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import {
  checkPrint,
  type PrintFinding,
  type PrintReport,
  type SymbolQuality,
} from "../../protocol/sticker/print-check.ts";
import { measureFlatSymbols, type ReadSymbol } from "../../protocol/sticker/read-symbol.ts";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import { judgePayload, type KnownStickers } from "../../protocol/sticker/verdict.ts";
import type { PhotoCheck, PhotoCheckOptions } from "./check-photo.ts";
import { measureDrawing, type SeenSymbol, withoutMillimetres } from "./measure-drawing.ts";
import { openPdf, type PdfFault } from "./pdf-file.ts";
import { type PictureFault, type ReadPicture, readPicture } from "./picture-file.ts";
import { readSvg, type SvgFault } from "./svg-file.ts";
import { looksLikeSvg } from "./svg-tree.ts";

export type FileFault =
  | PictureFault
  | PdfFault
  | SvgFault
  | { readonly code: "drawing-too-large"; readonly format: "pdf" | "svg" }
  /** No symbol was found, and something that could hold it was not read. */
  | { readonly code: "drawing-not-read"; readonly format: "pdf" | "svg"; readonly what: readonly string[] }
  | { readonly code: "file-empty" }
  | { readonly code: "file-too-large"; readonly bytes: number; readonly maxBytes: number };

export type StickerCheck = PrintReport & {
  readonly format: "pdf" | "svg" | "png" | "jpeg" | "webp" | "tiff";
  /** Undefined when nothing could be read. */
  readonly payload: string | undefined;
  /** The page with the symbol, counted from 1, and how many there are. */
  readonly page: number;
  readonly pages: number;
  /** All symbols of that page; the report is of the first that is wrong, or of the first. */
  readonly symbols: readonly { readonly payload: string; readonly verdict: PrintReport["verdict"] }[];
  /** What is on the page and was not looked at: text, gradients, ... */
  readonly notRead: readonly string[];
};

/** A print file or scan, or a photograph, as the file itself says, or as the caller knows. */
export type CheckedFile =
  | { readonly kind: "print"; readonly report: StickerCheck }
  | ({ readonly kind: "photo" } & PhotoCheck);

export type CheckFileOptions = PhotoCheckOptions & { readonly as?: "print" | "photo" | undefined };

/** The largest file that is looked at: a page of A4 at 600 dpi, uncompressed, with room to spare. */
export const stickerFileBytesMax = 64_000_000;

/**
 * Checks any file. PDF and SVG are print files. A picture is a photograph when its EXIF states an exposure, when its symbol
 * is tilted, turned without a density or not found; `as` overrules that. Faults: those of `checkStickerFile`. Source: SPEC Q56.
 */
export async function checkFile(bytes: Uint8Array, options: CheckFileOptions): Promise<Result<CheckedFile, FileFault>> {
  const { specification, known } = options;
  const isDrawing = isPdf(bytes) || looksLikeSvg(bytes);
  const fault = sizeFault(bytes);
  if (isDrawing || options.as === "print" || fault !== undefined) {
    const report = await checkStickerFile(bytes, specification, known);
    return report.ok ? ok({ kind: "print", report: report.value }) : report;
  }
  const file = await readPicture(bytes);
  if (!file.ok) return file;
  const asPhoto = options.as === "photo" || file.value.isPhoto;
  const measured = asPhoto ? undefined : measurePicture(file.value, specification);
  if (measured === undefined || looksLikePhoto(file.value, measured)) {
    const { checkPhoto } = await import("./check-photo.ts");
    return ok({ kind: "photo", ...(await checkPhoto(file.value, options)) });
  }
  return ok({ kind: "print", report: reportOf(measured, specification, known) });
}

/**
 * Checks a print file or a flat scan against a specification and the known payloads.
 * Faults: file-empty, file-too-large (64 MB), drawing-too-large (painting would take minutes), drawing-not-read, those of
 * `readPicture`, `openPdf` and `readSvg`. A readable file without a symbol is no fault but the verdict `fail` with the finding
 * `sticker-unreadable`. Source: SPEC Q14-Q25, Q48-Q57.
 */
export async function checkStickerFile(
  bytes: Uint8Array,
  specification: StickerSpecification,
  known: KnownStickers,
): Promise<Result<StickerCheck, FileFault>> {
  const fault = sizeFault(bytes);
  if (fault !== undefined) return failed(fault);
  const measured = await measureFile(bytes, specification);
  return measured.ok ? ok(reportOf(measured.value, specification, known)) : measured;
}

function sizeFault(bytes: Uint8Array): (FileFault & { readonly code: "file-empty" | "file-too-large" }) | undefined {
  if (bytes.length === 0) return { code: "file-empty" };
  if (bytes.length <= stickerFileBytesMax) return undefined;
  return { code: "file-too-large", bytes: bytes.length, maxBytes: stickerFileBytesMax };
}

/** `corners` of a picture's symbols, in its pixels. */
type MeasuredSymbol = SeenSymbol & { readonly corners?: ReadSymbol["corners"] };

type MeasuredFile = Pick<StickerCheck, "format" | "page" | "pages" | "notRead"> & {
  readonly symbols: readonly MeasuredSymbol[];
  readonly printScalingOff: boolean | undefined;
};

/**
 * SPEC Q57: on a sheet of several symbols each is judged, or those of the expected panel where one is expected and there;
 * the worst verdict counts, and the findings of all stand together.
 */
function reportOf(measured: MeasuredFile, specification: StickerSpecification, known: KnownStickers): StickerCheck {
  const { format, page, pages, notRead, printScalingOff } = measured;
  const reports = measured.symbols.map(({ text, extent, quality }) => {
    const identity = judgePayload(text, known);
    const report = checkPrint({ extent, quality: { ...quality, printScalingOff }, identity, specification });
    return { ...report, payload: text };
  });
  const symbols = reports.map(({ payload, verdict }) => ({ payload, verdict }));
  const about = { format, page, pages, symbols, notRead };
  const expected = reports.filter(({ identity }) => identity.panel === known.expectedPanel);
  const judged = known.expectedPanel !== undefined && expected.length > 0 ? expected : reports;
  const first = judged.find(({ verdict }) => verdict !== "pass") ?? judged[0];
  if (first === undefined) {
    const identity = judgePayload(undefined, known);
    const extent = { unit: "none", reason: "no-symbol" } as const;
    const quality = { ...unknownQuality, printScalingOff };
    return { ...checkPrint({ extent, quality, identity, specification }), ...about, payload: undefined };
  }
  const others = judged.filter((report) => report !== first);
  const failing = judged.some(({ verdict }) => verdict === "fail");
  return {
    ...first,
    ...about,
    verdict: failing ? "fail" : first.verdict,
    findings: [...first.findings, ...others.flatMap((report) => othersFindings(report, measured.symbols.length))],
  };
}

/** Findings of a further symbol say which one; what is of the whole document is said once. */
function othersFindings(report: PrintReport & { readonly payload: string }, symbols: number): readonly PrintFinding[] {
  const whose = report.identity.panel ?? report.payload.slice(-8);
  return report.findings
    .filter(({ where }) => where !== "document")
    .map((finding) => ({ ...finding, where: `${finding.where} of ${whose} (one of ${symbols})` }));
}

async function measureFile(
  bytes: Uint8Array,
  specification: StickerSpecification,
): Promise<Result<MeasuredFile, FileFault>> {
  if (isPdf(bytes)) return measurePdf(bytes, specification);
  if (looksLikeSvg(bytes)) return measureSvg(bytes, specification);
  const file = await readPicture(bytes);
  return file.ok ? ok(measurePicture(file.value, specification)) : file;
}

function measurePicture(file: ReadPicture, specification: StickerSpecification): MeasuredFile {
  const { format, picture, density, pages } = file;
  const found = measureFlatSymbols(picture, specification.quietZoneModules, symbolsMax);
  const symbols = found.map(({ text, extent, quality, corners }) => {
    const measured = extent.kind === "tilted" ? tilted : ({ unit: "px", ...extent, density } as const);
    return { text, extent: measured, quality, corners };
  });
  return { format, page: 1, pages, notRead: [], symbols, printScalingOff: undefined };
}

/** SPEC Q56: nothing found or seen at an angle; or turned by more than a file is, with no density that a scan would have. */
function looksLikePhoto(file: ReadPicture, measured: MeasuredFile): boolean {
  const [first] = measured.symbols;
  if (first === undefined || first.extent.unit === "none") return true;
  if (file.density !== undefined || first.corners === undefined) return false;
  const [topLeft, topRight] = first.corners;
  const [across, down] = [Math.abs(topRight.x - topLeft.x), Math.abs(topRight.y - topLeft.y)];
  return Math.min(across, down) > fileTurnMax * Math.max(across, down);
}

/** Pages are looked at in their order until one shows a symbol. */
async function measurePdf(
  bytes: Uint8Array,
  specification: StickerSpecification,
): Promise<Result<MeasuredFile, FileFault>> {
  const pdf = openPdf(bytes);
  if (!pdf.ok) return pdf;
  const { pages, printScalingOff } = pdf.value;
  const notRead = new Set<string>();
  for (let page = 1; page <= Math.min(pages, pagesMax); page++) {
    const drawing = await pdf.value.drawPage(page - 1);
    if (!drawing.ok) return drawing;
    for (const what of drawing.value.notRead) notRead.add(what);
    const symbols = measureDrawing(drawing.value, specification, symbolsMax);
    if (symbols === "too-large") return failed({ code: "drawing-too-large", format: "pdf" });
    if (symbols.length === 0) continue;
    return ok({ format: "pdf", page, pages, notRead: drawing.value.notRead, symbols, printScalingOff });
  }
  if (pages > pagesMax) notRead.add(`pages after ${pagesMax}`);
  const what = couldHoldSymbol([...notRead]);
  if (what.length > 0) return failed({ code: "drawing-not-read", format: "pdf", what });
  return ok({ format: "pdf", page: 1, pages, notRead: [...notRead], symbols: [], printScalingOff });
}

async function measureSvg(
  bytes: Uint8Array,
  specification: StickerSpecification,
): Promise<Result<MeasuredFile, FileFault>> {
  const svg = await readSvg(bytes);
  if (!svg.ok) return svg;
  const { drawing, unit, pixelsPerMm } = svg.value;
  const found = measureDrawing(drawing, specification, symbolsMax);
  if (found === "too-large") return failed({ code: "drawing-too-large", format: "svg" });
  const what = couldHoldSymbol(drawing.notRead);
  if (found.length === 0 && what.length > 0) return failed({ code: "drawing-not-read", format: "svg", what });
  const symbols = unit === "mm" ? found : found.map((symbol) => withoutMillimetres(symbol, pixelsPerMm));
  return ok({ format: "svg", page: 1, pages: 1, notRead: drawing.notRead, symbols, printScalingOff: undefined });
}

function couldHoldSymbol(notRead: readonly string[]): readonly string[] {
  return notRead.filter((what) => !harmless.has(what));
}

function isPdf(bytes: Uint8Array): boolean {
  // The standard allows other bytes before the header; readers look at the first 1,024.
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1024)).includes("%PDF-");
}

const tilted = { unit: "none", reason: "tilted" } as const;
const unknownQuality: Omit<SymbolQuality, "printScalingOff"> = {
  symbolVersion: undefined,
  errorCorrectionLevel: undefined,
  maskPattern: undefined,
  moduleErrors: undefined,
  quietZoneModules: undefined,
  contrastPercent: undefined,
};
/** What cannot hold a symbol: letters, except in fonts of blocks, which nobody prints stickers with. */
const harmless: ReadonlySet<string> = new Set(["text", "dashes"]);
const pagesMax = 20;
// An A4 sheet of the smallest stickers that a phone reads.
const symbolsMax = 60;
// A quarter of a degree: files are upright, photographs never quite.
const fileTurnMax = 0.0044;
