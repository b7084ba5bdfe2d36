/** `doorlink bundle`: one archive of what somebody else needs to look for a fault, without secrets and without people. SPEC G37. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { type Diagnostics, diagnosticsView } from "../bundle/diagnostics.ts";
import { readSystemFacts } from "../bundle/system-facts.ts";
import { packTar, type TarFile } from "../bundle/tar.ts";
import { type Config, loadConfig } from "../config.ts";
import { describeConfigFault } from "../config-text.ts";
import { describeAgentFault } from "./agent-client.ts";
import { type CommandContext, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { packageVersion } from "./package-version.ts";

export interface BundleOptions {
  /** Absent: a name with the time, in the folder where one stands. */
  readonly out?: string;
  /** The gateway's configuration; absent: it is left out. */
  readonly config?: string;
  readonly nowMs: number;
  /** Says what is done now, on a terminal. */
  readonly progress: (line: string) => void;
}

/** 0: written; 1: written, but without the agent's word, which did not answer; 3: it could not be written. */
export async function runBundle(options: BundleOptions, context: CommandContext): Promise<number> {
  const { nowMs, progress, config } = options;
  progress("asks the agent");
  const answer = await context.client.get("/api/diagnostics", diagnosticsView);
  progress("reads the machine");
  const files = [
    ...(answer.ok
      ? agentFiles(answer.value)
      : [{ name: "no-agent.txt", text: `${describeAgentFault(answer.fault)}\n` }]),
    ...(config === undefined ? [] : [await configFile(config)]),
    jsonFile("system.json", { doorlink: await packageVersion(), ...(await readSystemFacts()) }),
  ];
  const moment = new Date(nowMs).toISOString().slice(0, 19).replaceAll(":", "-");
  const path = resolve(options.out ?? `doorlink-bundle-${moment}.tar.gz`);
  progress(`writes ${files.length} files`);
  const folder = `doorlink-bundle-${moment}`;
  const bounded = [readme(files), ...files].map(({ name, text }) => ({ name: `${folder}/${name}`, text: bound(text) }));
  const bytes = gzipSync(packTar(bounded, nowMs / 1000));
  try {
    // Nobody else on this machine reads it, and one that is there is not written over.
    await writeFile(path, bytes, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "failed";
    context.warn(`doorlink: cannot write ${path} (${reason}): say where with --out FILE\n`);
    return exitCodes.environment;
  }
  if (!answer.ok) context.warn(`doorlink: ${describeAgentFault(answer.fault)}\n`);
  if (context.json)
    writeJson(context, { file: path, bytes: bytes.length, agent: answer.ok, files: files.map(({ name }) => name) });
  else
    context.write(
      `${path}: ${Math.ceil(bytes.length / 1024)} kB, ${files.length} files; look through it before you give it away\n`,
    );
  return answer.ok ? exitCodes.fine : exitCodes.finding;
}

function agentFiles({ status, readiness, metrics, visits, outbox, log }: Diagnostics): readonly TarFile[] {
  return [
    jsonFile("status.json", status),
    jsonFile("readiness.json", readiness),
    { name: "metrics.txt", text: metrics },
    jsonFile("visits.json", visits),
    jsonFile("outbox.json", outbox),
    { name: "log.ndjson", text: log.join("") },
  ];
}

/** The settings as they were understood: comments, and whatever else stands in the file, may say more than they should. */
async function configFile(path: string): Promise<TarFile> {
  const read = await loadConfig(path);
  if (!read.ok) return { name: "config-mistakes.txt", text: describeConfigFault("the configuration", read.fault) };
  return jsonFile("config.json", withoutCredentials(read.value));
}

/** No setting holds a secret: they are named by their files. An address could. */
function withoutCredentials(config: Config): unknown {
  return JSON.parse(
    JSON.stringify(config, (key, value: unknown) => {
      if (secretNames.test(key) && !/File$/.test(key) && typeof value === "string") return "(removed)";
      return typeof value === "string" ? value.replace(/:\/\/[^\s/@]*@/g, "://(removed)@") : value;
    }),
  );
}

function readme(files: readonly TarFile[]): TarFile {
  const lines = [
    "What a doorlink gateway knows of itself, packed by `doorlink bundle`.",
    "",
    "In it: the state of gateway, locks, panels and machine; how the last visits went; the agent's last log lines; versions.",
    "Not in it: keys, passwords, doorcodes, stickers, the door log, pictures. People have a pseudonym that is another in each bundle.",
    "Names of doors and of the site are in it.",
    "",
    ...files.map(({ name, text }) => `${name}  ${text.length} characters`),
  ];
  return { name: "README.txt", text: `${lines.join("\n")}\n` };
}

function jsonFile(name: string, value: unknown): TarFile {
  return { name, text: `${JSON.stringify(value, null, 2)}\n` };
}

function bound(text: string): string {
  return text.length <= FILE_LIMIT_CHARACTERS ? text : `${text.slice(0, FILE_LIMIT_CHARACTERS)}\n(cut off here)\n`;
}

const secretNames = /password|secret|token|pin|code|key/i;
/** The status of a site of a thousand devices has 2.7 million. */
const FILE_LIMIT_CHARACTERS = 4 * 1024 * 1024;
