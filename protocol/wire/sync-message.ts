/**
 * The messages inside the secure session: what a courier or a phone says to a lock and what the lock answers. A courier syncs,
 * a phone asks to be let in; the first message says which of the two it is. One request at a time; pages alone follow each
 * other without an answer until the last. Source: SPEC Y1-Y14.
 */
import { type DenialReason, denialReasons } from "../access/reasons.ts";
import {
  type CborCodec,
  type CborTypeOf,
  cborArray,
  cborBoolean,
  cborBytes,
  cborBytesUpTo,
  cborChoice,
  cborParsed,
  cborRecord,
  cborText,
  cborUint,
  cborUnion,
  field,
  optional,
  variant,
} from "../base/cbor-record.ts";
import type { UnixMs } from "../base/units.ts";
import { AUDIT_ENTRY_LIMIT_BYTES, warningCodec } from "./audit-entry.ts";
import { BUNDLE_LIMIT_BYTES, CHALLENGE_BYTES, PAGE_BYTES } from "./signed-objects.ts";

const uint32Max = 0xffffffff;
const signature = cborBytes(64);
const unixMsField = cborUint<UnixMs>(2 ** 50);
const denialReason: CborCodec<DenialReason> = cborParsed(
  "a reason of a denial",
  cborText(48),
  (text) => denialReasons.find((code) => code === text),
  (code) => code,
);

/** Most audit entries in one answer: with the largest entries it stays under the session's message limit. */
export const LOG_ANSWER_ENTRIES = 64;
/** Most reasons, and most warnings, in the answer to an access request: as many as a log entry takes. */
export const RESULT_CHECKS_LIMIT = 8;
/** Largest manifest: 128 page hashes and its header. */
export const MANIFEST_LIMIT_BYTES = 4096;

export const courierMessage = cborUnion({
  greet: variant(1, cborRecord({ certificate: field(1, cborBytesUpTo(2048)), signature: field(2, signature) })),
  time: variant(2, cborRecord({ answer: field(1, cborBytesUpTo(128)), signature: field(2, signature) })),
  manifest: variant(
    3,
    cborRecord({ manifest: field(1, cborBytesUpTo(MANIFEST_LIMIT_BYTES)), signature: field(2, signature) }),
  ),
  page: variant(
    4,
    cborRecord({ offset: field(1, cborUint(BUNDLE_LIMIT_BYTES)), bytes: field(2, cborBytesUpTo(PAGE_BYTES)) }),
  ),
  release: variant(5, cborRecord({ release: field(1, cborBytesUpTo(128)), signature: field(2, signature) })),
  "read-log": variant(6, cborRecord({ from: field(1, cborUint(uint32Max)) })),
  finish: variant(7, cborRecord({})),
  "app-greet": variant(8, cborRecord({ certificate: field(1, cborBytesUpTo(2048)), signature: field(2, signature) })),
  "access-request": variant(9, cborRecord({ signature: field(1, signature) })),
});
export type CourierMessage = CborTypeOf<typeof courierMessage>;

/** Why a lock does not do what it was asked. Closed list; each is checked in the order of SPEC Y3-Y6, Y11-Y14. */
export const refusalNumbers = {
  "malformed-message": 1,
  "unexpected-message": 2,
  "bad-signature": 3,
  "wrong-pairing": 4,
  "wrong-key": 5,
  "not-a-courier": 6,
  expired: 7,
  rollback: 8,
  "unknown-base": 9,
  "page-mismatch": 10,
  "root-mismatch": 11,
  "bad-policy": 12,
  "stale-nonce": 13,
  "round-trip-too-long": 14,
  "chain-mismatch": 15,
  "storage-failed": 16,
  "not-an-app": 17,
} as const;
export type Refusal = keyof typeof refusalNumbers;

export const requestNumbers = {
  greet: 1,
  time: 2,
  manifest: 3,
  page: 4,
  release: 5,
  "read-log": 6,
  finish: 7,
  "app-greet": 8,
  "access-request": 9,
} as const;

export const lockMessage = cborUnion({
  hello: variant(
    1,
    cborRecord({
      pairingId: field(1, cborBytes(16)),
      model: field(2, cborText(32)),
      firmware: field(3, cborText(64)),
      hardware: field(4, cborText(64)),
      bootCount: field(5, cborUint(uint32Max)),
      epoch: field(6, cborUint(uint32Max)),
      version: field(7, cborUint(uint32Max)),
      root: field(8, cborBytes(32)),
      stagedManifest: optional(9, cborBytes(32)),
      stagedBytes: field(10, cborUint(BUNDLE_LIMIT_BYTES)),
      logFirst: field(11, cborUint(uint32Max)),
      logNext: field(12, cborUint(uint32Max)),
      clock: field(13, cborChoice({ set: 1, "lower-bound": 2, unset: 3 })),
      unixMs: optional(14, unixMsField),
      uptimeSeconds: field(15, cborUint(uint32Max)),
      batteryMillivolts: field(16, cborUint(60_000)),
      batteryPercent: field(17, cborUint(100)),
      nonce: field(18, cborBytes(16)),
    }),
  ),
  "time-handled": variant(
    2,
    cborRecord({
      oldUnixMs: optional(1, unixMsField),
      newUnixMs: field(2, unixMsField),
      written: field(3, cborBoolean),
    }),
  ),
  "send-pages": variant(3, cborRecord({ offset: field(1, cborUint(BUNDLE_LIMIT_BYTES)) })),
  committed: variant(
    4,
    cborRecord({
      epoch: field(1, cborUint(uint32Max)),
      version: field(2, cborUint(uint32Max)),
      root: field(3, cborBytes(32)),
    }),
  ),
  released: variant(5, cborRecord({ through: field(1, cborUint(uint32Max)) })),
  log: variant(
    6,
    cborRecord({
      from: field(1, cborUint(uint32Max)),
      entries: field(2, cborArray(cborBytesUpTo(AUDIT_ENTRY_LIMIT_BYTES), LOG_ANSWER_ENTRIES)),
      next: field(3, cborUint(uint32Max)),
    }),
  ),
  report: variant(7, cborRecord({ report: field(1, cborBytesUpTo(256)), mac: field(2, cborBytes(32)) })),
  refused: variant(
    8,
    cborRecord({ request: field(1, cborChoice(requestNumbers)), refusal: field(2, cborChoice(refusalNumbers)) }),
  ),
  challenge: variant(9, cborRecord({ challenge: field(1, cborBytes(CHALLENGE_BYTES)) })),
  /** `reason` is the first of `failedChecks` in the documented order; a grant has neither. */
  "access-result": variant(
    10,
    cborRecord({
      granted: field(1, cborBoolean),
      reason: optional(2, denialReason),
      failedChecks: field(3, cborArray(denialReason, RESULT_CHECKS_LIMIT)),
      warnings: field(4, cborArray(warningCodec, RESULT_CHECKS_LIMIT)),
    }),
  ),
});
export type LockMessage = CborTypeOf<typeof lockMessage>;
export type Hello = Extract<LockMessage, { kind: "hello" }>;
