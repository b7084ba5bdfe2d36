/**
 * Finds places that look like the middle of a finder pattern in a black and white copy: runs of dark, light, dark, light, dark
 * in about 1:1:3:1:1 along a row, and again through the middle along the column and the row. A line through the middle of a
 * finder crosses it in these proportions whichever way the finder is turned or tilted.
 */
import type { BitPicture } from "./binarise.ts";

/** `module`: pixels a module, about; `hits`: rows that found it. */
export type FinderSpot = { x: number; y: number; module: number; hits: number };

/**
 * Looks at every `rowStep`-th row. At most `finderSpotsMax` come out, those that most rows found. `open`: the outer ring may run on
 * into something dark, as it does where there is no quiet zone.
 */
export function scanFinders(bits: BitPicture, rowStep: number, open = false): FinderSpot[] {
  const dark = 1;
  const spots: FinderSpot[] = [];
  // Spots that a row here can still hit; in noise there are thousands above it.
  let near: FinderSpot[] = [];
  const starts = new Int32Array(bits.width + 2);
  for (let y = rowStep >> 1; y < bits.height; y += rowStep) {
    const runs = findRuns(bits, y, starts);
    if (near.length > 0) near = near.filter((spot) => spot.y + 4 * spot.module > y);
    const first = bits.dark[y * bits.width] === dark ? 0 : 1;
    for (let run = first; run + 5 <= runs; run += 2) {
      const module = finderModule(
        (starts[run + 1] ?? 0) - (starts[run] ?? 0),
        (starts[run + 2] ?? 0) - (starts[run + 1] ?? 0),
        (starts[run + 3] ?? 0) - (starts[run + 2] ?? 0),
        (starts[run + 4] ?? 0) - (starts[run + 3] ?? 0),
        (starts[run + 5] ?? 0) - (starts[run + 4] ?? 0),
        open,
      );
      if (module > 0)
        checkSpot(bits, { spots, near }, ((starts[run + 2] ?? 0) + (starts[run + 3] ?? 0)) / 2, y, module, open);
    }
  }
  const wanted = spots.filter(({ hits, module }) => hits >= Math.min(2, Math.max(1, module / rowStep)));
  // Noise makes many small spots of few hits; a large finder is hit by many rows.
  const weight = ({ hits, module }: FinderSpot): number => hits / Math.sqrt(module);
  return wanted.sort((a, b) => weight(b) - weight(a)).slice(0, finderSpotsMax);
}

/** Fills where each run of equal pixels begins, and where the last ends; gives the number of runs. */
function findRuns({ dark, width }: BitPicture, y: number, starts: Int32Array): number {
  const from = y * width;
  let runs = 0;
  let colour = -1;
  for (let x = 0; x < width; x++) {
    const here = dark[from + x] ?? 0;
    if (here === colour) continue;
    colour = here;
    starts[runs++] = x;
  }
  starts[runs] = width;
  return runs;
}

/**
 * The module in pixels of five runs in about 1:1:3:1:1, or 0. Dark and light are measured apart, since blur, ink and the
 * threshold make one of them wider at the other's cost.
 */
function finderModule(first: number, b: number, c: number, d: number, last: number, open: boolean): number {
  const inner = (b + c + d) / 5;
  const a = open && first > inner ? inner : first;
  const e = open && last > inner ? inner : last;
  const module = (a + b + c + d + e) / 7;
  if (module < moduleMin) return 0;
  const dark = (a + c + e) / 5;
  const light = (b + d) / 2;
  if (dark > light * colourRatioMax || light > dark * colourRatioMax) return 0;
  const slack = runSlackShare * module + runSlackPx;
  const fits =
    Math.abs(a - dark) <= slack &&
    Math.abs(e - dark) <= slack &&
    Math.abs(b - light) <= slack &&
    Math.abs(d - light) <= slack &&
    Math.abs(c - 3 * dark) <= 2 * slack;
  return fits ? module : 0;
}

type Found = { readonly spots: FinderSpot[]; readonly near: FinderSpot[] };

function checkSpot(bits: BitPicture, found: Found, x: number, y: number, module: number, open: boolean): void {
  // Most rows of a finder find it where the row above did.
  for (const known of found.near) {
    if (known.hits < 3) continue;
    if (
      Math.abs(known.x - x) < 0.8 * known.module &&
      Math.abs(known.y - y) < 1.8 * known.module &&
      alike(known.module, module)
    ) {
      known.hits++;
      return;
    }
  }
  const down = crossFinder(bits, x, y + 0.5, 0, 1, 7 * module, open);
  if (down === undefined || !isTiltOf(down.module, module)) return;
  const middleY = y + 0.5 + down.offset;
  const across = crossFinder(bits, x, middleY, 1, 0, 4 * module, open);
  if (across === undefined || !isTiltOf(across.module, down.module)) return;
  const middleX = x + across.offset;
  merge(found, middleX, middleY, (across.module + down.module) / 2);
}

function merge({ spots, near: active }: Found, x: number, y: number, module: number): void {
  for (const known of active) {
    const near = 1.5 * known.module;
    if (Math.abs(known.x - x) > near || Math.abs(known.y - y) > near || !alike(known.module, module)) continue;
    const share = 1 / (known.hits + 1);
    known.x += (x - known.x) * share;
    known.y += (y - known.y) * share;
    known.module += (module - known.module) * share;
    known.hits++;
    return;
  }
  if (spots.length >= spotsKeptMax) return;
  const spot = { x, y, module, hits: 1 };
  spots.push(spot);
  active.push(spot);
}

/** A finder seen at a slant is much longer one way than the other. */
function isTiltOf(one: number, other: number): boolean {
  return one < tiltRatioMax * other && other < tiltRatioMax * one;
}

function alike(one: number, other: number): boolean {
  return one < moduleRatioMax * other && other < moduleRatioMax * one;
}

/**
 * Walks from the middle both ways along (dx, dy): dark, light, dark, light, dark. Gives how far the true middle is from the
 * start and the module, or undefined. `reach`: pixels that any one run may have.
 */
function crossFinder(
  { dark: pixels, width, height }: BitPicture,
  x: number,
  y: number,
  dx: number,
  dy: number,
  reach: number,
  open: boolean,
): { readonly offset: number; readonly module: number } | undefined {
  const column = Math.floor(x);
  const row = Math.floor(y);
  if (column < 0 || row < 0 || column >= width || row >= height) return undefined;
  if (pixels[row * width + column] !== 1) return undefined;
  const stride = dx + dy * width;
  const ahead = dx === 1 ? width - column : height - row;
  const behind = dx === 1 ? column + 1 : row + 1;
  const at = row * width + column;
  const after = walk(pixels, at, stride, ahead, reach, open);
  const before = walk(pixels, at, -stride, behind, reach, open);
  if (after === undefined || before === undefined) return undefined;
  const middle = after.first + before.first - 1;
  const module = finderModule(before.third, before.second, middle, after.second, after.third, open);
  if (module === 0) return undefined;
  const exact = dx === 1 ? column + 0.5 - x : row + 0.5 - y;
  return { offset: exact + (after.first - before.first) / 2, module };
}

/** Lengths of three runs, dark, light, dark, the start counted in. An open third run is cut off at `reach`. */
function walk(
  pixels: Uint8Array,
  from: number,
  stride: number,
  steps: number,
  reach: number,
  open: boolean,
): { readonly first: number; readonly second: number; readonly third: number } | undefined {
  let step = 0;
  while (step < steps && pixels[from + step * stride] === 1) step++;
  const first = step;
  if (first > reach || step >= steps) return undefined;
  while (step < steps && pixels[from + step * stride] === 0) step++;
  const second = step - first;
  if (second > reach || step >= steps) return undefined;
  const thirdMax = open ? reach : Number.POSITIVE_INFINITY;
  while (step < steps && pixels[from + step * stride] === 1 && step - first - second < thirdMax) step++;
  const third = step - first - second;
  return third > reach ? undefined : { first, second, third };
}

// A finder whose module is smaller is not seen in this copy, but in a finer one.
const moduleMin = 0.9;
const colourRatioMax = 2.6;
const runSlackShare = 0.55;
const runSlackPx = 0.6;
const moduleRatioMax = 2.2;
const tiltRatioMax = 3.2;
const spotsKeptMax = 3000;
const finderSpotsMax = 250;
