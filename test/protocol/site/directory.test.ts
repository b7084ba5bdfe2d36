import { describe, expect, it } from "vitest";
import { explainDirectory, listDirectory } from "../../../protocol/site/directory.ts";
import { doorcodeIssuer, hasKey, keysOf } from "../../../protocol/site/rights.ts";
import { after, mapleCourt, siteOf, start } from "./fixtures.ts";

const site = siteOf(mapleCourt);
const namesAt = (panel: string, changed = site, now = start) =>
  listDirectory(changed, panel, now).map(({ name }) => name);
const changePerson = (id: string, change: object) => ({
  ...site,
  people: site.people.map((person) => (person.id === id ? { ...person, ...change } : person)),
});

describe("directory", () => {
  it("[N7] lists exactly the residents with a unit, a key to the paired door and Show in intercom", () => {
    expect(listDirectory(site, "lobby-link", start)).toEqual([
      { personId: "alice", name: "Alice Ames", unitName: "1A" },
    ]);
    expect(namesAt("shed-link")).toEqual([]);
    expect(namesAt("no-such-panel")).toEqual([]);
  });

  it.each([
    ["alice", []],
    ["ben", ["no-unit"]],
    ["cara", ["no-key"]],
    ["dan", ["not-shown"]],
    ["eve", ["not-a-resident", "no-unit", "not-shown"]],
    ["nobody", ["no-such-person"]],
  ])("[N7] %s misses %j", (person, missing) => {
    expect(explainDirectory(site, "lobby-link", person, start)).toMatchObject({
      listed: missing.length === 0,
      missing,
      remedies: missing.map((gap) => ({ gap })),
    });
  });

  it("[N7] whoever mends the one thing that is missing is listed", () => {
    expect(namesAt("lobby-link", changePerson("ben", { unit: "unit-1b" }))).toEqual(["Alice Ames", "Ben Birch"]);
    expect(namesAt("lobby-link", changePerson("dan", { showInIntercom: true }))).toEqual(["Alice Ames", "Dan Dale"]);
  });

  it("[N7] a revoked resident is not listed from that instant on", () => {
    const revoked = changePerson("alice", { revokedAt: after(60) });
    expect(namesAt("lobby-link", revoked, after(59))).toEqual(["Alice Ames"]);
    expect(namesAt("lobby-link", revoked, after(60))).toEqual([]);
    expect(explainDirectory(revoked, "lobby-link", "alice", after(60)).missing).toEqual(["revoked"]);
  });

  it("[N7] an unknown panel and an unknown person are both said", () => {
    expect(explainDirectory(site, "x-link", "nobody", start).missing).toEqual(["no-such-panel", "no-such-person"]);
  });
});

describe("keys", () => {
  it("[N7] says whether a key is held directly or through a user group", () => {
    expect(keysOf(site, "eve", "lobby").map(({ group, inheritedFrom }) => [group.id, inheritedFrom])).toEqual([
      ["cleaning", "cleaners"],
    ]);
    expect(keysOf(site, "alice", "lobby").map(({ group, inheritedFrom }) => [group.id, inheritedFrom])).toEqual([
      ["residents", undefined],
    ]);
  });

  it("[N7] a key is in force on its dates, whatever the hour", () => {
    const dated = {
      ...site,
      accessGroups: site.accessGroups.map((group) => ({ ...group, from: after(10), until: after(20) })),
    };
    expect([9, 10, 19, 20].map((seconds) => hasKey(dated, "alice", "lobby", after(seconds)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(hasKey(site, "eve", "lobby", after(12 * 3_600))).toBe(true);
  });

  it("[C3] the facts about whoever asks for a daily code", () => {
    expect(doorcodeIssuer(site, "alice", "lobby", start)).toEqual({
      personId: "alice",
      role: "RESIDENT",
      hasKey: true,
    });
    expect(doorcodeIssuer(site, "nobody", "lobby", start)).toEqual({
      personId: "nobody",
      role: "GUEST",
      hasKey: false,
    });
  });
});
