/**
 * Whom to visit next, and why; and of a lock that waits, what it waits for. Judges and does nothing else: the gateway loop asks,
 * visits, and asks again. An advertisement is a hint that nobody signed: it can bring a visit forward, within the day's budget,
 * and never holds one off. SPEC G2, G13-G15.
 */
import type { DeviceId, MonotonicMs, UnixSeconds } from "../../protocol/base/units.ts";
import { type Advertisement, versionBitsOf } from "../../protocol/wire/advertisement.ts";
import type { UrgentReason } from "../../protocol/wire/messages/desired.ts";
import type { PolicyVersion } from "../ports/visit.ts";
import { fullJitterMs } from "../upstream/backoff.ts";
import { isNewer } from "./exposure.ts";
import type { LeaseHoldOff } from "./visit-leases.ts";

export interface LockCandidate {
  readonly device: DeviceId;
  /** The operator, or who asked over HTTP, waits for it. */
  readonly asked: boolean;
  readonly desired: PolicyVersion | null;
  /** The authority's word on why the desired policy should arrive at once. */
  readonly urgent: UrgentReason | null;
  /** What the lock last reported; null: never. */
  readonly holds: PolicyVersion | null;
  /** Somebody revoked is still let in. */
  readonly exposed: boolean;
  /** Since when something newer waits for it; null: nothing does. */
  readonly pendingSince: UnixSeconds | null;
  /** Last heard on the air; null: not since the start. */
  readonly seen: { readonly atMs: MonotonicMs; readonly rssi: number; readonly advertisement: Advertisement } | null;
  /** End of the last visit, gone through or not; null: not known. May lie before the clock's zero. */
  readonly visitedAtMs: MonotonicMs | null;
  /** The pause that was drawn after the last visit; 0 when it went through. */
  readonly pauseMs: number;
  /** Half of the lease of what it holds; null: no lease, or not known. */
  readonly visitByMs: MonotonicMs | null;
  /** Visits that nobody asked for in which it was reached, today. */
  readonly visitsToday: number;
  /** What is known of the lease that a visit needs (SPEC G20); null or absent: nothing stands against it. */
  readonly leaseHoldOff?: LeaseHoldOff | null;
}

/** In the order of their urgency; those of one rank wait for each other by age. */
export const visitReasons = [
  "asked",
  "lock-out",
  "revocation",
  "keycard",
  "half-lease",
  "policy",
  "never-met",
  "clock",
  "lock-wants",
  "lock-differs",
  "due",
] as const;
export type VisitReason = (typeof visitReasons)[number];

/**
 * Why a lock that is worth a visit is not visited now. `manual`: visits are made only when somebody asks; `not-heard`: it was not on the
 * air in the last minute; `back-off`: after failed visits; `budget`: it had its visits of this day; `other-gateway`: another of the site's
 * gateways visits it or is next; `no-answer`: the authority, who says which gateway may, has not answered for less than a lease.
 */
export const holdOffs = ["manual", "not-heard", "back-off", "budget", "other-gateway", "no-answer"] as const;
export type HoldOff = (typeof holdOffs)[number];

export interface VisitJudgement {
  readonly reason: VisitReason;
  /** Null: it may be visited now. */
  readonly heldOff: HoldOff | null;
}

export interface ScheduleRules {
  /** False: only what was asked for. */
  readonly automatic: boolean;
}

/** The most urgent lock that is worth a visit now; among equals the one that waits longest, then the best heard. */
export function chooseVisit(
  candidates: readonly LockCandidate[],
  now: MonotonicMs,
  rules: ScheduleRules,
): { readonly device: DeviceId; readonly reason: VisitReason } | undefined {
  const worth = candidates.flatMap((lock) => {
    const judged = judgeVisit(lock, now, rules);
    return judged === undefined || judged.heldOff !== null ? [] : [{ lock, reason: judged.reason }];
  });
  worth.sort(
    (left, right) =>
      rankOf[left.reason] - rankOf[right.reason] ||
      (left.lock.pendingSince ?? NEVER) - (right.lock.pendingSince ?? NEVER) ||
      (left.lock.visitedAtMs ?? -NEVER) - (right.lock.visitedAtMs ?? -NEVER) ||
      (right.lock.seen?.rssi ?? UNHEARD_DBM) - (left.lock.seen?.rssi ?? UNHEARD_DBM),
  );
  const first = worth[0];
  return first === undefined ? undefined : { device: first.lock.device, reason: first.reason };
}

/** Whether this lock is worth a visit, and what holds it off if something does. Undefined: it is left alone. */
export function judgeVisit(lock: LockCandidate, now: MonotonicMs, rules: ScheduleRules): VisitJudgement | undefined {
  if (lock.asked) return { reason: "asked", heldOff: null };
  const reason = reasonToVisit(lock, now);
  return reason === undefined ? undefined : { reason, heldOff: holdOffOf(lock, reason, now, rules) };
}

function reasonToVisit(lock: LockCandidate, now: MonotonicMs): VisitReason | undefined {
  const { desired, holds, urgent, exposed, visitedAtMs, visitByMs } = lock;
  const isBehind = desired !== null && (holds === null || isNewer(desired, holds));
  // What this gateway can reckon itself needs nobody's word.
  if (isBehind && urgent !== "lock-out" && exposed) return "revocation";
  if (isBehind && urgent !== null) return urgent;
  if (visitByMs !== null && now >= visitByMs && (visitedAtMs === null || visitedAtMs < visitByMs)) return "half-lease";
  if (isBehind) return holds === null ? "never-met" : "policy";
  const sinceVisitMs = visitedAtMs === null ? Number.POSITIVE_INFINITY : now - visitedAtMs;
  // What follows is the lock's own wish, and nobody signed it: it is granted once in a while.
  if (sinceVisitMs < WISH_INTERVAL_MS) return undefined;
  const wish = wishOf(lock);
  if (wish !== undefined) return wish;
  // SPEC J8: whose lease runs on is left alone until half of it has passed, and only then falls back to the general interval.
  const isLeaseRunning = visitByMs !== null && now < visitByMs;
  return holds === null || (!isLeaseRunning && sinceVisitMs >= VISIT_AT_LEAST_MS) ? "due" : undefined;
}

function wishOf({ seen, holds }: LockCandidate): VisitReason | undefined {
  if (seen === null) return undefined;
  const { advertisement } = seen;
  if (advertisement.clockNotSet) return "clock";
  if (advertisement.wantsSync) return "lock-wants";
  // A lock that shows other bits than it last reported was synced by somebody else, or lost its policy.
  if (holds !== null && advertisement.versionBits !== versionBitsOf(holds.version)) return "lock-differs";
  return undefined;
}

function holdOffOf(
  lock: LockCandidate,
  reason: VisitReason,
  now: MonotonicMs,
  { automatic }: ScheduleRules,
): HoldOff | null {
  const { seen, visitsToday, leaseHoldOff = null } = lock;
  if (!automatic) return "manual";
  if (seen === null || now - seen.atMs > SEEN_FRESH_MS) return "not-heard";
  if (pauseLeftMs(lock, now) > 0) return "back-off";
  if (visitsToday >= visitsPerDay(reason)) return "budget";
  return leaseHoldOff;
}

/** What is left of the pause after failed visits. */
export function pauseLeftMs({ visitedAtMs, pauseMs }: LockCandidate, now: MonotonicMs): number {
  return visitedAtMs === null ? 0 : Math.max(0, visitedAtMs + pauseMs - now);
}

/** How long a lock is left alone after so many failed visits in a row: full jitter, `fraction` is 0 <= f < 1. SPEC G14. */
export function pauseAfterMs(failures: number, fraction: number): number {
  return failures === 0 ? 0 : fullJitterMs({ firstMs: PAUSE_FIRST_MS, capMs: PAUSE_CAP_MS }, failures, fraction);
}

/** How many automatic visits in which it is reached a lock is asked to pay for in a day, for this reason. SPEC G15. */
export function visitsPerDay(reason: VisitReason): number {
  return isUrgent(reason) ? URGENT_VISITS_PER_DAY : VISITS_PER_DAY;
}

export function isUrgent(reason: VisitReason): boolean {
  return rankOf[reason] <= rankOf.keycard;
}

const rankOf: Readonly<Record<VisitReason, number>> = {
  asked: 0,
  "lock-out": 1,
  revocation: 2,
  keycard: 3,
  "half-lease": 4,
  policy: 5,
  "never-met": 5,
  clock: 6,
  "lock-wants": 6,
  "lock-differs": 6,
  due: 6,
};
/** Locks advertise every second or two; one that was not heard for a minute is not here. */
const SEEN_FRESH_MS = 60_000;
/** After every moment that is known, and still a number to reckon with. */
const NEVER = Number.MAX_SAFE_INTEGER;
const UNHEARD_DBM = -999;
/** The mean of the first pause is half of it: long enough for a lock that fell silent to have closed its session. */
const PAUSE_FIRST_MS = 10_000;
const PAUSE_CAP_MS = 10 * 60_000;
/** A lock that keeps asking costs its battery at most one visit a minute, and the day's budget on top of that. */
const WISH_INTERVAL_MS = 60_000;
/** Half of the 25 hours after which a silent battery device counts as offline: for locks without a lease. */
const VISIT_AT_LEAST_MS = 12 * 3600_000;
/**
 * A visit that brings little keeps the lock's radio and processor busy for about 2 s at 10 mA: 20 mAs. 48 a day are 0.27 mAh, a tenth of
 * what four AA cells of 2,500 mAh may lose a day to last 2.5 years; what somebody forges into the air can cost no more.
 */
export const VISITS_PER_DAY = 48;
/** Whoever is locked out or still let in is worth three times that, and no more: a lock that cannot take a policy is a fault to repair. */
export const URGENT_VISITS_PER_DAY = 144;
