/**
 * One door visit in emulated time, from the advertisement that the gateway's radio answers to the closed link: the real machines
 * (session, `CourierSync`, `LockSync`, the emulated lock's firmware) over the emulated link. What is not a machine of ours is a
 * number of the model:
 *
 * - Link: connection interval, frames in an event, loss (`emulator/radio/lossy-link.ts`); a frame goes out in the next event at the
 *   earliest, so a question and its answer take two events.
 * - Connect and services: what BlueZ 5.66 took in the virtual machine (reference/ble.md part 3b), as `emulator/radio/air-profile.ts` has it.
 * - Authority: a question for the time goes over the gateway's uplink.
 * - The lock works on one thing at a time and sends nothing meanwhile: the handshake, each signature, opening and hashing,
 *   and writing flash. Erasing is done ahead, while it idles.
 */

import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type MonotonicMs, monotonicMs } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import { Session } from "../../protocol/session/session.ts";
import { type CourierLoad, CourierSync } from "../../protocol/sync/courier-sync.ts";
import { type LockAction, LockSync } from "../../protocol/sync/lock-sync.ts";
import { type CourierMessage, courierMessage } from "../../protocol/wire/sync-message.ts";
import { DEFAULT_AIR_PROFILE } from "../radio/air-profile.ts";
import { LossyLink, type LossyLinkOptions } from "../radio/lossy-link.ts";
import { courierStaticKey, type TimedLock } from "./timed-lock.ts";

export interface VisitModel {
  readonly link: Omit<LossyLinkOptions, "seed">;
  /** From the answered advertisement to the connection. */
  readonly connectMs: number;
  /** From the connection to the first frame: MTU exchange, services, subscription. */
  readonly servicesMs: number;
  /** From the lock's nonce at the gateway to the authority's answer there. */
  readonly authorityMs: number;
  readonly lock: LockSpeed;
  /** The courier waits so long before each request, so that bytes can be told apart by request. 0: as it is in life. */
  readonly pauseMs: number;
}

export interface LockSpeed {
  readonly handshakeMs: number;
  readonly signatureMs: number;
  /** For opening a seal and hashing, per byte of a bundle. */
  readonly byteMs: number;
  readonly flashByteMs: number;
}

/**
 * A gateway and a lock as they are likely to be. Four frames in 50 ms are 20 kB/s, what a Raspberry Pi really does. The lock has a 64 MHz
 * Cortex-M4 with cryptography in software: five X25519 operations of 12 ms, 30 ms for an Ed25519 signature, 32 cycles a byte for
 * ChaCha20, Poly1305 and SHA-256, 41 us to write a word of 4 bytes (figures of data sheets and published code, not measured here).
 */
export const likelyVisit: VisitModel = {
  link: {
    intervalMs: DEFAULT_AIR_PROFILE.connectionIntervalMs,
    framesPerEvent: DEFAULT_AIR_PROFILE.framesPerInterval,
  },
  connectMs: DEFAULT_AIR_PROFILE.connectMs,
  servicesMs: DEFAULT_AIR_PROFILE.servicesMs,
  authorityMs: 60,
  lock: { handshakeMs: 60, signatureMs: 30, byteMs: 0.0005, flashByteMs: 0.041 / 4 },
  pauseMs: 0,
};

/** What the courier asked for, and what it cost until it asked for the next thing; the first is the handshake. */
export interface Exchange {
  readonly asked: "handshake" | CourierMessage["kind"];
  readonly atMs: number;
  /** Frames either way, acknowledgements included. */
  readonly bytes: number;
  readonly answers: number;
}

export interface VisitResult {
  readonly exchanges: readonly Exchange[];
  /** When the lock's bank was written; undefined: no policy was committed. */
  readonly committedMs: number | undefined;
  readonly closedMs: number;
  /** Lengths of all frames that went over the air, either way. */
  readonly frameBytes: readonly number[];
  readonly lockBusyMs: number;
}

/** Runs a visit whose advertisement is answered at `startMs`. Undefined: it came to no report. */
export function runTimedVisit(
  model: VisitModel,
  lock: TimedLock,
  load: CourierLoad,
  { seed, startMs }: { readonly seed: number; readonly startMs: number },
): VisitResult | undefined {
  return new Visit(model, lock, load, seed, startMs).run();
}

class Visit {
  readonly #model: VisitModel;
  readonly #lock: LockEnd;
  readonly #courier: CourierEnd;
  readonly #toLock: LossyLink;
  readonly #toCourier: LossyLink;
  readonly #frameBytes: number[] = [];
  #nowMs: number;

  constructor(model: VisitModel, lock: TimedLock, load: CourierLoad, seed: number, startMs: number) {
    this.#model = model;
    this.#nowMs = startMs + model.connectMs + model.servicesMs;
    this.#toLock = new LossyLink({ ...model.link, seed: seed * 2 + 1 });
    this.#toCourier = new LossyLink({ ...model.link, seed: seed * 2 + 2 });
    const now = monotonicMs(this.#nowMs);
    this.#lock = new LockEnd(model, lock, seed, now);
    this.#courier = new CourierEnd(model, lock, load, seed, now);
  }

  run(): VisitResult | undefined {
    const untilMs = this.#nowMs + visitLimitMs;
    this.#drain();
    while (!this.#lock.isClosed) {
      const nextMs = this.#nextMs();
      if (nextMs > untilMs || this.#courier.isBroken) return undefined;
      this.#nowMs = Math.max(this.#nowMs, nextMs);
      const now = monotonicMs(this.#nowMs);
      this.#lock.give(this.#toLock.take(now), now);
      this.#courier.give(this.#toCourier.take(now), now);
      this.#drain();
    }
    if (!this.#courier.isReported) return undefined;
    return {
      exchanges: this.#courier.exchanges(this.#sentBytes()),
      committedMs: this.#lock.committedMs,
      // The lock's last frames and its good-bye go out in the next event.
      closedMs: this.#nowMs + (this.#model.link.intervalMs ?? 0),
      frameBytes: this.#frameBytes,
      lockBusyMs: this.#lock.busyMs,
    };
  }

  #drain(): void {
    const now = monotonicMs(this.#nowMs);
    for (const [frames, link] of [
      [this.#courier.takeFrames(now, this.#sentBytes()), this.#toLock],
      [this.#lock.takeFrames(now), this.#toCourier],
    ] as const) {
      for (const frame of frames) {
        this.#frameBytes.push(frame.length);
        link.push(frame, this.#nowMs);
      }
    }
  }

  #sentBytes(): number {
    return this.#frameBytes.reduce((sum, bytes) => sum + bytes, 0);
  }

  #nextMs(): number {
    const moments = [
      this.#toLock.nextMs(),
      this.#toCourier.nextMs(),
      this.#lock.nextWakeMs(),
      this.#courier.nextWakeMs(),
    ];
    return Math.min(...moments.filter((moment) => moment !== undefined));
  }
}

/** The lock: its frames wait while it works. */
class LockEnd {
  readonly #speed: LockSpeed;
  readonly #lock: TimedLock;
  readonly #session: Session;
  readonly #nonce: Uint8Array;
  readonly #waiting: Uint8Array[] = [];
  #sync: LockSync | undefined;
  #freeAtMs = 0;
  #isWorking = false;
  #hasShakenHands = false;
  #isDone = false;
  busyMs = 0;
  committedMs: number | undefined;
  isClosed = false;

  constructor({ lock: speed }: VisitModel, lock: TimedLock, seed: number, nowMs: MonotonicMs) {
    this.#speed = speed;
    this.#lock = lock;
    this.#nonce = randomBytes(`nonce ${seed}`).subarray(0, 16);
    this.#session = new Session({
      role: "lock",
      staticPrivateKey: lock.pairing.lockStaticPrivateKey,
      ephemeralPrivateKey: randomBytes(`lock ${seed}`),
      prologue: lock.pairing.record.pairingId,
      nowMs,
    });
  }

  give(frames: readonly Uint8Array[], now: MonotonicMs): void {
    this.#waiting.push(...frames);
    while (now >= this.#freeAtMs) {
      const frame = this.#waiting.shift();
      if (frame === undefined) break;
      this.#session.receive(frame, now);
      if (!this.#hasShakenHands) this.#work(this.#speed.handshakeMs, now);
      this.#hasShakenHands = true;
      this.#takeEvents(now);
    }
    if (now >= this.#freeAtMs) this.#session.wake(now);
    this.#takeEvents(now);
  }

  takeFrames(now: MonotonicMs): readonly Uint8Array[] {
    this.#isWorking = now < this.#freeAtMs;
    return this.#isWorking ? [] : this.#session.takeFrames(now);
  }

  nextWakeMs(): number | undefined {
    return this.#isWorking ? this.#freeAtMs : this.#session.nextWakeMs();
  }

  #takeEvents(now: MonotonicMs): void {
    const { pairing } = this.#lock.firmware;
    assert(pairing !== undefined, "the lock is paired");
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "closed") this.isClosed = true;
      else if (event.kind === "message") this.#takeMessage(event.bytes, now);
      else this.#sync = new LockSync(pairing, event.remoteStaticPublicKey, this.#nonce);
    }
  }

  #takeMessage(bytes: Uint8Array, now: MonotonicMs): void {
    const sync = this.#sync;
    assert(sync !== undefined, "messages come in an open session");
    const message = courierMessage.decode(bytes);
    if (message.ok && signedKinds.has(message.value.kind)) this.#work(this.#speed.signatureMs, now);
    sync.receive(bytes, this.#lock.firmware.facts(now), now);
    for (let actions = sync.takeActions(); actions.length > 0; actions = sync.takeActions()) {
      for (const action of actions) this.#perform(action, sync, now);
    }
    for (const answer of sync.takeMessages()) this.#session.send(answer);
    if (this.#isDone) this.#session.finish();
  }

  #perform(action: LockAction, sync: LockSync, now: MonotonicMs): void {
    this.#lock.firmware.perform(action, sync, now);
    const { byteMs, flashByteMs } = this.#speed;
    this.#work(writtenBytes(action) * flashByteMs, now);
    if (action.kind === "end") this.#isDone = true;
    if (action.kind !== "commit") return;
    this.#work(action.bundle.length * byteMs, now);
    this.committedMs = this.#freeAtMs;
  }

  #work(ms: number, nowMs: number): void {
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + ms;
    this.busyMs += ms;
  }
}

/** What the lock writes for an action: the bank, a page, or a record with its entry in the log. */
function writtenBytes(action: LockAction): number {
  switch (action.kind) {
    case "commit":
      return action.bundle.length + recordBytes;
    case "stage":
      return action.bytes.length;
    case "set-clock":
    case "free-log":
    case "keep-keyset":
    case "begin-staging":
      return recordBytes;
    case "read-log":
    case "end":
      return 0;
  }
}

class CourierEnd {
  readonly #model: VisitModel;
  readonly #lock: TimedLock;
  readonly #load: CourierLoad;
  readonly #session: Session;
  readonly #exchanges: { asked: Exchange["asked"]; atMs: number; bytesBefore: number; answers: number }[];
  #sync: CourierSync | undefined;
  #nonce: Uint8Array | undefined;
  #timeAtMs: number | undefined;
  #outgoing: readonly Uint8Array[] = [];
  #outgoingAtMs = 0;
  isReported = false;
  isBroken = false;

  constructor(model: VisitModel, lock: TimedLock, load: CourierLoad, seed: number, nowMs: MonotonicMs) {
    this.#model = model;
    this.#lock = lock;
    this.#load = load;
    this.#exchanges = [{ asked: "handshake", atMs: nowMs, bytesBefore: 0, answers: 0 }];
    this.#session = new Session({
      role: "courier",
      staticPrivateKey: courierStaticKey,
      ephemeralPrivateKey: randomBytes(`courier ${seed}`),
      remoteStaticPublicKey: lock.pairing.lockStaticPublicKey,
      prologue: lock.pairing.record.pairingId,
      nowMs,
    });
  }

  give(frames: readonly Uint8Array[], now: MonotonicMs): void {
    for (const frame of frames) this.#session.receive(frame, now);
    this.#session.wake(now);
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "established") this.#sync = new CourierSync(this.#load);
      else if (event.kind === "message") this.#takeAnswer(event.bytes);
      else this.isBroken = event.reason !== "finished";
    }
    this.#move(now);
  }

  takeFrames(now: MonotonicMs, sentBytes: number): readonly Uint8Array[] {
    if (this.#outgoing.length > 0 && now >= this.#outgoingAtMs) {
      const [first] = this.#outgoing;
      const read = first === undefined ? undefined : courierMessage.decode(first);
      assert(read?.ok === true, "a courier's messages decode");
      this.#exchanges.push({ asked: read.value.kind, atMs: now, bytesBefore: sentBytes, answers: 0 });
      for (const message of this.#outgoing) assert(this.#session.send(message), "the session takes the message");
      this.#outgoing = [];
    }
    return this.#session.takeFrames(now);
  }

  nextWakeMs(): number {
    const moments = [
      this.#session.nextWakeMs(),
      this.#timeAtMs,
      this.#outgoing.length > 0 ? this.#outgoingAtMs : undefined,
    ];
    return Math.min(...moments.filter((moment) => moment !== undefined));
  }

  exchanges(sentBytes: number): readonly Exchange[] {
    return this.#exchanges.map(({ bytesBefore, ...exchange }, index) => ({
      ...exchange,
      bytes: (this.#exchanges[index + 1]?.bytesBefore ?? sentBytes) - bytesBefore,
    }));
  }

  #takeAnswer(bytes: Uint8Array): void {
    const exchange = this.#exchanges.at(-1);
    if (exchange !== undefined) exchange.answers += 1;
    this.#sync?.receive(bytes);
  }

  #move(now: MonotonicMs): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    if (this.#timeAtMs !== undefined && this.#nonce !== undefined && now >= this.#timeAtMs) {
      sync.provideTime(this.#lock.answerTime(this.#nonce, this.#timeAtMs));
      this.#timeAtMs = undefined;
    }
    for (let events = sync.takeEvents(); events.length > 0; events = sync.takeEvents()) {
      for (const event of events) {
        if (event.kind === "entries") sync.entriesStored();
        if (event.kind === "report") this.isReported = true;
        if (event.kind === "finished") this.#session.finish();
        if (event.kind !== "time-wanted") continue;
        this.#nonce = event.nonce;
        this.#timeAtMs = now + this.#model.authorityMs;
      }
    }
    const messages = sync.takeMessages();
    if (messages.length === 0) return;
    this.#outgoing = messages;
    this.#outgoingAtMs = now + this.#model.pauseMs;
  }
}

function randomBytes(use: string): Uint8Array {
  return sha256(utf8(`timed visit ${use}`));
}

/** Requests that the lock checks by a signature. */
const signedKinds: ReadonlySet<CourierMessage["kind"]> = new Set(["greet", "keyset", "time", "manifest", "release"]);
/** A record of the lock and an entry of its log. */
const recordBytes = 128;
/** As long as the agent gives a visit (`agent/ble/visit.ts`). */
const visitLimitMs = 90_000;
