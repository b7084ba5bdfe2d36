import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Attempt } from "../../../protocol/access/attempt.ts";
import { decide } from "../../../protocol/access/decide.ts";
import { decodePolicy, encodePolicy } from "../../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../../protocol/access/policy-index.ts";
import { type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import type { AccessGroup, Site, SiteCredential } from "../../../protocol/site/site.ts";
import { lockState, policyOf, start } from "./fixtures.ts";
import { generatedDevices, generateSite, type Sizes, seeded } from "./site-generator.ts";
import { siteReasons } from "./site-reference.ts";

const small: Sizes = { people: 6, credentials: 16, groups: 5, schedules: 3, holidays: 2 };
const anySeed = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe("a compiled policy", () => {
  it("[P7] [D1] decides as the site model does: small sites", { timeout: 60_000 }, () => {
    let opened = 0;
    fc.assert(
      fc.property(anySeed, (seed) => {
        opened += compareSite(seed, small, 3, 16);
      }),
      { numRuns: 150 },
    );
    expect(opened).toBeGreaterThan(50);
  });

  it.each([
    [20_261_120, 50],
    [3, 500],
    [77, 5_000],
  ])("[P7] [D1] decides as the site model does: seed %i, %i credentials", { timeout: 60_000 }, (seed, credentials) => {
    const sizes = { people: Math.ceil(credentials / 4), credentials, groups: 40, schedules: 30, holidays: 12 };
    expect(compareSite(seed, sizes, 2, 40)).toBeGreaterThan(0);
  });

  it("[P1] survives its encoding: the decoded policy decides alike", () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        const random = seeded(seed);
        const site = generateSite(random, small, start);
        for (const device of generatedDevices) {
          const compiled = policyOf(site, device);
          const bytes = encodePolicy(compiled.policy);
          const read = decodePolicy(bytes);
          if (!read.ok) throw new Error(JSON.stringify(read.fault));
          expect(read.value).toEqual(compiled.policy);
          const now = unixSeconds(start + random(400_000));
          for (const credential of site.credentials) {
            const attempt = attemptOf(credential, now);
            if (attempt === undefined) continue;
            const state = stateAt(now);
            expect(decide(indexPolicy(read.value), state, attempt, now)).toEqual(decide(compiled, state, attempt, now));
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it("[P2] [D1] decides on every policy whose bytes parse, whatever was changed in them", { timeout: 60_000 }, () => {
    const site = generateSite(seeded(5), { ...small, credentials: 8 }, start);
    const bytes = generatedDevices.map((device) => encodePolicy(policyOf(site, device).policy));
    let parsed = 0;
    fc.assert(
      fc.property(fc.nat(3), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), (which, changes) => {
        const changed = new Uint8Array(bytes[which] ?? []);
        for (const [at, byte] of changes) changed[at % changed.length] = byte;
        const read = decodePolicy(changed);
        if (!read.ok) return;
        parsed++;
        const index = indexPolicy(read.value);
        for (const credential of site.credentials) {
          const attempt = attemptOf(credential, start);
          if (attempt !== undefined) decide(index, stateAt(start), attempt, start);
        }
        decide(index, stateAt(start), { kind: "code", digits: "0000000" }, start);
      }),
      { numRuns: 1_500 },
    );
    expect(parsed).toBeGreaterThan(200);
  });
});

describe("more and fewer rights", () => {
  it("[D10] a right more never denies more, a right fewer never grants more", { timeout: 60_000 }, () => {
    let changed = 0;
    fc.assert(
      fc.property(anySeed, fc.nat(), (seed, which) => {
        const random = seeded(seed);
        const site = generateSite(random, small, start);
        const now = unixSeconds(start + random(600_000));
        const wider = widened(site, which);
        for (const device of generatedDevices) {
          const before = grantedIds(policyOf(site, device), site, now);
          const after = grantedIds(policyOf(wider, device), wider, now);
          for (const id of before) expect(after, `${seed} ${which}`).toContain(id);
          if (after.length > before.length) changed++;
        }
      }),
      { numRuns: 150 },
    );
    expect(changed).toBeGreaterThan(5);
  });
});

/** Compares `samples` credentials at `times` instants on every device; gives how often a door opened. */
function compareSite(seed: number, sizes: Sizes, times: number, samples: number): number {
  const random = seeded(seed);
  const site = generateSite(random, sizes, start);
  let opened = 0;
  for (const device of generatedDevices) {
    const policy = policyOf(site, device);
    for (let round = 0; round < times; round++) {
      // Not before it was compiled: what had come by then is in it as a state, without its time.
      const now = unixSeconds(start + random(600_000));
      for (let sample = 0; sample < samples; sample++) {
        const credential = site.credentials[sizes.credentials === samples ? sample : random(sizes.credentials)];
        const attempt = credential === undefined ? undefined : attemptOf(credential, now);
        if (credential === undefined || attempt === undefined) continue;
        const decided = decide(policy, stateAt(now), attempt, now);
        if (decided.granted) opened++;
        const expected = expectedReasons(site, device, credential, now);
        const said = [...decided.failedChecks].sort();
        if (said.join() !== expected.join())
          expect([seed, device, credential.id, now, said]).toEqual([seed, device, credential.id, now, expected]);
      }
    }
  }
  return opened;
}

function expectedReasons(site: Site, device: string, credential: SiteCredential, now: UnixSeconds): readonly string[] {
  const reasons = new Set(siteReasons(site, device, credential.id, now));
  if (reasons.delete("not read")) {
    // What a device cannot read it does not hold: a keypad says unknown, a reader without that sense says so.
    const reads = attemptIsRead(device, credential);
    reasons.add(reads ? "CREDENTIAL_UNKNOWN" : "CREDENTIAL_NOT_SUPPORTED");
  }
  return [...reasons].sort();
}

function attemptIsRead(device: string, credential: SiteCredential): boolean {
  if (credential.digits !== undefined || credential.kind === "app-key") return true;
  const readable: Readonly<Record<string, readonly string[]>> = {
    "lock-c2": ["keycard"],
    "lock-m2": ["keycard"],
    "lock-r2": ["keycard"],
    "reader-r29": ["keycard", "rf-card", "qr", "face"],
  };
  return readable[device]?.includes(credential.kind) ?? false;
}

function grantedIds(policy: IndexedPolicy, site: Site, now: UnixSeconds): readonly string[] {
  return site.credentials.flatMap((credential) => {
    const attempt = attemptOf(credential, now);
    return attempt !== undefined && decide(policy, stateAt(now), attempt, now).granted ? [credential.id] : [];
  });
}

/** One right more: a membership, a window, an hour of a holiday, a longer licence, an end taken away, a state made active. */
function widened(site: Site, which: number): Site {
  const at = <Item>(items: readonly Item[], change: (item: Item) => Item): readonly Item[] =>
    items.map((item, index) => (items.length > 0 && index === which % items.length ? change(item) : item));
  const everyone = site.people.map(({ id }) => id);
  const wider: readonly (() => Site)[] = [
    () => ({ ...site, accessGroups: at(site.accessGroups, (group) => ({ ...group, members: everyone })) }),
    () => ({ ...site, accessGroups: at(site.accessGroups, ({ schedule: _, ...group }) => group) }),
    () => ({ ...site, accessGroups: at(site.accessGroups, ({ from: _, until: __, ...group }) => group) }),
    () => ({
      ...site,
      accessGroups: at(site.accessGroups, (group) => ({ ...group, doors: ["front", "garage", "home"] })),
    }),
    () => ({ ...site, accessGroups: [...site.accessGroups, addedGroup(everyone)] }),
    () => ({
      ...site,
      schedules: at(site.schedules, (schedule) => ({
        ...schedule,
        weekly: [...schedule.weekly, { days: ["mon", "tue", "sat"], fromMinute: 300, toMinute: 1_200 }],
      })),
    }),
    () => ({
      ...site,
      holidays: at(site.holidays, (holiday) => ({ ...holiday, workingHours: [{ fromMinute: 0, toMinute: 1_440 }] })),
    }),
    () => ({ ...site, credentials: at(site.credentials, ({ from: _, until: __, ...credential }) => credential) }),
    () => ({ ...site, credentials: at(site.credentials, (credential) => ({ ...credential, state: "active" })) }),
    () => ({ ...site, people: at(site.people, ({ revokedAt: _, ...person }) => person) }),
    () => ({
      ...site,
      doors: at(site.doors, (door) => ({
        ...door,
        company: "co",
        licence: { kind: "dated", from: unixSeconds(0), until: unixSeconds(4_000_000_000) },
      })),
    }),
  ];
  return (wider[which % wider.length] ?? (() => site))();
}

function addedGroup(members: readonly string[]): AccessGroup {
  return {
    id: "added",
    name: "A",
    doors: ["front", "garage", "home"],
    members,
    userGroups: [],
    observesHolidays: false,
  };
}

function attemptOf(credential: SiteCredential, now: UnixSeconds): Attempt | undefined {
  const { id, kind, digits, token } = credential;
  if (digits !== undefined) return { kind: "code", digits };
  if (kind === "app-key") {
    return { kind: "app", credentialId: id, certificate: { issuedAt: now, notAfter: unixSeconds(now + 60) } };
  }
  if (token === undefined) return undefined;
  if (kind === "keycard" || kind === "rf-card" || kind === "qr" || kind === "face" || kind === "licence-plate") {
    return { kind: "token", tokenKind: kind, value: token, authentic: true };
  }
  return undefined;
}

/** A lock without daily keys: generated codes must not be taken for daily ones by chance. */
function stateAt(now: UnixSeconds) {
  return lockState({ clock: { quality: "set", highWater: now, poweredSecondsUnset: 0 }, dailyKeys: [] });
}
