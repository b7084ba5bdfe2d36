/**
 * `doorlink decide`: may this credential open this door at that time, and why not? For a person at a desk with a site's file; no
 * agent need run, and nothing opens.
 */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { type DeskDecision, type DeskFault, decideAtDesk } from "../../protocol/site/desk-decision.ts";
import { formatMistake } from "../../protocol/site/document.ts";
import { parseSiteWith } from "../../protocol/site/parse-site.ts";
import { type Site, siteFileSchema } from "../../protocol/site/site.ts";
import { parseInstant } from "../../protocol/site/zone.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows } from "./output.ts";

export interface CommandOutput {
  /** To stdout. */
  readonly write: (text: string) => void;
  /** To stderr. */
  readonly warn: (text: string) => void;
  readonly finish: (exitCode: number) => void;
}

export interface DecideOptions {
  readonly site: string;
  readonly door: string;
  readonly credential: string;
  readonly at: string;
  readonly start?: string;
  readonly json?: boolean;
}

export function registerDecideCommand(program: Command, output: CommandOutput): void {
  program
    .command("decide")
    .description("who may open what, when, and why not: one credential at one door at one time")
    .requiredOption("--site <file>", "the site's file (YAML)")
    .requiredOption("--door <id>", "the door")
    .requiredOption("--credential <id>", "the credential")
    .requiredOption("--at <time>", "when: 2026-12-24T23:59:30-05:00")
    .option("--start <time>", "what relative times in the file count from; the time of --at if not given")
    .option("--json", "one JSON object on stdout")
    .action(async (options: DecideOptions) => output.finish(await runDecide(options, output)));
}

/** 0 when some device of the door opens, 1 when none does, 2 when the question or the file is wrong. */
export async function runDecide(options: DecideOptions, output: Omit<CommandOutput, "finish">): Promise<number> {
  const at = parseInstant(options.at);
  const start = options.start === undefined ? at : parseInstant(options.start);
  if (at === undefined || start === undefined) {
    output.warn("doorlink: --at and --start expect a time with its offset, such as 2026-12-24T23:59:30-05:00\n");
    return exitCodes.usage;
  }
  const site = await readSite(options.site, { start });
  if (!site.ok) {
    output.warn(site.fault.text);
    return exitCodes.usage;
  }
  const decided = decideAtDesk(site.value, options.door, options.credential, at);
  if (!decided.ok) {
    output.warn(`doorlink: ${faultText(decided.fault)}\n`);
    return exitCodes.usage;
  }
  const granted = decided.value.some(({ decision }) => decision.granted);
  output.write(
    options.json === true ? `${JSON.stringify(asJson(options, at, decided.value))}\n` : asText(decided.value),
  );
  return granted ? exitCodes.fine : exitCodes.finding;
}

/** Reads a site's file, its own or one that others have added sections to; the fault is the text to show. */
export async function readSite(
  path: string,
  options: { readonly start: UnixSeconds; readonly anyOdds?: boolean },
): Promise<Result<Site, { readonly code: "unreadable"; readonly text: string }>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    return failed({ code: "unreadable", text: `doorlink: ${path}: cannot be read (${why})\n` });
  }
  const parsed = parseSiteWith(text, siteFileSchema.loose(), options);
  if (parsed.ok) return ok(parsed.value.site);
  const lines = parsed.fault.mistakes.map((mistake) => `${path}:${formatMistake(mistake)}\n`);
  return failed({ code: "unreadable", text: lines.join("") });
}

function faultText(fault: DeskFault): string {
  switch (fault.code) {
    case "unknown-door":
      return fault.known.length === 0
        ? `the site has no door "${fault.door}"`
        : `the site has no door "${fault.door}"; it has ${fault.known.join(", ")}`;
    case "no-such-credential":
      return `the site has no credential "${fault.credential}"`;
    case "no-device":
      return `the door "${fault.door}" has no device`;
    case "mechanical-key":
      return fault.fits.length === 0
        ? "a mechanical key: no device of this door has a keyway"
        : `a mechanical key: it turns in ${fault.fits.join(", ")}, and nobody decides; the door sensor sees it`;
    default:
      return `the site does not compile for this device: ${JSON.stringify(fault)}`;
  }
}

function asJson(options: DecideOptions, at: UnixSeconds, decisions: readonly DeskDecision[]): unknown {
  return {
    door: options.door,
    credential: options.credential,
    at: unixSeconds(at),
    granted: decisions.some(({ decision }) => decision.granted),
    devices: decisions.map(({ deviceId, model, decision, checks, deviceSays, detail, remedy }) => ({
      device: deviceId,
      model,
      granted: decision.granted,
      primaryReason: decision.primaryReason ?? null,
      failedChecks: decision.failedChecks,
      warnings: decision.warnings,
      holiday: decision.holidayId ?? null,
      checks,
      deviceSays: deviceSays ?? null,
      detail: detail ?? null,
      remedy: remedy ?? null,
    })),
  };
}

function asText(decisions: readonly DeskDecision[]): string {
  return decisions.map(deviceText).join("\n");
}

function deviceText({ deviceId, model, decision, checks, deviceSays, detail, remedy }: DeskDecision): string {
  const verdict = decision.granted ? "granted" : `denied: ${decision.primaryReason}`;
  const rows = checks.map(({ check, result, reasons }) => [`  ${check}`, [result, ...reasons].join(" ")]);
  const more = [
    ...(decision.holidayId === undefined ? [] : [["  holiday in the way", decision.holidayId]]),
    ...(decision.warnings.length === 0 ? [] : [["  warnings", decision.warnings.join(" ")]]),
    ...(deviceSays === undefined ? [] : [["  the device says", deviceSays]]),
    ...(detail === undefined ? [] : [["  Detail in its log", detail]]),
    ...(remedy === undefined ? [] : [["  remedy", remedy]]),
  ];
  return `${deviceId} (${model})  ${verdict}\n${alignRows([...rows, ...more])}`;
}
