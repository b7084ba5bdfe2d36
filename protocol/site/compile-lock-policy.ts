/**
 * The site model -> what one lock holds (SPEC P4-P7).
 *
 * A lock that a courier must visit gets only the credentials that have a key to its door, among them the revoked, lost and stolen ones,
 * so that it can say why; a code that it does not hold cannot be read out of it. A networked reader gets every credential it can read,
 * because it must tell "no access permission" from "invalid credential" at once.
 */
import { type CredentialState, credentialKinds } from "../access/credential-kind.ts";
import { type Medium, presentationLookup } from "../access/lookup.ts";
import {
  encodePolicy,
  type Grant,
  type LockPolicy,
  type PolicyCredential,
  type PolicyHoliday,
  type PolicySchedule,
  policyLimits,
} from "../access/policy.ts";
import { equalBytes, readU32 } from "../base/bytes.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import { type DeviceModel, modelByName } from "../firmware/models.ts";
import { isRevoked } from "./rights.ts";
import type { AccessGroup, DayWindow, Door, Person, Site, SiteCredential, SiteSchedule } from "./site.ts";
import { weekdays } from "./site.ts";
import { zoneTable } from "./zone.ts";

export interface CompileOptions {
  readonly epoch: number;
  readonly version: number;
  readonly now: UnixSeconds;
  /** The device's own key for lookups: `LockState.codeKey` of that device. */
  readonly codeHashKey: Uint8Array;
  /** The key that a keycard proves; absent: cards without keys. */
  readonly cardKeyOf?: (credentialId: string) => Uint8Array | undefined;
  /** True: hold people without a key to the door as well, to say more about them than this lock could. Never for a real lock. */
  readonly holdAll?: boolean;
}

export type CompileFault =
  | { readonly code: "no-such-device"; readonly deviceId: string }
  | { readonly code: "no-such-door"; readonly doorId: string }
  | {
      readonly code: "too-many";
      readonly what: keyof typeof policyLimits;
      readonly count: number;
      readonly max: number;
    }
  /** Two credentials that are presented alike on this device; the ids, never what is presented. */
  | { readonly code: "ambiguous-credential"; readonly first: string; readonly second: string };

/** Compiles the policy of one device as of `now`. Faults: as listed. */
export function compileLockPolicy(
  site: Site,
  deviceId: string,
  options: CompileOptions,
): Result<LockPolicy, CompileFault> {
  const device = site.devices.find(({ id }) => id === deviceId);
  if (device === undefined) return failed({ code: "no-such-device", deviceId });
  const door = site.doors.find(({ id }) => id === device.door);
  if (door === undefined) return failed({ code: "no-such-door", doorId: device.door });
  const model = modelByName[device.model];
  const plan = planRights(site, door, model);
  const credentials = site.credentials
    .flatMap((credential) => compileCredential(credential, plan, options))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
  const policy: LockPolicy = {
    siteId: site.id,
    deviceId: device.id,
    doorId: door.id,
    epoch: options.epoch,
    version: options.version,
    issuedAt: options.now,
    model: model.name,
    takes: credentialKinds.filter((kind) => kind !== "mechanical-key" && model.takes.includes(kind)),
    keypad: keypadRules(site, door, model),
    ...(model.hasLicences ? { licence: door.licence } : {}),
    doorAssigned: door.company !== undefined || !model.hasLicences,
    leaseEnd: leaseEnds(site, options.now),
    zone: zoneTable(site.timeZone, unixSeconds(Math.max(0, options.now - zoneSecondsBefore)), options.now),
    schedules: plan.schedules.map(compileSchedule),
    holidays: compileHolidays(site, door),
    rights: plan.rights,
    credentials,
  };
  const fault =
    limitFault(policy) ?? ambiguityFault(credentials) ?? (options.holdAll === true ? undefined : sizeFault(policy));
  return fault === undefined ? ok(policy) : failed(fault);
}

/** The rights at one door, gathered once: what each person has, each list once. */
interface RightsPlan {
  readonly door: Door;
  readonly model: DeviceModel;
  readonly schedules: readonly SiteSchedule[];
  readonly rights: readonly (readonly Grant[])[];
  readonly personById: ReadonlyMap<string, Person>;
  /** Index into `rights`; absent: no key. */
  readonly rightsByPerson: ReadonlyMap<string, number>;
}

function planRights(site: Site, door: Door, model: DeviceModel): RightsPlan {
  const groups = site.accessGroups.filter(({ doors }) => doors.includes(door.id));
  const usedIds = new Set(groups.map(({ schedule }) => schedule));
  const schedules = site.schedules.filter(({ id }) => usedIds.has(id));
  const indexById = new Map(schedules.map(({ id }, index) => [id, index]));
  const grantsByPerson = new Map<string, Map<string, Grant>>();
  const membersById = new Map(site.userGroups.map(({ id, members }) => [id, members]));
  for (const group of groups) {
    const grant = grantOf(group, indexById);
    const name = grantName(grant);
    const inherited = group.userGroups.flatMap((id) => membersById.get(id) ?? []);
    for (const person of [...group.members, ...inherited]) {
      const grants = grantsByPerson.get(person) ?? new Map<string, Grant>();
      grantsByPerson.set(person, grants.set(name, grant));
    }
  }
  // The first list is for those without a key, so that "no rights" has one form.
  const rights: (readonly Grant[])[] = [[]];
  const indexByName = new Map<string, number>([["", 0]]);
  const rightsByPerson = new Map<string, number>();
  for (const [person, grants] of grantsByPerson) {
    const names = [...grants.keys()].sort();
    const name = names.join(" ");
    const known = indexByName.get(name);
    const index = known ?? rights.length;
    if (known === undefined) {
      indexByName.set(name, index);
      rights.push(names.flatMap((one) => grants.get(one) ?? []));
    }
    rightsByPerson.set(person, index);
  }
  const personById = new Map(site.people.map((person) => [person.id, person]));
  return { door, model, schedules, rights, personById, rightsByPerson };
}

function grantOf(group: AccessGroup, indexById: ReadonlyMap<string, number>): Grant {
  const { schedule, observesHolidays, from, until } = group;
  const index = schedule === undefined ? undefined : indexById.get(schedule);
  return {
    ...(index === undefined ? {} : { schedule: index }),
    observesHolidays,
    ...(from === undefined ? {} : { from }),
    ...(until === undefined ? {} : { until }),
  };
}

function grantName({ schedule, observesHolidays, from, until }: Grant): string {
  return `${schedule ?? "any"}/${observesHolidays}/${from ?? ""}/${until ?? ""}`;
}

/** None or one entry: what this device need not hold is left out. */
function compileCredential(
  credential: SiteCredential,
  plan: RightsPlan,
  { codeHashKey, cardKeyOf, now, holdAll }: CompileOptions,
): readonly PolicyCredential[] {
  const { door, model } = plan;
  const { id, kind, person, doors, digits, token, from, until, usesAllowed } = credential;
  if (kind === "mechanical-key" || !model.takes.includes(kind)) return [];
  const isForDoor = doors === undefined || doors.includes(door.id);
  const rights = isForDoor && person !== undefined ? (plan.rightsByPerson.get(person) ?? 0) : 0;
  // SPEC P6: a lock without a network of its own holds nothing of those who have no key to its door.
  if (rights === 0 && model.network === "ble" && holdAll !== true) return [];
  const holder = person === undefined ? undefined : plan.personById.get(person);
  const medium = tokenMedium(kind);
  const cardKey = kind === "keycard" ? cardKeyOf?.(id) : undefined;
  return [
    {
      id,
      kind,
      state: stateOf(credential, holder, now),
      assigned: person !== undefined,
      rights,
      ...(digits === undefined ? {} : { keypadLookup: presentationLookup(codeHashKey, "keypad", digits) }),
      ...(token === undefined || medium === undefined
        ? {}
        : { tokenLookup: presentationLookup(codeHashKey, medium, token) }),
      ...(cardKey === undefined ? {} : { cardKey }),
      ...(from === undefined ? {} : { validFrom: from }),
      ...(until === undefined ? {} : { validUntil: until }),
      ...revocationAhead(holder, now),
      ...(kind === "app-key" && holder?.signedOutAt !== undefined ? { certificatesFrom: holder.signedOutAt } : {}),
      ...(usesAllowed === undefined ? {} : { usesAllowed }),
    },
  ];
}

/** A revocation that has come is a state; one that lies ahead travels with its time. */
function revocationAhead(holder: Person | undefined, now: UnixSeconds): Pick<PolicyCredential, "revokedFrom"> {
  if (holder?.revokedAt === undefined || isRevoked(holder, now)) return {};
  return { revokedFrom: holder.revokedAt };
}

function stateOf({ state }: SiteCredential, person: Person | undefined, now: UnixSeconds): CredentialState {
  // What happened to the thing itself says more than that its owner lost access.
  if (state !== "active") return state;
  return person !== undefined && isRevoked(person, now) ? "revoked" : "active";
}

function tokenMedium(kind: SiteCredential["kind"]): Medium | undefined {
  switch (kind) {
    case "keycard":
    case "rf-card":
    case "qr":
    case "face":
    case "licence-plate":
      return kind;
    case "temp-key":
      return "qr";
    default:
      return undefined;
  }
}

/** From now on: each newer policy begins the leases anew. */
function leaseEnds({ leaseDays: { app, code, keycard } }: Site, now: UnixSeconds): LockPolicy["leaseEnd"] {
  const endAfter = (days: number): UnixSeconds => unixSeconds(now + days * daySeconds);
  return {
    ...(app === undefined ? {} : { app: endAfter(app) }),
    ...(code === undefined ? {} : { code: endAfter(code) }),
    ...(keycard === undefined ? {} : { keycard: endAfter(keycard) }),
  };
}

function keypadRules(site: Site, door: Door, model: DeviceModel): LockPolicy["keypad"] {
  const daily = model.takes.includes("daily-doorcode");
  return {
    dailyDigits: site.doorcodeDigits,
    singleUseSlots: daily ? door.dailySlots.singleUse : 0,
    allDaySlots: daily ? door.dailySlots.allDay : 0,
    digitTimeoutMs: model.digitTimeoutMs ?? 0,
    deadboltRefusesDaily: model.deadboltRefusesDaily,
    triesAtOnce: site.guessing.triesAtOnce,
    refillSeconds: site.guessing.refillSeconds,
  };
}

function compileSchedule({ id, weekly, dated }: SiteSchedule): PolicySchedule {
  const windows = weekly.flatMap(({ days, fromMinute, toMinute }) => {
    const minutes = toMinute > fromMinute ? toMinute - fromMinute : toMinute + dayMinutes - fromMinute;
    return days.flatMap((day) => wrapped(weekdays.indexOf(day) * dayMinutes + fromMinute, minutes));
  });
  return { id, weekly: joined(windows), dated: joined(dated.map(({ from, until }) => [from, until] as const)) };
}

/** A window that runs past Sunday's midnight goes on at the beginning of the week. */
function wrapped(from: number, minutes: number): readonly (readonly [number, number])[] {
  const to = from + minutes;
  if (to <= weekMinutes) return [[from, to]];
  return [
    [from, weekMinutes],
    [0, to - weekMinutes],
  ];
}

/** Ascending, and what overlaps or touches made one: the one form that a policy allows. */
function joined<Value extends number>(
  ranges: readonly (readonly [Value, Value])[],
): readonly (readonly [Value, Value])[] {
  const sorted = [...ranges].sort((left, right) => left[0] - right[0]);
  const result: [Value, Value][] = [];
  for (const [from, to] of sorted) {
    const last = result.at(-1);
    if (last === undefined || from > last[1]) result.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return result;
}

function compileHolidays(site: Site, door: Door): readonly PolicyHoliday[] {
  return site.holidays
    .filter(({ doors }) => doors === undefined || doors.includes(door.id))
    .map(({ id, fromDay, toDay, workingHours }) => ({
      id,
      fromDay,
      toDay,
      workingHours: joined(workingHours.map(pairOf)),
    }));
}

function pairOf({ fromMinute, toMinute }: DayWindow): readonly [number, number] {
  return [fromMinute, toMinute];
}

function limitFault(policy: LockPolicy): CompileFault | undefined {
  const counts = {
    credentials: policy.credentials.length,
    schedules: policy.schedules.length,
    holidays: policy.holidays.length,
    rights: policy.rights.length,
    grants: Math.max(0, ...policy.rights.map((grants) => grants.length)),
    windows: Math.max(0, ...policy.schedules.map(({ weekly, dated }) => Math.max(weekly.length, dated.length))),
  } as const;
  for (const what of ["credentials", "schedules", "holidays", "rights", "grants", "windows"] as const) {
    if (counts[what] > policyLimits[what]) {
      return { code: "too-many", what, count: counts[what], max: policyLimits[what] };
    }
  }
  return undefined;
}

/** Within every count it may still be larger than a lock's flash takes: with long ids, for one. */
function sizeFault(policy: LockPolicy): CompileFault | undefined {
  const count = encodePolicy(policy).length;
  return count > policyLimits.bytes ? { code: "too-many", what: "bytes", count, max: policyLimits.bytes } : undefined;
}

/** Lookups of all media are drawn from one space, so one map tells them apart: by their first word, which hardly two have in common. */
function ambiguityFault(credentials: readonly PolicyCredential[]): CompileFault | undefined {
  const knownByFirstWord = new Map<number, { readonly id: string; readonly lookup: Uint8Array }[]>();
  for (const { id, keypadLookup, tokenLookup } of credentials) {
    for (const lookup of [keypadLookup, tokenLookup]) {
      if (lookup === undefined) continue;
      const firstWord = readU32(lookup, 0);
      const known = knownByFirstWord.get(firstWord);
      const first = known?.find((other) => equalBytes(other.lookup, lookup));
      if (first !== undefined) return { code: "ambiguous-credential", first: first.id, second: id };
      if (known === undefined) knownByFirstWord.set(firstWord, [{ id, lookup }]);
      else known.push({ id, lookup });
    }
  }
  return undefined;
}

const daySeconds = 86_400;
const dayMinutes = 1_440;
const weekMinutes = 10_080;
/** A lock's clock may stand a little before its policy was made; a week behind it is wrong. */
const zoneSecondsBefore = 7 * daySeconds;
