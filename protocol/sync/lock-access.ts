/**
 * The lock's end of a phone's visit: fed with the phone's messages, drained of answers and of actions for the firmware.
 *
 * Theory of operation. The phone greets with its app certificate; the lock checks who it is and gives it a challenge, and tells
 * nothing of itself. The phone's signature over that challenge and over this session's handshake hash asks to be let in. Then the
 * firmware judges: whether the certificate is still in force is a check of `decide` like all others, because a denial is to have
 * its reason in the lock's log (SPEC D7). One request a session; the lock ends it.
 *
 *   greeting --app-greet--> challenged --access-request--> judging --judged--> ended
 *
 * A refusal at any place ends the visit: an honest phone has no second try to make in the same session.
 *
 * Source: SPEC Y10-Y14; PROTOCOL part 3.
 */
import type { Attempt } from "../access/attempt.ts";
import type { DenialReason, WarningCode } from "../access/reasons.ts";
import { equalBytes } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import { verifyTyped } from "../crypto.ts";
import {
  type AppCertificate,
  accessProof,
  appCertificate,
  CHALLENGE_BYTES,
  type SignedBlob,
  signedTypes,
} from "../wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type LockMessage,
  lockMessage,
  RESULT_CHECKS_LIMIT,
  type Refusal,
} from "../wire/sync-message.ts";
import type { LockPairing } from "./lock-sync.ts";

/** What the secure session proved about the other end, and by what this session is told from every other. */
export interface ProvenPeer {
  readonly staticPublicKey: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

export type AppAttempt = Extract<Attempt, { kind: "app" }>;

/** What the firmware must do. `judge` waits for `judged`. */
export type AccessAction = { readonly kind: "judge"; readonly attempt: AppAttempt } | { readonly kind: "end" };

/** What came of the attempt, after it was logged and the bolt moved. */
export interface AccessJudgement {
  readonly granted: boolean;
  /** In the documented order, the primary reason first; empty when granted. */
  readonly failedChecks: readonly DenialReason[];
  readonly warnings: readonly WarningCode[];
}

/** Whether these bytes begin a phone's visit; a courier begins otherwise, and `LockSync` answers whatever is neither. */
export function isAppGreeting(bytes: Uint8Array): boolean {
  const read = courierMessage.decode(bytes);
  return read.ok && read.value.kind === "app-greet";
}

export class LockAccess {
  readonly #pairing: LockPairing;
  readonly #peer: ProvenPeer;
  readonly #challenge: Uint8Array;
  #phase: "greeting" | "challenged" | "judging" | "ended" = "greeting";
  #certificate: AppCertificate | undefined;
  #messages: Uint8Array[] = [];
  #actions: AccessAction[] = [];

  /** `challenge` is 16 fresh random bytes of this lock, for this session alone. */
  constructor(pairing: LockPairing, peer: ProvenPeer, challenge: Uint8Array) {
    assert(challenge.length === CHALLENGE_BYTES, "the lock's challenge is 16 bytes");
    this.#pairing = pairing;
    this.#peer = peer;
    this.#challenge = challenge;
  }

  /** Takes one whole message of the session. Anything that is not what is due is answered with a refusal. */
  receive(bytes: Uint8Array): void {
    if (this.#phase === "ended") return;
    const read = courierMessage.decode(bytes);
    if (!read.ok) return this.#refuse(this.#due(), "malformed-message");
    const message = read.value;
    // SPEC Y14: an app carries nothing, so nothing that a courier says is taken from it.
    if (message.kind !== "app-greet" && message.kind !== "access-request") {
      return this.#refuse(message.kind, "not-a-courier");
    }
    if (this.#phase === "judging" || message.kind !== this.#due()) {
      return this.#refuse(message.kind, "unexpected-message");
    }
    if (message.kind === "app-greet") this.#greet({ bytes: message.certificate, signature: message.signature });
    else this.#request(message.signature);
  }

  judged({ granted, failedChecks, warnings }: AccessJudgement): void {
    assert(this.#phase === "judging", "the firmware judges when it was asked");
    const [reason] = failedChecks;
    assert(granted === (reason === undefined), "granted is the same as no failed check");
    this.#answer({
      kind: "access-result",
      granted,
      ...(reason === undefined ? {} : { reason }),
      failedChecks: failedChecks.slice(0, RESULT_CHECKS_LIMIT),
      warnings: warnings.slice(0, RESULT_CHECKS_LIMIT),
    });
    this.#end();
  }

  takeMessages(): readonly Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  takeActions(): readonly AccessAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #greet(blob: SignedBlob): void {
    // SPEC Y11: signature, then the session's key, then locks; the dates are judged with everything else.
    if (!verifyTyped(this.#pairing.keyset.keyset.courier, signedTypes.app, blob.bytes, blob.signature)) {
      return this.#refuse("app-greet", "bad-signature");
    }
    const read = appCertificate.decode(blob.bytes);
    // One that ends before it begins would live for ever by the rule of 72 hours.
    if (!read.ok || read.value.notAfter <= read.value.issuedAt) return this.#refuse("app-greet", "malformed-message");
    const { staticPublicKey, locks } = read.value;
    if (!equalBytes(staticPublicKey, this.#peer.staticPublicKey)) return this.#refuse("app-greet", "wrong-key");
    const covers = locks.length === 0 || locks.some((lock) => equalBytes(lock, this.#pairing.pairingId));
    if (!covers) return this.#refuse("app-greet", "wrong-pairing");
    this.#certificate = read.value;
    this.#phase = "challenged";
    this.#answer({ kind: "challenge", challenge: this.#challenge });
  }

  #request(signature: Uint8Array): void {
    const certificate = this.#certificate;
    assert(certificate !== undefined, "a challenge was given to a certified phone");
    const proof = accessProof.encode({
      pairingId: this.#pairing.pairingId,
      challenge: this.#challenge,
      handshakeHash: this.#peer.handshakeHash,
    });
    // SPEC Y12: right or wrong, this was the challenge's one use.
    if (!verifyTyped(certificate.signingPublicKey, signedTypes.access, proof, signature)) {
      return this.#refuse("access-request", "bad-signature");
    }
    const { credential: credentialId, issuedAt, notAfter } = certificate;
    this.#phase = "judging";
    this.#actions.push({ kind: "judge", attempt: { kind: "app", credentialId, certificate: { issuedAt, notAfter } } });
  }

  #due(): "app-greet" | "access-request" {
    return this.#phase === "greeting" ? "app-greet" : "access-request";
  }

  #answer(message: LockMessage): void {
    this.#messages.push(lockMessage.encode(message));
  }

  #refuse(request: CourierMessage["kind"], refusal: Refusal): void {
    this.#answer({ kind: "refused", request, refusal });
    // While the firmware judges, its answer is still to come; what was said meanwhile changes nothing.
    if (this.#phase !== "judging") this.#end();
  }

  #end(): void {
    this.#phase = "ended";
    this.#actions.push({ kind: "end" });
  }
}
