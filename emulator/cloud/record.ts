/**
 * The cloud's record of what devices told it: append-only, each event once by name (device, boot count, sequence).
 *
 * Theory: a batch is one transaction with synchronous=FULL, and only a committed batch is receipted. What is already there by
 * name is counted as redelivered and not stored again; the same name with other contents is counted as conflicting, and the
 * first stays. Nothing in the schema forbids a double name, so that `duplicates` and `gaps` are found by looking, not assumed.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { z } from "zod";
import { type AuthorityReason, type WarningCode, warningCodes } from "../../protocol/access/reasons.ts";
import { equalBytes } from "../../protocol/base/bytes.ts";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { type DeviceEvent, eventSchema } from "../../protocol/wire/messages/event.ts";

/** What the authority can say of an event that the device could not. No code is in it. */
export type AuthorityNaming =
  | { readonly kind: "denied"; readonly reason: AuthorityReason; readonly detail: string }
  | { readonly kind: "granted"; readonly warnings: readonly WarningCode[] };

export interface AppendOutcome {
  readonly added: readonly DeviceEvent[];
  readonly redelivered: number;
  readonly conflicting: number;
}

export interface RecordedEvent {
  /** Position in the record; ask for what came `after` it. */
  readonly id: number;
  readonly device: string;
  readonly boot: number;
  readonly sequence: number;
  readonly kind: string;
  readonly receivedAt: number;
  readonly authorityReason?: string;
  readonly authorityDetail?: string;
  readonly authorityWarnings?: readonly WarningCode[];
  readonly [field: string]: unknown;
}

export interface DeviceCount {
  readonly device: string;
  readonly events: number;
  readonly first: number;
  readonly last: number;
  readonly boots: number;
  readonly gaps: number;
}

export interface RecordSummary {
  readonly events: number;
  /** Names stored more than once, beyond the first. */
  readonly duplicates: number;
  /** Deliveries of events that were there already. */
  readonly redelivered: number;
  readonly conflicting: number;
  /** Sequences passed over, beyond those that the device itself reported as lost: a lock only by its MACed report. */
  readonly gaps: number;
  readonly refused: number;
  readonly devices: readonly DeviceCount[];
}

export interface EventQuery {
  readonly device?: string | undefined;
  readonly kind?: string | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

export type OpenFault = {
  readonly code: "record-newer";
  readonly expected: number;
  readonly came: number;
};

/** Opens or makes the cloud's database. Fault: record-newer (written by a later version). A broken disk throws. */
export function openCloudDatabase(path: string): Result<DatabaseSync, OpenFault> {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000;");
  const came = numberOf(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (came > schemaVersion) {
    database.close();
    return failed({ code: "record-newer", expected: schemaVersion, came });
  }
  database.exec(schema);
  return ok(database);
}

export class EventRecord {
  readonly #database: DatabaseSync;
  /** Highest sequence per device below which nothing is missing; filled from the record when first asked. */
  readonly #throughByDevice = new Map<string, number>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Stores what is new of a batch in one transaction; when this returns, it is on disk. */
  append(
    device: DeviceId,
    events: readonly DeviceEvent[],
    receivedAt: UnixMs,
    name: (event: DeviceEvent) => AuthorityNaming | undefined,
  ): AppendOutcome {
    const added: DeviceEvent[] = [];
    let redelivered = 0;
    let conflicting = 0;
    this.#transaction(() => {
      for (const event of events) {
        const body = eventBody(event);
        const stored = this.#run(
          "SELECT body, raw FROM events WHERE device = ? AND boot = ? AND sequence = ? LIMIT 1",
        ).get(device, event.boot, event.sequence);
        if (stored === undefined) {
          this.#insert(device, event, body, receivedAt, name(event));
          added.push(event);
        } else {
          redelivered += 1;
          if (stored["body"] !== body || !sameBytes(stored["raw"], event.raw)) conflicting += 1;
        }
      }
      this.#count("redelivered", redelivered);
      this.#count("conflicting", conflicting);
    });
    return { added, redelivered, conflicting };
  }

  /** What a receipt says: everything up to `through` is stored; `missing` names at most 32 ranges passed over after it. */
  receipt(device: DeviceId): { readonly through: number | null; readonly missing: readonly SequenceRange[] } {
    const span = this.#run("SELECT min(first) AS first, max(last) AS last FROM accounted WHERE device = ?").get(device);
    if (span === undefined || span["first"] === null) return { through: null, missing: [] };
    const start = Math.min(numberOf(span["first"]), firstSequence);
    const known = this.#throughByDevice.get(device) ?? start - 1;
    const missing = this.#run(missingQuery)
      .all({ device, known, limit: missingRangesMax })
      .map((row) => ({ from: numberOf(row["from_sequence"]), to: numberOf(row["to_sequence"]) }));
    const firstMissing = missing[0];
    const through = firstMissing === undefined ? numberOf(span["last"]) : firstMissing.from - 1;
    this.#throughByDevice.set(device, through);
    return { through: through < start ? null : through, missing };
  }

  /** The highest sequence that is recorded or known to be lost; 0: none. */
  lastSequence(device: string): number {
    const span = this.#run("SELECT max(last) AS last FROM accounted WHERE device = ?").get(device);
    return span === undefined || span["last"] === null ? 0 : numberOf(span["last"]);
  }

  /** The chained bytes of entries `from` to `to`, oldest first; shorter when one is not there or came without them. */
  rawEntries(device: DeviceId, from: number, to: number): readonly Uint8Array[] {
    const rows = this.#run(
      "SELECT sequence, raw FROM events WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?",
    ).all(device, from, to, rawEntriesMax);
    const entries: Uint8Array[] = [];
    for (const row of rows) {
      if (numberOf(row["sequence"]) !== from + entries.length || !(row["raw"] instanceof Uint8Array)) break;
      entries.push(row["raw"]);
    }
    return entries;
  }

  /** A device's own word, under its MAC, that it has these entries no more: they are no gap, and nobody is asked for them. */
  confirmLoss(device: DeviceId, lost: SequenceRange): void {
    assert(lost.from <= lost.to, "a loss is of at least one entry");
    this.#transaction(() => this.#insertLoss(device, lost));
  }

  /** How many entries of a range are not here, although a recorded `log-gap` says that they are lost. */
  declaredLosses(device: DeviceId, range: SequenceRange): number {
    const gaps = this.#run(
      "SELECT body FROM events WHERE device = ? AND kind = 'log-gap' AND sequence > ? ORDER BY sequence DESC LIMIT ?",
    ).all(device, range.from, gapEntriesMax);
    return gaps.reduce((sum, row) => {
      const said = gapFacts.safeParse(storedBody(row));
      if (!said.success) return sum;
      const from = Math.max(range.from, said.data.facts.before);
      const to = Math.min(range.to, said.data.facts.after);
      return to < from ? sum : sum + (to - from + 1) - this.#countBetween(device, from, to);
    }, 0);
  }

  #countBetween(device: DeviceId, from: number, to: number): number {
    const counted = this.#run(
      "SELECT count(DISTINCT sequence) AS n FROM events WHERE device = ? AND sequence BETWEEN ? AND ?",
    ).get(device, from, to);
    return numberOf(counted?.["n"]);
  }

  /** When this device let somebody in by this kind of credential; the latest 1,000. */
  grantsBy(device: string, credentialType: string): readonly { readonly at: DeviceEvent["at"] }[] {
    const rows = this.#run(
      "SELECT body FROM events WHERE device = ? AND kind = 'access-granted' AND body ->> 'credentialType' = ? ORDER BY sequence DESC LIMIT 1000",
    ).all(device, credentialType);
    return rows.map((row) => {
      const said = eventTime.safeParse(storedBody(row));
      assert(said.success, "the record holds the events it was given");
      return said.data;
    });
  }

  /** The version that the last `policy-committed` before this entry of the device's log names; undefined when none is here. */
  committedBefore(device: string, sequence: number): number | undefined {
    const row = this.#run(
      "SELECT body ->> '$.facts.after' AS version FROM events WHERE device = ? AND sequence < ? AND kind = 'policy-committed' ORDER BY sequence DESC LIMIT 1",
    ).get(device, sequence);
    return typeof row?.["version"] === "number" ? row["version"] : undefined;
  }

  /** Counts and shows a message that could not be taken. `topic` is cut; the payload itself is not kept. */
  refuse(refusal: {
    readonly at: UnixMs;
    readonly from: string;
    readonly topic: string;
    readonly code: string;
    readonly bytes: number;
  }): void {
    this.#transaction(() => {
      this.#run("INSERT INTO refusals (at, sender, topic, code, bytes) VALUES (?, ?, ?, ?, ?)").run(
        refusal.at,
        refusal.from,
        refusal.topic.slice(0, 200),
        refusal.code,
        refusal.bytes,
      );
      // A peer that sends rubbish all day must not fill the disk; the counter keeps the number.
      this.#run("DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?").run(refusalsKept);
      this.#count("refused", 1);
    });
  }

  /** The latest refusals, newest first. */
  refusals(limit = 100): readonly Record<string, unknown>[] {
    return this.#run('SELECT at, sender AS "from", topic, code, bytes FROM refusals ORDER BY id DESC LIMIT ?').all(
      limit,
    );
  }

  events(query: EventQuery): readonly RecordedEvent[] {
    const conditions: string[] = ["id > ?"];
    const values: SQLInputValue[] = [query.after ?? 0];
    if (query.device !== undefined) {
      conditions.push("device = ?");
      values.push(query.device);
    }
    if (query.kind !== undefined) {
      conditions.push("kind = ?");
      values.push(query.kind);
    }
    const limit = Math.min(query.limit ?? eventsPerAnswer, eventsPerAnswer);
    return this.#run(
      `SELECT * FROM events LEFT JOIN authority_warnings ON event = id WHERE ${conditions.join(" AND ")} ORDER BY id LIMIT ?`,
    )
      .all(...values, limit)
      .map(rowToEvent);
  }

  /** Counted by looking through the record each time. */
  summary(): RecordSummary {
    const total = this.#run(
      "SELECT (SELECT count(*) FROM events) AS events, (SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM events GROUP BY device, boot, sequence)) AS duplicates",
    ).get();
    const devices = this.#run(devicesQuery).all().map(rowToCount);
    return {
      events: numberOf(total?.["events"]),
      duplicates: numberOf(total?.["duplicates"]),
      redelivered: this.#counter("redelivered"),
      conflicting: this.#counter("conflicting"),
      gaps: devices.reduce((sum, device) => sum + device.gaps, 0),
      refused: this.#counter("refused"),
      devices,
    };
  }

  #insert(
    device: DeviceId,
    event: DeviceEvent,
    body: string,
    receivedAt: UnixMs,
    naming: AuthorityNaming | undefined,
  ): void {
    const denied = naming?.kind === "denied" ? naming : undefined;
    const { lastInsertRowid } = this.#run(
      "INSERT INTO events (device, boot, sequence, kind, body, raw, authority_reason, authority_detail, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ).run(
      device,
      event.boot,
      event.sequence,
      event.kind,
      body,
      event.raw ?? null,
      denied?.reason ?? null,
      denied?.detail ?? null,
      receivedAt,
    );
    if (naming?.kind === "granted") {
      const warnings = JSON.stringify(naming.warnings);
      this.#run("INSERT INTO authority_warnings (event, warnings) VALUES (?, ?)").run(lastInsertRowid, warnings);
    }
    const lost = declaredLoss(event);
    // The device says itself what its ring lost: asking again for it would never end. An entry that came chained has passed a
    // courier, who could have written it: it counts when the chain has met it (`confirmLoss`).
    if (lost !== undefined && event.raw === undefined) this.#insertLoss(device, lost);
  }

  #insertLoss(device: DeviceId, { from, to }: SequenceRange): void {
    this.#run("INSERT INTO losses (device, first, last) VALUES (?, ?, ?)").run(device, from, to);
  }

  #count(name: string, by: number): void {
    if (by === 0) return;
    this.#run(
      "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
    ).run(name, by);
  }

  #counter(name: string): number {
    return numberOf(this.#run("SELECT value FROM counters WHERE name = ?").get(name)?.["value"]);
  }

  #run(sql: string) {
    return this.#database.prepare(sql);
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (cause) {
      this.#database.exec("ROLLBACK");
      throw cause;
    }
  }
}

export interface SequenceRange {
  readonly from: number;
  readonly to: number;
}

/** The event as it is kept and compared: its own words in one order of keys; the chained bytes have their own column. */
function eventBody(event: DeviceEvent): string {
  const { raw: _chained, ...said } = event;
  return JSON.stringify(sortKeys(said));
}

/** What a `log-gap` says is lost; undefined for other kinds and for one that says nothing. */
function declaredLoss({ kind, facts }: DeviceEvent): SequenceRange | undefined {
  const from = facts?.["before"];
  const to = facts?.["after"];
  return kind !== "log-gap" || from === undefined || to === undefined || from > to ? undefined : { from, to };
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]));
}

function sameBytes(stored: unknown, came: Uint8Array | undefined): boolean {
  if (came === undefined) return stored === null;
  return stored instanceof Uint8Array && equalBytes(stored, came);
}

function storedBody(row: Record<string, unknown>): object {
  const said: unknown = JSON.parse(String(row["body"]));
  assert(typeof said === "object" && said !== null, "the record holds the events it was given");
  return said;
}

function rowToEvent(row: Record<string, unknown>): RecordedEvent {
  return {
    ...storedBody(row),
    id: numberOf(row["id"]),
    device: String(row["device"]),
    boot: numberOf(row["boot"]),
    sequence: numberOf(row["sequence"]),
    kind: String(row["kind"]),
    receivedAt: numberOf(row["received_at"]),
    ...(row["authority_reason"] === null ? {} : { authorityReason: String(row["authority_reason"]) }),
    ...(row["authority_detail"] === null ? {} : { authorityDetail: String(row["authority_detail"]) }),
    ...(row["warnings"] === null
      ? {}
      : { authorityWarnings: storedWarnings.parse(JSON.parse(String(row["warnings"]))) }),
  };
}

function rowToCount(row: Record<string, unknown>): DeviceCount {
  return {
    device: String(row["device"]),
    events: numberOf(row["events"]),
    first: numberOf(row["first"]),
    last: numberOf(row["last"]),
    boots: numberOf(row["boots"]),
    gaps: numberOf(row["gaps"]),
  };
}

/** A count or a sequence as SQLite gives it; nothing there is zero. */
function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

const eventTime = z.object({ at: eventSchema.shape.at });

const storedWarnings = z.array(z.enum(warningCodes));

const gapFacts = z.object({ facts: z.object({ before: z.number(), after: z.number() }) });

const schemaVersion = 1;
/** A log's first entry; a device that counts from 0 is taken as it is. */
const firstSequence = 1;
const missingRangesMax = 32;
const eventsPerAnswer = 5000;
const rawEntriesMax = 4096;
/** A ring that overflows writes one for each page; more in one stretch would be no lock's. */
const gapEntriesMax = 1000;
const refusalsKept = 1000;

const schema = `
  PRAGMA user_version = ${schemaVersion};
  CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, raw BLOB,
    authority_reason TEXT, authority_detail TEXT,
    received_at INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS events_by_name ON events (device, sequence, boot);
  CREATE TABLE IF NOT EXISTS authority_warnings (event INTEGER PRIMARY KEY, warnings TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS losses (device TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, sender TEXT NOT NULL, topic TEXT NOT NULL, code TEXT NOT NULL, bytes INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT NOT NULL, written_at INTEGER NOT NULL);
  CREATE VIEW IF NOT EXISTS accounted AS
    SELECT device, sequence AS first, sequence AS last FROM events UNION ALL SELECT device, first, last FROM losses;
  CREATE TRIGGER IF NOT EXISTS events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
`;

// Each span is compared with the furthest that any earlier span of its device reaches.
const spansQuery = (condition: string, start: string) => `
  SELECT device, first, coalesce(max(last) OVER (
    PARTITION BY device ORDER BY first, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ), ${start}) AS reached
  FROM accounted ${condition}`;

const missingQuery = `
  SELECT max(reached, :known) + 1 AS from_sequence, first - 1 AS to_sequence
  FROM (${spansQuery("WHERE device = :device AND last > :known", ":known")})
  WHERE first > max(reached, :known) + 1 ORDER BY first LIMIT :limit`;

const devicesQuery = `
  SELECT counts.*, coalesce(holes.gaps, 0) AS gaps FROM (
    SELECT device, count(*) AS events, min(sequence) AS first, max(sequence) AS last, count(DISTINCT boot) AS boots
    FROM events GROUP BY device
  ) AS counts LEFT JOIN (
    SELECT device, sum(first - reached - 1) AS gaps
    FROM (${spansQuery("", String(firstSequence - 1))}) WHERE first > reached + 1 GROUP BY device
  ) AS holes ON holes.device = counts.device ORDER BY counts.device`;
