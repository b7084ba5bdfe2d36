import { connect as connectSocket } from "node:net";
import mqtt, { type MqttClient } from "mqtt";
import { afterEach, describe, expect, it, vi } from "vitest";
import { deviceId, gateway, gatewayPassword, plainEvent, startCloud, type TestCloud } from "./fixture.ts";

const clients: MqttClient[] = [];
const clouds: TestCloud[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  for (const cloud of clouds.splice(0)) await cloud.close();
});

async function listeningCloud() {
  const started = await startCloud();
  clouds.push(started.cloud);
  const port = await started.cloud.broker.listen(0);
  if (!port.ok) throw new Error(port.fault.code);
  return { ...started, port: port.value };
}

function open(port: number, options: { username?: string; password?: string; clientId?: string } = {}): MqttClient {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    username: gateway,
    password: gatewayPassword,
    reconnectPeriod: 0,
    connectTimeout: 2_000,
    ...options,
  });
  // A connection that the broker closes is what several tests wait for; the error itself says nothing more.
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}

async function connected(port: number): Promise<MqttClient> {
  const client = open(port);
  await vi.waitFor(() => expect(client.connected).toBe(true), waiting);
  return client;
}

/** What the client receives on each topic, in order. */
function inbox(client: MqttClient): Map<string, unknown[]> {
  const messages = new Map<string, unknown[]>();
  client.on("message", (topic, payload) => {
    messages.set(topic, [...(messages.get(topic) ?? []), JSON.parse(payload.toString())]);
  });
  return messages;
}

function publishEvents(client: MqttClient, events: readonly unknown[], device = "gate-r29"): Promise<unknown> {
  return client.publishAsync(topicOf(device, "event"), JSON.stringify({ v: 1, device, events }), { qos: 1 });
}

const topicOf = (device: string, channel: string, site = "maple-court") => `dl/1/${site}/${device}/${channel}`;
const waiting = { timeout: 3_000, interval: 10 };

describe("the upstream broker", () => {
  it("lets in a gateway by its password and nobody else", async () => {
    const { port } = await listeningCloud();
    await connected(port);
    const wrongs = [
      { password: "wrong" },
      { username: "gateway-other" },
      { username: "lobby-lock" },
      { clientId: "x".repeat(100) },
    ];
    for (const wrong of wrongs) {
      const client = open(port, wrong);
      const refused = new Promise((resolve) => client.once("error", resolve));
      // MQTT 3.1.1 part 3.2.2.3: bad user name or password.
      await expect(refused).resolves.toMatchObject({ code: 4 });
      expect(client.connected).toBe(false);
    }
  });

  it("takes event batches, stores them before the acknowledgement, and answers with a receipt", async () => {
    const { cloud, port } = await listeningCloud();
    const client = await connected(port);
    const messages = inbox(client);
    await client.subscribeAsync(topicOf("+", "receipt"), { qos: 1 });
    await publishEvents(client, [plainEvent(1), plainEvent(2)]);
    // The acknowledgement is here, so the events are in the record already.
    expect(cloud.record.summary()).toMatchObject({ events: 2 });
    await vi.waitFor(() => expect(messages.get(topicOf("gate-r29", "receipt"))).toHaveLength(1), waiting);
    expect(messages.get(topicOf("gate-r29", "receipt"))).toEqual([
      { v: 1, device: "gate-r29", through: 2, missing: [] },
    ]);
  });

  it("drops doubles by name and asks for what was passed over until it comes", async () => {
    const { cloud, port } = await listeningCloud();
    const client = await connected(port);
    const messages = inbox(client);
    await client.subscribeAsync(topicOf("+", "receipt"), { qos: 1 });
    await publishEvents(client, [plainEvent(1)]);
    await publishEvents(client, [plainEvent(1), plainEvent(4)]);
    await publishEvents(client, [plainEvent(2), plainEvent(3)]);
    await vi.waitFor(() => expect(messages.get(topicOf("gate-r29", "receipt"))).toHaveLength(3), waiting);
    expect(messages.get(topicOf("gate-r29", "receipt"))).toMatchObject([
      { through: 1, missing: [] },
      { through: 1, missing: [{ from: 2, to: 3 }] },
      { through: 4, missing: [] },
    ]);
    expect(cloud.record.summary()).toMatchObject({ events: 4, duplicates: 0, redelivered: 1, gaps: 0 });
  });

  it("takes again what was sent before a cut and never receipted, without doubling it", async () => {
    const { cloud, port } = await listeningCloud();
    const before = await connected(port);
    await publishEvents(before, [plainEvent(1), plainEvent(2)]);
    await cloud.broker.setLink(false);
    await vi.waitFor(() => expect(before.connected).toBe(false), waiting);
    // The receipt never reached the gateway; it sends again what it still holds, and more.
    expect((await cloud.broker.setLink(true)).ok).toBe(true);
    const after = await connected(port);
    const messages = inbox(after);
    await after.subscribeAsync(topicOf("+", "receipt"), { qos: 1 });
    await publishEvents(after, [plainEvent(1), plainEvent(2), plainEvent(3, { kind: "boot", boot: 2 })]);
    await vi.waitFor(() => expect(messages.size).toBe(1), waiting);
    expect(messages.get(topicOf("gate-r29", "receipt"))).toMatchObject([{ through: 3 }]);
    expect(cloud.record.summary()).toMatchObject({ events: 3, duplicates: 0, redelivered: 2, gaps: 0 });
  });

  it("drops what is not a message and keeps the connection: not JSON, a future version, an unknown device", async () => {
    const { cloud, port } = await listeningCloud();
    const client = await connected(port);
    const topic = topicOf("gate-r29", "event");
    await client.publishAsync(topic, "{not json", { qos: 1 });
    await client.publishAsync(topic, JSON.stringify({ v: 2, device: "gate-r29", events: [] }), { qos: 1 });
    await client.publishAsync(topicOf("stranger-lock", "state"), "{}", { qos: 1, retain: true });
    await client.publishAsync(topic, Buffer.alloc(512 * 1024 + 1), { qos: 1 });
    await publishEvents(client, [plainEvent(1)]);
    expect(client.connected).toBe(true);
    expect(cloud.record.summary()).toMatchObject({ events: 1, refused: 4 });
    expect(cloud.record.refusals().map(({ code, from }) => [code, from])).toEqual([
      ["payload-too-large", gateway],
      ["device-unknown", gateway],
      ["payload-future-version", gateway],
      ["payload-not-json", gateway],
    ]);
  });

  it.each([
    ["a topic of another site", topicOf("gate-r29", "event", "oak-court")],
    ["what only the authority says", topicOf("lobby-lock", "desired")],
    ["a receipt", topicOf("gate-r29", "receipt")],
    ["another gateway's state", topicOf("gateway-other", "state")],
    ["a command to a device", topicOf("lobby-lock", "command/unlock")],
    ["no topic of this protocol", "anything/else"],
  ])("closes the connection of a gateway that publishes %s", async (_what, topic) => {
    const { cloud, port } = await listeningCloud();
    const client = await connected(port);
    client.publish(topic, "{}", { qos: 1 });
    await vi.waitFor(() => expect(client.connected).toBe(false), waiting);
    expect(cloud.record.refusals()).toMatchObject([{ topic, code: "topic-not-permitted" }]);
    await connected(port);
  });

  it("closes a connection that announces a packet beyond the limit, before its body is sent", async () => {
    const { cloud, port } = await listeningCloud();
    const socket = connectSocket(port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    socket.write(Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0x7f));
    await closed;
    expect(cloud.record.refusals()).toMatchObject([{ code: "packet-too-large" }]);
  });

  it("survives bytes that are no MQTT at all", async () => {
    const { port } = await listeningCloud();
    const socket = connectSocket(port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    socket.end();
    await closed;
    await connected(port);
  });

  it("grants only the subscriptions that a gateway needs", async () => {
    const { port } = await listeningCloud();
    const client = await connected(port);
    const granted = async (topic: string): Promise<number | undefined> => {
      const grants = await client.subscribeAsync(topic, { qos: 1 }).catch(() => [{ qos: 128 }]);
      return grants[0]?.qos;
    };
    for (const topic of [
      topicOf("+", "desired"),
      topicOf("+", "receipt"),
      topicOf(gateway, "result/+"),
      topicOf("+", "command/unlock"),
    ]) {
      expect(await granted(topic)).toBe(1);
    }
    for (const topic of [
      "#",
      "dl/1/#",
      topicOf("+", "desired", "oak-court"),
      topicOf("+", "event"),
      topicOf("+", "result/+"),
      topicOf("+", "command/+"),
      "$SYS/#",
    ]) {
      expect(await granted(topic)).toBe(128);
    }
  });

  it("keeps what is desired for a gateway that comes later, and never an event", async () => {
    const { cloud, port } = await listeningCloud();
    const first = await connected(port);
    await first.publishAsync(
      topicOf("gate-r29", "event"),
      JSON.stringify({ v: 1, device: "gate-r29", events: [plainEvent(1)] }),
      {
        qos: 1,
        retain: true,
      },
    );
    cloud.publishDesired();
    const later = await connected(port);
    const messages = inbox(later);
    await later.subscribeAsync([topicOf("+", "desired"), topicOf("+", "receipt")], { qos: 1 });
    await vi.waitFor(() => expect(messages.size).toBe(3), waiting);
    expect([...messages.keys()].sort()).toEqual(
      [topicOf(gateway, "desired"), topicOf("lobby-link", "desired"), topicOf("roof-link", "desired")].sort(),
    );
    expect(messages.get(topicOf(gateway, "desired"))).toMatchObject([{ kind: "gateway", site: { id: "maple-court" } }]);
  });

  it("[V9] gives a command to who listens now: it is kept for nobody, and a gateway may send none", async () => {
    const { cloud, port } = await listeningCloud();
    const site = "maple-court";
    const command = (payload: string): void =>
      cloud.broker.publish({
        topic: { site, device: deviceId("gate-r29"), channel: "command", name: "unlock" },
        payload,
      });
    const login = { username: gateway, password: gatewayPassword, reconnectPeriod: 0, clientId: "one", clean: false };
    const first = mqtt.connect(`mqtt://127.0.0.1:${port}`, login);
    clients.push(first);
    await first.subscribeAsync([topicOf("+", "command/unlock"), topicOf("+", "receipt")], { qos: 1 });
    await first.endAsync();
    command(JSON.stringify("late"));
    cloud.broker.publish({ topic: { site, device: deviceId("gate-r29"), channel: "receipt" }, payload: '"kept"' });
    const again = mqtt.connect(`mqtt://127.0.0.1:${port}`, login);
    clients.push(again);
    const messages = inbox(again);
    await vi.waitFor(() => expect(messages.get(topicOf("gate-r29", "receipt"))).toEqual(["kept"]), waiting);
    command(JSON.stringify("in time"));
    const topic = topicOf("gate-r29", "command/unlock");
    await vi.waitFor(() => expect(messages.get(topic)).toEqual(["in time"]), waiting);
    again.publish(topic, '"stolen"', { qos: 1 });
    await vi.waitFor(() => expect(again.connected).toBe(false), waiting);
    expect(messages.get(topic)).toEqual(["in time"]);
  });

  it("says that a port is in use", async () => {
    const { port } = await listeningCloud();
    const { cloud } = await startCloud();
    clouds.push(cloud);
    expect(await cloud.broker.listen(port)).toEqual({ ok: false, fault: { code: "port-in-use", port } });
  });
});
