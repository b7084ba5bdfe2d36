/**
 * What the authority can say of an event that the device could not.
 *
 * Of a grant: that the credential had been taken away by a version that the device did not hold yet (SPEC D21). Of a denial: a
 * lock that does not know a code logs CREDENTIAL_UNKNOWN and a 32-bit tag of the entry; the authority makes the same tag of every
 * code it has given out and finds which one it was (`refineUnknown`). Neither the code nor the tag's key is in the answer.
 */
import { type HeldCode, type IssuedCode, type Refinement, refineUnknown } from "../../protocol/access/refine.ts";
import { type LocalDay, localDay, type UnixSeconds } from "../../protocol/base/units.ts";
import { dailyCode } from "../../protocol/doorcode/daily-code.ts";
import { hasKey } from "../../protocol/site/rights.ts";
import type { Site } from "../../protocol/site/site.ts";
import { localDayText, siteDay } from "../../protocol/site/zone.ts";
import type { DeviceEvent } from "../../protocol/wire/messages/event.ts";
import { type Authority, keyEpoch } from "./authority.ts";
import { doorNameOf } from "./desired.ts";
import { wasRevoked } from "./pending-revocations.ts";
import type { AuthorityNaming, EventRecord } from "./record.ts";

/** Undefined when there is nothing to add. */
export function nameEvent(
  authority: Authority,
  record: EventRecord,
  device: string,
  event: DeviceEvent,
): AuthorityNaming | undefined {
  return event.kind === "access-granted"
    ? warnOfGrant(authority, record, device, event)
    : nameDenial(authority, record, device, event);
}

/** Only where the device's clock shows that it was after the revocation: a lower bound shows it too, no clock does not. */
function warnOfGrant(
  { state }: Authority,
  record: EventRecord,
  device: string,
  { at, credential, sequence }: DeviceEvent,
): AuthorityNaming | undefined {
  const policy = state.policies[device];
  if (policy === undefined || credential === undefined) return undefined;
  if (at.unixSeconds === null || at.quality === "unset") return undefined;
  const held = record.committedBefore(device, sequence);
  if (!wasRevoked(policy, { credential, at: at.unixSeconds, held })) return undefined;
  return { kind: "granted", warnings: ["REVOKED_NOT_SYNCED", "POLICY_STALE"] };
}

/** Undefined when the event is no unknown code, or the tag is of no code that was given out. */
function nameDenial(
  authority: Authority,
  record: EventRecord,
  device: string,
  event: DeviceEvent,
): AuthorityNaming | undefined {
  const { site } = authority;
  const doorId = site?.devices.find(({ id }) => id === device)?.door;
  const key = authority.entryTagKey(device);
  if (site === undefined || doorId === undefined || key === undefined) return undefined;
  if (event.kind !== "access-denied" || event.reason !== "CREDENTIAL_UNKNOWN" || event.entryTag === undefined) {
    return undefined;
  }
  const now = authority.now();
  const day = dayOf(site, event.at, now);
  const denied = { entryTag: Number.parseInt(event.entryTag, 16), doorId, localDay: day };
  const usedHere = tookDailyCode(site, record, device, day, now);
  const refined = refineUnknown(denied, key, issuedCodes(authority, site, usedHere), heldCodes(site, now));
  if (refined.reason === "CREDENTIAL_UNKNOWN") return undefined;
  return { kind: "denied", reason: refined.reason, detail: describe(site, refined) };
}

function describe(site: Site, { doorId, issued }: Refinement): string {
  const door = doorId === undefined ? "a door" : doorNameOf(site, doorId);
  if (issued === undefined) return `a permanent doorcode of ${door}`;
  return `a daily doorcode of ${door} for ${localDayText(issued.localDay)}`;
}

function issuedCodes({ keys, state }: Authority, site: Site, used: boolean): readonly IssuedCode[] {
  return state.allotments.map(({ door, localDay: day, mode, slot }) => {
    const daily = { localDay: localDay(day), mode, slot };
    return { ...daily, doorId: door, code: dailyCode(keys.dailyKey(door, keyEpoch), daily, site.doorcodeDigits), used };
  });
}

/**
 * Whether this lock let somebody in by a daily code on that day. If so it has the day's key, and a code of that day which it
 * no longer knows has had its single use; if not, nothing shows that it has the key at all.
 */
function tookDailyCode(site: Site, record: EventRecord, device: string, day: LocalDay, now: UnixSeconds): boolean {
  return record.grantsBy(device, "daily-doorcode").some(({ at }) => dayOf(site, at, now) === day);
}

/** The permanent codes in force, once for each door that they are for. */
function heldCodes(site: Site, now: UnixSeconds): readonly HeldCode[] {
  return site.credentials.flatMap(({ id, digits, person, doors, state }) => {
    if (digits === undefined || person === undefined || state !== "active") return [];
    const keyed = site.doors.filter((door) => hasKey(site, person, door.id, now) && (doors?.includes(door.id) ?? true));
    return keyed.map((door) => ({ doorId: door.id, credentialId: id, digits }));
  });
}

/** The site's civil day by the lock's clock when that is trusted, else the day on which the event came. */
function dayOf(site: Site, { unixSeconds, quality }: DeviceEvent["at"], now: UnixSeconds): LocalDay {
  return siteDay(site.timeZone, quality === "set" && unixSeconds !== null ? unixSeconds : now);
}
