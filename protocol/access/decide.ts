/**
 * Who may open, now: `decide` judges one attempt at one device and does nothing else (SPEC D1-D14).
 *
 * It runs every check whose facts are there, names every one that failed in the documented order (`denialReasons`), and lists
 * those it could not run: an unknown code has no owner whose schedule could be looked at. The caller persists the marks before
 * the bolt moves, moves the bolt, and writes the log.
 *
 * Failures are collected as bits in the documented order, so that a decision costs no more than its lookups.
 */
import { assert } from "../base/result.ts";
import type { LocalDay, UnixSeconds } from "../base/units.ts";
import { type DailySlot, slotsOfCode, usedSlotName } from "../doorcode/daily-code.ts";
import type { Attempt, LockState } from "./attempt.ts";
import { civilDay, civilSeconds, closingHoliday, isHoliday, offsetAt, scheduleCovers } from "./calendar.ts";
import type { CredentialKind, CredentialState } from "./credential-kind.ts";
import { leaseClassOf } from "./lease.ts";
import { entryTag, presentationLookup } from "./lookup.ts";
import {
  comparePolicyOrder,
  type Grant,
  type KeypadRules,
  type PolicyCredential,
  type PolicyHoliday,
} from "./policy.ts";
import { credentialById, credentialByLookup, type IndexedPolicy } from "./policy-index.ts";
import { type CheckName, checkNames, type DenialReason, denialReasons, type WarningCode } from "./reasons.ts";

export interface Decision {
  readonly granted: boolean;
  /** The first of `failedChecks`; undefined when granted. */
  readonly primaryReason: DenialReason | undefined;
  /** In the documented order; empty when granted. */
  readonly failedChecks: readonly DenialReason[];
  /** Checks whose facts were not there; they neither passed nor failed. */
  readonly unevaluated: readonly CheckName[];
  readonly warnings: readonly WarningCode[];
  readonly credentialId: string | undefined;
  readonly credentialKind: CredentialKind | undefined;
  /** The slot, when a daily code was recognised. */
  readonly daily: (DailySlot & { readonly keyId: number }) | undefined;
  /** The holiday that stood in the way. */
  readonly holidayId: string | undefined;
  /** Names a code that was not recognised, for the authority alone. */
  readonly entryTag: number | undefined;
  /** What must be persisted before the bolt moves; empty when denied. */
  readonly marks: readonly Mark[];
}

export type Mark =
  | { readonly kind: "daily-code-used"; readonly name: string }
  | { readonly kind: "use-spent"; readonly credentialId: string; readonly spent: number };

/**
 * Judges `attempt` at `now`, the device's own clock. Total: every policy that `indexPolicy` took and every attempt gives a
 * decision. Source: SPEC D1.
 */
export function decide(policy: IndexedPolicy, state: LockState, attempt: Attempt, now: UnixSeconds): Decision {
  const moment = momentOf(policy, state, now);
  const trial = emptyTrial();
  const found = findCredential(policy, state, attempt, moment, trial);
  if (found.kind === "held") checkHeld(policy, state, attempt, moment, found.credential, trial);
  if (found.kind === "daily") checkDaily(policy, state, trial);
  checkDevice(policy, state, moment, trial);
  return conclude(policy, state, moment, found, trial);
}

/** The instant of an attempt, as far as this lock can tell. */
interface Moment {
  readonly now: UnixSeconds;
  /** Latest instant known to be past: judges ends while the clock is not set. */
  readonly atLeast: UnixSeconds;
  /** Civil seconds of the site; undefined when the clock is not set or the zone table does not reach. */
  readonly civil: number | undefined;
}

type Found =
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly entryTag: number | undefined }
  | { readonly kind: "held"; readonly credential: PolicyCredential }
  | { readonly kind: "daily"; readonly slot: DailySlot & { readonly keyId: number } };

/** What the checks write down: one bit for each failed reason, one for each check that could not be run. */
interface Trial {
  failed: number;
  unevaluated: number;
  holiday: PolicyHoliday | undefined;
}

function momentOf(policy: IndexedPolicy, state: LockState, now: UnixSeconds): Moment {
  const { quality, highWater } = state.clock;
  // SPEC D8: a clock that is not set gives no civil time, and its own reading counts only as far as it was persisted.
  if (quality !== "set") {
    const atLeast = quality === "lower-bound" && now > highWater ? now : highWater;
    return { now, atLeast, civil: undefined };
  }
  const offset = offsetAt(policy.policy.zone, now);
  return { now, atLeast: now, civil: offset === undefined ? undefined : civilSeconds(now, offset) };
}

/** Looks for what was presented; marks the checks about presenting. */
function findCredential(
  policy: IndexedPolicy,
  state: LockState,
  attempt: Attempt,
  moment: Moment,
  trial: Trial,
): Found {
  const found = presented(policy, state, attempt, moment, trial);
  if (found.kind === "none" || found.kind === "unknown") trial.unevaluated |= aboutTheCredential;
  if (found.kind === "none") trial.unevaluated |= checkBit.credential;
  return found;
}

function presented(policy: IndexedPolicy, state: LockState, attempt: Attempt, moment: Moment, trial: Trial): Found {
  switch (attempt.kind) {
    case "code":
      return findCode(policy, state, attempt, moment, trial);
    case "app": {
      const credential = credentialById(policy, attempt.credentialId);
      // An id of another kind is no app key, whoever signed the certificate.
      if (credential?.kind === "app-key") return { kind: "held", credential };
      trial.failed |= reasonBit.CREDENTIAL_UNKNOWN;
      return { kind: "unknown", entryTag: undefined };
    }
    case "token": {
      const lookup = presentationLookup(state.codeKey, attempt.tokenKind, attempt.value);
      const credential = credentialByLookup(policy.byToken, lookup);
      if (credential !== undefined) return { kind: "held", credential };
      trial.failed |= policy.takes.has(attempt.tokenKind)
        ? reasonBit.CREDENTIAL_UNKNOWN
        : reasonBit.CREDENTIAL_NOT_SUPPORTED;
      return { kind: "unknown", entryTag: undefined };
    }
  }
}

function findCode(
  policy: IndexedPolicy,
  state: LockState,
  attempt: Attempt & { readonly kind: "code" },
  moment: Moment,
  trial: Trial,
): Found {
  // SPEC C8: without a try left the entry is not compared, so that the answer cannot tell anything about it.
  if (state.keypadLockedOut) {
    trial.failed |= reasonBit.LOCKED_OUT;
    trial.unevaluated |= checkBit["entry-timing"];
    return { kind: "none" };
  }
  if (hasLongPause(attempt.digitTimesMs, policy.policy.keypad.digitTimeoutMs)) {
    trial.failed |= reasonBit.ENTRY_TIMEOUT;
    return { kind: "none" };
  }
  const lookup = presentationLookup(state.codeKey, "keypad", attempt.digits);
  const credential = credentialByLookup(policy.byKeypad, lookup);
  if (credential !== undefined) return { kind: "held", credential };
  return findDaily(policy, state, attempt.digits, moment, trial);
}

function findDaily(policy: IndexedPolicy, state: LockState, digits: string, moment: Moment, trial: Trial): Found {
  const { keypad } = policy.policy;
  const mayBeDaily =
    policy.takes.has("daily-doorcode") && state.dailyKeys.length > 0 && digits.length === keypad.dailyDigits;
  if (mayBeDaily && moment.civil === undefined) {
    // SPEC D8: without the day the entry may be a good daily code or none; the lock cannot say "unknown".
    trial.failed |= reasonBit.DEVICE_CLOCK_WRONG;
    trial.unevaluated |= checkBit.credential;
    return { kind: "unknown", entryTag: entryTag(state.entryTagKey, digits) };
  }
  if (mayBeDaily && moment.civil !== undefined) {
    const slot = matchDaily(state, keypad, digits, civilDay(moment.civil));
    if (slot !== undefined) return { kind: "daily", slot };
  }
  trial.failed |= policy.takesKeypad ? reasonBit.CREDENTIAL_UNKNOWN : reasonBit.CREDENTIAL_NOT_SUPPORTED;
  return { kind: "unknown", entryTag: entryTag(state.entryTagKey, digits) };
}

/** The first slot of today that has this code and is not used up. A used slot is as unknown as any other code (SPEC C4). */
function matchDaily(
  state: LockState,
  keypad: KeypadRules,
  digits: string,
  day: LocalDay,
): (DailySlot & { readonly keyId: number }) | undefined {
  for (const { keyId, key } of state.dailyKeys) {
    for (const slot of slotsOfCode(key, day, keypad, digits)) {
      if (!state.usedSlots.has(usedSlotName(keyId, slot))) return { ...slot, keyId };
    }
  }
  return undefined;
}

/** Undefined times: the device does not report them. The rule holds for the gap before each digit but the first. */
function hasLongPause(times: readonly number[] | undefined, limitMs: number): boolean {
  if (times === undefined) return false;
  for (let index = 1; index < times.length; index++) {
    if ((times[index] ?? 0) - (times[index - 1] ?? 0) > limitMs) return true;
  }
  return false;
}

function checkHeld(
  policy: IndexedPolicy,
  state: LockState,
  attempt: Attempt,
  moment: Moment,
  credential: PolicyCredential,
  trial: Trial,
): void {
  if (!policy.takes.has(credential.kind)) trial.failed |= reasonBit.CREDENTIAL_NOT_SUPPORTED;
  if (attempt.kind === "token" && !attempt.authentic) trial.failed |= reasonBit.CREDENTIAL_NOT_AUTHENTIC;
  trial.failed |= stateBit[effectiveState(credential, moment)];
  checkValidity(state, credential, moment, trial);
  if (attempt.kind === "app") checkCertificate(credential, attempt.certificate, moment, trial);
  checkLease(policy, state, credential.kind, moment, trial);
  if (credential.assigned) {
    checkGrants(policy, state, moment, policy.policy.rights[credential.rights] ?? [], trial);
  } else {
    // Nobody's credential: there is no one whose groups and schedules could be looked at.
    trial.failed |= reasonBit.CREDENTIAL_UNASSIGNED;
    trial.unevaluated |= checkBit["access-group"] | checkBit.schedule | checkBit.holiday;
  }
  const { usesAllowed } = credential;
  if (usesAllowed !== undefined && (state.usesSpent.get(credential.id) ?? 0) >= usesAllowed) {
    trial.failed |= reasonBit.CREDENTIAL_USES_EXHAUSTED;
  }
}

function effectiveState({ state, revokedFrom }: PolicyCredential, { atLeast }: Moment): CredentialState {
  // What happened to the thing itself says more than that its owner lost access.
  return state === "active" && revokedFrom !== undefined && atLeast >= revokedFrom ? "revoked" : state;
}

/** SPEC D6: half open. While the clock is not set, ends are judged by the high-water mark, and a beginning that it has not reached cannot be judged. */
function checkValidity(state: LockState, credential: PolicyCredential, moment: Moment, trial: Trial): void {
  const { validFrom, validUntil } = credential;
  if (validUntil !== undefined && moment.atLeast >= validUntil) trial.failed |= reasonBit.CREDENTIAL_EXPIRED;
  if (validFrom !== undefined && moment.atLeast < validFrom) {
    trial.failed |= state.clock.quality === "set" ? reasonBit.CREDENTIAL_NOT_YET_ACTIVE : reasonBit.DEVICE_CLOCK_WRONG;
  }
}

/**
 * SPEC D7: over, made before everybody was signed out, or outliving 72 hours. The last is refused as a whole: whoever signed it broke
 * the rule that bounds what a stolen phone can do.
 */
function checkCertificate(
  { certificatesFrom }: PolicyCredential,
  { issuedAt, notAfter }: { readonly issuedAt: UnixSeconds; readonly notAfter: UnixSeconds },
  moment: Moment,
  trial: Trial,
): void {
  const isSignedOut = certificatesFrom !== undefined && issuedAt < certificatesFrom;
  if (isSignedOut || moment.atLeast >= notAfter || notAfter - issuedAt > appCertificateSecondsMax) {
    trial.failed |= reasonBit.APP_SESSION_EXPIRED;
  }
}

/** SPEC D9: by the clock, and while it is not set also by powered hours. */
function checkLease(policy: IndexedPolicy, state: LockState, kind: CredentialKind, moment: Moment, trial: Trial): void {
  const leaseClass = leaseClassOf(kind);
  if (leaseClass === undefined) return;
  const end = policy.policy.leaseEnd[leaseClass];
  if (end === undefined) return;
  const ranOut = state.clock.quality !== "set" && state.clock.poweredSecondsUnset > unsetLeaseSecondsMax;
  if (moment.atLeast >= end || ranOut) trial.failed |= reasonBit.LEASE_ENDED;
}

/**
 * One clean grant is enough. Otherwise the failures of the grants that came nearest are reported: those with the fewest, so
 * that nobody is sent to change a schedule that was not in the way (SPEC D10).
 */
function checkGrants(
  policy: IndexedPolicy,
  state: LockState,
  moment: Moment,
  grants: readonly Grant[],
  trial: Trial,
): void {
  if (grants.length === 0) {
    trial.failed |= reasonBit.NO_ACCESS_RIGHTS;
    trial.unevaluated |= checkBit.schedule | checkBit.holiday;
    return;
  }
  let fewest = Number.POSITIVE_INFINITY;
  let nearest = 0;
  for (const grant of grants) {
    const failures = grantFailures(policy, state, moment, grant);
    if (failures === 0) return;
    const count = bitCount(failures);
    if (count > fewest) continue;
    nearest = count < fewest ? failures : nearest | failures;
    fewest = count;
  }
  trial.failed |= nearest;
  if ((nearest & reasonBit.HOLIDAY_RESTRICTED) !== 0 && moment.civil !== undefined) {
    trial.holiday = closingHoliday(policy.policy.holidays, moment.civil);
  }
  if ((nearest & reasonBit.DEVICE_CLOCK_WRONG) !== 0) trial.unevaluated |= checkBit.schedule | checkBit.holiday;
}

/** The bits of OUT_OF_SCHEDULE, HOLIDAY_RESTRICTED and DEVICE_CLOCK_WRONG for one grant; 0 when it lets in. */
function grantFailures(policy: IndexedPolicy, state: LockState, moment: Moment, grant: Grant): number {
  const { holidays } = policy.policy;
  const schedule = grant.schedule === undefined ? undefined : policy.schedules[grant.schedule];
  assert(grant.schedule === undefined || schedule !== undefined, "a grant names a schedule of its policy");
  let failures = 0;
  // A grant's own duration is part of when it holds, so its failure is a matter of schedule.
  if (grant.until !== undefined && moment.atLeast >= grant.until) failures |= reasonBit.OUT_OF_SCHEDULE;
  if (grant.from !== undefined && moment.atLeast < grant.from) {
    failures |= state.clock.quality === "set" ? reasonBit.OUT_OF_SCHEDULE : reasonBit.DEVICE_CLOCK_WRONG;
  }
  const needsCalendar = schedule !== undefined || (grant.observesHolidays && holidays.length > 0);
  if (!needsCalendar) return failures;
  // SPEC D8: unless the clock is set, what depends on the calendar is denied.
  if (moment.civil === undefined) return failures | reasonBit.DEVICE_CLOCK_WRONG;
  const inSchedule = schedule === undefined || scheduleCovers(schedule, moment.now, moment.civil);
  if (grant.observesHolidays && isHoliday(holidays, moment.civil)) {
    // SPEC D11: on a holiday its working hours take the schedule's place.
    if (closingHoliday(holidays, moment.civil) === undefined) return failures;
    failures |= reasonBit.HOLIDAY_RESTRICTED;
  }
  return inSchedule ? failures : failures | reasonBit.OUT_OF_SCHEDULE;
}

/** A daily code carries its own right and its own day: groups, schedules and holidays are not asked (SPEC C2). */
function checkDaily(policy: IndexedPolicy, state: LockState, trial: Trial): void {
  if (policy.policy.keypad.deadboltRefusesDaily && state.deadboltExtended === true) {
    trial.failed |= reasonBit.DEADBOLT_EXTENDED;
  }
}

/** What concerns the door and the device, whoever stands there. */
function checkDevice(policy: IndexedPolicy, state: LockState, moment: Moment, trial: Trial): void {
  const { licence, doorAssigned } = policy.policy;
  if (licence !== undefined) {
    if (licence.kind === "never-activated" || moment.atLeast < licence.from) {
      trial.failed |= reasonBit.DOOR_NOT_ACTIVATED;
    } else if (moment.atLeast >= licence.until) trial.failed |= reasonBit.DOOR_LICENSE_EXPIRED;
    if (!doorAssigned) trial.failed |= reasonBit.DOOR_NOT_ASSIGNED;
  }
  if (state.battery === "empty") trial.failed |= reasonBit.INSUFFICIENT_BATTERY;
  if (state.battery === "unknown") trial.unevaluated |= checkBit.battery;
}

function conclude(policy: IndexedPolicy, state: LockState, moment: Moment, found: Found, trial: Trial): Decision {
  const granted = trial.failed === 0;
  const failedChecks = reasonsOf(trial.failed);
  const credential = found.kind === "held" ? found.credential : undefined;
  const daily = found.kind === "daily" ? found.slot : undefined;
  return {
    granted,
    primaryReason: failedChecks[0],
    failedChecks,
    unevaluated: checksOf(trial.unevaluated),
    warnings: warningsOf(policy, state, moment, credential, granted),
    credentialId: credential?.id,
    credentialKind: daily === undefined ? credential?.kind : "daily-doorcode",
    daily,
    holidayId: trial.holiday?.id,
    entryTag: found.kind === "unknown" ? found.entryTag : undefined,
    marks: granted ? marksOf(state, credential, daily) : noMarks,
  };
}

function marksOf(
  state: LockState,
  credential: PolicyCredential | undefined,
  daily: (DailySlot & { readonly keyId: number }) | undefined,
): readonly Mark[] {
  if (daily?.mode === "single-use") return [{ kind: "daily-code-used", name: usedSlotName(daily.keyId, daily) }];
  if (credential?.usesAllowed === undefined) return noMarks;
  return [{ kind: "use-spent", credentialId: credential.id, spent: (state.usesSpent.get(credential.id) ?? 0) + 1 }];
}

function warningsOf(
  { policy }: IndexedPolicy,
  state: LockState,
  moment: Moment,
  credential: PolicyCredential | undefined,
  granted: boolean,
): readonly WarningCode[] {
  let warnings: WarningCode[] | undefined;
  const warn = (code: WarningCode): void => {
    warnings ??= [];
    warnings.push(code);
  };
  const { newer, clock } = state;
  if (newer !== undefined && comparePolicyOrder(newer, policy) > 0) {
    if (granted && credential !== undefined && newer.revokedIds.has(credential.id)) warn("REVOKED_NOT_SYNCED");
    warn("POLICY_STALE");
  }
  if (clock.quality !== "set" || moment.civil === undefined) warn("DEVICE_CLOCK_DOUBTFUL");
  const { licence } = policy;
  if (licence?.kind === "dated" && endsSoon(licence.until, moment)) warn("LICENSE_NEAR_END");
  const leaseClass = credential === undefined ? undefined : leaseClassOf(credential.kind);
  const leaseEnd = leaseClass === undefined ? undefined : policy.leaseEnd[leaseClass];
  if (leaseEnd !== undefined && leaseEnd > moment.atLeast && leaseEnd - moment.atLeast <= leaseWarningSeconds) {
    warn("LEASE_NEAR_END");
  }
  if (state.battery === "low") warn("BATTERY_LOW");
  return warnings ?? noWarnings;
}

function endsSoon(until: UnixSeconds, { atLeast }: Moment): boolean {
  return until > atLeast && until - atLeast <= licenceWarningSeconds;
}

function emptyTrial(): Trial {
  return { failed: 0, unevaluated: 0, holiday: undefined };
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function reasonsOf(bits: number): readonly DenialReason[] {
  return bits === 0 ? noReasons : denialReasons.filter((_, index) => (bits & (1 << index)) !== 0);
}

function checksOf(bits: number): readonly CheckName[] {
  return bits === 0 ? noChecks : checkNames.filter((_, index) => (bits & (1 << index)) !== 0);
}

function bitByName<const Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  assert(names.length <= 31, "the bits of a small integer are enough for the list");
  return Object.fromEntries(names.map((name, index) => [name, 1 << index])) as Record<Name, number>;
}

const reasonBit = bitByName(denialReasons);
const checkBit = bitByName(checkNames);
const stateBit: Readonly<Record<CredentialState, number>> = {
  active: 0,
  disabled: reasonBit.CREDENTIAL_DISABLED,
  lost: reasonBit.CREDENTIAL_LOST,
  stolen: reasonBit.CREDENTIAL_STOLEN,
  revoked: reasonBit.CREDENTIAL_REVOKED,
};
/** What can only be asked of a credential that was recognised. */
const aboutTheCredential =
  checkBit.assignment |
  checkBit["access-group"] |
  checkBit.validity |
  checkBit.lease |
  checkBit.schedule |
  checkBit.holiday |
  checkBit.uses |
  checkBit.deadbolt;

/** An app certificate lives at most 72 hours, so that a password reset ends every phone's access even at a lock nobody visits (PROTOCOL part 3). */
export const appCertificateSecondsMax = 72 * 3_600;
/** While the clock is not set, leases run on powered time, at most 72 hours (PROTOCOL part 5). */
export const unsetLeaseSecondsMax = 72 * 3_600;
/** Two weeks are enough to renew a licence; a lease is renewed by a visit, so two days are. */
const licenceWarningSeconds = 14 * 86_400;
const leaseWarningSeconds = 2 * 86_400;

const noReasons: readonly DenialReason[] = [];
const noChecks: readonly CheckName[] = [];
const noWarnings: readonly WarningCode[] = [];
const noMarks: readonly Mark[] = [];
