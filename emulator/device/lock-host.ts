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
import type { BenchGrant, LockFirmware, LockOutcome } from "./lock.ts";
import { LockPairingVisit } from "./lock-pairing-visit.ts";
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
    | {
        readonly visit: LockVisit | LockPairingVisit;
        readonly connection: AirConnection;
        readonly startedAt: MonotonicMs;
      }
    | undefined;
  #cancelWake: () => void = () => undefined;
  #outcomes: ((outcome: LockOutcome) => void)[] = [];
  /** As `onChange` last found the keypad: that it goes dark by itself is news too. */
  #toldAsleep: boolean;

  constructor(options: LockHostOptions) {
    this.firmware = options.firmware;
    this.#options = options;
    this.#toldAsleep = this.keypadAsleep;
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

  pair(grant: BenchGrant, time: UnixMs): void {
    this.firmware.pair(grant, time, this.#options.clock.monotonicMs());
    this.#changed();
  }

  /** The reset button inside the lock, held long enough; whoever is connected is cut off. */
  factoryReset(): void {
    const { clock, random } = this.#options;
    this.#visit?.connection.close();
    this.#endVisit("no-progress");
    this.firmware.factoryReset(random(32), clock.monotonicMs());
    this.#changed();
  }

  /** As somebody before the lock sees it. */
  get keypadAsleep(): boolean {
    return this.firmware.isKeypadAsleep(this.#options.clock.monotonicMs());
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
    const { clock } = this.#options;
    const visit = this.#visit === undefined ? this.#newVisit() : undefined;
    if (visit === undefined) {
      // Closing inside the connection's own callback would end it before it began.
      clock.after(0, () => connection.close());
      return { frame: () => undefined, ended: () => undefined };
    }
    const startedAt = clock.monotonicMs();
    const current = { visit, connection, startedAt };
    this.#visit = current;
    this.#changed();
    return {
      frame: (bytes) => {
        if (this.#visit !== current) return;
        visit.receive(bytes, clock.monotonicMs());
        this.#pump();
      },
      ended: () => {
        // A radio tells late that a link which the lock closed is down; the next visit may have begun by then.
        if (this.#visit === current) this.#endVisit(visit.ended ?? "no-progress");
      },
    };
  }

  /** For a paired lock a courier's or a phone's; for one that was never paired, or reset, whoever holds its setup code. */
  #newVisit(): LockVisit | LockPairingVisit | undefined {
    const { firmware, clock, random } = this.#options;
    const now = clock.monotonicMs();
    const { pairing } = firmware;
    if (pairing !== undefined) return new LockVisit(firmware, pairing.pairingId, random, now);
    const { setup } = firmware.hardware;
    return setup === undefined ? undefined : new LockPairingVisit(firmware, setup, random, now);
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
    this.#toldAsleep = this.keypadAsleep;
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
    const wentDark = this.keypadAsleep !== this.#toldAsleep;
    if (outcomes.length > 0 || before !== this.firmware.bolt || wentDark) this.#changed();
    else this.#schedule();
  }
}

/** An idle lock looks at its clock's marks this often. */
const IDLE_WAKE_MS = 60_000;
/** A timer that fires a fraction early must not spin. */
const MIN_WAKE_MS = 1;
