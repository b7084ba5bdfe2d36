/**
 * The site's own time, for locks that cannot have the authority's: what the authority last said, carried on by this machine's counter.
 *
 * A gateway's wall clock may say 1970 or anything else, so it is not asked. The authority's answers to locks come through here, and
 * each is an anchor; from it the monotonic counter goes on for as long as this process lives. Under the authority's delegation (7 days
 * at most) the gateway answers a lock's nonce with that. Without an anchor or a delegation it answers nothing. SPEC J1, J9.
 */

import { utf8 } from "../../protocol/base/bytes.ts";
import { type MonotonicMs, type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { ed25519PublicKey, hkdfSha256 } from "../../protocol/crypto.ts";
import { type SignedBlob, timeAnswer } from "../../protocol/wire/signed-objects.ts";
import { answerDelegatedTime, timeDelegate } from "../../protocol/wire/time-delegate.ts";
import type { Clock } from "../ports/clock.ts";
import type { GivenTime } from "../ports/visit.ts";

/** The gateway's key for time (Ed25519 seed), made of the key that it has. */
export function timeKeyOf(courierPrivateKey: Uint8Array): Uint8Array {
  return hkdfSha256(courierPrivateKey, new Uint8Array(0), utf8("doorlink/1/gateway/time"), 32);
}

export function timePublicKeyOf(courierPrivateKey: Uint8Array): Uint8Array {
  return ed25519PublicKey(timeKeyOf(courierPrivateKey));
}

export class SiteTime {
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  #anchor: { readonly unixMs: UnixMs; readonly radiusMs: number; readonly at: MonotonicMs } | undefined;

  constructor(clock: Clock, courierPrivateKey: Uint8Array) {
    this.#clock = clock;
    this.#key = timeKeyOf(courierPrivateKey);
  }

  /** The authority answered a lock that was asked `askedAt`. What is no time answer is passed over. */
  note(answer: SignedBlob, askedAt: MonotonicMs): void {
    const read = timeAnswer.decode(answer.bytes);
    if (!read.ok) return;
    const at = this.#clock.monotonicMs();
    const tripMs = at - askedAt;
    // What was said lies somewhere between asking and hearing.
    const { unixMs: said, radiusMs } = read.value;
    this.#anchor = { unixMs: unixMs(said + Math.round(tripMs / 2)), radiusMs: radiusMs + Math.ceil(tripMs / 2), at };
  }

  /** This gateway's answer to a lock's nonce; undefined without an anchor, or when the delegation is none or has ended by that time. */
  answer(delegation: SignedBlob | null, pairingId: Uint8Array, nonce: Uint8Array): GivenTime | undefined {
    const anchor = this.#anchor;
    const certificate = delegation === null ? undefined : timeDelegate.decode(delegation.bytes);
    if (anchor === undefined || delegation === null || certificate === undefined || !certificate.ok) return undefined;
    const elapsedMs = this.#clock.monotonicMs() - anchor.at;
    const now = unixMs(anchor.unixMs + elapsedMs);
    if (now > certificate.value.notAfter * 1000 || now < certificate.value.from * 1000) return undefined;
    const radiusMs = Math.min(RADIUS_LIMIT_MS, anchor.radiusMs + Math.ceil(elapsedMs * CRYSTAL_ERROR));
    return {
      answer: answerDelegatedTime(this.#key, { pairingId, nonce, unixMs: now, radiusMs }),
      delegate: delegation,
    };
  }
}

/** 100 parts in a million of the true time, which any machine's crystal keeps; of the time that a slow one counted that is a little more. */
const CRYSTAL_ERROR = 1e-4 / (1 - 1e-4);
/** What the answer's field takes; 7 days of the worst crystal are within it. */
const RADIUS_LIMIT_MS = 60_000;
