/** The embedded broker on a real socket of this machine, with mqtt.js as the device. */
import { connect as connectTcp } from "node:net";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAedesBroker } from "../../../agent/broker/aedes-broker.ts";
import { Intake } from "../../../agent/broker/intake.ts";
import { DeviceTable } from "../../../agent/devices.ts";
import { BrokerError, type SiteBroker } from "../../../agent/ports/site-broker.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, site } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const device = "panel-r20" as DeviceId;
const eventTopic = `dl/1/${site}/${device}/event`;
const batch = (...sequences: number[]): string =>
  JSON.stringify({
    v: 1,
    device,
    events: sequences.map((sequence) => ({
      boot: 1,
      sequence,
      at: { unixSeconds: null, quality: "unset" },
      kind: "boot",
    })),
  });

let store: MemoryStore;
let intake: Intake;
let broker: SiteBroker;
let clients: MqttClient[];
let logged: { level: string; text: string }[];

beforeEach(async () => {
  store = new MemoryStore();
  clients = [];
  logged = [];
  const table = new DeviceTable(store, gatewayId);
  const desired = gatewayDesired({ devices: [panel(), panel({ id: "panel-r29", model: "R29" })] });
  const taken = await table.takeDesired(gatewayId, utf8(JSON.stringify(desired)), new SteppedClock().nowMs());
  expect(taken.ok).toBe(true);
  intake = new Intake({
    store,
    table,
    clock: new SteppedClock(),
    log: memoryLog(logged),
    sendReceipt: (to, payload) => broker.publish({ site, device: to, channel: "receipt" }, payload),
    onStored: () => undefined,
    onWords: () => undefined,
  });
  broker = await openAedesBroker({ site, port: 0 }, intake);
});

afterEach(async () => {
  for (const client of clients) client.end(true);
  await broker.close();
});

describe("embedded broker", () => {
  it("[B1] lets in networked devices of the site by their id, and nobody else", async () => {
    expect((await connectDevice(device)).connected).toBe(true);
    await expect(connectDevice("stranger")).rejects.toThrow(/Not authorized/i);
    await expect(connectDevice("lobby-link")).rejects.toThrow(/Not authorized/i);
    expect(broker.connected()).toEqual([device]);
    expect(intake.refused()).toEqual({ "not-admitted": 2 });
  });

  it("[B3] an event is stored before it is acknowledged, and its receipt follows", async () => {
    const client = await connectDevice(device);
    const receipts: unknown[] = [];
    client.on("message", (_topic, payload) => receipts.push(JSON.parse(payload.toString())));
    await client.subscribeAsync(`dl/1/${site}/${device}/receipt`, { qos: 1 });
    await client.publishAsync(eventTopic, batch(1, 2), { qos: 1 });
    expect((await store.readEvents(device, -1, 9)).map(({ sequence }) => sequence)).toEqual([1, 2]);
    await client.publishAsync(eventTopic, batch(2, 3), { qos: 1 });
    await until(() => receipts.length === 2);
    expect(receipts).toEqual([
      { v: 1, device, through: 2, missing: [] },
      { v: 1, device, through: 3, missing: [] },
    ]);
    expect(await store.readEvents(device, -1, 9)).toHaveLength(3);
  });

  it("[B3] what cannot be kept is not acknowledged", async () => {
    const client = await connectDevice(device);
    store.appendEvents = () => Promise.reject(new Error("disk full"));
    let acknowledged = false;
    client.publish(eventTopic, batch(1), { qos: 1 }, (error) => {
      acknowledged = !error;
    });
    await until(() => !client.connected);
    expect(acknowledged).toBe(false);
  });

  it.each([
    ["not JSON", "{", "payload-not-json"],
    ["not UTF-8", Buffer.from([0xff, 0xfe]), "payload-not-utf8"],
    ["a future version", batch(1).replace('"v":1', '"v":2'), "payload-future-version"],
    ["another device's", batch(1).replace(device, "panel-r29"), "another-device"],
    ["an unknown key", batch(1).replace('"boot"', '"bolt"'), "payload-bad-shape"],
  ])("[B4] a payload that is %s is dropped by name, and the device goes on", async (_what, payload, code) => {
    const client = await connectDevice(device);
    await client.publishAsync(eventTopic, payload, { qos: 1 });
    await client.publishAsync(eventTopic, batch(1), { qos: 1 });
    expect(client.connected).toBe(true);
    expect(intake.refused()).toEqual({ [code]: 1 });
    expect(await store.readEvents(device, -1, 9)).toHaveLength(1);
    expect(logged.filter(({ text }) => text.includes(code))).toHaveLength(1);
    expect(logged.some(({ text }) => text.includes("unixSeconds"))).toBe(false);
  });

  it("[B2] a device writes its own topics only; another's ends its connection and no one else's", async () => {
    const panelClient = await connectDevice("panel-r29");
    for (const topic of [
      `dl/1/${site}/panel-r29/event`,
      `dl/1/${site}/${device}/desired`,
      `dl/1/${site}/${device}/receipt`,
      "dl/1/elsewhere/panel-r20/event",
      "free/talk",
      "$SYS/x",
    ]) {
      const client = await connectDevice(device);
      client.publish(topic, batch(1), { qos: 1 });
      await until(() => !client.connected);
    }
    expect(panelClient.connected).toBe(true);
    expect(intake.refused()["foreign-topic"]).toBe(6);
    expect(await store.readEvents(device, -1, 9)).toEqual([]);
  });

  it("[B2] a device hears its own receipt, desired and commands, and nothing of others", async () => {
    const client = await connectDevice(device);
    const own = await client.subscribeAsync(`dl/1/${site}/${device}/receipt`, { qos: 1 });
    expect(own[0]?.qos).toBe(1);
    for (const filter of ["#", "+/+/+/+/receipt", `dl/1/${site}/panel-r29/receipt`, `dl/1/${site}/${device}/event`]) {
      await expect(client.subscribeAsync(filter), filter).rejects.toThrow();
    }
    expect(client.connected).toBe(true);
    expect(intake.refused()["foreign-subscription"]).toBe(4);
  });

  it("[B5] a packet that announces more than the limit ends that connection before its body is read", async () => {
    const other = await connectDevice("panel-r29");
    const socket = connectTcp(broker.port, "127.0.0.1");
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.on("error", () => undefined);
    // A PUBLISH that says it has 256 MB to come.
    socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]));
    await closed;
    expect(intake.refused()).toMatchObject({ "packet-too-large": 1 });
    expect(other.connected).toBe(true);
  });

  it("[G6] a device that vanishes is offline by its own last will", async () => {
    const states: unknown[] = [];
    intake.take = async (_device, _channel, payload) => {
      states.push(JSON.parse(Buffer.from(payload).toString()));
    };
    const will = { v: 1, device, online: false, heardAt: null };
    const client = await connectDevice(device, {
      will: { topic: `dl/1/${site}/${device}/state`, payload: Buffer.from(JSON.stringify(will)), qos: 1, retain: true },
    });
    client.stream.destroy();
    await until(() => states.length > 0);
    expect(states).toEqual([will]);
  });

  it("a port in use is said in one line", async () => {
    const error = await openAedesBroker({ site, port: broker.port }, intake).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BrokerError);
    expect(error).toMatchObject({ code: "port-in-use", message: `MQTT broker: port ${broker.port} is in use` });
  });
});

async function connectDevice(clientId: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, {
    clientId,
    clean: true,
    reconnectPeriod: 0,
    queueQoSZero: false,
    ...options,
  });
  clients.push(client);
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  client.on("error", () => undefined);
  return client;
}

/** Polls until the condition holds; the test's own time limit ends it otherwise. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
