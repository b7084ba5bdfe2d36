/**
 * Runs sync worlds in a process of its own: one seed a line on stdin, one report a line on stdout (JSON). The world test and
 * `scripts/chaos sync` both feed several of these at once. `--log` prints the log of each world before its report.
 */
import { createInterface } from "node:readline";
import { runSyncWorld } from "./sync-world.ts";

const withLog = process.argv.includes("--log");
for await (const line of createInterface({ input: process.stdin })) {
  const seed = Number(line);
  if (!Number.isSafeInteger(seed)) throw new Error("a seed is a whole number, one a line");
  const { log, ...report } = await runSyncWorld({ seed, verbose: withLog }).catch((error: unknown) => {
    throw new Error(`the world of seed ${seed} died; see it: scripts/chaos sync --seed ${seed}`, { cause: error });
  });
  if (withLog) process.stdout.write(`${log.join("\n")}\n`);
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
