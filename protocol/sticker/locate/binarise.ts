/**
 * Black and white copies of a grey picture, in which finders are looked for. No one threshold suits all light: a window's mean
 * follows shadows but hollows out what is larger than the window, one threshold for all keeps close-ups whole, and the middle
 * between a window's darkest and lightest stands glare. Reading modules does not use these; it has thresholds of its own.
 */
import type { GreyPicture } from "../grey-picture.ts";

/** 1 where dark, row by row. */
export type BitPicture = { readonly width: number; readonly height: number; readonly dark: Uint8Array };

/** Dark where at least `bias` below the mean of the window of `window` x `window` pixels around. */
export function binariseByMean(picture: GreyPicture, window: number, bias: number): BitPicture {
  const { width, height, luma } = picture;
  const dark = new Uint8Array(width * height);
  const means = new MeanRows(picture, window);
  for (let y = 0; y < height; y++) {
    const row = means.next();
    const from = y * width;
    for (let x = 0; x < width; x++) dark[from + x] = (luma[from + x] ?? 0) + bias <= (row[x] ?? 0) ? 1 : 0;
  }
  return { width, height, dark };
}

/** Each pixel's difference from the mean of the window around it, times `amount`, added to it: undoes some blur. */
export function sharpened(picture: GreyPicture, window: number, amount: number): GreyPicture {
  const { width, height, luma } = picture;
  const sharp = new Uint8ClampedArray(width * height);
  const means = new MeanRows(picture, window);
  for (let y = 0; y < height; y++) {
    const row = means.next();
    const from = y * width;
    for (let x = 0; x < width; x++) {
      const value = luma[from + x] ?? 0;
      sharp[from + x] = value + amount * (value - (row[x] ?? 0));
    }
  }
  return { width, height, luma: new Uint8Array(sharp.buffer) };
}

/** Means of the window around each pixel, a row at a time from the top; what is beyond the picture is left out. */
class MeanRows {
  readonly #picture: GreyPicture;
  readonly #radius: number;
  readonly #columns: Uint32Array;
  readonly #means: Float32Array;
  #y = 0;

  constructor(picture: GreyPicture, window: number) {
    this.#picture = picture;
    this.#radius = Math.max(1, window >> 1);
    this.#columns = new Uint32Array(picture.width);
    this.#means = new Float32Array(picture.width);
    for (let y = 0; y < Math.min(this.#radius, picture.height); y++) addRow(this.#columns, picture, y, 1);
  }

  /** The same array each time. */
  next(): Float32Array {
    const { width, height } = this.#picture;
    const columns = this.#columns;
    const means = this.#means;
    const radius = this.#radius;
    const y = this.#y++;
    if (y + radius < height) addRow(columns, this.#picture, y + radius, 1);
    if (y - radius - 1 >= 0) addRow(columns, this.#picture, y - radius - 1, -1);
    const rows = Math.min(height - 1, y + radius) - Math.max(0, y - radius) + 1;
    let sum = 0;
    let across = Math.min(radius, width);
    for (let x = 0; x < across; x++) sum += columns[x] ?? 0;
    for (let x = 0; x < width; x++) {
      if (x + radius < width) {
        sum += columns[x + radius] ?? 0;
        across++;
      }
      if (x - radius - 1 >= 0) {
        sum -= columns[x - radius - 1] ?? 0;
        across--;
      }
      means[x] = sum / (rows * across);
    }
    return means;
  }
}

function addRow(columns: Uint32Array, { luma, width }: GreyPicture, y: number, sign: number): void {
  const from = y * width;
  for (let x = 0; x < width; x++) columns[x] = (columns[x] ?? 0) + sign * (luma[from + x] ?? 0);
}

/** One threshold for the whole picture, which parts its luma into the two most unlike classes (Otsu 1979). */
export function binariseByOtsu({ width, height, luma }: GreyPicture): BitPicture {
  const histogram = new Float64Array(256);
  for (let at = 0; at < luma.length; at++) {
    const value = luma[at] ?? 0;
    histogram[value] = (histogram[value] ?? 0) + 1;
  }
  const threshold = otsuThreshold(histogram);
  const dark = new Uint8Array(width * height);
  for (let at = 0; at < luma.length; at++) dark[at] = (luma[at] ?? 0) <= threshold ? 1 : 0;
  return { width, height, dark };
}

/** The last value of the lower class. */
function otsuThreshold(histogram: Float64Array): number {
  let total = 0;
  let sum = 0;
  for (const [value, count] of histogram.entries()) {
    total += count;
    sum += value * count;
  }
  let below = 0;
  let sumBelow = 0;
  let best = -1;
  let threshold = 0;
  for (const [value, count] of histogram.entries()) {
    below += count;
    if (below === 0) continue;
    const above = total - below;
    if (above === 0) break;
    sumBelow += value * count;
    const apart = sumBelow / below - (sum - sumBelow) / above;
    const between = below * above * apart * apart;
    if (between > best) {
      best = between;
      threshold = value;
    }
  }
  return threshold;
}

/**
 * Dark where below the middle between the darkest and the lightest of the blocks around: `block` pixels a block, `reach` blocks each
 * way. Blocks of too little contrast count as light, or as their neighbours do.
 */
export function binariseByMiddle({ width, height, luma }: GreyPicture, block: number, reach: number): BitPicture {
  const columns = Math.ceil(width / block);
  const rows = Math.ceil(height / block);
  const least = new Uint8Array(columns * rows).fill(255);
  const most = new Uint8Array(columns * rows);
  for (let y = 0; y < height; y++) {
    const blockRow = Math.floor(y / block) * columns;
    for (let x = 0; x < width; x++) {
      const at = blockRow + Math.floor(x / block);
      const value = luma[y * width + x] ?? 0;
      if (value < (least[at] ?? 0)) least[at] = value;
      if (value > (most[at] ?? 0)) most[at] = value;
    }
  }
  const middles = middlesOf(least, most, columns, rows, reach);
  const dark = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const blockRow = Math.floor(y / block) * columns;
    for (let x = 0; x < width; x++) {
      dark[y * width + x] = (luma[y * width + x] ?? 0) <= (middles[blockRow + Math.floor(x / block)] ?? 0) ? 1 : 0;
    }
  }
  return { width, height, dark };
}

function middlesOf(least: Uint8Array, most: Uint8Array, columns: number, rows: number, reach: number): Uint8Array {
  const middles = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let low = 255;
      let high = 0;
      for (let y = Math.max(0, row - reach); y <= Math.min(rows - 1, row + reach); y++) {
        for (let x = Math.max(0, column - reach); x <= Math.min(columns - 1, column + reach); x++) {
          low = Math.min(low, least[y * columns + x] ?? 0);
          high = Math.max(high, most[y * columns + x] ?? 0);
        }
      }
      middles[row * columns + column] = high - low < contrastMin ? low >> 1 : (low + high) >> 1;
    }
  }
  return middles;
}

/** Mean of 3 x 3 with the middle counted four times, the sides twice: takes out moire and noise. */
export function blurred({ width, height, luma }: GreyPicture): GreyPicture {
  const rowsOnly = new Uint16Array(width * height);
  const soft = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = y * width;
    for (let x = 0; x < width; x++) {
      const left = luma[from + (x > 0 ? x - 1 : 0)] ?? 0;
      const right = luma[from + (x + 1 < width ? x + 1 : x)] ?? 0;
      rowsOnly[from + x] = left + 2 * (luma[from + x] ?? 0) + right;
    }
  }
  for (let y = 0; y < height; y++) {
    const from = y * width;
    const above = y > 0 ? from - width : from;
    const below = y + 1 < height ? from + width : from;
    for (let x = 0; x < width; x++) {
      const sum = (rowsOnly[above + x] ?? 0) + 2 * (rowsOnly[from + x] ?? 0) + (rowsOnly[below + x] ?? 0);
      soft[from + x] = (sum + 8) >> 4;
    }
  }
  return { width, height, luma: soft };
}

export function inverted({ width, height, luma }: GreyPicture): GreyPicture {
  return { width, height, luma: luma.map((value) => 255 - value) };
}

// Less than this within the window is paper or noise.
const contrastMin = 24;
