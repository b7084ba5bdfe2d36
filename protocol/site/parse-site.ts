/**
 * A site file in YAML -> `Site`: shape, references, times, and what only the whole can tell (SPEC N1-N6).
 *
 * The checks on references and times read the file as it stands, not as the schema accepts it, so that one mistake in a door does
 * not hide another in a credential.
 */
import type { z } from "zod";
import type { DoorLicence } from "../access/policy.ts";
import type { DoorKind } from "../access/roles.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type LocalDay, parseDeviceId, type UnixSeconds, unixSeconds } from "../base/units.ts";
import { asFault, checkSchema, type DocumentFault, type Finding, readYaml } from "./document.ts";
import { oddsText, siteOdds } from "./odds.ts";
import { type Door, type Site, type SiteCredential, type SiteDevice, type SiteFile, siteFileSchema } from "./site.ts";
import { siteFindings } from "./site-findings.ts";
import { minutesOf, resolveDay, resolveTime, type SiteClock } from "./site-time.ts";
import { isTimeZone } from "./zone.ts";

export interface ParsedSite<File> {
  readonly site: Site;
  readonly file: File;
  /** Resolves a time that an extended file has in fields of its own. */
  readonly time: (text: string, edge: "from" | "until") => UnixSeconds | undefined;
}

/** Reads a site file; `start` is what `start-2h` counts from. Faults: document-mistakes, all of them, each with its line. */
export function parseSite(text: string, options: { readonly start: UnixSeconds }): Result<Site, DocumentFault> {
  const parsed = parseSiteWith(text, siteFileSchema, options);
  return parsed.ok ? ok(parsed.value.site) : parsed;
}

/**
 * As `parseSite` for a schema that extends `siteFileSchema`. `check` may find more mistakes in its own fields; it runs when the
 * file is otherwise sound.
 */
export function parseSiteWith<Schema extends z.ZodType<SiteFile>>(
  text: string,
  schema: Schema,
  options: {
    readonly start: UnixSeconds;
    readonly check?: (parsed: ParsedSite<z.output<Schema>>) => readonly Finding[];
    /** True: a lock beyond the site's bound for guessing is no mistake, for whoever wants to see the odds. */
    readonly anyOdds?: boolean;
  },
): Result<ParsedSite<z.output<Schema>>, DocumentFault> {
  const yaml = readYaml(text);
  if (!yaml.ok) return yaml;
  const { value: file, mistakes } = checkSchema(yaml.value, schema);
  const findings = siteFindings(yaml.value.raw, options.start);
  const found = [...mistakes, ...findings.map(yaml.value.mistakeAt)];
  if (file === undefined || found.length > 0) return failed(asFault(found));
  const clock: SiteClock = { start: options.start, timeZone: file.site.timeZone };
  const time = (timeText: string, edge: "from" | "until") => resolveTime(timeText, edge, clock);
  const parsed = { site: buildSite(file, clock), file, time };
  const odds = options.anyOdds === true ? [] : oddsFindings(parsed.site);
  const more = [...odds, ...(options.check?.(parsed) ?? [])];
  return more.length === 0 ? ok(parsed) : failed(asFault(more.map(yaml.value.mistakeAt)));
}

/** PROTOCOL part 6: a configuration beyond the bound is refused, unless a waiver says who takes it and why. */
function oddsFindings(site: Site): readonly Finding[] {
  return siteOdds(site).flatMap(({ verdict, odds, bound }, index) => {
    if (verdict !== "beyond bound") return [];
    const least = `${oddsText(bound)} a day by guessing, with codes of five digits or more`;
    const expected = `at most ${least} (more digits, fewer slots or tries), or site.guessing.waiver`;
    return [{ path: ["devices", index], expected, came: oddsText(odds) }];
  });
}

function buildSite(file: SiteFile, clock: SiteClock): Site {
  assert(isTimeZone(file.site.timeZone), "the findings have looked at the time zone");
  const { guessing, leases, propertyManager, ...site } = file.site;
  return {
    ...site,
    propertyManager: present(propertyManager),
    guessing: present(guessing),
    leaseDays: present(leases),
    doors: file.doors.map((door) => buildDoor(door, clock)),
    devices: file.devices.map(buildDevice),
    panels: file.panels.map(({ id, name, door }) => ({ id: checkedDeviceId(id), name: name ?? id, door })),
    units: file.units,
    people: file.people.map(({ revokedAt, signedOutAt, ...person }) => ({
      ...present(person),
      ...at("revokedAt", revokedAt, clock),
      ...at("signedOutAt", signedOutAt, clock),
    })),
    userGroups: file.userGroups,
    accessGroups: file.accessGroups.map(({ holidays, from, until, schedule, ...group }) => ({
      ...group,
      ...present({ schedule }),
      // A key without a schedule has nothing that a holiday could take the place of.
      observesHolidays: (holidays ?? (schedule === undefined ? "ignored" : "observed")) === "observed",
      ...period(from, until, clock),
    })),
    schedules: file.schedules.map(({ id, name, weekly, dated }) => ({
      id,
      name: name ?? id,
      weekly: weekly.map(({ days, from, to }) => ({ days, fromMinute: minutesOf(from), toMinute: minutesOf(to) })),
      dated: dated.map(({ from, until }) => ({
        from: checkedTime(from, "from", clock),
        until: checkedTime(until, "until", clock),
      })),
    })),
    holidays: file.holidays.map(({ from, to, workingHours, doors, ...holiday }) => ({
      ...holiday,
      ...present({ doors }),
      fromDay: checkedDay(from, clock),
      toDay: checkedDay(to, clock),
      workingHours: workingHours.map((hours) => ({ fromMinute: minutesOf(hours.from), toMinute: minutesOf(hours.to) })),
    })),
    credentials: file.credentials.map((credential) => buildCredential(credential, clock)),
  };
}

function buildDoor(door: SiteFile["doors"][number], clock: SiteClock): Door {
  const { licence, company, unit, dailySlots, ...rest } = door;
  return {
    ...rest,
    ...present({ unit, company: company ?? undefined }),
    licence: buildLicence(licence, clock),
    dailySlots: dailySlots ?? defaultDailySlots(door.kind),
  };
}

/** A licence without dates: active from the beginning of time until its end; one said to be expired ended at the start. */
function buildLicence(licence: SiteFile["doors"][number]["licence"], clock: SiteClock): DoorLicence {
  if (licence.state === "never-activated") return { kind: "never-activated" };
  const { from, until } = period(licence.from, licence.until, clock);
  const end = until ?? (licence.state === "expired" ? clock.start : unixSeconds(0xffff_ffff));
  return { kind: "dated", from: from ?? unixSeconds(0), until: end };
}

/** PROTOCOL part 6: 32 slots at a common door, 4 at a residence, here with some of each kept for codes of the whole day. */
function defaultDailySlots(kind: DoorKind): { readonly singleUse: number; readonly allDay: number } {
  return kind === "RESIDENCE" ? { singleUse: 3, allDay: 1 } : { singleUse: 28, allDay: 4 };
}

function buildDevice({ id, name, address, ...device }: SiteFile["devices"][number]): SiteDevice {
  return { ...device, ...present({ address }), id: checkedDeviceId(id), name: name ?? id };
}

function buildCredential(credential: SiteFile["credentials"][number], clock: SiteClock): SiteCredential {
  const { id, kind, person, doors, state, from, until, usesAllowed } = credential;
  return {
    id,
    kind,
    state,
    ...present({ person, doors, usesAllowed, ...presentedBy(credential) }),
    ...period(from, until, clock),
  };
}

function presentedBy(credential: SiteFile["credentials"][number]): {
  readonly digits?: string | undefined;
  readonly token?: string | undefined;
} {
  switch (credential.kind) {
    case "permanent-doorcode":
    case "pin":
      return { digits: credential.code };
    case "keycard":
    case "rf-card":
      return { token: credential.number.toLowerCase() };
    case "qr":
      return { token: credential.text };
    case "face":
      return { token: credential.template };
    case "licence-plate":
      return { token: credential.plate };
    case "temp-key":
      return { digits: credential.code, token: credential.text };
    case "app-key":
    case "mechanical-key":
      return {};
  }
}

type Period = { readonly from?: UnixSeconds; readonly until?: UnixSeconds };

function period(from: string | undefined, until: string | undefined, clock: SiteClock): Period {
  return {
    ...(from === undefined ? {} : { from: checkedTime(from, "from", clock) }),
    ...(until === undefined ? {} : { until: checkedTime(until, "until", clock) }),
  };
}

function at<Name extends string>(
  name: Name,
  text: string | undefined,
  clock: SiteClock,
): { readonly [Key in Name]?: UnixSeconds } {
  // A computed key widens to string; the record holds this one name.
  return text === undefined ? {} : ({ [name]: checkedTime(text, "from", clock) } as { [Key in Name]: UnixSeconds });
}

function checkedTime(text: string, edge: "from" | "until", clock: SiteClock): UnixSeconds {
  const time = resolveTime(text, edge, clock);
  assert(time !== undefined, "the findings have looked at every time");
  return time;
}

function checkedDay(text: string, clock: SiteClock): LocalDay {
  const day = resolveDay(text, clock);
  assert(day !== undefined, "the findings have looked at every day");
  return day;
}

function checkedDeviceId(text: string): SiteDevice["id"] {
  const id = parseDeviceId(text);
  assert(id !== undefined, "the schema has looked at every device id");
  return id;
}

type Present<Type> = { readonly [Name in keyof Type as undefined extends Type[Name] ? never : Name]: Type[Name] } & {
  readonly [Name in keyof Type as undefined extends Type[Name] ? Name : never]?: Exclude<Type[Name], undefined>;
};

/** Drops what is undefined, so that an absent field is absent. */
function present<Type extends object>(value: Type): Present<Type> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Present<Type>;
}
