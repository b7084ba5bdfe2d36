/**
 * One picture seen from nearer and farther: copies reduced by whole factors, and enlarged ones for tiny pictures. A place at
 * (x, y) of a level stands at (x * scale, y * scale) of the picture, since pixels cover areas.
 */
import type { GreyPicture } from "../grey-picture.ts";

/** `scale`: pixels of the full picture to one of the level; below 1 for enlarged copies. */
export type Level = { readonly picture: GreyPicture; readonly scale: number };

/** Makes levels when asked for and keeps them. */
export class Pyramid {
  readonly #full: GreyPicture;
  readonly #reduced = new Map<number, Level>();
  readonly #enlarged = new Map<number, Level>();

  constructor(full: GreyPicture) {
    this.#full = full;
    this.#reduced.set(1, { picture: full, scale: 1 });
  }

  get full(): GreyPicture {
    return this.#full;
  }

  /** The copy whose every pixel is the mean of `factor` x `factor`. */
  reduced(factor: number): Level {
    const known = this.#reduced.get(factor);
    if (known !== undefined) return known;
    // From the nearest copy that divides it: twice reducing by two reads fewer pixels than once by four.
    let base = 1;
    for (const made of this.#reduced.keys()) if (factor % made === 0 && made > base) base = made;
    const from = this.#reduced.get(base)?.picture ?? this.#full;
    const level = { picture: boxReduced(from, factor / base), scale: factor };
    this.#reduced.set(factor, level);
    return level;
  }

  /** The copy with `factor` times as many pixels a side, by a cubic. */
  enlarged(factor: number): Level {
    if (factor === 1) return this.reduced(1);
    const known = this.#enlarged.get(factor);
    if (known !== undefined) return known;
    const level = { picture: cubicEnlarged(this.#full, factor), scale: 1 / factor };
    this.#enlarged.set(factor, level);
    return level;
  }
}

/** The factor at which the longest side has at most `sidePx` pixels. */
export function factorFor(picture: GreyPicture, sidePx: number): number {
  return Math.max(1, Math.ceil(Math.max(picture.width, picture.height) / sidePx));
}

function boxReduced({ width, height, luma }: GreyPicture, factor: number): GreyPicture {
  const columns = Math.max(1, Math.floor(width / factor));
  const rows = Math.max(1, Math.floor(height / factor));
  const reduced = new Uint8Array(columns * rows);
  const sums = new Uint32Array(columns);
  const area = factor * factor;
  const half = area >> 1;
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let inner = 0; inner < factor; inner++) {
      let at = (row * factor + inner) * width;
      for (let column = 0; column < columns; column++) {
        let sum = 0;
        for (let step = 0; step < factor; step++) sum += luma[at++] ?? 0;
        sums[column] = (sums[column] ?? 0) + sum;
      }
    }
    const to = row * columns;
    for (let column = 0; column < columns; column++) reduced[to + column] = ((sums[column] ?? 0) + half) / area;
  }
  return { width: columns, height: rows, luma: reduced };
}

/** Catmull-Rom, separable: rows first, then columns. */
function cubicEnlarged({ width, height, luma }: GreyPicture, factor: number): GreyPicture {
  const columns = width * factor;
  const rows = height * factor;
  const wide = new Float32Array(columns * height);
  const weights = cubicWeights(factor);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      wide[y * columns + x] = cubicAt(luma, weights, x, factor, y * width, 1, width);
    }
  }
  const enlarged = new Uint8ClampedArray(columns * rows);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      enlarged[y * columns + x] = cubicAt(wide, weights, y, factor, x, columns, height);
    }
  }
  return { width: columns, height: rows, luma: new Uint8Array(enlarged.buffer) };
}

/** Four weights for each of the `factor` places that a small pixel can have in a large one, and where the first weight stands. */
function cubicWeights(factor: number): Float64Array {
  const weights = new Float64Array(5 * factor);
  for (let phase = 0; phase < factor; phase++) {
    const place = (phase + 0.5) / factor - 0.5;
    const first = Math.floor(place);
    const t = place - first;
    weights.set(
      [
        first - 1,
        -0.5 * t + t * t - 0.5 * t * t * t,
        1 - 2.5 * t * t + 1.5 * t * t * t,
        0.5 * t + 2 * t * t - 1.5 * t * t * t,
        -0.5 * t * t + 0.5 * t * t * t,
      ],
      5 * phase,
    );
  }
  return weights;
}

function cubicAt(
  values: Uint8Array | Float32Array,
  weights: Float64Array,
  at: number,
  factor: number,
  from: number,
  stride: number,
  count: number,
): number {
  const whole = Math.floor(at / factor);
  const phase = 5 * (at - whole * factor);
  const first = whole + (weights[phase] ?? 0);
  let sum = 0;
  for (let tap = 0; tap < 4; tap++) {
    const place = Math.min(Math.max(first + tap, 0), count - 1);
    sum += (weights[phase + 1 + tap] ?? 0) * (values[from + place * stride] ?? 0);
  }
  return sum;
}
