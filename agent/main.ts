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
  const { runAgent } = await import("./commands/run.ts");
  return runAgent(configPath);
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
      const { runAgent } = await import("./commands/run.ts");
      finish(await runAgent(config));
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
  add("log", "the door log on this gateway, newest first")
    .option("--limit <n>", "how many events, 1 to 1000", "50")
    .action(async (options: OperatorOptions & { readonly limit: string }) => {
      const { runLog } = await import("./commands/log.ts");
      finish(await runLog(options.limit, await contextOf(options)));
    });
  add("firmware", "what each device runs, and what that means").action(async (options: OperatorOptions) => {
    const { runFirmware } = await import("./commands/firmware.ts");
    finish(await runFirmware(await contextOf(options)));
  });
  const device = program.command("device").description("the devices of this site");
  device
    .command("add <lock>")
    .description("pair a lock with the site's authority, by the card from its box")
    .requiredOption("--ble", "a lock without internet, over this gateway's radio")
    .requiredOption("--code <file>", "the card's setup code: a text file, a photograph of it, or - for standard input")
    .option("--address <address>", "where it is on the air, when the site does not say")
    .option("--json", "one JSON object on stdout")
    .action(async (lock: string, options: OperatorOptions & { readonly code: string; readonly address?: string }) => {
      const { runDeviceAdd } = await import("./commands/device-add.ts");
      const { code, address } = options;
      const asked = { device: lock, code, ...(address === undefined ? {} : { address }) };
      finish(await runDeviceAdd(asked, await contextOf(options)));
    });
  await registerStickers(program, finish);
  const { registerDecideCommand } = await import("./commands/decide.ts");
  registerDecideCommand(program, { write, warn, finish });
  const { registerOddsCommand } = await import("./commands/odds.ts");
  registerOddsCommand(program, { write, warn, finish });
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
  // DESIGN part 6: long work shows progress on a terminal and stays quiet in a pipe.
  const progress = process.stderr.isTTY ? (line: string): void => warn(`${line}\n`) : () => undefined;
  return { progress, stop: stop.signal };
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
const DEFAULT_AGENT_URL = "http://127.0.0.1:8703";

if (import.meta.main) process.exitCode = await runCommandLine(process.argv.slice(2));
