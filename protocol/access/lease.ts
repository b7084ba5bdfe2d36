/**
 * Leases: how long a class of credentials goes on at a lock that nobody visits (SPEC D9, J7, J8).
 *
 * A revocation can only bite where it arrives. A lease bounds how long it may take: unless a newer policy comes, the class stops at
 * its end. `decide` judges by the same two ends that `effectiveEnd` joins.
 */
import type { UnixSeconds } from "../base/units.ts";
import { unixSeconds } from "../base/units.ts";
import { type CredentialKind, isKeypadKind } from "./credential-kind.ts";
import type { LeaseClass, LockPolicy, PolicyCredential } from "./policy.ts";

/** The class whose lease binds this kind; undefined: none does. */
export function leaseClassOf(kind: CredentialKind): LeaseClass | undefined {
  if (kind === "app-key") return "app";
  if (kind === "keycard") return "keycard";
  return isKeypadKind(kind) ? "code" : undefined;
}

/** When a credential stops at this lock, half open: the earliest of its own end, its announced revocation and its class's lease. */
export function effectiveEnd(policy: LockPolicy, credential: PolicyCredential): UnixSeconds | undefined {
  const leaseClass = leaseClassOf(credential.kind);
  const lease = leaseClass === undefined ? undefined : policy.leaseEnd[leaseClass];
  const ends = [credential.validUntil, credential.revokedFrom, lease].filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : unixSeconds(Math.min(...ends));
}

/** By when a lock must be visited even if it says that it is in sync: half of its shortest lease. Undefined: it has no lease. */
export function visitBy({ issuedAt, leaseEnd }: LockPolicy): UnixSeconds | undefined {
  const ends = [leaseEnd.app, leaseEnd.code, leaseEnd.keycard].filter((end) => end !== undefined);
  if (ends.length === 0) return undefined;
  const shortest = Math.max(0, Math.min(...ends) - issuedAt);
  return unixSeconds(issuedAt + shortest / 2);
}
