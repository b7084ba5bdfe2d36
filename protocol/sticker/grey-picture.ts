/** Grey pictures as all of sticker/ takes them, and how they are looked at between pixels and from farther away. */

/** Luma 0 (black) to 255, row by row, one byte a pixel. */
export type GreyPicture = { readonly width: number; readonly height: number; readonly luma: Uint8Array };

/**
 * Luma between pixels, bilinear: a pixel's value stands at its middle, so an edge between pixels 9 and 10 is at 10.0.
 * Beyond the picture its border goes on.
 */
export function lumaAt(picture: GreyPicture, x: number, y: number): number {
  const { width, height, luma } = picture;
  const fromLeft = Math.min(Math.max(x - 0.5, 0), width - 1);
  const fromTop = Math.min(Math.max(y - 0.5, 0), height - 1);
  const left = Math.floor(fromLeft);
  const top = Math.floor(fromTop);
  const right = left + 1 < width ? left + 1 : left;
  const bottom = top + 1 < height ? top + 1 : top;
  const across = fromLeft - left;
  const down = fromTop - top;
  const above = (luma[top * width + left] ?? 0) * (1 - across) + (luma[top * width + right] ?? 0) * across;
  const below = (luma[bottom * width + left] ?? 0) * (1 - across) + (luma[bottom * width + right] ?? 0) * across;
  return above * (1 - down) + below * down;
}

/** A copy whose every pixel is the mean of `factor` x `factor` pixels; what is left over at the right and below is dropped. */
export function reducePicture(picture: GreyPicture, factor: number): GreyPicture {
  if (factor === 1) return picture;
  const width = Math.floor(picture.width / factor);
  const height = Math.floor(picture.height / factor);
  const luma = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let row = 0; row < factor; row++) {
        const from = (y * factor + row) * picture.width + x * factor;
        for (let column = 0; column < factor; column++) sum += picture.luma[from + column] ?? 0;
      }
      luma[y * width + x] = sum / (factor * factor);
    }
  }
  return { width, height, luma };
}

/** Four bytes a pixel, as jsQR wants them. */
export function greyToRgba(picture: GreyPicture): Uint8ClampedArray {
  const rgba = new Uint8ClampedArray(picture.luma.length * 4);
  for (let at = 0; at < picture.luma.length; at++) {
    const luma = picture.luma[at] ?? 0;
    rgba[4 * at] = luma;
    rgba[4 * at + 1] = luma;
    rgba[4 * at + 2] = luma;
    rgba[4 * at + 3] = 255;
  }
  return rgba;
}
