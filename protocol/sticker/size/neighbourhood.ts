/**
 * What lies around a symbol, seen straight on: a plane parallel to the sticker's face as a picture in mm, its edges and the straight
 * lines that many of them lie on.
 *
 * Theory: the symbol tells how the wall is tilted, so its surroundings can be drawn as a scanner would see them; there the
 * sides of a rectangle are parallel pairs of lines at right angles. Lines come from a Hough transform in which each edge
 * point votes only for directions near its own gradient's, with a vote that hardly grows with contrast: a long faint side counts more
 * than a short strong one.
 */
import { type GreyPicture, lumaAt, reducePicture } from "../grey-picture.ts";
import type { Point } from "../plane.ts";

/** Face coordinates: mm from the symbol's middle, as large as the module is taken to be. */
export type Neighbourhood = {
  readonly left: number;
  readonly top: number;
  readonly pixelsPerMm: number;
  readonly width: number;
  readonly height: number;
  /** Gradient of the luma per pixel; 0 where the picture ends. */
  readonly slopeX: Float32Array;
  readonly slopeY: Float32Array;
  /** What counts as an edge, per pixel. */
  readonly slopeMin: number;
  readonly edges: EdgePoints;
};

/** Points of strongest slope, in mm of the face; `turn` is the gradient's direction in radians, 0..pi. */
export type EdgePoints = {
  readonly count: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly turn: Float32Array;
  readonly vote: Float32Array;
};

/** All points with x cos(turn) + y sin(turn) = offset (mm); turn 0..pi. */
export type StraightLine = { readonly turn: number; readonly offset: number; readonly votes: number };

export type NeighbourhoodOrder = {
  readonly picture: GreyPicture;
  /** From mm of the plane to the picture. */
  readonly toPicture: (x: number, y: number) => Point;
  readonly halfMm: number;
  /** The symbol's half side: what lies within is left out. */
  readonly symbolHalfMm: number;
};

export function drawNeighbourhood(order: NeighbourhoodOrder): Neighbourhood {
  const { halfMm, toPicture } = order;
  const [middle, right, down] = [toPicture(0, 0), toPicture(1, 0), toPicture(0, 1)];
  const native = Math.sqrt(
    Math.abs((right.x - middle.x) * (down.y - middle.y) - (right.y - middle.y) * (down.x - middle.x)),
  );
  const pixelsPerMm = Math.min(native, pixelsAcrossMax / (2 * halfMm), pixelsPerMmMax);
  // Looking at single pixels of a much finer picture would see its noise only.
  const factor = Math.max(1, Math.floor(native / pixelsPerMm));
  const reduced = reducePicture(order.picture, factor);
  const side = Math.floor(2 * halfMm * pixelsPerMm);
  const luma = new Float32Array(side * side).fill(Number.NaN);
  for (let row = 0; row < side; row++) {
    const y = (row + 0.5) / pixelsPerMm - halfMm;
    for (let column = 0; column < side; column++) {
      const seen = toPicture((column + 0.5) / pixelsPerMm - halfMm, y);
      const [px, py] = [seen.x / factor, seen.y / factor];
      if (px >= 1 && py >= 1 && px <= reduced.width - 1 && py <= reduced.height - 1) {
        luma[row * side + column] = lumaAt(reduced, px, py);
      }
    }
  }
  return traceEdges(smooth(luma, side), side, order, pixelsPerMm);
}

/** The strongest lines, at most `linesMax`, refined to what their points say. `turns`: directions to look at, in radians. */
export function findLines(
  near: Neighbourhood,
  allowed: (turn: number) => boolean,
  shortestMm: number,
): readonly StraightLine[] {
  const reach = Math.hypot(near.width, near.height) / near.pixelsPerMm / 2;
  const bins = Math.ceil((2 * reach) / offsetBinMm) + 1;
  const votes = castVotes(near.edges, reach, bins);
  const leastVotes = 0.25 * shortestMm * near.pixelsPerMm;
  const peaks: { turn: number; bin: number; votes: number }[] = [];
  for (let turn = 0; turn < turnBins; turn++) {
    if (!allowed((turn * Math.PI) / turnBins)) continue;
    for (let bin = 1; bin < bins - 1; bin++) {
      const own = votes[turn * bins + bin] ?? 0;
      if (own >= leastVotes && isPeak(votes, bins, turn, bin, own)) peaks.push({ turn, bin, votes: own });
    }
  }
  return peaks
    .sort((one, other) => other.votes - one.votes)
    .slice(0, linesMax)
    .map(({ turn, bin, votes: count }) => {
      const rough = { turn: (turn * Math.PI) / turnBins, offset: (bin + 0.5) * offsetBinMm - reach, votes: count };
      return refineLine(near.edges, refineLine(near.edges, rough, 1), 0.6);
    });
}

/**
 * Lines too faint for single points, in the directions that strong lines have: `turn` and at right angles to it. Slope with its sign is
 * averaged over pieces of a line, which leaves little of plaster and grain, and a run of such pieces is a line.
 */
export function findFaintLines(near: Neighbourhood, turn: number, shortestMm: number): readonly StraightLine[] {
  const other = turn < Math.PI / 2 ? turn + Math.PI / 2 : turn - Math.PI / 2;
  return [...faintLinesAcross(near, turn, shortestMm), ...faintLinesAcross(near, other, shortestMm)];
}

function faintLinesAcross(near: Neighbourhood, turn: number, shortestMm: number): readonly StraightLine[] {
  const { pixelsPerMm, width } = near;
  const half = Math.floor(width / 2);
  const piece = Math.max(4, Math.round(pieceMm * pixelsPerMm));
  const pieces = Math.floor((2 * half) / piece);
  const means = averagePieces(near, turn, half, piece, pieces);
  const some = means.filter((value, at) => value > 0 && at % 5 === 0).sort();
  const least = Math.max(faintLeast, faintOverMedian * (some[Math.floor(some.length / 2)] ?? 0));
  const runs = Float64Array.from({ length: 2 * half }, (_, offset) => longestRun(means, offset, pieces, least));
  const lines: StraightLine[] = [];
  const reach = Math.max(2, Math.round(pixelsPerMm));
  for (let offset = reach; offset < runs.length - reach; offset++) {
    const own = runs[offset] ?? 0;
    if (own * pieceMm < faintShare * shortestMm) continue;
    let isPeak = true;
    for (let step = -reach; step <= reach && isPeak; step++) {
      const value = runs[offset + step] ?? 0;
      isPeak = value < own || (value === own && step >= 0);
    }
    if (isPeak) lines.push({ turn, offset: (offset + 0.5 - half) / pixelsPerMm, votes: own * piece });
  }
  return lines.sort((one, other) => other.votes - one.votes).slice(0, faintLinesMax);
}

/** Size of the mean slope across the direction, for each offset (outer index) and piece along it. */
function averagePieces(near: Neighbourhood, turn: number, half: number, piece: number, pieces: number): Float32Array {
  const { width, height, slopeX, slopeY, pixelsPerMm } = near;
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const means = new Float32Array(2 * half * pieces);
  for (let offset = 0; offset < 2 * half; offset++) {
    const off = offset + 0.5 - half;
    for (let one = 0; one < pieces; one++) {
      let sum = 0;
      for (let step = 0; step < piece; step++) {
        const along = one * piece + step + 0.5 - half;
        const column = Math.floor(width / 2 + off * cosine - along * sine);
        const row = Math.floor(height / 2 + off * sine + along * cosine);
        if (column < 0 || row < 0 || column >= width || row >= height) continue;
        const at = row * width + column;
        sum += (slopeX[at] ?? 0) * cosine + (slopeY[at] ?? 0) * sine;
      }
      means[offset * pieces + one] = sum / piece;
    }
  }
  return standingOut(means, half, pieces, Math.max(2, Math.round(pixelsPerMm)));
}

/** What the slope is more than a mm before and behind it: soft shadows are no lines. */
function standingOut(means: Float32Array, half: number, pieces: number, away: number): Float32Array {
  const out = new Float32Array(means.length);
  for (let offset = away; offset < 2 * half - away; offset++) {
    for (let one = 0; one < pieces; one++) {
      const before = means[(offset - away) * pieces + one] ?? 0;
      const after = means[(offset + away) * pieces + one] ?? 0;
      out[offset * pieces + one] = Math.abs((means[offset * pieces + one] ?? 0) - (before + after) / 2);
    }
  }
  return out;
}

/** Pieces of the best run at an offset, or one beside it; a gap costs a little more than a piece is worth. */
function longestRun(means: Float32Array, offset: number, pieces: number, least: number): number {
  let best = 0;
  let run = 0;
  for (let one = 0; one < pieces; one++) {
    let value = 0;
    for (let step = -1; step <= 1; step++) value = Math.max(value, means[(offset + step) * pieces + one] ?? 0);
    const own = means[offset * pieces + one] ?? 0;
    run = Math.max(0, run + (own >= least ? 1 : value >= least ? 0.7 : -1.2));
    best = Math.max(best, run);
  }
  return best;
}

/** Binomial 3 x 3; NaN stays NaN and spreads by one. */
function smooth(luma: Float32Array, side: number): Float32Array {
  const pass = (from: Float32Array, step: number): Float32Array => {
    const out = new Float32Array(from.length);
    for (let at = 0; at < from.length; at++) {
      out[at] = ((from[at - step] ?? Number.NaN) + 2 * (from[at] ?? 0) + (from[at + step] ?? Number.NaN)) / 4;
    }
    return out;
  };
  return pass(pass(luma, 1), side);
}

function traceEdges(luma: Float32Array, side: number, order: NeighbourhoodOrder, pixelsPerMm: number): Neighbourhood {
  const slopeX = new Float32Array(side * side);
  const slopeY = new Float32Array(side * side);
  const strength = new Float32Array(side * side);
  for (let at = side; at < side * side - side; at++) {
    const across = ((luma[at + 1] ?? 0) - (luma[at - 1] ?? 0)) / 2;
    const down = ((luma[at + side] ?? 0) - (luma[at - side] ?? 0)) / 2;
    if (Number.isNaN(across + down)) continue;
    slopeX[at] = across;
    slopeY[at] = down;
    strength[at] = Math.hypot(across, down);
  }
  const slopeMin = Math.max(slopeLeast, slopeOverMedian * medianOf(strength));
  const { halfMm, symbolHalfMm } = order;
  const size = { left: -halfMm, top: -halfMm, pixelsPerMm, width: side, height: side };
  const edges = strongest({ ...size, slopeX, slopeY, slopeMin }, strength, symbolHalfMm);
  return { ...size, slopeX, slopeY, slopeMin, edges };
}

/** Edge points that no neighbour along their gradient exceeds; not those of the symbol itself. */
function strongest(near: Omit<Neighbourhood, "edges">, strength: Float32Array, symbolHalfMm: number): EdgePoints {
  const { width, height, slopeX, slopeY, slopeMin, left, top, pixelsPerMm } = near;
  const places: number[] = [];
  for (let row = 2; row < height - 2; row++) {
    const y = top + (row + 0.5) / pixelsPerMm;
    for (let column = 2; column < width - 2; column++) {
      const at = row * width + column;
      const own = strength[at] ?? 0;
      if (own < slopeMin) continue;
      const x = left + (column + 0.5) / pixelsPerMm;
      if (Math.abs(x) < symbolHalfMm && Math.abs(y) < symbolHalfMm) continue;
      const stepX = Math.round((slopeX[at] ?? 0) / own);
      const stepY = Math.round((slopeY[at] ?? 0) / own);
      const step = stepY * width + stepX;
      if (own >= (strength[at + step] ?? 0) && own > (strength[at - step] ?? 0)) places.push(at);
    }
  }
  const stride = Math.max(1, Math.ceil(places.length / edgePointsMax));
  const kept = places.filter((_, one) => one % stride === 0);
  const points = { x: new Float32Array(kept.length), y: new Float32Array(kept.length) };
  const turn = new Float32Array(kept.length);
  const vote = new Float32Array(kept.length);
  for (const [one, at] of kept.entries()) {
    points.x[one] = left + ((at % width) + 0.5) / pixelsPerMm;
    points.y[one] = top + (Math.floor(at / width) + 0.5) / pixelsPerMm;
    const direction = Math.atan2(slopeY[at] ?? 0, slopeX[at] ?? 0);
    turn[one] = direction < 0 ? direction + Math.PI : direction;
    vote[one] = stride * Math.min(1, (strength[at] ?? 0) / (3 * slopeMin));
  }
  return { count: kept.length, ...points, turn, vote };
}

function castVotes(edges: EdgePoints, reach: number, bins: number): Float32Array {
  const cosines = Float64Array.from({ length: turnBins }, (_, turn) => Math.cos((turn * Math.PI) / turnBins));
  const sines = Float64Array.from({ length: turnBins }, (_, turn) => Math.sin((turn * Math.PI) / turnBins));
  const votes = new Float32Array(turnBins * bins);
  for (let one = 0; one < edges.count; one++) {
    const [x, y, own] = [edges.x[one] ?? 0, edges.y[one] ?? 0, edges.vote[one] ?? 0];
    const middle = Math.round(((edges.turn[one] ?? 0) * turnBins) / Math.PI);
    for (let beside = -turnSpread; beside <= turnSpread; beside++) {
      const turn = (middle + beside + turnBins) % turnBins;
      const offset = x * (cosines[turn] ?? 0) + y * (sines[turn] ?? 0);
      const place = turn * bins + Math.floor((offset + reach) / offsetBinMm);
      votes[place] = (votes[place] ?? 0) + own;
    }
  }
  return votes;
}

function isPeak(votes: Float32Array, bins: number, turn: number, bin: number, own: number): boolean {
  for (let beside = -2; beside <= 2; beside++) {
    const wrapped = turn + beside < 0 || turn + beside >= turnBins;
    const other = (turn + beside + turnBins) % turnBins;
    // Beyond half a turn a line's offset changes its sign.
    const middle = wrapped ? bins - 1 - bin : bin;
    for (let step = -2; step <= 2; step++) {
      const value = votes[other * bins + middle + step] ?? 0;
      if (value > own || (value === own && (beside < 0 || (beside === 0 && step < 0)))) return false;
    }
  }
  return true;
}

/** Least squares through the edge points near the line that run its way. */
function refineLine(edges: EdgePoints, line: StraightLine, nearMm: number): StraightLine {
  const [cosine, sine] = [Math.cos(line.turn), Math.sin(line.turn)];
  let [sum, sumAlong, sumOff, sumAlongAlong, sumAlongOff] = [0, 0, 0, 0, 0];
  for (let one = 0; one < edges.count; one++) {
    const [x, y] = [edges.x[one] ?? 0, edges.y[one] ?? 0];
    const off = x * cosine + y * sine - line.offset;
    if (Math.abs(off) > nearMm || turnBetween(edges.turn[one] ?? 0, line.turn) > refineTurn) continue;
    const along = y * cosine - x * sine;
    const weight = edges.vote[one] ?? 0;
    sum += weight;
    sumAlong += weight * along;
    sumOff += weight * off;
    sumAlongAlong += weight * along * along;
    sumAlongOff += weight * along * off;
  }
  const spread = sum * sumAlongAlong - sumAlong * sumAlong;
  if (!(spread > 1e-6)) return line;
  const slope = (sum * sumAlongOff - sumAlong * sumOff) / spread;
  const turn = line.turn - Math.atan(slope);
  // The fitted line goes through the mean of its points.
  const [meanAlong, meanOff] = [sumAlong / sum, line.offset + sumOff / sum];
  const [x, y] = [meanOff * cosine - meanAlong * sine, meanOff * sine + meanAlong * cosine];
  const offset = x * Math.cos(turn) + y * Math.sin(turn);
  if (turn < 0) return { turn: turn + Math.PI, offset: -offset, votes: sum };
  if (turn >= Math.PI) return { turn: turn - Math.PI, offset: -offset, votes: sum };
  return { turn, offset, votes: sum };
}

/** Between two directions that have no sense, 0..pi/2. */
export function turnBetween(one: number, other: number): number {
  const apart = Math.abs(one - other) % Math.PI;
  return Math.min(apart, Math.PI - apart);
}

function medianOf(values: Float32Array): number {
  const some = values.filter((value, at) => value > 0 && at % 7 === 0).sort();
  return some[Math.floor(some.length / 2)] ?? 0;
}

/** Fine enough for sides to be told apart from what lies a mm beside them; their true place is measured in the picture itself. */
const pixelsPerMmMax = 3;
const pixelsAcrossMax = 1100;
/** Levels of 255 per pixel. */
const slopeLeast = 1.5;
const slopeOverMedian = 2;
/** Bounds time on pictures of gravel and leaves. */
const edgePointsMax = 60_000;
const turnBins = 180;
/** Degrees either way that a point votes for. */
const turnSpread = 2;
const offsetBinMm = 0.6;
const linesMax = 90;
const pieceMm = 8;
const faintLeast = 0.35;
const faintOverMedian = 3;
const faintShare = 0.5;
const faintLinesMax = 36;
const refineTurn = (7 * Math.PI) / 180;
