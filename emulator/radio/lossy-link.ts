/**
 * One direction of an in-memory radio link with a stepped clock: loses, doubles, delays and reorders frames, all from a seed.
 *
 * The model: time is cut into slots of `intervalMs / framesPerEvent`; each slot carries one frame. A frame that waits longer
 * waits in a queue without end, as in front of a real controller. A reordered frame arrives up to `reorderDepth` slots late.
 * A lost frame has used its slot, so the link's capacity at a loss of p is (1 - p) of its slots.
 */
export type LossyLinkOptions = {
  readonly seed: number;
  /** 0..1: the share of frames that never arrive. */
  readonly loss?: number;
  /** 0..1: the share of frames that arrive twice. */
  readonly duplication?: number;
  /** How many places late a frame may arrive. */
  readonly reorderDepth?: number;
  /** Connection interval and the frames that one connection event carries. */
  readonly intervalMs?: number;
  readonly framesPerEvent?: number;
  /** From the slot to the arrival. */
  readonly delayMs?: number;
};

export class LossyLink {
  readonly #options: Required<LossyLinkOptions>;
  readonly #random: () => number;
  readonly #arrivals: { readonly frame: Uint8Array; readonly slot: number; readonly order: number }[] = [];
  /** The first slot that is still free. */
  #freeSlot = 0;
  #count = 0;
  readonly counts = { offered: 0, lost: 0, doubled: 0, bytesOffered: 0, longestFrame: 0 };

  constructor(options: LossyLinkOptions) {
    this.#options = {
      loss: 0,
      duplication: 0,
      reorderDepth: 0,
      intervalMs: 50,
      framesPerEvent: 6,
      delayMs: 0,
      ...options,
    };
    this.#random = seededRandom(options.seed);
  }

  /** Milliseconds that one frame occupies the link. */
  get slotMs(): number {
    return this.#options.intervalMs / this.#options.framesPerEvent;
  }

  /** Hands a frame to the link. */
  push(frame: Uint8Array, nowMs: number): void {
    const { loss, duplication, reorderDepth, framesPerEvent, intervalMs } = this.#options;
    this.counts.offered += 1;
    this.counts.bytesOffered += frame.length;
    this.counts.longestFrame = Math.max(this.counts.longestFrame, frame.length);
    // A frame goes out in the next connection event at the earliest.
    const nextEventSlot = (Math.floor(nowMs / intervalMs) + 1) * framesPerEvent;
    const slot = Math.max(this.#freeSlot, nextEventSlot);
    this.#freeSlot = slot + 1;
    if (this.#random() < loss) {
      this.counts.lost += 1;
      return;
    }
    const copies = this.#random() < duplication ? 2 : 1;
    this.counts.doubled += copies - 1;
    for (let copy = 0; copy < copies; copy++) {
      const late = Math.floor(this.#random() * (reorderDepth + 1));
      this.#count += 1;
      // The copy keeps whoever sent the frame from changing it in the air.
      this.#arrivals.push({ frame: Uint8Array.from(frame), slot: slot + late, order: this.#count });
    }
  }

  /** The frames that have arrived by now, in the order of their arrival. */
  take(nowMs: number): Uint8Array[] {
    const arrived = this.#arrivals.filter((arrival) => this.#arrivalMs(arrival.slot) <= nowMs);
    for (const arrival of arrived) this.#arrivals.splice(this.#arrivals.indexOf(arrival), 1);
    return arrived.sort((left, right) => left.slot - right.slot || left.order - right.order).map(({ frame }) => frame);
  }

  /** When the next frame arrives; undefined when nothing is on its way. */
  nextMs(): number | undefined {
    if (this.#arrivals.length === 0) return undefined;
    return Math.min(...this.#arrivals.map(({ slot }) => this.#arrivalMs(slot)));
  }

  /** The link drops: what is on its way is gone. */
  cut(): void {
    this.#arrivals.length = 0;
  }

  #arrivalMs(slot: number): number {
    return (slot + 1) * this.slotMs + this.#options.delayMs;
  }
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
