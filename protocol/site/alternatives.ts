/**
 * What would open this door for this person now, and which access group would (rows 66-70, 111-113). Nothing is guessed: every answer
 * is a decision on the site as it is, or as it would be after the change.
 */
import type { CredentialKind } from "../access/credential-kind.ts";
import type { CheckName, ReasonCode } from "../access/reasons.ts";
import type { UnixSeconds } from "../base/units.ts";
import { issuingRoles } from "../doorcode/allot.ts";
import { modelByName } from "../firmware/models.ts";
import { decideAtDesk } from "./desk-decision.ts";
import { activeDevices, hasKey, isInForce } from "./rights.ts";
import type { AccessGroup, Site } from "./site.ts";

export interface WayIn {
  readonly credentialId: string;
  readonly kind: CredentialKind;
  /** Devices of the door that it opens now. */
  readonly opensAt: readonly string[];
  /** Why it opens none of them; undefined when it opens one, or when it is a mechanical key. */
  readonly reason: ReasonCode | undefined;
}

export interface Alternatives {
  readonly credentials: readonly WayIn[];
  /** People who may issue a daily code for this door now: they live behind it or manage it. */
  readonly codeIssuers: readonly string[];
  readonly propertyManager: Site["propertyManager"];
}

/** Every credential of the person at this door, what opens first; and who could give them a code. */
export function alternativesAt(site: Site, personId: string, doorId: string, at: UnixSeconds): Alternatives {
  const credentials = site.credentials
    .filter(({ person }) => person === personId)
    .map(({ id, kind }): WayIn => ({ credentialId: id, kind, ...outcomeOf(site, doorId, id, at) }))
    .toSorted((left, right) => Number(right.opensAt.length > 0) - Number(left.opensAt.length > 0));
  const takesCodes = activeDevices(site, doorId).some(({ model }) =>
    modelByName[model].takes.includes("daily-doorcode"),
  );
  const codeIssuers = takesCodes
    ? site.people
        .filter(({ id, role }) => issuingRoles.includes(role) && hasKey(site, id, doorId, at))
        .map(({ id }) => id)
    : [];
  return { credentials, codeIssuers, propertyManager: site.propertyManager };
}

/**
 * The access groups with this door that would let the credential in at that time if its holder joined them, each proved by a decision:
 * nothing about group, schedule and holiday is left in the way. What else is wrong with door or credential is not a group's to mend.
 */
export function groupsThatWouldLetIn(
  site: Site,
  doorId: string,
  credentialId: string,
  at: UnixSeconds,
): readonly AccessGroup[] {
  const holder = site.credentials.find(({ id }) => id === credentialId)?.person;
  if (holder === undefined) return [];
  return site.accessGroups
    .filter((group) => group.doors.includes(doorId) && isInForce(group, at) && !group.members.includes(holder))
    .filter((group) => hasNothingInTheWay(withMember(site, group, holder), doorId, credentialId, at));
}

function hasNothingInTheWay(site: Site, doorId: string, credentialId: string, at: UnixSeconds): boolean {
  const decided = decideAtDesk(site, doorId, credentialId, at);
  const devices = decided.ok ? decided.value : [];
  return devices.some(({ checks }) =>
    checks.every(({ check, result }) => !checksOfGroups.includes(check) || result === "passed"),
  );
}

function withMember(site: Site, group: AccessGroup, personId: string): Site {
  const joined = { ...group, members: [...group.members, personId] };
  return { ...site, accessGroups: site.accessGroups.map((one) => (one.id === group.id ? joined : one)) };
}

function outcomeOf(
  site: Site,
  doorId: string,
  credentialId: string,
  at: UnixSeconds,
): Pick<WayIn, "opensAt" | "reason"> {
  const decided = decideAtDesk(site, doorId, credentialId, at);
  if (!decided.ok)
    return { opensAt: decided.fault.code === "mechanical-key" ? decided.fault.fits : [], reason: undefined };
  const opensAt = decided.value.filter(({ decision }) => decision.granted).map(({ deviceId }) => deviceId);
  return { opensAt, reason: opensAt.length > 0 ? undefined : decided.value[0]?.primaryReason };
}

const checksOfGroups: readonly CheckName[] = ["access-group", "schedule", "holiday"];
