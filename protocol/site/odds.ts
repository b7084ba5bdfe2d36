/**
 * How easily each lock of a site is opened by guessing (SPEC C10; PROTOCOL part 6): odds per lock and day, against the site's bound.
 *
 * Locks are judged, readers are reported: what a reader's own firmware allows in wrong tries is not ours to hold.
 */
import { guessingOdds, triesPerDay } from "../doorcode/guessing.ts";
import { modelByName } from "../firmware/models.ts";
import type { Site, SiteDevice } from "./site.ts";

export interface DeviceOdds {
  readonly deviceId: string;
  readonly doorId: string;
  readonly model: string;
  /** N: wrong tries in any 24 hours, at most. */
  readonly triesPerDay: number;
  /** V by length: codes of so many digits that are accepted at one time. */
  readonly acceptedByDigits: ReadonlyMap<number, number>;
  /** 0-1, per day. */
  readonly odds: number;
  readonly bound: number;
  readonly verdict: "within bound" | "beyond bound" | "waived" | "not judged" | "no keypad";
}

/** One entry for each device, in the site's order. */
export function siteOdds(site: Site): readonly DeviceOdds[] {
  const holdersByDoor = new Map(site.doors.map(({ id }) => [id, keyHolders(site, id)]));
  return site.devices.map((device) => deviceOdds(site, device, holdersByDoor.get(device.door) ?? new Set()));
}

/** `1 in 83`; `none` for odds of zero. */
export function oddsText(odds: number): string {
  return odds === 0 ? "none" : `1 in ${Math.floor(1 / odds).toLocaleString("en-US")}`;
}

function deviceOdds(site: Site, device: SiteDevice, holders: ReadonlySet<string>): DeviceOdds {
  const model = modelByName[device.model];
  const tries = triesPerDay(site.guessing);
  const acceptedByDigits = acceptedCodes(site, device, holders);
  const odds = guessingOdds(tries, acceptedByDigits);
  const { bound, waiver } = site.guessing;
  // PROTOCOL part 6: four digits always need the waiver, however few the tries.
  const isWithin = odds <= bound && !acceptedByDigits.has(4);
  const judged = isWithin ? "within bound" : waiver === undefined ? "beyond bound" : "waived";
  const verdict = acceptedByDigits.size === 0 ? "no keypad" : model.what === "lock" ? judged : "not judged";
  return {
    deviceId: device.id,
    doorId: device.door,
    model: device.model,
    triesPerDay: tries,
    acceptedByDigits,
    odds,
    bound,
    verdict,
  };
}

/** Every daily slot of both modes, and every code of people who have a key to the door. */
function acceptedCodes(site: Site, device: SiteDevice, holders: ReadonlySet<string>): ReadonlyMap<number, number> {
  const { takes } = modelByName[device.model];
  const accepted = new Map<number, number>();
  const add = (digits: number, count: number): void => {
    if (count > 0) accepted.set(digits, (accepted.get(digits) ?? 0) + count);
  };
  const door = site.doors.find(({ id }) => id === device.door);
  if (door !== undefined && takes.includes("daily-doorcode")) {
    add(site.doorcodeDigits, door.dailySlots.singleUse + door.dailySlots.allDay);
  }
  for (const { kind, digits, person, doors, state } of site.credentials) {
    const isHere = doors === undefined || doors.includes(device.door);
    if (digits === undefined || state !== "active" || !isHere || !takes.includes(kind)) continue;
    if (person !== undefined && holders.has(person)) add(digits.length, 1);
  }
  return accepted;
}

function keyHolders(site: Site, doorId: string): ReadonlySet<string> {
  const groups = site.accessGroups.filter(({ doors }) => doors.includes(doorId));
  const inherited = new Set(groups.flatMap(({ userGroups }) => userGroups));
  const members = site.userGroups.filter(({ id }) => inherited.has(id)).flatMap((group) => group.members);
  return new Set([...groups.flatMap((group) => group.members), ...members]);
}
