/** The keypad's throttle across power cuts, on an offline lock and on one that is on the network: the same promises hold. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MemoryFlash, PowerLost } from "../../../emulator/device/flash.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import type { LockOutcome } from "../../../emulator/device/lock.ts";
import { type DeviceTime, NetworkedDevice } from "../../../emulator/device/networked-device.ts";
import { NetworkedHost } from "../../../emulator/device/networked-host.ts";
import { SteppedClock } from "../../../emulator/world/clock.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { LockBench, mapleCourt, START } from "./lock-bench.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-throttle-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Rig {
  type(code: string): LockOutcome;
  /** Powered time goes by, and the host wakes the device now and then. */
  run(seconds: number): void;
  powerOff(seconds: number): void;
  cutPowerAtWrite(nth: number): void;
}

function offlineLock(): Rig {
  const bench = new LockBench();
  bench.pair();
  bench.visit({ policy: bench.policy(1) });
  return {
    type: (code) => bench.type(code),
    run: (seconds) => {
      bench.clock.advance(seconds * 1000);
      bench.firmware.wake(bench.clock.monotonicMs());
    },
    powerOff: (seconds) => {
      bench.clock.advance(seconds * 1000);
      bench.reboot();
    },
    cutPowerAtWrite: (nth) => bench.flash.cutPowerAtWrite(nth),
  };
}

class NetworkedRig implements Rig {
  readonly #clock = new SteppedClock(START * 1000);
  #flash = new MemoryFlash();
  #device: NetworkedDevice;
  /** By how much the network's time is wrong. */
  clockErrorMs = 0;

  constructor() {
    this.#device = this.#boot();
  }

  type(code: string): LockOutcome {
    const isAsleep = this.#device.isKeypadAsleep(this.#time().monotonicMs);
    const outcomes = (keysOfCode(code, isAsleep) ?? []).flatMap((key) => {
      this.#clock.advance(150);
      return this.#device.press(key, this.#time());
    });
    const [outcome] = outcomes;
    if (outcome === undefined) throw new Error("the keypad said nothing");
    return outcome;
  }

  run(seconds: number): void {
    this.#clock.advance(seconds * 1000);
    this.#device.wake(this.#time());
  }

  powerOff(seconds: number): void {
    this.#clock.advance(seconds * 1000);
    this.#flash = new MemoryFlash(this.#flash.image());
    this.#device = this.#boot();
  }

  cutPowerAtWrite(nth: number): void {
    this.#flash.cutPowerAtWrite(nth);
  }

  /** Time goes by and nobody wakes the device but its own host. */
  async leaveToItsHost(seconds: number): Promise<void> {
    const host = new NetworkedHost({
      device: "gym-lock" as DeviceId,
      site: "maple-court",
      serial: "R2-0001",
      hardwareVersion: "rev-a",
      firmware: this.#device,
      brokerUrl: "mqtt://127.0.0.1:1",
      clock: this.#clock,
      jitter: () => 0,
      onChange: () => undefined,
      onTimeout: () => undefined,
      onUnlock: () => undefined,
      onPolicy: () => undefined,
      onLink: () => undefined,
    });
    this.#clock.advance(seconds * 1000);
    await host.stop();
  }

  hold(keyId: number): void {
    const dailyKeys = [{ keyId, key: new Uint8Array(32).fill(keyId) }];
    this.#device.enrol({ entryTagKey: new Uint8Array(32).fill(8), dailyKeys });
  }

  #time(): DeviceTime {
    return {
      unixMs: unixMs(this.#clock.nowMs() + this.clockErrorMs),
      monotonicMs: this.#clock.monotonicMs(),
    };
  }

  #boot(): NetworkedDevice {
    const codeKey = new Uint8Array(32).fill(4);
    const options = { epoch: 1, version: 1, now: START, codeHashKey: codeKey };
    const compiled = compileLockPolicy(mapleCourt(), "gym-lock", options);
    if (!compiled.ok) throw new Error(compiled.fault.code);
    return new NetworkedDevice(
      { model: modelByName.R2, firmware: "2.1.0", codeKey, personByCredential: new Map() },
      compiled.value,
      {
        flash: this.#flash,
        journal: new EventJournal(join(folder, "gym-lock.journal")),
        bootId: new Uint8Array(16).fill(6),
      },
      this.#time(),
    );
  }
}

const { triesAtOnce, refillSeconds } = mapleCourt().guessing;
const wrongCode = (count: number): string => String(1_000_000 + count);
const compared = ({ reason }: LockOutcome): boolean => reason !== "LOCKED_OUT";

/** Types wrong codes until none is left; the longest pause is served before each. */
function exhaust(rig: Rig): void {
  for (let count = 0; count < triesAtOnce; count++) {
    expect(compared(rig.type(wrongCode(count)))).toBe(true);
    rig.run(310);
  }
}

describe.each<{ what: string; build: () => Rig }>([
  { what: "an offline lock", build: offlineLock },
  { what: "a lock on the network", build: () => new NetworkedRig() },
])("the throttle of $what", ({ build }) => {
  it("[C8] a night without power gives no try back; powered time does", () => {
    const rig = build();
    exhaust(rig);
    rig.powerOff(12 * 3_600);
    expect(compared(rig.type(wrongCode(50)))).toBe(false);
    rig.run(refillSeconds);
    expect(compared(rig.type(wrongCode(51)))).toBe(true);
    expect(compared(rig.type(wrongCode(52)))).toBe(false);
  });

  it("[C8] powered time is counted over all boots", () => {
    const rig = build();
    exhaust(rig);
    for (let boot = 0; boot < 4; boot++) {
      rig.run(refillSeconds / 4);
      rig.powerOff(60);
    }
    expect(compared(rig.type(wrongCode(50)))).toBe(true);
  });

  it.each([2, 3])("[C8] a try whose power is lost at write %i, after it was counted, stays spent", (nth) => {
    const rig = build();
    for (let count = 0; count < triesAtOnce; count++) {
      rig.cutPowerAtWrite(nth);
      try {
        rig.type(wrongCode(count));
      } catch (error) {
        if (!(error instanceof PowerLost)) throw error;
      }
      rig.powerOff(3_600);
      rig.run(620);
    }
    let left = 0;
    while (left < triesAtOnce && compared(rig.type(wrongCode(50 + left)))) left += 1;
    expect(left).toBe(Math.floor((620 * triesAtOnce) / refillSeconds));
  });

  it("[C8] power lost before a try is counted: nothing is compared", () => {
    const rig = build();
    rig.cutPowerAtWrite(1);
    expect(() => rig.type(wrongCode(0))).toThrow(PowerLost);
    rig.powerOff(60);
    exhaust(rig);
  });
});

describe("the throttle of a lock on the network", () => {
  it("[C8] is moved by no network time, neither put forward nor put back", () => {
    const rig = new NetworkedRig();
    exhaust(rig);
    rig.clockErrorMs = 7 * 86_400_000;
    expect(compared(rig.type(wrongCode(50)))).toBe(false);
    rig.clockErrorMs = -365 * 86_400_000;
    expect(compared(rig.type(wrongCode(51)))).toBe(false);
    rig.run(refillSeconds);
    expect(compared(rig.type(wrongCode(52)))).toBe(true);
  });

  it("[C8] is refilled by the time that it was powered and left alone, over a power cut", async () => {
    const rig = new NetworkedRig();
    exhaust(rig);
    await rig.leaveToItsHost(refillSeconds);
    rig.powerOff(60);
    expect(compared(rig.type(wrongCode(50)))).toBe(true);
  });

  it("[C8] what was wrong under the old daily keys costs a try again under renewed ones", () => {
    const rig = new NetworkedRig();
    rig.hold(1);
    exhaust(rig);
    expect(compared(rig.type(wrongCode(0)))).toBe(true);
    rig.hold(2);
    expect(compared(rig.type(wrongCode(0)))).toBe(false);
  });
});
