/**
 * Looks for alignment patterns, and for finders that were not found as such, where the map so far puts them. In a patch of the
 * picture that the map has straightened, the pattern of concentric squares is correlated at every quarter of a module.
 */
import { lumaAt } from "../grey-picture.ts";
import { applyHomography, type Homography, type Point } from "../plane.ts";
import type { Level } from "./pyramid.ts";

/** Concentric squares: by distance from the middle 1 for a light ring, -1 for a dark one. */
export type Pattern = { readonly rings: readonly (1 | -1)[] };

export const alignmentPattern: Pattern = { rings: [-1, 1, -1] };
/** With its separator, which is light all around. */
export const finderPattern: Pattern = { rings: [-1, -1, 1, -1, 1] };

/** `score`: correlation with the pattern, 1 when it is one; `column`, `row`: where the map so far would have its middle. */
export type PatternSpot = Point & { readonly column: number; readonly row: number; readonly score: number };

/**
 * Places that look like the pattern within `reach` modules of (column, row), the middle in module units; best first,
 * at most three, none below `scoreMin`. `x`, `y` are pixels of the full picture.
 */
export function findPattern(
  { rings }: Pattern,
  level: Level,
  map: Homography,
  column: number,
  row: number,
  reach: number,
  scoreMin: number,
): PatternSpot[] {
  const margin = (rings.length - 1) * density + 1;
  const side = fillPatch(level, map, column, row, reach, margin);
  const steps = 2 * Math.round(reach * density) + 1;
  let count = 0;
  for (let down = 0; down < steps; down++) {
    for (let across = 0; across < steps; across++) {
      scores[count++] = patternScore(rings, (down + margin) * side + across + margin, side);
    }
  }
  const found: PatternSpot[] = [];
  const from = Math.round(reach * density);
  for (let turn = 0; turn < spotsMax; turn++) {
    let best = -1;
    let most = scoreMin;
    for (let at = 0; at < count; at++) {
      const away = Math.hypot((at % steps) - from, Math.floor(at / steps) - from) / density;
      const score = (scores[at] ?? 0) - awayCost * away;
      if (score > most && isApart(found, column, row, at, steps, from)) {
        most = score;
        best = at;
      }
    }
    if (best < 0) break;
    const across = (best % steps) - from + peakOffset(best, 1, best % steps > 0 && (best % steps) + 1 < steps);
    const downStep = Math.floor(best / steps);
    const down = downStep - from + peakOffset(best, steps, downStep > 0 && downStep + 1 < steps);
    const place = { column: column + across / density, row: row + down / density };
    found.push({ ...applyHomography(map, place.column, place.row), ...place, score: scores[best] ?? 0 });
  }
  return found;
}

/** Fills the straightened patch, softened over a module's middle; gives its side in samples. */
function fillPatch(
  { picture, scale }: Level,
  map: Homography,
  column: number,
  row: number,
  reach: number,
  margin: number,
): number {
  const half = Math.round(reach * density) + margin;
  const side = 2 * half + 1;
  for (let down = 0; down < side; down++) {
    for (let across = 0; across < side; across++) {
      const { x, y } = applyHomography(map, column + (across - half) / density, row + (down - half) / density);
      raw[down * side + across] = lumaAt(picture, x / scale, y / scale);
    }
  }
  for (let down = 1; down + 1 < side; down++) {
    for (let across = 1; across + 1 < side; across++) {
      const at = down * side + across;
      let sum = 0;
      for (let other = at - side; other <= at + side; other += side) {
        sum += (raw[other - 1] ?? 0) + (raw[other] ?? 0) + (raw[other + 1] ?? 0);
      }
      patch[at] = sum / 9;
    }
  }
  return side;
}

/** Correlation of the modules around a sample with the pattern. */
function patternScore(rings: Pattern["rings"], middle: number, side: number): number {
  const radius = rings.length - 1;
  const count = (2 * radius + 1) ** 2;
  let sum = 0;
  let squares = 0;
  let agreeing = 0;
  let signs = 0;
  for (let down = -radius; down <= radius; down++) {
    for (let across = -radius; across <= radius; across++) {
      const value = patch[middle + (down * side + across) * density] ?? 0;
      const sign = rings[Math.max(Math.abs(down), Math.abs(across))] ?? 1;
      sum += value;
      squares += value * value;
      agreeing += sign * value;
      signs += sign;
    }
  }
  const variance = squares - (sum * sum) / count;
  if (variance < count * contrastVarianceMin) return 0;
  return (agreeing - (sum * signs) / count) / Math.sqrt(variance * (count - (signs * signs) / count));
}

function isApart(
  found: readonly PatternSpot[],
  column: number,
  row: number,
  at: number,
  steps: number,
  from: number,
): boolean {
  const across = column + ((at % steps) - from) / density;
  const down = row + (Math.floor(at / steps) - from) / density;
  return found.every((spot) => Math.hypot(spot.column - across, spot.row - down) > 1.2);
}

/** Where the peak lies between samples, by a parabola. */
function peakOffset(at: number, stride: number, hasNeighbours: boolean): number {
  if (!hasNeighbours) return 0;
  const before = scores[at - stride] ?? 0;
  const here = scores[at] ?? 0;
  const after = scores[at + stride] ?? 0;
  const bend = before - 2 * here + after;
  return bend < 0 ? Math.min(Math.max((0.5 * (before - after)) / bend, -0.5), 0.5) : 0;
}

// Samples a module.
const density = 4;
const patternReachMax = 8;
const patchSideMax = 2 * (patternReachMax * density + 4 * density + 1) + 1;
const raw = new Float64Array(patchSideMax * patchSideMax);
const patch = new Float64Array(patchSideMax * patchSideMax);
const scores = new Float64Array((2 * patternReachMax * density + 1) ** 2);
const spotsMax = 3;
const awayCost = 0.012;
const contrastVarianceMin = 16;
