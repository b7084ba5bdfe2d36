/**
 * Which of the edges seen near each side are those of the reference?
 *
 * Theory: a rectangle that is a little off its expected place has moved by (x, y) and grown by a part of its size; three numbers
 * explain the offsets of all its sides. What stands proud shows its foot beside some edges, as far from them as the camera's angle
 * says. The three numbers with which most of what is seen falls where something is expected are taken, and the rest is something else.
 */
import type { EdgeTrack } from "./reference-edges.ts";
import type { ReferenceEdge, ReferenceShape } from "./scene-fit.ts";

export type TrackedLine = {
  readonly side: 0 | 1 | 2 | 3;
  readonly facing: 1 | -1 | 0;
  /** How far outwards of its front edge the foot of this side is seen, in mm; negative: inwards. */
  readonly footMm: number;
  readonly tracks: readonly EdgeTrack[];
};

export type AgreedTracks = {
  readonly edges: readonly ReferenceEdge[];
  /** 0..1: how much of what should be seen is seen where it should be. */
  readonly score: number;
  readonly move: Move;
};

/** How the outline is moved: right, down, and each side outwards by `grow` times its distance from the middle. */
export type Move = { readonly x: number; readonly y: number; readonly grow: number };

/** `agreeMm`: how near is near. Undefined when a side shows no agreeing edge. */
export function agreeOnTracks(
  lines: readonly TrackedLine[],
  shape: ReferenceShape,
  agreeMm: number,
): AgreedTracks | undefined {
  let best: { readonly move: Move; readonly worth: number } | undefined;
  for (const move of possibleMoves(lines, shape)) {
    const worth = lines.reduce((sum, line) => sum + worthOf(line, outwardOf(move, line.side, shape), agreeMm), 0);
    if (best === undefined || worth > best.worth) best = { move, worth };
  }
  if (best === undefined) return undefined;
  const edges: ReferenceEdge[] = [];
  const seen = [0, 0, 0, 0];
  for (const line of lines) {
    const track = nearestTrack(line, outwardOf(best.move, line.side, shape), agreeMm);
    if (track === undefined) continue;
    edges.push(...track.edges);
    seen[line.side] = Math.max(seen[line.side] ?? 0, track.share);
  }
  const most = lines.reduce((sum, line) => sum + (showsFoot(line) ? 1 + footWeight : 1), 0);
  return Math.min(...seen) < sideShareMin ? undefined : { edges, score: best.worth / most, move: best.move };
}

/** All moves that put a pair of opposite lines and one line at right angles to them on edges that are seen. */
function possibleMoves(lines: readonly TrackedLine[], shape: ReferenceShape): readonly Move[] {
  const moves: Move[] = [];
  for (const upright of [true, false]) {
    const [first, second, crossing] = upright ? [3, 1, [0, 2]] : [0, 2, [1, 3]];
    const half = (upright ? shape.widthMm : shape.heightMm) / 2;
    for (const one of seenOn(lines, first)) {
      for (const other of seenOn(lines, second)) {
        const along = (other - one) / 2;
        const grow = (one + other) / 2 / half;
        for (const side of crossing) {
          const otherHalf = (upright ? shape.heightMm : shape.widthMm) / 2;
          for (const offset of seenOn(lines, side)) {
            // Sides 1 and 2 lie where the coordinate is positive.
            const across = (offset - grow * otherHalf) * (side === 1 || side === 2 ? 1 : -1);
            moves.push(upright ? { x: along, y: across, grow } : { x: across, y: along, grow });
          }
        }
      }
    }
  }
  return moves;
}

function seenOn(lines: readonly TrackedLine[], side: number): readonly number[] {
  return lines.filter((line) => line.side === side).flatMap((line) => line.tracks.map(({ outward }) => outward));
}

function outwardOf({ x, y, grow }: Move, side: 0 | 1 | 2 | 3, shape: ReferenceShape): number {
  switch (side) {
    case 0:
      return (grow * shape.heightMm) / 2 - y;
    case 1:
      return (grow * shape.widthMm) / 2 + x;
    case 2:
      return (grow * shape.heightMm) / 2 + y;
    case 3:
      return (grow * shape.widthMm) / 2 - x;
  }
}

/** What is seen where the front edge should be, and half as much again for its foot. */
function worthOf(line: TrackedLine, outward: number, agreeMm: number): number {
  let front = 0;
  let foot = 0;
  const withFoot = showsFoot(line);
  for (const track of line.tracks) {
    // Grain and grit line up along half of a side now and then; a true edge is seen along nearly all of it.
    const clear = Math.max(0, (track.share - chanceShare) / (1 - chanceShare)) ** 2;
    front = Math.max(front, clear * closeness((track.outward - outward) / agreeMm));
    if (withFoot) foot = Math.max(foot, clear * closeness((track.outward - outward - line.footMm) / agreeMm));
  }
  return front + footWeight * foot;
}

function showsFoot(line: TrackedLine): boolean {
  return line.footMm * line.facing > footMinMm;
}

function nearestTrack(line: TrackedLine, outward: number, agreeMm: number): EdgeTrack | undefined {
  let nearest: EdgeTrack | undefined;
  for (const track of line.tracks) {
    const off = Math.abs(track.outward - outward);
    if (off < agreeMm && (nearest === undefined || off < Math.abs(nearest.outward - outward))) nearest = track;
  }
  return nearest;
}

function closeness(part: number): number {
  return part * part < 1 ? 1 - part * part : 0;
}

const chanceShare = 0.4;
const footWeight = 0.5;
const footMinMm = 0.2;
const sideShareMin = 0.5;
