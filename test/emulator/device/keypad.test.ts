import { describe, expect, it } from "vitest";
import { Keypad, type KeypadEvent, type KeypadKey, keysOfCode } from "../../../emulator/device/keypad.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";

const withCheckMark = { digitTimeoutMs: 5_000, endsAfter: undefined };
const withoutCheckMark = { digitTimeoutMs: 5_000, endsAfter: 7 };

function press(
  keypad: Keypad,
  keys: string,
  settings: typeof withCheckMark | typeof withoutCheckMark,
  startMs = 0,
  gapMs = 100,
) {
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
    expect(keysOfCode("12")).toEqual(["1", "2", "check"]);
    expect(keysOfCode("")).toBeUndefined();
    expect(keysOfCode("12a4")).toBeUndefined();
    expect(keysOfCode("check")).toBeUndefined();
    expect(keysOfCode("1".repeat(65))).toBeUndefined();
  });
});
