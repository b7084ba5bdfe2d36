/** How long to wait before the next try: full jitter, so that a thousand gateways do not come back in the same second. */
export interface BackoffRules {
  readonly firstMs: number;
  readonly capMs: number;
}

/** `failures` counts from 1; `fraction` is 0 <= f < 1. The wait is uniform below min(cap, first * 2^(failures-1)). */
export function fullJitterMs(rules: BackoffRules, failures: number, fraction: number): number {
  const ceilingMs = Math.min(rules.capMs, rules.firstMs * 2 ** Math.min(failures - 1, DOUBLINGS_MAX));
  return Math.floor(ceilingMs * fraction);
}

/** Beyond this many doublings every sane cap is reached, and 2^n stays a safe number. */
const DOUBLINGS_MAX = 30;
