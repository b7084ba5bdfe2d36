/**
 * The demo, as anybody runs it, twice one after the other with the same seed and ports: every step's evidence holds, and the
 * two runs agree in people, pictures, decisions, counts and each device's order of events. Times and ages are not compared.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { checkout } from "./checkout-house.ts";

/** A run takes about 15 s, and waits out the site's midnight, which is at most 90 s away. */
const DEMO_LIMIT_MS = 150_000;

const stepIds = [
  "print-sticker",
  "check-print",
  "scan",
  "grade",
  "directory",
  "call",
  "doorcode",
  "wrong-lock",
  "exposure",
  "sync",
  "revoked-denied",
  "outage",
  "upstream",
] as const;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const version = z.object({ epoch: z.number(), version: z.number() });
/** A log entry without its time. */
const entry = z.object({
  boot: z.number(),
  sequence: z.number(),
  kind: z.string(),
  person: z.string().optional(),
  reason: z.string().optional(),
  credentialType: z.string().optional(),
});
const checked = z.object({
  exitCode: z.number(),
  verdict: z.string(),
  size: z.object({ scalePercent: z.object({ x: z.number(), y: z.number() }), uniform: z.boolean() }),
  findings: z.array(z.object({ code: z.string() })),
});
const call = z.object({ state: z.string(), reason: z.string().optional() });

/** What must be there, and what two runs have in common; zod drops the rest. */
const evidence = {
  "print-sticker": z.object({ panel: z.string(), rotation: z.number(), payload: z.string(), pngSha256: sha256 }),
  "check-print": z.object({ good: checked, pdf: checked, shrunk: checked }),
  scan: z.object({
    text: z.string(),
    status: z.number(),
    photoSha256: sha256,
    retired: z.object({ text: z.string(), status: z.number() }),
  }),
  grade: z.object({
    exitCode: z.number(),
    verdict: z.string(),
    identity: z.object({ verdict: z.string() }),
    size: z.object({ reference: z.string(), scalePercent: z.object({ x: z.number(), y: z.number() }) }),
    grade: z.object({ title: z.string(), overall: z.object({ letter: z.string() }) }),
  }),
  directory: z.object({
    listed: z.array(z.string()),
    lacks: z.object({ unit: z.array(z.string()), key: z.array(z.string()), showInIntercom: z.array(z.string()) }),
  }),
  call: z.object({ call, withoutActiveLock: call }),
  // When the visit was differs between runs; that there was none since the code was made does not.
  doorcode: z
    .object({
      lock: z.string(),
      opened: z.boolean(),
      lastVisitBeforeCode: z.number().nullable(),
      lastVisitNow: z.number().nullable(),
      lockLog: entry,
    })
    .transform(({ lastVisitBeforeCode, lastVisitNow, ...rest }) => ({
      ...rest,
      visited: lastVisitNow !== lastVisitBeforeCode,
    })),
  "wrong-lock": z.object({ lockLog: entry, authorityReason: z.string(), placesWithCode: z.array(z.string()) }),
  exposure: z.object({ exposure: z.object({ device: z.string(), person: z.string() }), lockLog: entry }),
  sync: z.object({
    from: version,
    to: version,
    logEntries: z.number(),
    firmware: z.string(),
    exposuresLeft: z.number(),
  }),
  "revoked-denied": z.object({ lockLog: entry }),
  outage: z.object({
    events: z.number(),
    duplicates: z.number(),
    gaps: z.number(),
    devices: z.record(z.string(), z.array(z.string())),
  }),
  upstream: z.object({
    devices: z.array(z.object({ device: z.string(), firmware: z.object({ verdict: z.string() }) })),
  }),
} as const;

const outputSchema = z.object({
  steps: z.array(z.object({ id: z.enum(stepIds), ok: z.boolean(), evidence: z.unknown() })),
  cloud: z.object({
    events: z.number(),
    duplicates: z.number(),
    gaps: z.number(),
    devices: z.array(z.object({ device: z.string(), order: z.array(z.tuple([z.string(), z.string().nullable()])) })),
  }),
});
type Output = z.output<typeof outputSchema>;

interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("the demo with one seed, twice", () => {
  const runs: Run[] = [];
  const outputOf = (run: number): Output => outputSchema.parse(JSON.parse(runs[run]?.stdout ?? ""));
  const evidenceOf = <Id extends keyof typeof evidence>(id: Id, run = 0): z.output<(typeof evidence)[Id]> => {
    const step = outputOf(run).steps.find((one) => one.id === id);
    return evidence[id].parse(step?.evidence) as z.output<(typeof evidence)[Id]>;
  };
  const bothAgreeIn = (...ids: readonly (keyof typeof evidence)[]): void => {
    for (const id of ids) expect([id, evidenceOf(id, 1)]).toEqual([id, evidenceOf(id, 0)]);
  };

  beforeAll(async () => {
    for (let run = 0; run < 2; run++) runs.push(await runDemo("--seed", "5", "--ports", "31000"));
  }, 2 * DEMO_LIMIT_MS);

  it("each run ends with exit code 0 and all thirteen steps, in order, each with its evidence", () => {
    for (const [run, { exitCode, stderr }] of runs.entries()) {
      expect([exitCode, exitCode === 0 ? "" : stderr]).toEqual([0, ""]);
      const { steps } = outputOf(run);
      expect(steps.map(({ id, ok }) => [id, ok])).toEqual(stepIds.map((id) => [id, true]));
      for (const id of stepIds) evidenceOf(id, run);
    }
  });

  it("row 2: scanning the sticker opens the directory of the panel that it was printed for", () => {
    const { text, status, retired } = evidenceOf("scan");
    expect([text, status]).toEqual([evidenceOf("print-sticker").payload, 200]);
    expect(retired.status).toBe(410);
    expect(evidenceOf("directory").listed).not.toEqual([]);
  });

  it("row 9: the print is measured at the correct size, as PNG and as PDF", () => {
    const { good, pdf } = evidenceOf("check-print");
    for (const print of [good, pdf]) {
      expect(print).toMatchObject({ exitCode: 0, verdict: "pass", findings: [] });
      expect(print.size.scalePercent.x).toBeCloseTo(100, 0);
      expect(print.size.scalePercent.y).toBeCloseTo(100, 0);
    }
  });

  it("row 10: a print scaled by fit to page is refused, with its scale and that name", () => {
    const { shrunk } = evidenceOf("check-print");
    expect([shrunk.exitCode, shrunk.verdict, shrunk.size.uniform]).toEqual([1, "fail", true]);
    expect(shrunk.size.scalePercent.x).toBeCloseTo(94, 0);
    expect(shrunk.findings.map(({ code }) => code)).toContain("fit-to-page");
  });

  it("rows 8 and 9: the sticker on the wall is the current one at its true size, by the panel's bezel in the photograph", () => {
    const { exitCode, verdict, identity, size, grade } = evidenceOf("grade");
    expect([exitCode, verdict, identity.verdict, size.reference]).toEqual([0, "pass", "current", "bezel"]);
    expect(Math.abs(size.scalePercent.x - 100)).toBeLessThan(1);
    expect(grade.title).toBe("ISO-style, uncalibrated");
  });

  it("the runs agree in people", () => bothAgreeIn("directory", "call", "exposure"));

  it("the runs agree in pictures: the printed sticker and the visitor's photograph, byte for byte", () => {
    bothAgreeIn("print-sticker", "scan", "check-print", "grade");
  });

  it("the runs agree in decisions", () => bothAgreeIn("doorcode", "wrong-lock", "revoked-denied", "sync", "upstream"));

  it("the runs agree in counts, and nothing is doubled or missing", () => {
    bothAgreeIn("outage");
    const counts = [0, 1].map((run) => {
      const { events, duplicates, gaps } = outputOf(run).cloud;
      return { events, duplicates, gaps };
    });
    expect(counts[1]).toEqual(counts[0]);
    expect(counts[0]).toMatchObject({ duplicates: 0, gaps: 0 });
    expect(counts[0]?.events).toBeGreaterThan(20);
  });

  it("the runs agree in each device's order of kinds and reasons", () => {
    const orders = [0, 1].map((run) => outputOf(run).cloud.devices.map(({ device, order }) => [device, order]));
    expect(orders[1]).toEqual(orders[0]);
    expect(JSON.stringify(orders[0])).toContain("CREDENTIAL_REVOKED");
  });
});

function runDemo(...args: readonly string[]): Promise<Run> {
  const child = spawn(process.execPath, [join(checkout, "scripts", "demo.ts"), "--once", "--json", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      said[stream] += text;
    });
  }
  return new Promise((resolve) => {
    // An interrupt, so that the demo stops its own processes before it goes.
    const timer = setTimeout(() => child.kill("SIGTERM"), DEMO_LIMIT_MS);
    child.once("close", (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, ...said });
    });
  });
}
