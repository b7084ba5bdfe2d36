/**
 * What a bundle carries: the difference between the policy a lock holds and the one it should hold.
 *
 * Theory of operation. A delta is a record (W4) of the parts that changed, each whole where it is small, and of edits where it is a
 * list. It names what it stands on by the beginning of that policy's root; one that stands on nothing builds a whole policy, so a
 * snapshot is a delta too, and has one form with it. What was not sent stays, except that instants which moved by as much as the
 * policy's making did are only said to have moved: a zone table and leases move with every version. Whether the result is the
 * policy that was meant, the signed root says (SPEC X1-X7).
 */
import { bytesToHex, equalBytes } from "../base/bytes.ts";
import { type CborFault, encodeCbor } from "../base/cbor.ts";
import {
  type CborTypeOf,
  cborBoolean,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborUint,
  field,
  optional,
} from "../base/cbor-record.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import { applyCredentialEdits, type CredentialEditFault, diffCredentials } from "./credential-edits.ts";
import { applyListEdit, diffLists, type ListEditFault, listEditCodec, type Places } from "./list-edit.ts";
import {
  encodePolicy,
  type Grant,
  type LeaseClass,
  type LockPolicy,
  type PolicyRuleFault,
  policyLimits,
  policyParts,
  policyRoot,
  policyRuleFault,
} from "./policy.ts";

/** Largest encoded delta: 5,000 credentials with every field are about 440 kB, and rights may be as much. */
export const POLICY_DELTA_LIMIT_BYTES = 1_048_576;

const deltaRecord = cborRecord({
  /** First bytes of the root of the policy it stands on; absent: it stands on nothing. */
  base: optional(1, cborBytes(4)),
  version: field(2, policyParts.version),
  issuedAt: field(3, policyParts.instant),
  /** Bits of `movedNames`: instants that moved by as much as `issuedAt`. */
  moved: optional(4, cborUint(31)),
  credentials: optional(5, cborBytesUpTo(POLICY_DELTA_LIMIT_BYTES)),
  rights: optional(6, listEditCodec(policyParts.grants, policyLimits.rights)),
  schedules: optional(7, listEditCodec(policyParts.schedule, policyLimits.schedules)),
  holidays: optional(8, listEditCodec(policyParts.holiday, policyLimits.holidays)),
  epoch: optional(9, policyParts.epoch),
  leaseEnd: optional(10, policyParts.leaseEnd),
  zone: optional(11, policyParts.zone),
  keypad: optional(12, policyParts.keypad),
  licence: optional(13, policyParts.licence),
  /** Always true: the licence is gone. */
  withoutLicence: optional(14, cborBoolean),
  doorAssigned: optional(15, cborBoolean),
  siteId: optional(16, policyParts.id),
  deviceId: optional(17, policyParts.deviceId),
  doorId: optional(18, policyParts.id),
  model: optional(19, policyParts.id),
  takes: optional(20, policyParts.kindSet),
});

export type PolicyDelta = CborTypeOf<typeof deltaRecord>;

export type PolicyDeltaFault =
  | CborFault
  | ListEditFault
  | CredentialEditFault
  | PolicyRuleFault
  /** It stands on another policy than the one that is there; both named by the first bytes of their roots. */
  | { readonly code: "wrong-base"; readonly expected: string; readonly found: string }
  /** It stands on nothing and yet leaves out what every policy has. */
  | { readonly code: "missing-part"; readonly part: string }
  | { readonly code: "policy-too-large"; readonly bytes: number; readonly max: number };

/**
 * What changed from `base` to `target`; without a base, all of `target`. The same two policies give the same delta, in time that
 * grows with their sizes. Source: SPEC X1.
 */
export function diffPolicy(base: LockPolicy | undefined, target: LockPolicy): PolicyDelta {
  const schedules = diffLists(base?.schedules.map(textOf.schedule) ?? [], target.schedules.map(textOf.schedule), (at) =>
    itemAt(target.schedules, at),
  );
  const holidays = diffLists(base?.holidays.map(textOf.holiday) ?? [], target.holidays.map(textOf.holiday), (at) =>
    itemAt(target.holidays, at),
  );
  const oldRights = base?.rights.map((grants) => withMovedSchedules(grants, schedules.places)) ?? [];
  const rights = diffLists(
    oldRights.map((grants) => (grants === undefined ? undefined : textOf.grants(grants))),
    target.rights.map(textOf.grants),
    (at) => itemAt(target.rights, at),
  );
  const credentials = diffCredentials(base?.credentials ?? [], target.credentials, rights.places);
  return {
    ...(base === undefined ? {} : { base: baseName(base) }),
    version: target.version,
    issuedAt: target.issuedAt,
    ...present("credentials", credentials),
    ...present("rights", rights.segments),
    ...present("schedules", schedules.segments),
    ...present("holidays", holidays.segments),
    ...diffInstants(base, target),
    ...diffScalars(base, target),
  };
}

/** Deterministic CBOR: same delta, same bytes. */
export function encodePolicyDelta(delta: PolicyDelta): Uint8Array {
  return deltaRecord.encode(delta);
}

/** Any bytes give a delta or a fault; what decodes encodes to the same bytes. */
export function decodePolicyDelta(bytes: Uint8Array): Result<PolicyDelta, CborFault> {
  return deltaRecord.decode(bytes, { bytesMax: POLICY_DELTA_LIMIT_BYTES, depthMax: 8 });
}

/**
 * The policy that `deltaBytes` makes of `base` (undefined: the lock holds none), with its encoding, whose root the caller compares
 * with the signed one. Any bytes give a policy or a fault. A delta that stands on nothing takes no account of `base`.
 * Faults: those of CBOR, wrong-base, missing-part, list-edit, credential-edit, policy-rule, policy-too-large. Source: SPEC X2.
 */
export function applyPolicyDelta(
  base: LockPolicy | undefined,
  deltaBytes: Uint8Array,
): Result<{ readonly policy: LockPolicy; readonly bytes: Uint8Array }, PolicyDeltaFault> {
  const read = decodePolicyDelta(deltaBytes);
  if (!read.ok) return read;
  const delta = read.value;
  const fault = baseFault(base, delta);
  if (fault !== undefined) return failed(fault);
  const held = delta.base === undefined ? undefined : base;
  const scalars = applyScalars(held, delta);
  if (!scalars.ok) return scalars;
  const lists = applyLists(held, delta);
  if (!lists.ok) return lists;
  const policy: LockPolicy = { ...scalars.value, ...lists.value, version: delta.version, issuedAt: delta.issuedAt };
  const broken = policyRuleFault(policy);
  if (broken !== undefined) return failed(broken);
  const bytes = encodePolicy(policy);
  if (bytes.length > policyLimits.bytes) {
    return failed({ code: "policy-too-large", bytes: bytes.length, max: policyLimits.bytes });
  }
  return ok({ policy, bytes });
}

function baseFault(base: LockPolicy | undefined, delta: PolicyDelta): PolicyDeltaFault | undefined {
  if (delta.base === undefined) return undefined;
  const found = base === undefined ? undefined : baseName(base);
  if (found !== undefined && equalBytes(found, delta.base)) return undefined;
  return {
    code: "wrong-base",
    expected: bytesToHex(delta.base),
    found: found === undefined ? "none" : bytesToHex(found),
  };
}

/** Enough to tell one's own policies apart; a forged base cannot matter, because the result has a signed root. */
function baseName(base: LockPolicy): Uint8Array {
  return policyRoot(encodePolicy(base)).subarray(0, 4);
}

type Lists = Pick<LockPolicy, "schedules" | "holidays" | "rights" | "credentials">;

function applyLists(base: LockPolicy | undefined, delta: PolicyDelta): Result<Lists, PolicyDeltaFault> {
  const schedules = applyListEdit("schedules", base?.schedules ?? [], delta.schedules, policyLimits.schedules);
  if (!schedules.ok) return schedules;
  const holidays = applyListEdit("holidays", base?.holidays ?? [], delta.holidays, policyLimits.holidays);
  if (!holidays.ok) return holidays;
  const moved = base?.rights.map((grants) => withMovedSchedules(grants, schedules.value.places)) ?? [];
  const rights = applyListEdit<readonly Grant[] | undefined>("rights", moved, delta.rights, policyLimits.rights);
  if (!rights.ok) return rights;
  const kept = rights.value.items.filter((grants) => grants !== undefined);
  if (kept.length !== rights.value.items.length) {
    const segment = delta.rights?.length ?? 0;
    return failed({ code: "list-edit", list: "rights", segment, expected: "rights whose schedules are still there" });
  }
  const credentials = applyCredentialEdits(base?.credentials ?? [], delta.credentials, rights.value.places);
  if (!credentials.ok) return credentials;
  const [scheduleItems, holidayItems] = [schedules.value.items, holidays.value.items];
  return ok({ schedules: scheduleItems, holidays: holidayItems, rights: kept, credentials: credentials.value });
}

/** The grants with their schedules' new places; undefined when one of them is gone. */
function withMovedSchedules(grants: readonly Grant[], places: Places): readonly Grant[] | undefined {
  const moved = grants.map((grant) => {
    if (grant.schedule === undefined) return grant;
    const schedule = places[grant.schedule];
    return schedule === undefined ? undefined : { ...grant, schedule };
  });
  const whole = moved.filter((grant) => grant !== undefined);
  return whole.length === moved.length ? whole : undefined;
}

type Scalars = Omit<LockPolicy, keyof Lists | "version" | "issuedAt">;

function diffScalars(base: LockPolicy | undefined, target: LockPolicy): Partial<PolicyDelta> {
  const changed = <Name extends keyof Scalars>(name: Name) =>
    present(name, base !== undefined && base[name] === target[name] ? undefined : target[name]);
  const isSame = <Value>(encode: (value: Value) => string, left: Value | undefined, right: Value | undefined) =>
    left !== undefined && right !== undefined && encode(left) === encode(right);
  const licence = isSame(textOf.licence, base?.licence, target.licence) ? {} : present("licence", target.licence);
  return {
    ...changed("epoch"),
    ...changed("doorAssigned"),
    ...changed("siteId"),
    ...changed("deviceId"),
    ...changed("doorId"),
    ...changed("model"),
    ...(isSame(textOf.takes, base?.takes, target.takes) ? {} : { takes: target.takes }),
    ...(isSame(textOf.keypad, base?.keypad, target.keypad) ? {} : { keypad: target.keypad }),
    ...licence,
    ...(base?.licence !== undefined && target.licence === undefined ? { withoutLicence: true } : {}),
  };
}

function applyScalars(base: LockPolicy | undefined, delta: PolicyDelta): Result<Scalars, PolicyDeltaFault> {
  const instants = applyInstants(base, delta);
  const whole = { ...base, ...definedOf(delta) };
  const { siteId, deviceId, doorId, epoch, model, takes, keypad, doorAssigned } = whole;
  if (siteId === undefined) return missing("siteId");
  if (deviceId === undefined) return missing("deviceId");
  if (doorId === undefined) return missing("doorId");
  if (epoch === undefined) return missing("epoch");
  if (model === undefined) return missing("model");
  if (takes === undefined) return missing("takes");
  if (keypad === undefined) return missing("keypad");
  if (doorAssigned === undefined) return missing("doorAssigned");
  if (instants === undefined) return missing("zone");
  const licence = delta.withoutLicence === true ? undefined : whole.licence;
  const parts = { siteId, deviceId, doorId, epoch, model, takes, keypad, doorAssigned, ...present("licence", licence) };
  return ok({ ...parts, ...instants });
}

function missing(part: string): Result<never, PolicyDeltaFault> {
  return failed({ code: "missing-part", part });
}

/** The small parts of a delta that are policy fields under the same name. */
function definedOf(delta: PolicyDelta): Partial<Scalars> {
  const { epoch, doorAssigned, siteId, deviceId, doorId, model, takes, keypad, licence } = delta;
  return {
    ...present("epoch", epoch),
    ...present("doorAssigned", doorAssigned),
    ...present("siteId", siteId),
    ...present("deviceId", deviceId),
    ...present("doorId", doorId),
    ...present("model", model),
    ...present("takes", takes),
    ...present("keypad", keypad),
    ...present("licence", licence),
  };
}

/** Zone and leases: sent whole only where moving the old ones along does not give the new ones. */
function diffInstants(base: LockPolicy | undefined, target: LockPolicy): Partial<PolicyDelta> {
  if (base === undefined) return { zone: target.zone, leaseEnd: target.leaseEnd };
  const bySeconds = target.issuedAt - base.issuedAt;
  let moved = 0;
  const note = (index: number, was: number | undefined, is: number | undefined): void => {
    if (was !== undefined && is !== undefined && was !== is && was + bySeconds === is) moved |= 1 << index;
  };
  note(0, base.zone.from, target.zone.from);
  note(1, base.zone.until, target.zone.until);
  for (const [index, name] of leaseNames.entries()) note(index + 2, base.leaseEnd[name], target.leaseEnd[name]);
  const { zone, leaseEnd } = movedInstants(base, moved, bySeconds);
  return {
    ...(moved === 0 ? {} : { moved }),
    ...(textOf.zone(zone) === textOf.zone(target.zone) ? {} : { zone: target.zone }),
    ...(textOf.leaseEnd(leaseEnd) === textOf.leaseEnd(target.leaseEnd) ? {} : { leaseEnd: target.leaseEnd }),
  };
}

function applyInstants(
  base: LockPolicy | undefined,
  delta: PolicyDelta,
): Pick<LockPolicy, "zone" | "leaseEnd"> | undefined {
  const bySeconds = delta.issuedAt - (base?.issuedAt ?? 0);
  const old = base === undefined ? undefined : movedInstants(base, delta.moved ?? 0, bySeconds);
  const zone = delta.zone ?? old?.zone;
  return zone === undefined ? undefined : { zone, leaseEnd: delta.leaseEnd ?? old?.leaseEnd ?? {} };
}

/** Keeps transitions that the moved table still reaches; those it newly reaches make the zone a changed part. */
function movedInstants(base: LockPolicy, moved: number, bySeconds: number): Pick<LockPolicy, "zone" | "leaseEnd"> {
  const shift = (index: number, instant: UnixSeconds): UnixSeconds => {
    if ((moved & (1 << index)) === 0) return instant;
    // Within what an instant can be, whatever a delta says; a wrong one fails by its root.
    return unixSeconds(Math.min(Math.max(instant + bySeconds, 0), instantMax));
  };
  const { zone } = base;
  const [from, until] = [shift(0, zone.from), shift(1, zone.until)];
  const past = zone.transitions.filter(({ at }) => at <= from);
  const leaseEnd: Partial<Record<LeaseClass, UnixSeconds>> = {};
  for (const [index, name] of leaseNames.entries()) {
    const end = base.leaseEnd[name];
    if (end !== undefined) leaseEnd[name] = shift(index + 2, end);
  }
  return {
    zone: {
      from,
      until,
      initialOffsetSeconds: past.at(-1)?.offsetSeconds ?? zone.initialOffsetSeconds,
      transitions: zone.transitions.filter(({ at }) => at > from && at < until),
    },
    leaseEnd,
  };
}

/** A record with that one field, or none when there is no value. */
function present<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [Key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [Key in Name]?: Value });
}

function itemAt<Item>(items: readonly Item[], index: number): Item {
  const [item] = items.slice(index, index + 1);
  // The index came from walking this very list.
  return item as Item;
}

/** Texts that are equal exactly for equal parts: their encodings. */
const textOf = {
  schedule: encodedWith(policyParts.schedule),
  holiday: encodedWith(policyParts.holiday),
  grants: encodedWith(policyParts.grants),
  licence: encodedWith(policyParts.licence),
  takes: encodedWith(policyParts.kindSet),
  keypad: encodedWith(policyParts.keypad),
  zone: encodedWith(policyParts.zone),
  leaseEnd: encodedWith(policyParts.leaseEnd),
};

function encodedWith<Value>(codec: { readonly toCbor: (value: Value) => Parameters<typeof encodeCbor>[0] }) {
  return (value: Value): string => bytesToHex(encodeCbor(codec.toCbor(value)));
}

const leaseNames: readonly LeaseClass[] = ["app", "code", "keycard"];
const instantMax = 0xffff_ffff;
