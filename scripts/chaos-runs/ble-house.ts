/**
 * The house for a campaign over D-Bus: emulated cloud, emulated site (with the private bus, the emulated BlueZ and the locks) and the agent,
 * each a process started by its own command. What the agent's process grows by is therefore the agent's own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { request } from "../story/http.ts";

const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 4_000;
const checkout = fileURLToPath(new URL("../..", import.meta.url));

export class BleHouse {
  readonly agentUrl: string;
  readonly siteUrl: string;
  readonly #directory: string;
  readonly #base: number;
  readonly #children: ChildProcess[] = [];
  #agent: ChildProcess | undefined;

  constructor(directory: string, portBase: number) {
    this.#directory = directory;
    this.#base = portBase;
    this.siteUrl = `http://127.0.0.1:${portBase}`;
    this.agentUrl = `http://127.0.0.1:${portBase + 3}`;
  }

  /** `agentFlags` are of Node, for the agent's process alone. */
  async start(agentFlags: readonly string[]): Promise<void> {
    const port = (offset: number): string => String(this.#base + offset);
    const cloudUrl = `http://127.0.0.1:${port(1)}`;
    const cloud = ["cloud", "--http-port", port(1), "--mqtt-port", port(2), "--public-url", cloudUrl];
    await this.#run("emulator", [...cloud, "--state", this.#folder("cloud"), "--seed", SEED]);
    const site = [
      "site",
      join(checkout, "emulator/sites/maple-court.yaml"),
      "--http-port",
      port(0),
      "--cloud",
      cloudUrl,
    ];
    const places = ["--bus-dir", this.#folder("bus"), "--state", this.#folder("site"), "--seed", SEED];
    const peers = ["--agent-mqtt", `mqtt://127.0.0.1:${port(4)}`, "--agent-http", this.agentUrl];
    await this.#run("emulator", [...site, ...peers, ...places]);
    const gateway = { gateway: "gateway-maple", password: "a password of this campaign alone" };
    await request("POST", `${cloudUrl}/bench/gateways`, gateway);
    writeFileSync(join(this.#folder("agent"), "password"), gateway.password);
    const configuration = join(this.#folder("agent"), "gateway.yaml");
    writeFileSync(configuration, this.#configuration());
    this.#agent = await this.#run("agent", ["run", "--config", configuration], agentFlags);
  }

  /** False: the agent's process has ended. */
  get isAgentAlive(): boolean {
    return this.#agent?.exitCode === null && this.#agent.signalCode === null;
  }

  /** Resident memory of the agent's process, from the kernel. */
  agentResidentMiB(): number {
    const status = readFileSync(`/proc/${this.#agent?.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      await ended;
      clearTimeout(late);
    }
  }

  #folder(name: string): string {
    const path = join(this.#directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  #configuration(): string {
    return `site: maple-court
gateway: gateway-maple
stateDir: .
broker: { port: ${this.#base + 4} }
http: { port: ${this.#base + 3} }
upstream: { url: "mqtt://127.0.0.1:${this.#base + 2}", username: gateway-maple, passwordFile: password }
bluetooth: { busAddress: "unix:path=${join(this.#folder("bus"), "bus.sock")}" }
sync: { automatic: false }
`;
  }

  /** Starts a command and waits for its word that it is ready. */
  #run(room: "agent" | "emulator", argv: readonly string[], flags: readonly string[] = []): Promise<ChildProcess> {
    const child = spawn(process.execPath, [...flags, join(checkout, room, "front.js"), ...argv], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-COMPLAINT_CHARACTERS);
    });
    const lines = createInterface({ input: child.stdout });
    return new Promise((resolve, reject) => {
      const name = `${room} ${argv[0]}`;
      const late = setTimeout(() => reject(new Error(`${name} was not ready: ${complaint}`)), READY_LIMIT_MS);
      lines.on("line", (line) => {
        if (!line.startsWith('{"ready"')) return;
        clearTimeout(late);
        resolve(child);
      });
      child.once("exit", (code, signal) => {
        clearTimeout(late);
        reject(new Error(`${name} ended with ${code ?? signal}: ${complaint}`));
      });
    });
  }
}

const SEED = "7";
const COMPLAINT_CHARACTERS = 2_000;
