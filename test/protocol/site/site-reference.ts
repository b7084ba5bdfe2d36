/** What the site model says about one credential at one device and time: slow, by Temporal, and without any policy. */
import { Temporal } from "temporal-polyfill";
import type { UnixSeconds } from "../../../protocol/base/units.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import type { AccessGroup, Site } from "../../../protocol/site/site.ts";
import { weekdays } from "../../../protocol/site/site.ts";

/** The reasons, in any order; none: it opens. */
export function siteReasons(site: Site, deviceId: string, credentialId: string, now: UnixSeconds): ReadonlySet<string> {
  const device = site.devices.find(({ id }) => id === deviceId);
  const door = site.doors.find(({ id }) => id === device?.door);
  const credential = site.credentials.find(({ id }) => id === credentialId);
  if (device === undefined || door === undefined || credential === undefined)
    throw new Error("the test asks for what exists");
  const model = modelByName[device.model];
  const reasons = new Set<string>();
  if (model.hasLicences) {
    if (door.licence.kind === "never-activated" || now < door.licence.from) reasons.add("DOOR_NOT_ACTIVATED");
    else if (now >= door.licence.until) reasons.add("DOOR_LICENSE_EXPIRED");
    if (door.company === undefined) reasons.add("DOOR_NOT_ASSIGNED");
  }
  const person = site.people.find(({ id }) => id === credential.person);
  const reachesDoor = credential.doors?.includes(door.id) ?? true;
  const groups = reachesDoor ? site.accessGroups.filter((group) => holds(site, group, door.id, credential.person)) : [];
  if (!model.takes.includes(credential.kind) || (model.network === "ble" && groups.length === 0)) {
    reasons.add(model.takes.includes(credential.kind) ? "CREDENTIAL_UNKNOWN" : "not read");
    return reasons;
  }
  if (credential.state !== "active") reasons.add(`CREDENTIAL_${credential.state.toUpperCase()}`);
  else if (person?.revokedAt !== undefined && now >= person.revokedAt) reasons.add("CREDENTIAL_REVOKED");
  if (credential.from !== undefined && now < credential.from) reasons.add("CREDENTIAL_NOT_YET_ACTIVE");
  if (credential.until !== undefined && now >= credential.until) reasons.add("CREDENTIAL_EXPIRED");
  if (person === undefined) reasons.add("CREDENTIAL_UNASSIGNED");
  else if (groups.length === 0) reasons.add("NO_ACCESS_RIGHTS");
  else for (const reason of lackOfNearest(groups.map((group) => lacks(site, group, door.id, now)))) reasons.add(reason);
  return reasons;
}

function holds(site: Site, group: AccessGroup, doorId: string, personId: string | undefined): boolean {
  if (personId === undefined || !group.doors.includes(doorId)) return false;
  const inherited = site.userGroups.filter(({ id }) => group.userGroups.includes(id)).flatMap(({ members }) => members);
  return group.members.includes(personId) || inherited.includes(personId);
}

function lackOfNearest(all: readonly (readonly string[])[]): readonly string[] {
  const fewest = Math.min(...all.map(({ length }) => length));
  return all.filter(({ length }) => length === fewest).flat();
}

function lacks(site: Site, group: AccessGroup, doorId: string, now: UnixSeconds): readonly string[] {
  const isOutOfDates =
    (group.until !== undefined && now >= group.until) || (group.from !== undefined && now < group.from);
  const outside = isOutOfDates ? ["OUT_OF_SCHEDULE"] : [];
  const time = Temporal.Instant.fromEpochMilliseconds(now * 1_000).toZonedDateTimeISO(site.timeZone);
  const minute = time.hour * 60 + time.minute;
  const day = Math.round((Date.parse(time.toPlainDate().toString()) - 0) / 86_400_000);
  const active = site.holidays.filter(
    (holiday) => (holiday.doors?.includes(doorId) ?? true) && holiday.fromDay <= day && day <= holiday.toDay,
  );
  const schedule = site.schedules.find(({ id }) => id === group.schedule);
  const today = weekdays[time.dayOfWeek - 1];
  const yesterday = weekdays[(time.dayOfWeek + 5) % 7];
  const inWeek = schedule?.weekly.some(({ days, fromMinute, toMinute }) => {
    const has = (name: string | undefined) => days.some((one) => one === name);
    if (fromMinute < toMinute) return has(today) && minute >= fromMinute && minute < toMinute;
    return (has(today) && minute >= fromMinute) || (has(yesterday) && minute < toMinute);
  });
  const inDates = schedule?.dated.some(({ from, until }) => from <= now && now < until);
  const outOfSchedule = schedule === undefined || inWeek === true || inDates === true ? outside : ["OUT_OF_SCHEDULE"];
  if (!group.observesHolidays || active.length === 0) return outOfSchedule;
  const lets = active.every(({ workingHours }) =>
    workingHours.some(({ fromMinute, toMinute }) => minute >= fromMinute && minute < toMinute),
  );
  return lets ? outside : [...outOfSchedule, "HOLIDAY_RESTRICTED"];
}
