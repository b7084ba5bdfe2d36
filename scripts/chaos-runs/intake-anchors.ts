/** What others call durable, under the same load and the same kill -9, in the same run: how many acknowledged events are gone. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LeanClient } from "../lib/lean-mqtt.ts";
import { DatabaseWitness } from "./intake-agent.ts";
import { DEVICE_PASSWORD, TestDevice } from "./intake-site.ts";

export interface Anchor {
  readonly name: string;
  kills: number;
  acknowledged: number;
  lost: number;
}

export interface AnchorOptions {
  readonly folder: string;
  readonly kills: number;
  readonly show: (line: string) => void;
}

export async function runAnchors(options: AnchorOptions): Promise<readonly Anchor[]> {
  return [
    await killHook(options, "event", "aedes 'publish' event"),
    await killHook(options, "published", "aedes published hook"),
    ...(await killMosquitto(options)),
  ];
}

async function killHook({ folder, kills, show }: AnchorOptions, hook: string, name: string): Promise<Anchor> {
  const anchor: Anchor = { name, kills: 0, acknowledged: 0, lost: 0 };
  for (; anchor.kills < kills; anchor.kills++) {
    show(`${name}: ${anchor.kills} of ${kills} kills`);
    const path = join(folder, `${hook}-${anchor.kills}.db`);
    const child = spawn(process.execPath, [HOOK_BROKER, hook, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = Number(String(await once(child.stdout, "data")));
    const devices = await loadUntilKilled(child, port, anchor.kills);
    const witness = new DatabaseWitness(path);
    for (const device of devices) {
      const kept = new Set(witness.rows(device.id, 1, device.texts.length).map(({ sequence }) => sequence));
      for (const [index, isAcknowledged] of device.acknowledged.entries()) {
        if (!isAcknowledged) continue;
        anchor.acknowledged += 1;
        if (!kept.has(index + 1)) anchor.lost += 1;
      }
    }
    witness.close();
  }
  return anchor;
}

/** Persistence on and everything else as it comes, but for the queue: its limit would lose more than the kill does. */
async function killMosquitto({ folder, kills, show }: AnchorOptions): Promise<readonly Anchor[]> {
  const anchor: Anchor = {
    name: "mosquitto, persistence true",
    kills: 0,
    acknowledged: 0,
    lost: 0,
  };
  for (; anchor.kills < kills; anchor.kills++) {
    show(`${anchor.name}: ${anchor.kills} of ${kills} kills`);
    const home = join(folder, `mosquitto-${anchor.kills}`);
    mkdirSync(home, { recursive: true });
    const port = await freePort();
    const config = join(home, "mosquitto.conf");
    writeFileSync(
      config,
      `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location ${home}/\nmax_queued_messages 0\nuser root\n`,
    );
    const first = await startMosquitto(config);
    // Nothing to stand beside on a machine without it.
    if (first === undefined) return [];
    const filters = ["dl/1/+/+/event"];
    const reader = await connected({
      port,
      clientId: "reader",
      password: DEVICE_PASSWORD,
      clean: false,
    });
    reader.subscribe(1, filters);
    await pause(SUBSCRIBED_MS);
    reader.destroy();
    const devices = await loadUntilKilled(first, port, anchor.kills);
    const again = await startMosquitto(config);
    const heard = new Set<string>();
    let heardLastAt = performance.now();
    const late = await connected({
      port,
      clientId: "reader",
      password: DEVICE_PASSWORD,
      clean: false,
      onPublish: (_topic, payload) => {
        heardLastAt = performance.now();
        const { device, events } = JSON.parse(payload.toString()) as {
          readonly device: string;
          readonly events: readonly { readonly sequence: number }[];
        };
        for (const { sequence } of events) heard.add(`${device} ${sequence}`);
      },
    });
    while (performance.now() - heardLastAt < QUIET_MS) await pause(20);
    late.destroy();
    again?.kill("SIGKILL");
    for (const device of devices) {
      for (const [index, isAcknowledged] of device.acknowledged.entries()) {
        if (!isAcknowledged) continue;
        anchor.acknowledged += 1;
        if (!heard.has(`${device.id} ${index + 1}`)) anchor.lost += 1;
      }
    }
  }
  return [anchor];
}

/** The same devices with the same windows; the kill comes when some hundreds were acknowledged. */
async function loadUntilKilled(child: ChildProcess, port: number, round: number): Promise<readonly TestDevice[]> {
  let lastId = 0;
  let acknowledged = 0;
  const enough = Promise.withResolvers<void>();
  const goal = 200 + 97 * (round % 7);
  const devices = Array.from(
    { length: DEVICES },
    (_, index) =>
      new TestDevice("anchor", `panel-${index}`, {
        nextId: () => (lastId = (lastId % 65_535) + 1),
        onAcknowledged: (count) => {
          acknowledged += count;
          if (acknowledged >= goal) enough.resolve();
        },
      }),
  );
  for (const device of devices) device.connect(port).catch(() => false);
  await Promise.race([enough.promise, pause(PATIENCE_MS, undefined, { ref: false })]);
  const gone = once(child, "close");
  child.kill("SIGKILL");
  await gone;
  for (const device of devices) device.disconnect();
  return devices;
}

async function startMosquitto(config: string): Promise<ChildProcess | undefined> {
  const child = spawn("mosquitto", ["-c", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  return new Promise((resolve) => {
    let said = "";
    child.once("error", () => resolve(undefined));
    child.once("exit", () => resolve(undefined));
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("running")) resolve(child);
    });
  });
}

async function connected(options: ConstructorParameters<typeof LeanClient>[0]): Promise<LeanClient> {
  const client = new LeanClient(options);
  await client.connected;
  return client;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

const HOOK_BROKER = fileURLToPath(new URL("./hook-broker.ts", import.meta.url));
const DEVICES = 6;
const PATIENCE_MS = 20_000;
const SUBSCRIBED_MS = 100;
/** When nothing more came for so long, nothing more comes. */
const QUIET_MS = 500;
