/** `scripts/bench store --quick` and `scripts/bench upstream --quick` as processes: every figure with its target. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

interface Result {
  readonly figures: readonly { readonly id: string; readonly target?: string; readonly holds?: boolean }[];
}

/** Some seconds of work, on a machine that has other things to do. */
const DEADLINE_MS = 120_000;
const main = fileURLToPath(new URL("../../scripts/benches/main.ts", import.meta.url));

async function judged(name: string): Promise<readonly (readonly [string, boolean | undefined])[]> {
  const options = { timeout: DEADLINE_MS, maxBuffer: 1024 * 1024 };
  const { stdout } = await promisify(execFile)(process.execPath, [main, name, "--quick", "--json"], options).catch(
    (error: { stdout: string }) => error,
  );
  const { figures }: Result = JSON.parse(stdout);
  return figures.filter(({ target }) => target !== undefined).map(({ id, holds }) => [id, holds]);
}

it(
  "scripts/bench store keeps its targets: bytes written, start and growth with a backlog",
  async () => {
    expect(await judged("store")).toEqual([
      ["bytes-per-event-100-together", true],
      ["backlog-50000-start", true],
      ["backlog-50000-resident", true],
    ]);
  },
  DEADLINE_MS,
);

it(
  "scripts/bench upstream keeps its targets: drain beside mqtt.js, nothing twice, the stated rate, what happens now",
  async () => {
    expect(await judged("upstream")).toEqual([
      ["drain-20-devices", true],
      ["drain-20-doubled", true],
      ["stated-rate", true],
      ["live-during-drain", true],
    ]);
  },
  DEADLINE_MS,
);
