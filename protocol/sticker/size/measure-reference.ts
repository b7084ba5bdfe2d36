/**
 * One kind of reference in one picture: is it there, is it that, and how large does it say a module is?
 *
 * Theory: rectangles of about its shape come from the neighbourhood (find-rectangles.ts); each is measured in the picture itself and
 * fitted together with the symbol. Then it has to prove itself: all four sides seen, straight in the common model, in the
 * proportion of the reference when the symbol is taken for square, with its corners or marks. Whatever fails has a reason, and no size.
 */
import type { GreyPicture } from "../grey-picture.ts";
import type { Point } from "../plane.ts";
import { type AgreedTracks, agreeOnTracks, type Move, type TrackedLine } from "./agree-on-tracks.ts";
import { cardMarksSeen, roundCorners } from "./card-proof.ts";
import { type FoundRectangle, findRectangles, sidesApart } from "./find-rectangles.ts";
import { drawNeighbourhood, findFaintLines, findLines, type StraightLine, turnBetween } from "./neighbourhood.ts";
import { trackLine } from "./reference-edges.ts";
import type { KnownReference } from "./reference-shapes.ts";
import {
  fitScene,
  type Knowledge,
  linePoint,
  moduleUncertaintyPercent,
  type Scene,
  type SceneFit,
} from "./scene-fit.ts";
import { at, parameterCount, projection, referenceToFace } from "./scene-model.ts";
import type { TriedReference } from "./size-types.ts";
import type { SymbolEdge } from "./symbol-edges.ts";

/** The symbol as it was fitted on its own, the module at its nominal size. */
export type SymbolScene = {
  readonly picture: GreyPicture;
  readonly scene: Scene;
  readonly edges: readonly SymbolEdge[];
  readonly knowledge: Knowledge;
};

export type MeasuredReference = {
  readonly fit: SceneFit;
  readonly uncertaintyPercent: { readonly x: number; readonly y: number };
  readonly corners: readonly [Point, Point, Point, Point];
  readonly score: number;
};

/** The size by this reference, or why there is none. */
export function measureReference(symbol: SymbolScene, known: KnownReference): MeasuredReference | TriedReference {
  let trouble: TriedReference = { reference: known.kind, reason: "not-found" };
  const accepted: MeasuredReference[] = [];
  const settled: FoundRectangle[] = [];
  for (const candidate of candidatesFor(symbol, known)) {
    // Its neighbours would come to rest at the same place.
    if (settled.some((other) => sidesApart(other, candidate) < sameRestMm)) continue;
    const answer = measureCandidate(symbol, known, candidate);
    if (answer === undefined) continue;
    if ("fit" in answer) {
      accepted.push(answer);
      if (answer.score >= goodScore) settled.push(candidate);
      // Only a bezel whose rim is unknown can be taken for one of its own inner edges.
      const isUnmistakable = known.place === "beside" || known.insetMm !== undefined;
      if (isUnmistakable && answer.score >= clearScore) break;
    } else if (trouble.reason === "not-found") trouble = answer;
  }
  const [best, ...others] = accepted.sort((one, other) => other.score - one.score);
  if (best === undefined) return trouble;
  // SPEC Q87: a panel has edges inside edges; what cannot be told apart is not measured.
  const rival = others.find((other) => other.score > best.score - scoreLead && sizesDiffer(best, other));
  return rival === undefined ? best : { reference: known.kind, reason: "ambiguous" };
}

function candidatesFor(symbol: SymbolScene, known: KnownReference): readonly FoundRectangle[] {
  const { picture, scene, knowledge } = symbol;
  const { widthMm, heightMm } = known.shape;
  const symbolHalfMm = (scene.frame.modules * knowledge.moduleMm) / 2;
  const around = known.place === "around";
  const halfMm = around
    ? scaleMax * Math.max(widthMm, heightMm) - symbolHalfMm
    : symbolHalfMm + besideMm + scaleMax * Math.hypot(widthMm, heightMm);
  const project = projection(scene.frame, scene.parameters);
  const near = drawNeighbourhood({
    picture,
    toPicture: (x, y) => project(x, y, -known.proudMm),
    halfMm,
    // Half a quiet zone more, because blur widens the symbol.
    symbolHalfMm: symbolHalfMm + 2 * knowledge.moduleMm,
  });
  const allowed = (turn: number): boolean =>
    !around || Math.min(turnBetween(turn, 0), turnBetween(turn, Math.PI / 2)) < bezelTurnMax;
  const shortestMm = scaleMin * Math.min(widthMm, heightMm);
  const strong = findLines(near, allowed, shortestMm);
  const lines = [...strong, ...mainTurns(strong).flatMap((turn) => findFaintLines(near, turn, shortestMm))];
  const insets = known.insetMm === undefined ? [0] : [0, known.insetMm];
  const size = { widthMm, heightMm, insets, scaleMin, scaleMax, aspectSlack };
  const isCard = known.kind === "calibration-card";
  const most = isCard ? markedMax : candidatesMax;
  const found = findRectangles(near, lines, { ...size, place: known.place, symbolHalfMm, most });
  // The frame lies inside the paper's own edges, which look much like it; the marks do not.
  return isCard ? found.filter((one) => cardMarksSeen(picture, placeCandidate(scene, known, one))) : found;
}

/** The directions of the strongest lines, those at right angles to each other counted once. */
function mainTurns(lines: readonly StraightLine[]): readonly number[] {
  const turns: number[] = [];
  for (const { turn } of lines) {
    const isNew = turns.every(
      (other) => Math.min(turnBetween(turn, other), Math.abs(turnBetween(turn, other) - Math.PI / 2)) > turnsApart,
    );
    if (isNew && turns.length < turnsMax) turns.push(turn);
  }
  return turns;
}

function measureCandidate(
  symbol: SymbolScene,
  known: KnownReference,
  candidate: FoundRectangle,
): MeasuredReference | TriedReference | undefined {
  const started = placeCandidate(symbol.scene, known, candidate);
  const module = symbol.knowledge.moduleMm / candidateScale(known, candidate);
  const knowledge = (scene: Scene): Knowledge => ({
    ...symbol.knowledge,
    moduleMm: module,
    logModuleSigma: Number.POSITIVE_INFINITY,
    logAspectSigma: unevenSigma,
    proudMm: known.proudMm,
    proudSigmaMm: known.proudSigmaMm,
    logReferenceAspectSigma: known.toleranceSigma,
    sideSigmaMm: sideSigmas(scene, known),
    frameGrowthSigmaMm: known.frameGrowthSigmaMm,
  });
  let scene = started;
  let fit: SceneFit | undefined;
  let tracked: AgreedTracks | undefined;
  for (const look of looks) {
    tracked = trackSides(symbol.picture, scene, known, look);
    if (tracked === undefined || tracked.score < firstScoreMin) return undefined;
    const moved = moveReference(scene, tracked.move);
    // The first looks only bring the reference to its place.
    const symbolEdges = look === looks.at(-1) ? symbol.edges : symbol.edges.filter((_, one) => one % 3 === 0);
    fit = fitScene(moved, knowledge(moved), symbolEdges, { shape: known.shape, edges: tracked.edges });
    if (fit === undefined || !isNear(fit, started)) return undefined;
    scene = fit;
  }
  if (fit === undefined || tracked === undefined || tracked.score < scoreMinOf(known)) return undefined;
  return proveReference(symbol, known, tracked, fit, knowledge(fit));
}

/** Four edges agree by chance more easily than eight. */
function scoreMinOf(known: KnownReference): number {
  return known.shape.lines.length > 4 ? scoreMinOfEight : scoreMinOfFour;
}

/** The four proofs. */
function proveReference(
  symbol: SymbolScene,
  known: KnownReference,
  tracked: AgreedTracks,
  fit: SceneFit,
  knowledge: Knowledge,
): MeasuredReference | TriedReference {
  const reference = known.kind;
  // A symbol taken for square and a rectangle of any proportion: what proportion does the picture show?
  const square = fitScene(
    fit,
    { ...knowledge, logAspectSigma: squareSigma, logReferenceAspectSigma: 0.1 },
    symbol.edges,
    { shape: known.shape, edges: tracked.edges },
  );
  if (square === undefined) return { reference, reason: "not-flat" };
  const off = square.parameters[at.logReferenceAspect] ?? 0;
  const sigma = Math.sqrt(square.answer.covariance[at.logReferenceAspect * (parameterCount + 1)] ?? 0);
  if (Math.abs(off) > Math.max(known.aspectOffMax, 3 * sigma)) {
    const { widthMm, heightMm } = known.shape;
    const [wide, high] = [Math.max(widthMm, heightMm), Math.min(widthMm, heightMm)];
    const measuredAspect = (wide / high) * Math.exp(widthMm >= heightMm ? off : -off);
    return { reference, reason: "wrong-aspect", measuredAspect, expectedAspect: wide / high };
  }
  if (fit.referenceMisfitPx > misfitMaxPx) return { reference, reason: "not-flat" };
  // Sides that are seen all along need no corners to speak for them, but none against.
  const cornersMin = tracked.score >= clearScore ? 0 : 2;
  if (known.radiusMm !== undefined && roundCorners(symbol.picture, fit, known.shape, known.radiusMm) < cornersMin) {
    return { reference, reason: "wrong-corners" };
  }
  if (reference === "calibration-card" && !cardMarksSeen(symbol.picture, fit))
    return { reference, reason: "marks-missing" };
  const uncertaintyPercent = moduleUncertaintyPercent(fit, known.toleranceSigma);
  if (!(Math.max(uncertaintyPercent.x, uncertaintyPercent.y) <= uncertaintyMaxPercent)) {
    return { reference, reason: "too-uncertain" };
  }
  return { fit, uncertaintyPercent, corners: referenceCorners(fit, known), score: tracked.score };
}

/** The candidate's size says how large a module must be for it to be the reference; camera and reference move with it. */
function placeCandidate(scene: Scene, known: KnownReference, candidate: FoundRectangle): Scene {
  const parameters = scene.parameters.slice();
  parameters[at.referenceX] = candidate.x;
  parameters[at.referenceY] = candidate.y;
  parameters[at.referenceTurn] = candidate.turn;
  parameters[at.proud] = known.proudMm;
  return scaleScene({ frame: scene.frame, parameters }, candidateScale(known, candidate));
}

/** Moves the reference in its own axes; one that is seen larger than it is makes everything else smaller. */
function moveReference(scene: Scene, { x, y, grow }: Move): Scene {
  const parameters = scene.parameters.slice();
  const moved = referenceToFace(parameters)(x, y);
  parameters[at.referenceX] = moved.x;
  parameters[at.referenceY] = moved.y;
  return scaleScene({ frame: scene.frame, parameters }, 1 + grow);
}

/** Everything but what stands proud is `scale` times smaller than it was taken for. */
function scaleScene(scene: Scene, scale: number): Scene {
  const parameters = scene.parameters.slice();
  for (const place of [at.shift, at.shift + 1, at.shift + 2, at.referenceX, at.referenceY]) {
    parameters[place] = (parameters[place] ?? 0) / scale;
  }
  parameters[at.logModule] = (parameters[at.logModule] ?? 0) - Math.log(scale);
  return { frame: scene.frame, parameters };
}

function candidateScale(known: KnownReference, candidate: FoundRectangle): number {
  return Math.sqrt((candidate.width * candidate.height) / (known.shape.widthMm * known.shape.heightMm));
}

/** How far from its expected place an edge is looked for, and how far one may be from what the others say. */
type Look = { readonly windowMm: number; readonly agreeMm: number };

/** The tracks of all lines that agree on one place; undefined when a side shows none of them. */
function trackSides(picture: GreyPicture, scene: Scene, known: KnownReference, look: Look): AgreedTracks | undefined {
  const order = { picture, scene, shape: known.shape, windowMm: look.windowMm, cornerMm: known.cornerMm };
  const tracked = known.shape.lines.map(
    ({ side }, line): TrackedLine => ({
      side,
      facing: known.shape.lines[line]?.facing ?? 0,
      footMm: footOffsetMm(scene, known, side),
      tracks: trackLine(order, line),
    }),
  );
  return agreeOnTracks(tracked, known.shape, look.agreeMm);
}

/** How far outside its front edge the camera sees a side's foot on the sticker's plane, in mm; negative: hidden behind it. */
function footOffsetMm(scene: Scene, known: KnownReference, side: 0 | 1 | 2 | 3): number {
  const { parameters } = scene;
  const project = projection(scene.frame, parameters);
  const face = referenceToFace(parameters);
  const place = (outward: number, depth: number): Point => {
    const own = linePoint(known.shape, { side, inset: 0, growth: 0, facing: 1 }, 0, outward, 0);
    const { x, y } = face(own.x, own.y);
    return project(x, y, depth);
  };
  const depth = -(parameters[at.proud] ?? 0);
  const [edge, out, foot] = [place(0, depth), place(1, depth), place(0, 0)];
  const [dx, dy] = [out.x - edge.x, out.y - edge.y];
  return ((foot.x - edge.x) * dx + (foot.y - edge.y) * dy) / (dx * dx + dy * dy);
}

/** An edge with its foot beside it is not seen as sharply where it is as one without. */
function sideSigmas(scene: Scene, known: KnownReference): readonly number[] {
  return ([0, 1, 2, 3] as const).map((side) => {
    const foot = Math.min(Math.abs(footOffsetMm(scene, known, side)), footBlurMm);
    return Math.hypot(sideSigmaMm, footSigmaShare * foot);
  });
}

/** A fit that ran away from where it began has fitted something else. */
function isNear(fit: SceneFit, started: Scene): boolean {
  const moved = Math.abs((fit.parameters[at.logModule] ?? 0) - (started.parameters[at.logModule] ?? 0));
  return moved < 0.05 && Number.isFinite(moved);
}

function referenceCorners(fit: SceneFit, known: KnownReference): MeasuredReference["corners"] {
  const project = projection(fit.frame, fit.parameters);
  const face = referenceToFace(fit.parameters);
  const [halfWidth, halfHeight] = [known.shape.widthMm / 2, known.shape.heightMm / 2];
  const corner = (x: number, y: number): Point => {
    const place = face(x, y);
    return project(place.x, place.y, -(fit.parameters[at.proud] ?? 0));
  };
  return [
    corner(-halfWidth, -halfHeight),
    corner(halfWidth, -halfHeight),
    corner(halfWidth, halfHeight),
    corner(-halfWidth, halfHeight),
  ];
}

function sizesDiffer(one: MeasuredReference, other: MeasuredReference): boolean {
  const apart = Math.abs((one.fit.parameters[at.logModule] ?? 0) - (other.fit.parameters[at.logModule] ?? 0));
  return apart > sameSize;
}

/** The print may be that much smaller or larger than specified, and the reference that much larger or smaller in modules. */
const scaleMin = 1 / 1.2;
const scaleMax = 1 / 0.83;
/** How far from the symbol a card may begin. */
const besideMm = 40;
const turnsMax = 4;
const turnsApart = (0.8 * Math.PI) / 180;
const bezelTurnMax = (12 * Math.PI) / 180;
const aspectSlack = 0.045;
const looks: readonly Look[] = [
  { windowMm: 3, agreeMm: 0.5 },
  { windowMm: 0.7, agreeMm: 0.3 },
  { windowMm: 0.4, agreeMm: 0.25 },
];
const scoreMinOfFour = 0.58;
const scoreMinOfEight = 0.5;
/** Below that at any look it is not worth another. */
const firstScoreMin = 0.3;
const candidatesMax = 36;
const markedMax = 60;
/** Prints are rarely stretched on one axis only; it is measured all the same. */
const unevenSigma = 0.03;
const squareSigma = 0.0015;
const misfitMaxPx = 1.5;
const sideSigmaMm = 0.05;
const footSigmaShare = 0.2;
/** A foot farther off than that is seen apart from its edge. */
const footBlurMm = 0.4;
/** 95 %: a worse answer would not tell a 97 % print from a good one. */
const uncertaintyMaxPercent = 2.5;
const scoreLead = 0.06;
const clearScore = 0.85;
const goodScore = 0.7;
const sameRestMm = 2;
const sameSize = 0.008;
