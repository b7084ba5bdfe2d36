/** A running agent whose configuration changes under it: real processes, a device connected over MQTT, two brokers upstream. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { gatewayDesired, gatewayId, panel, panelPassword, site } from "../world/gateway-builder.ts";
import { type AgentProcess, freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";

let folder: string;
let agent: AgentProcess;
let device: MqttClient;
let closedCount = 0;
let ports: { readonly broker: number; readonly http: number };
/** Two upstreams, each with the passwords of those who came. */
const upstreams: { readonly port: number; readonly logins: string[]; readonly close: () => void }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-reload-"));
  for (let count = 0; count < 2; count++) upstreams.push(await openUpstream());
  ports = { broker: await freePort(), http: await freePort() };
  await mkdir(join(folder, "state"));
  const store = await openSqliteStore(join(folder, "state", "agent.db"), () => undefined);
  const body = JSON.stringify(gatewayDesired({ devices: [panel()] }));
  await store.putDocuments([{ kind: "desired", device: gatewayId, body }]);
  await store.close();
  await writeFile(join(folder, "password"), "first", { mode: 0o600 });
  agent = await startAgent(await configure());
  const { id } = panel();
  device = mqtt.connect(agent.mqtt, { clientId: id, username: id, password: panelPassword });
  device.on("close", () => {
    closedCount += 1;
  });
  await waitFor("the device to be connected", () => device.connected);
  await waitFor("the link upstream", () => upstreams[0]?.logins.length === 1);
});

afterAll(async () => {
  device.end(true);
  await agent.stop("SIGKILL");
  for (const { close } of upstreams) close();
  await rm(folder, { recursive: true, force: true });
});

describe("a configuration read again (SIGHUP)", () => {
  it("[G50] what can change does so at once: the log's level, the link upstream by address and by password", async () => {
    await configure({ log: "{level: debug}", upstream: upstreamLine(1) });
    hangUp();
    await waitFor("the link to the other address", () => upstreams[1]?.logins.length === 1);
    await writeFile(join(folder, "password"), "second", { mode: 0o600 });
    hangUp();
    await waitFor("the other password", () => upstreams[1]?.logins.length === 2);
    expect(upstreams.map(({ logins }) => logins)).toEqual([["first"], ["first", "second"]]);
    expect(agent.stderr()).toContain('"applied":"log.level, upstream.url"');
    expect(agent.stderr()).not.toContain("second");
  });

  it("[G51] what cannot is named, in the log and on the screen, and nothing of it is in effect", async () => {
    await configure({ http: `{port: ${await freePort()}}`, log: "{level: debug}", upstream: upstreamLine(1) });
    hangUp();
    await waitFor("the settings that wait", () => agent.stderr().includes('"waitsForRestart":"http.port"'));
    const { stdout } = await runDoorlink("status", "--agent", agent.http);
    expect(stdout).toMatch(/^restart +needed for http\.port$/m);
  });

  it("[G52] a file with mistakes changes nothing, and all of them are said", async () => {
    await configure({ log: "{level: loud}", site: "X", upstream: upstreamLine(0) });
    hangUp();
    await waitFor("the mistakes", () => agent.stderr().includes("log.level"));
    const { configuration } = JSON.parse((await runDoorlink("status", "--json", "--agent", agent.http)).stdout);
    expect(configuration).toMatchObject({
      mistakes: [
        expect.stringContaining("has 2 mistakes"),
        expect.stringContaining("site: expected a site id"),
        expect.stringContaining("log.level: expected one of"),
      ],
      waitsForRestart: ["http.port"],
    });
    expect(upstreams[0]?.logins).toHaveLength(1);
    const checked = await runDoorlink("check-config", join(folder, "agent.yaml"));
    expect(checked).toMatchObject({ code: 2, stderr: expect.stringContaining("has 2 mistakes") });
    await configure();
    expect(await runDoorlink("check-config", join(folder, "agent.yaml"))).toMatchObject({ code: 0 });
  });

  it("[G50] through all of it the device stayed connected and was served", async () => {
    expect(closedCount).toBe(0);
    expect(device.connected).toBe(true);
    const { broker } = JSON.parse((await runDoorlink("status", "--json", "--agent", agent.http)).stdout);
    expect(broker.connected).toEqual([panel().id]);
    expect(await agent.stop("SIGTERM")).toBe(0);
  });
});

function hangUp(): void {
  if (agent.pid !== undefined) process.kill(agent.pid, "SIGHUP");
}

function upstreamLine(at: number): string {
  return `{url: "mqtt://127.0.0.1:${upstreams[at]?.port}", passwordFile: password}`;
}

async function configure(changed: Readonly<Record<string, string>> = {}): Promise<string> {
  const lines = {
    site,
    gateway: gatewayId,
    stateDir: "state",
    broker: `{port: ${ports.broker}}`,
    http: `{port: ${ports.http}}`,
    upstream: upstreamLine(0),
    bluetooth: `{busAddress: "unix:path=${folder}/no-bus"}`,
    ...changed,
  };
  const text = Object.entries(lines).map(([key, value]) => `${key}: ${value}\n`);
  await writeFile(join(folder, "agent.yaml"), text.join(""));
  return join(folder, "agent.yaml");
}

async function openUpstream(): Promise<(typeof upstreams)[number]> {
  const logins: string[] = [];
  const authenticate = (
    _client: unknown,
    _user: unknown,
    password: Readonly<Buffer> | undefined,
    done: (error: null, ok: boolean) => void,
  ): void => {
    logins.push(String(password));
    done(null, true);
  };
  const broker = await Aedes.createBroker({ authenticate });
  const server: Server = createServer(broker.handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, logins, close: () => broker.close(() => server.close()) };
}
