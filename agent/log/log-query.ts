/**
 * What somebody asks of the door log, read from the words of a command line or a URL. All mistakes are named at once, each with what
 * was expected and what came. Pure. Rows 90 and 91.
 */
import { type ReasonCode, reasonCodes } from "../../protocol/access/reasons.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { type ViewerRole, viewerRoles } from "../../protocol/wire/log-privacy.ts";

export interface LogRequest {
  readonly filter: LogFilter;
  readonly limit: number;
  /** Goes on with an answer before; the filter is the one of then. */
  readonly cursor?: string;
}

export interface LogFilter {
  /** Absent: every device. */
  readonly devices?: readonly DeviceId[];
  readonly person?: string;
  /** The primary reason of a denial. */
  readonly reason?: ReasonCode;
  /** What came to this gateway from then on, by its own clock: a device's clock never decides. */
  readonly sinceMs?: UnixMs;
  readonly viewer: AskedView;
}

export type AskedView =
  | { readonly role: Exclude<ViewerRole, "resident"> }
  | { readonly role: "resident"; readonly person: string };

/** As typed. */
export type LogWords = Readonly<Partial<Record<(typeof logWords)[number], string>>>;
export const logWords = ["door", "person", "reason", "since", "role", "limit", "cursor"] as const;

export interface LogMistake {
  readonly word: string;
  readonly expected: string;
  readonly came: string;
}

export interface KnownToLog {
  readonly nowMs: UnixMs;
  readonly devices: readonly { readonly id: DeviceId; readonly door: string; readonly doorName: string }[];
  /** Roles that may be asked for here. */
  readonly views: readonly ViewerRole[];
}

export type LogQueryFault =
  | { readonly code: "bad-query"; readonly mistakes: readonly LogMistake[] }
  /** It can be asked for, and not here. */
  | { readonly code: "role-not-allowed"; readonly role: ViewerRole; readonly allowed: readonly ViewerRole[] };

/** Faults: bad-query (all mistakes), role-not-allowed. */
export function parseLogRequest(words: LogWords, known: KnownToLog): Result<LogRequest, LogQueryFault> {
  const reader = new WordReader(words);
  const devices = reader.read("door", (text) => devicesOfDoor(text, known.devices));
  const person = reader.read("person", readPerson);
  const reason = reader.read("reason", readReason);
  const since = reader.read("since", (text) => readSince(text, known.nowMs));
  const viewer = reader.read("role", readViewer) ?? { role: "manager" as const };
  const limit = reader.read("limit", readLimit) ?? DEFAULT_LIMIT;
  const cursor = reader.read("cursor", readCursor);
  if (cursor !== undefined) reader.refuseBeside("cursor", ["door", "person", "reason", "since", "role"]);
  if (reader.mistakes.length > 0) return failed({ code: "bad-query", mistakes: reader.mistakes });
  if (!known.views.includes(viewer.role)) {
    return failed({ code: "role-not-allowed", role: viewer.role, allowed: known.views });
  }
  const filter = {
    ...(devices === undefined ? {} : { devices }),
    ...(person === undefined ? {} : { person }),
    ...(reason === undefined ? {} : { reason }),
    ...(since === undefined ? {} : { sinceMs: unixMs(since) }),
    viewer,
  };
  return ok({ filter, limit, ...(cursor === undefined ? {} : { cursor }) });
}

type Word = keyof LogWords;
type Read<Value> = Result<Value, { readonly code: "not-read"; readonly expected: string }>;

/** Reads word by word and notes what was wrong with each. */
class WordReader {
  readonly mistakes: LogMistake[] = [];
  readonly #words: LogWords;

  constructor(words: LogWords) {
    this.#words = words;
  }

  /** Undefined: not said, or a mistake that is noted. `parse` fails with what was expected. */
  read<Value>(word: Word, parse: (text: string) => Read<Value>): Value | undefined {
    const text = this.#words[word];
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value.ok) return value.value;
    this.mistakes.push({ word, expected: value.fault.expected, came: shown(text) });
    return undefined;
  }

  refuseBeside(word: Word, others: readonly Word[]): void {
    for (const other of others) {
      const came = this.#words[other];
      if (came !== undefined)
        this.mistakes.push({ word: other, expected: `nothing beside ${word}`, came: shown(came) });
    }
  }
}

export function formatLogMistake({ word, expected, came }: LogMistake): string {
  return `${word}: expected ${expected}, came ${came}`;
}

/** A door by its id or name, or one of its devices by its id. */
function devicesOfDoor(text: string, devices: KnownToLog["devices"]): Read<readonly DeviceId[]> {
  const here = devices.filter(({ id, door, doorName }) => door === text || id === text || doorName === text);
  if (here.length > 0) return ok(here.map(({ id }) => id));
  const doors = [...new Set(devices.map(({ door }) => door))].sort();
  const some = doors.length > DOORS_NAMED ? `${doors.slice(0, DOORS_NAMED).join(", ")}, ...` : doors.join(", ");
  return expected(
    `a door or device of this site${doors.length === 0 ? ", of which none is known yet" : ` (doors: ${some})`}`,
  );
}

function readPerson(text: string): Read<string> {
  return isEntityId(text) ? ok(text) : expected("a person's id of 1-32 characters a-z 0-9 -");
}

function readReason(text: string): Read<ReasonCode> {
  const wanted = text.toUpperCase().replaceAll("-", "_");
  const code = reasonCodes.find((one) => one === wanted);
  return code === undefined ? expected(`one of ${reasonCodes.join(", ")}`) : ok(code);
}

function readViewer(text: string): Read<AskedView> {
  const [name, person, ...rest] = text.split(":");
  const role = viewerRoles.find((one) => one === name);
  if (role === "resident") {
    if (person !== undefined && isEntityId(person) && rest.length === 0) return ok({ role, person });
  } else if (role !== undefined && person === undefined) return ok({ role });
  return expected(`one of ${viewerRoles.map((one) => (one === "resident" ? "resident:PERSON" : one)).join(", ")}`);
}

function readLimit(text: string): Read<number> {
  const limit = /^[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= LOG_PAGE_LIMIT ? ok(limit) : expected(`a whole number 1-${LOG_PAGE_LIMIT}`);
}

function readCursor(text: string): Read<string> {
  return /^[0-9a-f]{32}$/.test(text) ? ok(text) : expected("the cursor of an answer before this one");
}

/**
 * An age (30s, 15m, 2h, 3d, 1w), a date or a date with a time (UTC unless it says another offset, as the log shows it), or a time
 * of today. Gives Unix milliseconds, or what was expected.
 */
export function readSince(text: string, nowMs: UnixMs): Read<number> {
  const age = /^([0-9]{1,6})([smhdw])$/.exec(text);
  if (age !== null) return ok(Math.max(0, nowMs - Number(age[1]) * (unitMs.get(age[2] ?? "") ?? 0)));
  const today = new Date(nowMs).toISOString().slice(0, 10);
  const full = /^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$/.test(text) ? `${today}T${text}` : text.replace(" ", "T");
  const moment = momentPattern.exec(full);
  if (moment === null) return expected(sinceExpected);
  const [, date = "", time = "00:00", offset = "Z"] = moment;
  const ms = Date.parse(`${date}T${time}${offset}`);
  const midnightMs = Date.parse(`${date}T00:00Z`);
  // A 30th of February reads as a day of March; it was written by mistake.
  const isThere =
    Number.isFinite(ms) && Number.isFinite(midnightMs) && new Date(midnightMs).toISOString().startsWith(date);
  if (!isThere) return expected(`${sinceExpected}: there is no such moment`);
  return ms > nowMs ? expected(`${sinceExpected}: it lies ahead`) : ok(Math.max(0, ms));
}

function expected(what: string): Result<never, { readonly code: "not-read"; readonly expected: string }> {
  return failed({ code: "not-read", expected: what });
}

function isEntityId(text: string): boolean {
  return /^[a-z0-9-]{1,32}$/.test(text);
}

function shown(text: string): string {
  return text.length <= SHOWN_CHARACTERS
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, SHOWN_CHARACTERS))}...`;
}

const unitMs: ReadonlyMap<string, number> = new Map([
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
]);
const momentPattern = /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(Z|[+-][0-9]{2}:[0-9]{2})?)?$/;
const sinceExpected = "an age (2h, 3d), a date (2026-11-20), a time of today (08:00) or both (2026-11-20T08:00, UTC)";

export const DEFAULT_LIMIT = 100;
/** Of one answer; a cursor leads on. */
export const LOG_PAGE_LIMIT = 1_000;
const DOORS_NAMED = 12;
const SHOWN_CHARACTERS = 60;
