/**
 * What a sender learns of its link from what comes back: how much the link holds, how long it takes to answer, whether it loses
 * frames. SPEC S12.
 */
import type { SessionLimits } from "./limits.ts";

/** How many frames had been delivered when one was sent, and when the last of them was. */
export type DeliveryStamp = { readonly deliveredBefore: number; readonly deliveredBeforeMs: number };

/**
 * How many frames should be on their way: enough for a link that takes many in one connection event, few enough that a slow
 * one has no long queue in front of its radio, where a repaired frame would wait (the idea of BBR, RFC draft
 * ietf-ccwg-bbr: the best delivery rate seen times the shortest round trip seen is what the link itself holds).
 */
export class DeliveryRate {
  readonly #limits: SessionLimits;
  #delivered = 0;
  #lost = 0;
  #deliveredMs = 0;
  #framesPerMs = 0;
  #shortestMs = Number.POSITIVE_INFINITY;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  countDelivered(): void {
    this.#delivered += 1;
  }

  /** A sending was taken for lost. */
  countLost(): void {
    this.#lost += 1;
  }

  /** A sending that was taken for lost has come after all. */
  countLate(): void {
    this.#lost -= 1;
  }

  stamp(nowMs: number, isIdle: boolean): DeliveryStamp {
    // After a pause the rate is counted from now: the pause was ours, not the link's.
    if (isIdle) this.#deliveredMs = nowMs;
    return { deliveredBefore: this.#delivered, deliveredBeforeMs: this.#deliveredMs };
  }

  learn(newest: DeliveryStamp & { readonly sentMs: number }, nowMs: number): void {
    this.#shortestMs = Math.min(this.#shortestMs, nowMs - newest.sentMs);
    const elapsedMs = nowMs - newest.deliveredBeforeMs;
    if (elapsedMs > 0) {
      const framesPerMs = (this.#delivered - newest.deliveredBefore) / elapsedMs;
      // A link that slows down is believed slowly: one late answer says little.
      this.#framesPerMs = Math.max(framesPerMs, this.#framesPerMs * 0.98);
    }
    this.#deliveredMs = nowMs;
  }

  windowFrames(): number {
    const { windowFramesFirst, windowFrames, windowFramesMax, acknowledgeEvery } = this.#limits;
    // The first answers speak of the first frames alone; a window made of them would leave a fast link idle.
    if (this.#delivered < windowFramesFirst) return windowFramesFirst;
    // Twice, because answers come in bursts, one for each connection event.
    const wanted = Math.ceil(2 * this.#framesPerMs * this.#shortestMs) + acknowledgeEvery;
    return Math.min(Math.max(wanted, windowFrames), windowFramesMax);
  }

  /** How many frames fill the link without a queue before it: what follows them waits for nothing of ours. */
  heldFrames(): number {
    if (this.#framesPerMs === 0) return 0;
    return Math.max(Math.ceil(this.#framesPerMs * this.#shortestMs), this.#limits.heldFramesMin);
  }

  /** Whether more than one frame in `soundLinkFrames` is lost. */
  get isLossy(): boolean {
    return this.#lost * this.#limits.soundLinkFrames > this.#delivered;
  }
}

/** The smoothed round trip and its spread (RFC 6298). */
export class RoundTrip {
  readonly #limits: SessionLimits;
  #smoothedMs: number | undefined;
  #spreadMs = 0;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  learn(ms: number): void {
    if (this.#smoothedMs === undefined) {
      this.#smoothedMs = ms;
      this.#spreadMs = ms / 2;
      return;
    }
    this.#spreadMs += (Math.abs(ms - this.#smoothedMs) - this.#spreadMs) / 4;
    this.#smoothedMs += (ms - this.#smoothedMs) / 8;
  }

  /** How long to wait for any answer before a probe, with so many frames in the air. */
  probeMs(framesInAir: number): number {
    if (this.#smoothedMs === undefined) return this.#limits.probeMs;
    const spreadMs = Math.max(4 * this.#spreadMs, leastSpreadMs);
    // A few frames stand in no queue, and on a radio link a question too early presses nobody: another round trip is enough.
    const isFew = framesInAir <= this.#limits.heldFramesMin;
    const waitMs = isFew ? Math.min(spreadMs, Math.max(this.#smoothedMs, leastSpreadMs)) : spreadMs;
    return Math.min(this.#smoothedMs + waitMs + this.#limits.acknowledgeDelayMs, this.#limits.probeMaxMs);
  }

  /** How long a frame may stay out after a later one has arrived. */
  overtakenMs(): number {
    return 2 * (this.#smoothedMs ?? this.#limits.probeMs) + leastSpreadMs;
  }
}

/** A timer of a busy machine is not exact, and a connection interval makes every answer wait for the next event. */
const leastSpreadMs = 20;
