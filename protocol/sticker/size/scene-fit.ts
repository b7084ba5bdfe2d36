/**
 * Fits camera, sticker and reference to the edges that were measured in the picture.
 * What each number is: scene-model.ts; how it is solved: least-squares.ts.
 */
import { homographyBetween, type Point, type SymbolMap } from "../plane.ts";
import { type LeastSquaresAnswer, type Prior, solveLeastSquares } from "./least-squares.ts";
import {
  at,
  modulesMm,
  moduleToFace,
  multiply3,
  parameterCount,
  projection,
  referenceToFace,
  type SceneFrame,
  turnBy,
} from "./scene-model.ts";
import type { SymbolEdge } from "./symbol-edges.ts";

/** One straight edge of the reference: `inset` mm inside its outline on `side` (0 top, 1 right, 2 bottom, 3 left). */
export type ReferenceLine = {
  readonly side: 0 | 1 | 2 | 3;
  readonly inset: number;
  /** How it moves when the ink of a printed frame grows: outwards, inwards, or not at all. */
  readonly growth: 1 | -1 | 0;
  /** What stands proud ends there: on its outside (1) or at an opening (-1); 0: it is printed. */
  readonly facing: 1 | -1 | 0;
};

export type ReferenceShape = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly lines: readonly ReferenceLine[];
};

/** A place on a reference's line as it is seen. `along` mm from the side's middle, clockwise. */
export type ReferenceEdge = {
  readonly line: number;
  readonly along: number;
  readonly seen: Point;
  readonly normal: Point;
};

export type Scene = { readonly frame: SceneFrame; readonly parameters: Float64Array };

export type SceneFit = Scene & {
  readonly answer: LeastSquaresAnswer;
  /** Root mean square of what the model does not explain, in pixels, outliers left out. */
  readonly symbolMisfitPx: number;
  readonly referenceMisfitPx: number;
  /** Three of four symbol edges, outliers and all, are nearer than that to where the model has them. */
  readonly symbolSpreadPx: number;
};

export type Knowledge = {
  readonly focalPx: number;
  readonly logFocalSigma: number;
  readonly moduleMm: number;
  /** 0 holds the module at `moduleMm`: without a reference the symbol itself is the unit. */
  readonly logModuleSigma: number;
  readonly logAspectSigma: number;
  readonly proudMm: number;
  readonly proudSigmaMm: number;
  readonly logReferenceAspectSigma: number;
  /** Of each side. */
  readonly sideSigmaMm: readonly number[];
  readonly frameGrowthSigmaMm: number;
};

/** Camera and sticker from the map alone, the module taken at its nominal size. Undefined for a map that shows no plane. */
export function startScene(
  map: SymbolMap,
  picture: { readonly width: number; readonly height: number },
  focalPx: number,
  moduleMm: number,
): Scene | undefined {
  const corners: Point[] = [];
  const seen: Point[] = [];
  const half = map.modules / 2;
  const orientation = handedness(map);
  for (const row of [0, 0.5, 1]) {
    for (const column of [0, 0.5, 1]) {
      const x = (column * map.modules - half) * moduleMm * orientation;
      corners.push({ x, y: (row * map.modules - half) * moduleMm });
      seen.push(map.toPicture(column * map.modules, row * map.modules));
    }
  }
  const h = homographyBetween(corners, seen);
  if (h === undefined) return undefined;
  const [centreX, centreY] = [picture.width / 2, picture.height / 2];
  const column = (k: 0 | 1 | 2): readonly number[] => [
    ((h[k] ?? 0) - centreX * (h[6 + k] ?? 0)) / focalPx,
    ((h[3 + k] ?? 0) - centreY * (h[6 + k] ?? 0)) / focalPx,
    h[6 + k] ?? 0,
  ];
  const pose = poseOf(column(0), column(1), column(2));
  if (pose === undefined) return undefined;
  const parameters = new Float64Array(parameterCount);
  parameters.set(pose.shift, at.shift);
  parameters[at.logFocal] = Math.log(focalPx);
  parameters[at.logModule] = Math.log(moduleMm);
  const frame = { modules: map.modules, centreX, centreY, turn: pose.turn, mirrored: orientation < 0 };
  return { frame, parameters };
}

/** Undefined when the edges do not fix it. */
export function fitScene(
  scene: Scene,
  knowledge: Knowledge,
  symbolEdges: readonly SymbolEdge[],
  reference?: { readonly shape: ReferenceShape; readonly edges: readonly ReferenceEdge[] },
): SceneFit | undefined {
  let fit: SceneFit | undefined;
  let current = scene;
  // Spread is not known beforehand: a first fit takes half a pixel, the second what the first one left unexplained.
  let sigmas = { symbol: firstSigmaPx, reference: firstSigmaPx };
  for (let round = 0; round < 2; round++) {
    const { frame } = current;
    const answer = solveLeastSquares({
      priors: scenePriors(knowledge, reference !== undefined),
      start: [...current.parameters],
      observations: symbolEdges.length + (reference?.edges.length ?? 0),
      residuals: (parameters, into) => {
        symbolResiduals(frame, parameters, symbolEdges, sigmas.symbol, into);
        if (reference === undefined) return;
        referenceResiduals(frame, parameters, reference, sigmas.reference, into.subarray(symbolEdges.length));
      },
      outlierAt: round === 0 ? 6 : 4,
    });
    if (answer === undefined) return undefined;
    const count = symbolEdges.length;
    const symbolMisfitPx = spread(answer, 0, count) * sigmas.symbol;
    const referenceMisfitPx = spread(answer, count, answer.residuals.length) * sigmas.reference;
    current = settle({ frame, parameters: answer.parameters });
    const symbolSpreadPx = thirdQuartile(answer.residuals.subarray(0, count)) * sigmas.symbol;
    fit = { ...current, answer, symbolMisfitPx, referenceMisfitPx, symbolSpreadPx };
    sigmas = { symbol: Math.max(sigmaMinPx, symbolMisfitPx), reference: Math.max(sigmaMinPx, referenceMisfitPx) };
  }
  return fit;
}

/** Where a reference's line runs, in mm of its own plane, `along` mm from the side's middle. */
export function linePoint(
  shape: ReferenceShape,
  line: ReferenceLine,
  along: number,
  outward: number,
  logAspect: number,
): Point {
  const halfWidth = (shape.widthMm / 2) * Math.exp(logAspect / 2);
  const halfHeight = (shape.heightMm / 2) * Math.exp(-logAspect / 2);
  const move = outward - line.inset;
  switch (line.side) {
    case 0:
      return { x: along, y: -halfHeight - move };
    case 1:
      return { x: halfWidth + move, y: along };
    case 2:
      return { x: -along, y: halfHeight + move };
    case 3:
      return { x: -halfWidth - move, y: -along };
  }
}

/** 95 % half widths of both module sides, in percent of each. */
export function moduleUncertaintyPercent(
  fit: SceneFit,
  toleranceSigma: number,
): { readonly x: number; readonly y: number } {
  const cell = (row: number, column: number) => fit.answer.covariance[row * parameterCount + column] ?? 0;
  const [mean, aspect, both] = [
    cell(at.logModule, at.logModule),
    cell(at.logAspect, at.logAspect),
    cell(at.logModule, at.logAspect),
  ];
  const percent = (variance: number) => 100 * coverageFactor * Math.sqrt(Math.max(variance, 0) + toleranceSigma ** 2);
  return { x: percent(mean + aspect / 4 - both), y: percent(mean + aspect / 4 + both) };
}

function symbolResiduals(
  frame: SceneFrame,
  parameters: Float64Array,
  edges: readonly SymbolEdge[],
  sigma: number,
  into: Float64Array,
): void {
  const project = projection(frame, parameters);
  const face = moduleToFace(frame, parameters);
  const [growthX, growthY] = [(parameters[at.growthX] ?? 0) / 2, (parameters[at.growthY] ?? 0) / 2];
  for (let one = 0; one < edges.length; one++) {
    const edge = edges[one];
    if (edge === undefined) continue;
    const moveX = edge.axis === "x" ? -edge.sign * growthX : 0;
    const moveY = edge.axis === "y" ? -edge.sign * growthY : 0;
    const { x, y } = face(edge.column + moveX, edge.row + moveY);
    const place = project(x, y, 0);
    into[one] = ((place.x - edge.seen.x) * edge.normal.x + (place.y - edge.seen.y) * edge.normal.y) / sigma;
  }
}

function referenceResiduals(
  frame: SceneFrame,
  parameters: Float64Array,
  reference: { readonly shape: ReferenceShape; readonly edges: readonly ReferenceEdge[] },
  sigma: number,
  into: Float64Array,
): void {
  const project = projection(frame, parameters);
  const face = referenceToFace(parameters);
  const depth = -(parameters[at.proud] ?? 0);
  const aspect = parameters[at.logReferenceAspect] ?? 0;
  for (let one = 0; one < reference.edges.length; one++) {
    const edge = reference.edges[one];
    const line = edge === undefined ? undefined : reference.shape.lines[edge.line];
    if (edge === undefined || line === undefined) continue;
    const outward = (parameters[at.sides + line.side] ?? 0) + line.growth * (parameters[at.frameGrowth] ?? 0);
    const own = linePoint(reference.shape, line, edge.along, outward, aspect);
    const { x, y } = face(own.x, own.y);
    const place = project(x, y, depth);
    into[one] = ((place.x - edge.seen.x) * edge.normal.x + (place.y - edge.seen.y) * edge.normal.y) / sigma;
  }
}

function scenePriors(knowledge: Knowledge, withReference: boolean): readonly Prior[] {
  const free = (step: number): Prior => ({ mean: 0, sigma: Infinity, step });
  const priors: Prior[] = Array.from({ length: parameterCount }, () => ({ mean: 0, sigma: 0, step: 1e-6 }));
  const known = (place: number, mean: number, sigma: number, step: number) => {
    priors[place] = { mean, sigma, step };
  };
  for (let one = 0; one < 3; one++) {
    priors[at.turn + one] = free(1e-6);
    priors[at.shift + one] = free(1e-4);
  }
  known(at.logFocal, Math.log(knowledge.focalPx), knowledge.logFocalSigma, 1e-6);
  known(at.bend, 0, bendSigma, 1e-6);
  known(at.logModule, Math.log(knowledge.moduleMm), knowledge.logModuleSigma, 1e-6);
  known(at.logAspect, 0, knowledge.logAspectSigma, 1e-6);
  known(at.growthX, 0, growthSigmaModules, 1e-5);
  known(at.growthY, 0, growthSigmaModules, 1e-5);
  if (!withReference) return priors;
  priors[at.referenceX] = free(1e-4);
  priors[at.referenceY] = free(1e-4);
  priors[at.referenceTurn] = free(1e-6);
  known(at.proud, knowledge.proudMm, knowledge.proudSigmaMm, 1e-4);
  known(at.logReferenceAspect, 0, knowledge.logReferenceAspectSigma, 1e-6);
  for (let side = 0; side < 4; side++) known(at.sides + side, 0, knowledge.sideSigmaMm[side] ?? 0, 1e-4);
  known(at.frameGrowth, 0, knowledge.frameGrowthSigmaMm, 1e-4);
  return priors;
}

/** Root mean square of the residuals that are no outliers, against what the weights let through of a normal spread. */
function spread(answer: LeastSquaresAnswer, from: number, to: number): number {
  let sum = 0;
  let weight = 0;
  for (let one = from; one < to; one++) {
    const own = answer.weights[one] ?? 0;
    sum += own * (answer.residuals[one] ?? 0) ** 2;
    weight += own;
  }
  return weight === 0 ? 1 : Math.sqrt((biweightShrink * sum) / weight);
}

function thirdQuartile(residuals: Float64Array): number {
  const sizes = residuals.map(Math.abs).sort();
  return sizes[Math.floor(0.75 * sizes.length)] ?? 0;
}

/** Folds the small turn into the frame, so that the next fit starts at zero again. */
function settle({ frame, parameters }: Scene): Scene {
  const turn = multiply3(turnBy(parameters[0] ?? 0, parameters[1] ?? 0, parameters[2] ?? 0), frame.turn);
  const next = parameters.slice();
  next.fill(0, at.turn, at.turn + 3);
  return { frame: { ...frame, turn }, parameters: next };
}

/** Columns of the inverse camera matrix times the homography, up to one scale. */
function poseOf(
  one: readonly number[],
  other: readonly number[],
  away: readonly number[],
): { readonly turn: readonly number[]; readonly shift: readonly number[] } | undefined {
  const scale = Math.sqrt(norm(one) * norm(other));
  const depth = away[2] ?? 0;
  if (!(scale > 0) || !Number.isFinite(scale) || depth === 0) return undefined;
  // The sticker is before the camera.
  const unit = Math.sign(depth) / scale;
  const u = one.map((value) => value * unit);
  const v = other.map((value) => value * unit);
  // The nearest pair of unit vectors at right angles lies evenly about both.
  const sum = normalised(u.map((value, k) => value / norm(u) + (v[k] ?? 0) / norm(v)));
  const difference = normalised(u.map((value, k) => value / norm(u) - (v[k] ?? 0) / norm(v)));
  const right = sum.map((value, k) => (value + (difference[k] ?? 0)) * Math.SQRT1_2);
  const down = sum.map((value, k) => (value - (difference[k] ?? 0)) * Math.SQRT1_2);
  const ahead = cross(right, down);
  const [r = 0, s = 0, t = 0] = right;
  const [d = 0, e = 0, f = 0] = down;
  const [g = 0, h = 0, i = 0] = ahead;
  return { turn: [r, d, g, s, e, h, t, f, i], shift: away.map((value) => value * unit) };
}

/** -1 when the symbol is seen in a mirror. */
function handedness(map: SymbolMap): 1 | -1 {
  const middle = map.modules / 2;
  const [o, x, y] = [
    map.toPicture(middle, middle),
    map.toPicture(middle + 1, middle),
    map.toPicture(middle, middle + 1),
  ];
  return (x.x - o.x) * (y.y - o.y) - (x.y - o.y) * (y.x - o.x) < 0 ? -1 : 1;
}

function norm(vector: readonly number[]): number {
  return Math.hypot(...vector);
}

function normalised(vector: readonly number[]): readonly number[] {
  const length = norm(vector) || 1;
  return vector.map((value) => value / length);
}

function cross(a: readonly number[], b: readonly number[]): readonly number[] {
  const [a0 = 0, a1 = 0, a2 = 0] = a;
  const [b0 = 0, b1 = 0, b2 = 0] = b;
  return [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0];
}

/** Tilt of the sticker against straight on, in degrees. */
export function tiltDegrees({ frame }: Scene): number {
  const ahead = Math.abs(frame.turn[8] ?? 1);
  return (Math.acos(Math.min(1, ahead)) * 180) / Math.PI;
}

export function moduleSideMm(scene: Scene): { readonly x: number; readonly y: number } {
  return modulesMm(scene.parameters);
}

const firstSigmaPx = 0.5;
/** Pixels, tone curves and sharpening leave that much even when a fit looks better. */
const sigmaMinPx = 0.06;
/** Main cameras of phones correct their lens; what is left, and wide ones, stay within twice that. */
const bendSigma = 0.03;
const growthSigmaModules = 0.15;
/** 1.96 would do if every edge erred on its own; they share blur, tone and what the lens model leaves out (campaign: SPEC Q89). */
const coverageFactor = 2.5;
/** With weights that fall to zero at four deviations a normal spread looks about a tenth narrower. */
const biweightShrink = 1.2;
