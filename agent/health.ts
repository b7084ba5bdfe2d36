/**
 * What the gateway makes of a device's words: is it there, what does its firmware say, what goes upstream about it.
 * Nothing is guessed: what is not known is null, and everything known carries its age. Rows 84-89 and 131.
 */
import type { UnixSeconds } from "../protocol/base/units.ts";
import { type FloorTable, floorIn, type GateJudgement, judgeGates } from "../protocol/firmware/floor-table.ts";
import { type ModelName, modelNames } from "../protocol/firmware/models.ts";
import { type FirmwareJudgement, judgeFirmware, reportsReason } from "../protocol/firmware/version.ts";
import type { DeviceEvent } from "../protocol/wire/messages/event.ts";
import type { ExposureWord, FaultWord, Health, SignalWord, SyncWord } from "../protocol/wire/messages/health.ts";
import type { DeviceState } from "../protocol/wire/messages/state.ts";
import { type DeviceWords, emptyHealth, type SiteDevice } from "./devices.ts";

/** Beside a device's own words, what this gateway makes of its door sync; null: it is not visited. */
export interface WithSync {
  readonly sync: SyncWord | null;
}

/** All that this gateway adds to a device's own words. SPEC G7, G30. */
export interface GatewayWords extends WithSync {
  readonly firmware: FirmwareFindings;
  /** Of a lock on the air; null: not heard since the start, or not one that is heard. */
  readonly signal: SignalWord | null;
  /** Null: the device holds no policy. */
  readonly exposure: ExposureWord | null;
  readonly lastFault: FaultWord | null;
}

export interface FirmwareFindings {
  /** Undefined for a model that this version of doorlink has no line for. */
  readonly judged: FirmwareJudgement | undefined;
  readonly gates: readonly GateJudgement[];
}

/** A firmware's verdict; undefined for a model that this version of doorlink has no line for. */
export function judgeDevice(device: SiteDevice, words: DeviceWords, floors: FloorTable): FirmwareJudgement | undefined {
  const model = modelOf(device);
  return model === undefined ? undefined : judgeFirmware(model, versionOf(words), floorIn(floors, model));
}

/** The verdict, and what this firmware can do. SPEC F3, F6. */
export function findFirmware(device: SiteDevice, words: DeviceWords, floors: FloorTable): FirmwareFindings {
  const model = modelOf(device);
  return {
    judged: judgeDevice(device, words, floors),
    gates: model === undefined ? [] : judgeGates(floors, model, versionOf(words)),
  };
}

function modelOf({ model }: SiteDevice): ModelName | undefined {
  return modelNames.find((name) => name === model);
}

function versionOf(words: DeviceWords): string | undefined {
  return words.health?.firmware?.version;
}

/** The health that goes upstream: the device's own words, this gateway's verdict and what it alone can say. SPEC G7, G30, M17. */
export function healthUpstream(device: SiteDevice, words: DeviceWords & GatewayWords, now: UnixSeconds): Health {
  // How its sync stands, whom it still lets in and what a gateway measures of itself is not for a device to say.
  const {
    sync: _sync,
    exposure: _exposure,
    lastFault: _fault,
    gateway: _gateway,
    firmwareGates: _gates,
    ...health
  } = words.health ?? emptyHealth(device.id, now);
  const { sync, exposure, lastFault, firmware } = words;
  return {
    ...health,
    firmwareVerdict: firmware.judged?.verdict ?? "unknown",
    ...(firmware.gates.length === 0 ? {} : { firmwareGates: firmware.gates.map(withoutSource) }),
    signal: words.signal ?? health.signal ?? null,
    lastFault,
    ...(sync === null ? {} : { sync }),
    ...(exposure === null ? {} : { exposure }),
    at: now,
  };
}

/**
 * Is the device there? A networked one is while it is connected and not silent; a lock that is visited is when it was heard, on the air
 * or in a visit; a passive panel never speaks, so it is never online. SPEC G6.
 */
export function stateUpstream(device: SiteDevice, words: DeviceWords & WithSync, now: UnixSeconds): DeviceState {
  const heardAt = heardAtOf(words);
  return { v: 1, device: device.id, online: isOnline(device, words, now), heardAt };
}

function withoutSource({ capability, verdict, version }: GateJudgement): Omit<GateJudgement, "source"> {
  return { capability, verdict, version };
}

function isOnline(device: SiteDevice, words: DeviceWords & WithSync, now: UnixSeconds): boolean {
  const heardAt = heardAtOf(words);
  if (heardAt === null || device.network === "passive") return false;
  if (device.network === "mqtt") return words.state?.online === true && now - heardAt <= POWERED_SILENCE_SECONDS;
  return now - heardAt <= BATTERY_SILENCE_SECONDS;
}

function heardAtOf({ sync, state }: DeviceWords & WithSync): UnixSeconds | null {
  return sync === null ? (state?.heardAt ?? null) : sync.heardAt;
}

/**
 * Row 89: a denial without a reason says why it has none, if the firmware is one that reports none. Upstream never guesses, and
 * neither does this: a reason is never made up.
 */
export function withReasonAbsent(event: DeviceEvent, judgement: FirmwareJudgement | undefined): DeviceEvent {
  if (event.kind !== "access-denied" || event.reason !== undefined || event.reasonAbsent !== undefined) return event;
  if (judgement === undefined || reportsReason(judgement) === "reported") return event;
  return { ...event, reasonAbsent: "not reported by this firmware" };
}

/** A powered device says something at least every 5 minutes. */
export const POWERED_SILENCE_SECONDS = 10 * 60;
/** A battery device is heard at least once a day, and an hour more. */
export const BATTERY_SILENCE_SECONDS = 25 * 3600;
