/** The agent as a process that can be killed: the real one, bundled, on a state folder of its own and with a quiet radio. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface AgentSite {
  readonly program: string;
  readonly folder: string;
  readonly site: string;
  readonly upstreamPort: number;
  /** Of the agent's broker; 0: any. */
  readonly port?: number;
  readonly environment?: NodeJS.ProcessEnv;
}

export class KillableAgent {
  /** Port of its broker; undefined: it ended before it was ready. */
  readonly ready: Promise<number | undefined>;
  readonly #child: ChildProcess;
  #said = "";

  constructor(options: AgentSite) {
    const configPath = writeConfig(options);
    this.#child = spawn(process.execPath, [options.program, "run", "--config", configPath], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.environment },
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk.toString()}`.slice(-SAID_LIMIT);
    });
    this.ready = new Promise((resolve) => {
      let line = "";
      this.#child.stdout?.on("data", (chunk: Buffer) => {
        line += chunk.toString();
        if (line.includes("\n")) resolve(Number(new URL((JSON.parse(line) as { mqtt: string }).mqtt).port));
      });
      this.#child.once("close", () => resolve(undefined));
    });
  }

  /** What it said last on its error output. */
  get said(): string {
    return this.#said;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Fulfilled when it is gone. False: it had gone by itself before. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<boolean> {
    if (!this.running) return false;
    const gone = once(this.#child, "close");
    this.#child.kill(signal);
    await gone;
    return true;
  }
}

export function statePath(folder: string): string {
  return join(folder, "state");
}

export function databasePath(folder: string): string {
  return join(statePath(folder), "agent.db");
}

function writeConfig({ folder, site, upstreamPort, port = 0 }: AgentSite): string {
  mkdirSync(statePath(folder), { recursive: true });
  const lines = [
    `site: ${site}`,
    `gateway: ${GATEWAY}`,
    "stateDir: state",
    `broker: {port: ${port}}`,
    "http: {port: 0}",
    `upstream: {url: "mqtt://127.0.0.1:${upstreamPort}", reconnect: {firstMs: 20, capMs: 50}}`,
    "sync: {automatic: false}",
    "log: {level: error}",
  ];
  const path = join(folder, "agent.yaml");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

export interface StoredRow {
  readonly sequence: number;
  readonly boot: number;
  readonly detail: string;
}

/** A second look at the database while the agent has it open, by none of the agent's code. */
export class DatabaseWitness {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true });
    this.#database.exec("PRAGMA busy_timeout=5000");
  }

  /** Rows of a device with a sequence of `first` to `last`, in their order. */
  rows(device: string, first: number, last: number): readonly StoredRow[] {
    const found = this.#database
      .prepare(
        "SELECT sequence, boot, body FROM events WHERE device = (SELECT key FROM devices WHERE name = ?) AND sequence BETWEEN ? AND ? ORDER BY sequence",
      )
      .all(device, first, last);
    return found.map(({ sequence, boot, body }) => ({
      sequence: Number(sequence),
      boot: Number(boot),
      detail: String((JSON.parse(String(body)) as { readonly detail?: unknown }).detail),
    }));
  }

  isSound(): boolean {
    return this.#database.prepare("PRAGMA integrity_check").get()?.["integrity_check"] === "ok";
  }

  close(): void {
    this.#database.close();
  }
}

export const GATEWAY = "gateway-main";
const SAID_LIMIT = 2_000;
