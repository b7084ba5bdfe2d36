/**
 * An unpaired lock's end of a connection: the session that its setup code opens, and the pairing inside. It tells nothing to whoever does
 * not have the secret. Fed with frames and time, drained of frames; when `ended`, the lock closes the link. SPEC Z7-Z9.
 */
import type { MonotonicMs } from "../../protocol/base/units.ts";
import { Session, type SessionEnd } from "../../protocol/session/session.ts";
import { LockPairing, pairingPrologue } from "../../protocol/sync/pairing.ts";
import { setupPresharedKey } from "../../protocol/wire/setup-code.ts";
import type { LockFirmware, LockSetup } from "./lock.ts";

export class LockPairingVisit {
  readonly purpose = "pairing";
  readonly #firmware: LockFirmware;
  readonly #setup: LockSetup;
  readonly #session: Session;
  #pairing: LockPairing | undefined;
  #isDone = false;
  #end: "finished" | SessionEnd | undefined;

  /** `random` gives fresh bytes. The firmware must not be paired. */
  constructor(firmware: LockFirmware, setup: LockSetup, random: (length: number) => Uint8Array, now: MonotonicMs) {
    this.#firmware = firmware;
    this.#setup = setup;
    this.#session = new Session({
      role: "lock",
      staticPrivateKey: firmware.staticPrivateKey,
      ephemeralPrivateKey: random(32),
      pairingSecret: setupPresharedKey(setup.secret),
      prologue: pairingPrologue,
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

  takeAppOutcome(): undefined {
    return undefined;
  }

  get ended(): "finished" | SessionEnd | undefined {
    return this.#end;
  }

  #pump(now: MonotonicMs): void {
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "established") this.#pairing = this.#begin(event.handshakeHash);
      else if (event.kind === "message") this.#take(event.bytes, now);
      else this.#end ??= this.#isDone && event.reason === "no-progress" ? "finished" : event.reason;
    }
  }

  #begin(handshakeHash: Uint8Array): LockPairing {
    const { model, firmware, hardware } = this.#firmware.hardware;
    return new LockPairing({
      staticPrivateKey: this.#firmware.staticPrivateKey,
      ...(this.#setup.rootFingerprint === undefined ? {} : { rootFingerprint: this.#setup.rootFingerprint }),
      handshakeHash,
      judgedAt: this.#firmware.judgedAt,
      facts: { model: model.name, firmware, hardware, bootCount: this.#firmware.bootCount },
    });
  }

  #take(bytes: Uint8Array, now: MonotonicMs): void {
    const pairing = this.#pairing;
    if (pairing === undefined) return;
    pairing.receive(bytes);
    for (let actions = pairing.takeActions(); actions.length > 0; actions = pairing.takeActions()) {
      for (const action of actions) {
        if (action.kind === "end") {
          this.#isDone = true;
          continue;
        }
        // Two couriers cannot be in two sessions at once, but the bench can pair while one is.
        if (this.#firmware.paired) pairing.commitFailed();
        else {
          this.#firmware.keepPairing(action.record, action.firstSequence, now);
          pairing.committed();
        }
      }
    }
    for (const message of pairing.takeMessages()) this.#session.send(message);
    if (this.#isDone) this.#session.finish();
  }
}
