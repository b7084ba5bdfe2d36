/** Rows of the checklist that the rules of access, doorcodes, firmware and directory prove alone, without agent or emulator. */
import { describe, expect, it } from "vitest";
import type { Attempt } from "../../protocol/access/attempt.ts";
import { decide } from "../../protocol/access/decide.ts";
import { localDay, unixSeconds } from "../../protocol/base/units.ts";
import { allotDailyCode } from "../../protocol/doorcode/allot.ts";
import { dailyCode } from "../../protocol/doorcode/daily-code.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { judgeFirmware, reportsReason } from "../../protocol/firmware/version.ts";
import { explainDirectory, listDirectory } from "../../protocol/site/directory.ts";
import { activeDevices, doorcodeIssuer } from "../../protocol/site/rights.ts";
import { dayStart, siteDay } from "../../protocol/site/zone.ts";
import { doorKey, lockState, mapleCourt, policyOf, siteOf, start } from "../protocol/site/fixtures.ts";

const site = siteOf(mapleCourt);
const code = (digits: string): Attempt => ({ kind: "code", digits });

describe("S0: directory", () => {
  it("row 16: for a resident who does not appear, everything that is missing is said", () => {
    const missing = ["ben", "cara", "dan"].map((id) => explainDirectory(site, "lobby-link", id, start).missing);
    expect(missing).toEqual([["no-unit"], ["no-key"], ["not-shown"]]);
  });

  it.each([
    ["row 17: a resident without a unit is not listed, with one is", "ben", { unit: "unit-1b" }],
    ["row 20: a resident not shown in intercom is not listed, shown is", "dan", { showInIntercom: true }],
  ])("%s", (_, id, mended) => {
    const people = site.people.map((person) => (person.id === id ? { ...person, ...mended } : person));
    const ids = (changed: typeof site) => listDirectory(changed, "lobby-link", start).map(({ personId }) => personId);
    expect(ids(site)).not.toContain(id);
    expect(ids({ ...site, people })).toContain(id);
  });

  it("row 19: a resident without a key to the paired door is not listed, with one is", () => {
    const accessGroups = site.accessGroups.map((group) =>
      group.id === "residents" ? { ...group, members: [...group.members, "cara"] } : group,
    );
    expect(listDirectory({ ...site, accessGroups }, "lobby-link", start).map(({ personId }) => personId)).toContain(
      "cara",
    );
    // A key to the garage does not help at the panel that is paired with the lobby.
    const elsewhere = site.accessGroups.map((group) =>
      group.id === "home" ? { ...group, doors: ["garage"], members: ["cara"] } : group,
    );
    expect(explainDirectory({ ...site, accessGroups: elsewhere }, "lobby-link", "cara", start).missing).toEqual([
      "no-key",
    ]);
  });
});

describe("S0: doorcodes", () => {
  const allot = (doorId: string) =>
    allotDailyCode(
      {
        issuer: doorcodeIssuer(site, "alice", doorId, start),
        localDay: siteDay(site.timeZone, start),
        mode: "single-use",
      },
      {
        doorKey,
        rules: { dailyDigits: 7, singleUseSlots: 28, allDaySlots: 4 },
        activeDevices: activeDevices(site, doorId).length,
        today: siteDay(site.timeZone, start),
        taken: [],
        permanentCodes: new Set(),
      },
    );

  it("row 30: the locks assigned to a door are counted, in service or not", () => {
    expect(site.devices.filter(({ door }) => door === "shed")).toHaveLength(1);
    expect(activeDevices(site, "shed")).toHaveLength(0);
    expect(activeDevices(site, "lobby")).toHaveLength(1);
  });

  it("row 31: a door whose lock is assigned but not active gives no code: NO_ACTIVE_DEVICE", () => {
    expect(allot("shed")).toEqual({ ok: false, fault: { code: "NO_ACTIVE_DEVICE" } });
    expect(allot("lobby").ok).toBe(true);
  });

  it.each([
    ["an ordinary day", "America/New_York", "2026-11-24"],
    ["a day of 23 hours", "America/New_York", "2027-03-14"],
    ["a day of 25 hours", "America/New_York", "2027-11-07"],
    ["a day without a midnight", "Africa/Cairo", "2027-04-30"],
  ])("row 36: a code holds for the site's calendar day, from its first second to its last: %s", (_, timeZone, date) => {
    const text = mapleCourt.replace("timeZone: America/New_York", `timeZone: ${timeZone}`);
    const lock = policyOf(siteOf(text), "lobby-lock");
    const day = localDay(Date.parse(date) / 86_400_000);
    const [first, next] = [dayStart(timeZone, day), dayStart(timeZone, localDay(day + 1))];
    const digits = dailyCode(doorKey, { localDay: day, mode: "all-day", slot: 2 }, 7);
    const opensAt = (second: number) => decide(lock, lockState(), code(digits), unixSeconds(second)).granted;
    expect([first - 1, first, next - 1, next].map(opensAt)).toEqual([false, true, true, false]);
  });

  it("row 37: a code of one door is unknown at another; several locks of one door take it", () => {
    const digits = dailyCode(doorKey, { localDay: localDay(20_781), mode: "single-use", slot: 0 }, 7);
    const otherDoor = lockState({ dailyKeys: [{ keyId: 1, key: doorKey.map((byte) => byte ^ 1) }] });
    expect(decide(policyOf(site, "home-lock"), otherDoor, code(digits), start).primaryReason).toBe(
      "CREDENTIAL_UNKNOWN",
    );
    const second = mapleCourt.replace(
      "devices:\n",
      "devices:\n  - { id: lobby-two, model: M2, door: lobby, serial: M2-2 }\n",
    );
    for (const device of ["lobby-lock", "lobby-two"]) {
      expect(decide(policyOf(siteOf(second), device), lockState(), code(digits), start).granted).toBe(true);
    }
  });
});

describe("S1", () => {
  it("row 59: each model says whether it has a network of its own", () => {
    const networks = (["C1", "C2", "M2", "R2", "R29", "DOOR Link"] as const).map((name) => modelByName[name].network);
    expect(networks).toEqual(["ble", "ble", "ble", "mqtt", "mqtt", "passive"]);
  });

  it("row 61: users, revocations, schedules and holidays are in what a lock is brought", () => {
    const { credentials, schedules, holidays } = policyOf(site, "lobby-lock").policy;
    expect([credentials.length, schedules.length, holidays.length]).toEqual([4, 1, 1]);
  });
});

describe("S2: firmware floors", () => {
  it.each([
    ["row 84", "A08", "108.30.11.210", "108.30.11.209"],
    ["row 85", "EC33", "33.30.1.107", "33.30.1.106"],
    ["row 86", "R20", "320.30.12.16", "320.30.12.9"],
    ["row 87", "R29", "29.30.10.712", "29.30.9.9999"],
    ["row 88", "X915V2", "2915.30.10.707", "2915.29.99.999"],
  ] as const)("%s: %s is fine from %s on and not at %s", (_, model, floor, below) => {
    expect(modelByName[model].floor?.version).toBe(floor);
    expect(judgeFirmware(model, floor).verdict).toBe("ok");
    expect(judgeFirmware(model, below).verdict).toBe("below floor");
  });

  it("row 89: segments are whole numbers, another model's version is not comparable, and below the floor no reason is reported", () => {
    expect(judgeFirmware("R20", "320.30.12.100").verdict).toBe("ok");
    expect(judgeFirmware("EC33", "29.30.10.712").verdict).toBe("not comparable");
    expect(reportsReason(judgeFirmware("R20", "320.30.12.9"))).toBe("not reported");
    expect(reportsReason(judgeFirmware("R20", "320.30.12.16"))).toBe("reported");
  });
});
