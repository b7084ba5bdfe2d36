/**
 * Maps for paper that is not flat, from known places: a quadratic surface when there are few (three finders with their slants, one
 * alignment pattern), a lattice when there are many.
 */
import { applyHomography, type Homography, invertHomography, solveLinear } from "../plane.ts";
import type { PlacedFinder, PlacedPoint } from "./fit-flat.ts";
import { addShift, fitShifts, type ModuleMap, mapModule, shiftMeasures } from "./module-map.ts";

/** Nine places of each finder: its middle and its rim, as its own axes put them. They carry its slant. */
export function finderPoints(finders: readonly PlacedFinder[]): PlacedPoint[] {
  const points: PlacedPoint[] = [];
  for (const { frame, column, row, columnAxis, columnSign, rowSign } of finders) {
    const [cx, cy, rx, ry] =
      columnAxis === 0 ? [frame.ux, frame.uy, frame.vx, frame.vy] : [frame.vx, frame.vy, frame.ux, frame.uy];
    for (const down of [-3.5, 0, 3.5]) {
      for (const across of [-3.5, 0, 3.5]) {
        points.push({
          x: frame.x + across * columnSign * cx + down * rowSign * rx,
          y: frame.y + across * columnSign * cy + down * rowSign * ry,
          column: column + across,
          row: row + down,
          weight: 1,
        });
      }
    }
  }
  return points;
}

/** The flat map bent by the quadratic that explains the points best; the flat map itself when they do not fix one. */
export function bendQuadratically(flat: Homography, modules: number, points: readonly PlacedPoint[]): ModuleMap {
  const back = invertHomography(flat);
  const normal = new Float64Array(36);
  const acrossSide = new Float64Array(6);
  const downSide = new Float64Array(6);
  for (const { x, y, column, row, weight } of points) {
    const seen = applyHomography(back, x, y);
    const terms = quadraticTerms(column, row, modules);
    for (const [i, one] of terms.entries()) {
      for (const [j, other] of terms.entries()) normal[6 * i + j] = (normal[6 * i + j] ?? 0) + weight * one * other;
      acrossSide[i] = (acrossSide[i] ?? 0) + weight * one * (seen.x - column);
      downSide[i] = (downSide[i] ?? 0) + weight * one * (seen.y - row);
    }
  }
  // The least pull towards flat keeps a poor set of points from bending the map wildly.
  for (let term = 3; term < 6; term++) normal[7 * term] = (normal[7 * term] ?? 0) + flatPull * points.length;
  const across = solveLinear(Float64Array.from(normal), acrossSide);
  const down = solveLinear(normal, downSide);
  if (across === undefined || down === undefined) return { modules, moduleToPicture: flat };
  const cells = quadraticCells;
  const side = cells + 1;
  const shifts = { cells, across: new Float64Array(side * side), down: new Float64Array(side * side) };
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const terms = quadraticTerms((column * modules) / cells, (row * modules) / cells, modules);
      shifts.across[row * side + column] = dot(across, terms);
      shifts.down[row * side + column] = dot(down, terms);
    }
  }
  return { modules, moduleToPicture: flat, shifts };
}

/** The flat map bent by a lattice through all points. */
export function bendByLattice(flat: Homography, modules: number, points: readonly PlacedPoint[]): ModuleMap {
  const back = invertHomography(flat);
  const across = shiftMeasures(points.length);
  const down = shiftMeasures(points.length);
  for (const { x, y, column, row } of points) {
    const seen = applyHomography(back, x, y);
    addShift(across, column, row, seen.x - column, 1);
    addShift(down, column, row, seen.y - row, 1);
  }
  const cells = Math.min(20, Math.max(4, Math.round(modules / 8)));
  return {
    modules,
    moduleToPicture: flat,
    shifts: {
      cells,
      across: fitShifts(across, modules, cells, latticeStiffness),
      down: fitShifts(down, modules, cells, latticeStiffness),
    },
  };
}

/** The affine map that a map is near a place. */
export function affineNear(map: ModuleMap, column: number, row: number): Homography {
  const at = mapModule(map, column, row);
  const right = mapModule(map, column + 0.5, row);
  const left = mapModule(map, column - 0.5, row);
  const below = mapModule(map, column, row + 0.5);
  const above = mapModule(map, column, row - 0.5);
  const a = right.x - left.x;
  const b = below.x - above.x;
  const d = right.y - left.y;
  const e = below.y - above.y;
  return [a, b, at.x - a * column - b * row, d, e, at.y - d * column - e * row, 0, 0, 1];
}

function quadraticTerms(column: number, row: number, modules: number): readonly number[] {
  const s = (2 * column) / modules - 1;
  const t = (2 * row) / modules - 1;
  return [1, s, t, s * s, s * t, t * t];
}

function dot(values: Float64Array, terms: readonly number[]): number {
  let sum = 0;
  for (const [at, term] of terms.entries()) sum += (values[at] ?? 0) * term;
  return sum;
}

const flatPull = 2e-4;
const quadraticCells = 8;
const latticeStiffness = 0.02;
