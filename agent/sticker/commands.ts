/**
 * `doorlink sticker make | check | list`. The known payloads come from the running agent; the work is done in this
 * command's own process, and what loads sharp is imported only when a command needs it, never by the resident agent.
 *
 * Each run function gives its exit code: 0 fine, 1 finding, 2 usage or bad input, 3 environment. None ends the process.
 */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { parse } from "yaml";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { parseDeviceId } from "../../protocol/base/units.ts";
import type { PrintReport } from "../../protocol/sticker/print-check.ts";
import {
  defaultStickerSpecification,
  parseStickerSpecification,
  type StickerSpecification,
} from "../../protocol/sticker/specification.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import type { FileFault, StickerCheck } from "./check-sticker.ts";
import type { PrintFault } from "./print-sticker.ts";

export type StickerCommandDeps = {
  /** Asks the running agent; rejects when it cannot be reached. Has a deadline of its own. */
  readonly fetchPanels: () => Promise<readonly PanelRecord[]>;
  /** Writes to stdout; the text ends with its own newline. */
  readonly write: (text: string) => void;
  /** Writes to stderr. */
  readonly warn: (text: string) => void;
  /** Takes the exit code of the command that ran. */
  readonly finish: (exitCode: number) => void;
};

export type MakeOptions = { readonly out: string; readonly specification?: string; readonly json?: boolean };
export type CheckOptions = { readonly panel?: string; readonly specification?: string; readonly json?: boolean };
export type ListOptions = { readonly json?: boolean };

/** Adds `sticker` with its three commands to a commander program. */
export function registerStickerCommands(program: Command, deps: StickerCommandDeps): void {
  const sticker = program.command("sticker").description("make, check and list the printed QR stickers");
  sticker
    .command("make")
    .argument("<panel>", "the panel whose current sticker is printed")
    .description("print files of a panel's current sticker: PDF and PNG in exact millimetres")
    .requiredOption("--out <dir>", "folder to write to; made when it is not there")
    .option("--specification <file>", "sticker specification (YAML)")
    .option("--json", "one JSON object on stdout")
    .action(async (panel: string, options: MakeOptions) => deps.finish(await runStickerMake(panel, options, deps)));
  sticker
    .command("check")
    .argument("<file>", "PDF, PNG, JPEG, WebP or TIFF")
    .description("is this print file the right sticker at the right size?")
    .option("--panel <panel>", "the panel that it is for; otherwise any panel of the site will do")
    .option("--specification <file>", "sticker specification (YAML)")
    .option("--json", "one JSON object on stdout")
    .action(async (file: string, options: CheckOptions) => deps.finish(await runStickerCheck(file, options, deps)));
  sticker
    .command("list")
    .description("the panels with their current and retired stickers")
    .option("--json", "one JSON object on stdout")
    .action(async (options: ListOptions) => deps.finish(await runStickerList(options, deps)));
}

/** Writes `<panel>-<epoch>.pdf` and `.png`. */
export async function runStickerMake(panel: string, options: MakeOptions, deps: StickerCommandDeps): Promise<number> {
  const specification = await loadSpecification(options.specification);
  if (!specification.ok) return complain(deps, specification.fault);
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  const record = panels.value.find((each) => each.panel === panel);
  if (record === undefined) return complain(deps, unknownPanel(panel, panels.value));
  const { printSticker } = await import("./print-sticker.ts");
  const { doorName, epoch, current, ageMs } = record;
  const printed = await printSticker({ payload: current, doorName, epoch, specification: specification.value });
  if (!printed.ok) return complain(deps, { exit: 2, line: `${panel}: ${describeFault(printed.fault)}` });
  const pdf = join(options.out, `${panel}-${epoch}.pdf`);
  const png = join(options.out, `${panel}-${epoch}.png`);
  try {
    await mkdir(options.out, { recursive: true });
    await writeFile(pdf, printed.value.pdf);
    await writeFile(png, printed.value.png);
  } catch (cause) {
    return complain(deps, { exit: 3, line: `cannot write to ${options.out}: ${reasonOf(cause)}` });
  }
  const { symbol, face, missingCharacters } = printed.value;
  if (options.json === true) {
    deps.write(json({ panel, doorName, epoch, payload: current, listAgeMs: ageMs, pdf, png, symbol, face }));
  } else {
    deps.write(
      table([
        ["panel", `${panel} (${doorName}), number ${epoch}, list ${ageText(ageMs)} old`],
        ["code", `${symbol.sizeMm} x ${symbol.sizeMm} mm, ${symbol.modules} modules`],
        ["pdf", pdf],
        ["png", png],
        ["print", 'at 100 % ("actual size"), never "fit to page"'],
      ]),
    );
  }
  if (missingCharacters !== "") deps.warn(`not drawn on the sticker: ${missingCharacters}\n`);
  return 0;
}

/** Checks one file and reports; the exit code is 0 for `pass`, 1 for `fail` and `not-measurable`. */
export async function runStickerCheck(file: string, options: CheckOptions, deps: StickerCommandDeps): Promise<number> {
  const specification = await loadSpecification(options.specification);
  if (!specification.ok) return complain(deps, specification.fault);
  const { checkStickerFile, stickerFileBytesMax } = await import("./check-sticker.ts");
  const bytes = await loadFile(file, stickerFileBytesMax);
  if (!bytes.ok) return complain(deps, bytes.fault);
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  const expectedPanel = options.panel;
  if (expectedPanel !== undefined && !panels.value.some((each) => each.panel === expectedPanel)) {
    return complain(deps, unknownPanel(expectedPanel, panels.value));
  }
  const checked = await checkStickerFile(bytes.value, specification.value, { panels: panels.value, expectedPanel });
  if (!checked.ok) return complain(deps, { exit: 2, line: `${file}: ${describeFault(checked.fault)}` });
  deps.write(options.json === true ? json({ file, ...checked.value }) : checkText(file, checked.value));
  return checked.value.verdict === "pass" ? 0 : 1;
}

/** Lists panels; payloads in full only with `--json`. */
export async function runStickerList(options: ListOptions, deps: StickerCommandDeps): Promise<number> {
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  if (options.json === true) {
    deps.write(json({ panels: panels.value }));
    return 0;
  }
  const rows = panels.value.map((record) => [
    record.panel,
    record.doorName,
    String(record.epoch),
    String(record.retired.length),
    ageText(record.ageMs),
    record.current,
  ]);
  deps.write(table([["PANEL", "DOOR", "NUMBER", "RETIRED", "LIST AGE", "CURRENT"], ...rows]));
  return 0;
}

/** What ends a command before its work: one clear line and the exit code. */
type Complaint = { readonly code: "complaint"; readonly exit: 2 | 3; readonly line: string };

function complain(deps: StickerCommandDeps, complaint: Omit<Complaint, "code">): number {
  deps.warn(`${complaint.line}\n`);
  return complaint.exit;
}

async function listPanels(deps: StickerCommandDeps): Promise<Result<readonly PanelRecord[], Complaint>> {
  try {
    return ok(await deps.fetchPanels());
  } catch (cause) {
    return failed({ code: "complaint", exit: 3, line: `the agent does not answer: ${reasonOf(cause)}` });
  }
}

function unknownPanel(panel: string, panels: readonly PanelRecord[]): Omit<Complaint, "code"> {
  if (parseDeviceId(panel) === undefined) {
    return { exit: 2, line: "that is no panel's name: 3 to 32 of a-z, 0-9 and - are expected" };
  }
  const names = panels.map((each) => each.panel).join(", ");
  return { exit: 2, line: `no panel ${panel}; the agent knows: ${names === "" ? "none yet" : names}` };
}

async function loadFile(file: string, maxBytes: number): Promise<Result<Uint8Array, Complaint>> {
  try {
    // Looked at before it is opened: opening a pipe would wait for somebody to write.
    const about = await stat(file);
    if (!about.isFile()) return failed({ code: "complaint", exit: 2, line: `${file}: not a file` });
    if (about.size > maxBytes) {
      const line = `${file}: ${describeFault({ code: "file-too-large", bytes: about.size, maxBytes })}`;
      return failed({ code: "complaint", exit: 2, line });
    }
    return ok(new Uint8Array(await readFile(file)));
  } catch (cause) {
    return failed({ code: "complaint", exit: 2, line: `${file}: ${reasonOf(cause)}` });
  }
}

async function loadSpecification(file: string | undefined): Promise<Result<StickerSpecification, Complaint>> {
  if (file === undefined) return ok(defaultStickerSpecification);
  const bytes = await loadFile(file, specificationBytesMax);
  if (!bytes.ok) return bytes;
  let value: unknown;
  try {
    value = parse(new TextDecoder().decode(bytes.value));
  } catch (cause) {
    return failed({ code: "complaint", exit: 2, line: `${file}: ${reasonOf(cause)}` });
  }
  const read = parseStickerSpecification(value ?? {});
  if (read.ok) return read;
  const mistakes = read.fault.mistakes.map(({ where, expected }) => `${where === "" ? "file" : where}: ${expected}`);
  return failed({ code: "complaint", exit: 2, line: `${file}: ${mistakes.join("; ")}` });
}

function checkText(file: string, check: StickerCheck): string {
  const { size, identity, quality } = check;
  const rows = [
    ["file", `${file} (${check.format.toUpperCase()})`],
    ["size", sizeText(size)],
    ["symbol", symbolText(quality)],
    ["sticker", identityText(identity)],
  ];
  const findings = check.findings.map(
    (finding) => `\n${finding.code}: ${finding.measured}; expected ${finding.expected}\n  remedy: ${finding.remedy}\n`,
  );
  return `${table(rows)}verdict  ${check.verdict.replace("-", " ").toUpperCase()}\n${findings.join("")}`;
}

function sizeText(size: PrintReport["size"]): string {
  if (!size.measurable) {
    const why = { "no-symbol": "no symbol", tilted: "seen at an angle", "no-density": "the file states no density" };
    return `not measurable: ${why[size.reason]}`;
  }
  const scale = size.uniform
    ? `${size.scalePercent.x.toFixed(1)} %`
    : `${size.scalePercent.x.toFixed(1)} % wide, ${size.scalePercent.y.toFixed(1)} % high`;
  return `${size.widthMm.toFixed(2)} x ${size.heightMm.toFixed(2)} mm of ${size.expectedMm.toFixed(2)} mm: ${scale}`;
}

function symbolText(quality: PrintReport["quality"]): string {
  if (quality.symbolVersion === undefined) return "none found";
  const level = quality.errorCorrectionLevel ?? "unknown";
  const quiet = quality.quietZoneModules === undefined ? "unknown" : `${quality.quietZoneModules} modules`;
  return `version ${quality.symbolVersion}, error correction ${level}, quiet zone ${quiet}`;
}

function identityText(identity: PrintReport["identity"]): string {
  const whose = identity.panel === undefined ? "" : ` (${identity.panel}${numberText(identity.epoch)})`;
  const age = identity.listAgeMs === undefined ? "no list yet" : `list ${ageText(identity.listAgeMs)} old`;
  return `${identity.verdict.replaceAll("-", " ")}${whose}, ${age}`;
}

function numberText(epoch: number | undefined): string {
  return epoch === undefined ? "" : `, number ${epoch}`;
}

/** One line a fault: what came and what was expected. */
function describeFault(fault: FileFault | PrintFault): string {
  const { code, ...facts } = fault;
  const shown = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`);
  return shown.length === 0 ? code : `${code} (${shown.join(", ")})`;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function ageText(ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ");
  return `${rows.map((row) => line(row).trimEnd()).join("\n")}\n`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

// Seven fields; a page of comments around them is welcome.
const specificationBytesMax = 100_000;
