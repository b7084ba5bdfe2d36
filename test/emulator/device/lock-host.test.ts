import { describe, expect, it } from "vitest";
import type { LockOutcome } from "../../../emulator/device/lock.ts";
import { LockHost } from "../../../emulator/device/lock-host.ts";
import type { AirConnection } from "../../../emulator/radio/air.ts";
import { LockBench } from "./lock-bench.ts";

function hosted() {
  const bench = new LockBench();
  bench.pair();
  bench.visit({ policy: bench.policy(1) });
  const timeouts: LockOutcome[] = [];
  const ends: string[] = [];
  /** Whether the keypad was dark at each change. */
  const changes: boolean[] = [];
  const host: LockHost = new LockHost({
    firmware: bench.firmware,
    address: "C0:FF:EE:00:00:02",
    clock: bench.clock,
    random: (length) => new Uint8Array(length).fill(1),
    onChange: () => changes.push(host.keypadAsleep),
    onTimeout: (_device, outcome) => timeouts.push(outcome),
    onVisit: (_device, end) => ends.push(end),
  });
  return { bench, host, timeouts, ends, changes };
}

function connection(): AirConnection & { closed: boolean } {
  const made = {
    closed: false,
    notify: () => true,
    close: () => {
      made.closed = true;
    },
  };
  return made;
}

describe("a lock on the air", () => {
  it("[L8] closes a second connection at once, and the first when nothing comes of it in ten seconds", () => {
    const { bench, host, ends } = hosted();
    const [first, second] = [connection(), connection()];
    host.peripheral.onConnection(first);
    host.peripheral.onConnection(second);
    bench.clock.advance(10);
    expect([first.closed, second.closed]).toEqual([false, true]);
    expect(host.visited).toBe(true);
    bench.clock.advance(10_000);
    expect(first.closed).toBe(true);
    expect(host.visited).toBe(false);
    expect(ends).toEqual(["no-progress"]);
    host.stop();
  });

  it("takes frames that are none without harm, and a link that is lost frees the lock for the next visit", () => {
    const { bench, host, ends } = hosted();
    const listener = host.peripheral.onConnection(connection());
    for (const length of [0, 1, 100, 244, 512]) listener.frame(new Uint8Array(length).fill(0xa5));
    listener.ended("link-lost");
    expect(host.visited).toBe(false);
    expect(ends).toHaveLength(1);
    const next = connection();
    host.peripheral.onConnection(next);
    bench.clock.advance(10);
    expect(next.closed).toBe(false);
    host.stop();
  });

  it("[L8] hears late that a link is down which it closed itself, and the visit that has begun since goes on", () => {
    const { bench, host, ends } = hosted();
    const former = host.peripheral.onConnection(connection());
    bench.clock.advance(10_001);
    expect(ends).toEqual(["no-progress"]);
    const next = connection();
    host.peripheral.onConnection(next);
    former.ended("closed-by-lock");
    expect(host.visited).toBe(true);
    expect(ends).toEqual(["no-progress"]);
    bench.clock.advance(10_001);
    expect(next.closed).toBe(true);
    expect(ends).toEqual(["no-progress", "no-progress"]);
    host.stop();
  });

  it("locks by its own timer, and tells of an entry that ran out of time", () => {
    const { bench, host, timeouts } = hosted();
    expect(
      host.present({ kind: "token", tokenKind: "keycard", value: "04a1b2c3d4e501", authentic: true }).granted,
    ).toBe(true);
    expect(host.firmware.bolt).toBe("unlocked");
    bench.clock.advance(10_001);
    expect(host.firmware.bolt).toBe("locked");
    // One wakes the keypad, the other is a digit.
    for (const key of ["4", "4"] as const) expect(host.pressOne(key)).toEqual([]);
    bench.clock.advance(5_002);
    expect(timeouts).toMatchObject([{ granted: false, indicator: "timeout", reason: "ENTRY_TIMEOUT" }]);
    host.stop();
  });
});

describe("a keypad that sleeps, on a lock with a timer", () => {
  it("[K5] lights up, and tells when it goes dark again by itself", () => {
    const { bench, host, timeouts, changes } = hosted();
    expect(host.keypadAsleep).toBe(true);
    host.pressOne("4");
    expect(changes).toEqual([false]);
    bench.clock.advance(5_000);
    expect(changes).toEqual([false]);
    bench.clock.advance(2);
    expect(changes).toEqual([false, true]);
    bench.clock.advance(120_000);
    expect(changes).toEqual([false, true]);
    expect(timeouts).toEqual([]);
    host.stop();
  });
});

describe("an emulated lock is reproducible", () => {
  it("the same deeds at the same times leave the same bytes in flash", () => {
    const image = () => {
      const bench = new LockBench({ driftPpm: 22 });
      bench.pair(41_000);
      bench.visit({ policy: bench.policy(1) });
      bench.type(bench.codeOfToday(0));
      bench.type("7654321");
      bench.card("04a1b2c3d4e508");
      bench.visit({ policy: bench.policy(2) });
      return bench.everythingWritten();
    };
    expect(image()).toBe(image());
  });
});
