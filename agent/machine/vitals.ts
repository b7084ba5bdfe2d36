/**
 * Whether the parts of the agent that must go round do: store, broker, and the state machine of the link upstream. Each is asked for a
 * beat, and each has a deadline; the event loop itself answers by asking. A part that is still thinking about the last question is not
 * asked again. That a link is down, a radio off or a broker refused is a state and no matter of life: `http/readiness.ts`. SPEC G31.
 */
import { withDeadline } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";

export const vitalParts = ["store", "broker", "upstream"] as const;
export type VitalPart = (typeof vitalParts)[number];

/** Fulfilled when the part goes round; rejected, or never settled, when it does not. */
export type Beat = () => Promise<void>;

export interface Vital {
  readonly part: VitalPart;
  readonly beats: boolean;
  /** Why it does not; null while it does. */
  readonly why: string | null;
}

export class Vitals {
  readonly #beats: Readonly<Record<VitalPart, Beat>>;
  readonly #clock: Clock;
  readonly #limitMs: number;
  /** What each part was asked and has not answered yet. */
  readonly #askedByPart = new Map<VitalPart, Promise<void>>();

  constructor(options: {
    readonly beats: Readonly<Record<VitalPart, Beat>>;
    readonly clock: Clock;
    readonly limitMs: number;
  }) {
    this.#beats = options.beats;
    this.#clock = options.clock;
    this.#limitMs = options.limitMs;
  }

  /** Asks all of them; fulfilled within the limit, and never rejected. */
  check(): Promise<readonly Vital[]> {
    return Promise.all(vitalParts.map((part) => this.#check(part)));
  }

  async #check(part: VitalPart): Promise<Vital> {
    const limit = { timers: this.#clock, limitMs: this.#limitMs };
    const expired = (): Error => new Error(`no beat within ${this.#limitMs} ms`);
    try {
      await withDeadline(this.#ask(part), { ...limit, expired });
      return { part, beats: true, why: null };
    } catch (error) {
      return { part, beats: false, why: error instanceof Error ? error.message : String(error) };
    }
  }

  #ask(part: VitalPart): Promise<void> {
    const asked = this.#askedByPart.get(part);
    if (asked !== undefined) return asked;
    const answer = this.#beats[part]();
    this.#askedByPart.set(part, answer);
    const settled = (): void => {
      this.#askedByPart.delete(part);
    };
    answer.then(settled, settled);
    return answer;
  }
}
