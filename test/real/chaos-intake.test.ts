/** `scripts/chaos intake --quick` as a process: the real agent killed under load and cut from power, beside what acknowledges too early. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

interface Counts {
  readonly kills: number;
  readonly cuts: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly doubled: number;
  readonly powerCuts: string | { readonly lyingDisk: { readonly lost: number } };
  readonly anchors: readonly { readonly name: string; readonly acknowledged: number; readonly lost: number }[];
  readonly failures: readonly string[];
}

/** Ten seconds of work, on a machine that has other things to do. */
const DEADLINE_MS = 180_000;
const main = fileURLToPath(new URL("../../scripts/chaos-runs/main.ts", import.meta.url));

describe("scripts/chaos intake", () => {
  it(
    "loses nothing that was acknowledged, by kill -9 or by power cut, and sees the loss where others acknowledge too early",
    async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [main, "intake", "--quick", "--json"], {
        timeout: DEADLINE_MS,
        maxBuffer: 1024 * 1024,
      });
      const counts: Counts = JSON.parse(stdout);
      expect(counts).toMatchObject({ lost: 0, doubled: 0, failures: [] });
      expect(counts.kills).toBeGreaterThan(0);
      expect(counts.acknowledged).toBeGreaterThan(500);
      // Without a C compiler there is nothing to record with, and the campaign says so instead.
      if (typeof counts.powerCuts === "string") expect(counts.powerCuts).toContain("no C compiler");
      else {
        expect(counts.cuts).toBeGreaterThan(0);
        expect(counts.powerCuts.lyingDisk.lost).toBeGreaterThan(0);
      }
      const [event, hook] = counts.anchors;
      expect((event?.lost ?? 0) + (hook?.lost ?? 0)).toBeGreaterThan(0);
    },
    DEADLINE_MS,
  );
});
