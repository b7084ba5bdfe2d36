/**
 * Where in a symbol the modules stop agreeing: the rectangle that explains the wrong modules better than any other, and whether
 * there is one at all or the wrong modules are strewn.
 *
 * Theory: inside, modules agree by chance; outside, almost always. Each module is worth the logarithm of how much likelier it is inside
 * than outside; the rectangle with the largest sum is found row band by row band in modules^3 steps. Whoever may choose among
 * all rectangles always finds something: the logarithm of their number is the price. Rules: SPEC Q72, Q74.
 */

/** In modules; `column` and `row` are its top left one. */
export type ModuleRegion = {
  readonly column: number;
  readonly row: number;
  readonly columns: number;
  readonly rows: number;
};

/** What is counted in and around a region; unknown modules count nowhere. */
export type RegionCount = {
  readonly region: ModuleRegion;
  readonly inside: number;
  readonly wrongInside: number;
  /** Of `wrongInside`: light modules that look dark. */
  readonly darkenedInside: number;
  readonly outside: number;
  readonly wrongOutside: number;
  /** Nats by which two rates explain the wrong modules better than one does; the price of choosing is not taken off. */
  readonly gain: number;
};

/** Per module: 0 agrees, 1 wrongly light, 2 wrongly dark, 3 not known. */
export const moduleFit = { agrees: 0, lightened: 1, darkened: 2, unknown: 3 } as const;

/** Finds the rectangle. `fit` holds a `moduleFit` a module, row by row. Undefined when nothing is wrong. */
export function findWrongRegion(fit: Uint8Array, modules: number): RegionCount | undefined {
  let wrong = 0;
  let known = 0;
  for (const one of fit) {
    if (one === moduleFit.unknown) continue;
    known++;
    if (one !== moduleFit.agrees) wrong++;
  }
  if (wrong === 0) return undefined;
  // From "hardly anything is wrong outside" to what was found to be wrong outside.
  let best: RegionCount | undefined;
  let outsideRate = Math.min(outsideRateMax, Math.max(outsideRateMin, wrong / known / 4));
  for (let round = 0; round < rounds; round++) {
    const region = largestSum(fit, modules, outsideRate);
    const count = countRegion(fit, modules, region);
    if (best === undefined || count.gain > best.gain) best = count;
    outsideRate = Math.min(outsideRateMax, Math.max(outsideRateMin, count.wrongOutside / Math.max(1, count.outside)));
  }
  return best;
}

/** The logarithm of the number of rectangles in a symbol. */
export function regionPrice(modules: number): number {
  return 2 * Math.log((modules * (modules + 1)) / 2);
}

export function isInRegion(region: ModuleRegion, column: number, row: number): boolean {
  return (
    column >= region.column &&
    row >= region.row &&
    column < region.column + region.columns &&
    row < region.row + region.rows
  );
}

/** Kadane's scan over every band of rows. */
function largestSum(fit: Uint8Array, modules: number, outsideRate: number): ModuleRegion {
  const wrongValue = Math.log(insideRate / outsideRate);
  const rightValue = Math.log((1 - insideRate) / (1 - outsideRate));
  let best = Number.NEGATIVE_INFINITY;
  let region: ModuleRegion = { column: 0, row: 0, columns: 1, rows: 1 };
  const sums = new Float64Array(modules);
  for (let top = 0; top < modules; top++) {
    sums.fill(0);
    for (let bottom = top; bottom < modules; bottom++) {
      let sum = 0;
      let from = 0;
      for (let column = 0; column < modules; column++) {
        const one = fit[bottom * modules + column];
        const value = one === moduleFit.unknown ? 0 : one === moduleFit.agrees ? rightValue : wrongValue;
        const here = (sums[column] ?? 0) + value;
        sums[column] = here;
        if (sum <= 0) {
          sum = 0;
          from = column;
        }
        sum += here;
        if (sum > best) {
          best = sum;
          region = { column: from, row: top, columns: column - from + 1, rows: bottom - top + 1 };
        }
      }
    }
  }
  return region;
}

function countRegion(fit: Uint8Array, modules: number, region: ModuleRegion): RegionCount {
  let [inside, wrongInside, darkenedInside, outside, wrongOutside] = [0, 0, 0, 0, 0];
  for (const [at, one] of fit.entries()) {
    if (one === moduleFit.unknown) continue;
    const isWrong = one !== moduleFit.agrees;
    if (isInRegion(region, at % modules, Math.floor(at / modules))) {
      inside++;
      if (isWrong) wrongInside++;
      if (one === moduleFit.darkened) darkenedInside++;
    } else {
      outside++;
      if (isWrong) wrongOutside++;
    }
  }
  const gain =
    likelihood(wrongInside, inside) +
    likelihood(wrongOutside, outside) -
    likelihood(wrongInside + wrongOutside, inside + outside);
  return {
    region,
    inside,
    wrongInside,
    darkenedInside,

    outside,
    wrongOutside,
    gain,
  };
}

/** The logarithm of how likely `wrong` of `all` are at their own rate. */
function likelihood(wrong: number, all: number): number {
  const right = all - wrong;
  return (wrong === 0 ? 0 : wrong * Math.log(wrong / all)) + (right === 0 ? 0 : right * Math.log(right / all));
}

// A foreign symbol agrees with ours by chance on half of its modules; dirt agrees on the dark ones, which is about half too.
const insideRate = 0.5;
const outsideRateMin = 0.005;
const outsideRateMax = 0.25;
const rounds = 3;
