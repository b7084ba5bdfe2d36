/**
 * Changes that an operator would make, each as data, and the site as it would be after them. Nothing here is done to anything: a
 * change is made on a copy, so that it can be proved before anybody is told to make it (row 113).
 */
import { civilSeconds, minuteOfDay, offsetAt } from "../access/calendar.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import type { AccessGroup, Door, Site, SiteCredential, SiteSchedule } from "./site.ts";
import { zoneTable } from "./zone.ts";

export type SiteChange =
  | { readonly kind: "assign-credential"; readonly credential: string; readonly person: string }
  | { readonly kind: "enable-credential"; readonly credential: string }
  /** One like it, with other contents; it holds from `from` on, and a visitor's to the end of the hour after. */
  | { readonly kind: "replace-credential"; readonly credential: string; readonly from: UnixSeconds }
  | { readonly kind: "begin-credential"; readonly credential: string; readonly from: UnixSeconds }
  /** For a year. */
  | { readonly kind: "license-door"; readonly door: string; readonly from: UnixSeconds }
  /** To a company that stands for any. */
  | { readonly kind: "assign-door"; readonly door: string }
  | { readonly kind: "join-group"; readonly group: string; readonly person: string }
  | { readonly kind: "create-group"; readonly door: string; readonly person: string; readonly at: UnixSeconds }
  /** The hour of the civil day in which `at` lies. */
  | { readonly kind: "open-holiday"; readonly holiday: string; readonly at: UnixSeconds };

/** The site after the change; a change of what is not there changes nothing. */
export function applyChange(site: Site, change: SiteChange): Site {
  switch (change.kind) {
    case "assign-credential":
      return withCredential(site, change.credential, (one) => ({ ...one, person: change.person }));
    case "enable-credential":
      return withCredential(site, change.credential, (one) => ({ ...one, state: "active" }));
    case "begin-credential":
      return withCredential(site, change.credential, (one) => ({ ...one, from: change.from }));
    case "replace-credential":
      return withReplacement(site, change.credential, change.from);
    case "license-door":
      return withLicence(site, change.door, change.from);
    case "assign-door":
      return withDoor(site, change.door, (one) => ({ ...one, company: "new/company" }));
    case "join-group":
      return withGroup(site, change.group, (one) => ({ ...one, members: [...one.members, change.person] }));
    case "create-group":
      return withNewGroup(site, change);
    case "open-holiday":
      return withWorkingHours(site, change.holiday, change.at);
  }
}

/** The credential that a replacement is presented as. */
export function replacementId(credentialId: string): string {
  return `${credentialId}/new`;
}

function withCredential(site: Site, id: string, change: (one: SiteCredential) => SiteCredential): Site {
  return { ...site, credentials: site.credentials.map((one) => (one.id === id ? change(one) : one)) };
}

function withLicence(site: Site, id: string, from: UnixSeconds): Site {
  return withDoor(site, id, (one) => ({
    ...one,
    licence: { kind: "dated", from, until: unixSeconds(from + yearSeconds) },
  }));
}

function withDoor(site: Site, id: string, change: (one: Door) => Door): Site {
  return { ...site, doors: site.doors.map((one) => (one.id === id ? change(one) : one)) };
}

function withGroup(site: Site, id: string, change: (one: AccessGroup) => AccessGroup): Site {
  return { ...site, accessGroups: site.accessGroups.map((one) => (one.id === id ? change(one) : one)) };
}

function withReplacement(site: Site, id: string, from: UnixSeconds): Site {
  const old = site.credentials.find((one) => one.id === id);
  if (old === undefined) return site;
  const { digits, token, until: _, ...rest } = old;
  const replacement: SiteCredential = {
    ...rest,
    id: replacementId(id),
    state: "active",
    from,
    ...(old.kind === "temp-key" ? { until: unixSeconds(from + 3_600) } : {}),
    ...(old.usesAllowed === undefined ? {} : { usesAllowed: Math.max(1, old.usesAllowed) }),
    ...(digits === undefined ? {} : { digits: unusedDigits(site, digits.length) }),
    ...(token === undefined ? {} : { token: `${token}/new` }),
  };
  return { ...site, credentials: [...site.credentials, replacement] };
}

/** The first code of that length which nobody has. */
function unusedDigits(site: Site, length: number): string {
  const used = new Set(site.credentials.map(({ digits }) => digits));
  let number = 0;
  while (used.has(String(number).padStart(length, "0"))) number++;
  return String(number).padStart(length, "0");
}

function withNewGroup(
  site: Site,
  { door, person, at }: { readonly door: string; readonly person: string; readonly at: UnixSeconds },
): Site {
  const schedule: SiteSchedule = {
    id: "new/schedule",
    name: "this time",
    weekly: [],
    dated: [{ from: at, until: unixSeconds(at + 3_600) }],
  };
  const group: AccessGroup = {
    id: "new/group",
    name: "a new group",
    doors: [door],
    members: [person],
    userGroups: [],
    schedule: schedule.id,
    observesHolidays: true,
  };
  return { ...site, schedules: [...site.schedules, schedule], accessGroups: [...site.accessGroups, group] };
}

function withWorkingHours(site: Site, id: string, at: UnixSeconds): Site {
  const offset = offsetAt(zoneTable(site.timeZone, at, at), at);
  if (offset === undefined) return site;
  const fromMinute = Math.floor(minuteOfDay(civilSeconds(at, offset)) / 60) * 60;
  const hours = { fromMinute, toMinute: fromMinute + 60 };
  return {
    ...site,
    holidays: site.holidays.map((one) =>
      one.id === id ? { ...one, workingHours: [...one.workingHours, hours] } : one,
    ),
  };
}

const yearSeconds = 365 * 86_400;
