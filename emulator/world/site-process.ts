/**
 * The process of an emulated site: a private D-Bus with the emulated BlueZ, the devices of the house, the people's phones, the
 * world's API and the page. It shares nothing with the agent and the cloud but sockets and this bus.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, unixSeconds } from "../../protocol/base/units.ts";
import type { DocumentFault } from "../../protocol/site/document.ts";
import { Handsets } from "../people/handsets.ts";
import { ResidentPhone } from "../people/resident-phone.ts";
import { Visitor } from "../people/visitor.ts";
import { type FakeBluez, startFakeBluez } from "../radio/fake-bluez.ts";
import { type PrivateBus, type PrivateBusFault, startPrivateBus } from "../radio/private-bus.ts";
import { BringUpRecord, bringUp } from "./bring-up.ts";
import { realClock } from "./clock.ts";
import { buildHouse, type House, type HouseOptions } from "./house.ts";
import { EventStream } from "./http/event-stream.ts";
import { createWorldServer } from "./http/server.ts";
import { seededRandom } from "./random.ts";
import { readSiteFile } from "./site-file.ts";
import { deviceSnapshot, type SnapshotParts } from "./snapshot.ts";
import { Walls } from "./walls.ts";
import { WorldLog } from "./world-log.ts";

export interface SiteProcessOptions {
  readonly siteText: string;
  readonly httpPort: number;
  readonly cloudUrl: string;
  readonly agentMqtt: string;
  readonly agentHttp: string | undefined;
  readonly busFolder: string;
  readonly stateFolder: string;
  readonly seed: number;
  readonly logger: Pick<Logger, "warn" | "error">;
}

export type SiteProcessFault =
  | DocumentFault
  | PrivateBusFault
  | { readonly code: "bus-not-served"; readonly reason: string }
  | { readonly code: "port-in-use"; readonly port: number }
  | { readonly code: "cannot-listen"; readonly port: number; readonly systemCode: string }
  | { readonly code: "state-not-writable"; readonly folder: string; readonly systemCode: string };

export interface SiteProcess {
  readonly url: string;
  readonly busAddress: string;
  /** True when the site is paired and on the network; false when it was stopped before. */
  readonly broughtUp: Promise<boolean>;
  /** The private bus is gone, however it came to it. */
  readonly busEnded: Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything. Faults: see the union; what was started before a fault is stopped again. */
export async function startSite(options: SiteProcessOptions): Promise<Result<SiteProcess, SiteProcessFault>> {
  const prepared = prepare(options);
  if (!prepared.ok) return prepared;
  const searchPath = process.env["PATH"];
  const bus = await startPrivateBus({
    directory: options.busFolder,
    clock: realClock,
    ...(searchPath === undefined ? {} : { searchPath }),
  });
  if (!bus.ok) return bus;
  const airRandom = seededRandom(options.seed, "air");
  const bluez = await startFakeBluez({
    busAddress: bus.value.address,
    clock: realClock,
    random: () => airRandom.next(),
  });
  if (!bluez.ok) {
    await bus.value.stop();
    return failed({ code: "bus-not-served", reason: bluez.fault.code });
  }
  const running = assemble(options, prepared.value, bus.value, bluez.value);
  const listening = await listen(running.server, options.httpPort);
  if (listening.ok) return ok(running.process(listening.value));
  await running.stop();
  return listening;
}

interface Prepared {
  readonly record: BringUpRecord;
  readonly worldSite: HouseOptions["worldSite"];
}

/** Reads the file against the time at which this world began, which the state folder remembers. */
function prepare({ siteText, stateFolder, seed }: SiteProcessOptions): Result<Prepared, SiteProcessFault> {
  const now = unixSeconds(realClock.nowMs() / 1000);
  // The file is judged before anything is written, so that a mistake in it leaves no trace.
  const judged = readSiteFile(siteText, now);
  if (!judged.ok) return judged;
  try {
    mkdirSync(stateFolder, { recursive: true });
    const record = new BringUpRecord(stateFolder, seed, now);
    const read = readSiteFile(siteText, record.start);
    return read.ok ? ok({ record, worldSite: read.value }) : read;
  } catch (error) {
    const systemCode = error instanceof Error && "code" in error ? String(error.code) : undefined;
    // Without a system code it is no trouble with the disk but a mistake of ours.
    if (systemCode === undefined) throw error;
    return failed({ code: "state-not-writable", folder: stateFolder, systemCode });
  }
}

function assemble(options: SiteProcessOptions, { record, worldSite }: Prepared, bus: PrivateBus, bluez: FakeBluez) {
  const { cloudUrl, logger, seed, stateFolder } = options;
  const stopping = new AbortController();
  const stream = new EventStream();
  let parts: SnapshotParts | undefined;
  let isUp = false;
  const log = new WorldLog(
    () => realClock.nowMs(),
    (line) => stream.send("line", line),
  );
  const onChange = (device: DeviceId): void => {
    if (parts !== undefined) stream.send("device", deviceSnapshot(parts, device));
  };
  const houseOptions: HouseOptions = {
    worldSite,
    start: record.start,
    seed,
    stateFolder: join(stateFolder, "devices"),
    brokerUrl: options.agentMqtt,
    clock: realClock,
    log,
    onChange,
  };
  const house = buildHouse(houseOptions);
  for (const lock of house.locks.values()) bluez.addPeripheral(lock.peripheral);
  const pause = (ms: number) => pauseUntil(ms, stopping.signal);
  const { signal } = stopping;
  const handsets = new Handsets({ phones: worldSite.world.phones, cloudUrl, seed, clock: realClock, signal, pause });
  const phones = makePhones(options, worldSite, handsets, () => stream.send("people", null), signal);
  const visitor = new Visitor({ seed, pause });
  const walls = new Walls(
    stateFolder,
    worldSite.site.panels.map(({ id }) => id),
  );
  parts = {
    house,
    options: houseOptions,
    handsets,
    cardKeys: (credential) => record.cardKey(credential),
    walls,
    phones,
    broughtUp: () => isUp,
  };
  const server = createWorldServer({
    ...parts,
    visitor,
    stream,
    peers: { agentHttp: options.agentHttp, cloudUrl },
    onError: (route, error) =>
      logger.error({ route, error: error instanceof Error ? error.stack : "?" }, "request failed"),
  });
  const stop = async (): Promise<void> => {
    stopping.abort();
    stream.close();
    await Promise.all([server.close(), stopHouse(house), ...[...phones.values()].map((phone) => phone.stop())]);
    bluez.close();
    await bus.stop();
  };
  const start = async (): Promise<boolean> => {
    isUp = await bringUp({
      house,
      houseOptions,
      record,
      siteText: options.siteText,
      cloudUrl,
      signal: stopping.signal,
      pause,
      onWaiting: (fault) => logger.warn({ ...fault }, "waiting for the cloud"),
    });
    if (isUp) for (const phone of phones.values()) phone.start();
    stream.send("people", null);
    return isUp;
  };
  const process = (url: string): SiteProcess => ({
    url,
    busAddress: bus.address,
    broughtUp: start(),
    busEnded: bus.ended,
    stop,
  });
  return { server, stop, process };
}

function makePhones(
  { seed, logger }: SiteProcessOptions,
  { world }: HouseOptions["worldSite"],
  handsets: Handsets,
  onChange: () => void,
  signal: AbortSignal,
): ReadonlyMap<string, ResidentPhone> {
  const phones = world.phones.map((phone) => {
    const resident = new ResidentPhone({
      phone,
      account: handsets.accountOn(phone),
      random: seededRandom(seed, `phone/${phone.id}`),
      pause: (ms) => pauseUntil(ms, signal),
      onChange,
      log: (line) => logger.warn(line, "a phone had trouble"),
    });
    return [phone.id, resident] as const;
  });
  return new Map(phones);
}

async function stopHouse({ locks, networked }: House): Promise<void> {
  for (const lock of locks.values()) lock.stop();
  await Promise.all([...networked.values()].map((device) => device.stop()));
}

async function listen(
  server: ReturnType<typeof createWorldServer>,
  port: number,
): Promise<Result<string, SiteProcessFault>> {
  try {
    return ok(await server.listen({ host: "127.0.0.1", port }));
  } catch (error) {
    const systemCode = error instanceof Error && "code" in error ? String(error.code) : "";
    if (systemCode === "EADDRINUSE") return failed({ code: "port-in-use", port });
    return failed({ code: "cannot-listen", port, systemCode });
  }
}

/** Waits `ms`, or less when the process is stopping. */
function pauseUntil(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish, { once: true });
  });
}
