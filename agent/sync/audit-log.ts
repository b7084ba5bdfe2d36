/**
 * A lock's log on its way to the gateway's disk: entries become events with the lock's own bytes beside them, and the same commit
 * moves the place from which the next visit reads. SPEC G4.
 */
import { z } from "zod";
import { bytesToHex, hexToBytes } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { auditChainNext, auditChainStart, auditEntryToEvent } from "../../protocol/wire/audit-entry.ts";
import type { DeviceEvent } from "../../protocol/wire/messages/event.ts";
import { withStandards } from "../event-standards.ts";
import type { EventAppend, StoredDocument } from "../ports/store.ts";
import { FIRST_SEQUENCE } from "../store/coverage.ts";
import { eventToStored } from "../store/event-body.ts";

/** How far one pairing's log has been read. */
export interface AuditHead {
  readonly pairingId: Uint8Array;
  /** First sequence that is not on this disk. */
  readonly next: number;
  /** Chain head over all entries before `next`; null when the beginning was not read here. */
  readonly head: Uint8Array | null;
}

export type AuditFault =
  | { readonly code: "unreadable-entry"; readonly index: number }
  | { readonly code: "out-of-order"; readonly expected: number; readonly actual: number };

export function emptyAuditHead(pairingId: Uint8Array): AuditHead {
  return { pairingId, next: FIRST_SEQUENCE, head: auditChainStart(pairingId) };
}

/**
 * Reads a run of entries as one append. A run may begin above `head.next`, because a lock keeps only so many entries; inside it
 * sequences follow each other. Faults: unreadable-entry, out-of-order.
 */
export function readAuditEntries(
  device: DeviceId,
  head: AuditHead,
  entries: readonly Uint8Array[],
  receivedAtMs: UnixMs,
): Result<{ readonly append: EventAppend; readonly head: AuditHead }, AuditFault> {
  const events: DeviceEvent[] = [];
  let { next, head: chained } = head;
  for (const [index, bytes] of entries.entries()) {
    const read = auditEntryToEvent(bytes);
    if (!read.ok) return failed({ code: "unreadable-entry", index });
    const { sequence } = read.value;
    if (sequence < next || (index > 0 && sequence !== next)) {
      return failed({ code: "out-of-order", expected: next, actual: sequence });
    }
    // What was skipped breaks the chain as far as this gateway can follow it; the authority checks its own.
    chained = chained === null || sequence !== next ? null : auditChainNext(chained, bytes);
    events.push(read.value);
    next = sequence + 1;
  }
  const after = { pairingId: head.pairingId, next, head: chained };
  const documents = [auditHeadToDocument(device, after)];
  return ok({
    append: { device, receivedAtMs, events: events.map((event) => eventToStored(withStandards(event))), documents },
    head: after,
  });
}

/** The head of this pairing as it was stored; a new pairing begins its own log. */
export function documentToAuditHead(document: StoredDocument | undefined, pairingId: Uint8Array): AuditHead {
  if (document === undefined) return emptyAuditHead(pairingId);
  const stored = auditHeadSchema.safeParse(JSON.parse(document.body));
  if (!stored.success || stored.data.pairingId !== bytesToHex(pairingId)) return emptyAuditHead(pairingId);
  const { next, head } = stored.data;
  return { pairingId, next, head: head === null ? null : (hexToBytes(head) ?? null) };
}

function auditHeadToDocument(device: DeviceId, { pairingId, next, head }: AuditHead): StoredDocument {
  const stored: z.output<typeof auditHeadSchema> = {
    pairingId: bytesToHex(pairingId),
    next,
    head: head === null ? null : bytesToHex(head),
  };
  return { kind: "audit-head", device, body: JSON.stringify(stored) };
}

const auditHeadSchema = z.strictObject({
  pairingId: z.string(),
  next: z.number().int().min(0),
  head: z.string().nullable(),
});
