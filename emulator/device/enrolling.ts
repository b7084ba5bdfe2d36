/** A networked device on a broker that wants certificates: without one it asks for it as soon as somebody gave it a claim string, and again until it has it. */
import type { WorldClock } from "../world/clock.ts";
import { claimCertificate } from "./claim-visit.ts";
import type { DeviceIdentity } from "./device-identity.ts";

export interface EnrollingOptions {
  readonly url: string;
  readonly identity: DeviceIdentity;
  readonly clock: WorldClock;
  /** 0..1. */
  readonly jitter: () => number;
  /** The device has its certificate. */
  readonly onEnrolled: () => void;
  readonly onFault: (code: string) => void;
}

export class Enrolling {
  readonly #options: EnrollingOptions;
  #cancel: () => void = () => undefined;
  #asking = false;
  #stopped = false;

  constructor(options: EnrollingOptions) {
    this.#options = options;
  }

  /** Asks with the claim string that the device has, if it has one. */
  start(): void {
    this.#cancel();
    if (this.#asking || this.#stopped || this.#options.identity.claim === null) return;
    this.#asking = true;
    this.#ask().finally(() => {
      this.#asking = false;
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #ask(): Promise<void> {
    const { url, identity, clock, jitter, onEnrolled, onFault } = this.#options;
    const done = await claimCertificate({ url, identity, limitMs: ASK_LIMIT_MS });
    if (this.#stopped) return;
    if (done.ok) return onEnrolled();
    const { fault } = done;
    onFault(fault.code === "refused" ? fault.reason : fault.code);
    // A claim that is not good will not become so: the device waits for another.
    if (fault.code !== "refused" && !passing.has(fault.code)) return;
    if (fault.code === "refused" && !passing.has(fault.reason)) return;
    const seconds = fault.code === "refused" ? (fault.retryAfterSeconds ?? RETRY_SECONDS) : RETRY_SECONDS;
    this.#cancel = clock.after(seconds * 1000 * (1 + jitter()), () => this.start());
  }
}

/** What may be otherwise the next time. */
const passing: ReadonlySet<string> = new Set([
  "unreachable",
  "no-answer",
  "unreadable-answer",
  "throttled",
  "clock-not-trusted",
  "unavailable",
]);
const ASK_LIMIT_MS = 10_000;
const RETRY_SECONDS = 5;
