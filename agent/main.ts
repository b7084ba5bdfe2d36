/**
 * The command `doorlink`. The resident agent and the operator's commands part here: `run` loads nothing that only a command needs, and
 * a command loads nothing of the agent.
 */
import { parseArgs } from "node:util";
import type { AgentClient } from "./commands/agent-client.ts";
import type { CommandContext } from "./commands/command.ts";
import { exitCodes } from "./commands/exit-codes.ts";
import type { Patience, SyncChoice } from "./commands/sync.ts";

/** Runs one command line (without node and the script's name) and gives its exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const configPath = readRunArguments(argv);
  if (configPath === undefined) return runOperatorCommand(argv);
  return run(configPath);
}

async function run(configPath: string): Promise<number> {
  const { startEarly } = await import("./commands/early-start.ts");
  const early = await startEarly(configPath);
  const { runAgent } = await import("./commands/run.ts");
  return runAgent(configPath, early);
}

/** The file of `run --config FILE`, and of nothing else: what is not exactly that is for commander to explain. */
function readRunArguments(argv: readonly string[]): string | undefined {
  if (argv[0] !== "run") return undefined;
  try {
    const { values } = parseArgs({ args: argv.slice(1), options: { config: { type: "string" } } });
    return values.config;
  } catch {
    return undefined;
  }
}

async function runOperatorCommand(argv: readonly string[]): Promise<number> {
  const { CommanderError } = await import("commander");
  let exitCode: number = exitCodes.fine;
  const program = await createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has said already what is wrong; help that was asked for is no mistake.
    return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
  }
  return exitCode;
}

/** Every command that `doorlink` has; `finish` takes the exit code of the one that ran. */
export async function createProgram(finish: (exitCode: number) => void): Promise<Program> {
  const { Command } = await import("commander");
  const { packageVersion } = await import("./commands/package-version.ts");
  const program = new Command("doorlink");
  program
    .description("edge agent for apartment doors: door syncs, stickers, health")
    .version(await packageVersion())
    .exitOverride()
    .showHelpAfterError("(add --help for the commands and their options)");
  program
    .command("run")
    .description("run the agent of this gateway until it is stopped")
    .requiredOption("--config <file>", "the gateway's configuration (YAML)")
    .action(async ({ config }: { config: string }) => {
      finish(await run(config));
    });
  program
    .command("check-config <file>")
    .description("look for mistakes in a configuration, and in the secrets' files that it names")
    .option("--json", "one JSON object on stdout")
    .action(async (file: string, { json }: OperatorOptions) => {
      const { runCheckConfig } = await import("./commands/check-config.ts");
      finish(await runCheckConfig(file, { json: json === true, write, warn }));
    });
  program
    .command("install-gateway [options...]")
    .description("put the agent on this machine as a service: --help says how, --dry-run what it would do")
    .helpOption(false)
    .allowUnknownOption()
    .action(async (options: readonly string[]) => {
      const { runInstallGateway } = await import("./commands/install-gateway.ts");
      finish(await runInstallGateway(options));
    });
  await registerCommands(program, finish);
  return program;
}

type Program = InstanceType<typeof import("commander")["Command"]>;
type OperatorOptions = { readonly json?: boolean };

async function registerCommands(program: Program, finish: (exitCode: number) => void): Promise<void> {
  // Recognised before and after the command's name, so that it need not be said for each.
  program.option("--agent <url>", "where the running agent answers", DEFAULT_AGENT_URL);
  const add = (name: string, description: string): Program =>
    program.command(name).description(description).option("--json", "one JSON object on stdout");
  const contextOf = async ({ json }: OperatorOptions): Promise<CommandContext> => ({
    client: await clientOf(program),
    json: json === true,
    write,
    warn,
  });
  add("status", "the site on one screen").action(async (options: OperatorOptions) => {
    const { runStatus } = await import("./commands/status.ts");
    finish(await runStatus(await contextOf(options)));
  });
  add("sync [lock]", "visit a lock now, or several one after the other: clock, policy, log")
    .alias("update")
    .option("--all", "every BLE lock that this gateway knows, the urgent first")
    .option("--urgent", "those where somebody is locked out, still let in, or waits with a keycard")
    .action(async (lock: string | undefined, options: SyncOptions) => {
      const { runSync } = await import("./commands/sync.ts");
      const choice = syncChoice(lock, options);
      if (choice === undefined) return program.error("error: name one lock, or --all, or --urgent", { exitCode: 2 });
      finish(await runSync(choice, await contextOf(options), patience()));
    });
  add("exposure", "people revoked or signed out whom a lock still lets in").action(async (options: OperatorOptions) => {
    const { runExposure } = await import("./commands/exposure.ts");
    finish(await runExposure(await contextOf(options)));
  });
  add("log", "the door log on this gateway as somebody may see it, newest first")
    .option("--door <door>", "one door (its id or name), or one device")
    .option("--person <id>", "one person")
    .option("--reason <code>", "denials for this reason")
    .option("--since <when>", "an age (2h, 3d), a date, a time of today, or both (UTC)")
    .option("--role <role>", "whose eyes: manager, technician, or resident:PERSON", "manager")
    .option("--limit <n>", "how many events", "50")
    .option("--csv", "RFC 4180 on stdout")
    .action(async (options: LogOptions) => {
      const { runLog } = await import("./commands/log.ts");
      const { json, csv = false, limit, ...words } = options;
      if (json === true && csv) return program.error("error: one of --json and --csv", { exitCode: 2 });
      finish(await runLog({ words, limit, csv }, await contextOf(options)));
    });
  program
    .command("person")
    .description("the people of this site, as this gateway keeps them")
    .command("erase <person>")
    .description("take a person (by id) out of everything that this gateway keeps; the authority's own record stays")
    .option("--credential <ids...>", "credentials of theirs that the log may name without the person")
    .option("--yes", "do not ask")
    .option("--json", "one JSON object on stdout")
    .action(async (person: string, options: EraseOptions) => {
      const { runPersonErase } = await import("./commands/person-erase.ts");
      const { askOnTerminal } = await import("./commands/ask.ts");
      const isSure = options.yes === true ? async () => true : askOnTerminal;
      const { credential: credentials = [] } = options;
      finish(await runPersonErase({ person, credentials }, await contextOf(options), isSure));
    });
  add("firmware", "what each device runs, and what that means").action(async (options: OperatorOptions) => {
    const { runFirmware } = await import("./commands/firmware.ts");
    finish(await runFirmware(await contextOf(options)));
  });
  add("bundle", "an archive of this gateway's state for who looks for a fault: no secrets, no people")
    .option("--out <file>", "where to write it; otherwise a name with the time, here")
    .option("--config <file>", "put the gateway's settings in as well")
    .action(async (options: OperatorOptions & { readonly out?: string; readonly config?: string }) => {
      const { runBundle } = await import("./commands/bundle.ts");
      const { out, config } = options;
      const wanted = { ...(out === undefined ? {} : { out }), ...(config === undefined ? {} : { config }) };
      finish(await runBundle({ ...wanted, nowMs: Date.now(), progress: progressLine() }, await contextOf(options)));
    });
  const { registerDeviceCommands } = await import("./commands/device-commands.ts");
  registerDeviceCommands(program, { contextOf, finish });
  await registerStickers(program, finish);
  const { registerBrokerConfig } = await import("./commands/broker-config.ts");
  registerBrokerConfig(program, { client: () => clientOf(program), write, warn, finish });
  const { registerDecideCommand } = await import("./commands/decide.ts");
  registerDecideCommand(program, { write, warn, finish });
  const { registerOddsCommand } = await import("./commands/odds.ts");
  registerOddsCommand(program, { write, warn, finish });
}

interface LogOptions extends OperatorOptions {
  readonly limit: string;
  readonly csv?: boolean;
  readonly role: string;
  readonly door?: string;
  readonly person?: string;
  readonly reason?: string;
  readonly since?: string;
}

interface EraseOptions extends OperatorOptions {
  readonly yes?: boolean;
  readonly credential?: readonly string[];
}

interface SyncOptions extends OperatorOptions {
  readonly all?: boolean;
  readonly urgent?: boolean;
}

/** Exactly one of the three, or undefined. */
function syncChoice(lock: string | undefined, { all, urgent }: SyncOptions): SyncChoice | undefined {
  const choices: SyncChoice[] = [];
  if (lock !== undefined) choices.push({ device: lock });
  if (all === true) choices.push("all");
  if (urgent === true) choices.push("urgent");
  return choices.length === 1 ? choices[0] : undefined;
}

/** The first Ctrl-C ends the round after the lock under way; the second ends the command at once, and the agent's visit goes on. */
function patience(): Patience {
  const stop = new AbortController();
  process.once("SIGINT", () => {
    warn("doorlink: stops after this lock\n");
    stop.abort();
  });
  return { progress: progressLine(), stop: stop.signal };
}

/** DESIGN part 6: long work shows progress on a terminal and stays quiet in a pipe. */
function progressLine(): (line: string) => void {
  return process.stderr.isTTY ? (line) => warn(`${line}\n`) : () => undefined;
}

async function registerStickers(program: Program, finish: (exitCode: number) => void): Promise<void> {
  const { registerStickerCommands } = await import("./sticker/commands.ts");
  registerStickerCommands(program, {
    fetchPanels: async () => {
      const { panelsAnswer } = await import("./http/views.ts");
      const { describeAgentFault } = await import("./commands/agent-client.ts");
      const client = await clientOf(program);
      const answer = await client.get("/api/panels", panelsAnswer);
      if (!answer.ok) throw new Error(describeAgentFault(answer.fault));
      return answer.value;
    },
    nowMs: () => Date.now(),
    noteCheck: async (check) => {
      const { stickerCheckView } = await import("./http/health-views.ts");
      const { describeAgentFault } = await import("./commands/agent-client.ts");
      const client = await clientOf(program);
      const answer = await client.post("/api/sticker-check", check, stickerCheckView, NOTE_LIMIT_MS);
      if (!answer.ok) throw new Error(describeAgentFault(answer.fault));
    },
    changeSticker: async (change) => {
      const { panelView } = await import("./http/views.ts");
      const { describeAgentFault } = await import("./commands/agent-client.ts");
      const client = await clientOf(program);
      const answer = await client.post("/api/sticker", change, panelView, STICKER_LIMIT_MS);
      if (answer.ok) return answer;
      if (answer.fault.code !== "refused") throw new Error(describeAgentFault(answer.fault));
      const { fault, reason } = answer.fault;
      return { ok: false, fault: { code: fault, ...(reason === undefined ? {} : { reason }) } };
    },
    write,
    warn,
    finish,
  });
}

async function clientOf(program: Program): Promise<AgentClient> {
  const { createAgentClient } = await import("./commands/agent-client.ts");
  return createAgentClient(String(program.opts()["agent"]));
}

function write(text: string): void {
  process.stdout.write(text);
}

function warn(text: string): void {
  process.stderr.write(text);
}

/** Beyond the agent's own wait for the authority. */
const STICKER_LIMIT_MS = 15_000;
const NOTE_LIMIT_MS = 5_000;
const DEFAULT_AGENT_URL = "http://127.0.0.1:8703";
