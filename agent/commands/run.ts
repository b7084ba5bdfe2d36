/**
 * `doorlink run`: the composition root of the resident agent. Only here are the real clock, disk, radio and brokers made.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { type DeviceId, monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import type { FloorTable } from "../../protocol/firmware/floor-table.ts";
import { findCertificates } from "../attention/certificates.ts";
import { SETTLED_MS, settle } from "../base/settle.ts";
import { keepPacketNumbersUnmade } from "../base/small-packets.ts";
import { useSystemBus } from "../ble/bus-address.ts";
import { createRadioOnDemand, runPairingOnDemand, runVisitOnDemand } from "../ble/on-demand.ts";
import { openAedesBroker } from "../broker/aedes-broker.ts";
import { type ExternalBrokerOptions, openExternalBroker } from "../broker/external-broker.ts";
import type { ExternalBrokerConfig } from "../broker/external-broker-schema.ts";
import { createMqttBrokerTransport } from "../broker/mqtt-broker-transport.ts";
import type { Config } from "../config.ts";
import { describeConfigFault } from "../config-text.ts";
import { loadCourierKey } from "../courier-key.ts";
import { type EnrolmentRoom, openEnrolmentRoom } from "../enrolment/enrolment-room.ts";
import { openTimeRoom, type TimeRoom } from "../enrolment/time-room.ts";
import { describeTableFault, loadFloorTable } from "../firmware-table.ts";
import { Gateway, type GatewayOptions } from "../gateway.ts";
import type { Described } from "../http/describe.ts";
import { HttpError, openHttpServer } from "../http/listen.ts";
import { RecentLog, redactedFacts } from "../machine/recent-log.ts";
import { SelfCare } from "../machine/self-care.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import { BrokerError } from "../ports/site-broker.ts";
import { type Store, StoreError } from "../ports/store.ts";
import { Reload } from "../reload.ts";
import { thisBoot } from "../remote/machine-boot.ts";
import type { RemoteOptions } from "../remote/remote.ts";
import { loadRemoteSettings, overlayOf, RemoteSettings } from "../remote/remote-settings.ts";
import { Settings } from "../settings.ts";
import { nextBootCount } from "../store/boot-count.ts";
import { StoreCare } from "../store/store-care.ts";
import { timePublicKeyOf } from "../sync/site-time.ts";
import { createMqttTransport } from "../upstream/mqtt-transport.ts";
import { createSeveralUrls, type UpstreamWay } from "../upstream/several-urls.ts";
import { upstreamUrls } from "../upstream/upstream-config.ts";
import type { EarlyStart } from "./early-start.ts";
import { exitCodes } from "./exit-codes.ts";
import { packageVersion } from "./package-version.ts";

/** Runs until a signal ends it. Gives the exit code; every expected failure is one clear line on stderr. */
export async function runAgent(configPath: string, early: EarlyStart): Promise<number> {
  const { config } = early;
  if (!config.ok) {
    process.stderr.write(describeConfigFault(configPath, config.fault));
    return exitCodes.usage;
  }
  const { busAddress } = config.value.bluetooth;
  const bus = busAddress === undefined ? undefined : useSystemBus(busAddress);
  if (bus?.ok === false) {
    process.stderr.write(`doorlink: ${configPath}: bluetooth.busAddress: expected unix:path=/absolute/path\n`);
    await early.abandon();
    return exitCodes.usage;
  }
  const floors = await loadFloorTable(config.value.firmware.tableFile);
  if (!floors.ok) {
    process.stderr.write(describeTableFault(String(config.value.firmware.tableFile), floors.fault));
    await early.abandon();
    return exitCodes.usage;
  }
  try {
    return await runConfigured({ config: config.value, configPath, floors: floors.value, early });
  } catch (error) {
    const expected = error instanceof StoreError || error instanceof BrokerError || error instanceof HttpError;
    if (!expected) throw error;
    process.stderr.write(`doorlink: ${error.message}\n`);
    return exitCodes.environment;
  }
}

async function runConfigured({
  config,
  configPath,
  floors,
  early,
}: {
  readonly config: Config;
  readonly configPath: string;
  readonly floors: FloorTable;
  readonly early: EarlyStart;
}): Promise<number> {
  keepPacketNumbersUnmade();
  const ended = Promise.withResolvers<number>();
  const recentLog = new RecentLog(pino.destination({ dest: 2, sync: true }));
  const log = pino({ level: config.log.level, redact: redactedFacts }, recentLog);
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
  let reload: Reload | undefined;
  // On a terminal a hang-up means that nobody is there any more; without one it is the word to read the configuration again.
  const onHangUp = (): void => (process.stdout.isTTY ? onSignal() : void reload?.reload());
  process.once("SIGTERM", onSignal);
  process.once("SIGINT", onSignal);
  process.on("SIGHUP", onHangUp);
  const closers: (() => Promise<void>)[] = [];
  try {
    const store = await early.openStore(onFatal, (setAside) =>
      log.error({ ...setAside }, "the database is damaged: it was put aside, a new one begun"),
    );
    closers.unshift(() => store.close());
    const fromAfar = await loadRemoteSettings(store, config.gateway);
    const settings = new Settings(config, overlayOf(fromAfar, config.remote.settings));
    log.level = settings.current().log.level;
    const storeCare = makeStoreCare(settings, store, log, onFatal);
    closers.unshift(async () => storeCare.stop());
    const time = await openTimeRoom({ ...root, config, store, onFatal });
    closers.unshift(async () => time.close());
    const care = makeSelfCare(settings, store, log, time);
    const remote: RemoteOptions = {
      boot: thisBoot(),
      settings: new RemoteSettings({ gateway: config.gateway, store, log, settings, held: fromAfar }),
      commandsAllowed: () => settings.current().remote.commands,
      reload: async () => {
        await reload?.reload();
        const { waiting = [], mistakes = [] } = reload?.status() ?? {};
        return { waiting: waiting.slice(0, 64), mistakes: mistakes.length };
      },
    };
    const gateway = await makeGateway({ settings, store, log, care, floors, remote, onFatal });
    const { external } = config.broker;
    const enrolment = await openEnrolmentRoom({ ...root, config, gateway, store, log, time });
    closers.unshift(async () => enrolment.close());
    const broker =
      external === undefined
        ? await openAedesBroker({ site: config.site, port: config.broker.port, ...enrolment.broker }, gateway.intake)
        : openExternalBroker(externalOptions(config, external, enrolment, log), gateway.intake);
    closers.unshift(() => broker.close());
    const reloading = await watchSettings({ settings, configPath, log, gateway });
    reload = reloading;
    const described: Described = {
      gateway,
      store,
      clock: systemClock,
      reload: () => reloading.status(),
      logViews: () => settings.current().people.views,
      check: () => care.check(),
      recentLog: () => recentLog.lines(),
      furtherAlerts: () => findCertificates(enrolment.desk.enrolments, gateway.table.devices()),
      enrolment: external === undefined ? enrolment.desk : undefined,
    };
    const http = await openHttpServer(config.http.port, described);
    closers.unshift(() => http.close());
    gateway.start(broker);
    closers.unshift(() => gateway.stop());
    if (config.homeAssistant !== undefined) {
      const { startHomeAssistant } = await import("./run-home-assistant.ts");
      const home = startHomeAssistant(config, config.homeAssistant, described, { random: systemRandom, log });
      closers.unshift(() => home.stop());
    }
    const urls = {
      http: `http://127.0.0.1:${http.port}`,
      mqtt: broker.linkState()?.url ?? enrolment.url(broker.port),
    };
    process.stdout.write(
      `${JSON.stringify({ ready: "agent", gateway: config.gateway, site: config.site, ...urls })}\n`,
    );
    systemClock.after(SETTLED_MS, settle);
    closers.unshift(() => care.end());
    await care.begin(broker, () => statusLine(gateway));
    return await ended.promise;
  } finally {
    process.removeListener("SIGTERM", onSignal);
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGHUP", onHangUp);
    // A store that failed cannot be closed in order any more, and that was said already.
    for (const close of closers) await close().catch((error: unknown) => log.warn({ fault: String(error) }, "close"));
  }
}

/** What changes while the agent runs, and on whose word: the file's, read again on SIGHUP. SPEC G50. */
async function watchSettings({
  settings,
  configPath,
  log,
  gateway,
}: {
  readonly settings: Settings;
  readonly configPath: string;
  readonly log: Logger;
  readonly gateway: Gateway;
}): Promise<Reload> {
  // Looked at whenever they are needed: `liveRules`.
  for (const path of ["health", "sync", "upstream.reconnect", "upstream.backlogEventsPerSecond", "people"] as const)
    settings.watch(path, () => undefined);
  settings.watch("log.level", (now) => {
    log.level = now.log.level;
  });
  const reconnect = (): void => gateway.upstream.reconnect();
  for (const path of linkSettings) settings.watch(path, reconnect);
  return Reload.create({ configPath, settings, log, nowMs: systemClock.nowMs, onSecretsChanged: reconnect });
}

/** What `upstreamWays` goes by. */
const linkSettings = [
  "upstream.url",
  "upstream.urls",
  "upstream.username",
  "upstream.passwordFile",
  "upstream.caFile",
  "upstream.certificateFile",
  "upstream.keyFile",
] as const;

function externalOptions(
  config: Config,
  external: ExternalBrokerConfig,
  { desk }: EnrolmentRoom,
  log: Log,
): ExternalBrokerOptions {
  const { site, gateway } = config;
  const { reconnect: backoff, ...where } = external;
  // MQTT 3.1.1 part 3.1.2.9: no password without a user name.
  const login = where.passwordFile === undefined ? {} : { username: where.username ?? gateway };
  const transport = createMqttBrokerTransport({ ...where, ...login, clientId: gateway });
  const isRevoked = (device: DeviceId): boolean => desk.enrolments.isRevoked(device);
  return { site, gateway, transport, backoff, isRevoked, clock: systemClock, random: systemRandom, log };
}

/** It begins with the agent's work; what it keeps is asked for at each round. */
function makeStoreCare(settings: Settings, store: Store, log: Log, onFailure: (error: unknown) => void): StoreCare {
  settings.watch("store.retentionDays", () => undefined);
  const keepMs = (): number => settings.current().store.retentionDays * DAY_MS;
  const care = new StoreCare({ store, log, clock: systemClock, keepMs, onFailure });
  care.start();
  return care;
}

function makeSelfCare(settings: Settings, store: Store, log: Log, { now }: TimeRoom): SelfCare {
  const { gateway, stateDir } = settings.current();
  return new SelfCare({
    ...{ gateway, stateDir, store, log, clock: systemClock, environment: process.env },
    // Made anew for each connection, because where to and with what password may change while the agent runs.
    transport: createSeveralUrls(() => upstreamWays(settings.current(), now)),
    rules: {
      backoffCapMs: () => settings.current().upstream.reconnect.capMs,
      announceMs: () => settings.current().health.intervalSeconds * 1000,
    },
  });
}

async function makeGateway({
  settings,
  store,
  log,
  care,
  floors,
  remote,
  onFatal,
}: {
  readonly settings: Settings;
  readonly store: Store;
  readonly log: Log;
  readonly care: SelfCare;
  readonly floors: FloorTable;
  readonly remote: RemoteOptions;
  readonly onFatal: (error: unknown) => void;
}): Promise<Gateway> {
  const { site, gateway: id, bluetooth, stateDir } = settings.current();
  const courierPrivateKey = await loadCourierKey(stateDir, systemRandom);
  const gateway = new Gateway({
    self: {
      site,
      gateway: id,
      version: await packageVersion(),
      bootCount: await nextBootCount(store, id, join(stateDir, "boot-count")),
      courierPublicKey: x25519PublicKey(courierPrivateKey),
      timePublicKey: timePublicKeyOf(courierPrivateKey),
      startedAtMs: systemClock.nowMs(),
    },
    store,
    radio: createRadioOnDemand({
      clock: systemClock,
      ...(bluetooth.adapter === undefined ? {} : { adapter: bluetooth.adapter }),
    }),
    runVisit: runVisitOnDemand,
    runPairing: runPairingOnDemand,
    transport: care.transport,
    selfSource: care.source,
    floors,
    remote,
    clock: systemClock,
    random: systemRandom,
    log,
    courierPrivateKey,
    ...liveRules(settings),
    get healthIntervalMs() {
      return settings.current().health.intervalSeconds * 1000;
    },
    onFatal,
  });
  await gateway.load();
  return gateway;
}

function upstreamWays({ site, gateway, upstream }: Config, now: TimeRoom["now"]): readonly UpstreamWay[] {
  const { username = gateway, passwordFile, caFile, certificateFile, keyFile } = upstream;
  const login = { site, gateway, username, passwordFile, caFile, certificateFile, keyFile, now };
  return upstreamUrls(upstream).map((url) => ({ url, transport: createMqttTransport({ url, ...login }) }));
}

/** Each says at each look what holds now. */
function liveRules(settings: Settings): Pick<GatewayOptions, "backoff" | "backlogEventsPerSecond" | "schedule"> {
  const now = (): Config => settings.current();
  return {
    backlogEventsPerSecond: () => {
      const { backlogEventsPerSecond: perSecond } = now().upstream;
      return perSecond === "unlimited" ? Number.POSITIVE_INFINITY : perSecond;
    },
    backoff: {
      get firstMs() {
        return now().upstream.reconnect.firstMs;
      },
      get capMs() {
        return now().upstream.reconnect.capMs;
      },
    },
    schedule: {
      get automatic() {
        return now().sync.automatic;
      },
    },
  };
}

/** What `systemctl status` shows. */
function statusLine({ table, upstream }: Gateway): string {
  const { connected } = upstream.status();
  return `${table.devices().length} devices, ${connected ? "linked upstream" : "no link upstream"}`;
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

const root = { clock: systemClock, random: systemRandom };

const DAY_MS = 24 * 3_600_000;
/** A stop takes at most 2 s. */
const STOP_LIMIT_MS = 1_800;
