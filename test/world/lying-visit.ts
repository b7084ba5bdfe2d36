/**
 * A hostile lock's end of a visit. `LyingVisit` has the honest machines of a lock and a true session, and says other things than they do.
 * `LyingSession` has the keys of a true session and lies one layer below: in the numbers and lengths of its frames.
 */
import type { LockFirmware } from "../../emulator/device/lock.ts";
import type { AirConnection, ConnectionListener } from "../../emulator/radio/air.ts";
import type { WorldClock } from "../../emulator/world/clock.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { concatBytes, u32Bytes, utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import {
  acknowledgementBody,
  bitmapBytes,
  handshakeFrame,
  parseFrame,
  transportHeader,
} from "../../protocol/session/frames.ts";
import { NoiseHandshake, type NoiseOutcome } from "../../protocol/session/noise.ts";
import { Session } from "../../protocol/session/session.ts";
import { type LockAction, type LockPairing, LockSync } from "../../protocol/sync/lock-sync.ts";
import { policyManifest } from "../../protocol/wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type LockMessage,
  lockMessage,
} from "../../protocol/wire/sync-message.ts";
import type { Lie, PolicyClaim } from "./lock-lies.ts";

export interface LiarOptions {
  readonly firmware: LockFirmware;
  readonly pairing: LockPairing;
  readonly otherPairingId: Uint8Array;
  readonly connection: AirConnection;
  /** Its timers fire only while the lock has power. */
  readonly clock: WorldClock;
  readonly random: SeededRandom;
  /** What it said before, across visits. */
  readonly kept: Map<LockMessage["kind"], LockMessage>;
  /** Once for each message or frame that is not what an honest lock would have sent. */
  readonly onLie: () => void;
  readonly onEnd: () => void;
}

export class LyingVisit implements ConnectionListener {
  readonly #options: LiarOptions;
  readonly #lie: Lie;
  readonly #session: Session;
  readonly #nonce: Uint8Array;
  #sync: LockSync | undefined;
  #asked: CourierMessage | undefined;
  #offered: PolicyClaim | undefined;
  #isDone = false;
  #isOver = false;
  #cancelWake: () => void = () => undefined;

  constructor(options: LiarOptions, lie: Lie) {
    this.#options = options;
    this.#lie = lie;
    const { firmware, pairing, random, clock } = options;
    this.#nonce = random.bytes(16);
    this.#session = new Session({
      role: "lock",
      staticPrivateKey: firmware.staticPrivateKey,
      ephemeralPrivateKey: random.bytes(32),
      prologue: pairing.pairingId,
      nowMs: clock.monotonicMs(),
    });
    this.#pump();
  }

  frame(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#session.receive(bytes, this.#options.clock.monotonicMs());
    this.#pump();
  }

  ended(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelWake();
    this.#options.onEnd();
  }

  #pump(): void {
    const { clock, connection } = this.#options;
    const now = clock.monotonicMs();
    let isClosed = false;
    for (const event of this.#session.takeEvents()) {
      if (event.kind === "message") this.#take(event.bytes);
      else if (event.kind === "closed") isClosed = true;
      else this.#sync = new LockSync(this.#options.pairing, event.remoteStaticPublicKey, this.#nonce);
    }
    for (const frame of this.#session.takeFrames(now)) connection.notify(frame);
    this.#cancelWake();
    if (isClosed) {
      connection.close();
      return this.ended();
    }
    const due = this.#session.nextWakeMs();
    if (due === undefined || this.#isOver) return;
    this.#cancelWake = clock.after(Math.max(1, due - now), () => {
      this.#session.wake(clock.monotonicMs());
      this.#pump();
    });
  }

  #take(bytes: Uint8Array): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    const { firmware, clock } = this.#options;
    const now = clock.monotonicMs();
    const read = courierMessage.decode(bytes);
    this.#asked = read.ok ? read.value : undefined;
    if (this.#asked?.kind === "manifest") this.#noteOffer(this.#asked.manifest);
    sync.receive(bytes, firmware.facts(now), now);
    for (let actions = sync.takeActions(); actions.length > 0; actions = sync.takeActions()) {
      for (const action of actions) this.#perform(action, sync);
    }
    for (const message of sync.takeMessages()) this.#say(message);
    if (this.#isDone) this.#session.finish();
  }

  #perform(action: LockAction, sync: LockSync): void {
    const { firmware, clock, onLie } = this.#options;
    if (action.kind === "end") this.#isDone = true;
    if (action.kind === "commit" && this.#lie.keepsOldPolicy === true) {
      onLie();
      return sync.commitDone(action);
    }
    firmware.perform(action, sync, clock.monotonicMs());
  }

  #noteOffer(manifest: Uint8Array): void {
    const read = policyManifest.decode(manifest);
    if (read.ok) this.#offered = { epoch: read.value.epoch, version: read.value.to, root: read.value.root };
  }

  #say(bytes: Uint8Array): void {
    const read = lockMessage.decode(bytes);
    assert(read.ok, "a lock's own messages decode");
    const { random, pairing, otherPairingId, kept, onLie } = this.#options;
    const context = { random, pairing, otherPairingId, kept, asked: this.#asked, offered: this.#offered };
    const told = this.#lie.tell(read.value, context);
    if (told !== undefined) onLie();
    for (const message of told ?? [read.value]) this.#session.send(lockMessage.encode(message));
    kept.set(read.value.kind, read.value);
  }
}

/** Lies of a peer that holds the session's keys, in its frames. */
export const frameLies = [
  "offset-beyond-window",
  "offset-at-the-end",
  "many-pieces",
  "changes-what-it-said",
  "acknowledges-the-unsent",
  "acknowledges-strange-nonces",
  "acknowledgement-of-another-length",
  "nonce-at-the-end",
  "announces-and-drips",
  "message-of-rubbish",
  "finishes-and-goes-on",
  "finishes-at-once",
  "empty-frames",
] as const;
export type FrameLie = (typeof frameLies)[number];

export class LyingSession implements ConnectionListener {
  readonly #options: LiarOptions;
  readonly #lie: FrameLie;
  readonly #handshake: NoiseHandshake;
  #keys: NoiseOutcome | undefined;
  #answer: Uint8Array | undefined;
  #nonce = 0;
  #offset = 0;
  #turns = 0;
  #isOver = false;
  #cancelTick: () => void = () => undefined;

  constructor(options: LiarOptions, lie: FrameLie) {
    this.#options = options;
    this.#lie = lie;
    const { firmware, pairing, random } = options;
    this.#handshake = new NoiseHandshake({
      pattern: "IK",
      role: "responder",
      prologue: concatBytes(utf8("doorlink/1/session"), Uint8Array.of(0), pairing.pairingId),
      staticPrivateKey: firmware.staticPrivateKey,
      ephemeralPrivateKey: random.bytes(32),
    });
  }

  frame(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const frame = parseFrame(bytes);
    if (!frame.ok) return;
    if (frame.value.kind !== "handshake") return this.#keys === undefined ? undefined : this.#turn();
    if (this.#handshake.turn() === "read" && this.#handshake.readMessage(frame.value.message).ok) {
      const message = this.#handshake.writeMessage(new Uint8Array(0));
      assert(message.ok, "what was read can be answered");
      this.#answer = handshakeFrame(message.value);
      this.#keys = this.#handshake.outcome();
    }
    if (this.#answer !== undefined) this.#options.connection.notify(this.#answer);
  }

  ended(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTick();
    this.#options.onEnd();
  }

  /** Once for each frame of the courier, and every two seconds: an answer, until it has had enough. */
  #turn(): void {
    const { clock, connection } = this.#options;
    this.#cancelTick();
    this.#turns += 1;
    if (this.#isOver) return;
    if (this.#turns > TURNS_MAX) {
      connection.close();
      return this.ended();
    }
    this.#lieOnce();
    this.#cancelTick = clock.after(TICK_MS, () => this.#turn());
  }

  #lieOnce(): void {
    const { random, onLie } = this.#options;
    onLie();
    const rubbish = random.bytes(1 + random.integer(60));
    switch (this.#lie) {
      case "offset-beyond-window":
        return this.#data(this.#offset + 70_000, rubbish);
      case "offset-at-the-end":
        return this.#data(0x7fff_ffff, rubbish);
      case "many-pieces":
        if (this.#turns > 1) return;
        for (let piece = 1; piece < 80; piece++) this.#data(this.#offset + piece * 3, rubbish.subarray(0, 1));
        return;
      case "changes-what-it-said":
        this.#data(0, Uint8Array.of(0, 40, ...rubbish.subarray(0, 1)));
        return this.#data(0, Uint8Array.of(0xff, 0xff, ...rubbish));
      case "acknowledges-the-unsent":
        return this.#acknowledge(0x7fff_ffff, acknowledgementBody({ highest: 0 }));
      case "acknowledges-strange-nonces":
        return this.#acknowledge(
          0,
          acknowledgementBody({ highest: 0xffff_fffe, bitmap: new Uint8Array(bitmapBytes).fill(255) }),
        );
      case "acknowledgement-of-another-length":
        return this.#acknowledge(0, new Uint8Array(7));
      case "nonce-at-the-end":
        this.#nonce = 0xffff_fff0 + (this.#turns % 14);
        return this.#message(rubbish);
      case "announces-and-drips": {
        const head = this.#offset === 0 ? [0xff, 0xff] : [];
        const bytes = Uint8Array.of(...head, 1);
        this.#data(this.#offset, bytes);
        this.#offset += bytes.length;
        return;
      }
      case "message-of-rubbish":
        return this.#message(rubbish);
      case "finishes-and-goes-on":
        this.#data(0, Uint8Array.of(0, 0));
        return this.#data(2, rubbish);
      case "finishes-at-once":
        return this.#data(0, Uint8Array.of(0, 0));
      case "empty-frames":
        return this.#data(this.#offset, new Uint8Array(0));
    }
  }

  #message(bytes: Uint8Array): void {
    const whole = concatBytes(u32Bytes(bytes.length).subarray(2), bytes);
    this.#data(this.#offset, whole);
    this.#offset += whole.length;
  }

  #data(offset: number, body: Uint8Array): void {
    this.#seal(transportHeader("data", this.#nonce, offset), body);
  }

  #acknowledge(contiguous: number, body: Uint8Array): void {
    this.#seal(transportHeader("acknowledgement", this.#nonce, contiguous), body);
  }

  #seal(header: Uint8Array, body: Uint8Array): void {
    assert(this.#keys !== undefined, "it lies under the session's keys");
    this.#options.connection.notify(concatBytes(header, this.#keys.send.seal(this.#nonce, header, body)));
    this.#nonce += 1;
  }
}

const TICK_MS = 2_000;
/** Beyond the agent's limit of 90 s for a visit. */
const TURNS_MAX = 60;
