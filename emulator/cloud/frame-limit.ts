/**
 * A byte limit on MQTT packets, which the broker itself lacks: it collects a packet of any announced length in memory before
 * anybody may look at it (reference/mqtt.md part 2.1). The limit reads the announced length and never waits for the body.
 */
import type { Socket } from "node:net";

/** Follows a stream of MQTT packets: one type byte, one to four length bytes, the body. */
export class FrameLimit {
  readonly #limitBytes: number;
  #phase: "type" | "length" | "body" = "type";
  #lengthBytes = 0;
  #remaining = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Takes the next bytes of the stream, however they are cut. False: a packet announces more than the limit, or a length of more than four bytes. */
  accepts(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#phase === "body") {
        const taken = Math.min(this.#remaining, chunk.length - at);
        at += taken;
        this.#remaining -= taken;
        if (this.#remaining === 0) this.#phase = "type";
      } else if (!this.#acceptsHeaderByte(chunk[at++] ?? 0)) {
        return false;
      }
    }
    return true;
  }

  #acceptsHeaderByte(byte: number): boolean {
    if (this.#phase === "type") {
      this.#phase = "length";
      this.#lengthBytes = 0;
      this.#remaining = 0;
      return true;
    }
    this.#remaining += (byte & 0x7f) * 128 ** this.#lengthBytes;
    this.#lengthBytes += 1;
    if (this.#remaining > this.#limitBytes) return false;
    if ((byte & 0x80) !== 0) return this.#lengthBytes < 4;
    this.#phase = this.#remaining === 0 ? "type" : "body";
    return true;
  }
}

/** Puts the limit on a connection before the broker reads from it. A packet beyond it destroys the connection. */
export function limitFrames(socket: Socket, limitBytes: number, onExceeded: () => void): void {
  const limit = new FrameLimit(limitBytes);
  const read = socket.read.bind(socket);
  // The broker takes everything through `read`, so this is the one place that each byte passes, and back-pressure stays as it is.
  socket.read = (size?: number): Buffer | null => {
    const chunk: Buffer | null = read(size);
    if (chunk === null || limit.accepts(chunk)) return chunk;
    onExceeded();
    socket.destroy();
    return null;
  };
}
