/** `scripts/bench sync --quick` as a process: every figure of the door sync with its target, and the model that it rests on. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

interface Result {
  readonly bench: string;
  readonly model: readonly string[];
  readonly holds: boolean;
  readonly figures: readonly { readonly id: string; readonly value: number; readonly target?: string }[];
}

/** Ten seconds of work, on a machine that has other things to do. */
const DEADLINE_MS = 180_000;
const main = fileURLToPath(new URL("../../scripts/benches/main.ts", import.meta.url));

describe("scripts/bench sync", () => {
  it(
    "keeps its targets: bytes, goodput, advertisement to commit, night round, radio charge",
    async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [main, "sync", "--quick", "--json"], {
        timeout: DEADLINE_MS,
        maxBuffer: 1024 * 1024,
      });
      const result: Result = JSON.parse(stdout);
      expect(result.holds).toBe(true);
      const judged = result.figures.filter(({ target }) => target !== undefined).map(({ id }) => id);
      for (const start of [
        "bytes-5000-full",
        "bytes-1000-changes-10",
        "goodput-35-per-50-ms-loss-10",
        "commit-",
        "night-",
      ]) {
        expect(judged.some((id) => id.startsWith(start))).toBe(true);
      }
      expect(judged.filter((id) => id.startsWith("goodput-"))).toHaveLength(12);
      expect(result.model.join(" ")).toContain("capacity is the slots that are not lost");
    },
    DEADLINE_MS,
  );
});
