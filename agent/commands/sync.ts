/** `doorlink sync DEVICE`: visits a lock now and says what came of it. */
import { type SyncAnswerView, syncAnswerView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows } from "./output.ts";

/** 0: the lock holds the newest; 1: it could not be visited, or something newer waits already. */
export async function runSync(device: string, context: CommandContext): Promise<number> {
  const answer = await context.client.post("/api/sync", { device }, syncAnswerView, SYNC_LIMIT_MS);
  if (!answer.ok) {
    if (context.json && answer.fault.code === "refused") {
      const { fault, reason } = answer.fault;
      writeJson(context, { device, fault: { code: fault, ...(reason === undefined ? {} : { reason }) } });
    }
    return complain(context, answer.fault);
  }
  if (context.json) writeJson(context, answer.value);
  else context.write(syncText(answer.value));
  return answer.value.outcome === "in-sync" ? exitCodes.fine : exitCodes.finding;
}

export function syncText(answer: SyncAnswerView): string {
  const { clock, battery, from, to } = answer;
  const drift =
    clock === null || clock.oldMs === null ? "" : `, was off by ${((clock.newMs - clock.oldMs) / 1000).toFixed(1)} s`;
  return alignRows([
    ["lock", `${answer.device}: ${answer.outcome}`],
    ["policy", `${from === null ? "none" : from.version} -> ${to.version} (epoch ${to.epoch})`],
    ["clock", clock === null ? "not set: the authority gave no time" : `${clock.written ? "set" : "right"}${drift}`],
    ["log", `${answer.logEntries} entries fetched`],
    ["battery", battery === null ? "unknown" : `${battery.percent} % (${battery.millivolts} mV)`],
    ["firmware", answer.firmware ?? "unknown"],
    ["visit", `${(answer.durationMs / 1000).toFixed(1)} s, ${answer.bytes} bytes on the air`],
  ]);
}

/** Longer than the agent itself waits for a visit. */
const SYNC_LIMIT_MS = 210_000;
