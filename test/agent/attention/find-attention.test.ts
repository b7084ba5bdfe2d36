/** What needs a person and what does not: groups, ages, remedies. */
import { describe, expect, it } from "vitest";
import type { PanelFacts } from "../../../agent/attention/attention-input.ts";
import { findAttention } from "../../../agent/attention/find-attention.ts";
import { describeStatus } from "../../../agent/http/describe.ts";
import { type DeviceView, type LockView, type StatusView, statusView } from "../../../agent/http/views.ts";
import { encodeAdvertisement } from "../../../protocol/wire/advertisement.ts";
import {
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  panel,
  sighting,
  site,
  startGateway,
  tellSite,
  visitOutcome,
} from "../../world/gateway-builder.ts";
import { measured } from "../machine/measured.ts";

const none = { sync: [], upgrade: [], lowBattery: [], stickers: [], alerts: [] };

/** A site with one lock that was visited, a panel above its floor that is connected, and a twin. */
async function wellWorld() {
  const world = await startGateway({
    automatic: false,
    selfSource: { measure: async () => measured({ atMs: world.clock.nowMs() }) },
  });
  await tellSite(world);
  world.broker.devices = [panelId];
  const birth = { v: 1, device: panelId, model: "R20", bootCount: 1, firmware: "320.30.12.16", hardware: null };
  await world.gateway.intake.take(panelId, "birth", new TextEncoder().encode(JSON.stringify(birth)));
  const going = world.gateway.requestSync(lockId);
  await world.clock.advance(0);
  await going;
  return world;
}
const panelId = panel().id as typeof lockId;

async function wellStatus(): Promise<StatusView> {
  return statusView.parse(await describeStatus(await wellWorld()));
}

/** The well status with the lock changed. */
async function withLock(changed: Partial<DeviceView>, lock: Partial<LockView> = {}): Promise<StatusView> {
  const status = await wellStatus();
  const devices = status.devices.map((view) =>
    view.lock === null ? view : { ...view, ...changed, lock: { ...view.lock, ...lock } },
  );
  return { ...status, devices };
}

function find(status: StatusView, panels: readonly PanelFacts[] = [], tampered: readonly string[] = []) {
  return findAttention({ status, panels, tampered: new Set(tampered), further: [] });
}

describe("what needs a person", () => {
  it("[G34] a site that is well: every group is empty", async () => {
    expect((await wellStatus()).attention).toEqual(none);
  });

  it.each<[string, Partial<LockView>, Partial<DeviceView>, object | undefined]>([
    [
      "in range and behind",
      { state: "pending", why: "newer-policy", nextVisit: null },
      { pendingSince: null },
      undefined,
    ],
    [
      "that nobody visits unasked",
      {
        state: "pending",
        why: "newer-policy",
        sinceAgeSeconds: 60,
        nextVisit: { reason: "policy", heldOff: "manual" },
      },
      {},
      { what: "waits to be asked for: newer-policy", ageSeconds: 60, remedy: "doorlink sync lock-c1" },
    ],
    [
      "that refused",
      { state: "refused", why: "policy-refused", sinceAgeSeconds: 300 },
      { lastFault: { code: "refused", reason: "policy: too-old" } },
      {
        what: "refused: policy-refused",
        ageSeconds: 300,
        remedy: expect.stringContaining("ask again (doorlink sync lock-c1)"),
      },
    ],
    [
      "out of range while somebody revoked is let in",
      { state: "out-of-range", why: "not-heard", urgent: true, sinceAgeSeconds: 4_000 },
      {},
      { what: "out of range, and it is urgent", ageSeconds: 4_000 },
    ],
    ["unconfirmed for a moment", { state: "unconfirmed", sinceAgeSeconds: 60 }, {}, undefined],
    [
      "unconfirmed for a day",
      { state: "unconfirmed", sinceAgeSeconds: 90_000 },
      {},
      { what: "unconfirmed", ageSeconds: 90_000 },
    ],
    ["that syncs", { state: "syncing", why: "visit" }, {}, undefined],
  ])("[G34] Sync: a lock %s", async (_what, lock, changed, expected) => {
    const items = find(await withLock(changed, lock)).sync;
    expect(items).toHaveLength(expected === undefined ? 0 : 1);
    if (expected !== undefined) expect(items[0]).toMatchObject({ who: lockId, doorName: "1A", ...expected });
  });

  it("[G34] Low battery: below 15 %, not read for a month, never read; wired ones never", async () => {
    const battery = { millivolts: 4_600, percent: 14, ageSeconds: 3_600 };
    expect(find(await withLock({ battery })).lowBattery).toMatchObject([
      {
        who: lockId,
        what: "14 % (4.6 V)",
        ageSeconds: 3_600,
        remedy: expect.stringContaining("then sync straight after"),
      },
    ]);
    expect(find(await withLock({ battery: { ...battery, percent: 15 } })).lowBattery).toEqual([]);
    const stale = { ...battery, percent: 80, ageSeconds: 32 * 86_400 };
    expect(find(await withLock({ battery: stale })).lowBattery).toMatchObject([
      { what: "battery not read for long, was 80 %" },
    ]);
    expect(find(await withLock({ battery: null })).lowBattery).toMatchObject([
      { who: lockId, what: "battery not known" },
    ]);
    expect(find(await withLock({ battery: null, power: "wired" })).lowBattery).toEqual([]);
  });

  it.each<[string, Partial<DeviceView["firmware"]>, string | undefined]>([
    ["at its floor", { version: "320.30.12.16", verdict: "ok" }, undefined],
    [
      "below it",
      { version: "320.30.12.15", verdict: "below floor", floor: "320.30.12.16" },
      "320.30.12.15 is below 320.30.12.16",
    ],
    [
      "another model's",
      { version: "29.30.10.712", verdict: "not comparable" },
      "29.30.10.712 is no firmware of model C1",
    ],
    ["not known", { version: null, verdict: "unknown" }, "firmware not known"],
  ])("[G34] row 89: Upgrade: firmware %s", async (_what, firmware, expected) => {
    const status = await wellStatus();
    const lock = status.devices.find(({ device }) => device === lockId);
    if (lock === undefined) throw new Error("no lock");
    const items = find({ ...status, devices: [{ ...lock, firmware: { ...lock.firmware, ...firmware } }] }).upgrade;
    expect(items.map(({ what }) => what)).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
  });

  it("[F6] Upgrade: short doorcodes are used and the lock's firmware is too old for them, or not known to be new enough", async () => {
    const world = await wellWorld();
    const tell = async (doorcodeDigits: number | undefined, revision: number): Promise<void> => {
      const desired = gatewayDesired({ revision });
      const said = {
        ...desired,
        site: { ...desired.site, ...(doorcodeDigits === undefined ? {} : { doorcodeDigits }) },
      };
      world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, said);
      await world.clock.advance(0);
    };
    const upgrades = async () =>
      (await describeStatus(world)).attention.upgrade.map(({ who, what }) => `${who}: ${what}`);
    await tell(5, 2);
    // The scripted lock runs 2.0.8.
    expect(await upgrades()).toEqual([]);
    const health = world.table.words(lockId).health;
    if (health === null) throw new Error("no health");
    const at = health.at;
    await world.table.keep(lockId, { health: { ...health, firmware: { version: "2.0.6", at } } });
    expect(await upgrades()).toEqual(["lock-c1: short doorcodes need 2.0.7, and it runs 2.0.6"]);
    expect(world.upstream.latest(`${lockId}/health`)).toBeDefined();
    await tell(7, 3);
    expect(await upgrades()).toEqual([]);
    await tell(undefined, 4);
    expect(await upgrades()).toEqual([]);
    await tell(4, 5);
    await world.table.keep(lockId, { health: { ...health, firmware: null } });
    expect(await upgrades()).toEqual(["lock-c1: short doorcodes need 2.0.7, and its firmware is not known"]);
  });

  const hung: PanelFacts = {
    ...{ panel: "lobby-link", doorName: "Lobby", current: "HTTPS://X", rotatedAt: 1_000, seenAt: 2_000 },
    check: { panel: "lobby-link", verdict: "pass", identity: "current", letter: "A", at: 3_000 as DeviceTime },
  };
  type DeviceTime = NonNullable<PanelFacts["check"]>["at"];
  const check = (changed: object): PanelFacts["check"] => (hung.check === null ? null : { ...hung.check, ...changed });

  it.each<[string, Partial<PanelFacts>, object | undefined]>([
    ["seen and checked", {}, undefined],
    [
      "none valid",
      { current: null },
      { what: "no valid sticker", remedy: "mint one: doorlink sticker rotate lobby-link" },
    ],
    [
      "rotated and not seen since",
      { rotatedAt: 5_000, seenAt: null },
      { what: "new sticker not seen on the wall", ageSeconds: 5_000 },
    ],
    ["never checked", { check: null }, { what: "never checked" }],
    [
      "failed",
      { check: check({ verdict: "fail", identity: "retired", letter: "D" }) },
      { what: "last check failed: retired, grade D", ageSeconds: 7_000 },
    ],
    [
      "not measurable",
      { check: check({ verdict: "not-measurable", letter: null }) },
      { what: "last check could not judge it" },
    ],
    ["checked before it was rotated", { rotatedAt: 4_000, seenAt: 4_500 }, { what: "never checked" }],
  ])("[G35] Stickers: one %s", async (_what, changed, expected) => {
    const status = { ...(await wellStatus()), at: 10_000 };
    const { stickers } = find(status, [{ ...hung, ...changed }]);
    expect(stickers).toHaveLength(expected === undefined ? 0 : 1);
    if (expected !== undefined)
      expect(stickers[0]).toMatchObject({ who: "lobby-link", doorName: "Lobby", ...expected });
  });

  it("[G34] Alerts: devices", async () => {
    const clock = { quality: "lower-bound" as const, driftMs: null, ageSeconds: 50 };
    const latestFault = { code: "flash-worn", isOwn: true, ageSeconds: 100 };
    const alerts = find(await withLock({ clock, latestFault }), [], [lockId]).alerts;
    expect(alerts.map(({ what }) => what)).toEqual([
      "says that it was tampered with",
      "its clock is lower bound: daily codes and schedules are denied",
      "reported flash-worn",
    ]);
    const visit = { ...latestFault, code: "timeout", isOwn: false };
    expect(find(await withLock({ latestFault: visit })).alerts).toEqual([]);
  });

  it("[G34] row 61: Alerts: somebody revoked is still let in, with name and age", async () => {
    const world = await wellWorld();
    const since = Math.floor(world.clock.nowMs() / 1000) - 600;
    const revocations = [{ person: "bob", since, version: 2 }];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    await world.clock.advance(0);
    const { alerts } = (await describeStatus(world)).attention;
    expect(alerts).toEqual([
      {
        who: lockId,
        doorName: "1A",
        what: "still lets Bob Boone in (revoked)",
        ageSeconds: 600,
        remedy: "doorlink sync lock-c1",
      },
    ]);
  });

  it("[G34] Alerts: the air says of a lock that somebody opened it", async () => {
    const world = await startGateway();
    await tellSite(world);
    const flags = { wantsSync: false, clockNotSet: false, batteryLow: false, versionBits: 1, logHeadBits: 0 };
    const said = encodeAdvertisement({ ...flags, tamper: true });
    if (!said.ok) throw new Error(said.fault.code);
    world.radio.sightings = [{ ...sighting(), advertisement: said.value }];
    await world.clock.advance(20_000);
    const { alerts } = (await describeStatus(world)).attention;
    expect(alerts.map(({ who, what }) => [who, what])).toContainEqual([lockId, "says that it was tampered with"]);
  });

  it("[G34] Alerts: this gateway: link, radio, disk, supply, heat, time", async () => {
    const status = await wellStatus();
    const power = { underVoltage: true, throttled: true };
    const self = { disk: { freeBytes: 200e6, totalBytes: 8e9 }, temperatureCelsius: 81 };
    const facts = measured({ ...self, power, time: { synchronised: false, source: "systemd-timesyncd" } });
    const { atMs: _at, waiting: _waiting, uptimeSeconds: machineUptimeSeconds, ...shown } = facts;
    const ill: StatusView = {
      ...status,
      upstream: { ...status.upstream, connected: false, since: status.at - 700, lastFault: "unreachable" },
      radio: { working: false, fault: "no-adapter", since: status.at - 400 },
      store: { ...status.store, filling: "full" },
      broker: {
        ...{ ...status.broker, conflicting: { "panel-r20": 2 } },
        link: { url: "mqtts://broker", connected: false, since: status.at - 300, lastFault: "refused" },
      },
      self: { ...shown, ageSeconds: 5, machineUptimeSeconds },
    };
    expect(find(ill).alerts.map(({ who, what }) => [who, what])).toEqual([
      [gatewayId, "no link upstream (unreachable), 0 events wait"],
      [gatewayId, "no link to the site's broker (refused)"],
      [gatewayId, "the radio does not work: no-adapter"],
      [gatewayId, "2 events of panel-r20 contradict earlier ones"],
      [gatewayId, "the store is full: events are refused"],
      [gatewayId, "190 MB of disk are free"],
      [gatewayId, "under-voltage now"],
      [gatewayId, "throttled now"],
      [gatewayId, "81 degrees Celsius"],
      [gatewayId, "its clock is not synchronised"],
    ]);
    for (const { remedy } of find(ill).alerts) expect(remedy.length).toBeGreaterThan(5);
  });

  it("[G34] Alerts: a link or a radio that is gone for a moment is none, and what is not known is none", async () => {
    const status = await wellStatus();
    const brief: StatusView = {
      ...status,
      upstream: { ...status.upstream, connected: false, since: status.at - 500 },
      radio: { working: false, fault: "no-adapter", since: status.at - 100 },
      self: null,
    };
    expect(find(brief).alerts).toEqual([]);
  });

  it("[G30] the last failed visit is remembered across a visit that went through, and upstream hears of it", async () => {
    const { reported: _reported, ...facts } = visitOutcome({});
    let fails = true;
    const world = await startGateway({
      automatic: false,
      runVisit: async () =>
        fails ? { ...facts, ok: false, fault: { code: "timeout" }, reported: null, from: null } : visitOutcome({}),
    });
    await tellSite(world);
    const visit = async (): Promise<void> => {
      const going = world.gateway.requestSync(lockId);
      await world.clock.advance(0);
      await going;
    };
    await visit();
    const at = Math.floor(world.clock.nowMs() / 1000);
    fails = false;
    await world.clock.advance(100_000);
    await visit();
    expect(world.upstream.latest(`${lockId}/health`)).toMatchObject({ lastFault: { code: "timeout", at } });
    const again = await startGateway({ automatic: false, store: world.store, clock: world.clock });
    expect((await describeStatus(again)).devices[0]).toMatchObject({
      lastFault: null,
      latestFault: { code: "timeout", isOwn: false, ageSeconds: 100 },
    });
  });
});
