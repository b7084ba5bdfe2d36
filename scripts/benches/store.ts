/**
 * `scripts/bench store`: what the store costs a card in bytes written, and what a backlog costs at the start. Every figure comes from a process
 * of its own on the disk that the machine's temporary folder lies on.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type BenchOptions, type BenchResult, benchResult, type Figure, median, rounded } from "./result.ts";

export async function benchStore({ quick }: BenchOptions): Promise<BenchResult> {
  const figures = [...(await writeFigures(quick)), ...(await startFigures(quick))];
  return benchResult("store", figures, [
    "bytes: what the kernel counts as sent to the disk (write_bytes) for the write-ahead log and the database, with the last checkpoint",
    "start: opening the store, counting the start and asking what waits; resident: after the first window of messages was read",
  ]);
}

async function writeFigures(quick: boolean): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  let alone = Number.NaN;
  for (const { together, devices, count } of quick ? writeCases.filter((each) => each.isQuick) : writeCases) {
    const { bytes, eventsPerSecond } = await inFolder((folder) =>
      run<{ bytes: number; eventsPerSecond: number }>("write", folder, together, devices, quick ? count / 5 : count),
    );
    if (together === 1) alone = bytes;
    const id = `bytes-per-event-${together}-together${devices === 1 ? "" : `-of-${devices}-devices`}`;
    // The promise is for a batch of one log, as the anchor was measured; what a batch of many devices costs is said beside it.
    const isJudged = together >= 100 && devices === 1;
    figures.push({
      id,
      value: Math.round(bytes),
      unit: "bytes written per 300-byte event",
      anchor: { name: "each event by itself", value: Math.round(alone) },
      ratio: rounded(bytes / alone),
      ...(isJudged ? { target: "value <= 900", holds: bytes <= 900 } : {}),
    });
    figures.push({
      id: `${id}-speed`,
      value: Math.round(eventsPerSecond),
      unit: "events/s, one group after the other",
    });
  }
  return figures;
}

interface Started {
  readonly openMs: number;
  readonly readyMs: number;
  readonly residentBytes: number;
  readonly waiting: number;
}

async function startFigures(quick: boolean): Promise<readonly Figure[]> {
  const events = quick ? 50_000 : 1_000_000;
  return inFolder((full) =>
    inFolder(async (empty) => {
      await run("fill", full, events);
      await run("fill", empty, 0);
      const rounds: { full: Started; empty: Started }[] = [];
      for (let round = 0; round < (quick ? 2 : 7); round++) {
        rounds.push({ empty: await run<Started>("start", empty), full: await run<Started>("start", full) });
      }
      if (rounds.some((round) => round.full.waiting !== events)) throw new Error("the whole backlog waits");
      const of = (pick: (round: (typeof rounds)[number]) => number): number => median(rounds.map(pick));
      const [readyMs, emptyMs] = [of(({ full: started }) => started.readyMs), of((round) => round.empty.readyMs)];
      const growth = of((round) => round.full.residentBytes - round.empty.residentBytes) / 2 ** 20;
      const id = `backlog-${events}`;
      return [
        {
          id: `${id}-start`,
          value: rounded(readyMs),
          unit: "ms to ready",
          anchor: { name: "the same with an empty store", value: rounded(emptyMs) },
          ratio: rounded(readyMs / emptyMs),
          target: "value < 1000",
          holds: readyMs < 1000,
        },
        {
          id: `${id}-resident`,
          value: rounded(growth),
          unit: "MB more than with an empty store",
          target: "value <= 10",
          holds: growth <= 10,
        },
      ];
    }),
  );
}

async function run<Answer>(mode: string, folder: string, ...numbers: number[]): Promise<Answer> {
  const args = [child, mode, folder, ...numbers.map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: CHILD_LIMIT_MS });
  return JSON.parse(stdout);
}

async function inFolder<Value>(work: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-bench-store-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const child = fileURLToPath(new URL("./store-child.ts", import.meta.url));
const CHILD_LIMIT_MS = 600_000;
const writeCases = [
  { together: 1, devices: 1, count: 2_000, isQuick: true },
  { together: 10, devices: 1, count: 10_000, isQuick: false },
  { together: 100, devices: 1, count: 100_000, isQuick: true },
  { together: 1_000, devices: 1, count: 200_000, isQuick: false },
  { together: 100, devices: 10, count: 100_000, isQuick: false },
  { together: 1_000, devices: 100, count: 200_000, isQuick: false },
];
