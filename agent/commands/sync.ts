/**
 * `doorlink sync LOCK|--all|--urgent`: visits locks now, one after the other because there is one radio, and says what came of it.
 * The round is made here and not in the agent, so that whoever stops the command stops the round: after the lock under way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DeviceView,
  type StatusView,
  type SyncAnswerView,
  statusView,
  syncAnswerView,
  syncProgressView,
} from "../http/views.ts";
import { visitReasons } from "../sync/schedule.ts";
import type { AgentFault } from "./agent-client.ts";
import { type CommandContext, complain, describeVisitFault, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows, progressText, timeText, versionText } from "./output.ts";
import { syncWayOut } from "./sync-way-out.ts";

export type SyncChoice = { readonly device: string } | "all" | "urgent";

/** What a command that takes its time needs of the terminal. */
export interface Patience {
  /** Where the work stands; goes nowhere when nobody looks. */
  readonly progress: (line: string) => void;
  /** Aborted when somebody wants it to end. */
  readonly stop: AbortSignal;
}

/** 0: every lock holds the newest; 1: one could not be visited, was left out, or something newer waits already. */
export function runSync(choice: SyncChoice, context: CommandContext, patience: Patience): Promise<number> {
  return typeof choice === "string" ? syncRound(choice, context, patience) : syncOne(choice.device, context, patience);
}

async function syncOne(device: string, context: CommandContext, patience: Patience): Promise<number> {
  const answer = await visit(device, device, context, patience);
  if (!answer.ok) {
    if (context.json && answer.fault.code === "refused") writeJson(context, faultOf(device, answer.fault));
    const code = complain(context, answer.fault);
    if (answer.fault.code === "refused") sayWayOut(context, faultOf(device, answer.fault), "");
    return code;
  }
  if (context.json) writeJson(context, answer.value);
  else context.write(syncText(answer.value));
  return answer.value.outcome === "in-sync" ? exitCodes.fine : exitCodes.finding;
}

async function syncRound(which: "all" | "urgent", context: CommandContext, patience: Patience): Promise<number> {
  const status = await context.client.get("/api/status", statusView);
  if (!status.ok) return complain(context, status.fault);
  const locks = chooseLocks(status.value, which);
  const results: RoundResult[] = [];
  for (const [index, lock] of locks.entries()) {
    if (patience.stop.aborted) break;
    const place = `[${index + 1}/${locks.length}] ${lock.device}`;
    patience.progress(`${place}: visit`);
    const answer = await visit(lock.device, place, context, patience);
    if (answer.ok) results.push({ lock, answer: answer.value });
    else if (answer.fault.code === "refused") results.push({ lock, answer: faultOf(lock.device, answer.fault) });
    else {
      // Without the agent there is no round; what was done until then is said all the same.
      writeRound(context, which, results, locks);
      return complain(context, answer.fault);
    }
  }
  writeRound(context, which, results, locks);
  for (const { answer } of results) if ("fault" in answer) sayWayOut(context, answer, `${answer.device}: `);
  const isFine = results.length === locks.length && results.every(({ answer }) => isInSync(answer));
  return isFine ? exitCodes.fine : exitCodes.finding;
}

interface VisitFault {
  readonly device: string;
  readonly fault: { readonly code: string; readonly reason?: string };
}

function sayWayOut(context: CommandContext, { device, fault }: VisitFault, place: string): void {
  const way = syncWayOut(fault.code, fault.reason, device);
  if (way !== undefined) context.warn(`doorlink: ${place}${way}\n`);
}

interface RoundResult {
  readonly lock: DeviceView;
  readonly answer: SyncAnswerView | VisitFault;
}

/** In the order in which the agent itself would go: the urgent first, then who waits longest. */
export function chooseLocks({ devices }: Pick<StatusView, "devices">, which: "all" | "urgent"): readonly DeviceView[] {
  return devices
    .filter(({ lock }) => lock !== null && (which === "all" || lock.urgent))
    .sort((left, right) => urgencyOf(left) - urgencyOf(right) || ageOf(right) - ageOf(left));
}

function urgencyOf({ lock }: DeviceView): number {
  const reason = lock?.nextVisit?.reason;
  return reason === undefined ? visitReasons.length : visitReasons.indexOf(reason);
}

function ageOf({ lock }: DeviceView): number {
  return lock?.sinceAgeSeconds ?? Number.MAX_SAFE_INTEGER;
}

/** One visit, with its steps told while it goes on. */
async function visit(device: string, place: string, { client }: CommandContext, { progress }: Patience) {
  const done = new AbortController();
  const visiting = client.post("/api/sync", { device }, syncAnswerView, SYNC_LIMIT_MS).finally(() => done.abort());
  const [answer] = await Promise.all([visiting, tell()]);
  return answer;

  async function tell(): Promise<void> {
    let said = "";
    while (!done.signal.aborted) {
      // The first look comes after a while too: a command that ends at once needs no progress.
      await sleep(PROGRESS_INTERVAL_MS, undefined, { signal: done.signal }).catch(() => undefined);
      if (done.signal.aborted) return;
      const seen = await client.get(`/api/sync/${encodeURIComponent(device)}`, syncProgressView);
      const line = seen.ok ? `${place}: ${progressText(seen.value)}` : said;
      if (line !== said) progress(line);
      said = line;
    }
  }
}

function isInSync(answer: RoundResult["answer"]): boolean {
  return "outcome" in answer && answer.outcome === "in-sync";
}

function faultOf(device: string, { fault, reason }: Extract<AgentFault, { code: "refused" }>): VisitFault {
  return { device, fault: { code: fault, ...(reason === undefined ? {} : { reason }) } };
}

function writeRound(
  context: CommandContext,
  which: "all" | "urgent",
  results: readonly RoundResult[],
  locks: readonly DeviceView[],
): void {
  const notVisited = locks.slice(results.length).map(({ device }) => device);
  const inSync = results.filter(({ answer }) => isInSync(answer)).length;
  if (context.json) {
    return writeJson(context, { locks: results.map(({ answer }) => answer), inSync, of: locks.length, notVisited });
  }
  if (locks.length === 0) {
    return context.write(which === "urgent" ? "no lock is urgent\n" : "this gateway knows no BLE lock\n");
  }
  const rest = notVisited.length === 0 ? "" : `, not visited: ${notVisited.join(", ")}`;
  context.write(`${roundText(results)}\n${inSync} of ${locks.length} in sync${rest}\n`);
}

export function roundText(results: readonly RoundResult[]): string {
  return alignRows([
    ["LOCK", "DOOR", "RESULT", "POLICY", "LOG", "TOOK"],
    ...results.map(({ lock: { device, doorName }, answer }) =>
      "fault" in answer
        ? [device, doorName, describeVisitFault(answer.fault), "-", "-", "-"]
        : [
            device,
            doorName,
            answer.outcome === "in-sync" ? "in sync" : "something newer waits",
            policyText(answer),
            String(answer.logEntries),
            `${(answer.durationMs / 1000).toFixed(1)} s`,
          ],
    ),
  ]);
}

export function syncText(answer: SyncAnswerView): string {
  const { clock, battery } = answer;
  const drift =
    clock === null || clock.oldMs === null ? "" : `, was off by ${((clock.newMs - clock.oldMs) / 1000).toFixed(1)} s`;
  return alignRows([
    ["lock", `${answer.device}: ${answer.outcome}`],
    ["policy", `${policyText(answer)} (epoch ${answer.to.epoch})`],
    ["clock", clock === null ? "not set: the authority gave no time" : `${clock.written ? "set" : "right"}${drift}`],
    ["log", `${answer.logEntries} entries fetched`],
    ["battery", battery === null ? "unknown" : `${battery.percent} % (${battery.millivolts} mV)`],
    ["firmware", answer.firmware ?? "unknown"],
    ["visit", `${(answer.durationMs / 1000).toFixed(1)} s, ${answer.bytes} bytes on the air`],
    ["report", `${answer.outcome === "in-sync" ? "\u2713 " : ""}the lock's own, ${timeText(answer.reportedAt)} UTC`],
  ]);
}

function policyText({ from, to }: SyncAnswerView): string {
  return `${from === null ? "none" : versionText(from)} -> ${versionText(to)}`;
}

/** Longer than the agent itself waits for a visit. */
const SYNC_LIMIT_MS = 210_000;
const PROGRESS_INTERVAL_MS = 250;
