/**
 * How easily each lock of a site is opened by guessing (SPEC C10; PROTOCOL part 6): odds per lock and day, against the site's bound.
 *
 * A lock's tries are ours to hold. How many wrong tries a reader's firmware allows is unknown; its odds are those of our own throttle,
 * which the firmware can hardly better: beyond the bound even so is beyond it, within it proves nothing.
 */
import { guessingOdds, triesPerDay } from "../doorcode/guessing.ts";
import { modelByName } from "../firmware/models.ts";
import type { Site, SiteDevice } from "./site.ts";

export interface DeviceOdds {
  readonly deviceId: string;
  readonly doorId: string;
  readonly model: string;
  /** N: wrong tries in any 24 hours, at most; undefined where they are a reader's firmware's. */
  readonly triesPerDay: number | undefined;
  /** V by length: codes of so many digits that are accepted at one time. */
  readonly acceptedByDigits: ReadonlyMap<number, number>;
  /** 0-1, per day; of a reader as if our throttle held it. */
  readonly odds: number;
  /** The same while the door's daily key is renewed: the lock then holds two, and accepts every slot of both. */
  readonly renewalOdds: number;
  readonly bound: number;
  readonly verdict:
    | "within bound"
    | "beyond bound"
    | "beyond bound even throttled"
    | "throttle unknown"
    | "waived"
    | "no keypad";
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
  const isLock = modelByName[device.model].what === "lock";
  const tries = triesPerDay(site.guessing);
  const acceptedByDigits = acceptedCodes(site, device, holders, 1);
  const odds = guessingOdds(tries, acceptedByDigits);
  return {
    deviceId: device.id,
    doorId: device.door,
    model: device.model,
    triesPerDay: isLock ? tries : undefined,
    acceptedByDigits,
    odds,
    renewalOdds: guessingOdds(tries, acceptedCodes(site, device, holders, dailyKeysAtRenewal)),
    bound: site.guessing.bound,
    verdict: acceptedByDigits.size === 0 ? "no keypad" : verdictOf(site, isLock, odds, acceptedByDigits),
  };
}

function verdictOf(
  { guessing: { bound, waiver } }: Site,
  isLock: boolean,
  odds: number,
  acceptedByDigits: ReadonlyMap<number, number>,
): DeviceOdds["verdict"] {
  // PROTOCOL part 6: four digits always need the waiver, however few the tries. A reader's PINs are not our codes.
  const isWithin = odds <= bound && !(isLock && acceptedByDigits.has(4));
  if (isWithin) return isLock ? "within bound" : "throttle unknown";
  if (waiver !== undefined) return "waived";
  return isLock ? "beyond bound" : "beyond bound even throttled";
}

/** Every daily slot of both modes, and every code of people who have a key to the door. */
function acceptedCodes(
  site: Site,
  device: SiteDevice,
  holders: ReadonlySet<string>,
  dailyKeys: number,
): ReadonlyMap<number, number> {
  const { takes } = modelByName[device.model];
  const accepted = new Map<number, number>();
  const add = (digits: number, count: number): void => {
    if (count > 0) accepted.set(digits, (accepted.get(digits) ?? 0) + count);
  };
  const door = site.doors.find(({ id }) => id === device.door);
  if (door !== undefined && takes.includes("daily-doorcode")) {
    add(site.doorcodeDigits, dailyKeys * (door.dailySlots.singleUse + door.dailySlots.allDay));
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

/** The old one and the new one. */
const dailyKeysAtRenewal = 2;
