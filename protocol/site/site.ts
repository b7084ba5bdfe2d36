/**
 * A site: its people, doors, devices, groups, schedules, holidays and credentials, as the authority knows them.
 *
 * `siteFileSchema` is what a person writes in YAML; `parseSite` (parse-site.ts) turns it into `Site`, where every time is an instant and
 * every reference holds. `Site` is plain data, so an authority changes it by copying. The emulator extends the file with the
 * world's truth: `siteFileSchema.extend({ world: ... })`.
 */
import { z } from "zod";
import { type CredentialKind, type CredentialState, credentialStates } from "../access/credential-kind.ts";
import type { DoorLicence, LeaseClass } from "../access/policy.ts";
import { type DoorKind, doorKinds, type Role, roles } from "../access/roles.ts";
import type { DeviceId, LocalDay, UnixSeconds } from "../base/units.ts";
import { type ModelName, networkedOrBleModelNames } from "../firmware/models.ts";
import { isTimeText } from "./site-time.ts";

export interface Site {
  readonly id: string;
  readonly name: string;
  /** IANA name. */
  readonly timeZone: string;
  /** Digits of daily codes, 4-7. */
  readonly doorcodeDigits: number;
  readonly propertyManager: PropertyManager;
  readonly guessing: GuessingRules;
  /** For how many days a class of credentials goes on at a lock that hears nothing newer (SPEC N11); absent: without end. */
  readonly leaseDays: Readonly<Partial<Record<LeaseClass, number>>>;
  readonly holidays: readonly SiteHoliday[];
  readonly doors: readonly Door[];
  readonly devices: readonly SiteDevice[];
  readonly panels: readonly LinkPanel[];
  readonly units: readonly Unit[];
  readonly people: readonly Person[];
  readonly userGroups: readonly UserGroup[];
  readonly accessGroups: readonly AccessGroup[];
  readonly schedules: readonly SiteSchedule[];
  readonly credentials: readonly SiteCredential[];
}

export type PropertyManager = { readonly name: string; readonly phone?: string; readonly email?: string };

/** How easy a code may be to guess: odds per lock and day. Beyond the bound a waiver must say who accepts it, and why. */
export interface GuessingRules {
  readonly bound: number;
  readonly triesAtOnce: number;
  readonly refillSeconds: number;
  readonly waiver?: { readonly by: string; readonly reason: string };
}

export interface Door {
  readonly id: string;
  readonly name: string;
  readonly kind: DoorKind;
  readonly licence: DoorLicence;
  /** The company or property that the door is assigned to; absent: to none. */
  readonly company?: string;
  /** The unit behind a residence door. */
  readonly unit?: string;
  readonly dailySlots: { readonly singleUse: number; readonly allDay: number };
}

export interface SiteDevice {
  readonly id: DeviceId;
  readonly name: string;
  readonly model: ModelName;
  readonly door: string;
  readonly serial: string;
  /** Bluetooth address, upper-case hex pairs with colons. */
  readonly address?: string;
  /** `assigned`: linked to the door but not (or no longer) in service. */
  readonly state: "active" | "assigned";
}

/** A passive DOOR Link panel and the door it is paired with. */
export interface LinkPanel {
  readonly id: DeviceId;
  readonly name: string;
  readonly door: string;
}

export type Unit = { readonly id: string; readonly name: string };

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly role: Role;
  readonly unit?: string;
  readonly showInIntercom: boolean;
  /** From then on every credential of this person counts as revoked. */
  readonly revokedAt?: UnixSeconds;
  /** Signed out of every phone then (password reset): app certificates made before are worth nothing. */
  readonly signedOutAt?: UnixSeconds;
}

export type UserGroup = { readonly id: string; readonly name: string; readonly members: readonly string[] };

/** DOOR calls it a key: who may pass which doors, at any time or within a schedule. */
export interface AccessGroup {
  readonly id: string;
  readonly name: string;
  readonly doors: readonly string[];
  /** People named directly. */
  readonly members: readonly string[];
  /** People who inherit it. */
  readonly userGroups: readonly string[];
  readonly schedule?: string;
  readonly observesHolidays: boolean;
  readonly from?: UnixSeconds;
  readonly until?: UnixSeconds;
}

export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof weekdays)[number];

/** Minutes of the day; `to` at or before `from` lies on the next day; 1,440 is the midnight that ends the day. */
export type DayWindow = { readonly fromMinute: number; readonly toMinute: number };
export type WeeklyWindow = DayWindow & { readonly days: readonly Weekday[] };

/** Covers an instant that lies in any of its windows or ranges. */
export interface SiteSchedule {
  readonly id: string;
  readonly name: string;
  readonly weekly: readonly WeeklyWindow[];
  readonly dated: readonly { readonly from: UnixSeconds; readonly until: UnixSeconds }[];
}

export interface SiteHoliday {
  readonly id: string;
  readonly name: string;
  readonly fromDay: LocalDay;
  /** Included. */
  readonly toDay: LocalDay;
  readonly workingHours: readonly DayWindow[];
  /** Absent: every door. */
  readonly doors?: readonly string[];
}

/** What is presented: digits on a keypad, a token at a reader, both (temp keys) or neither (app and mechanical keys). */
export interface SiteCredential {
  readonly id: string;
  readonly kind: Exclude<CredentialKind, "daily-doorcode">;
  /** Absent: assigned to nobody. */
  readonly person?: string;
  /** Absent: at every door that the person has a key to. */
  readonly doors?: readonly string[];
  readonly state: CredentialState;
  /** Half open. */
  readonly from?: UnixSeconds;
  readonly until?: UnixSeconds;
  /** How often in all since it was given, at each device, whatever was used so far (SPEC D12): devices count by the id and forget none. */
  readonly usesAllowed?: number;
  readonly digits?: string;
  readonly token?: string;
}

/** Limits of a site file: what one gateway serves, with room to spare. Memory and time are bounded by them. */
export const siteLimits = {
  doors: 1_000,
  devices: 1_000,
  people: 10_000,
  groups: 1_000,
  schedules: 200,
  holidays: 64,
  credentials: 20_000,
  windows: 64,
  nameCharacters: 80,
} as const;

const deviceIdText = z.string().regex(/^[a-z0-9-]{3,32}$/, "an id of 3-32 characters a-z 0-9 -");
const idText = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "an id of 1-32 characters a-z 0-9 -");
const nameText = z.string().min(1).max(siteLimits.nameCharacters);
const timeText = z
  .string()
  .refine(isTimeText, "a time: 2026-12-24, 2026-12-24T08:00, 2026-12-24T08:00:00-05:00, start, start-2h or start+3d");
const clockText = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, "a time of day 00:00-24:00, quoted");
const digitsText = (min: number, max: number) =>
  z.string().regex(new RegExp(`^[0-9]{${min},${max}}$`), `${min}-${max} digits, quoted`);
const hexText = z.string().regex(/^[0-9a-f]{8,40}$/i, "8-40 hex digits, quoted");
const refs = (max: number) => z.array(idText).max(max);

/**
 * A lock is visited by half of its lease, and warns two days before the end: with five days a site in order sees no warning. A year is as
 * good as none for a lock on batteries.
 */
const leaseDays = z
  .custom<number>((value) => z.int().min(5).max(366).safeParse(value).success, "a whole number of days, 5-366")
  .optional();

const windowSchema = { from: clockText, to: clockText };
const licenceSchema = z.strictObject({
  state: z.enum(["never-activated", "active", "expired"]),
  from: timeText.optional(),
  until: timeText.optional(),
});

const doorSchema = z.strictObject({
  id: idText,
  name: nameText,
  kind: z.enum(doorKinds),
  licence: licenceSchema.default({ state: "active" }),
  company: idText.nullable().optional(),
  unit: idText.optional(),
  dailySlots: z
    .strictObject({ singleUse: z.int().min(0).max(64), allDay: z.int().min(0).max(64).default(0) })
    .optional(),
});

const deviceSchema = z.strictObject({
  id: deviceIdText,
  name: nameText.optional(),
  model: z.enum(networkedOrBleModelNames),
  door: idText,
  serial: z.string().min(1).max(40),
  address: z
    .string()
    .regex(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/, "a Bluetooth address such as C0:FF:EE:00:00:01")
    .optional(),
  state: z.enum(["active", "assigned"]).default("active"),
});

const personSchema = z.strictObject({
  id: idText,
  name: nameText,
  email: z.email(),
  role: z.enum(roles),
  unit: idText.optional(),
  showInIntercom: z.boolean().default(false),
  revokedAt: timeText.optional(),
  signedOutAt: timeText.optional(),
});

const accessGroupSchema = z.strictObject({
  id: idText,
  name: nameText,
  doors: refs(siteLimits.doors),
  members: refs(siteLimits.people).default([]),
  userGroups: refs(siteLimits.groups).default([]),
  schedule: idText.optional(),
  holidays: z.enum(["observed", "ignored"]).optional(),
  from: timeText.optional(),
  until: timeText.optional(),
});

const scheduleSchema = z.strictObject({
  id: idText,
  name: nameText.optional(),
  weekly: z
    .array(z.strictObject({ days: z.array(z.enum(weekdays)).min(1).max(7), ...windowSchema }))
    .max(siteLimits.windows)
    .default([]),
  dated: z
    .array(z.strictObject({ from: timeText, until: timeText }))
    .max(siteLimits.windows)
    .default([]),
});

const holidaySchema = z.strictObject({
  id: idText,
  name: nameText,
  from: timeText,
  to: timeText,
  workingHours: z.array(z.strictObject(windowSchema)).max(8).default([]),
  doors: refs(siteLimits.doors).optional(),
});

const credentialBase = {
  id: idText,
  person: idText.optional(),
  doors: refs(siteLimits.doors).optional(),
  state: z.enum(credentialStates).default("active"),
  from: timeText.optional(),
  until: timeText.optional(),
  usesAllowed: z.int().min(0).max(1_000_000).optional(),
  /** Its name once, which said something else: a file that has it must say which of the two it means. */
  usesLeft: z
    .custom<undefined>((value) => value === undefined, 'the key "usesAllowed": how often in all, at each device')
    .optional(),
};
const credentialSchema = z.discriminatedUnion("kind", [
  z.strictObject({ ...credentialBase, kind: z.literal("app-key") }),
  z.strictObject({ ...credentialBase, kind: z.literal("permanent-doorcode"), code: digitsText(4, 7) }),
  z.strictObject({ ...credentialBase, kind: z.literal("keycard"), number: hexText }),
  z.strictObject({ ...credentialBase, kind: z.literal("mechanical-key") }),
  z.strictObject({ ...credentialBase, kind: z.literal("pin"), code: digitsText(4, 8) }),
  z.strictObject({ ...credentialBase, kind: z.literal("rf-card"), number: hexText }),
  z.strictObject({ ...credentialBase, kind: z.literal("qr"), text: z.string().min(8).max(200) }),
  z.strictObject({ ...credentialBase, kind: z.literal("face"), template: z.string().min(1).max(64) }),
  z.strictObject({ ...credentialBase, kind: z.literal("licence-plate"), plate: z.string().min(2).max(16) }),
  z.strictObject({
    ...credentialBase,
    kind: z.literal("temp-key"),
    code: digitsText(4, 8).optional(),
    text: z.string().min(8).max(200).optional(),
    from: timeText,
    until: timeText,
  }),
]);

export const siteFileSchema = z.strictObject({
  site: z.strictObject({
    id: idText,
    name: nameText,
    timeZone: z.string().min(1).max(64),
    doorcodeDigits: z.int().min(4).max(7).default(7),
    propertyManager: z.strictObject({
      name: nameText,
      phone: z.string().max(40).optional(),
      email: z.email().optional(),
    }),
    guessing: z
      .strictObject({
        bound: z.number().positive().max(1).default(1e-3),
        triesAtOnce: z.int().min(1).max(1_000).default(10),
        refillSeconds: z.int().min(1).max(86_400).default(4_320),
        waiver: z.strictObject({ by: nameText, reason: z.string().min(1).max(400) }).optional(),
      })
      .prefault({}),
    leases: z.strictObject({ app: leaseDays, code: leaseDays, keycard: leaseDays }).prefault({}),
  }),
  holidays: z.array(holidaySchema).max(siteLimits.holidays).default([]),
  doors: z.array(doorSchema).max(siteLimits.doors),
  devices: z.array(deviceSchema).max(siteLimits.devices).default([]),
  panels: z
    .array(z.strictObject({ id: deviceIdText, name: nameText.optional(), door: idText }))
    .max(siteLimits.devices)
    .default([]),
  units: z
    .array(z.strictObject({ id: idText, name: nameText }))
    .max(siteLimits.people)
    .default([]),
  people: z.array(personSchema).max(siteLimits.people).default([]),
  userGroups: z
    .array(z.strictObject({ id: idText, name: nameText, members: refs(siteLimits.people) }))
    .max(siteLimits.groups)
    .default([]),
  accessGroups: z.array(accessGroupSchema).max(siteLimits.groups).default([]),
  schedules: z.array(scheduleSchema).max(siteLimits.schedules).default([]),
  credentials: z.array(credentialSchema).max(siteLimits.credentials).default([]),
});

export type SiteFile = z.output<typeof siteFileSchema>;
