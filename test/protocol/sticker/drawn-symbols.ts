/** Symbols drawn straight into grey pixels, for what the emulated camera need not be asked about. */
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";

export type DrawnSymbol = { readonly modules: number; readonly dark: Uint8Array };

/** A symbol turned by `turn` (radians) in the middle of white paper, each pixel the mean over its area and a blur of `blur` modules. */
export function drawTurned({ modules, dark }: DrawnSymbol, modulePx: number, turn: number, blur: number): GreyPicture {
  const side = Math.ceil((modules + 8) * modulePx * Math.SQRT2);
  const luma = new Uint8Array(side * side);
  const offsets = boxOffsets.flatMap((box) => gaussQuantiles.map((step) => box + step * blur * modulePx));
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let light = 0;
      for (const dy of offsets) {
        for (const dx of offsets) {
          const across = (x + 0.5 + dx - side / 2) / modulePx;
          const down = (y + 0.5 + dy - side / 2) / modulePx;
          const column = Math.floor(across * Math.cos(turn) + down * Math.sin(turn) + modules / 2);
          const row = Math.floor(down * Math.cos(turn) - across * Math.sin(turn) + modules / 2);
          const isInside = column >= 0 && row >= 0 && column < modules && row < modules;
          if (!isInside || dark[row * modules + column] !== 1) light++;
        }
      }
      luma[y * side + x] = Math.round((255 * light) / offsets.length ** 2);
    }
  }
  return { width: side, height: side, luma };
}

/** A symbol upright with `quiet` modules of paper around it. */
export function drawUpright({ modules, dark }: DrawnSymbol, modulePx: number, quiet = 4): GreyPicture {
  const side = (modules + 2 * quiet) * modulePx;
  const luma = new Uint8Array(side * side).fill(255);
  for (let at = 0; at < luma.length; at++) {
    const column = Math.floor((at % side) / modulePx) - quiet;
    const row = Math.floor(Math.floor(at / side) / modulePx) - quiet;
    const isInside = column >= 0 && row >= 0 && column < modules && row < modules;
    if (isInside && dark[row * modules + column] === 1) luma[at] = 0;
  }
  return { width: side, height: side, luma };
}

const boxOffsets = [-0.375, -0.125, 0.125, 0.375];
const gaussQuantiles = [-1.15, -0.32, 0.32, 1.15];
