import { describe, expect, it } from "vitest";
import { desiredOfLock } from "../../../emulator/cloud/desired.ts";
import { deviceRows } from "../../../emulator/cloud/device-rows.ts";
import { noLockWords } from "../../../emulator/cloud/lock-words.ts";
import { scheduleHints, urgencyOf } from "../../../emulator/cloud/urgency.ts";
import { encodePolicy } from "../../../protocol/access/policy.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { healthSchema, type SyncWord } from "../../../protocol/wire/messages/health.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { after, day, mapleCourt, policyOf, siteOf } from "../../protocol/site/fixtures.ts";
import { deviceId, gateway, noon, PairedLock, startCloud, type TestCloud } from "./fixture.ts";

const site = siteOf(mapleCourt);
const withCredential = (from: Site, id: string, change: object): Site => ({
  ...from,
  credentials: from.credentials.map((one) => (one.id === id ? { ...one, ...change } : one)),
});
const card = {
  id: "alice-card",
  kind: "keycard" as const,
  person: "alice",
  state: "active" as const,
  token: "04ffffff",
};
const withCard = (from: Site): Site => ({ ...from, credentials: [...from.credentials, card] });
const policy = (of: Site, options: object = {}) => policyOf(of, "lobby-lock", options).policy;

function urgency(before: Site, now: Site, isExposed = false) {
  return urgencyOf(policy(before), policy(now, { version: 2, now: after(day) }), isExposed);
}

describe("what is urgent", () => {
  it.each<[string, Site, Site, string | null]>([
    ["nothing changed", site, site, null],
    [
      "a code of one more person",
      { ...site, credentials: site.credentials.filter(({ id }) => id !== "alice-code") },
      site,
      null,
    ],
    ["a suspension that is over", withCredential(site, "alice-code", { state: "disabled" }), site, "lock-out"],
    ["another code for who is there", withCredential(site, "alice-code", { digits: "1111111" }), site, "lock-out"],
    [
      "a stay that was prolonged after its end",
      withCredential(site, "alice-app", { until: after(day / 2) }),
      site,
      "lock-out",
    ],
    ["a stay that is prolonged in time", withCredential(site, "alice-app", { until: after(2 * day) }), site, null],
    ["a new keycard", site, withCard(site), "keycard"],
    [
      "another keycard under the same name",
      withCredential(withCard(site), "alice-card", { token: "04eeeeee" }),
      withCard(site),
      "keycard",
    ],
    [
      "a keycard that was lost and found",
      withCredential(withCard(site), "alice-card", { state: "lost" }),
      withCard(site),
      "lock-out",
    ],
  ])("[M16] %s", (_what, before, now, expected) => {
    expect(urgency(before, now)).toBe(expected);
  });

  it("[M16] the most urgent reason is said: kept out, let in, waiting", () => {
    const lockedOut = withCredential(site, "alice-code", { state: "disabled" });
    expect(urgency(lockedOut, withCard(site), true)).toBe("lock-out");
    expect(urgency(site, withCard(site), true)).toBe("revocation");
    expect(urgency(site, site, true)).toBe("revocation");
    expect(urgencyOf(undefined, policy(withCard(site)), false)).toBeNull();
    expect(urgencyOf(undefined, policy(site), true)).toBe("revocation");
  });

  it("[M16] [J7] a class whose lease has ended there is locked out, as soon as something newer lets it go on", () => {
    const leased = (leaseEnd: object, options: object = {}) => ({ ...policy(site, options), leaseEnd });
    const newest = (leaseEnd: object) => leased(leaseEnd, { version: 2, now: after(day) });
    expect(urgencyOf(leased({ code: after(day) }), newest({ code: after(9 * day) }), false)).toBe("lock-out");
    expect(urgencyOf(leased({ code: after(day) }), newest({}), false)).toBe("lock-out");
    expect(urgencyOf(leased({ code: after(day) }), newest({ code: after(day) }), false)).toBeNull();
    expect(urgencyOf(leased({ code: after(2 * day) }), newest({ code: after(9 * day) }), false)).toBeNull();
  });
});

describe("by when a lock is visited again", () => {
  it("[J8] half of the shortest lease of the policy, and nothing where there is none", () => {
    const hintsOf = (leaseEnd: object) => {
      const made = { ...policy(site), leaseEnd };
      const lists = {
        former: [],
        behind: [],
        revocations: [],
        confirmedRevocations: [],
        formerCodes: [],
        epochStarts: [],
      };
      return scheduleHints({ epoch: 1, version: 1, bundle: encodePolicy(made), notAfter: after(day), ...lists });
    };
    expect(hintsOf({ app: after(6 * day), code: after(2 * day) })).toEqual({ urgent: null, visitBy: after(day) });
    expect(hintsOf({})).toEqual({ urgent: null, visitBy: null });
  });
});

function desired(cloud: TestCloud, device = "lobby-lock") {
  const message = desiredOfLock(cloud.authority, deviceId(device), noLockWords);
  const read = parsePayload(lockDesiredSchema, utf8(message?.payload ?? ""));
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}

describe("what the authority tells a courier's schedule", () => {
  it("[M16] a revocation is urgent until the lock itself reported the version that knows it", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    expect(desired(cloud)).toMatchObject({ urgent: null, visitBy: null, policy: { version: 1 } });
    cloud.authority.confirmPolicy("lobby-lock", { epoch: 1, version: 1 });
    cloud.authority.revoke("bob");
    expect(desired(cloud)).toMatchObject({ urgent: "revocation", policy: { version: 2 } });
    cloud.authority.confirmPolicy("lobby-lock", { epoch: 1, version: 1 });
    expect(desired(cloud).urgent).toBe("revocation");
    cloud.authority.confirmPolicy("lobby-lock", { epoch: 1, version: 2 });
    expect(desired(cloud).urgent).toBeNull();
  });
});

describe("what the manager sees of a lock", () => {
  const word = (state: SyncWord["state"], why: string | null): SyncWord => ({
    state,
    why,
    since: noon,
    desired: { epoch: 1, version: 1 },
    reported: null,
    heardAt: null,
  });

  function say(cloud: TestCloud, sync: SyncWord): void {
    const device = deviceId("lobby-lock");
    const nothing = { battery: null, firmware: null, firmwareVerdict: null, clock: null, lastSyncAt: null };
    const health = { v: 1, device, ...nothing, uptimeSeconds: null, bootCount: null, at: noon, sync };
    const topic = { site: "maple-court", device, channel: "health" } as const;
    const payload = utf8(JSON.stringify(healthSchema.parse(health)));
    if (!cloud.intake.receive(gateway, topic, payload)) throw new Error("the health was refused");
  }

  it("[M17] the gateway's word, and its age; that it is in sync only the lock's own report says", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const seen = () => deviceRows(cloud).find(({ device }) => device === "lobby-lock")?.sync;
    expect(seen()).toMatchObject({ state: "pending", why: null, reported: null, saidAgeSeconds: null });
    for (const [state, why] of [
      ["out-of-range", "not-heard"],
      ["stale", "half-lease-past"],
      ["refused", "refused"],
      ["unconfirmed", "no-report-after-policy"],
      ["syncing", "visit"],
      ["pending", "keycard"],
    ] as const) {
      say(cloud, word(state, why));
      expect(seen()).toMatchObject({ state, why, since: noon, saidAgeSeconds: 0 });
    }
    say(cloud, word("in-sync", null));
    expect(seen()).toMatchObject({ state: "pending", why: null, saidAgeSeconds: null });
    const topic = { site: "maple-court", device: lock.device, channel: "reported" } as const;
    expect(cloud.intake.receive(gateway, topic, utf8(JSON.stringify(lock.report(1))))).toBe(true);
    expect(seen()).toMatchObject({ state: "in-sync", saidAgeSeconds: 0, reported: { version: 1 } });
    for (const state of ["pending", "unconfirmed"] as const) {
      say(cloud, word(state, "newer-policy"));
      expect(seen()).toMatchObject({ state: "in-sync", why: null, saidAgeSeconds: null });
    }
    say(cloud, word("stale", "half-lease-past"));
    expect(seen()).toMatchObject({ state: "stale", why: "half-lease-past" });
  });
});
