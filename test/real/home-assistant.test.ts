/** Home Assistant's side of the gateway, at Debian's Mosquitto: what stays retained, what follows, and what is cleared. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createMqttBrokerTransport } from "../../agent/broker/mqtt-broker-transport.ts";
import { HomeAssistant } from "../../agent/homeassistant/home-assistant.ts";
import { describeStatus } from "../../agent/http/describe.ts";
import { monotonicMs, unixMs } from "../../protocol/base/units.ts";
import {
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockId,
  memoryLog,
  panel,
  site,
  startGateway,
  tellSite,
  twin,
} from "../world/gateway-builder.ts";
import { freePort, startAgent, waitFor } from "./agent-process.ts";

const password = "a-password-of-this-test";
let folder: string;
let port: number;
let broker: ChildProcess;
/** Between gateway and broker, to be torn. */
let tunnel: Server;
let tunnelPort: number;
const tunnelled = new Set<Socket>();
let watcher: MqttClient;
/** What somebody who subscribes now would hear; an empty message takes it away. */
const retained = new Map<string, string>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-ha-"));
  execFileSync("chmod", ["755", folder]);
  port = await freePort();
  await writeFile(join(folder, "passwords"), `doorlink:${password}\nhass:${password}\n`);
  execFileSync("mosquitto_passwd", ["-U", join(folder, "passwords")]);
  execFileSync("chmod", ["644", join(folder, "passwords")]);
  await writeFile(join(folder, "password"), password, { mode: 0o600 });
  const config = [
    "allow_anonymous false",
    `password_file ${folder}/passwords`,
    `listener ${port} 127.0.0.1`,
    "persistence false",
  ];
  await writeFile(join(folder, "mosquitto.conf"), `${config.join("\n")}\n`);
  tunnel = createServer((near) => {
    const far = createConnection(port, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      tunnelled.add(one);
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => tunnel.listen(0, "127.0.0.1", resolve));
  const address = tunnel.address();
  tunnelPort = typeof address === "object" && address !== null ? address.port : 0;
  await startBroker();
});

function tearLinks(): void {
  for (const socket of tunnelled) socket.destroy();
  tunnelled.clear();
}

afterEach(async () => {
  tearLinks();
  await new Promise<void>((resolve) => tunnel.close(() => resolve()));
  watcher.end(true);
  broker.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function startBroker(): Promise<void> {
  broker = spawn("mosquitto", ["-c", join(folder, "mosquitto.conf")], { stdio: "ignore" });
  retained.clear();
  await waitFor("Mosquitto", async () => {
    const options = { username: "hass", password, reconnectPeriod: 0, clientId: "hass" };
    watcher = mqtt.connect(`mqtt://127.0.0.1:${port}`, options);
    watcher.on("message", (topic, payload) => {
      if (payload.length === 0) retained.delete(topic);
      else retained.set(topic, payload.toString());
    });
    return new Promise<boolean>((resolve) => {
      watcher.once("connect", () => resolve(true));
      watcher.once("error", () => resolve(false));
      watcher.once("close", () => resolve(false));
    });
  });
  await watcher.subscribeAsync("#");
}

const realClock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs: number, action: () => void) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

function homeOf(world: GatewayWorld): HomeAssistant {
  const home = new HomeAssistant({
    names: { discoveryPrefix: "homeassistant", topicPrefix: "doorlink", site, gateway: gatewayId },
    transport: createMqttBrokerTransport({
      ...{ url: `mqtt://127.0.0.1:${tunnelPort}`, clientId: `${gatewayId}-home-assistant` },
      ...{ username: "doorlink", passwordFile: join(folder, "password") },
    }),
    backoff: { firstMs: 20, capMs: 200 },
    intervalMs: 50,
    status: () => describeStatus(world),
    doorOf: (device) => world.gateway.doors.of(device),
    clock: realClock,
    random: { bytes: (length) => new Uint8Array(length), fraction: Math.random },
    log: memoryLog([]),
  });
  home.start();
  return home;
}

const config = (device: string): string => `homeassistant/device/doorlink_${site}_${gatewayId}_${device}/config`;
const state = (device: string): string => `doorlink/${site}/${gatewayId}/${device}/state`;
const availability = `doorlink/${site}/${gatewayId}/availability`;
const stateOf = (device: string): Record<string, unknown> => JSON.parse(retained.get(state(device)) ?? "{}");

it("[G38] [G39] [G40] discovery is retained, states follow, a restart of either side is survived, and what is gone is cleared", async () => {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  const others = "homeassistant/device/zigbee2mqtt_0x1/config";
  await watcher.publishAsync(others, "{}", { retain: true, qos: 1 });
  const home = homeOf(world);
  await waitFor("the lock", () => retained.has(config(lockId)) && retained.get(availability) === "online");
  expect(stateOf(lockId)).toMatchObject({ sync: "pending", battery: null, lastSync: null });

  // A visit: the state follows by itself.
  const going = world.gateway.requestSync(lockId);
  await world.clock.advance(0);
  await going;
  await waitFor("the visit", () => stateOf(lockId)["battery"] === 71);

  // The broker dies and forgets everything: all of it is said again.
  watcher.end(true);
  broker.kill("SIGKILL");
  await waitFor("the broken link", () => !home.connected);
  await startBroker();
  await watcher.publishAsync(others, "{}", { retain: true, qos: 1 });
  await waitFor("the lock again", () => retained.has(config(lockId)) && stateOf(lockId)["battery"] === 71);

  // The authority takes the panel away while the agent runs, and the lock while it does not.
  await waitFor("the panel", () => retained.has(config("panel-r20")) && retained.has(state("panel-r20")));
  const tell = async (to: GatewayWorld, devices: readonly object[], revision: number): Promise<void> => {
    to.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ devices, revision }));
    await to.clock.advance(0);
  };
  await tell(world, [bleLock(), twin()], 2);
  await waitFor("the panel to be gone", () => !retained.has(config("panel-r20")) && !retained.has(state("panel-r20")));
  await home.stop();
  await waitFor("the goodbye", () => retained.get(availability) === "offline");
  expect(retained.has(config(lockId))).toBe(true);
  const next = await startGateway({ automatic: false, store: world.store, clock: world.clock });
  await tell(next, [panel(), twin()], 3);
  const homeAgain = homeOf(next);
  await waitFor("the lock to be gone", () => !retained.has(config(lockId)) && !retained.has(state(lockId)));
  await waitFor("the panel to be back", () => retained.has(config("panel-r20")));
  // What others said there is theirs.
  expect(retained.has(others)).toBe(true);

  // The link is torn, as by a crash: the broker says it for us, and it is taken back when we are there again.
  await waitFor("online", () => retained.get(availability) === "online");
  const said: string[] = [];
  watcher.on("message", (topic, payload) => said.push(topic === availability ? payload.toString() : topic));
  tearLinks();
  await waitFor("the last will, and the word after it", () => {
    const offline = said.indexOf("offline");
    return offline >= 0 && said.indexOf("online", offline) > offline;
  });
  said.length = 0;
  // Home Assistant started: states come again although nothing changed.
  await watcher.publishAsync("homeassistant/status", "online", { qos: 1 });
  await waitFor("the states again", () => said.includes(state("panel-r20")));
  await homeAgain.stop();
});

it("[G38] [G39] the agent itself shows its gateway there, by its configuration, and says goodbye when it is stopped", async () => {
  const free = await freePort();
  const lines = [
    ...[`site: ${site}`, `gateway: ${gatewayId}`, "stateDir: state"],
    ...[`broker: {port: ${free}}`, `http: {port: ${await freePort()}}`],
    `upstream: {url: "mqtt://127.0.0.1:${await freePort()}"}`,
    `bluetooth: {busAddress: "unix:path=${folder}/no-bus"}`,
    `homeAssistant: {broker: {url: "mqtt://127.0.0.1:${tunnelPort}", username: doorlink, passwordFile: password}}`,
  ];
  await writeFile(join(folder, "agent.yaml"), `${lines.join("\n")}\n`);
  const agent = await startAgent(join(folder, "agent.yaml"));
  await waitFor("the gateway", () => retained.has(config(gatewayId)) && retained.get(availability) === "online");
  expect(stateOf(gatewayId)).toMatchObject({ upstream: "OFF", radio: null, waiting: 0 });
  expect(await agent.stop("SIGTERM")).toBe(0);
  await waitFor("the goodbye", () => retained.get(availability) === "offline");
});
