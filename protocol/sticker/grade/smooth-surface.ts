/** A polynomial surface over a symbol, fitted by least squares to values at places; what is far off it is left out. */
import { solveLinear } from "../plane.ts";

/** In modules of the symbol. */
export type SurfaceSample = { readonly column: number; readonly row: number; readonly value: number };

export type Surface = (column: number, row: number) => number;

/**
 * Fits a surface of `degree` in two turns; in the second, samples farther from the first than four times the median miss, and farther
 * than `missMin`, are left out as damage. Undefined when the samples do not fix a surface.
 */
export function fitSurface(
  samples: readonly SurfaceSample[],
  modules: number,
  degree: number,
  missMin: number,
): Surface | undefined {
  const count = ((degree + 1) * (degree + 2)) / 2;
  const terms = samples.map(({ column, row }) => termsAt(column, row, modules, degree));
  let factors: Float64Array | undefined;
  let allowed = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 2; turn++) {
    const normal = new Float64Array(count * count);
    const right = new Float64Array(count);
    for (const [at, { value }] of samples.entries()) {
      const row = terms[at] ?? new Float64Array(count);
      if (factors !== undefined && Math.abs(value - combine(factors, row)) > allowed) continue;
      for (let i = 0; i < count; i++) {
        const left = row[i] ?? 0;
        right[i] = (right[i] ?? 0) + left * value;
        for (let j = 0; j < count; j++) normal[i * count + j] = (normal[i * count + j] ?? 0) + left * (row[j] ?? 0);
      }
    }
    const solved = solveLinear(normal, right);
    if (solved === undefined) break;
    factors = solved;
    const misses = samples.map(({ value }, at) => Math.abs(value - combine(solved, terms[at] ?? solved)));
    allowed = Math.max(4 * (misses.toSorted((a, b) => a - b)[Math.floor(misses.length / 2)] ?? 0), missMin);
  }
  if (factors === undefined) return undefined;
  const fitted = factors;
  return (column, row) => combine(fitted, termsAt(column, row, modules, degree));
}

function combine(factors: Float64Array, terms: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < terms.length; at++) sum += (factors[at] ?? 0) * (terms[at] ?? 0);
  return sum;
}

/** All products of powers up to the degree, of places scaled to -1..1. */
function termsAt(column: number, row: number, modules: number, degree: number): Float64Array {
  const x = (2 * column) / modules - 1;
  const y = (2 * row) / modules - 1;
  const terms = new Float64Array(((degree + 1) * (degree + 2)) / 2);
  let at = 0;
  let powerX = 1;
  for (let i = 0; i <= degree; i++) {
    let product = powerX;
    for (let j = 0; i + j <= degree; j++) {
      terms[at++] = product;
      product *= y;
    }
    powerX *= x;
  }
  return terms;
}
