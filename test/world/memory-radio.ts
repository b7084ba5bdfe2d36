/**
 * A radio with one lock in reach, in memory: the agent's port on one side, the lock's end of session and sync on the other,
 * and a lossy link each way between them. Everything moves by the stepped clock.
 */
import { type LinkListener, type Radio, RadioError, type RadioLink } from "../../agent/ports/radio.ts";
import { Session } from "../../protocol/session/session.ts";
import { LockSync } from "../../protocol/sync/lock-sync.ts";
import { LossyLink, type LossyLinkOptions } from "./lossy-link.ts";
import type { SteppedClock } from "./stepped-clock.ts";
import { lockPrivateKey, pairing, pairingId, type TinyLock } from "./sync-pair.ts";

const TICK_MS = 5;

export interface MemoryRadioOptions {
  readonly link?: Partial<LossyLinkOptions>;
  /** The link is cut after so many frames towards the lock. */
  readonly cutAfterFrames?: number;
  readonly absent?: boolean;
  /** The lock never closes the link itself. */
  readonly lockStays?: boolean;
}

export class MemoryRadio implements Radio {
  readonly #clock: SteppedClock;
  readonly #lock: TinyLock;
  readonly #options: MemoryRadioOptions;
  framesToLock = 0;
  longestFrame = 0;
  open = 0;

  constructor(clock: SteppedClock, lock: TinyLock, options: MemoryRadioOptions = {}) {
    this.#clock = clock;
    this.#lock = lock;
    this.#options = options;
  }

  async scan(): Promise<readonly never[]> {
    return [];
  }

  async close(): Promise<void> {
    return undefined;
  }

  async connect(address: string, listener: LinkListener): Promise<RadioLink> {
    if (this.#options.absent === true) throw new RadioError("connect-timeout", "connect");
    const seed = this.#options.link?.seed ?? 1;
    const down = new LossyLink({ intervalMs: 15, ...this.#options.link, seed });
    const up = new LossyLink({ intervalMs: 15, ...this.#options.link, seed: seed + 1 });
    const session = this.#lockSession();
    let sync: LockSync | undefined;
    let isOpen = true;
    this.open += 1;
    const end = (reason: "closed-here" | "link-lost"): void => {
      if (!isOpen) return;
      isOpen = false;
      this.open -= 1;
      listener.closed({ reason });
    };
    const tick = (): void => {
      if (!isOpen) return;
      const now = this.#clock.monotonicMs();
      for (const frame of down.take(now)) session.receive(frame, now);
      session.wake(now);
      for (const event of session.takeEvents()) {
        if (event.kind === "established") {
          sync = new LockSync(pairing, event.remoteStaticPublicKey, new Uint8Array(16).fill(5));
        } else if (event.kind === "message") sync?.receive(event.bytes, this.#lock.facts(), now);
        else if (this.#options.lockStays !== true) return end("link-lost");
      }
      for (const action of sync?.takeActions() ?? []) {
        if (sync !== undefined) this.#lock.carryOut(action, sync);
        if (action.kind === "end") queueMicrotask(() => session.finish());
      }
      for (const message of sync?.takeMessages() ?? []) session.send(message);
      for (const frame of session.takeFrames(now)) up.push(frame, now);
      for (const frame of up.take(now)) listener.frame(frame);
      this.#clock.after(TICK_MS, tick);
    };
    this.#clock.after(TICK_MS, tick);
    return {
      address,
      send: async (frame) => {
        if (!isOpen) throw new RadioError("link-lost", "send");
        this.framesToLock += 1;
        this.longestFrame = Math.max(this.longestFrame, frame.length);
        if (this.framesToLock === this.#options.cutAfterFrames) return end("link-lost");
        down.push(frame, this.#clock.monotonicMs());
      },
      close: async () => end("closed-here"),
    };
  }

  #lockSession(): Session {
    return new Session({
      role: "lock",
      staticPrivateKey: lockPrivateKey,
      ephemeralPrivateKey: new Uint8Array(32).fill(6),
      prologue: pairingId,
      nowMs: this.#clock.monotonicMs(),
    });
  }
}
