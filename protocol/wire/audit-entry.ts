/**
 * An entry of a lock's audit log, as the lock writes, chains and gives it away, and its reading as an event.
 *
 * The chain: head(0) = SHA-256("doorlink/1/audit" | pairingId), head(n) = SHA-256(head(n-1) | bytes of entry n).
 * Who holds the last head that a lock MACed can tell whether any entry before it was changed, left out or put in.
 * A denied code has no field here; `entryTag` is its 32-bit HMAC under a key of the lock and the authority.
 * Source: SPEC E1-E4; PROTOCOL parts 4 and 6.
 */
import { type ReasonCode, reasonCodes, type WarningCode, warningCodes } from "../access/reasons.ts";
import { bytesToHex, concatBytes, utf8 } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import {
  type CborCodec,
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborChoice,
  cborInt,
  cborParsed,
  cborRecord,
  cborText,
  cborUint,
  field,
  optional,
} from "../base/cbor-record.ts";
import { ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { sha256 } from "../crypto.ts";
import type { DeviceEvent } from "./messages/event.ts";

/** Longest entry: every field at its limit, with eight reasons. */
export const AUDIT_ENTRY_LIMIT_BYTES = 512;

const uint32Max = 0xffffffff;
const reason: CborCodec<ReasonCode> = cborParsed(
  "a reason code",
  cborText(48),
  (text) => reasonCodes.find((code) => code === text),
  (code) => code,
);

export const warningCodec: CborCodec<WarningCode> = cborParsed(
  "a warning code",
  cborText(48),
  (text) => warningCodes.find((code) => code === text),
  (code) => code,
);

export const auditEntry = cborRecord({
  sequence: field(1, cborUint(uint32Max)),
  boot: field(2, cborUint(uint32Max)),
  unixSeconds: optional(3, cborUint<UnixSeconds>(2 ** 40)),
  clock: field(4, cborChoice({ set: 1, "lower-bound": 2, unset: 3 })),
  kind: field(
    5,
    cborChoice({
      "access-granted": 1,
      "access-denied": 2,
      "policy-committed": 3,
      "clock-set": 4,
      boot: 5,
      "log-gap": 6,
      door: 7,
    }),
  ),
  person: optional(6, cborText(32)),
  credential: optional(7, cborText(32)),
  credentialType: optional(8, cborText(32)),
  reason: optional(9, reason),
  failedChecks: optional(10, cborArray(reason, 8)),
  warnings: optional(11, cborArray(warningCodec, 8)),
  entryTag: optional(12, cborBytes(4)),
  /**
   * `policy-committed`: versions; `clock-set`: Unix milliseconds; `log-gap`: first and last sequence that is lost;
   * `door`: 0 closed, 1 open.
   */
  before: optional(13, cborInt(-(2 ** 50), 2 ** 50)),
  after: optional(14, cborInt(-(2 ** 50), 2 ** 50)),
});
export type AuditEntry = CborTypeOf<typeof auditEntry>;

export function auditChainStart(pairingId: Uint8Array): Uint8Array {
  return sha256(utf8("doorlink/1/audit"), pairingId);
}

export function auditChainNext(head: Uint8Array, entryBytes: Uint8Array): Uint8Array {
  return sha256(concatBytes(head, entryBytes));
}

/**
 * Reads an entry's bytes as the event that goes upstream; the bytes travel along as `raw`. Faults: those of the entry's codec.
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
