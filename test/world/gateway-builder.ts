/** A gateway in memory: stepped clock, memory store and link, scripted radio and visits. Options that matter to a test are said by it. */
import type { DeviceTable } from "../../agent/devices.ts";
import { Gateway } from "../../agent/gateway.ts";
import type { SelfSource } from "../../agent/machine/self-facts.ts";
import type { Log } from "../../agent/ports/log.ts";
import type { RunPairing } from "../../agent/ports/pairing.ts";
import { type Radio, RadioError, type Sighting } from "../../agent/ports/radio.ts";
import type { SiteBroker } from "../../agent/ports/site-broker.ts";
import type { RunVisit, VisitOptions, VisitOutcome } from "../../agent/ports/visit.ts";
import type { RemoteOptions } from "../../agent/remote/remote.ts";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { encodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import { makeDeviceLogin } from "../../protocol/wire/device-login.ts";
import type { UrgentReason } from "../../protocol/wire/messages/desired.ts";
import { MemoryStore } from "./memory-store.ts";
import { MemoryUpstream } from "./memory-upstream.ts";
import { SteppedClock } from "./stepped-clock.ts";

export const site = "maple-court";
export const gatewayId = "gateway-main" as DeviceId;
export const lockId = "lock-c1" as DeviceId;
/** Of every panel here. */
export const panelPassword = "what enrolment gave the panel";
export const lockAddress = "C0:FF:EE:00:00:01";

export class MemoryBroker implements SiteBroker {
  readonly port = 0;
  readonly sent: { readonly device: DeviceId; readonly channel: string; readonly payload: string }[] = [];
  readonly disconnected: DeviceId[] = [];
  devices: DeviceId[] = [];

  publish(topic: Parameters<SiteBroker["publish"]>[0], payload: string): void {
    this.sent.push({ device: topic.device, channel: topic.channel, payload });
  }

  /** The desired documents that went to a device. */
  orders(device: string): readonly string[] {
    return this.sent.filter((sent) => sent.device === device && sent.channel === "desired").map((sent) => sent.payload);
  }

  disconnect(device: DeviceId): void {
    this.disconnected.push(device);
  }

  connected(): readonly DeviceId[] {
    return this.devices;
  }

  linkState(): null {
    return null;
  }

  async close(): Promise<void> {
    this.devices = [];
  }
}

/** Hears what a test puts on the air, on the gateway's own clock. */
export class ScriptedRadio implements Radio {
  sightings: Sighting[] = [];
  failing: RadioError | undefined;
  scans = 0;
  readonly #clock: SteppedClock;

  constructor(clock: SteppedClock) {
    this.#clock = clock;
  }

  async scan(options: Parameters<Radio["scan"]>[0]): Promise<readonly Sighting[]> {
    this.scans += 1;
    if (this.failing !== undefined) throw this.failing;
    if (options.enough?.(this.sightings) === true) return this.sightings;
    await new Promise<void>((resolve) => {
      this.#clock.after(options.durationMs, resolve);
      options.signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    return this.sightings;
  }

  async connect(): Promise<never> {
    throw new RadioError("not-found", "connect");
  }

  async close(): Promise<void> {
    this.failing = new RadioError("closed", "close");
  }
}

export interface GatewayWorld {
  readonly gateway: Gateway;
  readonly clock: SteppedClock;
  readonly store: MemoryStore;
  readonly upstream: MemoryUpstream;
  readonly radio: ScriptedRadio;
  readonly broker: MemoryBroker;
  readonly visits: VisitOptions[];
  readonly logged: { readonly level: string; readonly text: string }[];
  readonly fatal: unknown[];
  readonly table: DeviceTable;
}

export interface GatewayWorldOptions {
  readonly up?: boolean;
  readonly store?: MemoryStore;
  readonly clock?: SteppedClock;
  readonly automatic?: boolean;
  readonly runVisit?: RunVisit;
  readonly runPairing?: RunPairing;
  readonly selfSource?: SelfSource;
  readonly remote?: RemoteOptions;
}

/** A started gateway. */
export async function startGateway(options: GatewayWorldOptions = {}): Promise<GatewayWorld> {
  const { up = true, store = new MemoryStore(), clock = new SteppedClock(), automatic = true } = options;
  const upstream = new MemoryUpstream({ up });
  const radio = new ScriptedRadio(clock);
  const broker = new MemoryBroker();
  const visits: VisitOptions[] = [];
  const logged: { level: string; text: string }[] = [];
  const fatal: unknown[] = [];
  const runVisit = options.runVisit ?? (async () => visitOutcome({}));
  const gateway = new Gateway({
    self: {
      site,
      gateway: gatewayId,
      version: "0.1.0",
      bootCount: 1,
      courierPublicKey: new Uint8Array(32).fill(7),
      timePublicKey: new Uint8Array(32).fill(8),
      startedAtMs: clock.nowMs(),
    },
    store,
    radio,
    runPairing: options.runPairing ?? (async () => ({ ok: false, fault: { code: "not-found" } })),
    runVisit: (visit) => {
      visits.push(visit);
      return runVisit(visit);
    },
    transport: upstream,
    clock,
    random: { bytes: countingBytes(), fraction: () => 0.5 },
    log: memoryLog(logged),
    courierPrivateKey: new Uint8Array(32).fill(3),
    backoff: { firstMs: 500, capMs: 60_000 },
    schedule: { automatic },
    healthIntervalMs: 60_000,
    ...(options.remote === undefined ? {} : { remote: options.remote }),
    onFatal: (error) => fatal.push(error),
    ...(options.selfSource === undefined ? {} : { selfSource: options.selfSource }),
  });
  await gateway.load();
  gateway.start(broker);
  await clock.advance(0);
  return { gateway, clock, store, upstream, radio, broker, visits, logged, fatal, table: gateway.table };
}

/** The authority's word on the site, in its wire form. */
export function gatewayDesired(
  options: { readonly devices?: readonly object[]; readonly certified?: boolean; readonly revision?: number } = {},
) {
  const { devices = [bleLock(), panel(), twin()], certified = true, revision = 1 } = options;
  return {
    v: 1,
    kind: "gateway",
    revision,
    site: { id: site, name: "Maple Court", timeZone: "America/New_York" },
    courierCertificate: certified ? blob(1) : null,
    devices,
    people: [
      { id: "alice", name: "Alice Ames" },
      { id: "bob", name: "Bob Boone", role: "NON_RESIDENT" },
    ],
  };
}

export function bleLock(options: { readonly id?: string; readonly address?: string } = {}) {
  const { id = lockId, address = lockAddress } = options;
  return {
    id,
    model: "C1",
    network: "ble",
    door: "unit-1a",
    doorName: "1A",
    doorKind: "RESIDENCE",
    doorUnit: "unit-1a",
    address,
    staticPublicKey: base64Of(32, 9),
    pairingId: base64Of(16, 5),
  };
}

export function panel(options: { readonly id?: string; readonly model?: string } = {}) {
  const { id = "panel-r20", model = "R20" } = options;
  const { salt, hash } = makeDeviceLogin(new Uint8Array(16).fill(6), panelPassword);
  const login = { salt: bytesToBase64(salt), hash: bytesToBase64(hash) };
  return { id, model, network: "mqtt", door: "gate", doorName: "Gate", doorKind: "ENTRANCE", login };
}

export function twin() {
  return {
    id: "lobby-link",
    model: "DOOR Link",
    network: "passive",
    door: "lobby",
    doorName: "Lobby",
    doorKind: "COMMUNAL",
  };
}

export function lockDesired(options: {
  readonly version: number;
  readonly epoch?: number;
  readonly device?: string;
  readonly revision?: number;
  readonly revocations?: readonly {
    readonly person: string;
    readonly since: number;
    readonly version: number;
    readonly what?: "revoked" | "signed-out";
  }[];
  readonly urgent?: UrgentReason | null;
  readonly visitBy?: number | null;
}) {
  const { version, epoch = 1, device = lockId, revision = version, revocations = [] } = options;
  const { urgent = null, visitBy = null } = options;
  return {
    v: 1,
    kind: "lock",
    revision,
    device,
    policy: { epoch, version },
    urgent,
    visitBy,
    keyset: { epoch, blob: blob(3) },
    bundles: [{ from: 0, manifest: blob(2), bytes: base64Of(64, 4) }],
    release: null,
    revocations: revocations.map((revocation) => ({ epoch, ...revocation })),
  };
}

/** What a networked device is to hold, shaped as the wire wants it. */
export function deviceDesired(options: Parameters<typeof lockDesired>[0]) {
  const { v, revision, device, policy, revocations } = lockDesired({ device: "panel-r20", ...options });
  return { v, kind: "device", revision, device, policy, manifest: blob(2), bundle: base64Of(64, 4), revocations };
}

/** What a networked device says it holds; whether the MAC is right is its authority's business. */
export function deviceReported(device: string, version: number) {
  const policy = { epoch: 1, version };
  const words = { clock: "set", logNext: 4, report: base64Of(80, 1), mac: base64Of(32, 8), at: 1_795_000_000 };
  return { v: 1, device, policy, ...words };
}

/** A visit that went through, with the lock holding `version`. */
export function visitOutcome(options: { readonly version?: number; readonly logNext?: number }): VisitOutcome {
  const { version = 1, logNext = 1 } = options;
  return {
    ok: true,
    from: null,
    battery: { millivolts: 5_800, percent: 71 },
    firmware: "2.0.8",
    hardware: "C1-rev4",
    bootCount: 3,
    uptimeSeconds: 4_000,
    clock: { oldMs: 1_000, newMs: 91_000, written: true },
    logEntries: 0,
    deltaRefused: null,
    durationMs: 900,
    bytes: 4_096,
    reported: {
      policy: { epoch: 1, version },
      clock: "set",
      logNext,
      report: new Uint8Array([1, 2, 3]),
      mac: new Uint8Array(32).fill(8),
    },
  };
}

export function sighting(options: { readonly version?: number; readonly wantsSync?: boolean } = {}): Sighting {
  const { version = 1, wantsSync = false } = options;
  const advertisement = encodeAdvertisement({
    wantsSync,
    clockNotSet: false,
    batteryLow: false,
    tamper: false,
    versionBits: version,
    logHeadBits: 0,
  });
  if (!advertisement.ok) throw new Error(advertisement.fault.code);
  return { address: lockAddress, name: undefined, rssi: -60, advertisement: advertisement.value };
}

/** Everything the gateway is told at first: the site, and a policy for its lock. */
export async function tellSite(
  world: GatewayWorld,
  lock: Parameters<typeof lockDesired>[0] = { version: 1 },
): Promise<void> {
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired());
  world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired(lock));
  await world.clock.advance(0);
}

export function base64Of(length: number, fill: number): string {
  return bytesToBase64(new Uint8Array(length).fill(fill));
}

export function memoryLog(logged: { level: string; text: string }[]): Log {
  const at =
    (level: string) =>
    (facts: object, message: string): void => {
      logged.push({ level, text: `${message} ${JSON.stringify(facts)}` });
    };
  return { info: at("info"), warn: at("warn"), error: at("error") };
}

function blob(fill: number) {
  return { bytes: base64Of(40, fill), signature: base64Of(64, fill) };
}

function countingBytes(): (length: number) => Uint8Array {
  let count = 0;
  return (length) => {
    count += 1;
    return new Uint8Array(length).fill(count);
  };
}
