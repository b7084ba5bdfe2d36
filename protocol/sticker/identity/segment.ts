/**
 * Parts a symbol by what is seen there: our own print, something dark on it, something light, or a pattern that is not ours. It is the
 * module map that shows an overlay.
 *
 * Theory: each module is worth, under each of four explanations, the logarithm of how likely that explanation makes what is seen; our own
 * print agrees almost always, dirt is dark and a torn or washed place light whatever was expected, and a foreign pattern is as good as
 * coins. Neighbours mostly share their explanation, which the mean field of a Potts model says in a dozen rounds of modules * 4 sums.
 * Rules: SPEC Q74.
 */
import type { ModuleRegion } from "./region.ts";

/** What a module shows. */
export const moduleCover = { own: 0, dark: 1, light: 2, foreign: 3 } as const;

/**
 * Gives a `moduleCover` for each module. `expected`: 1 dark, 0 light, 2 not known (it then says nothing for or against us). `dark`: what was
 * seen, 1 dark. Row by row.
 */
export function segmentModules(expected: Uint8Array, dark: Uint8Array, modules: number): Uint8Array {
  let errorRate = errorRateFirst;
  let covers: Uint8Array = new Uint8Array(dark.length);
  for (let round = 0; round < estimateRounds; round++) {
    covers = meanField(worths(expected, dark, errorRate), modules);
    errorRate = ownErrorRate(expected, dark, covers);
  }
  return covers;
}

/** The largest part of one cover whose modules touch, corners included; undefined when there is none. */
export function largestPart(
  covers: Uint8Array,
  modules: number,
  cover: number,
): { readonly region: ModuleRegion; readonly size: number } | undefined {
  const seen = new Uint8Array(covers.length);
  let largest: { readonly region: ModuleRegion; readonly size: number } | undefined;
  for (let from = 0; from < covers.length; from++) {
    if (covers[from] !== cover || seen[from] === 1) continue;
    const part = [from];
    seen[from] = 1;
    for (const at of part) {
      for (const next of neighbours(at, modules)) {
        if (covers[next] !== cover || seen[next] === 1) continue;
        seen[next] = 1;
        part.push(next);
      }
    }
    if (part.length > (largest?.size ?? 0)) largest = { region: boundsOf(part, modules), size: part.length };
  }
  return largest;
}

/** What is left of a cover when the modules at its edge are taken off: thin things vanish. */
export function coverCore(covers: Uint8Array, modules: number, cover: number): Uint8Array {
  return covers.map((own, at) => {
    const isCore = own === cover && neighbours(at, modules).every((near) => covers[near] === cover);
    return isCore ? cover : moduleCover.own;
  });
}

/**
 * How finely dark and light mix inside a cover, 0..2, 1 for coins: the share of touching modules (side by side, one above the other) that
 * differ, added to the same share among those of them that are not as expected.
 */
export function mixing(
  covers: Uint8Array,
  expected: Uint8Array,
  dark: Uint8Array,
  modules: number,
  cover: number,
): number {
  const isWrong = (at: number) => expected[at] !== 2 && expected[at] !== dark[at];
  let [pairs, turns, wrongPairs, wrongTurns] = [0, 0, 0, 0];
  for (let at = 0; at < covers.length; at++) {
    if (covers[at] !== cover) continue;
    for (const next of (at + 1) % modules === 0 ? [at + modules] : [at + 1, at + modules]) {
      if (covers[next] !== cover) continue;
      const turn = dark[at] === dark[next] ? 0 : 1;
      pairs++;
      turns += turn;
      if (!isWrong(at) || !isWrong(next)) continue;
      wrongPairs++;
      wrongTurns += turn;
    }
  }
  return turns / Math.max(1, pairs) + wrongTurns / Math.max(1, wrongPairs);
}

function neighbours(at: number, modules: number): readonly number[] {
  const [column, row] = [at % modules, Math.floor(at / modules)];
  const near: number[] = [];
  for (let y = Math.max(0, row - 1); y <= Math.min(modules - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(modules - 1, column + 1); x++) near.push(y * modules + x);
  }
  return near;
}

function boundsOf(part: readonly number[], modules: number): ModuleRegion {
  let [left, top, right, bottom] = [modules, modules, 0, 0];
  for (const at of part) {
    const [column, row] = [at % modules, Math.floor(at / modules)];
    [left, top] = [Math.min(left, column), Math.min(top, row)];
    [right, bottom] = [Math.max(right, column), Math.max(bottom, row)];
  }
  return { column: left, row: top, columns: right - left + 1, rows: bottom - top + 1 };
}

/** Logarithms of likelihoods, four a module. */
function worths(expected: Uint8Array, dark: Uint8Array, errorRate: number): Float32Array {
  const worth = new Float32Array(4 * dark.length);
  const [agrees, differs] = [Math.log(1 - errorRate), Math.log(errorRate)];
  const [shown, notShown] = [Math.log(1 - coverErrorRate), Math.log(coverErrorRate)];
  for (let at = 0; at < dark.length; at++) {
    const isDark = dark[at] === 1;
    const own = expected[at] === 2 ? Math.LN2 * -1 : expected[at] === dark[at] ? agrees : differs;
    worth[4 * at + moduleCover.own] = own;
    worth[4 * at + moduleCover.dark] = (isDark ? shown : notShown) - coverCost;
    worth[4 * at + moduleCover.light] = (isDark ? notShown : shown) - coverCost;
    worth[4 * at + moduleCover.foreign] = -Math.LN2 - foreignCost;
  }
  return worth;
}

function meanField(worth: Float32Array, modules: number): Uint8Array {
  let belief = softest(boxMean(worth, modules, firstReach));
  for (let round = 0; round < fieldRounds; round++) {
    const around = boxSum(belief, modules);
    const next = new Float32Array(worth.length);
    for (let at = 0; at < worth.length; at++) {
      next[at] = (worth[at] ?? 0) + coupling * ((around[at] ?? 0) - (belief[at] ?? 0));
    }
    belief = softest(next);
  }
  const covers = new Uint8Array(worth.length / 4);
  for (let at = 0; at < covers.length; at++) {
    for (let cover = 1; cover < 4; cover++) {
      if ((belief[4 * at + cover] ?? 0) > (belief[4 * at + (covers[at] ?? 0)] ?? 0)) covers[at] = cover;
    }
  }
  return covers;
}

/** From worths to shares of belief, four by four. */
function softest(worth: Float32Array): Float32Array {
  const belief = new Float32Array(worth.length);
  for (let at = 0; at < worth.length; at += 4) {
    let most = Number.NEGATIVE_INFINITY;
    for (let cover = 0; cover < 4; cover++) most = Math.max(most, worth[at + cover] ?? 0);
    let sum = 0;
    for (let cover = 0; cover < 4; cover++) {
      const share = Math.exp((worth[at + cover] ?? 0) - most);
      belief[at + cover] = share;
      sum += share;
    }
    for (let cover = 0; cover < 4; cover++) belief[at + cover] = (belief[at + cover] ?? 0) / sum;
  }
  return belief;
}

/** Sum over the 3 x 3 around, the middle included. */
function boxSum(values: Float32Array, modules: number): Float32Array {
  return boxTotal(values, modules, 1).sums;
}

/** Sharpened mean: a box of worths counts as a few modules, not as one. */
function boxMean(values: Float32Array, modules: number, reach: number): Float32Array {
  const { sums, counts } = boxTotal(values, modules, reach);
  return sums.map((sum, at) => (firstWeight * sum) / (counts[at >> 2] ?? 1));
}

function boxTotal(values: Float32Array, modules: number, reach: number) {
  const sums = new Float32Array(values.length);
  const counts = new Uint8Array(values.length / 4);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      const [top, bottom] = [Math.max(0, row - reach), Math.min(modules - 1, row + reach)];
      const [left, right] = [Math.max(0, column - reach), Math.min(modules - 1, column + reach)];
      counts[at] = (bottom - top + 1) * (right - left + 1);
      for (let cover = 0; cover < 4; cover++) {
        let sum = 0;
        for (let y = top; y <= bottom; y++) {
          for (let x = left; x <= right; x++) sum += values[4 * (y * modules + x) + cover] ?? 0;
        }
        sums[4 * at + cover] = sum;
      }
    }
  }
  return { sums, counts };
}

function ownErrorRate(expected: Uint8Array, dark: Uint8Array, covers: Uint8Array): number {
  let [own, wrong] = [0, 0];
  for (let at = 0; at < dark.length; at++) {
    if (covers[at] !== moduleCover.own || expected[at] === 2) continue;
    own++;
    if (expected[at] !== dark[at]) wrong++;
  }
  return Math.min(errorRateMax, Math.max(errorRateMin, (wrong + 1) / (own + 2)));
}

// What is printed next to what: one explanation holds for some modules around.
const coupling = 0.55;
const coverErrorRate = 0.03;
const coverCost = 0.05;
const foreignCost = 0.1;
const errorRateFirst = 0.05;
const errorRateMin = 0.01;
// Strewn damage of two fifths of the modules, and a little more.
const errorRateMax = 0.25;
const firstReach = 2;
const firstWeight = 6;
const estimateRounds = 3;
const fieldRounds = 12;
