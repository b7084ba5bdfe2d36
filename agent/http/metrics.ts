/**
 * The gateway's state as Prometheus reads it: text exposition format 0.0.4, written by hand because there are two dozen lines of it and
 * all are gauges of this moment. Made from the same view as /api/status, so that the two cannot disagree. What is not known has no
 * sample: a zero would be a claim. SPEC G12.
 */
import { revocationKinds } from "../../protocol/wire/messages/desired.ts";
import { syncStates } from "../../protocol/wire/messages/reported.ts";
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

export function formatMetrics(status: StatusView): string {
  const metrics = [...gatewayMetrics(status), ...exposureMetrics(status), ...lockMetrics(status)];
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
