/**
 * What is done to the store now and then: what is old enough goes, room is held back, and how full it is is looked at and said once when
 * it changes. Nothing of it is urgent; a store that has no room or fails says so to those who write.
 */
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { isStoreFull, type Store, type StoreSpace } from "../ports/store.ts";

export interface StoreCareOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked each time: the configuration may change. */
  readonly keepMs: () => number;
  /** The store is broken. */
  readonly onFailure: (error: unknown) => void;
}

export class StoreCare {
  readonly #options: StoreCareOptions;
  #space: StoreSpace | undefined;
  #stopped = false;
  #cancel: () => void = () => undefined;
  #tidyAtMs = 0;

  constructor(options: StoreCareOptions) {
    this.#options = options;
  }

  start(): void {
    this.#tidyAtMs = this.#options.clock.monotonicMs() + FIRST_TIDY_MS;
    this.#again(LOOK_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #round(): Promise<void> {
    const { store, clock } = this.#options;
    this.#note(await store.space());
    if (clock.monotonicMs() < this.#tidyAtMs) return this.#again(LOOK_MS);
    const done = await this.#tidy();
    // While there is more to remove, in small pieces: each is a commit of its own, and others come in between.
    this.#tidyAtMs = clock.monotonicMs() + (done ? TIDY_MS : TIDY_MORE_MS);
    this.#again(done ? LOOK_MS : TIDY_MORE_MS);
  }

  /** True: nothing more is to be removed now. */
  async #tidy(): Promise<boolean> {
    const { store, clock, keepMs } = this.#options;
    const nowMs = clock.nowMs();
    // A clock that was never set would make marks that look half a century old once it is.
    if (nowMs < CLOCK_FLOOR_MS) return true;
    return (await store.tidy({ nowMs, keepMs: keepMs() })).done;
  }

  #note(space: StoreSpace): void {
    const { log } = this.#options;
    const before = this.#space;
    this.#space = space;
    const { filling, usedBytes, limitBytes, diskFull, droppedEvents } = space;
    if (filling === (before?.filling ?? "room") && droppedEvents === (before?.droppedEvents ?? 0)) return;
    const facts = { filling, usedBytes, limitBytes, diskFull, droppedEvents };
    if (filling === "room") log.info(facts, "the store has room again");
    else log.warn(facts, fillingWords[filling]);
  }

  #again(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#round().catch((error: unknown) => {
        if (this.#stopped) return;
        if (!isStoreFull(error)) return this.#options.onFailure(error);
        this.#again(LOOK_MS);
      });
    });
  }
}

const fillingWords = {
  thinning: "the store fills: of telemetry in a row only the last is kept",
  dropping: "the store is nearly full: the oldest that upstream has, and the oldest telemetry, make room",
  full: "the store is full: events are refused and stay with their devices",
} as const;

const LOOK_MS = 10_000;
/** The first minutes after a start belong to others. */
const FIRST_TIDY_MS = 60_000;
const TIDY_MS = 600_000;
const TIDY_MORE_MS = 50;
/** 2026-01-01: no gateway of this software ran before. */
const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1);
