/**
 * A gateway of the sync world: the agent's own loop, visits, outbox and store port in one process life after another. `kill` is kill -9:
 * what was in memory is gone, what the disk had is there, and nothing that the dead life waited for ever comes.
 */

import { runPairing } from "../../agent/ble/pairing-visit.ts";
import { runVisit } from "../../agent/ble/visit.ts";
import { Gateway } from "../../agent/gateway.ts";
import type { Clock } from "../../agent/ports/clock.ts";
import type { Store } from "../../agent/ports/store.ts";
import type { VisitOptions, VisitOutcome } from "../../agent/ports/visit.ts";
import { timePublicKeyOf } from "../../agent/sync/site-time.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { type DeviceId, unixMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { MemoryBroker, site } from "./gateway-builder.ts";
import { MemoryStore } from "./memory-store.ts";
import type { SteppedClock } from "./stepped-clock.ts";
import { type Adapter, newAdapter, type VirtualAir, VirtualRadio } from "./virtual-air.ts";
import type { VirtualCloud } from "./virtual-cloud.ts";

export interface AgentBoxOptions {
  readonly gateway: DeviceId;
  readonly clock: SteppedClock;
  readonly air: VirtualAir;
  readonly cloud: VirtualCloud;
  readonly random: SeededRandom;
  readonly onFatal: (error: unknown) => void;
  /** It died at a store call, as it was told to. */
  readonly onDeath: (box: AgentBox) => void;
  readonly onVisit: (box: AgentBox, options: VisitOptions, outcome: VisitOutcome) => void;
  /** A bundle of so many bytes begins to go out. */
  readonly onPolicySent: (box: AgentBox, options: VisitOptions, of: number) => void;
  readonly log: (text: string) => void;
}

export class AgentBox {
  readonly id: DeviceId;
  readonly adapter: Adapter = newAdapter();
  readonly courierPrivateKey: Uint8Array;
  /** How far its wall clock is off. */
  wallErrorMs = 0;
  gateway: Gateway | undefined;
  readonly #options: AgentBoxOptions;
  readonly #store = new MemoryStore();
  #life: { isAlive: boolean } = { isAlive: false };
  #boots = 0;
  #storeCallsLeft = Number.POSITIVE_INFINITY;

  constructor(options: AgentBoxOptions) {
    this.#options = options;
    this.id = options.gateway;
    this.courierPrivateKey = options.random.bytes(32);
  }

  get isAlive(): boolean {
    return this.#life.isAlive;
  }

  async start(): Promise<void> {
    const { air, cloud, random, onFatal, log } = this.#options;
    const life = { isAlive: true };
    this.#life = life;
    this.#boots += 1;
    const clock = this.#clockOf(life);
    const gateway = new Gateway({
      self: {
        site,
        gateway: this.id,
        version: "0.1.0",
        bootCount: this.#boots,
        courierPublicKey: x25519PublicKey(this.courierPrivateKey),
        timePublicKey: timePublicKeyOf(this.courierPrivateKey),
        startedAtMs: clock.nowMs(),
      },
      store: this.#storeOf(life),
      radio: new VirtualRadio(air, this.adapter, () => life.isAlive),
      runVisit: (visit) => this.#visit(visit),
      runPairing,
      transport: cloud.transport(this.id),
      clock,
      random: { bytes: (length) => random.bytes(length), fraction: () => random.next() },
      log: {
        info: (facts, message) => log(`${this.id} ${message} ${JSON.stringify(facts)}`),
        warn: (facts, message) => log(`${this.id} ${message} ${JSON.stringify(facts)}`),
        error: (facts, message) => log(`${this.id} ${message} ${JSON.stringify(facts)}`),
      },
      courierPrivateKey: this.courierPrivateKey,
      backoff: { firstMs: 500, capMs: 60_000 },
      schedule: { automatic: true },
      healthIntervalMs: 60_000,
      onFatal: (error) => {
        if (life.isAlive) onFatal(error);
      },
    });
    await gateway.load();
    // It may have been killed while it read its store.
    if (!life.isAlive) return;
    this.gateway = gateway;
    gateway.start(new MemoryBroker());
  }

  /** It will be killed in its n-th call of the store from now on, just before or just after the write. */
  killAtStoreCall(nth: number): void {
    this.#storeCallsLeft = nth;
  }

  kill(): void {
    this.#storeCallsLeft = Number.POSITIVE_INFINITY;
    this.#life.isAlive = false;
    this.gateway = undefined;
    this.adapter.link?.orphan();
    this.#options.cloud.hangUp(this.id);
  }

  async #visit(visit: VisitOptions): Promise<VisitOutcome> {
    let isPolicySent = false;
    const outcome = await runVisit({
      ...visit,
      onProgress: (progress) => {
        if (progress.step === "policy" && !isPolicySent) {
          isPolicySent = true;
          this.#options.onPolicySent(this, visit, progress.of ?? 0);
        }
        visit.onProgress(progress);
      },
    });
    this.#options.onVisit(this, visit, outcome);
    return outcome;
  }

  #clockOf(life: { readonly isAlive: boolean }): Clock {
    const { clock } = this.#options;
    return {
      nowMs: () => unixMs(clock.nowMs() + this.wallErrorMs),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, action) =>
        clock.after(delayMs, () => {
          if (life.isAlive) action();
        }),
    };
  }

  /** The disk answers a moment later; a kill before that moment leaves the write done or not, and unanswered either way. */
  #storeOf(life: { readonly isAlive: boolean }): Store {
    const { clock, random } = this.#options;
    const pass = (): Promise<void> =>
      new Promise((resolve) => {
        clock.after(DISK_MS, () => {
          if (life.isAlive) resolve();
        });
      });
    return new Proxy<Store>(this.#store, {
      get: (store, name) => {
        const method: unknown = Reflect.get(store, name, store);
        if (typeof method !== "function") return method;
        return async (...given: readonly unknown[]): Promise<unknown> => {
          const isWrittenFirst = random.next() < 0.5;
          this.#countCall(life, isWrittenFirst);
          if (!isWrittenFirst) await pass();
          const value: unknown = await Reflect.apply(method, store, given);
          if (isWrittenFirst) await pass();
          return value;
        };
      },
    });
  }

  #countCall(life: { readonly isAlive: boolean }, isWrittenFirst: boolean): void {
    this.#storeCallsLeft -= 1;
    if (this.#storeCallsLeft > 0) return;
    this.#storeCallsLeft = Number.POSITIVE_INFINITY;
    // The promise of this call is never kept; whether its write was done is what `isWrittenFirst` says.
    this.#options.clock.after(isWrittenFirst ? 1 : 0, () => {
      if (!life.isAlive) return;
      this.kill();
      this.#options.onDeath(this);
    });
  }
}

const DISK_MS = 3;
