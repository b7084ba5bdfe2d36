/** What of a lock's clock outlives its power, and what a site's word does to it until the authority speaks again. */
import { describe, expect, it } from "vitest";
import { MemoryFlash, PowerLost } from "../../../emulator/device/flash.ts";
import { LockClock } from "../../../emulator/device/lock-clock.ts";
import { monotonicMs, type UnixMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey } from "../../../protocol/crypto.ts";
import { type TimeOffer, takeTime } from "../../../protocol/sync/lock-clock.ts";
import { issueTimeDelegate } from "../../../protocol/wire/time-delegate.ts";
import { LockBench, START } from "./lock-bench.ts";

const day = 86_400;
const hourMs = 3_600_000;
const at = monotonicMs;
const startMs = unixMs(START * 1000);
const later = (ms: number): UnixMs => unixMs(startMs + ms);
const delegation = { from: START, notAfter: unixSeconds(START + 7 * day) };
const authority = (ms: UnixMs): TimeOffer => ({ source: "authority", unixMs: ms, roundTripMs: 0 });
const site = (ms: UnixMs): TimeOffer => ({ source: "site", unixMs: ms, roundTripMs: 0, delegation });

function take(clock: LockClock, offer: TimeOffer, now = at(0)): void {
  const taken = takeTime(clock.state, offer, clock.counter(now));
  if (!taken.ok) throw new Error(taken.fault.code);
  clock.put(taken.value.clock, now);
}

/** Power was gone and is back; the lock's counter begins anew. */
function afterPowerCut(flash: MemoryFlash): LockClock {
  return new LockClock(new MemoryFlash(flash.image()), 0, at(0));
}

describe("a lock's clock in flash", () => {
  it("[J2] never set it is unset after each boot, and its powered hours without a clock add up over boots", () => {
    const flash = new MemoryFlash();
    let clock = new LockClock(flash, 0, at(0));
    for (let boot = 1; boot <= 3; boot++) {
      expect(clock.read(at(0))).toEqual({ quality: "unset" });
      // Half an hour is lost with the power: less than an hour is not written.
      for (const minutes of [30, 60, 90]) clock.keepMarks(at(minutes * 60_000));
      expect(clock.forDecision(at(1.5 * hourMs)).clock.poweredSecondsUnset).toBe((boot - 1) * 3_600 + 5_400);
      clock = new LockClock(flash, 0, at(0));
      expect(clock.forDecision(at(0)).clock).toMatchObject({ quality: "unset", poweredSecondsUnset: boot * 3_600 });
    }
  });

  it("[J2] after a power cut it is a lower bound that begins at the mark and runs, and never shows less than before that mark", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(startMs));
    clock.keepMarks(at(2 * hourMs));
    clock.keepMarks(at(2 * hourMs + 59 * 60_000));
    const after = afterPowerCut(flash);
    expect(after.read(at(0))).toEqual({ quality: "lower-bound", unixMs: later(2 * hourMs), source: "authority" });
    expect(after.read(at(10_000)).unixMs).toBe(later(2 * hourMs + 10_000));
    expect(after.forDecision(at(10_000)).clock).toMatchObject({ quality: "lower-bound", poweredSecondsUnset: 10 });
    // And again: what it showed as a lower bound moves its mark too.
    const again = new MemoryFlash(flash.image());
    const second = new LockClock(again, 0, at(0));
    second.keepMarks(at(hourMs));
    expect(afterPowerCut(again).read(at(0)).unixMs).toBe(later(3 * hourMs));
    expect(afterPowerCut(again).forDecision(at(0)).clock.poweredSecondsUnset).toBe(3_600);
  });

  it("[J6] is written when a mark has grown by an hour, and not more often", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(startMs));
    const before = flash.writes;
    for (let minutes = 1; minutes <= 24 * 60; minutes++) clock.keepMarks(at(minutes * 60_000));
    expect(flash.writes - before).toBe(24);
  });

  it("[J5] [J6] a site's mark is kept apart, and is gone from flash with the authority's next answer", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(startMs));
    take(clock, site(later(5 * day * 1000)));
    const misled = afterPowerCut(flash);
    expect(misled.read(at(0))).toEqual({ quality: "lower-bound", unixMs: later(5 * day * 1000), source: "site" });
    expect(misled.state).toMatchObject({ marks: { authority: START, site: START + 5 * day }, floor: START });
    take(clock, authority(later(60_000)));
    const after = afterPowerCut(flash);
    expect(after.read(at(0))).toEqual({ quality: "lower-bound", unixMs: later(60_000), source: "authority" });
    expect(after.state.marks).toEqual({ authority: START + 60 });
  });

  it("[J5] the authority's own mark stays when the authority sets the clock back", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(later(day * 1000)));
    take(clock, authority(startMs));
    expect(clock.read(at(0)).unixMs).toBe(startMs);
    expect(afterPowerCut(flash).state).toMatchObject({ marks: { authority: START + day }, floor: START + day });
  });

  it("[Y8] the floor is on flash as soon as the authority has signed a later time, also when the clock was right already", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(startMs));
    take(clock, authority(later(60_000)), at(60_000));
    expect(afterPowerCut(flash).state.floor).toBe(START + 60);
    take(clock, site(later(600_000)), at(120_000));
    clock.keepMarks(at(10 * hourMs));
    expect(afterPowerCut(flash).state.floor).toBe(START + 60);
  });

  it("[J6] power that goes while a mark is written leaves the mark of before", () => {
    const flash = new MemoryFlash();
    const clock = new LockClock(flash, 0, at(0));
    take(clock, authority(startMs));
    flash.cutPowerAtWrite(1);
    expect(() => clock.keepMarks(at(hourMs))).toThrow(PowerLost);
    expect(afterPowerCut(flash).read(at(0)).unixMs).toBe(startMs);
  });

  it("[J2] counts as its crystal does, fast or slow", () => {
    for (const [ppm, showsMs] of [
      [100, day * 1000 + 8_640],
      [-100, day * 1000 - 8_640],
    ] as const) {
      const clock = new LockClock(new MemoryFlash(), ppm, at(0));
      take(clock, authority(startMs));
      expect(clock.read(at(day * 1000)).unixMs).toBe(later(showsMs));
    }
  });
});

describe("a lock that a gateway tells the time in the authority's place", () => {
  const signingKey = new Uint8Array(32).fill(41);

  /** Synced, then without power: its clock is a lower bound. */
  function benchWithoutClock(): LockBench {
    const bench = new LockBench();
    bench.pair();
    expect(bench.visit({ policy: bench.policy(1) }).ended).toBe("finished");
    bench.clock.advance(2 * hourMs);
    bench.reboot();
    return bench;
  }

  function delegateOf(bench: LockBench) {
    const publicKey = ed25519PublicKey(signingKey);
    const dates = { from: START, notAfter: unixSeconds(START + 7 * day) };
    const certificate = issueTimeDelegate(bench.keys.time, { publicKey, holder: "gateway-bench", locks: [], ...dates });
    return { signingKey, certificate };
  }

  const clockOf = (bench: LockBench) => bench.firmware.clock(bench.clock.monotonicMs());

  it("[J4] takes it, opens by the day's code again, and says in its report on whose word its clock rests", () => {
    const bench = benchWithoutClock();
    expect(bench.type(bench.codeOfToday(0)).reason).toBe("DEVICE_CLOCK_WRONG");
    const { entries } = bench.visit({}, { delegate: delegateOf(bench) });
    expect(entries.at(-1)).toMatchObject({ kind: "clock-set" });
    expect(clockOf(bench)).toMatchObject({ quality: "set", source: "site" });
    expect(Math.abs((clockOf(bench).unixMs ?? 0) - bench.clock.nowMs())).toBeLessThan(100);
    expect(bench.type(bench.codeOfToday(0)).granted).toBe(true);
  });

  it("[J5] one that lies ahead uses up no code's day, and the authority's next answer undoes it, mark and all", () => {
    const bench = benchWithoutClock();
    bench.visit({});
    const code = bench.codeOfToday(3);
    expect(bench.type(code).granted).toBe(true);
    const aheadMs = 3 * day * 1000;
    const { events } = bench.visit({}, { delegate: delegateOf(bench), timeErrorMs: aheadMs });
    expect(events.find(({ kind }) => kind === "time-handled")).toMatchObject({ written: true });
    expect(clockOf(bench)).toMatchObject({ source: "site" });
    bench.reboot();
    expect((clockOf(bench).unixMs ?? 0) - bench.clock.nowMs()).toBeGreaterThan(aheadMs - hourMs);
    bench.visit({});
    expect(clockOf(bench)).toMatchObject({ quality: "set", source: "authority" });
    expect(bench.type(code).granted).toBe(false);
    bench.reboot();
    expect(Math.abs((clockOf(bench).unixMs ?? 0) - bench.clock.nowMs())).toBeLessThan(hourMs);
  });

  it("[J4] moves no clock back, and none past the delegation's end", () => {
    const bench = benchWithoutClock();
    bench.visit({});
    for (const [timeErrorMs, refusal] of [
      [-hourMs, "backwards"],
      [8 * day * 1000, "beyond-delegation"],
    ] as const) {
      const { events } = bench.visit({}, { delegate: delegateOf(bench), timeErrorMs });
      expect(events).toContainEqual({ kind: "refused", step: "time", refusal });
      expect(clockOf(bench)).toMatchObject({ source: "authority" });
    }
    bench.clock.advance(8 * day * 1000);
    const { events } = bench.visit({}, { delegate: delegateOf(bench) });
    expect(events).toContainEqual({ kind: "refused", step: "time", refusal: "delegation-expired" });
  });
});
