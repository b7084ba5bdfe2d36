/**
 * The messages of a pairing, inside the session that the setup code opened (SPEC Z7-Z9): the courier offers, the lock accepts and
 * proves its key to the authority, the courier hands over what the authority sealed, the lock confirms.
 */
import {
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborBytesUpTo,
  cborChoice,
  cborRecord,
  cborText,
  cborUint,
  cborUnion,
  field,
  optional,
  variant,
} from "../base/cbor-record.ts";
import { KEYSET_LIMIT_BYTES } from "./keyset.ts";
import { SEAL_OVERHEAD_BYTES } from "./sealing.ts";

const uint32 = cborUint(0xffffffff);

/** What is sealed for the lock at its pairing: the daily keys of its door, none on a lock without daily codes. */
export const dailyKeyList = cborRecord({
  keys: field(1, cborArray(cborRecord({ keyId: field(1, uint32), key: field(2, cborBytes(32)) }), 8)),
  /** The lowest sequence with which the log of this pairing may begin; absent: 1. */
  firstSequence: optional(2, uint32),
});
export type DailyKeyList = CborTypeOf<typeof dailyKeyList>;
/** Eight keys with their numbers and heads are 8 * 43 + 3 bytes, a sequence 6. */
export const DAILY_KEYS_LIMIT_BYTES = 384;

/** What a lock says of itself when it accepts; carries a MAC for the authority. */
export const pairingStatement = cborRecord({
  pairingId: field(1, cborBytes(16)),
  lockPublicKey: field(2, cborBytes(32)),
  model: field(3, cborText(32)),
  firmware: field(4, cborText(64)),
  hardware: field(5, cborText(64)),
  bootCount: field(6, uint32),
  /** The epoch of the keyset that it will hold. */
  epoch: field(7, uint32),
});
export type PairingStatement = CborTypeOf<typeof pairingStatement>;
export const PAIRING_STATEMENT_LIMIT_BYTES = 256;

export const pairingCourierMessage = cborUnion({
  offer: variant(
    1,
    cborRecord({
      root: field(1, cborBytes(32)),
      keyset: field(2, cborBytesUpTo(KEYSET_LIMIT_BYTES)),
      signature: field(3, cborBytes(64)),
    }),
  ),
  "hand-over": variant(
    2,
    cborRecord({ sealed: field(1, cborBytesUpTo(DAILY_KEYS_LIMIT_BYTES + SEAL_OVERHEAD_BYTES)) }),
  ),
});
export type PairingCourierMessage = CborTypeOf<typeof pairingCourierMessage>;

export const pairingRefusalNumbers = {
  "malformed-message": 1,
  "unexpected-message": 2,
  "root-mismatch": 3,
  "bad-signature": 4,
  expired: 5,
  "low-order-key": 6,
  "seal-does-not-open": 7,
  "storage-failed": 8,
} as const;
export type PairingRefusal = keyof typeof pairingRefusalNumbers;

export const pairingLockMessage = cborUnion({
  accept: variant(
    1,
    cborRecord({ statement: field(1, cborBytesUpTo(PAIRING_STATEMENT_LIMIT_BYTES)), mac: field(2, cborBytes(32)) }),
  ),
  paired: variant(2, cborRecord({ mac: field(1, cborBytes(32)) })),
  refused: variant(3, cborRecord({ refusal: field(1, cborChoice(pairingRefusalNumbers)) })),
});
export type PairingLockMessage = CborTypeOf<typeof pairingLockMessage>;
