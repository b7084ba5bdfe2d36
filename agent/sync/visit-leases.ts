/**
 * Who of several gateways visits a lock: before a visit this gateway asks the site's authority for a lease. Nothing but battery and radio
 * time hangs on it, because couriers who meet at a lock do each other no harm (SPEC Y3, Y5); so where no answer can be had for as long as a
 * lease lasts, the gateway goes on without. Every duration here is of this machine's monotonic clock. SPEC G19-G22.
 */
import { type DeviceId, type MonotonicMs, monotonicMs } from "../../protocol/base/units.ts";
import type { Clock } from "../ports/clock.ts";

/** The authority's word; undefined: it could not be asked, or gave none in time. `forMs` counts from the question, or from the answer. */
export type LeaseAnswer =
  | { readonly granted: true; readonly forMs: number }
  | { readonly granted: false; readonly forMs: number; readonly by: DeviceId | undefined };

export interface LeasePort {
  take(device: DeviceId): Promise<LeaseAnswer | undefined>;
  /** The visit is over. Said if it can be, and not waited for: a lease ends by itself. */
  end(device: DeviceId): void;
}

/** What holds a visit off: another gateway, or that the authority has not answered for less than a lease. */
export type LeaseHoldOff = "other-gateway" | "no-answer";

export type Permission =
  /** The visit must be over by then; null: whenever it is. */
  | { readonly may: true; readonly until: MonotonicMs | null; readonly leased: boolean }
  | { readonly may: false; readonly holdOff: LeaseHoldOff; readonly by: DeviceId | undefined };

export class VisitLeases {
  readonly #clock: Clock;
  readonly #port: LeasePort;
  readonly #leaseMs: () => number | null;
  readonly #othersById = new Map<DeviceId, { readonly until: MonotonicMs; readonly by: DeviceId | undefined }>();
  /** Since when the authority owes an answer; null: it answered last. */
  #silentSince: MonotonicMs | null;
  /** Until then nothing is asked again. */
  #quietUntil: MonotonicMs;
  /** It has been silent for a lease, and visits wait for it no more. */
  #isAlone = false;

  /** `leaseMs` gives how long a lease of this site lasts; null: this gateway is its only one. */
  constructor(options: { readonly clock: Clock; readonly port: LeasePort; readonly leaseMs: () => number | null }) {
    this.#clock = options.clock;
    this.#port = options.port;
    this.#leaseMs = options.leaseMs;
    // Who was just started cannot know what it missed: it waits like one that lost its link at this moment.
    this.#silentSince = options.clock.monotonicMs();
    this.#quietUntil = this.#silentSince;
  }

  /** What is known without asking. */
  holdOff(device: DeviceId): LeaseHoldOff | null {
    if (this.#leaseMs() === null) return null;
    const now = this.#clock.monotonicMs();
    if (now < (this.#othersById.get(device)?.until ?? 0)) return "other-gateway";
    return now < this.#quietUntil ? "no-answer" : null;
  }

  /** Asks for a lease. `isAwaited`: somebody stands by, so silence holds nothing off. */
  async take(device: DeviceId, isAwaited: boolean): Promise<Permission> {
    const leaseMs = this.#leaseMs();
    if (leaseMs === null) return { may: true, until: null, leased: false };
    const askedAt = this.#clock.monotonicMs();
    if (this.#isAlone) return this.#goAlone(device);
    const answer = await this.#port.take(device);
    if (answer === undefined) return this.#unanswered(askedAt, leaseMs, isAwaited);
    this.#heard();
    if (answer.granted) {
      this.#othersById.delete(device);
      // SPEC G21: counted from the question, so that it ends here before it ends at the authority.
      return { may: true, until: later(askedAt, Math.min(answer.forMs, leaseMs)), leased: true };
    }
    // A bad number must not keep a lock from its visit for longer than a lease.
    const waitMs = Math.max(ASK_AGAIN_MS, Math.min(answer.forMs, leaseMs));
    this.#othersById.set(device, { until: later(this.#clock.monotonicMs(), waitMs), by: answer.by });
    return { may: false, holdOff: "other-gateway", by: answer.by };
  }

  end(device: DeviceId): void {
    this.#port.end(device);
  }

  /** Another gateway's visit is known to be over. */
  forget(device: DeviceId): void {
    this.#othersById.delete(device);
  }

  /** Asks all the same, and waits for nothing: with the first answer everything is in order again. */
  #goAlone(device: DeviceId): Permission {
    void this.#port.take(device).then((answer) => {
      if (answer !== undefined) this.#heard();
    });
    // It may be granted meanwhile, and is then to be given back.
    return { may: true, until: null, leased: true };
  }

  #heard(): void {
    this.#silentSince = null;
    this.#quietUntil = this.#clock.monotonicMs();
    this.#isAlone = false;
  }

  #unanswered(askedAt: MonotonicMs, leaseMs: number, isAwaited: boolean): Permission {
    const now = this.#clock.monotonicMs();
    this.#silentSince ??= askedAt;
    const aloneFrom = later(this.#silentSince, leaseMs);
    this.#isAlone = now >= aloneFrom;
    if (isAwaited || this.#isAlone) return { may: true, until: null, leased: false };
    this.#quietUntil = monotonicMs(Math.min(aloneFrom, now + ASK_AGAIN_MS));
    return { may: false, holdOff: "no-answer", by: undefined };
  }
}

function later(from: MonotonicMs, byMs: number): MonotonicMs {
  return monotonicMs(from + byMs);
}

/** A link that broke is back in a second or two, mostly. */
const ASK_AGAIN_MS = 2_000;
