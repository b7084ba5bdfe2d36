/** The authority as a client of a broker that it does not keep: here aedes in this process, which forgets everything when it is started anew. */
import { createServer, type Server, type Socket } from "node:net";
import { Aedes } from "aedes";
import mqtt, { type MqttClient } from "mqtt";
import { describe, expect, it, onTestFinished } from "vitest";
import { cloudKeysFromSeed } from "../../../emulator/cloud/authority-keys.ts";
import { bindServer } from "../../../emulator/cloud/broker.ts";
import { type Cloud, createCloud } from "../../../emulator/cloud/cloud.ts";
import { createCloudLog } from "../../../emulator/cloud/log.ts";
import { realClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { gateway, plainEvent, siteText } from "./fixture.ts";

class Broker {
  port = 0;
  readonly clients = new Set<string>();
  #server: Server | undefined;
  #aedes: Aedes | undefined;
  readonly #sockets = new Set<Socket>();

  async start(): Promise<void> {
    const aedes = await Aedes.createBroker({ id: "somebody-elses" });
    aedes.on("client", (client) => this.clients.add(client.id));
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      aedes.handle(socket);
    });
    const bound = await bindServer(server, this.port);
    if (bound === undefined) throw new Error("the port is in use");
    this.port = bound;
    [this.#server, this.#aedes] = [server, aedes];
  }

  /** Dies, and has forgotten everything when it is started again. */
  async stop(): Promise<void> {
    const [server, aedes] = [this.#server, this.#aedes];
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.clients.clear();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    await new Promise<void>((resolve) => (aedes === undefined ? resolve() : aedes.close(() => resolve())));
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }
}

async function startBroker(): Promise<Broker> {
  const broker = new Broker();
  await broker.start();
  onTestFinished(() => broker.stop());
  return broker;
}

async function startCloudAt(urls: readonly string[]): Promise<Cloud> {
  const random = seededRandom(7, "external");
  const created = await createCloud({
    stateDirectory: ":memory:",
    keys: cloudKeysFromSeed(seededRandom(7, "authority").bytes(32)),
    publicUrl: "http://127.0.0.1:8701",
    ports: { clock: realClock, random: (length) => random.bytes(length) },
    log: createCloudLog("silent"),
    externalBroker: { urls, username: undefined, passwordFile: undefined, caFile: undefined },
  });
  if (!created.ok) throw new Error(created.fault.code);
  const cloud = created.value;
  onTestFinished(() => cloud.close());
  const imported = cloud.authority.importSite(siteText, unixSeconds(Date.now() / 1000));
  if (!imported.ok) throw new Error(JSON.stringify(imported.fault));
  cloud.authority.registerGateway(gateway, "a password of the broker's, not of the cloud's");
  await cloud.broker.listen(0);
  return cloud;
}

/** A gateway's end: what it heard, by topic. */
async function connectAs(
  broker: Broker,
  clientId: string,
): Promise<{ client: MqttClient; heard: Map<string, string[]> }> {
  const heard = new Map<string, string[]>();
  const client = await mqtt.connectAsync(broker.url, { clientId, reconnectPeriod: 0 });
  onTestFinished(() => client.endAsync(true));
  client.on("message", (topic, payload) => heard.set(topic, [...(heard.get(topic) ?? []), payload.toString()]));
  await client.subscribeAsync("#", { qos: 0 });
  return { client, heard };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const topicOf = (tail: string): string => `dl/1/maple-court/${tail}`;

describe("an authority at somebody else's broker", () => {
  it("[G26] takes events, receipts them when its store has them, and answers whom the message names", async () => {
    const broker = await startBroker();
    const cloud = await startCloudAt([broker.url]);
    await until("the link", () => cloud.broker.linkIsUp);
    const { client, heard } = await connectAs(broker, gateway);
    await until("what is desired", () => heard.has(topicOf(`${gateway}/desired`)));
    const events = { v: 1, device: "gate-r29", events: [plainEvent(1), plainEvent(2)] };
    await client.publishAsync(topicOf("gate-r29/event"), JSON.stringify(events), { qos: 1 });
    await until("the receipt", () => heard.has(topicOf("gate-r29/receipt")));
    expect(JSON.parse(heard.get(topicOf("gate-r29/receipt"))?.[0] ?? "")).toMatchObject({ through: 2 });
    expect(cloud.record.summary()).toMatchObject({ events: 2, duplicates: 0 });
    const question = { v: 1, id: "q", from: gateway, device: "lobby-lock", nonce: "AAAAAAAAAAAAAAAAAAAAAA==" };
    await client.publishAsync(topicOf("authority/command/time"), JSON.stringify(question), { qos: 1 });
    await until("the answer", () => heard.has(topicOf(`${gateway}/result/time`)));
    // Somebody who is no gateway of the site, something that no broker should keep, and another site: nothing of it is taken.
    const stranger = { ...question, from: "gateway-stranger" };
    await client.publishAsync(topicOf("authority/command/time"), JSON.stringify(stranger), { qos: 1 });
    await client.publishAsync("dl/1/oak-house/gate-r29/event", JSON.stringify(events), { qos: 1 });
    await client.publishAsync(topicOf("gate-r29/event"), "not JSON", { qos: 1 });
    await until("the refusals", () => cloud.record.summary().refused === 2);
    expect(cloud.record.refusals(2).map(({ code }) => code)).toEqual(["payload-not-json", "topic-not-permitted"]);
    expect(heard.has(topicOf("gateway-stranger/result/time"))).toBe(false);
  });

  it("[G26] says everything desired again to a broker that died and forgot, and goes to the next address meanwhile", async () => {
    const [one, two] = [await startBroker(), await startBroker()];
    const cloud = await startCloudAt([one.url, two.url]);
    await until("the link", () => cloud.broker.linkIsUp);
    expect(one.clients).toContain("authority-maple-court");
    await one.stop();
    await until("the link by another way", () => cloud.broker.linkIsUp && two.clients.has("authority-maple-court"));
    const { heard } = await connectAs(two, "somebody");
    await until("what is desired", () => heard.has(topicOf(`${gateway}/desired`)));
    await one.start();
    await two.stop();
    await until("the link by the first way", () => cloud.broker.linkIsUp && one.clients.has("authority-maple-court"));
    const again = await connectAs(one, "somebody");
    await until("what is desired", () => again.heard.has(topicOf(`${gateway}/desired`)));
  });

  it("[G26] what a gateway sent while there was no authority is asked for again by its receipts, and the world's faults work here too", async () => {
    const broker = await startBroker();
    const cloud = await startCloudAt([broker.url]);
    await until("the link", () => cloud.broker.linkIsUp);
    const { client, heard } = await connectAs(broker, gateway);
    await cloud.broker.setLink(false);
    expect(cloud.broker.linkIsUp).toBe(false);
    const events = { v: 1, device: "gate-r29", events: [plainEvent(1)] };
    await client.publishAsync(topicOf("gate-r29/event"), JSON.stringify(events), { qos: 1 });
    await cloud.broker.setLink(true);
    await until("the link", () => cloud.broker.linkIsUp);
    // The broker acknowledged it and gave it to nobody: there is no receipt, so the gateway says it again.
    expect(heard.has(topicOf("gate-r29/receipt"))).toBe(false);
    cloud.broker.loseReceipts(true);
    await client.publishAsync(topicOf("gate-r29/event"), JSON.stringify(events), { qos: 1 });
    await until("the event", () => cloud.record.summary().events === 1);
    expect(heard.has(topicOf("gate-r29/receipt"))).toBe(false);
    cloud.broker.loseReceipts(false);
    await client.publishAsync(topicOf("gate-r29/event"), JSON.stringify(events), { qos: 1 });
    await until("the receipt", () => heard.has(topicOf("gate-r29/receipt")));
    expect(cloud.record.summary()).toMatchObject({ events: 1, duplicates: 0 });
  });
});
