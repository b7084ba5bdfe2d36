/**
 * Who is revoked and still let in somewhere: what each gateway reported, and beside it the authority's own reckoning from the
 * reports that carry the device's own MAC, which no gateway can make up.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { PolicyState } from "./authority-state.ts";
import type { CloudParts } from "./cloud-parts.ts";
import { heldPolicy } from "./device-reports.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface ReckonedExposure {
  readonly device: string;
  readonly person: string;
  readonly name: string;
  /** Revoked since, Unix seconds. */
  readonly since: number;
  readonly ageSeconds: number;
  /** What the lock holds by its latest verified report; null: it has never reported. */
  readonly holds: PolicyVersion | null;
  /** The policy version that ends it. */
  readonly endsWith: PolicyVersion;
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
  const open = policy.revocations.filter((revocation) => holds === null || comparePolicyOrder(holds, revocation) < 0);
  // Somebody who lost several rights one after the other is one exposure: from the first of them on, until the last is known.
  return [...new Set(open.map(({ person }) => person))].map((person) => {
    const own = open.filter((revocation) => revocation.person === person).sort(comparePolicyOrder);
    const since = Math.min(...own.map((revocation) => revocation.since));
    const last = own.at(-1);
    assert(last !== undefined, "a person of the list has an entry in it");
    return {
      device,
      person,
      name: authority.nameOf(person) ?? person,
      since,
      ageSeconds: Math.max(0, authority.now() - since),
      holds,
      endsWith: { epoch: last.epoch, version: last.version },
    };
  });
}
