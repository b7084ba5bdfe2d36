/**
 * Sync worlds, seed after seed, until so many links, powers and processes have been cut. The worlds themselves are in `test/world`;
 * they run in processes of their own, one for each core. Seeds count in their order, so the same target gives the same campaign.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";

/** Of a world's report, what the campaign reads. */
interface Report {
  readonly seed: number;
  readonly cuts: number;
  readonly visits: number;
  readonly attempts: number;
  readonly events: number;
  /** Lies that hostile locks told. */
  readonly liars: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly step: number; readonly what: string }[];
}

export async function runSyncChaos(options: CampaignOptions): Promise<CampaignResult> {
  if (options.seed !== undefined) return replay(options.seed);
  const target = options.cuts ?? (options.quick ? QUICK_CUTS : CUTS);
  const startedAt = performance.now();
  const reports = await runUntil(target, options.show);
  options.show("");
  const sums = sumOf(reports);
  const failures = reports.flatMap(({ seed, failures: found }) => found.map((failure) => ({ seed, ...failure })));
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const worlds = { seeds: reports.length, ...sums.others, seconds };
  const holds = failures.length === 0;
  return {
    holds,
    counts: { cuts: sums.cuts, ...sums.counts, ...worlds, failures: failures.slice(0, FAILURES_SHOWN) },
    text: `${holds ? "ok  " : "MISS"} ${JSON.stringify({ cuts: sums.cuts, ...sums.counts })}\n${JSON.stringify(worlds)}\n${failures
      .slice(0, FAILURES_SHOWN)
      .map(({ seed, step, what }) => `seed ${seed}, step ${step}: ${what}; see it: scripts/chaos sync --seed ${seed}\n`)
      .join("")}`,
  };
}

/** Runs one world and shows its whole log. */
async function replay(seed: number): Promise<CampaignResult> {
  const child = spawn(process.execPath, [WORKER, "--log"], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(String(seed));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const [code] = await once(child, "close");
  const last = lines.pop();
  if (code !== 0 || last === undefined) throw new Error(`the world of seed ${seed} ended with ${code}`);
  const report: Report = JSON.parse(last);
  const { cuts, liars, counts, failures } = report;
  const found = failures.map(({ step, what }) => `FAILED at step ${step}: ${what}\n`).join("");
  return {
    holds: failures.length === 0,
    counts: { seed, cuts, liars, ...counts, failures },
    text: `${lines.join("\n")}\n${JSON.stringify({ seed, cuts, liars, ...counts })}\n${found}`,
  };
}

/** The reports of seeds 1, 2, 3 ... as far as it takes to reach the target. */
async function runUntil(target: number, show: (line: string) => void): Promise<readonly Report[]> {
  const reportBySeed = new Map<number, Report>();
  let nextSeed = 1;
  let counted = { seeds: 0, cuts: 0 };
  const isReached = (): boolean => counted.cuts >= target;
  const take = (report: Report): void => {
    reportBySeed.set(report.seed, report);
    while (!isReached()) {
      const next = reportBySeed.get(counted.seeds + 1);
      if (next === undefined) break;
      counted = { seeds: counted.seeds + 1, cuts: counted.cuts + next.cuts };
    }
    show(`${counted.cuts} of ${target} cuts, ${counted.seeds} seeds`);
  };
  const children = Array.from({ length: Math.max(1, availableParallelism()) }, () => startWorker());
  await Promise.all(children.map((child) => feed(child, () => (isReached() ? undefined : nextSeed++), take)));
  return [...reportBySeed.values()]
    .filter(({ seed }) => seed <= counted.seeds)
    .sort((left, right) => left.seed - right.seed);
}

function startWorker(): ChildProcess {
  return spawn(process.execPath, [WORKER], { stdio: ["pipe", "pipe", "inherit"] });
}

/** Gives a worker one seed after the other. A world that hangs is killed and named: nothing in it may wait for ever. */
async function feed(
  child: ChildProcess,
  nextSeed: () => number | undefined,
  take: (report: Report) => void,
): Promise<void> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("a worker has its pipes");
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  for (let seed = nextSeed(); seed !== undefined; seed = nextSeed()) {
    stdin.write(`${seed}\n`);
    const timer = setTimeout(() => child.kill("SIGKILL"), WORLD_LIMIT_MS);
    const line = await lines.next();
    clearTimeout(timer);
    if (line.done === true)
      throw new Error(`the world of seed ${seed} died or hung: scripts/chaos sync --seed ${seed}`);
    take(JSON.parse(line.value));
  }
  stdin.end();
  if (child.exitCode === null) await once(child, "exit");
}

function sumOf(reports: readonly Report[]) {
  const counts: Record<string, number> = {};
  const others = { visits: 0, attempts: 0, events: 0, liars: 0 };
  let cuts = 0;
  for (const report of reports) {
    cuts += report.cuts;
    for (const [name, count] of Object.entries(report.counts)) counts[name] = (counts[name] ?? 0) + count;
    others.visits += report.visits;
    others.attempts += report.attempts;
    others.events += report.events;
    others.liars += report.liars;
  }
  return { cuts, counts, others };
}

const CUTS = 10_000;
const QUICK_CUTS = 500;
const FAILURES_SHOWN = 20;
/** A world takes well under a second; a minute on a busy machine is a world that hangs. */
const WORLD_LIMIT_MS = 60_000;
const WORKER = fileURLToPath(new URL("../../test/world/sync-worker.ts", import.meta.url));
