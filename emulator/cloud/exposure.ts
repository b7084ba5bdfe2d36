/**
 * Who is revoked, or signed out by a password reset, and still let in somewhere: what each gateway reported, and beside it the authority's own reckoning from the
 * reports that carry the device's own MAC, which no gateway can make up.
 */
import { appCertificateSecondsMax } from "../../protocol/access/decide.ts";
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { PolicyState } from "./authority-state.ts";
import type { CloudParts } from "./cloud-parts.ts";
import { heldPolicy } from "./device-reports.ts";
import { isOnlySignedOut } from "./pending-revocations.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface ReckonedExposure {
  readonly device: string;
  readonly person: string;
  readonly name: string;
  /** "signed-out": only phones that hold a certificate of before a password reset are let in, by the lock's clock until `certificatesEnd`. */
  readonly what: "revoked" | "signed-out";
  /** Revoked or signed out since, Unix seconds. */
  readonly since: number;
  readonly ageSeconds: number;
  /** What the lock holds by its latest verified report; null: it has never reported. */
  readonly holds: PolicyVersion | null;
  /** The policy version that ends it. */
  readonly endsWith: PolicyVersion;
  /** When a lock whose clock is right refuses the last certificate of before by itself (SPEC D7); null: it never does. */
  readonly certificatesEnd: number | null;
}

export interface ExposureView {
  /** Of all gateways, as they reported it. */
  readonly exposures: readonly (ExposureReport["exposures"][number] & { readonly gateway: string })[];
  readonly gateways: readonly { readonly gateway: string; readonly at: number; readonly ageSeconds: number }[];
  readonly reckoned: readonly ReckonedExposure[];
}

export function exposureView(parts: CloudParts): ExposureView {
  const { table, authority } = parts;
  const reports = table
    .devicesWith("exposure")
    .map((gateway) => table.latest(gateway, "exposure")?.body)
    .filter((report) => report !== undefined);
  return {
    exposures: reports.flatMap(({ gateway, exposures }) => exposures.map((exposure) => ({ ...exposure, gateway }))),
    gateways: reports.map(({ gateway, at }) => ({ gateway, at, ageSeconds: Math.max(0, authority.now() - at) })),
    reckoned: Object.entries(authority.state.policies).flatMap(([device, policy]) => reckon(parts, device, policy)),
  };
}

function reckon(parts: CloudParts, device: string, policy: PolicyState): ReckonedExposure[] {
  const { authority } = parts;
  const report = heldPolicy(parts, device);
  const holds = report === null ? null : { epoch: report.epoch, version: report.version };
  const now = authority.now();
  const open = policy.revocations
    .filter((revocation) => holds === null || comparePolicyOrder(holds, revocation) < 0)
    // A revocation that is dated ahead takes nothing from anybody before its time.
    .filter(({ since }) => since <= now);
  // Somebody who lost several rights one after the other is one exposure: from the first of them on, until the last is known.
  return [...new Set(open.map(({ person }) => person))].map((person) => {
    const own = open.filter((revocation) => revocation.person === person).sort(comparePolicyOrder);
    const since = Math.min(...own.map((revocation) => revocation.since));
    const last = own.at(-1);
    assert(last !== undefined, "a person of the list has an entry in it");
    const isSignedOut = own.every(isOnlySignedOut);
    // No certificate of before was made later than the last reset.
    const lastSince = Math.max(...own.map((revocation) => revocation.since));
    return {
      device,
      person,
      name: authority.nameOf(person) ?? person,
      what: isSignedOut ? "signed-out" : "revoked",
      since,
      ageSeconds: Math.max(0, now - since),
      holds,
      endsWith: { epoch: last.epoch, version: last.version },
      certificatesEnd: isSignedOut ? lastSince + appCertificateSecondsMax : null,
    };
  });
}
