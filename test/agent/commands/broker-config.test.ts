import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentClient } from "../../../agent/commands/agent-client.ts";
import { type BrokerConfigOptions, runBrokerConfig } from "../../../agent/commands/broker-config.ts";

let folder: string;
let said: { out: string; err: string };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-broker-config-"));
  said = { out: "", err: "" };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("broker-config", () => {
  it("[B17] takes site, gateway and port from the gateway's configuration and listens where the gateway looks for it", async () => {
    const config = await writeConfig('broker: {external: {url: "mqtts://broker.example:8884"}}');
    expect(await run("mosquitto", { config, json: true })).toBe(0);
    const answer = JSON.parse(said.out);
    expect(answer).toMatchObject({
      broker: "mosquitto",
      site: "maple-court",
      gateways: ["gateway-main"],
      listen: { host: "0.0.0.0", port: 8884 },
      caFile: "/etc/mosquitto/certs/site-ca.pem",
    });
    expect(answer.files.map(({ path }: { path: string }) => path)).toEqual([
      "/etc/mosquitto/conf.d/doorlink.conf",
      "/etc/mosquitto/conf.d/doorlink.acl",
    ]);
    expect(await run("mosquitto", { config: await writeConfig("") })).toBe(0);
    expect(said.out).toContain("listener 8883 127.0.0.1\n");
    expect(said.out).toContain("user gateway-main\n");
  });

  it("[B17] knows several gateways, and for NATS every device by its name", async () => {
    const named = { site: "maple-court", gateway: ["gateway-main", "gateway-annex"], device: ["panel-a", "panel-b"] };
    expect(await run("nats", { ...named, listen: "[::]:8883" })).toBe(0);
    for (const name of [...named.gateway, ...named.device]) expect(said.out).toContain(`user: "${name}"`);
    expect(said.out).toContain('listen: "[::]:8883"');
    expect(said.out).not.toContain("+");
  });

  it("[B17] asks the running agent for the devices, and says so when there is none", async () => {
    expect(await run("nats", { site: "maple-court", gateway: ["gateway-main"] })).toBe(3);
    expect(said.err).toContain("name them with --device, or start the agent");
  });

  it("writes its files where it is told, and says where", async () => {
    const out = join(folder, "broker");
    expect(await run("mosquitto", { site: "maple-court", gateway: ["gateway-main"], out })).toBe(0);
    expect(said.out).toBe(`${join(out, "doorlink.conf")}\n${join(out, "doorlink.acl")}\n`);
    expect(await readFile(join(out, "doorlink.conf"), "utf8")).toContain(`acl_file ${join(out, "doorlink.acl")}\n`);
    await writeFile(join(folder, "a-file"), "");
    expect(
      await run("mosquitto", { site: "maple-court", gateway: ["gateway-main"], out: join(folder, "a-file") }),
    ).toBe(3);
  });

  it.each<readonly [what: string, broker: string, options: BrokerConfigOptions, says: string]>([
    ["another broker", "emqx", {}, "expected mosquitto or nats"],
    ["no site", "mosquitto", { gateway: ["gateway-main"] }, "--site ID"],
    ["no gateway", "mosquitto", { site: "maple-court" }, "--gateway gateway-NAME"],
    ["a device as a gateway", "mosquitto", { site: "maple-court", gateway: ["panel-a"] }, "--gateway gateway-NAME"],
    ["a name that is none", "nats", { site: "maple-court", gateway: ["gateway-main"], device: ['a"} ]'] }, "--device"],
    [
      "a port that is none",
      "mosquitto",
      { site: "maple-court", gateway: ["gateway-main"], listen: "here" },
      "--listen here",
    ],
    [
      "a path that would be two lines",
      "mosquitto",
      { site: "maple-court", gateway: ["gateway-main"], ca: "/a\nallow_anonymous true" },
      "absolute path",
    ],
    ["a file that is not there", "mosquitto", { config: "/no/such.yaml" }, "is not there"],
  ])("[B17] refuses %s", async (_what, broker, options, says) => {
    expect(await run(broker, options)).toBe(2);
    expect(said.err).toContain(says);
    expect(said.out).toBe("");
  });
});

function run(broker: string, options: BrokerConfigOptions): Promise<number> {
  said = { out: "", err: "" };
  const nobody: AgentClient = {
    get: async () => ({ ok: false, fault: { code: "not-running", url: "http://127.0.0.1:1" } }),
    post: async () => ({ ok: false, fault: { code: "not-running", url: "http://127.0.0.1:1" } }),
  };
  return runBrokerConfig(broker, options, {
    client: async () => nobody,
    write: (text) => {
      said.out += text;
    },
    warn: (text) => {
      said.err += text;
    },
  });
}

async function writeConfig(broker: string): Promise<string> {
  const path = join(folder, "agent.yaml");
  const upstream = 'upstream: {url: "mqtts://cloud.example:8883"}';
  await writeFile(path, ["site: maple-court", "gateway: gateway-main", "stateDir: state", broker, upstream].join("\n"));
  return path;
}
