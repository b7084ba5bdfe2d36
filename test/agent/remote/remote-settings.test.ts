import { describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../../agent/config.ts";
import {
  loadRemoteSettings,
  overlayOf,
  RemoteSettings,
  settingsFromAfar,
} from "../../../agent/remote/remote-settings.ts";
import { Settings } from "../../../agent/settings.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { type GatewaySettings, gatewaySettingsSchema } from "../../../protocol/wire/messages/gateway-settings.ts";
import { memoryLog } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";

const gateway = "gateway-main" as DeviceId;

/** As `doorlink run` puts it together. */
async function start(store = new MemoryStore(), file: Readonly<Record<string, string>> = {}) {
  const held = await loadRemoteSettings(store, gateway);
  const config = configOf(file);
  const settings = new Settings(config, overlayOf(held, config.remote.settings));
  for (const path of ["health", "log", "sync"] as const) settings.watch(path, () => undefined);
  const remote = new RemoteSettings({ gateway, store, log: memoryLog([]), settings, held });
  return { store, settings, remote };
}

describe("settings from afar", () => {
  it("[M27] what the authority sets stands above the file for as long as its latest version names it", async () => {
    const { settings, remote } = await start();
    expect(remote.report()).toBeUndefined();
    expect(await remote.take(wanted(1, { "health.intervalSeconds": 30, "log.level": "debug" }))).toBe(true);
    expect(settings.current()).toMatchObject({ health: { intervalSeconds: 30 }, log: { level: "debug" } });
    settings.useFile(configOf({ health: "{intervalSeconds: 99}" }));
    expect(settings.current().health.intervalSeconds).toBe(30);
    await remote.take(wanted(2, { "log.level": "debug" }));
    expect(settings.current()).toMatchObject({ health: { intervalSeconds: 99 }, log: { level: "debug" } });
    await remote.take(wanted(3, {}));
    expect(settings.current()).toMatchObject({ health: { intervalSeconds: 99 }, log: { level: "info" } });
  });

  it("[M28] what is unknown, not for afar or out of range is refused by name, and the rest of that version is taken", async () => {
    const { settings, remote } = await start();
    const before = settings.current();
    const all = {
      "sync.automatic": false,
      "health.intervalSeconds": 4,
      "log.level": "everything",
      "upstream.url": "mqtt://evil.example",
      "upstream.passwordFile": "/etc/shadow",
      "remote.settings": false,
      "people.views": "resident",
      "broker.port": 1,
      stateDir: "/tmp",
      "no.such": 1,
      __proto__x: 1,
      constructor: 1,
    };
    expect(await remote.take(wanted(7, all))).toBe(true);
    expect(settings.current()).toEqual({ ...before, sync: { automatic: false } });
    expect(remote.report()).toEqual({
      version: 7,
      applied: ["sync.automatic"],
      waiting: [],
      refused: [
        { setting: "health.intervalSeconds", reason: "bad-value" },
        { setting: "log.level", reason: "bad-value" },
        { setting: "upstream.url", reason: "not-from-afar" },
        { setting: "upstream.passwordFile", reason: "unknown-setting" },
        { setting: "remote.settings", reason: "not-from-afar" },
        { setting: "people.views", reason: "not-from-afar" },
        { setting: "broker.port", reason: "not-from-afar" },
        { setting: "stateDir", reason: "not-from-afar" },
        { setting: "no.such", reason: "unknown-setting" },
        { setting: "__proto__x", reason: "unknown-setting" },
        { setting: "constructor", reason: "unknown-setting" },
      ],
    });
  });

  it("[M28] a version that is not above the last changes nothing; after a restart the last is in force from the start", async () => {
    const first = await start();
    await first.remote.take(wanted(5, { "health.intervalSeconds": 30 }));
    for (const version of [5, 4, 0]) {
      expect(await first.remote.take(wanted(version, { "health.intervalSeconds": 60 }))).toBe(false);
    }
    const second = await start(first.store);
    expect(second.settings.current().health.intervalSeconds).toBe(30);
    expect(second.remote.report()).toEqual({
      version: 5,
      applied: ["health.intervalSeconds"],
      waiting: [],
      refused: [],
    });
    expect(await second.remote.take(wanted(4, {}))).toBe(false);
    expect(await second.remote.take(wanted(6, {}))).toBe(true);
    expect(second.settings.current().health.intervalSeconds).toBe(60);
  });

  it("[M28] what takes effect at the next start says that it waits", async () => {
    const { remote, settings } = await start();
    await remote.take(wanted(1, { "upstream.backlogEventsPerSecond": 50 }));
    expect(remote.report()).toMatchObject({ applied: [], waiting: ["upstream.backlogEventsPerSecond"] });
    expect(settings.current().upstream.backlogEventsPerSecond).toBe(1_000);
  });

  it("[M27] the file may refuse all of it, from the start or from one reading to the next", async () => {
    const { store, settings, remote } = await start();
    await remote.take(wanted(1, { "health.intervalSeconds": 30 }));
    settings.useFile(configOf({ remote: "{settings: false}" }));
    expect(settings.current().health.intervalSeconds).toBe(60);
    expect(remote.report()).toMatchObject({ applied: [], refused: [{ reason: "not-allowed-here" }] });
    settings.useFile(configOf());
    expect(settings.current().health.intervalSeconds).toBe(30);
    const closed = await start(store, { remote: "{settings: false}" });
    expect(closed.settings.current().health.intervalSeconds).toBe(60);
  });

  it("[M29] the list is closed: no address, port, path, secret, permission or role; each name is a setting of the configuration", () => {
    const names = Object.keys(settingsFromAfar);
    expect(names).toEqual([
      "health.intervalSeconds",
      "store.retentionDays",
      "log.level",
      "sync.automatic",
      "upstream.backlogEventsPerSecond",
    ]);
    for (const name of names) {
      const [section = "", key = ""] = name.split(".");
      expect(Object.hasOwn(Reflect.get(configOf(), section), key), name).toBe(true);
    }
    // What is taken from afar, the file could say too.
    const taken = { "health.intervalSeconds": [5, 3_600], "upstream.backlogEventsPerSecond": [1, 1_000_000] };
    for (const [name, values] of Object.entries(taken)) {
      const [section = "", key = ""] = name.split(".");
      const url = section === "upstream" ? "url: 'mqtt://a', " : "";
      for (const value of values) expect(() => configOf({ [section]: `{${url}${key}: ${value}}` })).not.toThrow();
    }
  });
});

function wanted(version: number, settings: Readonly<Record<string, unknown>>): GatewaySettings {
  const said = Object.entries(settings).map(([setting, value]) => ({ setting, value }));
  return gatewaySettingsSchema.parse({ version, settings: said });
}

function configOf(changed: Readonly<Record<string, string>> = {}): Config {
  const lines = { site: "abc", gateway, stateDir: "s", upstream: "{url: 'mqtt://a'}", ...changed };
  const text = Object.entries(lines).map(([key, value]) => `${key}: ${value}\n`);
  const read = parseConfig(text.join(""), "/");
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}
