/**
 * Watches the byte stream of one MQTT client and says when a packet announces more than the limit: the broker's parser
 * itself would wait for, and hold, up to 256 MB. Fed only; it keeps no bytes.
 */
export type GuardFault =
  | { readonly code: "packet-too-large"; readonly announcedBytes: number; readonly limitBytes: number }
  | { readonly code: "bad-remaining-length" };

export class PacketGuard {
  readonly #limitBytes: number;
  #state: "type" | "length" | "body" = "type";
  #bodyLeft = 0;
  #lengthBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Takes the next bytes of the stream. Faults: packet-too-large, bad-remaining-length (a fifth length byte). */
  feed(chunk: Uint8Array): GuardFault | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "body") {
        const taken = Math.min(this.#bodyLeft, chunk.length - at);
        at += taken;
        this.#bodyLeft -= taken;
        if (this.#bodyLeft === 0) this.#state = "type";
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (this.#state === "type") this.#startPacket();
      else {
        const fault = this.#lengthByte(byte);
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  }

  #startPacket(): void {
    this.#state = "length";
    this.#bodyLeft = 0;
    this.#lengthBytes = 0;
  }

  /** MQTT 3.1.1 part 2.2.3: seven bits a byte, least significant first, the top bit says that another follows. */
  #lengthByte(byte: number): GuardFault | undefined {
    this.#bodyLeft += (byte & 0x7f) * 128 ** this.#lengthBytes;
    this.#lengthBytes += 1;
    if (this.#bodyLeft > this.#limitBytes) {
      return { code: "packet-too-large", announcedBytes: this.#bodyLeft, limitBytes: this.#limitBytes };
    }
    if ((byte & 0x80) === 0) {
      this.#state = this.#bodyLeft === 0 ? "type" : "body";
      return undefined;
    }
    return this.#lengthBytes === 4 ? { code: "bad-remaining-length" } : undefined;
  }
}
