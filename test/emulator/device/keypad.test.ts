import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Keypad,
  type KeypadEvent,
  type KeypadKey,
  type KeypadSettings,
  keysOfCode,
} from "../../../emulator/device/keypad.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { modelByName, modelNames } from "../../../protocol/firmware/models.ts";
import { LockBench } from "./lock-bench.ts";

const withCheckMark: KeypadSettings = { digitTimeoutMs: 5_000, endsAfter: undefined, keypadWake: "none" };
const withoutCheckMark: KeypadSettings = { digitTimeoutMs: 5_000, endsAfter: 7, keypadWake: "none" };
/** A lock with a check mark, and one without. */
const sleepy: KeypadSettings = { ...withCheckMark, keypadWake: "any-key" };
const sleepySeven: KeypadSettings = { ...withoutCheckMark, keypadWake: "any-key" };

function press(keypad: Keypad, keys: string, settings: KeypadSettings, startMs = 0, gapMs = 100) {
  const events: KeypadEvent[] = [];
  let now = startMs;
  for (const key of keys.split("")) {
    events.push(...keypad.press(key === "#" ? "check" : (key as KeypadKey), settings, monotonicMs(now)));
    now += gapMs;
  }
  return { events, now };
}

describe("keypad", () => {
  it("[K1] a digit 5 s after the one before it still belongs to the entry, a later one begins a new entry", () => {
    const intime = press(new Keypad(), "1234567", withoutCheckMark, 0, 5_000);
    expect(intime.events).toMatchObject([{ kind: "entry", digits: "1234567" }]);
    const keypad = new Keypad();
    press(keypad, "123", withoutCheckMark, 0, 100);
    const late = keypad.press("4", withoutCheckMark, monotonicMs(200 + 5_001));
    expect(late).toEqual([{ kind: "timeout", length: 3 }]);
    const rest = press(keypad, "567890", withoutCheckMark, 5_300);
    expect(rest.events).toMatchObject([{ kind: "entry", digits: "4567890" }]);
  });

  it("[K1] an entry that nobody goes on with is thrown away just after 5 s", () => {
    const keypad = new Keypad();
    press(keypad, "12", withCheckMark);
    const due = keypad.nextWakeMs();
    expect(due).toBe(5_100);
    expect(keypad.wake(monotonicMs(5_100))).toEqual([]);
    expect(keypad.wake(monotonicMs(5_101))).toEqual([{ kind: "timeout", length: 2 }]);
    expect(keypad.nextWakeMs()).toBeUndefined();
    expect(keypad.wake(monotonicMs(99_999))).toEqual([]);
  });

  it("[K2] the check mark ends an entry, and on a model without one the last digit does", () => {
    expect(press(new Keypad(), "1234#", withCheckMark).events).toMatchObject([{ kind: "entry", digits: "1234" }]);
    expect(press(new Keypad(), "1234567", withCheckMark).events).toEqual([]);
    expect(press(new Keypad(), "1234567", withoutCheckMark).events).toMatchObject([
      { kind: "entry", digits: "1234567" },
    ]);
    expect(press(new Keypad(), "12#34567", withoutCheckMark).events).toMatchObject([
      { kind: "entry", digits: "1234567" },
    ]);
  });

  it("[K3] an entry shorter or longer than any code is not judged, however long somebody leans on the keypad", () => {
    expect(press(new Keypad(), "123#", withCheckMark).events).toEqual([{ kind: "unusable", length: 3 }]);
    expect(press(new Keypad(), "#", withCheckMark).events).toEqual([{ kind: "unusable", length: 0 }]);
    expect(press(new Keypad(), "12345678901#", withCheckMark).events).toEqual([{ kind: "unusable", length: 11 }]);
    expect(press(new Keypad(), `${"7".repeat(5_000)}#`, withCheckMark).events).toEqual([
      { kind: "unusable", length: 11 },
    ]);
  });

  it("[K4] nothing of an entry is left after it was handed over", () => {
    const keypad = new Keypad();
    press(keypad, "1234567", withoutCheckMark);
    expect(press(keypad, "89", withoutCheckMark, 1_000).events).toEqual([]);
    expect(keypad.wake(monotonicMs(60_000))).toEqual([{ kind: "timeout", length: 2 }]);
  });

  it("reads a code as keys, and refuses what is none", () => {
    expect(keysOfCode("12", false)).toEqual(["1", "2", "check"]);
    expect(keysOfCode("12", true)).toEqual(["0", "1", "2", "check"]);
    for (const none of ["", "12a4", "check", "1".repeat(65)]) expect(keysOfCode(none, true)).toBeUndefined();
  });
});

describe("a keypad that sleeps", () => {
  it("[K5] is woken by any key it has, which is no part of the entry; a key it does not have does nothing", () => {
    expect(press(new Keypad(), "91234#", sleepy).events).toMatchObject([{ kind: "entry", digits: "1234" }]);
    expect(press(new Keypad(), "#1234#", sleepy).events).toMatchObject([{ kind: "entry", digits: "1234" }]);
    expect(press(new Keypad(), "91234567", sleepySeven).events).toMatchObject([{ kind: "entry", digits: "1234567" }]);
    const keypad = new Keypad();
    expect(press(keypad, "#", sleepySeven).events).toEqual([]);
    expect(keypad.isAsleep(sleepySeven, monotonicMs(50))).toBe(true);
    expect(press(keypad, "5", sleepySeven).events).toEqual([]);
    expect(keypad.isAsleep(sleepySeven, monotonicMs(50))).toBe(false);
  });

  it("[K5] somebody who does not wake it loses the first digit: too few, another code, or a timeout", () => {
    expect(press(new Keypad(), "1234#", sleepy).events).toEqual([{ kind: "unusable", length: 3 }]);
    expect(press(new Keypad(), "12345#", sleepy).events).toMatchObject([{ kind: "entry", digits: "2345" }]);
    const keypad = new Keypad();
    expect(press(keypad, "1234567#", sleepySeven).events).toEqual([]);
    expect(keypad.wake(monotonicMs(60_000))).toEqual([{ kind: "timeout", length: 6 }]);
  });

  it("[K5] sleeps again when an entry has ended, and when 5 s went by without a press", () => {
    const ended = new Keypad();
    const { events } = press(ended, "91234567" + "81234567", sleepySeven);
    expect(events).toMatchObject([{ digits: "1234567" }, { digits: "1234567" }]);
    expect(press(new Keypad(), "9#" + "1234#", sleepy).events).toEqual([
      { kind: "unusable", length: 0 },
      { kind: "unusable", length: 3 },
    ]);

    const left = new Keypad();
    press(left, "9", sleepySeven);
    expect(left.nextWakeMs()).toBe(5_000);
    expect(left.isAsleep(sleepySeven, monotonicMs(5_000))).toBe(false);
    expect(left.isAsleep(sleepySeven, monotonicMs(5_001))).toBe(true);
    expect(left.wake(monotonicMs(5_001))).toEqual([]);
    expect(left.nextWakeMs()).toBeUndefined();

    // A late digit ends what stood there and wakes the keypad; the seven after it are the entry.
    const late = new Keypad();
    press(late, "9123", sleepySeven);
    expect(press(late, "4", sleepySeven, 5_301).events).toEqual([{ kind: "timeout", length: 3 }]);
    expect(press(late, "7654321", sleepySeven, 5_400).events).toMatchObject([{ digits: "7654321" }]);
  });

  it("[K5] one that never sleeps takes the first digit as one", () => {
    expect(new Keypad().isAsleep(withCheckMark, monotonicMs(0))).toBe(false);
    expect(press(new Keypad(), "1234#", withCheckMark).events).toMatchObject([{ digits: "1234" }]);
  });

  const keypads = modelNames.map((name) => modelByName[name]).filter((model) => model.digitTimeoutMs !== undefined);

  it("[K5] whoever looks whether it sleeps types exactly the code, on every model and with either kind of keypad", () => {
    const digits = fc.constantFrom(..."0123456789");
    const anyKey = fc.constantFrom<KeypadKey>("0", "3", "7", "check");
    fc.assert(
      fc.property(
        fc.constantFrom(...keypads),
        fc.constantFrom("any-key", "none", undefined),
        fc.array(digits, { minLength: 4, maxLength: 10 }).map((each) => each.join("")),
        fc.array(fc.record({ key: anyKey, afterMs: fc.nat(6_000) }), { maxLength: 12 }),
        fc.boolean(),
        (model, override, code, before, wokenByOther) => {
          const {
            digitTimeoutMs = 0,
            checkMarkKey,
            keypadWake,
          } = { ...model, ...(override && { keypadWake: override }) };
          const settings = { digitTimeoutMs, endsAfter: checkMarkKey ? undefined : code.length, keypadWake };
          const keypad = new Keypad();
          let now = 0;
          for (const { key, afterMs } of before) {
            now += afterMs;
            keypad.press(key, settings, monotonicMs(now));
          }
          // Whoever was there has gone; somebody may have touched it a moment ago.
          now += digitTimeoutMs + 1;
          keypad.wake(monotonicMs(now));
          if (wokenByOther && keypad.isAsleep(settings, monotonicMs(now)))
            keypad.press("3", settings, monotonicMs(now));
          const keys = keysOfCode(code, keypad.isAsleep(settings, monotonicMs(now))) ?? [];
          const events = keys.flatMap((key) => {
            now += 200;
            return keypad.press(key, settings, monotonicMs(now));
          });
          expect(events).toMatchObject([{ kind: "entry", digits: code }]);
          expect(keypad.wake(monotonicMs(now + 60_000))).toEqual([]);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("a lock whose keypad sleeps", () => {
  it.each(["lobby-lock", "apartment-2a-lock"])("[K5] %s: waking it is in no log and costs no try", (device) => {
    const bench = new LockBench({ device });
    bench.pair();
    bench.visit({ policy: bench.policy(1) });
    const now = () => bench.clock.monotonicMs();
    const logged = bench.firmware.log?.next;
    const written = bench.everythingWritten();
    expect(bench.firmware.isKeypadAsleep(now())).toBe(true);
    expect(bench.firmware.press("7", now())).toEqual([]);
    expect(bench.firmware.isKeypadAsleep(now())).toBe(false);
    bench.clock.advance(5_001);
    expect(bench.firmware.wake(now())).toEqual([]);
    expect(bench.firmware.isKeypadAsleep(now())).toBe(true);
    expect(bench.firmware.log?.next).toBe(logged);
    expect(bench.everythingWritten()).toBe(written);
  });

  it("[K5] opens to a code typed after waking; without, a seven-digit entry times out and a check mark judges the rest", () => {
    const pressed = (bench: LockBench, keys: readonly KeypadKey[]) => {
      const outcomes = keys.flatMap((key) => bench.firmware.press(key, bench.clock.monotonicMs()));
      bench.clock.advance(6_000);
      return [...outcomes, ...bench.firmware.wake(bench.clock.monotonicMs())];
    };
    const made = (device: string) => {
      const bench = new LockBench({ device });
      bench.pair();
      bench.visit({ policy: bench.policy(1) });
      return bench;
    };
    for (const [device, lost] of [
      ["lobby-lock", "ENTRY_TIMEOUT"],
      ["apartment-2a-lock", "CREDENTIAL_UNKNOWN"],
    ] as const) {
      const bench = made(device);
      const code = bench.codeOfToday(0);
      expect(pressed(bench, keysOfCode(code, false) ?? [])).toMatchObject([{ granted: false, reason: lost }]);
      expect(pressed(bench, keysOfCode(code, true) ?? [])).toMatchObject([{ granted: true }]);
    }
  });
});
