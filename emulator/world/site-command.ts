/** `doorlink-emulator site FILE`: reads the command line, says every mistake at once, and runs the process to its end. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { destination, pino } from "pino";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { formatMistake } from "../../protocol/site/document.ts";
import type { SiteProcess, SiteProcessFault } from "./site-process.ts";

export function registerSiteCommand(program: Command, setExitCode: (code: number) => void): void {
  program
    .command("site")
    .description("an emulated site: its locks, panels, people and the demo page")
    .argument("<file>", "the site file (YAML), such as emulator/sites/maple-court.yaml")
    .option("--http-port <port>", "port of the page and the world's API", "8700")
    .option("--cloud <url>", "HTTP address of the cloud", "http://127.0.0.1:8701")
    .option(
      "--agent-mqtt <url>",
      "address of the agent's broker; with mqtts its devices wait for claims",
      "mqtt://127.0.0.1:8704",
    )
    .option("--agent-http <url>", "the agent's HTTP address, for the page", "http://127.0.0.1:8703")
    .option("--bus-dir <folder>", "where the private D-Bus has its socket", ".doorlink/bus")
    .option("--state <folder>", "what devices and walls keep; folder of this process alone", ".doorlink/site")
    .option("--seed <number>", "whole number; the same seed gives the same world", "1")
    .action(async (file: string, flags: Flags) => setExitCode(await runSite(file, flags)));
}

interface Flags {
  readonly httpPort: string;
  readonly cloud: string;
  readonly agentMqtt: string;
  readonly agentHttp: string;
  readonly busDir: string;
  readonly state: string;
  readonly seed: string;
}

async function runSite(file: string, flags: Flags): Promise<number> {
  // Codes, daily keys and passwords of a whole house stand in the state folder: nobody else on this machine reads them.
  process.umask(0o077);
  const read = readFlags(file, flags);
  if (!read.ok) return complain(read.fault.lines, EXIT_USAGE);
  const logger = pino({ name: "site" }, destination({ dest: 2, sync: true }));
  // Loaded when it is wanted: the command line's other halves need neither D-Bus nor MQTT.
  const { startSite } = await import("./site-process.ts");
  const started = await startSite({ ...read.value, logger });
  if (!started.ok) {
    const { lines, exitCode } = describeFault(file, started.fault);
    return complain(lines, exitCode);
  }
  return live(started.value);
}

/** Says when it is ready, then lives until it is told to stop or loses its bus. */
async function live(site: SiteProcess): Promise<number> {
  void site.broughtUp.then((isUp) => {
    if (!isUp) return;
    process.stdout.write(`${JSON.stringify({ ready: "site", url: site.url, busAddress: site.busAddress })}\n`);
  });
  const end = await Promise.race([untilSignal(), site.busEnded.then(() => "bus-lost" as const)]);
  // A peer that does not let go must not keep the process: everything worth keeping is on the disk already.
  setTimeout(() => process.exit(end === "bus-lost" ? EXIT_ENVIRONMENT : 0), STOP_LIMIT_MS).unref();
  await site.stop();
  return end === "bus-lost" ? complain(["the private D-Bus ended"], EXIT_ENVIRONMENT) : 0;
}

function untilSignal(): Promise<"signal"> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve("signal"));
    process.once("SIGINT", () => resolve("signal"));
  });
}

type FlagFault = { readonly code: "usage"; readonly lines: readonly string[] };

function readFlags(file: string, flags: Flags) {
  const lines: string[] = [];
  const expect = <Value>(value: Value | undefined, name: string, expected: string, came: string): Value | undefined => {
    if (value === undefined) lines.push(`${name}: expected ${expected}, came ${JSON.stringify(came)}`);
    return value;
  };
  const siteText = expect(readText(file), "file", "a file that can be read", file);
  const httpPort = expect(wholeNumber(flags.httpPort, 0, 65_535), "--http-port", "a port 0-65535", flags.httpPort);
  const seed = expect(
    wholeNumber(flags.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    "--seed",
    "a whole number",
    flags.seed,
  );
  const cloudUrl = expect(urlOf(flags.cloud, "http:", "https:"), "--cloud", "an http(s) address", flags.cloud);
  const agentMqtt = expect(
    urlOf(flags.agentMqtt, "mqtt:", "mqtts:"),
    "--agent-mqtt",
    "an mqtt(s) address",
    flags.agentMqtt,
  );
  const agentHttp = expect(
    urlOf(flags.agentHttp, "http:", "https:"),
    "--agent-http",
    "an http(s) address",
    flags.agentHttp,
  );
  const whole = [siteText, httpPort, seed, cloudUrl, agentMqtt].every((value) => value !== undefined);
  if (!whole || lines.length > 0) return failed<FlagFault>({ code: "usage", lines });
  return ok({
    siteText: siteText ?? "",
    httpPort: httpPort ?? 0,
    seed: seed ?? 0,
    cloudUrl: cloudUrl ?? "",
    agentMqtt: agentMqtt ?? "",
    agentHttp,
    busFolder: resolve(flags.busDir),
    stateFolder: resolve(flags.state),
  }) satisfies Result<object, FlagFault>;
}

function describeFault(
  file: string,
  fault: SiteProcessFault,
): { readonly lines: readonly string[]; readonly exitCode: number } {
  switch (fault.code) {
    case "document-mistakes":
      return { lines: fault.mistakes.map((mistake) => `${file}:${formatMistake(mistake)}`), exitCode: EXIT_USAGE };
    case "directory-not-absolute":
    case "path-not-plain":
    case "socket-path-too-long":
      return { lines: [`--bus-dir: ${factsOf(fault)}`], exitCode: EXIT_USAGE };
    case "no-dbus-daemon":
      return { lines: [`no dbus-daemon found: ${fault.remedy}`], exitCode: EXIT_ENVIRONMENT };
    case "port-in-use":
      return { lines: [`port ${fault.port} is in use: choose another with --http-port`], exitCode: EXIT_ENVIRONMENT };
    default:
      return { lines: [factsOf(fault)], exitCode: EXIT_ENVIRONMENT };
  }
}

function factsOf({ code, ...facts }: SiteProcessFault): string {
  const words = Object.entries(facts).map(([name, value]) => `${name} ${String(value).trim()}`);
  return [code, ...words].join(", ").replaceAll("\n", " ");
}

function complain(lines: readonly string[], exitCode: number): number {
  for (const line of lines) process.stderr.write(`doorlink-emulator site: ${line}\n`);
  return exitCode;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Not there, or not ours to read: the caller says so with the path.
    return undefined;
  }
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^-?[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

function urlOf(text: string, ...protocols: readonly string[]): string | undefined {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol) ? text : undefined;
}

const EXIT_USAGE = 2;
const EXIT_ENVIRONMENT = 3;
const STOP_LIMIT_MS = 1_800;
