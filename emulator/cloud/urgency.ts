/**
 * What a courier's schedule has to know of a policy that it cannot read: whether it should arrive at once, and by when the lock is
 * visited again. Reckoned from what the lock reported last, because only against that is anybody locked out, exposed or waiting. SPEC M16, J8.
 */
import { visitBy } from "../../protocol/access/lease.ts";
import { decodePolicy, type LockPolicy, type PolicyCredential } from "../../protocol/access/policy.ts";
import { credentialWays, revokedBetween } from "../../protocol/access/revocations.ts";
import { equalBytes } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import type { UrgentReason } from "../../protocol/wire/messages/desired.ts";
import type { PolicyState } from "./authority-state.ts";

export interface ScheduleHints {
  readonly urgent: UrgentReason | null;
  readonly visitBy: UnixSeconds | null;
}

/** Of the newest policy of a device, beside the oldest that it may still hold: the one that it confirmed last. */
export function scheduleHints(state: PolicyState): ScheduleHints {
  const known = hintsByState.get(state);
  if (known !== undefined) return known;
  const newest = readPolicy(state.bundle);
  const held = state.former[0];
  // Who loses a way in later is let in by right until then; a gateway that still has not been there by then sees it by itself.
  const isExposed = state.revocations.some(({ since }) => since <= newest.issuedAt);
  const hints: ScheduleHints = {
    urgent: urgencyOf(held === undefined ? undefined : readPolicy(held.bundle), newest, isExposed),
    visitBy: visitBy(newest) ?? null,
  };
  hintsByState.set(state, hints);
  return hints;
}

/**
 * Why `newest` should arrive at once at a lock that holds `held`; null: it can wait for its turn. `held` undefined: it holds no policy
 * of this authority or the newest already, and neither is anybody's loss.
 */
export function urgencyOf(held: LockPolicy | undefined, newest: LockPolicy, isExposed: boolean): UrgentReason | null {
  const gained = held === undefined ? [] : gainedBetween(held, newest);
  if (held !== undefined && hasLeaseEnded(held, newest)) return "lock-out";
  if (held !== undefined && gained.some((credential) => isLockedOut(held, newest, credential))) return "lock-out";
  if (isExposed) return "revocation";
  return gained.some((credential) => isNewCard(held, credential)) ? "keycard" : null;
}

/** What would be lost if the lock stayed behind is what would be revoked by going back. */
function gainedBetween(held: LockPolicy, newest: LockPolicy): readonly PolicyCredential[] {
  const ids = new Set(revokedBetween(newest, held));
  return newest.credentials.filter(({ id }) => ids.has(id));
}

/** A whole class of credentials has stopped there (SPEC J7), and the newest policy lets it go on. */
function hasLeaseEnded(held: LockPolicy, newest: LockPolicy): boolean {
  return leaseClasses.some((leaseClass) => {
    const [before, after] = [held.leaseEnd[leaseClass], newest.leaseEnd[leaseClass]];
    const goesOn = after === undefined || after > newest.issuedAt;
    return before !== undefined && before <= newest.issuedAt && goesOn;
  });
}

/** The lock knows the credential and lets nobody in by it as it is now: suspended, ended, or with another code. */
function isLockedOut(held: LockPolicy, newest: LockPolicy, credential: PolicyCredential): boolean {
  const known = held.credentials.find(({ id }) => id === credential.id);
  if (known === undefined) return false;
  // Another card under the same name is a new card, and waits as one.
  const isAnotherCode = credential.kind !== "keycard" && !isSameEntry(known, credential);
  return isAnotherCode || !mayOpen(held, newest, known);
}

/** At the time of the newest policy, not when the old one was made. */
function mayOpen(held: LockPolicy, { issuedAt }: LockPolicy, { id }: PolicyCredential): boolean {
  return credentialWays({ ...held, issuedAt }, id) !== undefined;
}

function isNewCard(held: LockPolicy | undefined, credential: PolicyCredential): boolean {
  if (credential.kind !== "keycard") return false;
  const known = held?.credentials.find(({ id }) => id === credential.id);
  return known === undefined || !isSameEntry(known, credential);
}

/** Presented alike: the same code, the same card. */
function isSameEntry(left: PolicyCredential, right: PolicyCredential): boolean {
  const same = (one: Uint8Array | undefined, other: Uint8Array | undefined): boolean =>
    one === undefined || other === undefined ? one === other : equalBytes(one, other);
  return same(left.keypadLookup, right.keypadLookup) && same(left.tokenLookup, right.tokenLookup);
}

function readPolicy(bundle: Uint8Array): LockPolicy {
  const policy = decodePolicy(bundle);
  assert(policy.ok, "the authority reads its own policies");
  return policy.value;
}

const leaseClasses = ["app", "code", "keycard"] as const;
/** By the very state that they were reckoned of, which is never changed, only replaced. */
const hintsByState = new WeakMap<PolicyState, ScheduleHints>();
