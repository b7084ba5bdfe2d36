/**
 * Exposure: people revoked or signed out upstream whom a lock or a networked device still lets in, because it does not know yet (row 61).
 * Reckoned from the authority's revocations and from what each last reported; its own word counts, what was planned or sent does not.
 * SPEC G3.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import type { DeviceId, UnixSeconds } from "../../protocol/base/units.ts";
import type { DeviceDesired, LockDesired } from "../../protocol/wire/messages/desired.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { PolicyVersion } from "../ports/visit.ts";

export type Exposure = ExposureReport["exposures"][number];

/**
 * `holds` gives what a device last reported, null when it never has. A revocation that is dated ahead is none before its time, which is
 * `now` or, where this gateway's clock is behind, when the authority wrote the document. In the order of since, device, person.
 */
export function findExposures(
  orders: readonly (LockDesired | DeviceDesired)[],
  holds: (device: DeviceId) => PolicyVersion | null,
  now: UnixSeconds,
): readonly Exposure[] {
  return orders
    .flatMap(({ device, revocations, revision }) => {
      const held = holds(device);
      const told = revocations.filter((revocation) => held === null || isNewer(revocation, held));
      const open = told.filter(({ since }) => since <= Math.max(now, revision / 1000));
      // Somebody who lost several rights one after the other is one exposure, from the first of them on.
      const firstByPerson = new Map(
        open.sort((left, right) => right.since - left.since).map((each) => [each.person, each]),
      );
      const revoked = new Set(open.filter(({ what }) => what === "revoked").map(({ person }) => person));
      return [...firstByPerson.values()].map(({ person, since }) => {
        const what = revoked.has(person) ? ("revoked" as const) : ("signed-out" as const);
        return { device, person, since, what, holds: held };
      });
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
