/**
 * Which three finders belong to one symbol. Each finder's own axes point at its partners: two lie along them, the third on the
 * diagonal. So few of the many triples of a picture are plausible, and those are put in order.
 */
import type { Point } from "../plane.ts";
import type { FinderFrame } from "./fit-finder.ts";

/** `corner` is where the two legs meet; `right` and `below` so that the symbol is not mirrored (it may still be). */
export type FinderTriple = {
  readonly corner: FinderFrame;
  readonly right: FinderFrame;
  readonly below: FinderFrame;
  /** Modules between finder middles, about: the symbol has 7 more. */
  readonly legModules: number;
  /** Less is better. */
  readonly cost: number;
};

/**
 * Two finders and what they may be: `missing` "below" when they are corner and right, "right" when corner and below, "corner" when right
 * and below, in this order. `across` and `down` are the symbol's directions in the picture.
 */
export type FinderPair = {
  readonly one: FinderFrame;
  readonly other: FinderFrame;
  readonly missing: "corner" | "right" | "below";
  readonly across: Point;
  readonly down: Point;
  readonly legModules: number;
  readonly modulePixels: number;
  readonly cost: number;
};

/** Triples, best first, at most `triplesMax`. */
export function arrangeFinders(frames: readonly FinderFrame[]): FinderTriple[] {
  const triples: FinderTriple[] = [];
  const legs = frames.map((corner) => legsFrom(corner, frames));
  for (const [at, corner] of frames.entries()) {
    const [along = [], across = []] = legs[at] ?? [];
    for (const one of along) {
      for (const other of across) {
        const triple = tripleOf(corner, one, other);
        if (triple !== undefined) triples.push(triple);
      }
    }
  }
  return triples.sort((a, b) => a.cost - b.cost).slice(0, triplesMax);
}

/** Every way in which two finders may belong to one symbol, not mirrored; best first, at most `pairsMax`. */
export function pairFinders(frames: readonly FinderFrame[]): FinderPair[] {
  const pairs: FinderPair[] = [];
  for (const one of frames) {
    for (const other of frames) {
      if (one === other) continue;
      const leg = legBetween(one, other);
      if (leg !== undefined) pairs.push(...legPairs(one, leg));
      const diagonal = diagonalPair(one, other);
      if (diagonal !== undefined) pairs.push(diagonal);
    }
  }
  return pairs.sort((a, b) => a.cost - b.cost).slice(0, pairsMax);
}

/** With `corner` at the corner: its partner is right of it, and the symbol on one side; or below it, and the symbol on the other. */
function legPairs(corner: FinderFrame, { to, modules, cost, axis }: Leg & { readonly axis: 0 | 1 }): FinderPair[] {
  const along = { x: to.x - corner.x, y: to.y - corner.y };
  const [x, y] = axis === 0 ? [corner.vx, corner.vy] : [corner.ux, corner.uy];
  const sign = along.x * y - along.y * x > 0 ? 1 : -1;
  const length = Math.hypot(along.x, along.y);
  const shared = { one: corner, other: to, legModules: modules, modulePixels: length / modules };
  const doubt = 2.5 * (corner.doubt + to.doubt);
  const turned = { x: sign * x, y: sign * y };
  return [
    { ...shared, missing: "below", across: along, down: turned, cost: cost + doubt },
    { ...shared, missing: "right", across: { x: -turned.x, y: -turned.y }, down: along, cost: cost + doubt },
  ];
}

function diagonalPair(right: FinderFrame, below: FinderFrame): FinderPair | undefined {
  const out = inFrame(right, below);
  const back = inFrame(below, right);
  const skew = Math.abs(Math.log(Math.abs(out.x / out.y))) + Math.abs(Math.log(Math.abs(back.x / back.y)));
  const legs = [out.x, out.y, back.x, back.y].map(Math.abs);
  const legModules = legs.reduce((product, leg) => product * leg, 1) ** 0.25;
  if (!(skew < diagonalLogMax) || legModules < legModulesMin || legModules > legModulesMax) return undefined;
  // From right to below is against the columns and along the rows.
  const u = { x: right.ux * Math.sign(out.x), y: right.uy * Math.sign(out.x) };
  const v = { x: right.vx * Math.sign(out.y), y: right.vy * Math.sign(out.y) };
  const [down, back0] = u.x * v.y - u.y * v.x > 0 ? [u, v] : [v, u];
  const length = Math.hypot(below.x - right.x, below.y - right.y);
  return {
    one: right,
    other: below,
    missing: "corner",
    across: { x: -back0.x, y: -back0.y },
    down,
    legModules,
    modulePixels: length / Math.SQRT2 / legModules,
    cost: skew + 0.004 * legModules + 2.5 * (right.doubt + below.doubt),
  };
}

export type Leg = { readonly to: FinderFrame; readonly modules: number; readonly cost: number };

/** Partners along the finder's u axis, and along its v axis; the cheapest `legsMax` of each. */
function legsFrom(corner: FinderFrame, frames: readonly FinderFrame[]): readonly [Leg[], Leg[]] {
  const along: Leg[] = [];
  const across: Leg[] = [];
  for (const to of frames) {
    if (to === corner) continue;
    const leg = legBetween(corner, to);
    if (leg !== undefined) (leg.axis === 0 ? along : across).push(leg);
  }
  const best = (legs: Leg[]): Leg[] => legs.sort((a, b) => a.cost - b.cost).slice(0, legsMax);
  return [best(along), best(across)];
}

/** `axis` 0: along u of `from`, 1: along v. Undefined when the two cannot be neighbours in a symbol. */
function legBetween(from: FinderFrame, to: FinderFrame): (Leg & { readonly axis: 0 | 1 }) | undefined {
  const out = inFrame(from, to);
  const back = inFrame(to, from);
  const outLong = Math.max(Math.abs(out.x), Math.abs(out.y));
  const backLong = Math.max(Math.abs(back.x), Math.abs(back.y));
  if (outLong < legModulesMin || outLong > legModulesMax || backLong < legModulesMin) return undefined;
  const slant = Math.min(Math.abs(out.x), Math.abs(out.y)) / outLong;
  const backSlant = Math.min(Math.abs(back.x), Math.abs(back.y)) / backLong;
  const ratio = Math.abs(Math.log(outLong / backLong));
  if (slant > slantMax || backSlant > slantMax || ratio > legRatioLogMax) return undefined;
  const cost = slant + backSlant + 0.8 * ratio + 0.004 * outLong;
  return { to, modules: Math.sqrt(outLong * backLong), axis: Math.abs(out.x) > Math.abs(out.y) ? 0 : 1, cost };
}

/** Where the other's middle is, in modules along this one's axes. */
function inFrame(frame: FinderFrame, other: Point): Point {
  const dx = other.x - frame.x;
  const dy = other.y - frame.y;
  const determinant = frame.ux * frame.vy - frame.uy * frame.vx;
  return { x: (dx * frame.vy - dy * frame.vx) / determinant, y: (dy * frame.ux - dx * frame.uy) / determinant };
}

function tripleOf(corner: FinderFrame, one: Leg, other: Leg): FinderTriple | undefined {
  const ratio = Math.abs(Math.log(one.modules / other.modules));
  if (ratio > legRatioLogMax) return undefined;
  const diagonal = inFrame(one.to, other.to);
  const skew = Math.abs(Math.log(Math.abs(diagonal.x) / Math.abs(diagonal.y)));
  if (!(skew < diagonalLogMax)) return undefined;
  const turn = (one.to.x - corner.x) * (other.to.y - corner.y) - (one.to.y - corner.y) * (other.to.x - corner.x);
  const [right, below] = turn > 0 ? [one.to, other.to] : [other.to, one.to];
  const doubt = corner.doubt + right.doubt + below.doubt;
  const colours = colourCost(corner, right) + colourCost(corner, below);
  const cost = one.cost + other.cost + ratio + 0.6 * skew + 2.5 * doubt + colours;
  return { corner, right, below, legModules: Math.sqrt(one.modules * other.modules), cost };
}

/** Finders of one symbol are of like contrast unless light falls on one of them. */
function colourCost(one: FinderFrame, other: FinderFrame): number {
  return 0.3 * Math.min(1, Math.abs(Math.log((one.light - one.dark) / (other.light - other.dark))));
}

const triplesMax = 120;
const pairsMax = 200;
const legsMax = 12;
const legModulesMin = 9;
const legModulesMax = 230;
const slantMax = 0.45;
const legRatioLogMax = 0.8;
const diagonalLogMax = 1.2;
