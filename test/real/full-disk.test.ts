/**
 * The agent as a process whose state directory lies on a file system of 24 MB that somebody else fills: a device on its broker, and an authority
 * behind the second of two URLs.
 */
import { once } from "node:events";
import { mkdir, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import mqtt, { type MqttClient } from "mqtt";
import { afterEach, expect, it } from "vitest";
import { statusView } from "../../agent/http/views.ts";
import { gatewayDesired, gatewayId, panelPassword, site } from "../world/gateway-builder.ts";
import { type AgentProcess, freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";

const device = "panel-r20";
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

it("[G62] [U8] a full disk ends nothing: events stay with their device, the screen says so, and all is well when there is room", async () => {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-full-"));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const recorded: number[] = [];
  const authorityPort = await startAuthority(recorded);
  const agent = await startOnSmallDisk(folder, authorityPort);
  const status = async () => {
    const answer = await fetch(`${agent.http}/api/status`);
    return statusView.parse(await answer.json());
  };
  await waitFor("the link", async () => (await status()).upstream.connected);
  expect((await status()).upstream.url).toBe(`mqtt://127.0.0.1:${authorityPort}`);

  const acknowledged: number[] = [];
  let client = await connectDevice(agent);
  const publish = async (sequence: number): Promise<boolean> => {
    const isTaken = await publishEvent(client, sequence);
    if (isTaken) acknowledged.push(sequence);
    return isTaken;
  };
  expect(await publish(1)).toBe(true);

  const heavy = `/proc/${agent.pid}/root${join(folder, "state", "somebody-elses")}`;
  const { bavail, bsize } = await statfs(`/proc/${agent.pid}/root${join(folder, "state")}`);
  await writeFile(heavy, new Uint8Array((bavail - 2) * bsize));
  let next = 2;
  while (await publish(next)) next += 1;
  expect(next).toBeLessThan(20_000);
  await waitFor("the status to say so", async () => (await status()).store.filling === "full");
  expect((await runDoorlink("status", "--agent", agent.http)).stdout).toContain("the disk is full");

  await rm(heavy);
  await waitFor("events to be taken again", async () => {
    client.end(true);
    client = await connectDevice(agent);
    return publish(next);
  });
  await waitFor("the authority to have all", () => new Set(recorded).size === acknowledged.length);
  expect(new Set(recorded)).toEqual(new Set(acknowledged));
  await waitFor("room", async () => (await status()).store.filling === "room");
  client.end(true);
  expect(agent.stderr()).toContain('"code":"store-full"');
  expect(await agent.stop("SIGTERM")).toBe(0);
});

async function startOnSmallDisk(folder: string, authorityPort: number): Promise<AgentProcess> {
  const state = join(folder, "state");
  await mkdir(state);
  const lines = [
    `site: ${site}`,
    `gateway: ${gatewayId}`,
    "stateDir: state",
    `broker: {port: ${await freePort()}}`,
    `http: {port: ${await freePort()}}`,
    "upstream:",
    // Nobody listens on the first.
    `  urls: ["mqtt://127.0.0.1:${await freePort()}", "mqtt://127.0.0.1:${authorityPort}"]`,
    "  reconnect: {firstMs: 20, capMs: 100}",
    "store: {limitMegabytes: 16, reserveMegabytes: 4}",
    "sync: {automatic: false}",
  ];
  await writeFile(join(folder, "agent.yaml"), `${lines.join("\n")}\n`);
  // A file system in a name space of its own: nobody's rights are needed, and nothing stays mounted.
  const script = `mount -t tmpfs -o size=24m tmpfs "${state}" && exec "$@"`;
  const behind = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
  const agent = await startAgent(join(folder, "agent.yaml"), behind);
  closers.push(() => agent.stop("SIGKILL"));
  return agent;
}

/** A broker with a record behind it, which answers each message of events with a receipt. */
async function startAuthority(recorded: number[]): Promise<number> {
  const aedes = await Aedes.createBroker();
  let through = 0;
  aedes.on("publish", ({ topic, payload }) => {
    if (!topic.endsWith(`${device}/event`)) return;
    const { events }: { events: { sequence: number }[] } = JSON.parse(String(payload));
    recorded.push(...events.map(({ sequence }) => sequence));
    while (recorded.includes(through + 1)) through += 1;
    say(`dl/1/${site}/${device}/receipt`, { v: 1, device, through, missing: [] }, false);
  });
  const say = (topic: string, message: object, retain: boolean): void =>
    aedes.publish(
      { cmd: "publish", topic, payload: JSON.stringify(message), qos: 1, retain, dup: false },
      () => undefined,
    );
  say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ certified: false }), true);
  const server: Server = createServer((socket) => void aedes.handle(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on a port");
  return address.port;
}

async function connectDevice(agent: AgentProcess): Promise<MqttClient> {
  const options = { clientId: device, username: device, password: panelPassword, reconnectPeriod: 0, clean: true };
  for (;;) {
    const client = mqtt.connect(agent.mqtt, options);
    client.on("error", () => undefined);
    const isConnected = await new Promise<boolean>((resolve) => {
      client.once("connect", () => resolve(true));
      client.once("close", () => resolve(false));
    });
    if (isConnected) return client;
    client.end(true);
  }
}

/** False: the connection ended before the broker acknowledged it. */
async function publishEvent(client: MqttClient, sequence: number): Promise<boolean> {
  const at = { unixSeconds: null, quality: "unset" };
  const event = { boot: 1, sequence, at, kind: "access-granted", detail: "x".repeat(120) };
  const message = JSON.stringify({ v: 1, device, events: [event] });
  const closed = new Promise<boolean>((resolve) => client.once("close", () => resolve(false)));
  const sent = client.publishAsync(`dl/1/${site}/${device}/event`, message, { qos: 1 }).then(
    () => true,
    () => false,
  );
  return Promise.race([sent, closed]);
}
