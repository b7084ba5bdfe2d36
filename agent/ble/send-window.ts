import { assert } from "../../protocol/base/result.ts";

/** Lets a few tasks run at a time and the others wait, first come first served. */
export class SendWindow {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `task` when it is its turn; gives and throws what it does. A task that fails makes room like any other. */
  async run<Value>(task: () => Promise<Value>): Promise<Value> {
    assert(
      this.#waiting.length < WAITING_LIMIT,
      `at most ${WAITING_LIMIT} frames wait; more is a sender without a window`,
    );
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      // The place is handed on, not given back, so that a newcomer cannot overtake who has waited.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

/** Twice the transfer window of a session: whoever has more to send must wait for acknowledgements first. */
const WAITING_LIMIT = 256;
