import { describe, expect, it } from "vitest";
import { localDay } from "../../../protocol/base/units.ts";
import { type AllotDay, type Allotment, type AllotRequest, allotDailyCode } from "../../../protocol/doorcode/allot.ts";
import { dailyCode, dailyCodes } from "../../../protocol/doorcode/daily-code.ts";

const doorKey = new Uint8Array(32).fill(7);
const today = localDay(20_781);
const rules = { dailyDigits: 7, singleUseSlots: 28, allDaySlots: 4 };

const dayWith = (differing: Partial<AllotDay> = {}): AllotDay => ({
  doorKey,
  rules,
  activeDevices: 1,
  today,
  taken: [],
  permanentCodes: new Set(),
  ...differing,
});
const ask = (differing: Partial<AllotRequest> = {}): AllotRequest => ({
  issuer: { personId: "alice", role: "RESIDENT", hasKey: true },
  localDay: today,
  mode: "single-use",
  ...differing,
});
const faultOf = (request: AllotRequest, day: AllotDay) => {
  const allotted = allotDailyCode(request, day);
  return allotted.ok ? undefined : allotted.fault;
};

describe("allotment", () => {
  it("[C3] gives the first free slot and its code", () => {
    const slot = { localDay: today, mode: "single-use", slot: 1 } as const;
    expect(allotDailyCode(ask(), dayWith({ taken: [{ mode: "single-use", slot: 0 }] }))).toEqual({
      ok: true,
      value: { ...slot, code: dailyCode(doorKey, slot, 7) },
    });
  });

  it("[C3] slots of the two modes are counted apart", () => {
    const taken = [{ mode: "single-use", slot: 0 }] as const;
    const allotted = allotDailyCode(ask({ mode: "all-day" }), dayWith({ taken }));
    expect(allotted.ok && [allotted.value.mode, allotted.value.slot]).toEqual(["all-day", 0]);
  });

  it("[C3] every ask gets another code until the slots are used up", () => {
    const taken: { mode: "single-use"; slot: number }[] = [];
    const codes = new Set<string>();
    for (let index = 0; index < 28; index++) {
      const allotted = allotDailyCode(ask(), dayWith({ taken }));
      if (!allotted.ok) throw new Error(`slot ${index} is free`);
      codes.add(allotted.value.code);
      taken.push({ mode: "single-use", slot: allotted.value.slot });
    }
    expect(codes.size).toBe(28);
    expect(faultOf(ask(), dayWith({ taken }))).toEqual({
      code: "SLOTS_EXHAUSTED",
      mode: "single-use",
      taken: 28,
      skipped: 0,
    });
  });

  it.each([
    ["NO_ACTIVE_DEVICE", ask(), { activeDevices: 0 }],
    ["NO_DAILY_CODES", ask(), { rules: { dailyDigits: 7, singleUseSlots: 0, allDaySlots: 0 } }],
    ["ROLE_MAY_NOT_ISSUE", ask({ issuer: { personId: "eve", role: "NON_RESIDENT", hasKey: true } }), {}],
    ["ROLE_MAY_NOT_ISSUE", ask({ issuer: { personId: "gus", role: "GUEST", hasKey: true } }), {}],
    ["NO_ACCESS", ask({ issuer: { personId: "alice", role: "RESIDENT", hasKey: false } }), {}],
    ["DAY_PAST", ask({ localDay: localDay(20_780) }), {}],
    ["TOO_FAR_AHEAD", ask({ localDay: localDay(20_789) }), {}],
  ] as const)("[C3] %s", (code, request, day) => {
    expect(faultOf(request, dayWith(day))?.code).toBe(code);
  });

  it("[C3] a manager with a key issues codes too, today and up to seven days ahead", () => {
    const issuer = { personId: "max", role: "MANAGER", hasKey: true };
    for (const ahead of [0, 1, 7]) {
      expect(faultOf(ask({ issuer, localDay: localDay(today + ahead) }), dayWith())).toBeUndefined();
    }
  });

  it("[C5] a slot whose code is somebody's permanent code is passed over", () => {
    const first = dailyCode(doorKey, { localDay: today, mode: "single-use", slot: 0 }, 7);
    const allotted = allotDailyCode(ask(), dayWith({ permanentCodes: new Set([first]) }));
    expect(allotted.ok && allotted.value.slot).toBe(1);
  });

  it("[C5] two slots of a day that share a code are both passed over, in either mode", () => {
    // With four digits and 60 slots, every sixth day has such a pair or so; three of those days are enough.
    const crowded = { dailyDigits: 4, singleUseSlots: 56, allDaySlots: 4 };
    const days = Array.from({ length: 60 }, (_, index) => localDay(20_781 + index));
    const twiceOn = (number: typeof today) => {
      const codes = dailyCodes(doorKey, number, crowded).map(({ code }) => code);
      return new Set(codes.filter((code, at) => codes.indexOf(code) !== at));
    };
    const crowdedDays = days.filter((number) => twiceOn(number).size > 0).slice(0, 3);
    expect(crowdedDays).toHaveLength(3);
    for (const number of crowdedDays) {
      const given = allotAll(crowded, number);
      const twice = twiceOn(number);
      expect(given.filter(({ code }) => twice.has(code))).toEqual([]);
      expect(given).toHaveLength(60 - 2 * twice.size);
    }
  });
});

/** Asks for codes of both modes until there are no more. */
function allotAll(crowded: AllotDay["rules"], number: typeof today): readonly Allotment[] {
  const given: Allotment[] = [];
  for (const mode of ["single-use", "all-day"] as const) {
    for (;;) {
      const day = dayWith({ rules: crowded, today: number, taken: given });
      const allotted = allotDailyCode(ask({ localDay: number, mode }), day);
      if (!allotted.ok) break;
      given.push(allotted.value);
    }
  }
  return given;
}
