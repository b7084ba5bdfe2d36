/**
 * What the running agent gives to a diagnostic archive: a closed list of facts, none of which is a secret, and no person by name. The
 * door log is not in it: who came home when is nobody's business who looks for a broken radio. SPEC G37.
 */
import { z } from "zod";
import { findAttention } from "../attention/find-attention.ts";
import { type Described, describeStatus, panelFacts, tamperedDevices } from "../http/describe.ts";
import { formatMetrics } from "../http/metrics.ts";
import { type Readiness, readinessView } from "../http/readiness.ts";
import { type StatusView, statusView } from "../http/views.ts";
import { visitRecordSchema } from "../sync/visit-record.ts";
import { Pseudonyms } from "./pseudonyms.ts";

export const diagnosticsView = z.strictObject({
  status: statusView,
  readiness: readinessView,
  metrics: z.string(),
  /** How the last visit to each lock went. */
  visits: z.record(z.string(), visitRecordSchema),
  /** By device: how far upstream has its events, what is the last on disk, and how many wait. */
  outbox: z.array(z.strictObject({ device: z.string(), receipted: z.number(), last: z.number(), depth: z.number() })),
  /** The log's last lines. */
  log: z.array(z.string()),
});
export type Diagnostics = z.input<typeof diagnosticsView>;

export interface DiagnosticsSource {
  readonly described: Described;
  readonly readiness: Readiness;
  readonly randomKey: Uint8Array;
}

export async function collectDiagnostics({ described, readiness, randomKey }: DiagnosticsSource): Promise<Diagnostics> {
  const { gateway, store, recentLog } = described;
  const pseudonyms = new Pseudonyms(gateway.table.gateway?.people ?? [], randomKey);
  const status = withoutPeople(described, await describeStatus(described), pseudonyms);
  const look = await readiness.look();
  const locks = gateway.table.devices().filter(({ network }) => network === "ble");
  return {
    status,
    readiness: look,
    metrics: formatMetrics(status, look),
    visits: Object.fromEntries(locks.map(({ id }) => [id, gateway.visits.record(id)])),
    outbox: (await store.outbox()).map(({ device, receipted, last, depth }) => ({ device, receipted, last, depth })),
    log: (recentLog?.() ?? []).map((line) => pseudonyms.scrub(line)),
  };
}

/** Judged anew with pseudonyms, because what needs a person says names in its sentences. */
function withoutPeople(described: Described, status: StatusView, pseudonyms: Pseudonyms): StatusView {
  const { attention: _named, ...rest } = status;
  const devices = rest.devices.map((view) => ({
    ...view,
    exposure: view.exposure.map((exposure) => ({
      ...exposure,
      person: pseudonyms.of(exposure.person),
      personName: null,
    })),
  }));
  const anonymous = { ...rest, devices };
  const attention = findAttention({
    status: anonymous,
    panels: panelFacts(described.gateway),
    tampered: tamperedDevices(described.gateway),
    further: (described.furtherAlerts?.() ?? []).map((item) => ({ ...item, what: pseudonyms.scrub(item.what) })),
  });
  return { ...anonymous, attention };
}
