/**
 * How the agent looks after itself: it measures its machine, asks its own parts for a beat, and tells systemd. One object for the
 * composition root; what each part means stands in the files beside this one. SPEC G30, G31.
 */
import { join } from "node:path";
import type { DeviceId } from "../../protocol/base/units.ts";
import { withDeadline } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { SiteBroker } from "../ports/site-broker.ts";
import { type Store, StoreError } from "../ports/store.ts";
import type { UpstreamTransport } from "../ports/upstream.ts";
import { LoopLagMeter } from "./loop-lag.ts";
import { createSelfSource, type SelfSource } from "./self-facts.ts";
import { type Vital, Vitals } from "./vitals.ts";
import { serviceManagerOf, Watchdog } from "./watchdog.ts";
import { type WatchedTransport, type WatchRules, watchTransport } from "./watched-transport.ts";

export interface SelfCareOptions {
  readonly gateway: DeviceId;
  readonly stateDir: string;
  readonly store: Store;
  readonly transport: UpstreamTransport;
  readonly rules: WatchRules;
  readonly clock: Clock;
  readonly log: Log;
  readonly environment: NodeJS.ProcessEnv;
}

export class SelfCare {
  readonly source: SelfSource;
  readonly #options: SelfCareOptions;
  readonly #lag = new LoopLagMeter();
  readonly #watched: WatchedTransport;
  readonly #vitals: Vitals;
  #broker: SiteBroker | undefined;
  #watchdog: Watchdog | undefined;

  constructor(options: SelfCareOptions) {
    const { store, clock, stateDir, gateway } = options;
    this.#options = options;
    this.#watched = watchTransport(options.transport, options.rules, clock);
    this.source = createSelfSource({
      stateDir,
      storeFiles: ["agent.db", "agent.db-wal"].map((name) => join(stateDir, name)),
      waiting: async () => (await store.outbox()).reduce((sum, { depth }) => sum + depth, 0),
      loopLag: () => this.#lag.take(),
      nowMs: () => clock.nowMs(),
    });
    this.#vitals = new Vitals({
      clock,
      limitMs: BEAT_LIMIT_MS,
      beats: {
        store: () => storeBeat(store, gateway),
        broker: async () => this.#broker?.beat?.(),
        upstream: () => this.#watched.beat(),
      },
    });
  }

  /** What the gateway is to use in place of the transport that was given. */
  get transport(): UpstreamTransport {
    return this.#watched.transport;
  }

  check(): Promise<readonly Vital[]> {
    return this.#vitals.check();
  }

  /** Everything listens: says so to systemd, if that started us, and feeds its watchdog from now on. */
  async begin(broker: SiteBroker, status: () => string): Promise<void> {
    const { environment, clock, log } = this.#options;
    this.#broker = broker;
    const manager = serviceManagerOf(environment, process.pid);
    if (manager === undefined) return;
    this.#watchdog = new Watchdog({ manager, check: () => this.check(), status, clock, log });
    await this.#watchdog.start();
  }

  async end(): Promise<void> {
    this.#lag.stop();
    const { clock: timers } = this.#options;
    const limit = { timers, limitMs: GOODBYE_MS, expired: () => new Error("systemd does not answer") };
    // Whoever waits for this word will see the process end anyway.
    await withDeadline(this.#watchdog?.stop() ?? Promise.resolve(), limit).catch(() => undefined);
  }
}

/**
 * Behind everything that waits for the store's thread, so an answer says that its commits come back. A disk that is full or fails gives an
 * answer too: to be started again mends neither, and the gateway ends by itself where it cannot go on (SPEC G1).
 */
async function storeBeat(store: Store, gateway: DeviceId): Promise<void> {
  try {
    await store.coverage(gateway);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === "closed") throw error;
  }
}

/** Above one slow sync of a bad SD card, below half of the shortest sensible watchdog. */
const BEAT_LIMIT_MS = 4_000;
const GOODBYE_MS = 500;
