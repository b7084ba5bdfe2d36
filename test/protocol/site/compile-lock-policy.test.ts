import { describe, expect, it } from "vitest";
import { policyLimits } from "../../../protocol/access/policy.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { after, codeKey, day, mapleCourt, policyOf, siteOf, start } from "./fixtures.ts";

const site = siteOf(mapleCourt);
const options = { epoch: 1, version: 1, now: start, codeHashKey: codeKey };
const idsOf = (changed: Site, device: string) => policyOf(changed, device).policy.credentials.map(({ id }) => id);

describe("what a lock holds", () => {
  it("[P6] a lock that must be visited holds only credentials it can read, of people with a key to its door", () => {
    expect(idsOf(site, "lobby-lock")).toEqual(["alice-app", "alice-code", "eve-app", "eve-card"]);
    expect(idsOf(site, "home-lock")).toEqual(["alice-app", "alice-code"]);
    expect(idsOf(site, "shed-lock")).toEqual([]);
  });

  it("[P6] a networked reader holds every credential it can read", () => {
    expect(idsOf(site, "garage-reader")).toEqual([
      "alice-app",
      "alice-face",
      "alice-pin",
      "cara-pin",
      "eve-app",
      "eve-card",
      "eve-rf",
      "loose-card",
      "visit",
    ]);
  });

  it("[P6] revoked people stay with their credentials, so that the lock can say why", () => {
    const revoked = {
      ...site,
      people: site.people.map((person) => (person.id === "eve" ? { ...person, revokedAt: start } : person)),
    };
    const states = policyOf(revoked, "lobby-lock").policy.credentials.map(({ id, state }) => [id, state]);
    expect(states).toEqual([
      ["alice-app", "active"],
      ["alice-code", "active"],
      ["eve-app", "revoked"],
      ["eve-card", "revoked"],
    ]);
  });

  it("[N11] the leases of a policy begin when it is made; a class without one has none", () => {
    const leased = { ...site, leaseDays: { app: 30, keycard: 7 } };
    const at = (now: number) => policyOf(leased, "lobby-lock", { now: after(now) }).policy.leaseEnd;
    expect(at(0)).toEqual({ app: after(30 * day), keycard: after(7 * day) });
    expect(at(day)).toEqual({ app: after(31 * day), keycard: after(8 * day) });
    expect(policyOf(site, "lobby-lock").policy.leaseEnd).toEqual({});
  });

  it("[P6] a revocation that lies ahead travels with its time", () => {
    const ahead = {
      ...site,
      people: site.people.map((person) => (person.id === "eve" ? { ...person, revokedAt: after(day) } : person)),
    };
    const card = policyOf(ahead, "lobby-lock").policy.credentials.find(({ id }) => id === "eve-card");
    expect([card?.state, card?.revokedFrom]).toEqual(["active", after(day)]);
  });

  it("[P4] no code, card number, name or e-mail is in it", () => {
    const text = JSON.stringify(policyOf(site, "garage-reader").policy);
    for (const secret of ["4815162", "90210", "04a1b2c3d4e5f6", "Alice", "alice@maple.example", "VISIT-246810"]) {
      expect(text).not.toContain(secret);
    }
  });

  it("[P4] another device's key gives other lookups", () => {
    const lookupOf = (codeHashKey: Uint8Array) =>
      policyOf(site, "lobby-lock", { codeHashKey }).policy.credentials.find(({ id }) => id === "alice-code")
        ?.keypadLookup;
    expect(lookupOf(codeKey)).not.toEqual(lookupOf(codeKey.map((byte) => byte ^ 1)));
  });

  it("[P7] schedules become minutes of the week, joined and in order", () => {
    const text = mapleCourt.replace(
      '  - { id: weekdays, weekly: [{ days: [mon, tue, wed, thu, fri], from: "08:00", to: "17:30" }] }',
      `  - id: weekdays
    weekly:
      - { days: [sun], from: "22:00", to: "02:00" }
      - { days: [mon], from: "01:00", to: "03:00" }
      - { days: [mon], from: "03:00", to: "04:00" }
      - { days: [sat], from: "00:00", to: "24:00" }`,
    );
    expect(policyOf(siteOf(text), "lobby-lock").policy.schedules[0]?.weekly).toEqual([
      [0, 240],
      [7_200, 8_640],
      [10_000 - 40, 10_080],
    ]);
  });

  it("[P7] only schedules of this door, and each list of rights once", () => {
    const { schedules, rights, credentials } = policyOf(site, "lobby-lock").policy;
    expect(schedules.map(({ id }) => id)).toEqual(["weekdays"]);
    expect(rights).toEqual([[], [{ observesHolidays: false }], [{ schedule: 0, observesHolidays: true }]]);
    expect(credentials.map(({ rights: index }) => index)).toEqual([1, 1, 2, 2]);
    expect(policyOf(site, "home-lock").policy.schedules).toEqual([]);
  });

  it("[P7] holidays are days; those of other doors stay away", () => {
    const text = mapleCourt.replace('to: "14:00" }] }', 'to: "14:00" }], doors: [garage] }');
    expect(policyOf(siteOf(text), "lobby-lock").policy.holidays).toEqual([]);
    expect(policyOf(siteOf(text), "garage-reader").policy.holidays).toEqual([
      { id: "founders-day", fromDay: 20_783, toDay: 20_784, workingHours: [[600, 840]] },
    ]);
  });

  it("[P7] only profiles with licences carry one", () => {
    expect(policyOf(site, "lobby-lock").policy.licence).toBeUndefined();
    expect(policyOf(site, "gym-reader").policy.licence).toEqual({ kind: "never-activated" });
  });
});

describe("faults", () => {
  it("[P7] an unknown device", () => {
    expect(compileLockPolicy(site, "no-lock", options)).toEqual({
      ok: false,
      fault: { code: "no-such-device", deviceId: "no-lock" },
    });
  });

  it("[P7] more credentials than a lock has room for", () => {
    const many = Array.from({ length: policyLimits.credentials + 1 }, (_, index) => ({
      id: `app-${index}`,
      kind: "app-key" as const,
      person: "alice",
      state: "active" as const,
    }));
    expect(compileLockPolicy({ ...site, credentials: many }, "lobby-lock", options)).toEqual({
      ok: false,
      fault: { code: "too-many", what: "credentials", count: 5_001, max: 5_000 },
    });
  });

  it("[P7] within every count, but larger than a lock's flash takes", () => {
    const many = Array.from({ length: policyLimits.credentials }, (_, index) => ({
      id: `app-${"x".repeat(23)}${String(index).padStart(5, "0")}`,
      kind: "keycard" as const,
      token: index.toString(16).padStart(14, "0"),
      person: "alice",
      state: "active" as const,
    }));
    const withKeys = { ...options, cardKeyOf: () => new Uint8Array(16).fill(1) };
    const compiled = compileLockPolicy({ ...site, credentials: many }, "lobby-lock", withKeys);
    expect(compiled).toMatchObject({ ok: false, fault: { code: "too-many", what: "bytes", max: 262_144 } });
  });

  it("[P7] two credentials that are presented alike", () => {
    const twins = ["one", "two"].map((id) => ({
      id,
      kind: "permanent-doorcode" as const,
      person: "alice",
      state: "active" as const,
      digits: "1234567",
    }));
    expect(compileLockPolicy({ ...site, credentials: twins }, "lobby-lock", options)).toEqual({
      ok: false,
      fault: { code: "ambiguous-credential", first: "one", second: "two" },
    });
  });
});
