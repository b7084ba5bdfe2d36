/**
 * Counts how far frames of one direction come out of their order. The nonce in front of a transport frame rises by one with every
 * frame sent (SPEC S6), so a frame whose nonce is below one already seen was overtaken on its way.
 */
import { parseFrame } from "../../protocol/session/frames.ts";

export interface FrameOrderCount {
  /** Transport frames seen. */
  readonly frames: number;
  /** Frames that came after a younger one. */
  readonly late: number;
  /** The most places that one of them was late by. */
  readonly deepest: number;
}

export class FrameOrder {
  #frames = 0;
  #late = 0;
  #deepest = 0;
  #highest = -1;

  /** A handshake frame begins a new session and with it the nonces; what is no frame is not counted. */
  see(bytes: Uint8Array): void {
    const frame = parseFrame(bytes);
    if (!frame.ok) return;
    if (frame.value.kind === "handshake") {
      this.#highest = -1;
      return;
    }
    this.#frames++;
    const { nonce } = frame.value;
    if (nonce > this.#highest) {
      this.#highest = nonce;
      return;
    }
    this.#late++;
    this.#deepest = Math.max(this.#deepest, this.#highest - nonce);
  }

  get count(): FrameOrderCount {
    return { frames: this.#frames, late: this.#late, deepest: this.#deepest };
  }
}
