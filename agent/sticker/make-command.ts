/** `doorlink sticker make`: print files of what the authority minted, for paper and for label printers. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import { snapToWholeDots, type WholeDots, type WholeDotsFault } from "../../protocol/sticker/whole-dots.ts";
import { brotherDpi, brotherRolls } from "./brother-file.ts";
import {
  ageText,
  type Complaint,
  complain,
  json,
  listPanels,
  loadSpecification,
  reasonOf,
  type StickerCommandDeps,
  table,
  unknownPanel,
  usage,
} from "./command-parts.ts";
import type { MadeFiles, MadeSticker } from "./make-files.ts";
import { type FilesOrder, type StickerFormat, stickerFormats, type ValidPanel } from "./make-order.ts";
import type { Paper } from "./pdf-page.ts";

export type MakeOptions = {
  readonly out: string;
  readonly specification?: string;
  readonly format?: readonly StickerFormat[];
  readonly printerDpi?: string;
  readonly roll?: string;
  readonly paper?: Paper;
  readonly sheet?: boolean;
  readonly json?: boolean;
};

/** Adds `make` to `sticker`. */
export function registerMakeCommand(sticker: Command, deps: StickerCommandDeps): void {
  const make = sticker
    .command("make")
    .argument("<panels...>", "the panels whose current stickers are printed")
    .description("print files of panels' current stickers, in exact millimetres");
  addMakeOptions(make.requiredOption("--out <dir>", "folder to write to; made when it is not there"))
    .option("--json", "one JSON object on stdout")
    .action(async (panels: string[], options: MakeOptions) => deps.finish(await runStickerMake(panels, options, deps)));
}

/** What says how stickers are printed; `rotate` takes it too. */
export function addMakeOptions(command: Command): Command {
  return command
    .option("--specification <file>", "sticker specification (YAML)")
    .option("--format <list>", `which files: ${stickerFormats.join(",")} (default: pdf,svg,png)`, readFormats)
    .addOption(
      new Option("--printer-dpi <dpi>", "the printer's resolution; the module becomes whole dots of it").choices([
        "203",
        "300",
        "600",
      ]),
    )
    .addOption(new Option("--roll <mm>", "of a Brother QL (default: 62)").choices(Object.keys(brotherRolls)))
    .addOption(new Option("--paper <paper>", "of the PDF (default: a4)").choices(["a4", "letter"]))
    .option("--sheet", "one PDF with all stickers on as few pages as they need");
}

/** Writes `<panel>-<epoch>.<format>` for each panel, or `stickers.pdf` for all of them. */
export async function runStickerMake(
  names: readonly string[],
  options: MakeOptions,
  deps: StickerCommandDeps,
): Promise<number> {
  const order = await readOrder(options);
  if (!order.ok) return complain(deps, order.fault);
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  const chosen = choosePanels(names, panels.value);
  if (!chosen.ok) return complain(deps, chosen.fault);
  const made = await writeStickers(chosen.value, order.value, options.out);
  if (!made.ok) return complain(deps, made.fault);
  deps.write(options.json === true ? json(madeJson(made.value, order.value)) : madeText(made.value, order.value));
  for (const { record, missingCharacters } of made.value.stickers) {
    if (missingCharacters !== "") deps.warn(`${record.panel}: not drawn on the sticker: ${missingCharacters}\n`);
  }
  return 0;
}

/**
 * Everything that the options say, checked before anybody is asked for anything.
 * Complaints: a specification that does not read, a label without its printer's dots, a module that is no whole number of them.
 */
export async function readOrder(options: MakeOptions): Promise<Result<FilesOrder, Complaint>> {
  const loaded = await loadSpecification(options.specification);
  if (!loaded.ok) return loaded;
  const formats = options.format ?? ["pdf", "svg", "png"];
  const isBrother = formats.includes("brother");
  const dpi = options.printerDpi === undefined ? loaded.value.printerDpi : Number(options.printerDpi);
  if (isBrother && dpi !== undefined && dpi !== brotherDpi) {
    return failed(
      usage(`a Brother QL has ${brotherDpi} dots to the inch, not ${dpi}: make its files without --printer-dpi ${dpi}`),
    );
  }
  if (formats.includes("zpl") && dpi === undefined && !isBrother) {
    return failed(
      usage("a ZPL label is made of the printer's dots: say --printer-dpi 203, 300 or 600 (it stands on the printer)"),
    );
  }
  if (options.sheet === true && !formats.includes("pdf"))
    return failed(usage("a sheet is a PDF: leave --format pdf in"));
  const shared = {
    formats,
    paper: options.paper ?? "a4",
    roll: Number(options.roll ?? 62),
    sheet: options.sheet === true,
  };
  const printerDpi = isBrother ? brotherDpi : dpi;
  if (printerDpi === undefined) return ok({ ...shared, specification: loaded.value, dots: undefined });
  const snapped = snapToWholeDots(loaded.value, printerDpi);
  if (!snapped.ok) return failed(usage(describeNoWholeDots(snapped.fault)));
  return ok({ ...shared, specification: snapped.value.specification, dots: snapped.value });
}

/** Makes and writes the files of panels that have a valid sticker. */
export async function writeStickers(
  records: readonly ValidPanel[],
  order: FilesOrder,
  folder: string,
): Promise<Result<MadeFiles, Complaint>> {
  const { makeFiles } = await import("./make-files.ts");
  const made = await makeFiles(records, order);
  if (!made.ok) return failed(usage(made.fault.line));
  try {
    await mkdir(folder, { recursive: true });
    for (const { name, bytes } of made.value.files) await writeFile(join(folder, name), bytes);
  } catch (cause) {
    return failed({ code: "complaint", exit: 3, line: `cannot write to ${folder}: ${reasonOf(cause)}` });
  }
  const place = (name: string) => join(folder, name);
  const stickers = made.value.stickers.map((each) => ({
    ...each,
    files: Object.fromEntries(Object.entries(each.files).map(([format, name]) => [format, place(name)])),
  }));
  const { sheet } = made.value;
  return ok({ ...made.value, stickers, sheet: sheet === undefined ? undefined : { ...sheet, pdf: place(sheet.pdf) } });
}

function choosePanels(
  names: readonly string[],
  panels: readonly PanelRecord[],
): Result<readonly ValidPanel[], Complaint> {
  const chosen: ValidPanel[] = [];
  for (const name of new Set(names)) {
    const record = panels.find((each) => each.panel === name);
    if (record === undefined) return failed({ code: "complaint", ...unknownPanel(name, panels) });
    const valid = toValidPanel(record);
    if (!valid.ok) return valid;
    chosen.push(valid.value);
  }
  return ok(chosen);
}

/** Complaint: the panel's sticker was retired, and there is nothing to print. */
export function toValidPanel(record: PanelRecord): Result<ValidPanel, Complaint> {
  const { panel, current } = record;
  if (current !== null) return ok({ ...record, current });
  return failed(
    usage(`${panel} has no valid sticker since it was retired: "doorlink sticker rotate ${panel}" mints one`),
  );
}

export function madeJson({ stickers, sheet }: MadeFiles, { dots }: FilesOrder): object {
  return {
    stickers: stickers.map(({ record, files, symbol, face, missingCharacters }) => ({
      panel: record.panel,
      doorName: record.doorName,
      epoch: record.epoch,
      payload: record.current,
      listAgeMs: record.ageMs,
      files,
      symbol,
      face,
      missingCharacters,
    })),
    ...(sheet === undefined ? {} : { sheet }),
    ...(dots === undefined ? {} : { printer: printerJson(dots) }),
  };
}

function printerJson({ specification, dots, moduleMm, offPercent }: WholeDots): object {
  return { dpi: specification.printerDpi, dotsPerModule: dots, moduleMm, offPercent };
}

export function madeText({ stickers, sheet }: MadeFiles, order: FilesOrder): string {
  const blocks = stickers.map((sticker) => table([...stickerRows(sticker, order), ...Object.entries(sticker.files)]));
  if (sheet !== undefined) blocks.push(table([["sheet", `${sheet.pdf} (${sheet.pages} pages of ${order.paper})`]]));
  const isPaper = order.formats.some((format) => format !== "zpl" && format !== "brother");
  const isLabel = order.formats.some((format) => format === "zpl" || format === "brother");
  if (isPaper) blocks.push('print at 100 % ("actual size"), never "fit to page"\n');
  if (isLabel) blocks.push("send a label file to its printer as it is: lp -d PRINTER -o raw FILE\n");
  return blocks.join("");
}

function stickerRows({ record, symbol }: MadeSticker, { dots }: FilesOrder): readonly (readonly string[])[] {
  const size = millimetresText(symbol.sizeMm);
  const module = `module ${millimetresText(symbol.moduleMm)} mm`;
  return [
    ["panel", `${record.panel} (${record.doorName}), number ${record.epoch}, list ${ageText(record.ageMs)} old`],
    ["code", `${size} x ${size} mm, ${symbol.modules} modules, ${module}${dots === undefined ? "" : dotsText(dots)}`],
  ];
}

function dotsText({ dots, specification, offPercent }: WholeDots): string {
  const off = Math.abs(offPercent) < 0.05 ? "" : `, ${offPercent > 0 ? "+" : ""}${offPercent.toFixed(1)} %`;
  return ` = ${dots} dots at ${specification.printerDpi} dpi${off}`;
}

function describeNoWholeDots({ wantedMm, tolerancePercent, printerDpi, below, above }: WholeDotsFault): string {
  const choices = [below, above]
    .filter((each) => each !== undefined)
    .map(({ dots, moduleMm }) => `${millimetresText(moduleMm)} (${dots} dots)`);
  return (
    `a module of ${wantedMm} mm is no whole number of dots at ${printerDpi} dpi within ${tolerancePercent} %: ` +
    `say moduleMm: ${choices.join(" or ")} in the specification`
  );
}

function millimetresText(mm: number): string {
  return String(Number(mm.toFixed(3)));
}

function readFormats(text: string): readonly StickerFormat[] {
  const asked = text.split(",").map((each) => each.trim().toLowerCase());
  const known = stickerFormats.filter((format) => asked.includes(format));
  if (known.length === new Set(asked).size) return known;
  throw new InvalidArgumentError(`Allowed, with commas between them: ${stickerFormats.join(", ")}.`);
}
