/**
 * Keeps a phone's secure session moving: its events go up, what they led to comes down as frames, and its own next wake is the only timer.
 * The gateway has a pump of its own; the two rooms share no code but the protocol's.
 */
import type { Session, SessionEvent } from "../../protocol/session/session.ts";
import type { WorldClock } from "../world/clock.ts";

export interface PhonePumpOptions {
  readonly session: Session;
  readonly clock: WorldClock;
  readonly onEvent: (event: SessionEvent) => void;
  /** After the events and before the frames: whatever they led to is put into the session here. */
  readonly drain: () => void;
  readonly send: (frame: Uint8Array) => void;
}

export class PhonePump {
  readonly #options: PhonePumpOptions;
  #cancelWake: () => void = () => undefined;
  #isStopped = false;

  constructor(options: PhonePumpOptions) {
    this.#options = options;
  }

  receive(frame: Uint8Array): void {
    const { session, clock } = this.#options;
    session.receive(frame, clock.monotonicMs());
    this.pump();
  }

  pump(): void {
    if (this.#isStopped) return;
    const { session, clock, onEvent, drain, send } = this.#options;
    const now = clock.monotonicMs();
    let events = session.takeEvents();
    // Taking frames may end a session that has stood still, and nothing else would tell that.
    do {
      for (const event of events) onEvent(event);
      drain();
      for (const frame of session.takeFrames(now)) send(frame);
      events = session.takeEvents();
    } while (events.length > 0 && !this.#isStopped);
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelWake();
  }

  #schedule(): void {
    const { session, clock } = this.#options;
    this.#cancelWake();
    const due = session.nextWakeMs();
    if (due === undefined || this.#isStopped) return;
    this.#cancelWake = clock.after(Math.max(MIN_WAKE_MS, due - clock.monotonicMs()), () => {
      session.wake(clock.monotonicMs());
      this.pump();
    });
  }
}

/** A timer that fires a fraction early must not spin. */
const MIN_WAKE_MS = 1;
