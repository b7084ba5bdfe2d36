/**
 * Which nonces of a direction have been seen: the sliding bitmap of RFC 6479 (SPEC S6).
 *
 * A ring of 32-bit words; the window slides by whole words, so that one write clears what falls out. A nonce older than the
 * window counts as seen. The caller asks first, opens the frame, and marks only what was authentic: a forged nonce must not
 * push the window past the true ones.
 */
import { bitmapBytes } from "./frames.ts";

export class ReplayWindow {
  readonly #words = new Uint32Array(wordCount);
  #highest: number | undefined;

  /** The highest nonce marked so far. */
  get highest(): number | undefined {
    return this.#highest;
  }

  /** Whether the nonce is new: above all, or inside the window and not marked. */
  isFresh(nonce: number): boolean {
    if (this.#highest === undefined || nonce > this.#highest) return true;
    return this.#isInside(nonce, this.#highest) && !this.#isMarked(nonce);
  }

  mark(nonce: number): void {
    const word = Math.floor(nonce / 32);
    const highestWord = this.#highest === undefined ? -1 : Math.floor(this.#highest / 32);
    // Words between the old highest and the new one held bits of long ago; more than a whole ring needs no clearing twice.
    const cleared = Math.min(Math.max(0, word - highestWord), wordCount);
    for (let step = 0; step < cleared; step++) this.#words[(word - step) % wordCount] = 0;
    this.#words[word % wordCount] = ((this.#words[word % wordCount] ?? 0) | (1 << (nonce % 32))) >>> 0;
    if (this.#highest === undefined || nonce > this.#highest) this.#highest = nonce;
  }

  /** The 64 nonces below the highest as an acknowledgement shows them (see `Acknowledgement`). */
  bitmapBelowHighest(): Uint8Array {
    const bitmap = new Uint8Array(bitmapBytes);
    const highest = this.#highest ?? 0;
    for (let bit = 0; bit < bitmapBytes * 8; bit++) {
      const nonce = highest - 1 - bit;
      if (nonce < 0 || !this.#isMarked(nonce)) continue;
      bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
    return bitmap;
  }

  #isInside(nonce: number, highest: number): boolean {
    // The word of the highest nonce is partly future, so one word less than the ring counts (RFC 6479 part 2).
    return Math.floor(highest / 32) - Math.floor(nonce / 32) < wordCount - 1;
  }

  #isMarked(nonce: number): boolean {
    return (((this.#words[Math.floor(nonce / 32) % wordCount] ?? 0) >>> (nonce % 32)) & 1) === 1;
  }
}

/** 2,048 bits: far more than windows and reordering can put between two frames, in 256 bytes of a lock's memory. */
const wordCount = 64;
