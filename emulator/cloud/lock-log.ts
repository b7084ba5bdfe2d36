/**
 * A run of a lock's log, opened: what the lock sealed for its authority, as the events it is of. That they are whole and in order says
 * the chain, when the lock's report meets it (`audit-chains.ts`); here only what the seal and the header promise. SPEC E3, X10.
 */
import { equalBytes } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { PairingKeys } from "../../protocol/sync/authority.ts";
import { auditEntryToEvent } from "../../protocol/wire/audit-event.ts";
import { type DeviceEvent, withStandards } from "../../protocol/wire/messages/event.ts";
import { auditBatch, openAuditBatch } from "../../protocol/wire/sealing.ts";

export type LockLogFault =
  | { readonly code: "batch-malformed"; readonly sequence: number }
  /** Of no pairing of this device that the authority knows. */
  | { readonly code: "batch-of-another-pairing"; readonly sequence: number }
  | { readonly code: "batch-does-not-open"; readonly sequence: number }
  /** It opens, so the lock sealed it, and holds other entries than its header says. */
  | { readonly code: "batch-not-as-said"; readonly sequence: number };

export interface KnownPairing {
  readonly pairingId: Uint8Array;
  readonly keys: PairingKeys;
}

/** The entries of one `sealed-log` event, each with its chained bytes. Faults: batch-malformed, batch-of-another-pairing, batch-does-not-open, batch-not-as-said. */
export function openLockLog(
  pairings: readonly KnownPairing[],
  { raw, sequence, facts }: DeviceEvent,
): Result<readonly DeviceEvent[], LockLogFault> {
  const batch = raw === undefined ? undefined : auditBatch.decode(raw);
  if (batch === undefined || !batch.ok) return failed({ code: "batch-malformed", sequence });
  const { pairingId, from, count } = batch.value;
  const pairing = pairings.find((known) => equalBytes(known.pairingId, pairingId));
  if (pairing === undefined) return failed({ code: "batch-of-another-pairing", sequence });
  const entries = openAuditBatch(pairing.keys.audit, batch.value);
  if (!entries.ok) return failed({ code: "batch-does-not-open", sequence });
  // A gateway numbers a run by its header; the lock's own entries must say the same.
  const isNamed = sequence === from + count - 1 && facts?.["first"] === from && facts["last"] === sequence;
  const events: DeviceEvent[] = [];
  for (const bytes of entries.value) {
    const event = auditEntryToEvent(bytes);
    if (!event.ok || event.value.sequence !== from + events.length)
      return failed({ code: "batch-not-as-said", sequence });
    events.push(withStandards(event.value));
  }
  return isNamed ? ok(events) : failed({ code: "batch-not-as-said", sequence });
}
