/**
 * What locks and networked devices hold, as far as they said so themselves: a lock in the report of its door sync, a networked device
 * in its policy report. Each is under a MAC that no gateway can make. Source: SPEC Y7, M14.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixMs } from "../../protocol/base/units.ts";
import type { Reported } from "../../protocol/wire/messages/reported.ts";
import { type PolicyReport, policyReport, verifyPolicyReport } from "../../protocol/wire/policy-report.ts";
import type { AuditChains } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { DeviceTable } from "./device-table.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface ReportParts {
  readonly authority: Authority;
  readonly table: DeviceTable;
}

export type DeviceReportFault = {
  readonly code: "report-not-paired" | "report-not-verified" | "report-wrong-pairing" | "report-not-as-said";
};

/**
 * Takes a networked device's report, if it is its own. A retained one comes again at every connection, and an older one may come
 * late: neither takes anything back. Faults: report-not-paired (not enrolled), report-not-verified, report-wrong-pairing,
 * report-not-as-said (the reading beside it is another).
 */
export function takeDeviceReport(
  { authority, table }: ReportParts,
  said: Reported,
  now: UnixMs,
): Result<void, DeviceReportFault> {
  const { device, report: bytes, mac, policy } = said;
  if (!authority.state.enrolled.includes(device)) return failed({ code: "report-not-paired" });
  const { keys } = authority;
  const own = { reportKey: keys.enrolledReportKey(device), pairingId: keys.enrolledPairingId(device) };
  const report = verifyPolicyReport(own, bytes, mac);
  if (!report.ok) {
    return failed({ code: report.fault.code === "wrong-pairing" ? "report-wrong-pairing" : "report-not-verified" });
  }
  if (comparePolicyOrder(report.value, policy) !== 0) return failed({ code: "report-not-as-said" });
  const before = table.latest(device, "reported")?.body.report;
  if (before !== undefined && isOlder(report.value, before)) return ok(undefined);
  table.put(device, "reported", said, now);
  authority.confirmPolicy(device, report.value);
  return ok(undefined);
}

/** What a device holds by its latest verified report, and when that came; null: it has never reported. */
export function heldPolicy(
  { authority, table, chains }: ReportParts & { readonly chains: AuditChains },
  device: string,
): (PolicyVersion & { readonly at: number }) | null {
  if (!authority.state.enrolled.some((each) => each === device)) return chains.state(device)?.report ?? null;
  const reported = table.latest(device, "reported");
  return reported === undefined ? null : { ...reported.body.policy, at: reported.writtenAt };
}

function isOlder(report: PolicyReport, before: Uint8Array): boolean {
  const known = policyReport.decode(before);
  if (!known.ok) return false;
  const { bootCount, uptimeMs } = known.value;
  return report.bootCount === bootCount ? report.uptimeMs < uptimeMs : report.bootCount < bootCount;
}
