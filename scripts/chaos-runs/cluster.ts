/**
 * One site with two gateways over a three-node nats-server cluster (`test/real/cluster-worker.ts`): while every lock is behind and has something to
 * say, one broker node after the other dies by kill -9 and comes back, and at last one gateway dies. Nothing may be lost or doubled, no lock may
 * be visited by two at once, and none may be left out for longer than an undisturbed sweep and one lease.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";

/** Of the worker's report, what the campaign reads. */
interface Report {
  readonly locks: number;
  readonly leaseSeconds: number;
  readonly rounds: readonly {
    readonly name: string;
    readonly sweptSeconds?: number;
    readonly wholeSeconds?: number;
    /** Null: not in time. */
    readonly newestSeconds: readonly (number | null)[];
    readonly visits: number;
  }[];
  readonly logs: { readonly lost: number; readonly doubled: number; readonly unchecked: number };
  readonly twoAtOnce: number;
  readonly events: number;
  readonly nodesKilled: number;
  readonly gatewaysKilled: number;
  readonly nodeBackSeconds: readonly (number | null)[];
  readonly agentsResidentMiB: readonly number[];
  readonly seconds: number;
}

export async function runClusterChaos({ quick, show }: CampaignOptions): Promise<CampaignResult> {
  const [locks, leaseSeconds] = quick ? [QUICK_LOCKS, QUICK_LEASE_SECONDS] : [LOCKS, LEASE_SECONDS];
  const report = await runWorker([String(locks), String(leaseSeconds)], show);
  show("");
  return summary(report);
}

async function runWorker(args: readonly string[], show: (line: string) => void): Promise<Report> {
  const child = spawn(process.execPath, [WORKER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let report: Report | undefined;
  createInterface({ input: child.stdout }).on("line", (text) => {
    const line: { readonly show?: string; readonly report?: Report } = JSON.parse(text);
    if (line.show !== undefined) show(line.show);
    report ??= line.report;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (report === undefined) throw new Error(`the cluster's house ended with ${code}`);
  return report;
}

function summary({ rounds, logs, ...told }: Report): CampaignResult {
  const undisturbed = rounds.find(({ name }) => name === "undisturbed")?.sweptSeconds ?? Number.POSITIVE_INFINITY;
  const limitSeconds = undisturbed + told.leaseSeconds;
  const newest = rounds.slice(2).flatMap(({ newestSeconds }) => newestSeconds);
  const counts = {
    locks: told.locks,
    ...logs,
    leftOut: newest.filter((seconds) => seconds === null || seconds > limitSeconds).length,
    twoAtOnce: told.twoAtOnce,
    unfinished: rounds.filter(({ wholeSeconds }) => wholeSeconds === undefined).length,
    nodesKilled: told.nodesKilled,
    gatewaysKilled: told.gatewaysKilled,
    events: told.events,
    leaseSeconds: told.leaseSeconds,
    sweepSeconds: Object.fromEntries(rounds.map(({ name, sweptSeconds }) => [name, rounded(sweptSeconds)])),
    wholeSeconds: Object.fromEntries(rounds.map(({ name, wholeSeconds }) => [name, rounded(wholeSeconds)])),
    visits: Object.fromEntries(rounds.map(({ name, visits }) => [name, visits])),
    nodeBackSeconds: told.nodeBackSeconds.map((value) => rounded(value ?? undefined)),
    agentsResidentMiB: told.agentsResidentMiB.map(rounded),
    seconds: rounded(told.seconds),
  };
  const { lost, doubled, unchecked, leftOut, twoAtOnce, unfinished } = counts;
  const holds = [lost, doubled, unchecked, leftOut, twoAtOnce, unfinished].every((count) => count === 0);
  return { holds, counts, text: `${holds ? "ok  " : "MISS"} ${JSON.stringify(counts)}\n` };
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}

const LOCKS = 200;
const QUICK_LOCKS = 16;
/** What the emulated authority gives. */
const LEASE_SECONDS = 120;
/** Longer than a cluster of this machine takes to agree on a leader. */
const QUICK_LEASE_SECONDS = 30;
const WORKER = fileURLToPath(new URL("../../test/real/cluster-worker.ts", import.meta.url));
