/**
 * How large a sticker was printed, from a photograph of it and something of known size in the same picture.
 *
 * Rules: SPEC Q84-Q90. Theory: a photograph has no millimetres, and nothing printed together with the symbol can lend it any, because
 * it was scaled together with it. A scan's density, the panel's bezel, an ID-1 card or the calibration card can. Symbol and
 * reference are fitted in one model of camera and wall (scene-model.ts), which takes out tilt, lens distortion and the step
 * between both planes, and says how sure the answer is. Without a reference there is a reason and no number.
 */
import { failed, ok, type Result } from "../../base/result.ts";
import type { GreyPicture } from "../grey-picture.ts";
import type { SymbolMap } from "../plane.ts";
import { measureReference, type SymbolScene } from "./measure-reference.ts";
import { measureOnScan } from "./measure-scan.ts";
import { knownReference } from "./reference-shapes.ts";
import { fitScene, type Knowledge, moduleSideMm, type SceneFit, startScene, tiltDegrees } from "./scene-fit.ts";
import { at, moduleToFace, projection } from "./scene-model.ts";
import type {
  ReferenceKind,
  SizeFault,
  SizeMeasurement,
  SizeOrder,
  SizeReference,
  TriedReference,
} from "./size-types.ts";
import { measureSymbolEdges } from "./symbol-edges.ts";

/**
 * Measures both sides of the symbol in mm.
 * Faults, all of which mean `not-measurable`: no-reference (what was tried and why not), symbol-unclear, symbol-not-flat, not-a-scan.
 * Source: SPEC Q84-Q90.
 */
export function measureSize(order: SizeOrder): Result<SizeMeasurement, SizeFault> {
  const symbol = measureSymbol(order);
  if ("code" in symbol) return failed(symbol);
  const tried: TriedReference[] = [];
  for (const reference of referencesOf(order.reference)) {
    if (reference.kind === "density") {
      const scanned = measureOnScan(symbol.edges, order, reference.density);
      // A stated density that is none of a scan does not keep a card from being one.
      if (scanned.ok || order.reference.kind === "density") return scanned;
      continue;
    }
    const measured = measureReference(symbol, knownReference(reference));
    if ("fit" in measured) return ok(describe(order, reference.kind, measured));
    tried.push(measured);
  }
  return failed({ code: "no-reference", tried });
}

/**
 * The same symbol's map, fitted to all of its own edges: better than a tenth of a pixel where the sticker is flat. `dark`: the true
 * modules. Undefined when fewer than `edgesMin` edges are clear or the sticker is not flat.
 */
export function refineMap(picture: GreyPicture, map: SymbolMap, dark: Uint8Array): SymbolMap | undefined {
  const symbol = measureSymbol({ picture, map, dark, moduleMm: 1, focalRatio: undefined });
  return "code" in symbol ? undefined : sceneMap(symbol.scene);
}

type SymbolOrder = Pick<SizeOrder, "picture" | "map" | "dark" | "moduleMm" | "focalRatio">;

function measureSymbol(order: SymbolOrder): SymbolScene | SizeFault {
  const { picture, dark, moduleMm } = order;
  const longer = Math.max(picture.width, picture.height);
  const focalPx = longer * (order.focalRatio ?? focalRatioAssumed);
  const knowledge: Knowledge = {
    focalPx,
    logFocalSigma: order.focalRatio === undefined ? focalSigmaAssumed : focalSigmaStated,
    moduleMm,
    logModuleSigma: 0,
    logAspectSigma: 0.02,
    ...{ proudMm: 0, proudSigmaMm: 0, logReferenceAspectSigma: 0, sideSigmaMm: [], frameGrowthSigmaMm: 0 },
  };
  let map = order.map;
  let last: { fit: SceneFit; scene: SymbolScene } | undefined;
  for (let round = 0; round < 2; round++) {
    const edges = measureSymbolEdges(picture, map, dark);
    const start = edges.length < edgesMin ? undefined : (last?.fit ?? startScene(map, picture, focalPx, moduleMm));
    const fit = start === undefined ? undefined : fitScene(start, knowledge, edges);
    if (fit === undefined) return { code: "symbol-unclear", edges: edges.length, edgesMin };
    map = sceneMap(fit);
    last = { fit, scene: { picture, scene: fit, edges, knowledge } };
  }
  if (last === undefined) return { code: "symbol-unclear", edges: 0, edgesMin };
  const { fit, scene } = last;
  const modulePx = scene.edges.reduce((sum, edge) => sum + edge.modulePx / scene.edges.length, 0);
  const misfitModules = Math.max(0, fit.symbolSpreadPx - misfitFreePx) / modulePx;
  const kept = fit.answer.weights.reduce((sum, weight) => sum + (weight > 0.1 ? 1 : 0), 0);
  if (kept < edgesMin || kept < keptShareMin * scene.edges.length) {
    return { code: "symbol-unclear", edges: kept, edgesMin };
  }
  if (misfitModules > misfitMax) return { code: "symbol-not-flat", misfitModules, misfitMax };
  return scene;
}

function sceneMap(scene: SymbolScene["scene"]): SymbolMap {
  const project = projection(scene.frame, scene.parameters);
  const face = moduleToFace(scene.frame, scene.parameters);
  return {
    modules: scene.frame.modules,
    toPicture: (column, row) => {
      const { x, y } = face(column, row);
      return project(x, y, 0);
    },
  };
}

type OneReference = Exclude<SizeReference, { readonly kind: "auto" }>;

/** What can be mistaken least comes first. */
function referencesOf(reference: SizeReference): readonly OneReference[] {
  if (reference.kind !== "auto") return [reference];
  const { density, bezel } = reference;
  return [
    ...(density === undefined ? [] : [{ kind: "density", density } as const]),
    { kind: "calibration-card" },
    ...(bezel === undefined ? [] : [{ kind: "bezel", ...bezel } as const]),
    { kind: "id-1" },
  ];
}

function describe(
  order: SizeOrder,
  reference: ReferenceKind,
  measured: Exclude<ReturnType<typeof measureReference>, TriedReference>,
): SizeMeasurement {
  const { fit, uncertaintyPercent, corners } = measured;
  const moduleMm = moduleSideMm(fit);
  const { modules } = order.map;
  const { parameters } = fit;
  return {
    widthMm: modules * moduleMm.x,
    heightMm: modules * moduleMm.y,
    moduleMm,
    scalePercent: { x: (100 * moduleMm.x) / order.moduleMm, y: (100 * moduleMm.y) / order.moduleMm },
    uncertaintyPercent,
    reference,
    referenceCorners: corners,
    distanceMm: Math.hypot(parameters[at.shift] ?? 0, parameters[at.shift + 1] ?? 0, parameters[at.shift + 2] ?? 0),
    tiltDegrees: tiltDegrees(fit),
    growthModules: { x: parameters[at.growthX] ?? 0, y: parameters[at.growthY] ?? 0 },
  };
}

/** A phone's main camera sees about 65 degrees across the longer side. */
const focalRatioAssumed = 0.78;
const focalSigmaAssumed = 0.2;
/** EXIF rounds, and stabilisation crops. */
const focalSigmaStated = 0.04;
/** Three times as many as the model has numbers. */
const edgesMin = 60;
const keptShareMin = 0.6;
/** Pixel rounding and noise are no curvature. */
const misfitFreePx = 0.15;
const misfitMax = 0.06;
