/**
 * The lock's end of a door sync: fed with the courier's messages, drained of answers and of actions for the firmware.
 *
 * Theory of operation. The courier greets with its certificate; only then does the lock tell what it holds. After that each
 * request stands alone and is checked in the order the SPEC gives: signature, pairing, order, dates. Time comes first, so
 * that dates are judged by a right clock. A manifest is verified whole before a byte of its bundle is taken; pages are
 * checked one by one and handed to the firmware to stage; the policy is decoded and its root compared before the firmware
 * is asked to commit, in one write. Until then the lock decides by the policy it has. The machine never calls back: what
 * the firmware must do comes out as an action, and what came of it is fed in.
 *
 * Source: SPEC Y1-Y9; PROTOCOL parts 3-5.
 */
import { comparePolicyOrder, decodePolicy } from "../access/policy.ts";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import { type MonotonicMs, type UnixMs, type UnixSeconds, unixMs } from "../base/units.ts";
import { sha256, verifyTyped } from "../crypto.ts";
import {
  courierCertificate,
  lockReport,
  logRelease,
  PAGE_BYTES,
  type PolicyManifest,
  policyManifest,
  type SignedBlob,
  signedTypes,
  timeAnswer,
} from "../wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  LOG_ANSWER_ENTRIES,
  type LockMessage,
  lockMessage,
  type Refusal,
} from "../wire/sync-message.ts";
import { type AuthorityPublicKeys, macReport, pageHash } from "./authority.ts";

/** A clock answer is written only when the lock is further off than this. PROTOCOL part 5. */
export const DRIFT_TOLERANCE_MS = 2_000;
/** Longer round trips make the midpoint worthless; they are refused. PROTOCOL part 5. */
export const ROUND_TRIP_LIMIT_MS = 2_000;

/** What a lock pinned when it was paired. */
export interface LockPairing {
  readonly pairingId: Uint8Array;
  readonly authority: AuthorityPublicKeys;
  readonly reportKey: Uint8Array;
}

/** What the firmware knows at this moment; given with every message, so that the machine holds no stale copy. */
export interface LockFacts {
  readonly model: string;
  readonly firmware: string;
  readonly hardware: string;
  readonly bootCount: number;
  readonly uptimeSeconds: number;
  readonly policy: { readonly epoch: number; readonly version: number; readonly root: Uint8Array };
  /** A bundle begun in an earlier session: whole pages only, in order from the first. */
  readonly staged?: { readonly manifestHash: Uint8Array; readonly bytes: Uint8Array };
  /** `first`: the oldest entry that is neither released nor lost, `next` when there is none; `headBefore`: the chain head before it. */
  readonly log: {
    readonly first: number;
    readonly next: number;
    readonly headBefore: Uint8Array;
    readonly chainHead: Uint8Array;
  };
  readonly clock: {
    readonly quality: "set" | "lower-bound" | "unset";
    /** What the clock shows; absent when unset. */
    readonly unixMs?: UnixMs;
    /** The highest signed time ever seen: dates are judged by it unless the clock is set. */
    readonly floor: UnixSeconds;
  };
  readonly battery: { readonly millivolts: number; readonly percent: number };
}

/** What the firmware must do. `commit`, `read-log` and `free-log` wait for the method named after them. */
export type LockAction =
  | { readonly kind: "set-clock"; readonly oldUnixMs?: UnixMs; readonly newUnixMs: UnixMs; readonly written: boolean }
  | { readonly kind: "begin-staging"; readonly manifestHash: Uint8Array }
  | { readonly kind: "stage"; readonly offset: number; readonly bytes: Uint8Array }
  /** -> commitDone or commitFailed. */
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

type Waiting = "commit" | "read-log" | "free-log";
type Request = CourierMessage["kind"];

export class LockSync {
  readonly #pairing: LockPairing;
  readonly #courierStaticPublicKey: Uint8Array;
  readonly #nonce: Uint8Array;
  #greetedAt: MonotonicMs | undefined;
  #nonceUsed = false;
  #transfer: { manifest: PolicyManifest; pages: Uint8Array[]; received: number } | undefined;
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
    const outOfTurn = this.#waiting !== undefined || (message.kind === "greet") !== (this.#greetedAt === undefined);
    if (outOfTurn) return this.#refuse(message.kind, "unexpected-message");
    switch (message.kind) {
      case "greet":
        return this.#greet({ bytes: message.certificate, signature: message.signature }, facts, now);
      case "time":
        return this.#time({ bytes: message.answer, signature: message.signature }, facts, now);
      case "manifest":
        return this.#manifest({ bytes: message.manifest, signature: message.signature }, facts);
      case "page":
        return this.#page(message.offset, message.bytes);
      case "release":
        return this.#release({ bytes: message.release, signature: message.signature });
      case "read-log":
        return this.#wait("read-log", { kind: "read-log", from: message.from, limitEntries: LOG_ANSWER_ENTRIES });
      case "finish":
        return this.#finish(facts);
      case "app-greet":
      case "access-request":
        // SPEC Y14: who was greeted as a courier only carries; being let in is for apps.
        return this.#refuse(message.kind, "not-an-app");
    }
  }

  commitDone(policy: LockFacts["policy"]): void {
    this.#continue("commit");
    this.#transfer = undefined;
    this.#answer({ kind: "committed", ...policy });
  }

  commitFailed(): void {
    this.#continue("commit");
    this.#transfer = undefined;
    this.#refuse("page", "storage-failed");
  }

  /** `entries` are the bytes of the entries from `from` on, `next` the sequence that the log will give next. */
  logRead(from: number, entries: readonly Uint8Array[], next: number): void {
    this.#continue("read-log");
    this.#answer({ kind: "log", from, entries, next });
  }

  logFreed(outcome: { readonly through: number } | { readonly refusal: "chain-mismatch" | "storage-failed" }): void {
    this.#continue("free-log");
    if ("refusal" in outcome) this.#refuse("release", outcome.refusal);
    else this.#answer({ kind: "released", through: outcome.through });
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
    // SPEC Y3: signature, then holder's key, then role, then locks, then date.
    const { pairingId, authority } = this.#pairing;
    if (!verifyTyped(authority.courier, signedTypes.courier, blob.bytes, blob.signature)) {
      return this.#refuse("greet", "bad-signature");
    }
    const read = courierCertificate.decode(blob.bytes);
    if (!read.ok) return this.#refuse("greet", "malformed-message");
    const certificate = read.value;
    if (!equalBytes(certificate.staticPublicKey, this.#courierStaticPublicKey))
      return this.#refuse("greet", "wrong-key");
    if (certificate.role !== "courier") return this.#refuse("greet", "not-a-courier");
    const covers = certificate.locks.length === 0 || certificate.locks.some((lock) => equalBytes(lock, pairingId));
    if (!covers) return this.#refuse("greet", "wrong-pairing");
    if (judgedSeconds(facts) > certificate.notAfter) return this.#refuse("greet", "expired");
    this.#greetedAt = now;
    this.#answer(hello(facts, pairingId, this.#nonce));
  }

  #time(blob: SignedBlob, facts: LockFacts, now: MonotonicMs): void {
    // SPEC Y4: signature, pairing, nonce (once), round trip; then the midpoint, written only beyond the tolerance.
    if (!verifyTyped(this.#pairing.authority.time, signedTypes.time, blob.bytes, blob.signature)) {
      return this.#refuse("time", "bad-signature");
    }
    const read = timeAnswer.decode(blob.bytes);
    if (!read.ok) return this.#refuse("time", "malformed-message");
    if (!equalBytes(read.value.pairingId, this.#pairing.pairingId)) return this.#refuse("time", "wrong-pairing");
    if (this.#nonceUsed || !equalBytes(read.value.nonce, this.#nonce)) return this.#refuse("time", "stale-nonce");
    this.#nonceUsed = true;
    const roundTripMs = now - (this.#greetedAt ?? now);
    if (roundTripMs > ROUND_TRIP_LIMIT_MS) return this.#refuse("time", "round-trip-too-long");
    const newUnixMs = unixMs(read.value.unixMs + Math.round(roundTripMs / 2));
    const old = facts.clock.unixMs;
    const written =
      facts.clock.quality !== "set" || old === undefined || Math.abs(newUnixMs - old) > DRIFT_TOLERANCE_MS;
    const oldPart = old === undefined ? {} : { oldUnixMs: old };
    this.#actions.push({ kind: "set-clock", ...oldPart, newUnixMs, written });
    this.#answer({ kind: "time-handled", ...oldPart, newUnixMs, written });
  }

  #manifest(blob: SignedBlob, facts: LockFacts): void {
    // SPEC Y5: signature, pairing, order, date, base; nothing is written before all of them hold.
    if (!verifyTyped(this.#pairing.authority.policy, signedTypes.policy, blob.bytes, blob.signature)) {
      return this.#refuse("manifest", "bad-signature");
    }
    const read = policyManifest.decode(blob.bytes);
    if (!read.ok) return this.#refuse("manifest", "malformed-message");
    const manifest = read.value;
    if (manifest.pageHashes.length !== Math.ceil(manifest.length / PAGE_BYTES) || manifest.length === 0) {
      return this.#refuse("manifest", "malformed-message");
    }
    if (!equalBytes(manifest.pairingId, this.#pairing.pairingId)) return this.#refuse("manifest", "wrong-pairing");
    const offered = { epoch: manifest.epoch, version: manifest.to };
    if (comparePolicyOrder(offered, facts.policy) <= 0) return this.#refuse("manifest", "rollback");
    if (judgedSeconds(facts) > manifest.notAfter) return this.#refuse("manifest", "expired");
    // A delta would need what it stands on; a snapshot stands on what every lock has: nothing.
    if (manifest.from !== 0) return this.#refuse("manifest", "unknown-base");
    const manifestHash = sha256(blob.bytes);
    const resumes = facts.staged !== undefined && equalBytes(facts.staged.manifestHash, manifestHash);
    const bytes = resumes && facts.staged !== undefined ? wholePages(facts.staged.bytes, manifest) : new Uint8Array(0);
    this.#transfer = { manifest, pages: bytes.length === 0 ? [] : [bytes], received: bytes.length };
    if (!resumes) this.#actions.push({ kind: "begin-staging", manifestHash });
    this.#answer({ kind: "send-pages", offset: bytes.length });
    if (bytes.length === manifest.length) this.#complete();
  }

  #page(offset: number, bytes: Uint8Array): void {
    const transfer = this.#transfer;
    // Pages follow each other without answers: those behind a refused one are still on their way, and fall silent here.
    if (transfer === undefined) return;
    const { manifest, received } = transfer;
    const expectedLength = Math.min(PAGE_BYTES, manifest.length - received);
    const expectedHash = manifest.pageHashes[received / PAGE_BYTES];
    const fits = offset === received && bytes.length === expectedLength && expectedHash !== undefined;
    if (!fits || !equalBytes(pageHash(bytes), expectedHash)) {
      this.#transfer = undefined;
      return this.#refuse("page", "page-mismatch");
    }
    this.#actions.push({ kind: "stage", offset, bytes });
    transfer.pages.push(bytes);
    transfer.received += bytes.length;
    if (transfer.received === manifest.length) this.#complete();
  }

  #complete(): void {
    const transfer = this.#transfer;
    assert(transfer !== undefined, "a completed transfer exists");
    const { manifest, pages } = transfer;
    const bundle = concatBytes(...pages);
    if (!equalBytes(sha256(bundle), manifest.root)) {
      this.#transfer = undefined;
      return this.#refuse("page", "root-mismatch");
    }
    if (!decodePolicy(bundle).ok) {
      this.#transfer = undefined;
      return this.#refuse("page", "bad-policy");
    }
    const { epoch, to: version, root } = manifest;
    this.#wait("commit", { kind: "commit", epoch, version, root, bundle });
  }

  #release(blob: SignedBlob): void {
    if (!verifyTyped(this.#pairing.authority.release, signedTypes.release, blob.bytes, blob.signature)) {
      return this.#refuse("release", "bad-signature");
    }
    const read = logRelease.decode(blob.bytes);
    if (!read.ok) return this.#refuse("release", "malformed-message");
    if (!equalBytes(read.value.pairingId, this.#pairing.pairingId)) return this.#refuse("release", "wrong-pairing");
    const { through, chainHead } = read.value;
    this.#wait("free-log", { kind: "free-log", through, chainHead });
  }

  #finish(facts: LockFacts): void {
    const report = lockReport.encode({
      pairingId: this.#pairing.pairingId,
      ...facts.policy,
      bootCount: facts.bootCount,
      clock: facts.clock.quality,
      ...(facts.clock.unixMs === undefined ? {} : { unixMs: facts.clock.unixMs }),
      logNext: facts.log.next,
      chainHead: facts.log.chainHead,
      nonce: this.#nonce,
      logFirst: facts.log.first,
      headBefore: facts.log.headBefore,
    });
    this.#answer({ kind: "report", report, mac: macReport(this.#pairing.reportKey, report) });
    this.#ended = true;
    this.#actions.push({ kind: "end" });
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
  }
}

/** The time by which dates are judged: the clock when it is set, else the highest signed time ever seen. SPEC Y8. */
function judgedSeconds(facts: LockFacts): number {
  const { quality, unixMs: shown, floor } = facts.clock;
  return quality === "set" && shown !== undefined ? shown / 1000 : floor;
}

/** The staged bytes as far as they are whole pages that the manifest confirms; flash may have rotted since. */
function wholePages(staged: Uint8Array, manifest: PolicyManifest): Uint8Array {
  let kept = 0;
  for (const expected of manifest.pageHashes) {
    const end = Math.min(kept + PAGE_BYTES, manifest.length);
    if (staged.length < end || !equalBytes(pageHash(staged.subarray(kept, end)), expected)) break;
    kept = end;
  }
  return staged.subarray(0, kept);
}

function hello(facts: LockFacts, pairingId: Uint8Array, nonce: Uint8Array): LockMessage {
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
    clock: facts.clock.quality,
    ...(facts.clock.unixMs === undefined ? {} : { unixMs: facts.clock.unixMs }),
    uptimeSeconds: facts.uptimeSeconds,
    batteryMillivolts: facts.battery.millivolts,
    batteryPercent: facts.battery.percent,
    nonce,
  };
}
