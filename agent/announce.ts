/**
 * What the gateway says upstream, retained, for itself and for every device that it represents: birth, state, health, what
 * it reports that it holds, and the exposure. A passive panel is a twin: all that is ever known of it stands here (DESIGN part 1). SPEC G5-G8.
 */
import { bytesToBase64 } from "../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../protocol/base/units.ts";
import { type Birth, birthSchema } from "../protocol/wire/messages/birth.ts";
import { healthSchema } from "../protocol/wire/messages/health.ts";
import { type ExposureReport, exposureSchema } from "../protocol/wire/messages/reported.ts";
import { stateSchema } from "../protocol/wire/messages/state.ts";
import { formatPayload } from "../protocol/wire/payload.ts";
import type { Channel, Topic } from "../protocol/wire/topics.ts";
import { type DeviceWords, emptyHealth, formatReported, type SiteDevice, secondsOf } from "./devices.ts";
import { type GatewayWords, healthUpstream, stateUpstream } from "./health.ts";
import type { SelfFacts } from "./machine/self-facts.ts";
import { selfFactsToWire } from "./machine/self-facts.ts";
import type { Boot } from "./ports/boot.ts";
import type { Exposure } from "./sync/exposure.ts";

export interface GatewaySelf {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly version: string;
  readonly bootCount: number;
  readonly courierPublicKey: Uint8Array;
  /** Ed25519. */
  readonly timePublicKey: Uint8Array;
  readonly startedAtMs: UnixMs;
  /** What commands to it are reckoned by; absent: it takes none. */
  readonly boot?: Boot;
}

export type Retain = (topic: Topic, payload: string) => void;

/** The gateway's own birth, state and health. `facts`: of the machine it runs on; null: not measured yet. */
export function announceGateway(self: GatewaySelf, facts: SelfFacts | null, nowMs: UnixMs, retain: Retain): void {
  const { site, gateway: device, version, bootCount, courierPublicKey, timePublicKey, startedAtMs } = self;
  const at = secondsOf(nowMs);
  const birth = {
    v: 1 as const,
    device,
    model: "gateway",
    bootCount,
    firmware: version,
    hardware: null,
    courierPublicKey: bytesToBase64(courierPublicKey),
    timePublicKey: bytesToBase64(timePublicKey),
  };
  const health = {
    ...emptyHealth(device, at),
    firmware: { version, at },
    firmwareVerdict: "not applicable" as const,
    uptimeSeconds: Math.max(0, Math.floor((nowMs - startedAtMs) / 1000)),
    bootCount,
    ...(self.boot === undefined ? {} : { gatewayBoot: { id: self.boot.id, uptimeMs: self.boot.uptimeMs() } }),
    ...(facts === null ? {} : selfFactsToWire(facts, at)),
  };
  retain({ site, device, channel: "birth" }, formatPayload(birthSchema, birth));
  retain({ site, device, channel: "state" }, formatPayload(stateSchema, { v: 1, device, online: true, heardAt: at }));
  retain({ site, device, channel: "health" }, formatPayload(healthSchema, health));
}

/** The gateway's last state when it is stopped in order. */
export function goodbyeOf({ site, gateway: device }: GatewaySelf, nowMs: UnixMs): { topic: Topic; payload: string } {
  const state = { v: 1 as const, device, online: false, heardAt: secondsOf(nowMs) };
  return { topic: { site, device, channel: "state" }, payload: formatPayload(stateSchema, state) };
}

/** Everything about one device that is known; a birth only where there was one, or where there can be none. */
export function announceDevice(
  self: GatewaySelf,
  device: SiteDevice,
  words: DeviceWords & GatewayWords,
  nowMs: UnixMs,
  retain: Retain,
): void {
  const now = secondsOf(nowMs);
  const topic = (channel: Channel): Topic => ({ site: self.site, device: device.id, channel });
  const birth = words.birth ?? (device.network === "passive" ? twinBirth(device) : null);
  // PROTOCOL part 1: who is not itself on the upstream broker appears there through its gateway.
  if (birth !== null) retain(topic("birth"), formatPayload(birthSchema, { ...birth, via: self.gateway }));
  retain(topic("state"), formatPayload(stateSchema, { ...stateUpstream(device, words, now), via: self.gateway }));
  retain(topic("health"), formatPayload(healthSchema, { ...healthUpstream(device, words, now), via: self.gateway }));
  if (words.reported !== null) retain(topic("reported"), formatReported(words.reported));
}

export function announceExposure(
  self: GatewaySelf,
  exposures: readonly Exposure[],
  nowMs: UnixMs,
  retain: Retain,
  more: Pick<ExposureReport, "settings" | "erasures"> = {},
): void {
  const report = { v: 1 as const, gateway: self.gateway, at: secondsOf(nowMs), exposures: [...exposures], ...more };
  retain({ site: self.site, device: self.gateway, channel: "reported" }, formatPayload(exposureSchema, report));
}

/** A plate with a sticker has no boots and no firmware; its birth says that it is there. */
function twinBirth(device: SiteDevice): Birth {
  return { v: 1, device: device.id, model: device.model, bootCount: 0, firmware: null, hardware: null };
}
