import { describe, expect, it } from "vitest";
import { RadioError } from "../../agent/ports/radio.ts";
import { StoreError } from "../../agent/ports/store.ts";
import type { RunVisit } from "../../agent/ports/visit.ts";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { standardsOf } from "../../protocol/wire/messages/event.ts";
import { auditBatch, sealAuditBatch } from "../../protocol/wire/sealing.ts";
import {
  deviceDesired,
  deviceReported,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  panel,
  sighting,
  site,
  startGateway,
  tellSite,
  twin,
  visitOutcome,
} from "../world/gateway-builder.ts";
import { SteppedClock } from "../world/stepped-clock.ts";

const revokedAt = Math.floor(Date.UTC(2026, 10, 20, 7, 30) / 1000);
const bobRevoked = { version: 2, revocations: [{ person: "bob", since: revokedAt, version: 2 }] };

describe("door syncs", () => {
  // Found by the sync world (seed 5): the loop chose the same lock again and again, and the certificate was never read.
  it("a lock that is heard before the certificate came waits for it, and starves nothing", async () => {
    const world = await startGateway();
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ certified: false }));
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 1 }));
    world.radio.sightings = [sighting()];
    await world.clock.advance(5_000);
    expect(world.visits).toEqual([]);
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ revision: 2 }));
    await world.clock.advance(60_000);
    expect(world.visits.length).toBeGreaterThan(0);
  });

  it("row 59: a lock without internet is visited by the gateway, a device with its own network is not", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(5_000);
    expect(world.visits.map(({ lock }) => lock.device)).toEqual([lockId]);
    expect(await world.gateway.requestSync("panel-r20" as DeviceId)).toMatchObject({
      fault: { code: "not-a-ble-lock" },
    });
  });

  it("row 60: [G2] the operator's sync is done at once, also for a lock that was not heard", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    expect(world.visits).toEqual([]);
    const answer = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    expect(await answer).toEqual({
      device: lockId,
      outcome: "in-sync",
      from: null,
      to: { epoch: 1, version: 1 },
      clock: { oldMs: 1_000, newMs: 91_000, written: true },
      logEntries: 0,
      battery: { millivolts: 5_800, percent: 71 },
      firmware: "2.0.8",
      durationMs: 900,
      bytes: 4_096,
      reportedAt: Math.floor(world.clock.nowMs() / 1000),
    });
    expect(world.visits).toHaveLength(1);
    expect(world.visits[0]).toMatchObject({ address: "C0:FF:EE:00:00:01", logFrom: 1 });
  });

  it("[G2] two who ask for the same lock get the same visit", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const [one, two] = [world.gateway.requestSync(lockId), world.gateway.requestSync(lockId)];
    await world.clock.advance(0);
    expect(await one).toEqual(await two);
    expect(world.visits).toHaveLength(1);
  });

  it("[G1] visits are made one at a time", async () => {
    const under: string[] = [];
    let most = 0;
    const clock = new SteppedClock();
    const runVisit: RunVisit = async ({ lock }) => {
      under.push(lock.device);
      most = Math.max(most, under.length);
      await new Promise<void>((resolve) => {
        clock.after(2_000, resolve);
      });
      under.pop();
      return visitOutcome({});
    };
    const world = await startGateway({ clock, runVisit, automatic: false });
    const locks = ["lock-a", "lock-b", "lock-c"].map((id) => ({
      ...gatewayDesired().devices[0],
      id,
    }));
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ devices: locks }));
    await clock.advance(0);
    const answers = Promise.all(locks.map(({ id }) => world.gateway.requestSync(id as DeviceId)));
    await clock.advance(10_000);
    expect((await answers).every((answer) => "outcome" in answer)).toBe(true);
    expect(most).toBe(1);
  });

  it("row 61: [G3] says who is exposed where since when, until the lock's own report says that it knows", async () => {
    let version = 1;
    const world = await startGateway({ runVisit: async () => visitOutcome({ version }) });
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(5_000);
    world.radio.sightings = [];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired(bobRevoked));
    await world.clock.advance(1_000);
    const exposed = {
      device: lockId,
      person: "bob",
      since: revokedAt,
      what: "revoked",
      holds: { epoch: 1, version: 1 },
    };
    expect(world.gateway.exposures()).toEqual([exposed]);
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ exposures: [exposed] });
    expect(world.gateway.visits.record(lockId).pendingSince).toBeGreaterThan(revokedAt);

    // A visit that does not bring the lock there changes nothing; one that does ends the exposure.
    const failing = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    expect(await failing).toMatchObject({ outcome: "pending" });
    expect(world.gateway.exposures()).toEqual([exposed]);
    version = 2;
    const going = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    expect(await going).toMatchObject({ outcome: "in-sync", to: { epoch: 1, version: 2 } });
    expect(world.gateway.exposures()).toEqual([]);
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ exposures: [] });
    expect(world.gateway.visits.record(lockId).pendingSince).toBeNull();
  });

  it("[G3] a lock that never reported counts as exposed with nothing known of what it holds", async () => {
    const world = await startGateway();
    await tellSite(world, bobRevoked);
    expect(world.gateway.exposures()).toMatchObject([{ person: "bob", holds: null }]);
  });

  it("row 61: [G3] says who is exposed at a networked device, while it is away and until it says itself that it knows", async () => {
    const panelId = "panel-r20" as DeviceId;
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const told = deviceDesired({ ...bobRevoked, device: panelId });
    world.upstream.say(`dl/1/${site}/${panelId}/desired`, told);
    await world.clock.advance(0);
    expect(world.gateway.exposures()).toMatchObject([{ device: panelId, person: "bob", holds: null }]);
    const says = (version: number) =>
      world.gateway.intake.take(panelId, "reported", utf8(JSON.stringify(deviceReported(panelId, version))));
    await says(1);
    const exposed = {
      device: panelId,
      person: "bob",
      since: revokedAt,
      what: "revoked",
      holds: { epoch: 1, version: 1 },
    };
    expect(world.gateway.exposures()).toEqual([exposed]);
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ exposures: [exposed] });
    await says(2);
    expect(world.gateway.exposures()).toEqual([]);
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ exposures: [] });
    expect(world.upstream.latest(`${panelId}/reported`)).toEqual(deviceReported(panelId, 2));
  });

  it("[M14] a device's word that names a courier is no device's word: dropped by name", async () => {
    const panelId = "panel-r20" as DeviceId;
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const said = { ...deviceReported(panelId, 2), courier: gatewayId };
    await world.gateway.intake.take(panelId, "reported", utf8(JSON.stringify(said)));
    expect(world.gateway.intake.refused()).toEqual({ "payload-bad-shape": 1 });
    expect(world.table.words(panelId).reported).toBeNull();
  });

  it("[G9] hands a networked device its policy on as it came, also after a restart without a link, and to nobody else", async () => {
    const world = await startGateway({ automatic: false });
    const topic = `dl/1/${site}/panel-r20/desired`;
    const told = deviceDesired({ version: 2, device: "panel-r20" });
    // Before the site is known there is nobody to hand it to.
    world.upstream.say(topic, told);
    await world.clock.advance(0);
    expect(world.broker.orders("panel-r20")).toEqual([]);
    await tellSite(world);
    expect(world.broker.orders("panel-r20")).toEqual([JSON.stringify(told)]);
    world.upstream.say(topic, deviceDesired({ version: 1, device: "panel-r20" }));
    world.upstream.say(`dl/1/${site}/stranger-r29/desired`, deviceDesired({ version: 9, device: "stranger-r29" }));
    world.upstream.say(`dl/1/${site}/panel-r20/desired`, deviceDesired({ version: 9, device: "lobby-link" }));
    await world.clock.advance(0);
    expect(world.broker.orders("panel-r20")).toEqual([JSON.stringify(told)]);
    expect(world.broker.orders("stranger-r29")).toEqual([]);
    expect(world.broker.orders(lockId)).toEqual([]);
    await world.gateway.stop();
    const again = await startGateway({ up: false, store: world.store, clock: world.clock });
    expect(again.broker.orders("panel-r20")).toEqual([JSON.stringify(told)]);
  });

  it("[G4] [E3] the lock's entries are on disk as it sealed them, before the lock is told, and go upstream as they are", async () => {
    const auditKey = new Uint8Array(32).fill(6);
    const entries = [1, 2].map((sequence) =>
      auditEntry.encode({ sequence, boot: 3, clock: "unset", kind: "access-denied", reason: "CREDENTIAL_UNKNOWN" }),
    );
    const batch = auditBatch.encode(sealAuditBatch(auditKey, new Uint8Array(16).fill(5), 1, entries));
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ storeRun, logFrom }) => {
        if (logFrom === 1) await storeRun({ boot: 3, from: 1, count: 2, batch });
        return visitOutcome({ logNext: 3 });
      },
    });
    await tellSite(world);
    const first = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    await first;
    const stored = await world.store.readEvents(lockId, -1, 10);
    expect(stored).toMatchObject([{ boot: 3, sequence: 2 }]);
    const sealed = { kind: "sealed-log", facts: { first: 1, last: 2 }, raw: bytesToBase64(batch) };
    expect(JSON.parse(stored[0]?.body ?? "")).toMatchObject(sealed);
    expect(await world.store.coverage(lockId)).toEqual([{ first: 1, last: 2 }]);
    expect(stored[0]?.body).not.toContain("CREDENTIAL_UNKNOWN");
    expect(world.upstream.latest(`${lockId}/event`)).toMatchObject({
      device: lockId,
      events: [{ boot: 3, ...sealed }],
    });
    const second = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    await second;
    expect(world.visits.map(({ logFrom }) => logFrom)).toEqual([1, 3]);
  });

  it("[G2] row 129: a failed visit is tried again, later each time, and its fault is known", async () => {
    const world = await startGateway({
      runVisit: async () => {
        const { reported: _reported, ...facts } = visitOutcome({});
        return { ...facts, ok: false, fault: { code: "timeout", reason: "no-progress" }, reported: null, from: null };
      },
    });
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(4_000);
    expect(world.visits).toHaveLength(1);
    expect(world.gateway.visits.record(lockId)).toMatchObject({
      failures: 1,
      lastFault: { code: "timeout", reason: "no-progress" },
    });
    await world.clock.advance(60_000);
    const inAMinute = world.visits.length;
    await world.clock.advance(60_000);
    expect(inAMinute).toBeGreaterThanOrEqual(3);
    expect(world.visits.length - inAMinute).toBeLessThan(inAMinute);
  });

  it("[G2] a lock that takes part and still does not hold what was brought is not visited without pause", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 1 }) });
    await tellSite(world, { version: 2 });
    world.radio.sightings = [sighting()];
    await world.clock.advance(60_000);
    expect(world.visits.length).toBeGreaterThanOrEqual(2);
    expect(world.visits.length).toBeLessThanOrEqual(6);
  });

  it("[G1] a radio that does not work is waited out, said once, and holds up nothing else", async () => {
    const world = await startGateway();
    world.radio.failing = new RadioError("no-bluetooth", "scan");
    await tellSite(world);
    await world.clock.advance(120_000);
    expect(world.gateway.radioStatus()).toMatchObject({ working: false, fault: "no-bluetooth" });
    expect(world.logged.filter(({ text }) => text.includes("radio does not work"))).toHaveLength(1);
    expect(world.upstream.latest("lobby-link/state")).toBeDefined();
    world.radio.failing = undefined;
    world.radio.sightings = [sighting()];
    await world.clock.advance(60_000);
    expect(world.gateway.radioStatus()).toMatchObject({ working: true });
    expect(world.visits.length).toBeGreaterThan(0);
  });

  it("stops within its own time while a visit is asked for, and says so to who asked", async () => {
    const world = await startGateway({ automatic: false, runVisit: () => new Promise(() => undefined) });
    await tellSite(world);
    const asked = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    void world.gateway.stop();
    expect(await asked).toEqual({ device: lockId, fault: { code: "stopping" } });
  });
});

describe("what goes upstream", () => {
  it("row 131: [G5] birth, state and health of every device it represents, retained, with ages and unknowns", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(5_000);
    const at = Math.floor(world.clock.nowMs() / 1000);
    for (const device of [gatewayId, lockId, "lobby-link", "panel-r20"]) {
      for (const channel of ["state", "health"]) {
        const said = world.upstream.published.filter(({ topic }) => topic === `dl/1/${site}/${device}/${channel}`);
        expect(said.length, `${device} ${channel}`).toBeGreaterThan(0);
        expect(said.every(({ retain }) => retain)).toBe(true);
      }
    }
    expect(world.upstream.latest(`${lockId}/birth`)).toMatchObject({ model: "C1", via: gatewayId, bootCount: 3 });
    expect(world.upstream.latest(`${lockId}/state`)).toMatchObject({ online: true });
    expect(world.upstream.latest(`${lockId}/health`)).toMatchObject({
      battery: { millivolts: 5_800, percent: 71 },
      firmware: { version: "2.0.8" },
      firmwareVerdict: "no floor known",
      clock: { quality: "set", driftMs: 90_000 },
    });
    expect(world.upstream.latest(`${lockId}/reported`)).toMatchObject({ policy: { epoch: 1, version: 1 } });
    // Nobody has heard the panel yet: unknown is said as unknown.
    expect(world.upstream.latest("panel-r20/health")).toMatchObject({
      battery: null,
      firmware: null,
      firmwareVerdict: "unknown",
    });
    expect(world.upstream.latest("panel-r20/state")).toMatchObject({ online: false, heardAt: null });
    expect(world.upstream.latest(`${gatewayId}/state`)).toMatchObject({ online: true });
    expect(world.upstream.latest(`${gatewayId}/birth`)?.["courierPublicKey"]).toBe(
      bytesToBase64(new Uint8Array(32).fill(7)),
    );
    expect(Number(world.upstream.latest(`${lockId}/health`)?.["lastSyncAt"])).toBeLessThanOrEqual(at);
  });

  it("[G5] row 128: a passive panel is a twin: born through the gateway, never online, firmware not applicable", async () => {
    const world = await startGateway();
    await tellSite(world);
    expect(world.upstream.latest("lobby-link/birth")).toMatchObject({ model: "DOOR Link", via: gatewayId });
    expect(world.upstream.latest("lobby-link/state")).toMatchObject({ online: false, heardAt: null });
    expect(world.upstream.latest("lobby-link/health")).toMatchObject({ firmwareVerdict: "not applicable" });
  });

  it("row 131: [G6] a visited lock counts as online by its own report, whatever the gateway does, for 25 hours", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const asked = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    await asked;
    await world.clock.advance(24 * 3600_000);
    expect(world.upstream.latest(`${lockId}/state`)).toMatchObject({ online: true });
    await world.clock.advance(2 * 3600_000);
    expect(world.upstream.latest(`${lockId}/state`)).toMatchObject({ online: false });
  });

  it("[U2] everything retained is said again on every new connection", async () => {
    const world = await startGateway();
    await tellSite(world);
    await world.clock.advance(5_000);
    world.upstream.setLink(false);
    const before = world.upstream.published.length;
    await world.clock.advance(10_000);
    expect(world.upstream.published.length).toBe(before);
    world.upstream.setLink(true);
    await world.clock.advance(60_000);
    const again = world.upstream.published.slice(before).map(({ topic }) => topic);
    for (const topic of [`${gatewayId}/birth`, `${lockId}/state`, "lobby-link/birth", `${gatewayId}/reported`]) {
      expect(again).toContain(`dl/1/${site}/${topic}`);
    }
  });
});

describe("panels on the site's own broker", () => {
  const panelId = "panel-r20" as DeviceId;
  const birth = (firmware: string | null) => ({
    v: 1,
    device: panelId,
    model: "R20",
    bootCount: 1,
    firmware,
    hardware: null,
  });
  const denial = { boot: 1, sequence: 1, at: { unixSeconds: 1_795_000_000, quality: "set" }, kind: "access-denied" };
  const batch = (event: object) => utf8(JSON.stringify({ v: 1, device: panelId, events: [event] }));

  it.each([
    ["320.30.12.15", "below floor", "not reported by this firmware"],
    ["320.30.12.16", "ok", undefined],
    ["29.30.10.712", "not comparable", "not reported by this firmware"],
  ])("row 89: a denial without reason from firmware %s (%s)", async (firmware, verdict, reasonAbsent) => {
    const world = await startGateway();
    await tellSite(world);
    const { intake } = world.gateway;
    await intake.take(panelId, "birth", utf8(JSON.stringify(birth(firmware))));
    await intake.take(panelId, "event", batch(denial));
    await world.clock.advance(0);
    expect(world.upstream.latest("panel-r20/health")).toMatchObject({ firmwareVerdict: verdict });
    const events = world.upstream.latest("panel-r20/event")?.["events"];
    expect(events).toEqual([reasonAbsent === undefined ? denial : { ...denial, reasonAbsent }]);
  });

  it("[G7] a reason that is there is left as it is, whatever the firmware", async () => {
    const world = await startGateway();
    await tellSite(world);
    await world.gateway.intake.take(panelId, "birth", utf8(JSON.stringify(birth("320.30.12.15"))));
    await world.gateway.intake.take(panelId, "event", batch({ ...denial, reason: "OUT_OF_SCHEDULE" }));
    await world.clock.advance(0);
    const reason = "OUT_OF_SCHEDULE";
    const standards = standardsOf(reason);
    expect(world.upstream.latest("panel-r20/event")?.["events"]).toEqual([{ ...denial, reason, standards }]);
  });

  it("[M13] the gateway adds the standards' codes from the reason, and carries on none that a device wrote", async () => {
    const world = await startGateway();
    await tellSite(world);
    const invented = { bacnet: { code: 1, lossy: false } };
    const granted = { ...denial, sequence: 2, kind: "access-granted", standards: invented };
    await world.gateway.intake.take(
      panelId,
      "event",
      batch({ ...denial, reason: "CREDENTIAL_UNKNOWN", standards: invented }),
    );
    await world.gateway.intake.take(panelId, "event", batch(granted));
    await world.clock.advance(0);
    const events = world.upstream.messages("panel-r20/event").flatMap((message) => message["events"]);
    expect(events).toMatchObject([
      { standards: { bacnet: { code: 129, lossy: false }, matter: { code: { operationError: 1 } } } },
      {},
    ]);
    expect(events[1]).not.toHaveProperty("standards");
  });

  it("[G6] the device's last will makes it offline, with when it was last heard", async () => {
    const world = await startGateway();
    await tellSite(world);
    const { intake } = world.gateway;
    await intake.take(panelId, "state", utf8(JSON.stringify({ v: 1, device: panelId, online: true, heardAt: 1 })));
    await world.clock.advance(5_000);
    const heardAt = world.upstream.latest("panel-r20/state")?.["heardAt"];
    expect(world.upstream.latest("panel-r20/state")).toMatchObject({ online: true });
    await intake.take(panelId, "state", utf8(JSON.stringify({ v: 1, device: panelId, online: false, heardAt: null })));
    await world.clock.advance(0);
    expect(world.upstream.latest("panel-r20/state")).toEqual({
      v: 1,
      device: panelId,
      via: gatewayId,
      online: false,
      heardAt,
    });
  });

  it("[G6] a connected device counts as heard although it says nothing", async () => {
    const world = await startGateway();
    await tellSite(world);
    await world.gateway.intake.take(panelId, "birth", utf8(JSON.stringify(birth(null))));
    world.broker.devices = [panelId];
    await world.clock.advance(30 * 60_000);
    expect(world.upstream.latest("panel-r20/state")).toMatchObject({ online: true });
    world.broker.devices = [];
    await world.clock.advance(30 * 60_000);
    expect(world.upstream.latest("panel-r20/state")).toMatchObject({ online: false });
  });

  it("[B1] a device that the authority took away is disconnected and not admitted again", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.broker.devices = [panelId];
    expect(world.gateway.intake.admits(panelId)).toBe(true);
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ devices: [twin()] }));
    await world.clock.advance(0);
    expect(world.broker.disconnected).toEqual([panelId]);
    expect(world.gateway.intake.admits(panelId)).toBe(false);
  });
});

describe("the authority's documents", () => {
  it("[U4] work goes on with what is on disk, with the link cut from the start", async () => {
    const first = await startGateway();
    await tellSite(first, bobRevoked);
    void first.gateway.stop();
    const second = await startGateway({ up: false, store: first.store });
    expect(second.table.devices().map(({ id }) => id)).toEqual([lockId, panel().id, twin().id]);
    expect(second.gateway.exposures()).toMatchObject([{ person: "bob" }]);
    second.radio.sightings = [sighting()];
    await second.clock.advance(5_000);
    expect(second.visits[0]).toMatchObject({ desired: { policy: { epoch: 1, version: 2 } } });
    expect(second.upstream.published).toEqual([]);
  });

  it("[G2] a restart does not cost every lock a visit, and a clock that was set back does not put one off", async () => {
    const first = await startGateway();
    await tellSite(first);
    first.radio.sightings = [sighting()];
    await first.clock.advance(5_000);
    void first.gateway.stop();
    const restarted = await startGateway({ store: first.store, clock: new SteppedClock(first.clock.nowMs() + 60_000) });
    restarted.radio.sightings = [sighting()];
    await restarted.clock.advance(3600_000);
    expect(restarted.visits).toHaveLength(0);
    void restarted.gateway.stop();
    const setBack = await startGateway({ store: first.store, clock: new SteppedClock(0) });
    setBack.radio.sightings = [sighting()];
    await setBack.clock.advance(5_000);
    expect(setBack.visits).toHaveLength(1);
  });

  it.each([
    ["not JSON", "{", "payload-not-json"],
    ["of a future version", { ...lockDesired({ version: 9 }), v: 2 }, "payload-future-version"],
    ["another device's", lockDesired({ version: 9, device: "lock-c2" }), "wrong-device"],
    ["of the wrong shape", { ...lockDesired({ version: 9 }), policy: "newest" }, "payload-bad-shape"],
  ])("[U5] a document %s is refused by name, and the last good one stands", async (_what, document, code) => {
    const world = await startGateway();
    await tellSite(world);
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, document);
    await world.clock.advance(0);
    expect(world.table.lockDesired(lockId)?.policy).toEqual({ epoch: 1, version: 1 });
    expect(world.logged.some(({ text }) => text.includes(code))).toBe(true);
  });

  it("[M12] [U5] an older revision that comes later is dropped, also after a restart", async () => {
    const first = await startGateway();
    await tellSite(first, { version: 5, revision: 50 });
    first.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 4, revision: 40 }));
    await first.clock.advance(0);
    expect(first.table.lockDesired(lockId)?.policy.version).toBe(5);
    void first.gateway.stop();
    const second = await startGateway({ store: first.store });
    second.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 4, revision: 40 }));
    await second.clock.advance(0);
    expect(second.table.lockDesired(lockId)?.policy.version).toBe(5);
    expect(second.logged.map(({ text }) => text)).toContainEqual(expect.stringContaining("older-document"));
  });

  it("[U5] another gateway's document is not ours", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.upstream.say(`dl/1/${site}/gateway-other/desired`, gatewayDesired({ devices: [] }));
    await world.clock.advance(0);
    expect(world.table.devices()).toHaveLength(3);
  });

  it("[G1] a store that fails ends the gateway: nothing may be acknowledged any more", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.store.failing = new StoreError("failed", "disk full");
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 3 }));
    await world.clock.advance(0);
    expect(world.fatal).toEqual([world.store.failing]);
  });
});
