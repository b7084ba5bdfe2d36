/**
 * A courier and a lock in a secure session over the emulated link (`emulator/radio/lossy-link.ts`), run by a stepped clock, and two plain
 * ways of moving bytes over the same link to compare with.
 *
 * The link's model: each connection interval carries so many frames each way, a frame goes out in the next event at the earliest, a
 * lost frame has used its slot, a reordered one comes up to so many places late.
 */
import { LossyLink, type LossyLinkOptions } from "../../emulator/radio/lossy-link.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { monotonicMs } from "../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import { Session, type SessionOptions } from "../../protocol/session/session.ts";

export type LinkModel = Omit<LossyLinkOptions, "seed">;

export interface Traffic {
  readonly frames: number;
  readonly bytes: number;
}

interface End {
  readonly session: Session;
  readonly messages: Uint8Array[];
  readonly traffic: { frames: number; bytes: number };
  isOpen: boolean;
}

/** A session that is open; `courier` and `lock` send by their names. */
export class BenchSession {
  readonly #courier: End;
  readonly #lock: End;
  readonly #toLock: LossyLink;
  readonly #toCourier: LossyLink;
  #nowMs = 0;

  constructor(model: LinkModel, seed: number) {
    this.#toLock = new LossyLink({ ...model, seed: seed * 2 + 1 });
    this.#toCourier = new LossyLink({ ...model, seed: seed * 2 + 2 });
    const lockKey = keyOf("lock", 0);
    const common = { prologue: utf8("a pairing id"), nowMs: monotonicMs(0) };
    const ephemeral = (role: string) => keyOf(`${role} ephemeral`, seed);
    this.#courier = endOf({
      ...common,
      role: "courier",
      staticPrivateKey: keyOf("courier", 0),
      ephemeralPrivateKey: ephemeral("courier"),
      remoteStaticPublicKey: x25519PublicKey(lockKey),
    });
    this.#lock = endOf({ ...common, role: "lock", staticPrivateKey: lockKey, ephemeralPrivateKey: ephemeral("lock") });
    this.#drain();
    this.#run(() => this.#courier.isOpen && this.#lock.isOpen);
    // The last acknowledgements still belong to the handshake.
    this.settle();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** What has gone over the air both ways so far, frames and acknowledgements alike. */
  traffic(): Traffic {
    const [up, down] = [this.#courier.traffic, this.#lock.traffic];
    return { frames: up.frames + down.frames, bytes: up.bytes + down.bytes };
  }

  /** Sends messages one way and runs until the other end has them all; gives what arrived. */
  send(from: "courier" | "lock", messages: readonly Uint8Array[]): readonly Uint8Array[] {
    const [sender, receiver] = from === "courier" ? [this.#courier, this.#lock] : [this.#lock, this.#courier];
    const before = receiver.messages.length;
    for (const message of messages) assert(sender.session.send(message), "the session takes the message");
    this.#drain();
    this.#run(() => receiver.messages.length === before + messages.length);
    return receiver.messages.slice(before);
  }

  /** Lets time pass in which nothing happens. */
  idle(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs until nothing is on its way and everything is acknowledged. */
  settle(): void {
    const untilMs = this.#nowMs + 2_000;
    this.#run(() => this.#nextMs() > untilMs);
  }

  #nextMs(): number {
    const moments = [
      this.#toLock.nextMs(),
      this.#toCourier.nextMs(),
      this.#courier.session.nextWakeMs(),
      this.#lock.session.nextWakeMs(),
    ];
    return Math.min(...moments.filter((moment) => moment !== undefined));
  }

  #run(isDone: () => boolean): void {
    const untilMs = this.#nowMs + 3_600_000;
    while (!isDone()) {
      const next = this.#nextMs();
      assert(next <= untilMs, "the session makes progress");
      this.#nowMs = Math.max(this.#nowMs, next);
      const now = monotonicMs(this.#nowMs);
      for (const frame of this.#toLock.take(now)) this.#lock.session.receive(frame, now);
      for (const frame of this.#toCourier.take(now)) this.#courier.session.receive(frame, now);
      this.#courier.session.wake(now);
      this.#lock.session.wake(now);
      this.#drain();
    }
  }

  #drain(): void {
    for (const [end, link] of [
      [this.#courier, this.#toLock],
      [this.#lock, this.#toCourier],
    ] as const) {
      for (const event of end.session.takeEvents()) {
        assert(event.kind !== "closed", "the session stays open");
        if (event.kind === "message") end.messages.push(event.bytes);
        else end.isOpen = true;
      }
      for (const frame of end.session.takeFrames(monotonicMs(this.#nowMs))) {
        end.traffic.frames += 1;
        end.traffic.bytes += frame.length;
        link.push(frame, this.#nowMs);
      }
    }
  }
}

function endOf(options: SessionOptions): End {
  return { session: new Session(options), messages: [], traffic: { frames: 0, bytes: 0 }, isOpen: false };
}

function keyOf(name: string, seed: number): Uint8Array {
  return sha256(utf8(`bench ${name} ${seed}`));
}

/** Bytes of a frame's payload in a session; the plain ways below carry as many. */
export const payloadBytes = 220;

/** Milliseconds for `frames` frames of which each waits for the answer to the one before, lost ones repeated after a timeout. */
export function oneAtATimeMs(model: LinkModel, frames: number, seed: number): number {
  return plainTransferMs(model, frames, 1, seed);
}

/** Milliseconds for `frames` frames in a window with cumulative acknowledgements alone: on a timeout the window goes again. */
export function plainWindowMs(model: LinkModel, frames: number, seed: number): number {
  return plainTransferMs(model, frames, plainWindowFrames, seed);
}

function plainTransferMs(model: LinkModel, frames: number, window: number, seed: number): number {
  const forth = new LossyLink({ ...model, seed: seed * 2 + 1 });
  const back = new LossyLink({ ...model, seed: seed * 2 + 2 });
  const timeoutMs = 4 * (model.intervalMs ?? 50) + 2 * window * forth.slotMs;
  const received = new Set<number>();
  let [nowMs, acknowledged, next, contiguous, timerMs] = [0, 0, 0, 0, timeoutMs];
  while (contiguous < frames) {
    for (; next < Math.min(acknowledged + window, frames); next++) forth.push(numberBytes(next), nowMs);
    nowMs = Math.max(nowMs, Math.min(forth.nextMs() ?? timerMs, back.nextMs() ?? timerMs, timerMs));
    for (const frame of forth.take(nowMs)) {
      received.add(numberOf(frame));
      while (received.has(contiguous)) contiguous++;
      back.push(numberBytes(contiguous), nowMs);
    }
    for (const frame of back.take(nowMs)) {
      if (numberOf(frame) <= acknowledged) continue;
      acknowledged = numberOf(frame);
      timerMs = nowMs + timeoutMs;
    }
    if (nowMs < timerMs) continue;
    next = acknowledged;
    timerMs = nowMs + timeoutMs;
  }
  return nowMs;
}

/** As many as the session keeps in the air at least. */
const plainWindowFrames = 32;

function numberBytes(value: number): Uint8Array {
  return Uint8Array.of(value >> 16, value >> 8, value);
}

function numberOf(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}
