/**
 * Exposure: people revoked upstream whom a lock or a networked device still lets in, because it does not know yet (row 61). Reckoned from
 * the authority's revocations and from what each last reported; its own word counts, what was planned or sent does not.
 * SPEC G3.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { DeviceDesired, LockDesired } from "../../protocol/wire/messages/desired.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { PolicyVersion } from "../ports/visit.ts";

export type Exposure = ExposureReport["exposures"][number];

/** `holds` gives what a device last reported, null when it never has. In the order of since, device, person. */
export function findExposures(
  orders: readonly (LockDesired | DeviceDesired)[],
  holds: (device: DeviceId) => PolicyVersion | null,
): readonly Exposure[] {
  return orders
    .flatMap(({ device, revocations }) => {
      const held = holds(device);
      const open = revocations.filter((revocation) => held === null || isNewer(revocation, held));
      // Somebody who lost several rights one after the other is one exposure, from the first of them on.
      const firstByPerson = new Map(
        open.sort((left, right) => right.since - left.since).map((each) => [each.person, each]),
      );
      return [...firstByPerson.values()].map(({ person, since }) => ({ device, person, since, holds: held }));
    })
    .sort(
      (left, right) =>
        left.since - right.since || compare(left.device, right.device) || compare(left.person, right.person),
    );
}

/** Order is by keyset epoch, then by version (PROTOCOL part 1). */
export function isNewer(left: PolicyVersion, right: PolicyVersion): boolean {
  return comparePolicyOrder(left, right) > 0;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
