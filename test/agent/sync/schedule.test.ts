import { describe, expect, it } from "vitest";
import {
  chooseVisit,
  judgeVisit,
  type LockCandidate,
  pauseAfterMs,
  URGENT_VISITS_PER_DAY,
  VISITS_PER_DAY,
  type VisitReason,
  visitReasons,
} from "../../../agent/sync/schedule.ts";
import { type DeviceId, monotonicMs, unixSeconds } from "../../../protocol/base/units.ts";
import type { Advertisement } from "../../../protocol/wire/advertisement.ts";

const now = monotonicMs(100 * 3600_000);
const automatic = { automatic: true };
const version = (number: number) => ({ epoch: 1, version: number });

interface CandidateOptions extends Omit<Partial<LockCandidate>, "device" | "seen" | "visitedAtMs" | "visitByMs"> {
  readonly device?: string;
  readonly says?: Partial<Advertisement>;
  readonly seenAgoMs?: number | null;
  readonly visitedAgoMs?: number | null;
  readonly visitByInMs?: number | null;
  readonly rssi?: number;
}

/** In sync, without a lease, heard just now, visited an hour ago. */
function candidate(options: CandidateOptions = {}): LockCandidate {
  const { device = "lock-a", says = {}, seenAgoMs = 0, visitedAgoMs = 3600_000, rssi = -60, ...others } = options;
  const { visitByInMs = null, ...rest } = others;
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
    urgent: null,
    holds: version(1),
    exposed: false,
    pendingSince: null,
    seen: seenAgoMs === null ? null : { atMs: monotonicMs(now - seenAgoMs), rssi, advertisement },
    visitedAtMs: visitedAgoMs === null ? null : monotonicMs(now - visitedAgoMs),
    pauseMs: 0,
    visitByMs: visitByInMs === null ? null : monotonicMs(now + visitByInMs),
    visitsToday: 0,
    ...rest,
  };
}

const day = 24 * 3600_000;

describe("whom to visit", () => {
  it.each<[string, CandidateOptions, VisitReason | undefined]>([
    ["in sync and heard", {}, undefined],
    ["behind", { desired: version(2) }, "policy"],
    ["behind, with somebody exposed", { desired: version(2), exposed: true }, "revocation"],
    ["behind, with somebody locked out", { desired: version(2), urgent: "lock-out" }, "lock-out"],
    ["behind, with both", { desired: version(2), urgent: "lock-out", exposed: true }, "lock-out"],
    ["behind, with a keycard waiting", { desired: version(2), urgent: "keycard" }, "keycard"],
    [
      "behind, a keycard waiting and somebody exposed",
      { desired: version(2), urgent: "keycard", exposed: true },
      "revocation",
    ],
    ["in sync, though what it holds was urgent", { urgent: "lock-out" }, undefined],
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
    ["without a lease, not visited for half of 25 hours", { visitedAgoMs: 12 * 3600_000 }, "due"],
    ["behind, failed just now", { desired: version(2), pauseMs: 5_000, visitedAgoMs: 4_000 }, undefined],
    ["behind, failed a while ago", { desired: version(2), pauseMs: 5_000, visitedAgoMs: 5_000 }, "policy"],
    ["asked for, failed just now", { asked: true, pauseMs: 600_000, visitedAgoMs: 0 }, "asked"],
  ])("[G2] a lock that is %s", (_what, options, reason) => {
    expect(chooseVisit([candidate(options)], now, automatic)?.reason).toBe(reason);
  });

  it.each<[string, CandidateOptions, VisitReason | undefined]>([
    ["its lease runs, however long ago it was visited", { visitByInMs: 1, visitedAgoMs: 30 * day }, undefined],
    ["half of its lease is over", { visitByInMs: 0, visitedAgoMs: 3 * day }, "half-lease"],
    [
      "half of its lease is over and something waits that is not urgent",
      { visitByInMs: -1, desired: version(2) },
      "half-lease",
    ],
    [
      "half of its lease is over and somebody is exposed",
      { visitByInMs: -1, desired: version(2), exposed: true },
      "revocation",
    ],
    ["it was visited since, and nothing newer was there", { visitByInMs: -2 * 3600_000 }, undefined],
    ["it was visited since, half a day ago", { visitByInMs: -day, visitedAgoMs: 12 * 3600_000 }, "due"],
    ["its lease runs and it wants a sync", { visitByInMs: day, says: { wantsSync: true } }, "lock-wants"],
  ])(
    "[J8] [G13] a lock that says it is in sync is left alone until half its lease has passed: %s",
    (_what, options, reason) => {
      expect(chooseVisit([candidate(options)], now, automatic)?.reason).toBe(reason);
    },
  );

  it("[G2] with automatic visits off, only whom somebody asked for", () => {
    const locks = [candidate({ desired: version(2), exposed: true }), candidate({ device: "lock-b", asked: true })];
    expect(chooseVisit(locks.slice(0, 1), now, { automatic: false })).toBeUndefined();
    expect(chooseVisit(locks, now, { automatic: false })).toEqual({ device: "lock-b", reason: "asked" });
  });

  /** One lock for each reason that there is, in the order of urgency. */
  const oneOfEach: readonly (readonly [VisitReason, CandidateOptions])[] = [
    ["asked", { asked: true }],
    ["lock-out", { desired: version(2), urgent: "lock-out" }],
    ["revocation", { desired: version(2), urgent: "revocation" }],
    ["keycard", { desired: version(2), urgent: "keycard" }],
    ["half-lease", { visitByInMs: -1 }],
    ["policy", { desired: version(2) }],
    ["lock-wants", { says: { wantsSync: true } }],
  ];

  it("[G2] urgent before the rest, whoever waits longer: every pair, in both orders of the list", () => {
    expect(oneOfEach.length).toBeGreaterThan(6);
    for (const [place, [reason, options]] of oneOfEach.entries()) {
      for (const [later, after] of oneOfEach.slice(place + 1)) {
        // The less urgent one has waited for ages.
        const first = candidate({
          ...options,
          device: "first",
          pendingSince: unixSeconds(900),
          visitedAgoMs: 3600_000,
        });
        const second = candidate({
          ...after,
          device: "second",
          pendingSince: unixSeconds(100),
          visitedAgoMs: 40 * day,
        });
        for (const locks of [
          [first, second],
          [second, first],
        ]) {
          expect(chooseVisit(locks, now, automatic), `${reason} before ${later}`).toEqual({ device: "first", reason });
        }
      }
    }
    expect(visitReasons.filter((reason) => oneOfEach.some(([listed]) => listed === reason))).toEqual(
      oneOfEach.map(([reason]) => reason),
    );
  });

  it("[G2] among equals who waits longest, then who was not visited longest, then the best heard", () => {
    const waits = (device: string, since: number) =>
      candidate({ device, desired: version(2), pendingSince: unixSeconds(since) });
    expect(chooseVisit([waits("short", 200), waits("long", 100)], now, automatic)?.device).toBe("long");
    const wish = { says: { wantsSync: true } };
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

  it("[G14] pauses after failures are uniform below 10 s doubled up to 10 min, and none after a visit that went through", () => {
    const longest = [1, 2, 3, 6, 7, 60].map((failures) => pauseAfterMs(failures, 1));
    expect(longest).toEqual([10_000, 20_000, 40_000, 320_000, 600_000, 600_000]);
    expect([0, 0.25, 0.5].map((fraction) => pauseAfterMs(3, fraction))).toEqual([0, 10_000, 20_000]);
    expect(pauseAfterMs(0, 0.9)).toBe(0);
  });

  it("[G15] a lock's day has a budget, a larger one for what is urgent, and none for who asks", () => {
    const behind = { desired: version(2) };
    const spent = (visitsToday: number, options: CandidateOptions) =>
      judgeVisit(candidate({ visitsToday, ...options }), now, automatic);
    expect(spent(VISITS_PER_DAY - 1, behind)).toEqual({ reason: "policy", heldOff: null });
    expect(spent(VISITS_PER_DAY, behind)).toEqual({ reason: "policy", heldOff: "budget" });
    expect(spent(VISITS_PER_DAY, { says: { wantsSync: true } })).toEqual({ reason: "lock-wants", heldOff: "budget" });
    for (const urgent of ["lock-out", "revocation", "keycard"] as const) {
      expect(spent(URGENT_VISITS_PER_DAY - 1, { ...behind, urgent })).toEqual({ reason: urgent, heldOff: null });
      expect(spent(URGENT_VISITS_PER_DAY, { ...behind, urgent })).toEqual({ reason: urgent, heldOff: "budget" });
    }
    expect(spent(10_000, { ...behind, asked: true })).toEqual({ reason: "asked", heldOff: null });
    expect(URGENT_VISITS_PER_DAY).toBeGreaterThan(VISITS_PER_DAY);
  });

  it("[G2] says what holds a visit off: nobody asked, not heard, a pause, the budget, in this order", () => {
    const held = (options: CandidateOptions, rules = automatic) =>
      judgeVisit(candidate({ desired: version(2), ...options }), now, rules)?.heldOff;
    const all = { seenAgoMs: 61_000, pauseMs: 2 * 3600_000, visitsToday: VISITS_PER_DAY };
    expect(held(all, { automatic: false })).toBe("manual");
    expect(held(all)).toBe("not-heard");
    expect(held({ ...all, seenAgoMs: 60_000 })).toBe("back-off");
    expect(held({ ...all, seenAgoMs: 0, pauseMs: 0 })).toBe("budget");
    expect(held({})).toBeNull();
    expect(judgeVisit(candidate(), now, automatic)).toBeUndefined();
  });
});
