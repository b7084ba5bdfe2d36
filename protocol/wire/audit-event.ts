/** An entry of a lock's log as the event of the authority's record. Source: SPEC E3, M5. */
import { bytesToHex } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { ok, type Result } from "../base/result.ts";
import { auditEntry } from "./audit-entry.ts";
import type { DeviceEvent } from "./messages/event.ts";

/**
 * Reads an entry's bytes as an event; the bytes stay beside it as `raw`. Faults: those of the entry's codec.
 */
export function auditEntryToEvent(
  entryBytes: Uint8Array,
): Result<DeviceEvent & { readonly raw: Uint8Array }, CborFault> {
  const read = auditEntry.decode(entryBytes);
  if (!read.ok) return read;
  const entry = read.value;
  return ok({
    boot: entry.boot,
    sequence: entry.sequence,
    at: { unixSeconds: entry.unixSeconds ?? null, quality: entry.clock },
    kind: entry.kind,
    ...(entry.person === undefined ? {} : { person: entry.person }),
    ...(entry.credential === undefined ? {} : { credential: entry.credential }),
    ...(entry.credentialType === undefined ? {} : { credentialType: entry.credentialType }),
    ...(entry.reason === undefined ? {} : { reason: entry.reason }),
    ...(entry.failedChecks === undefined ? {} : { failedChecks: [...entry.failedChecks] }),
    ...(entry.warnings === undefined ? {} : { warnings: [...entry.warnings] }),
    ...(entry.entryTag === undefined ? {} : { entryTag: bytesToHex(entry.entryTag) }),
    ...(entry.before === undefined && entry.after === undefined
      ? {}
      : { facts: { before: entry.before ?? 0, after: entry.after ?? 0 } }),
    raw: entryBytes,
  });
}
