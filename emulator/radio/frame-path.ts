/**
 * One direction of a link: frames go in, and come out at the pace of connection intervals, in an order and number that
 * the profile allows. Reordering is bounded: a frame is overtaken by at most `reorderDepth` others.
 */
import type { WorldClock } from "../world/clock.ts";
import { type AirProfile, scaledMs } from "./air-profile.ts";

export interface FramePathOptions {
  readonly profile: AirProfile;
  readonly clock: WorldClock;
  /** 0 <= value < 1, seeded by the caller. */
  readonly random: () => number;
  readonly deliver: (frame: Uint8Array) => void;
}

export class FramePath {
  readonly #options: FramePathOptions;
  readonly #queue: { readonly frame: Uint8Array; overtakenBy: number }[] = [];
  #cancelTick: (() => void) | undefined;

  constructor(options: FramePathOptions) {
    this.#options = options;
  }

  /** Takes a frame; beyond the queue limit it is lost in silence, as it would be in a radio's buffers. */
  push(frame: Uint8Array): void {
    const { profile, random } = this.#options;
    if (profile.silentLossShare > 0 && random() < profile.silentLossShare) return;
    const copies = profile.duplicateShare > 0 && random() < profile.duplicateShare ? 2 : 1;
    for (let copy = 0; copy < copies && this.#queue.length < QUEUE_LIMIT_FRAMES; copy++) {
      this.#queue.push({ frame, overtakenBy: 0 });
    }
    this.#schedule();
  }

  /** Delivers what is left, at once and in its order. */
  flush(): void {
    while (this.#queue.length > 0) this.#deliverNext();
    this.drop();
  }

  /** Loses what is left. */
  drop(): void {
    this.#queue.length = 0;
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  #schedule(): void {
    if (this.#cancelTick !== undefined || this.#queue.length === 0) return;
    const { clock, profile } = this.#options;
    this.#cancelTick = clock.after(scaledMs(profile, "connectionIntervalMs"), () => {
      this.#cancelTick = undefined;
      // Bounded by what is queued now: a frame that an answer adds meanwhile waits for the next interval.
      for (let left = Math.min(profile.framesPerInterval, this.#queue.length); left > 0; left--) this.#deliverNext();
      this.#schedule();
    });
  }

  #deliverNext(): void {
    const [taken] = this.#queue.splice(this.#chooseIndex(), 1);
    if (taken !== undefined) this.#options.deliver(taken.frame);
  }

  /** Any of the first depth + 1 frames, unless one of those skipped has been overtaken as often as is allowed. */
  #chooseIndex(): number {
    const { profile, random } = this.#options;
    const depth = profile.reorderDepth;
    if (depth === 0) return 0;
    const due = this.#queue.findIndex(({ overtakenBy }) => overtakenBy >= depth);
    const reach = due >= 0 ? due : Math.min(depth, this.#queue.length - 1);
    const index = Math.floor(random() * (reach + 1));
    for (const skipped of this.#queue.slice(0, index)) skipped.overtakenBy++;
    return index;
  }
}

const QUEUE_LIMIT_FRAMES = 10_000;
