/** `scripts/bench intake --quick` as a process: every figure with its target, smaller ones than on a machine that does nothing else. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

interface Result {
  readonly holds: boolean;
  readonly figures: readonly { readonly id: string; readonly value: number; readonly holds?: boolean }[];
}

/** Ten seconds of work, on a machine that has other things to do. */
const DEADLINE_MS = 180_000;
const main = fileURLToPath(new URL("../../scripts/benches/main.ts", import.meta.url));
let result: Result;

beforeAll(async () => {
  const ran = await promisify(execFile)(process.execPath, [main, "intake", "--quick", "--json"], {
    timeout: DEADLINE_MS,
    maxBuffer: 1024 * 1024,
    // A figure that falls short ends it with 1, and is named below.
  }).catch((error: unknown) => error);
  result = JSON.parse(String(Reflect.get(Object(ran), "stdout")));
}, DEADLINE_MS);

describe("scripts/bench intake", () => {
  it("keeps its targets for durable intake and for a command's round trip", () => {
    const judged = result.figures.filter(({ holds }) => holds !== undefined);
    expect(judged.map(({ id }) => id)).toContain("durable-beside-sync-rate");
    expect(judged.filter(({ holds }) => holds === false)).toEqual([]);
  });

  it("a frozen device delays nobody for longer than two seconds", () => {
    expect(result.figures.find(({ id }) => id === "frozen-device-delays-others-beyond-2-s")?.value).toBe(0);
  });
});
