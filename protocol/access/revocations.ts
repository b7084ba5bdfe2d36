/**
 * What an offline lock still lets in although a newer policy would not: the exposure (SPEC P8).
 *
 * Two policies of one device are compared, the one that the lock is known to hold and the newest signed one. The comparison needs
 * no clock but the newer policy's own time: what ended before it was made is over.
 */
import { bytesToHex, equalBytes, utf8 } from "../base/bytes.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import { sha256 } from "../crypto.ts";
import type { Grant, LockPolicy, PolicyCredential } from "./policy.ts";

/**
 * The ids of credentials that `held` may still let in and `newest` does not, or not as widely: gone, no longer active, without
 * rights, ended earlier, fewer ways in, or with another code or card under the same id. In the order of their ids.
 */
export function revokedBetween(held: LockPolicy, newest: LockPolicy): readonly string[] {
  const newestById = new Map(newest.credentials.map((credential) => [credential.id, credential]));
  return held.credentials
    .filter((credential) => mayOpen(held, credential) && endOf(credential) > newest.issuedAt)
    .filter((credential) => {
      const now = newestById.get(credential.id);
      return now === undefined || !mayOpen(newest, now) || isNarrower(held, credential, newest, now);
    })
    .map(({ id }) => id);
}

/**
 * From when `held` lets one of these credentials do what `newest` does not: from its new end on if that lies ahead and is all that
 * changed, else from the making of `newest`. Somebody whose rights end next week is no exposure this week.
 */
export function exposedFrom(held: LockPolicy, newest: LockPolicy, id: string): UnixSeconds {
  const [before, after] = [credentialThatOpens(held, id), credentialThatOpens(newest, id)];
  if (before === undefined || after === undefined || isNarrowerAtOnce(held, before, newest, after))
    return newest.issuedAt;
  const end = endOf(after);
  return Number.isFinite(end) ? unixSeconds(end) : newest.issuedAt;
}

/**
 * What a policy lets one credential do, as 8 bytes that are the same while nothing of it changes: for telling whether something that
 * was taken away has been given back. Undefined for a credential that the policy does not have or that opens nothing.
 */
export function credentialWays(policy: LockPolicy, id: string): Uint8Array | undefined {
  const credential = credentialThatOpens(policy, id);
  return credential === undefined ? undefined : waysOf(policy, credential);
}

/**
 * Whether a credential of `held` opens as before by `newest`, but for the certificates that its owner's phones had: their owner was signed
 * out everywhere, and nothing else was taken away.
 */
export function isSignedOutOnly(held: LockPolicy, newest: LockPolicy, id: string): boolean {
  const [before, after] = [credentialThatOpens(held, id), credentialThatOpens(newest, id)];
  if (before === undefined || after === undefined) return false;
  if ((after.certificatesFrom ?? 0) <= (before.certificatesFrom ?? 0)) return false;
  const [{ certificatesFrom: _, ...restBefore }, { certificatesFrom: __, ...restAfter }] = [before, after];
  return equalBytes(waysOf(held, restBefore), waysOf(newest, restAfter));
}

function credentialThatOpens(policy: LockPolicy, id: string): PolicyCredential | undefined {
  const credential = policy.credentials.find((each) => each.id === id);
  return credential !== undefined && mayOpen(policy, credential) ? credential : undefined;
}

function waysOf(policy: LockPolicy, { rights, ...rest }: PolicyCredential): Uint8Array {
  const grants = (policy.rights[rights] ?? []).map((grant) => grantText(policy, grant));
  const fields = Object.entries(rest).map(([name, value]) =>
    JSON.stringify([name, value instanceof Uint8Array ? bytesToHex(value) : value]),
  );
  return sha256(utf8(JSON.stringify([fields.sort(), grants]))).subarray(0, waysBytes);
}

function mayOpen(policy: LockPolicy, credential: PolicyCredential): boolean {
  const { state, assigned, rights, usesAllowed } = credential;
  const isOver = endOf(credential) <= policy.issuedAt;
  return state === "active" && assigned && !isOver && usesAllowed !== 0 && (policy.rights[rights]?.length ?? 0) > 0;
}

function isNarrower(held: LockPolicy, before: PolicyCredential, newest: LockPolicy, after: PolicyCredential): boolean {
  return endOf(after) < endOf(before) || isNarrowerAtOnce(held, before, newest, after);
}

/** But for its end. */
function isNarrowerAtOnce(
  held: LockPolicy,
  before: PolicyCredential,
  newest: LockPolicy,
  after: PolicyCredential,
): boolean {
  if (!sameLookup(before.keypadLookup, after.keypadLookup)) return true;
  if (!sameLookup(before.tokenLookup, after.tokenLookup)) return true;
  // A phone that was signed out is let in until its certificate ends, or until the lock hears of it.
  if ((after.certificatesFrom ?? 0) > (before.certificatesFrom ?? 0)) return true;
  const waysAfter = new Set((newest.rights[after.rights] ?? []).map((grant) => grantText(newest, grant)));
  return (held.rights[before.rights] ?? []).some((grant) => !waysAfter.has(grantText(held, grant)));
}

/** When it ends, by its own validity or by a revocation that is known ahead. */
function endOf({ validUntil, revokedFrom }: PolicyCredential): number {
  return Math.min(validUntil ?? Number.POSITIVE_INFINITY, revokedFrom ?? Number.POSITIVE_INFINITY);
}

/** A code that was taken away still opens the lock that holds it; one that was added exposes nobody. */
function sameLookup(before: Uint8Array | undefined, after: Uint8Array | undefined): boolean {
  return before === undefined || (after !== undefined && equalBytes(before, after));
}

/** A grant with what its schedule says, because indexes differ between policies. */
function grantText(policy: LockPolicy, { schedule, observesHolidays, from, until }: Grant): string {
  const windows = schedule === undefined ? "any" : policy.schedules[schedule];
  return JSON.stringify([
    typeof windows === "object" ? [windows.weekly, windows.dated] : windows,
    observesHolidays,
    from,
    until,
  ]);
}

const waysBytes = 8;
