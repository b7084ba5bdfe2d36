/**
 * Every combination of small facts about an attempt, against a reference that says in plain words what the seeds say. The
 * reference knows no policy, no bits, no calendar: it is told that an instant lies outside the schedule; `decide` has to find out.
 */
import { describe, expect, it } from "vitest";
import type { Attempt, LockState } from "../../../protocol/access/attempt.ts";
import type { CredentialState } from "../../../protocol/access/credential-kind.ts";
import { decide } from "../../../protocol/access/decide.ts";
import { presentationLookup } from "../../../protocol/access/lookup.ts";
import type { DoorLicence, Grant, LockPolicy, PolicyHoliday } from "../../../protocol/access/policy.ts";
import { indexPolicy } from "../../../protocol/access/policy-index.ts";
import { localDay, parseDeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { dailyCode, usedSlotName } from "../../../protocol/doorcode/daily-code.ts";
import { codeKey, doorKey, lockState } from "../site/fixtures.ts";

/** Monday 2026-11-23, 12:00 UTC, at a site that keeps UTC. */
const now = unixSeconds(Date.UTC(2026, 10, 23, 12) / 1_000);
const today = localDay(20_780);
const past = unixSeconds(now - 100);
const future = unixSeconds(now + 100);

const hows = ["code", "app", "token"] as const;
const knowns = ["unknown", "active", "disabled", "lost", "stolen", "revoked"] as const;
const validities = ["none", "not yet", "within", "over"] as const;
const grantLists = [[], ["always"], ["in"], ["out"], ["over"], ["in", "out"], ["out", "over"]] as const;
const holidays = ["none", "closed", "within hours", "outside hours"] as const;
const licences = ["no profile", "never activated", "not yet", "active", "expired", "active, no company"] as const;
const clocks = ["set", "lower-bound", "unset"] as const;
const presentations = {
  code: ["fine", "locked out", "too slow"],
  app: ["fine", "certificate over"],
  token: ["fine", "not authentic"],
} as const;

interface Facts {
  readonly how: (typeof hows)[number];
  readonly presentation: (typeof presentations)[keyof typeof presentations][number];
  readonly known: (typeof knowns)[number];
  readonly assigned: boolean;
  readonly validity: (typeof validities)[number];
  readonly grants: (typeof grantLists)[number];
  readonly holiday: (typeof holidays)[number];
  readonly licence: (typeof licences)[number];
  readonly usedUp: boolean;
  readonly batteryEmpty: boolean;
  readonly clock: (typeof clocks)[number];
}

describe("decide, exhaustively", () => {
  for (const how of hows) {
    it(`[D1] [D3] every combination for a presented ${how}`, { timeout: 60_000 }, () => {
      let count = 0;
      let granted = 0;
      for (const rules of everyRules()) {
        const policy = indexPolicy(policyFor(rules));
        for (const moment of everyMoment(how)) {
          const facts: Facts = { ...rules, ...moment, how };
          const decision = decide(policy, stateFor(facts), attemptFor(facts), now);
          const expected = reference(facts);
          if (decision.failedChecks.join() !== expected.join())
            expect([facts, decision.failedChecks]).toEqual([facts, expected]);
          if (decision.granted !== (expected.length === 0)) expect(facts).toBe("decided otherwise");
          if (decision.primaryReason !== expected[0]) expect(facts).toBe("another primary reason");
          count++;
          if (decision.granted) granted++;
        }
      }
      expect(count).toBe(6 * 2 * 4 * 7 * 4 * 6 * 2 * 2 * 3 * presentations[how].length);
      // An active, assigned credential, freshly used and powered: 2 validities x 2 licences x 18 of grants, holidays and clocks.
      expect(granted).toBe(72);
    });
  }

  it("[C2] [C4] [C7] [D8] every combination for a daily code", () => {
    let count = 0;
    for (const slot of ["single", "single used", "all-day", "yesterday", "no slot", "another door"] as const) {
      for (const clock of clocks) {
        for (const deadbolt of ["refuses", "does not care"] as const) {
          for (const extended of [true, false]) {
            for (const presentation of presentations.code) {
              for (const batteryEmpty of [true, false]) {
                const facts = { slot, clock, deadbolt, extended, presentation, batteryEmpty };
                expect([facts, dailyDecision(facts)]).toEqual([facts, dailyReference(facts)]);
                count++;
              }
            }
          }
        }
      }
    }
    expect(count).toBe(6 * 3 * 2 * 2 * 3 * 2);
  });
});

/** The seeds' text as a list of questions, each answered apart, in the order in which reasons are documented. */
function reference(facts: Facts): readonly string[] {
  const { how, presentation, known, clock } = facts;
  const said: string[] = [];
  const clockIsSet = clock === "set";
  const isLookedAt = presentation !== "locked out" && presentation !== "too slow";
  const isKnown = isLookedAt && known !== "unknown";
  if (presentation === "locked out") said.push("LOCKED_OUT");
  if (presentation === "too slow") said.push("ENTRY_TIMEOUT");
  // S2: a credential that nobody knows. A code typed while the clock is not set may be a daily code, so it is the clock's fault.
  if (isLookedAt && known === "unknown" && (how !== "code" || clockIsSet)) said.push("CREDENTIAL_UNKNOWN");
  if (isLookedAt && known === "unknown" && how === "code" && !clockIsSet) said.push("DEVICE_CLOCK_WRONG");
  if (isKnown && presentation === "not authentic") said.push("CREDENTIAL_NOT_AUTHENTIC");
  for (const state of ["stolen", "lost", "revoked", "disabled"]) {
    if (isKnown && known === state) said.push(`CREDENTIAL_${state.toUpperCase()}`);
  }
  // S2: "When the credential is not assigned to the user".
  if (isKnown && !facts.assigned) said.push("CREDENTIAL_UNASSIGNED");
  // S2: "when the door subscription has expired or the door is not activated"; it is so for whoever stands there.
  if (facts.licence === "never activated" || facts.licence === "not yet") said.push("DOOR_NOT_ACTIVATED");
  if (facts.licence === "expired") said.push("DOOR_LICENSE_EXPIRED");
  if (facts.licence === "active, no company") said.push("DOOR_NOT_ASSIGNED");
  if (isKnown && facts.assigned && facts.grants.length === 0) said.push("NO_ACCESS_RIGHTS");
  // S2: "will display when the visitor's temp key expires".
  if (isKnown && facts.validity === "not yet")
    said.push(clockIsSet ? "CREDENTIAL_NOT_YET_ACTIVE" : "DEVICE_CLOCK_WRONG");
  if (isKnown && facts.validity === "over") said.push("CREDENTIAL_EXPIRED");
  if (isKnown && presentation === "certificate over") said.push("APP_SESSION_EXPIRED");
  if (isKnown && facts.assigned) said.push(...grantsReference(facts));
  if (isKnown && facts.usedUp) said.push("CREDENTIAL_USES_EXHAUSTED");
  if (facts.batteryEmpty) said.push("INSUFFICIENT_BATTERY");
  return documentedOrder.filter((reason) => said.includes(reason));
}

/** One way in is enough; otherwise what the nearest ways lack. */
function grantsReference({ grants, holiday, clock }: Facts): readonly string[] {
  const lacks = grants.map((grant): readonly string[] => {
    if (grant === "always") return [];
    if (grant === "over") return ["OUT_OF_SCHEDULE"];
    if (clock !== "set") return ["DEVICE_CLOCK_WRONG"];
    // S2: "Enable Working Hours and set the time when the authorized users can enter".
    if (holiday === "within hours") return [];
    const isOut = grant === "out" ? ["OUT_OF_SCHEDULE"] : [];
    // S2: "when access is denied during a holiday period".
    return holiday === "none" ? isOut : [...isOut, "HOLIDAY_RESTRICTED"];
  });
  const fewest = Math.min(...lacks.map(({ length }) => length));
  return lacks.filter(({ length }) => length === fewest).flat();
}

/** As SPEC D2 lists them; written out again, so that the order in the code is checked. */
const documentedOrder = [
  "LOCKED_OUT",
  "ENTRY_TIMEOUT",
  "CREDENTIAL_NOT_SUPPORTED",
  "CREDENTIAL_UNKNOWN",
  "CREDENTIAL_NOT_AUTHENTIC",
  "CREDENTIAL_STOLEN",
  "CREDENTIAL_LOST",
  "CREDENTIAL_REVOKED",
  "CREDENTIAL_DISABLED",
  "CREDENTIAL_UNASSIGNED",
  "DOOR_NOT_ACTIVATED",
  "DOOR_LICENSE_EXPIRED",
  "DOOR_NOT_ASSIGNED",
  "NO_ACCESS_RIGHTS",
  "CREDENTIAL_NOT_YET_ACTIVE",
  "CREDENTIAL_EXPIRED",
  "APP_SESSION_EXPIRED",
  "LEASE_ENDED",
  "DEVICE_CLOCK_WRONG",
  "OUT_OF_SCHEDULE",
  "HOLIDAY_RESTRICTED",
  "CREDENTIAL_USES_EXHAUSTED",
  "DEADBOLT_EXTENDED",
  "INSUFFICIENT_BATTERY",
];

type Rules = Pick<Facts, "known" | "assigned" | "validity" | "grants" | "holiday" | "licence">;

function* everyRules(): Generator<Rules> {
  for (const known of knowns) {
    for (const assigned of [true, false]) {
      for (const validity of validities) {
        for (const grants of grantLists) {
          for (const holiday of holidays) {
            for (const licence of licences) yield { known, assigned, validity, grants, holiday, licence };
          }
        }
      }
    }
  }
}

function* everyMoment(how: Facts["how"]): Generator<Pick<Facts, "presentation" | "usedUp" | "batteryEmpty" | "clock">> {
  for (const presentation of presentations[how]) {
    for (const usedUp of [true, false]) {
      for (const batteryEmpty of [true, false]) {
        for (const clock of clocks) yield { presentation, usedUp, batteryEmpty, clock };
      }
    }
  }
}

const digits = "1234567";
const cardNumber = "04a1b2c3";
const keypadLookup = presentationLookup(codeKey, "keypad", digits);
const tokenLookup = presentationLookup(codeKey, "keycard", cardNumber);
const noon = 12 * 60;

const grantByName: Readonly<Record<string, Grant>> = {
  always: { observesHolidays: false },
  in: { observesHolidays: true, schedule: 0 },
  out: { observesHolidays: true, schedule: 1 },
  over: { observesHolidays: false, until: past },
};
const licenceByName: Readonly<Record<string, DoorLicence>> = {
  "never activated": { kind: "never-activated" },
  "not yet": { kind: "dated", from: future, until: unixSeconds(future + 1) },
  active: { kind: "dated", from: past, until: future },
  "active, no company": { kind: "dated", from: past, until: future },
  expired: { kind: "dated", from: unixSeconds(past - 1), until: past },
};
const hoursByHoliday: Readonly<Record<string, PolicyHoliday["workingHours"]>> = {
  closed: [],
  "within hours": [[noon, noon + 1]],
  "outside hours": [[noon + 1, noon + 2]],
};

const blankPolicy: LockPolicy = {
  siteId: "s",
  deviceId: parseDeviceId("lock") ?? failTest(),
  doorId: "d",
  epoch: 1,
  version: 1,
  issuedAt: past,
  model: "any",
  takes: ["app-key", "permanent-doorcode", "daily-doorcode", "keycard"],
  keypad: {
    dailyDigits: 7,
    singleUseSlots: 3,
    allDaySlots: 1,
    digitTimeoutMs: 5_000,
    deadboltRefusesDaily: false,
    triesAtOnce: 10,
    refillSeconds: 4_320,
  },
  doorAssigned: true,
  leaseEnd: {},
  zone: { from: unixSeconds(0), until: unixSeconds(now * 2), initialOffsetSeconds: 0, transitions: [] },
  schedules: [
    { id: "in", weekly: [[noon, noon + 1]], dated: [] },
    { id: "out", weekly: [[noon + 1, noon + 2]], dated: [[future, unixSeconds(future + 1)]] },
  ],
  holidays: [],
  rights: [[]],
  credentials: [],
};

function policyFor({ known, assigned, validity, grants, holiday, licence }: Rules): LockPolicy {
  const hours = hoursByHoliday[holiday];
  const doorLicence = licenceByName[licence];
  const credential = (id: string, kind: "app-key" | "permanent-doorcode" | "keycard", lookups: object) => ({
    id,
    kind,
    // Without a state the credential is not held at all; see below.
    state: known as CredentialState,
    assigned,
    rights: 0,
    ...lookups,
    ...(validity === "not yet" ? { validFrom: future } : {}),
    ...(validity === "within" ? { validFrom: past, validUntil: future } : {}),
    ...(validity === "over" ? { validUntil: past } : {}),
    usesAllowed: 1,
  });
  return {
    ...blankPolicy,
    ...(doorLicence === undefined ? {} : { licence: doorLicence }),
    doorAssigned: licence !== "active, no company",
    holidays: hours === undefined ? [] : [{ id: "h", fromDay: today, toDay: today, workingHours: hours }],
    rights: [grants.map((name) => grantByName[name] ?? failTest())],
    credentials:
      known === "unknown"
        ? []
        : [
            credential("app", "app-key", {}),
            credential("card", "keycard", { tokenLookup }),
            credential("code", "permanent-doorcode", { keypadLookup }),
          ],
  };
}

function stateFor({ how, presentation, usedUp, batteryEmpty, clock }: Facts): LockState {
  return lockState({
    clock: { quality: clock, highWater: now, poweredSecondsUnset: 0 },
    keypadLockedOut: presentation === "locked out",
    battery: batteryEmpty ? "empty" : "ok",
    usesSpent: new Map(usedUp ? [[how === "token" ? "card" : how, 1]] : []),
  });
}

function attemptFor({ how, presentation }: Facts): Attempt {
  if (how === "app") {
    const notAfter = presentation === "certificate over" ? past : future;
    return { kind: "app", credentialId: "app", certificate: { issuedAt: unixSeconds(past - 1), notAfter } };
  }
  if (how === "token") {
    return { kind: "token", tokenKind: "keycard", value: cardNumber, authentic: presentation !== "not authentic" };
  }
  return typed(digits, presentation === "too slow");
}

function typed(text: string, tooSlow: boolean): Attempt {
  const digitTimesMs = [...text].map((_, index) => index * (tooSlow && index === 6 ? 2_000 : 500));
  return { kind: "code", digits: text, digitTimesMs };
}

interface DailyFacts {
  readonly slot: "single" | "single used" | "all-day" | "yesterday" | "no slot" | "another door";
  readonly clock: (typeof clocks)[number];
  readonly deadbolt: "refuses" | "does not care";
  readonly extended: boolean;
  readonly presentation: (typeof presentations.code)[number];
  readonly batteryEmpty: boolean;
}

function dailyReference({
  slot,
  clock,
  deadbolt,
  extended,
  presentation,
  batteryEmpty,
}: DailyFacts): readonly string[] {
  const battery = batteryEmpty ? ["INSUFFICIENT_BATTERY"] : [];
  if (presentation === "locked out") return ["LOCKED_OUT", ...battery];
  if (presentation === "too slow") return ["ENTRY_TIMEOUT", ...battery];
  if (clock !== "set") return ["DEVICE_CLOCK_WRONG", ...battery];
  // S0: valid only for the day, at the right lock, and a single use once.
  if (slot !== "single" && slot !== "all-day") return ["CREDENTIAL_UNKNOWN", ...battery];
  return [...(deadbolt === "refuses" && extended ? ["DEADBOLT_EXTENDED"] : []), ...battery];
}

function dailyDecision(facts: DailyFacts): readonly string[] {
  const { slot, clock, deadbolt, extended, presentation, batteryEmpty } = facts;
  const mode = slot === "all-day" ? "all-day" : "single-use";
  const day = slot === "yesterday" ? localDay(today - 1) : today;
  const key = slot === "another door" ? doorKey.map((byte) => byte ^ 1) : doorKey;
  const wanted = { localDay: day, mode, slot: slot === "no slot" ? 3 : 0 } as const;
  const state = lockState({
    clock: { quality: clock, highWater: now, poweredSecondsUnset: 0 },
    deadboltExtended: extended,
    keypadLockedOut: presentation === "locked out",
    battery: batteryEmpty ? "empty" : "ok",
    usedSlots: new Set(slot === "single used" ? [usedSlotName(1, wanted)] : []),
  });
  const keypad = { ...blankPolicy.keypad, deadboltRefusesDaily: deadbolt === "refuses" };
  const policy = indexPolicy({ ...blankPolicy, keypad });
  return decide(policy, state, typed(dailyCode(key, wanted, 7), presentation === "too slow"), now).failedChecks;
}

function failTest(): never {
  throw new Error("the test names what it knows");
}
