/**
 * A whole agent process on an external broker: nats-server with exactly what `doorlink broker-config` writes from the agent's own
 * configuration, TLS with a certificate for everybody, and a networked device beside it. The broker dies and forgets, the agent dies.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DeviceTable } from "../../agent/devices.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { EventJournal } from "../../emulator/device/event-journal.ts";
import { MqttLink } from "../../emulator/device/mqtt-link.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { gatewayDesired, gatewayId, panel, site } from "../world/gateway-builder.ts";
import { type AgentProcess, freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";
import type { BrokerProcess } from "./brokers/broker-process.ts";
import { makeSiteBroker, type SiteBrokerFiles } from "./brokers/site-brokers.ts";

const device = "panel-r20" as DeviceId;

let folder: string;
let files: SiteBrokerFiles;
let broker: BrokerProcess;
let agent: AgentProcess;
let link: MqttLink;
let journal: EventJournal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-external-"));
  files = await makeSiteBroker({
    kind: "nats",
    folder: join(folder, "nats"),
    site,
    gateway: gatewayId,
    devices: [device],
  });
  broker = await files.start();
  await writeAgentFiles();
  agent = await startAgent(join(folder, "agent.yaml"));
  journal = new EventJournal(join(folder, "panel", "journal"));
  const tls = { ca: files.authority.certificate, ...(await files.identity(device)) };
  link = deviceLink({ url: agent.mqtt, tls });
  link.start();
});

afterEach(async () => {
  await link.stop();
  await agent.stop("SIGKILL");
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

it("[B12] [B16] row 131: an agent serves its site over an external broker that dies and forgets, and says how the link is", async () => {
  logEvents(10);
  await waitFor("the first receipts", () => journal.through === 10);
  const { stdout: status } = await runDoorlink("status", "--agent", agent.http);
  expect(status).toMatch(/broker +mqtts:\/\/127\.0\.0\.1:\d+ linked for/);
  expect((await brokerStatus()).connected).toEqual([device]);

  await broker.stop("SIGKILL");
  logEvents(20);
  await waitFor("the status to say so", async () => !(await brokerStatus()).link.connected);
  expect((await brokerStatus()).connected).toEqual([]);
  broker = await files.start({ empty: true });
  await waitFor("the receipts of the outage", () => journal.through === 30);

  // The agent dies; its device goes on speaking to a broker that acknowledges everything.
  await agent.stop("SIGKILL");
  logEvents(100);
  agent = await startAgent(join(folder, "agent.yaml"));
  await waitFor("every receipt", () => journal.through === 130);
  const answer = await fetch(new URL("/api/log?limit=500", agent.http));
  const { entries } = (await answer.json()) as { entries: { sequence: number }[] };
  expect(entries.map(({ sequence }) => sequence).sort((one, other) => one - other)).toEqual(
    Array.from({ length: 130 }, (_, index) => index + 1),
  );
  expect(await agent.stop("SIGTERM")).toBe(0);
  expect(agent.stderr()).not.toContain("PRIVATE KEY");
});

async function writeAgentFiles(): Promise<void> {
  const own = await files.identity(gatewayId);
  await writeFile(join(folder, "ca.pem"), files.authority.certificate);
  await writeFile(join(folder, "own.pem"), own.certificate);
  await writeFile(join(folder, "own.key"), own.key, { mode: 0o600 });
  const external = `url: "mqtts://127.0.0.1:${files.port}", caFile: ca.pem, certificateFile: own.pem, keyFile: own.key`;
  const lines = [
    `site: ${site}`,
    `gateway: ${gatewayId}`,
    "stateDir: state",
    `broker: {external: {${external}, reconnect: {firstMs: 100, capMs: 1000}}}`,
    `http: {port: ${await freePort()}}`,
    `upstream: {url: "mqtt://127.0.0.1:${await freePort()}"}`,
    "sync: {automatic: false}",
  ];
  await writeFile(join(folder, "agent.yaml"), `${lines.join("\n")}\n`);
  // The authority's last word, as an earlier run kept it: this gateway is cut off upstream from the start.
  await mkdir(join(folder, "state"));
  const store = await openSqliteStore(join(folder, "state", "agent.db"), () => undefined);
  const desired = gatewayDesired({ devices: [panel()] });
  await new DeviceTable(store, gatewayId).takeDesired(gatewayId, utf8(JSON.stringify(desired)), realClock.nowMs());
  await store.close();
}

function logEvents(count: number): void {
  for (let index = 0; index < count; index++) {
    journal.append({ at: { unixSeconds: null, quality: "unset" }, kind: "access-denied", person: "bob" });
  }
  link.notify("event");
}

function deviceLink(login: { url: string; tls: { ca: string; certificate: string; key: string } }): MqttLink {
  return new MqttLink({
    ...login,
    site,
    device,
    password: null,
    journal,
    clock: realClock,
    jitter: () => 0.5,
    birth: () => ({ v: 1, device, model: "R20", bootCount: 1, firmware: "320.30.12.15", hardware: null }),
    health: () => ({
      v: 1,
      device,
      battery: null,
      firmware: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: 1,
      bootCount: 1,
      lastSyncAt: null,
      at: Math.floor(Date.now() / 1000),
    }),
    reported: () => undefined,
    onDesired: () => undefined,
    onUnlock: () => [],
    onChange: () => undefined,
  });
}

async function brokerStatus(): Promise<{
  readonly connected: readonly string[];
  readonly link: { readonly connected: boolean };
}> {
  const answer = await fetch(new URL("/api/status", agent.http));
  return ((await answer.json()) as { broker: Awaited<ReturnType<typeof brokerStatus>> }).broker;
}
