/**
 * The phone's end of asking a lock to be let in: greets with its certificate, signs the lock's challenge, hears the answer.
 * Fed and drained like the other machines; exactly one event comes out of it. The private signing key is used here and goes
 * nowhere. Source: SPEC Y10-Y14; PROTOCOL part 3.
 */
import type { DenialReason, WarningCode } from "../access/reasons.ts";
import { signTyped } from "../crypto.ts";
import { accessProof, type SignedBlob, signedTypes } from "../wire/signed-objects.ts";
import { courierMessage, type LockMessage, lockMessage, type Refusal } from "../wire/sync-message.ts";

/** What a phone holds to be let in. */
export interface AppKey {
  /** Ed25519, 32 bytes. */
  readonly signingPrivateKey: Uint8Array;
  readonly certificate: SignedBlob;
}

/** The lock as the phone knows it, and the session that stands with it. */
export interface AccessTarget {
  readonly pairingId: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

export type PhoneAccessEvent =
  | { readonly kind: "granted"; readonly warnings: readonly WarningCode[] }
  | {
      readonly kind: "denied";
      readonly reason: DenialReason;
      readonly failedChecks: readonly DenialReason[];
      readonly warnings: readonly WarningCode[];
    }
  /** The lock did not take the certificate or the request; nothing was judged. */
  | { readonly kind: "refused"; readonly refusal: Refusal }
  /** The lock broke the protocol. */
  | { readonly kind: "bad-answer" };

export class PhoneAccess {
  readonly #key: AppKey;
  readonly #target: AccessTarget;
  #waitingFor: "challenge" | "access-result" | "nothing" = "challenge";
  #messages: Uint8Array[] = [];
  #event: PhoneAccessEvent | undefined;

  /** Starts at once: the greeting is the first message to take. */
  constructor(key: AppKey, target: AccessTarget) {
    this.#key = key;
    this.#target = target;
    const { bytes, signature } = key.certificate;
    this.#messages.push(courierMessage.encode({ kind: "app-greet", certificate: bytes, signature }));
  }

  /** Takes one whole message of the session. What is no answer to the request that stands ends it as `bad-answer`. */
  receive(bytes: Uint8Array): void {
    if (this.#waitingFor === "nothing") return;
    const read = lockMessage.decode(bytes);
    if (!read.ok) return this.#end({ kind: "bad-answer" });
    const answer = read.value;
    if (answer.kind === "refused") return this.#end({ kind: "refused", refusal: answer.refusal });
    if (answer.kind !== this.#waitingFor) return this.#end({ kind: "bad-answer" });
    if (answer.kind === "challenge") this.#sign(answer.challenge);
    else if (answer.kind === "access-result") this.#end(resultEvent(answer));
  }

  takeMessages(): readonly Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  /** Once, when it is over; nothing more comes then. */
  takeEvent(): PhoneAccessEvent | undefined {
    const event = this.#event;
    this.#event = undefined;
    return event;
  }

  #sign(challenge: Uint8Array): void {
    const { pairingId, handshakeHash } = this.#target;
    const proof = accessProof.encode({ pairingId, challenge, handshakeHash });
    const signature = signTyped(this.#key.signingPrivateKey, signedTypes.access, proof);
    this.#messages.push(courierMessage.encode({ kind: "access-request", signature }));
    this.#waitingFor = "access-result";
  }

  #end(event: PhoneAccessEvent): void {
    this.#waitingFor = "nothing";
    this.#event = event;
  }
}

/** A grant that names a reason, or a denial that names none or another than its first, is no answer. */
function resultEvent(answer: Extract<LockMessage, { kind: "access-result" }>): PhoneAccessEvent {
  const { granted, reason, failedChecks, warnings } = answer;
  if (reason !== failedChecks[0] || granted !== (reason === undefined)) return { kind: "bad-answer" };
  return reason === undefined ? { kind: "granted", warnings } : { kind: "denied", reason, failedChecks, warnings };
}
