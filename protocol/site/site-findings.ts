/** What a schema cannot see in a site file: ids used twice, references to nothing, times that do not exist, codes given twice. */
import type { UnixSeconds } from "../base/units.ts";
import { type ModelName, modelByName, modelNames } from "../firmware/models.ts";
import type { DocumentPath, Finding } from "./document.ts";
import { valueAt } from "./document.ts";
import { isTimeText, minutesOf, resolveDay, resolveTime, type SiteClock } from "./site-time.ts";
import { isTimeZone } from "./zone.ts";

/** Findings in the file as it stands; whatever has the wrong shape is passed over, for the schema has complained about it. */
export function siteFindings(raw: unknown, start: UnixSeconds): readonly Finding[] {
  const zone = valueAt(raw, ["site", "timeZone"]);
  const zoneIsKnown = typeof zone === "string" && isTimeZone(zone);
  const clock: SiteClock = { start, timeZone: zoneIsKnown ? zone : "UTC" };
  return [
    ...(typeof zone === "string" && !zoneIsKnown
      ? [{ path: ["site", "timeZone"], expected: "an IANA time zone such as America/New_York" }]
      : []),
    ...duplicateIds(raw),
    ...brokenReferences(raw),
    ...timeFindings(raw, [], clock),
    ...holidayFindings(raw, clock),
    ...windowFindings(raw),
    ...licenceFindings(raw, clock),
    ...deviceFindings(raw),
    ...credentialFindings(raw),
    ...codeLengthFindings(raw),
  ];
}

type Entry = { readonly path: DocumentPath; readonly value: unknown };

/** Ids are unique within their list; devices and panels share one space, for both are devices on MQTT. */
function duplicateIds(raw: unknown): readonly Finding[] {
  return idSpaces.flatMap((lists) => {
    const firstById = new Map<string, DocumentPath>();
    return lists
      .flatMap((list) => entriesOf(raw, [list]))
      .flatMap(({ path }) => {
        const id = valueAt(raw, [...path, "id"]);
        if (typeof id !== "string") return [];
        const first = firstById.get(id);
        if (first === undefined) firstById.set(id, path);
        return first === undefined
          ? []
          : [{ path: [...path, "id"], expected: `an id that is not used by ${pathText(first)}` }];
      });
  });
}

function brokenReferences(raw: unknown): readonly Finding[] {
  return references.flatMap(({ list, field, to, what }) => {
    const known = new Set(entriesOf(raw, [to]).map(({ path }) => valueAt(raw, [...path, "id"])));
    return entriesOf(raw, [list])
      .flatMap(({ path }) => oneOrMany(raw, [...path, field]))
      .filter(({ value }) => typeof value === "string" && !known.has(value))
      .map(({ path }) => ({ path, expected: `the id of ${what} in ${to}` }));
  });
}

/** Every field that holds a time: it exists, and where a beginning and an end stand together the end is later. */
function timeFindings(raw: unknown, path: DocumentPath, clock: SiteClock): readonly Finding[] {
  const value = valueAt(raw, path);
  if (typeof value !== "object" || value === null) return [];
  const own: Finding[] = [];
  for (const [key, item] of Object.entries(value)) {
    const edge = edgeByField.get(key);
    if (edge === undefined || typeof item !== "string" || !isTimeText(item)) continue;
    if (resolveTime(item, edge, clock) === undefined)
      own.push({ path: [...path, key], expected: "a time that exists" });
  }
  const [from, until] = [Reflect.get(value, "from"), Reflect.get(value, "until")];
  if (typeof from === "string" && typeof until === "string") {
    const [begin, end] = [resolveTime(from, "from", clock), resolveTime(until, "until", clock)];
    if (begin !== undefined && end !== undefined && begin >= end) {
      own.push({ path: [...path, "until"], expected: `a time after ${from}` });
    }
  }
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  return [...own, ...[...keys].flatMap((key) => timeFindings(raw, [...path, key], clock))];
}

function holidayFindings(raw: unknown, clock: SiteClock): readonly Finding[] {
  return entriesOf(raw, ["holidays"]).flatMap(({ path }) => {
    const [from, to] = [valueAt(raw, [...path, "from"]), valueAt(raw, [...path, "to"])];
    if (typeof from !== "string" || typeof to !== "string") return [];
    const [first, last] = [resolveDay(from, clock), resolveDay(to, clock)];
    if (first === undefined || last === undefined || first <= last) return [];
    return [{ path: [...path, "to"], expected: `a day not before ${from}` }];
  });
}

/** A weekly window may cross midnight; working hours belong to one day. */
function windowFindings(raw: unknown): readonly Finding[] {
  const windowsOf = (list: string, field: string) =>
    entriesOf(raw, [list]).flatMap(({ path }) => entriesOf(raw, [...path, field]));
  const judge = (entries: readonly Entry[], isWrong: (from: number, to: number) => boolean, expected: string) =>
    entries.flatMap(({ path }) => {
      const [from, to] = [valueAt(raw, [...path, "from"]), valueAt(raw, [...path, "to"])];
      if (!isClockText(from) || !isClockText(to)) return [];
      return isWrong(minutesOf(from), minutesOf(to)) ? [{ path: [...path, "to"], expected }] : [];
    });
  return [
    ...judge(windowsOf("schedules", "weekly"), (from, to) => from === to, "a time other than the window's beginning"),
    ...judge(windowsOf("holidays", "workingHours"), (from, to) => from >= to, "a time later on the same day"),
  ];
}

function licenceFindings(raw: unknown, clock: SiteClock): readonly Finding[] {
  return entriesOf(raw, ["doors"]).flatMap((door) => {
    const path = [...door.path, "licence"];
    const state = valueAt(raw, [...path, "state"]);
    const untilText = valueAt(raw, [...path, "until"]);
    const until = typeof untilText === "string" ? resolveTime(untilText, "until", clock) : undefined;
    if (until === undefined) return [];
    const end = [...path, "until"];
    if (state === "active" && until <= clock.start) {
      return [{ path: end, expected: "an end after the start, for the licence is active" }];
    }
    if (state === "expired" && until > clock.start) {
      return [{ path: end, expected: "an end not after the start, for the licence is expired" }];
    }
    return [];
  });
}

function deviceFindings(raw: unknown): readonly Finding[] {
  const entries = entriesOf(raw, ["devices"]);
  const firstByAddress = new Map<unknown, DocumentPath>();
  return entries.flatMap(({ path }) => {
    const address = valueAt(raw, [...path, "address"]);
    if (typeof address !== "string") return [];
    const first = firstByAddress.get(address);
    firstByAddress.set(address, first ?? path);
    const addressPath = [...path, "address"];
    const findings: Finding[] = [];
    if (first !== undefined)
      findings.push({ path: addressPath, expected: `an address other than ${pathText(first)}'s` });
    const model = valueAt(raw, [...path, "model"]);
    if (isModelName(model) && modelByName[model].network !== "ble") {
      findings.push({ path: addressPath, expected: `no Bluetooth address, for a ${model} has its own network` });
    }
    return findings;
  });
}

/** What is presented must lead to one credential; the message names the other credential, never the code. */
function credentialFindings(raw: unknown): readonly Finding[] {
  const seen = new Map<string, { readonly id: unknown; readonly doors: unknown }[]>();
  return entriesOf(raw, ["credentials"]).flatMap(({ path }) => {
    const kind = valueAt(raw, [...path, "kind"]);
    const [id, doors] = [valueAt(raw, [...path, "id"]), valueAt(raw, [...path, "doors"])];
    const findings: Finding[] = [];
    if (kind === "temp-key" && ["code", "text"].every((field) => valueAt(raw, [...path, field]) === undefined)) {
      findings.push({ path, expected: "a code, a text, or both in a temp key", came: "neither" });
    }
    for (const field of presentedFields) {
      const value = valueAt(raw, [...path, field]);
      if (typeof value !== "string") continue;
      const name = `${field === "code" ? "keypad" : mediumOf(kind)} ${value.toLowerCase()}`;
      const others = seen.get(name) ?? [];
      const other = others.find((one) => shareDoor(one.doors, doors));
      if (other !== undefined) {
        findings.push({
          path: [...path, field],
          expected: `another one than ${String(other.id)} has at the same doors`,
        });
      }
      seen.set(name, [...others, { id, doors }]);
    }
    return findings;
  });
}

/** A keypad without a check mark ends every entry at the length of the site's doorcodes: no other code can be typed there. */
function codeLengthFindings(raw: unknown): readonly Finding[] {
  const siteDigits = valueAt(raw, ["site", "doorcodeDigits"]) ?? DOORCODE_DIGITS;
  const endedByLength = entriesOf(raw, ["devices"]).flatMap(({ path }) => {
    const [id, door, model] = ["id", "door", "model"].map((field) => valueAt(raw, [...path, field]));
    if (!isModelName(model)) return [];
    const { checkMarkKey, takes } = modelByName[model];
    return takes.includes("permanent-doorcode") && !checkMarkKey ? [{ id, door, model }] : [];
  });
  return entriesOf(raw, ["credentials"]).flatMap(({ path }) => {
    const [kind, code, doors] = ["kind", "code", "doors"].map((field) => valueAt(raw, [...path, field]));
    if (kind !== "permanent-doorcode" || typeof code !== "string" || !/^[0-9]{4,7}$/.test(code)) return [];
    const lock = endedByLength.find(({ door }) => !Array.isArray(doors) || doors.includes(door));
    if (lock === undefined || code.length === siteDigits) return [];
    const expected = `${siteDigits} digits as the site's doorcodes have, for ${lock.id} (${lock.model}) has no check mark`;
    return [{ path: [...path, "code"], expected }];
  });
}

function mediumOf(kind: unknown): string {
  return kind === "temp-key" ? "qr" : String(kind);
}

/** Without a list a credential may be at any door. */
function shareDoor(left: unknown, right: unknown): boolean {
  if (!Array.isArray(left) || !Array.isArray(right)) return true;
  return left.some((door) => right.includes(door));
}

function entriesOf(raw: unknown, path: DocumentPath): readonly Entry[] {
  const list = valueAt(raw, path);
  return Array.isArray(list) ? list.map((value, index) => ({ path: [...path, index], value })) : [];
}

function oneOrMany(raw: unknown, path: DocumentPath): readonly Entry[] {
  const value = valueAt(raw, path);
  return Array.isArray(value) ? entriesOf(raw, path) : [{ path, value }];
}

function pathText([list, index]: DocumentPath): string {
  return `${list}[${index}]`;
}

function isClockText(value: unknown): value is string {
  return typeof value === "string" && /^([01]\d|2[0-4]):[0-5]\d$/.test(value);
}

function isModelName(value: unknown): value is ModelName {
  return modelNames.some((name) => name === value);
}

const idSpaces: readonly (readonly string[])[] = [
  ["doors"],
  ["devices", "panels"],
  ["units"],
  ["people"],
  ["userGroups"],
  ["accessGroups"],
  ["schedules"],
  ["holidays"],
  ["credentials"],
];

const references: readonly {
  readonly list: string;
  readonly field: string;
  readonly to: string;
  readonly what: string;
}[] = [
  { list: "doors", field: "unit", to: "units", what: "a unit" },
  { list: "devices", field: "door", to: "doors", what: "a door" },
  { list: "panels", field: "door", to: "doors", what: "a door" },
  { list: "people", field: "unit", to: "units", what: "a unit" },
  { list: "userGroups", field: "members", to: "people", what: "a person" },
  { list: "accessGroups", field: "doors", to: "doors", what: "a door" },
  { list: "accessGroups", field: "members", to: "people", what: "a person" },
  { list: "accessGroups", field: "userGroups", to: "userGroups", what: "a user group" },
  { list: "accessGroups", field: "schedule", to: "schedules", what: "a schedule" },
  { list: "holidays", field: "doors", to: "doors", what: "a door" },
  { list: "credentials", field: "person", to: "people", what: "a person" },
  { list: "credentials", field: "doors", to: "doors", what: "a door" },
];

const edgeByField: ReadonlyMap<string, "from" | "until"> = new Map([
  ["from", "from"],
  ["until", "until"],
  ["to", "until"],
  ["revokedAt", "from"],
  ["signedOutAt", "from"],
]);
/** What the schema says where the file says nothing. */
const DOORCODE_DIGITS = 7;
const presentedFields = ["code", "number", "text", "template", "plate"] as const;
