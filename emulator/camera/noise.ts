/** Smooth seeded noise of the plane, for plaster, dirt, paper and crumples. */
import type { SeededRandom } from "../world/random.ts";

/** Value noise of any point: about -1..1, smooth over one unit, the same for the same stream of random numbers. */
export type Noise = (x: number, y: number) => number;

/** One octave. Repeats after 64 units, which no picture here shows twice in a row. */
export function smoothNoise(random: SeededRandom): Noise {
  const table = Float32Array.from({ length: side * side }, () => 2 * random.next() - 1);
  return (x, y) => {
    const left = Math.floor(x);
    const top = Math.floor(y);
    const fx = ease(x - left);
    const fy = ease(y - top);
    const column0 = left & mask;
    const column1 = (left + 1) & mask;
    const row0 = (top & mask) * side;
    const row1 = ((top + 1) & mask) * side;
    const upper = (table[row0 + column0] ?? 0) * (1 - fx) + (table[row0 + column1] ?? 0) * fx;
    const lower = (table[row1 + column0] ?? 0) * (1 - fx) + (table[row1 + column1] ?? 0) * fx;
    return upper * (1 - fy) + lower * fy;
  };
}

/** `octaves` layers, each half as large and half as strong as the one before; still about -1..1. */
export function layeredNoise(random: SeededRandom, octaves: number): Noise {
  const one = smoothNoise(random);
  let total = 0;
  for (let octave = 0; octave < octaves; octave++) total += 0.5 ** octave;
  return (x, y) => {
    let sum = 0;
    let scale = 1;
    for (let octave = 0; octave < octaves; octave++) {
      sum += one(x * scale + 17.3 * octave, y * scale + 5.7 * octave) / scale;
      scale *= 2;
    }
    return sum / total;
  };
}

function ease(part: number): number {
  return part * part * (3 - 2 * part);
}

// A power of two, so that the mask also wraps what is below zero.
const side = 64;
const mask = side - 1;
