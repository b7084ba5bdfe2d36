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

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const directory = await mkdtemp(join(tmpdir(), "doorlink-demo-"));
  const world = new DemoWorld({ ...options, directory });
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  let exitCode = 3;
  try {
    await waitOutMidnight("America/New_York");
    say("starting cloud, site and agent");
    await world.start();
    const story = new Story(world);
    say("first door sync of the three offline locks");
    await story.prepare();
    const steps = await Promise.race([tell(story), interrupted.then(() => undefined)]);
    if (steps === undefined) return 1;
    exitCode = steps.every(({ ok }) => ok) ? 0 : 1;
    if (options.json) process.stdout.write(`${JSON.stringify({ steps, cloud: await cloudRecord(world) })}\n`);
    if (!options.once) await stayUp(world, interrupted);
  } catch (error) {
    say(`could not go on: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await world.stop();
    if (exitCode === 0) await rm(directory, { recursive: true, force: true });
    else say(`logs and state are in ${directory}`);
  }
  return exitCode;
}

async function tell(story: Story): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  for (const [index, [id, run]] of story.steps.entries()) {
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
      const message = error instanceof Error ? error.message : String(error);
      results.push({ id, ok: false, evidence: { error: message } });
      say(`${place} FAILS ${message}`);
    }
  }
  return results;
}

/** The cloud's own account, as it stands at the end. */
async function cloudRecord(world: DemoWorld): Promise<unknown> {
  const summary = recordSummary.parse(await request("GET", `${world.urls.cloud}/api/record/summary`));
  const { events } = recordEvents.parse(await request("GET", `${world.urls.cloud}/api/record/events`));
  const shown = z
    .array(z.looseObject({ device: z.string() }))
    .parse(await request("GET", `${world.urls.cloud}/api/devices`));
  const devices = shown.map((one) => ({
    ...one,
    order: events.filter(({ device }) => device === one.device).map(({ kind, reason }) => [kind, reason ?? null]),
  }));
  return { events: summary.events, duplicates: summary.duplicates, gaps: summary.gaps, devices };
}

async function stayUp(world: DemoWorld, interrupted: Promise<void>): Promise<void> {
  say(`the house stays open: ${world.urls.site}  (directory and manager's API: ${world.urls.cloud}; stop with Ctrl-C)`);
  await interrupted;
}

/** A daily code is good until midnight at the site; a story that begins just before would end on the next day. */
async function waitOutMidnight(timeZone: string): Promise<void> {
  const time = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const [hours = 0, minutes = 0, seconds = 0] = time.format(new Date()).split(":").map(Number);
  const left = 86_400 - (hours * 3_600 + minutes * 60 + seconds);
  if (left > 90) return;
  say(`midnight at the site is ${left} s away: waiting for it to pass`);
  await new Promise((resolve) => setTimeout(resolve, (left + 1) * 1_000));
}

function readOptions() {
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
    const wholeNumbers = Number.isSafeInteger(seed) && Number.isInteger(portBase) && portBase > 0 && portBase < 65_531;
    if (!wholeNumbers) return undefined;
    return { once: values.once, json: values.json, seed, portBase, publicUrl: values["public-url"] };
  } catch {
    // parseArgs throws for options it does not know; the usage line says which there are.
    return undefined;
  }
}

/** Progress goes to standard error, so that standard output holds the JSON object alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
