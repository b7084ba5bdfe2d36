import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  admitTry,
  freshThrottle,
  guessingOdds,
  pauseSeconds,
  refundTry,
  type ThrottleState,
  triesPerDay,
} from "../../../protocol/doorcode/guessing.ts";

const rules = { triesAtOnce: 10, refillSeconds: 4_320 };
const context = "20781/1/1";

/** Types `tag` at `poweredSeconds`; tells whether it was compared. */
function type(state: ThrottleState, tag: number, poweredSeconds: number, ctx = context) {
  const { verdict, state: next } = admitTry(state, rules, { tag, context: ctx, poweredSeconds });
  return { compared: verdict.kind === "compare", verdict, next };
}

describe("odds", () => {
  it.each([
    // N x V / 10^digits
    [30, [[7, 32]], 9.6e-5],
    [30, [[7, 132]], 3.96e-4],
    [30, [[4, 4]], 1.2e-2],
    [
      30,
      [
        [7, 32],
        [5, 2],
      ],
      6e-4,
    ],
    [2_000, [[4, 100]], 1],
    [30, [], 0],
  ] as const)("[C10] %i tries, %j: %f", (tries, accepted, odds) => {
    expect(guessingOdds(tries, new Map(accepted))).toBeCloseTo(odds, 12);
  });

  it("[C10] the default throttle allows 30 wrong tries in any 24 hours", () => {
    expect(triesPerDay(rules)).toBe(30);
  });
});

describe("throttle", () => {
  it("[C8] a single wrong try owes no pause after a loss of power that set the powered time back", () => {
    const wrong = type(freshThrottle(rules, 100), 1, 160);
    expect(type(wrong.next, 2, 101).compared).toBe(true);
  });

  it("[C8] pauses grow: none for two, then 5 s doubled up to five minutes", () => {
    expect([1, 2, 3, 4, 5, 9, 10, 99].map(pauseSeconds)).toEqual([0, 0, 5, 10, 20, 300, 300, 300]);
  });

  it("[C8] without tries left nothing is compared until powered time has refilled one", () => {
    let state = freshThrottle(rules, 0);
    let at = 0;
    for (let tag = 0; tag < 10; tag++) {
      const typed = type(state, tag, at);
      expect(typed.compared).toBe(true);
      state = typed.next;
      at += 300;
    }
    const refused = type(state, 99, at);
    expect(refused.verdict).toEqual({ kind: "locked-out", retryAfterSeconds: 4_320 - at });
    expect(type(refused.next, 99, 4_319).compared).toBe(false);
    expect(type(refused.next, 99, 4_320).compared).toBe(true);
  });

  it("[C8] the same wrong code again counts once, until the day or the policy changes", () => {
    let state = freshThrottle(rules, 0);
    for (let round = 0; round < 50; round++) state = type(state, 7, round).next;
    expect(state.tries).toBe(9);
    expect(type(state, 7, 50).verdict).toEqual({ kind: "compare", repeat: true });
    expect(type(state, 7, 50, "20782/1/1").verdict).toEqual({ kind: "compare", repeat: false });
    expect(type(state, 7, 50, "20782/1/1").next.tries).toBe(8);
  });

  it("[C8] a recognised code gives back its own try and no other", () => {
    let state = freshThrottle(rules, 0);
    for (let tag = 0; tag < 5; tag++) state = type(state, tag, tag * 300).next;
    const mine = type(state, 1_000, 2_000);
    const refunded = refundTry(mine.next, rules, 1_000);
    expect([state.tries, mine.next.tries, refunded.tries]).toEqual([5, 4, 5]);
    expect(refunded.knownWrong).not.toContain(1_000);
    expect(type(refunded, 1_001, 2_000).compared).toBe(true);
  });

  it("[C8] a power cut after the state was persisted gives nothing back", () => {
    const once = type(freshThrottle(rules, 100), 1, 100);
    // The lock starts again with what it persisted and with the powered time it had then.
    const after = type(structuredClone(once.next), 2, 100);
    expect(after.next.tries).toBe(8);
  });

  it("[C8] whatever the times, no 24 hours hold more than the stated number of compared wrong guesses", () => {
    const gap = fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 20_000 }));
    fc.assert(
      fc.property(
        fc.array(gap, { minLength: 50, maxLength: 400 }),
        fc.record({
          triesAtOnce: fc.integer({ min: 1, max: 12 }),
          refillSeconds: fc.integer({ min: 600, max: 40_000 }),
        }),
        fc.integer({ min: 1, max: 5 }),
        (gaps, anyRules, ownCodeEvery) => {
          let state = freshThrottle(anyRules, 0);
          let at = 0;
          const compared: number[] = [];
          for (const [index, seconds] of gaps.entries()) {
            at += seconds;
            const typed = admitTry(state, anyRules, { tag: index, context, poweredSeconds: at });
            state = typed.state;
            if (typed.verdict.kind !== "compare") continue;
            // A guesser who has a code of his own and types it in between.
            if (index % ownCodeEvery === 0 && ownCodeEvery > 1) state = refundTry(state, anyRules, index);
            else compared.push(at);
          }
          for (const [index, from] of compared.entries()) {
            const within = compared.slice(index).filter((time) => time < from + 86_400).length;
            expect(within).toBeLessThanOrEqual(triesPerDay(anyRules));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a guesser", () => {
  it("[C10] opens as often as the formula says, and not more", () => {
    // Four digits and many codes, so that a simulation of days shows the odds at all.
    const [digits, accepted, days] = [4, 12, 20_000];
    const random = seeded(20_261_120);
    const odds = guessingOdds(triesPerDay(rules), new Map([[digits, accepted]]));
    let opened = 0;
    for (let day = 0; day < days; day++) {
      const codes = new Set<number>();
      while (codes.size < accepted) codes.add(random(10 ** digits));
      if (guessesOfOneDay(random(10 ** digits), digits, codes)) opened++;
    }
    const found = opened / days;
    const deviation = Math.sqrt((odds * (1 - odds)) / days);
    // The formula adds up the odds of the tries, so it lies a little above: by odds squared over two.
    expect(found).toBeLessThanOrEqual(odds + 3 * deviation);
    expect(found).toBeGreaterThanOrEqual(odds - (odds * odds) / 2 - 3 * deviation);
  });
});

/** A guesser with a full bucket at midnight, who types another code as soon as he may, for 24 powered hours. */
function guessesOfOneDay(first: number, digits: number, codes: ReadonlySet<number>): boolean {
  let state = freshThrottle(rules, 0);
  let at = 0;
  for (let guess = first; at < 86_400; ) {
    const { verdict, state: next } = admitTry(state, rules, { tag: guess, context, poweredSeconds: at });
    state = next;
    if (verdict.kind === "locked-out") at += verdict.retryAfterSeconds;
    else {
      if (codes.has(guess)) return true;
      guess = (guess + 1) % 10 ** digits;
    }
  }
  return false;
}

/** A small generator (mulberry32), so that the run is the same everywhere. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
