/** Debian's Mosquitto as its own process. Its folder must be readable for its own user: started by root, it gives root up. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { freePort } from "../agent-process.ts";
import { type BrokerProcess, startBroker } from "./broker-process.ts";

export interface MosquittoOptions {
  /** Its configuration is written there. */
  readonly folder: string;
  /** 0 or absent: any free one. */
  readonly port?: number;
  /** Lines of mosquitto.conf behind the listener; absent: anybody may do anything, and nothing is kept. */
  readonly lines?: readonly string[];
}

/** One listener on loopback without TLS. */
export async function startMosquitto(options: MosquittoOptions): Promise<BrokerProcess> {
  const { folder, lines = ["allow_anonymous true", "persistence false"] } = options;
  const port = options.port || (await freePort());
  await openFolder(folder);
  const path = join(folder, "mosquitto.conf");
  await writeFile(path, `${[`listener ${port} 127.0.0.1`, ...lines].join("\n")}\n`);
  return startMosquittoFile({ path, port, isTls: false });
}

/** A configuration that is there already, as `doorlink broker-config mosquitto` writes it. */
export function startMosquittoFile(options: {
  readonly path: string;
  readonly port: number;
  readonly isTls: boolean;
}): Promise<BrokerProcess> {
  const { path, port, isTls } = options;
  return startBroker({ command: "mosquitto", args: ["-c", path, "-v"], port, isTls });
}

/** The folder, and the temporary one that it is in, for Mosquitto's own user. */
export async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o777);
  await chmod(dirname(folder), 0o755);
}
