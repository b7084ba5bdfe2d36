/**
 * What an idle gateway costs: the bundled agent with its embedded broker, linked upstream, started as its unit starts it; beside a bundle
 * that only imports the same libraries, opens the database and listens, with the same flags in the same run.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Aedes } from "aedes";
import { bundle, bundleAgent } from "../lib/bundle.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure, median, rounded } from "./result.ts";

const model = [
  "started as scripts/gateway/doorlink.service starts it: its flags, its environment, a compile cache that an earlier start has filled",
  "idle: linked upstream, no device has connected, no BLE lock is known, nobody has asked the HTTP API; routes and radio are then not loaded",
  "the anchor opens the database on its main thread and listens on two ports; beside it, as information, the same with the database in a thread of its own, where the agent must have it",
  "resident memory is VmRSS 8 s after the word that it is ready; start is from the fork to that word",
];

export async function benchIdle({ quick }: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), "doorlink-idle-"));
  const upstream = await openUpstream();
  try {
    const programs = await makePrograms(folder, upstream.port);
    const rounds = quick ? quickRounds : fullRounds;
    // Each once without being looked at: caches, and the database, are then what they are on every day but the first.
    for (const program of programs) await measure(program, 0);
    const seen = new Map(programs.map(({ name }) => [name, [] as Measured[]]));
    for (let round = 0; round < rounds; round++) {
      for (const { name, measured } of await measureTogether(programs)) seen.get(name)?.push(measured);
    }
    return benchResult("idle", figuresOf(seen), model);
  } finally {
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Program {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

interface Measured {
  readonly startMs: number;
  readonly residentMb: number;
}

function figuresOf(seen: ReadonlyMap<string, readonly Measured[]>): readonly Figure[] {
  const of = (name: string, key: keyof Measured): number =>
    rounded(median((seen.get(name) ?? []).map((measured) => measured[key])));
  const beside = (id: string, unit: string, key: keyof Measured): Figure => {
    const [value, anchor] = [of("agent", key), of("libraries", key)];
    const ratio = rounded(value / anchor);
    const target = { target: `ratio <= ${ratioLimit}`, holds: ratio <= ratioLimit };
    return { id, value, unit, anchor: { name: "the same libraries", value: anchor }, ratio, ...target };
  };
  const inform = (id: string, unit: string, key: keyof Measured): Figure => {
    const [value, anchor] = [of("agent", key), of("libraries-thread", key)];
    const name = "the same libraries, database in a thread";
    return { id, value, unit, anchor: { name, value: anchor }, ratio: rounded(value / anchor) };
  };
  return [
    beside("resident-memory", "MB", "residentMb"),
    beside("start-to-listening", "ms", "startMs"),
    inform("resident-memory-beside-a-thread", "MB", "residentMb"),
    inform("start-to-listening-beside-a-thread", "ms", "startMs"),
  ];
}

async function makePrograms(folder: string, upstreamPort: number): Promise<readonly Program[]> {
  const { flags, environment } = unitOf(readFileSync(join(checkout, "scripts/gateway/doorlink.service"), "utf8"));
  await bundleAgent(folder);
  await bundle(librariesProgram, join(folder, "libraries.cjs"));
  const config = join(folder, "gateway.yaml");
  mkdirSync(join(folder, "state"), { mode: 0o700 });
  writeFileSync(config, configuration(folder, upstreamPort), { mode: 0o600 });
  const program = (name: string, file: string, more: readonly string[]): Program => {
    // A cache for each, so that none finds what another left.
    const env = { ...process.env, ...environment, NODE_COMPILE_CACHE: join(folder, `cache-${name}`) };
    return { name, argv: [...flags, join(folder, file), ...more], env };
  };
  return [
    program("agent", "doorlink.cjs", ["run", "--config", config]),
    program("libraries", "libraries.cjs", [join(folder, "libraries.db"), "here"]),
    program("libraries-thread", "libraries.cjs", [join(folder, "libraries-thread.db"), "thread"]),
  ];
}

/** What the unit gives to the agent. */
function unitOf(unit: string): { readonly flags: readonly string[]; readonly environment: Record<string, string> } {
  const started = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
  const pairs = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]);
  return { flags: started.filter((word) => /^--(?!config)/.test(word)), environment: Object.fromEntries(pairs) };
}

function configuration(folder: string, upstreamPort: number): string {
  return `site: maple-court
gateway: gateway-main
stateDir: state
broker: { port: 0 }
http: { port: 0 }
upstream: { url: "mqtt://127.0.0.1:${upstreamPort}" }
bluetooth: { busAddress: "unix:path=${folder}/no-bus" }
log: { level: warn }
`;
}

/** One at a time to its word, so that none waits for another; then all sit still together. */
async function measureTogether(programs: readonly Program[]) {
  const running: { readonly name: string; readonly started: Started; readonly readyAt: number }[] = [];
  for (const program of programs) {
    const started = await start(program);
    running.push({ name: program.name, started, readyAt: performance.now() });
  }
  const measured = [];
  for (const { name, started, readyAt } of running) {
    await sleep(readyAt + settleMs - performance.now());
    measured.push({ name, measured: { startMs: started.startMs, residentMb: residentMb(started.child) } });
  }
  for (const { started } of running) await stop(started.child);
  return measured;
}

async function measure(program: Program, waitMs: number): Promise<void> {
  const { child } = await start(program);
  await sleep(waitMs);
  await stop(child);
}

interface Started {
  readonly child: ChildProcess;
  readonly startMs: number;
}

function start({ name, argv, env }: Program): Promise<Started> {
  const from = performance.now();
  const child = spawn(process.execPath, [...argv], { env, stdio: ["ignore", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-1_000);
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code}: ${complaint}`)));
    createInterface({ input: child.stdout }).once("line", () => resolve({ child, startMs: performance.now() - from }));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}

function residentMb(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, delayMs)));
}

/** Somebody to be linked to; nobody answers a question. */
async function openUpstream(): Promise<{ readonly port: number; readonly close: () => void }> {
  const broker = await Aedes.createBroker();
  const server: Server = createServer(broker.handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, close: () => broker.close(() => server.close()) };
}

/** All that the resident agent may load, and nothing done with it but what every program of its kind must do. */
const librariesProgram = `
globalThis.libraries = [
  require("reflect-metadata"), require("@peculiar/x509"), require("aedes"), require("cborg"), require("fastify"), require("mqtt"),
  require("mqtt-packet"), require("node-ble"), require("pino"), require("temporal-polyfill"), require("yaml"), require("zod"),
];
const { createServer } = require("node:net");
const [path, where] = process.argv.slice(2);
const open = 'new (require("node:sqlite").DatabaseSync)(path).exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t (k)")';
async function openDatabase() {
  if (where === "here") {
    const { DatabaseSync } = require("node:sqlite");
    globalThis.database = new DatabaseSync(path);
    globalThis.database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t (k)");
    return;
  }
  const { Worker } = require("node:worker_threads");
  const source = 'const { parentPort, workerData: path } = require("node:worker_threads"); globalThis.database = ' + open + '; parentPort.on("message", () => 0); parentPort.postMessage(1);';
  await new Promise((resolve) => new Worker(source, { eval: true, workerData: path }).once("message", resolve));
}
async function main() {
  await openDatabase();
  for (let count = 0; count < 2; count++) await new Promise((resolve) => createServer().listen(0, "127.0.0.1", resolve));
  process.once("SIGTERM", () => process.exit(0));
  process.stdout.write("listening\\n");
}
main();
`;

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const ratioLimit = 1.25;
const quickRounds = 2;
const fullRounds = 7;
/** The agent gives back what its start needed 5 s after it. */
const settleMs = 8_000;
