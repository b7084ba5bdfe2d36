/** What Home Assistant is shown: entities it can read, states without people, and nothing to press. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ownDeviceOf, showDevices, topicsOf } from "../../../agent/homeassistant/discovery.ts";
import { homeAssistantSchema } from "../../../agent/homeassistant/home-assistant-config.ts";
import { describeStatus } from "../../../agent/http/describe.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { gatewayId, lockDesired, lockId, site, startGateway, tellSite } from "../../world/gateway-builder.ts";
import { measured } from "../machine/measured.ts";

const names = { discoveryPrefix: "homeassistant", topicPrefix: "doorlink", site, gateway: gatewayId };

/** DEVICE_DISCOVERY_SCHEMA of Home Assistant's MQTT integration, as far as it is used here; what is not in it is a mistake. */
const topic = z.string().regex(/^[^#+\0]{1,200}$/);
const entity = z.strictObject({
  platform: z.enum(["sensor", "binary_sensor"]),
  name: z.string().min(1),
  unique_id: z.string().min(1),
  value_template: z.string().regex(/^\{\{ value_json\.[a-zA-Z]+ \}\}$/),
  device_class: z
    .enum(["connectivity", "problem", "door", "battery", "timestamp", "signal_strength", "enum", "temperature"])
    .optional(),
  unit_of_measurement: z.string().optional(),
  options: z.array(z.string()).min(1).optional(),
  state_class: z.literal("measurement").optional(),
  entity_category: z.literal("diagnostic").optional(),
});
const discovery = z.strictObject({
  device: z.strictObject({
    identifiers: z.array(z.string()).min(1),
    name: z.string(),
    model: z.string(),
    manufacturer: z.string().optional(),
    sw_version: z.string().optional(),
    suggested_area: z.string().optional(),
    via_device: z.string().optional(),
  }),
  origin: z.strictObject({ name: z.literal("doorlink"), sw_version: z.string() }),
  availability: z.array(z.strictObject({ topic })).min(1),
  state_topic: topic,
  qos: z.literal(1),
  components: z.record(z.string(), entity),
});

async function shownWorld() {
  const world = await startGateway({ automatic: false, selfSource: { measure: async () => measured() } });
  await tellSite(world);
  const going = world.gateway.requestSync(lockId);
  await world.clock.advance(0);
  await going;
  const show = async () => showDevices(await describeStatus(world), (device) => world.gateway.doors.of(device), names);
  return { world, show };
}

describe("discovery for Home Assistant", () => {
  it("[G38] every device but a plate has one message that fits Home Assistant's schema, ids of its own, and the state for each entity", async () => {
    const { show } = await shownWorld();
    const devices = await show();
    expect(devices.map(({ configTopic }) => configTopic)).toEqual(
      ["gateway-main", "lock-c1", "panel-r20"].map(
        (id) => `homeassistant/device/doorlink_maple-court_gateway-main_${id}/config`,
      ),
    );
    const ids = devices.flatMap(({ config, state, stateTopic }) => {
      const read = discovery.parse(JSON.parse(config));
      expect(read.state_topic).toBe(stateTopic);
      const fields = Object.keys(JSON.parse(state) as object);
      for (const [field, { value_template, device_class, options }] of Object.entries(read.components)) {
        expect(value_template).toBe(`{{ value_json.${field} }}`);
        expect(fields).toContain(field);
        expect(options !== undefined).toBe(device_class === "enum");
      }
      return Object.values(read.components).map(({ unique_id }) => unique_id);
    });
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("[G38] row 72: nothing can be pressed: no platform and no key of any message takes a command", async () => {
    const { show } = await shownWorld();
    for (const { config } of await show()) {
      expect(config).not.toMatch(/command|cmd|"lock"|button|switch|unlock|payload_/i);
    }
  });

  it("[G38] a lock shows battery, last sync, door sync and how many are still let in; nobody is named", async () => {
    const { world, show } = await shownWorld();
    const stateOf = async (id: string) => {
      const found = (await show()).find(({ stateTopic }) => stateTopic.endsWith(`/${id}/state`));
      return JSON.parse(found?.state ?? "null") as Record<string, unknown>;
    };
    expect(await stateOf(lockId)).toMatchObject({
      ...{ online: "ON", problem: "OFF", battery: 71, lastSync: "2026-11-20T08:00:00.000Z", sync: "in-sync" },
      ...{ stillLetIn: 0, signal: null, firmware: "2.0.8", door: null },
    });
    const revocations = [{ person: "bob", since: world.clock.nowMs() / 1000 - 600, version: 2 }];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    await world.clock.advance(0);
    expect(await stateOf(lockId)).toMatchObject({
      problem: "ON",
      needs: ["sync", "alerts"],
      sync: "pending",
      stillLetIn: 1,
    });
    expect(JSON.stringify(await show())).not.toMatch(/bob/i);
  });

  it("[G38] the door of a networked device is what it last logged, also after a restart; before that it is unknown", async () => {
    const { world, show } = await shownWorld();
    const device = "panel-r20" as DeviceId;
    const doorOf = async (): Promise<unknown> => {
      const found = (await show()).find(({ stateTopic }) => stateTopic.endsWith("/panel-r20/state"));
      return (JSON.parse(found?.state ?? "{}") as Record<string, unknown>)["door"];
    };
    expect(await doorOf()).toBe(null);
    const at = { unixSeconds: null, quality: "unset" };
    const log = (sequence: number, after: number) =>
      world.gateway.intake.take(
        device,
        "event",
        utf8(
          JSON.stringify({
            v: 1,
            device,
            events: [{ boot: 1, sequence, at, kind: "door", facts: { before: 0, after } }],
          }),
        ),
      );
    await log(1, 1);
    expect(await doorOf()).toBe("ON");
    await log(2, 0);
    expect(await doorOf()).toBe("OFF");
    const again = await startGateway({ automatic: false, store: world.store, clock: world.clock });
    expect(again.gateway.doors.of(device)).toBe("closed");
  });

  it("[G40] whose a remembered device is, is told from its topic alone", () => {
    expect(ownDeviceOf(topicsOf("lock-c1", names).config, names)).toBe("lock-c1");
    for (const other of [
      "homeassistant/device/doorlink_maple-court_gateway-other_lock-c1/config",
      "homeassistant/device/doorlink_maple-court_gateway-main_/config",
      "homeassistant/device/doorlink_maple-court_gateway-main_lock-c1/state",
      "homeassistant/device/doorlink_maple-court_gateway-main_a/b/config",
      "homeassistant/device/zigbee2mqtt_0x1/config",
      "homeassistant/sensor/doorlink_maple-court_gateway-main_lock-c1/config",
      "",
    ]) {
      expect(ownDeviceOf(other, names), other).toBeUndefined();
    }
  });
});

describe("the section homeAssistant", () => {
  const broker = { url: "mqtt://127.0.0.1:1883" };
  it("[G38] names a broker, and needs TLS beyond this machine", () => {
    expect(homeAssistantSchema.parse({ broker })).toMatchObject({
      ...{ discoveryPrefix: "homeassistant", topicPrefix: "doorlink", intervalSeconds: 15 },
    });
    for (const wrong of [
      {},
      { broker: { url: "mqtt://ha.example:1883" } },
      { broker: { url: "mqtts://user:pass@ha.example:8883" } },
      { broker, discoveryPrefix: "home/#" },
      { broker, topicPrefix: "" },
      { broker, intervalSeconds: 0 },
      { broker, unlock: true },
    ]) {
      expect(homeAssistantSchema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
    }
    expect(homeAssistantSchema.safeParse({ broker: { url: "mqtts://ha.example:8883" } }).success).toBe(true);
  });
});
