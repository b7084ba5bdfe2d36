import { describe, expect, it } from "vitest";
import { pause, type Timers, withDeadline } from "../../../agent/base/deadline.ts";

/** Timers that run when told to; `waiting` shows what was not cancelled. */
function heldTimers(): { timers: Timers; waiting: Set<{ delayMs: number; action: () => void }> } {
  const waiting = new Set<{ delayMs: number; action: () => void }>();
  return {
    waiting,
    timers: {
      after: (delayMs, action) => {
        const timer = { delayMs, action };
        waiting.add(timer);
        return () => void waiting.delete(timer);
      },
    },
  };
}

const expired = (): Error => new Error("expired");

describe("withDeadline", () => {
  it("gives the value in time and leaves no timer behind", async () => {
    const { timers, waiting } = heldTimers();
    expect(await withDeadline(Promise.resolve(5), { timers, limitMs: 10, expired })).toBe(5);
    expect(waiting.size).toBe(0);
  });

  it("passes an error on and leaves no timer behind", async () => {
    const { timers, waiting } = heldTimers();
    const work = withDeadline(Promise.reject(new Error("own")), { timers, limitMs: 10, expired });
    await expect(work).rejects.toThrow("own");
    expect(waiting.size).toBe(0);
  });

  it("throws when time is up, and swallows what comes later", async () => {
    const { timers, waiting } = heldTimers();
    let fail: (error: Error) => void = () => undefined;
    const never = new Promise((_, reject) => {
      fail = reject;
    });
    const work = withDeadline(never, { timers, limitMs: 10, expired });
    for (const { action } of waiting) action();
    await expect(work).rejects.toThrow("expired");
    fail(new Error("too late"));
  });

  it("throws the signal's reason, also when it was aborted before", async () => {
    for (const early of [true, false]) {
      const { timers, waiting } = heldTimers();
      const abort = new AbortController();
      if (early) abort.abort(new Error("stopped"));
      const work = withDeadline(new Promise(() => undefined), { timers, limitMs: 10, expired, signal: abort.signal });
      if (!early) abort.abort(new Error("stopped"));
      await expect(work).rejects.toThrow("stopped");
      expect(waiting.size).toBe(0);
    }
  });
});

describe("pause", () => {
  it("ends by its timer or by the signal, without an error", async () => {
    const { timers, waiting } = heldTimers();
    const first = pause(timers, 10);
    for (const { action } of waiting) action();
    await first;
    const abort = new AbortController();
    const second = pause(timers, 10, abort.signal);
    abort.abort();
    await second;
    await pause(timers, 10, abort.signal);
    expect(waiting.size).toBe(0);
  });
});
