import { describe, expect, it } from "vitest";
import { describeStatus } from "../../../agent/http/describe.ts";
import { formatMetrics } from "../../../agent/http/metrics.ts";
import { Readiness } from "../../../agent/http/readiness.ts";
import { createApp } from "../../../agent/http/server.ts";
import { syncStates } from "../../../protocol/wire/messages/reported.ts";
import {
  type GatewayWorld,
  gatewayId,
  lockDesired,
  lockId,
  site,
  startGateway,
  tellSite,
} from "../../world/gateway-builder.ts";
import { measured } from "../machine/measured.ts";
import { readExposition } from "./exposition-format.ts";

const revokedAt = Math.floor(Date.UTC(2026, 10, 20, 7, 30) / 1000);

async function exposedWorld() {
  const world = await startGateway({ automatic: false });
  await tellSite(world, { version: 1 });
  const going = world.gateway.requestSync(lockId);
  await world.clock.advance(0);
  await going;
  const revocations = [{ person: "bob", since: revokedAt, version: 2 }];
  world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
  await world.clock.advance(90_000);
  return world;
}

const samplesOf = (text: string): ReadonlyMap<string, number> => readExposition(text).samples;

async function metricsOf(world: GatewayWorld): Promise<string> {
  return formatMetrics(await describeStatus(world), await new Readiness(world).look());
}

describe("metrics", () => {
  it("row 61: [G12] say who is exposed where since when, each lock's state, and the ages", async () => {
    const world = await exposedWorld();
    const app = createApp(world);
    const response = await app.inject({ url: "/metrics" });
    await app.close();
    expect(response.statusCode).toBe(200);
    expect(response.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const samples = samplesOf(response.body);
    const of = (name: string) => samples.get(`${name}{device="${lockId}"}`);
    const exposed = (what: string) => samples.get(`doorlink_exposed_people{device="${lockId}",what="${what}"}`);
    expect([exposed("revoked"), exposed("signed-out")]).toEqual([1, 0]);
    const bob = `device="${lockId}",person="bob",what="revoked"`;
    expect(samples.get(`doorlink_exposure_since_timestamp_seconds{${bob}}`)).toBe(revokedAt);
    expect(of("doorlink_lock_sync_age_seconds")).toBe(90);
    expect(of("doorlink_lock_report_age_seconds")).toBe(90);
    expect([of("doorlink_lock_policy_desired_version"), of("doorlink_lock_policy_reported_version")]).toEqual([2, 1]);
    expect([of("doorlink_lock_urgent"), of("doorlink_lock_backoff_seconds")]).toEqual([1, 0]);
    expect(samples.get("doorlink_upstream_connected")).toBe(1);
    const states = syncStates.map((state) => samples.get(`doorlink_lock_state{device="${lockId}",state="${state}"}`));
    expect(states.filter((value) => value === 1)).toHaveLength(1);
    expect(samples.get(`doorlink_lock_state{device="${lockId}",state="pending"}`)).toBe(1);
    // What the authority is told is the same.
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({
      exposures: [{ person: "bob", since: revokedAt }],
    });
  });

  it("[G12] what is not known has no sample, and a label's text cannot end its quotes", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    const status = await describeStatus(world);
    const samples = samplesOf(await metricsOf(world));
    for (const name of ["sync_age_seconds", "report_age_seconds", "heard_age_seconds", "policy_reported_version"]) {
      expect(samples.has(`doorlink_lock_${name}{device="${lockId}"}`), name).toBe(false);
    }
    expect(samples.has("doorlink_radio_working")).toBe(false);
    const devices = status.devices.map((device) => ({ ...device, device: 'a"b\\c\nd' }));
    const odd = formatMetrics({ ...status, devices }, await new Readiness(world).look());
    expect(odd).toContain('doorlink_lock_failed_visits{device="a\\"b\\\\c\\nd"} 0\n');
  });

  it("[G12] every metric says once what it is", async () => {
    const text = await metricsOf(await exposedWorld());
    const names = [...readExposition(text).typeByName.keys()];
    expect([...text.matchAll(/^# HELP ([a-z_]+) ./gm)].map((match) => match[1])).toEqual(names);
    for (const sample of samplesOf(text).keys()) expect(names).toContain(sample.split("{")[0]);
  });

  it("[G33] everything that the status knows of devices, machine, parts and people is there, and passes as the format", async () => {
    const facts = measured({ power: { underVoltage: true, throttled: false } });
    const world = await startGateway({ automatic: false, selfSource: { measure: async () => facts } });
    await tellSite(world);
    const going = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    await going;
    const { samples } = readExposition(await metricsOf(world));
    const value = (name: string, labels = ""): number | undefined => samples.get(`doorlink_${name}${labels}`);
    expect(value("ready", '{part="store"}')).toBe(1);
    expect(value("attention", '{group="stickers"}')).toBe(0);
    expect([value("temperature_celsius"), value("disk_free_bytes"), value("store_bytes")]).toEqual([48.5, 2e9, 4096]);
    expect(value("loop_lag_seconds", '{turns="p99"}')).toBe(0.002);
    expect(value("power", '{what="under-voltage"}')).toBe(1);
    expect(value("power", '{what="throttled-since-boot"}')).toBeUndefined();
    const of = (name: string): number | undefined => value(`device_${name}`, `{device="${lockId}"}`);
    expect([of("battery_percent"), of("battery_volts"), of("boots"), of("clock_set")]).toEqual([71, 5.8, 3, 1]);
    expect(value("device_firmware", '{device="lobby-link",verdict="not applicable"}')).toBe(1);
  });
});
