/**
 * The site's devices in the words of Home Assistant's MQTT discovery: one retained message per device with all of its entities (its
 * device-based discovery, Home Assistant 2024.12 and later), and one with their states. A pure function of what the API shows.
 *
 * Everything here is to be looked at. Home Assistant's own `lock` cannot be without a topic for commands, and nothing opens through
 * this gateway's word (DESIGN part 3, rule 4), so a lock appears as a device with its battery, its last sync and who is still let in, and
 * not as something that has a button. No person is named. SPEC G38.
 *
 * Source: home-assistant/core, homeassistant/components/mqtt/schemas.py (DEVICE_DISCOVERY_SCHEMA).
 */
import { modelByName, modelNames } from "../../protocol/firmware/models.ts";
import { syncStates } from "../../protocol/wire/messages/reported.ts";
import { attentionGroups } from "../http/health-views.ts";
import type { DeviceView, StatusView } from "../http/views.ts";

export interface HomeAssistantNames {
  readonly discoveryPrefix: string;
  readonly topicPrefix: string;
  readonly site: string;
  readonly gateway: string;
}

/** What stands retained at the broker for one device. */
export interface ShownDevice {
  readonly id: string;
  readonly configTopic: string;
  readonly config: string;
  readonly stateTopic: string;
  readonly state: string;
}

export type DoorWord = "open" | "closed";

/** The gateway first, then its devices; passive panels have nothing that changes and are left out. */
export function showDevices(
  status: StatusView,
  doorOf: (device: string) => DoorWord | null,
  names: HomeAssistantNames,
): readonly ShownDevice[] {
  const devices = status.devices.filter(({ network }) => network !== "passive");
  return [showGateway(status, names), ...devices.map((view) => showDevice(view, status, doorOf(view.device), names))];
}

/** `online` or `offline`, the latter by the broker itself when this gateway is gone. */
export function availabilityTopic({ topicPrefix, site, gateway }: HomeAssistantNames): string {
  return `${topicPrefix}/${site}/${gateway}/availability`;
}

/** Every topic of a device under the discovery prefix, of whatever gateway and maker. */
export function configFilter({ discoveryPrefix }: HomeAssistantNames): string {
  return `${discoveryPrefix}/device/+/config`;
}

/** The device's id, if the topic is one that this gateway wrote at any time. */
export function ownDeviceOf(topic: string, names: HomeAssistantNames): string | undefined {
  const [device, end, ...rest] = topic.slice(`${names.discoveryPrefix}/device/${idPrefix(names)}`.length).split("/");
  const isOurs = topic.startsWith(`${names.discoveryPrefix}/device/${idPrefix(names)}`);
  return isOurs && end === "config" && rest.length === 0 && device !== "" ? device : undefined;
}

export function topicsOf(
  device: string,
  names: HomeAssistantNames,
): { readonly config: string; readonly state: string } {
  return {
    config: `${names.discoveryPrefix}/device/${idPrefix(names)}${device}/config`,
    state: `${names.topicPrefix}/${names.site}/${names.gateway}/${device}/state`,
  };
}

interface Entity {
  readonly platform: "sensor" | "binary_sensor";
  readonly name: string;
  /** Of the state's JSON. */
  readonly field: string;
  readonly deviceClass?: string;
  readonly unit?: string;
  readonly options?: readonly string[];
  readonly measures?: boolean;
  readonly diagnostic?: boolean;
}

function showDevice(
  view: DeviceView,
  status: StatusView,
  door: DoorWord | null,
  names: HomeAssistantNames,
): ShownDevice {
  const { device, doorName, model, battery, lastSyncAt, syncState, firmware, signal, exposure, network, online } = view;
  const needs = attentionGroups.filter((group) => status.attention[group].some(({ who }) => who === device));
  const known = modelNames.find((name) => name === model);
  const entities: readonly Entity[] = [
    { platform: "binary_sensor", name: "Online", field: "online", deviceClass: "connectivity", diagnostic: true },
    { platform: "binary_sensor", name: "Needs attention", field: "problem", deviceClass: "problem" },
    ...(network === "mqtt" ? [doorEntity] : []),
    ...(view.power === "battery" ? [batteryEntity] : []),
    ...(network === "ble" ? lockEntities : []),
    ...(syncState === null ? [] : policyEntities),
    { platform: "sensor", name: "Firmware", field: "firmware", diagnostic: true },
  ];
  const state = {
    online: onOff(online),
    problem: onOff(needs.length > 0),
    needs,
    door: door === null ? null : onOff(door === "open"),
    battery: battery?.percent ?? null,
    lastSync: lastSyncAt === null ? null : new Date(lastSyncAt * 1000).toISOString(),
    sync: syncState,
    stillLetIn: exposure.length,
    signal: signal?.rssi ?? null,
    firmware: firmware.version,
    firmwareVerdict: firmware.verdict,
  };
  const about = {
    name: `${doorName} (${device})`,
    model,
    ...(known === undefined ? {} : { manufacturer: modelByName[known].maker }),
    ...(firmware.version === null ? {} : { sw_version: firmware.version }),
    suggested_area: doorName,
    via_device: `${idPrefix(names)}${names.gateway}`,
  };
  return shown(device, about, entities, state, status, names);
}

function showGateway(status: StatusView, names: HomeAssistantNames): ShownDevice {
  const { self, upstream, radio, attention } = status;
  const entities: readonly Entity[] = [
    { platform: "binary_sensor", name: "Upstream", field: "upstream", deviceClass: "connectivity", diagnostic: true },
    { platform: "binary_sensor", name: "Radio", field: "radio", deviceClass: "connectivity", diagnostic: true },
    {
      platform: "binary_sensor",
      name: "Under-voltage",
      field: "underVoltage",
      deviceClass: "problem",
      diagnostic: true,
    },
    {
      platform: "sensor",
      name: "Temperature",
      field: "temperature",
      deviceClass: "temperature",
      unit: "°C",
      measures: true,
      diagnostic: true,
    },
    { platform: "sensor", name: "Events waiting", field: "waiting", measures: true, diagnostic: true },
    { platform: "sensor", name: "Needs a person", field: "needsPerson", measures: true },
  ];
  const state = {
    upstream: onOff(upstream.connected),
    radio: onOff(radio.working),
    underVoltage: onOff(self?.power.underVoltage ?? null),
    temperature: self?.temperatureCelsius ?? null,
    waiting: upstream.outboxDepth,
    needsPerson: Object.values(attention).reduce((sum, items) => sum + items.length, 0),
  };
  const about = { name: `doorlink ${names.gateway}`, model: "gateway", sw_version: status.version };
  return shown(names.gateway, about, entities, state, status, names);
}

function shown(
  device: string,
  about: object,
  entities: readonly Entity[],
  state: object,
  status: StatusView,
  names: HomeAssistantNames,
): ShownDevice {
  const id = `${idPrefix(names)}${device}`;
  const topics = topicsOf(device, names);
  const config = {
    device: { identifiers: [id], ...about },
    origin: { name: "doorlink", sw_version: status.version },
    availability: [{ topic: availabilityTopic(names) }],
    state_topic: topics.state,
    qos: 1,
    components: Object.fromEntries(entities.map((entity) => [entity.field, component(entity, id)])),
  };
  return {
    ...{ id, configTopic: topics.config, stateTopic: topics.state },
    config: JSON.stringify(config),
    state: JSON.stringify(state),
  };
}

/** What is null in the state is `None` in the template, which Home Assistant takes for unknown. */
function component({ platform, name, field, deviceClass, unit, options, measures, diagnostic }: Entity, id: string) {
  return {
    platform,
    name,
    unique_id: `${id}-${field}`,
    value_template: `{{ value_json.${field} }}`,
    ...(deviceClass === undefined ? {} : { device_class: deviceClass }),
    ...(unit === undefined ? {} : { unit_of_measurement: unit }),
    ...(options === undefined ? {} : { options }),
    ...(measures === true ? { state_class: "measurement" } : {}),
    ...(diagnostic === true ? { entity_category: "diagnostic" } : {}),
  };
}

/** Home Assistant takes letters, digits, `_` and `-` in a topic's id; ids of sites and devices are made of fewer. */
function idPrefix({ site, gateway }: HomeAssistantNames): string {
  return `doorlink_${site}_${gateway}_`;
}

/** The default payloads of a binary sensor. */
function onOff(value: boolean | null): "ON" | "OFF" | null {
  return value === null ? null : value ? "ON" : "OFF";
}

const doorEntity: Entity = { platform: "binary_sensor", name: "Door", field: "door", deviceClass: "door" };
const batteryEntity: Entity = {
  ...{ platform: "sensor", name: "Battery", field: "battery", deviceClass: "battery", unit: "%" },
  ...{ measures: true, diagnostic: true },
};
const lockEntities: readonly Entity[] = [
  { platform: "sensor", name: "Last sync", field: "lastSync", deviceClass: "timestamp" },
  {
    ...{ platform: "sensor", name: "Signal", field: "signal", deviceClass: "signal_strength", unit: "dBm" },
    ...{ measures: true, diagnostic: true },
  },
];
const policyEntities: readonly Entity[] = [
  { platform: "sensor", name: "Door sync", field: "sync", deviceClass: "enum", options: syncStates },
  { platform: "sensor", name: "Still let in", field: "stillLetIn", measures: true },
];
