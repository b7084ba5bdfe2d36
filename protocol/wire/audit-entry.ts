/**
 * An entry of a lock's audit log, as the lock writes, chains and gives it away.
 *
 * The chain: head(0) = HMAC("doorlink/1/audit" | pairingId), head(n) = HMAC(head(n-1) | bytes of entry n), HMAC-SHA-256 under the
 * pairing's chain key. Who holds that key and the last head that a lock MACed can tell whether any entry before it was changed, left
 * out or put in. Heads travel open; without the key a courier cannot try which entry fits one.
 * A denied code has no field here; `entryTag` is its 32-bit HMAC under a key of the lock and the authority.
 * Source: SPEC E1-E4; PROTOCOL parts 4 and 6.
 */
import { type ReasonCode, reasonCodes, type WarningCode, warningCodes } from "../access/reasons.ts";
import { concatBytes, utf8 } from "../base/bytes.ts";
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
import type { UnixSeconds } from "../base/units.ts";
import { hmacSha256 } from "../crypto.ts";

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

/** What a lock finds wrong with its own memory: the numbers of a `fault` entry's `before`. SPEC E5, L11-L19. */
export const faultNumberByCode = {
  "policy-rotten": 1,
  "log-rotten": 2,
  "release-rotten": 3,
  "used-codes-rotten": 4,
  "uses-rotten": 5,
  "throttle-rotten": 6,
  "powered-time-rotten": 7,
  "clock-rotten": 8,
  "pairing-rotten": 9,
  "identity-rotten": 10,
  "boot-count-rotten": 11,
  "staging-rotten": 12,
  "copy-rotten": 13,
  "page-unnamed": 14,
  "flash-worn": 15,
} as const;
export type FaultCode = keyof typeof faultNumberByCode;

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
      fault: 8,
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
   * `door`: 0 closed, 1 open; `fault`: number of the `FaultCode`, and how many records or pages, or erase cycles.
   */
  before: optional(13, cborInt(-(2 ** 50), 2 ** 50)),
  after: optional(14, cborInt(-(2 ** 50), 2 ** 50)),
});
export type AuditEntry = CborTypeOf<typeof auditEntry>;

/** The head before the first entry of a pairing's log; `chainKey` is the pairing's, 32 bytes. SPEC E2. */
export function auditChainStart(chainKey: Uint8Array, pairingId: Uint8Array): Uint8Array {
  return hmacSha256(chainKey, concatBytes(utf8("doorlink/1/audit"), pairingId));
}

export function auditChainNext(chainKey: Uint8Array, head: Uint8Array, entryBytes: Uint8Array): Uint8Array {
  return hmacSha256(chainKey, concatBytes(head, entryBytes));
}
