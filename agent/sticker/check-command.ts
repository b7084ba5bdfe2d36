/** `doorlink sticker check FILE`: registration, the run, and its text for people. */
import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { PrintReport } from "../../protocol/sticker/print-check.ts";
import { parseStickerSpecification } from "../../protocol/sticker/specification.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import type { PhotoCheck } from "./check-photo.ts";
import type { CheckFileOptions, StickerCheck } from "./check-sticker.ts";
import {
  ageText,
  type Complaint,
  complain,
  describeFault,
  json,
  listPanels,
  loadFile,
  loadSpecification,
  reasonOf,
  type StickerCommandDeps,
  table,
  unknownPanel,
} from "./command-parts.ts";
import { comparedText, type EarlierCheck, earlierScans, loadEarlierChecks } from "./earlier-checks.ts";
import { reportSeen } from "./on-wall.ts";
import { photoText } from "./photo-text.ts";

export type CheckOptions = {
  readonly panel?: string;
  readonly specification?: string;
  readonly printerDpi?: string;
  readonly as?: string;
  readonly edition?: string;
  readonly picture?: string;
  readonly report?: string;
  readonly earlier?: readonly string[];
  readonly housing?: string;
  readonly mount?: string;
  readonly json?: boolean;
};

/** Adds `check` to `sticker`. */
export function registerCheckCommand(sticker: Command, deps: StickerCommandDeps): void {
  sticker
    .command("check")
    .argument("<file>", "PDF, SVG, PNG, JPEG, WebP or TIFF")
    .description(
      "is this the right sticker, at the right size, in good condition? A print file, a scan or a photograph",
    )
    .option("--panel <panel>", "the panel that it is for; otherwise any panel of the site will do")
    .option("--specification <file>", "sticker specification (YAML)")
    .option("--printer-dpi <dpi>", "the printer's resolution (203, 300, 600): modules must be whole dots of it")
    .option("--as <kind>", "print or photo; otherwise the file itself says which")
    .option("--edition <year>", "edition of ISO/IEC 15415 that grades a photograph: 2011 or 2024")
    .option("--picture <file>", "of a photograph: the symbol with its bad modules marked (PNG)")
    .option("--report <file>", "of a photograph: one page (PDF)")
    .option("--earlier <files...>", "of a photograph: earlier checks of this sticker (JSON), for what changed since")
    .option("--housing <state>", "what the person in front of it sees: sound or damaged")
    .option("--mount <state>", "what the person in front of it sees: firm, loose or fallen")
    .option("--json", "one JSON object on stdout")
    .action(async (file: string, options: CheckOptions) => deps.finish(await runStickerCheck(file, options, deps)));
}

/** Checks one file and reports; the exit code is 0 for `pass`, 1 for `fail` and `not-measurable`. */
export async function runStickerCheck(file: string, options: CheckOptions, deps: StickerCommandDeps): Promise<number> {
  const wanted = await readWishes(options);
  if (!wanted.ok) return complain(deps, wanted.fault);
  const { checkFile, stickerFileBytesMax } = await import("./check-sticker.ts");
  const bytes = await loadFile(file, stickerFileBytesMax);
  if (!bytes.ok) return complain(deps, bytes.fault);
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  const expectedPanel = options.panel;
  if (expectedPanel !== undefined && !panels.value.some((each) => each.panel === expectedPanel)) {
    return complain(deps, unknownPanel(expectedPanel, panels.value));
  }
  const earlier = await loadEarlierChecks(options.earlier ?? []);
  if (!earlier.ok) return complain(deps, earlier.fault);
  const known = { panels: panels.value, expectedPanel };
  const checkedAtMs = deps.nowMs();
  const checked = await checkFile(bytes.value, {
    ...{ ...wanted.value, known, fileName: basename(file) },
    ...{ earlier: earlierScans(earlier.value), nowMs: checkedAtMs },
  });
  if (!checked.ok) return complain(deps, { exit: 2, line: `${file}: ${describeFault(checked.fault)}` });
  if (checked.value.kind === "print") {
    const { report } = checked.value;
    if (options.picture !== undefined || options.report !== undefined) {
      deps.warn(
        "--picture and --report are of photographs, and this is a print file or a scan; --as photo overrules that\n",
      );
    }
    deps.write(options.json === true ? json({ file, kind: "print", checkedAtMs, ...report }) : checkText(file, report));
    return report.verdict === "pass" ? 0 : 1;
  }
  return await finishPhoto(
    file,
    checked.value,
    options,
    { earlier: earlier.value, checkedAtMs, panels: panels.value },
    deps,
  );
}

/** Writes what was asked for, says what was seen, and tells the authority of a sticker that it waits for. */
async function finishPhoto(
  file: string,
  { report, picturePng, reportPdf }: PhotoCheck,
  options: CheckOptions,
  facts: { earlier: readonly EarlierCheck[]; checkedAtMs: number; panels: readonly PanelRecord[] },
  deps: StickerCommandDeps,
): Promise<number> {
  const written = await writeAll([
    [options.picture, picturePng],
    [options.report, reportPdf],
  ]);
  if (!written.ok) return complain(deps, written.fault);
  const since = comparedText(facts.earlier, report);
  const { checkedAtMs } = facts;
  deps.write(
    options.json === true
      ? json({ file, kind: "photo", checkedAtMs, ...(since === undefined ? {} : { since }), ...report })
      : `${photoText(file, report)}${since === undefined ? "" : `\n${since}\n`}`,
  );
  await noteCheck(options.panel, report, facts.panels, deps);
  // A sticker that is not whole, or not where it belongs, is not what the authority waits for.
  if (options.panel !== undefined && report.verdict !== "fail") await reportSeen(report.identity, facts.panels, deps);
  return report.verdict === "pass" ? 0 : 1;
}

/**
 * Only where somebody said which panel it hangs at: whose it is says nothing of where it is. Never fails the check: the agent shows
 * the last one that it was told of, and the next tells it again. SPEC G35.
 */
async function noteCheck(
  panel: string | undefined,
  { verdict, identity, grade }: PhotoCheck["report"],
  panels: readonly PanelRecord[],
  deps: StickerCommandDeps,
): Promise<void> {
  if (panel === undefined || !panels.some((each) => each.panel === panel)) return;
  const letter = grade?.overall.letter ?? null;
  await deps.noteCheck?.({ panel, verdict, identity: identity.verdict, letter }).catch((cause: unknown) => {
    deps.warn(`the agent was not told of this check: ${reasonOf(cause)}\n`);
  });
}

async function readWishes(options: CheckOptions): Promise<Result<Omit<CheckFileOptions, "known">, Complaint>> {
  const bad = (line: string) => failed({ code: "complaint", exit: 2, line } as const);
  const specification = await loadSpecification(options.specification);
  if (!specification.ok) return specification;
  const printerDpi = options.printerDpi === undefined ? specification.value.printerDpi : Number(options.printerDpi);
  const wanted = parseStickerSpecification({ ...specification.value, printerDpi });
  if (!wanted.ok) return bad("--printer-dpi: a number from 100 to 4800 is expected, such as 203, 300 or 600");
  const { as, edition } = options;
  if (as !== undefined && as !== "print" && as !== "photo") return bad("--as: print or photo is expected");
  if (edition !== undefined && edition !== "2011" && edition !== "2024") {
    return bad("--edition: 2011 or 2024 is expected");
  }
  const reported = reportedCondition.safeParse({ housing: options.housing, mount: options.mount });
  if (!reported.success) return bad("--housing: sound or damaged, --mount: firm, loose or fallen is expected");
  return ok({
    reported: reported.data,
    specification: wanted.value,
    as,
    edition,
    withPicture: options.picture !== undefined,
    withReport: options.report !== undefined,
  });
}

const reportedCondition = z.object({
  housing: z.enum(["sound", "damaged"]).optional(),
  mount: z.enum(["firm", "loose", "fallen"]).optional(),
});

async function writeAll(
  files: readonly (readonly [path: string | undefined, bytes: Uint8Array | undefined])[],
): Promise<Result<undefined, Complaint>> {
  for (const [path, bytes] of files) {
    if (path === undefined || bytes === undefined) continue;
    try {
      await writeFile(path, bytes);
    } catch (cause) {
      return failed({ code: "complaint", exit: 3, line: `cannot write ${path}: ${reasonOf(cause)}` });
    }
  }
  return ok(undefined);
}

function checkText(file: string, check: StickerCheck): string {
  const { size, identity, quality } = check;
  const rows = [
    ["file", fileText(file, check)],
    ["size", sizeText(size)],
    ["symbol", symbolText(quality)],
    ["sticker", identityText(identity)],
  ];
  if (check.notRead.length > 0) rows.push(["not read", check.notRead.join(", ")]);
  const findings = check.findings.map(
    (finding) => `\n${finding.code}: ${finding.measured}; expected ${finding.expected}\n  remedy: ${finding.remedy}\n`,
  );
  return `${table(rows)}verdict  ${check.verdict.replace("-", " ").toUpperCase()}\n${findings.join("")}`;
}

function fileText(file: string, check: StickerCheck): string {
  const page = check.pages > 1 ? `, page ${check.page} of ${check.pages}` : "";
  const symbols = check.symbols.length > 1 ? `, ${check.symbols.length} symbols` : "";
  return `${file} (${check.format.toUpperCase()}${page}${symbols})`;
}

function sizeText(size: PrintReport["size"]): string {
  if (!size.measurable) {
    const why = { "no-symbol": "no symbol", tilted: "seen at an angle", "no-density": "the file states no size" };
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
  const quiet =
    quality.quietZoneModules === undefined ? "unknown" : `${Number(quality.quietZoneModules.toFixed(2))} modules`;
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
