/** Starts the demo's processes through their own commands, waits for their word that they are ready, stops and kills them. */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const READY_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 4_000;
const COMMAND_LIMIT_MS = 60_000;

export type CommandName = "doorlink" | "doorlink-emulator";

export interface RunningProcess {
  readonly name: string;
  /** Where its standard error goes. */
  readonly logPath: string;
  /** SIGTERM, then SIGKILL if it does not go; gives the exit code, null when it had to be killed. */
  stop(): Promise<number | null>;
  /** SIGKILL, as a power cut would. */
  kill(): Promise<void>;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a long-running command; its log goes to `<directory>/<name>.log`. Throws when it ends or stays silent instead of becoming ready. */
export async function startProcess(
  directory: string,
  name: string,
  command: CommandName,
  args: readonly string[],
): Promise<RunningProcess> {
  const logPath = join(directory, `${name}.log`);
  const child = spawn(process.execPath, [commandPath(command), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.pipe(createWriteStream(logPath, { flags: "a" }));
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code));
    child.once("error", () => resolve(null));
  });
  const cancelDeadline = new AbortController();
  await Promise.race([
    readyLine(child.stdout),
    exited.then(async (code) => {
      throw new Error(`${name} ended with exit code ${code} instead of starting: ${await lastLines(logPath)}`);
    }),
    deadline(READY_LIMIT_MS, `${name} was not ready within ${READY_LIMIT_MS / 1000} s`, cancelDeadline.signal),
  ])
    .catch((error: unknown) => {
      // Nobody gets a handle on it any more, and it would keep this process alive.
      child.kill("SIGKILL");
      throw error;
    })
    .finally(() => cancelDeadline.abort());
  const stop = async (): Promise<number | null> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  return { name, logPath, stop, kill };
}

/** Runs a command of ours to its end. Throws only when it does not come to one within a minute. */
export function runCommand(command: CommandName, args: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [commandPath(command), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), COMMAND_LIMIT_MS);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code !== null) return resolve({ exitCode: code, stdout, stderr });
      reject(new Error(`${command} ${args.join(" ")} took longer than ${COMMAND_LIMIT_MS / 1000} s`));
    });
  });
}

function commandPath(command: CommandName): string {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  return join(root, command === "doorlink" ? "agent" : "emulator", "front.js");
}

/** The first line on standard output that is a JSON object with `ready`. What comes after it is read and dropped. */
function readyLine(stdout: Readable): Promise<void> {
  return new Promise((resolve) => {
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.startsWith('{"ready"')) resolve();
    });
  });
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim().split("\n").slice(-3).join(" | ");
}

function deadline(limitMs: number, message: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(message)), limitMs);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });
}
