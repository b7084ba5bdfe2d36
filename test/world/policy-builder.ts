/** A small valid lock policy; each test names only what matters to it. */
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { type DeviceId, unixSeconds } from "../../protocol/base/units.ts";

export function buildPolicy(overrides: Partial<LockPolicy> = {}): LockPolicy {
  return {
    siteId: "maple-court",
    deviceId: "c1-lobby" as DeviceId,
    doorId: "lobby",
    epoch: 1,
    version: 1,
    issuedAt: unixSeconds(1_790_000_000),
    model: "C1",
    takes: ["app-key", "permanent-doorcode", "daily-doorcode"],
    keypad: {
      dailyDigits: 7,
      singleUseSlots: 32,
      allDaySlots: 0,
      digitTimeoutMs: 5_000,
      deadboltRefusesDaily: false,
      triesAtOnce: 10,
      refillSeconds: 60,
    },
    doorAssigned: true,
    leaseEnd: {},
    zone: {
      from: unixSeconds(1_780_000_000),
      until: unixSeconds(2_030_000_000),
      initialOffsetSeconds: -14_400,
      transitions: [],
    },
    schedules: [],
    holidays: [],
    rights: [],
    credentials: [],
    ...overrides,
  };
}
