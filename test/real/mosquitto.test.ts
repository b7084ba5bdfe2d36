/**
 * The agent's link upstream over Debian's Mosquitto instead of the emulated cloud's broker: a real agent process, a real broker
 * process, a device on the agent's own broker, and a tiny authority that keeps a record and writes receipts.
 */
import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventJournal } from "../../emulator/device/event-journal.ts";
import { MqttLink } from "../../emulator/device/mqtt-link.ts";
import { realClock } from "../../emulator/world/clock.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { gatewayDesired, gatewayId, panel, panelPassword, site } from "../world/gateway-builder.ts";
import { type AgentProcess, freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";
import type { BrokerProcess } from "./brokers/broker-process.ts";
import { openFolder, startMosquitto } from "./brokers/start-mosquitto.ts";

const device = "panel-r20" as DeviceId;
const password = "a-password-of-this-test";

let folder: string;
let brokerPort: number;
let broker: BrokerProcess | undefined;
let authority: TinyAuthority;
let agent: AgentProcess | undefined;
let link: MqttLink;
let journal: EventJournal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-mosquitto-"));
  brokerPort = await freePort();
  await writePasswords();
  await startBroker();
  authority = new TinyAuthority();
  authority.connect();
  await writeAgentFiles();
  agent = await startAgent(join(folder, "agent.yaml"));
  journal = new EventJournal(join(folder, "panel", "journal"));
  link = deviceLink(agent.mqtt);
  link.start();
});

afterEach(async () => {
  await link.stop();
  await agent?.stop("SIGKILL");
  authority.end();
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("upstream over Mosquitto", () => {
  it("row 131: [U3] every event arrives exactly once and in order, through a broker that is killed and an agent that is killed", async () => {
    logEvents(20);
    await waitFor("the first events", () => authority.record.size >= 20);

    // The broker dies without a word and comes back having forgotten everything, retained messages included.
    await broker?.stop();
    logEvents(30);
    await waitFor("the agent to hold what upstream lacks", async () => (await outboxDepth()) >= 30);
    await startBroker();
    await waitFor("the events of the outage", () => authority.record.size >= 50);

    // The agent dies while events come in, and goes on from its disk.
    logEvents(200);
    await waitFor("some of them to be on the agent's disk", () => journal.through > 50);
    await agent?.stop("SIGKILL");
    await link.stop();
    logEvents(10);
    agent = await startAgent(join(folder, "agent.yaml"));
    link = deviceLink(agent.mqtt);
    link.start();
    await waitFor("all events", () => authority.record.size >= 260);
    await waitFor("every receipt", async () => (await outboxDepth()) === 0 && journal.through === 260);

    expect([...authority.record.keys()]).toEqual(Array.from({ length: 260 }, (_, index) => `1/${index + 1}`));
    expect(authority.conflicting).toBe(0);
    expect(authority.retained.get(`${device}/health`)).toMatchObject({ firmwareVerdict: "below floor" });
    expect(authority.retained.get(`${gatewayId}/state`)).toMatchObject({ online: true });
    expect(await agent.stop("SIGTERM")).toBe(0);
  });

  it("[U6] a gateway that is gone without a word is offline by its last will; a stop in order says it too", async () => {
    await waitFor("the gateway's state", () => authority.retained.get(`${gatewayId}/state`)?.["online"] === true);
    await agent?.stop("SIGKILL");
    await waitFor("the last will", () => authority.retained.get(`${gatewayId}/state`)?.["online"] === false);
    agent = await startAgent(join(folder, "agent.yaml"));
    await waitFor("the gateway to be back", () => authority.retained.get(`${gatewayId}/state`)?.["online"] === true);
    expect(await agent.stop("SIGTERM")).toBe(0);
    await waitFor("the goodbye", () => authority.retained.get(`${gatewayId}/state`)?.["online"] === false);
  });

  it("a wrong password is a state of the link, and everything else works", async () => {
    await waitFor("the site to be known", async () => (await statusText()).includes(device));
    await agent?.stop("SIGTERM");
    await writeFile(join(folder, "password"), "another\n");
    agent = await startAgent(join(folder, "agent.yaml"));
    await waitFor("the refusal", () => (agent?.stderr() ?? "").includes("refused with return code 5"));
    const status = await statusText();
    expect(status).toContain("no link for");
    expect(status).toContain(device);
    expect(agent.stderr()).not.toContain("another");
    // The right password in the same file is enough: it is read anew at each try.
    await writeFile(join(folder, "password"), `${password}\n`);
    await waitFor("the link", async () => (await statusText()).includes("linked for"));
  });
});

/** Keeps the first of each name, as a record does, and receipts what it has without a gap. */
class TinyAuthority {
  /** Bodies by `boot/sequence`, in the order in which they came first. */
  readonly record = new Map<string, string>();
  readonly retained = new Map<string, Record<string, unknown>>();
  conflicting = 0;
  #client: MqttClient | undefined;

  connect(): void {
    const client = mqtt.connect(`mqtt://127.0.0.1:${brokerPort}`, {
      clientId: "authority",
      username: "authority",
      password,
      reconnectPeriod: 50,
    });
    this.#client = client;
    // It comes back by itself; what the test looks at is what it has recorded.
    client.on("error", () => undefined);
    client.on("connect", () => {
      client.subscribe([`dl/1/${site}/+/event`, `dl/1/${site}/+/state`, `dl/1/${site}/+/health`], { qos: 1 });
      const desired = JSON.stringify(gatewayDesired({ devices: [panel()] }));
      client.publish(`dl/1/${site}/${gatewayId}/desired`, desired, { qos: 1, retain: true });
    });
    client.on("message", (topic, payload) => this.#message(topic, payload.toString()));
  }

  end(): void {
    this.#client?.end(true);
  }

  #message(topic: string, text: string): void {
    const [, , , about = "", channel] = topic.split("/");
    const message = JSON.parse(text) as Record<string, unknown>;
    if (channel !== "event") {
      this.retained.set(`${about}/${channel}`, message);
      return;
    }
    for (const event of message["events"] as { readonly boot: number; readonly sequence: number }[]) {
      const name = `${event.boot}/${event.sequence}`;
      const body = JSON.stringify(event);
      if (!this.record.has(name)) this.record.set(name, body);
      else if (this.record.get(name) !== body) this.conflicting += 1;
    }
    let through = 0;
    while (this.record.has(`1/${through + 1}`)) through += 1;
    const receipt = { v: 1, device: about, through: through === 0 ? null : through, missing: [] };
    this.#client?.publish(`dl/1/${site}/${about}/receipt`, JSON.stringify(receipt), { qos: 1 });
  }
}

function logEvents(count: number): void {
  for (let index = 0; index < count; index++) {
    journal.append({ at: { unixSeconds: null, quality: "unset" }, kind: "access-denied", person: "bob" });
  }
  link.notify("event");
}

function deviceLink(url: string): MqttLink {
  return new MqttLink({
    url,
    site,
    device,
    password: panelPassword,
    journal,
    clock: realClock,
    jitter: () => 0.5,
    birth: () => ({ v: 1, device, model: "R20", bootCount: 1, firmware: "320.30.12.15", hardware: null }),
    health: () => ({
      v: 1,
      device,
      battery: null,
      firmware: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: 1,
      bootCount: 1,
      lastSyncAt: null,
      at: Math.floor(Date.now() / 1000),
    }),
    reported: () => undefined,
    onDesired: () => undefined,
    onUnlock: () => [],
    onChange: () => undefined,
  });
}

async function outboxDepth(): Promise<number> {
  const { stdout } = await runDoorlink("status", "--json", "--agent", agent?.http ?? "");
  const status = JSON.parse(stdout) as { upstream: { outboxDepth: number } };
  return status.upstream.outboxDepth;
}

async function statusText(): Promise<string> {
  return (await runDoorlink("status", "--agent", agent?.http ?? "")).stdout;
}

/** The users are written once; started again it has forgotten everything, retained messages included. */
async function startBroker(): Promise<void> {
  const passwords = join(folder, "broker", "passwords");
  const lines = ["allow_anonymous false", `password_file ${passwords}`, "persistence false"];
  broker = await startMosquitto({ folder: join(folder, "broker"), port: brokerPort, lines });
}

async function writePasswords(): Promise<void> {
  await openFolder(join(folder, "broker"));
  const passwords = join(folder, "broker", "passwords");
  execFileSync("mosquitto_passwd", ["-b", "-c", passwords, "authority", password]);
  execFileSync("mosquitto_passwd", ["-b", passwords, gatewayId, password]);
  await chmod(passwords, 0o644);
}

async function writeAgentFiles(): Promise<void> {
  await writeFile(join(folder, "password"), `${password}\n`, { mode: 0o600 });
  const lines = [
    `site: ${site}`,
    `gateway: ${gatewayId}`,
    "stateDir: state",
    `broker: {port: ${await freePort()}}`,
    `http: {port: ${await freePort()}}`,
    `upstream: {url: "mqtt://127.0.0.1:${brokerPort}", passwordFile: password, reconnect: {firstMs: 100, capMs: 500}}`,
    "sync: {automatic: false}",
  ];
  await writeFile(join(folder, "agent.yaml"), `${lines.join("\n")}\n`);
}
