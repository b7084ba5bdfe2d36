/**
 * Measures one finder pattern in the grey picture: rays from its middle meet the edges of the 3 x 3, 5 x 5 and 7 x 7 squares,
 * each to a fraction of a pixel, and the parallelogram grid that explains most of them is fitted. One finder so gives place,
 * turn, skew and module size; three give a homography from some 300 edge points.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";

/**
 * Pixels of the full picture. A module step along the finder's own axes is (ux, uy) and (vx, vy); which of its four turns is
 * the symbol's is not known here.
 */
export type FinderFrame = {
  readonly x: number;
  readonly y: number;
  readonly ux: number;
  readonly uy: number;
  readonly vx: number;
  readonly vy: number;
  /** Root mean square distance of the edges from the fitted squares, in modules. */
  readonly misfit: number;
  /** Share of the rays' edges that were met where they should be. */
  readonly share: number;
  /** Both together: 0 for a perfect finder, about 0.45 for what noise makes. */
  readonly doubt: number;
  readonly edges: FinderEdges;
  /** Luma of its dark and light modules. */
  readonly dark: number;
  readonly light: number;
};

/** Edge points in pixels of the full picture; `along` 0 when on a side crossing u, 1 for v; `place` is -3.5 .. 3.5 modules. */
export type FinderEdges = {
  readonly count: number;
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly along: Uint8Array;
  readonly place: Float64Array;
};

/** Undefined when what is there is no finder. `x`, `y`, `module` are pixels of `picture`, `scale` its pixel in full pixels. */
export function fitFinder(
  picture: GreyPicture,
  scale: number,
  x: number,
  y: number,
  module: number,
): FinderFrame | undefined {
  const levels = finderLevels(picture, x, y, module);
  if (levels === undefined) return undefined;
  const rays = castRays(picture, x, y, module, levels);
  const start = whiten(rays, x, y);
  if (start === undefined) return undefined;
  let axes = turnToFit(rays, start);
  for (let round = 0; round < fitRounds; round++) {
    const next = fitAxes(rays, axes, round < 2 ? 0.9 : 0.6);
    if (next === undefined) return undefined;
    axes = next;
    if (round < fitRounds - 1) correctGrowth(rays, axes);
  }
  return frameOf(rays, axes, scale, levels);
}

type Levels = { readonly dark: number; readonly light: number };

/** Points where rays met edges, in pixels of the level; `radius` is the square's half side in modules; 0 where none was met. */
type Rays = {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly radius: Float64Array;
  readonly met: Uint8Array;
  /** For each ray, its module length as the median of its edges says; 0 when it met none. */
  readonly module: Float64Array;
};

/** (u, v) = (a x + b y + e, c x + d y + f): pixels to modules from the finder's middle. */
type Axes = { a: number; b: number; c: number; d: number; e: number; f: number };

function finderLevels(picture: GreyPicture, x: number, y: number, module: number): Levels | undefined {
  let dark = 0;
  for (let row = -1; row <= 1; row++) {
    for (let column = -1; column <= 1; column++) {
      dark += lumaAt(picture, x + 0.5 * column * module, y + 0.5 * row * module) / 9;
    }
  }
  const peaks = new Float64Array(16);
  for (let ray = 0; ray < 16; ray++) {
    const dx = rayCosines[ray * (rayCount / 16)] ?? 0;
    const dy = raySines[ray * (rayCount / 16)] ?? 0;
    let peak = 0;
    for (let step = 1.4; step < 3.8; step += 0.3) {
      const value = lumaAt(picture, x + dx * step * module, y + dy * step * module);
      if (value > peak) peak = value;
    }
    peaks[ray] = peak;
  }
  const light = peaks.sort()[6] ?? 0;
  return light - dark < finderContrastMin ? undefined : { dark, light };
}

function castRays(picture: GreyPicture, x: number, y: number, module: number, { dark, light }: Levels): Rays {
  const rays: Rays = {
    x: new Float64Array(3 * rayCount),
    y: new Float64Array(3 * rayCount),
    radius: new Float64Array(3 * rayCount),
    met: new Uint8Array(3 * rayCount),
    module: new Float64Array(rayCount),
  };
  const threshold = (dark + light) / 2;
  // An edge counts when the luma has gone clearly past the threshold, so that noise makes none.
  const past = edgePastShare * (light - dark);
  const step = Math.max(0.34, module / 6);
  const reach = 8 * module;
  for (let ray = 0; ray < rayCount; ray++) {
    const dx = rayCosines[ray] ?? 0;
    const dy = raySines[ray] ?? 0;
    let before = lumaAt(picture, x, y) - threshold;
    let edge = 0;
    let last = 0;
    let crossed = 0;
    for (let walked = step; walked < reach && edge < 3; walked += step) {
      const px = x + dx * walked;
      const py = y + dy * walked;
      if (px < 0 || py < 0 || px > picture.width || py > picture.height) break;
      const here = lumaAt(picture, px, py) - threshold;
      const sign = edge === 1 ? -1 : 1;
      if (sign * here >= 0 && sign * before < 0) crossed = walked - (step * here) / (here - before);
      if (sign * here > past && crossed > last) {
        const at = 3 * ray + edge;
        rays.x[at] = x + dx * crossed;
        rays.y[at] = y + dy * crossed;
        rays.radius[at] = 1.5 + edge;
        rays.met[at] = 1;
        edge++;
        last = crossed;
      }
      before = here;
    }
    if (edge > 0) rays.module[ray] = rayModule(rays, ray, edge, last, x, y);
  }
  return rays;
}

/**
 * Blur, ink and exposure move all edges between dark and light by one amount to one side. It is measured and put into the
 * radii, since that is where the edges are.
 */
function correctGrowth(rays: Rays, axes: Axes): void {
  let growth = 0;
  let count = 0;
  for (let at = 0; at < rays.met.length; at++) {
    if (rays.met[at] === 0) continue;
    const off = ringDistance(rays, axes, at);
    if (Math.abs(off) > 0.6) continue;
    growth += at % 3 === 1 ? -off : off;
    count++;
  }
  if (count < rayCount) return;
  const change = growth / count;
  for (let at = 0; at < rays.met.length; at++) {
    if (rays.met[at] === 0) continue;
    const nominal = 1.5 + (at % 3);
    const now = (rays.radius[at] ?? 0) + (at % 3 === 1 ? -change : change);
    rays.radius[at] = Math.min(nominal + growthMax, Math.max(nominal - growthMax, now));
  }
}

/** How long a module is along a ray: from its two inner edges, which lie within the finder whatever stands around it. */
function rayModule(rays: Rays, ray: number, edges: number, last: number, x: number, y: number): number {
  const inner = Math.hypot((rays.x[3 * ray] ?? 0) - x, (rays.y[3 * ray] ?? 0) - y) / 1.5;
  if (edges === 1) return inner;
  const middle = Math.hypot((rays.x[3 * ray + 1] ?? 0) - x, (rays.y[3 * ray + 1] ?? 0) - y) / 2.5;
  if (edges === 2) return (inner + middle) / 2;
  return median3(inner, middle, last / 3.5);
}

/**
 * Axes from the second moments of the outline (in modules) that the rays drew: they make the parallelogram a square of the right
 * size, up to its turn.
 */
function whiten(rays: Rays, x: number, y: number): Axes | undefined {
  let area = 0;
  let sx = 0;
  let sy = 0;
  let xx = 0;
  let xy = 0;
  let yy = 0;
  let used = 0;
  let first = -1;
  let previous = -1;
  const add = (one: number, other: number): void => {
    const x0 = (rays.module[one] ?? 0) * (rayCosines[one] ?? 0);
    const y0 = (rays.module[one] ?? 0) * (raySines[one] ?? 0);
    const x1 = (rays.module[other] ?? 0) * (rayCosines[other] ?? 0);
    const y1 = (rays.module[other] ?? 0) * (raySines[other] ?? 0);
    const cross = x0 * y1 - x1 * y0;
    area += cross / 2;
    sx += (cross * (x0 + x1)) / 6;
    sy += (cross * (y0 + y1)) / 6;
    xx += (cross * (x0 * x0 + x0 * x1 + x1 * x1)) / 12;
    yy += (cross * (y0 * y0 + y0 * y1 + y1 * y1)) / 12;
    xy += (cross * (2 * x0 * y0 + x0 * y1 + x1 * y0 + 2 * x1 * y1)) / 24;
  };
  for (let ray = 0; ray < rayCount; ray++) {
    if (rays.module[ray] === 0) continue;
    used++;
    if (previous >= 0) add(previous, ray);
    else first = ray;
    previous = ray;
  }
  if (used < rayCount * 0.6 || first < 0) return undefined;
  add(previous, first);
  if (!(area > 0.05)) return undefined;
  const mx = sx / area;
  const my = sy / area;
  return inverseRoot(xx / area - mx * mx, xy / area - mx * my, yy / area - my * my, x + mx, y + my);
}

/** The symmetric inverse square root of a covariance, scaled so that a square of half side 1 keeps it: its moment is a third. */
function inverseRoot(xx: number, xy: number, yy: number, x: number, y: number): Axes | undefined {
  const determinant = xx * yy - xy * xy;
  const root = Math.sqrt(determinant);
  const trace = Math.sqrt(xx + yy + 2 * root);
  if (!(root > 0) || !(trace > 0)) return undefined;
  // The root of a 2 x 2 matrix is (M + sqrt(det) I) / sqrt(trace + 2 sqrt(det)).
  const rootXx = (xx + root) / trace;
  const rootXy = xy / trace;
  const rootYy = (yy + root) / trace;
  const rootDeterminant = rootXx * rootYy - rootXy * rootXy;
  const scale = 1 / Math.sqrt(3) / rootDeterminant;
  const a = rootYy * scale;
  const b = -rootXy * scale;
  const d = rootXx * scale;
  return { a, b, c: b, d, e: -(a * x + b * y), f: -(b * x + d * y) };
}

function turnToFit(rays: Rays, start: Axes): Axes {
  let best = start;
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < turnsTried; turn++) {
    const angle = (turn * Math.PI) / 2 / turnsTried;
    const axes = turned(start, Math.cos(angle), Math.sin(angle));
    let sum = 0;
    for (let at = 0; at < rays.met.length; at++) {
      if (rays.met[at] === 0) continue;
      sum += Math.min(Math.abs(ringDistance(rays, axes, at)), 0.7);
    }
    if (sum < least) {
      least = sum;
      best = axes;
    }
  }
  return best;
}

function turned({ a, b, c, d, e, f }: Axes, cosine: number, sine: number): Axes {
  return {
    a: cosine * a - sine * c,
    b: cosine * b - sine * d,
    c: sine * a + cosine * c,
    d: sine * b + cosine * d,
    e: cosine * e - sine * f,
    f: sine * e + cosine * f,
  };
}

/** How far outside its square an edge point lies, in modules. */
function ringDistance(rays: Rays, axes: Axes, at: number): number {
  const x = rays.x[at] ?? 0;
  const y = rays.y[at] ?? 0;
  const u = axes.a * x + axes.b * y + axes.e;
  const v = axes.c * x + axes.d * y + axes.f;
  return Math.max(Math.abs(u), Math.abs(v)) - (rays.radius[at] ?? 0);
}

/** One round of least squares: each edge point belongs to the side it is nearest to. */
function fitAxes(rays: Rays, axes: Axes, limit: number): Axes | undefined {
  sumsU.fill(0);
  sumsV.fill(0);
  const centreX = rays.x[firstMet(rays)] ?? 0;
  const centreY = rays.y[firstMet(rays)] ?? 0;
  for (let at = 0; at < rays.met.length; at++) {
    if (rays.met[at] === 0) continue;
    const x = rays.x[at] ?? 0;
    const y = rays.y[at] ?? 0;
    const radius = rays.radius[at] ?? 0;
    const u = axes.a * x + axes.b * y + axes.e;
    const v = axes.c * x + axes.d * y + axes.f;
    const onU = Math.abs(u) > Math.abs(v);
    const value = onU ? u : v;
    if (Math.abs(Math.abs(value) - radius) > limit) continue;
    // Points at a corner belong to neither side for certain.
    if (Math.abs(Math.abs(u) - Math.abs(v)) < 0.15) continue;
    addPlane(onU ? sumsU : sumsV, x - centreX, y - centreY, value > 0 ? radius : -radius);
  }
  const planeU = solvePlane(sumsU);
  const planeV = solvePlane(sumsV);
  if (planeU === undefined || planeV === undefined) return undefined;
  const [a, b, e] = planeU;
  const [c, d, f] = planeV;
  if (Math.abs(a * d - b * c) < 1e-9) return undefined;
  return { a, b, c, d, e: e - a * centreX - b * centreY, f: f - c * centreX - d * centreY };
}

function firstMet(rays: Rays): number {
  return Math.max(0, rays.met.indexOf(1));
}

/** Sums for value = a x + b y + e: xx, xy, yy, x, y, n, xz, yz, z. */
function addPlane(sums: Float64Array, x: number, y: number, value: number): void {
  sums[0] = (sums[0] ?? 0) + x * x;
  sums[1] = (sums[1] ?? 0) + x * y;
  sums[2] = (sums[2] ?? 0) + y * y;
  sums[3] = (sums[3] ?? 0) + x;
  sums[4] = (sums[4] ?? 0) + y;
  sums[5] = (sums[5] ?? 0) + 1;
  sums[6] = (sums[6] ?? 0) + x * value;
  sums[7] = (sums[7] ?? 0) + y * value;
  sums[8] = (sums[8] ?? 0) + value;
}

function solvePlane(sums: Float64Array): readonly [number, number, number] | undefined {
  const [xx = 0, xy = 0, yy = 0, x = 0, y = 0, n = 0, xz = 0, yz = 0, z = 0] = sums;
  if (n < 8) return undefined;
  const determinant = xx * (yy * n - y * y) - xy * (xy * n - y * x) + x * (xy * y - yy * x);
  if (Math.abs(determinant) < 1e-6) return undefined;
  const a = xz * (yy * n - y * y) - xy * (yz * n - y * z) + x * (yz * y - yy * z);
  const b = xx * (yz * n - y * z) - xz * (xy * n - y * x) + x * (xy * z - yz * x);
  const e = xx * (yy * z - yz * y) - xy * (xy * z - yz * x) + xz * (xy * y - yy * x);
  return [a / determinant, b / determinant, e / determinant];
}

function frameOf(rays: Rays, axes: Axes, scale: number, levels: Levels): FinderFrame | undefined {
  const determinant = axes.a * axes.d - axes.b * axes.c;
  const kept = { x: [] as number[], y: [] as number[], along: [] as number[], place: [] as number[] };
  let squares = 0;
  for (let at = 0; at < rays.met.length; at++) {
    if (rays.met[at] === 0) continue;
    const x = rays.x[at] ?? 0;
    const y = rays.y[at] ?? 0;
    const radius = rays.radius[at] ?? 0;
    const u = axes.a * x + axes.b * y + axes.e;
    const v = axes.c * x + axes.d * y + axes.f;
    const onU = Math.abs(u) > Math.abs(v);
    const value = onU ? u : v;
    const off = Math.abs(value) - radius;
    if (Math.abs(off) > 0.5) continue;
    squares += off * off;
    kept.x.push(x * scale);
    kept.y.push(y * scale);
    kept.along.push(onU ? 0 : 1);
    kept.place.push(value > 0 ? radius : -radius);
  }
  const count = kept.x.length;
  const share = count / rays.met.length;
  const misfit = Math.sqrt(squares / Math.max(1, count));
  const doubt = misfit + 0.5 * (1 - share);
  if (share < edgeShareMin || doubt > doubtMax) return undefined;
  const frame = {
    x: (scale * (axes.b * axes.f - axes.d * axes.e)) / determinant,
    y: (scale * (axes.c * axes.e - axes.a * axes.f)) / determinant,
    ux: (scale * axes.d) / determinant,
    uy: (-scale * axes.c) / determinant,
    vx: (-scale * axes.b) / determinant,
    vy: (scale * axes.a) / determinant,
  };
  const edges = {
    count,
    x: Float64Array.from(kept.x),
    y: Float64Array.from(kept.y),
    along: Uint8Array.from(kept.along),
    place: Float64Array.from(kept.place),
  };
  return isPlausible(frame) ? { ...frame, misfit, share, doubt, edges, ...levels } : undefined;
}

/** Sides of very different length or nearly one direction are no finder seen under any angle at which it could be read. */
function isPlausible({ ux, uy, vx, vy }: Pick<FinderFrame, "ux" | "uy" | "vx" | "vy">): boolean {
  const u = Math.hypot(ux, uy);
  const v = Math.hypot(vx, vy);
  const sine = Math.abs(ux * vy - uy * vx) / (u * v);
  return u < sideRatioMax * v && v < sideRatioMax * u && sine > sideSineMin;
}

function median3(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

const rayCount = 48;
const rayCosines = Float64Array.from({ length: rayCount }, (_, ray) => Math.cos((2 * Math.PI * ray) / rayCount));
const raySines = Float64Array.from({ length: rayCount }, (_, ray) => Math.sin((2 * Math.PI * ray) / rayCount));
const sumsU = new Float64Array(9);
const sumsV = new Float64Array(9);
const fitRounds = 6;
const edgePastShare = 0.06;
const growthMax = 0.45;
const turnsTried = 12;
const finderContrastMin = 10;
const edgeShareMin = 0.5;
const doubtMax = 0.46;
const sideRatioMax = 3.2;
const sideSineMin = 0.35;
