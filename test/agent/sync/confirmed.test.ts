import { describe, expect, it } from "vitest";
import { type Confirmed, isLaterReport } from "../../../agent/sync/confirmed.ts";
import type { DeviceId, UnixSeconds } from "../../../protocol/base/units.ts";
import type { LockReport } from "../../../protocol/wire/signed-objects.ts";

const own = "gateway-main" as DeviceId;
const neighbour = "gateway-two" as DeviceId;

function confirmed(change: Partial<Confirmed> = {}): Confirmed {
  return {
    epoch: 1,
    version: 5,
    bootCount: 2,
    logNext: 40,
    at: 1_790_000_000 as UnixSeconds,
    by: neighbour,
    ...change,
  };
}

const report: LockReport = {
  pairingId: new Uint8Array(16),
  epoch: 1,
  version: 5,
  root: new Uint8Array(32),
  bootCount: 2,
  clock: "set",
  logNext: 40,
  chainHead: new Uint8Array(32),
  nonce: new Uint8Array(16),
  logFirst: 1,
  headBefore: new Uint8Array(32),
  keysetEpoch: 1,
  clockSource: "authority",
};

describe("which of two reports is the later", () => {
  it("[G23] is told by boots and log, then by the policy, and never by when it came", () => {
    expect(isLaterReport(confirmed({ logNext: 41 }), report, own)).toBe(true);
    expect(isLaterReport(confirmed({ bootCount: 3 }), report, own)).toBe(true);
    expect(isLaterReport(confirmed({ logNext: 39 }), report, own)).toBe(false);
    expect(isLaterReport(confirmed({ bootCount: 3, logNext: 39 }), report, own)).toBe(false);
    expect(isLaterReport(confirmed(), report, own)).toBe(false);
    expect(isLaterReport(confirmed({ version: 6 }), report, own)).toBe(true);
    // A lock that fell back to its older policy says so later.
    expect(isLaterReport(confirmed({ version: 4, logNext: 42 }), report, own)).toBe(true);
    for (const at of [0, 2_000_000_000]) {
      expect(isLaterReport(confirmed({ at: at as UnixSeconds }), report, own)).toBe(false);
    }
  });

  it("[G23] what this gateway brought itself it knows by itself; what it cannot read says nothing", () => {
    expect(isLaterReport(confirmed({ by: own, logNext: 99 }), report, own)).toBe(false);
    expect(isLaterReport(confirmed(), undefined, own)).toBe(true);
    expect(isLaterReport(confirmed({ by: null, logNext: 41 }), report, own)).toBe(true);
  });
});
