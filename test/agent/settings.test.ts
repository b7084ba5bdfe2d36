import { describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../agent/config.ts";
import { Settings } from "../../agent/settings.ts";

describe("live settings", () => {
  it("[G50] what somebody watches changes at once, and they hear of it once, whatever else changed", () => {
    const settings = new Settings(configOf());
    const heard: unknown[] = [];
    settings.watch("log.level", ({ log }) => heard.push(log.level));
    settings.watch("upstream", ({ upstream }) => heard.push([upstream.url, settings.current().upstream.url]));
    settings.watch("health", () => heard.push("health"));
    const change = settings.useFile(configOf({ log: "{level: debug}", upstream: "{url: 'mqtt://b', username: me}" }));
    expect(change).toEqual({ applied: ["log.level", "upstream.url", "upstream.username"], waiting: [] });
    expect(heard).toEqual(["debug", ["mqtt://b", "mqtt://b"]]);
    expect(settings.useFile(configOf({ log: "{level: debug}", upstream: "{url: 'mqtt://b', username: me}" }))).toEqual({
      applied: [],
      waiting: [],
    });
    expect(heard).toHaveLength(2);
  });

  it("[G51] what nobody watches waits for a restart, is named, and the agent goes by what it started with", () => {
    const settings = new Settings(configOf());
    settings.watch("log", () => undefined);
    const change = settings.useFile(configOf({ broker: "{port: 9}", log: "{level: warn}" }));
    expect(change).toEqual({ applied: ["log.level"], waiting: ["broker.port"] });
    expect(settings.current()).toMatchObject({ broker: { port: 8704 }, log: { level: "warn" } });
    expect(settings.waiting()).toEqual(["broker.port"]);
    expect(settings.useFile(configOf())).toEqual({ applied: ["log.level"], waiting: [] });
  });

  it("an optional setting that comes and goes is a change like any other", () => {
    const settings = new Settings(configOf({ bluetooth: "{adapter: hci1}" }));
    settings.watch("bluetooth.adapter", () => undefined);
    expect(settings.useFile(configOf())).toEqual({ applied: ["bluetooth.adapter"], waiting: [] });
    expect(settings.current()).toEqual(configOf());
  });

  it("the authority's word stands above the file's until it is taken back, and at the start all of it holds", () => {
    const settings = new Settings(configOf(), { health: { intervalSeconds: 30 }, broker: { port: 7 } });
    settings.watch("health", () => undefined);
    expect(settings.current()).toMatchObject({ health: { intervalSeconds: 30 }, broker: { port: 7 } });
    expect(settings.useFile(configOf({ health: "{intervalSeconds: 99}" })).applied).toEqual([]);
    const taken = settings.useOverlay({});
    expect(taken).toEqual({ applied: ["health.intervalSeconds"], waiting: ["broker.port"] });
    expect(settings.current().health.intervalSeconds).toBe(99);
  });
});

function configOf(changed: Readonly<Record<string, string>> = {}): Config {
  const lines = { site: "abc", gateway: "gateway-a", stateDir: "s", upstream: "{url: 'mqtt://a'}", ...changed };
  const text = Object.entries(lines).map(([key, value]) => `${key}: ${value}\n`);
  const read = parseConfig(text.join(""), "/");
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}
