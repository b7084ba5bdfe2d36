/** The embedded broker on a real socket of this machine, with mqtt.js as the device. */
import { connect as connectTcp } from "node:net";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAedesBroker } from "../../../agent/broker/aedes-broker.ts";
import { Intake } from "../../../agent/broker/intake.ts";
import { DeviceTable } from "../../../agent/devices.ts";
import { BrokerError, type SiteBroker } from "../../../agent/ports/site-broker.ts";
import { bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import type { UnlockResult } from "../../../protocol/wire/messages/command.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, panelPassword, site } from "../../world/gateway-builder.ts";
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
let results: UnlockResult[];
let logged: { level: string; text: string }[];

beforeEach(async () => {
  store = new MemoryStore();
  clients = [];
  results = [];
  logged = [];
  const table = new DeviceTable(store, gatewayId);
  const { login: _none, ...unenrolled } = panel({ id: "panel-new" });
  const desired = gatewayDesired({ devices: [panel(), panel({ id: "panel-r29", model: "R29" }), unenrolled] });
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
    onUnlockResult: (result) => results.push(result),
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

  it("[B7] lets a device in by its own password alone, and none of which the authority gave no hash", async () => {
    for (const password of ["", "master", `${panelPassword} `, bytesToHex(new Uint8Array(32))]) {
      await expect(connectDevice(device, { password }), password).rejects.toThrow(/Not authorized/i);
    }
    await expect(connectBare(device)).rejects.toThrow(/Not authorized/i);
    await expect(connectDevice("panel-new")).rejects.toThrow(/Not authorized/i);
    expect(intake.refused()).toEqual({ "wrong-password": 6 });
    // A stranger with the right name does not throw the real one off.
    const real = await connectDevice(device);
    await expect(connectDevice(device, { password: "guessed" })).rejects.toThrow(/Not authorized/i);
    expect(real.connected).toBe(true);
    expect(logged.some(({ text }) => text.includes(panelPassword) || text.includes("guessed"))).toBe(false);
  });

  it("[B6] an event under a name that another has is not taken, and counted as a contradiction, not as a double", async () => {
    const client = await connectDevice(device);
    await client.publishAsync(eventTopic, batch(1, 2), { qos: 1 });
    await client.publishAsync(eventTopic, batch(1, 2), { qos: 1 });
    expect(intake.conflicting()).toEqual({});
    const other = batch(1, 2).replaceAll('"boot"}', '"access-granted"}');
    await client.publishAsync(eventTopic, other, { qos: 1 });
    expect(intake.conflicting()).toEqual({ [device]: 2 });
    const kept = await store.readEvents(device, -1, 9);
    expect(kept.map(({ body }) => JSON.parse(body).kind)).toEqual(["boot", "boot"]);
    expect(logged.filter(({ text }) => text.includes("names that others have"))).toHaveLength(1);
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

  it("[B3] a device with many messages in one commit is told once, and of the newest whatever was slow about an older one", async () => {
    const receipts: unknown[] = [];
    const told = new Intake({
      store,
      table: new DeviceTable(store, gatewayId),
      clock: new SteppedClock(),
      log: memoryLog(logged),
      sendReceipt: (_to, payload) => receipts.push(JSON.parse(payload)),
      onStored: () => undefined,
      onWords: () => undefined,
      onUnlockResult: () => undefined,
      // Noting the fault of the first takes longer than storing the second.
      onFault: async () => {
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      },
    });
    const fault = batch(1).replace('"kind":"boot"', '"kind":"fault","facts":{"fault":1}');
    await Promise.all([
      told.take(device, "event", utf8(fault)),
      told.take(device, "event", utf8(batch(2))),
      told.take(device, "event", utf8(batch(3))),
    ]);
    await until(() => receipts.length > 0);
    expect(receipts).toEqual([{ v: 1, device, through: 3, missing: [] }]);
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

  it("[G9] [B2] a device away hears its own order when it is back; nobody but the gateway can write one", async () => {
    const order = (version: number): string => JSON.stringify({ version });
    broker.publish({ site, device, channel: "desired" }, order(1));
    for (const id of [device, "panel-r29" as DeviceId]) {
      const forger = await connectDevice(id);
      forger.publish(`dl/1/${site}/${device}/desired`, order(9), { qos: 1, retain: true });
      await until(() => !forger.connected);
    }
    const heard: string[] = [];
    const client = await connectDevice(device);
    client.on("message", (_topic, payload, packet) => heard.push(`${packet.retain} ${payload.toString()}`));
    await client.subscribeAsync(`dl/1/${site}/${device}/desired`, { qos: 1 });
    broker.publish({ site, device, channel: "desired" }, order(2));
    await until(() => heard.length === 2);
    expect(heard).toEqual([`true ${order(1)}`, `false ${order(2)}`]);
    const other = await connectDevice("panel-r29");
    await expect(other.subscribeAsync(`dl/1/${site}/${device}/desired`)).rejects.toThrow();
  });

  it("[B2] what a device answers to an unlock command is taken under its own id, and no other answer", async () => {
    const client = await connectDevice(device);
    const result = { v: 1, id: "ab".repeat(16), device, state: "done" };
    await client.publishAsync(`dl/1/${site}/${device}/result/unlock`, JSON.stringify(result), { qos: 1 });
    expect(results).toEqual([result]);
    await client.publishAsync(
      `dl/1/${site}/${device}/result/unlock`,
      JSON.stringify({ ...result, device: "panel-r29" }),
      { qos: 1 },
    );
    expect(intake.refused()).toEqual({ "another-device": 1 });
    for (const topic of [`dl/1/${site}/${device}/result/time`, `dl/1/${site}/panel-r29/result/unlock`]) {
      const other = await connectDevice(device);
      other.publish(topic, JSON.stringify(result), { qos: 1 });
      await until(() => !other.connected);
    }
    expect(results).toHaveLength(1);
  });

  it("[V9] no device can publish a command, its own or another's: the connection ends and nothing arrives", async () => {
    const heard: string[] = [];
    const victim = await connectDevice("panel-r29");
    victim.on("message", (topic) => heard.push(topic));
    await victim.subscribeAsync(`dl/1/${site}/panel-r29/command/+`, { qos: 1 });
    for (const topic of [
      "panel-r29/command/unlock",
      `${device}/command/unlock`,
      "authority/command/time",
      "panel-r29/command/open",
    ]) {
      for (const retain of [false, true]) {
        const client = await connectDevice(device);
        client.publish(`dl/1/${site}/${topic}`, "{}", { qos: 1, retain });
        await until(() => !client.connected);
      }
    }
    // The gateway's own command does arrive, and nothing came before it.
    broker.publish({ site, device: "panel-r29" as DeviceId, channel: "command", name: "unlock" }, "{}");
    await until(() => heard.length > 0);
    expect(heard).toEqual([`dl/1/${site}/panel-r29/command/unlock`]);
    expect(intake.refused()["foreign-topic"]).toBe(8);
  });

  it("[V9] a command for a device that is away is gone, also for one that left a session behind", async () => {
    const filters = [`dl/1/${site}/${device}/command/+`, `dl/1/${site}/${device}/receipt`];
    const command = { site, device, channel: "command", name: "unlock" } as const;
    const first = await connectDevice(device, { clean: false });
    await first.subscribeAsync(filters, { qos: 1 });
    await first.endAsync();
    await until(() => broker.connected().length === 0);
    broker.publish(command, "late");
    broker.publish({ site, device, channel: "receipt" }, "a receipt is kept");
    const heard: string[] = [];
    const again = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, {
      clientId: device,
      password: panelPassword,
      username: device,
      clean: false,
      reconnectPeriod: 0,
    });
    clients.push(again);
    again.on("message", (_topic, payload) => heard.push(payload.toString()));
    await until(() => heard.length > 0);
    broker.publish(command, "in time");
    await until(() => heard.length > 1);
    expect(heard).toEqual(["a receipt is kept", "in time"]);
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

function connectDevice(clientId: string, options: IClientOptions = {}): Promise<MqttClient> {
  return connectBare(clientId, { username: clientId, password: panelPassword, ...options });
}

/** Without user name and password, unless `options` has them. */
async function connectBare(clientId: string, options: IClientOptions = {}): Promise<MqttClient> {
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
