/** Deadlines: nothing in the agent is awaited without one. Time comes from the composition root, so tests can step it. */

export interface Timers {
  /** Calls `action` once after `delayMs`; the function given back cancels it. A pending timer never keeps a stopping process alive. */
  after(delayMs: number, action: () => void): () => void;
}

export interface DeadlineOptions {
  readonly timers: Timers;
  readonly limitMs: number;
  /** Makes the error that is thrown when time is up. */
  readonly expired: () => Error;
  /** When this is aborted first, its reason is thrown. */
  readonly signal?: AbortSignal;
}

/**
 * Gives what `work` gives, or throws when the time is up or the signal is aborted, whichever comes first.
 * The work itself is not stopped, only no longer waited for: whatever it does later is swallowed, also a rejection.
 */
export function withDeadline<Value>(work: Promise<Value>, options: DeadlineOptions): Promise<Value> {
  const { timers, limitMs, expired, signal } = options;
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      cancel();
      signal?.removeEventListener("abort", abort);
      outcome();
    };
    const abort = (): void => settle(() => reject(signal?.reason));
    const cancel = timers.after(limitMs, () => settle(() => reject(expired())));
    signal?.addEventListener("abort", abort);
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
    if (signal?.aborted === true) abort();
  });
}

/** Waits; an abort of the signal ends the wait early, without an error. */
export function pause(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = timers.after(delayMs, finish);
    signal?.addEventListener("abort", finish);
    if (signal?.aborted === true) finish();
  });
}
