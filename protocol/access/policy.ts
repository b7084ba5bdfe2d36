/**
 * What a lock holds: the compact, bounded form of a site's rules for one device, and its one encoding.
 *
 * A lock has no time-zone database and no names of people. It holds credentials (found by a keyed hash of what is presented),
 * the rights each has, schedules as minutes of the week, holidays as days, and the zone's offset changes. The authority compiles
 * it (`protocol/site/compile-lock-policy.ts`), signs `policyRoot(bytes)`, and `decide` reads it (SPEC P1-P6).
 */
import type { CborFault } from "../base/cbor.ts";
import {
  type CborCodec,
  type CborMessage,
  cborArray,
  cborBoolean,
  cborBytes,
  cborChoice,
  cborInt,
  cborParsed,
  cborRecord,
  cborText,
  cborUint,
  cborUnion,
  field,
  optional,
  variant,
} from "../base/cbor-record.ts";
import { assert, failed, type Result } from "../base/result.ts";
import { type DeviceId, type LocalDay, parseDeviceId, type UnixSeconds } from "../base/units.ts";
import { sha256 } from "../crypto.ts";
import { type CredentialKind, type CredentialState, credentialKinds } from "./credential-kind.ts";
import { lookupBytes } from "./lookup.ts";

export interface LockPolicy {
  readonly siteId: string;
  readonly deviceId: DeviceId;
  readonly doorId: string;
  /** Policies are ordered by (epoch, version). */
  readonly epoch: number;
  readonly version: number;
  readonly issuedAt: UnixSeconds;
  /** The device's model, as in `protocol/firmware/models.ts`; what it implies for decisions is spelled out below. */
  readonly model: string;
  /** The kinds of credential that this device can read, in the order of `credentialKinds`. */
  readonly takes: readonly CredentialKind[];
  readonly keypad: KeypadRules;
  /** Only profiles that have licences carry one. */
  readonly licence?: DoorLicence;
  /** False when the door is assigned to no company or property (profiles with licences only). */
  readonly doorAssigned: boolean;
  /** A class of credentials stops at its lease's end unless a newer policy came. Absent: no lease (SPEC D9). */
  readonly leaseEnd: Readonly<Partial<Record<LeaseClass, UnixSeconds>>>;
  readonly zone: ZoneTable;
  readonly schedules: readonly PolicySchedule[];
  readonly holidays: readonly PolicyHoliday[];
  /** Lists of grants; a credential names one of them by its index, because many people have the same rights. */
  readonly rights: readonly (readonly Grant[])[];
  /** In ascending order of their ids. */
  readonly credentials: readonly PolicyCredential[];
}

export type LeaseClass = "app" | "code" | "keycard";

export interface KeypadRules {
  /** Digits of a daily code, 4-7. */
  readonly dailyDigits: number;
  /** How many slots of each mode the lock accepts; 0 and 0: no daily codes here. */
  readonly singleUseSlots: number;
  readonly allDaySlots: number;
  /** A digit that comes later than this after the one before it discards the entry. */
  readonly digitTimeoutMs: number;
  /** True on an M: while its deadbolt is extended, daily codes are refused. */
  readonly deadboltRefusesDaily: boolean;
  /** Wrong tries: `triesAtOnce` in a row, and one more for each `refillSeconds` of powered time. */
  readonly triesAtOnce: number;
  readonly refillSeconds: number;
}

export type DoorLicence =
  | { readonly kind: "never-activated" }
  /** Half open: valid from `from` until before `until`. */
  | { readonly kind: "dated"; readonly from: UnixSeconds; readonly until: UnixSeconds };

/** The site's offset from UTC, known for `from <= t < until`. */
export interface ZoneTable {
  readonly from: UnixSeconds;
  readonly until: UnixSeconds;
  readonly initialOffsetSeconds: number;
  /** In ascending order of `at`; each offset holds from its `at` on. */
  readonly transitions: readonly ZoneTransition[];
}
export type ZoneTransition = { readonly at: UnixSeconds; readonly offsetSeconds: number };

/** Covers an instant that lies in any weekly window or any dated range. */
export interface PolicySchedule {
  readonly id: string;
  /** Minutes of the site's civil week (0 is Monday 00:00, at most 10,080), half open, ascending, not touching. */
  readonly weekly: readonly (readonly [from: number, to: number])[];
  /** Instants, half open, ascending. */
  readonly dated: readonly (readonly [from: UnixSeconds, to: UnixSeconds])[];
}

export interface PolicyHoliday {
  readonly id: string;
  /** Civil days of the site, both included. */
  readonly fromDay: LocalDay;
  readonly toDay: LocalDay;
  /** Minutes of the day, half open, ascending; none: nobody enters who observes holidays. */
  readonly workingHours: readonly (readonly [from: number, to: number])[];
}

/** One way to be allowed in: at any time (no schedule) or within a schedule; holidays bind it or not. */
export interface Grant {
  readonly schedule?: number;
  readonly observesHolidays: boolean;
  /** Half open. */
  readonly from?: UnixSeconds;
  readonly until?: UnixSeconds;
}

export interface PolicyCredential {
  readonly id: string;
  readonly kind: CredentialKind;
  readonly state: CredentialState;
  /** False: it belongs to nobody. */
  readonly assigned: boolean;
  /** Index into `rights`; that list may be empty. */
  readonly rights: number;
  /** `presentationLookup` of the digits (permanent doorcode, PIN, temp key with digits). */
  readonly keypadLookup?: Uint8Array;
  /** `presentationLookup` of the token (card number, QR text, face template, plate). */
  readonly tokenLookup?: Uint8Array;
  /** The key that a keycard proves. */
  readonly cardKey?: Uint8Array;
  /** Half open. */
  readonly validFrom?: UnixSeconds;
  readonly validUntil?: UnixSeconds;
  /** From then on it counts as revoked: a revocation that was known before its time. */
  readonly revokedFrom?: UnixSeconds;
  /** App keys: certificates issued before are refused, because the account was signed out everywhere then. */
  readonly certificatesFrom?: UnixSeconds;
  /** How many times in all it opens this device; absent: no limit. */
  readonly usesAllowed?: number;
}

/** What a lock has room for. 5,000 credentials are a large building's common door; the rest follows from one site's habits. */
export const policyLimits = {
  credentials: 5_000,
  schedules: 200,
  holidays: 64,
  rights: 5_000,
  /** Ways in for one credential; more would be ways that cover each other. */
  grants: 32,
  /** Windows or ranges of one schedule, after those that touch are joined. */
  windows: 128,
  /** Eight years of a zone that changes twice a year are 16; Morocco's four changes a year are 32. */
  transitions: 64,
  idBytes: 32,
  /** Encoded, as large as a bank of a lock's flash; the authority keeps no larger one either. */
  bytes: 262_144,
} as const;

/** How far a policy's zone table reaches beyond its making. */
export const zoneYears = 8;

export type PolicyFault = CborFault | PolicyRuleFault;

/** Sound in shape, but not in sense or not in the one form: `path` and what was expected there. */
export type PolicyRuleFault = { readonly code: "policy-rule"; readonly path: string; readonly expected: string };

/** The one encoding of a policy: deterministic CBOR, same policy, same bytes. Source: SPEC P1. */
export function encodePolicy(policy: LockPolicy): Uint8Array {
  const fault = policyRuleFault(policy);
  assert(fault === undefined, `a policy to encode is sound (${fault?.path}: ${fault?.expected})`);
  return policyMessage.encode(policy);
}

/** Any bytes give a policy or a fault; what decodes encodes to the same bytes. Faults: those of CBOR, policy-rule. Source: SPEC P2. */
export function decodePolicy(bytes: Uint8Array): Result<LockPolicy, PolicyFault> {
  const read = policyMessage.decode(bytes, { bytesMax: policyLimits.bytes, depthMax: 8 });
  if (!read.ok) return read;
  const fault = policyRuleFault(read.value);
  return fault === undefined ? read : failed(fault);
}

/** What the policy key signs and a lock reports: SHA-256 of the encoded policy. Source: SPEC P3. */
export function policyRoot(bytes: Uint8Array): Uint8Array {
  return sha256(bytes);
}

/**
 * What a policy whose parts are in shape may still break: order, references, one form. Undefined: it is sound, and
 * `encodePolicy` takes it. Source: SPEC P2.
 */
export function policyRuleFault(policy: LockPolicy): PolicyRuleFault | undefined {
  return (
    zoneFault(policy.zone) ??
    firstFault(policy.schedules, "schedules", scheduleFault) ??
    firstFault(policy.holidays, "holidays", holidayFault) ??
    firstFault(policy.rights, "rights", (grants, path) => grantsFault(grants, policy.schedules.length, path)) ??
    credentialsFault(policy) ??
    licenceFault(policy)
  );
}

/** (epoch, version) order: negative when left is older, 0 when the same, positive when newer. */
export function comparePolicyOrder(
  left: { readonly epoch: number; readonly version: number },
  right: { readonly epoch: number; readonly version: number },
): number {
  return left.epoch === right.epoch ? left.version - right.version : left.epoch - right.epoch;
}

function firstFault<Item>(
  items: readonly Item[],
  name: string,
  judge: (item: Item, path: string) => PolicyRuleFault | undefined,
): PolicyRuleFault | undefined {
  for (const [index, item] of items.entries()) {
    const fault = judge(item, `${name}[${index}]`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function zoneFault(zone: ZoneTable): PolicyRuleFault | undefined {
  if (zone.from >= zone.until) return rule("zone.until", "an end after its beginning");
  let previous: number = zone.from;
  for (const [index, { at }] of zone.transitions.entries()) {
    if (at <= previous || at >= zone.until) {
      return rule(`zone.transitions[${index}].at`, "ascending instants within the table");
    }
    previous = at;
  }
  return undefined;
}

function scheduleFault({ weekly, dated }: PolicySchedule, path: string): PolicyRuleFault | undefined {
  return rangesFault(weekly, `${path}.weekly`) ?? rangesFault(dated, `${path}.dated`);
}

function holidayFault({ fromDay, toDay, workingHours }: PolicyHoliday, path: string): PolicyRuleFault | undefined {
  if (fromDay > toDay) return rule(`${path}.toDay`, "a day not before its first");
  return rangesFault(workingHours, `${path}.workingHours`);
}

function rangesFault(ranges: readonly (readonly [number, number])[], path: string): PolicyRuleFault | undefined {
  let previous = -1;
  for (const [index, [from, to]] of ranges.entries()) {
    if (from <= previous || to <= from) return rule(`${path}[${index}]`, "ascending ranges that do not touch");
    previous = to;
  }
  return undefined;
}

function grantsFault(grants: readonly Grant[], schedules: number, path: string): PolicyRuleFault | undefined {
  for (const [index, { schedule, from, until }] of grants.entries()) {
    if (schedule !== undefined && schedule >= schedules) {
      return rule(`${path}[${index}].schedule`, "the index of a schedule");
    }
    if (from !== undefined && until !== undefined && from >= until) {
      return rule(`${path}[${index}].until`, "an end after its beginning");
    }
  }
  return undefined;
}

function credentialsFault({ credentials, rights }: LockPolicy): PolicyRuleFault | undefined {
  let previous = "";
  for (const [index, credential] of credentials.entries()) {
    const path = `credentials[${index}]`;
    if (credential.id <= previous) return rule(`${path}.id`, "ids in ascending order, each once, none empty");
    previous = credential.id;
    if (credential.rights >= rights.length) return rule(`${path}.rights`, "the index of a list of rights");
    const { validFrom, validUntil } = credential;
    if (validFrom !== undefined && validUntil !== undefined && validFrom >= validUntil) {
      return rule(`${path}.validUntil`, "an end after its beginning");
    }
  }
  return undefined;
}

function licenceFault({ licence }: LockPolicy): PolicyRuleFault | undefined {
  if (licence?.kind !== "dated" || licence.from < licence.until) return undefined;
  return rule("licence.until", "an end after its beginning");
}

function rule(path: string, expected: string): PolicyRuleFault {
  return { code: "policy-rule", path, expected };
}

const u32Max = 0xffff_ffff;
const instant = cborUint<UnixSeconds>(u32Max);
const day = cborUint<LocalDay>(u32Max);
const id = cborText(policyLimits.idBytes);
const deviceId = cborParsed<string, DeviceId>("a device id", id, parseDeviceId, (value) => value);

/** Half-open ranges as one flat list: from, to, from, to ... */
function ranges<Value extends number>(
  item: CborCodec<Value>,
  max: number,
): CborCodec<readonly (readonly [Value, Value])[]> {
  return cborParsed<readonly Value[], readonly (readonly [Value, Value])[]>(
    "pairs",
    cborArray(item, max * 2),
    (flat) => {
      const pairs: (readonly [Value, Value])[] = [];
      for (let index = 0; index + 1 < flat.length; index += 2) {
        const [from, to] = flat.slice(index, index + 2);
        if (from !== undefined && to !== undefined) pairs.push([from, to]);
      }
      return flat.length % 2 === 0 ? pairs : undefined;
    },
    (pairs) => pairs.flat(),
  );
}

/** A set of kinds as a sum of bits, bit n for the n-th of `credentialKinds`. */
const kindSet = cborParsed<number, readonly CredentialKind[]>(
  "a set of kinds",
  cborUint(2 ** credentialKinds.length - 1),
  (bits) => credentialKinds.filter((_, index) => (bits & (1 << index)) !== 0),
  (kinds) => credentialKinds.reduce((bits, kind, index) => bits | (kinds.includes(kind) ? 1 << index : 0), 0),
);

/** The numbers of the kinds and states on the wire, here and in deltas. */
export const kindNumbers = {
  "app-key": 0,
  "permanent-doorcode": 1,
  "daily-doorcode": 2,
  keycard: 3,
  "mechanical-key": 4,
  pin: 5,
  "rf-card": 6,
  qr: 7,
  face: 8,
  "licence-plate": 9,
  "temp-key": 10,
} as const satisfies Record<CredentialKind, number>;

export const stateNumbers = {
  active: 0,
  disabled: 1,
  lost: 2,
  stolen: 3,
  revoked: 4,
} as const satisfies Record<CredentialState, number>;

const keypadRecord = cborRecord({
  dailyDigits: field(1, cborInt(4, 7)),
  singleUseSlots: field(2, cborUint(64)),
  allDaySlots: field(3, cborUint(64)),
  digitTimeoutMs: field(4, cborUint(60_000)),
  deadboltRefusesDaily: field(5, cborBoolean),
  triesAtOnce: field(6, cborInt(1, 1_000)),
  refillSeconds: field(7, cborInt(1, 86_400)),
});

const licenceUnion = cborUnion({
  "never-activated": variant(1, cborRecord({})),
  dated: variant(2, cborRecord({ from: field(1, instant), until: field(2, instant) })),
});

const zoneRecord = cborRecord({
  from: field(1, instant),
  until: field(2, instant),
  // The widest offsets in use are -12 h and +14 h.
  initialOffsetSeconds: field(3, cborInt(-86_400, 86_400)),
  transitions: field(
    4,
    cborArray(
      cborRecord({ at: field(1, instant), offsetSeconds: field(2, cborInt(-86_400, 86_400)) }),
      policyLimits.transitions,
    ),
  ),
});

const leaseRecord = cborRecord({
  app: optional(1, instant),
  code: optional(2, instant),
  keycard: optional(3, instant),
});

const scheduleRecord = cborRecord({
  id: field(1, id),
  weekly: field(2, ranges(cborUint(10_080), policyLimits.windows)),
  dated: field(3, ranges(instant, policyLimits.windows)),
});

const holidayRecord = cborRecord({
  id: field(1, id),
  fromDay: field(2, day),
  toDay: field(3, day),
  workingHours: field(4, ranges(cborUint(1_440), policyLimits.windows)),
});

const grantList = cborArray(
  cborRecord({
    schedule: optional(1, cborUint(policyLimits.schedules - 1)),
    observesHolidays: field(2, cborBoolean),
    from: optional(3, instant),
    until: optional(4, instant),
  }),
  policyLimits.grants,
);

/** The codecs of a policy's parts, for whoever sends less than a whole policy. */
export const policyParts = {
  id,
  deviceId,
  instant,
  epoch: cborUint(u32Max),
  version: cborUint(u32Max),
  kindSet,
  keypad: keypadRecord,
  licence: licenceUnion,
  leaseEnd: leaseRecord,
  zone: zoneRecord,
  schedule: scheduleRecord,
  holiday: holidayRecord,
  grants: grantList,
} as const;

const policyMessage: CborMessage<LockPolicy> = cborRecord({
  siteId: field(1, id),
  deviceId: field(2, deviceId),
  doorId: field(3, id),
  epoch: field(4, policyParts.epoch),
  version: field(5, policyParts.version),
  issuedAt: field(6, instant),
  model: field(7, id),
  takes: field(8, kindSet),
  keypad: field(9, keypadRecord),
  licence: optional(10, licenceUnion),
  doorAssigned: field(11, cborBoolean),
  leaseEnd: field(12, leaseRecord),
  zone: field(13, zoneRecord),
  schedules: field(14, cborArray(scheduleRecord, policyLimits.schedules)),
  holidays: field(15, cborArray(holidayRecord, policyLimits.holidays)),
  rights: field(16, cborArray(grantList, policyLimits.rights)),
  credentials: field(
    17,
    cborArray(
      cborRecord({
        id: field(1, id),
        kind: field(2, cborChoice(kindNumbers)),
        state: field(3, cborChoice(stateNumbers)),
        assigned: field(4, cborBoolean),
        rights: field(5, cborUint(policyLimits.rights - 1)),
        keypadLookup: optional(6, cborBytes(lookupBytes)),
        tokenLookup: optional(7, cborBytes(lookupBytes)),
        cardKey: optional(8, cborBytes(16)),
        validFrom: optional(9, instant),
        validUntil: optional(10, instant),
        usesAllowed: optional(11, cborUint(1_000_000)),
        revokedFrom: optional(12, instant),
        certificatesFrom: optional(13, instant),
      }),
      policyLimits.credentials,
    ),
  ),
});
