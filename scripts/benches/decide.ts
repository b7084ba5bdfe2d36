/**
 * `decide` on the largest policy a lock can hold, beside casbin on an equivalent model in the same run.
 *
 * casbin is given what it is made for: roles for access groups, one policy line for each group, and our own calendar as functions, so
 * that the comparison is about deciding and not about time zones. It is told who asks, in every figure. For an app `decide` is told so
 * too; for a code or a card it first has to find out whose it is, by a keyed hash, and that hash is part of what is measured.
 *
 * The mix is decisions as a lock makes them: two of five by app, two by code, one by card. What each of the three costs alone has the
 * same target; daily codes and codes that nobody has stand there for information.
 *
 * Everything is measured in short rounds, one after the other. What is compared is compared within a round, and the ratio is the middle one
 * of all rounds. Time is this process's own on the processor, its garbage collector's with it: a second is a second of one core, however
 * busy the machine is.
 */
import { newEnforcer, newModelFromString } from "casbin";
import type { Attempt, LockState } from "../../protocol/access/attempt.ts";
import {
  civilDay,
  civilSeconds,
  closingHoliday,
  isHoliday,
  offsetAt,
  scheduleCovers,
} from "../../protocol/access/calendar.ts";
import { decide } from "../../protocol/access/decide.ts";
import { encodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import { assert } from "../../protocol/base/result.ts";
import { localDay, parseDeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { dailyCodes } from "../../protocol/doorcode/daily-code.ts";
import { compileLockPolicy } from "../../protocol/site/compile-lock-policy.ts";
import { type Site, weekdays } from "../../protocol/site/site.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure } from "./result.ts";

const attemptCount = 1_000;
/** Two weeks. */
const hours = 336;
const start = unixSeconds(Date.UTC(2026, 10, 24, 17) / 1_000);
const codeHashKey = new Uint8Array(32).fill(3);
const dailyKey = new Uint8Array(32).fill(4);
const sizes = { small: 50, large: 5_000, schedules: 200, holidays: 64 };

/** Runs everything; `quick` takes fewer rounds, for CI. */
export async function benchDecide(options: BenchOptions): Promise<BenchResult> {
  const site = siteOf(sizes.large);
  const large = compiled(site);
  const small = compiled(siteOf(sizes.small));
  const casbin = await casbinDecider(site, large);
  checkAgreement(large, casbin);
  const decideAll = (policy: IndexedPolicy, attempts: readonly Attempt[], count: number) => () =>
    decisionsPerSecond(policy, attempts, count);
  let bytes = 0;
  const compileAndEncode = (): number => {
    const began = processorMs();
    bytes = encodePolicy(compiledPolicy(site)).length;
    return 1_000 / (processorMs() - began);
  };
  const perSecondByName = measured(options.quick ? 7 : 31, {
    mix: decideAll(large, mixedAttempts(sizes.large), 4_000),
    smallMix: decideAll(small, mixedAttempts(sizes.small), 4_000),
    casbin: () => perSecond(20, casbin.enforceAt),
    app: decideAll(large, attemptsOf("app", sizes.large), 12_000),
    smallApp: decideAll(small, attemptsOf("app", sizes.small), 12_000),
    code: decideAll(large, attemptsOf("code", sizes.large), 4_000),
    card: decideAll(large, attemptsOf("card", sizes.large), 4_000),
    daily: decideAll(large, dailyAttempts(large), 2_000),
    unknown: () => perSecond(2_000, (index) => void decide(large, state, unknownCode(index), timeOf(index))),
    compile: compileAndEncode,
  });
  return benchResult("decide", figuresOf(perSecondByName, bytes));
}

type Measured = "mix" | "smallMix" | "casbin" | "app" | "smallApp" | "code" | "card" | "daily" | "unknown" | "compile";
/** How many a second, once for each round. */
type Rates = ReadonlyMap<Measured, readonly number[]>;

function measured(rounds: number, runs: Readonly<Record<Measured, () => number>>): Rates {
  const all = Object.entries(runs).map(([name, run]) => ({ name: name as Measured, run, rates: [] as number[] }));
  for (let round = -warmUpRounds; round < rounds; round++) {
    // There and back again, so that nothing always comes after the same neighbour.
    for (const { run, rates } of round % 2 === 0 ? all : all.toReversed()) {
      const rate = Math.max(...Array.from({ length: slices }, run));
      if (round >= 0) rates.push(rate);
    }
  }
  return new Map(all.map(({ name, rates }) => [name, rates]));
}

/** The best of so many counts: after each turn of a neighbour on the processor, memory has to be fetched again, and most by what is largest. */
const slices = 4;
/** The compiler of JavaScript is done with everything after so many. */
const warmUpRounds = 8;

function figuresOf(rates: Rates, bytes: number): readonly Figure[] {
  const beside = (name: Measured, other: Measured, otherName: string, wanted?: number): Omit<Figure, "id"> => {
    const ratio = middleRatio(rates, name, other);
    return {
      value: Math.round(middleRate(rates, name)),
      unit: "decisions/s",
      anchor: { name: otherName, value: Math.round(middleRate(rates, other)) },
      ratio: rounded(ratio),
      ...(wanted === undefined ? {} : { target: `ratio >= ${wanted}`, holds: ratio >= wanted }),
    };
  };
  const casbin = "casbin enforceSync";
  const milliseconds = rounded(1_000 / middleRate(rates, "compile"));
  const decisionsIn = middleRatio(rates, "mix", "compile");
  return [
    { id: "decisions-5000", ...beside("mix", "casbin", casbin, 100) },
    { id: "app-decisions", ...beside("app", "casbin", casbin, 100) },
    { id: "code-decisions", ...beside("code", "casbin", casbin, 100) },
    { id: "card-decisions", ...beside("card", "casbin", casbin, 100) },
    { id: "daily-code-decisions", ...beside("daily", "casbin", casbin) },
    { id: "unknown-code-decisions", ...beside("unknown", "casbin", casbin) },
    { id: "flat-50-to-5000", ...beside("mix", "smallMix", "50 credentials", 0.8) },
    // Information: a decision of a quarter of a microsecond shows the latency of the machine's memory before anything of ours.
    { id: "flat-app-50-to-5000", ...beside("app", "smallApp", "50 credentials") },
    {
      id: "compile-and-encode",
      value: milliseconds,
      unit: "ms",
      anchor: { name: "25,000 decisions (ms)", value: rounded(25_000_000 / middleRate(rates, "mix")) },
      ratio: rounded(decisionsIn / 25_000),
      target: "ratio <= 1",
      holds: decisionsIn <= 25_000,
    },
    {
      id: "compile-and-encode-beside-app",
      value: milliseconds,
      unit: "ms",
      anchor: { name: "25,000 decisions by app (ms)", value: rounded(25_000_000 / middleRate(rates, "app")) },
      ratio: rounded(middleRatio(rates, "app", "compile") / 25_000),
    },
    { id: "encoded-size", value: bytes, unit: "bytes" },
  ];
}

/** Of what was measured in the same round. */
function middleRatio(rates: Rates, name: Measured, other: Measured): number {
  const others = rates.get(other) ?? [];
  return middle((rates.get(name) ?? []).map((rate, round) => rate / (others[round] ?? Number.NaN)));
}

function middleRate(rates: Rates, name: Measured): number {
  return middle(rates.get(name) ?? []);
}

function middle(values: readonly number[]): number {
  const found = values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)];
  assert(found !== undefined, "something was measured");
  return found;
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
  const began = processorMs();
  for (let index = 0; index < count; index++) run(index);
  return (count / (processorMs() - began)) * 1_000;
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The hours of two weeks, so that schedules and holidays are asked and answered both ways. */
function timeOf(index: number): UnixSeconds {
  return unixSeconds(start + (index % hours) * 3_600);
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

/** A code of that day for each hour of `timeOf`, all slots in turn: with every 24th a day begins whose codes were not made yet. */
function dailyAttempts({ policy }: IndexedPolicy): readonly Attempt[] {
  return Array.from({ length: hours }, (_, hour) => {
    const at = timeOf(hour);
    const today = civilDay(civilSeconds(at, offsetAt(policy.zone, at) ?? Number.NaN));
    const codes = dailyCodes(dailyKey, today, policy.keypad);
    const code = codes[hour % codes.length];
    assert(code !== undefined, "the bench's door has daily codes");
    return { kind: "code", digits: code.code };
  });
}

/** Nobody's, and no daily code but by chance. */
function unknownCode(index: number): Attempt {
  return { kind: "code", digits: String(9_000_000 + (index % attemptCount)) };
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
    leaseDays: {},
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
  dailyKeys: [{ keyId: 1, key: dailyKey }],
  usedSlots: new Set(),
  usesSpent: new Map(),
  keypadLockedOut: false,
  battery: "wired",
};

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
