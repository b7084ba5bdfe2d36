/**
 * Who lost a way in by the policy versions that a lock has not confirmed yet: its exposure, as the authority keeps it.
 *
 * Each new version is compared with the one before it (SPEC P8), so it makes no difference whether somebody was revoked, a
 * credential was lost or a site file came without them. An entry goes when the lock's own report says that it holds that version, or
 * when a later version gives back exactly what was taken. A lock that is not visited for long collects no more than a few
 * entries for each person.
 */
import type { z } from "zod";
import { comparePolicyOrder, decodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { credentialWays, exposedFrom, isSignedOutOnly, revokedBetween } from "../../protocol/access/revocations.ts";
import { equalBytes } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import { type LockDesired, REVOCATIONS_LIMIT } from "../../protocol/wire/messages/desired.ts";
import type { PolicyState, pendingRevocationSchema } from "./authority-state.ts";

export type PendingRevocation = z.output<typeof pendingRevocationSchema>;

/** What the authority knows of people beside the policies. */
export interface Owners {
  /** Whose a credential was by the former version; undefined: nobody's. */
  readonly personOf: (credential: string) => string | undefined;
  /** When the person's rights ended, for what a policy takes from them at `from`: that moment, or an earlier one. */
  readonly since: (person: string, from: UnixSeconds) => UnixSeconds;
}

/** The list after `newest` has followed on `former`. */
export function addRevocations(
  pending: readonly PendingRevocation[],
  former: LockPolicy,
  newest: LockPolicy,
  { personOf, since }: Owners,
): PendingRevocation[] {
  const { epoch, version } = newest;
  const lostByPerson = new Map<string, { readonly from: UnixSeconds; readonly lost: PendingRevocation["lost"] }>();
  for (const credential of revokedBetween(former, newest)) {
    const person = personOf(credential);
    const was = credentialWays(former, credential);
    if (person === undefined || was === undefined) continue;
    const signedOutOnly = isSignedOutOnly(former, newest, credential);
    const known = lostByPerson.get(person);
    const from = exposedFrom(former, newest, credential);
    lostByPerson.set(person, {
      from: known === undefined || from < known.from ? from : known.from,
      lost: [...(known?.lost ?? []), { credential, was, signedOutOnly }],
    });
  }
  const added = [...lostByPerson].map(([person, { from, lost }]) => {
    return { person, since: since(person, from), epoch, version, lost };
  });
  return joinOldest([...pending.filter((entry) => !isGivenBack(entry, newest)), ...added]);
}

/**
 * Both lists after the lock has reported that it holds `confirmed`: what only older versions let in is confirmed, the latest of it kept.
 * A lock that had confirmed more and fell back to an older policy lets in again whom that lets in: what it does not know any more is
 * pending once more, unless `newest` has given it back.
 */
export function settleRevocations(
  { revocations, confirmedRevocations }: RevocationLists,
  confirmed: { readonly epoch: number; readonly version: number },
  newest: LockPolicy,
): RevocationLists {
  const isKnown = (entry: PendingRevocation): boolean => comparePolicyOrder(confirmed, entry) >= 0;
  const forgotten = confirmedRevocations.filter((entry) => !isKnown(entry) && !isGivenBack(entry, newest));
  const settled = [
    ...confirmedRevocations.filter((entry) => !forgotten.includes(entry)),
    ...revocations.filter(isKnown),
  ];
  return {
    revocations: [...forgotten, ...revocations.filter((entry) => !isKnown(entry))],
    confirmedRevocations: settled.slice(-confirmedKept),
  };
}

/** Whether a report made more pending than was: the lock fell back, and gateways have to hear whom it lets in and what it stands on. */
export function hasFallenBack(before: PolicyState | undefined, after: PolicyState | undefined): boolean {
  if (before === undefined || after === undefined) return false;
  const [oldestBefore, oldestAfter] = [before.former[0] ?? before, after.former[0] ?? after];
  return after.revocations.length > before.revocations.length || comparePolicyOrder(oldestAfter, oldestBefore) < 0;
}

/**
 * Whether a device that let `credential` in at `at` did so although a version that it did not hold yet had taken the credential away.
 * `held` is the version that it held by its own log; undefined: the log does not say, and only what it has not confirmed counts.
 */
export function wasRevoked(
  lists: RevocationLists & { readonly bundle: Uint8Array },
  { credential, at, held }: { readonly credential: string; readonly at: number; readonly held: number | undefined },
): boolean {
  const { revocations, confirmedRevocations } = lists;
  const candidates = held === undefined ? revocations : [...revocations, ...confirmedRevocations];
  const found = candidates.some(
    ({ lost, since, version }) =>
      since <= at && (held === undefined || held < version) && lost.some((each) => each.credential === credential),
  );
  if (!found) return false;
  // What only became narrower, or was given back, is not revoked: the grant may be by a way that is still there.
  const newest = decodePolicy(lists.bundle);
  assert(newest.ok, "the authority reads its own policies");
  return credentialWays(newest.value, credential) === undefined;
}

type RevocationLists = Pick<PolicyState, "revocations" | "confirmedRevocations">;

/** As they go out to gateways: of more than a message has room for, the latest. The authority's own reckoning has all. */
export function revocationsToSend(pending: readonly PendingRevocation[]): LockDesired["revocations"] {
  const latest = [...pending].sort(comparePolicyOrder).slice(-REVOCATIONS_LIMIT);
  return latest.map((entry) => {
    const { person, since, epoch, version } = entry;
    return { person, since, epoch, version, what: isOnlySignedOut(entry) ? "signed-out" : "revoked" };
  });
}

/** All that was lost are the certificates of before a password reset. */
export function isOnlySignedOut({ lost }: PendingRevocation): boolean {
  return lost.length > 0 && lost.every(({ signedOutOnly }) => signedOutOnly);
}

function earlier(left: UnixSeconds, right: UnixSeconds): UnixSeconds {
  return left < right ? left : right;
}

function isGivenBack({ lost }: PendingRevocation, newest: LockPolicy): boolean {
  const hasAgain = lost.filter(({ credential, was }) => {
    const ways = credentialWays(newest, credential);
    return ways !== undefined && equalBytes(ways, was);
  });
  return lost.length > 0 && hasAgain.length === lost.length;
}

/** Two of the oldest entries of a person become one, which began with the first and ends with the second. */
function joinOldest(entries: readonly PendingRevocation[]): PendingRevocation[] {
  const people = [...new Set(entries.map(({ person }) => person))];
  return people.flatMap((person) => {
    const own = entries.filter((entry) => entry.person === person);
    while (own.length > entriesPerPerson) {
      const [first, second, ...rest] = own;
      if (first === undefined || second === undefined) break;
      own.splice(
        0,
        own.length,
        { ...second, since: earlier(first.since, second.since), lost: joinLost(first.lost, second.lost) },
        ...rest,
      );
    }
    return own;
  });
}

/** What a credential could do is what it could before the first of the two; it lost no more than certificates if by both it did not. */
function joinLost(first: PendingRevocation["lost"], second: PendingRevocation["lost"]): PendingRevocation["lost"] {
  const secondById = new Map(second.map((each) => [each.credential, each]));
  const firstIds = new Set(first.map(({ credential }) => credential));
  return [
    ...first.map((each) => {
      const signedOutOnly = each.signedOutOnly && (secondById.get(each.credential)?.signedOutOnly ?? true);
      return { ...each, signedOutOnly };
    }),
    ...second.filter(({ credential }) => !firstIds.has(credential)),
  ];
}

/** A person is rarely changed more often between two visits; beyond it only the moment is less exact. */
const entriesPerPerson = 8;
/** More than one visit's worth for any building; beyond it a late log has no warning. */
const confirmedKept = 64;
