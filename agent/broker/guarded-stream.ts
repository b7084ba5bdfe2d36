/**
 * A device's socket as the broker sees it: the packet guard in front of what it reads, and one call to the system for all that it writes in
 * one turn of the event loop. The broker writes a packet in pieces, and a device with ten messages under way gets ten acknowledgements
 * and a receipt out of one commit; sent one by one they cost more than everything else in the intake together.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type GuardFault, PacketGuard } from "./packet-guard.ts";

/** `onFault` hears what was wrong with a packet; the socket is destroyed then. */
export function guardStream(socket: Socket, limitBytes: number, onFault: (fault: GuardFault) => void): Duplex {
  return new GuardedStream(socket, limitBytes, onFault);
}

class GuardedStream extends Duplex {
  readonly #socket: Socket;
  readonly #guard: PacketGuard;
  readonly #onFault: (fault: GuardFault) => void;
  #waiting: Uint8Array[] = [];
  /** Told when the socket has room again: until then the broker sees that this device does not listen. */
  #onRoom: (() => void) | undefined;

  constructor(socket: Socket, limitBytes: number, onFault: (fault: GuardFault) => void) {
    super();
    this.#socket = socket;
    this.#guard = new PacketGuard(limitBytes);
    this.#onFault = onFault;
    socket.on("data", (chunk: Buffer) => this.#came(chunk));
    socket.on("drain", () => {
      const onRoom = this.#onRoom;
      this.#onRoom = undefined;
      onRoom?.();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: () => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: () => void): void {
    this.#flush();
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // A refusal is written and the connection ended in the same turn.
    if (error === null) this.#flush();
    this.#socket.destroy();
    done(error);
  }

  #send(chunks: readonly Uint8Array[], done: () => void): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push(...chunks);
    if (this.#socket.writableNeedDrain) this.#onRoom = done;
    else done();
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  #came(chunk: Buffer): void {
    const fault = this.#guard.feed(chunk);
    if (fault !== undefined) {
      this.#onFault(fault);
      this.#socket.destroy();
    } else if (!this.push(chunk)) this.#socket.pause();
  }
}
