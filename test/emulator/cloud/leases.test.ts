/** Leases from the site file to the lock: what an honest site sees of them, and what a lock does that nobody visits. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Keycard, keycard } from "../../../emulator/device/keycard.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import type { LockOutcome } from "../../../emulator/device/lock.ts";
import type { LockHost } from "../../../emulator/device/lock-host.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { type DeviceDesired, desiredSchema, type LockDesired } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { policyManifest } from "../../../protocol/wire/signed-objects.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { startAppWorld } from "../people/app-world.ts";
import {
  catchMessages,
  deviceId,
  gateway,
  json,
  noon,
  PairedLock,
  siteText,
  startCloud,
  type TestCloud,
} from "./fixture.ts";

const number = "04a1b2c3d4e5f6";
const day = 86_400;
const dayMs = day * 1_000;
const leased = (leases: string) =>
  siteText
    .replace("doorcodeDigits: 7,", `doorcodeDigits: 7, leases: ${leases},`)
    .replace("credentials:", `credentials:\n  - {id: alice-card, kind: keycard, person: alice, number: "${number}"}`);

/** The gateway says something, as it does every minute. */
function hear(cloud: TestCloud): void {
  const topic = parseTopic(`dl/1/maple-court/${gateway}/state`);
  if (topic === undefined) throw new Error("a topic");
  const state = { v: 1, device: gateway, online: true, heardAt: cloud.authority.now() };
  expect(cloud.intake.receive(gateway, topic, json(state))).toBe(true);
}

/** The desired documents of locks and networked devices that went out since this was last asked. */
function ordersIn(sent: ReturnType<typeof catchMessages>): readonly (LockDesired | DeviceDesired)[] {
  return sent.splice(0).flatMap(({ topic, payload }) => {
    if (topic.channel !== "desired") return [];
    const read = parsePayload(desiredSchema, utf8(payload));
    return read.ok && (read.value.kind === "lock" || read.value.kind === "device") ? [read.value] : [];
  });
}

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function startHouse(leases: string) {
  const world = await startAppWorld({ site: leased(leases) });
  stops.push(world.stop);
  const sent = catchMessages(world.cloud);
  const { lobby } = world.locks;
  const key = world.cloud.authority.cardKeys().find(({ credential }) => credential === "alice-card")?.key;
  if (key === undefined) throw new Error("the card has a key");
  const card: Keycard = keycard(number, key);
  /** A courier's visit, with the lock's report brought home. */
  const visit = (): void => {
    const said = world.sync(lobby);
    const { cloud, clock } = world;
    if (said !== undefined) cloud.chains.reportCame(deviceId("lobby-lock"), said.report, said.mac, clock.nowMs());
  };
  visit();
  return { ...world, lobby, card, visit, orders: () => ordersIn(sent), wait: (ms: number) => world.clock.advance(ms) };
}

/** Alice's code at the keypad. */
async function enterCode(lock: LockHost): Promise<LockOutcome> {
  return lock.press(keysOfCode("4815162", lock.keypadAsleep) ?? []);
}

describe("a lease of the site file", () => {
  it("[J7] at a lock that nobody visits the class stops at its end, by name, and the others go on", async () => {
    const { lobby, card, wait } = await startHouse("{keycard: 8, code: 20}");
    expect(lobby.presentCard(card).granted).toBe(true);
    wait(8 * dayMs - 60_000);
    expect(lobby.presentCard(card)).toMatchObject({ granted: true, warnings: ["LEASE_NEAR_END"] });
    wait(60_000);
    expect(lobby.presentCard(card)).toMatchObject({ granted: false, reason: "LEASE_ENDED" });
    expect(await enterCode(lobby)).toMatchObject({ granted: true });
    wait(12 * dayMs);
    expect(await enterCode(lobby)).toMatchObject({ granted: false, reason: "LEASE_ENDED" });
  });

  it("[J8] [J10] at one that is visited by half of it nothing ever stops or warns: the policy is written anew in time", async () => {
    const { cloud, clock, lobby, card, visit, orders, wait } = await startHouse("{keycard: 8, code: 20}");
    for (let half = 1; half <= 8; half++) {
      wait(4 * dayMs - 3_600_000);
      hear(cloud);
      expect(orders()).toEqual([]);
      wait(3_600_000);
      hear(cloud);
      const visitBy = clock.nowMs() / 1_000 + 4 * day;
      const order = orders().find(({ device }) => device === "lobby-lock");
      expect(order).toMatchObject({ kind: "lock", policy: { version: half + 1 }, urgent: null, visitBy });
      expect(lobby.presentCard(card)).toMatchObject({ granted: true, warnings: [] });
      visit();
      expect(lobby.firmware.policy.version).toBe(half + 1);
      expect(lobby.presentCard(card)).toMatchObject({ granted: true, warnings: [] });
    }
  });

  it("[M16] [J10] one that was not reached until its lease had ended keeps people out, and that is urgent", async () => {
    const { cloud, lobby, card, visit, orders, wait } = await startHouse("{keycard: 8}");
    const urgent = () => orders().map(({ device, ...order }) => [device, "urgent" in order ? order.urgent : undefined]);
    wait(4 * dayMs);
    hear(cloud);
    expect(urgent()).toEqual([
      ["lobby-lock", null],
      ["garage-lock", null],
    ]);
    wait(4 * dayMs);
    hear(cloud);
    expect(urgent()).toContainEqual(["lobby-lock", "lock-out"]);
    expect(lobby.presentCard(card).granted).toBe(false);
    visit();
    expect(lobby.presentCard(card).granted).toBe(true);
  });

  it("[J10] a renewal takes nothing from anybody, and costs a delta of a few bytes", async () => {
    const { cloud, clock } = await startCloud({ site: leased("{app: 30, keycard: 30}") });
    PairedLock.pair(cloud, "lobby-lock");
    const sent = catchMessages(cloud);
    clock.advance(15 * dayMs);
    hear(cloud);
    const [order] = ordersIn(sent);
    if (order?.kind !== "lock") throw new Error("no order for the lock");
    expect(order.revocations).toEqual([]);
    const [delta, snapshot] = order.bundles;
    expect([delta?.from, snapshot?.from]).toEqual([1, 0]);
    expect(delta?.bytes.length).toBeLessThan(100);
  });

  it("[J10] a networked device gets its renewed policy as well, and what has no lease keeps its version", async () => {
    const { cloud, clock } = await startCloud({ site: leased("{app: 10}") });
    expect(cloud.authority.enrol("gate-r29")).toMatchObject({ ok: true });
    const sent = catchMessages(cloud);
    clock.advance(5 * dayMs);
    hear(cloud);
    expect(ordersIn(sent)).toMatchObject([{ kind: "device", device: "gate-r29", policy: { version: 2 } }]);
    const { cloud: other, clock: otherClock } = await startCloud();
    other.authority.enrol("gate-r29");
    otherClock.advance(400 * dayMs);
    hear(other);
    expect(other.authority.state.policies["gate-r29"]?.version).toBe(1);
  });

  it("[J10] a cloud that was away when half of a lease passed says so with its first words", async () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-leases-"));
    stops.push(() => rmSync(folder, { recursive: true }));
    const site = leased("{code: 10}");
    const first = await startCloud({ stateDirectory: folder, site });
    PairedLock.pair(first.cloud, "lobby-lock");
    await first.cloud.close();
    const second = await startCloud({ stateDirectory: folder, site, start: noon + 6 * day });
    expect(second.cloud.authority.state.policies["lobby-lock"]?.version).toBe(2);
    await second.cloud.close();
  });

  it("[J10] a phone that carries while no gateway is heard gets the renewed policy", async () => {
    const { cloud, clock } = await startCloud({
      site: leased("{code: 10}").replace("role: NON_RESIDENT", "role: MANAGER"),
    });
    PairedLock.pair(cloud, "lobby-lock");
    const load = () =>
      cloud.couriers.load({ phone: "carl-phone", person: "carl" }, "lobby-lock", new Uint8Array(32).fill(9));
    expect(load()).toMatchObject({ value: { load: { policy: { version: 1 } } } });
    clock.advance(5 * dayMs);
    expect(load()).toMatchObject({ value: { load: { policy: { version: 2 } } } });
  });

  it("[N11] another lease in the site file is another policy at once", async () => {
    const { cloud } = await startCloud({ site: leased("{code: 10}") });
    PairedLock.pair(cloud, "lobby-lock");
    const version = () => cloud.authority.state.policies["lobby-lock"]?.version;
    cloud.authority.importSite(leased("{code: 10}"), noon);
    expect(version()).toBe(1);
    cloud.authority.importSite(leased("{code: 12}"), noon);
    expect(version()).toBe(2);
    cloud.authority.importSite(leased("{}"), noon);
    expect(version()).toBe(3);
  });
});

describe("the date until which a lock may take a policy", () => {
  it("[J10] is renewed by half of its life, so that a lock that was away for months still takes what waits for it", async () => {
    const { cloud, clock } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const sent = catchMessages(cloud);
    const notAfterIn = (orders: ReturnType<typeof ordersIn>) =>
      orders.map((order) => {
        const manifest = order.kind === "lock" ? order.bundles.at(-1)?.manifest.bytes : undefined;
        const read = manifest === undefined ? undefined : policyManifest.decode(manifest);
        return read?.ok === true ? [order.policy.version, read.value.notAfter] : [];
      });
    clock.advance(15 * dayMs - 1);
    hear(cloud);
    expect(ordersIn(sent)).toEqual([]);
    clock.advance(60_000);
    hear(cloud);
    expect(notAfterIn(ordersIn(sent))).toEqual([[1, noon + 45 * day + 59]]);
    clock.advance(60_000);
    hear(cloud);
    expect(ordersIn(sent)).toEqual([]);
  });
});
