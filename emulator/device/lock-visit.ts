/**
 * A lock's end of one visit: the secure session and the machines of `protocol/`, joined to the firmware. A courier syncs, a phone
 * asks to be let in; the first message says which. Fed with frames and time, drained of frames; one object for each connection.
 * When `ended`, the lock closes the link (SPEC L8).
 */
import type { MonotonicMs } from "../../protocol/base/units.ts";
import { Session, type SessionEnd } from "../../protocol/session/session.ts";
import { isAppGreeting, LockAccess, type ProvenPeer } from "../../protocol/sync/lock-access.ts";
import { type LockPairing, LockSync } from "../../protocol/sync/lock-sync.ts";
import type { LockFirmware, LockOutcome } from "./lock.ts";

/** How a visit ended: in order, because nobody was let in to it, or by what the session says. */
export type VisitEnd = "finished" | "refused" | SessionEnd;

/** What the other end came for; unknown until its first message. */
export type VisitPurpose = "sync" | "access" | "pairing" | "unknown";

/** An app key that was judged in this visit. */
export interface AppOutcome {
  readonly credential: string;
  readonly outcome: LockOutcome;
}

export class LockVisit {
  readonly #firmware: LockFirmware;
  readonly #session: Session;
  /** Fresh for this visit: the nonce of its time answer, or the challenge to its phone. */
  readonly #nonce: Uint8Array;
  #proven: { readonly pairing: LockPairing; readonly peer: ProvenPeer } | undefined;
  #machine: LockSync | LockAccess | undefined;
  #appOutcome: AppOutcome | undefined;
  #done = false;
  #end: VisitEnd | undefined;

  /** `random` gives fresh bytes: 32 for the session, 16 for the visit's nonce. The firmware must be paired. */
  constructor(firmware: LockFirmware, pairingId: Uint8Array, random: (length: number) => Uint8Array, now: MonotonicMs) {
    this.#firmware = firmware;
    this.#nonce = random(16);
    this.#session = new Session({
      role: "lock",
      staticPrivateKey: firmware.staticPrivateKey,
      ephemeralPrivateKey: random(32),
      prologue: pairingId,
      nowMs: now,
    });
  }

  receive(frame: Uint8Array, now: MonotonicMs): void {
    this.#session.receive(frame, now);
    this.#pump(now);
  }

  wake(now: MonotonicMs): void {
    this.#session.wake(now);
    this.#pump(now);
  }

  nextWakeMs(): MonotonicMs | undefined {
    return this.#session.nextWakeMs();
  }

  takeFrames(now: MonotonicMs): readonly Uint8Array[] {
    return this.#session.takeFrames(now);
  }

  /** Once, as soon as an app key was judged. */
  takeAppOutcome(): AppOutcome | undefined {
    const outcome = this.#appOutcome;
    this.#appOutcome = undefined;
    return outcome;
  }

  /** Undefined while the visit goes on. Frames that are still to be taken go out before the link is closed. */
  get ended(): VisitEnd | undefined {
    return this.#end;
  }

  get purpose(): VisitPurpose {
    if (this.#machine === undefined) return "unknown";
    return this.#machine instanceof LockAccess ? "access" : "sync";
  }

  #pump(now: MonotonicMs): void {
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "established") this.#begin(event.remoteStaticPublicKey, event.handshakeHash);
      else if (event.kind === "message") this.#take(event.bytes, now);
      else this.#end ??= this.#endOf(event.reason);
    }
  }

  #endOf(reason: SessionEnd): VisitEnd {
    if (!this.#done || (reason !== "no-progress" && reason !== "finished")) return reason;
    return this.#machine instanceof LockSync && !this.#machine.isGreeted ? "refused" : "finished";
  }

  #begin(staticPublicKey: Uint8Array, handshakeHash: Uint8Array): void {
    const pairing = this.#firmware.pairing;
    // A lock that was reset while somebody connected has nothing to say to them.
    if (pairing === undefined) return this.#session.close();
    this.#proven = { pairing, peer: { staticPublicKey, handshakeHash } };
  }

  #take(bytes: Uint8Array, now: MonotonicMs): void {
    if (this.#proven === undefined) return;
    const { pairing, peer } = this.#proven;
    this.#machine ??= isAppGreeting(bytes)
      ? new LockAccess(pairing, peer, this.#nonce)
      : new LockSync(pairing, peer.staticPublicKey, this.#nonce);
    if (this.#machine instanceof LockAccess) this.#takeFromPhone(this.#machine, bytes, now);
    else this.#takeFromCourier(this.#machine, bytes, now);
    for (const message of this.#machine.takeMessages()) this.#session.send(message);
    if (this.#done) this.#session.finish();
  }

  /** Carries out what the sync asks for; carrying it out may bring the next thing to do. */
  #takeFromCourier(sync: LockSync, bytes: Uint8Array, now: MonotonicMs): void {
    sync.receive(bytes, this.#firmware.facts(now), now);
    for (let actions = sync.takeActions(); actions.length > 0; actions = sync.takeActions()) {
      for (const action of actions) {
        this.#firmware.perform(action, sync, now);
        if (action.kind === "end") this.#done = true;
      }
    }
  }

  #takeFromPhone(access: LockAccess, bytes: Uint8Array, now: MonotonicMs): void {
    access.receive(bytes);
    for (let actions = access.takeActions(); actions.length > 0; actions = access.takeActions()) {
      for (const action of actions) {
        if (action.kind === "end") this.#done = true;
        else {
          const outcome = this.#firmware.present(action.attempt, now);
          this.#appOutcome = { credential: action.attempt.credentialId, outcome };
          access.judged(outcome);
        }
      }
    }
  }
}
