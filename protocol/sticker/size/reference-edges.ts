/**
 * The reference's straight edges in the picture itself, to a fraction of a pixel.
 *
 * Theory: across each side, at many places, the luma is followed over about a mm; every steep place is a candidate, and the
 * line that most candidates along the side agree on is an edge. What stands proud shows two at some sides, its front edge and, farther
 * out, its foot on the wall; both are kept as tracks for the caller to choose from.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import type { Point } from "../plane.ts";
import { linePoint, type ReferenceEdge, type ReferenceShape, type Scene } from "./scene-fit.ts";
import { at, projection, referenceToFace } from "./scene-model.ts";

export type EdgeTrack = {
  readonly line: number;
  /** Mm outside the place where it was expected, in the side's middle. */
  readonly outward: number;
  /** Share of the places along the side where this edge is seen. */
  readonly share: number;
  readonly edges: readonly ReferenceEdge[];
};

export type TrackOrder = {
  readonly picture: GreyPicture;
  readonly scene: Scene;
  readonly shape: ReferenceShape;
  /** How far either way of its expected place an edge is looked for. */
  readonly windowMm: number;
  /** What the corners take from each end of a side. */
  readonly cornerMm: number;
};

/** The tracks of one line of the shape, most supported first, at most `tracksMax`. */
export function trackLine(order: TrackOrder, line: number): readonly EdgeTrack[] {
  const spot = sideLooker(order, line);
  if (spot === undefined) return [];
  const profiles = Array.from({ length: placesAlong }, (_, place) => {
    const along = spot.reach * ((2 * (place + 0.5)) / placesAlong - 1);
    return { along, peaks: findPeaks(order, spot, along) };
  });
  const tracks: EdgeTrack[] = [];
  let left = profiles;
  for (let round = 0; round < tracksMax; round++) {
    const best = bestTrack(left, spot.agreeMm);
    if (best === undefined || best.members.length < shareMin * placesAlong) break;
    tracks.push({
      line,
      outward: best.outward,
      share: best.members.length / placesAlong,
      edges: best.members.map(({ along, offset }) => spot.edge(along, offset)),
    });
    const taken = new Set(best.members.map(({ peak }) => peak));
    left = left.map(({ along, peaks }) => ({ along, peaks: peaks.filter((peak) => !taken.has(peak)) }));
  }
  return tracks;
}

type Peak = { readonly offset: number; readonly strength: number };
type Profile = { readonly along: number; readonly peaks: readonly Peak[] };
type Member = { readonly along: number; readonly offset: number; readonly peak: Peak };

type SideLooker = {
  /** Half of the side's length that is looked at. */
  readonly reach: number;
  readonly mmPerPixel: number;
  readonly agreeMm: number;
  readonly point: (along: number, outward: number) => Point;
  readonly edge: (along: number, outward: number) => ReferenceEdge;
};

function sideLooker(order: TrackOrder, line: number): SideLooker | undefined {
  const { scene, shape } = order;
  const own = shape.lines[line];
  if (own === undefined) return undefined;
  const { parameters } = scene;
  const project = projection(scene.frame, parameters);
  const face = referenceToFace(parameters);
  const depth = -(parameters[at.proud] ?? 0);
  const aspect = parameters[at.logReferenceAspect] ?? 0;
  const expected = own.growth * (parameters[at.frameGrowth] ?? 0);
  const point = (along: number, outward: number): Point => {
    const place = linePoint(shape, own, along, expected + outward, aspect);
    const { x, y } = face(place.x, place.y);
    return project(x, y, depth);
  };
  const length = own.side % 2 === 0 ? shape.widthMm : shape.heightMm;
  const reach = length / 2 - own.inset - order.cornerMm;
  const [near, far] = [point(0, -0.5), point(0, 0.5)];
  const mmPerPixel = 1 / Math.max(Math.hypot(far.x - near.x, far.y - near.y), 1e-6);
  if (!(reach > 0) || !Number.isFinite(mmPerPixel)) return undefined;
  const edge = (along: number, outward: number): ReferenceEdge => {
    const [one, other] = [point(along - 0.5, outward), point(along + 0.5, outward)];
    const size = Math.hypot(other.x - one.x, other.y - one.y) || 1;
    const normal = { x: (other.y - one.y) / size, y: (one.x - other.x) / size };
    return { line, along, seen: point(along, outward), normal };
  };
  return { reach, mmPerPixel, agreeMm: Math.max(0.1, 0.8 * mmPerPixel), point, edge };
}

/** Steep places across the side at `along`, strongest first. */
function findPeaks(order: TrackOrder, spot: SideLooker, along: number): readonly Peak[] {
  const { picture, windowMm } = order;
  const step = spot.mmPerPixel / looksPerPixel;
  const reach = Math.min(profileReachMax, Math.ceil(windowMm / step));
  const slopeReach = looksPerPixel;
  const luma = new Float64Array(2 * (reach + slopeReach) + 1);
  for (const beside of [-1.2, 0, 1.2]) {
    for (let at = 0; at < luma.length; at++) {
      const { x, y } = spot.point(along + beside * spot.mmPerPixel, (at - reach - slopeReach) * step);
      if (!(x >= 1 && y >= 1 && x <= picture.width - 1 && y <= picture.height - 1)) return [];
      luma[at] = (luma[at] ?? 0) + lumaAt(picture, x, y) / 3;
    }
  }
  const slope = new Float64Array(2 * reach + 1);
  for (let at = 0; at < slope.length; at++) {
    let sum = 0;
    for (let off = 1; off <= slopeReach; off++) {
      sum += (luma[at + slopeReach + off] ?? 0) - (luma[at + slopeReach - off] ?? 0);
    }
    slope[at] = (sum / (slopeReach * (slopeReach + 1))) * looksPerPixel;
  }
  const peaks: Peak[] = [];
  for (let at = 1; at < slope.length - 1; at++) {
    const [before, own, after] = [Math.abs(slope[at - 1] ?? 0), Math.abs(slope[at] ?? 0), Math.abs(slope[at + 1] ?? 0)];
    if (own < slopeMin || own < before || own <= after) continue;
    const bend = before - 2 * own + after;
    const part = bend < 0 ? (before - after) / (2 * bend) : 0;
    peaks.push({ offset: (at - reach + part) * step, strength: slope[at] ?? 0 });
  }
  peaks.sort((one, other) => Math.abs(other.strength) - Math.abs(one.strength));
  return peaks.slice(0, peaksMax);
}

/** The line through two candidates that most others agree with, drawn again through all of those. */
function bestTrack(
  profiles: readonly Profile[],
  agreeMm: number,
): { readonly outward: number; readonly members: readonly Member[] } | undefined {
  let best: { outward: number; slope: number; worth: number } | undefined;
  for (let one = 0; one < profiles.length; one += trialStride) {
    for (let other = one + Math.floor(profiles.length / 3); other < profiles.length; other += trialStride) {
      const [start, end] = [profiles[one], profiles[other]];
      if (start === undefined || end === undefined) continue;
      for (const first of start.peaks.slice(0, trialPeaks)) {
        for (const second of end.peaks.slice(0, trialPeaks)) {
          const slope = (second.offset - first.offset) / (end.along - start.along);
          if (Math.abs(slope) > slopeMax) continue;
          const outward = first.offset - slope * start.along;
          const worth = worthOf(profiles, outward, slope, agreeMm);
          if (best === undefined || worth > best.worth) best = { outward, slope, worth };
        }
      }
    }
  }
  if (best === undefined) return undefined;
  let line = { outward: best.outward, slope: best.slope };
  let members: readonly Member[] = [];
  for (let round = 0; round < 3; round++) {
    members = membersOf(profiles, line.outward, line.slope, agreeMm);
    line = throughMembers(members) ?? line;
  }
  return { outward: line.outward, members };
}

function worthOf(profiles: readonly Profile[], outward: number, slope: number, agreeMm: number): number {
  let worth = 0;
  for (const { along, peaks } of profiles) {
    const expected = outward + slope * along;
    let own = 0;
    for (const { offset, strength } of peaks) {
      const off = Math.abs(offset - expected) / agreeMm;
      // A strong edge is worth more than a faint one, but no more than twice.
      if (off < 1) own = Math.max(own, (1 - off * off) * (1 + Math.min(1, Math.abs(strength) / strongSlope)));
    }
    worth += own;
  }
  return worth;
}

function membersOf(profiles: readonly Profile[], outward: number, slope: number, agreeMm: number): readonly Member[] {
  const members: Member[] = [];
  for (const { along, peaks } of profiles) {
    const expected = outward + slope * along;
    let nearest: Peak | undefined;
    for (const peak of peaks) {
      const off = Math.abs(peak.offset - expected);
      if (off < agreeMm && (nearest === undefined || off < Math.abs(nearest.offset - expected))) nearest = peak;
    }
    if (nearest !== undefined) members.push({ along, offset: nearest.offset, peak: nearest });
  }
  return members;
}

function throughMembers(members: readonly Member[]): { readonly outward: number; readonly slope: number } | undefined {
  let [along, offset, square, both] = [0, 0, 0, 0];
  for (const member of members) {
    along += member.along;
    offset += member.offset;
    square += member.along ** 2;
    both += member.along * member.offset;
  }
  const count = members.length;
  const spread = count * square - along * along;
  if (!(spread > 1e-9)) return undefined;
  const slope = (count * both - along * offset) / spread;
  return { slope, outward: (offset - slope * along) / count };
}

const placesAlong = 56;
const looksPerPixel = 3;
/** Bounds the profile in a picture with very many pixels to the mm. */
const profileReachMax = 90;
const tracksMax = 5;
const shareMin = 0.3;
const peaksMax = 8;
const trialStride = 5;
const trialPeaks = 3;
/** Levels per pixel over two pixels, of three lines' mean. */
const slopeMin = 1.2;
const strongSlope = 12;
/** The neighbourhood gave the direction to better than that. */
const slopeMax = 0.03;
