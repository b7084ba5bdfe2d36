/** The gateway's knowledge as its API shows it. Looks and computes; changes nothing. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { PanelDesired } from "../../protocol/wire/messages/desired.ts";
import type { SyncState } from "../../protocol/wire/messages/reported.ts";
import { type SiteDevice, secondsOf } from "../devices.ts";
import type { Gateway } from "../gateway.ts";
import { judgeDevice, stateUpstream } from "../health.ts";
import type { Clock } from "../ports/clock.ts";
import type { LoggedEvent, Store } from "../ports/store.ts";
import { bodyToWire } from "../store/event-body.ts";
import { type Exposure, isNewer } from "../sync/exposure.ts";
import { pauseLeftMs, type VisitJudgement } from "../sync/schedule.ts";
import type { DeviceView, ExposureView, HeldOffBy, LockView, LogEntryView, StatusView } from "./views.ts";

export interface Described {
  readonly gateway: Gateway;
  readonly store: Store;
  readonly clock: Clock;
}

export async function describeStatus({ gateway, store, clock }: Described): Promise<StatusView> {
  const { self, upstream } = gateway;
  const now = secondsOf(clock.nowMs());
  const outboxDepth = (await store.outbox()).reduce((sum, { depth }) => sum + depth, 0);
  const { connected, sinceMs, attempts, lastFault } = upstream.status();
  const radio = gateway.radioStatus();
  return {
    gateway: self.gateway,
    version: self.version,
    at: now,
    uptimeSeconds: now - secondsOf(self.startedAtMs),
    site: gateway.table.gateway?.site ?? null,
    upstream: { connected, since: secondsOf(sinceMs), attempts, lastFault, outboxDepth },
    broker: {
      port: gateway.brokerPort(),
      connected: [...gateway.brokerConnected()].sort(),
      refused: { ...gateway.intake.refused() },
      conflicting: { ...gateway.intake.conflicting() },
    },
    radio: { working: radio.working, fault: radio.fault, since: secondsOf(radio.sinceMs) },
    devices: gateway.table.devices().map((device) => describeDevice({ gateway, clock }, device)),
  };
}

export function describeExposures({ gateway, clock }: Omit<Described, "store">): ExposureView[] {
  return gateway.exposures().map((exposure) => describeExposure({ gateway, clock }, exposure));
}

export function describePanels({ gateway, clock }: Omit<Described, "store">) {
  return gateway.table.panelsDesired().map((panel) => describePanel({ gateway, clock }, panel));
}

export function describePanel({ gateway, clock }: Omit<Described, "store">, panel: PanelDesired) {
  // After a start without a link nobody has confirmed the list yet: its age is then that of the rotation.
  const listedAtMs = gateway.table.desiredAtMs(panel.device) ?? panel.at * 1000;
  return {
    listedAtMs,
    ageMs: Math.max(0, clock.nowMs() - listedAtMs),
    panel: panel.device,
    panelNumber: panel.panelNumber,
    doorName: panel.doorName,
    epoch: panel.rotation,
    current: panel.current,
    retired: [...panel.retired],
    rotatedAtMs: panel.at * 1000,
    seenAtMs: panel.seenAt === null ? null : panel.seenAt * 1000,
  };
}

export async function describeLog({ gateway, store }: Described, limit: number): Promise<LogEntryView[]> {
  return (await store.readLog(limit)).map((logged) => describeLogEntry(gateway, logged));
}

function describeDevice({ gateway, clock }: Omit<Described, "store">, device: SiteDevice): DeviceView {
  const { id, model, door, doorName, network } = device;
  const words = gateway.table.words(id);
  const { health } = words;
  const reported = gateway.visits.reported(id);
  const now = secondsOf(clock.nowMs());
  const age = (at: number | null | undefined): number | null => (at === null || at === undefined ? null : now - at);
  const record = gateway.visits.record(id);
  const judgement = judgeDevice(device, words);
  const lastSyncAt = health?.lastSyncAt ?? null;
  const lock = network === "ble" ? describeLock({ gateway, clock }, id) : null;
  const { online, heardAt } = stateUpstream(device, { ...words, sync: gateway.syncWord(device) }, now);
  return {
    device: id,
    model,
    door,
    doorName,
    network,
    online: network === "passive" ? null : online,
    heardAt,
    heardAgeSeconds: age(heardAt),
    syncState: lock?.state ?? (network === "mqtt" ? deliveryStateOf(gateway, id) : null),
    lock,
    pendingSince: record.pendingSince,
    lastSyncAt,
    syncAgeSeconds: age(lastSyncAt),
    lastFault: record.lastFault,
    desired: gateway.table.policyDesired(id)?.policy ?? null,
    holds: reported?.policy ?? null,
    battery: health?.battery ? { ...withoutAt(health.battery), ageSeconds: age(health.battery.at) ?? 0 } : null,
    clock: health?.clock ? { ...withoutAt(health.clock), ageSeconds: age(health.clock.at) ?? 0 } : null,
    firmware: {
      version: health?.firmware?.version ?? null,
      verdict: judgement?.verdict ?? "unknown",
      floor: judgement?.floor?.version ?? null,
      ageSeconds: age(health?.firmware?.at),
    },
    exposure: describeExposures({ gateway, clock }).filter(({ device: exposed }) => exposed === id),
  };
}

function describeLock({ gateway, clock }: Omit<Described, "store">, device: DeviceId): LockView {
  const now = secondsOf(clock.nowMs());
  const age = (at: number | null): number | null => (at === null ? null : Math.max(0, now - at));
  const { state, why, since } = gateway.lockState(device);
  const { desired, urgent, reported, heardAt, visitBy } = gateway.lockFacts(device);
  const { progress } = gateway.visits.trace(device);
  const scheduled = gateway.scheduled(device);
  const { judged, exposed, visitsToday } = scheduled;
  const isPending = gateway.visits.isPending(device);
  return {
    state,
    why,
    since,
    sinceAgeSeconds: age(since),
    progress:
      progress === null || !progress.active
        ? null
        : { step: progress.step, done: progress.done ?? null, of: progress.of ?? null },
    desired,
    reported: reported === null ? null : { ...reported, ageSeconds: Math.max(0, now - reported.at) },
    heardAt,
    heardAgeSeconds: age(heardAt),
    rssi: gateway.heard(device)?.rssi ?? null,
    visitBy,
    urgent: isPending && (urgent !== null || exposed),
    nextVisit: judged === undefined ? null : { reason: judged.reason, heldOff: heldOffBy(gateway, device, judged) },
    failures: gateway.visits.record(device).failures,
    pauseSeconds: Math.ceil(pauseLeftMs(scheduled, clock.monotonicMs()) / 1000),
    automaticVisitsToday: visitsToday,
  };
}

function heldOffBy(gateway: Gateway, device: DeviceId, { heldOff }: VisitJudgement): HeldOffBy | null {
  const missing = gateway.visits.missing(device);
  if (missing === "not-paired" || missing === "no-certificate") return missing;
  return gateway.radioStatus().working === false ? "radio" : heldOff;
}

/** A networked device: what it last said it holds, beside what it is to hold. Null while the authority wants nothing of it. */
function deliveryStateOf({ table }: Gateway, device: DeviceId): SyncState | null {
  const desired = table.deviceOrder(device)?.desired;
  if (desired === undefined) return null;
  const holds = table.words(device).reported?.policy;
  return holds !== undefined && !isNewer(desired.policy, holds) ? "in-sync" : "pending";
}

function describeExposure({ gateway, clock }: Omit<Described, "store">, exposure: Exposure): ExposureView {
  const device = gateway.table.device(exposure.device);
  return {
    device: exposure.device,
    door: device?.door ?? null,
    doorName: device?.doorName ?? null,
    person: exposure.person,
    personName: personName(gateway, exposure.person),
    what: exposure.what,
    since: exposure.since,
    ageSeconds: Math.max(0, secondsOf(clock.nowMs()) - exposure.since),
    holds: exposure.holds,
  };
}

function describeLogEntry(gateway: Gateway, logged: LoggedEvent): LogEntryView {
  // The lock's own bytes are for the authority; a person reads the rest.
  const { raw: _raw, ...event } = bodyToWire(logged.body);
  return {
    ...event,
    device: logged.device,
    doorName: gateway.table.device(logged.device)?.doorName ?? null,
    receivedAt: secondsOf(logged.receivedAtMs),
    personName: event.person === undefined ? null : personName(gateway, event.person),
  };
}

function personName(gateway: Gateway, person: string): string | null {
  return gateway.table.gateway?.people.find(({ id }) => id === person)?.name ?? null;
}

function withoutAt<Fact extends { readonly at: unknown }>({ at: _at, ...rest }: Fact): Omit<Fact, "at"> {
  return rest;
}
