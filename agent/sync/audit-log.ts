/**
 * A lock's log on its way to the gateway's disk: each sealed batch becomes one event that carries it as the lock made it, and the same
 * commit moves the place from which the next visit reads. What is in it only the authority can read. SPEC E3, G4.
 */
import { z } from "zod";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { EventAppend, StoredDocument } from "../ports/store.ts";
import type { SealedRun } from "../ports/visit.ts";
import { FIRST_SEQUENCE } from "../store/coverage.ts";
import { readDocumentBody } from "../store/document-body.ts";
import { eventToStored } from "../store/event-body.ts";

/** How far one pairing's log has been read. */
export interface AuditHead {
  readonly pairingId: Uint8Array;
  /** First sequence that is not on this disk. */
  readonly next: number;
}

export function emptyAuditHead(pairingId: Uint8Array): AuditHead {
  return { pairingId, next: FIRST_SEQUENCE };
}

/**
 * A run as one append. It may begin above `head.next`, because a lock keeps only so many entries; where it begins below, the lock was read
 * again, and the run takes the place of what was kept there. SPEC G4.
 */
export function sealedRunToAppend(
  device: DeviceId,
  head: AuditHead,
  { boot, from, count, batch }: SealedRun,
  receivedAtMs: UnixMs,
): { readonly append: EventAppend; readonly head: AuditHead } {
  assert(count > 0, "a run has an entry");
  const last = from + count - 1;
  const drops = from < head.next ? { drops: { first: from, last } } : {};
  const event = eventToStored({
    boot,
    sequence: last,
    // When the entries were made is sealed with them.
    at: { unixSeconds: null, quality: "unset" },
    kind: "sealed-log",
    facts: { first: from, last },
    raw: batch,
  });
  const after = { pairingId: head.pairingId, next: last + 1 };
  return {
    append: { device, receivedAtMs, events: [event], documents: [auditHeadToDocument(device, after)], ...drops },
    head: after,
  };
}

/** Takes away what is kept of a log from `next` on, which is more than the lock itself has. */
export function endLogAt(device: DeviceId, pairingId: Uint8Array, next: number, receivedAtMs: UnixMs): EventAppend {
  const head = auditHeadToDocument(device, { pairingId, next });
  return { device, receivedAtMs, events: [], documents: [head], drops: { first: next, last: SEQUENCE_MAX } };
}

/** The head of this pairing as it was stored; a new pairing begins its own log. */
export function documentToAuditHead(document: StoredDocument | undefined, pairingId: Uint8Array): AuditHead {
  if (document === undefined) return emptyAuditHead(pairingId);
  const stored = readDocumentBody(auditHeadSchema, document);
  if (stored === undefined || stored.pairingId !== bytesToHex(pairingId)) return emptyAuditHead(pairingId);
  return { pairingId, next: stored.next };
}

function auditHeadToDocument(device: DeviceId, { pairingId, next }: AuditHead): StoredDocument {
  const stored: z.output<typeof auditHeadSchema> = { pairingId: bytesToHex(pairingId), next };
  return { kind: "audit-head", device, body: JSON.stringify(stored) };
}

const SEQUENCE_MAX = 2 ** 32 - 1;

const auditHeadSchema = z.object({ pairingId: z.string(), next: z.number().int().min(0) });
