/** The fuzz promise of the sticker reader: whatever a picture shows, a text or a named fault, never a throw (SPEC Q20). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import { readSymbol } from "../../../protocol/sticker/read-symbol.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { isDark, payloadToSymbol } from "../../../protocol/sticker/symbol.ts";
import { fuzzRuns, fuzzRunsFrom, fuzzTimeout } from "../fuzz.ts";

const modulePx = 3;
const margin = 4;

/** A symbol as a perfect printer gives it, small, so that a run takes milliseconds. */
function drawn(text: string): GreyPicture {
  const symbol = payloadToSymbol(text, defaultStickerSpecification);
  if (!symbol.ok) throw new Error(symbol.fault.code);
  const side = (symbol.value.modules + 2 * margin) * modulePx;
  const luma = new Uint8Array(side * side).fill(255);
  for (let at = 0; at < luma.length; at++) {
    const column = Math.floor((at % side) / modulePx) - margin;
    const row = Math.floor(Math.floor(at / side) / modulePx) - margin;
    const { modules } = symbol.value;
    const isInside = column >= 0 && row >= 0 && column < modules && row < modules;
    if (isInside && isDark(symbol.value, column, row)) luma[at] = 0;
  }
  return { width: side, height: side, luma };
}
const picture = drawn("HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5");

interface Stain {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Undefined: inverted. */
  readonly luma: number | undefined;
}
const stain: fc.Arbitrary<Stain> = fc.record({
  left: fc.nat(picture.width - 1),
  top: fc.nat(picture.height - 1),
  width: fc.integer({ min: 1, max: 30 }),
  height: fc.integer({ min: 1, max: 30 }),
  luma: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
});

/** Over everything: nothing is left to read. */
const blank: Stain = { left: 0, top: 0, width: picture.width, height: picture.height, luma: 255 };

function stained({ width, height, luma }: GreyPicture, stains: readonly Stain[]): GreyPicture {
  const copy = Uint8Array.from(luma);
  for (const each of stains) {
    for (let y = each.top; y < Math.min(height, each.top + each.height); y++) {
      for (let x = each.left; x < Math.min(width, each.left + each.width); x++) {
        copy[y * width + x] = each.luma ?? 255 - (copy[y * width + x] ?? 0);
      }
    }
  }
  return { width, height, luma: copy };
}

/** A part of the picture, as a hand that shakes cuts it off. */
function cropped(whole: GreyPicture, left: number, top: number, width: number, height: number): GreyPicture {
  const luma = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) luma[y * width + x] = whole.luma[(y + top) * whole.width + x + left] ?? 255;
  }
  return { width, height, luma };
}

function expectNamed(result: ReturnType<typeof readSymbol>): void {
  if (result.ok) expect(result.value.text).not.toBe("");
  else expect(result.fault.code).toBe("no-symbol");
}

describe("any picture", () => {
  it("[Q20] a symbol with stains, holes and inverted patches", fuzzTimeout, () => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(stain, { maxLength: 6 }), (stains) => {
        const result = readSymbol(stained(picture, stains), 4);
        seen[result.ok ? "read" : "refused"]++;
        expectNamed(result);
      }),
      fuzzRunsFrom<[Stain[]]>([[[]], [[blank]]], 40),
    );
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(0);
  });

  it("[Q20] a part of a symbol, of any size", fuzzTimeout, () => {
    const place = fc.nat(picture.width - 1);
    fc.assert(
      fc.property(place, place, fc.nat(), fc.nat(), (left, top, width, height) => {
        const room = picture.width;
        const cut = cropped(picture, left, top, 1 + (width % (room - left)), 1 + (height % (room - top)));
        expectNamed(readSymbol(cut, 4));
      }),
      fuzzRuns(120),
    );
  });

  it("[Q20] noise of any size", fuzzTimeout, () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, fc.uint8Array({ minLength: 1600, maxLength: 1600 }), (width, height, noise) => {
        expectNamed(readSymbol({ width, height, luma: noise.slice(0, width * height) }, 4));
      }),
      fuzzRuns(60),
    );
  });
});
