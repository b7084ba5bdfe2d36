/**
 * Pairing: how a lock gets to know its authority, and the authority its lock. Both ends of the conversation inside the session that
 * the setup code opened (`Session` with `pairingSecret`), fed and drained, and the authority's two steps as functions.
 *
 *     courier                        lock                                authority
 *     offer {root, keyset}   ->      checks; derives pairing id and keys
 *                            <-      accept {statement, mac}     ->      checks the MAC: the lock has the key it showed
 *     hand-over {sealed}     ->      opens; commits in one write <-      seals the door's daily keys
 *                            <-      paired {mac}                ->      the pairing stands
 *
 * Theory of operation. The setup secret proves that whoever pairs holds the card from the lock's box; the pinned root says whose keys
 * count. The pairing id is a hash of both static keys and of this handshake, so no two pairings share one and nobody has to choose
 * it. The keys of the pairing come from the two static keys: the courier, who sees every byte here, can derive none of them. Until the
 * commit the lock is unpaired; if the link ends after it and before `paired`, the authority holds the pairing as pending and a visit
 * under its id settles it. A lock that is paired takes no pairing session; only a factory reset ends that (SPEC Z7-Z10).
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { hmacSha256, sha256, x25519PublicKey } from "../crypto.ts";
import { rootFingerprint } from "../wire/keyset.ts";
import {
  type DailyKeyList,
  dailyKeyList,
  type PairingCourierMessage,
  type PairingLockMessage,
  type PairingRefusal,
  type PairingStatement,
  pairingCourierMessage,
  pairingLockMessage,
  pairingStatement,
} from "../wire/pairing-message.ts";
import { dailyKeysHeader, openSealed, seal } from "../wire/sealing.ts";
import type { SignedBlob } from "../wire/signed-objects.ts";
import { derivePairingKeys, type PairingKeys } from "./authority.ts";
import { acceptKeyset, type HeldKeyset } from "./keyset.ts";

/** The prologue of a pairing session: there is no pairing id yet. */
export const pairingPrologue = utf8("doorlink/1/pairing");

/** SPEC Z8. */
export function pairingIdOf(
  lockPublicKey: Uint8Array,
  authorityPublicKey: Uint8Array,
  handshakeHash: Uint8Array,
): Uint8Array {
  return sha256(utf8("doorlink/1/pairing-id"), lockPublicKey, authorityPublicKey, handshakeHash).subarray(0, 16);
}

/** What a lock keeps of a pairing; stored in one write, wiped by a factory reset. */
export interface LockPairingRecord {
  readonly pairingId: Uint8Array;
  readonly root: Uint8Array;
  readonly keyset: HeldKeyset;
  readonly keys: PairingKeys;
  readonly dailyKeys: DailyKeyList["keys"];
}

export interface LockPairingOptions {
  readonly staticPrivateKey: Uint8Array;
  /** What the lock was made with, next to its secret; absent: any root. */
  readonly rootFingerprint?: Uint8Array;
  readonly handshakeHash: Uint8Array;
  /** What dates are judged by: the highest signed time ever seen, or 0. */
  readonly judgedAt: UnixSeconds;
  readonly facts: Pick<PairingStatement, "model" | "firmware" | "hardware" | "bootCount">;
}

/** `commit` -> committed or commitFailed. */
export type LockPairingAction =
  | {
      readonly kind: "commit";
      readonly record: LockPairingRecord;
      /** Where this pairing's log begins to number, if the lock's own log does not stand higher. SPEC Z12. */
      readonly firstSequence: number;
    }
  | { readonly kind: "end" };

/** The lock's end. One machine for one session; a refusal ends it. */
export class LockPairing {
  readonly #options: LockPairingOptions;
  #accepted: Omit<LockPairingRecord, "dailyKeys"> | undefined;
  #phase: "offer" | "hand-over" | "commit" | "ended" = "offer";
  #confirmation: Uint8Array | undefined;
  #messages: Uint8Array[] = [];
  #actions: LockPairingAction[] = [];

  constructor(options: LockPairingOptions) {
    this.#options = options;
  }

  /** Takes one whole message of the session. What is none, or out of turn, is refused. */
  receive(bytes: Uint8Array): void {
    if (this.#phase === "ended") return;
    const read = pairingCourierMessage.decode(bytes);
    if (!read.ok) return this.#refuse("malformed-message");
    if (read.value.kind !== this.#phase) return this.#refuse("unexpected-message");
    if (read.value.kind === "offer") return this.#offer(read.value);
    this.#handOver(read.value.sealed);
  }

  committed(): void {
    assert(this.#phase === "commit" && this.#confirmation !== undefined, "the firmware answers what was asked: commit");
    this.#answer({ kind: "paired", mac: this.#confirmation });
    this.#end();
  }

  commitFailed(): void {
    assert(this.#phase === "commit", "the firmware answers what was asked: commit");
    this.#answer({ kind: "refused", refusal: "storage-failed" });
    this.#end();
  }

  takeMessages(): readonly Uint8Array[] {
    return this.#messages.splice(0);
  }

  takeActions(): readonly LockPairingAction[] {
    return this.#actions.splice(0);
  }

  #offer({ root, keyset: bytes, signature }: Extract<PairingCourierMessage, { kind: "offer" }>): void {
    const { staticPrivateKey, handshakeHash, judgedAt, facts } = this.#options;
    // SPEC Z7: the root that was printed, then its signature, then the end.
    const pinned = this.#options.rootFingerprint;
    if (pinned !== undefined && !equalBytes(pinned, rootFingerprint(root))) return this.#refuse("root-mismatch");
    const accepted = acceptKeyset(root, undefined, { bytes, signature }, judgedAt);
    if (!accepted.ok) return this.#refuse(refusalByFault[accepted.fault.code]);
    const { keyset } = accepted.value;
    const lockPublicKey = x25519PublicKey(staticPrivateKey);
    const pairingId = pairingIdOf(lockPublicKey, keyset.static, handshakeHash);
    const keys = derivePairingKeys(staticPrivateKey, keyset.static, pairingId);
    if (keys === undefined) return this.#refuse("low-order-key");
    this.#accepted = { pairingId, root, keyset: { keyset, bytes }, keys };
    const statement = pairingStatement.encode({ pairingId, lockPublicKey, ...facts, epoch: keyset.epoch });
    this.#answer({ kind: "accept", statement, mac: statementMac(keys.report, statement) });
    this.#phase = "hand-over";
  }

  #handOver(sealed: Uint8Array): void {
    const accepted = this.#accepted;
    assert(accepted !== undefined, "a hand-over follows an accepted offer");
    // SPEC Z9: only the authority of the offered keyset can have sealed this, so it confirms the offer.
    const opened = openSealed("daily-keys", accepted.keys.dailyKeys, dailyKeysHeader(accepted.pairingId, 0), sealed);
    if (!opened.ok) return this.#refuse("seal-does-not-open");
    const read = dailyKeyList.decode(opened.value);
    if (!read.ok) return this.#refuse("malformed-message");
    this.#confirmation = confirmationMac(accepted.keys.report, accepted.pairingId, sealed);
    this.#phase = "commit";
    this.#actions.push({
      kind: "commit",
      record: { ...accepted, dailyKeys: read.value.keys },
      firstSequence: read.value.firstSequence ?? 1,
    });
  }

  #answer(message: PairingLockMessage): void {
    this.#messages.push(pairingLockMessage.encode(message));
  }

  #refuse(refusal: PairingRefusal): void {
    this.#answer({ kind: "refused", refusal });
    // While the firmware stores, its answer is still to come; what was said meanwhile changes nothing.
    if (this.#phase !== "commit") this.#end();
  }

  #end(): void {
    this.#phase = "ended";
    this.#actions.push({ kind: "end" });
  }
}

export type CourierPairingEvent =
  /** To the authority: -> handOver with what it sealed, or end the session. */
  | { readonly kind: "accepted"; readonly statement: Uint8Array; readonly mac: Uint8Array }
  /** To the authority: the pairing stands. */
  | { readonly kind: "paired"; readonly mac: Uint8Array }
  | { readonly kind: "refused"; readonly refusal: PairingRefusal }
  | { readonly kind: "bad-answer" };

/** The courier's end: a gateway or a phone that holds the card. It offers at once. */
export class CourierPairing {
  #phase: "accept" | "authority" | "paired" | "ended" = "accept";
  #messages: Uint8Array[] = [];
  #events: CourierPairingEvent[] = [];

  constructor(root: Uint8Array, keyset: SignedBlob) {
    this.#send({ kind: "offer", root, keyset: keyset.bytes, signature: keyset.signature });
  }

  receive(bytes: Uint8Array): void {
    if (this.#phase === "ended") return;
    const read = pairingLockMessage.decode(bytes);
    if (!read.ok) return this.#end({ kind: "bad-answer" });
    const message = read.value;
    if (message.kind === "refused") return this.#end({ kind: "refused", refusal: message.refusal });
    if (message.kind === "accept" && this.#phase === "accept") {
      this.#phase = "authority";
      this.#events.push({ kind: "accepted", statement: message.statement, mac: message.mac });
      return;
    }
    if (message.kind === "paired" && this.#phase === "paired") return this.#end({ kind: "paired", mac: message.mac });
    this.#end({ kind: "bad-answer" });
  }

  /** Changes nothing if the lock has ended the pairing while the authority was asked. */
  handOver(sealed: Uint8Array): void {
    if (this.#phase === "ended") return;
    assert(this.#phase === "authority", "what the authority sealed is handed over when the lock has accepted");
    this.#phase = "paired";
    this.#send({ kind: "hand-over", sealed });
  }

  takeMessages(): readonly Uint8Array[] {
    return this.#messages.splice(0);
  }

  takeEvents(): readonly CourierPairingEvent[] {
    return this.#events.splice(0);
  }

  #send(message: PairingCourierMessage): void {
    this.#messages.push(pairingCourierMessage.encode(message));
  }

  #end(event: CourierPairingEvent): void {
    this.#phase = "ended";
    this.#events.push(event);
  }
}

export type StatementFault =
  | { readonly code: "malformed-statement" }
  | { readonly code: "low-order-key" }
  /** The lock does not have the private key of the public key it shows, or means another authority. */
  | { readonly code: "statement-bad-mac" };

/**
 * The authority's first step: who accepted, and the keys of the pairing. It stores them as pending before it seals anything.
 * Faults: malformed-statement, low-order-key, statement-bad-mac. Source: SPEC Z9.
 */
export function verifyPairingStatement(
  authorityStaticPrivateKey: Uint8Array,
  bytes: Uint8Array,
  mac: Uint8Array,
): Result<{ readonly statement: PairingStatement; readonly keys: PairingKeys }, StatementFault> {
  const read = pairingStatement.decode(bytes);
  if (!read.ok) return failed({ code: "malformed-statement" });
  const { lockPublicKey, pairingId } = read.value;
  const keys = derivePairingKeys(authorityStaticPrivateKey, lockPublicKey, pairingId);
  if (keys === undefined) return failed({ code: "low-order-key" });
  if (!equalBytes(statementMac(keys.report, bytes), mac)) return failed({ code: "statement-bad-mac" });
  return ok({ statement: read.value, keys });
}

/** Its second step: the door's daily keys, for this lock alone. For one pairing always the same, because a header seals once. */
export function sealDailyKeys(keys: PairingKeys, pairingId: Uint8Array, list: DailyKeyList): Uint8Array {
  return seal("daily-keys", keys.dailyKeys, dailyKeysHeader(pairingId, 0), dailyKeyList.encode(list));
}

/** Its last: whether `paired` is this lock's word about what was handed over. */
export function isPairingConfirmed(
  keys: PairingKeys,
  pairingId: Uint8Array,
  sealed: Uint8Array,
  mac: Uint8Array,
): boolean {
  return equalBytes(confirmationMac(keys.report, pairingId, sealed), mac);
}

function statementMac(reportKey: Uint8Array, statement: Uint8Array): Uint8Array {
  return hmacSha256(reportKey, concatBytes(utf8("doorlink/1/pairing-statement"), zeroByte, statement));
}

function confirmationMac(reportKey: Uint8Array, pairingId: Uint8Array, sealed: Uint8Array): Uint8Array {
  return hmacSha256(reportKey, concatBytes(utf8("doorlink/1/paired"), zeroByte, pairingId, sealed));
}

const zeroByte = Uint8Array.of(0);
const refusalByFault = {
  "bad-signature": "bad-signature",
  "malformed-keyset": "malformed-message",
  "keyset-rollback": "bad-signature",
  "epoch-reused": "bad-signature",
  "keyset-expired": "expired",
} as const satisfies Record<string, PairingRefusal>;
