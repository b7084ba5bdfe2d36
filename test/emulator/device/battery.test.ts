import { describe, expect, it } from "vitest";
import { Battery } from "../../../emulator/device/battery.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { decodeAdvertisement } from "../../../protocol/wire/advertisement.ts";
import { LockBench } from "./lock-bench.ts";

const anaCard = "04a1b2c3d4e501";
const HOUR_MS = 3_600_000;

/** A synced lock whose battery has so much left. */
function lockWith(percent: number): LockBench {
  const bench = new LockBench();
  bench.pair();
  bench.visit({ policy: bench.policy(1) });
  while ((bench.firmware.battery?.percent ?? 0) > percent) bench.firmware.hardware.battery?.moveBolt();
  return bench;
}

const isLow = ({ firmware, clock }: LockBench): boolean => {
  const read = decodeAdvertisement(firmware.advertisement(clock.monotonicMs()));
  return read.ok && read.value.batteryLow;
};

describe("a battery", () => {
  it("goes down with idling, visits and each movement of the bolt, and the same deeds give the same level", () => {
    const after = (work: (battery: Battery) => void): number => {
      const battery = new Battery(50);
      for (let times = 0; times < 1_000; times++) work(battery);
      return battery.reading().percent;
    };
    const idle = after((battery) => battery.idle(HOUR_MS));
    const visits = after((battery) => battery.visit(10_000));
    const moves = after((battery) => battery.moveBolt());
    expect([idle, visits, moves].map((percent) => percent < 50)).toEqual([true, true, true]);
    expect([idle, moves]).toEqual([after((battery) => battery.idle(HOUR_MS)), after((battery) => battery.moveBolt())]);
    expect(after((battery) => battery.visit(20_000))).toBeLessThan(visits);
  });

  it("never has less than nothing, and its voltage falls with it", () => {
    const battery = new Battery(1);
    const before = battery.reading();
    for (let times = 0; times < 1_000; times++) battery.moveBolt();
    expect(battery.reading().percent).toBe(0);
    expect(battery.reading().millivolts).toBeLessThan(before.millivolts);
  });
});

describe("what a lock does with its battery", () => {
  it("a grant moves the bolt twice, a denial never", () => {
    const bench = lockWith(70);
    const moves = { count: 0 };
    const { battery } = bench.firmware.hardware;
    const move = battery?.moveBolt.bind(battery);
    if (battery !== undefined) {
      battery.moveBolt = () => {
        moves.count += 1;
        move?.();
      };
    }
    expect(bench.card("no-such-card").granted).toBe(false);
    expect(moves.count).toBe(0);
    expect(bench.card(anaCard).granted).toBe(true);
    bench.firmware.lock();
    expect(moves.count).toBe(2);
  });

  it("idling is drawn whenever the lock wakes", () => {
    const bench = lockWith(70);
    bench.firmware.wake(bench.clock.monotonicMs());
    const before = bench.firmware.battery?.percent ?? 0;
    bench.firmware.wake(monotonicMs(bench.clock.monotonicMs() + 2_000 * HOUR_MS));
    expect(bench.firmware.battery?.percent).toBeLessThan(before);
  });

  it("row 71: low is on the air and in the hello, and still opens", () => {
    expect(isLow(lockWith(16))).toBe(false);
    const low = lockWith(14);
    expect(isLow(low)).toBe(true);
    expect(low.card(anaCard)).toMatchObject({ granted: true, warnings: expect.arrayContaining(["BATTERY_LOW"]) });
    expect(low.firmware.facts(low.clock.monotonicMs()).battery.percent).toBeLessThan(15);
  });

  it("row 71: one that cannot move the bolt denies with that reason, and a visit still brings its log and the policy", () => {
    const flat = lockWith(1);
    expect(flat.card(anaCard)).toMatchObject({ granted: false, reason: "INSUFFICIENT_BATTERY" });
    const { ended, entries } = flat.visit({ policy: flat.policy(2) });
    expect(ended).toBe("finished");
    expect(entries).toContainEqual(expect.objectContaining({ reason: "INSUFFICIENT_BATTERY" }));
    expect(flat.firmware.policy.version).toBe(2);
  });
});
