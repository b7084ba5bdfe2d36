/**
 * The secure session between a courier and a lock: one machine for both ends, fed with frames and time, drained of frames and
 * events. It holds no clock, never calls back, and takes any bytes (SPEC S1-S14).
 *
 *   handshake --our last message written--> confirming --first authentic frame--> open --both finished--> closed
 *   handshake --peer's last message read----------------------------------------> open
 *   any phase --no progress for 10 s, a breach by the peer, close()-------------> closed
 *
 * Theory of operation: whoever writes the handshake's last message cannot know that the other end is alive now (a first message
 * can be a recording), so it sends nothing of its own and reports nothing until a frame arrives under the new keys; the other
 * end sends such a frame at once. Loss is silence: what does not parse, fit or open is counted and dropped, and only silence
 * for 10 seconds ends a session. What an authenticated peer does against the rules ends it at once.
 *
 * Use: after each `receive`, `wake`, `send` or `finish`, take the events, then the frames, then ask `nextWakeMs`.
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import { type MonotonicMs, monotonicMs } from "../base/units.ts";
import {
  acknowledgementBody,
  type Frame,
  frameBytesMax,
  frameBytesMin,
  handshakeFrame,
  parseAcknowledgement,
  parseFrame,
  protocolVersion,
  transportHeader,
} from "./frames.ts";
import { type SessionLimits, sessionLimits } from "./limits.ts";
import { NoiseHandshake, type NoiseOutcome } from "./noise.ts";
import { type ReceiveFault, ReceiveStream } from "./receive-stream.ts";
import { ReplayWindow } from "./replay-window.ts";
import { type AcknowledgeFault, SendStream } from "./send-stream.ts";

export type SessionOptions = {
  readonly role: "courier" | "lock";
  readonly staticPrivateKey: Uint8Array;
  /** 32 fresh random bytes; never used for another session. */
  readonly ephemeralPrivateKey: Uint8Array;
  /** The lock's public key: a courier needs it for a visit, nobody has it for pairing. */
  readonly remoteStaticPublicKey?: Uint8Array;
  /** The secret of the setup code, at both ends: makes this a pairing (`XXpsk3`) instead of a visit (`IK`). */
  readonly pairingSecret?: Uint8Array;
  /** What both ends know beforehand and must agree on, such as the pairingId. */
  readonly prologue: Uint8Array;
  readonly nowMs: MonotonicMs;
  readonly limits?: Partial<SessionLimits>;
};

export type SessionEvent =
  | { readonly kind: "established"; readonly remoteStaticPublicKey: Uint8Array; readonly handshakeHash: Uint8Array }
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | SessionClosed;

export type SessionClosed = {
  readonly kind: "closed";
  readonly reason: SessionEnd;
  /** How far the session had come. */
  readonly phase: SessionPhase;
  /** With `peer-broke-rules`: what the peer did. */
  readonly breach?: SessionBreach;
  /** With `no-progress` in the handshake: a version other than ours that was heard. */
  readonly otherVersion?: number;
};

/**
 * finished: both ends said all, and all of ours was acknowledged. no-progress: 10 s of silence. closed-here: `close` was
 * called. low-order-key: the key we were given for the lock is none. peer-broke-rules: see the breach. nonces-used-up and
 * stream-used-up: a direction has no numbers left; open another session.
 */
export type SessionEnd =
  | "finished"
  | "no-progress"
  | "closed-here"
  | "low-order-key"
  | "peer-broke-rules"
  | "nonces-used-up"
  | "stream-used-up";
export type SessionPhase = "handshake" | "confirming" | "open";
export type SessionBreach =
  | ReceiveFault
  | AcknowledgeFault
  | { readonly code: "acknowledgement-length"; readonly found: number };

export type SessionProgress = {
  /** Stream bytes: messages and their lengths. */
  readonly bytesQueued: number;
  /** Of these, what has not gone out even once. */
  readonly bytesUnsent: number;
  readonly bytesSent: number;
  readonly bytesAcknowledged: number;
  readonly bytesReceived: number;
  readonly framesSent: number;
  readonly framesRetransmitted: number;
  readonly acknowledgementsSent: number;
  readonly framesReceived: number;
  readonly dropped: SessionDropCounts;
};

/** Frames dropped in silence: not a frame; tag does not fit; nonce seen before; a handshake frame that is not due. */
export type SessionDropCounts = Readonly<Record<SessionDrop, number>>;
export type SessionDrop = "malformed" | "forged" | "replayed" | "unexpected";

export class Session {
  readonly #limits: SessionLimits;
  readonly #handshake: NoiseHandshake;
  readonly #sendStream: SendStream;
  readonly #receiveStream: ReceiveStream;
  readonly #replayWindow = new ReplayWindow();
  readonly #events: SessionEvent[] = [];
  #phase: SessionPhase | "closed" = "handshake";
  #end: SessionEnd | undefined;
  #outcome: NoiseOutcome | undefined;
  #lastProgressMs: number;
  #otherVersion: number | undefined;

  /** Our latest handshake message, which goes out again byte for byte until the peer has moved on. */
  #handshakeOut: HandshakeOut | undefined;
  /** The peer's latest handshake message: when it comes again, the peer has not heard from us. */
  #handshakeIn: Uint8Array | undefined;

  #nextNonce = 0;
  /** Data frames not yet acknowledged, and when the first of them asks for it. */
  #unacknowledgedFrames = 0;
  #acknowledgeAtMs: number | undefined;
  #isFinishing = false;
  readonly #counts = {
    bytesQueued: 0,
    bytesSent: 0,
    bytesReceived: 0,
    framesSent: 0,
    framesRetransmitted: 0,
    acknowledgementsSent: 0,
    framesReceived: 0,
  };
  readonly #dropped = { malformed: 0, forged: 0, replayed: 0, unexpected: 0 };

  constructor(options: SessionOptions) {
    this.#limits = { ...sessionLimits, ...options.limits };
    const { frameBytes } = this.#limits;
    assert(frameBytes >= frameBytesMin && frameBytes <= frameBytesMax, "frames are 104..244 bytes");
    this.#sendStream = new SendStream(this.#limits);
    this.#receiveStream = new ReceiveStream(this.#limits);
    this.#lastProgressMs = options.nowMs;
    this.#handshake = new NoiseHandshake({
      pattern: options.pairingSecret === undefined ? "IK" : "XXpsk3",
      role: options.role === "courier" ? "initiator" : "responder",
      prologue: concatBytes(sessionPrologue, options.prologue),
      staticPrivateKey: options.staticPrivateKey,
      ephemeralPrivateKey: options.ephemeralPrivateKey,
      ...(options.remoteStaticPublicKey === undefined ? {} : { remoteStaticPublicKey: options.remoteStaticPublicKey }),
      ...(options.pairingSecret === undefined ? {} : { presharedKey: options.pairingSecret }),
    });
    if (this.#handshake.turn() === "write") this.#writeHandshake();
  }

  /** Takes one frame as the link gave it: any bytes, in any order, any number of times. */
  receive(bytes: Uint8Array, nowMs: MonotonicMs): void {
    this.#dropIfStuck(nowMs);
    // A finished session still acknowledges, so that the peer learns that its last bytes came through.
    if (this.#phase === "closed" && this.#end !== "finished") return;
    const frame = parseFrame(bytes);
    if (!frame.ok) this.#dropped.malformed += 1;
    else if (frame.value.kind === "handshake") this.#receiveHandshake(frame.value.version, frame.value.message, nowMs);
    else this.#receiveTransport(frame.value, nowMs);
  }

  /** Lets time pass: call it when `nextWakeMs` has come. Calling it early or late is harmless. */
  wake(nowMs: MonotonicMs): void {
    this.#dropIfStuck(nowMs);
    if (this.#phase !== "closed") this.#sendStream.wake(nowMs);
  }

  /**
   * Queues a message of 1..65,535 bytes; it leaves when the session is open. False when it cannot be sent any more: the
   * session is closed or finishing, or more is queued than the limit allows.
   */
  send(message: Uint8Array): boolean {
    assert(message.length >= 1 && message.length <= this.#limits.messageBytes, "a message is 1..65,535 bytes");
    if (this.#phase === "closed" || this.#isFinishing) return false;
    return this.#queue(concatBytes(lengthPrefix(message.length), message));
  }

  /** Ends the session in order: after what was sent so far, nothing more of ours comes, and the peer ends likewise. */
  finish(): void {
    if (this.#phase === "closed" || this.#isFinishing) return;
    this.#isFinishing = true;
    if (!this.#queue(finishMark)) this.#close("stream-used-up");
  }

  /** Ends the session here and now, in silence. */
  close(): void {
    if (this.#phase !== "closed") this.#close("closed-here");
  }

  /** The moment at which `wake` has something to do if nothing arrives before; undefined when there is none. */
  nextWakeMs(): MonotonicMs | undefined {
    const acknowledgeAtMs = this.#acknowledgeAtMs;
    if (this.#phase === "closed") return acknowledgeAtMs === undefined ? undefined : monotonicMs(acknowledgeAtMs);
    const moments = [
      this.#lastProgressMs + this.#limits.progressTimeoutMs,
      this.#handshakeOut?.nextMs,
      acknowledgeAtMs,
      this.#phase === "open" ? this.#sendStream.nextWakeMs() : undefined,
    ];
    return monotonicMs(Math.min(...moments.filter((moment) => moment !== undefined)));
  }

  /**
   * The frames that should go out now, at most `countMax` of them; ask again when the link has taken them. Frames are made
   * here, so one that the link throws away was sent as far as the session knows, and is repaired like any loss.
   */
  takeFrames(nowMs: MonotonicMs, countMax: number = Number.POSITIVE_INFINITY): Uint8Array[] {
    this.#dropIfStuck(nowMs);
    const frames: Uint8Array[] = [];
    while (frames.length < countMax) {
      const frame = this.#dueHandshake(nowMs) ?? this.#dueAcknowledgement(nowMs) ?? this.#dueData(nowMs);
      if (frame === undefined) break;
      frames.push(frame);
      this.#counts.framesSent += 1;
    }
    return frames;
  }

  takeEvents(): SessionEvent[] {
    return this.#events.splice(0);
  }

  progress(): SessionProgress {
    return {
      ...this.#counts,
      bytesUnsent: this.#sendStream.unsentBytes,
      bytesAcknowledged: this.#sendStream.acknowledgedBytes,
      dropped: { ...this.#dropped },
    };
  }

  // The handshake.

  #writeHandshake(): void {
    const message = this.#handshake.writeMessage(new Uint8Array(0));
    // Only a courier that was given no true key for its lock comes here: what it read was checked by the handshake.
    if (!message.ok) return this.#close("low-order-key");
    this.#handshakeOut = { frame: handshakeFrame(message.value), sentMs: undefined, sendings: 0, nextMs: undefined };
    if (this.#handshake.turn() === "done") this.#finishHandshake("confirming");
  }

  #receiveHandshake(version: number, message: Uint8Array, nowMs: MonotonicMs): void {
    if (this.#handshakeIn !== undefined && equalBytes(message, this.#handshakeIn)) {
      // SPEC S4: the peer sends this again because it has not heard us; while confirming, our own retry answers it.
      if (this.#phase === "open") this.#acknowledgeAtMs = nowMs;
      return;
    }
    if (this.#phase !== "handshake" || this.#handshake.turn() !== "read") {
      this.#dropped.unexpected += 1;
      return;
    }
    if (version !== protocolVersion) {
      this.#otherVersion = version;
      this.#dropped.unexpected += 1;
      return;
    }
    // SPEC S2: no handshake message carries a payload, so each has one length.
    const isEmpty = message.length === this.#handshake.emptyMessageLength();
    if (!isEmpty || !this.#handshake.readMessage(message).ok) {
      this.#dropped.forged += 1;
      return;
    }
    this.#lastProgressMs = nowMs;
    this.#handshakeIn = message;
    this.#learnRoundTrip(nowMs);
    this.#handshakeOut = undefined;
    if (this.#handshake.turn() === "write") this.#writeHandshake();
    else {
      this.#finishHandshake("open");
      // SPEC S4: the first frame under the new keys, which tells the peer that we are alive.
      this.#acknowledgeAtMs = nowMs;
    }
  }

  #finishHandshake(phase: "confirming" | "open"): void {
    this.#outcome = this.#handshake.outcome();
    this.#phase = phase;
    if (phase === "open") this.#emitEstablished(this.#outcome);
  }

  #emitEstablished({ remoteStaticPublicKey, handshakeHash }: NoiseOutcome): void {
    this.#events.push({ kind: "established", remoteStaticPublicKey, handshakeHash });
  }

  /** A handshake message that went out once and was answered has measured the link. */
  #learnRoundTrip(nowMs: number): void {
    const { sentMs, sendings } = this.#handshakeOut ?? {};
    if (sentMs !== undefined && sendings === 1) this.#sendStream.learnRoundTrip(nowMs - sentMs);
  }

  // Transport frames.

  #receiveTransport(frame: Extract<Frame, { readonly nonce: number }>, nowMs: MonotonicMs): void {
    if (this.#outcome === undefined) {
      this.#dropped.unexpected += 1;
      return;
    }
    // SPEC S6: a nonce that was seen is dropped before the cipher is asked, and only an authentic one moves the window.
    if (!this.#replayWindow.isFresh(frame.nonce) || frame.nonce > this.#limits.lastNonce) {
      this.#dropped.replayed += 1;
      return;
    }
    const body = this.#outcome.receive.open(frame.nonce, frame.header, frame.sealed);
    if (body === undefined) {
      this.#dropped.forged += 1;
      return;
    }
    this.#replayWindow.mark(frame.nonce);
    this.#counts.framesReceived += 1;
    if (this.#phase === "confirming") this.#confirm(this.#outcome, nowMs);
    if (frame.kind === "data") this.#receiveData(frame.offset, body, nowMs);
    else this.#receiveAcknowledgement(frame.offset, body, nowMs);
    if (this.#phase === "open") this.#closeIfFinished();
  }

  #confirm(outcome: NoiseOutcome, nowMs: MonotonicMs): void {
    this.#phase = "open";
    this.#lastProgressMs = nowMs;
    this.#learnRoundTrip(nowMs);
    this.#handshakeOut = undefined;
    this.#emitEstablished(outcome);
  }

  #receiveData(offset: number, body: Uint8Array, nowMs: MonotonicMs): void {
    const accepted = this.#receiveStream.accept(offset, body);
    for (const bytes of this.#receiveStream.takeMessages()) this.#events.push({ kind: "message", bytes });
    if (!accepted.ok) return this.#close("peer-broke-rules", accepted.fault);
    if (accepted.value > 0) this.#lastProgressMs = nowMs;
    this.#counts.bytesReceived += accepted.value;
    this.#unacknowledgedFrames += 1;
    const isDue = this.#unacknowledgedFrames >= this.#limits.acknowledgeEvery;
    const dueMs = isDue ? nowMs : nowMs + this.#limits.acknowledgeDelayMs;
    this.#acknowledgeAtMs = Math.min(this.#acknowledgeAtMs ?? dueMs, dueMs);
    if (this.#receiveStream.isFinished) this.finish();
  }

  #receiveAcknowledgement(contiguous: number, body: Uint8Array, nowMs: MonotonicMs): void {
    const acknowledgement = parseAcknowledgement(body);
    if (acknowledgement === undefined) {
      return this.#close("peer-broke-rules", { code: "acknowledgement-length", found: body.length });
    }
    const acknowledged = this.#sendStream.acknowledge(contiguous, acknowledgement, this.#nextNonce, nowMs);
    if (!acknowledged.ok) return this.#close("peer-broke-rules", acknowledged.fault);
    if (acknowledged.value > 0) this.#lastProgressMs = nowMs;
  }

  // Frames out.

  #dueHandshake(nowMs: number): Uint8Array | undefined {
    const out = this.#handshakeOut;
    if (out === undefined || this.#phase === "closed") return undefined;
    if (out.nextMs !== undefined && nowMs < out.nextMs) return undefined;
    const { handshakeRetryMs, handshakeRetryMaxMs } = this.#limits;
    const pauseMs = Math.min(handshakeRetryMs * 2 ** out.sendings, handshakeRetryMaxMs);
    if (out.sendings > 0) this.#counts.framesRetransmitted += 1;
    this.#handshakeOut = { ...out, sentMs: nowMs, sendings: out.sendings + 1, nextMs: nowMs + pauseMs };
    return out.frame;
  }

  #dueAcknowledgement(nowMs: number): Uint8Array | undefined {
    if (this.#acknowledgeAtMs === undefined || nowMs < this.#acknowledgeAtMs) return undefined;
    this.#acknowledgeAtMs = undefined;
    this.#unacknowledgedFrames = 0;
    const { highest } = this.#replayWindow;
    const body = acknowledgementBody({
      ...(highest === undefined ? {} : { highest }),
      ...(this.#receiveStream.hasGap ? { bitmap: this.#replayWindow.bitmapBelowHighest() } : {}),
    });
    this.#counts.acknowledgementsSent += 1;
    return this.#seal("acknowledgement", this.#receiveStream.contiguous, body);
  }

  #dueData(nowMs: number): Uint8Array | undefined {
    if (this.#phase !== "open") return undefined;
    const segment = this.#sendStream.send(this.#nextNonce, nowMs);
    if (segment === undefined) return undefined;
    if (segment.isRepeated) this.#counts.framesRetransmitted += 1;
    this.#counts.bytesSent += segment.bytes.length;
    return this.#seal("data", segment.offset, segment.bytes);
  }

  #seal(kind: "data" | "acknowledgement", offset: number, body: Uint8Array): Uint8Array | undefined {
    assert(this.#outcome !== undefined, "only an established session seals");
    if (this.#nextNonce > this.#limits.lastNonce) {
      if (this.#phase !== "closed") this.#close("nonces-used-up");
      return undefined;
    }
    const nonce = this.#nextNonce;
    this.#nextNonce += 1;
    const header = transportHeader(kind, nonce, offset);
    return concatBytes(header, this.#outcome.send.seal(nonce, header, body));
  }

  #queue(bytes: Uint8Array): boolean {
    if (!this.#sendStream.queue(bytes)) return false;
    this.#counts.bytesQueued += bytes.length;
    return true;
  }

  // Ends.

  #dropIfStuck(nowMs: number): void {
    if (this.#phase === "closed" || nowMs < this.#lastProgressMs + this.#limits.progressTimeoutMs) return;
    this.#close("no-progress");
  }

  #closeIfFinished(): void {
    if (this.#isFinishing && this.#receiveStream.isFinished && this.#sendStream.isAllAcknowledged) {
      this.#close("finished");
    }
  }

  #close(reason: SessionEnd, breach?: SessionBreach): void {
    if (this.#phase === "closed") return;
    const heardOther = reason === "no-progress" && this.#phase === "handshake" ? this.#otherVersion : undefined;
    this.#events.push({
      kind: "closed",
      reason,
      phase: this.#phase,
      ...(breach === undefined ? {} : { breach }),
      ...(heardOther === undefined ? {} : { otherVersion: heardOther }),
    });
    this.#phase = "closed";
    this.#end = reason;
    // A finished session owes its peer the acknowledgement of the last bytes, now rather than after a pause.
    this.#acknowledgeAtMs = reason === "finished" && this.#acknowledgeAtMs !== undefined ? 0 : undefined;
  }
}

type HandshakeOut = {
  readonly frame: Uint8Array;
  readonly sentMs: number | undefined;
  readonly sendings: number;
  /** When it goes out again; undefined before it has gone out at all. */
  readonly nextMs: number | undefined;
};

function lengthPrefix(length: number): Uint8Array {
  return Uint8Array.of(length >> 8, length & 0xff);
}

/** A length of zero: the end of a stream (SPEC S14). */
const finishMark = Uint8Array.of(0, 0);
/** SPEC S2: in front of the caller's prologue, so that no handshake of another protocol or version fits this one. */
const sessionPrologue = concatBytes(utf8("doorlink/1/session"), Uint8Array.of(0));
