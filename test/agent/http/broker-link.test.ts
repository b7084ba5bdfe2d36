import { expect, it } from "vitest";
import { statusText } from "../../../agent/commands/status.ts";
import { describeStatus } from "../../../agent/http/describe.ts";
import { formatMetrics } from "../../../agent/http/metrics.ts";
import { Readiness } from "../../../agent/http/readiness.ts";
import { startGateway, tellSite } from "../../world/gateway-builder.ts";
import { readExposition } from "./exposition-format.ts";

it("[B16] status, readiness and metrics say how the link to an external broker is, since when, and why not", async () => {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  const ready = new Readiness(world);
  const linked = async () => readExposition(formatMetrics(await describeStatus(world), await ready.look())).samples;

  expect((await describeStatus(world)).broker.link).toBeUndefined();
  expect((await linked()).get("doorlink_broker_linked")).toBeUndefined();

  const link = {
    url: "mqtts://broker.example:8883",
    connected: false,
    sinceMs: world.clock.nowMs(),
    lastFault: "no SUBACK in 15 s",
  };
  Object.assign(world.broker, { linkState: () => link });
  await world.clock.advance(300_000);
  expect(statusText(await describeStatus(world))).toContain(
    "mqtts://broker.example:8883 no link for 5 min (no SUBACK in 15 s)",
  );
  expect((await linked()).get("doorlink_broker_linked")).toBe(0);
  expect((await ready.look()).parts.broker).toMatchObject({ state: "not ready", why: "no SUBACK in 15 s" });

  link.connected = true;
  expect(statusText(await describeStatus(world))).toContain("mqtts://broker.example:8883 linked for 5 min");
  expect((await linked()).get("doorlink_broker_linked")).toBe(1);
  expect((await ready.look()).parts.broker.state).toBe("ready");
});

it("[B14] that a device is connected to an external broker keeps it online no longer than its own words", async () => {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  const device = "panel-r20" as Parameters<typeof world.gateway.intake.heard>[0];
  Object.assign(world.broker, {
    linkState: () => ({ url: "", connected: true, sinceMs: 0, lastFault: null }),
    devices: [device],
  });
  await world.gateway.intake.heard(device);
  const online = async () => (await describeStatus(world)).devices.find((one) => one.device === device)?.online;
  expect(await online()).toBe(true);
  await world.clock.advance(11 * 60_000);
  expect(await online()).toBe(false);
});
