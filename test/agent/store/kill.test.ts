import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";

const program = fileURLToPath(new URL("./append-forever.ts", import.meta.url));
const killAfter = [25, 200, 60];

describe("kill -9 under load", () => {
  it("loses nothing whose append was fulfilled, whenever the process is killed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "doorlink-kill-"));
    const path = join(folder, "agent.db");
    const acknowledged: number[] = [];
    for (const [round, count] of killAfter.entries()) {
      acknowledged.push(...(await appendUntilKilled(path, round * 1_000_000, count)));
    }
    const store = await openSqliteStore(path, () => undefined);
    const kept = new Set<number>();
    for (const { sequence } of await store.readEvents("lock-c1" as DeviceId, -1, 1_000_000)) kept.add(sequence);
    await store.close();
    await rm(folder, { recursive: true });
    expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter.reduce((sum, count) => sum + count, 0));
    expect(acknowledged.filter((sequence) => !kept.has(sequence))).toEqual([]);
  }, 60_000);
});

/** Gives the sequences that the process said were kept; it is killed once it has said `count` of them. */
async function appendUntilKilled(path: string, start: number, count: number): Promise<readonly number[]> {
  const child = spawn(process.execPath, [program, path, String(start)], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
    if (printed.split("\n").length > count) child.kill("SIGKILL");
  });
  const signal = await new Promise((resolve) => child.on("close", (_code, name) => resolve(name)));
  expect(signal).toBe("SIGKILL");
  // The last line may be torn: only a whole line is a word given.
  return printed
    .split("\n")
    .slice(0, -1)
    .map((line) => Number(line));
}
