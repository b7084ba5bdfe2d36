/**
 * One direction's bytes on their way out: what waits, what is in the air, what was lost, what has arrived.
 *
 * Theory of operation: bytes are cut into pieces when they go out first. Every sending of a piece takes a fresh nonce, and
 * acknowledgements speak of nonces, so each of them tells exactly which sending arrived. A sending is lost when more than
 * `reorderFrames` later ones have arrived, or when a later one has and two round trips have passed. When nothing at all comes
 * back, a probe timer sends the two oldest again, with growing pauses. A sending that turns out to have arrived after all
 * teaches how far frames overtake each other on this link.
 *
 * A repair that is lost costs another round trip, while the receiver's window fills behind the gap, or the end of a transfer
 * waits for it on an idle link. So a piece that was lost n times is kept in the air n times, and once more when nothing new is
 * left. On a link that loses a tenth of its frames this is one frame in forty, and the end comes a round trip earlier.
 *
 * And at the end the link stands idle while the last frames' fate is not known. On a link that has shown losses that time is used:
 * pieces that never were lost go a second time, the last first, as many as the link holds besides what is in the air, so that
 * nothing that comes after waits for them. The last go first because the first are the next to be acknowledged anyway.
 */
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type Acknowledgement, frameOverhead, noncesInBitmap } from "./frames.ts";
import { reorderFramesMax, type SessionLimits } from "./limits.ts";
import { DeliveryRate, type DeliveryStamp, RoundTrip } from "./link-estimate.ts";

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
  /** What went out and is not acknowledged, by offset and in its order. */
  readonly #pieces = new Map<number, Piece>();
  /** By nonce, in the order of sending. */
  readonly #inAir = new Map<number, Sending>();
  /** Sendings taken for lost whose acknowledgement may still come, by nonce. */
  readonly #givenUp = new Map<number, GivenUp>();
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
    return this.#unsentBytes === 0 && this.#pieces.size === 0;
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

  /** The segment that may go out now under `nonce`, if any: what was lost, copies of repairs, what is new, copies at the end. */
  send(nonce: number, nowMs: number): Segment | undefined {
    if (this.#inAir.size >= this.#delivery.windowFrames()) return undefined;
    const piece = this.#pieceToRepair() ?? this.#cutNew() ?? this.#pieceToDouble(nonce);
    if (piece === undefined) return undefined;
    const isRepeated = piece.sendings > 0;
    const stamp = this.#delivery.stamp(nowMs, this.#inAir.size === 0);
    this.#inAir.set(nonce, { ...stamp, piece, nonce, sentMs: nowMs });
    piece.inAir += 1;
    piece.sendings += 1;
    this.#probeFromMs = nowMs;
    return { offset: piece.offset, bytes: piece.bytes, isRepeated };
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
    const newest = highest === undefined ? undefined : this.#inAir.get(highest);
    if (highest !== undefined) {
      this.#highestArrived = Math.max(this.#highestArrived, highest);
      this.#arrived(highest);
      for (const nonce of bitmap === undefined ? [] : noncesInBitmap(highest, bitmap)) this.#arrived(nonce);
    }
    this.#contiguous = Math.max(this.#contiguous, contiguous);
    this.#settleContiguous();
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
    return this.#inAir.size === 0 ? undefined : this.#probeAtMs();
  }

  wake(nowMs: number): void {
    this.#giveUpOvertaken(nowMs);
    if (this.#inAir.size === 0 || nowMs < this.#probeAtMs()) return;
    this.#probes += 1;
    this.#probeFromMs = nowMs;
    const asked = new Set<Piece>();
    for (const { piece } of this.#inAir.values()) {
      asked.add(piece);
      if (asked.size === probePieces) break;
    }
    // A probe is a question, not a loss: what it sends again is sent once.
    for (const sending of this.#inAir.values()) if (asked.has(sending.piece)) this.#giveUp(sending, false);
  }

  #probeAtMs(): number {
    const pauseMs = this.#roundTrip.probeMs(this.#inAir.size) * 2 ** this.#probes;
    return this.#probeFromMs + Math.min(pauseMs, this.#limits.probeMaxMs);
  }

  /** The oldest sending in the air that a later one has overtaken. */
  #oldestOvertaken(): Sending | undefined {
    const oldest = this.#inAir.values().next().value;
    return oldest !== undefined && oldest.nonce < this.#highestArrived ? oldest : undefined;
  }

  /** The first piece that is not in the air, otherwise the first that is there less often than its losses ask for. */
  #pieceToRepair(): Piece | undefined {
    const tail = this.#unsentBytes === 0 ? 1 : 0;
    let sparse: Piece | undefined;
    for (const piece of this.#pieces.values()) {
      if (piece.inAir === 0) return piece;
      if (piece.losses > 0 && piece.inAir < piece.losses + tail) sparse ??= piece;
    }
    return sparse;
  }

  /** The last piece that is only once in the air, when nothing is left to send and a link that loses frames has room. */
  #pieceToDouble(nonce: number): Piece | undefined {
    if (this.#unsentBytes > 0 || !this.#delivery.isLossy) return undefined;
    // Sendings up to the highest that arrived have left the link, and so have those it lost before.
    if (nonce - 1 - this.#highestArrived >= this.#delivery.heldFrames()) return undefined;
    return [...this.#pieces.values()].findLast(({ inAir, losses }) => inAir === 1 && losses === 0);
  }

  #cutNew(): Piece | undefined {
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
    const piece = { offset: this.#sentEnd, bytes, losses: 0, inAir: 0, sendings: 0 };
    this.#pieces.set(piece.offset, piece);
    this.#sentEnd += length;
    this.#unsentBytes -= length;
    return piece;
  }

  #arrived(nonce: number): void {
    const sending = this.#inAir.get(nonce);
    if (sending !== undefined) {
      this.#inAir.delete(nonce);
      return this.#settle(sending.piece);
    }
    const givenUp = this.#givenUp.get(nonce);
    if (givenUp === undefined) return;
    // It was late, not lost: frames on this link overtake each other by more than we thought.
    const distance = this.#highestArrived - nonce;
    this.#reorderFrames = Math.min(Math.max(this.#reorderFrames, distance), reorderFramesMax);
    this.#givenUp.delete(nonce);
    if (givenUp.isCounted) this.#delivery.countLate();
    this.#settle(givenUp.piece);
  }

  /** The bytes have arrived: no sending of them is of interest any more. */
  #settle(piece: Piece): void {
    if (!this.#pieces.delete(piece.offset)) return;
    this.#delivery.countDelivered();
    this.#acknowledgedBytes += piece.bytes.length;
  }

  #settleContiguous(): void {
    for (const piece of this.#pieces.values()) {
      if (piece.offset + piece.bytes.length > this.#contiguous) break;
      this.#settle(piece);
    }
    for (const { nonce, piece } of this.#inAir.values()) if (!this.#pieces.has(piece.offset)) this.#inAir.delete(nonce);
  }

  #giveUpOvertaken(nowMs: number): void {
    const overtakenMs = this.#roundTrip.overtakenMs();
    for (const sending of this.#inAir.values()) {
      const distance = this.#highestArrived - sending.nonce;
      if (distance <= 0) break;
      // The very sum that `nextWakeMs` gave: a difference could round to just below it, and the wake-up would do nothing.
      if (distance <= this.#reorderFrames && nowMs < sending.sentMs + overtakenMs) continue;
      this.#giveUp(sending, true);
    }
    for (const nonce of this.#givenUp.keys()) {
      if (nonce < this.#highestArrived - nonceMemory) this.#givenUp.delete(nonce);
    }
  }

  /** `isLost`: it was overtaken; otherwise a probe only asks for it. */
  #giveUp({ nonce, piece }: Sending, isLost: boolean): void {
    this.#inAir.delete(nonce);
    this.#givenUp.set(nonce, { piece, isCounted: isLost });
    piece.inAir -= 1;
    if (!isLost) return;
    piece.losses += 1;
    this.#delivery.countLost();
  }
}

/** Bytes that are always sent together. */
type Piece = {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** How often a sending of them was taken for lost. */
  losses: number;
  /** How many sendings are on their way, as far as is known. */
  inAir: number;
  sendings: number;
};

/** `isCounted`: among the link's losses. */
type GivenUp = { readonly piece: Piece; readonly isCounted: boolean };

type Sending = DeliveryStamp & { readonly piece: Piece; readonly nonce: number; readonly sentMs: number };

/** Two, so that one lost probe does not cost another pause. */
const probePieces = 2;
/** The nonces that an acknowledgement can speak of below its highest. */
const nonceMemory = 64;
