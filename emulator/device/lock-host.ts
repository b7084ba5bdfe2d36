/**
 * Puts a lock's firmware on the air and gives it time: the only file that joins the firmware to a radio and to timers.
 * One visit at a time; a second connection is closed at once, because the first would starve (SPEC L8).
 */

import type { Attempt } from "../../protocol/access/attempt.ts";
import type { DeviceId, MonotonicMs, UnixMs } from "../../protocol/base/units.ts";
import type { AirConnection, ConnectionListener, Peripheral } from "../radio/air.ts";
import type { WorldClock } from "../world/clock.ts";
import { CARD_CHALLENGE_BYTES, type Keycard } from "./keycard.ts";
import type { KeypadKey } from "./keypad.ts";
import type { LockFirmware, LockOutcome } from "./lock.ts";
import type { PairingRecord } from "./lock-store.ts";
import { type AppOutcome, LockVisit, type VisitEnd, type VisitPurpose } from "./lock-visit.ts";

export interface LockHostOptions {
  readonly firmware: LockFirmware;
  readonly address: string;
  readonly clock: WorldClock;
  readonly random: (length: number) => Uint8Array;
  /** Something that the page shows has changed. */
  readonly onChange: (device: DeviceId) => void;
  /** An entry was thrown away and nobody waits to hear it: the key by key typist has left. */
  readonly onTimeout: (device: DeviceId, outcome: LockOutcome) => void;
  readonly onVisit: (device: DeviceId, end: VisitEnd, purpose: VisitPurpose) => void;
  /** A phone asked over the air to be let in, and the lock has judged. */
  readonly onApp?: (device: DeviceId, judged: AppOutcome) => void;
}

export class LockHost {
  readonly firmware: LockFirmware;
  readonly #options: LockHostOptions;
  #visit:
    | { readonly visit: LockVisit; readonly connection: AirConnection; readonly startedAt: MonotonicMs }
    | undefined;
  #cancelWake: () => void = () => undefined;
  #outcomes: ((outcome: LockOutcome) => void)[] = [];

  constructor(options: LockHostOptions) {
    this.firmware = options.firmware;
    this.#options = options;
    this.#schedule();
  }

  get peripheral(): Peripheral {
    const { firmware, address, clock } = this.#options;
    return {
      address,
      name: firmware.hardware.device,
      advertisement: () => firmware.advertisement(clock.monotonicMs()),
      onConnection: (connection) => this.#connected(connection),
    };
  }

  get visited(): boolean {
    return this.#visit !== undefined;
  }

  pair(record: PairingRecord, time: UnixMs): void {
    this.firmware.pair(record, time, this.#options.clock.monotonicMs());
    this.#changed();
  }

  /** Presses keys as fast as somebody can; the outcome is that of the entry they end, also when the 5 s rule ends it. */
  press(keys: readonly KeypadKey[]): Promise<LockOutcome> {
    return new Promise((resolve) => {
      this.#outcomes.push(resolve);
      for (const key of keys) this.#tell(this.firmware.press(key, this.#options.clock.monotonicMs()));
      this.#changed();
    });
  }

  /** One key by itself; the outcomes of what it ended, if anything. */
  pressOne(key: KeypadKey): readonly LockOutcome[] {
    const outcomes = this.firmware.press(key, this.#options.clock.monotonicMs());
    this.#changed();
    return outcomes;
  }

  present(attempt: Exclude<Attempt, { kind: "code" }>): LockOutcome {
    const outcome = this.firmware.present(attempt, this.#options.clock.monotonicMs());
    this.#changed();
    return outcome;
  }

  /** A keycard held against the reader. */
  presentCard(card: Keycard): LockOutcome {
    const { clock, random } = this.#options;
    const outcome = this.firmware.readCard(card, random(CARD_CHALLENGE_BYTES), clock.monotonicMs());
    this.#changed();
    return outcome;
  }

  /** A mechanical key in the keyway; undefined where there is none. */
  turnKey(): { readonly sequence?: number } | undefined {
    const turned = this.firmware.turnKey(this.#options.clock.monotonicMs());
    this.#changed();
    return turned;
  }

  /** Somebody inside throws the deadbolt or draws it back; false where there is none. */
  turnDeadbolt(to: "extended" | "retracted"): boolean {
    const { deadbolt } = this.firmware.hardware;
    deadbolt?.turn(to);
    this.#changed();
    return deadbolt !== undefined;
  }

  stop(): void {
    this.#cancelWake();
    this.#visit?.connection.close();
  }

  #connected(connection: AirConnection): ConnectionListener {
    const { firmware, clock, random } = this.#options;
    const pairing = firmware.pairing;
    if (this.#visit !== undefined || pairing === undefined) {
      // Closing inside the connection's own callback would end it before it began.
      clock.after(0, () => connection.close());
      return { frame: () => undefined, ended: () => undefined };
    }
    const startedAt = clock.monotonicMs();
    const visit = new LockVisit(firmware, pairing.pairingId, random, startedAt);
    const current = { visit, connection, startedAt };
    this.#visit = current;
    this.#changed();
    return {
      frame: (bytes) => {
        if (this.#visit !== current) return;
        visit.receive(bytes, clock.monotonicMs());
        this.#pump();
      },
      ended: () => this.#endVisit(visit.ended ?? "no-progress"),
    };
  }

  #pump(): void {
    const current = this.#visit;
    if (current === undefined) return;
    const judged = current.visit.takeAppOutcome();
    if (judged !== undefined) {
      this.#options.onApp?.(this.firmware.hardware.device, judged);
      this.#changed();
    }
    for (const frame of current.visit.takeFrames(this.#options.clock.monotonicMs())) current.connection.notify(frame);
    const end = current.visit.ended;
    if (end === undefined) return this.#schedule();
    current.connection.close();
    this.#endVisit(end);
  }

  #endVisit(end: VisitEnd): void {
    const current = this.#visit;
    if (current === undefined) return;
    this.#visit = undefined;
    const { firmware, clock, onVisit } = this.#options;
    firmware.hardware.battery?.visit(clock.monotonicMs() - current.startedAt);
    onVisit(firmware.hardware.device, end, current.visit.purpose);
    this.#changed();
  }

  #tell(outcomes: readonly LockOutcome[]): void {
    for (const outcome of outcomes) {
      const waiting = this.#outcomes.shift();
      if (waiting === undefined) this.#options.onTimeout(this.firmware.hardware.device, outcome);
      else waiting(outcome);
    }
  }

  #changed(): void {
    this.#schedule();
    this.#options.onChange(this.firmware.hardware.device);
  }

  /** One timer for the keypad, the relock, the session, and the marks that a clock keeps. */
  #schedule(): void {
    const { clock } = this.#options;
    this.#cancelWake();
    const now = clock.monotonicMs();
    const visitDue = this.#visit?.visit.nextWakeMs() ?? Number.POSITIVE_INFINITY;
    const firmwareDue = this.firmware.nextWakeMs() ?? Number.POSITIVE_INFINITY;
    const due = Math.min(visitDue, firmwareDue, now + IDLE_WAKE_MS);
    this.#cancelWake = clock.after(Math.max(MIN_WAKE_MS, due - now), () => this.#wake());
  }

  #wake(): void {
    const now = this.#options.clock.monotonicMs();
    const before = this.firmware.bolt;
    const outcomes = this.firmware.wake(now);
    this.#tell(outcomes);
    this.#visit?.visit.wake(now);
    this.#pump();
    if (outcomes.length > 0 || before !== this.firmware.bolt) this.#changed();
    else this.#schedule();
  }
}

/** An idle lock looks at its clock's marks this often. */
const IDLE_WAKE_MS = 60_000;
/** A timer that fires a fraction early must not spin. */
const MIN_WAKE_MS = 1;
