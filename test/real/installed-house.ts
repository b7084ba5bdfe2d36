/** Cloud, site and agent started from an installed package, each by its own command, as a stranger would. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";

const READY_LIMIT_MS = 20_000;

export class InstalledHouse {
  readonly agentUrl: string;
  readonly #home: string;
  readonly #portBase: number;
  readonly #children: ChildProcess[] = [];

  /** `home` is the folder with the package in its node_modules. */
  constructor(home: string, portBase: number) {
    this.#home = home;
    this.#portBase = portBase;
    this.agentUrl = `http://127.0.0.1:${portBase + 3}`;
  }

  get agentPid(): number | undefined {
    return this.#children.at(-1)?.pid;
  }

  async start(): Promise<void> {
    const port = (offset: number) => String(this.#portBase + offset);
    const cloud = `http://127.0.0.1:${port(1)}`;
    const folder = (name: string) => {
      const path = join(this.#home, "state", name);
      mkdirSync(path, { recursive: true });
      return path;
    };
    const siteFile = join(this.#home, "node_modules/doorlink/dist/emulator/sites/maple-court.yaml");
    const cloudArguments = ["--http-port", port(1), "--mqtt-port", port(2), "--public-url", cloud, "--state"];
    await this.#run("doorlink-emulator", ["cloud", ...cloudArguments, folder("cloud"), "--seed", "7"]);
    const siteArguments = ["--http-port", port(0), "--cloud", cloud, "--agent-mqtt", `mqtt://127.0.0.1:${port(4)}`];
    const places = [
      "--agent-http",
      this.agentUrl,
      "--bus-dir",
      folder("bus"),
      "--state",
      folder("site"),
      "--seed",
      "7",
    ];
    await this.#run("doorlink-emulator", ["site", siteFile, ...siteArguments, ...places]);
    const gateway = { gateway: "gateway-maple", password: "a password of this test alone" };
    const body = JSON.stringify(gateway);
    await fetch(`${cloud}/bench/gateways`, { method: "POST", headers: { "content-type": "application/json" }, body });
    writeFileSync(join(folder("agent"), "password"), gateway.password);
    writeFileSync(join(folder("agent"), "gateway.yaml"), this.#configuration());
    await this.#run("doorlink", ["run", "--config", join(folder("agent"), "gateway.yaml")]);
  }

  /** The same gateway, run by another copy of the program: `node FILE run --config ...`. */
  async changeAgent(file: string): Promise<void> {
    const before = this.#children.pop();
    if (before !== undefined) await end(before);
    await this.#start(process.execPath, [file, "run", "--config", join(this.#home, "state/agent/gateway.yaml")]);
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) await end(child);
  }

  /** One visit, asked of the running agent; the answer as it gave it. */
  async sync(device: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
    const response = await fetch(`${this.agentUrl}/api/sync`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ device }),
      signal: AbortSignal.timeout(30_000),
    });
    return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
  }

  #configuration(): string {
    return `site: maple-court
gateway: gateway-maple
stateDir: .
broker: { port: ${this.#portBase + 4} }
http: { port: ${this.#portBase + 3} }
upstream: { url: "mqtt://127.0.0.1:${this.#portBase + 2}", username: gateway-maple, passwordFile: password }
bluetooth: { busAddress: "unix:path=${join(this.#home, "state/bus/bus.sock")}" }
sync: { automatic: false }
`;
  }

  /** Starts an installed command and waits for its word that it is ready. */
  #run(command: string, argv: readonly string[]): Promise<void> {
    return this.#start(join(this.#home, "node_modules/.bin", command), argv);
  }

  #start(command: string, argv: readonly string[]): Promise<void> {
    const child = spawn(command, [...argv], { cwd: this.#home, stdio: ["ignore", "pipe", "pipe"] });
    this.#children.push(child);
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-2_000);
    });
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${command} ${argv[0]} was not ready: ${complaint}`)),
        READY_LIMIT_MS,
      );
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (!line.startsWith('{"ready"')) return;
        clearTimeout(late);
        resolve();
      });
      child.once("exit", (code) => reject(new Error(`${command} ${argv[0]} ended with ${code}: ${complaint}`)));
    });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 4_000);
  await ended;
  clearTimeout(late);
}
