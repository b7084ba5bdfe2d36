/**
 * Patches of a symbol that do not show what was printed: connected wrong cells, with their shape and what they show. Rules: SPEC Q77.
 */
import { type CellMap, cellPlace, cellState, cellsPerModule } from "./cell-map.ts";

/** Lengths in modules; places as the symbol was printed. */
export type Patch = {
  readonly column: number;
  readonly row: number;
  /** Its box. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Along its longest direction and across it, as of a bar with the same spread. */
  readonly length: number;
  readonly width: number;
  /** Wrong cells, in modules². About half of what is covered, because half of it happens to look right. */
  readonly area: number;
  /** Shares of its wrong cells by what they show. */
  readonly darkened: number;
  readonly lightened: number;
  readonly grey: number;
  readonly glare: number;
  /** Indexes of its wrong cells. */
  readonly cells: readonly number[];
};

/** Patches of at least `areaMin` modules², largest first, at most `patchesMax`. Wrong cells up to a module apart belong together. */
export function findPatches(map: CellMap): readonly Patch[] {
  const { side, states } = map;
  const seen = new Uint8Array(states.length);
  const patches: Patch[] = [];
  for (let from = 0; from < states.length; from++) {
    if (!isWrongCell(states[from]) || seen[from] === 1) continue;
    const cells = [from];
    seen[from] = 1;
    for (const at of cells) {
      const [column, row] = [at % side, Math.floor(at / side)];
      for (let y = Math.max(0, row - reach); y <= Math.min(side - 1, row + reach); y++) {
        for (let x = Math.max(0, column - reach); x <= Math.min(side - 1, column + reach); x++) {
          const next = y * side + x;
          if (seen[next] === 1 || !isWrongCell(states[next])) continue;
          seen[next] = 1;
          cells.push(next);
        }
      }
    }
    if (cells.length >= areaMin * cellsPerModule ** 2) patches.push(describeCells(cells, map));
  }
  return patches.sort((a, b) => b.area - a.area).slice(0, patchesMax);
}

export function isWrongCell(state: number | undefined): boolean {
  return state !== undefined && state !== cellState.sound && state !== cellState.outside;
}

/** The shape of some cells. */
export function describeCells(cells: readonly number[], { side, states }: CellMap): Patch {
  let [sumX, sumY, sumXX, sumXY, sumYY] = [0, 0, 0, 0, 0];
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  const counts = new Float64Array(6);
  for (const at of cells) {
    const [x, y] = [cellPlace(at % side), cellPlace(Math.floor(at / side))];
    sumX += x;
    sumY += y;
    sumXX += x * x;
    sumXY += x * y;
    sumYY += y * y;
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
    const state = states[at] ?? 0;
    counts[state] = (counts[state] ?? 0) + 1;
  }
  const count = cells.length;
  const [column, row] = [sumX / count, sumY / count];
  const [xx, xy, yy] = [sumXX / count - column ** 2, sumXY / count - column * row, sumYY / count - row ** 2];
  const middle = (xx + yy) / 2;
  const spread = Math.hypot((xx - yy) / 2, xy);
  // A bar of length L has the variance L² / 12; a single cell has one too.
  const lengthOf = (variance: number) => Math.sqrt(12 * Math.max(0, variance) + 1 / cellsPerModule ** 2);
  const half = 0.5 / cellsPerModule;
  const share = (state: number) => (counts[state] ?? 0) / count;
  return {
    ...{ column, row, left: left - half, top: top - half, right: right + half, bottom: bottom + half, cells },
    ...{ length: lengthOf(middle + spread), width: lengthOf(middle - spread), area: count / cellsPerModule ** 2 },
    darkened: share(cellState.darkened),
    lightened: share(cellState.lightened),
    grey: share(cellState.grey),
    glare: share(cellState.glare),
  };
}

const reach = cellsPerModule;
// Less than a module is a speck, which readers do not mind.
const areaMin = 0.8;
const patchesMax = 50;
