/** Rows of the checklist about credentials, doorcodes and reasons, as far as rules alone can prove them (issue 3). */
import { describe, expect, it } from "vitest";
import type { Attempt } from "../../protocol/access/attempt.ts";
import { credentialKinds } from "../../protocol/access/credential-kind.ts";
import { decide } from "../../protocol/access/decide.ts";
import { entryTag } from "../../protocol/access/lookup.ts";
import { encodePolicy } from "../../protocol/access/policy.ts";
import { detailToReasons, reasonToDetail } from "../../protocol/access/reasons.ts";
import { refineUnknown } from "../../protocol/access/refine.ts";
import { remedyOf } from "../../protocol/access/remedies.ts";
import { localDay, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { type AllotDay, allotDailyCode } from "../../protocol/doorcode/allot.ts";
import { dailyCode, dailyCodes } from "../../protocol/doorcode/daily-code.ts";
import { openDelivery } from "../../protocol/doorcode/delivery.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { alternativesAt, groupsThatWouldLetIn } from "../../protocol/site/alternatives.ts";
import { decideAtDesk } from "../../protocol/site/desk-decision.ts";
import { doorcodeIssuer, keysOf } from "../../protocol/site/rights.ts";
import type { Site } from "../../protocol/site/site.ts";
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
} from "../protocol/site/fixtures.ts";

const site = siteOf(mapleCourt.concat("  - { id: alice-key, kind: mechanical-key, person: alice }\n"));
const today = localDay(20_781);
const rules = { dailyDigits: 7, singleUseSlots: 28, allDaySlots: 4 };
const code = (digits: string): Attempt => ({ kind: "code", digits });
const card = (value: string): Attempt => ({ kind: "token", tokenKind: "keycard", value, authentic: true });
const app = (credentialId: string, issuedAt = start): Attempt => ({
  kind: "app",
  credentialId,
  certificate: { issuedAt, notAfter: unixSeconds(issuedAt + hour) },
});
const newYork = (text: string): UnixSeconds => unixSeconds(Date.parse(`${text}-05:00`) / 1_000);

/** What the desk says about a credential at a door of one device. */
function deskAt(door: string, credential: string, at = start, changed: Site = site) {
  const decided = decideAtDesk(changed, door, credential, at);
  const first = decided.ok ? decided.value[0] : undefined;
  if (first === undefined) throw new Error("the door has a device");
  return {
    reasons: first.decision.failedChecks,
    detail: first.detail,
    remedy: first.remedy,
    checks: first.checks,
    holiday: first.decision.holidayId,
  };
}

function allot(personId: string, differing: Partial<AllotDay> = {}) {
  const issuer = doorcodeIssuer(site, personId, "lobby", start);
  const known = { doorKey, rules, activeDevices: 1, today, taken: [], permanentCodes: new Set<string>(), ...differing };
  return allotDailyCode({ issuer, localDay: today, mode: "single-use" }, known);
}

describe("S0: a doorcode that did not open", () => {
  const yesterday = dailyCode(doorKey, { localDay: localDay(today - 1), mode: "single-use", slot: 0 }, 7);
  const issuedYesterday = {
    doorId: "lobby",
    code: yesterday,
    localDay: localDay(today - 1),
    mode: "single-use",
    slot: 0,
    used: false,
  } as const;

  it("row 34: the lock's log and the record of codes together name the cause", () => {
    const denied = decide(policyOf(site, "lobby-lock"), lockState(), code(yesterday), start);
    expect(denied.primaryReason).toBe("CREDENTIAL_UNKNOWN");
    const entry = { entryTag: denied.entryTag ?? 0, doorId: "lobby", localDay: today };
    expect(refineUnknown(entry, entryTagKey, [issuedYesterday], []).reason).toBe("DOORCODE_EXPIRED");
  });

  it("row 35: the lock judges expiry by its own clock, the authority explains it by true time", () => {
    const slow = after(-day);
    const lobby = policyOf(site, "lobby-lock");
    // By true time it is over; a lock that is a day behind lets it in.
    expect(decide(lobby, lockState(), code(yesterday), slow).granted).toBe(true);
    const entry = { entryTag: entryTag(entryTagKey, yesterday), doorId: "lobby", localDay: today };
    expect(refineUnknown(entry, entryTagKey, [issuedYesterday], []).reason).toBe("DOORCODE_EXPIRED");
  });

  it("row 38: a new code can be had at any time, is another one, and opens", () => {
    const first = allot("alice");
    const second = allot("alice", { taken: first.ok ? [first.value] : [] });
    if (!first.ok || !second.ok) throw new Error("there are slots");
    expect(second.value.code).not.toBe(first.value.code);
    expect(decide(policyOf(site, "lobby-lock"), lockState(), code(second.value.code), start).granted).toBe(true);
  });
});

describe("S1: ways in", () => {
  const lobby = policyOf(site, "lobby-lock");

  it("row 63: the app opens with its credential", () => {
    expect(decide(lobby, lockState(), app("alice-app"), start).granted).toBe(true);
  });

  it("row 64: the keypad takes permanent and daily codes", () => {
    const daily = dailyCodes(doorKey, today, rules)[0]?.code ?? "";
    for (const digits of ["4815162", daily]) expect(decide(lobby, lockState(), code(digits), start).granted).toBe(true);
  });

  it("row 65: a keycard opens once the lock has been synced with it", () => {
    const before = { ...site, credentials: site.credentials.filter(({ id }) => id !== "eve-card") };
    expect(decide(policyOf(before, "lobby-lock"), lockState(), card("04a1b2c3d4e5f6"), start).primaryReason).toBe(
      "CREDENTIAL_UNKNOWN",
    );
    expect(decide(lobby, lockState(), card("04a1b2c3d4e5f6"), start).granted).toBe(true);
  });

  it("row 66: a mechanical key is offered only where the model has a keyway; a C2 has none", () => {
    expect(modelByName.C2.mechanicalKey).toBe(false);
    const keyAt = (door: string) =>
      alternativesAt(site, "alice", door, start).credentials.find(({ kind }) => kind === "mechanical-key");
    expect(keyAt("home-1a")?.opensAt).toEqual(["home-lock"]);
    expect(keyAt("lobby")?.opensAt).toEqual([]);
  });

  it("row 67: what would work now on this lock for this person, what opens first", () => {
    const ways = alternativesAt(site, "alice", "home-1a", start).credentials;
    const open = ways.filter(({ opensAt }) => opensAt.length > 0).map(({ credentialId }) => credentialId);
    expect(open).toEqual(["alice-app", "alice-code", "alice-key"]);
    expect(ways.slice(0, 3).map(({ credentialId }) => credentialId)).toEqual(open);
    expect(ways.find(({ credentialId }) => credentialId === "alice-pin")?.reason).toBe("CREDENTIAL_NOT_SUPPORTED");
  });

  it("row 68: property management's contact is part of the answer", () => {
    expect(alternativesAt(site, "alice", "lobby", start).propertyManager.phone).toBe("+1 555 0100");
  });

  it("row 69: property management's own card opens where they hold a key", () => {
    const withCard = { id: "max-card", kind: "keycard", person: "max", state: "active", token: "04ffffff" } as const;
    const changed = { ...site, credentials: [...site.credentials, withCard] };
    expect(decide(policyOf(changed, "home-lock"), lockState(), card("04ffffff"), start).granted).toBe(true);
  });

  it("row 70: property management may issue a daily code", () => {
    expect(alternativesAt(site, "alice", "lobby", start).codeIssuers).toContain("max");
    expect(allot("max").ok).toBe(true);
  });

  it("row 72: a lock without credentials opens to nobody, whatever is presented", () => {
    const nobody = policyOf({ ...site, credentials: [] }, "lobby-lock");
    const state = lockState({ dailyKeys: [] });
    const attempts = [
      ...["0000000", "1234567", "9999999", "12345", ""].map(code),
      ...["support", "master", "bypass", "alice-app", ""].map((id) => app(id)),
      ...["00000000", "ffffffff", ""].map(card),
    ];
    for (const attempt of attempts) expect(decide(nobody, state, attempt, start).granted).toBe(false);
    expect(credentialKinds.filter((kind) => /master|bypass|support/.test(kind))).toEqual([]);
  });

  it("row 77: after signing out everywhere the certificates of before are worth nothing at a synced lock", () => {
    const people = site.people.map((one) => (one.id === "alice" ? { ...one, signedOutAt: start } : one));
    const synced = policyOf({ ...site, people }, "lobby-lock");
    expect(decide(synced, lockState(), app("alice-app", after(-60)), start).primaryReason).toBe("APP_SESSION_EXPIRED");
  });

  it("row 78: and at a lock that nobody visits within 72 hours", () => {
    const made = { issuedAt: start, notAfter: after(72 * hour) };
    const attempt: Attempt = { kind: "app", credentialId: "alice-app", certificate: made };
    expect(decide(lobby, lockState(), attempt, after(72 * hour - 1)).granted).toBe(true);
    expect(decide(lobby, lockState(), attempt, after(72 * hour)).primaryReason).toBe("APP_SESSION_EXPIRED");
  });

  it("row 80: property management and residents with access issue codes, nobody else", () => {
    const verdicts = ["alice", "max", "cara", "eve", "nobody"].map((id) => {
      const allotted = allot(id);
      return allotted.ok ? "issued" : allotted.fault.code;
    });
    expect(verdicts).toEqual(["issued", "issued", "NO_ACCESS", "ROLE_MAY_NOT_ISSUE", "ROLE_MAY_NOT_ISSUE"]);
  });

  it.each([
    ["row 81: by e-mail", "email", "aunt@example.org"],
    ["row 82: by phone message, to anybody", "phone-message", "+1 555 010042"],
  ] as const)("%s, with a record that has neither code nor address", (_, channel, recipient) => {
    const allotted = allot("alice");
    if (!allotted.ok) throw new Error("there are slots");
    const delivery = { issuerId: "alice", doorId: "lobby", slot: allotted.value, channel, recipient };
    const record = openDelivery(delivery, new Uint8Array(32), start);
    expect(record.ok && record.value.state).toBe("queued");
    expect(JSON.stringify(record)).not.toContain(allotted.value.code);
    expect(JSON.stringify(record)).not.toContain(recipient);
  });
});

describe("S2: reason, text and remedy", () => {
  it.each([
    ["row 93", "garage", "loose-card", start, "CREDENTIAL_UNASSIGNED", "Invalid RF Card", /Assign the credential/],
    ["row 94", "roof", "alice-pin", start, "DOOR_LICENSE_EXPIRED", "Door license expired or not activated", /Renew/],
    [
      "row 95",
      "garage",
      "cara-pin",
      start,
      "NO_ACCESS_RIGHTS",
      "No access permission or door license is not available",
      /access group/,
    ],
    [
      "row 96",
      "garage",
      "visit",
      after(2 * hour),
      "CREDENTIAL_EXPIRED",
      "Not within the valid period",
      /Create a new credential/,
    ],
    [
      "row 97",
      "garage",
      "eve-rf",
      newYork("2026-11-26T15:00:00"),
      "HOLIDAY_RESTRICTED",
      "No access permission during holidays",
      /working hours/,
    ],
  ] as const)("%s: at %s, %s", (_, door, credential, at, reason, detail, remedy) => {
    const said = deskAt(door, credential, at);
    expect([said.reasons[0], said.detail]).toEqual([reason, detail]);
    expect(said.remedy).toMatch(remedy);
  });

  it("row 98: Invalid [Credential Type] is made and read for every type", () => {
    for (const kind of credentialKinds) {
      const text = reasonToDetail("CREDENTIAL_UNASSIGNED", kind) ?? "";
      expect(text).toMatch(/^Invalid \S/);
      expect(detailToReasons(text)?.kind).toBe(kind);
    }
  });

  it("row 99: the remedy for a credential of nobody is to assign it, and then it opens", () => {
    expect(remedyOf("CREDENTIAL_UNASSIGNED")).toBe("Assign the credential to a user.");
    const credentials = site.credentials.map((one) => (one.id === "loose-card" ? { ...one, person: "alice" } : one));
    expect(deskAt("garage", "loose-card", start, { ...site, credentials }).reasons).toEqual([]);
  });

  it("row 102: expired and never activated share a text and are told apart", () => {
    const [expired, never] = [deskAt("roof", "alice-pin"), deskAt("gym", "alice-pin")];
    expect([expired.reasons[0], never.reasons[0]]).toEqual(["DOOR_LICENSE_EXPIRED", "DOOR_NOT_ACTIVATED"]);
    expect(expired.detail).toBe(never.detail);
  });

  it("row 106: the text with four causes is its own, and each cause is among its meanings", () => {
    const meanings = detailToReasons("No access permission or door license is not available")?.reasons;
    for (const reason of ["DOOR_LICENSE_EXPIRED", "DOOR_NOT_ASSIGNED", "NO_ACCESS_RIGHTS", "OUT_OF_SCHEDULE"]) {
      expect(meanings).toContain(reason);
    }
    expect(detailToReasons("No access permission")?.reasons).not.toContain("DOOR_LICENSE_EXPIRED");
  });

  it("row 107: outside the access schedule, by the site's own clock", () => {
    expect(deskAt("garage", "eve-rf", newYork("2026-11-24T17:29:59")).reasons).toEqual([]);
    expect(deskAt("garage", "eve-rf", newYork("2026-11-24T17:30:00")).reasons).toEqual(["OUT_OF_SCHEDULE"]);
  });

  it("row 108: outside the schedule and without a licence, both are said", () => {
    const roofGroup = site.accessGroups.map((one) => (one.id === "cleaning" ? { ...one, doors: ["roof"] } : one));
    const said = deskAt("roof", "eve-rf", newYork("2026-11-24T20:00:00"), { ...site, accessGroups: roofGroup });
    expect(said.reasons).toEqual(["DOOR_LICENSE_EXPIRED", "OUT_OF_SCHEDULE"]);
  });

  it("row 109: the licence is looked at first, the access group second", () => {
    const said = deskAt("roof", "cara-pin");
    expect(said.reasons).toEqual(["DOOR_LICENSE_EXPIRED", "NO_ACCESS_RIGHTS"]);
    expect(detailToReasons("No access permission or door license is not available")?.reasons[0]).toBe(
      "DOOR_LICENSE_EXPIRED",
    );
  });

  it("row 111: a key that is inherited from a user group is told from one held directly", () => {
    expect(keysOf(site, "eve", "garage")[0]?.inheritedFrom).toBe("cleaners");
    expect(keysOf(site, "alice", "garage")[0]?.inheritedFrom).toBeUndefined();
  });

  it("row 112: existing groups that cover this door at this time are suggested", () => {
    const groupsAt = (time: string) =>
      groupsThatWouldLetIn(site, "garage", "cara-pin", newYork(time)).map(({ id }) => id);
    expect(groupsAt("2026-11-24T12:00:00")).toEqual(["residents", "office", "cleaning"]);
    expect(groupsAt("2026-11-24T20:00:00")).toEqual(["residents", "office"]);
  });

  it("row 112: also for a credential whose time has not begun or is over: a group is judged by what is a group's", () => {
    for (const period of [{ from: after(day) }, { until: after(-day) }, { state: "lost" as const }]) {
      const credentials = site.credentials.map((one) => (one.id === "cara-pin" ? { ...one, ...period } : one));
      const groups = groupsThatWouldLetIn({ ...site, credentials }, "garage", "cara-pin", start);
      expect(groups.map(({ id }) => id)).toEqual(["residents", "office", "cleaning"]);
    }
  });

  it("row 113: the change is simulated, and it opens", () => {
    const [group] = groupsThatWouldLetIn(site, "garage", "cara-pin", start);
    const accessGroups = site.accessGroups.map((one) =>
      one.id === group?.id ? { ...one, members: [...one.members, "cara"] } : one,
    );
    expect(deskAt("garage", "cara-pin", start, { ...site, accessGroups }).reasons).toEqual([]);
    // A licence that has ended is not the group's to mend, and makes no group worse.
    expect(groupsThatWouldLetIn(site, "roof", "cara-pin", start).map(({ id }) => id)).toEqual(["residents"]);
    // Nothing is suggested that would not help.
    expect(groupsThatWouldLetIn(site, "home-1a", "loose-card", start)).toEqual([]);
  });

  it("row 114: a temp key has two ends", () => {
    expect(deskAt("garage", "visit", after(-hour - 1)).reasons).toEqual(["CREDENTIAL_NOT_YET_ACTIVE"]);
    expect(deskAt("garage", "visit", after(-hour)).reasons).toEqual([]);
    expect(deskAt("garage", "visit", after(2 * hour)).reasons).toEqual(["CREDENTIAL_EXPIRED"]);
  });

  it("row 116: a holiday overrides the schedule", () => {
    expect(deskAt("garage", "eve-rf", newYork("2026-11-25T15:00:00")).reasons).toEqual([]);
    expect(deskAt("garage", "eve-rf", newYork("2026-11-26T15:00:00")).reasons).toEqual(["HOLIDAY_RESTRICTED"]);
  });

  it("row 117: the holiday is named", () => {
    expect(deskAt("garage", "eve-rf", newYork("2026-11-26T15:00:00")).holiday).toBe("founders-day");
  });

  it("row 118: working hours let in on a holiday; without them nobody who observes it", () => {
    expect(deskAt("garage", "eve-rf", newYork("2026-11-26T10:00:00")).reasons).toEqual([]);
    const closed = { ...site, holidays: site.holidays.map((one) => ({ ...one, workingHours: [] })) };
    expect(deskAt("garage", "eve-rf", newYork("2026-11-26T10:00:00"), closed).reasons).toEqual(["HOLIDAY_RESTRICTED"]);
  });

  it.each([
    ["row 119: credential validity", "credential"],
    ["row 120: access group assignment", "access-group"],
    ["row 122: door licence status", "licence"],
    ["row 123: visitor validity period", "validity"],
  ])("%s is always checked, also after another check failed", (_, check) => {
    // Everything that can be wrong at once: lost, without a key, out of date, at a door without a licence.
    const credentials = site.credentials.map((one) =>
      one.id === "visit" ? { ...one, state: "lost" as const, person: "cara" } : one,
    );
    const said = deskAt("roof", "visit", after(3 * hour), { ...site, credentials });
    const result = said.checks.find((one) => one.check === check)?.result;
    expect(result).toBe("failed");
    // And where all is well, all of them are said to have passed.
    expect(deskAt("garage", "alice-pin").checks.find((one) => one.check === check)?.result).toBe("passed");
  });

  it("row 121: access schedule is always checked, also after another check failed", () => {
    const credentials = site.credentials.map((one) => (one.id === "eve-rf" ? { ...one, state: "lost" as const } : one));
    const scheduleOf = (credential: string, at: UnixSeconds) =>
      deskAt("garage", credential, at, { ...site, credentials }).checks.find((one) => one.check === "schedule")?.result;
    const evening = newYork("2026-11-24T20:00:00");
    // A lost card outside its group's hours: both are said.
    expect(deskAt("garage", "eve-rf", evening, { ...site, credentials }).reasons).toEqual([
      "CREDENTIAL_LOST",
      "OUT_OF_SCHEDULE",
    ]);
    expect(scheduleOf("eve-rf", evening)).toBe("failed");
    expect(scheduleOf("eve-rf", newYork("2026-11-24T12:00:00"))).toBe("passed");
    // Whoever has no key has no schedule that could be looked at.
    expect(scheduleOf("cara-pin", evening)).toBe("not evaluated");
  });

  it("row 92: what a lock holds has no text, no name and no code; the texts are made outside", () => {
    const bytes = new TextDecoder("latin1").decode(encodePolicy(policyOf(site, "garage-reader").policy));
    for (const word of ["Invalid", "Alice", "90210", "maple.example"]) expect(bytes).not.toContain(word);
  });
});
