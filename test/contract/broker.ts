/**
 * What a site's broker and the gateway's intake promise together, run on each implementation behind the port: whatever the broker does,
 * what a receipt acknowledged is in the store, once; what is desired reaches who comes late; a command is for now or never.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Intake } from "../../agent/broker/intake.ts";
import { DeviceTable } from "../../agent/devices.ts";
import type { Clock } from "../../agent/ports/clock.ts";
import type { SiteBroker, SiteIntake } from "../../agent/ports/site-broker.ts";
import type { EventAppend, Store } from "../../agent/ports/store.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { EventJournal } from "../../emulator/device/event-journal.ts";
import { MqttLink } from "../../emulator/device/mqtt-link.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { PAYLOAD_LIMIT_BYTES, parsePayload } from "../../protocol/wire/payload.ts";
import type { ChaoticProxy } from "../real/brokers/chaotic-proxy.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, site } from "../world/gateway-builder.ts";

export interface BrokerUnderTest {
  /** The gateway's side of it, until `close`. */
  open(intake: SiteIntake, clock: Clock): Promise<SiteBroker>;
  /** Where devices connect, and the line that leads there. */
  readonly proxy: ChaoticProxy;
  /** What a device connects with. */
  readonly login: (device: string) => DeviceLogin;
  /** It dies without a word and comes back on the same port; gives the gateway's side, which is the same one where it is external. */
  restart(options: { readonly forgetsAll: boolean }, gatewaySide: SiteBroker): Promise<SiteBroker>;
  discard(): Promise<void>;
}

export interface DeviceLogin {
  readonly url: string;
  readonly password: string | null;
  readonly tls?: { readonly ca: string; readonly certificate: string; readonly key: string };
}

/** The devices that `login` must know: each test has three of its own, so that one store and one broker serve all of them. */
export const contractDevices: readonly string[] = Array.from({ length: 12 }, (_, turn) => devicesOf(turn)).flat();

function devicesOf(turn: number): readonly [string, string, string] {
  return [`panel-${turn}a`, `panel-${turn}b`, `panel-${turn}c`];
}

export function describeBroker(name: string, make: () => Promise<BrokerUnderTest>): void {
  describe(`site broker contract: ${name}`, () => {
    let under: BrokerUnderTest;
    let folder: string;
    let store: Store;
    let gateway: GatewaySide;
    let turn = 0;
    let [deviceA, deviceB, deviceC] = devicesOf(turn);
    let links: Device[] = [];
    let clients: MqttClient[] = [];

    beforeAll(async () => {
      under = await make();
      folder = await mkdtemp(join(tmpdir(), "doorlink-broker-contract-"));
      store = await openSqliteStore(join(folder, "agent.db"), () => undefined);
    });
    afterAll(async () => {
      await under.discard();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(async () => {
      [deviceA, deviceB, deviceC] = devicesOf(turn++);
      under.proxy.become({});
      gateway = await GatewaySide.open(under, store, [deviceA, deviceB, deviceC]);
    });
    afterEach(async () => {
      under.proxy.become({});
      for (const { link } of links) await link.stop();
      for (const client of clients) client.end(true);
      links = [];
      clients = [];
      await gateway.close();
    });

    it("[B13] an event is in the store before its receipt goes out, and its device keeps it until then", async () => {
      const panelA = device(deviceA);
      log(panelA, 30);
      await waitFor("every receipt", () => panelA.journal.through === 30);
      expect(gateway.receiptsBeforeCommit).toEqual([]);
      expect(await gateway.stored(deviceA)).toEqual(sequences(30));
      // A store that is slow holds the receipt back, and nothing else.
      const held = gateway.holdCommits();
      log(panelA, 1);
      await waitFor("the event at the store", () => held.waiting() > 0);
      expect(panelA.journal.through).toBe(30);
      held.release();
      await waitFor("its receipt", () => panelA.journal.through === 31);
    });

    it("[B6] the same events again change nothing and are receipted again; others under their names are counted", async () => {
      const panelA = await raw(deviceA);
      const receipts: number[] = [];
      panelA.on("message", (_topic, payload) => {
        const receipt = parsePayload(receiptSchema, payload);
        if (receipt.ok && receipt.value.through !== null) receipts.push(receipt.value.through);
      });
      await panelA.subscribeAsync(topic(deviceA, "receipt"), { qos: 1 });
      for (let round = 0; round < 3; round++) {
        const before = receipts.length;
        await say(panelA, topic(deviceA, "event"), batch(deviceA, [1, 2]), { qos: 1 });
        await waitFor("a receipt", () => receipts.length > before);
      }
      expect(new Set(receipts)).toEqual(new Set([2]));
      await say(panelA, topic(deviceA, "event"), batch(deviceA, [2, 3], "access-granted"), { qos: 1 });
      await waitFor("the contradiction", () => (gateway.intake.conflicting()[deviceA] ?? 0) === 1);
      expect(await gateway.stored(deviceA)).toEqual([1, 2, 3]);
    });

    it("[B15] what is desired reaches a device that comes later, also through a broker that forgot it", async () => {
      gateway.broker.publish({ site, device: id(deviceA), channel: "desired" }, JSON.stringify({ revision: 1 }));
      gateway.broker.publish({ site, device: id(deviceA), channel: "desired" }, JSON.stringify({ revision: 2 }));
      expect(await desiredHeard()).toContain(`{"revision":2}`);
      await gateway.restart({ forgetsAll: true });
      await gateway.linked();
      // The embedded one lives and dies with the gateway, which hands on at each start what it holds (SPEC G9).
      if (gateway.broker.linkState() === null) {
        gateway.broker.publish({ site, device: id(deviceA), channel: "desired" }, JSON.stringify({ revision: 2 }));
      }
      await waitFor("the broker to be told again", async () => (await desiredHeard()).at(-1) === `{"revision":2}`);
    });

    it("[V9] a command is given to who is there, once, and kept for nobody", async () => {
      const command = { site, device: id(deviceA), channel: "command", name: "unlock" } as const;
      gateway.broker.publish(command, "for nobody");
      await roundTrip(1);
      const heard: string[] = [];
      const panelA = await raw(deviceA);
      panelA.on("message", (_topic, payload, { retain }) =>
        heard.push(`${retain ? "kept " : ""}${payload.toString()}`),
      );
      await panelA.subscribeAsync(topic(deviceA, "command/+"), { qos: 1 });
      gateway.broker.publish(command, "for now");
      await waitFor("the command", () => heard.includes("for now"));
      await leave(panelA);
      gateway.broker.publish(command, "too late");
      await roundTrip(2);
      const again = await raw(deviceA);
      again.on("message", (_topic, payload) => heard.push(`again ${payload.toString()}`));
      await again.subscribeAsync(topic(deviceA, "command/+"), { qos: 1 });
      gateway.broker.publish(command, "last");
      await waitFor("the last command", () => heard.includes("again last"));
      expect(heard).toEqual(["for now", "again last"]);
    });

    it("[B2] [B17] nobody speaks for another device, for another site or for the gateway", async () => {
      const victim = await raw(deviceB);
      const heard: string[] = [];
      victim.on("message", (_topic, payload) => heard.push(payload.toString()));
      await victim.subscribeAsync([topic(deviceB, "desired"), topic(deviceB, "command/+")], { qos: 1 });
      for (const forbidden of [
        topic(deviceB, "event"),
        topic(deviceB, "desired"),
        topic(deviceB, "command/unlock"),
        `dl/1/elm-court/${deviceA}/event`,
      ]) {
        const hostile = await raw(deviceA);
        hostile.publish(forbidden, batch(deviceB, [66]), { qos: 1 });
        // A broker that ends the connection over it does not hear this.
        hostile.publish(topic(deviceA, "event"), batch(deviceA, [1]), { qos: 1 });
        await leave(hostile);
      }
      const honest = await raw(deviceA);
      await say(honest, topic(deviceA, "event"), batch(deviceA, [1, 2]), { qos: 1 });
      await waitFor("the honest event", async () => (await gateway.stored(deviceA)).includes(2));
      expect(await gateway.stored(deviceB)).toEqual([]);
      expect(heard).toEqual([]);
    });

    it("[B4] [B5] the largest payload passes; a larger one and one that is no message cost nobody else anything", async () => {
      const panelA = await raw(deviceA);
      const large = batch(deviceA, [1]).padEnd(PAYLOAD_LIMIT_BYTES, " ");
      await say(panelA, topic(deviceA, "event"), large, { qos: 1 });
      await waitFor("the large event", async () => (await gateway.stored(deviceA)).length === 1);
      await leave(panelA);
      const other = device(deviceB);
      const tooLarge = await raw(deviceA);
      tooLarge.publish(topic(deviceA, "event"), large.padEnd(PAYLOAD_LIMIT_BYTES + 4096, " "), { qos: 1 });
      await waitFor("the connection to end, or the payload to be refused", () => {
        return !tooLarge.connected || (gateway.intake.refused()["payload-too-large"] ?? 0) > 0;
      });
      await leave(tooLarge);
      const noMessage = await raw(deviceA);
      noMessage.publish(topic(deviceA, "event"), "{", { qos: 1 });
      await waitFor("the fault to be counted", () => (gateway.intake.refused()["payload-not-json"] ?? 0) > 0);
      log(other, 5);
      await waitFor("the other's receipts", () => other.journal.through === 5);
      expect(await gateway.stored(deviceA)).toEqual([1]);
    });

    it("[B14] who is there is known, and who leaves without a word is gone", async () => {
      const panelA = await raw(deviceA, { will: { topic: topic(deviceA, "state"), payload: state(deviceA, false) } });
      await say(panelA, topic(deviceA, "state"), state(deviceA, true), { qos: 1, retain: true });
      await waitFor(
        "it to be there",
        () => isThere(deviceA) && gateway.table.words(id(deviceA)).state?.online === true,
      );
      // A cut line, not a DISCONNECT: a broker on the other side of the proxy sees a reset.
      panelA.stream.destroy();
      await waitFor("it to be gone", () => !isThere(deviceA));
      await waitFor("its last will", () => gateway.table.words(id(deviceA)).state?.online === false);
    });

    it("[B1] from a device that the authority took away nothing is taken any more", async () => {
      const panelA = device(deviceA);
      log(panelA, 1);
      await waitFor("its receipt", () => panelA.journal.through === 1);
      await gateway.list([deviceB]);
      gateway.broker.disconnect(id(deviceA));
      log(panelA, 1);
      const panelB = device(deviceB);
      log(panelB, 1);
      await waitFor("another's receipt", () => panelB.journal.through === 1);
      await waitFor("a refusal", () => (gateway.intake.refused()["not-admitted"] ?? 0) > 0);
      expect(isThere(deviceA)).toBe(false);
      expect(await gateway.stored(deviceA)).toEqual([1]);
    });

    it("[B18] row 131: through a line that breaks, crawls and swallows and a broker that dies and forgets, nothing receipted is lost and nothing is doubled", async () => {
      const devices = [deviceA, deviceB, deviceC].map((one) => device(one));
      const logMore = (): void => {
        for (const one of devices) log(one, EVENTS_A_TURN);
      };
      const weathers = [
        { cutWithinBytes: 12_000 },
        { bytesPerSecond: 20_000 },
        { isBlackHole: true },
        { cutWithinBytes: 6_000 },
      ];
      let written = 0;
      for (const [turn, weather] of weathers.entries()) {
        logMore();
        written += EVENTS_A_TURN;
        under.proxy.become(weather);
        const cutsBefore = under.proxy.cuts;
        if (weather.cutWithinBytes !== undefined) await waitFor("cuts", () => under.proxy.cuts >= cutsBefore + 4);
        else await pause(250);
        logMore();
        written += EVENTS_A_TURN;
        if (turn % 2 === 1) await gateway.restart({ forgetsAll: turn === 1 });
        under.proxy.become({});
        await gateway.linked();
        await waitFor("something to get through", () => devices.every(({ journal }) => journal.through > written / 4));
      }
      await waitFor("every receipt", () => devices.every(({ journal }) => journal.through === written));
      for (const one of [deviceA, deviceB, deviceC]) expect(await gateway.stored(one)).toEqual(sequences(written));
      expect(gateway.receiptsBeforeCommit).toEqual([]);
      expect(gateway.intake.conflicting()).toEqual({});
    });

    function device(name: string): Device {
      const one = makeDevice(name, under.login(name), folder);
      links.push(one);
      one.link.start();
      return one;
    }

    function isThere(name: string): boolean {
      return gateway.broker.connected().includes(id(name));
    }

    async function desiredHeard(): Promise<readonly string[]> {
      const heard: string[] = [];
      const client = await raw(deviceA);
      client.on("message", (_topic, payload) => heard.push(payload.toString()));
      await client.subscribeAsync(topic(deviceA, "desired"), { qos: 1 });
      await waitFor("what is retained", () => heard.length > 0);
      await leave(client);
      return heard;
    }

    /** Another device's event and its receipt: what the gateway said before it has passed the broker. */
    async function roundTrip(sequence: number): Promise<void> {
      const client = await raw(deviceB);
      let receipted = false;
      client.on("message", () => {
        receipted = true;
      });
      await client.subscribeAsync(topic(deviceB, "receipt"), { qos: 1 });
      client.publish(topic(deviceB, "event"), batch(deviceB, [sequence]), { qos: 1 });
      await waitFor("the receipt", () => receipted);
      await leave(client);
    }

    /** A client that does what the test says and nothing else. */
    async function raw(
      name: string,
      options: { readonly will?: { readonly topic: string; readonly payload: Buffer | string } } = {},
    ): Promise<MqttClient> {
      const { url, password, tls } = under.login(name);
      const { will } = options;
      const client = mqtt.connect(url, {
        clientId: name,
        username: name,
        ...(password === null ? {} : { password }),
        ...(tls === undefined ? {} : { ca: tls.ca, cert: tls.certificate, key: tls.key }),
        ...(will === undefined ? {} : { will: { ...will, payload: Buffer.from(will.payload), qos: 1, retain: true } }),
        reconnectPeriod: 0,
      });
      clients.push(client);
      client.on("error", () => undefined);
      await new Promise<void>((resolve, reject) => {
        client.once("connect", () => resolve());
        client.once("close", () => reject(new Error(`${name} was not let in`)));
      });
      return client;
    }
  });
}

/** Rejected when the broker does not take it: the client library would wait for ever for a connection that is gone. */
async function say(
  client: MqttClient,
  on: string,
  payload: string,
  options: { qos: 1; retain?: boolean },
): Promise<void> {
  const late = pause(WAIT_LIMIT_MS / 4).then(() => Promise.reject(new Error(`no PUBACK for ${on}`)));
  await Promise.race([client.publishAsync(on, payload, options), late]);
}

/** With a goodbye if it is still there; nats-server shuts out for a second a client id that comes twice at once. */
async function leave(client: MqttClient): Promise<void> {
  if (client.connected) await Promise.race([client.endAsync(), pause(100)]);
  client.end(true);
}

/** The gateway's intake over a store on disk, and its side of the broker. */
class GatewaySide {
  readonly table: DeviceTable;
  readonly intake: Intake;
  broker: SiteBroker = notOpen;
  /** Receipts that said more than had been committed when they went out. */
  readonly receiptsBeforeCommit: string[] = [];
  readonly #under: BrokerUnderTest;
  readonly #store: Store;
  readonly #committedByDevice: ReadonlyMap<string, Set<number>>;
  #hold: Promise<void> | undefined;
  #waiting = 0;
  #revision = 1;

  private constructor(under: BrokerUnderTest, store: Store, devices: readonly string[]) {
    this.#under = under;
    this.#store = store;
    this.#committedByDevice = new Map(devices.map((device) => [device, new Set<number>()]));
    this.table = new DeviceTable(store, gatewayId);
    this.intake = new Intake({
      store: new Proxy(store, { get: (target, key) => (key === "appendEvents" ? this.#append : bound(target, key)) }),
      table: this.table,
      clock: realClock,
      log: memoryLog([]),
      sendReceipt: (device, payload) => this.#sendReceipt(device, payload),
      onStored: () => undefined,
      onWords: () => undefined,
      onUnlockResult: () => undefined,
    });
  }

  static async open(under: BrokerUnderTest, store: Store, devices: readonly string[]): Promise<GatewaySide> {
    const side = new GatewaySide(under, store, devices);
    await side.list(devices);
    side.broker = await under.open(side.intake, hurriedClock);
    await side.linked();
    return side;
  }

  /** The authority lists these devices and no others. */
  async list(devices: readonly string[]): Promise<void> {
    const desired = gatewayDesired({ devices: devices.map((one) => panel({ id: one })), revision: this.#revision++ });
    const taken = await this.table.takeDesired(gatewayId, utf8(JSON.stringify(desired)), realClock.nowMs());
    assert(taken.ok, "the list is taken");
  }

  async restart(options: { readonly forgetsAll: boolean }): Promise<void> {
    this.broker = await this.#under.restart(options, this.broker);
  }

  async linked(): Promise<void> {
    await waitFor("the gateway's link", () => this.broker.linkState()?.connected !== false);
  }

  /** In the order of the store. */
  async stored(device: string): Promise<readonly number[]> {
    const events = await this.#store.readEvents(id(device), -1, 10_000);
    return events.map(({ sequence }) => sequence);
  }

  holdCommits(): { readonly waiting: () => number; readonly release: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hold = promise;
    return {
      waiting: () => this.#waiting,
      release: () => {
        this.#hold = undefined;
        resolve();
      },
    };
  }

  async close(): Promise<void> {
    await this.broker.close();
  }

  readonly #append = async (batch: EventAppend): ReturnType<Store["appendEvents"]> => {
    this.#waiting += 1;
    await this.#hold;
    const outcome = await this.#store.appendEvents(batch);
    this.#waiting -= 1;
    for (const { sequence } of batch.events) this.#committedByDevice.get(batch.device)?.add(sequence);
    return outcome;
  };

  #sendReceipt(device: DeviceId, payload: string): void {
    const receipt = parsePayload(receiptSchema, utf8(payload));
    assert(receipt.ok, "a receipt reads");
    const committed = this.#committedByDevice.get(device);
    const through = receipt.value.through ?? 0;
    if (sequences(through).some((sequence) => committed?.has(sequence) !== true))
      this.receiptsBeforeCommit.push(payload);
    this.broker.publish({ site, device, channel: "receipt" }, payload);
  }
}

interface Device {
  readonly link: MqttLink;
  readonly journal: EventJournal;
}

function makeDevice(name: string, login: DeviceLogin, folder: string): Device {
  const journal = new EventJournal(join(folder, name, "journal"));
  const link = new MqttLink({
    url: login.url,
    site,
    device: id(name),
    password: login.password,
    ...(login.tls === undefined ? {} : { tls: login.tls }),
    journal,
    clock: hurriedClock,
    jitter: Math.random,
    birth: () => ({ v: 1, device: id(name), model: "R20", bootCount: 1, firmware: "320.30.12.15", hardware: null }),
    health: () => ({
      v: 1,
      device: id(name),
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
  return { link, journal };
}

function log({ journal, link }: Device, count: number): void {
  for (let index = 0; index < count; index++) {
    journal.append({ at: { unixSeconds: null, quality: "unset" }, kind: "access-denied", person: "bob" });
  }
  link.notify("event");
}

function batch(device: string, numbers: readonly number[], kind = "boot"): string {
  const at = { unixSeconds: null, quality: "unset" };
  return JSON.stringify({ v: 1, device, events: numbers.map((sequence) => ({ boot: 1, sequence, at, kind })) });
}

function state(device: string, online: boolean): string {
  return JSON.stringify({ v: 1, device, online, heardAt: online ? Math.floor(Date.now() / 1000) : null });
}

function topic(device: string, tail: string): string {
  return `dl/1/${site}/${device}/${tail}`;
}

function id(device: string): DeviceId {
  return device as DeviceId;
}

function sequences(through: number): number[] {
  return Array.from({ length: through }, (_, index) => index + 1);
}

function bound(target: object, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key);
  return typeof value === "function" ? value.bind(target) : value;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function waitFor(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + WAIT_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${WAIT_LIMIT_MS} ms for ${what}`);
    await pause(10);
  }
}

/** Before the first one is open. */
const notOpen: SiteBroker = {
  port: 0,
  publish: () => undefined,
  disconnect: () => undefined,
  connected: () => [],
  linkState: () => null,
  close: async () => undefined,
};

/** Every wait of device and gateway is a fifth of what it is: deadlines of 3 s and 15 s are met by the same code, sooner. */
const hurriedClock: Clock = { ...realClock, after: (delayMs, action) => realClock.after(delayMs / HURRY, action) };
const HURRY = 5;
/** Three batches. */
const EVENTS_A_TURN = 150;
const WAIT_LIMIT_MS = 20_000;
