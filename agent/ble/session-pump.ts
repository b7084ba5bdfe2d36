/**
 * Keeps one secure session moving: its events go up, what they led to comes down as frames, and its own next wake is the only timer.
 * Everything that could have moved something calls `pump`.
 */
import type { Session, SessionEvent } from "../../protocol/session/session.ts";
import type { Clock } from "../ports/clock.ts";

export interface SessionPumpOptions {
  readonly session: Session;
  readonly clock: Clock;
  readonly onEvent: (event: SessionEvent) => void;
  /** After the events and before the frames: whatever they led to is put into the session here. */
  readonly drain: () => void;
  readonly send: (frame: Uint8Array) => void;
}

export class SessionPump {
  readonly #options: SessionPumpOptions;
  #cancelWake: () => void = () => undefined;
  #isStopped = false;

  constructor(options: SessionPumpOptions) {
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
    this.#cancelWake();
    const wakeAt = session.nextWakeMs();
    if (wakeAt === undefined || this.#isStopped) return;
    this.#cancelWake = clock.after(Math.max(0, wakeAt - now), () => {
      session.wake(clock.monotonicMs());
      this.pump();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelWake();
  }
}
