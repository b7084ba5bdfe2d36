import { describe, expect, it } from "vitest";
import { frameOverhead } from "../../../protocol/session/frames.ts";
import { sessionLimits } from "../../../protocol/session/limits.ts";
import { SendStream } from "../../../protocol/session/send-stream.ts";

/** A sender whose frames carry ten bytes, so that the piece at offset 10 n is the n-th. */
class Sender {
  readonly stream = new SendStream({ ...sessionLimits, frameBytes: 10 + frameOverhead });
  nowMs = 0;
  #nonce = 0;
  readonly #arrived = new Set<number>();
  readonly pieceByNonce = new Map<number, number>();

  queue(pieces: number): void {
    expect(this.stream.queue(new Uint8Array(pieces * 10))).toBe(true);
  }

  /** Sends what may go out, at most `countMax`; gives the numbers of the pieces. */
  send(countMax = Number.POSITIVE_INFINITY): number[] {
    const pieces: number[] = [];
    while (pieces.length < countMax) {
      const segment = this.stream.send(this.#nonce, this.nowMs);
      if (segment === undefined) break;
      this.pieceByNonce.set(this.#nonce, segment.offset / 10);
      pieces.push(segment.offset / 10);
      this.#nonce += 1;
    }
    return pieces;
  }

  /** The peer has these nonces too and says so. */
  hear(...nonces: readonly number[]): void {
    for (const nonce of nonces) this.#arrived.add(nonce);
    const highest = Math.max(...this.#arrived);
    const bitmap = new Uint8Array(8);
    for (const nonce of this.#arrived) {
      const bit = highest - 1 - nonce;
      if (bit >= 0 && bit < 64) bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
    let contiguous = 0;
    const pieces = new Set([...this.#arrived].map((nonce) => this.pieceByNonce.get(nonce)));
    while (pieces.has(contiguous / 10)) contiguous += 10;
    expect(this.stream.acknowledge(contiguous, { highest, bitmap }, this.#nonce, this.nowMs).ok).toBe(true);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** A sender that has sent 100 pieces, 20 in each 100 ms, of which those in `lost` did not arrive; `left` more are queued. */
function afterTransfer(lost: readonly number[], left: number): Sender {
  const sender = new Sender();
  sender.queue(100 + left);
  for (let sent = 0; sent < 100; sent += 20) {
    const before = sent;
    expect(sender.send(20)).toEqual(range(before, before + 20));
    sender.nowMs += 100;
    sender.hear(...range(before, before + 20).filter((nonce) => !lost.includes(nonce)));
  }
  return sender;
}

describe("repairs", () => {
  it("[S12] bytes lost n times are kept on their way n times while something new is left", () => {
    const sender = afterTransfer([85], 100);
    // Lost once: once in the air, then what is new.
    expect(sender.send(20)).toEqual([85, ...range(100, 119)]);
    sender.nowMs += 100;
    sender.hear(...range(101, 120));
    // Lost twice: twice, the second after everything that is not in the air at all.
    expect(sender.send(4)).toEqual([85, 85, 119, 120]);
  });

  it("[S12] when nothing new is left, what was lost goes once more than it was lost", () => {
    const sender = afterTransfer([85], 0);
    expect(sender.send()).toEqual([85, 85]);
  });
});

describe("the end of a transfer", () => {
  it("[S12] on a link that lost more than one frame in 128 the last bytes go twice, the last first, no more than the link holds", () => {
    const sender = afterTransfer([82, 85], 10);
    const sent = sender.send();
    // Repairs, what is new, the repairs once more, and then copies of what was never lost.
    expect(sent.slice(0, 14)).toEqual([82, 85, ...range(100, 110), 82, 85]);
    const copies = sent.slice(14);
    expect(copies).toEqual(range(110 - copies.length, 110).reverse());
    // 20 frames in 100 ms is what this link holds, and two of them were lost.
    expect(sent.length).toBeGreaterThanOrEqual(18);
    expect(sent.length).toBeLessThanOrEqual(20);
  });

  it("[S12] on a sound link nothing goes out twice", () => {
    expect(afterTransfer([], 10).send()).toEqual(range(100, 110));
  });

  it("[S12] a frame that was only late makes no lossy link", () => {
    const sender = afterTransfer([85], 10);
    sender.hear(85);
    expect(sender.send()).toEqual(range(100, 110));
  });

  it("[S12] what a probe sends again is no loss: nothing goes twice for it", () => {
    const sender = new Sender();
    sender.queue(4);
    expect(sender.send()).toEqual(range(0, 4));
    sender.nowMs = sender.stream.nextWakeMs() ?? Number.NaN;
    sender.stream.wake(sender.nowMs);
    expect(sender.send()).toEqual([0, 1]);
    sender.hear(0, 1, 2, 3, 4, 5);
    expect(sender.stream.isAllAcknowledged).toBe(true);
    sender.queue(3);
    expect(sender.send()).toEqual([4, 5, 6]);
  });
});

describe("probes", () => {
  it("[S12] with nothing back, two pieces go again with growing pauses of at most 1 s", () => {
    const sender = new Sender();
    sender.queue(5);
    sender.send();
    const pauses: number[] = [];
    for (let probe = 0; probe < 5; probe++) {
      const dueMs = sender.stream.nextWakeMs() ?? Number.NaN;
      pauses.push(dueMs - sender.nowMs);
      sender.nowMs = dueMs;
      sender.stream.wake(dueMs);
      expect(sender.send()).toHaveLength(2);
    }
    expect(pauses[0]).toBe(500);
    expect(pauses.slice(1)).toEqual([1_000, 1_000, 1_000, 1_000]);
  });

  it("[S12] a few frames are asked for after two round trips and the peer's pause, however much round trips spread", () => {
    const sender = new Sender();
    sender.stream.learnRoundTrip(100);
    sender.queue(2);
    sender.send();
    expect(sender.stream.nextWakeMs()).toBe(100 + 100 + sessionLimits.acknowledgeDelayMs);
  });
});
