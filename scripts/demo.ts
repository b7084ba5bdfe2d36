/**
 * The main job, end to end: agent, emulated site and emulated cloud as separate processes, and the visitor's story through
 * them. Stays up with a page to look at; `--once` ends after the story, `--json` prints the evidence as one object.
 * Exit codes: 0 every step's evidence holds, 1 a step does not, 2 usage, 3 the story could not be started.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { publicUrlToOrigin } from "../protocol/sticker/token.ts";
import { recordEvents, recordSummary, type StepResult } from "./story/evidence.ts";
import { request } from "./story/http.ts";
import { Story } from "./story/story.ts";
import { DemoWorld } from "./story/world.ts";

const usage = `usage: scripts/demo [--once] [--json] [--seed N] [--ports BASE] [--public-url http://LAN:PORT]
  --once         end after the story instead of staying up
  --json         print one JSON object on standard output at the end
  --seed N       people, pictures and decisions follow from it (default 7)
  --ports BASE   five ports from here on, on loopback (default 8700)
  --public-url   where a real phone reaches the directory; it goes into the sticker`;

async function main(): Promise<number> {
  const options = readArguments();
  if (!("seed" in options)) {
    process.stderr.write(`${options.join("\n")}\n${usage}\n`);
    return 2;
  }
  const directory = await mkdtemp(join(tmpdir(), "doorlink-demo-"));
  const world = new DemoWorld({ ...options, directory });
  const stop = stopSignal();
  let exitCode = 3;
  try {
    exitCode = await orStopped(run(world, options, stop), stop);
    if (!options.once) await stayUp(world, stop);
  } catch (error) {
    if (stop.aborted) exitCode = 1;
    else say(`could not go on: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await world.stop();
    if (exitCode === 0) await rm(directory, { recursive: true, force: true });
    else say(`logs and state are in ${directory}`);
  }
  return exitCode;
}

/** The story from its start to its end; gives the exit code. Says nothing more once `stop` is aborted. */
async function run(world: DemoWorld, options: DemoArguments, stop: AbortSignal): Promise<number> {
  await waitOutMidnight();
  say("starting cloud, site and agent");
  await world.start();
  const story = new Story(world);
  say("first door sync of the three offline locks");
  await story.prepare();
  const steps = await tell(story, stop);
  const exitCode = steps.every(({ ok }) => ok) ? 0 : 1;
  if (options.json) process.stdout.write(`${JSON.stringify({ steps, cloud: await cloudRecord(world) })}\n`);
  return exitCode;
}

/** Aborted by Ctrl-C, by SIGTERM, and when whoever read our output has gone. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => controller.abort());
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => controller.abort());
  return controller.signal;
}

/** What `work` gives, or a rejection at once when `stop` is aborted; then nobody waits for `work` any more. */
function orStopped<Value>(work: Promise<Value>, stop: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    stop.addEventListener("abort", () => reject(new Error("stopped")), { once: true });
    work.then(resolve, reject);
  });
}

async function tell(story: Story, stop: AbortSignal): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  for (const [index, [id, run]] of story.steps.entries()) {
    if (stop.aborted) break;
    const place = `${String(index + 1).padStart(2)}/${story.steps.length} ${id.padEnd(14)}`;
    try {
      const { evidence, line, objections } = await run();
      results.push({
        id,
        ok: objections.length === 0,
        evidence: { ...evidence, ...(objections.length > 0 && { objections }) },
      });
      say(`${place} ${objections.length === 0 ? `ok    ${line}` : `FAILS ${objections.join("; ")}`}`);
    } catch (error) {
      if (stop.aborted) break;
      const message = error instanceof Error ? error.message : String(error);
      results.push({ id, ok: false, evidence: { error: message } });
      say(`${place} FAILS ${message}`);
    }
  }
  return results;
}

/** The cloud's own account, as it stands at the end. */
async function cloudRecord(world: DemoWorld): Promise<unknown> {
  const summary = recordSummary.parse(await request("GET", `${world.urls.cloud}/bench/record/summary`));
  const { events } = recordEvents.parse(await request("GET", `${world.urls.cloud}/bench/record/events`));
  const shown = z
    .array(z.looseObject({ device: z.string() }))
    .parse(await request("GET", `${world.urls.cloud}/api/devices`));
  const devices = shown.map((one) => ({
    ...one,
    order: events.filter(({ device }) => device === one.device).map(({ kind, reason }) => [kind, reason ?? null]),
  }));
  return { events: summary.events, duplicates: summary.duplicates, gaps: summary.gaps, devices };
}

/** Until somebody stops it, which is its orderly end. */
async function stayUp(world: DemoWorld, stop: AbortSignal): Promise<void> {
  say(`the house stays open: ${world.urls.site}  (directory and manager's API: ${world.urls.cloud}; stop with Ctrl-C)`);
  await new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
}

/** A daily code is good until midnight at the site; a story that begins just before would end on the next day. */
async function waitOutMidnight(): Promise<void> {
  const time = new Intl.DateTimeFormat("en-GB", {
    timeZone: siteTimeZone,
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const [hours = 0, minutes = 0, seconds = 0] = time.format(new Date()).split(":").map(Number);
  const left = 86_400 - (hours * 3_600 + minutes * 60 + seconds);
  if (left > 90) return;
  say(`midnight at the site is ${left} s away: waiting for it to pass`);
  await new Promise((resolve) => setTimeout(resolve, (left + 1) * 1_000));
}

interface DemoArguments {
  readonly once: boolean;
  readonly json: boolean;
  readonly seed: number;
  readonly portBase: number;
  readonly publicUrl: string | undefined;
}

/** The options, or what is wrong with them, all at once. */
function readArguments(): DemoArguments | readonly string[] {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        seed: { type: "string", default: "7" },
        ports: { type: "string", default: "8700" },
        "public-url": { type: "string" },
      },
    });
    const seed = Number(values.seed);
    const portBase = Number(values.ports);
    const publicUrl = values["public-url"];
    const mistakes = [
      ...(Number.isSafeInteger(seed) ? [] : [`--seed: expected a whole number, came ${values.seed}`]),
      ...(Number.isInteger(portBase) && portBase > 0 && portBase <= lastPortBase
        ? []
        : [`--ports: expected 1 to ${lastPortBase}, came ${values.ports}`]),
      ...(publicUrl === undefined || publicUrlToOrigin(publicUrl).ok
        ? []
        : [`--public-url: expected http://host:port or https://host, came ${publicUrl}`]),
    ];
    return mistakes.length > 0 ? mistakes : { once: values.once, json: values.json, seed, portBase, publicUrl };
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** Progress goes to standard error, so that standard output holds the JSON object alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Of `emulator/sites/maple-court.yaml`, whose midnight matters before anybody has read that file. */
const siteTimeZone = "America/New_York";
/** Five ports from here on. */
const lastPortBase = 65_531;

process.exitCode = await main();
