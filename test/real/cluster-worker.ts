/**
 * The campaign of `scripts/chaos cluster`, as a process of its own: arguments are the number of locks and the seconds of a lease. Each round begins
 * with every lock behind and with something to say; in the third to fifth a broker node dies by kill -9 and comes back, in the last a gateway dies.
 * Lines on stdout are JSON: `{"show": ...}` while it runs, `{"report": ...}` at the end.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterHouse, type ClusterRound, clusterGateways } from "./cluster-house.ts";

export interface ClusterReport {
  readonly locks: number;
  readonly leaseSeconds: number;
  readonly rounds: readonly (Omit<ClusterRound, "newestSeconds"> & {
    readonly name: string;
    /** Of each lock; null: not in time. */
    readonly newestSeconds: readonly (number | null)[];
  })[];
  readonly logs: ReturnType<ClusterHouse["logFaults"]>;
  readonly twoAtOnce: number;
  readonly events: number;
  readonly nodesKilled: number;
  readonly gatewaysKilled: number;
  /** After so many seconds a revived node was up to date by its own word; null: not in a minute. */
  readonly nodeBackSeconds: readonly (number | null)[];
  readonly agentsResidentMiB: readonly number[];
  readonly seconds: number;
}

async function main(locks: number, leaseSeconds: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-cluster-"));
  const startedAt = performance.now();
  const house = await ClusterHouse.start({ folder, locks, leaseSeconds });
  try {
    const measured = await runRounds(house, leaseSeconds);
    const report: ClusterReport = {
      locks,
      leaseSeconds,
      ...measured,
      logs: house.logFaults(),
      twoAtOnce: house.overlaps.length,
      events: house.cloud.record.summary().events,
      nodesKilled: house.cluster.nodes.length,
      gatewaysKilled: 1,
      seconds: (performance.now() - startedAt) / 1000,
    };
    say({ report });
  } finally {
    await house.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function runRounds(house: ClusterHouse, leaseSeconds: number) {
  const limitMs = (house.locks.length * SECONDS_A_LOCK + 3 * leaseSeconds) * 1000;
  const rounds: ClusterReport["rounds"][number][] = [];
  const run = async (name: string, strike?: () => Promise<void>): Promise<void> => {
    say({ show: `${name}: ${house.links.length} visits so far` });
    const round = await house.round(limitMs, strike);
    const newestSeconds = round.newestSeconds.map((seconds) => (Number.isFinite(seconds) ? seconds : null));
    rounds.push({ ...round, name, newestSeconds });
  };
  await Promise.all(clusterGateways.map((gateway) => house.startAgent(gateway)));
  await run("first");
  await run("undisturbed");
  const nodeBackSeconds: (number | null)[] = [];
  for (const index of house.cluster.nodes.keys()) {
    let revive = async (): Promise<number | undefined> => undefined;
    await run(`node-${index + 1}`, async () => {
      revive = await house.killNode(index);
    });
    nodeBackSeconds.push((await revive()) ?? null);
  }
  const agentsResidentMiB = house.agentsResidentMiB();
  await run("gateway", () => house.killAgent(clusterGateways[0]));
  return { rounds, nodeBackSeconds, agentsResidentMiB };
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Ten times what a visit takes here, the two gateways at it together. */
const SECONDS_A_LOCK = 1.5;

const [locks, leaseSeconds] = process.argv.slice(2).map(Number);
if (locks === undefined || leaseSeconds === undefined) throw new Error("expected: LOCKS LEASE_SECONDS");
await main(locks, leaseSeconds);
// A socket of a broker that died may still be in its time-out; everything of ours is closed.
process.exit(0);
