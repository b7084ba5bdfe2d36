import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../protocol/base/bytes.ts";
import { localDay } from "../../../protocol/base/units.ts";
import {
  dailyCode,
  dailyCodes,
  dailyCounter,
  keptUsedSlots,
  slotsOfCode,
  truncateToDigits,
  usedSlotDay,
  usedSlotName,
} from "../../../protocol/doorcode/daily-code.ts";

/** RFC 4226 appendix D, secret "12345678901234567890": HMAC-SHA-1 of the counts 0-9 and the six digits they give. */
const appendixD = [
  ["cc93cf18508d94934c64b65d8ba7667fb7cde4b0", "755224"],
  ["75a48a19d4cbe100644e8ac1397eea747a2d33ab", "287082"],
  ["0bacb7fa082fef30782211938bc1c5e70416ff44", "359152"],
  ["66c28227d03a2d5529262ff016a1e6ef76557ece", "969429"],
  ["a904c900a64b35909874b33e61c5938a8e15ed1c", "338314"],
  ["a37e783d7b7233c083d4f62926c7a25f238d0316", "254676"],
  ["bc9cd28561042c83f219324d3c607256c03272ae", "287922"],
  ["a4fb960c0bc06e1eabb804e5b397cdc4b45596fa", "162583"],
  ["1b3c89f65e6c9e883012052823443f048b4332db", "399871"],
  ["1637409809a679dc698207310c8c7fc07290d9e5", "520489"],
] as const;

/** RFC 4226 part 5.4: the worked example, 0x50ef7f19 and six digits of it. */
const workedExample = "1f8698690e02ca16618550ef7f19da8e945b555a";

describe("truncation", () => {
  it.each(appendixD)("[C1] RFC 4226 appendix D: %s gives %s", (mac, code) => {
    expect(truncateToDigits(hexToBytes(mac) ?? new Uint8Array(), 6)).toBe(code);
  });

  it("[C1] RFC 4226 part 5.4: the worked example", () => {
    expect(truncateToDigits(hexToBytes(workedExample) ?? new Uint8Array(), 6)).toBe("872921");
    expect(truncateToDigits(hexToBytes(workedExample) ?? new Uint8Array(), 9)).toBe("357872921");
  });
});

const key = new Uint8Array(32).map((_, index) => index);

describe("daily code", () => {
  it("[C1] the counter is day, mode and slot, big-endian", () => {
    expect(bytesToHex(dailyCounter({ localDay: localDay(20_781), mode: "single-use", slot: 5 }))).toBe(
      "0000512d00010005",
    );
    expect(bytesToHex(dailyCounter({ localDay: localDay(1), mode: "all-day", slot: 0 }))).toBe("0000000100020000");
  });

  // Computed apart from this code, with Python's hmac and struct, for the key 00 01 02 ... 1f.
  it.each(pythonVectors())("[C1] day %i, %s, slot %i, %i digits: %s", (day, mode, slot, digits, code) => {
    expect(dailyCode(key, { localDay: localDay(day), mode, slot }, digits)).toBe(code);
  });

  it("[C1] agrees with the RFC's algorithm written out again for a thousand slots", () => {
    for (let day = 20_000; day < 20_032; day++) {
      for (const slot of dailyCodes(key, localDay(day), { dailyDigits: 7, singleUseSlots: 28, allDaySlots: 4 })) {
        expect(slot.code).toBe(slowCode(day, slot.mode === "single-use" ? 1 : 2, slot.slot, 7));
      }
    }
  });

  it("[C2] single-use and all-day codes of one slot differ, and so do days", () => {
    const codeOf = (day: number, mode: "single-use" | "all-day") =>
      dailyCode(key, { localDay: localDay(day), mode, slot: 0 }, 7);
    expect(new Set([codeOf(1, "single-use"), codeOf(1, "all-day"), codeOf(2, "single-use")]).size).toBe(3);
  });

  it("[C1] a code leads to every slot of its day that has it, and no other code to any", () => {
    // So short that codes fall together: both modes are found, single-use slots first.
    const rules = { dailyDigits: 2, singleUseSlots: 60, allDaySlots: 60 };
    for (const day of [localDay(20_781), localDay(20_782), localDay(20_781)]) {
      const all = dailyCodes(key, day, rules);
      for (let number = 0; number < 100; number++) {
        const code = String(number).padStart(2, "0");
        const expected = all.filter((slot) => slot.code === code).map(({ code: _, ...slot }) => slot);
        expect(slotsOfCode(key, day, rules, code)).toEqual(expected);
      }
      expect(slotsOfCode(key, day, rules, "100")).toEqual([]);
      expect(slotsOfCode(key, day, rules, "constructor")).toEqual([]);
    }
  });

  it("[D1] what was asked before shows in no answer: other rules, another day, a key written over", () => {
    const overwritten = key.slice();
    const rules = { dailyDigits: 7, singleUseSlots: 28, allDaySlots: 4 };
    const day = localDay(20_781);
    const slot = { localDay: day, mode: "all-day", slot: 3 } as const;
    const code = dailyCode(key, slot, 7);
    const found = (changed: Partial<typeof rules>, on = day, digits = code) =>
      slotsOfCode(overwritten, on, { ...rules, ...changed }, digits);
    expect(found({})).toEqual([slot]);
    expect(found({ allDaySlots: 3 })).toEqual([]);
    expect(found({})).toEqual([slot]);
    expect(found({ singleUseSlots: 0 })).toEqual([slot]);
    expect(found({ dailyDigits: 6 })).toEqual([]);
    expect(found({ dailyDigits: 6 }, day, dailyCode(key, slot, 6))).toEqual([slot]);
    expect(found({}, localDay(day + 1))).toEqual([]);
    expect(found({})).toEqual([slot]);
    overwritten.fill(9);
    expect(found({})).toEqual([]);
    expect(found({}, day, dailyCode(overwritten, slot, 7))).toEqual([slot]);
    expect(slotsOfCode(key, day, rules, code)).toEqual([slot]);
  });

  it("[C4] the name of a used slot keeps its day, so that it can be forgotten in time", () => {
    const name = usedSlotName(3, { localDay: localDay(20_781), mode: "single-use", slot: 5 });
    expect(name).toBe("3/20781/1/5");
    expect(usedSlotDay(name)).toBe(20_781);
    const names = ["1/20780/1/0", "1/20781/1/0", "2/20782/1/3"];
    expect([...keptUsedSlots(names, localDay(20_781))]).toEqual(names.slice(1));
  });
});

/** HOTP as the RFC's text has it, by strings and BigInt. */
function slowCode(day: number, mode: number, slot: number, digits: number): string {
  const counter = (BigInt(day) << 32n) | (BigInt(mode) << 16n) | BigInt(slot);
  const mac = createHmac("sha256", key)
    .update(Buffer.from(counter.toString(16).padStart(16, "0"), "hex"))
    .digest("hex");
  const offset = Number.parseInt(mac.slice(-1), 16) * 2;
  const word = BigInt(`0x${mac.slice(offset, offset + 8)}`) & 0x7fffffffn;
  return (word % 10n ** BigInt(digits)).toString().padStart(digits, "0");
}

function pythonVectors(): (readonly [number, "single-use" | "all-day", number, number, string])[] {
  return [
    [20_781, "single-use", 0, 7, "4606039"],
    [20_781, "single-use", 1, 7, "6674854"],
    [20_781, "all-day", 0, 7, "1157375"],
    [20_782, "single-use", 0, 7, "0491317"],
    [20_781, "single-use", 0, 4, "6039"],
    [20_781, "single-use", 31, 6, "674600"],
    [0, "single-use", 0, 5, "84346"],
    [49_710, "all-day", 63, 7, "6977794"],
  ];
}
