/** The demo's three processes and the files they are started with. They share only sockets and D-Bus. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { request, waitFor } from "./http.ts";
import { type RunningProcess, startProcess } from "./processes.ts";

export interface DemoOptions {
  readonly directory: string;
  readonly portBase: number;
  readonly seed: number;
  readonly publicUrl: string | undefined;
}

export const gatewayId = "gateway-maple";

export class DemoWorld {
  readonly directory: string;
  readonly urls: { readonly site: string; readonly cloud: string; readonly agent: string };
  readonly #options: DemoOptions;
  readonly #running = new Map<string, RunningProcess>();

  constructor(options: DemoOptions) {
    this.#options = options;
    this.directory = options.directory;
    const url = (offset: number) => `http://127.0.0.1:${options.portBase + offset}`;
    this.urls = { site: url(0), cloud: url(1), agent: url(3) };
  }

  async start(): Promise<void> {
    await this.#startCloud();
    await this.#startSite();
    await this.#introduceGateway();
    await this.startAgent();
  }

  async startAgent(): Promise<void> {
    await this.#start("agent", "doorlink", ["run", "--config", join(this.directory, "gateway.yaml")]);
  }

  async killAgent(): Promise<void> {
    await this.#running.get("agent")?.kill();
    this.#running.delete("agent");
  }

  /** Stops everything, the agent first, so that nobody sees a peer vanish. */
  async stop(): Promise<void> {
    for (const name of ["agent", "site", "cloud"]) {
      await this.#running.get(name)?.stop();
      this.#running.delete(name);
    }
  }

  async #startCloud(): Promise<void> {
    const { portBase, seed, publicUrl } = this.#options;
    await this.#start("cloud", "doorlink-emulator", [
      "cloud",
      ...["--http-port", String(portBase + 1)],
      ...["--mqtt-port", String(portBase + 2)],
      ...["--public-url", publicUrl ?? this.urls.cloud],
      ...["--state", await this.#stateDirectory("cloud")],
      ...["--seed", String(seed)],
    ]);
  }

  async #startSite(): Promise<void> {
    const { portBase, seed } = this.#options;
    const siteFile = fileURLToPath(new URL("../../emulator/sites/maple-court.yaml", import.meta.url));
    await this.#start("site", "doorlink-emulator", [
      "site",
      siteFile,
      ...["--http-port", String(portBase)],
      ...["--cloud", this.urls.cloud],
      ...["--agent-mqtt", `mqtt://127.0.0.1:${portBase + 4}`],
      ...["--agent-http", this.urls.agent],
      ...["--bus-dir", await this.#stateDirectory("bus")],
      ...["--state", await this.#stateDirectory("site")],
      ...["--seed", String(seed)],
    ]);
  }

  /** What an installer does: tells the authority of the gateway, and writes the gateway's first configuration. */
  async #introduceGateway(): Promise<void> {
    const { portBase } = this.#options;
    const password = randomBytes(18).toString("base64url");
    await waitFor("the cloud to know the site", () =>
      request("POST", `${this.urls.cloud}/bench/gateways`, { gateway: gatewayId, password }),
    );
    const passwordFile = join(this.directory, "upstream-password");
    await writeFile(passwordFile, password, { mode: 0o600 });
    const configuration = {
      site: "maple-court",
      gateway: gatewayId,
      stateDir: await this.#stateDirectory("agent"),
      broker: { port: portBase + 4 },
      http: { port: portBase + 3 },
      upstream: { url: `mqtt://127.0.0.1:${portBase + 2}`, username: gatewayId, passwordFile },
      bluetooth: { busAddress: `unix:path=${join(this.directory, "bus", "bus.sock")}` },
      // The story shows what an unsynced lock does, so visits are made when somebody asks.
      sync: { automatic: false },
    };
    await writeFile(join(this.directory, "gateway.yaml"), stringify(configuration));
  }

  async #start(name: string, command: "doorlink" | "doorlink-emulator", args: readonly string[]): Promise<void> {
    this.#running.set(name, await startProcess(this.directory, name, command, args));
  }

  async #stateDirectory(name: string): Promise<string> {
    const path = join(this.directory, name);
    await mkdir(path, { recursive: true });
    return path;
  }
}
