/**
 * The gateway's state as Prometheus reads it: text exposition format 0.0.4, written by hand because all of it is this moment's look at one
 * view, with no counter to keep (protocol/decisions says why not prom-client). Made from the same view as /api/status and /readyz, so that
 * they cannot disagree. What is not known has no sample: a zero would be a claim. SPEC G12, G33.
 */
import { revocationKinds } from "../../protocol/wire/messages/desired.ts";
import { syncStates } from "../../protocol/wire/messages/reported.ts";
import { storeFillings } from "../ports/store.ts";
import { attentionGroups, type SelfView } from "./health-views.ts";
import { type ReadinessView, readyParts } from "./readiness.ts";
import type { DeviceView, StatusView } from "./views.ts";

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function formatMetrics(status: StatusView, readiness: ReadinessView): string {
  const metrics = [
    ...gatewayMetrics(status),
    ...readinessMetrics(readiness),
    ...attentionMetrics(status),
    ...(status.self === null ? [] : machineMetrics(status.self)),
    ...storeMetrics(status),
    ...brokerMetrics(status),
    ...deviceMetrics(status),
    ...exposureMetrics(status),
    ...lockMetrics(status),
  ];
  return metrics.map(formatMetric).join("");
}

function gatewayMetrics({ upstream, radio, uptimeSeconds }: StatusView): readonly Metric[] {
  return [
    gauge("doorlink_uptime_seconds", "Since the start of the agent.", [bare(uptimeSeconds)]),
    gauge("doorlink_upstream_connected", "1 while the link to the authority stands.", [bare(upstream.connected)]),
    gauge("doorlink_outbox_events", "Events that wait for a receipt.", [bare(upstream.outboxDepth)]),
    gauge("doorlink_radio_working", "Whether the radio works; no sample before it was used.", optional(radio.working)),
  ];
}

function readinessMetrics({ parts }: ReadinessView): readonly Metric[] {
  const known = readyParts.flatMap((part) => {
    const { state, since } = parts[part];
    return state === "ready" || state === "not ready" ? [{ part, value: Number(state === "ready"), since }] : [];
  });
  return [
    gauge(
      "doorlink_ready",
      "Whether a part of the agent can do its work; no sample where that is not known or not needed.",
      known.map(({ part, value }) => ({ labels: { part }, value })),
    ),
    gauge(
      "doorlink_ready_since_timestamp_seconds",
      "Since when.",
      known.map(({ part, since }) => ({ labels: { part }, value: since })),
    ),
  ];
}

function attentionMetrics({ attention }: StatusView): readonly Metric[] {
  return [
    gauge(
      "doorlink_attention",
      "What needs a person, by the groups of doorlink status.",
      attentionGroups.map((group) => ({ labels: { group }, value: attention[group].length })),
    ),
  ];
}

function machineMetrics(self: SelfView): readonly Metric[] {
  const { loopLag, disk, memory, power, time } = self;
  const lag =
    loopLag === null
      ? []
      : ([
          ["p50", loopLag.p50Ms],
          ["p99", loopLag.p99Ms],
          ["max", loopLag.maxMs],
        ] as const);
  const happens = [
    ["under-voltage", power.underVoltage],
    ["throttled", power.throttled],
    ["under-voltage-since-boot", power.underVoltageSinceBoot],
    ["throttled-since-boot", power.throttledSinceBoot],
  ] as const;
  return [
    gauge(
      "doorlink_loop_lag_seconds",
      "How late the event loop was since the last measurement: half of its turns, 99 in 100, the latest.",
      lag.map(([turns, ms]) => ({ labels: { turns }, value: ms / 1000 })),
    ),
    gauge("doorlink_disk_free_bytes", "Where the state lies.", optional(disk?.freeBytes ?? null)),
    gauge("doorlink_disk_bytes", "Size of that file system.", optional(disk?.totalBytes ?? null)),
    gauge("doorlink_memory_available_bytes", "Of the machine.", optional(memory?.freeBytes ?? null)),
    gauge("doorlink_resident_bytes", "Memory of the agent.", [bare(self.residentBytes)]),
    gauge("doorlink_temperature_celsius", "Of the processor.", optional(self.temperatureCelsius)),
    gauge(
      "doorlink_power",
      "1 while the supply's voltage is too low, or the processor is slowed down; no sample where the machine does not tell.",
      happens.flatMap(([what, value]) => optional(value, { what })),
    ),
    gauge("doorlink_time_synchronised", "Whether somebody keeps the clock right.", optional(time.synchronised)),
    gauge("doorlink_machine_uptime_seconds", "Since the machine started.", optional(self.machineUptimeSeconds)),
  ];
}

function storeMetrics({ self, store }: StatusView): readonly Metric[] {
  return [
    gauge("doorlink_store_bytes", "Size of the store on disk.", optional(self?.storeBytes ?? null)),
    gauge("doorlink_store_used_bytes", "What is kept in it.", [bare(store.usedBytes)]),
    gauge("doorlink_store_limit_bytes", "How much it may hold; no sample without a limit.", optional(store.limitBytes)),
    gauge(
      "doorlink_store_filling",
      "1 for how full it is, by what follows from that.",
      storeFillings.map((filling) => ({ labels: { filling }, value: Number(store.filling === filling) })),
    ),
    gauge("doorlink_store_disk_full", "1 while the disk itself has no room.", [bare(store.diskFull)]),
    gauge("doorlink_store_dropped_events", "Telemetry that gave way since the start of the agent.", [
      bare(store.droppedEvents),
    ]),
  ];
}

function brokerMetrics({ broker }: StatusView): readonly Metric[] {
  return [
    gauge("doorlink_broker_connected_devices", "Devices connected now.", [bare(broker.connected.length)]),
    gauge(
      "doorlink_broker_linked",
      "1 while the link to an external broker stands; the embedded one needs none.",
      optional(broker.link?.connected ?? null),
    ),
    gauge(
      "doorlink_broker_refused",
      "Messages and connections refused since the start of the agent.",
      Object.entries(broker.refused).map(([fault, value]) => ({ labels: { fault }, value })),
    ),
    gauge(
      "doorlink_broker_conflicting_events",
      "Events under a name that another event has, since the start of the agent.",
      Object.entries(broker.conflicting).map(([device, value]) => ({ labels: { device }, value })),
    ),
  ];
}

function deviceMetrics({ devices }: StatusView): readonly Metric[] {
  const of = (name: string, help: string, readFrom: (view: DeviceView) => number | boolean | null): Metric =>
    gauge(
      name,
      help,
      devices.flatMap((view) => optional(readFrom(view), { device: view.device })),
    );
  return [
    of("doorlink_device_online", "Whether the device is there.", ({ online }) => online),
    of("doorlink_device_heard_age_seconds", "Since the device was heard.", ({ heardAgeSeconds }) => heardAgeSeconds),
    of("doorlink_device_battery_percent", "As last read.", ({ battery }) => battery?.percent ?? null),
    of("doorlink_device_battery_volts", "As last read.", ({ battery }) =>
      battery === null ? null : battery.millivolts / 1000,
    ),
    of("doorlink_device_battery_age_seconds", "Since it was read.", ({ battery }) => battery?.ageSeconds ?? null),
    of("doorlink_device_clock_set", "Whether its clock is trusted.", ({ clock }) =>
      clock === null ? null : clock.quality === "set",
    ),
    of("doorlink_device_clock_drift_seconds", "As last measured.", ({ clock }) =>
      clock === null || clock.driftMs === null ? null : clock.driftMs / 1000,
    ),
    of("doorlink_device_signal_dbm", "How strong it was last heard.", ({ signal }) => signal?.rssi ?? null),
    of("doorlink_device_uptime_seconds", "As last said.", ({ uptimeSeconds }) => uptimeSeconds),
    of("doorlink_device_boots", "Its boot count.", ({ bootCount }) => bootCount),
    gauge(
      "doorlink_device_firmware",
      "1 for the verdict on the firmware of a device.",
      devices.map(({ device, firmware: { verdict } }) => ({ labels: { device, verdict }, value: 1 })),
    ),
    gauge(
      "doorlink_device_last_fault_age_seconds",
      "Since the last fault, by its name.",
      devices.flatMap(({ device, latestFault: fault }) =>
        fault === null ? [] : [{ labels: { device, fault: fault.code }, value: fault.ageSeconds }],
      ),
    ),
  ];
}

function exposureMetrics({ devices }: StatusView): readonly Metric[] {
  const exposures = devices.flatMap(({ exposure }) => exposure);
  const holders = devices.filter(({ syncState }) => syncState !== null);
  return [
    gauge(
      "doorlink_exposed_people",
      "People revoked or signed out upstream whom a device still lets in, by its own last report.",
      holders.flatMap(({ device, exposure }) =>
        revocationKinds.map((what) => ({
          labels: { device, what },
          value: exposure.filter((each) => each.what === what).length,
        })),
      ),
    ),
    gauge(
      "doorlink_exposure_since_timestamp_seconds",
      "Since when each of them is revoked or signed out.",
      exposures.map(({ device, person, since, what }) => ({ labels: { device, person, what }, value: since })),
    ),
  ];
}

function lockMetrics({ devices }: StatusView): readonly Metric[] {
  const locks = devices.flatMap((view) => (view.lock === null ? [] : [{ view, lock: view.lock }]));
  const of = (name: string, help: string, gaugeOf: (lock: NonNullable<DeviceView["lock"]>) => number | null): Metric =>
    gauge(
      name,
      help,
      locks.flatMap(({ view: { device }, lock }) => optional(gaugeOf(lock), { device })),
    );
  return [
    gauge(
      "doorlink_lock_state",
      "1 for the state that the door sync of a lock is in.",
      locks.flatMap(({ view: { device }, lock }) =>
        syncStates.map((state) => ({ labels: { device, state }, value: Number(lock.state === state) })),
      ),
    ),
    gauge(
      "doorlink_lock_sync_age_seconds",
      "Since the last visit that went through; no sample for never.",
      locks.flatMap(({ view: { device, syncAgeSeconds } }) => optional(syncAgeSeconds, { device })),
    ),
    of(
      "doorlink_lock_report_age_seconds",
      "Age of the lock's own last report.",
      (lock) => lock.reported?.ageSeconds ?? null,
    ),
    of(
      "doorlink_lock_heard_age_seconds",
      "Since the lock was heard, on the air or in a visit.",
      (lock) => lock.heardAgeSeconds,
    ),
    of(
      "doorlink_lock_policy_desired_version",
      "Version that the lock is to hold.",
      (lock) => lock.desired?.version ?? null,
    ),
    of(
      "doorlink_lock_policy_reported_version",
      "Version that the lock reported.",
      (lock) => lock.reported?.version ?? null,
    ),
    of("doorlink_lock_urgent", "1 while somebody is locked out, still let in, or waits with a keycard.", (lock) =>
      Number(lock.urgent),
    ),
    of("doorlink_lock_failed_visits", "Visits in a row that failed.", (lock) => lock.failures),
    of("doorlink_lock_backoff_seconds", "What is left of the pause after failed visits.", (lock) => lock.pauseSeconds),
    of("doorlink_lock_automatic_visits_today", "Of the day's budget.", (lock) => lock.automaticVisitsToday),
  ];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, samples };
}

function bare(value: number | boolean): Sample {
  return { labels: {}, value: Number(value) };
}

function optional(value: number | boolean | null, labels: Sample["labels"] = {}): readonly Sample[] {
  return value === null ? [] : [{ labels, value: Number(value) }];
}

function formatMetric({ name, help, samples }: Metric): string {
  const lines = samples.map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines].map((line) => `${line}\n`).join("");
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
