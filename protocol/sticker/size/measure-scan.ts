/**
 * Size on a flat-bed scan: its density is the ruler. A scanner sees everything straight on, so the map from modules to pixels is
 * affine, and each of its columns is one side of a module.
 */
import { failed, ok, type Result } from "../../base/result.ts";
import { solveLinear } from "../plane.ts";
import type { ScanDensity, SizeFault, SizeMeasurement, SizeOrder } from "./size-types.ts";
import type { SymbolEdge } from "./symbol-edges.ts";

/**
 * Faults: not-a-scan when the symbol's axes are not at right angles in mm, as seen by a camera; symbol-unclear.
 * Source: SPEC Q85.
 */
export function measureOnScan(
  edges: readonly SymbolEdge[],
  order: Pick<SizeOrder, "map" | "moduleMm">,
  density: ScanDensity,
): Result<SizeMeasurement, SizeFault> {
  const fit = fitAffine(edges, order.map.modules, density);
  if (fit === undefined) return failed({ code: "symbol-unclear", edges: edges.length, edgesMin: affineParameters });
  const skewPercent = Math.max(Math.abs(fit.skew), fit.perspective) * 100;
  if (skewPercent > skewMaxPercent) return failed({ code: "not-a-scan", skewPercent, skewMax: skewMaxPercent });
  const { moduleMm } = fit;
  const { modules } = order.map;
  const uncertain = (side: number): number => Math.hypot(scannerPercent, (196 * fit.sigmaMm) / (side * modules));
  return ok({
    widthMm: modules * moduleMm.x,
    heightMm: modules * moduleMm.y,
    moduleMm,
    scalePercent: { x: (100 * moduleMm.x) / order.moduleMm, y: (100 * moduleMm.y) / order.moduleMm },
    uncertaintyPercent: { x: uncertain(moduleMm.x), y: uncertain(moduleMm.y) },
    reference: "density",
    referenceCorners: undefined,
    distanceMm: undefined,
    tiltDegrees: undefined,
    growthModules: fit.growth,
  });
}

type AffineFit = {
  readonly moduleMm: { readonly x: number; readonly y: number };
  readonly growth: { readonly x: number; readonly y: number };
  /** Cosine of the angle between both axes. */
  readonly skew: number;
  /** How much one end of the symbol is larger than the other, as a part. */
  readonly perspective: number;
  /** Of one edge. */
  readonly sigmaMm: number;
};

/**
 * Linear least squares of x, y (mm) = origin + column * u + row * v, with growth along both axes and a trace of perspective. Every
 * edge says one thing: its distance across its own line.
 */
function fitAffine(edges: readonly SymbolEdge[], modules: number, density: ScanDensity): AffineFit | undefined {
  let weights: readonly number[] = edges.map(() => 1);
  let fit: AffineFit | undefined;
  for (let round = 0; round < 3; round++) {
    const rows = edges.map((edge) => equationOf(edge, modules, density));
    const solved = solveWeighted(rows, weights);
    if (solved === undefined) return undefined;
    const residuals = rows.map(({ row, value }) => row.reduce((sum, part, k) => sum + part * (solved[k] ?? 0), -value));
    const sorted = residuals.map(Math.abs).sort((one, other) => one - other);
    const sigmaMm = Math.max(1e-6, 1.5 * (sorted[Math.floor(sorted.length / 2)] ?? 0));
    weights = residuals.map((residual) => (Math.abs(residual) < 4 * sigmaMm ? 1 : 0));
    const [, , ux = 0, uy = 0, vx = 0, vy = 0, growthX = 0, growthY = 0, px = 0, py = 0] = solved;
    const [x, y] = [Math.hypot(ux, uy), Math.hypot(vx, vy)];
    fit = {
      moduleMm: { x, y },
      growth: { x: (2 * growthX) / x, y: (2 * growthY) / y },
      skew: (ux * vx + uy * vy) / (x * y),
      perspective: (Math.hypot(px, py) * modules) / Math.min(x, y),
      sigmaMm,
    };
  }
  return fit;
}

function equationOf(
  edge: SymbolEdge,
  modules: number,
  density: ScanDensity,
): { readonly row: readonly number[]; readonly value: number } {
  const [x, y] = [edge.seen.x / density.x, edge.seen.y / density.y];
  // A normal of pixels is one of mm when it is scaled the other way.
  const [rawX, rawY] = [edge.normal.x * density.x, edge.normal.y * density.y];
  const length = Math.hypot(rawX, rawY);
  const [nx, ny] = [rawX / length, rawY / length];
  const [c, r] = [edge.column - modules / 2, edge.row - modules / 2];
  const growth = -edge.sign;
  const isX = edge.axis === "x";
  const square = (isX ? c * c : r * r) / 2;
  return {
    row: [
      nx,
      ny,
      nx * c,
      ny * c,
      nx * r,
      ny * r,
      isX ? growth : 0,
      isX ? 0 : growth,
      isX ? square : 0,
      isX ? 0 : square,
    ],
    value: nx * x + ny * y,
  };
}

function solveWeighted(
  rows: readonly { readonly row: readonly number[]; readonly value: number }[],
  weights: readonly number[],
): Float64Array | undefined {
  const size = affineParameters;
  const normal = new Float64Array(size * size);
  const right = new Float64Array(size);
  for (const [at, { row, value }] of rows.entries()) {
    const weight = weights[at] ?? 0;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++)
        normal[i * size + j] = (normal[i * size + j] ?? 0) + weight * (row[i] ?? 0) * (row[j] ?? 0);
      right[i] = (right[i] ?? 0) + weight * (row[i] ?? 0) * value;
    }
  }
  return solveLinear(normal, right);
}

const affineParameters = 10;
/** What a flat-bed's own density is off at most, in 95 of 100: its carriage is less exact than its sensor. */
const scannerPercent = 0.5;
/** Paper that lies a little off the glass skews less than that; a hand-held camera more. */
const skewMaxPercent = 1;
