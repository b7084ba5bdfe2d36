/**
 * What `doorlink broker-config` writes, held to a running Mosquitto and a running nats-server: started with exactly that, they let in
 * and let through what they must, and nothing else. A refused PUBLISH is acknowledged by both (MQTT 3.1.1 knows no other answer), so
 * what counts is who heard it.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "./agent-process.ts";
import type { BrokerProcess } from "./brokers/broker-process.ts";
import type { Identity } from "./brokers/certificates.ts";
import { type BrokerKind, makeSiteBroker, type SiteBrokerFiles } from "./brokers/site-brokers.ts";

const site = "maple-court";
const gateway = "gateway-main";
const own = (tail: string): string => `dl/1/${site}/panel-a/${tail}`;
const others = (tail: string): string => `dl/1/${site}/panel-b/${tail}`;

interface Client {
  readonly mqtt: MqttClient;
  /** `topic payload`, in the order in which they came. */
  readonly heard: string[];
}

describe.each<BrokerKind>(["mosquitto", "nats"])("broker-config %s", (kind) => {
  let folder: string;
  let files: SiteBrokerFiles;
  let broker: BrokerProcess;
  const identityByName = new Map<string, Identity>();
  let clients: Client[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "doorlink-broker-config-"));
    files = await makeSiteBroker({
      kind,
      folder: join(folder, kind),
      site,
      gateway,
      devices: ["panel-a", "panel-b"],
      crl: kind === "mosquitto",
    });
    for (const name of [gateway, "panel-a", "panel-b", "stranger"])
      identityByName.set(name, await files.identity(name));
    broker = await files.start();
  });

  afterEach(() => {
    for (const client of clients) client.mqtt.end(true);
    clients = [];
  });

  afterAll(async () => {
    await broker.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("[B17] lets a gateway hear the site's devices and tell them, and a device say and hear its own", async () => {
    const main = await connectGateway();
    const panel = await connect("panel-a");
    await panel.mqtt.subscribeAsync([own("receipt"), own("desired"), own("command/+")], { qos: 1 });
    for (const tail of ["birth", "state", "health", "reported", "event", "result/unlock"]) {
      await panel.mqtt.publishAsync(own(tail), tail, { qos: 1 });
    }
    await waitFor("the gateway to hear all", () => main.heard.length === 6);
    for (const tail of ["receipt", "desired", "command/unlock"]) {
      await main.mqtt.publishAsync(own(tail), tail, { qos: tail.startsWith("command") ? 0 : 1 });
    }
    await waitFor("the panel to hear all", () => panel.heard.length === 3);
    await main.mqtt.publishAsync(`dl/1/${site}/${gateway}/state`, "here", { qos: 1 });
    await waitFor("the gateway to hear itself", () => main.heard.includes(`dl/1/${site}/${gateway}/state here`));
    // The largest payload that the protocol knows.
    await panel.mqtt.publishAsync(own("event"), "x".repeat(512 * 1024), { qos: 1 });
    await waitFor("a large message", () => main.heard.some((text) => text.length > 512 * 1024));
  });

  it("[B17] lets nobody write what is another's: no device's words, no order, no receipt, no command, also by last will", async () => {
    const main = await connectGateway();
    const victim = await connect("panel-b");
    await victim.mqtt.subscribeAsync([others("receipt"), others("desired"), others("command/+")], { qos: 1 });
    const hostile = await connect("panel-a");
    await hostile.mqtt.subscribeAsync([own("desired"), own("command/+")], { qos: 1 });
    const forbidden = [
      ...["event", "state", "birth", "result/unlock", "desired", "receipt", "command/unlock"].map(others),
      ...["desired", "receipt", "command/unlock"].map(own),
      `dl/1/${site}/${gateway}/state`,
      "dl/1/elm-court/panel-a/event",
      "taken",
    ];
    for (const topic of forbidden) {
      const sender = hostile.mqtt.connected ? hostile : await connect("panel-a");
      const retain = topic.endsWith("desired") || topic.endsWith("state");
      sender.mqtt.publish(topic, "hostile", { qos: 1, retain });
    }
    const dying = await connect("panel-a", {
      will: { topic: others("event"), payload: Buffer.from("hostile"), qos: 1, retain: false },
    });
    dying.mqtt.stream.destroy();
    const another = await connect("panel-a", {
      will: { topic: others("command/unlock"), payload: Buffer.from("hostile"), qos: 1, retain: true },
    });
    another.mqtt.stream.destroy();
    // The gateway itself speaks for no device.
    main.mqtt.publish(others("event"), "hostile", { qos: 1 });
    // What comes after on the same broker has come, so what was before it has been dealt with.
    await main.mqtt.publishAsync(others("receipt"), "after", { qos: 1 });
    await victim.mqtt.publishAsync(others("event"), "after", { qos: 1 });
    await (await connect("panel-a")).mqtt.publishAsync(own("event"), "after", { qos: 1 });
    await waitFor("what came after", () => victim.heard.length > 0 && main.heard.length > 1);
    expect(victim.heard).toEqual([`${others("receipt")} after`]);
    expect([...main.heard].sort()).toEqual([`${own("event")} after`, `${others("event")} after`]);
    // Nothing of it is in the broker's memory either.
    const late = await connect("panel-b");
    await late.mqtt.subscribeAsync([others("desired"), others("command/+")], { qos: 1 });
    await late.mqtt.publishAsync(others("event"), "late", { qos: 1 });
    await waitFor("the last message", () => main.heard.includes(`${others("event")} late`));
    expect(late.heard).toEqual([]);
  });

  it("[B17] lets nobody hear what is another's, by its name or by wildcards", async () => {
    const main = await connectGateway();
    const curious = await connect("panel-a");
    for (const filter of [
      "#",
      "+/#",
      `dl/1/${site}/+/event`,
      others("desired"),
      others("#"),
      "$SYS/#",
      "$MQTT/sub/#",
      "$JS/#",
    ]) {
      const granted = await curious.mqtt.subscribeAsync(filter, { qos: 1 }).then(
        () => true,
        () => false,
      );
      // Mosquitto grants what its lists know no rule for, and gives nothing; NATS refuses.
      expect(granted, filter).toBe(kind === "mosquitto");
    }
    const victim = await connect("panel-b");
    await victim.mqtt.publishAsync(others("event"), "private", { qos: 1 });
    await main.mqtt.publishAsync(others("desired"), "private", { qos: 1, retain: true });
    await main.mqtt.publishAsync(others("command/unlock"), "private", { qos: 0 });
    await curious.mqtt.subscribeAsync(own("receipt"), { qos: 1 });
    await main.mqtt.publishAsync(own("receipt"), "for it", { qos: 1 });
    await waitFor("its own receipt", () => curious.heard.includes(`${own("receipt")} for it`));
    expect(curious.heard.filter((text) => text.includes("private"))).toEqual([]);
    await main.mqtt.publishAsync(others("desired"), "", { qos: 1, retain: true });
  });

  it("[B17] lets nobody in without a certificate of the site's CA, over whatever name it gives", async () => {
    const main = await connectGateway();
    await expect(connect(undefined, { clientId: "panel-a" })).rejects.toThrow();
    await expect(connect(undefined, { clientId: "panel-a", username: "panel-a", password: "" })).rejects.toThrow();
    await expect(
      connect(undefined, { clientId: "panel-a", url: broker.url.replace("mqtts", "mqtt") }),
    ).rejects.toThrow();
    // A name of another is worth nothing beside a certificate.
    const login = { clientId: gateway, username: gateway, password: "" };
    const stranger = await connect("stranger", login).catch(() => undefined);
    if (kind === "nats") expect(stranger).toBeUndefined();
    stranger?.mqtt.publish(own("command/unlock"), "hostile", { qos: 0 });
    const panel = await connect("panel-a");
    await panel.mqtt.subscribeAsync(own("command/+"), { qos: 1 });
    await main.mqtt.publishAsync(own("command/unlock"), "from the gateway", { qos: 0 });
    await waitFor("the gateway's command", () => panel.heard.length > 0);
    expect(panel.heard).toEqual([`${own("command/unlock")} from the gateway`]);
    expect(main.mqtt.connected).toBe(true);
  });

  if (kind === "mosquitto")
    it("[B17] Mosquitto: nobody throws another off by its client id, and a revoked one is out", async () => {
      const panel = await connect("panel-a");
      await connect("panel-b", { clientId: "panel-a" });
      await panel.mqtt.publishAsync(own("event"), "still here", { qos: 1 });
      expect(panel.mqtt.connected).toBe(true);
      const revoked = identityByName.get("stranger");
      if (revoked === undefined) throw new Error("no stranger");
      await connect("stranger");
      await writeFile(files.crlFile, await files.authority.revoke(revoked));
      broker.hangUp();
      await waitFor("the list to be read", () =>
        connect("stranger").then(
          () => false,
          () => true,
        ),
      );
      expect(panel.mqtt.connected).toBe(true);
    });

  if (kind === "nats")
    it("[B17] NATS: its own protocol lets in none of the users", async () => {
      const port = Number(/client connections on 127\.0\.0\.1:(\d+)/.exec(broker.said())?.[1]);
      let said = "";
      const socket = connectTcp(port, "127.0.0.1");
      socket.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      socket.on("error", () => undefined);
      socket.write(`CONNECT {"user":"${gateway}","pass":"","verbose":true}\r\nSUB > 1\r\nPING\r\n`);
      await waitFor("an answer", () => said.includes("-ERR"));
      socket.destroy();
      expect(said).toContain("Authorization Violation");
    });

  if (kind === "nats")
    it("[B17] NATS: a configuration made anew is taken while it runs; who is in it no more is out, everybody else stays", async () => {
      const main = await connectGateway();
      const leaving = await connect("panel-b");
      await expect(connect("stranger")).rejects.toThrow();
      await files.rewrite(["panel-a", "stranger"]);
      broker.hangUp();
      await waitFor("who left to be out", () => !leaving.mqtt.connected);
      await expect(connect("panel-b")).rejects.toThrow();
      const arrived = await connect("stranger");
      await arrived.mqtt.publishAsync(`dl/1/${site}/stranger/event`, "here", { qos: 1 });
      await waitFor("the new one", () => main.heard.includes(`dl/1/${site}/stranger/event here`));
    });

  async function connectGateway(): Promise<Client> {
    const main = await connect(gateway);
    const spoken = ["birth", "state", "health", "reported", "event", "result/unlock"];
    await main.mqtt.subscribeAsync(
      spoken.map((tail) => `dl/1/${site}/+/${tail}`),
      { qos: 1 },
    );
    return main;
  }

  /** Connected, or rejected. */
  async function connect(
    name: string | undefined,
    options: IClientOptions & { readonly url?: string } = {},
  ): Promise<Client> {
    const { url = broker.url, ...more } = options;
    const identity = name === undefined ? undefined : identityByName.get(name);
    const connected = mqtt.connect(url, {
      clientId: name ?? "nobody",
      reconnectPeriod: 0,
      connectTimeout: 5_000,
      ca: files.authority.certificate,
      ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
      ...more,
    });
    const client: Client = { mqtt: connected, heard: [] };
    clients.push(client);
    connected.on("message", (topic, payload) => client.heard.push(`${topic} ${payload.toString()}`));
    let reason = "closed";
    connected.on("error", (error) => {
      reason = error.message;
    });
    await new Promise<void>((resolve, reject) => {
      connected.once("connect", () => resolve());
      connected.once("close", () => reject(new Error(reason)));
    });
    return client;
  }
});
