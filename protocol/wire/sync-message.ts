/**
 * The messages inside the secure session: what a courier or a phone says to a lock and what the lock answers. A courier syncs,
 * a phone asks to be let in; the first message says which of the two it is. One request at a time; pages alone follow each
 * other without an answer until the last. What only lock and authority may read is sealed. Source: SPEC Y1-Y16.
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
import { warningCodec } from "./audit-entry.ts";
import { KEYSET_LIMIT_BYTES } from "./keyset.ts";
import { AUDIT_BATCH_LIMIT_BYTES } from "./sealing.ts";
import { BUNDLE_LIMIT_BYTES, CHALLENGE_BYTES, clockSource, PAGE_BYTES } from "./signed-objects.ts";
import { DELEGATE_LIMIT_BYTES } from "./time-delegate.ts";

const uint32Max = 0xffffffff;
const signature = cborBytes(64);
const unixMsField = cborUint<UnixMs>(2 ** 50);
const denialReason: CborCodec<DenialReason> = cborParsed(
  "a reason of a denial",
  cborText(48),
  (text) => denialReasons.find((code) => code === text),
  (code) => code,
);

/** Most reasons, and most warnings, in the answer to an access request: as many as a log entry takes. */
export const RESULT_CHECKS_LIMIT = 8;
/** Largest time answer and largest release: ids, a nonce or head, and numbers. */
export const SIGNED_ANSWER_LIMIT_BYTES = 128;
/** Largest manifest: 128 page hashes and its header. */
export const MANIFEST_LIMIT_BYTES = 4096;

export const courierMessage = cborUnion({
  greet: variant(1, cborRecord({ certificate: field(1, cborBytesUpTo(2048)), signature: field(2, signature) })),
  /** With `delegate`, its certificate and that one's signature, the answer is a delegate's (SPEC J1). */
  time: variant(
    2,
    cborRecord({
      answer: field(1, cborBytesUpTo(SIGNED_ANSWER_LIMIT_BYTES)),
      signature: field(2, signature),
      delegate: optional(3, cborBytesUpTo(DELEGATE_LIMIT_BYTES)),
      delegateSignature: optional(4, signature),
    }),
  ),
  /** A bundle of one page rides along; a larger one follows page by page. */
  manifest: variant(
    3,
    cborRecord({
      manifest: field(1, cborBytesUpTo(MANIFEST_LIMIT_BYTES)),
      signature: field(2, signature),
      bundle: optional(3, cborBytesUpTo(PAGE_BYTES)),
    }),
  ),
  page: variant(
    4,
    cborRecord({ offset: field(1, cborUint(BUNDLE_LIMIT_BYTES)), bytes: field(2, cborBytesUpTo(PAGE_BYTES)) }),
  ),
  release: variant(
    5,
    cborRecord({ release: field(1, cborBytesUpTo(SIGNED_ANSWER_LIMIT_BYTES)), signature: field(2, signature) }),
  ),
  "read-log": variant(6, cborRecord({ from: field(1, cborUint(uint32Max)) })),
  finish: variant(7, cborRecord({})),
  "app-greet": variant(8, cborRecord({ certificate: field(1, cborBytesUpTo(2048)), signature: field(2, signature) })),
  "access-request": variant(9, cborRecord({ signature: field(1, signature) })),
  keyset: variant(
    10,
    cborRecord({ keyset: field(1, cborBytesUpTo(KEYSET_LIMIT_BYTES)), signature: field(2, signature) }),
  ),
});
export type CourierMessage = CborTypeOf<typeof courierMessage>;

/** Why a lock does not do what it was asked. Closed list; each is checked in the order of SPEC Y3-Y6, Y11-Y15. */
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
  "seal-does-not-open": 18,
  "epoch-not-held": 19,
  "delegation-expired": 20,
  "beyond-delegation": 21,
  backwards: 22,
  "too-soon": 23,
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
  keyset: 10,
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
      keysetEpoch: field(19, cborUint(uint32Max)),
      clockSource: optional(20, clockSource),
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
  committed: variant(4, cborRecord({ epoch: field(1, cborUint(uint32Max)), version: field(2, cborUint(uint32Max)) })),
  released: variant(5, cborRecord({ through: field(1, cborUint(uint32Max)) })),
  /** `batch` is an `auditBatch`, which the courier keeps and carries as it is; `next` is the sequence that the log gives next. */
  log: variant(
    6,
    cborRecord({ batch: field(1, cborBytesUpTo(AUDIT_BATCH_LIMIT_BYTES)), next: field(2, cborUint(uint32Max)) }),
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
  "keyset-held": variant(11, cborRecord({ epoch: field(1, cborUint(uint32Max)) })),
});
export type LockMessage = CborTypeOf<typeof lockMessage>;
export type Hello = Extract<LockMessage, { kind: "hello" }>;
