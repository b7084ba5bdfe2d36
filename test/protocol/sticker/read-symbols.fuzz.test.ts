/** The fuzz promise of the reader of photographs: whatever a picture shows, readings or none, never a throw, in bounded work (SPEC Q32). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeSymbol } from "../../../emulator/camera/symbol-maker.ts";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import { locateSymbols, readSymbols } from "../../../protocol/sticker/read-symbols.ts";
import { fuzzRuns, fuzzRunsFrom, fuzzTimeout } from "../fuzz.ts";
import { drawUpright } from "./drawn-symbols.ts";

const text = "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5";
const picture = drawUpright(makeSymbol(text, "Q", 5, 4), 4);

const patch = fc.record({
  left: fc.nat(picture.width - 1),
  top: fc.nat(picture.height - 1),
  width: fc.integer({ min: 1, max: 60 }),
  height: fc.integer({ min: 1, max: 60 }),
  /** Undefined: moved here from the other end of the picture. */
  luma: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
});

type Patch = typeof patch extends fc.Arbitrary<infer Value> ? Value : never;

function patched({ width, height, luma }: GreyPicture, patches: readonly Patch[]): GreyPicture {
  const copy = Uint8Array.from(luma);
  for (const each of patches) {
    for (let y = each.top; y < Math.min(height, each.top + each.height); y++) {
      for (let x = each.left; x < Math.min(width, each.left + each.width); x++) {
        copy[y * width + x] = each.luma ?? luma[luma.length - 1 - y * width - x] ?? 0;
      }
    }
  }
  return { width, height, luma: copy };
}

describe("any picture", () => {
  it("[Q32] a symbol with holes and misplaced patches: its own text or none", fuzzTimeout, () => {
    let read = 0;
    fc.assert(
      fc.property(fc.array(patch, { maxLength: 8 }), (patches) => {
        const readings = readSymbols(patched(picture, patches));
        for (const reading of readings) expect(reading.text).toBe(text);
        read += readings.length;
      }),
      fuzzRunsFrom<[Patch[]]>([[[]]], 10),
    );
    expect(read).toBeGreaterThan(0);
  });

  it("[Q32] noise, flat colour and stripes of any size down to one pixel", fuzzTimeout, () => {
    const side = fc.integer({ min: 1, max: 60 });
    const kind = fc.constantFrom("noise", "flat", "stripes", "blocks");
    fc.assert(
      fc.property(side, side, kind, fc.uint8Array({ minLength: 64, maxLength: 64 }), (width, height, what, seed) => {
        const value = (at: number): number => {
          const [x, y] = [at % width, Math.floor(at / width)];
          if (what === "flat") return seed[0] ?? 0;
          if (what === "stripes") return seed[x % 16] ?? 0;
          if (what === "blocks") return (seed[((x >> 2) * 7 + (y >> 2) * 13) % 64] ?? 0) > 128 ? 255 : 0;
          return seed[(at * 31 + y * 17) % 64] ?? 0;
        };
        const luma = Uint8Array.from({ length: width * height }, (_, at) => value(at));
        expect(readSymbols({ width, height, luma })).toEqual([]);
        for (const { score, map } of locateSymbols({ width, height, luma })) {
          expect(score).toBeLessThanOrEqual(1);
          expect(Number.isFinite(map.toPicture(0, 0).x)).toBe(true);
        }
      }),
      fuzzRuns(40),
    );
  });
});
