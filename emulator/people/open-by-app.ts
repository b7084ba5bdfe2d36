/**
 * A phone at a lock: connects, makes the secure session, asks to be let in, and hears the answer. Ends when the lock has closed
 * the link, or at a deadline.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { MonotonicMs } from "../../protocol/base/units.ts";
import { Session, type SessionEvent } from "../../protocol/session/session.ts";
import { PhoneAccess, type PhoneAccessEvent } from "../../protocol/sync/phone-access.ts";
import type { Refusal } from "../../protocol/wire/sync-message.ts";
import type { Peripheral } from "../radio/air.ts";
import type { AirProfile } from "../radio/air-profile.ts";
import { connectPhone, type PhoneLink } from "../radio/phone-link.ts";
import type { WorldClock } from "../world/clock.ts";
import type { LockKey } from "./app-account.ts";
import { PhonePump } from "./phone-pump.ts";

export interface AppVisitOptions {
  readonly peripheral: Peripheral;
  readonly key: LockKey;
  readonly clock: WorldClock;
  readonly profile: AirProfile;
  readonly random: () => number;
}

export type AppAnswer = Extract<PhoneAccessEvent, { kind: "granted" | "denied" }>;

export type AppVisitFault =
  /** The link ended before anything was said: a lock takes one visit at a time. */
  | { readonly code: "lock-busy" }
  /** No answer: out of range, not this phone's lock, or the link was lost. */
  | { readonly code: "lock-silent" }
  | { readonly code: "lock-refused"; readonly refusal: Refusal }
  | { readonly code: "lock-broke-protocol" };

/** Faults: as listed. Never throws. */
export function openByApp(options: AppVisitOptions): Promise<Result<AppAnswer, AppVisitFault>> {
  return new Promise((resolve) => new AppVisit(options, resolve));
}

class AppVisit {
  readonly #options: AppVisitOptions;
  readonly #session: Session;
  readonly #pump: PhonePump;
  readonly #link: PhoneLink;
  readonly #resolve: (result: Result<AppAnswer, AppVisitFault>) => void;
  readonly #cancelDeadline: () => void;
  #access: PhoneAccess | undefined;
  #event: PhoneAccessEvent | undefined;
  readonly #startedAt: MonotonicMs;
  #heardFrames = 0;

  constructor(options: AppVisitOptions, resolve: (result: Result<AppAnswer, AppVisitFault>) => void) {
    const { peripheral, key, clock, profile, random } = options;
    this.#options = options;
    this.#startedAt = clock.monotonicMs();
    this.#resolve = resolve;
    this.#session = new Session({
      role: "courier",
      staticPrivateKey: key.staticPrivateKey,
      ephemeralPrivateKey: key.ephemeralPrivateKey,
      remoteStaticPublicKey: key.lock.staticPublicKey,
      prologue: key.lock.pairingId,
      nowMs: clock.monotonicMs(),
    });
    this.#pump = new PhonePump({
      session: this.#session,
      clock,
      onEvent: (event) => this.#sessionEvent(event),
      drain: () => this.#drainAccess(),
      send: (frame) => this.#link.send(frame),
    });
    this.#cancelDeadline = clock.after(VISIT_LIMIT_MS, () => this.#link.close());
    this.#link = connectPhone(
      peripheral,
      { clock, profile, random },
      {
        connected: () => this.#pump.pump(),
        frame: (bytes) => {
          this.#heardFrames += 1;
          this.#pump.receive(bytes);
        },
        ended: () => this.#finish(),
      },
    );
  }

  #sessionEvent(event: SessionEvent): void {
    const { clock, key } = this.#options;
    if (event.kind === "established") {
      const { handshakeHash } = event;
      this.#access = new PhoneAccess(key.appKey, { pairingId: key.lock.pairingId, handshakeHash });
    } else if (event.kind === "message") this.#access?.receive(event.bytes);
    // The lock closes the link; one that ended out of order is closed from here.
    else if (event.reason !== "finished") clock.after(0, () => this.#link.close());
  }

  #drainAccess(): void {
    for (const message of this.#access?.takeMessages() ?? []) this.#session.send(message);
    const event = this.#access?.takeEvent();
    if (event === undefined) return;
    this.#event = event;
    this.#session.finish();
  }

  #finish(): void {
    this.#pump.stop();
    this.#cancelDeadline();
    this.#resolve(this.#result());
  }

  #result(): Result<AppAnswer, AppVisitFault> {
    const event = this.#event;
    const atOnce = this.#options.clock.monotonicMs() - this.#startedAt < BUSY_WITHIN_MS;
    if (event === undefined) return failed({ code: atOnce && this.#heardFrames === 0 ? "lock-busy" : "lock-silent" });
    if (event.kind === "refused") return failed({ code: "lock-refused", refusal: event.refusal });
    return event.kind === "bad-answer" ? failed({ code: "lock-broke-protocol" }) : ok(event);
  }
}

/** The session gives up after 10 s of silence; a link that never ends by itself must not keep anybody at the door. */
const VISIT_LIMIT_MS = 15_000;
/** A busy lock closes at once, one that does not understand only after its own 10 s. */
const BUSY_WITHIN_MS = 2_000;
