/** `doorlink log`: the door log on this gateway, newest first. */
import { type LogEntryView, logAnswer } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows, timeText } from "./output.ts";

export async function runLog(limit: string, context: CommandContext): Promise<number> {
  const answer = await context.client.get(`/api/log?limit=${encodeURIComponent(limit)}`, logAnswer);
  if (!answer.ok) return complain(context, answer.fault);
  if (context.json) writeJson(context, answer.value);
  else context.write(logText(answer.value.entries));
  return exitCodes.fine;
}

/** A lock's log is sealed for the authority: this gateway knows only which entries it carries. */
function eventText({ kind, facts }: LogEntryView): string {
  if (kind !== "sealed-log" || facts === undefined) return kind;
  const { first, last } = facts;
  return first === last ? `entry ${first}, sealed` : `entries ${first}-${last}, sealed`;
}

export function logText(entries: readonly LogEntryView[]): string {
  if (entries.length === 0) return "no events yet\n";
  return alignRows([
    ["RECEIVED (UTC)", "DEVICE", "DOOR", "EVENT", "PERSON", "REASON", "DETAIL"],
    ...entries.map((entry) => [
      timeText(entry.receivedAt),
      entry.device,
      entry.doorName ?? "-",
      eventText(entry),
      entry.personName ?? entry.person ?? "-",
      entry.reason ?? (entry.reasonAbsent === undefined ? "-" : `(${entry.reasonAbsent})`),
      entry.detail ?? "-",
    ]),
  ]);
}
