import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { monotonicMs, type UnixMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import {
  bootClock,
  clockForDecision,
  isPersistDue,
  judgedAt,
  type LockClock,
  PERSIST_EVERY_SECONDS,
  persistedClock,
  readClock,
  type TimeOffer,
  takeTime,
} from "../../../protocol/sync/lock-clock.ts";

const at = monotonicMs;
const builtAt = unixSeconds(1_780_000_000);
const true0 = unixMs(1_790_000_000_000);
const day = 86_400;
const seconds = (ms: UnixMs) => unixSeconds(ms / 1_000);
const later = (ms: number) => unixMs(true0 + ms);
const delegation = { from: seconds(true0), notAfter: unixSeconds(seconds(true0) + 7 * day) };
const authority = (ms: UnixMs, roundTripMs = 0): TimeOffer => ({ source: "authority", unixMs: ms, roundTripMs });
const site = (ms: UnixMs, roundTripMs = 0): TimeOffer => ({ source: "site", unixMs: ms, roundTripMs, delegation });

function taken(clock: LockClock, offer: TimeOffer, now = at(0)) {
  const result = takeTime(clock, offer, now);
  if (!result.ok) throw new Error(result.fault.code);
  return result.value;
}
const refusal = (clock: LockClock, offer: TimeOffer, now = at(0)) => {
  const result = takeTime(clock, offer, now);
  return result.ok ? undefined : result.fault.code;
};
const reboot = (clock: LockClock, now: ReturnType<typeof at>) => bootClock(persistedClock(clock, now), builtAt, at(0));

describe("boot", () => {
  it("[J2] a lock that never knew the time is unset, judged by its firmware's making", () => {
    const clock = bootClock(undefined, builtAt, at(0));
    expect(clock.quality).toBe("unset");
    expect(readClock(clock, at(5_000))).toBeUndefined();
    expect(judgedAt(clock, at(9e9))).toBe(builtAt);
    expect(clockForDecision(clock, at(7_500))).toEqual({
      now: builtAt,
      clock: { quality: "unset", highWater: builtAt, poweredSecondsUnset: 7 },
    });
  });

  it("[J2] after a loss of power it is a lower bound that starts at the mark and runs", () => {
    const set = taken(bootClock(undefined, builtAt, at(0)), authority(true0)).clock;
    const clock = reboot(set, at(3_600_000));
    expect(clock.quality).toBe("lower-bound");
    expect(readClock(clock, at(10_000))).toBe(later(3_610_000));
    expect(clockForDecision(clock, at(10_000)).clock).toEqual({
      quality: "lower-bound",
      highWater: seconds(later(3_610_000)),
      poweredSecondsUnset: 10,
    });
  });

  it("[J2] powered seconds without a set clock add up over boots, so that no lease is got back by pulling the battery", () => {
    let clock = bootClock(undefined, builtAt, at(0));
    for (let boot = 0; boot < 5; boot++) clock = reboot(clock, at(3_600_000));
    expect(clockForDecision(clock, at(0)).clock.poweredSecondsUnset).toBe(5 * 3_600);
    expect(clockForDecision(taken(clock, authority(true0)).clock, at(50_000)).clock.poweredSecondsUnset).toBe(0);
  });
});

describe("the authority's time", () => {
  it("[J3] half the round trip is added, and both values are given for the log", () => {
    const first = taken(bootClock(undefined, builtAt, at(0)), authority(true0, 501));
    expect(first).toMatchObject({
      newUnixMs: true0 + 250,
      written: true,
      clock: { quality: "set", source: "authority" },
    });
    expect(first.oldUnixMs).toBeUndefined();
    const second = taken(first.clock, authority(later(-86_400_000)), at(1_000));
    expect(second).toMatchObject({ oldUnixMs: true0 + 1_250, newUnixMs: true0 - 86_400_000, written: true });
    expect(readClock(second.clock, at(2_000))).toBe(later(-86_399_000));
  });

  it("[J3] within two seconds nothing is written, beyond them it is", () => {
    const { clock } = taken(bootClock(undefined, builtAt, at(0)), authority(true0));
    for (const off of [-2_000, 0, 2_000]) expect(taken(clock, authority(later(off)))).toMatchObject({ written: false });
    for (const off of [-2_001, 2_001]) expect(taken(clock, authority(later(off)))).toMatchObject({ written: true });
    // A clock that is not set is written however near it is.
    expect(taken(reboot(clock, at(0)), authority(true0))).toMatchObject({ written: true, clock: { quality: "set" } });
  });

  it("[J3] a round trip over two seconds is refused", () => {
    const clock = bootClock(undefined, builtAt, at(0));
    expect(refusal(clock, authority(true0, 2_001))).toBe("round-trip-too-long");
    expect(refusal(clock, site(true0, 2_001))).toBe("round-trip-too-long");
    expect(refusal(clock, authority(true0, 2_000))).toBeUndefined();
  });
});

describe("a delegate's time", () => {
  const unset = bootClock(undefined, builtAt, at(0));

  it("[J4] sets a clock that is not set, with the quality site", () => {
    expect(taken(unset, site(later(1_000))).clock).toMatchObject({ quality: "set", source: "site" });
  });

  it("[J4] moves forward only, within the delegation, and before its end", () => {
    const { clock } = taken(unset, authority(later(day * 1_000)));
    expect(refusal(clock, site(later(0)))).toBe("backwards");
    expect(refusal(clock, site(later(8 * day * 1_000)))).toBe("beyond-delegation");
    expect(refusal(clock, site(later(-1_000)))).toBe("beyond-delegation");
    expect(taken(clock, site(later(2 * day * 1_000)))).toMatchObject({ written: true, clock: { source: "site" } });
    const late = taken(unset, authority(later(7 * day * 1_000 + 1_000))).clock;
    expect(refusal(late, site(later(7 * day * 1_000)))).toBe("delegation-expired");
    // A lower bound is a bound for it too.
    expect(refusal(reboot(clock, at(0)), site(later(0)))).toBe("backwards");
  });

  it("[J4] a delegate writes once in an hour of the lock's own counter, and at once again after the authority spoke", () => {
    const set = taken(bootClock(undefined, builtAt, at(0)), authority(true0)).clock;
    const pushed = taken(set, site(later(10_000)), at(1_000)).clock;
    expect(refusal(pushed, site(later(20_000)), at(2_000))).toBe("too-soon");
    expect(refusal(pushed, site(later(3_700_000)), at(3_600_999))).toBe("too-soon");
    expect(refusal(pushed, site(later(3_700_000)), at(3_601_000))).toBeUndefined();
    // What is right is no write, and changes nothing of that.
    const right = taken(pushed, site(later(11_000)), at(2_000));
    expect(right.written).toBe(false);
    expect(refusal(right.clock, site(later(20_000)), at(3_000))).toBe("too-soon");
    const undone = taken(pushed, authority(later(2_000)), at(2_000)).clock;
    expect(refusal(undone, site(later(20_000)), at(3_000))).toBeUndefined();
  });

  it("[J4] a clock that is right stays the authority's", () => {
    const { clock } = taken(unset, authority(true0));
    expect(taken(clock, site(later(1_500)))).toMatchObject({ written: false, clock: { source: "authority" } });
  });

  it("[J5] the authority's time undoes it, reading and mark", () => {
    const { clock } = taken(unset, authority(true0));
    const pushed = taken(clock, site(later(6 * day * 1_000)), at(1_000)).clock;
    expect(readClock(reboot(pushed, at(1_000)), at(0))).toBe(later(6 * day * 1_000));
    const undone = taken(pushed, authority(later(2_000)), at(2_000)).clock;
    expect(readClock(undone, at(2_000))).toBe(later(2_000));
    expect(readClock(reboot(undone, at(2_000)), at(0))).toBe(later(2_000));
    expect(judgedAt(reboot(undone, at(2_000)), at(0))).toBe(seconds(true0) + 2);
  });

  it("[Y8] a delegate's word, a running crystal and a boot move nothing by which dates are judged without a set clock", () => {
    const { clock } = taken(unset, authority(true0));
    const pushed = taken(clock, site(later(6 * day * 1_000)), at(1_000)).clock;
    expect(judgedAt(pushed, at(1_000))).toBe(seconds(true0) + 6 * day);
    const rebooted = reboot(pushed, at(day * 1_000));
    expect(rebooted.quality).toBe("lower-bound");
    expect(judgedAt(rebooted, at(day * 1_000))).toBe(seconds(true0));
  });

  it("[Y8] the highest time that the authority signed stays it, though the authority set the clock back", () => {
    const { clock } = taken(unset, authority(later(day * 1_000)));
    const back = taken(clock, authority(true0)).clock;
    expect(judgedAt(back, at(0))).toBe(seconds(true0));
    expect(judgedAt(reboot(back, at(0)), at(0))).toBe(seconds(true0) + day);
  });

  it("[J5] the authority makes a site's time that is right its own, without writing", () => {
    const { clock } = taken(unset, site(later(1_000)));
    const confirmed = taken(clock, authority(later(2_500)));
    expect(confirmed).toMatchObject({ written: false, clock: { quality: "set", source: "authority" } });
    expect(confirmed.clock.marks.site).toBeUndefined();
  });

  it("[J4] what a stolen gateway gains: time between the lock's own and the delegation's end, whatever it answers", () => {
    const answers = fc.array(
      fc.record({ ms: fc.integer({ min: -9 * day, max: 9 * day }), pause: fc.nat(100_000), cut: fc.boolean() }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(fc.constantFrom("unset", "set"), answers, (begin, moves) => {
        let clock = begin === "unset" ? unset : taken(unset, authority(true0)).clock;
        let now = 0;
        for (const { ms, pause, cut } of moves) {
          now += pause;
          if (cut) {
            clock = reboot(clock, at(now));
            now = 0;
          }
          const before = judgedAt(clock, at(now));
          const result = takeTime(clock, site(later(ms * 1_000)), at(now));
          if (result.ok) clock = result.value.clock;
          const after = judgedAt(clock, at(now));
          // Two seconds are the tolerance within which nothing is written.
          expect(after).toBeGreaterThanOrEqual(before);
          if (after > before) expect(after).toBeLessThanOrEqual(delegation.notAfter);
        }
        const undone = taken(clock, authority(later(500)), at(now)).clock;
        expect(readClock(undone, at(now))).toBeGreaterThanOrEqual(true0 - 2_000);
        expect(readClock(undone, at(now))).toBeLessThanOrEqual(true0 + 2_501);
        expect(undone.marks.site).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});

describe("what is persisted", () => {
  it("[J6] a mark is due when there is none, each hour, and when it was undone", () => {
    const { clock } = taken(bootClock(undefined, builtAt, at(0)), authority(true0));
    const last = persistedClock(clock, at(0));
    expect(isPersistDue(clock, undefined, at(0))).toBe(true);
    expect(isPersistDue(clock, last, at((PERSIST_EVERY_SECONDS - 1) * 1_000))).toBe(false);
    expect(isPersistDue(clock, last, at(PERSIST_EVERY_SECONDS * 1_000))).toBe(true);
    const pushed = taken(clock, site(later(6 * day * 1_000))).clock;
    const undone = taken(pushed, authority(true0)).clock;
    expect(isPersistDue(undone, persistedClock(pushed, at(0)), at(0))).toBe(true);
  });

  it("[J6] the floor is due when a signed time raised it, though nothing was written", () => {
    const { clock } = taken(bootClock(undefined, builtAt, at(0)), authority(true0));
    const last = persistedClock(clock, at(0));
    const confirmed = taken(clock, authority(later(1_000)));
    expect(confirmed.written).toBe(false);
    expect(isPersistDue(confirmed.clock, last, at(0))).toBe(true);
  });

  it("[J2] a lock that was never set has no mark after any number of boots, but counts its powered seconds", () => {
    const unset = bootClock(undefined, builtAt, at(0));
    expect(persistedClock(unset, at(5_000))).toEqual({ floor: builtAt, poweredUnsetSeconds: 5 });
    expect(reboot(reboot(unset, at(5_000)), at(5_000))).toMatchObject({ quality: "unset", poweredUnsetSeconds: 10 });
  });

  it("[J6] powered seconds are due each hour too, and when the clock was set", () => {
    const unset = bootClock(undefined, builtAt, at(0));
    const last = persistedClock(unset, at(0));
    expect(isPersistDue(unset, last, at(PERSIST_EVERY_SECONDS * 1_000))).toBe(true);
    const powered = persistedClock(unset, at(5_000_000));
    expect(isPersistDue(taken(unset, authority(unixMs(builtAt * 1_000))).clock, powered, at(5_000_000))).toBe(true);
  });
});
