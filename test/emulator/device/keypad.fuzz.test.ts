/** The fuzz promise of the keypad: any keys at any times, no throw; what it hands over was typed, in order, in time, and once (SPEC K1-K5). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ENTRY_FLOOR_DIGITS,
  ENTRY_LIMIT_DIGITS,
  KEYPAD_KEYS,
  Keypad,
  type KeypadSettings,
} from "../../../emulator/device/keypad.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";

const digitTimeoutMs = 5_000;
const settings: readonly KeypadSettings[] = [
  { digitTimeoutMs, endsAfter: undefined, keypadWake: "none" },
  { digitTimeoutMs, endsAfter: undefined, keypadWake: "any-key" },
  { digitTimeoutMs, endsAfter: 7, keypadWake: "none" },
  { digitTimeoutMs, endsAfter: 4, keypadWake: "any-key" },
];
const press = fc.record({
  key: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...KEYPAD_KEYS) },
    fc.constantFrom("1" as const, "check" as const),
  ),
  waitMs: fc.oneof({ weight: 6, arbitrary: fc.nat(900) }, fc.integer({ min: 4_998, max: 5_003 }), fc.nat(20_000)),
  wakesFirst: fc.boolean(),
});

describe("any keys", () => {
  it("[K4] are handed over as they were typed, once, and never with a gap longer than the timeout", fuzzTimeout, () => {
    let entries = 0;
    fc.assert(
      fc.property(fc.constantFrom(...settings), fc.array(press, { maxLength: 40 }), (model, presses) => {
        const keypad = new Keypad();
        const typed: { readonly digit: string; readonly at: number }[] = [];
        let now = 1_000;
        let handedOver = 0;
        for (const { key, waitMs, wakesFirst } of presses) {
          now += waitMs;
          const woken = wakesFirst ? keypad.wake(monotonicMs(now)) : [];
          if (key !== "check") typed.push({ digit: key, at: now });
          for (const event of [...woken, ...keypad.press(key, model, monotonicMs(now))]) {
            if (event.kind !== "entry") {
              expect(JSON.stringify(event), "no digit in what may be logged").not.toContain("digits");
              expect(event.length).toBeLessThanOrEqual(ENTRY_LIMIT_DIGITS + 1);
              continue;
            }
            entries++;
            const { digits, times } = event;
            expect(digits.length).toBe(times.length);
            expect(digits.length).toBeGreaterThanOrEqual(ENTRY_FLOOR_DIGITS);
            expect(digits.length).toBeLessThanOrEqual(ENTRY_LIMIT_DIGITS);
            if (model.endsAfter !== undefined) expect(digits.length).toBe(model.endsAfter);
            // Each digit was pressed then, and none is in two entries.
            const used = times.map((at, index) =>
              typed.findIndex((each) => each.at === at && each.digit === digits[index]),
            );
            for (const [index, place] of used.entries()) {
              expect(place).toBeGreaterThanOrEqual(index === 0 ? handedOver : (used[index - 1] ?? 0));
              if (index > 0) expect((times[index] ?? 0) - (times[index - 1] ?? 0)).toBeLessThanOrEqual(digitTimeoutMs);
            }
            handedOver = Math.max(handedOver, ...used);
          }
        }
        const due = keypad.nextWakeMs();
        if (due !== undefined) {
          expect(due).toBeLessThanOrEqual(now + digitTimeoutMs);
          expect(keypad.wake(monotonicMs(due + 1)).length).toBeLessThanOrEqual(1);
        }
        expect(keypad.nextWakeMs()).toBeUndefined();
      }),
      fuzzRuns(400),
    );
    expect(entries).toBeGreaterThan(0);
  });
});
