/**
 * Exposure: people revoked upstream whom a lock still lets in, because it has not been synced since (row 61). Reckoned from the
 * authority's revocations and from what each lock last reported; the lock's own word counts, a visit that was planned does not.
 * SPEC G3.
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { LockDesired } from "../../protocol/wire/messages/desired.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { PolicyVersion } from "../ports/visit.ts";

export type Exposure = ExposureReport["exposures"][number];

/** `holds` gives what a lock last reported, null when it never has. In the order of since, device, person. */
export function findExposures(
  locks: readonly LockDesired[],
  holds: (device: DeviceId) => PolicyVersion | null,
): readonly Exposure[] {
  return locks
    .flatMap((lock) => {
      const held = holds(lock.device);
      return lock.revocations
        .filter((revocation) => held === null || isNewer(revocation, held))
        .map(({ person, since }) => ({ device: lock.device, person, since, holds: held }));
    })
    .sort(
      (left, right) =>
        left.since - right.since || compare(left.device, right.device) || compare(left.person, right.person),
    );
}

/** Order is by keyset epoch, then by version (PROTOCOL part 1). */
export function isNewer(left: PolicyVersion, right: PolicyVersion): boolean {
  return left.epoch > right.epoch || (left.epoch === right.epoch && left.version > right.version);
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
