/** What the gateway remembers of its visits to a lock, across restarts. */
import { z } from "zod";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixSeconds } from "../../protocol/base/units.ts";
import { uint32, unixTime } from "../../protocol/wire/messages/fields.ts";
import type { StoredDocument } from "../ports/store.ts";
import type { PolicyVersion, VisitOutcome } from "../ports/visit.ts";
import { readDocumentBody } from "../store/document-body.ts";
import { isNewer } from "./exposure.ts";
import { pauseAfterMs } from "./schedule.ts";

export const visitRecordSchema = z.strictObject({
  /** Of which pairing this is; null: it was not noted. What a lock did before it was reset says nothing of it now. */
  pairingId: z.string().nullable().default(null),
  /** When something newer than what the lock reported was first known here; null: nothing newer is. */
  pendingSince: unixTime.nullable(),
  lastVisitAt: unixTime.nullable(),
  /** The fault of the last visit; null: it went through, or there was none. */
  lastFault: z.strictObject({ code: z.string(), reason: z.string().optional() }).nullable(),
  /** Visits in a row that failed, or left the lock without what they brought. */
  failures: z.number().int().min(0),
  /** The pause that was drawn after the last visit. */
  pauseMs: z.number().int().min(0).default(0),
  /** A policy that may have gone over and after which the lock has not reported: its outcome is not known. SPEC G11. */
  handedOver: z.strictObject({ epoch: uint32, version: uint32, at: unixTime }).nullable().default(null),
  /** Half of the lease of what the lock reported; null: none, or not known here. */
  visitBy: unixTime.nullable().default(null),
  /** What the lock had reported before it reported less, and when it did; null: it holds that again, or never did. */
  wentBack: z.strictObject({ epoch: uint32, version: uint32, at: unixTime }).nullable().default(null),
  /** Automatic visits in which the lock was reached, of one day since 1970 (UTC). SPEC G15. */
  reached: z.strictObject({ day: z.number().int(), visits: z.number().int().min(0) }).default({ day: 0, visits: 0 }),
});
export type VisitRecord = z.output<typeof visitRecordSchema>;

export const noVisit: VisitRecord = {
  pairingId: null,
  pendingSince: null,
  lastVisitAt: null,
  lastFault: null,
  failures: 0,
  pauseMs: 0,
  handedOver: null,
  visitBy: null,
  wentBack: null,
  reached: { day: 0, visits: 0 },
};

/** The record as far as it is of this pairing: of another stay what waits for the lock and what its battery paid. */
export function recordOfPairing(record: VisitRecord, pairingId: Uint8Array): VisitRecord {
  const name = bytesToHex(pairingId);
  if (record.pairingId === name) return record;
  if (record.pairingId === null) return { ...record, pairingId: name };
  const { pendingSince, reached } = record;
  return { ...noVisit, pairingId: name, pendingSince, reached };
}

/** A visit that ended, with what the record needs to know beside its outcome. */
export interface VisitEnd {
  readonly at: UnixSeconds;
  /** Nobody asked for it: it counts against the day's budget. */
  readonly isAutomatic: boolean;
  readonly outcome: VisitOutcome;
  /** What it was to bring; undefined: nothing. */
  readonly brought: { readonly policy: PolicyVersion; readonly visitBy: UnixSeconds | null } | undefined;
  /** Nothing newer than what was brought has been published. */
  readonly isNewest: boolean;
  /** May have gone over in this very visit. */
  readonly handedOver: VisitRecord["handedOver"];
  /** What the lock had reported before. */
  readonly reportedBefore: PolicyVersion | null;
  /** 0 <= fraction < 1, for the pause. */
  readonly fraction: number;
}

/** The record after a visit. What waits for the lock is noted apart, because that depends on the authority too. */
export function recordAfterVisit(record: VisitRecord, end: VisitEnd): VisitRecord {
  const { at, outcome, isAutomatic, brought, fraction } = end;
  // A lock that let everything happen and still does not hold what was brought is not visited again at once.
  const arrived = outcome.ok && (brought === undefined || !isNewer(brought.policy, outcome.reported.policy));
  const failures = arrived ? 0 : record.failures + 1;
  return {
    ...record,
    lastVisitAt: at,
    lastFault: outcome.ok ? null : { ...outcome.fault },
    failures,
    pauseMs: pauseAfterMs(failures, fraction),
    handedOver: stillUnconfirmed(record, end),
    visitBy: leaseAfter(record, end),
    wentBack: wentBackAfter(record, end),
    // A lock that was not reached paid nothing.
    reached: isAutomatic && outcome.bytes > 0 ? countVisit(record, at) : record.reached,
  };
}

/** SPEC G23: the authority tells of a later visit that another courier made. What went wrong in this gateway's own is over with it. */
export function recordAfterOther(record: VisitRecord, confirmed: PolicyVersion): VisitRecord {
  const { wentBack } = record;
  return {
    ...record,
    lastFault: null,
    failures: 0,
    pauseMs: 0,
    handedOver: null,
    visitBy: null,
    wentBack: wentBack !== null && isNewer(wentBack, confirmed) ? wentBack : null,
  };
}

/** SPEC G11: a report settles it; so does a hello with less, because then it never arrived. */
function stillUnconfirmed(record: VisitRecord, { outcome, handedOver }: VisitEnd): VisitRecord["handedOver"] {
  if (outcome.reported !== null) return null;
  if (handedOver !== null) return handedOver;
  const isRefuted = outcome.from !== null && record.handedOver !== null && isNewer(record.handedOver, outcome.from);
  return isRefuted ? null : record.handedOver;
}

function leaseAfter(record: VisitRecord, { outcome, brought, reportedBefore }: VisitEnd): UnixSeconds | null {
  const reported = outcome.reported?.policy;
  if (reported === undefined) return record.visitBy;
  if (brought !== undefined && isSame(brought.policy, reported)) return brought.visitBy;
  return reportedBefore !== null && isSame(reportedBefore, reported) ? record.visitBy : null;
}

function wentBackAfter(
  record: VisitRecord,
  { outcome, reportedBefore, at, brought, isNewest }: VisitEnd,
): VisitRecord["wentBack"] {
  const reported = outcome.reported?.policy;
  if (reported === undefined) return record.wentBack;
  const held = record.wentBack ?? (reportedBefore === null ? null : { ...versionOf(reportedBefore), at });
  // SPEC G18: what was never published was never held, whatever was reported while nobody could tell.
  const wasNeverHeld = held !== null && brought !== undefined && isNewest && isNewer(held, brought.policy);
  return held !== null && !wasNeverHeld && isNewer(held, reported) ? held : null;
}

function isSame(left: PolicyVersion, right: PolicyVersion): boolean {
  return !isNewer(left, right) && !isNewer(right, left);
}

function versionOf({ epoch, version }: PolicyVersion): PolicyVersion {
  return { epoch, version };
}

/** How many automatic visits reached the lock on the day of `now`. */
export function visitsToday({ reached }: VisitRecord, now: UnixSeconds): number {
  return reached.day === dayOf(now) ? reached.visits : 0;
}

function countVisit(record: VisitRecord, now: UnixSeconds): VisitRecord["reached"] {
  return { day: dayOf(now), visits: visitsToday(record, now) + 1 };
}

function dayOf(now: UnixSeconds): number {
  return Math.floor(now / 86_400);
}

export function visitRecordToDocument(device: DeviceId, record: VisitRecord): StoredDocument {
  return { kind: "visit", device, body: JSON.stringify(record) };
}

/** A record that cannot be read says nothing; a visit will make a new one. */
export function documentToVisitRecord(document: StoredDocument): VisitRecord {
  return readDocumentBody(visitRecordSchema, document) ?? noVisit;
}
