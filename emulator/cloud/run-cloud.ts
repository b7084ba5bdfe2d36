/** The process `doorlink-emulator cloud`: real clock, real ports, its state directory; ready line on stdout, logs on stderr. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realClock } from "../world/clock.ts";
import { seededRandom } from "../world/random.ts";
import { cloudKeysFromSeed } from "./authority-keys.ts";
import { type Cloud, createCloud } from "./cloud.ts";
import type { CloudSettings } from "./cloud-settings.ts";
import { createCloudLog } from "./log.ts";

/** Runs until SIGTERM or SIGINT. Gives the exit code: 0 after a clean stop, 3 for a port in use or a state that cannot be used. */
export async function runCloud(settings: CloudSettings): Promise<number> {
  // Names, codes and addresses of a whole house stand in the state folder: nobody else on this machine reads them.
  process.umask(0o077);
  const opened = openState(settings.stateDirectory);
  if (opened === undefined) return complain(`the state folder ${settings.stateDirectory} cannot be made or written`);
  // A fresh stream at each start: with the former one, call ids and tokens would come again.
  const random = seededRandom(settings.seed, `cloud/${opened}`);
  const log = createCloudLog();
  const created = await createCloud({
    stateDirectory: settings.stateDirectory,
    keys: cloudKeysFromSeed(seededRandom(settings.seed, "authority").bytes(32)),
    publicUrl: settings.publicUrl ?? `http://127.0.0.1:${settings.httpPort}`,
    visitLeaseSeconds: settings.visitLeaseSeconds,
    externalBroker: settings.externalBroker,
    ports: { clock: realClock, random: (length) => random.bytes(length) },
    log,
  });
  if (!created.ok) {
    const { expected, came } = created.fault;
    return complain(
      `the record in ${settings.stateDirectory} is of version ${came}, this program knows up to ${expected}`,
    );
  }
  const cloud = created.value;
  const busy = await listen(cloud, settings);
  if (busy !== undefined) {
    await cloud.close();
    return complain(`port ${busy} is in use: choose another, or stop what listens there`);
  }
  log.info({ http: settings.httpPort, mqtt: cloud.broker.port }, "cloud is up");
  await signalled();
  await cloud.close();
  return 0;
}

/** Undefined when both listen and the ready line is out; else the port that is in use. */
async function listen(
  cloud: Cloud,
  { httpPort, mqttPort, publicUrl, externalBroker }: CloudSettings,
): Promise<number | undefined> {
  const mqtt = await cloud.broker.listen(mqttPort);
  if (!mqtt.ok) return mqtt.fault.port;
  try {
    await cloud.http.listen({ port: httpPort, host: hostFor(publicUrl) });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return httpPort;
    throw error;
  }
  const http = `http://127.0.0.1:${httpPort}`;
  const broker = externalBroker?.urls[0] ?? `mqtt://127.0.0.1:${mqtt.value}`;
  const ready = { ready: "cloud", http, mqtt: broker, publicUrl: cloud.authority.publicUrl };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  return undefined;
}

/** Phones on the local network reach the directory only when a public URL says so; the other routes answer loopback alone. */
function hostFor(publicUrl: string | undefined): string {
  const local = publicUrl === undefined || ["127.0.0.1", "localhost"].includes(new URL(publicUrl).hostname);
  return local ? "127.0.0.1" : "0.0.0.0";
}

/** How often this state was opened, this time included; undefined when the folder cannot be written. */
function openState(folder: string): number | undefined {
  try {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "starts");
    const starts = readStarts(path) + 1;
    writeFileSync(path, `${starts}\n`);
    return starts;
  } catch (error) {
    if (error instanceof Error && "syscall" in error) return undefined;
    throw error;
  }
}

function readStarts(path: string): number {
  try {
    return Number.parseInt(readFileSync(path, "utf8"), 10) || 0;
  } catch (error) {
    // No file yet is the first start; anything else is for the caller.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}

function complain(line: string): number {
  process.stderr.write(`doorlink-emulator cloud: ${line}\n`);
  return exitEnvironment;
}

const exitEnvironment = 3;
