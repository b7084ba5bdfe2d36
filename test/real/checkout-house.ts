/** Cloud, site and agent started from this checkout as their own processes, on free ports, in a folder of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const checkout = fileURLToPath(new URL("../..", import.meta.url));
export const mapleCourtFile = join(checkout, "emulator/sites/maple-court.yaml");
const READY_LIMIT_MS = 30_000;

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command of the checkout to its end. */
export function runCommand(
  front: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(checkout, front), ...args], { env, timeout: READY_LIMIT_MS });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
    });
    child.once("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** Polls until it holds; the error says what did not come. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come in ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

export class CheckoutHouse {
  readonly folder = mkdtempSync(join(tmpdir(), "doorlink-house-"));
  readonly stderr = new Map<string, string>();
  readonly #children = new Map<string, ChildProcess>();
  readonly #ports: readonly number[];
  readonly #scheme: "mqtt" | "mqtts";

  private constructor(ports: readonly number[], scheme: "mqtt" | "mqtts") {
    this.#ports = ports;
    this.#scheme = scheme;
  }

  /** `scheme` of the broker on the gateway: mqtts has it show certificates, and devices wait for a claim. */
  static async create(scheme: "mqtt" | "mqtts" = "mqtt"): Promise<CheckoutHouse> {
    const ports: number[] = [];
    while (ports.length < 5) {
      const port = await freePort();
      if (!ports.includes(port)) ports.push(port);
    }
    return new CheckoutHouse(ports, scheme);
  }

  /** Order of the contract: site, cloud HTTP, cloud MQTT, agent HTTP, agent MQTT. */
  #url(place: number, scheme = "http"): string {
    return `${scheme}://127.0.0.1:${this.#ports[place]}`;
  }

  get siteUrl(): string {
    return this.#url(0);
  }

  get cloudUrl(): string {
    return this.#url(1);
  }

  get agentUrl(): string {
    return this.#url(3);
  }

  port(place: number): string {
    return String(this.#ports[place]);
  }

  async startCloud(): Promise<void> {
    const ports = ["--http-port", this.port(1), "--mqtt-port", this.port(2)];
    await this.#start("cloud", "emulator/front.js", [
      "cloud",
      ...ports,
      "--state",
      join(this.folder, "cloud"),
      "--seed",
      "7",
    ]);
  }

  get siteArguments(): readonly string[] {
    return [
      "site",
      mapleCourtFile,
      "--http-port",
      this.port(0),
      "--cloud",
      this.cloudUrl,
      "--agent-mqtt",
      this.#url(4, this.#scheme),
      "--agent-http",
      this.agentUrl,
      "--bus-dir",
      join(this.folder, "bus"),
      "--state",
      join(this.folder, "site"),
      "--seed",
      "7",
    ];
  }

  async startSite(): Promise<void> {
    await this.#start("site", "emulator/front.js", this.siteArguments);
  }

  async startAgent(): Promise<void> {
    const password = "a password of this test alone";
    await post(`${this.cloudUrl}/bench/gateways`, { gateway: "gateway-maple", password });
    const folder = join(this.folder, "agent");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "password"), password);
    const config = [
      "site: maple-court",
      "gateway: gateway-maple",
      "stateDir: state",
      `broker: { port: ${this.port(4)}${this.#scheme === "mqtts" ? ", tls: { names: [127.0.0.1] }" : ""} }`,
      `http: { port: ${this.port(3)} }`,
      `upstream: { url: "${this.#url(2, "mqtt")}", passwordFile: password, reconnect: { firstMs: 100, capMs: 1000 } }`,
      `bluetooth: { busAddress: "unix:path=${join(this.folder, "bus", "bus.sock")}", adapter: hci0 }`,
      "sync: { automatic: false }",
    ];
    writeFileSync(join(folder, "gateway.yaml"), `${config.join("\n")}\n`);
    await this.#start("agent", "agent/front.js", ["run", "--config", join(folder, "gateway.yaml")]);
  }

  /** Ends one process in order; gives its exit code and how long it took. */
  async stop(name: string): Promise<{ readonly exitCode: number | null; readonly tookMs: number }> {
    const child = this.#children.get(name);
    if (child === undefined || child.exitCode !== null) return { exitCode: child?.exitCode ?? null, tookMs: 0 };
    const began = performance.now();
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
    const exitCode = await ended;
    clearTimeout(late);
    return { exitCode, tookMs: performance.now() - began };
  }

  async stopAll(): Promise<void> {
    for (const name of [...this.#children.keys()].reverse()) await this.stop(name);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #start(name: string, front: string, args: readonly string[]): Promise<void> {
    const child = spawn(process.execPath, [join(checkout, front), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.#children.set(name, child);
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      this.stderr.set(name, (this.stderr.get(name) ?? "") + chunk);
    });
    await until(
      `the ready line of the ${name}`,
      () => {
        if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${this.stderr.get(name)}`);
        return stdout.includes(`"ready":"${name}"`);
      },
      READY_LIMIT_MS,
    );
  }
}

export async function post(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return response.json();
}
