/**
 * `doorlink decide`: may this credential open this door at that time, and why not? For a person at a desk with a site's file; no
 * agent need run, and nothing opens.
 */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { detailLabelByKind } from "../../protocol/access/reasons.ts";
import { type RemedyStep, stepText } from "../../protocol/access/remedies.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { type Alternatives, alternativesAt } from "../../protocol/site/alternatives.ts";
import type { DeskFault } from "../../protocol/site/desk-decision.ts";
import { type DeskExplanation, type DeskQuestion, explainAtDesk } from "../../protocol/site/desk-remedies.ts";
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
  /** For whom a credential of nobody is meant. */
  readonly assignTo?: string;
  /** Whether whoever asks may pay: `yes` or `no`. */
  readonly payment?: string;
  /** The door was tried then and stayed shut. */
  readonly stayedShut?: boolean;
  /** The Detail text of its log. */
  readonly detail?: string;
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
    .option("--assign-to <person>", "for whom a credential of nobody is meant; the fix is tried with it")
    .option("--payment <yes|no>", "whether you have payment permission; both ways are shown if not given")
    .option("--stayed-shut", "the door was tried then and did not open: evidence when every check passes")
    .option("--detail <text>", "what the Detail column of the door log says about it")
    .option("--json", "one JSON object on stdout")
    .action(async (options: DecideOptions) => output.finish(await runDecide(options, output)));
}

/** 0 when the door opens, 1 when it does not or stayed shut all the same, 2 when the question or the file is wrong. */
export async function runDecide(options: DecideOptions, output: Omit<CommandOutput, "finish">): Promise<number> {
  const at = parseInstant(options.at);
  const start = options.start === undefined ? at : parseInstant(options.start);
  if (at === undefined || start === undefined) {
    output.warn("doorlink: --at and --start expect a time with its offset, such as 2026-12-24T23:59:30-05:00\n");
    return exitCodes.usage;
  }
  // Relative times of the file count from here and must fit in with it.
  if ([at, start].some((time) => time < 0 || time > latestTime)) {
    output.warn("doorlink: --at and --start expect a time from 1970 to 2100\n");
    return exitCodes.usage;
  }
  const site = await readSite(options.site, { start });
  if (!site.ok) {
    output.warn(site.fault.text);
    return exitCodes.usage;
  }
  if (options.payment !== undefined && !["yes", "no"].includes(options.payment)) {
    output.warn("doorlink: --payment expects yes or no\n");
    return exitCodes.usage;
  }
  const explained = explainAtDesk(site.value, questionOf(options, at));
  if (!explained.ok && (explained.fault.code === "mechanical-key" || explained.fault.code === "no-device")) {
    return answerWithoutDecision(options, at, site.value, explained.fault, output);
  }
  if (!explained.ok) {
    output.warn(`doorlink: ${faultText(explained.fault)}\n`);
    return exitCodes.usage;
  }
  const devices = explained.value;
  const granted = devices.some(({ verdict }) => verdict === "granted");
  const alternatives = granted ? undefined : alternativesTo(site.value, options, at);
  if (options.json === true) output.write(`${JSON.stringify(asJson(options, at, devices, alternatives))}\n`);
  else {
    const texts = devices.map((one) => deviceText(one, options.assignTo));
    output.write([...texts, ...(alternatives === undefined ? [] : [alternativesText(alternatives)])].join("\n"));
  }
  return granted ? exitCodes.fine : exitCodes.finding;
}

/** Nothing decides here, and the question has an answer all the same. */
function answerWithoutDecision(
  options: DecideOptions,
  at: UnixSeconds,
  site: Site,
  fault: DeskFault & { readonly code: "mechanical-key" | "no-device" },
  output: Omit<CommandOutput, "finish">,
): number {
  const turnsIn = fault.code === "mechanical-key" ? fault.fits : [];
  const opens = turnsIn.length > 0 && options.stayedShut !== true && options.detail === undefined;
  if (options.json === true) {
    const { door, credential } = options;
    const about = fault.code === "mechanical-key" ? { mechanicalKey: { turnsIn } } : {};
    output.write(
      `${JSON.stringify({ door, credential, at, granted: opens, answer: faultText(fault), ...about, devices: [] })}\n`,
    );
  } else {
    const contact = opens ? "" : `property management: ${managerText(site.propertyManager)}\n`;
    output.write(`${faultText(fault)}\n${contact}`);
  }
  return opens ? exitCodes.fine : exitCodes.finding;
}

function questionOf(
  { door, credential, assignTo, payment, stayedShut, detail }: DecideOptions,
  at: UnixSeconds,
): DeskQuestion {
  return {
    door,
    credential,
    at,
    ...(assignTo === undefined ? {} : { assignTo }),
    ...(payment === undefined ? {} : { paymentPermission: payment === "yes" }),
    // A text in the log is about a door that stayed shut.
    ...(stayedShut === true || detail !== undefined ? { stayedShut: detail === undefined ? {} : { detail } } : {}),
  };
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
        ? "a mechanical key: it turns in no device of this door"
        : `a mechanical key: it turns in ${fault.fits.join(", ")}, and nobody decides; the door sensor sees it`;
    default:
      return `the site does not compile for this device: ${JSON.stringify(fault)}`;
  }
}

function asJson(
  options: DecideOptions,
  at: UnixSeconds,
  devices: readonly DeskExplanation[],
  alternatives: Alternatives | undefined,
): unknown {
  return {
    door: options.door,
    credential: options.credential,
    at: unixSeconds(at),
    granted: devices.some(({ verdict }) => verdict === "granted"),
    devices: devices.map((one) => ({
      device: one.deviceId,
      model: one.model,
      granted: one.verdict === "granted",
      verdict: one.verdict,
      primaryReason: one.primaryReason ?? null,
      failedChecks: one.reasons,
      warnings: one.decision.warnings,
      holiday: one.decision.holidayId ?? null,
      checks: one.checks,
      deviceSays: one.deviceSays ?? null,
      detail: one.detail ?? null,
      remedy: one.remedy ?? null,
      remedies: one.remedies,
      fix: one.fix ?? null,
      evidence: one.evidence ?? null,
    })),
    alternatives: alternatives ?? null,
  };
}

function deviceText(explained: DeskExplanation, assignTo: string | undefined): string {
  const { deviceId, model, decision, checks, deviceSays, detail, verdict } = explained;
  const heading = verdict === "denied" ? `denied: ${explained.primaryReason}` : verdict;
  const rows = checks.map(({ check, result, reasons }) => [`  ${check}`, [result, ...reasons].join(" ")]);
  const more = [
    ...(decision.holidayId === undefined ? [] : [["  holiday in the way", decision.holidayId]]),
    ...(decision.warnings.length === 0 ? [] : [["  warnings", decision.warnings.join(" ")]]),
    ...(deviceSays === undefined ? [] : [["  the device says", deviceSays]]),
    ...(detail === undefined ? [] : [["  Detail in its log", detail]]),
    ...remedyRows(explained, assignTo),
  ];
  return `${deviceId} (${model})  ${heading}\n${alignRows([...rows, ...more])}`;
}

/** The remedy in one line; then whether it was tried, and what it does elsewhere. */
function remedyRows(
  { remedy, remedies, fix, evidence }: DeskExplanation,
  assignTo: string | undefined,
): readonly (readonly string[])[] {
  const steps = remedies.flatMap((one) => one.steps).filter((step, index, all) => all.findIndex(same(step)) === index);
  // A step without a path of its own says what the remedy says already.
  const line = [...new Set([remedy ?? "", ...steps.map(stepText)])].filter((text) => text !== "").join(" | ");
  return [
    ...(line === "" ? [] : [["  remedy", line]]),
    ...(fix === undefined ? [] : [["  after it", fixText(fix, assignTo)]]),
    ...(evidence === undefined
      ? []
      : [["  evidence", "with --json: all checks, what was seen, and what a desk cannot know"]]),
  ];
}

function same(step: RemedyStep): (other: RemedyStep) => boolean {
  return (other) => stepText(other) === stepText(step);
}

/** What the person for whom it is asked could use now, and whom to ask. */
function alternativesTo(site: Site, { door, credential, assignTo }: DecideOptions, at: UnixSeconds): Alternatives {
  const holder = site.credentials.find(({ id }) => id === credential)?.person;
  return alternativesAt(site, holder ?? assignTo ?? "", door, at);
}

/** Rows 67, 68, 70. */
function alternativesText({ credentials, codeIssuers, propertyManager }: Alternatives): string {
  const open = credentials
    .filter(({ opensAt }) => opensAt.length > 0)
    .map(({ credentialId, kind }) => `${credentialId} (${detailLabelByKind[kind]})`);
  const issuers = codeIssuers.slice(0, issuersShown);
  const more = codeIssuers.length > issuers.length ? ` and ${codeIssuers.length - issuers.length} more` : "";
  return alignRows([
    ["also opens now", open.join(", ") || "nothing that this person has"],
    ...(issuers.length === 0 ? [] : [["a daily code from", `${issuers.join(", ")}${more}`]]),
    ["property management", managerText(propertyManager)],
  ]);
}

function managerText({ name, phone, email }: Alternatives["propertyManager"]): string {
  return [name, phone, email].filter((one) => one !== undefined).join(", ");
}

function fixText({ opens, left, gains }: NonNullable<DeskExplanation["fix"]>, assignTo: string | undefined): string {
  if (!opens) {
    const hint = assignTo === undefined && left.includes("CREDENTIAL_UNASSIGNED");
    return `not proved to open: ${left.join(" ")}${hint ? "; --assign-to <person> tries it for that person" : ""}`;
  }
  const also = gains.length === 0 ? [] : [`also a key to ${gains.join(", ")}`];
  return ["proved on a copy: it opens", ...also].join("; ");
}

/** Of those who may give out a code; management is found under its own heading. */
const issuersShown = 3;
/** Well within what a device can hold, so that a file's times relative to it are, too. */
const latestTime = Date.UTC(2100, 0, 1) / 1_000;
