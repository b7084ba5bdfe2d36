/**
 * A lock's end of one visit: the secure session and the sync machine of `protocol/`, joined to the firmware. Fed with frames and
 * time, drained of frames; one object for each connection. When `ended`, the lock closes the link (SPEC L8).
 */
import type { MonotonicMs } from "../../protocol/base/units.ts";
import { Session, type SessionEnd } from "../../protocol/session/session.ts";
import { LockSync } from "../../protocol/sync/lock-sync.ts";
import type { LockFirmware } from "./lock.ts";

/** How a visit ended: in order, or by what the session says. */
export type VisitEnd = "finished" | SessionEnd;

export class LockVisit {
  readonly #firmware: LockFirmware;
  readonly #session: Session;
  readonly #nonce: Uint8Array;
  #sync: LockSync | undefined;
  #reported = false;
  #end: VisitEnd | undefined;

  /** `random` gives fresh bytes: 32 for the session, 16 for the sync's nonce. The firmware must be paired. */
  constructor(firmware: LockFirmware, pairingId: Uint8Array, random: (length: number) => Uint8Array, now: MonotonicMs) {
    this.#firmware = firmware;
    this.#nonce = random(16);
    this.#session = new Session({
      role: "lock",
      staticPrivateKey: firmware.hardware.staticPrivateKey,
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

  /** Undefined while the visit goes on. Frames that are still to be taken go out before the link is closed. */
  get ended(): VisitEnd | undefined {
    return this.#end;
  }

  #pump(now: MonotonicMs): void {
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "established") this.#begin(event.remoteStaticPublicKey);
      else if (event.kind === "message") this.#take(event.bytes, now);
      else this.#end ??= this.#reported && event.reason === "no-progress" ? "finished" : event.reason;
    }
  }

  #begin(courierStaticPublicKey: Uint8Array): void {
    const pairing = this.#firmware.pairing;
    // A lock that was reset while somebody connected has nothing to say to them.
    if (pairing === undefined) return this.#session.close();
    this.#sync = new LockSync(pairing, courierStaticPublicKey, this.#nonce);
  }

  #take(bytes: Uint8Array, now: MonotonicMs): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    sync.receive(bytes, this.#firmware.facts(now), now);
    this.#act(sync, now);
  }

  /** Carries out what the sync asks for; carrying it out may bring the next thing to do. */
  #act(sync: LockSync, now: MonotonicMs): void {
    for (let actions = sync.takeActions(); actions.length > 0; actions = sync.takeActions()) {
      for (const action of actions) {
        this.#firmware.perform(action, sync, now);
        if (action.kind === "end") this.#reported = true;
      }
    }
    for (const message of sync.takeMessages()) this.#session.send(message);
    if (this.#reported) this.#session.finish();
  }
}
