/**
 * The lock's end of a door sync: fed with the courier's messages, drained of answers and of actions for the firmware. What is
 * taken of a signed thing, `lock-judgement.ts` says; here is what comes when.
 *
 * Theory of operation. The courier greets with its certificate; only then does the lock tell what it holds. After that each
 * request stands alone and is checked in the order the SPEC gives: signature, pairing, order, dates. Time comes first, so
 * that dates are judged by a right clock. A manifest is verified whole before a byte of its bundle is taken; pages are
 * checked one by one and handed to the firmware to stage; the seal is opened, the delta applied to what is held, and the
 * root compared before the firmware is asked to commit, in one write. Until then the lock decides by the policy it has. The
 * machine never calls back: what the firmware must do comes out as an action, and what came of it is fed in.
 *
 * Source: SPEC Y1-Y9, Y15; PROTOCOL parts 3-5.
 */
import type { LockPolicy } from "../access/policy.ts";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import type { MonotonicMs, UnixMs, UnixSeconds } from "../base/units.ts";
import { sha256 } from "../crypto.ts";
import { AUDIT_BATCH_ENTRIES, auditBatch, entriesOfBatch, sealAuditBatch } from "../wire/sealing.ts";
import { lockReport, type PolicyManifest, type SignedBlob } from "../wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type LockMessage,
  lockMessage,
  type Refusal,
} from "../wire/sync-message.ts";
import { macReport, type PairingKeys } from "./authority.ts";
import type { HeldKeyset } from "./keyset.ts";
import { judgedAt, type LockClock, readClock, takeTime } from "./lock-clock.ts";
import {
  isNextPage,
  judgeGreeting,
  judgeKeyset,
  judgeManifest,
  judgeRelease,
  judgeTime,
  type KnownAuthority,
  openBundle,
  wholePages,
} from "./lock-judgement.ts";

/** What a lock keeps of its pairing. The keyset alone changes: a later epoch under the same root. */
export interface LockPairing {
  readonly pairingId: Uint8Array;
  /** Ed25519 public key of the offline root. */
  readonly root: Uint8Array;
  readonly keyset: HeldKeyset;
  readonly keys: PairingKeys;
}

/** What the firmware knows at this moment; given with every message, so that the machine holds no stale copy. */
export interface LockFacts {
  readonly model: string;
  readonly firmware: string;
  readonly hardware: string;
  readonly bootCount: number;
  readonly uptimeSeconds: number;
  readonly policy: { readonly epoch: number; readonly version: number; readonly root: Uint8Array };
  /** The policy itself, which a delta stands on; absent while there is none. */
  readonly heldPolicy?: LockPolicy;
  /** A bundle begun in an earlier session: whole pages only, in order from the first. */
  readonly staged?: { readonly manifestHash: Uint8Array; readonly bytes: Uint8Array };
  /** `first`: the oldest entry that is neither released nor lost, `next` when there is none; `headBefore`: the chain head before it. */
  readonly log: {
    readonly first: number;
    readonly next: number;
    readonly headBefore: Uint8Array;
    readonly chainHead: Uint8Array;
  };
  /** The clock, and the moment of the lock's own counter by which it runs. */
  readonly clock: { readonly state: LockClock; readonly now: MonotonicMs };
  readonly battery: { readonly millivolts: number; readonly percent: number };
}

/** What the firmware must do. `keep-keyset`, `commit`, `read-log` and `free-log` wait for the method named after them. */
export type LockAction =
  /** Puts the clock into this state; `written` is false where only marks and source changed. */
  | {
      readonly kind: "set-clock";
      readonly clock: LockClock;
      readonly oldUnixMs?: UnixMs;
      readonly newUnixMs: UnixMs;
      readonly written: boolean;
      /** Whether the authority itself says so; a delegate's word proves no day to be over. */
      readonly signedBy: "authority" | "site";
    }
  /** -> keysetKept or keysetNotKept. */
  | { readonly kind: "keep-keyset"; readonly keyset: HeldKeyset }
  | { readonly kind: "begin-staging"; readonly manifestHash: Uint8Array }
  | { readonly kind: "stage"; readonly offset: number; readonly bytes: Uint8Array }
  /** `bundle` is the new policy as it is encoded. -> commitDone or commitFailed. */
  | {
      readonly kind: "commit";
      readonly epoch: number;
      readonly version: number;
      readonly root: Uint8Array;
      readonly bundle: Uint8Array;
    }
  /** -> logRead. */
  | { readonly kind: "read-log"; readonly from: number; readonly limitEntries: number }
  /** -> logFreed; the firmware compares the chain head with its own at `through`. */
  | { readonly kind: "free-log"; readonly through: number; readonly chainHead: Uint8Array }
  | { readonly kind: "end" };

type Waiting = "keep-keyset" | "commit" | "read-log" | "free-log";
type Request = CourierMessage["kind"];

export class LockSync {
  #pairing: LockPairing;
  readonly #courierStaticPublicKey: Uint8Array;
  readonly #nonce: Uint8Array;
  #greetedAt: MonotonicMs | undefined;
  #strangerTries = 0;
  #isNonceUsed = false;
  #transfer: { manifest: PolicyManifest; pages: Uint8Array[]; received: number } | undefined;
  #offeredKeyset: HeldKeyset | undefined;
  #commitRequest: "manifest" | "page" = "manifest";
  #waiting: Waiting | undefined;
  #ended = false;
  #messages: Uint8Array[] = [];
  #actions: LockAction[] = [];

  /** `courierStaticPublicKey` is the one that the session proved; `nonce` is 16 fresh random bytes of this lock. */
  constructor(pairing: LockPairing, courierStaticPublicKey: Uint8Array, nonce: Uint8Array) {
    assert(nonce.length === 16, "the lock's nonce is 16 bytes");
    this.#pairing = pairing;
    this.#courierStaticPublicKey = courierStaticPublicKey;
    this.#nonce = nonce;
  }

  /** Takes one whole message of the session. Anything that is not one, or comes out of turn, is answered with a refusal. */
  receive(bytes: Uint8Array, facts: LockFacts, now: MonotonicMs): void {
    if (this.#ended) return;
    const read = courierMessage.decode(bytes);
    if (!read.ok) return this.#refuse("greet", "malformed-message");
    const message = read.value;
    // SPEC Y15: a keyset is its root's word, whoever brings it, and a courier of its epoch is known only when it has come.
    const isInTurn = message.kind === "keyset" || (message.kind === "greet") === (this.#greetedAt === undefined);
    if (this.#waiting !== undefined || !isInTurn) return this.#refuse(message.kind, "unexpected-message");
    switch (message.kind) {
      case "greet":
        return this.#greet({ bytes: message.certificate, signature: message.signature }, facts, now);
      case "keyset":
        return this.#keyset({ bytes: message.keyset, signature: message.signature }, facts);
      case "time":
        return this.#time(message, facts, now);
      case "manifest":
        return this.#manifest({ bytes: message.manifest, signature: message.signature }, message.bundle, facts);
      case "page":
        return this.#page(message.offset, message.bytes, facts);
      case "release":
        return this.#release({ bytes: message.release, signature: message.signature });
      case "read-log":
        return this.#wait("read-log", { kind: "read-log", from: message.from, limitEntries: AUDIT_BATCH_ENTRIES });
      case "finish":
        return this.#finish(facts);
      case "app-greet":
      case "access-request":
        // SPEC Y14: who was greeted as a courier only carries; being let in is for apps.
        return this.#refuse(message.kind, "not-an-app");
    }
  }

  keysetKept(): void {
    this.#continue("keep-keyset");
    const keyset = this.#offeredKeyset;
    assert(keyset !== undefined, "a keyset was offered");
    this.#offeredKeyset = undefined;
    this.#pairing = { ...this.#pairing, keyset };
    // SPEC Z3: what keys of an older epoch began must not end under this one.
    this.#transfer = undefined;
    this.#answer({ kind: "keyset-held", epoch: keyset.keyset.epoch });
  }

  keysetNotKept(): void {
    this.#continue("keep-keyset");
    this.#offeredKeyset = undefined;
    this.#refuse("keyset", "storage-failed");
  }

  commitDone({ epoch, version }: { readonly epoch: number; readonly version: number }): void {
    this.#continue("commit");
    this.#answer({ kind: "committed", epoch, version });
  }

  commitFailed(): void {
    this.#continue("commit");
    this.#refuse(this.#commitRequest, "storage-failed");
  }

  /** `entries` are the bytes of the entries from `from` on, at most as many as were asked for; `next` the sequence that the log will give next. */
  logRead(from: number, entries: readonly Uint8Array[], next: number): void {
    this.#continue("read-log");
    const { keys, pairingId } = this.#pairing;
    // SPEC X10: as many as fit into one batch; the courier asks for the rest.
    const batch = sealAuditBatch(keys.audit, pairingId, from, entries.slice(0, entriesOfBatch(entries)));
    this.#answer({ kind: "log", batch: auditBatch.encode(batch), next });
  }

  logFreed(outcome: { readonly through: number } | { readonly refusal: "chain-mismatch" | "storage-failed" }): void {
    this.#continue("free-log");
    if ("refusal" in outcome) this.#refuse("release", outcome.refusal);
    else this.#answer({ kind: "released", through: outcome.through });
  }

  /** A courier was accepted; false at the end of a visit says that somebody without a good certificate was left. */
  get isGreeted(): boolean {
    return this.#greetedAt !== undefined;
  }

  takeMessages(): readonly Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  takeActions(): readonly LockAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #greet(blob: SignedBlob, facts: LockFacts, now: MonotonicMs): void {
    const greeting = judgeGreeting(this.#authority(), this.#courierStaticPublicKey, blob, judged(facts));
    if (!greeting.ok) return this.#refuse("greet", greeting.fault.code);
    this.#greetedAt = now;
    this.#answer(hello(facts, this.#pairing, this.#nonce));
  }

  #keyset(blob: SignedBlob, facts: LockFacts): void {
    const { root, keyset: held } = this.#pairing;
    const accepted = judgeKeyset(root, held, blob, judged(facts));
    if (!accepted.ok) return this.#refuse("keyset", accepted.fault.code);
    const { keyset, bytes, isNew } = accepted.value;
    if (!isNew) {
      this.#answer({ kind: "keyset-held", epoch: keyset.epoch });
      // SPEC Y2: whoever has ever carried it has the lock's own keyset, and may be nobody's courier any more.
      return this.#countStranger();
    }
    this.#offeredKeyset = { keyset, bytes };
    this.#wait("keep-keyset", { kind: "keep-keyset", keyset: { keyset, bytes } });
  }

  #time(message: Extract<CourierMessage, { kind: "time" }>, facts: LockFacts, now: MonotonicMs): void {
    const offered = judgeTime(this.#authority(), this.#isNonceUsed ? undefined : this.#nonce, message);
    if (!offered.ok) return this.#refuse("time", offered.fault.code);
    // SPEC Y4: once, whatever the clock makes of it.
    this.#isNonceUsed = true;
    const roundTripMs = now - (this.#greetedAt ?? now);
    const taken = takeTime(facts.clock.state, { ...offered.value, roundTripMs }, facts.clock.now);
    if (!taken.ok) return this.#refuse("time", taken.fault.code);
    const { clock, oldUnixMs, newUnixMs, written } = taken.value;
    const oldPart = oldUnixMs === undefined ? {} : { oldUnixMs };
    const { source: signedBy } = offered.value;
    this.#actions.push({ kind: "set-clock", clock, ...oldPart, newUnixMs, written, signedBy });
    this.#answer({ kind: "time-handled", ...oldPart, newUnixMs, written });
  }

  #manifest(blob: SignedBlob, riding: Uint8Array | undefined, facts: LockFacts): void {
    // SPEC Y6: the last pages of an older manifest, kept back until this one is committed, would roll it back.
    this.#transfer = undefined;
    const accepted = judgeManifest(this.#authority(), facts.policy, blob, riding, judged(facts));
    if (!accepted.ok) return this.#refuse("manifest", accepted.fault.code);
    const manifest = accepted.value;
    if (riding !== undefined) return this.#complete("manifest", manifest, riding, facts);
    const manifestHash = sha256(blob.bytes);
    const { staged } = facts;
    const resumed = staged !== undefined && equalBytes(staged.manifestHash, manifestHash) ? staged.bytes : undefined;
    const bytes = resumed === undefined ? new Uint8Array(0) : wholePages(resumed, manifest);
    this.#transfer = { manifest, pages: [bytes], received: bytes.length };
    if (resumed === undefined) this.#actions.push({ kind: "begin-staging", manifestHash });
    this.#answer({ kind: "send-pages", offset: bytes.length });
    if (bytes.length === manifest.length) this.#completeTransfer(facts);
  }

  #page(offset: number, bytes: Uint8Array, facts: LockFacts): void {
    const transfer = this.#transfer;
    // Pages follow each other without answers: those behind a refused one are still on their way, and fall silent here.
    if (transfer === undefined) return;
    if (!isNextPage(transfer.manifest, transfer.received, offset, bytes)) {
      this.#transfer = undefined;
      return this.#refuse("page", "page-mismatch");
    }
    this.#actions.push({ kind: "stage", offset, bytes });
    transfer.pages.push(bytes);
    transfer.received += bytes.length;
    if (transfer.received === transfer.manifest.length) this.#completeTransfer(facts);
  }

  #completeTransfer(facts: LockFacts): void {
    const transfer = this.#transfer;
    assert(transfer !== undefined, "a completed transfer exists");
    this.#transfer = undefined;
    this.#complete("page", transfer.manifest, concatBytes(...transfer.pages), facts);
  }

  /** What came of a whole bundle is committed, or nothing is. */
  #complete(request: "manifest" | "page", manifest: PolicyManifest, sealed: Uint8Array, facts: LockFacts): void {
    const opened = openBundle(this.#pairing.keys.bundle, manifest, sealed, facts.heldPolicy);
    if (!opened.ok) return this.#refuse(request, opened.fault.code);
    const { epoch, to: version, root } = manifest;
    this.#commitRequest = request;
    this.#wait("commit", { kind: "commit", epoch, version, root, bundle: opened.value });
  }

  #release(blob: SignedBlob): void {
    const release = judgeRelease(this.#authority(), blob);
    if (!release.ok) return this.#refuse("release", release.fault.code);
    const { through, chainHead } = release.value;
    this.#wait("free-log", { kind: "free-log", through, chainHead });
  }

  #finish(facts: LockFacts): void {
    const report = lockReport.encode({
      pairingId: this.#pairing.pairingId,
      ...facts.policy,
      bootCount: facts.bootCount,
      ...clockFields(facts),
      logNext: facts.log.next,
      chainHead: facts.log.chainHead,
      nonce: this.#nonce,
      logFirst: facts.log.first,
      headBefore: facts.log.headBefore,
      keysetEpoch: this.#pairing.keyset.keyset.epoch,
    });
    this.#answer({ kind: "report", report, mac: macReport(this.#pairing.keys.report, report) });
    this.#ended = true;
    this.#actions.push({ kind: "end" });
  }

  /** Whose word counts now: the keyset may be another than when the session began. */
  #authority(): KnownAuthority {
    const { pairingId, keyset } = this.#pairing;
    return { pairingId, keyset: keyset.keyset };
  }

  #wait(waiting: Waiting, action: LockAction): void {
    this.#waiting = waiting;
    this.#actions.push(action);
  }

  #continue(expected: Waiting): void {
    assert(this.#waiting === expected, `the firmware answers what was asked: ${expected}`);
    this.#waiting = undefined;
  }

  #answer(message: LockMessage): void {
    this.#messages.push(lockMessage.encode(message));
  }

  #refuse(request: Request, refusal: Refusal): void {
    this.#answer({ kind: "refused", request, refusal });
    this.#countStranger();
  }

  /** SPEC Y2: somebody without a certificate must not hold the lock's only link with one greeting or keyset after the other. */
  #countStranger(): void {
    if (this.#greetedAt !== undefined) return;
    this.#strangerTries += 1;
    if (this.#strangerTries < STRANGER_TRIES_LIMIT) return;
    this.#ended = true;
    this.#actions.push({ kind: "end" });
  }
}

function judged({ clock }: LockFacts): UnixSeconds {
  return judgedAt(clock.state, clock.now);
}

function clockFields({ clock: { state, now } }: LockFacts) {
  const shown = readClock(state, now);
  const { quality: clock, source } = state;
  return {
    clock,
    ...(shown === undefined ? {} : { unixMs: shown }),
    ...(source === undefined ? {} : { clockSource: source }),
  };
}

function hello(facts: LockFacts, { pairingId, keyset }: LockPairing, nonce: Uint8Array): LockMessage {
  return {
    kind: "hello",
    pairingId,
    model: facts.model,
    firmware: facts.firmware,
    hardware: facts.hardware,
    bootCount: facts.bootCount,
    ...facts.policy,
    ...(facts.staged === undefined ? {} : { stagedManifest: facts.staged.manifestHash }),
    stagedBytes: facts.staged === undefined ? 0 : facts.staged.bytes.length,
    logFirst: facts.log.first,
    logNext: facts.log.next,
    ...clockFields(facts),
    uptimeSeconds: facts.uptimeSeconds,
    batteryMillivolts: facts.battery.millivolts,
    batteryPercent: facts.battery.percent,
    nonce,
    keysetEpoch: keyset.keyset.epoch,
  };
}

/** Refusals and keysets that the lock has already. A courier of a new epoch needs one refusal; a few more cost nothing. */
const STRANGER_TRIES_LIMIT = 4;
