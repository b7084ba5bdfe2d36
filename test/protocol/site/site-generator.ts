/** Sites of any size from one number, for tests that ask about all of them. */
import type { CredentialState } from "../../../protocol/access/credential-kind.ts";
import { type DeviceId, localDay, type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import type { ModelName } from "../../../protocol/firmware/models.ts";
import type {
  AccessGroup,
  Door,
  Person,
  Site,
  SiteCredential,
  SiteHoliday,
  SiteSchedule,
  Weekday,
} from "../../../protocol/site/site.ts";
import { weekdays } from "../../../protocol/site/site.ts";

export interface Sizes {
  readonly people: number;
  readonly credentials: number;
  readonly groups: number;
  readonly schedules: number;
  readonly holidays: number;
}

export type Random = (below: number) => number;

/** mulberry32: the same everywhere for the same seed. */
export function seeded(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const generatedDevices = ["lock-c2", "lock-m2", "reader-r29", "lock-r2"] as const;

/** A site around `start` with four devices at three doors. */
export function generateSite(random: Random, sizes: Sizes, start: UnixSeconds): Site {
  const pick = <Item>(items: readonly Item[]): Item => {
    const item = items[random(items.length)];
    if (item === undefined) throw new Error("there is something to pick from");
    return item;
  };
  const chance = (percent: number): boolean => random(100) < percent;
  const around = (days: number): UnixSeconds => unixSeconds(start + random(2 * days * 86_400) - days * 86_400);
  const list = <Item>(length: number, make: (index: number) => Item): readonly Item[] =>
    Array.from({ length }, (_, index) => make(index));
  const period = (percent: number) => {
    if (!chance(percent)) return {};
    const [one, two] = [around(20), around(20)];
    return one < two ? { from: one, until: two } : { until: unixSeconds(one + 1) };
  };
  const doorIds = ["front", "garage", "home"];
  const doors = doorIds.map(
    (id): Door => ({
      id,
      name: id,
      kind: id === "home" ? "RESIDENCE" : "COMMUNAL",
      licence: pick([
        { kind: "never-activated" },
        { kind: "dated", from: unixSeconds(0), until: around(3) },
        { kind: "dated", from: unixSeconds(0), until: unixSeconds(start + 86_400_000) },
      ] as const),
      ...(chance(80) ? { company: "co" } : {}),
      dailySlots: { singleUse: 3, allDay: 1 },
    }),
  );
  const device = (id: string, model: ModelName, door: string) =>
    ({ id: id as DeviceId, name: id, model, door, serial: id, state: "active" }) as const;
  const schedules = list(
    sizes.schedules,
    (index): SiteSchedule => ({
      id: `schedule-${index}`,
      name: `${index}`,
      weekly: list(random(4), () => ({
        days: weekdays.filter((): boolean => chance(50)) as readonly Weekday[],
        fromMinute: random(1_440),
        toMinute: random(1_440) + 1,
      })).filter(({ fromMinute, toMinute }) => fromMinute !== toMinute),
      dated: list(random(3), () => around(10)).map((from) => ({
        from,
        until: unixSeconds(from + 1 + random(200_000)),
      })),
    }),
  );
  const people = list(
    sizes.people,
    (index): Person => ({
      id: `person-${index}`,
      name: `P ${index}`,
      email: `p${index}@example.org`,
      role: "RESIDENT",
      showInIntercom: true,
      ...(chance(15) ? { revokedAt: around(5) } : {}),
    }),
  );
  const some = (percent: number) => people.filter(() => chance(percent)).map(({ id }) => id);
  const userGroups = list(3, (index) => ({ id: `users-${index}`, name: `${index}`, members: some(15) }));
  const accessGroups = list(
    sizes.groups,
    (index): AccessGroup => ({
      id: `group-${index}`,
      name: `${index}`,
      doors: doorIds.filter(() => chance(60)),
      members: some(Math.max(3, 60 / sizes.groups)),
      userGroups: userGroups.filter(() => chance(20)).map(({ id }) => id),
      ...(schedules.length > 0 && chance(70) ? { schedule: pick(schedules).id } : {}),
      observesHolidays: chance(50),
      ...period(20),
    }),
  );
  const holidays = list(sizes.holidays, (index): SiteHoliday => {
    const fromDay = localDay(Math.floor(start / 86_400) + random(9) - 4);
    const fromMinute = random(1_400);
    return {
      id: `holiday-${index}`,
      name: `${index}`,
      fromDay,
      toDay: localDay(fromDay + random(3)),
      workingHours: chance(60) ? [{ fromMinute, toMinute: fromMinute + 1 + random(1_440 - fromMinute) }] : [],
      ...(chance(30) ? { doors: [pick(doorIds)] } : {}),
    };
  });
  const credentials = list(sizes.credentials, (index): SiteCredential => {
    const kind = pick([
      "app-key",
      "permanent-doorcode",
      "keycard",
      "pin",
      "rf-card",
      "qr",
      "temp-key",
      "face",
    ] as const);
    return {
      id: `credential-${String(index).padStart(5, "0")}`,
      kind,
      state: chance(80)
        ? "active"
        : pick(["disabled", "lost", "stolen", "revoked"] as const satisfies CredentialState[]),
      ...(people.length > 0 && chance(92) ? { person: pick(people).id } : {}),
      ...(chance(20) ? { doors: doorIds.filter(() => chance(60)) } : {}),
      ...presented(kind, index),
      ...period(25),
    };
  });
  return {
    id: "generated",
    name: "Generated",
    timeZone: pick(["America/New_York", "Europe/Berlin", "Africa/Cairo", "Asia/Kolkata", "Australia/Lord_Howe"]),
    doorcodeDigits: 7,
    propertyManager: { name: "M" },
    guessing: { bound: 1, triesAtOnce: 10, refillSeconds: 4_320 },
    leaseDays: {},
    holidays,
    doors,
    devices: [
      device("lock-c2", "C2", "front"),
      device("lock-m2", "M2", "home"),
      device("reader-r29", "R29", "garage"),
      device("lock-r2", "R2", "front"),
    ],
    panels: [],
    units: [],
    people,
    userGroups,
    accessGroups,
    schedules,
    credentials,
  };
}

function presented(kind: SiteCredential["kind"], index: number): { digits?: string; token?: string } {
  const number = String(index);
  if (kind === "permanent-doorcode") return { digits: `1${number.padStart(6, "0")}` };
  if (kind === "pin" || kind === "temp-key") return { digits: `2${number.padStart(7, "0")}` };
  return kind === "app-key" ? {} : { token: `${kind}-${number}` };
}
