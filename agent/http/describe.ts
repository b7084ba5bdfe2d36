/** The gateway's knowledge as its API shows it. Looks and computes; changes nothing. */
import type { DeviceId } from "../../protocol/base/units.ts";
import { FULL_DOORCODE_DIGITS, type GateJudgement } from "../../protocol/firmware/floor-table.ts";
import { modelByName, modelNames } from "../../protocol/firmware/models.ts";
import { faultNumberByCode } from "../../protocol/wire/audit-entry.ts";
import type { ViewerRole } from "../../protocol/wire/log-privacy.ts";
import type { PanelDesired } from "../../protocol/wire/messages/desired.ts";
import type { FaultWord } from "../../protocol/wire/messages/health.ts";
import type { SyncState } from "../../protocol/wire/messages/reported.ts";
import type { PanelFacts } from "../attention/attention-input.ts";
import { findAttention } from "../attention/find-attention.ts";
import { type SiteDevice, secondsOf } from "../devices.ts";
import type { Gateway } from "../gateway.ts";
import { stateUpstream } from "../health.ts";
import type { Vital } from "../machine/vitals.ts";
import type { Clock } from "../ports/clock.ts";
import type { BrokerLink } from "../ports/site-broker.ts";
import type { Store } from "../ports/store.ts";
import type { ReloadStatus } from "../reload.ts";
import { type Exposure, isNewer } from "../sync/exposure.ts";
import { pauseLeftMs, type VisitJudgement } from "../sync/schedule.ts";
import type { EnrolmentDesk } from "./enrolment-routes.ts";
import type { AttentionItem, SelfView } from "./health-views.ts";
import type { DeviceView, ExposureView, HeldOffBy, LockView, StatusView } from "./views.ts";

export interface Described {
  readonly gateway: Gateway;
  readonly store: Store;
  readonly clock: Clock;
  /** Whose eyes may be asked for at the door log; its own default when absent. */
  readonly logViews?: () => readonly ViewerRole[];
  /** How the configuration's file stands; absent: there is none to read again. */
  readonly reload?: () => ReloadStatus;
  /** Whether the vital parts go round; absent: nobody asks them. */
  readonly check?: (() => Promise<readonly Vital[]>) | undefined;
  /** The log's last lines; absent: nobody keeps them. */
  readonly recentLog?: (() => readonly string[]) | undefined;
  /** Certificates of networked devices; absent: the broker is not this gateway's own. */
  readonly enrolment?: EnrolmentDesk | undefined;
  /** What other rooms want a person to see. */
  readonly furtherAlerts?: (() => readonly AttentionItem[]) | undefined;
}

export async function describeStatus({ gateway, store, clock, reload, furtherAlerts }: Described): Promise<StatusView> {
  const { self, upstream } = gateway;
  const now = secondsOf(clock.nowMs());
  const outboxDepth = (await store.outbox()).reduce((sum, { depth }) => sum + depth, 0);
  const { connected, sinceMs, attempts, lastFault, url } = upstream.status();
  const radio = gateway.radioStatus();
  const status = {
    gateway: self.gateway,
    version: self.version,
    at: now,
    uptimeSeconds: now - secondsOf(self.startedAtMs),
    site: describeSite(gateway),
    upstream: { connected, since: secondsOf(sinceMs), attempts, lastFault, outboxDepth, url },
    store: await store.space(),
    broker: {
      port: gateway.brokerPort(),
      connected: [...gateway.brokerConnected()].sort(),
      refused: { ...gateway.intake.refused() },
      conflicting: { ...gateway.intake.conflicting() },
      ...describeBrokerLink(gateway.brokerLink()),
    },
    radio: { working: radio.working, fault: radio.fault, since: secondsOf(radio.sinceMs) },
    configuration: describeConfiguration(reload?.()),
    self: describeSelf({ gateway, clock }),
    devices: gateway.table.devices().map((device) => describeDevice({ gateway, clock }, device)),
  };
  return { ...status, attention: describeAttention({ gateway, furtherAlerts }, status) };
}

function describeAttention(
  { gateway, furtherAlerts }: Pick<Described, "gateway" | "furtherAlerts">,
  status: Omit<StatusView, "attention">,
): StatusView["attention"] {
  const further = furtherAlerts?.() ?? [];
  return findAttention({ status, panels: panelFacts(gateway), tampered: tamperedDevices(gateway), further });
}

export function panelFacts({ table, stickerChecks }: Gateway): readonly PanelFacts[] {
  return table.panelsDesired().map(({ device, doorName, current, at, seenAt }) => ({
    ...{ panel: device, doorName, current, rotatedAt: at, seenAt },
    check: stickerChecks.of(device),
  }));
}

export function tamperedDevices(gateway: Gateway): ReadonlySet<string> {
  const tampered = gateway.table.devices().filter(({ id }) => gateway.saysTampered(id));
  return new Set(tampered.map(({ id }) => id));
}

function describeSelf({ gateway, clock }: Omit<Described, "store">): SelfView | null {
  const facts = gateway.selfFacts();
  if (facts === null) return null;
  const { atMs, loopLag, storeBytes, disk, memory, residentBytes, temperatureCelsius, power, time } = facts;
  return {
    ageSeconds: Math.max(0, Math.floor((clock.nowMs() - atMs) / 1000)),
    ...{ loopLag, storeBytes, disk, memory, residentBytes, temperatureCelsius, power, time },
    machineUptimeSeconds: facts.uptimeSeconds,
  };
}

function describeConfiguration(status: ReloadStatus | undefined): StatusView["configuration"] {
  const { reloadedAtMs = null, mistakesAtMs = null, mistakes = [], waiting = [] } = status ?? {};
  return {
    reloadedAt: reloadedAtMs === null ? null : secondsOf(reloadedAtMs),
    mistakesAt: mistakesAtMs === null ? null : secondsOf(mistakesAtMs),
    mistakes: [...mistakes],
    waitsForRestart: [...waiting],
  };
}

function describeBrokerLink(link: BrokerLink | null): Pick<StatusView["broker"], "link"> {
  if (link === null) return {};
  const { url, connected, sinceMs, lastFault } = link;
  return { link: { url, connected, since: secondsOf(sinceMs), lastFault } };
}

function describeSite({ table }: Gateway): StatusView["site"] {
  if (table.gateway === undefined) return null;
  const { id, name, timeZone } = table.gateway.site;
  return { id, name, timeZone };
}

/** Whether this site uses what the gate is about; null: the authority has not said. */
function isWanted({ table }: Gateway, { capability }: GateJudgement): boolean | null {
  const digits = table.gateway?.site.doorcodeDigits;
  switch (capability) {
    case "short-doorcodes":
      return digits === undefined ? null : digits < FULL_DOORCODE_DIGITS;
  }
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

function describeDevice({ gateway, clock }: Omit<Described, "store">, device: SiteDevice): DeviceView {
  const { id, model, door, doorName, network } = device;
  const words = gateway.table.words(id);
  const { health } = words;
  const reported = gateway.visits.reported(id);
  const now = secondsOf(clock.nowMs());
  const age = (at: number | null | undefined): number | null => (at === null || at === undefined ? null : now - at);
  const record = gateway.visits.record(id);
  const { firmware, signal, lastFault: latestFault } = gateway.gatewayWords(device);
  const { judged, gates } = firmware;
  const known = modelNames.find((name) => name === model);
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
    latestFault: describeFault(latestFault, now),
    power: known === undefined ? null : modelByName[known].power,
    uptimeSeconds: health?.uptimeSeconds ?? null,
    bootCount: health?.bootCount ?? words.birth?.bootCount ?? null,
    signal: signal === null ? null : { rssi: signal.rssi, ageSeconds: age(signal.at) ?? 0 },
    desired: gateway.table.policyDesired(id)?.policy ?? null,
    holds: reported?.policy ?? null,
    battery: health?.battery ? { ...withoutAt(health.battery), ageSeconds: age(health.battery.at) ?? 0 } : null,
    clock: health?.clock ? { ...withoutAt(health.clock), ageSeconds: age(health.clock.at) ?? 0 } : null,
    firmware: {
      version: health?.firmware?.version ?? null,
      verdict: judged?.verdict ?? "unknown",
      floor: judged?.floor?.version ?? null,
      gates: gates.map((gate) => ({ ...gate, wanted: isWanted(gateway, gate) })),
      ageSeconds: age(health?.firmware?.at),
    },
    exposure: gateway.exposuresOf(id).map((exposure) => describeExposure({ gateway, clock }, exposure)),
  };
}

function describeFault(fault: FaultWord | null, now: number): DeviceView["latestFault"] {
  if (fault === null) return null;
  const isOwn = Object.keys(faultNumberByCode).includes(fault.code);
  return { code: fault.code, isOwn, ageSeconds: Math.max(0, now - fault.at) };
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

function personName(gateway: Gateway, person: string): string | null {
  return gateway.table.gateway?.people.find(({ id }) => id === person)?.name ?? null;
}

function withoutAt<Fact extends { readonly at: unknown }>({ at: _at, ...rest }: Fact): Omit<Fact, "at"> {
  return rest;
}
