/** The agent as its own process, as an operator starts it, and what a test needs beside it: free ports, waiting with a deadline. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const front = fileURLToPath(new URL("../../agent/front.js", import.meta.url));

export interface AgentProcess {
  readonly http: string;
  readonly mqtt: string;
  readonly pid: number | undefined;
  readonly stderr: () => string;
  /** Sends the signal and gives the exit code; null after SIGKILL. */
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null>;
}

/** Started and ready. `behind`: a command line that ends by becoming the one it is given. */
export async function startAgent(configPath: string, behind: readonly string[] = []): Promise<AgentProcess> {
  const [command = process.execPath, ...args] = [...behind, process.execPath, front, "run", "--config", configPath];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = collect(child);
  await waitFor("the agent to be ready", () => output.stdout().includes("\n") || child.exitCode !== null);
  const line = output.stdout().split("\n")[0] ?? "";
  if (line === "") throw new Error(`the agent ended with ${child.exitCode}: ${output.stderr()}`);
  const { http, mqtt } = JSON.parse(line) as { http: string; mqtt: string };
  return {
    http,
    mqtt,
    pid: child.pid,
    stderr: output.stderr,
    stop: async (signal) => {
      const exited = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      return exited;
    },
  };
}

/** Runs the command line to its end. */
export async function runDoorlink(
  ...argv: readonly string[]
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [front, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const output = collect(child);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout: output.stdout(), stderr: output.stderr() };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

/** Polls; real processes give no other sign. */
export async function waitFor(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + WAIT_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${WAIT_LIMIT_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function collect(child: ChildProcess): { readonly stdout: () => string; readonly stderr: () => string } {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return { stdout: () => stdout, stderr: () => stderr };
}

const WAIT_LIMIT_MS = 20_000;
const POLL_MS = 20;
