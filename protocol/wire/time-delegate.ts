/**
 * Time without internet: the authority lets a gateway tell its locks the time for at most 7 days.
 *
 * A delegate answers a lock's nonce as the authority would, with a key of its own and its certificate beside it. What it may do with
 * a lock's clock is in `protocol/sync/lock-clock.ts`; here is only who may speak, and for which lock. Source: SPEC J1; PROTOCOL part 5.
 */
import { equalBytes } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { type CborTypeOf, cborArray, cborBytes, cborRecord, cborText, cborUint, field } from "../base/cbor-record.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import type { UnixMs, UnixSeconds } from "../base/units.ts";
import { signTyped, verifyTyped } from "../crypto.ts";
import { type SignedBlob, type TimeAnswer, timeAnswer } from "./signed-objects.ts";

export const DELEGATE_SIGNED_TYPE = "doorlink/1/time-delegate";
export const DELEGATED_TIME_SIGNED_TYPE = "doorlink/1/delegated-time";
/** A stolen gateway tells time for no longer than this. */
export const DELEGATION_SECONDS_MAX = 7 * 86_400;
/** 64 locks of 17 bytes and the rest. */
export const DELEGATE_LIMIT_BYTES = 1_280;

const unixSecondsField = cborUint<UnixSeconds>(2 ** 40);

export const timeDelegate = cborRecord({
  /** Ed25519. */
  publicKey: field(1, cborBytes(32)),
  holder: field(2, cborText(32)),
  /** Pairing ids; none: every lock of the authority. */
  locks: field(3, cborArray(cborBytes(16), 64)),
  from: field(4, unixSecondsField),
  notAfter: field(5, unixSecondsField),
});
export type TimeDelegate = CborTypeOf<typeof timeDelegate>;

export function issueTimeDelegate(timeSeed: Uint8Array, delegate: TimeDelegate): SignedBlob {
  const seconds = delegate.notAfter - delegate.from;
  assert(seconds > 0 && seconds <= DELEGATION_SECONDS_MAX, "a delegation is at most 7 days");
  const bytes = timeDelegate.encode(delegate);
  return { bytes, signature: signTyped(timeSeed, DELEGATE_SIGNED_TYPE, bytes) };
}

export function answerDelegatedTime(delegateSeed: Uint8Array, answer: TimeAnswer): SignedBlob {
  const bytes = timeAnswer.encode(answer);
  return { bytes, signature: signTyped(delegateSeed, DELEGATED_TIME_SIGNED_TYPE, bytes) };
}

export interface DelegatedTime {
  readonly unixMs: UnixMs;
  readonly radiusMs: number;
  readonly delegation: Pick<TimeDelegate, "from" | "notAfter" | "holder">;
}

export type DelegatedTimeFault =
  | { readonly code: "bad-signature"; readonly part: "certificate" | "answer" }
  | { readonly code: "malformed"; readonly part: "certificate" | "answer"; readonly fault: CborFault }
  /** The authority never delegates for longer; a certificate that says so was made by nobody honest. */
  | { readonly code: "delegation-too-long"; readonly seconds: number; readonly max: number }
  | { readonly code: "wrong-pairing"; readonly part: "certificate" | "answer" }
  | { readonly code: "stale-nonce" };

/**
 * Who answers this lock's nonce, and what: certificate's signature, shape, length and locks; then the answer's signature, shape,
 * pairing and nonce. Dates are judged by `takeTime`. Source: SPEC J1.
 */
export function readDelegatedTime(
  timeKey: Uint8Array,
  lock: { readonly pairingId: Uint8Array; readonly nonce: Uint8Array },
  certificate: SignedBlob,
  answer: SignedBlob,
): Result<DelegatedTime, DelegatedTimeFault> {
  if (!verifyTyped(timeKey, DELEGATE_SIGNED_TYPE, certificate.bytes, certificate.signature)) {
    return failed({ code: "bad-signature", part: "certificate" });
  }
  const delegate = timeDelegate.decode(certificate.bytes, { bytesMax: DELEGATE_LIMIT_BYTES, depthMax: 2 });
  if (!delegate.ok) return failed({ code: "malformed", part: "certificate", fault: delegate.fault });
  const { publicKey, holder, locks, from, notAfter } = delegate.value;
  const seconds = notAfter - from;
  if (seconds > DELEGATION_SECONDS_MAX) {
    return failed({ code: "delegation-too-long", seconds, max: DELEGATION_SECONDS_MAX });
  }
  if (locks.length > 0 && !locks.some((id) => equalBytes(id, lock.pairingId))) {
    return failed({ code: "wrong-pairing", part: "certificate" });
  }
  if (!verifyTyped(publicKey, DELEGATED_TIME_SIGNED_TYPE, answer.bytes, answer.signature)) {
    return failed({ code: "bad-signature", part: "answer" });
  }
  const time = timeAnswer.decode(answer.bytes);
  if (!time.ok) return failed({ code: "malformed", part: "answer", fault: time.fault });
  if (!equalBytes(time.value.pairingId, lock.pairingId)) return failed({ code: "wrong-pairing", part: "answer" });
  if (!equalBytes(time.value.nonce, lock.nonce)) return failed({ code: "stale-nonce" });
  const { unixMs, radiusMs } = time.value;
  return ok({ unixMs, radiusMs, delegation: { from, notAfter, holder } });
}
