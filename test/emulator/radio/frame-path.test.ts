import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AirProfile, DEFAULT_AIR_PROFILE } from "../../../emulator/radio/air-profile.ts";
import { FramePath } from "../../../emulator/radio/frame-path.ts";
import { SteppedClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

function pathOf(profile: Partial<AirProfile>, seed = 1): { path: FramePath; clock: SteppedClock; out: number[] } {
  const clock = new SteppedClock(0);
  const out: number[] = [];
  const path = new FramePath({
    profile: { ...DEFAULT_AIR_PROFILE, timeScale: 1, ...profile },
    clock,
    random: seededRandom(seed, "path").next,
    deliver: (frame) => out.push(frame[0] ?? -1),
  });
  return { path, clock, out };
}

function push(path: FramePath, count: number): void {
  for (let index = 0; index < count; index++) path.push(new Uint8Array([index]));
}

describe("FramePath", () => {
  it("carries four frames in each connection interval, in order", () => {
    const { path, clock, out } = pathOf({});
    push(path, 10);
    expect(out).toEqual([]);
    clock.advance(49);
    expect(out).toEqual([]);
    clock.advance(1);
    expect(out).toEqual([0, 1, 2, 3]);
    clock.advance(50);
    expect(out).toHaveLength(8);
    clock.advance(50);
    expect(out).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("reorders by at most its depth, for every seed, and loses nothing", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 12 }), (seed, depth) => {
        const { path, clock, out } = pathOf({ reorderDepth: depth }, seed);
        push(path, 60);
        clock.advance(60_000);
        expect(out.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index));
        out.forEach((number, place) => {
          expect(out.slice(0, place).filter((other) => other > number).length).toBeLessThanOrEqual(depth);
        });
      }),
      { numRuns: 50 },
    );
  });

  it("one seed gives one order, another seed another", () => {
    const orders = [7, 7, 8].map((seed) => {
      const { path, clock, out } = pathOf({ reorderDepth: 8, duplicateShare: 0.2, silentLossShare: 0.2 }, seed);
      push(path, 60);
      clock.advance(60_000);
      return out;
    });
    expect(orders[0]).toEqual(orders[1]);
    expect(orders[0]).not.toEqual(orders[2]);
  });

  it("loses and doubles as much as it is told to", () => {
    for (const [profile, expected] of [
      [{ silentLossShare: 1 }, 0],
      [{ duplicateShare: 1 }, 40],
    ] as const) {
      const { path, clock, out } = pathOf(profile);
      push(path, 20);
      clock.advance(60_000);
      expect(out).toHaveLength(expected);
    }
  });

  it("flush delivers what is left, drop loses it, and neither leaves a timer that delivers later", () => {
    const { path, clock, out } = pathOf({});
    push(path, 3);
    path.flush();
    expect(out).toEqual([0, 1, 2]);
    push(path, 3);
    path.drop();
    clock.advance(60_000);
    expect(out).toHaveLength(3);
    push(path, 1);
    clock.advance(50);
    expect(out).toHaveLength(4);
  });
});
