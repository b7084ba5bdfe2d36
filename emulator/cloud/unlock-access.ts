/**
 * Who may have the authority sign an unlock command: a manager or resident whom the door would let in now. It is decided as at the door
 * itself, by the whole site model (key, schedule, holiday, licence), for a credential that this person would hold there.
 */
import type { DenialReason } from "../../protocol/access/reasons.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import { issuingRoles } from "../../protocol/doorcode/allot.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { decideAtDesk } from "../../protocol/site/desk-decision.ts";
import { activeDevices, personById } from "../../protocol/site/rights.ts";
import type { Site, SiteCredential, SiteDevice } from "../../protocol/site/site.ts";

export type UnlockAccessFault =
  | { readonly code: "no-such-door" }
  | { readonly code: "no-such-person" }
  | { readonly code: "ROLE_MAY_NOT_UNLOCK"; readonly role: string }
  /** Nothing at this door is in service and on the network: an offline lock is opened by who stands at it. */
  | { readonly code: "NO_NETWORKED_DEVICE" }
  | { readonly code: "ACCESS_DENIED"; readonly reason: DenialReason; readonly failedChecks: readonly DenialReason[] };

/** The device of the door that is to open. Faults: as listed, in this order. */
export function unlockableDevice(
  site: Site,
  doorId: string,
  personId: string,
  now: UnixSeconds,
): Result<SiteDevice, UnlockAccessFault> {
  if (!site.doors.some(({ id }) => id === doorId)) return failed({ code: "no-such-door" });
  const person = personById(site, personId);
  if (person === undefined) return failed({ code: "no-such-person" });
  if (!issuingRoles.includes(person.role)) return failed({ code: "ROLE_MAY_NOT_UNLOCK", role: person.role });
  const device = activeDevices(site, doorId).find(({ model }) => modelByName[model].network === "mqtt");
  if (device === undefined) return failed({ code: "NO_NETWORKED_DEVICE" });
  const denied = whyDenied(site, device, personId, now);
  return denied === undefined ? ok(device) : failed({ code: "ACCESS_DENIED", ...denied });
}

function whyDenied(site: Site, device: SiteDevice, person: string, now: UnixSeconds) {
  const standIn: SiteCredential = { id: standInId, kind: "app-key", person, state: "active" };
  const asked = { ...site, credentials: [...site.credentials, standIn] };
  const decided = decideAtDesk(asked, device.door, standInId, now);
  const here = decided.ok ? decided.value.find(({ deviceId }) => deviceId === device.id)?.decision : undefined;
  if (here?.granted === true) return undefined;
  // A site that cannot be compiled for this device lets nobody in by it either.
  const reason = here?.primaryReason ?? "NO_ACCESS_RIGHTS";
  return { reason, failedChecks: here?.failedChecks ?? [reason] };
}

/** No site file can hold it: ids there do not begin with a hyphen (SPEC N1). */
const standInId = "-remote";
