/** Debian's nats-server with JetStream and MQTT as its own process: one by itself, or a cluster of several on loopback. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, waitFor } from "../agent-process.ts";
import { type BrokerProcess, startBroker } from "./broker-process.ts";

export interface NatsOptions {
  /** Its configuration and its JetStream store are there. */
  readonly folder: string;
  /** Of MQTT; absent: any free one. */
  readonly port?: number;
  /** What stands in the configuration beside the listeners: `accounts`, `authorization`. */
  readonly more?: string;
}

/** One node without TLS: MQTT and its own protocol on loopback. */
export async function startNats(options: NatsOptions): Promise<BrokerProcess> {
  const { folder, more = "" } = options;
  const port = options.port ?? (await freePort());
  await mkdir(folder, { recursive: true });
  const path = join(folder, "nats.conf");
  await writeFile(path, nodeLines({ name: "node-1", folder, clientPort: await freePort(), port, more }));
  return startNatsFile({ path, port, isTls: false });
}

/** A configuration that is there already, as `doorlink broker-config nats` writes it. */
export function startNatsFile(options: {
  readonly path: string;
  readonly port: number;
  readonly isTls: boolean;
}): Promise<BrokerProcess> {
  const { path, port, isTls } = options;
  const isReady = (said: string): boolean => said.includes("Server is ready");
  return startBroker({ command: "nats-server", args: ["-c", path], port, isTls, isReady });
}

export interface NatsNode {
  /** Where its MQTT is, also while it is down. */
  readonly url: string;
  readonly isUp: () => boolean;
  /** SIGKILL: what it had not written is gone. */
  kill(): Promise<void>;
  /** On the same ports; `empty`: its JetStream store is wiped before, as on a new machine. */
  start(options?: { readonly empty?: boolean }): Promise<void>;
  freeze(): void;
  thaw(): void;
  said(): string;
}

export interface NatsCluster {
  readonly nodes: readonly NatsNode[];
  stop(): Promise<void>;
}

export interface NatsClusterOptions {
  readonly folder: string;
  /** 3 unless said. */
  readonly size?: number;
  readonly more?: string;
}

/** All nodes are up and their JetStream has a leader: MQTT sessions and retained messages can be made. */
export async function startNatsCluster(options: NatsClusterOptions): Promise<NatsCluster> {
  const { folder, size = 3, more = "" } = options;
  const indices = Array.from({ length: size }, (_, index) => index + 1);
  const routePorts = await Promise.all(indices.map(() => freePort()));
  const routes = routePorts.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  const nodes = await Promise.all(
    indices.map(async (index) => {
      const cluster = `cluster { name: site, listen: "127.0.0.1:${routePorts[index - 1]}", routes: [${routes}] }\n`;
      return makeNode(join(folder, `node-${index}`), `node-${index}`, cluster + more);
    }),
  );
  await Promise.all(nodes.map((node) => node.start()));
  await waitFor("JetStream to have a leader", () => nodes.some((node) => node.said().includes("metadata leader")));
  return {
    nodes,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.kill()));
    },
  };
}

async function makeNode(folder: string, name: string, more: string): Promise<NatsNode> {
  const [clientPort, port] = await Promise.all([freePort(), freePort()]);
  await mkdir(folder, { recursive: true });
  const path = join(folder, "nats.conf");
  await writeFile(path, nodeLines({ name, folder, clientPort, port, more }));
  let running: BrokerProcess | undefined;
  return {
    url: `mqtt://127.0.0.1:${port}`,
    isUp: () => running !== undefined,
    kill: async () => {
      await running?.stop("SIGKILL");
      running = undefined;
    },
    start: async ({ empty = false } = {}) => {
      if (empty) await rm(join(folder, "store"), { recursive: true, force: true });
      running = await startNatsFile({ path, port, isTls: false });
    },
    freeze: () => running?.freeze(),
    thaw: () => running?.thaw(),
    said: () => running?.said() ?? "",
  };
}

interface NodeLines {
  readonly name: string;
  readonly folder: string;
  readonly clientPort: number;
  readonly port: number;
  readonly more: string;
}

function nodeLines({ name, folder, clientPort, port, more }: NodeLines): string {
  const store = `store_dir: "${join(folder, "store")}", max_file_store: 256MB, max_memory_store: 64MB`;
  return [
    `server_name: ${name}`,
    `listen: "127.0.0.1:${clientPort}"`,
    `jetstream { ${store} }`,
    `mqtt { listen: "127.0.0.1:${port}" }`,
    more,
    "",
  ].join("\n");
}
