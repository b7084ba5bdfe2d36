/**
 * One direction's bytes, put together again from frames in any order, doubled or cut anew, and cut into messages.
 *
 * The stream is a row of messages, each with its length in two bytes before it; the length zero ends the stream (SPEC S9, S14).
 * Bytes that arrive behind a gap wait in a ring as long as the window, so that memory is bounded whatever a peer sends.
 */
import { failed, ok, type Result } from "../base/result.ts";
import { receivedPiecesMax, type SessionLimits } from "./limits.ts";

/** What an authenticated peer did that no honest one does. */
export type ReceiveFault =
  | { readonly code: "beyond-window"; readonly offset: number; readonly end: number; readonly max: number }
  | { readonly code: "too-many-pieces"; readonly max: number }
  | { readonly code: "message-too-long"; readonly length: number; readonly max: number }
  | { readonly code: "bytes-after-finish"; readonly offset: number };

export class ReceiveStream {
  readonly #limits: Pick<SessionLimits, "windowBytes" | "messageBytes">;
  readonly #cutter: MessageCutter;
  /** Made with the first gap: most sessions of a good link never need it. */
  #ring: Uint8Array | undefined;
  /** What waits behind gaps: sorted, apart from each other. */
  #pieces: Piece[] = [];
  #contiguous = 0;

  constructor(limits: Pick<SessionLimits, "windowBytes" | "messageBytes">) {
    this.#limits = limits;
    this.#cutter = new MessageCutter(limits.messageBytes);
  }

  /** Bytes received without a gap: the next offset that is missing. */
  get contiguous(): number {
    return this.#contiguous;
  }

  get isFinished(): boolean {
    return this.#cutter.isFinished;
  }

  get hasGap(): boolean {
    return this.#pieces.length > 0;
  }

  /** Takes the bytes at `offset`; gives how many of them were new. Whole messages wait for `takeMessages`. */
  accept(offset: number, bytes: Uint8Array): Result<number, ReceiveFault> {
    const end = offset + bytes.length;
    const max = this.#contiguous + this.#limits.windowBytes;
    if (end > max) return failed({ code: "beyond-window", offset, end, max });
    const start = Math.max(offset, this.#contiguous);
    if (end <= start) return ok(0);
    if (start === this.#contiguous && !this.hasGap) {
      return this.#advance(bytes.subarray(start - offset), end - start);
    }
    const isNew = this.#keep(start, bytes.subarray(start - offset));
    if (this.#pieces.length > receivedPiecesMax) return failed({ code: "too-many-pieces", max: receivedPiecesMax });
    const first = this.#pieces[0];
    if (first === undefined || first.start !== this.#contiguous) return ok(isNew);
    this.#pieces.shift();
    return this.#advance(this.#readRing(first), isNew);
  }

  takeMessages(): Uint8Array[] {
    return this.#cutter.takeMessages();
  }

  #advance(bytes: Uint8Array, newBytes: number): Result<number, ReceiveFault> {
    const fed = this.#cutter.feed(bytes, this.#contiguous);
    if (!fed.ok) return fed;
    this.#contiguous += bytes.length;
    return ok(newBytes);
  }

  /** Writes the bytes to the ring and joins the pieces they touch; gives how many were not there before. */
  #keep(start: number, bytes: Uint8Array): number {
    this.#ring ??= new Uint8Array(this.#limits.windowBytes);
    const at = start % this.#ring.length;
    const untilWrap = Math.min(bytes.length, this.#ring.length - at);
    this.#ring.set(bytes.subarray(0, untilWrap), at);
    this.#ring.set(bytes.subarray(untilWrap), 0);
    const end = start + bytes.length;
    const touched = this.#pieces.filter((piece) => piece.start <= end && piece.end >= start);
    const joined = {
      start: Math.min(start, ...touched.map((piece) => piece.start)),
      end: Math.max(end, ...touched.map((piece) => piece.end)),
    };
    const heldBefore = touched.reduce((sum, piece) => sum + piece.end - piece.start, 0);
    this.#pieces = [...this.#pieces.filter((piece) => !touched.includes(piece)), joined].sort(
      (left, right) => left.start - right.start,
    );
    return joined.end - joined.start - heldBefore;
  }

  #readRing({ start, end }: Piece): Uint8Array {
    const bytes = new Uint8Array(end - start);
    const ring = this.#ring ?? new Uint8Array(0);
    const at = start % ring.length;
    bytes.set(ring.subarray(at, at + bytes.length), 0);
    const untilWrap = Math.min(bytes.length, ring.length - at);
    bytes.set(ring.subarray(0, bytes.length - untilWrap), untilWrap);
    return bytes;
  }
}

type Piece = { readonly start: number; readonly end: number };

/** Cuts contiguous bytes, in whatever portions they come, into messages. */
class MessageCutter {
  readonly #messageBytes: number;
  readonly #messages: Uint8Array[] = [];
  #isFinished = false;
  /** The first byte of a length whose second has not come yet. */
  #lengthByte: number | undefined;
  /** The message being filled. */
  #body: Uint8Array | undefined;
  #filled = 0;

  constructor(messageBytes: number) {
    this.#messageBytes = messageBytes;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  takeMessages(): Uint8Array[] {
    return this.#messages.splice(0);
  }

  feed(bytes: Uint8Array, offset: number): Result<true, ReceiveFault> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#isFinished) return failed({ code: "bytes-after-finish", offset: offset + at });
      if (this.#body !== undefined) {
        at += this.#fillBody(this.#body, bytes.subarray(at));
        continue;
      }
      const byte = bytes[at] ?? 0;
      at += 1;
      if (this.#lengthByte === undefined) {
        this.#lengthByte = byte;
        continue;
      }
      const length = this.#lengthByte * 256 + byte;
      this.#lengthByte = undefined;
      if (length > this.#messageBytes) {
        return failed({ code: "message-too-long", length, max: this.#messageBytes });
      }
      if (length === 0) this.#isFinished = true;
      else this.#body = new Uint8Array(length);
    }
    return ok(true);
  }

  #fillBody(body: Uint8Array, bytes: Uint8Array): number {
    const count = Math.min(body.length - this.#filled, bytes.length);
    body.set(bytes.subarray(0, count), this.#filled);
    this.#filled += count;
    if (this.#filled === body.length) {
      this.#messages.push(body);
      this.#body = undefined;
      this.#filled = 0;
    }
    return count;
  }
}
