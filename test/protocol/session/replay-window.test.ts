import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noncesInBitmap } from "../../../protocol/session/frames.ts";
import { ReplayWindow } from "../../../protocol/session/replay-window.ts";

describe("ReplayWindow", () => {
  it("[S6] takes each nonce once, in any order, up to the last one there is", () => {
    const window = new ReplayWindow();
    for (const nonce of [0, 5, 3, 4, 1, 31, 32, 33, 63, 64, 1_000, 999, 0xfffffffe, 0xfffffffd]) {
      expect(window.isFresh(nonce), `${nonce} first`).toBe(true);
      window.mark(nonce);
      expect(window.isFresh(nonce), `${nonce} again`).toBe(false);
    }
    expect(window.highest).toBe(0xfffffffe);
  });

  it("[S6] takes what is behind the window for seen, and asking alone moves nothing", () => {
    const window = new ReplayWindow();
    window.mark(10_000);
    expect(window.isFresh(10_000 - 1_900)).toBe(true);
    expect(window.isFresh(10_000 - 2_100)).toBe(false);
    expect(window.isFresh(0xfffffffe)).toBe(true);
    expect(window.isFresh(9_999)).toBe(true);
  });

  it("[S6] agrees with a set that remembers everything, inside the window", () => {
    const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 6_000 })), {
      maxLength: 120,
    });
    fc.assert(
      fc.property(steps, (nonces) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        for (const nonce of nonces) {
          const highest = Math.max(-1, ...seen);
          if (nonce > highest - 1_984) expect(window.isFresh(nonce)).toBe(!seen.has(nonce));
          else if (seen.has(nonce)) expect(window.isFresh(nonce)).toBe(false);
          if (!window.isFresh(nonce)) continue;
          window.mark(nonce);
          seen.add(nonce);
        }
        const highest = Math.max(-1, ...seen);
        const expected = [...seen].filter((nonce) => nonce < highest && nonce >= highest - 64).sort((a, b) => b - a);
        if (highest >= 0) expect(noncesInBitmap(highest, window.bitmapBelowHighest())).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });
});
