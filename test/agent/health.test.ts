/** What a gateway says upstream of each device and of itself, beside their own words. */
import { describe, expect, it } from "vitest";
import { doorOfEvents } from "../../agent/doors.ts";
import { faultOfEvents, LatestFaults } from "../../agent/faults.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { type DeviceId, unixSeconds } from "../../protocol/base/units.ts";
import { healthSchema } from "../../protocol/wire/messages/health.ts";
import {
  deviceDesired,
  gatewayId,
  lockDesired,
  lockId,
  panel,
  sighting,
  site,
  startGateway,
  tellSite,
} from "../world/gateway-builder.ts";
import { MemoryStore } from "../world/memory-store.ts";
import { measured } from "./machine/measured.ts";

const panelId = panel().id as DeviceId;

describe("a gateway's word on a device", () => {
  it("[G30] row 131: signal of a lock that is on the air, exposure of what holds a policy, and null where nothing is known", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(60_000);
    const now = Math.floor(world.clock.nowMs() / 1000);
    const health = healthSchema.parse(world.upstream.latest(`${lockId}/health`));
    expect(health).toMatchObject({
      signal: { rssi: -60 },
      exposure: { revoked: 0, signedOut: 0, since: null },
      lastFault: null,
      firmwareGates: [{ capability: "short-doorcodes", verdict: "able", version: "2.0.7" }],
    });
    expect(now - (health.signal?.at ?? 0)).toBeLessThan(60);
    const ofPanel = healthSchema.parse(world.upstream.latest(`${panelId}/health`));
    expect(ofPanel).toMatchObject({ signal: null, lastFault: null });
    // It was not told a policy yet, so there is nobody whom it could still let in by an older one.
    expect(ofPanel.exposure).toBeUndefined();
    expect(ofPanel.gateway).toBeUndefined();
  });

  it("[G30] row 61: how many people a device still lets in, and since when the first", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const now = Math.floor(world.clock.nowMs() / 1000);
    const revocations = [
      { person: "bob", since: now - 600, version: 2 },
      { person: "alice", since: now - 900, version: 2, what: "signed-out" as const },
    ];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    world.upstream.say(`dl/1/${site}/${panelId}/desired`, deviceDesired({ version: 2, revision: 2, revocations }));
    await world.clock.advance(60_000);
    for (const device of [lockId, panelId]) {
      expect(world.upstream.latest(`${device}/health`)).toMatchObject({
        exposure: { revoked: 1, signedOut: 1, since: now - 900 },
      });
    }
  });

  it("[G30] a device's own words under the gateway's names are dropped, but for its signal", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const at = 1_795_000_000;
    const said = {
      ...{ v: 1, device: panelId, battery: null, firmware: null, firmwareVerdict: "ok", clock: null },
      ...{ uptimeSeconds: 5, bootCount: 1, lastSyncAt: null, at, signal: { rssi: -50, at } },
      exposure: { revoked: 9, signedOut: 9, since: at },
      lastFault: { code: "made-up", at },
      firmwareGates: [{ capability: "anything", verdict: "able", version: "1.0" }],
    };
    await world.gateway.intake.take(panelId, "health", utf8(JSON.stringify(said)));
    await world.clock.advance(0);
    const health = healthSchema.parse(world.upstream.latest(`${panelId}/health`));
    expect(health).toMatchObject({ signal: { rssi: -50, at }, lastFault: null, firmwareVerdict: "unknown" });
    expect([health.exposure, health.firmwareGates, health.gateway]).toEqual([undefined, undefined, undefined]);
  });

  it("[G30] what a networked device finds wrong with its memory is its last fault, once a minute on disk, also after a restart", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const at = { unixSeconds: null, quality: "unset" };
    const tell = (sequence: number, before: number) =>
      world.gateway.intake.take(
        panelId,
        "event",
        utf8(
          JSON.stringify({
            v: 1,
            device: panelId,
            events: [{ boot: 1, sequence, at, kind: "fault", facts: { before, after: 1 } }],
          }),
        ),
      );
    await tell(1, 15);
    const first = Math.floor(world.clock.nowMs() / 1000);
    await world.clock.advance(30_000);
    await tell(2, 15);
    expect(world.upstream.latest(`${panelId}/health`)).toMatchObject({ lastFault: { code: "flash-worn", at: first } });
    await tell(3, 1);
    await world.clock.advance(60_000);
    expect(world.upstream.latest(`${panelId}/health`)).toMatchObject({ lastFault: { code: "policy-rotten" } });
    const again = new LatestFaults(world.store);
    await again.load();
    expect(again.of(panelId)?.code).toBe("policy-rotten");
  });

  it("[G30] events tell of a fault and of the door by the last of them; numbers that nobody knows have no name", () => {
    const fault = (before: number) => ({ kind: "fault" as const, facts: { before } });
    expect(faultOfEvents([fault(15), { kind: "boot" }, fault(3)])).toBe("release-rotten");
    expect(faultOfEvents([fault(99)])).toBe("unnamed-fault");
    expect(faultOfEvents([{ kind: "fault" }])).toBe("unnamed-fault");
    expect(faultOfEvents([{ kind: "boot" }])).toBeUndefined();
    expect(doorOfEvents([{ kind: "door", facts: { after: 1 } }, { kind: "boot" }])).toBe("open");
    expect(doorOfEvents([{ kind: "door", facts: { after: 7 } }])).toBeUndefined();
  });

  it("[G30] a fault that the disk has spoilt is none, and the gateway starts", async () => {
    const store = new MemoryStore();
    await store.putDocuments([
      { kind: "fault", device: panelId, body: "{" },
      { kind: "fault", device: lockId, body: '{"code":"timeout","at":"then"}' },
      { kind: "door", device: panelId, body: '{"door":"ajar"}' },
      { kind: "sticker-check", device: panelId, body: "[]" },
    ]);
    const { gateway } = await startGateway({ store });
    expect([gateway.doors.of(panelId), gateway.stickerChecks.of(panelId)]).toEqual([null, null]);
    const faults = new LatestFaults(store);
    await faults.load();
    expect(faults.of(lockId)).toBe(null);
    await faults.note(lockId, "x".repeat(100), unixSeconds(1));
    expect(faults.of(lockId)?.code).toHaveLength(64);
  });
});

describe("a gateway's word on itself", () => {
  it("[G30] row 131: machine, loop, store and time source, with null for what the machine does not tell", async () => {
    const facts = measured({ temperatureCelsius: null, disk: null, power: { underVoltage: true } });
    const world = await startGateway({ selfSource: { measure: async () => facts } });
    const health = healthSchema.parse(world.upstream.latest(`${gatewayId}/health`));
    expect(health.gateway).toMatchObject({
      loopLag: { p99Ms: 2 },
      store: { bytes: 4096, waiting: 0 },
      disk: null,
      temperatureCelsius: null,
      power: { underVoltage: true, throttled: null },
      time: { synchronised: true, source: "systemd-timesyncd" },
      machineUptimeSeconds: 90_000,
    });
    expect(health.clock).toMatchObject({ quality: "set" });
  });

  it("[G30] a gateway that cannot measure says nothing of it; a sensor that hangs leaves what was known, and stops nothing", async () => {
    const blind = await startGateway();
    expect(blind.upstream.latest(`${gatewayId}/health`)).not.toHaveProperty("gateway");
    let hangs = false;
    const measure = async () => (hangs ? new Promise<never>(() => undefined) : measured({ temperatureCelsius: 40 }));
    const world = await startGateway({ selfSource: { measure } });
    hangs = true;
    await world.clock.advance(200_000);
    const health = healthSchema.parse(world.upstream.latest(`${gatewayId}/health`));
    expect(health.gateway?.temperatureCelsius).toBe(40);
    expect(health.at).toBeGreaterThan(world.clock.nowMs() / 1000 - 130);
  });
});
