import { describe, expect, it } from "vitest";
import type { LockState } from "../../../protocol/access/attempt.ts";
import { credentialKinds } from "../../../protocol/access/credential-kind.ts";
import { decide, unsetLeaseSecondsMax } from "../../../protocol/access/decide.ts";
import { effectiveEnd, leaseClassOf, visitBy } from "../../../protocol/access/lease.ts";
import { presentationLookup } from "../../../protocol/access/lookup.ts";
import type { LockPolicy, PolicyCredential } from "../../../protocol/access/policy.ts";
import { indexPolicy } from "../../../protocol/access/policy-index.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { buildPolicy } from "../../world/policy-builder.ts";
import { lockState } from "../site/fixtures.ts";

const now = 1_790_000_000;
const ends = [undefined, now - 1, now, now + 1];

function policyWith(credential: PolicyCredential, lease: number | undefined): LockPolicy {
  const leaseClass = leaseClassOf(credential.kind);
  const leaseEnd = lease === undefined || leaseClass === undefined ? {} : { [leaseClass]: unixSeconds(lease) };
  return buildPolicy({
    takes: credentialKinds,
    leaseEnd,
    rights: [[{ observesHolidays: false }]],
    credentials: [credential],
  });
}

/** Presents the one credential of the policy. */
function granted(policy: LockPolicy, differing: Partial<LockState> = {}): boolean {
  const state = lockState(differing);
  const [credential] = policy.credentials;
  if (credential === undefined) throw new Error("one credential");
  const at = unixSeconds(now);
  const certificate = { issuedAt: at, notAfter: unixSeconds(now + 60) };
  if (credential.kind === "app-key") {
    return decide(indexPolicy(policy), state, { kind: "app", credentialId: credential.id, certificate }, at).granted;
  }
  if (credential.kind === "keycard") {
    const attempt = { kind: "token", tokenKind: "keycard", value: "card", authentic: true } as const;
    return decide(indexPolicy(policy), state, attempt, at).granted;
  }
  return decide(indexPolicy(policy), state, { kind: "code", digits: "123456" }, at).granted;
}

const { codeKey } = lockState();
const credentials = (["app-key", "permanent-doorcode", "pin", "keycard"] as const).map(
  (kind): PolicyCredential => ({
    id: "one",
    kind,
    state: "active",
    assigned: true,
    rights: 0,
    ...(kind === "keycard" ? { tokenLookup: presentationLookup(codeKey, "keycard", "card") } : {}),
    ...(kind === "pin" || kind === "permanent-doorcode"
      ? { keypadLookup: presentationLookup(codeKey, "keypad", "123456") }
      : {}),
  }),
);

describe("leases", () => {
  it("[J7] decide stops each credential exactly at the earliest of its own end, its announced revocation and its lease: all small cases", () => {
    let stopped = 0;
    for (const credential of credentials) {
      for (const lease of ends) {
        for (const validUntil of ends) {
          for (const revokedFrom of ends) {
            const bounded = {
              ...credential,
              ...(validUntil === undefined ? {} : { validUntil: unixSeconds(validUntil) }),
              ...(revokedFrom === undefined ? {} : { revokedFrom: unixSeconds(revokedFrom) }),
            };
            const policy = policyWith(bounded, lease);
            const end = effectiveEnd(policy, bounded);
            expect(granted(policy), JSON.stringify(bounded)).toBe(end === undefined || now < end);
            if (end !== undefined && now >= end) stopped++;
          }
        }
      }
    }
    expect(stopped).toBeGreaterThan(100);
  });

  it("[J7] while the clock is not set a lease also ends after 72 powered hours, at every class that has one", () => {
    for (const credential of credentials) {
      const clock = (poweredSecondsUnset: number) =>
        ({ clock: { quality: "lower-bound", highWater: unixSeconds(now), poweredSecondsUnset } }) as const;
      const leased = policyWith(credential, now + 9_999_999);
      expect(granted(leased, clock(unsetLeaseSecondsMax))).toBe(true);
      expect(granted(leased, clock(unsetLeaseSecondsMax + 1))).toBe(false);
      expect(granted(policyWith(credential, undefined), clock(unsetLeaseSecondsMax + 1))).toBe(true);
    }
  });

  it("[J7] a class without a lease is bound by the credential's own end alone", () => {
    const [app] = credentials;
    if (app === undefined) throw new Error("an app");
    const policy = { ...policyWith(app, undefined), leaseEnd: { keycard: unixSeconds(5) } };
    expect(effectiveEnd(policy, app)).toBeUndefined();
    expect(effectiveEnd(policy, { ...app, kind: "keycard" })).toBe(5);
    expect(effectiveEnd(policy, { ...app, kind: "daily-doorcode" })).toBeUndefined();
  });

  it("[J8] a lock is visited by half of its shortest lease, also when it says that it is in sync", () => {
    const issuedAt = unixSeconds(now);
    const leaseEnd = { app: unixSeconds(now + 1_000), keycard: unixSeconds(now + 400) };
    expect(visitBy(buildPolicy({ issuedAt, leaseEnd }))).toBe(now + 200);
    expect(visitBy(buildPolicy({ issuedAt }))).toBeUndefined();
    expect(visitBy(buildPolicy({ issuedAt, leaseEnd: { code: unixSeconds(5) } }))).toBe(now);
  });
});
