/**
 * What the fuzz tests share. Random bytes hardly ever get past a decoder's first check, so most inputs are sound ones with a few
 * changes: bits, bytes that mean something to CBOR, runs put in, taken out, said twice, or brought from another sound input.
 *
 * `DOORLINK_FUZZ_RUNS=100000 vitest run test/protocol/decoders.fuzz.test.ts` runs each property so often instead.
 */
import fc from "fast-check";
import { concatBytes } from "../../protocol/base/bytes.ts";

const asked = Number(process.env["DOORLINK_FUZZ_RUNS"] ?? 0);

/** Options of a property: `usual` runs, or as many as the environment asks for. */
export function fuzzRuns(usual: number): { readonly numRuns: number } {
  return { numRuns: Number.isSafeInteger(asked) && asked > 0 ? asked : usual };
}

/** The same, with inputs that every run tries first: a test that counts its outcomes must not leave one of them to luck. */
export function fuzzRunsFrom<Inputs>(
  examples: Inputs[],
  usual: number,
): { readonly numRuns: number; readonly examples: Inputs[] } {
  return { numRuns: fuzzRuns(usual).numRuns, examples };
}

/** A campaign may take hours; the usual runs take seconds, and what hangs is stopped. */
export const fuzzTimeout = { timeout: asked > 0 ? 86_400_000 : 30_000 };

/** Sound inputs with up to five changes, and now and then bytes that are nothing at all. */
export function almost(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit(seeds), { maxLength: 5 }))
    .map(([seed, edits]) => edits.reduce((bytes, change) => change(bytes), seed));
  return fc.oneof({ weight: 9, arbitrary: changed }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }) });
}

/** The same for texts; `letters` are those that mean something to the reader. */
export function almostText(seeds: readonly string[], letters: string): fc.Arbitrary<string> {
  const piece = fc.string({ unit: fc.constantFrom(...letters, "\u00e9", "\ud800", "\n", "\0"), maxLength: 3 });
  const change = fc.tuple(fc.nat(), fc.nat(3), piece);
  const changed = fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 4 }))
    .map(([seed, changes]) => changes.reduce(putIn, seed));
  return fc.oneof({ weight: 9, arbitrary: changed }, { weight: 1, arbitrary: fc.string({ maxLength: 200 }) });
}

function putIn(text: string, [place, remove, piece]: readonly [number, number, string]): string {
  const at = place % (text.length + 1);
  return text.slice(0, at) + piece + text.slice(at + remove);
}

type Change = (bytes: Uint8Array) => Uint8Array;

function edit(seeds: readonly Uint8Array[]): fc.Arbitrary<Change> {
  const place = fc.nat(0xffff);
  const run = fc.nat(12);
  return fc.oneof(
    fc.tuple(place, fc.nat(7)).map(
      ([at, bit]): Change =>
        (bytes) =>
          replaced(bytes, at, (byte) => byte ^ (1 << bit)),
    ),
    fc.tuple(place, telling).map(
      ([at, byte]): Change =>
        (bytes) =>
          replaced(bytes, at, () => byte),
    ),
    fc.tuple(place, fc.array(telling, { maxLength: 4 })).map(
      ([at, put]): Change =>
        (bytes) =>
          spliced(bytes, at, 0, Uint8Array.from(put)),
    ),
    fc.tuple(place, run).map(
      ([at, count]): Change =>
        (bytes) =>
          spliced(bytes, at, count, new Uint8Array(0)),
    ),
    place.map(
      (at): Change =>
        (bytes) =>
          bytes.slice(0, at % (bytes.length + 1)),
    ),
    fc.tuple(place, run).map(
      ([at, count]): Change =>
        (bytes) => {
          const from = at % (bytes.length + 1);
          return spliced(bytes, from, 0, bytes.slice(from, from + count));
        },
    ),
    fc.tuple(fc.constantFrom(...seeds), place, place, run).map(
      ([other, from, at, count]): Change =>
        (bytes) => {
          const start = from % (other.length + 1);
          return spliced(bytes, at, count, other.slice(start, start + count));
        },
    ),
  );
}

/** Ends of ranges, and heads of CBOR: longer than needed, indefinite, maps, arrays, tags, floats, null. */
const telling = fc.oneof(
  fc.constantFrom(0, 1, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x3b, 0x40, 0x5f, 0x60, 0x7f, 0x80, 0x81, 0x9f, 0xa0),
  fc.constantFrom(0xa1, 0xbf, 0xc0, 0xd8, 0xe0, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfb, 0xfe, 0xff),
  fc.integer({ min: 0, max: 255 }),
);

function replaced(bytes: Uint8Array, place: number, change: (byte: number) => number): Uint8Array {
  if (bytes.length === 0) return bytes;
  const copy = Uint8Array.from(bytes);
  const at = place % copy.length;
  copy[at] = change(copy[at] ?? 0);
  return copy;
}

function spliced(bytes: Uint8Array, place: number, remove: number, put: Uint8Array): Uint8Array {
  const at = place % (bytes.length + 1);
  return concatBytes(bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + remove)));
}
