/**
 * One direction's bytes on their way out: what waits, what is in the air, what was lost, what has arrived.
 *
 * Theory of operation: bytes are cut into segments when they go out first. Every sending of a segment takes a fresh nonce, and
 * acknowledgements speak of nonces, so each of them tells exactly which sending arrived. A sending is lost when more than
 * `reorderFrames` later ones have arrived, or when a later one has and two round trips have passed. When nothing at all comes
 * back, a probe timer sends the two oldest again, with growing pauses. A sending that turns out to have arrived after all
 * teaches how far frames overtake each other on this link.
 *
 * A repair that is lost costs another round trip, while the receiver's window fills behind the gap, or the end of a transfer
 * waits for it on an idle link. So bytes that were lost twice go out twice, and when nothing new is left every repair does. On a link
 * that loses a tenth of its frames this is one frame in forty, and the end comes a round trip earlier.
 */
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type Acknowledgement, frameOverhead, noncesInBitmap } from "./frames.ts";
import { reorderFramesMax, type SessionLimits } from "./limits.ts";

export type Segment = { readonly offset: number; readonly bytes: Uint8Array; readonly isRepeated: boolean };

/** An authenticated peer acknowledged what was never sent. */
export type AcknowledgeFault =
  | { readonly code: "offset-never-sent"; readonly offset: number; readonly end: number }
  | { readonly code: "nonce-never-sent"; readonly nonce: number };

export class SendStream {
  readonly #limits: SessionLimits;
  readonly #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  /** The offset behind the last byte that went out at least once. */
  #sentEnd = 0;
  #contiguous = 0;
  #acknowledgedBytes = 0;
  /** By nonce, in the order of sending. */
  readonly #inFlight = new Map<number, Sending>();
  /** Sorted by offset. */
  #lost: Sending[] = [];
  /** Sendings taken for lost whose acknowledgement may still come, by nonce. */
  readonly #givenUp = new Map<number, Sending>();
  /** Sendings in the air whose place a copy took, by nonce: whichever arrives first counts. */
  readonly #copied = new Map<number, Sending>();
  #highestArrived = -1;
  #reorderFrames: number;
  readonly #roundTrip: RoundTrip;
  readonly #delivery: DeliveryRate;
  /** The last moment at which something went out or came back: the probe timer counts from it. */
  #probeFromMs = 0;
  #probes = 0;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
    this.#reorderFrames = limits.reorderFrames;
    this.#roundTrip = new RoundTrip(limits);
    this.#delivery = new DeliveryRate(limits);
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  /** All bytes ever queued. */
  get end(): number {
    return this.#sentEnd + this.#unsentBytes;
  }

  get isAllAcknowledged(): boolean {
    return this.#unsentBytes === 0 && this.#inFlight.size === 0 && this.#lost.length === 0;
  }

  /** Appends bytes to the stream; false when the queue or the stream's 31 bits have no room for them. */
  queue(bytes: Uint8Array): boolean {
    if (this.#unsentBytes + bytes.length > this.#limits.queuedBytes) return false;
    if (this.end + bytes.length > this.#limits.streamBytes) return false;
    if (bytes.length > 0) this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    return true;
  }

  /** A round trip that was measured elsewhere, as in the handshake. */
  learnRoundTrip(ms: number): void {
    this.#roundTrip.learn(ms);
  }

  /** The segment that may go out now under `nonce`, if any: first what was lost, then copies of repairs, then what is new. */
  send(nonce: number, nowMs: number): Segment | undefined {
    if (this.#inFlight.size >= this.#delivery.windowFrames()) return undefined;
    const repeated = this.#lost.shift() ?? this.#takeCopy();
    const sending = repeated ?? this.#cutNew();
    if (sending === undefined) return undefined;
    const stamp = this.#delivery.stamp(nowMs, this.#inFlight.size === 0);
    this.#inFlight.set(nonce, { ...sending, ...stamp, nonce, sentMs: nowMs });
    this.#probeFromMs = nowMs;
    return { offset: sending.offset, bytes: sending.bytes, isRepeated: repeated !== undefined };
  }

  /** Takes an acknowledgement; gives how many bytes it newly acknowledged. An old one that comes late is harmless. */
  acknowledge(
    contiguous: number,
    { highest, bitmap }: Acknowledgement,
    nextNonce: number,
    nowMs: number,
  ): Result<number, AcknowledgeFault> {
    if (contiguous > this.#sentEnd) {
      return failed({ code: "offset-never-sent", offset: contiguous, end: this.#sentEnd });
    }
    if (highest !== undefined && highest >= nextNonce) return failed({ code: "nonce-never-sent", nonce: highest });
    const before = this.#acknowledgedBytes;
    let newest: Sending | undefined;
    if (highest !== undefined) {
      newest = this.#inFlight.get(highest);
      this.#highestArrived = Math.max(this.#highestArrived, highest);
      for (const nonce of [highest, ...(bitmap === undefined ? [] : noncesInBitmap(highest, bitmap))]) {
        this.#arrived(nonce);
      }
    }
    this.#contiguous = Math.max(this.#contiguous, contiguous);
    for (const sending of [...this.#inFlight.values(), ...this.#lost]) {
      if (sending.offset + sending.bytes.length <= this.#contiguous) this.#forget(sending);
    }
    if (newest !== undefined) {
      this.#roundTrip.learn(nowMs - newest.sentMs);
      this.#delivery.learn(newest, nowMs);
    }
    if (this.#acknowledgedBytes > before) {
      this.#probes = 0;
      this.#probeFromMs = nowMs;
    }
    this.#giveUpOvertaken(nowMs);
    return ok(this.#acknowledgedBytes - before);
  }

  /** When `wake` has something to do, if nothing arrives before. */
  nextWakeMs(): number | undefined {
    const oldest = this.#oldestOvertaken();
    if (oldest !== undefined) return Math.min(oldest.sentMs + this.#roundTrip.overtakenMs(), this.#probeAtMs());
    return this.#inFlight.size === 0 ? undefined : this.#probeAtMs();
  }

  wake(nowMs: number): void {
    this.#giveUpOvertaken(nowMs);
    if (this.#inFlight.size === 0 || nowMs < this.#probeAtMs()) return;
    this.#probes += 1;
    this.#probeFromMs = nowMs;
    // A probe is a question, not a loss: what it sends again is sent once.
    for (const sending of [...this.#inFlight.values()].slice(0, probeFrames)) this.#giveUp(sending, 0);
  }

  #probeAtMs(): number {
    return this.#probeFromMs + Math.min(this.#roundTrip.probeMs() * 2 ** this.#probes, this.#limits.probeMaxMs);
  }

  /** The oldest sending in the air that a later one has overtaken. */
  #oldestOvertaken(): Sending | undefined {
    const oldest = this.#inFlight.values().next().value;
    return oldest !== undefined && oldest.nonce < this.#highestArrived ? oldest : undefined;
  }

  /** A repair in the air that is to go out once more: copies in all one less than its losses, and one more when nothing new is left. */
  #takeCopy(): Sending | undefined {
    const tail = this.#unsentBytes === 0 ? 1 : 0;
    for (const sending of this.#inFlight.values()) {
      if (sending.losses === 0 || sending.copies >= sending.losses - 1 + tail) continue;
      this.#inFlight.delete(sending.nonce);
      this.#copied.set(sending.nonce, sending);
      return { ...sending, copies: sending.copies + 1 };
    }
    return undefined;
  }

  #cutNew(): Sending | undefined {
    const room = this.#contiguous + this.#limits.windowBytes - this.#sentEnd;
    const length = Math.min(this.#limits.frameBytes - frameOverhead, this.#unsentBytes, room);
    if (length <= 0) return undefined;
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const first = this.#unsent[0];
      assert(first !== undefined, "unsent bytes are counted right");
      const taken = first.subarray(0, length - filled);
      bytes.set(taken, filled);
      filled += taken.length;
      if (taken.length === first.length) this.#unsent.shift();
      else this.#unsent[0] = first.subarray(taken.length);
    }
    const never = { nonce: -1, sentMs: 0, losses: 0, copies: 0, deliveredBefore: 0, deliveredBeforeMs: 0 };
    const sending = { offset: this.#sentEnd, bytes, ...never };
    this.#sentEnd += length;
    this.#unsentBytes -= length;
    return sending;
  }

  #arrived(nonce: number): void {
    const sending = this.#inFlight.get(nonce);
    if (sending !== undefined) return this.#forget(sending);
    const copied = this.#copied.get(nonce);
    if (copied !== undefined) {
      this.#copied.delete(nonce);
      return this.#forgetOffset(copied.offset);
    }
    const givenUp = this.#givenUp.get(nonce);
    if (givenUp === undefined) return;
    // It was late, not lost: frames on this link overtake each other by more than we thought.
    const distance = this.#highestArrived - nonce;
    this.#reorderFrames = Math.min(Math.max(this.#reorderFrames, distance), reorderFramesMax);
    this.#givenUp.delete(nonce);
    this.#forgetOffset(givenUp.offset);
  }

  /** Of each offset at most one sending is in the air or lost; those whose place it took only wait for their acknowledgement. */
  #forgetOffset(arrived: number): void {
    const again = [...this.#inFlight.values(), ...this.#lost].find(({ offset }) => offset === arrived);
    if (again !== undefined) this.#forget(again);
  }

  /** The bytes have arrived: no sending of them is of interest any more. */
  #forget(sending: Sending): void {
    this.#inFlight.delete(sending.nonce);
    this.#delivery.count();
    this.#lost = this.#lost.filter(({ offset }) => offset !== sending.offset);
    this.#acknowledgedBytes += sending.bytes.length;
  }

  #giveUpOvertaken(nowMs: number): void {
    const overtakenMs = this.#roundTrip.overtakenMs();
    for (const sending of this.#inFlight.values()) {
      const distance = this.#highestArrived - sending.nonce;
      if (distance <= 0) break;
      // The very sum that `nextWakeMs` gave: a difference could round to just below it, and the wake-up would do nothing.
      if (distance > this.#reorderFrames || nowMs >= sending.sentMs + overtakenMs) this.#giveUp(sending, 1);
    }
    for (const waiting of [this.#givenUp, this.#copied]) {
      for (const nonce of waiting.keys()) if (nonce < this.#highestArrived - nonceMemory) waiting.delete(nonce);
    }
  }

  #giveUp(sending: Sending, losses: 0 | 1): void {
    this.#inFlight.delete(sending.nonce);
    this.#givenUp.set(sending.nonce, sending);
    this.#lost.push({ ...sending, losses: sending.losses + losses, copies: 0 });
    this.#lost.sort((left, right) => left.offset - right.offset);
  }
}

type Sending = {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly nonce: number;
  readonly sentMs: number;
  /** How often these bytes were taken for lost, and how often they went out again since then before anything was known. */
  readonly losses: number;
  readonly copies: number;
} & DeliveryStamp;

/** How many frames had been delivered when one was sent, and when the last of them was. */
type DeliveryStamp = { readonly deliveredBefore: number; readonly deliveredBeforeMs: number };

/**
 * How many frames should be on their way: enough for a link that takes many in one connection event, few enough that a slow
 * one has no long queue in front of its radio, where a repaired frame would wait (the idea of BBR, RFC draft
 * ietf-ccwg-bbr: the best delivery rate seen times the shortest round trip seen is what the link itself holds).
 */
class DeliveryRate {
  readonly #limits: SessionLimits;
  #delivered = 0;
  #deliveredMs = 0;
  #framesPerMs = 0;
  #shortestMs = Number.POSITIVE_INFINITY;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  count(): void {
    this.#delivered += 1;
  }

  stamp(nowMs: number, isIdle: boolean): DeliveryStamp {
    // After a pause the rate is counted from now: the pause was ours, not the link's.
    if (isIdle) this.#deliveredMs = nowMs;
    return { deliveredBefore: this.#delivered, deliveredBeforeMs: this.#deliveredMs };
  }

  learn(newest: Sending, nowMs: number): void {
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
    if (this.#framesPerMs === 0) return windowFramesFirst;
    // Twice, because answers come in bursts, one for each connection event.
    const wanted = Math.ceil(2 * this.#framesPerMs * this.#shortestMs) + acknowledgeEvery;
    return Math.min(Math.max(wanted, windowFrames), windowFramesMax);
  }
}

/** The smoothed round trip and its spread (RFC 6298). */
class RoundTrip {
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

  /** How long to wait for any answer before a probe. */
  probeMs(): number {
    if (this.#smoothedMs === undefined) return this.#limits.probeMs;
    const spreadMs = Math.max(4 * this.#spreadMs, leastSpreadMs);
    return Math.min(this.#smoothedMs + spreadMs + this.#limits.acknowledgeDelayMs, this.#limits.probeMaxMs);
  }

  /** How long a frame may stay out after a later one has arrived. */
  overtakenMs(): number {
    return 2 * (this.#smoothedMs ?? this.#limits.probeMs) + leastSpreadMs;
  }
}

/** Two, so that one lost probe does not cost another pause. */
const probeFrames = 2;
/** A timer of a busy machine is not exact, and a connection interval makes every answer wait for the next event. */
const leastSpreadMs = 20;
/** The nonces that an acknowledgement can speak of below its highest. */
const nonceMemory = 64;
