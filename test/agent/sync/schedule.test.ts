import { describe, expect, it } from "vitest";
import { chooseVisit, type LockCandidate, retryAfterMs } from "../../../agent/sync/schedule.ts";
import { type DeviceId, monotonicMs } from "../../../protocol/base/units.ts";
import type { Advertisement } from "../../../protocol/wire/advertisement.ts";

const now = monotonicMs(100 * 3600_000);
const automatic = { automatic: true };
const version = (number: number) => ({ epoch: 1, version: number });

interface CandidateOptions extends Omit<Partial<LockCandidate>, "device" | "seen" | "visitedAtMs"> {
  readonly device?: string;
  readonly says?: Partial<Advertisement>;
  readonly seenAgoMs?: number | null;
  readonly visitedAgoMs?: number | null;
  readonly rssi?: number;
}

/** In sync, heard just now, visited an hour ago. */
function candidate(options: CandidateOptions = {}): LockCandidate {
  const { device = "lock-a", says = {}, seenAgoMs = 0, visitedAgoMs = 3600_000, rssi = -60, ...rest } = options;
  const advertisement: Advertisement = {
    wantsSync: false,
    clockNotSet: false,
    batteryLow: false,
    tamper: false,
    versionBits: 1,
    logHeadBits: 0,
    ...says,
  };
  return {
    device: device as DeviceId,
    asked: false,
    desired: version(1),
    holds: version(1),
    exposed: false,
    seen: seenAgoMs === null ? null : { atMs: monotonicMs(now - seenAgoMs), rssi, advertisement },
    visitedAtMs: visitedAgoMs === null ? null : monotonicMs(now - visitedAgoMs),
    failures: 0,
    ...rest,
  };
}

describe("whom to visit", () => {
  it.each<[string, CandidateOptions, string | undefined]>([
    ["in sync and heard", {}, undefined],
    ["behind", { desired: version(2) }, "policy"],
    ["behind, with somebody exposed", { desired: version(2), exposed: true }, "exposure"],
    ["behind by epoch although its version is higher", { desired: { epoch: 2, version: 1 } }, "policy"],
    ["ahead of what this gateway has", { holds: version(3), desired: version(2), says: { versionBits: 3 } }, undefined],
    ["never met", { holds: null, visitedAgoMs: null }, "never-met"],
    ["never met and nothing to bring", { holds: null, desired: null, visitedAgoMs: null }, "due"],
    ["behind and not heard", { desired: version(2), seenAgoMs: null }, undefined],
    ["behind and heard too long ago", { desired: version(2), seenAgoMs: 61_000 }, undefined],
    ["asked for, in sync and never heard", { asked: true, seenAgoMs: null }, "asked"],
    ["wants a sync", { says: { wantsSync: true } }, "lock-wants"],
    ["wants a sync again at once", { says: { wantsSync: true }, visitedAgoMs: 59_000 }, undefined],
    ["does not know the time", { says: { clockNotSet: true, wantsSync: true } }, "clock"],
    ["shows another version than it reported", { says: { versionBits: 7 } }, "lock-differs"],
    ["not visited for half of 25 hours", { visitedAgoMs: 12 * 3600_000 }, "due"],
    ["behind, failed just now", { desired: version(2), failures: 1, visitedAgoMs: 4_000 }, undefined],
    ["behind, failed a while ago", { desired: version(2), failures: 1, visitedAgoMs: 5_000 }, "policy"],
    ["asked for, failed just now", { asked: true, failures: 9, visitedAgoMs: 0 }, "asked"],
  ])("[G2] a lock that is %s", (_what, options, reason) => {
    expect(chooseVisit([candidate(options)], now, automatic)?.reason).toBe(reason);
  });

  it("[G2] with automatic visits off, only whom somebody asked for", () => {
    const locks = [candidate({ desired: version(2), exposed: true }), candidate({ device: "lock-b", asked: true })];
    expect(chooseVisit(locks.slice(0, 1), now, { automatic: false })).toBeUndefined();
    expect(chooseVisit(locks, now, { automatic: false })).toEqual({ device: "lock-b", reason: "asked" });
  });

  it("[G2] the most urgent first; among equals who waited longest, then the best heard", () => {
    const wish = { says: { wantsSync: true } };
    const locks = [
      candidate({ device: "wants", ...wish }),
      candidate({ device: "behind", desired: version(2) }),
      candidate({ device: "exposed", desired: version(2), exposed: true }),
    ];
    expect(chooseVisit(locks, now, automatic)?.device).toBe("exposed");
    expect(chooseVisit(locks.slice(0, 2), now, automatic)?.device).toBe("behind");
    const waited = [
      candidate({ device: "short", ...wish }),
      candidate({ device: "long", ...wish, visitedAgoMs: 7200_000 }),
    ];
    expect(chooseVisit(waited, now, automatic)?.device).toBe("long");
    const heard = [
      candidate({ device: "faint", ...wish, rssi: -90 }),
      candidate({ device: "loud", ...wish, rssi: -40 }),
    ];
    expect(chooseVisit(heard, now, automatic)?.device).toBe("loud");
  });

  it("[G2] pauses after failures double from 5 s to 10 min", () => {
    expect([1, 2, 3, 7, 8, 60].map(retryAfterMs)).toEqual([5_000, 10_000, 20_000, 320_000, 600_000, 600_000]);
  });
});
