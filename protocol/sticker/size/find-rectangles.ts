/**
 * Rectangles of a known proportion and about a known size around or beside the symbol, best first.
 * Theory: two pairs of parallel lines at right angles, as far apart as the sides are long; then the picture is asked along
 * all four sides whether an edge is there, and beyond the corners whether it has ended, as a card's does and a joint of tiles does not.
 */
import type { Point } from "../plane.ts";
import type { Neighbourhood, StraightLine } from "./neighbourhood.ts";
import { turnBetween } from "./neighbourhood.ts";

export type RectangleWanted = {
  /** Of the outline. */
  readonly widthMm: number;
  readonly heightMm: number;
  /** How far inside the outline each rectangle of edges lies; 0 for the outline itself. Any of them may be the one that shows. */
  readonly insets: readonly number[];
  /** Sizes to look at, as factors: the print may be smaller or larger than it should be, and with it all that is measured in modules. */
  readonly scaleMin: number;
  readonly scaleMax: number;
  /** How far the proportion may be off, as a part of it. */
  readonly aspectSlack: number;
  /** A bezel encloses the symbol; a card lies beside it. */
  readonly place: "around" | "beside";
  readonly symbolHalfMm: number;
  /** At most so many are wanted. */
  readonly most: number;
};

/** The outline, in mm of the neighbourhood; `turn` radians of its width against X, -pi/2..pi/2. */
export type FoundRectangle = {
  readonly x: number;
  readonly y: number;
  readonly turn: number;
  readonly width: number;
  readonly height: number;
  /** Share of the four sides along which there is an edge, less what goes on beyond the corners. */
  readonly score: number;
};

export function findRectangles(
  near: Neighbourhood,
  lines: readonly StraightLine[],
  wanted: RectangleWanted,
): readonly FoundRectangle[] {
  const looker = lookFor(near);
  const supports = lines.map((line) => supportOf(looker, line));
  const closed: (FoundRectangle & { readonly inset: number })[] = [];
  for (const inset of wanted.insets) {
    const size = { width: wanted.widthMm - 2 * inset, height: wanted.heightMm - 2 * inset };
    const strips = parallelPairs(lines, size, wanted);
    for (const across of strips.widths) {
      for (const down of strips.heights) {
        if (Math.abs(turnBetween(across.turn, down.turn) - Math.PI / 2) > rightAngleSlack) continue;
        const aspect = across.apart / down.apart / (size.width / size.height);
        if (Math.abs(Math.log(aspect)) > wanted.aspectSlack) continue;
        const own = rectangleOf(across, down);
        if (!liesRight(own, wanted)) continue;
        const score = scoreOnLines(supports, own, [...across.lines, ...down.lines]);
        if (score === undefined) continue;
        const [wider, higher] = [wanted.widthMm / size.width, wanted.heightMm / size.height];
        closed.push({ ...own, width: own.width * wider, height: own.height * higher, score, inset });
      }
    }
  }
  const bestFirst = (some: readonly FoundRectangle[]) => some.toSorted((one, other) => other.score - one.score);
  const rings = wanted.insets.length;
  // Each inset has its own, so that a paper's edges do not crowd out the frame that is printed on it.
  const promising = wanted.insets.flatMap((inset) =>
    withoutTwins(bestFirst(closed.filter((one) => one.inset === inset)), promisingMax).map((one) => ({
      ...one,
      score: (one.score + otherRings(looker, one, inset, wanted)) / rings,
    })),
  );
  return withoutTwins(bestFirst(promising), wanted.most);
}

type Rectangle = Omit<FoundRectangle, "score">;

/** The rectangles of edges inside or around the one that was found. */
function otherRings(looker: EdgeLooker, outline: Rectangle, found: number, wanted: RectangleWanted): number {
  let total = 0;
  for (const inset of wanted.insets) {
    if (inset === found) continue;
    const shrink = (2 * inset * outline.width) / wanted.widthMm;
    const ring = { ...outline, width: outline.width - shrink, height: outline.height - shrink };
    total += scoreRectangle(looker, ring);
  }
  return total;
}

/** Along a line, mm by mm, how many places up to there have an edge; 0 is `reach` mm before the line's foot. */
type Support = { readonly line: StraightLine; readonly reach: number; readonly hits: Float32Array };

function supportOf(looker: EdgeLooker, line: StraightLine): Support {
  const { near } = looker;
  const [cosine, sine] = [Math.cos(line.turn), Math.sin(line.turn)];
  const reach = Math.ceil(Math.hypot(near.width, near.height) / near.pixelsPerMm / 2);
  const hits = new Float32Array(2 * reach + 1);
  const normal = { x: cosine, y: sine };
  for (let at = 1; at < hits.length; at++) {
    const along = at - 0.5 - reach;
    const place = { x: line.offset * cosine - along * sine, y: line.offset * sine + along * cosine };
    hits[at] = (hits[at - 1] ?? 0) + (looker.hasEdge(place, normal) ? 1 : 0);
  }
  return { line, reach, hits };
}

function supportShare({ reach, hits }: Support, from: number, to: number): number {
  const [first, last] = [Math.round(Math.min(from, to) + reach), Math.round(Math.max(from, to) + reach)];
  if (first < 0 || last >= hits.length || last <= first) return 0;
  return ((hits[last] ?? 0) - (hits[first] ?? 0)) / (last - first);
}

/** Share of edge along all sides less what goes on beyond the corners; undefined when the rectangle is not closed. */
function scoreOnLines(
  supports: readonly Support[],
  rectangle: Rectangle,
  lines: readonly number[],
): number | undefined {
  const { x, y, turn, width, height } = rectangle;
  const corner = Math.min(width, height) * cornerShare;
  let share = 0;
  let beyond = 0;
  for (const [at, index] of lines.entries()) {
    const support = supports[index];
    if (support === undefined) return undefined;
    const [cosine, sine] = [Math.cos(support.line.turn), Math.sin(support.line.turn)];
    // The first two lines run along the height.
    const half = (at < 2 ? height : width) / 2;
    const away = ((at < 2 ? width : height) / 2) * (at % 2 === 0 ? -1 : 1);
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    const [px, py] = at < 2 ? [x + away * c, y + away * s] : [x - away * s, y + away * c];
    const middle = py * cosine - px * sine;
    const own = supportShare(support, middle - half + corner, middle + half - corner);
    if (own < sideShareMin) return undefined;
    share += own / 4;
    beyond += supportShare(support, middle + half + beyondFromMm, middle + half + beyondToMm) / 8;
    beyond += supportShare(support, middle - half - beyondToMm, middle - half - beyondFromMm) / 8;
  }
  return share < sidesShareMin ? undefined : share - beyondWeight * beyond;
}

/** A strip between two parallel lines: the direction across it, where its middle is in that direction, and its width. */
type Strip = {
  readonly turn: number;
  readonly middle: number;
  readonly apart: number;
  readonly lines: readonly [number, number];
  /** Of the weaker line. */
  readonly votes: number;
};

function parallelPairs(
  lines: readonly StraightLine[],
  size: { readonly width: number; readonly height: number },
  wanted: Pick<RectangleWanted, "scaleMin" | "scaleMax">,
): { readonly widths: readonly Strip[]; readonly heights: readonly Strip[] } {
  const widths: Strip[] = [];
  const heights: Strip[] = [];
  for (const [at, one] of lines.entries()) {
    for (const [step, other] of lines.slice(at + 1).entries()) {
      if (turnBetween(one.turn, other.turn) > parallelSlack) continue;
      const strip = { ...stripOf(one, other), lines: [at, at + 1 + step] as const };
      if (strip.apart >= wanted.scaleMin * size.width && strip.apart <= wanted.scaleMax * size.width) {
        widths.push(strip);
      }
      if (strip.apart >= wanted.scaleMin * size.height && strip.apart <= wanted.scaleMax * size.height) {
        heights.push(strip);
      }
    }
  }
  const best = (strips: readonly Strip[]): readonly Strip[] =>
    strips.toSorted((one, other) => other.votes - one.votes).slice(0, stripsMax);
  return { widths: best(widths), heights: best(heights) };
}

function stripOf(one: StraightLine, other: StraightLine): Omit<Strip, "lines"> {
  // Directions 1 and 179 degrees are near each other with opposite offsets.
  const opposite = Math.abs(one.turn - other.turn) > Math.PI / 2;
  const otherTurn = opposite ? other.turn - Math.sign(other.turn - one.turn) * Math.PI : other.turn;
  const otherOffset = opposite ? -other.offset : other.offset;
  return {
    turn: (one.turn + otherTurn) / 2,
    middle: (one.offset + otherOffset) / 2,
    apart: Math.abs(one.offset - otherOffset),
    votes: Math.min(one.votes, other.votes),
  };
}

function rectangleOf(across: Strip, down: Strip): Rectangle {
  const [a, b, c, d] = [Math.cos(across.turn), Math.sin(across.turn), Math.cos(down.turn), Math.sin(down.turn)];
  const determinant = a * d - b * c;
  const x = (across.middle * d - down.middle * b) / determinant;
  const y = (a * down.middle - c * across.middle) / determinant;
  // The width runs across the first strip, and at right angles to what runs across the second.
  const quarter = down.turn > across.turn ? -Math.PI / 2 : Math.PI / 2;
  let turn = (across.turn + down.turn + quarter) / 2;
  while (turn > Math.PI / 2) turn -= Math.PI;
  while (turn <= -Math.PI / 2) turn += Math.PI;
  return { x, y, turn, width: across.apart, height: down.apart };
}

function liesRight(rectangle: Rectangle, wanted: RectangleWanted): boolean {
  const half = wanted.symbolHalfMm;
  const [cosine, sine] = [Math.cos(rectangle.turn), Math.sin(rectangle.turn)];
  const outside = (x: number, y: number): number => {
    const [dx, dy] = [x - rectangle.x, y - rectangle.y];
    const outX = Math.abs(dx * cosine + dy * sine) - rectangle.width / 2;
    const outY = Math.abs(dy * cosine - dx * sine) - rectangle.height / 2;
    return Math.max(outX, outY);
  };
  const places = [-half, -half / 2, 0, half / 2, half].flatMap((x) =>
    [-half, -half / 2, 0, half / 2, half].map((y) => outside(x, y)),
  );
  return wanted.place === "around" ? places.every((out) => out < 0) : places.every((out) => out > 0);
}

/** The same for a rectangle that lies on no known lines. */
function scoreRectangle(looker: EdgeLooker, rectangle: Rectangle): number {
  const { x, y, turn, width, height } = rectangle;
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const corner = Math.min(width, height) * cornerShare;
  let total = 0;
  for (const side of [0, 1, 2, 3]) {
    const flat = side % 2 === 0;
    const half = (flat ? width : height) / 2 - corner;
    const away = ((flat ? height : width) / 2) * (side < 2 ? 1 : -1);
    const normal = flat ? { x: -sine, y: cosine } : { x: cosine, y: sine };
    const steps = Math.max(4, Math.round(half));
    for (let step = -steps; step <= steps; step++) {
      const along = (half * step) / steps;
      const place = flat
        ? { x: x + along * cosine - away * sine, y: y + along * sine + away * cosine }
        : { x: x + away * cosine - along * sine, y: y + away * sine + along * cosine };
      if (looker.hasEdge(place, normal)) total += 1 / (4 * (2 * steps + 1));
    }
  }
  return total;
}

type EdgeLooker = {
  readonly near: Neighbourhood;
  /** Whether there is an edge across `normal` within `edgeNearMm` of a place. */
  readonly hasEdge: (place: Point, normal: Point) => boolean;
};

/** What counts as an edge is what stands out among all places for its direction: grain and joints run one way and not the other. */
function lookFor(near: Neighbourhood): EdgeLooker {
  const thresholds = new Map<number, number>();
  const thresholdOf = (normal: Point): number => {
    const bin = Math.round((Math.atan2(normal.y, normal.x) * directionBins) / Math.PI + directionBins) % directionBins;
    const known = thresholds.get(bin);
    if (known !== undefined) return known;
    const made = chanceSlope(near, (bin * Math.PI) / directionBins);
    thresholds.set(bin, made);
    return made;
  };
  return { near, hasEdge: (place, normal) => slopeNear(near, place, normal) >= thresholdOf(normal) };
}

/** The slope that all but some chance places stay below. */
function chanceSlope(near: Neighbourhood, turn: number): number {
  const normal = { x: Math.cos(turn), y: Math.sin(turn) };
  const { width, height, left, top, pixelsPerMm } = near;
  const slopes: number[] = [];
  for (let row = 0.5; row < chanceGrid; row++) {
    for (let column = 0.5; column < chanceGrid; column++) {
      const place = {
        x: left + (column * width) / chanceGrid / pixelsPerMm,
        y: top + (row * height) / chanceGrid / pixelsPerMm,
      };
      const slope = slopeNear(near, place, normal);
      // Beyond the picture there is none.
      if (slope > 0) slopes.push(slope);
    }
  }
  slopes.sort((one, other) => one - other);
  return Math.max(slopeFloor, slopes[Math.floor(slopes.length * (1 - chanceShare))] ?? 0);
}

function slopeNear(near: Neighbourhood, place: Point, normal: Point): number {
  const { pixelsPerMm, left, top } = near;
  const reach = Math.max(1, Math.round(edgeNearMm * pixelsPerMm));
  const [x, y] = [(place.x - left) * pixelsPerMm, (place.y - top) * pixelsPerMm];
  let most = 0;
  for (let off = -reach; off <= reach; off++) {
    most = Math.max(most, Math.abs(slopeAcross(near, x + off * normal.x, y + off * normal.y, normal)));
  }
  return most;
}

/** What stands out of its surroundings: the slope here less that a mm away on both sides, which takes soft shadows out. */
function slopeAcross(near: Neighbourhood, x: number, y: number, normal: Point): number {
  const away = Math.max(2, shadowMm * near.pixelsPerMm);
  const here = meanSlope(near, x, y, normal);
  const before = meanSlope(near, x - away * normal.x, y - away * normal.y, normal);
  const after = meanSlope(near, x + away * normal.x, y + away * normal.y, normal);
  return here - (before + after) / 2;
}

/** Mean over a few pixels along the edge: what runs across it cancels out. In pixels of the neighbourhood. */
function meanSlope(near: Neighbourhood, x: number, y: number, normal: Point): number {
  const { width, height, slopeX, slopeY } = near;
  let sum = 0;
  for (let along = -alongReach; along <= alongReach; along++) {
    const column = Math.floor(x - along * normal.y);
    const row = Math.floor(y + along * normal.x);
    if (column < 0 || row < 0 || column >= width || row >= height) continue;
    const at = row * width + column;
    sum += (slopeX[at] ?? 0) * normal.x + (slopeY[at] ?? 0) * normal.y;
  }
  return sum / (2 * alongReach + 1);
}

/** Of rectangles that are nearly the same one the first stays; at most `most`. */
function withoutTwins(found: readonly FoundRectangle[], most: number): readonly FoundRectangle[] {
  const kept: FoundRectangle[] = [];
  for (const one of found) {
    if (kept.length === most) break;
    if (kept.every((other) => sidesApart(one, other) >= twinMm)) kept.push(one);
  }
  return kept;
}

/** How far the sides of two rectangles lie apart at most; those at right angles to each other are far. */
export function sidesApart(one: Rectangle, other: Rectangle): number {
  if (turnBetween(one.turn, other.turn) > parallelSlack) return Number.POSITIVE_INFINITY;
  const [cosine, sine] = [Math.cos(one.turn), Math.sin(one.turn)];
  const [dx, dy] = [other.x - one.x, other.y - one.y];
  const along = Math.abs(dx * cosine + dy * sine) + Math.abs(one.width - other.width) / 2;
  const across = Math.abs(dy * cosine - dx * sine) + Math.abs(one.height - other.height) / 2;
  return Math.max(along, across);
}

const rightAngleSlack = (1.8 * Math.PI) / 180;
const parallelSlack = (1.2 * Math.PI) / 180;
/** Bounds the pairs of pairs on a wall of tiles. */
const stripsMax = 1200;
const promisingMax = 60;
const shadowMm = 1;
const cornerShare = 0.12;
const sideShareMin = 0.35;
const sidesShareMin = 0.62;
/** A side that goes on past a corner belongs to another rectangle inside or around this one. */
const beyondFromMm = 1.2;
const beyondToMm = 4.5;
const beyondWeight = 0.8;
const edgeNearMm = 0.5;
/** Pixels either way along an edge. */
const alongReach = 5;
const directionBins = 36;
const chanceGrid = 28;
const chanceShare = 0.14;
const slopeFloor = 0.4;
const twinMm = 1.1;
