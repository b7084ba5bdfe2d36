/**
 * Whom to visit next, and why. Judges and does nothing else: the gateway loop asks, visits, and asks again. An advertisement is a
 * hint that nobody signed, so it can bring a visit forward but never holds one off. SPEC G2.
 */
import type { DeviceId, MonotonicMs } from "../../protocol/base/units.ts";
import { type Advertisement, versionBitsOf } from "../../protocol/wire/advertisement.ts";
import type { PolicyVersion } from "../ports/visit.ts";
import { isNewer } from "./exposure.ts";

export interface LockCandidate {
  readonly device: DeviceId;
  /** The operator, or who asked over HTTP, waits for it. */
  readonly asked: boolean;
  readonly desired: PolicyVersion | null;
  /** What the lock last reported; null: never. */
  readonly holds: PolicyVersion | null;
  /** Somebody revoked is still let in. */
  readonly exposed: boolean;
  /** Last heard on the air; null: not since the start. */
  readonly seen: { readonly atMs: MonotonicMs; readonly rssi: number; readonly advertisement: Advertisement } | null;
  /** End of the last visit, gone through or not; null: not known. May lie before the clock's zero. */
  readonly visitedAtMs: MonotonicMs | null;
  readonly failures: number;
}

export type VisitReason =
  | "asked"
  | "exposure"
  | "policy"
  | "never-met"
  | "clock"
  | "lock-wants"
  | "lock-differs"
  | "due";

export interface ScheduleRules {
  /** False: only what was asked for. */
  readonly automatic: boolean;
}

/** The most urgent lock that is worth a visit now; among equals the one whose last visit is longest ago, then the best heard. */
export function chooseVisit(
  candidates: readonly LockCandidate[],
  now: MonotonicMs,
  rules: ScheduleRules,
): { readonly device: DeviceId; readonly reason: VisitReason } | undefined {
  const worth = candidates.flatMap((lock) => {
    const reason = reasonToVisit(lock, now, rules);
    return reason === undefined ? [] : [{ lock, reason }];
  });
  worth.sort(
    (left, right) =>
      urgency.indexOf(left.reason) - urgency.indexOf(right.reason) ||
      (left.lock.visitedAtMs ?? NEVER_MS) - (right.lock.visitedAtMs ?? NEVER_MS) ||
      (right.lock.seen?.rssi ?? UNHEARD_DBM) - (left.lock.seen?.rssi ?? UNHEARD_DBM),
  );
  const first = worth[0];
  return first === undefined ? undefined : { device: first.lock.device, reason: first.reason };
}

function reasonToVisit(lock: LockCandidate, now: MonotonicMs, rules: ScheduleRules): VisitReason | undefined {
  if (lock.asked) return "asked";
  if (!rules.automatic || lock.seen === null || now - lock.seen.atMs > SEEN_FRESH_MS) return undefined;
  const { advertisement } = lock.seen;
  const sinceVisitMs = lock.visitedAtMs === null ? Number.POSITIVE_INFINITY : now - lock.visitedAtMs;
  if (lock.failures > 0 && sinceVisitMs < retryAfterMs(lock.failures)) return undefined;
  const behind = lock.desired !== null && (lock.holds === null || isNewer(lock.desired, lock.holds));
  if (behind && lock.exposed) return "exposure";
  if (behind) return lock.holds === null ? "never-met" : "policy";
  // What follows is the lock's own wish, and nobody signed it: it is granted once in a while.
  if (sinceVisitMs < WISH_INTERVAL_MS) return undefined;
  if (advertisement.clockNotSet) return "clock";
  if (advertisement.wantsSync) return "lock-wants";
  // A lock that shows other bits than it last reported was synced by somebody else, or lost its policy.
  if (lock.holds !== null && advertisement.versionBits !== versionBitsOf(lock.holds.version)) return "lock-differs";
  return lock.holds === null || sinceVisitMs >= VISIT_AT_LEAST_MS ? "due" : undefined;
}

/** 5 s, 10 s, 20 s ... 10 min after failed visits in a row. */
export function retryAfterMs(failures: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 20), RETRY_CAP_MS);
}

const urgency: readonly VisitReason[] = [
  "asked",
  "exposure",
  "policy",
  "never-met",
  "clock",
  "lock-wants",
  "lock-differs",
  "due",
];
/** Locks advertise every second or two; one that was not heard for a minute is not here. */
const SEEN_FRESH_MS = 60_000;
/** Before every visit that is known, and still a number to reckon with. */
const NEVER_MS = -Number.MAX_SAFE_INTEGER;
const UNHEARD_DBM = -999;
const RETRY_FIRST_MS = 5_000;
const RETRY_CAP_MS = 10 * 60_000;
/** A lock that keeps asking costs its battery at most one visit a minute. */
const WISH_INTERVAL_MS = 60_000;
/** Half of the 25 hours after which a silent battery device counts as offline. */
const VISIT_AT_LEAST_MS = 12 * 3600_000;
