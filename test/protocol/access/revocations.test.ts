import { describe, expect, it } from "vitest";
import { credentialWays, exposedFrom, isSignedOutOnly, revokedBetween } from "../../../protocol/access/revocations.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { after, day, hour, mapleCourt, policyOf, siteOf, start } from "../site/fixtures.ts";

const site = siteOf(mapleCourt);
const exposed = (changed: Site, now = start) =>
  revokedBetween(policyOf(site, "lobby-lock").policy, policyOf(changed, "lobby-lock", { version: 2, now }).policy);
const changeCredential = (id: string, change: object): Site => ({
  ...site,
  credentials: site.credentials.map((one) => (one.id === id ? { ...one, ...change } : one)),
});
const changePerson = (id: string, change: object): Site => ({
  ...site,
  people: site.people.map((one) => (one.id === id ? { ...one, ...change } : one)),
});
const changeGroup = (id: string, change: object): Site => ({
  ...site,
  accessGroups: site.accessGroups.map((one) => (one.id === id ? { ...one, ...change } : one)),
});

describe("exposure", () => {
  it("[P8] the same rules in a newer version expose nobody", () => {
    expect(exposed(site, after(day))).toEqual([]);
  });

  it("[P8] a revoked person: every credential that the lock still takes", () => {
    const people = site.people.map((one) => (one.id === "eve" ? { ...one, revokedAt: start } : one));
    expect(exposed({ ...site, people })).toEqual(["eve-app", "eve-card"]);
  });

  it.each([
    ["lost", changeCredential("alice-code", { state: "lost" }), ["alice-code"]],
    ["another code", changeCredential("alice-code", { digits: "1111111" }), ["alice-code"]],
    ["an earlier end", changeCredential("alice-app", { until: after(day) }), ["alice-app"]],
    ["signed out everywhere", changePerson("alice", { signedOutAt: start }), ["alice-app"]],
    ["no uses", changeCredential("alice-app", { usesAllowed: 0 }), ["alice-app"]],
    ["out of the group", changeGroup("residents", { members: ["ben"] }), ["alice-app", "alice-code"]],
    ["out of the user group", { ...site, userGroups: [] }, ["eve-app", "eve-card"]],
    [
      "a schedule where there was none",
      changeGroup("residents", { schedule: "weekdays" }),
      ["alice-app", "alice-code"],
    ],
  ] as const)("[P8] %s", (_, changed, ids) => {
    expect(exposed(changed)).toEqual(ids);
  });

  it("[P8] a credential that was added, or a right more, exposes nobody", () => {
    const added = {
      id: "alice-card",
      kind: "keycard" as const,
      person: "alice",
      state: "active" as const,
      token: "04ffffff",
    };
    expect(exposed({ ...site, credentials: [...site.credentials, added] })).toEqual([]);
    expect(exposed(changeGroup("office", { members: ["max", "eve"] }))).toEqual([]);
  });

  it("[P8] what the lock ends by itself is no exposure, though the newer policy says so too", () => {
    const ending = changeCredential("alice-app", { until: after(day) });
    const held = policyOf(ending, "lobby-lock").policy;
    const later = policyOf(ending, "lobby-lock", { version: 2, now: after(2 * day) }).policy;
    expect(revokedBetween(held, later)).toEqual([]);
    const earlier = changeCredential("alice-app", { until: after(day / 2) });
    const cut = policyOf(earlier, "lobby-lock", { version: 2, now: after(0.75 * day) }).policy;
    expect(revokedBetween(held, cut)).toEqual(["alice-app"]);
  });

  it.each<[string, Site, number]>([
    ["its new end where that is all", changeCredential("alice-app", { until: after(3 * day) }), 3 * day],
    ["a revocation that is dated ahead", changePerson("alice", { revokedAt: after(2 * day) }), 2 * day],
    ["the earlier of both", changePerson("alice", { revokedAt: after(4 * day) }), 4 * day],
    ["at once where it is over", changeCredential("alice-app", { until: after(hour) }), day],
    ["at once where it is gone", changeCredential("alice-app", { state: "lost" }), day],
    ["at once where ways in went as well", changeGroup("residents", { schedule: "weekdays" }), day],
    [
      "at once where its phones were signed out as well",
      changePerson("alice", { signedOutAt: start, revokedAt: after(4 * day) }),
      day,
    ],
  ])("[P8] exposed from %s", (_what, changed, from) => {
    const held = policyOf(site, "lobby-lock").policy;
    const newest = policyOf(changed, "lobby-lock", { version: 2, now: after(day) }).policy;
    expect(revokedBetween(held, newest)).toContain("alice-app");
    expect(exposedFrom(held, newest, "alice-app")).toBe(after(from));
  });

  it("[P8] what a credential may do is told apart by every change of it, and is the same again when it was given back", () => {
    const ways = (changed: Site, version: number) =>
      credentialWays(policyOf(changed, "lobby-lock", { version }).policy, "alice-app");
    const before = ways(site, 1);
    expect(before).toHaveLength(8);
    expect(ways(site, 3)).toEqual(before);
    expect(ways(changeCredential("alice-app", { until: after(day) }), 2)).not.toEqual(before);
    expect(ways(changeGroup("residents", { schedule: "weekdays" }), 2)).not.toEqual(before);
    expect(ways(changeCredential("alice-app", { state: "lost" }), 2)).toBeUndefined();
    expect(ways({ ...site, credentials: [] }, 2)).toBeUndefined();
  });

  it("[P8] tells being signed out everywhere from everything else that was taken", () => {
    const { policy: held } = policyOf(site, "lobby-lock");
    const only = (changed: Site, id = "alice-app") =>
      isSignedOutOnly(held, policyOf(changed, "lobby-lock", { version: 2 }).policy, id);
    const signedOut = changePerson("alice", { signedOutAt: start });
    expect(only(signedOut)).toBe(true);
    expect(only(signedOut, "eve-app")).toBe(false);
    expect(only(signedOut, "alice-code")).toBe(false);
    expect(only(signedOut, "nobody")).toBe(false);
    expect(only(site)).toBe(false);
    const credentials = changeCredential("alice-app", { until: after(day) }).credentials;
    expect(only({ ...signedOut, credentials })).toBe(false);
    expect(only({ ...signedOut, credentials: [] })).toBe(false);
    const { accessGroups } = changeGroup("residents", { schedule: "weekdays" });
    expect(only({ ...signedOut, accessGroups })).toBe(false);
    // Signed out before already: nothing came of it now.
    const before = policyOf(signedOut, "lobby-lock").policy;
    expect(isSignedOutOnly(before, policyOf(signedOut, "lobby-lock", { version: 2 }).policy, "alice-app")).toBe(false);
  });

  it("[P8] what the lock does not take any more is no exposure", () => {
    const lost = changeCredential("alice-code", { state: "lost" });
    const held = policyOf(lost, "lobby-lock").policy;
    const newest = policyOf({ ...site, credentials: [] }, "lobby-lock", { version: 2 }).policy;
    expect(revokedBetween(held, newest)).toEqual(["alice-app", "eve-app", "eve-card"]);
  });
});
