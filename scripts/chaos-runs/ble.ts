/**
 * Visit after visit in one agent process over the real path: unmodified node-ble, a private dbus-daemon with the limits of a system bus,
 * the emulated BlueZ. What must hold is that the process neither ends nor hangs nor grows.
 *
 * What is counted is resident memory, so the agent's heap gets small bounds: without them V8 lets garbage pile up while the machine has
 * memory, in the young generation during the first hundreds of visits and in the old one in steps of tens of MiB later, which is no leak
 * and hides one. Growth is counted from the end of a warm-up, in which caches, pools and compiled code fill up.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request, waitFor } from "../story/http.ts";
import { BleHouse } from "./ble-house.ts";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";

export async function runBleChaos(options: CampaignOptions): Promise<CampaignResult> {
  const syncs = options.syncs ?? (options.quick ? QUICK_SYNCS : SYNCS);
  const warmup = Math.min(WARMUP_SYNCS, Math.floor(syncs / 2));
  const directory = await mkdtemp(join(tmpdir(), "doorlink-chaos-"));
  const house = new BleHouse(directory, PORT_BASE);
  try {
    await house.start(AGENT_FLAGS);
    await waitFor("the agent's first door sync", () => firstSync(house));
    return summary(await visit(house, syncs, warmup, options.show), warmup);
  } finally {
    options.show("");
    await house.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

interface Tally {
  syncs: number;
  failed: number;
  hangs: number;
  crashes: number;
  logEntries: number;
  seconds: number;
  readonly faults: Map<string, number>;
  /** Resident MiB after each visit. */
  readonly resident: number[];
}

async function visit(house: BleHouse, syncs: number, warmup: number, show: (line: string) => void): Promise<Tally> {
  const tally: Tally = {
    syncs: 0,
    failed: 0,
    hangs: 0,
    crashes: 0,
    logEntries: 0,
    seconds: 0,
    faults: new Map(),
    resident: [],
  };
  const startedAt = performance.now();
  while (tally.syncs < syncs && tally.crashes + tally.hangs === 0) {
    const lock = LOCKS[tally.syncs % LOCKS.length] ?? LOCKS[0];
    if (tally.syncs % ATTEMPT_EVERY === 0) await attempt(house);
    await visitOnce(house, lock, tally);
    tally.syncs += 1;
    tally.seconds = (performance.now() - startedAt) / 1000;
    if (tally.crashes === 0) tally.resident.push(house.agentResidentMiB());
    const state = tally.syncs <= warmup ? "warming up, " : "";
    if (tally.syncs % 10 === 0)
      show(`${state}${tally.syncs} of ${syncs} syncs, ${tally.resident.at(-1)?.toFixed(1)} MiB`);
  }
  return tally;
}

async function visitOnce(house: BleHouse, lock: string, tally: Tally): Promise<void> {
  try {
    const answer = await fetch(`${house.agentUrl}/api/sync`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ device: lock }),
      signal: AbortSignal.timeout(HANG_MS),
    });
    const body: {
      readonly outcome?: string;
      readonly logEntries?: number;
      readonly fault?: { readonly code: string };
    } = JSON.parse(await answer.text());
    tally.logEntries += body.logEntries ?? 0;
    if (answer.ok && body.outcome === "in-sync") return;
    tally.failed += 1;
    const why = body.fault?.code ?? body.outcome ?? String(answer.status);
    tally.faults.set(why, (tally.faults.get(why) ?? 0) + 1);
  } catch (error) {
    if (!house.isAgentAlive) tally.crashes += 1;
    else if (error instanceof Error && error.name === "TimeoutError") tally.hangs += 1;
    else throw error;
  }
}

/** Somebody comes to a door now and then, so that there is a log to bring home. */
async function attempt(house: BleHouse): Promise<void> {
  await request("POST", `${house.siteUrl}/api/people/${VISITOR.person}/try`, { device: VISITOR.device });
}

async function firstSync(house: BleHouse): Promise<true | undefined> {
  const answer = await fetch(`${house.agentUrl}/api/sync`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ device: LOCKS[0] }),
    signal: AbortSignal.timeout(HANG_MS),
  });
  return answer.ok ? true : undefined;
}

function summary(tally: Tally, warmup: number): CampaignResult {
  const { syncs, failed, hangs, crashes, logEntries, seconds, faults, resident } = tally;
  const window = Math.min(SAMPLE, Math.max(1, Math.floor(warmup / 2)));
  const afterWarmup = meanOf(resident.slice(Math.max(0, warmup - window), warmup));
  const atEnd = meanOf(resident.slice(-window));
  const grownMiB = atEnd - afterWarmup;
  const holds = crashes === 0 && hangs === 0 && failed === 0 && grownMiB < GROWTH_LIMIT_MIB;
  const counts = {
    syncs,
    crashes,
    hangs,
    failed,
    residentGrowthMiB: round(grownMiB),
    residentAfterWarmupMiB: round(afterWarmup),
    residentAtEndMiB: round(atEnd),
    warmupSyncs: warmup,
    agentFlags: AGENT_FLAGS.join(" "),
    syncsPerSecond: round(syncs / seconds),
    logEntries,
    ...(faults.size === 0 ? {} : { faults: Object.fromEntries(faults) }),
  };
  return { holds, counts, text: `${holds ? "ok  " : "MISS"} ${JSON.stringify(counts)}\n` };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** What the agent holds after a full collection was 44 MiB after 300 visits and 46 after 3,000. */
const AGENT_FLAGS = ["--max-semi-space-size=4", "--max-old-space-size=72"];
const SYNCS = 10_000;
const QUICK_SYNCS = 400;
const WARMUP_SYNCS = 300;
/** So many visits are averaged at the end of the warm-up and at the end: single readings swing with the collector. */
const SAMPLE = 50;
const GROWTH_LIMIT_MIB = 20;
/** A visit's own limit is 90 s; an answer that does not come after it never will. */
const HANG_MS = 100_000;
const ATTEMPT_EVERY = 5;
const LOCKS = ["lobby-lock", "roof-lock", "apartment-2a-lock"] as const;
const VISITOR = { person: "hugo-silva", device: "lobby-lock" };
const PORT_BASE = 29_600;
