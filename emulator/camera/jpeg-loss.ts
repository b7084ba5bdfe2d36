/**
 * What a JPEG file takes from a grey picture: 8 x 8 cosine transform, rounding by the standard's luminance table at a
 * quality 1..100, and back. No file is made, so it gives the same bytes on every machine.
 * Source: ITU-T T.81 annex K.1 (table), and the usual quality scaling of libjpeg.
 */
import { assert } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";

export function loseAsJpeg(picture: GreyPicture, quality: number): GreyPicture {
  assert(quality >= 1 && quality <= 100, "JPEG quality is 1..100");
  const { width, height } = picture;
  const steps = quantisation(quality);
  const luma = new Uint8Array(picture.luma.length);
  const block = new Float32Array(64);
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      readBlock(picture, left, top, block);
      transform(block, forward);
      for (let at = 0; at < 64; at++) {
        const step = steps[at] ?? 1;
        block[at] = Math.round((block[at] ?? 0) / step) * step;
      }
      transform(block, backward);
      writeBlock(luma, width, height, left, top, block);
    }
  }
  return { width, height, luma };
}

/** Beyond the right and lower edges the last pixels go on. */
function readBlock({ width, height, luma }: GreyPicture, left: number, top: number, block: Float32Array): void {
  for (let row = 0; row < 8; row++) {
    const from = Math.min(top + row, height - 1) * width;
    for (let column = 0; column < 8; column++) {
      block[row * 8 + column] = (luma[from + Math.min(left + column, width - 1)] ?? 0) - 128;
    }
  }
}

function writeBlock(
  luma: Uint8Array,
  width: number,
  height: number,
  left: number,
  top: number,
  block: Float32Array,
): void {
  for (let row = 0; row < 8 && top + row < height; row++) {
    for (let column = 0; column < 8 && left + column < width; column++) {
      const value = Math.round((block[row * 8 + column] ?? 0) + 128);
      luma[(top + row) * width + left + column] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
}

/** `block` becomes basis * block * basis transposed. */
function transform(block: Float32Array, basis: Float32Array): void {
  for (let row = 0; row < 8; row++) {
    for (let column = 0; column < 8; column++) {
      let sum = 0;
      for (let at = 0; at < 8; at++) sum += (block[row * 8 + at] ?? 0) * (basis[column * 8 + at] ?? 0);
      half[row * 8 + column] = sum;
    }
  }
  for (let row = 0; row < 8; row++) {
    for (let column = 0; column < 8; column++) {
      let sum = 0;
      for (let at = 0; at < 8; at++) sum += (basis[row * 8 + at] ?? 0) * (half[at * 8 + column] ?? 0);
      block[row * 8 + column] = sum;
    }
  }
}

function quantisation(quality: number): Float32Array {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return Float32Array.from(luminanceTable, (step) => Math.max(1, Math.min(255, Math.floor((step * scale + 50) / 100))));
}

const half = new Float32Array(64);
const forward = Float32Array.from({ length: 64 }, (_, index) => {
  const [frequency, at] = [index >> 3, index & 7];
  return (frequency === 0 ? Math.SQRT1_2 : 1) * 0.5 * Math.cos(((2 * at + 1) * frequency * Math.PI) / 16);
});
const backward = Float32Array.from({ length: 64 }, (_, index) => forward[(index & 7) * 8 + (index >> 3)] ?? 0);

const luminanceTable = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
