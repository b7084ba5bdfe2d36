/** `doorlink log`: the door log on this gateway as somebody may see it, newest first. Rows 90-92. */
import type { Result } from "../../protocol/base/result.ts";
import { type LogAnswer, type LogEntryView, logAnswer } from "../http/views.ts";
import type { LogWords } from "../log/log-query.ts";
import type { AgentFault } from "./agent-client.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { csvHead, csvLines } from "./log-csv.ts";
import { alignRows, timeText } from "./output.ts";

export interface LogCommand {
  readonly words: Omit<LogWords, "limit" | "cursor">;
  /** How many entries, as typed. */
  readonly limit: string;
  readonly csv: boolean;
}

/** Asks page by page until it has what was asked for; what the agent takes one mistake for, it says all of. CSV is written as it comes. */
export async function runLog({ words, limit, csv }: LogCommand, context: CommandContext): Promise<number> {
  const most = csv ? CSV_ENTRIES_LIMIT : ENTRIES_LIMIT;
  const wanted = /^[0-9]{1,8}$/.test(limit) ? Number(limit) : 0;
  const isBounded = wanted >= 1 && wanted <= most;
  if (!isBounded) context.warn(`doorlink: --limit: expected a whole number 1-${most}, came ${JSON.stringify(limit)}\n`);
  const entries: LogEntryView[] = [];
  let shown = 0;
  let cursor: string | null = null;
  do {
    const asked = Math.min(PAGE, Math.max(1, wanted - shown));
    const page: LogWords = cursor === null ? { ...words, limit: String(asked) } : { cursor, limit: String(asked) };
    const answer: Result<LogAnswer, AgentFault> = await context.client.get(
      `/api/log?${new URLSearchParams({ ...page })}`,
      logAnswer,
    );
    if (!answer.ok) return complain(context, answer.fault);
    // With a limit that is no number the other words were judged all the same, so that all mistakes are said at once.
    if (!isBounded) return exitCodes.usage;
    if (cursor === null && answer.value.clockSynchronised === false) context.warn(CLOCK_WARNING);
    if (csv) context.write(`${cursor === null ? csvHead : ""}${csvLines(answer.value.entries)}`);
    else entries.push(...answer.value.entries);
    shown += answer.value.entries.filter(({ kind }) => kind !== "hole").length;
    cursor = answer.value.next;
    if (context.json && (cursor === null || shown >= wanted)) writeJson(context, { ...answer.value, entries });
  } while (cursor !== null && shown < wanted);
  if (!csv && !context.json) context.write(logText(entries));
  return exitCodes.fine;
}

/** A lock's log is sealed for the authority: this gateway knows only which entries it carries. */
function eventText({ kind, facts = {} }: LogEntryView): string {
  const { first, last, before, after, missing } = facts;
  const range = (from: number, to: number): string => (from === to ? `${from}` : `${from}-${to}`);
  switch (kind) {
    case "sealed-log":
      return first === undefined || last === undefined
        ? kind
        : `${first === last ? "entry" : "entries"} ${range(first, last)}, sealed`;
    case "log-gap":
      if (before !== undefined && after !== undefined) return `-- ${range(before, after)} lost on the device --`;
      return missing === undefined ? kind : `-- ${missing} lost on the device --`;
    case "hole":
      if (first !== undefined && last !== undefined) return `-- ${range(first, last)} missing --`;
      return `-- ${missing ?? "some"} missing --`;
    default:
      return kind;
  }
}

/** The device's clock never decides anything, so what it is worth stands beside what it showed. */
function deviceTimeText({ at }: LogEntryView): string {
  if (at === undefined) return "-";
  if (at.unixSeconds === null) return at.quality === "unset" ? "clock unset" : "not known";
  const time = timeText(at.unixSeconds);
  if (at.quality === "set") return time;
  return at.quality === "lower-bound" ? `${time} or later` : `${time}, clock unset`;
}

function reasonText({ reason, failedChecks, reasonAbsent }: LogEntryView): string {
  if (reason === undefined) return reasonAbsent === undefined ? "-" : `(${reasonAbsent})`;
  return [reason, ...(failedChecks ?? []).filter((check) => check !== reason)].join(" + ");
}

export function logText(entries: readonly LogEntryView[]): string {
  if (entries.length === 0) return "no events here that match\n";
  return alignRows([
    ["RECEIVED (UTC)", "DEVICE'S CLOCK (UTC)", "DEVICE", "NO.", "DOOR", "EVENT", "PERSON", "FAILED CHECKS", "DETAIL"],
    ...entries.map((entry) => [
      timeText(entry.receivedAt),
      deviceTimeText(entry),
      entry.device,
      entry.sequence === null ? "-" : String(entry.sequence),
      entry.doorName ?? "-",
      eventText(entry),
      entry.erased === true ? "(erased)" : (entry.personName ?? entry.person ?? "-"),
      reasonText(entry),
      entry.detail ?? "-",
    ]),
  ]);
}

const CLOCK_WARNING = "doorlink: nothing keeps this gateway's clock: when an entry was received may be wrong\n";
/** Of one command: what is held in memory to be lined up, and what only passes through. */
const ENTRIES_LIMIT = 100_000;
const CSV_ENTRIES_LIMIT = 10_000_000;
/** Of one question to the agent. */
const PAGE = 1_000;
