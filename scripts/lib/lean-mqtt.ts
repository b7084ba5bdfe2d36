/**
 * MQTT 3.1.1 by hand, for measuring and for tormenting: a client that costs next to nothing, keeps nothing, resends nothing and hides
 * nothing. Campaigns and benches must not measure a client library.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface LeanOptions {
  readonly port: number;
  readonly clientId: string;
  readonly password: string;
  readonly clean?: boolean;
  /** PEM; absent: without TLS. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly onPublish?: (topic: string, payload: Buffer) => void;
  readonly onPuback?: (id: number) => void;
  /** Heard once, whatever ended it, also before CONNACK. */
  readonly onClose?: () => void;
}

/** One connection. What is published after its end is dropped, and whoever cares hears `onClose`. */
export class LeanClient {
  /** Fulfilled with the return code of CONNACK, or -1 when the connection ended before it. */
  readonly connected: Promise<number>;
  readonly #socket: Socket;
  readonly #options: LeanOptions;
  readonly #settle: (code: number) => void;
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;

  constructor(options: LeanOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.connected = promise;
    this.#settle = resolve;
    const where = { port: options.port, host: "127.0.0.1", noDelay: true };
    this.#socket = options.tls === undefined ? connect(where) : connectTls({ ...where, ...options.tls });
    this.#socket.on("data", (chunk: Buffer) => this.#feed(chunk));
    // A reset is the ordinary end of a connection to a process that is killed.
    this.#socket.on("error", () => this.#close());
    this.#socket.on("close", () => this.#close());
    this.#socket.write(encodeConnect(options.clientId, options.password, options.clean ?? true));
  }

  get open(): boolean {
    return !this.#closed;
  }

  send(packet: Uint8Array): void {
    if (!this.#closed) this.#socket.write(packet);
  }

  /** QoS 1; the answer is `onPuback` with the same id. */
  publish(id: number, topic: string, payload: string): void {
    this.send(encodePublish(id, topic, payload));
  }

  subscribe(id: number, filters: readonly string[]): void {
    this.send(encodeSubscribe(id, filters));
  }

  /** Reads no more: what a frozen device does. */
  freeze(): void {
    this.#socket.pause();
  }

  /** Without a DISCONNECT. */
  destroy(): void {
    this.#socket.destroy();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#settle(-1);
    this.#options.onClose?.();
  }

  #feed(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const packet = packetAt(bytes, at);
      if (packet === undefined) break;
      this.#packet(bytes, packet);
      at = packet.end;
    }
    this.#rest = bytes.subarray(at);
  }

  #packet(bytes: Buffer, { type, flags, start, end }: Frame): void {
    if (type === CONNACK) this.#settle(bytes[start + 1] ?? -1);
    else if (type === PUBACK) this.#options.onPuback?.(bytes.readUInt16BE(start));
    else if (type === PUBLISH) {
      const topicEnd = start + 2 + bytes.readUInt16BE(start);
      const hasId = (flags & 0b110) !== 0;
      if (hasId) this.send(Buffer.from([PUBACK << 4, 2, bytes[topicEnd] ?? 0, bytes[topicEnd + 1] ?? 0]));
      const topic = bytes.toString("latin1", start + 2, topicEnd);
      this.#options.onPublish?.(topic, bytes.subarray(topicEnd + (hasId ? 2 : 0), end));
    }
  }
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  /** Where the variable header begins. */
  readonly start: number;
  readonly end: number;
}

function packetAt(bytes: Buffer, at: number): Frame | undefined {
  let length = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[at + 1 + index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 128 ** index;
    if (byte >= 0x80) continue;
    const start = at + 2 + index;
    const end = start + length;
    const first = bytes[at] ?? 0;
    return end > bytes.length ? undefined : { type: first >> 4, flags: first & 0xf, start, end };
  }
  return undefined;
}

export function encodeConnect(clientId: string, password: string, clean: boolean): Buffer {
  const head = Buffer.from([0, 4, ...Buffer.from("MQTT"), 4, 0xc0 | (clean ? 2 : 0), 0, 0]);
  return framed(0x10, [head, text(clientId), text(clientId), text(password)]);
}

export function encodePublish(id: number, topic: string, payload: string): Buffer {
  const topicBytes = Buffer.byteLength(topic, "latin1");
  const payloadBytes = Buffer.byteLength(payload);
  const length = 2 + topicBytes + 2 + payloadBytes;
  const packet = Buffer.allocUnsafe(1 + lengthBytes(length) + length);
  packet[0] = (PUBLISH << 4) | 0b10;
  let at = writeLength(packet, 1, length);
  at = packet.writeUInt16BE(topicBytes, at);
  at += packet.write(topic, at, "latin1");
  at = packet.writeUInt16BE(id, at);
  packet.write(payload, at);
  return packet;
}

export function encodeSubscribe(id: number, filters: readonly string[]): Buffer {
  const asked = filters.flatMap((filter) => [text(filter), Buffer.from([1])]);
  return framed(0x82, [Buffer.from([id >> 8, id & 0xff]), ...asked]);
}

function framed(first: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const packet = Buffer.alloc(1 + lengthBytes(body.length) + body.length);
  packet[0] = first;
  body.copy(packet, writeLength(packet, 1, body.length));
  return packet;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function lengthBytes(length: number): number {
  return length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4;
}

function writeLength(packet: Buffer, from: number, length: number): number {
  let at = from;
  let left = length;
  do {
    packet[at] = (left % 128) | (left >= 128 ? 0x80 : 0);
    left = Math.floor(left / 128);
    at += 1;
  } while (left > 0);
  return at;
}

const CONNACK = 2;
const PUBLISH = 3;
const PUBACK = 4;
