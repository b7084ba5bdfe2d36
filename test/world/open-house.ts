/**
 * Cloud, site and agent of Maple Court in one process, on real sockets and a private D-Bus, with what a test of them needs to see: the routes
 * that each HTTP server registered, every bolt, and every opening in the devices' own logs.
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { useSystemBus } from "../../agent/ble/bus-address.ts";
import { createBleRadio } from "../../agent/ble/central.ts";
import { runPairing } from "../../agent/ble/pairing-visit.ts";
import { runVisit } from "../../agent/ble/visit.ts";
import { openAedesBroker } from "../../agent/broker/aedes-broker.ts";
import { Gateway } from "../../agent/gateway.ts";
import { openHttpServer } from "../../agent/http/listen.ts";
import type { SiteBroker } from "../../agent/ports/site-broker.ts";
import { timePublicKeyOf } from "../../agent/sync/site-time.ts";
import { createMqttTransport } from "../../agent/upstream/mqtt-transport.ts";
import { cloudKeysFromSeed } from "../../emulator/cloud/authority-keys.ts";
import { type Cloud, createCloud } from "../../emulator/cloud/cloud.ts";
import { createCloudLog } from "../../emulator/cloud/log.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { startSite } from "../../emulator/world/site-process.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { freePort, mapleCourtFile, until } from "../real/checkout-house.ts";
import { memoryLog } from "./gateway-builder.ts";
import { MemoryStore } from "./memory-store.ts";

export interface Route {
  readonly method: string;
  /** As it was registered, with its parameters. */
  readonly path: string;
}

export type Server = "cloud" | "site" | "agent";

export interface DoorState {
  /** Devices whose bolt or relay is open. */
  readonly open: readonly string[];
  /** Openings in the devices' own logs. */
  readonly grants: number;
}

export const gatewayId = "gateway-maple" as DeviceId;
export const gatewayPassword = "a password of this test alone";

export interface OpenHouse {
  readonly cloud: Cloud;
  readonly gateway: Gateway;
  readonly broker: SiteBroker;
  readonly urls: Readonly<Record<Server, string>>;
  readonly routes: Readonly<Record<Server, readonly Route[]>>;
  readonly upstreamPort: number;
  doors(): Promise<DoorState>;
  close(): Promise<void>;
}

/** Brought up: locks paired and synced once, networked devices on the broker and known upstream. */
export async function openHouse(): Promise<OpenHouse> {
  const folder = mkdtempSync(join(tmpdir(), "doorlink-open-"));
  const recorder = recordRoutes();
  const random = seededRandom(7, "open-house");
  const created = await createCloud({
    stateDirectory: ":memory:",
    keys: cloudKeysFromSeed(seededRandom(7, "authority").bytes(32)),
    publicUrl: "http://127.0.0.1:8701",
    ports: { clock: realClock, random: (length) => random.bytes(length) },
    log: createCloudLog("silent"),
  });
  if (!created.ok) throw new Error(created.fault.code);
  const cloud = created.value;
  const cloudRoutes = recorder.taken();
  const upstream = await cloud.broker.listen(0);
  if (!upstream.ok) throw new Error(upstream.fault.code);
  const cloudUrl = await cloud.http.listen({ host: "127.0.0.1", port: 0 });
  cloud.authority.registerGateway(gatewayId, gatewayPassword);
  const brokerPort = await freePort();
  const agentPort = await freePort();
  const started = await startSite({
    siteText: readFileSync(mapleCourtFile, "utf8"),
    httpPort: 0,
    cloudUrl,
    agentMqtt: `mqtt://127.0.0.1:${brokerPort}`,
    agentHttp: `http://127.0.0.1:${agentPort}`,
    busFolder: join(folder, "bus"),
    stateFolder: join(folder, "site"),
    seed: 7,
    logger: { warn: () => undefined, error: () => undefined },
  });
  if (!started.ok) throw new Error(started.fault.code);
  const site = started.value;
  const siteRoutes = recorder.taken();
  const agent = await startAgent({
    folder,
    busAddress: site.busAddress,
    upstreamPort: upstream.value,
    brokerPort,
    agentPort,
  });
  // The agent makes its routes with its first request.
  await fetch(`http://127.0.0.1:${agentPort}/healthz`);
  const agentRoutes = recorder.taken();
  recorder.stop();
  const house: OpenHouse = {
    cloud,
    gateway: agent.gateway,
    broker: agent.broker,
    urls: { cloud: cloudUrl, site: site.url, agent: `http://127.0.0.1:${agentPort}` },
    routes: { cloud: cloudRoutes, site: siteRoutes, agent: agentRoutes },
    upstreamPort: upstream.value,
    doors: () => readDoors(site.url),
    close: async () => {
      await site.stop();
      await agent.close();
      await cloud.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await site.broughtUp;
  await until("the site at the gateway", () => agent.gateway.table.devices().length > 0);
  await until(
    "the networked devices upstream",
    () => cloud.table.latest("gym-lock", "health")?.body.boot !== undefined,
  );
  for (const lock of ["lobby-lock", "roof-lock", "apartment-2a-lock"]) {
    const answer = await agent.gateway.requestSync(lock as DeviceId);
    if ("fault" in answer) throw new Error(`${lock}: ${answer.fault.code}`);
  }
  return house;
}

async function startAgent(options: {
  readonly folder: string;
  readonly busAddress: string;
  readonly upstreamPort: number;
  readonly brokerPort: number;
  readonly agentPort: number;
}) {
  const { folder, busAddress, upstreamPort, brokerPort, agentPort } = options;
  useSystemBus(busAddress);
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, gatewayPassword);
  const random = seededRandom(7, "open-house/agent");
  const store = new MemoryStore();
  const courierPrivateKey = random.bytes(32);
  const gateway = new Gateway({
    self: {
      site: "maple-court",
      gateway: gatewayId,
      version: "0.1.0",
      bootCount: 1,
      courierPublicKey: x25519PublicKey(courierPrivateKey),
      timePublicKey: timePublicKeyOf(courierPrivateKey),
      startedAtMs: realClock.nowMs(),
    },
    store,
    radio: createBleRadio({ clock: realClock, adapter: "hci0" }),
    runVisit,
    runPairing,
    transport: createMqttTransport({
      url: `mqtt://127.0.0.1:${upstreamPort}`,
      site: "maple-court",
      gateway: gatewayId,
      username: gatewayId,
      passwordFile,
    }),
    clock: realClock,
    random: { bytes: (length) => random.bytes(length), fraction: () => random.next() },
    log: memoryLog([]),
    courierPrivateKey,
    backoff: { firstMs: 50, capMs: 500 },
    schedule: { automatic: false },
    healthIntervalMs: 60_000,
    onFatal: (error) => {
      throw error;
    },
  });
  await gateway.load();
  const broker = await openAedesBroker({ site: "maple-court", port: brokerPort }, gateway.intake);
  const http = await openHttpServer(agentPort, { gateway, store, clock: realClock });
  gateway.start(broker);
  const close = async (): Promise<void> => {
    await gateway.stop();
    await http.close();
    await broker.close();
  };
  return { gateway, broker, close };
}

/** Every fastify server says that it is made before it has a route; from then on it tells each one. */
function recordRoutes() {
  let routes: Route[] = [];
  const listen = (message: unknown): void => {
    const { fastify } = message as { readonly fastify: FastifyInstance };
    fastify.addHook("onRoute", ({ method, url }) => {
      for (const one of [method].flat()) if (one !== "HEAD") routes.push({ method: one, path: url });
    });
  };
  subscribe("fastify.initialization", listen);
  return {
    taken: (): readonly Route[] => {
      const taken = routes;
      routes = [];
      return taken;
    },
    stop: () => unsubscribe("fastify.initialization", listen),
  };
}

const worldSchema = z.object({ devices: z.array(z.object({ id: z.string(), bolt: z.enum(["locked", "unlocked"]) })) });
const logSchema = z.object({ events: z.array(z.object({ kind: z.string() })) });

async function readDoors(siteUrl: string): Promise<DoorState> {
  const { devices } = worldSchema.parse(await (await fetch(`${siteUrl}/api/world`)).json());
  const logs = await Promise.all(
    devices.map(async ({ id }) => logSchema.parse(await (await fetch(`${siteUrl}/api/devices/${id}/log`)).json())),
  );
  const grants = logs.flatMap(({ events }) => events).filter(({ kind }) => kind === "access-granted").length;
  return { open: devices.filter(({ bolt }) => bolt !== "locked").map(({ id }) => id), grants };
}
