/**
 * The files of one `make`: what is in each, and what each is called. Nothing is written here.
 *
 * Loads sharp and pdf-lib: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type BrotherRoll, brotherRolls, dotsToBrother } from "./brother-file.ts";
import { describeFault } from "./command-parts.ts";
import { type Label, makeLabel } from "./label-bitmap.ts";
import type { FilesOrder, StickerFormat, ValidPanel } from "./make-order.ts";
import {
  facePdf,
  facePng,
  faceSvg,
  makeFace,
  type PrintFault,
  type StickerFace,
  type SymbolFacts,
  symbolFacts,
  tooLarge,
} from "./print-sticker.ts";
import { drawSheetPdf, sheetGrid, sheetRoomMm } from "./sheet-pdf.ts";
import { dotsToZpl } from "./zpl-file.ts";

export type MadeSticker = {
  readonly record: ValidPanel;
  readonly files: Readonly<Record<string, string>>;
  readonly symbol: SymbolFacts;
  readonly face: { readonly widthMm: number; readonly heightMm: number };
  readonly missingCharacters: string;
};

export type MadeFiles = {
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array | string }[];
  readonly stickers: readonly MadeSticker[];
  readonly sheet: { readonly pdf: string; readonly pages: number } | undefined;
};

/** One clear line of what cannot be printed, and what to change. */
export type FilesFault = { readonly code: "not-printable"; readonly line: string };

type NamedFile = MadeFiles["files"][number];
type MadeOne = Omit<MadeSticker, "files"> & { readonly files: Readonly<Record<string, NamedFile>> };

/** Fault: not-printable, for the first panel that has one; nothing is made then. */
export async function makeFiles(
  records: readonly ValidPanel[],
  order: FilesOrder,
): Promise<Result<MadeFiles, FilesFault>> {
  const stickers: MadeOne[] = [];
  for (const record of records) {
    const made = await makeOne(record, order);
    if (!made.ok) return made;
    stickers.push(made.value);
  }
  const sheet = order.sheet ? await makeSheet(records, order) : undefined;
  if (sheet?.ok === false) return sheet;
  return ok({
    files: [
      ...stickers.flatMap(({ files }) => Object.values(files)),
      ...(sheet === undefined ? [] : [{ name: sheetName, bytes: sheet.value.bytes }]),
    ],
    stickers: stickers.map((sticker) => ({
      ...sticker,
      files: Object.fromEntries(Object.entries(sticker.files).map(([format, { name }]) => [format, name])),
    })),
    sheet: sheet === undefined ? undefined : { pdf: sheetName, pages: sheet.value.pages },
  });
}

async function makeOne(record: ValidPanel, order: FilesOrder): Promise<Result<MadeOne, FilesFault>> {
  const { formats, specification, dots, paper, sheet } = order;
  const fault = (cause: PrintFault) => failed(notPrintable(record, cause));
  const words = { payload: record.current, doorName: record.doorName, epoch: record.epoch, specification };
  const face = makeFace(words, "sheet");
  if (!face.ok) return fault(face.fault);
  const files: Record<string, NamedFile> = {};
  const add = (format: StickerFormat, bytes: Uint8Array | string): void => {
    files[format] = { name: `${record.panel}-${record.epoch}.${endings[format]}`, bytes };
  };
  if (formats.includes("pdf") && !sheet) {
    const pdf = await facePdf({ ...words, paper }, face.value);
    if (!pdf.ok) return fault(pdf.fault);
    add("pdf", pdf.value);
  }
  if (formats.includes("svg")) add("svg", faceSvg(face.value, specification));
  if (formats.includes("png")) add("png", (await facePng(face.value, specification, dots?.dots)).png);
  if (dots !== undefined && (formats.includes("zpl") || formats.includes("brother"))) {
    const label = await makeLabel(words, dots);
    if (!label.ok) return fault(label.fault);
    if (formats.includes("zpl")) add("zpl", dotsToZpl(label.value.picture, labelNote(record, label.value)));
    const brother = formats.includes("brother") ? makeBrother(record, label.value, order) : undefined;
    if (brother?.ok === false) return brother;
    if (brother !== undefined) add("brother", brother.value);
  }
  const { symbol, layout } = face.value;
  return ok({
    record,
    files,
    symbol: symbolFacts(symbol, specification),
    face: { widthMm: layout.widthMm, heightMm: layout.heightMm },
    missingCharacters: layout.missing,
  });
}

function makeBrother(record: ValidPanel, label: Label, { roll }: FilesOrder): Result<Uint8Array, FilesFault> {
  const known = Object.keys(brotherRolls).map(Number);
  const width = known.find((each) => each === roll) as BrotherRoll | undefined;
  if (width === undefined) return failed({ code: "not-printable", line: `no roll of ${roll} mm; there are ${known}` });
  const made = dotsToBrother(label.picture, width);
  if (made.ok) return made;
  const { widthDots, printableDots } = made.fault;
  const dotsMax = Math.floor(printableDots / (widthDots / label.dotsPerModule));
  const moduleMm = Number((dotsMax / (label.printerDpi / 25.4)).toFixed(3));
  const line =
    `${record.panel}: the label is ${widthDots} dots wide and a roll of ${roll} mm prints ${printableDots}: ` +
    `take a wider roll, or a specification with moduleMm: ${moduleMm} (${dotsMax} dots)`;
  return failed({ code: "not-printable", line });
}

async function makeSheet(
  records: readonly ValidPanel[],
  { specification, paper }: FilesOrder,
): Promise<Result<{ readonly bytes: Uint8Array; readonly pages: number }, FilesFault>> {
  const stickers: (StickerFace & { readonly panel: string; readonly epoch: number })[] = [];
  for (const record of records) {
    const { panel, doorName, epoch } = record;
    const face = makeFace({ payload: record.current, doorName, epoch, specification }, "sheet");
    if (!face.ok) return failed(notPrintable(record, face.fault));
    stickers.push({ panel, epoch, ...face.value });
  }
  const [first] = stickers;
  const [record] = records;
  if (first === undefined || record === undefined) return failed({ code: "not-printable", line: "no panel" });
  const { columns, rows } = sheetGrid(first.layout, paper);
  if (columns * rows === 0)
    return failed(notPrintable(record, tooLarge(`a sheet of ${paper}`, first.layout, sheetRoomMm(paper))));
  const bytes = await drawSheetPdf({ stickers, specification, paper });
  return ok({ bytes, pages: Math.ceil(stickers.length / (columns * rows)) });
}

function notPrintable({ panel }: ValidPanel, fault: PrintFault): FilesFault {
  if (fault.code !== "sticker-too-large") {
    return { code: "not-printable", line: `${panel}: ${describeFault(fault)}` };
  }
  const { on, widthMm, heightMm, roomWidthMm, roomHeightMm } = fault;
  const size = (width: number, height: number) => `${width.toFixed(1)} x ${height.toFixed(1)} mm`;
  const line =
    `${panel}: the sticker is ${size(widthMm, heightMm)} and ${on} has room for ` +
    `${size(roomWidthMm, roomHeightMm)}: take a smaller moduleMm, or print the SVG on larger paper (--format svg)`;
  return { code: "not-printable", line };
}

function labelNote({ panel, epoch }: ValidPanel, { symbol, dotsPerModule, printerDpi }: Label): string {
  return `${panel}, number ${epoch}: ${dotsPerModule} dots a module at ${printerDpi} dpi, code ${symbol.sizeMm.toFixed(2)} mm`;
}

const endings = { pdf: "pdf", svg: "svg", png: "png", zpl: "zpl", brother: "brother.prn" } as const;
const sheetName = "stickers.pdf";
