import { describe, expect, it } from "vitest";
import type { Attempt } from "../../../protocol/access/attempt.ts";
import { decide } from "../../../protocol/access/decide.ts";
import { entryTag } from "../../../protocol/access/lookup.ts";
import { indexPolicy } from "../../../protocol/access/policy-index.ts";
import { localDay, type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import { dailyCode, usedSlotName } from "../../../protocol/doorcode/daily-code.ts";
import {
  after,
  day,
  doorKey,
  entryTagKey,
  hour,
  lockState,
  mapleCourt,
  policyOf,
  siteOf,
  start,
} from "../site/fixtures.ts";

const site = siteOf(mapleCourt);
const lobby = policyOf(site, "lobby-lock");
const home = policyOf(site, "home-lock");
const garage = policyOf(site, "garage-reader");

const code = (digits: string): Attempt => ({ kind: "code", digits });
const app = (credentialId: string, now = start): Attempt => ({
  kind: "app",
  credentialId,
  certificate: { issuedAt: unixSeconds(now - hour), notAfter: unixSeconds(now + hour) },
});
const card = (value: string, authentic = true): Attempt => ({ kind: "token", tokenKind: "keycard", value, authentic });
const rfCard = (value: string): Attempt => ({ kind: "token", tokenKind: "rf-card", value, authentic: true });
const today = localDay(20_781);
const daily = (slot = 0, mode: "single-use" | "all-day" = "single-use") =>
  dailyCode(doorKey, { localDay: today, mode, slot }, 7);
/** A civil time of New York in the winter. */
const newYork = (text: string): UnixSeconds => unixSeconds(Date.parse(`${text}-05:00`) / 1_000);

describe("a recognised credential", () => {
  it("[D1] opens by app, code and card, with no reason and no marks", () => {
    for (const attempt of [app("alice-app"), code("4815162"), card("04A1B2C3D4E5F6")]) {
      expect(decide(lobby, lockState(), attempt, start)).toMatchObject({
        granted: true,
        primaryReason: undefined,
        failedChecks: [],
        unevaluated: [],
        warnings: [],
        marks: [],
      });
    }
  });

  it("[D3] all failed checks are said, in the documented order, the first being the primary", () => {
    const roof = policyOf(site, "roof-reader");
    const decision = decide(roof, lockState({ battery: "empty" }), code("246810"), after(3 * hour));
    expect(decision.failedChecks).toEqual(["DOOR_LICENSE_EXPIRED", "CREDENTIAL_EXPIRED", "INSUFFICIENT_BATTERY"]);
    expect(decision.primaryReason).toBe("DOOR_LICENSE_EXPIRED");
  });

  it.each([
    ["disabled", "CREDENTIAL_DISABLED"],
    ["lost", "CREDENTIAL_LOST"],
    ["stolen", "CREDENTIAL_STOLEN"],
    ["revoked", "CREDENTIAL_REVOKED"],
  ] as const)("[D4] a %s credential is %s", (state, reason) => {
    const changed = {
      ...site,
      credentials: site.credentials.map((one) => (one.id === "alice-code" ? { ...one, state } : one)),
    };
    const decision = decide(policyOf(changed, "lobby-lock"), lockState(), code("4815162"), start);
    expect([decision.failedChecks, decision.credentialId]).toEqual([[reason], "alice-code"]);
  });

  it("[D4] a revocation that was known ahead comes in force at its time", () => {
    const people = site.people.map((one) => (one.id === "alice" ? { ...one, revokedAt: after(hour) } : one));
    const ahead = policyOf({ ...site, people }, "lobby-lock");
    const reasonsAt = (seconds: number) => decide(ahead, lockState(), code("4815162"), after(seconds)).failedChecks;
    expect([reasonsAt(hour - 1), reasonsAt(hour)]).toEqual([[], ["CREDENTIAL_REVOKED"]]);
  });

  it("[D4] a card that does not prove its key is not authentic", () => {
    expect(decide(lobby, lockState(), card("04a1b2c3d4e5f6", false), start).failedChecks).toEqual([
      "CREDENTIAL_NOT_AUTHENTIC",
    ]);
  });

  it("[D5] a card of nobody: unassigned, and nobody's groups to look at", () => {
    const decision = decide(garage, lockState(), rfCard("00000001"), start);
    expect(decision.failedChecks).toEqual(["CREDENTIAL_UNASSIGNED"]);
    expect(decision.unevaluated).toEqual(["access-group", "schedule", "holiday"]);
  });

  it("[D5] a person without a key to the door has no access rights", () => {
    expect(decide(garage, lockState(), code("777777"), start).failedChecks).toEqual(["NO_ACCESS_RIGHTS"]);
  });

  it("[D6] validity is half open at both ends", () => {
    const at = (seconds: number) => decide(garage, lockState(), code("246810"), after(seconds)).failedChecks;
    expect([-hour - 1, -hour, 2 * hour - 1, 2 * hour].map(at)).toEqual([
      ["CREDENTIAL_NOT_YET_ACTIVE"],
      [],
      [],
      ["CREDENTIAL_EXPIRED"],
    ]);
  });

  it("[D7] an app certificate ends, and never lives longer than 72 hours", () => {
    const with_ = (issuedAt: number, notAfter: number): Attempt => ({
      kind: "app",
      credentialId: "alice-app",
      certificate: { issuedAt: after(issuedAt), notAfter: after(notAfter) },
    });
    const reasons = (attempt: Attempt) => decide(lobby, lockState(), attempt, start).failedChecks;
    expect(reasons(with_(-hour, 1))).toEqual([]);
    expect(reasons(with_(-hour, 0))).toEqual(["APP_SESSION_EXPIRED"]);
    expect(reasons(with_(0, 72 * hour))).toEqual([]);
    expect(reasons(with_(0, 72 * hour + 1))).toEqual(["APP_SESSION_EXPIRED"]);
  });

  it("[D7] whoever was signed out everywhere needs a new certificate", () => {
    const people = site.people.map((one) => (one.id === "alice" ? { ...one, signedOutAt: start } : one));
    const reset = policyOf({ ...site, people }, "lobby-lock");
    const made = (seconds: number): Attempt => ({
      kind: "app",
      credentialId: "alice-app",
      certificate: { issuedAt: after(seconds), notAfter: after(hour) },
    });
    expect(decide(reset, lockState(), made(-1), after(60)).failedChecks).toEqual(["APP_SESSION_EXPIRED"]);
    expect(decide(reset, lockState(), made(0), after(60)).granted).toBe(true);
    expect(decide(reset, lockState(), code("4815162"), after(60)).granted).toBe(true);
  });

  it("[D12] uses are counted on the device and marked before the bolt moves", () => {
    const first = decide(garage, lockState(), code("246810"), start);
    expect(first.marks).toEqual([{ kind: "use-spent", credentialId: "visit", spent: 1 }]);
    const second = decide(garage, lockState({ usesSpent: new Map([["visit", 1]]) }), code("246810"), start);
    expect(second.marks).toEqual([{ kind: "use-spent", credentialId: "visit", spent: 2 }]);
    const third = decide(garage, lockState({ usesSpent: new Map([["visit", 2]]) }), code("246810"), start);
    expect([third.failedChecks, third.marks]).toEqual([["CREDENTIAL_USES_EXHAUSTED"], []]);
  });

  it("[D12] one temp key counts its uses whether typed or shown as QR", () => {
    const shown: Attempt = { kind: "token", tokenKind: "qr", value: "VISIT-246810", authentic: true };
    expect(decide(garage, lockState(), shown, start).marks).toEqual([
      { kind: "use-spent", credentialId: "visit", spent: 1 },
    ]);
  });
});

describe("schedules and holidays", () => {
  const reasonsAt = (text: string) => decide(lobby, lockState(), card("04a1b2c3d4e5f6"), newYork(text)).failedChecks;

  it("[D10] a weekly window is half open on the site's civil clock", () => {
    expect(reasonsAt("2026-11-24T07:59:59")).toEqual(["OUT_OF_SCHEDULE"]);
    expect(reasonsAt("2026-11-24T08:00:00")).toEqual([]);
    expect(reasonsAt("2026-11-24T17:29:59")).toEqual([]);
    expect(reasonsAt("2026-11-24T17:30:00")).toEqual(["OUT_OF_SCHEDULE"]);
    expect(reasonsAt("2026-11-28T12:00:00")).toEqual(["OUT_OF_SCHEDULE"]);
  });

  it("[D11] on a holiday its working hours take the schedule's place", () => {
    expect(reasonsAt("2026-11-26T09:59:59")).toEqual(["HOLIDAY_RESTRICTED"]);
    expect(reasonsAt("2026-11-26T10:00:00")).toEqual([]);
    expect(reasonsAt("2026-11-27T13:59:59")).toEqual([]);
    expect(reasonsAt("2026-11-27T14:00:00")).toEqual(["HOLIDAY_RESTRICTED"]);
    expect(reasonsAt("2026-11-27T20:00:00")).toEqual(["OUT_OF_SCHEDULE", "HOLIDAY_RESTRICTED"]);
    expect(reasonsAt("2026-11-28T00:00:00")).toEqual(["OUT_OF_SCHEDULE"]);
  });

  it("[D11] the holiday that stood in the way is named", () => {
    const decision = decide(lobby, lockState(), card("04a1b2c3d4e5f6"), newYork("2026-11-26T15:00:00"));
    expect(decision.holidayId).toBe("founders-day");
    expect(decide(lobby, lockState(), card("04a1b2c3d4e5f6"), start).holidayId).toBeUndefined();
  });

  it("[D11] a key without a schedule ignores holidays", () => {
    expect(decide(lobby, lockState(), code("4815162"), newYork("2026-11-26T03:00:00")).granted).toBe(true);
  });

  it("[D10] of several keys the nearest is reported", () => {
    const text = mapleCourt.replace(
      "schedules:\n",
      `  - { id: night, name: Night, doors: [lobby], members: [eve], schedule: nights, holidays: ignored }
schedules:
  - { id: nights, weekly: [{ days: [thu], from: "22:00", to: "06:00" }] }
`,
    );
    const both = policyOf(siteOf(text), "lobby-lock");
    const at = (time: string) => decide(both, lockState(), card("04a1b2c3d4e5f6"), newYork(time)).failedChecks;
    expect(at("2026-11-26T23:00:00")).toEqual([]);
    expect(at("2026-11-27T05:59:59")).toEqual([]);
    // The day key fails by schedule and holiday, the night key by schedule alone.
    expect(at("2026-11-26T20:00:00")).toEqual(["OUT_OF_SCHEDULE"]);
    // The day key fails by holiday alone, the night key by schedule alone: either would do.
    expect(at("2026-11-26T15:00:00")).toEqual(["OUT_OF_SCHEDULE", "HOLIDAY_RESTRICTED"]);
  });
});

describe("codes", () => {
  it("[D4] an unknown code is unknown, and only a keyed tag of it is told", () => {
    const decision = decide(lobby, lockState(), code("0000000"), start);
    expect(decision.failedChecks).toEqual(["CREDENTIAL_UNKNOWN"]);
    expect(decision.entryTag).toBe(entryTag(entryTagKey, "0000000"));
    expect(JSON.stringify(decision)).not.toContain("0000000");
    expect(decision.unevaluated).toEqual([
      "assignment",
      "access-group",
      "validity",
      "lease",
      "schedule",
      "holiday",
      "uses",
      "deadbolt",
    ]);
  });

  it("[C2] a daily code opens the lock that never heard of it, on its day alone", () => {
    const reasonsAt = (now: UnixSeconds) => decide(lobby, lockState(), code(daily()), now).failedChecks;
    expect(reasonsAt(start)).toEqual([]);
    expect(reasonsAt(newYork("2026-11-24T00:00:00"))).toEqual([]);
    expect(reasonsAt(newYork("2026-11-24T23:59:59"))).toEqual([]);
    expect(reasonsAt(newYork("2026-11-23T23:59:59"))).toEqual(["CREDENTIAL_UNKNOWN"]);
    expect(reasonsAt(newYork("2026-11-25T00:00:00"))).toEqual(["CREDENTIAL_UNKNOWN"]);
  });

  it("[C2] every slot of either mode is accepted, and none beyond", () => {
    for (let slot = 0; slot < 28; slot++) {
      expect(decide(lobby, lockState(), code(daily(slot)), start).daily).toMatchObject({ mode: "single-use", slot });
    }
    for (let slot = 0; slot < 4; slot++) {
      expect(decide(lobby, lockState(), code(daily(slot, "all-day")), start).daily).toMatchObject({
        mode: "all-day",
        slot,
      });
    }
    expect(decide(lobby, lockState(), code(daily(28)), start).primaryReason).toBe("CREDENTIAL_UNKNOWN");
    expect(decide(lobby, lockState(), code(daily(4, "all-day")), start).primaryReason).toBe("CREDENTIAL_UNKNOWN");
  });

  it("[C4] a single-use code is marked and then unknown; an all-day code stays", () => {
    const first = decide(lobby, lockState(), code(daily()), start);
    const name = usedSlotName(1, { localDay: today, mode: "single-use", slot: 0 });
    expect(first.marks).toEqual([{ kind: "daily-code-used", name }]);
    const again = decide(lobby, lockState({ usedSlots: new Set([name]) }), code(daily()), start);
    expect(again.failedChecks).toEqual(["CREDENTIAL_UNKNOWN"]);
    expect(decide(lobby, lockState(), code(daily(0, "all-day")), start)).toMatchObject({ granted: true, marks: [] });
  });

  it("[C4] another lock with another daily key does not know the code", () => {
    const other = lockState({ dailyKeys: [{ keyId: 1, key: doorKey.map((byte) => byte ^ 1) }] });
    expect(decide(lobby, other, code(daily()), start).failedChecks).toEqual(["CREDENTIAL_UNKNOWN"]);
  });

  it("[C2] while a daily key is renewed, codes of both keys open", () => {
    const newKey = doorKey.map((byte) => byte ^ 1);
    const both = lockState({
      dailyKeys: [
        { keyId: 2, key: newKey },
        { keyId: 1, key: doorKey },
      ],
    });
    expect(decide(lobby, both, code(daily()), start).daily?.keyId).toBe(1);
    const fresh = dailyCode(newKey, { localDay: today, mode: "single-use", slot: 0 }, 7);
    expect(decide(lobby, both, code(fresh), start).daily?.keyId).toBe(2);
  });

  it("[C7] an extended deadbolt on an M refuses daily codes and nothing else", () => {
    const extended = lockState({ deadboltExtended: true });
    expect(decide(home, extended, code(daily()), start).failedChecks).toEqual(["DEADBOLT_EXTENDED"]);
    expect(decide(home, extended, code("4815162"), start).granted).toBe(true);
    expect(decide(lobby, extended, code(daily()), start).granted).toBe(true);
  });

  it("[C9] a digit more than five seconds after the one before discards the entry uncompared", () => {
    const typed = (gap: number): Attempt => ({
      kind: "code",
      digits: "4815162",
      digitTimesMs: [0, 100, 200, 300, 300 + gap, 400 + gap, 500 + gap],
    });
    expect(decide(lobby, lockState(), typed(5_000), start).granted).toBe(true);
    const late = decide(lobby, lockState(), typed(5_001), start);
    expect([late.failedChecks, late.credentialId, late.entryTag]).toEqual([["ENTRY_TIMEOUT"], undefined, undefined]);
    expect(late.unevaluated[0]).toBe("credential");
  });

  it("[C8] an exhausted keypad compares nothing and concerns nothing but the keypad", () => {
    const locked = lockState({ keypadLockedOut: true });
    const right = decide(lobby, locked, code("4815162"), start);
    const wrong = decide(lobby, locked, code("0000000"), start);
    expect(right).toEqual(wrong);
    expect(right.failedChecks).toEqual(["LOCKED_OUT"]);
    expect(decide(lobby, locked, app("alice-app"), start).granted).toBe(true);
    expect(decide(lobby, locked, card("04a1b2c3d4e5f6"), start).granted).toBe(true);
  });

  it("[D4] what the device cannot read is not supported", () => {
    const shed = policyOf(site, "shed-lock");
    expect(decide(shed, lockState(), card("04a1b2c3d4e5f6"), start).failedChecks).toEqual(["CREDENTIAL_NOT_SUPPORTED"]);
  });

  it("[D4] the id of another kind of credential is no app key", () => {
    expect(decide(lobby, lockState(), app("alice-code"), start).failedChecks).toEqual(["CREDENTIAL_UNKNOWN"]);
  });
});

describe("a clock that is not set", () => {
  const unset = (differing = {}) =>
    lockState({ clock: { quality: "unset", highWater: start, poweredSecondsUnset: 0, ...differing } });
  const at1970 = unixSeconds(300);

  it("[D8] daily codes are denied with DEVICE_CLOCK_WRONG, and whether the code was right is not known", () => {
    const decision = decide(lobby, unset(), code(daily()), at1970);
    expect(decision.failedChecks).toEqual(["DEVICE_CLOCK_WRONG"]);
    expect(decision.unevaluated[0]).toBe("credential");
    expect(decision.entryTag).toBe(entryTag(entryTagKey, daily()));
  });

  it("[D8] an entry that is too long or too short for a daily code is unknown, whatever the clock", () => {
    for (const digits of ["123456", "12345678"]) {
      expect(decide(lobby, unset(), code(digits), at1970).failedChecks).toEqual(["CREDENTIAL_UNKNOWN"]);
    }
  });

  it("[D8] schedules are denied with DEVICE_CLOCK_WRONG", () => {
    const decision = decide(lobby, unset(), card("04a1b2c3d4e5f6"), at1970);
    expect(decision.failedChecks).toEqual(["DEVICE_CLOCK_WRONG"]);
    expect(decision.unevaluated).toEqual(["schedule", "holiday"]);
  });

  it("[D8] permanent codes and apps without a schedule go on, with a warning", () => {
    for (const attempt of [code("4815162"), app("alice-app")]) {
      const decision = decide(lobby, unset(), attempt, at1970);
      expect([decision.granted, decision.warnings]).toEqual([true, ["DEVICE_CLOCK_DOUBTFUL"]]);
    }
  });

  it("[D8] an end is judged by the high-water mark", () => {
    const attempt = app("alice-app");
    expect(decide(lobby, unset({ highWater: after(hour - 1) }), attempt, at1970).granted).toBe(true);
    expect(decide(lobby, unset({ highWater: after(hour) }), attempt, at1970).failedChecks).toEqual([
      "APP_SESSION_EXPIRED",
    ]);
  });

  it("[D8] a lower bound counts where it is later than the high-water mark", () => {
    const lower = lockState({ clock: { quality: "lower-bound", highWater: start, poweredSecondsUnset: 0 } });
    expect(decide(lobby, lower, app("alice-app"), after(hour)).failedChecks).toEqual(["APP_SESSION_EXPIRED"]);
    expect(decide(lobby, lower, code(daily()), start).failedChecks).toEqual(["DEVICE_CLOCK_WRONG"]);
  });

  it("[D8] a beginning that the high-water mark has not reached cannot be judged", () => {
    const before = unset({ highWater: after(-2 * hour) });
    expect(decide(garage, before, code("246810"), at1970).failedChecks).toEqual(["DEVICE_CLOCK_WRONG"]);
  });

  it("[D8] a set clock outside the zone table has no civil time either", () => {
    const decision = decide(lobby, lockState(), card("04a1b2c3d4e5f6"), after(9 * 366 * day));
    expect(decision.failedChecks).toEqual(["DEVICE_CLOCK_WRONG"]);
    expect(decision.warnings).toEqual(["DEVICE_CLOCK_DOUBTFUL"]);
  });
});

describe("leases, licences, warnings", () => {
  const leased = indexPolicy({ ...lobby.policy, leaseEnd: { app: after(3 * day), code: after(day) } });

  it("[D9] a class stops at its lease's end, the others go on", () => {
    const reasons = (attempt: Attempt, seconds: number) =>
      decide(leased, lockState(), attempt, after(seconds)).failedChecks;
    expect(reasons(code("4815162"), day - 1)).toEqual([]);
    expect(reasons(code("4815162"), day)).toEqual(["LEASE_ENDED"]);
    expect(reasons(app("alice-app", after(day)), day)).toEqual([]);
    expect(reasons(card("04a1b2c3d4e5f6"), day)).toEqual([]);
  });

  it("[D9] while the clock is not set a lease runs on powered time, 72 hours at most", () => {
    const powered = (poweredSecondsUnset: number) =>
      lockState({ clock: { quality: "unset", highWater: start, poweredSecondsUnset } });
    expect(decide(leased, powered(72 * hour), code("4815162"), start).granted).toBe(true);
    expect(decide(leased, powered(72 * hour + 1), code("4815162"), start).failedChecks).toEqual(["LEASE_ENDED"]);
    expect(decide(lobby, powered(72 * hour + 1), code("4815162"), start).granted).toBe(true);
  });

  it("[D13] expired, never activated and not assigned are told apart", () => {
    const reasons = (device: string, change = site) =>
      decide(policyOf(change, device), lockState(), code("90210"), start).failedChecks;
    expect(reasons("roof-reader")).toEqual(["DOOR_LICENSE_EXPIRED"]);
    expect(reasons("gym-reader")).toEqual(["DOOR_NOT_ACTIVATED", "DOOR_NOT_ASSIGNED"]);
    expect(reasons("garage-reader")).toEqual([]);
  });

  it("[D14] warnings never change a decision", () => {
    const newer = { epoch: 1, version: 2, revokedIds: new Set(["alice-code"]) };
    const warned = decide(lobby, lockState({ newer, battery: "low" }), code("4815162"), start);
    expect([warned.granted, warned.warnings]).toEqual([true, ["REVOKED_NOT_SYNCED", "POLICY_STALE", "BATTERY_LOW"]]);
    expect(decide(lobby, lockState({ newer: { ...newer, version: 1 } }), code("4815162"), start).warnings).toEqual([]);
    expect(decide(leased, lockState(), code("4815162"), start).warnings).toEqual(["LEASE_NEAR_END"]);
    expect(decide(garage, lockState(), code("90210"), after(50 * day)).warnings).toEqual(["LICENSE_NEAR_END"]);
  });

  it("[D14] an unknown battery is not judged, an empty one denies", () => {
    expect(decide(lobby, lockState({ battery: "unknown" }), code("4815162"), start)).toMatchObject({
      granted: true,
      unevaluated: ["battery"],
    });
    expect(decide(lobby, lockState({ battery: "empty" }), code("4815162"), start).failedChecks).toEqual([
      "INSUFFICIENT_BATTERY",
    ]);
  });
});
