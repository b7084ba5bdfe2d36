/**
 * Seeded randomness for everything the emulator invents: the same seed and label give the same numbers on every machine.
 * A label (`"photo/lobby/3"`) starts a stream of its own, so that one part may draw more numbers without changing what
 * another part gets. Not for secrets: whoever knows the seed knows everything.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state and 32 out. State = the first twelve bytes of
 * SHA-256("<seed>/<label>") as three big-endian words, the counter starts at 1, twelve numbers are thrown away.
 */
import { readU32, utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { sha256 } from "../../protocol/crypto.ts";

export type SeededRandom = {
  /** 0 <= number < 1, in steps of 2^-32. */
  next(): number;
  /** Whole, 0 <= number < `max`; `max` 1..2^32. */
  integer(max: number): number;
  bytes(length: number): Uint8Array;
  /** Mean 0, standard deviation 1. */
  gaussian(): number;
};

/** Starts the stream of `label` under `seed` (any safe integer). */
export function seededRandom(seed: number, label: string): SeededRandom {
  assert(Number.isSafeInteger(seed), "a seed is a whole number");
  const digest = sha256(utf8(`${seed}/${label}`));
  let a = readU32(digest, 0);
  let b = readU32(digest, 4);
  let c = readU32(digest, 8);
  let counter = 1;
  const word = (): number => {
    const out = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + out) >>> 0;
    return out;
  };
  for (let thrown = 0; thrown < 12; thrown++) word();
  const next = (): number => word() / 2 ** 32;
  return {
    next,
    integer: (max) => {
      assert(Number.isInteger(max) && max >= 1 && max <= 2 ** 32, "a maximum is 1..2^32");
      return Math.floor(next() * max);
    },
    bytes: (length) => Uint8Array.from({ length }, () => word() & 0xff),
    gaussian: () => {
      // Box-Muller; 1 - next() is never 0, whose logarithm is not finite.
      const radius = Math.sqrt(-2 * Math.log(1 - next()));
      return radius * Math.cos(2 * Math.PI * next());
    },
  };
}
