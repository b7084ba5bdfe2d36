/**
 * `doorlink run`: the composition root of the resident agent. Only here are the real clock, disk, radio and brokers made.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { formatMistake } from "../../protocol/site/document.ts";
import { useSystemBus } from "../ble/bus-address.ts";
import { createBleRadio } from "../ble/central.ts";
import { runPairing } from "../ble/pairing-visit.ts";
import { runVisit } from "../ble/visit.ts";
import { openAedesBroker } from "../broker/aedes-broker.ts";
import { type Config, type ConfigFault, loadConfig } from "../config.ts";
import { loadCourierKey } from "../courier-key.ts";
import { Gateway } from "../gateway.ts";
import { HttpError, openHttpServer } from "../http/server.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import { BrokerError } from "../ports/site-broker.ts";
import { type Store, StoreError } from "../ports/store.ts";
import { nextBootCount } from "../store/boot-count.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { timePublicKeyOf } from "../sync/site-time.ts";
import { createMqttTransport } from "../upstream/mqtt-transport.ts";
import { exitCodes } from "./exit-codes.ts";
import { packageVersion } from "./package-version.ts";

/** Runs until a signal ends it. Gives the exit code; every expected failure is one clear line on stderr. */
export async function runAgent(configPath: string): Promise<number> {
  const config = await loadConfig(configPath);
  if (!config.ok) {
    process.stderr.write(describeConfigFault(configPath, config.fault));
    return exitCodes.usage;
  }
  const { busAddress } = config.value.bluetooth;
  const bus = busAddress === undefined ? undefined : useSystemBus(busAddress);
  if (bus?.ok === false) {
    process.stderr.write(`doorlink: ${configPath}: bluetooth.busAddress: expected unix:path=/absolute/path\n`);
    return exitCodes.usage;
  }
  try {
    return await runConfigured(config.value);
  } catch (error) {
    const expected = error instanceof StoreError || error instanceof BrokerError || error instanceof HttpError;
    if (!expected) throw error;
    process.stderr.write(`doorlink: ${error.message}\n`);
    return exitCodes.environment;
  }
}

async function runConfigured(config: Config): Promise<number> {
  // Who lives here and when they come home is in the state directory: nobody else on this machine reads it.
  process.umask(0o077);
  const ended = Promise.withResolvers<number>();
  const log = pino({ level: config.log.level }, pino.destination({ dest: 2, sync: true }));
  const onFatal = (error: unknown): void => {
    log.error({ fault: error instanceof Error ? error.message : String(error) }, "cannot go on");
    ended.resolve(exitCodes.environment);
  };
  const onSignal = (): void => {
    log.info({}, "stopping");
    // A peer that does not let go must not keep the process: what counts is on disk already.
    setTimeout(() => process.exit(exitCodes.fine), STOP_LIMIT_MS).unref();
    ended.resolve(exitCodes.fine);
  };
  process.once("SIGTERM", onSignal);
  process.once("SIGINT", onSignal);
  const closers: (() => Promise<void>)[] = [];
  try {
    await makeFolder(config.stateDir);
    const store = await openSqliteStore(join(config.stateDir, "agent.db"), onFatal);
    closers.unshift(() => store.close());
    const gateway = await makeGateway(config, store, log, onFatal);
    const broker = await openAedesBroker({ site: config.site, port: config.broker.port }, gateway.intake);
    closers.unshift(() => broker.close());
    const http = await openHttpServer(config.http.port, { gateway, store, clock: systemClock });
    closers.unshift(() => http.close());
    gateway.start(broker);
    closers.unshift(() => gateway.stop());
    const urls = { http: `http://127.0.0.1:${http.port}`, mqtt: `mqtt://127.0.0.1:${broker.port}` };
    process.stdout.write(
      `${JSON.stringify({ ready: "agent", gateway: config.gateway, site: config.site, ...urls })}\n`,
    );
    return await ended.promise;
  } finally {
    process.removeListener("SIGTERM", onSignal);
    process.removeListener("SIGINT", onSignal);
    // A store that failed cannot be closed in order any more, and that was said already.
    for (const close of closers) await close().catch((error: unknown) => log.warn({ fault: String(error) }, "close"));
  }
}

async function makeGateway(
  config: Config,
  store: Store,
  log: Log,
  onFatal: (error: unknown) => void,
): Promise<Gateway> {
  const { site, gateway: id, upstream, bluetooth } = config;
  const courierPrivateKey = await loadCourierKey(config.stateDir, systemRandom);
  const gateway = new Gateway({
    self: {
      site,
      gateway: id,
      version: await packageVersion(),
      bootCount: await nextBootCount(store, id),
      courierPublicKey: x25519PublicKey(courierPrivateKey),
      timePublicKey: timePublicKeyOf(courierPrivateKey),
      startedAtMs: systemClock.nowMs(),
    },
    store,
    radio: createBleRadio({
      clock: systemClock,
      ...(bluetooth.adapter === undefined ? {} : { adapter: bluetooth.adapter }),
    }),
    runVisit,
    runPairing,
    transport: createMqttTransport({
      url: upstream.url,
      site,
      gateway: id,
      username: upstream.username ?? id,
      ...(upstream.passwordFile === undefined ? {} : { passwordFile: upstream.passwordFile }),
    }),
    clock: systemClock,
    random: systemRandom,
    log,
    courierPrivateKey,
    backoff: upstream.reconnect,
    schedule: config.sync,
    healthIntervalMs: config.health.intervalSeconds * 1000,
    onFatal,
  });
  await gateway.load();
  return gateway;
}

const systemClock: Clock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => randomBytes(4).readUInt32BE() / 2 ** 32,
};

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StoreError("unavailable", `cannot make the state directory ${path}`, { cause });
  }
}

function describeConfigFault(path: string, fault: ConfigFault): string {
  if (fault.code === "config-unreadable") {
    const { what, way } = unreadable.get(fault.reason) ?? { what: `cannot be read (${fault.reason})`, way: undefined };
    return `doorlink: the configuration ${path} ${what}${way === undefined ? "" : `: ${way}`}\n`;
  }
  const lines = fault.mistakes.map((mistake) => `  ${formatMistake(mistake)}\n`);
  return `doorlink: ${path} has ${lines.length} mistake${lines.length === 1 ? "" : "s"}:\n${lines.join("")}`;
}

/** By the system's word for it. */
const unreadable: ReadonlyMap<string, { readonly what: string; readonly way: string }> = new Map([
  [
    "ENOENT",
    {
      what: "is not there",
      way: "name the file that is, with run --config FILE, or write it: it needs site, gateway, stateDir and upstream.url",
    },
  ],
  ["EACCES", { what: "may not be read by this user", way: "give it to the user that the agent runs as" }],
  ["EISDIR", { what: "is a folder", way: "name the file in it" }],
]);

/** A stop takes at most 2 s. */
const STOP_LIMIT_MS = 1_800;
