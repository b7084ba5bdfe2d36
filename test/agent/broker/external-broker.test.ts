import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openExternalBroker } from "../../../agent/broker/external-broker.ts";
import { Intake } from "../../../agent/broker/intake.ts";
import { DeviceTable } from "../../../agent/devices.ts";
import { stateUpstream } from "../../../agent/health.ts";
import { BrokerLinkError } from "../../../agent/ports/broker-transport.ts";
import type { SiteBroker } from "../../../agent/ports/site-broker.ts";
import { StoreError } from "../../../agent/ports/store.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, site } from "../../world/gateway-builder.ts";
import { MemorySiteBroker } from "../../world/memory-site-broker.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const device = "panel-r20" as DeviceId;
const other = "panel-r29" as DeviceId;
const own = (tail: string): string => `dl/1/${site}/${device}/${tail}`;

let store: MemoryStore;
let clock: SteppedClock;
let transport: MemorySiteBroker;
let table: DeviceTable;
let intake: Intake;
let broker: SiteBroker;
let logged: { level: string; text: string }[];
let revision = 1;
let revoked: Set<DeviceId>;

beforeEach(async () => {
  store = new MemoryStore();
  clock = new SteppedClock();
  transport = new MemorySiteBroker();
  table = new DeviceTable(store, gatewayId);
  logged = [];
  revoked = new Set();
  await list(device, other);
  intake = new Intake({
    store,
    table,
    clock,
    log: memoryLog(logged),
    sendReceipt: (to, payload) => broker.publish({ site, device: to, channel: "receipt" }, payload),
    onStored: () => undefined,
    onWords: () => undefined,
    onUnlockResult: () => undefined,
  });
});

afterEach(() => broker.close());

describe("external broker", () => {
  it("[B13] an event is receipted when it is in the store, and not before", async () => {
    await open();
    let commit: () => void = () => undefined;
    const append = store.appendEvents.bind(store);
    store.appendEvents = async (batch) => {
      await new Promise<void>((resolve) => {
        commit = resolve;
      });
      return append(batch);
    };
    transport.say(own("event"), batch(1, 2));
    await clock.advance(1_000);
    expect(transport.saidOn("/receipt")).toEqual([]);
    commit();
    await clock.advance(0);
    expect(transport.saidOn("/receipt")).toEqual([JSON.stringify({ v: 1, device, through: 2, missing: [] })]);
  });

  it("[B13] what could not be kept has no receipt, is counted, and comes again", async () => {
    await open();
    store.failing = new StoreError("failed", "disk full");
    transport.say(own("event"), batch(1));
    await clock.advance(0);
    expect(intake.refused()).toEqual({ "not-kept": 1 });
    expect(transport.saidOn("/receipt")).toEqual([]);
    store.failing = undefined;
    transport.say(own("event"), batch(1));
    await clock.advance(0);
    expect(transport.saidOn("/receipt")).toHaveLength(1);
  });

  it("[B13] a store that hangs is given up message by message, and holds nobody for ever", async () => {
    await open();
    const append = store.appendEvents.bind(store);
    store.appendEvents = () => new Promise(() => undefined);
    transport.say(own("event"), batch(1));
    await clock.advance(0);
    store.appendEvents = append;
    transport.say(own("event"), batch(1, 2));
    await clock.advance(29_000);
    expect(transport.saidOn("/receipt")).toEqual([]);
    await clock.advance(2_000);
    expect(intake.refused()).toEqual({ "not-kept": 1 });
    expect(transport.saidOn("/receipt")).toHaveLength(1);
  });

  it("[B13] on each link tells a device that was there all along how far its events are", async () => {
    await open();
    transport.say(own("event"), batch(1, 2));
    await clock.advance(0);
    transport.remember(own("state"), { v: 1, device, online: true, heardAt: 5 });
    transport.remember(`dl/1/${site}/${other}/state`, { v: 1, device: other, online: false, heardAt: null });
    transport.cut();
    await clock.advance(60_000);
    expect(transport.saidOn(own("receipt"))).toHaveLength(2);
    expect(transport.saidOn(own("receipt"))[1]).toBe(JSON.stringify({ v: 1, device, through: 2, missing: [] }));
    expect(transport.saidOn(`${other}/receipt`)).toEqual([]);
  });

  it("[B13] takes many devices' messages in one go and each device's in order, and reads no more than it may hold", async () => {
    const names = Array.from({ length: 16 }, (_, index) => `panel-${index}` as DeviceId);
    await list(...names);
    await open();
    const begun: string[] = [];
    const waiting: (() => void)[] = [];
    const append = store.appendEvents.bind(store);
    store.appendEvents = async (events) => {
      begun.push(`${events.device} ${events.events[0]?.sequence}`);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return append(events);
    };
    for (const name of names) transport.say(`dl/1/${site}/${name}/event`, batch(1));
    for (const name of names) transport.say(`dl/1/${site}/${name}/event`, { ...batch(2), device: name });
    await clock.advance(0);
    // One of each is under way, those that name another device than their topic were dropped at once.
    expect(begun).toEqual(names.map((name) => `${name} 2`));
    // One device's flood is dropped, the others go on; more than the whole may hold is left with the broker.
    for (let round = 0; round < 100; round++)
      transport.say(`dl/1/${site}/${names[0]}/event`, { ...batch(3), device: names[0] });
    expect(intake.refused()["too-many-at-once"]).toBe(37);
    expect(transport.held).toBeUndefined();
    for (let round = 0; round < 63; round++) {
      for (const name of names.slice(1, 9)) transport.say(`dl/1/${site}/${name}/event`, { ...batch(3), device: name });
    }
    const held = transport.held;
    expect(held).toBeInstanceOf(Promise);
    store.appendEvents = append;
    for (const resolve of waiting) resolve();
    await expect(held).resolves.toBeUndefined();
    await clock.advance(0);
    expect((await store.readEvents(names[1] as DeviceId, -1, 9)).map(({ sequence }) => sequence)).toEqual([2, 3]);
  });

  it("[B12] takes what listed devices say on their own topics, and counts everything else", async () => {
    await open();
    transport.say(`dl/1/${site}/panel-stranger/event`, { ...batch(1), device: "panel-stranger" });
    transport.say(`dl/1/elm-court/${device}/event`, batch(1));
    transport.say(own("receipt"), { v: 1, device, through: 9, missing: [] });
    transport.say(own("result/open"), { v: 1 });
    transport.say("#", "{}");
    transport.say(own("event"), { ...batch(1), device: other });
    // Another gateway of the site is no device and no fault.
    transport.say(`dl/1/${site}/gateway-annex/state`, { v: 1, device: "gateway-annex", online: true, heardAt: 1 });
    await clock.advance(0);
    expect(intake.refused()).toEqual({ "not-admitted": 1, "not-a-topic": 4, "another-device": 1 });
    expect(await store.outbox()).toEqual([]);
    expect(broker.connected()).toEqual([device]);
  });

  it("[I9] hears a device no more whose certificates were taken back, and clears what it was to hold", async () => {
    await open();
    broker.publish({ site, device, channel: "desired" }, "order");
    transport.say(own("event"), batch(1));
    await clock.advance(0);
    revoked.add(device);
    broker.disconnect(device);
    transport.say(own("event"), batch(1, 2));
    await clock.advance(0);
    expect(intake.refused()).toEqual({ "certificate-revoked": 1 });
    expect(await store.readEvents(device, -1, 9)).toHaveLength(1);
    expect(transport.saidOn(own("desired"))).toEqual(["order", ""]);
    expect(broker.connected()).toEqual([]);
  });

  it("[B14] words out of its memory tell what is, unless later ones are known, and nobody was heard", async () => {
    transport.remember(own("birth"), birth({ bootCount: 7, firmware: "320.30.12.20" }));
    transport.remember(own("state"), { v: 1, device, online: true, heardAt: 5 });
    transport.remember(own("health"), health({ bootCount: 7, uptimeSeconds: 100 }));
    transport.remember(own("event"), batch(1));
    await open();
    expect(table.words(device)).toMatchObject({
      birth: { bootCount: 7 },
      state: { online: true, heardAt: null },
      health: { uptimeSeconds: 100, firmware: { version: "320.30.12.20" } },
    });
    expect(intake.refused()).toEqual({ "not-retained": 1 });
    expect(isOnline(device)).toBe(false);
    // It can be given a command all the same: it may well be there.
    expect(broker.connected()).toEqual([device]);

    transport.say(own("health"), health({ bootCount: 8, uptimeSeconds: 3 }));
    await clock.advance(0);
    expect(isOnline(device)).toBe(true);
    // A broker that came back from a snapshot: what it knows is older than what was heard.
    transport.cut();
    await clock.advance(60_000);
    expect(table.words(device).health).toMatchObject({ bootCount: 8, uptimeSeconds: 3 });
    transport.say(own("birth"), birth({ bootCount: 6, firmware: "1.0" }), { retained: true });
    transport.say(own("birth"), birth({ bootCount: 9, firmware: "2.0" }), { retained: true });
    await clock.advance(0);
    expect(table.words(device)).toMatchObject({
      birth: { bootCount: 9, firmware: "2.0" },
      health: { firmware: { version: "2.0" } },
    });
  });

  it("[B14] a device is connected from its words on, and gone by its last will or with the link", async () => {
    await open();
    expect(broker.connected()).toEqual([]);
    transport.say(own("event"), batch(1));
    expect(broker.connected()).toEqual([device]);
    transport.say(own("state"), { v: 1, device, online: false, heardAt: null });
    await clock.advance(0);
    expect(broker.connected()).toEqual([]);
    expect(table.words(device).state?.online).toBe(false);
    transport.say(own("state"), { v: 1, device, online: true, heardAt: 9 });
    expect(broker.connected()).toEqual([device]);
    transport.cut();
    await clock.advance(0);
    expect(broker.connected()).toEqual([]);
  });

  it("[B15] says what is retained again on each link, and clears it when its device is gone from the list", async () => {
    await open();
    broker.publish({ site, device, channel: "desired" }, "one");
    broker.publish({ site, device, channel: "desired" }, "two");
    broker.publish({ site, device: other, channel: "desired" }, "other");
    await clock.advance(0);
    expect(transport.saidOn(own("desired"))).toEqual(["one", "two"]);
    transport.cut({ forget: true });
    broker.publish({ site, device, channel: "desired" }, "three");
    await clock.advance(60_000);
    expect(transport.saidOn(own("desired"))).toEqual(["one", "two", "three"]);
    expect(transport.saidOn(`${other}/desired`)).toEqual(["other", "other"]);
    await list(other);
    broker.disconnect(device);
    await clock.advance(0);
    expect(transport.said.at(-1)).toEqual({ topic: own("desired"), payload: "", qos: 1, retain: true });
    const clearings = transport.saidOn(own("desired")).length;
    transport.cut();
    await clock.advance(60_000);
    expect(transport.saidOn(own("desired"))).toHaveLength(clearings);
  });

  it("[B15] owes a slow broker one message of each topic and the latest behind it; without a link it owes none", async () => {
    await open();
    transport.acknowledges = false;
    for (let through = 1; through <= 50; through++) {
      broker.publish({ site, device, channel: "receipt" }, `receipt ${through}`);
    }
    await clock.advance(0);
    expect(transport.saidOn("/receipt")).toEqual(["receipt 1"]);
    transport.acknowledge();
    await clock.advance(0);
    expect(transport.saidOn("/receipt")).toEqual(["receipt 1", "receipt 50"]);
    transport.acknowledges = true;
    transport.acknowledge();
    transport.cut();
    await clock.advance(0);
    broker.publish({ site, device, channel: "receipt" }, "for nobody");
    broker.publish({ site, device, channel: "command", name: "unlock" }, "for nobody");
    await clock.advance(60_000);
    expect(transport.said.filter(({ payload }) => payload === "for nobody")).toEqual([]);
    broker.publish({ site, device, channel: "command", name: "unlock" }, "now");
    expect(transport.said.at(-1)).toEqual({ topic: own("command/unlock"), payload: "now", qos: 0, retain: false });
  });

  it("[B16] the link is up when the gateway hears itself, and says since when and why not", async () => {
    transport.refusal = new BrokerLinkError("refused", "refused with return code 5");
    const begunMs = clock.nowMs();
    await open();
    expect(broker.linkState()).toEqual({
      url: transport.url,
      connected: false,
      sinceMs: begunMs,
      lastFault: "refused with return code 5",
    });
    transport.refusal = undefined;
    transport.delivers = false;
    await clock.advance(10_000);
    expect(transport.linked).toBe(true);
    expect(broker.linkState()?.connected).toBe(false);
    await clock.advance(15_000);
    expect(broker.linkState()?.lastFault).toBe("the broker takes messages and does not deliver them");
    transport.delivers = true;
    await clock.advance(60_000);
    const state = broker.linkState();
    expect(state?.connected).toBe(true);
    expect(state?.sinceMs).toBeGreaterThan(begunMs);
    expect(transport.will).toEqual({
      topic: `dl/1/${site}/${gatewayId}/state`,
      payload: JSON.stringify({ v: 1, device: gatewayId, online: false, heardAt: null }),
    });
    expect(logged.filter(({ text }) => text.includes("panelPassword"))).toEqual([]);
  });

  it.each([
    ["delivers no more", () => Object.assign(transport, { delivers: false })],
    ["acknowledges no more", () => Object.assign(transport, { acknowledges: false })],
  ])(
    "[B16] a link on which the broker %s is given up within a heartbeat and an answer's limit",
    async (_what, spoil) => {
      await open();
      const { attempts } = transport;
      spoil();
      await clock.advance(34_000);
      expect(transport.attempts).toBe(attempts);
      await clock.advance(2_000);
      expect(broker.linkState()?.connected).toBe(false);
      Object.assign(transport, { delivers: true, acknowledges: true });
      await clock.advance(60_000);
      expect(broker.linkState()?.connected).toBe(true);
    },
  );

  it("[B16] tries for ever with waits that grow to the cap, and a link that lasted begins anew", async () => {
    transport.refusal = new BrokerLinkError("unreachable", "no route");
    await open();
    await clock.advance(3_600_000);
    // Half of a full-jitter wait on average, with the fraction that this test draws: 0.25, 0.5, 1, 2 ... 15 s, 15 s.
    expect(transport.attempts).toBeGreaterThan(3_600 / 15);
    expect(transport.attempts).toBeLessThan(3_600 / 15 + 10);
    transport.refusal = undefined;
    await clock.advance(60_000);
    expect(broker.linkState()?.connected).toBe(true);
    const before = transport.attempts;
    transport.cut();
    await clock.advance(300);
    expect(transport.attempts).toBe(before + 1);
  });

  it("[G31] beats while its own machine steps in time, linked or not, and not when it stopped", async () => {
    await open();
    for (let minute = 0; minute < 3; minute++) {
      await clock.advance(60_000);
      await expect(broker.beat?.()).resolves.toBeUndefined();
    }
    transport.refusal = new BrokerLinkError("unreachable", "no route");
    transport.cut();
    for (let minute = 0; minute < 3; minute++) {
      await clock.advance(60_000);
      await expect(broker.beat?.()).resolves.toBeUndefined();
    }
    // Nothing wakes it any more, as after a mistake of ours.
    clock.after = () => () => undefined;
    await clock.advance(120_000);
    await expect(broker.beat?.()).rejects.toThrow(/overdue/);
    // Nor would closing end.
    clock = new SteppedClock();
    await open();
  });

  it("[B16] does not wait for a connection that takes too long, and closes it when it comes after all", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    transport.opening = promise;
    await open();
    // Only the first one hangs.
    transport.opening = undefined;
    await clock.advance(9_000);
    expect(broker.linkState()?.lastFault).toBeNull();
    await clock.advance(2_000);
    expect(broker.linkState()).toMatchObject({ connected: true, lastFault: "no connection in 10 s" });
    resolve();
    await clock.advance(0);
    expect(transport.closedLate).toBe(1);
    expect(broker.linkState()?.connected).toBe(true);
  });

  it("[B16] a broker that grants no subscription is left and tried again", async () => {
    transport.grantsSubscriptions = false;
    await open();
    expect(broker.linkState()).toMatchObject({ connected: false, lastFault: "the broker refuses a subscription" });
    transport.grantsSubscriptions = true;
    await clock.advance(60_000);
    expect(broker.linkState()?.connected).toBe(true);
  });

  it("[B16] says goodbye in order, and does not wait for a broker that takes no leave", async () => {
    await open();
    await broker.close();
    expect(transport.saidOn(`${gatewayId}/state`).at(-1)).toContain(`"online":false`);
    expect(transport.linked).toBe(false);
    await open();
    transport.acknowledges = false;
    const closing = broker.close();
    await clock.advance(2_000);
    await closing;
    expect(transport.linked).toBe(false);
    transport.opening = new Promise(() => undefined);
    await open();
    await broker.close();
  });

  it("[B19] whatever comes on whatever topic is taken or refused under a name, and the honest go on", async () => {
    await open();
    const tails = [
      "birth",
      "state",
      "health",
      "reported",
      "event",
      "result/unlock",
      "desired",
      "command/unlock",
      "receipt",
      "",
    ];
    const topics = fc.oneof(
      fc.constantFrom(...tails.map(own)),
      fc.string({ maxLength: 200 }),
      fc.string({ maxLength: 20 }).map((text) => `dl/1/${site}/${device}/${text}`),
    );
    const payloads = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map(utf8),
      fc
        .constantFrom(batch(5), birth({ bootCount: 1, firmware: "1" }), health({}))
        .map((message) => utf8(JSON.stringify(message))),
    );
    await fc.assert(
      fc.asyncProperty(topics, payloads, fc.boolean(), async (topic, payload, retained) => {
        transport.say(topic, payload, { retained });
        await clock.advance(0);
        expect(transport.linked).toBe(true);
      }),
      { numRuns: 60 },
    );
    transport.say(`dl/1/${site}/${other}/event`, { ...batch(1), device: other });
    await clock.advance(0);
    expect(transport.saidOn(`${other}/receipt`)).toHaveLength(1);
    expect(Object.keys(intake.refused()).every((code) => /^[a-z0-9-]+$/.test(code))).toBe(true);
  });
});

async function open(): Promise<void> {
  broker = openExternalBroker(
    {
      site,
      gateway: gatewayId,
      transport,
      backoff: { firstMs: 500, capMs: 30_000 },
      isRevoked: (id) => revoked.has(id),
      clock,
      random: { bytes: (length) => new Uint8Array(length), fraction: () => 0.5 },
      log: memoryLog(logged),
    },
    intake,
  );
  await clock.advance(0);
}

async function list(...devices: readonly DeviceId[]): Promise<void> {
  revision += 1;
  const desired = gatewayDesired({ devices: devices.map((id) => panel({ id })), revision });
  const taken = await table.takeDesired(gatewayId, utf8(JSON.stringify(desired)), clock.nowMs());
  expect(taken.ok).toBe(true);
}

function isOnline(id: DeviceId): boolean {
  const listed = table.device(id);
  if (listed === undefined) throw new Error(`${id} is not listed`);
  const now = Math.floor(clock.nowMs() / 1000) as Parameters<typeof stateUpstream>[2];
  return stateUpstream(listed, { ...table.words(id), sync: null }, now).online;
}

function batch(...sequences: number[]) {
  const at = { unixSeconds: null, quality: "unset" };
  return {
    v: 1,
    device: device as string,
    events: sequences.map((sequence) => ({ boot: 1, sequence, at, kind: "boot" })),
  };
}

function birth(options: { readonly bootCount: number; readonly firmware: string }) {
  return { v: 1, device, model: "R20", hardware: null, ...options };
}

function health(options: { readonly bootCount?: number; readonly uptimeSeconds?: number }) {
  const { bootCount = 1, uptimeSeconds = 1 } = options;
  const unknown = { battery: null, firmware: null, firmwareVerdict: null, clock: null, lastSyncAt: null };
  return { v: 1, device, ...unknown, bootCount, uptimeSeconds, at: 1_795_000_000 };
}
