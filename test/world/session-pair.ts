import { utf8 } from "../../protocol/base/bytes.ts";
import { monotonicMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import type { SessionLimits } from "../../protocol/session/limits.ts";
import { Session, type SessionClosed, type SessionEvent, type SessionOptions } from "../../protocol/session/session.ts";
import { LossyLink, type LossyLinkOptions, seededBytes } from "./lossy-link.ts";

/** One end of a session with everything that came out of it. */
export type SessionEnd = {
  readonly session: Session;
  readonly events: SessionEvent[];
  readonly messages: Uint8Array[];
  /** Every frame it sent, with the time. */
  readonly sent: { readonly frame: Uint8Array; readonly atMs: number }[];
};

export type SessionPairOptions = {
  readonly seed?: number;
  readonly link?: Omit<LossyLinkOptions, "seed">;
  readonly limits?: Partial<SessionLimits>;
  readonly courier?: Partial<SessionOptions>;
  readonly lock?: Partial<SessionOptions>;
  /** A pairing instead of a visit. */
  readonly pairingSecret?: Uint8Array;
};

export const startMs = 1_000;
export const lockStaticKey = seededBytes(101, 32);
export const courierStaticKey = seededBytes(102, 32);

/** A courier and a lock over a link, run by a stepped clock. */
export class SessionPair {
  readonly courier: SessionEnd;
  readonly lock: SessionEnd;
  readonly toLock: LossyLink;
  readonly toCourier: LossyLink;
  nowMs = startMs;

  constructor({ seed = 1, link = {}, limits = {}, courier = {}, lock = {}, pairingSecret }: SessionPairOptions = {}) {
    this.toLock = new LossyLink({ ...link, seed: seed * 2 + 1 });
    this.toCourier = new LossyLink({ ...link, seed: seed * 2 + 2 });
    this.courier = endOf(new Session({ ...courierOptions(seed, pairingSecret), limits, ...courier }));
    this.lock = endOf(new Session({ ...lockOptions(seed, pairingSecret), limits, ...lock }));
    this.#drain(this.courier, this.toLock);
    this.#drain(this.lock, this.toCourier);
  }

  /** Steps from event to event until `isDone` holds, nothing is left to happen, or the time is over. */
  run(isDone: () => boolean = () => false, untilMs = startMs + 120_000): this {
    this.drain();
    while (!isDone()) {
      const moments = [
        this.toLock.nextMs(),
        this.toCourier.nextMs(),
        this.courier.session.nextWakeMs(),
        this.lock.session.nextWakeMs(),
      ].filter((moment) => moment !== undefined);
      const next = Math.min(...moments);
      if (moments.length === 0 || next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.#step();
    }
    return this;
  }

  /** Lets both ends send what they were given meanwhile. */
  drain(): void {
    this.#drain(this.courier, this.toLock);
    this.#drain(this.lock, this.toCourier);
  }

  #step(): void {
    const now = monotonicMs(this.nowMs);
    for (const frame of this.toLock.take(now)) this.lock.session.receive(frame, now);
    for (const frame of this.toCourier.take(now)) this.courier.session.receive(frame, now);
    this.courier.session.wake(now);
    this.lock.session.wake(now);
    this.drain();
  }

  #drain(end: SessionEnd, link: LossyLink): void {
    for (const event of end.session.takeEvents()) {
      end.events.push(event);
      if (event.kind === "message") end.messages.push(event.bytes);
    }
    for (const frame of end.session.takeFrames(monotonicMs(this.nowMs))) {
      end.sent.push({ frame, atMs: this.nowMs });
      link.push(frame, this.nowMs);
    }
  }
}

export function courierOptions(seed = 1, pairingSecret?: Uint8Array): SessionOptions {
  return {
    role: "courier",
    staticPrivateKey: courierStaticKey,
    ephemeralPrivateKey: seededBytes(seed + 1_000, 32),
    prologue: utf8("pairing id"),
    nowMs: monotonicMs(startMs),
    ...(pairingSecret === undefined ? { remoteStaticPublicKey: x25519PublicKey(lockStaticKey) } : { pairingSecret }),
  };
}

export function lockOptions(seed = 1, pairingSecret?: Uint8Array): SessionOptions {
  return {
    role: "lock",
    staticPrivateKey: lockStaticKey,
    ephemeralPrivateKey: seededBytes(seed + 2_000, 32),
    prologue: utf8("pairing id"),
    nowMs: monotonicMs(startMs),
    ...(pairingSecret === undefined ? {} : { pairingSecret }),
  };
}

export function closedOf(end: SessionEnd): SessionClosed | undefined {
  return end.events.find((event) => event.kind === "closed");
}

function endOf(session: Session): SessionEnd {
  return { session, events: [], messages: [], sent: [] };
}
