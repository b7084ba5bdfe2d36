/**
 * `decide` on the largest policy a lock can hold, beside casbin on an equivalent model in the same run.
 *
 * casbin is given what it is made for: roles for access groups, one policy line for each group, and our own calendar as functions, so
 * that the comparison is about deciding and not about time zones. It is told who asks, in every figure.
 *
 * Every target is about one thing: decisions as a lock makes them, two of five by app, two by code, one by card. For an app `decide` is
 * told who asks; for a code or a card it first has to find out whose it is, by a keyed hash. What each of the three costs alone stands
 * beside casbin too, for information.
 */
import { newEnforcer, newModelFromString } from "casbin";
import type { Attempt, LockState } from "../../protocol/access/attempt.ts";
import { civilSeconds, closingHoliday, isHoliday, offsetAt, scheduleCovers } from "../../protocol/access/calendar.ts";
import { decide } from "../../protocol/access/decide.ts";
import { encodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import { assert } from "../../protocol/base/result.ts";
import { localDay, parseDeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { compileLockPolicy } from "../../protocol/site/compile-lock-policy.ts";
import { type Site, weekdays } from "../../protocol/site/site.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure } from "./result.ts";

const attemptCount = 1_000;
const start = unixSeconds(Date.UTC(2026, 10, 24, 17) / 1_000);
const codeHashKey = new Uint8Array(32).fill(3);
const sizes = { small: 50, large: 5_000, schedules: 200, holidays: 64 };

/** Runs everything; `quick` takes fewer rounds, for CI. */
export async function benchDecide(options: BenchOptions): Promise<BenchResult> {
  const rounds = options.quick ? 5 : 15;
  const site = siteOf(sizes.large);
  const large = compiled(site);
  const small = compiled(siteOf(sizes.small));
  const apps = { large: attemptsOf("app", sizes.large), small: attemptsOf("app", sizes.small) };
  const codes = attemptsOf("code", sizes.large);
  const cards = attemptsOf("card", sizes.large);
  const mixed = { large: mixedAttempts(sizes.large), small: mixedAttempts(sizes.small) };
  const casbin = await casbinDecider(site, large);
  checkAgreement(large, casbin);
  const rates = { mix: 0, smallMix: 0, app: 0, smallApp: 0, code: 0, card: 0, casbin: 0 };
  let compileSeconds = Number.POSITIVE_INFINITY;
  let bytes = 0;
  // Interleaved and the best of each: what else the machine does falls on all alike, and only the least disturbed round counts.
  for (let round = 0; round < rounds; round++) {
    rates.app = Math.max(rates.app, decisionsPerSecond(large, apps.large, 40_000));
    rates.smallApp = Math.max(rates.smallApp, decisionsPerSecond(small, apps.small, 40_000));
    rates.mix = Math.max(rates.mix, decisionsPerSecond(large, mixed.large, 15_000));
    rates.smallMix = Math.max(rates.smallMix, decisionsPerSecond(small, mixed.small, 15_000));
    rates.casbin = Math.max(rates.casbin, perSecond(options.quick ? 40 : 100, casbin.enforceAt));
    rates.code = Math.max(rates.code, decisionsPerSecond(large, codes, 10_000));
    rates.card = Math.max(rates.card, decisionsPerSecond(large, cards, 10_000));
    // Several in a round: an authority compiles again and again, and 15 in all would measure the compiler of JavaScript.
    for (let again = 0; again < 4; again++) {
      const began = performance.now();
      bytes = encodePolicy(compiledPolicy(site)).length;
      compileSeconds = Math.min(compileSeconds, (performance.now() - began) / 1_000);
    }
  }
  return benchResult("decide", figuresOf(rates, compileSeconds, bytes));
}

type Rates = Readonly<Record<"mix" | "smallMix" | "app" | "smallApp" | "code" | "card" | "casbin", number>>;

function figuresOf(rates: Rates, compileSeconds: number, bytes: number): readonly Figure[] {
  const casbin = { name: "casbin enforceSync", value: Math.round(rates.casbin) };
  const besideCasbin = (rate: number) => ({
    value: Math.round(rate),
    unit: "decisions/s",
    anchor: casbin,
    ratio: rounded(rate / rates.casbin),
  });
  const besideSmall = (large: number, small: number) => ({
    value: Math.round(large),
    unit: "decisions/s",
    anchor: { name: "50 credentials", value: Math.round(small) },
    ratio: rounded(large / small),
  });
  const compileDecisions = compileSeconds * rates.mix;
  return [
    {
      id: "decisions-5000",
      ...besideCasbin(rates.mix),
      target: "ratio >= 100",
      holds: rates.mix / rates.casbin >= 100,
    },
    { id: "app-decisions", ...besideCasbin(rates.app) },
    { id: "code-decisions", ...besideCasbin(rates.code) },
    { id: "card-decisions", ...besideCasbin(rates.card) },
    {
      id: "flat-50-to-5000",
      ...besideSmall(rates.mix, rates.smallMix),
      target: "ratio >= 0.8",
      holds: rates.mix / rates.smallMix >= 0.8,
    },
    // Information: a decision of a quarter of a microsecond shows the latency of the machine's memory before anything of ours.
    { id: "flat-app-50-to-5000", ...besideSmall(rates.app, rates.smallApp) },
    {
      id: "compile-and-encode",
      value: rounded(compileSeconds * 1_000),
      unit: "ms",
      anchor: { name: "25,000 decisions (ms)", value: rounded((25_000 / rates.mix) * 1_000) },
      ratio: rounded(compileDecisions / 25_000),
      target: "ratio <= 1",
      holds: compileDecisions <= 25_000,
    },
    { id: "encoded-size", value: bytes, unit: "bytes" },
  ];
}

function decisionsPerSecond(policy: IndexedPolicy, attempts: readonly Attempt[], count: number): number {
  let granted = 0;
  const rate = perSecond(count, (index) => {
    const attempt = attempts[index % attempts.length];
    assert(attempt !== undefined, "there are attempts");
    if (decide(policy, state, attempt, timeOf(index)).granted) granted++;
  });
  assert(granted > 0, "some of the attempts open");
  return rate;
}

function perSecond(count: number, run: (index: number) => void): number {
  const began = performance.now();
  for (let index = 0; index < count; index++) run(index);
  return (count / (performance.now() - began)) * 1_000;
}

/** Hours of two weeks, so that schedules and holidays are asked and answered both ways. */
function timeOf(index: number): UnixSeconds {
  return unixSeconds(start + (index % 336) * 3_600);
}

type Presented = "app" | "code" | "card";

/**
 * As many attempts for every site, each an object of its own, by the people of a site with so many credentials: what differs between a
 * small and a large policy is then the policy, not the list of questions.
 */
function attemptsOf(kind: Presented, credentials: number): readonly Attempt[] {
  return Array.from({ length: attemptCount }, (_, index) => attemptOf(kind, index % (credentials / 5)));
}

function mixedAttempts(credentials: number): readonly Attempt[] {
  const kinds: readonly Presented[] = ["app", "code", "app", "code", "card"];
  return Array.from({ length: attemptCount }, (_, index) =>
    attemptOf(kinds[index % kinds.length] ?? "app", index % (credentials / 5)),
  );
}

function attemptOf(kind: Presented, person: number): Attempt {
  if (kind === "code") return { kind: "code", digits: String(1_000_000 + person) };
  if (kind === "card") return { kind: "token", tokenKind: "keycard", value: cardNumber(person), authentic: true };
  const certificate = { issuedAt: start, notAfter: unixSeconds(start + 72 * 3_600) };
  return { kind: "app", credentialId: `app-${person}`, certificate };
}

function cardNumber(index: number): string {
  return index.toString(16).padStart(14, "0");
}

interface CasbinDecider {
  readonly enforceAt: (index: number) => void;
  readonly allows: (credentialId: string, at: UnixSeconds) => boolean;
}

async function casbinDecider(site: Site, { policy, schedules }: IndexedPolicy): Promise<CasbinDecider> {
  const enforcer = await newEnforcer(newModelFromString(casbinModel));
  enforcer.addFunction("open", (schedule: string, observes: string, at: UnixSeconds) => {
    const civil = civilSeconds(at, offsetAt(policy.zone, at) ?? Number.NaN);
    if (observes === "yes" && isHoliday(policy.holidays, civil))
      return closingHoliday(policy.holidays, civil) === undefined;
    const found = schedules[Number(schedule)];
    return found !== undefined && scheduleCovers(found, at, civil);
  });
  const lines = site.accessGroups.map(({ id, observesHolidays }, index) => [
    id,
    "door",
    String(index),
    observesHolidays ? "yes" : "no",
  ]);
  await enforcer.addPolicies(lines);
  const groupByPerson = new Map(site.accessGroups.flatMap(({ id, members }) => members.map((person) => [person, id])));
  const roles = site.credentials.map(({ id, person }) => [id, groupByPerson.get(person ?? "") ?? "nobody"]);
  await enforcer.addGroupingPolicies(roles);
  const allows = (credentialId: string, at: UnixSeconds): boolean => enforcer.enforceSync(credentialId, "door", at);
  return { allows, enforceAt: (index) => void allows(`app-${(index * 37) % 1_000}`, timeOf(index)) };
}

/** Both must say the same, or the comparison compares nothing. */
function checkAgreement(policy: IndexedPolicy, casbin: CasbinDecider): void {
  for (let index = 0; index < 60; index++) {
    const credentialId = `app-${(index * 41) % 1_000}`;
    const now = timeOf(index * 7);
    const certificate = { issuedAt: now, notAfter: unixSeconds(now + 60) };
    const ours = decide(policy, state, { kind: "app", credentialId, certificate }, now).granted;
    assert(ours === casbin.allows(credentialId, now), `decide and casbin agree on ${credentialId}`);
  }
}

const casbinModel = `
[request_definition]
r = sub, obj, at
[policy_definition]
p = sub, obj, schedule, observes
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && g(r.sub, p.sub) && open(p.schedule, p.observes, r.at)
`;

function compiled(site: Site): IndexedPolicy {
  return indexPolicy(compiledPolicy(site));
}

function compiledPolicy(site: Site): LockPolicy {
  const policy = compileLockPolicy(site, "lock", { epoch: 1, version: 1, now: start, codeHashKey });
  assert(policy.ok, "the bench's site compiles");
  return policy.value;
}

/** A fifth of the credentials are apps; people are spread over as many groups as there are schedules. */
function siteOf(credentials: number): Site {
  const people = Array.from({ length: credentials / 5 }, (_, index) => ({
    id: `person-${index}`,
    name: `${index}`,
    email: `p${index}@example.org`,
    role: "RESIDENT" as const,
    showInIntercom: true,
  }));
  const deviceId = parseDeviceId("lock");
  assert(deviceId !== undefined, "the device has a name");
  const device = { id: deviceId, name: "lock", model: "R2", door: "door", serial: "1", state: "active" } as const;
  return {
    id: "bench",
    name: "Bench",
    timeZone: "America/New_York",
    doorcodeDigits: 7,
    propertyManager: { name: "M" },
    guessing: { bound: 1, triesAtOnce: 10, refillSeconds: 4_320 },
    holidays: holidays(),
    doors: [
      {
        id: "door",
        name: "Door",
        kind: "COMMUNAL",
        licence: { kind: "never-activated" },
        dailySlots: { singleUse: 28, allDay: 4 },
      },
    ],
    devices: [device],
    panels: [],
    units: [],
    people,
    userGroups: [],
    accessGroups: Array.from({ length: sizes.schedules }, (_, index) => ({
      id: `group-${index}`,
      name: `${index}`,
      doors: ["door"],
      members: people.filter((_person, at) => at % sizes.schedules === index).map(({ id }) => id),
      userGroups: [],
      schedule: `schedule-${index}`,
      observesHolidays: index % 3 !== 0,
    })),
    schedules: siteSchedules(),
    credentials: people.flatMap(({ id }, index) => credentialsOf(id, index)),
  };
}

function holidays(): Site["holidays"] {
  return Array.from({ length: sizes.holidays }, (_, index) => ({
    id: `holiday-${index}`,
    name: `${index}`,
    fromDay: localDay(20_782 + index * 5),
    toDay: localDay(20_782 + index * 5),
    workingHours: index % 2 === 0 ? [] : [{ fromMinute: 600, toMinute: 840 }],
  }));
}

function siteSchedules(): Site["schedules"] {
  return Array.from({ length: sizes.schedules }, (_, index) => ({
    id: `schedule-${index}`,
    name: `${index}`,
    weekly: [
      { days: weekdays.slice(0, 5), fromMinute: 300 + index, toMinute: 1_080 + index },
      { days: weekdays.slice(5), fromMinute: 600, toMinute: 700 + index },
    ],
    dated: [],
  }));
}

/** Five of each: two apps, a code, a card and one that was lost. */
function credentialsOf(person: string, index: number): Site["credentials"] {
  return [
    { id: `app-${index}`, kind: "app-key", person, state: "active" } as const,
    {
      id: `code-${index}`,
      kind: "permanent-doorcode",
      person,
      state: "active",
      digits: String(1_000_000 + index),
    } as const,
    { id: `card-${index}`, kind: "keycard", person, state: "active", token: cardNumber(index) } as const,
    { id: `spare-${index}`, kind: "keycard", person, state: "lost", token: cardNumber(100_000 + index) } as const,
    {
      id: `second-${index}`,
      kind: "app-key",
      person,
      state: "active",
      until: unixSeconds(start + 86_400),
    } as const,
  ];
}

const state: LockState = {
  clock: { quality: "set", highWater: start, poweredSecondsUnset: 0 },
  codeKey: codeHashKey,
  entryTagKey: codeHashKey,
  dailyKeys: [],
  usedSlots: new Set(),
  usesSpent: new Map(),
  keypadLockedOut: false,
  battery: "wired",
};

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
