import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { honestRun, type TestFact } from "./honest-run.ts";

const program = fileURLToPath(new URL("../../../scripts/bluez/main.ts", import.meta.url));
let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "doorlink-judge-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Runs `scripts/test-bluez --judge` on these facts, each a line. */
async function judge(
  lines: readonly string[],
): Promise<{ code: number; objections: readonly string[]; output: object }> {
  const file = join(directory, "facts.jsonl");
  await writeFile(file, lines.join("\n"));
  return new Promise((resolve) => {
    execFile(process.execPath, [program, "--judge", file, "--json"], { timeout: 30_000 }, (error, stdout) => {
      const output = JSON.parse(stdout);
      resolve({ code: typeof error?.code === "number" ? error.code : 0, objections: output.objections, output });
    });
  });
}

const asLines = (facts: readonly TestFact[]): string[] => facts.map((fact) => JSON.stringify(fact));

/** Changes the first fact that fits. */
function spoil(fits: Partial<TestFact>, change: (fact: TestFact) => TestFact): string[] {
  const facts = honestRun();
  const index = facts.findIndex((fact) => Object.entries(fits).every(([name, value]) => fact[name] === value));
  expect(index).toBeGreaterThanOrEqual(0);
  return asLines(facts.map((fact, at) => (at === index ? change(fact) : fact)));
}

const resumed = { fact: "visit", name: "resumed" };
const afterCut = { fact: "state", after: "interrupted" };
const batchesOf = ({ batches }: TestFact): readonly unknown[] => (Array.isArray(batches) ? batches : []);

describe("the judge of the virtual machine", () => {
  it("finds nothing in an honest run, and counts it", async () => {
    const { code, objections, output } = await judge(asLines(honestRun()));
    expect({ code, objections }).toEqual({ code: 0, objections: [] });
    expect(output).toMatchObject({
      test: "bluez",
      holds: true,
      configurations: [{ channels: 3 }, { channels: 1, visits: [{ name: "full" }, {}, { name: "resumed" }] }],
    });
  });

  const spoiled: readonly (readonly [what: string, lines: string[], objection: string])[] = [
    ["a lost entry", spoil(resumed, (fact) => ({ ...fact, batches: batchesOf(fact).slice(1) })), "lost or doubled"],
    [
      "a doubled entry",
      spoil(resumed, (fact) => ({ ...fact, batches: [batchesOf(fact)[0], ...batchesOf(fact)] })),
      "lost or doubled",
    ],
    [
      "a log that was not read to its end",
      spoil(resumed, (fact) => ({ ...fact, batches: batchesOf(fact).slice(0, -1) })),
      "the log ends before",
    ],
    [
      "a log that somebody else sealed",
      spoil(resumed, (fact) => ({ ...fact, batches: ["AAAA", ...batchesOf(fact)] })),
      "a batch of the log does not open",
    ],
    [
      "a snapshot in a delta's place",
      spoil(resumed, (fact) => ({ ...fact, base: null })),
      "expected a delta from version 1",
    ],
    [
      "a forged report",
      spoil(resumed, (fact) => ({ ...fact, report: { ...Object(fact["report"]), mac: "A".repeat(43).concat("=") } })),
      "the report's MAC does not hold",
    ],
    [
      "a lock that took the half",
      spoil(afterCut, (fact) => ({ ...fact, version: 2 })),
      "no more holds version 1 whole, but 2",
    ],
    ["nothing staged", spoil(afterCut, (fact) => ({ ...fact, stagedBytes: 0 })), "to be staged, came 0"],
    [
      "a cut that was none",
      spoil({ fact: "visit", name: "interrupted" }, (fact) => ({ ...fact, ok: true, fault: null })),
      "interrupted: expected a fault of the radio",
    ],
    [
      "a resumed visit that sent everything again",
      spoil(resumed, (fact) => ({ ...fact, streamBytes: Number(fact["streamBytes"]) + 4_096 })),
      "bytes after 4096 and little more, came",
    ],
    [
      "a door that did not open",
      spoil({ fact: "attempt", after: "resumed" }, (fact) => ({ ...fact, granted: false })),
      "the code of version 2 did not open",
    ],
    [
      "one ATT channel where three were asked for",
      asLines(honestRun().map((fact) => (fact.fact === "visit" ? { ...fact, eattChannels: 0 } : fact))),
      "0 channels of EATT were open",
    ],
    [
      "an advertisement that was not changed",
      spoil({ fact: "discovered", when: "after-sync" }, (fact) => ({ ...fact, advertisement: "010100000000" })),
      "the lock does not advertise version 1",
    ],
    [
      "a lock that does not notice that bluetoothd died",
      spoil({ fact: "stopped" }, (fact) => ({ ...fact, first: "bluetoothd", lockExitCode: null })),
      "expected the lock's process to end with 3, came null",
    ],
    ["a test that gave up", asLines(honestRun().slice(0, 9)), "did not come to its end"],
    ["one configuration only", asLines(honestRun().filter((_, at) => at === 0 || at > 18)), "one with three, came 1"],
    ["noise on the line", [...asLines(honestRun()), "{half a li"], "not a fact"],
  ];
  it.each(spoiled)("notices %s", async (_, lines, objection) => {
    const { code, objections } = await judge(lines);
    expect(code).toBe(1);
    expect(objections.join("\n")).toContain(objection);
  });
});
