/** Who has a key to which door, by which access group, directly or through a user group. */
import type { UnixSeconds } from "../base/units.ts";
import type { DoorcodeIssuer } from "../doorcode/allot.ts";
import type { AccessGroup, Person, Site, SiteDevice } from "./site.ts";

export interface HeldKey {
  readonly group: AccessGroup;
  /** The user group it is inherited from; absent: named directly. */
  readonly inheritedFrom?: string;
}

/** Every key of a person to a door, whatever its schedule and dates; once for each way it is held. */
export function keysOf(site: Site, personId: string, doorId: string): readonly HeldKey[] {
  return site.accessGroups
    .filter(({ doors }) => doors.includes(doorId))
    .flatMap((group) => {
      const direct = group.members.includes(personId) ? [{ group }] : [];
      const inherited = group.userGroups
        .filter((id) => userGroupHas(site, id, personId))
        .map((inheritedFrom) => ({ group, inheritedFrom }));
      return [...direct, ...inherited];
    });
}

/** True when the person is not revoked and a key to the door is in force on its dates; the hours of its schedule do not matter. */
export function hasKey(site: Site, personId: string, doorId: string, now: UnixSeconds): boolean {
  const person = personById(site, personId);
  if (person === undefined || isRevoked(person, now)) return false;
  return keysOf(site, personId, doorId).some(({ group }) => isInForce(group, now));
}

export function isRevoked(person: Person, now: UnixSeconds): boolean {
  return person.revokedAt !== undefined && person.revokedAt <= now;
}

/** Half open, as every period. */
export function isInForce(
  { from, until }: { readonly from?: UnixSeconds; readonly until?: UnixSeconds },
  now: UnixSeconds,
): boolean {
  return (from === undefined || from <= now) && (until === undefined || now < until);
}

/** The devices of a door that are in service. A device that is only assigned makes no doorcode possible (row 31). */
export function activeDevices(site: Site, doorId: string): readonly SiteDevice[] {
  return site.devices.filter(({ door, state }) => door === doorId && state === "active");
}

/** What `allotDailyCode` asks about whoever wants a code. */
export function doorcodeIssuer(site: Site, personId: string, doorId: string, now: UnixSeconds): DoorcodeIssuer {
  return {
    personId,
    role: personById(site, personId)?.role ?? "GUEST",
    hasKey: hasKey(site, personId, doorId, now),
  };
}

export function personById(site: Site, personId: string): Person | undefined {
  return site.people.find(({ id }) => id === personId);
}

function userGroupHas(site: Site, userGroupId: string, personId: string): boolean {
  return site.userGroups.some(({ id, members }) => id === userGroupId && members.includes(personId));
}
