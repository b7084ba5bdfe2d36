/**
 * The socket that networked devices connect to: loopback without TLS, or anywhere with TLS 1.2 or later and the site's own certificates.
 *
 * Nobody reaches the broker behind it before the gate has let him through, the handshake has ended in time and his certificate was found
 * good; without one he may only claim one. Everything else ends the connection with a named refusal. SPEC B8-B11.
 */
import { constants } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import type { Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { Clock } from "../ports/clock.ts";
import { BrokerError, type BrokerRefusal } from "../ports/site-broker.ts";
import { addressKey, ConnectGate, defaultGateRules, type GateRules } from "./connect-gate.ts";

/** Who is at the other end of a connection, as far as the connection itself tells. */
export type Peer =
  /** Loopback without TLS: the password tells. */
  | { readonly kind: "open" }
  /** TLS without a certificate: may ask for one, and nothing else. */
  | { readonly kind: "claim" }
  | { readonly kind: "device"; readonly device: DeviceId; readonly serialNumber: string; readonly notAfter: UnixMs };

export interface BrokerTls {
  /** What to show, looked at again at an interval. Faults: clock-not-trusted; nobody is let in until there is something. */
  readonly credentials: () => Promise<
    Result<
      { readonly key: string; readonly chain: string; readonly authority: string },
      { readonly code: "clock-not-trusted" }
    >
  >;
  /** Judges the certificate that a client proved to have the key of. */
  readonly judge: (
    der: Uint8Array,
  ) => Result<
    { readonly device: DeviceId; readonly serialNumber: string; readonly notAfter: UnixMs },
    { readonly code: Extract<BrokerRefusal["code"], `certificate-${string}`> }
  >;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly tls?: BrokerTls;
  readonly gate?: GateRules;
  readonly refuse: (refusal: BrokerRefusal) => void;
  /** Takes a connection over; `known` is to be called when the peer has said who it is and was let in. */
  readonly serve: (socket: Socket, peer: Peer, known: () => void) => void;
  /** What came of looking for a newer certificate; the listener goes on with the one it has. */
  readonly onError: (error: unknown) => void;
}

export interface BrokerListener {
  readonly port: number;
  /** Takes nobody new. */
  stop(): void;
  /** Ends what is still connected. */
  close(): Promise<void>;
}

/** Throws BrokerError: port-in-use, unavailable. */
export async function openListener(options: ListenerOptions): Promise<BrokerListener> {
  const listener = new Listener(options);
  await listener.open();
  return listener;
}

class Listener implements BrokerListener {
  readonly #options: ListenerOptions;
  readonly #gate: ConnectGate<Socket>;
  readonly #sockets = new Set<Socket>();
  /** By the peer's address and port, from the gate until it is known who it is. */
  readonly #knownByPeer = new Map<string, () => void>();
  readonly #accepting: Server;
  #tls: TlsServer | undefined;
  #shown = "";
  #cancelWake: (() => void) | undefined;
  #cancelLook: () => void = () => undefined;
  #closed = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#gate = new ConnectGate(options.gate ?? defaultGateRules, options.clock.monotonicMs());
    // Paused, so that whoever waits for his turn costs a socket and not a byte of memory.
    this.#accepting = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#arrived(socket));
    this.#accepting.maxConnections = CONNECTIONS_LIMIT;
  }

  get port(): number {
    const address = this.#accepting.address();
    return typeof address === "object" && address !== null ? address.port : this.#options.port;
  }

  async open(): Promise<void> {
    const { host, port } = this.#options;
    await this.#look();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#accepting.once("error", reject);
        this.#accepting.listen(port, host, resolve);
      });
    } catch (cause) {
      this.#cancelLook();
      const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
      throw inUse
        ? new BrokerError("port-in-use", `MQTT broker: port ${port} is in use`, { cause })
        : new BrokerError("unavailable", `MQTT broker: cannot listen on port ${port}`, { cause });
    }
  }

  stop(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelWake?.();
    this.#cancelLook();
    this.#ended = new Promise<void>((resolve) => this.#accepting.close(() => resolve()));
  }

  async close(): Promise<void> {
    this.stop();
    for (const socket of this.#sockets) socket.destroy();
    await this.#ended;
  }

  #arrived(socket: Socket): void {
    const address = addressKey(socket.remoteAddress);
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#gate.left(socket, address);
    });
    const answer = this.#gate.arrive(socket, address, this.#options.clock.monotonicMs());
    if (answer === "through") this.#letThrough(socket);
    else if (answer === "refused") this.#refuse(socket, { code: "too-many-connections", detail: address });
    this.#scheduleWake();
  }

  #letThrough(socket: Socket): void {
    const address = addressKey(socket.remoteAddress);
    const peer = peerName(socket);
    let isKnown = false;
    const known = (): void => {
      if (isKnown) return;
      isKnown = true;
      this.#knownByPeer.delete(peer);
      this.#gate.known(address);
    };
    socket.on("close", known);
    if (socket.destroyed) return known();
    if (this.#options.tls === undefined) {
      this.#options.serve(socket, { kind: "open" }, known);
      socket.resume();
    } else if (this.#tls === undefined) this.#refuse(socket, { code: "clock-not-trusted" });
    else {
      this.#knownByPeer.set(peer, known);
      this.#tls.emit("connection", socket);
    }
  }

  #scheduleWake(): void {
    const { clock } = this.#options;
    const now = clock.monotonicMs();
    const at = this.#gate.nextWakeMs(now);
    if (at === undefined || this.#cancelWake !== undefined || this.#closed) return;
    this.#cancelWake = clock.after(at - now, () => {
      this.#cancelWake = undefined;
      const { through, refused } = this.#gate.wake(clock.monotonicMs());
      for (const socket of through) this.#letThrough(socket);
      for (const socket of refused) this.#refuse(socket, { code: "too-many-connections" });
      this.#scheduleWake();
    });
  }

  /** Looks whether there is something newer to show, and comes again. */
  async #look(): Promise<void> {
    const { tls } = this.#options;
    if (tls === undefined || this.#closed) return;
    const found = await tls.credentials();
    if (!found.ok) this.#options.refuse({ code: found.fault.code, detail: "no certificate to show" });
    else if (found.value.chain !== this.#shown) {
      const { key, chain: cert, authority: ca } = found.value;
      this.#shown = cert;
      if (this.#tls === undefined) this.#tls = this.#createTls({ key, cert, ca });
      else this.#tls.setSecureContext({ ...tlsFloor, key, cert, ca });
    }
    this.#lookIn(found.ok ? LOOK_MS : LOOK_SOON_MS);
  }

  #lookIn(delayMs: number): void {
    const { clock, onError } = this.#options;
    if (this.#closed) return;
    this.#cancelLook = clock.after(delayMs, () => {
      this.#look().catch((error: unknown) => {
        onError(error);
        // A disk that was full may not be so later, and what is shown is good for a while yet.
        this.#lookIn(LOOK_SOON_MS);
      });
    });
  }

  #createTls(shown: { readonly key: string; readonly cert: string; readonly ca: string }): TlsServer {
    const server = createTlsServer(
      {
        ...tlsFloor,
        ...shown,
        requestCert: true,
        // OpenSSL's judgement goes by this machine's clock; ours is in `judge`, before a byte reaches the broker.
        rejectUnauthorized: false,
        handshakeTimeout: (this.#options.gate ?? defaultGateRules).handshakeMs,
      },
      (socket) => this.#handshaken(socket),
    );
    server.on("tlsClientError", (error, socket) => {
      const code = "code" in error && typeof error.code === "string" ? error.code : error.message;
      this.#refuse(socket, { code: "handshake-failed", detail: code.slice(0, SHOWN_CHARACTERS) });
    });
    return server;
  }

  #handshaken(socket: TLSSocket): void {
    const { tls, serve } = this.#options;
    const known = this.#knownByPeer.get(peerName(socket));
    socket.on("error", () => socket.destroy());
    if (tls === undefined || known === undefined) return void socket.destroy();
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return serve(socket, { kind: "claim" }, known);
    const judged = tls.judge(new Uint8Array(certificate.raw));
    if (!judged.ok) return this.#refuse(socket, { code: judged.fault.code, detail: addressKey(socket.remoteAddress) });
    serve(socket, { kind: "device", ...judged.value }, known);
  }

  #refuse(socket: Socket, refusal: BrokerRefusal): void {
    this.#options.refuse(refusal);
    socket.destroy();
  }
}

function peerName(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** TLS 1.2 with forward secrecy and authenticated encryption, or 1.3. No tickets: each connection shows its certificate anew. */
const tlsFloor = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
  ].join(":"),
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
} as const;

/** Sockets at once, whatever they do. */
const CONNECTIONS_LIMIT = 4_096;
/** A certificate of a year is renewed at two thirds of it; an hour later is soon enough. */
const LOOK_MS = 3_600_000;
const LOOK_SOON_MS = 5_000;
const SHOWN_CHARACTERS = 64;
