/**
 * Where modules lie, as reading works it out: a homography for the flat part and, for paper that is bent, a lattice of small
 * shifts in module units that are added before it. The lattice is fitted so that it bends as little as the measurements let it.
 */
import { applyHomography, type Homography, type Point, type SymbolMap } from "../plane.ts";

/** `moduleToPicture`: module units to pixels of the full picture. */
export type ModuleMap = {
  readonly modules: number;
  readonly moduleToPicture: Homography;
  readonly shifts?: ShiftLattice | undefined;
};

/** (cells + 1) x (cells + 1) nodes over the symbol, row by row: shifts of column and row, in modules. */
export type ShiftLattice = { readonly cells: number; readonly across: Float64Array; readonly down: Float64Array };

/** The middles of all modules, x then y, row by row; pixels of the full picture. */
export function moduleMiddles(map: ModuleMap): Float64Array {
  const { modules, shifts } = map;
  const [a, b, c, d, e, f, g, h, i] = map.moduleToPicture;
  const middles = new Float64Array(2 * modules * modules);
  let at = 0;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      let u = column + 0.5;
      let v = row + 0.5;
      if (shifts !== undefined) {
        const across = shiftAt(shifts, shifts.across, modules, u, v);
        v += shiftAt(shifts, shifts.down, modules, u, v);
        u += across;
      }
      const depth = g * u + h * v + i;
      middles[at++] = (a * u + b * v + c) / depth;
      middles[at++] = (d * u + e * v + f) / depth;
    }
  }
  return middles;
}

export function mapModule(map: ModuleMap, column: number, row: number): Point {
  const { shifts, modules } = map;
  if (shifts === undefined) return applyHomography(map.moduleToPicture, column, row);
  return applyHomography(
    map.moduleToPicture,
    column + shiftAt(shifts, shifts.across, modules, column, row),
    row + shiftAt(shifts, shifts.down, modules, column, row),
  );
}

/** The published face of a map; `mirrored` swaps columns and rows, so that it maps the symbol as it was printed. */
export function symbolMapOf(map: ModuleMap, mirrored: boolean): SymbolMap {
  return {
    modules: map.modules,
    toPicture: (column, row) => (mirrored ? mapModule(map, row, column) : mapModule(map, column, row)),
  };
}

/** Pixels of the full picture that a module takes, at the symbol's middle. */
export function modulePixels(map: ModuleMap): number {
  const half = map.modules / 2;
  const middle = mapModule(map, half, half);
  const right = mapModule(map, half + 1, half);
  const below = mapModule(map, half, half + 1);
  return (Math.hypot(right.x - middle.x, right.y - middle.y) + Math.hypot(below.x - middle.x, below.y - middle.y)) / 2;
}

/** Bilinear between nodes; beyond the symbol the border cells go on. */
export function shiftAt(
  { cells }: ShiftLattice,
  values: Float64Array,
  modules: number,
  column: number,
  row: number,
): number {
  const x = (column / modules) * cells;
  const y = (row / modules) * cells;
  const left = Math.min(Math.max(Math.floor(x), 0), cells - 1);
  const top = Math.min(Math.max(Math.floor(y), 0), cells - 1);
  const s = Math.min(Math.max(x - left, -1), 2);
  const t = Math.min(Math.max(y - top, -1), 2);
  const at = top * (cells + 1) + left;
  const above = (values[at] ?? 0) * (1 - s) + (values[at + 1] ?? 0) * s;
  const below = (values[at + cells + 1] ?? 0) * (1 - s) + (values[at + cells + 2] ?? 0) * s;
  return above * (1 - t) + below * t;
}

/** Measured shifts: at (column, row) the picture shows what the homography puts `shift` modules elsewhere. */
export type ShiftMeasures = {
  count: number;
  readonly column: Float64Array;
  readonly row: Float64Array;
  readonly shift: Float64Array;
  readonly weight: Float64Array;
};

export function shiftMeasures(capacity: number): ShiftMeasures {
  return {
    count: 0,
    column: new Float64Array(capacity),
    row: new Float64Array(capacity),
    shift: new Float64Array(capacity),
    weight: new Float64Array(capacity),
  };
}

export function addShift(measures: ShiftMeasures, column: number, row: number, shift: number, weight: number): void {
  const at = measures.count;
  if (at >= measures.column.length) return;
  measures.column[at] = column;
  measures.row[at] = row;
  measures.shift[at] = shift;
  measures.weight[at] = weight;
  measures.count = at + 1;
}

/**
 * Node values that come nearest to the measures while bending little: least squares of both, `stiffness` weighing the second
 * differences. By conjugate gradients from `start` (zeros where absent).
 */
export function fitShifts(
  measures: ShiftMeasures,
  modules: number,
  cells: number,
  stiffness: number,
  start?: Float64Array,
): Float64Array {
  const nodes = (cells + 1) * (cells + 1);
  const system = new BendSystem(measures, modules, cells, stiffness);
  const values = start === undefined ? new Float64Array(nodes) : Float64Array.from(start);
  const residual = system.rightSide();
  const product = new Float64Array(nodes);
  system.apply(values, product);
  for (let at = 0; at < nodes; at++) residual[at] = (residual[at] ?? 0) - (product[at] ?? 0);
  const direction = Float64Array.from(residual);
  let energy = dot(residual, residual);
  const enough = energy * 1e-8;
  for (let round = 0; round < gradientRoundsMax && energy > enough; round++) {
    system.apply(direction, product);
    const step = energy / dot(direction, product);
    if (!Number.isFinite(step)) break;
    for (let at = 0; at < nodes; at++) {
      values[at] = (values[at] ?? 0) + step * (direction[at] ?? 0);
      residual[at] = (residual[at] ?? 0) - step * (product[at] ?? 0);
    }
    const next = dot(residual, residual);
    const turn = next / energy;
    energy = next;
    for (let at = 0; at < nodes; at++) direction[at] = (residual[at] ?? 0) + turn * (direction[at] ?? 0);
  }
  return values;
}

/** The normal equations of `fitShifts`, never written out as a matrix. */
class BendSystem {
  readonly #measures: ShiftMeasures;
  readonly #side: number;
  readonly #stiffness: number;
  /** Per measure: index of its cell's first node, and its place in the cell. */
  readonly #node: Int32Array;
  readonly #s: Float64Array;
  readonly #t: Float64Array;

  constructor(measures: ShiftMeasures, modules: number, cells: number, stiffness: number) {
    this.#measures = measures;
    this.#side = cells + 1;
    this.#stiffness = stiffness;
    this.#node = new Int32Array(measures.count);
    this.#s = new Float64Array(measures.count);
    this.#t = new Float64Array(measures.count);
    for (let at = 0; at < measures.count; at++) {
      const x = ((measures.column[at] ?? 0) / modules) * cells;
      const y = ((measures.row[at] ?? 0) / modules) * cells;
      const left = Math.min(Math.max(Math.floor(x), 0), cells - 1);
      const top = Math.min(Math.max(Math.floor(y), 0), cells - 1);
      this.#node[at] = top * this.#side + left;
      this.#s[at] = x - left;
      this.#t[at] = y - top;
    }
  }

  rightSide(): Float64Array {
    const right = new Float64Array(this.#side * this.#side);
    for (let at = 0; at < this.#measures.count; at++) {
      this.#spread(right, at, (this.#measures.weight[at] ?? 0) * (this.#measures.shift[at] ?? 0));
    }
    return right;
  }

  apply(values: Float64Array, product: Float64Array): void {
    product.fill(0);
    for (let at = 0; at < this.#measures.count; at++) {
      const node = this.#node[at] ?? 0;
      const s = this.#s[at] ?? 0;
      const t = this.#t[at] ?? 0;
      const above = (values[node] ?? 0) * (1 - s) + (values[node + 1] ?? 0) * s;
      const below = (values[node + this.#side] ?? 0) * (1 - s) + (values[node + this.#side + 1] ?? 0) * s;
      this.#spread(product, at, (this.#measures.weight[at] ?? 0) * (above * (1 - t) + below * t));
    }
    const side = this.#side;
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const at = row * side + column;
        if (column > 0 && column + 1 < side) this.#bend(values, product, at, 1, 1);
        if (row > 0 && row + 1 < side) this.#bend(values, product, at, side, 1);
        if (column + 1 < side && row + 1 < side) this.#twist(values, product, at);
      }
    }
  }

  #spread(into: Float64Array, at: number, value: number): void {
    const node = this.#node[at] ?? 0;
    const s = this.#s[at] ?? 0;
    const t = this.#t[at] ?? 0;
    into[node] = (into[node] ?? 0) + value * (1 - s) * (1 - t);
    into[node + 1] = (into[node + 1] ?? 0) + value * s * (1 - t);
    into[node + this.#side] = (into[node + this.#side] ?? 0) + value * (1 - s) * t;
    into[node + this.#side + 1] = (into[node + this.#side + 1] ?? 0) + value * s * t;
  }

  #bend(values: Float64Array, product: Float64Array, at: number, step: number, weight: number): void {
    const bent = (values[at - step] ?? 0) - 2 * (values[at] ?? 0) + (values[at + step] ?? 0);
    const force = this.#stiffness * weight * bent;
    product[at - step] = (product[at - step] ?? 0) + force;
    product[at] = (product[at] ?? 0) - 2 * force;
    product[at + step] = (product[at + step] ?? 0) + force;
  }

  #twist(values: Float64Array, product: Float64Array, at: number): void {
    const side = this.#side;
    const twisted = (values[at] ?? 0) - (values[at + 1] ?? 0) - (values[at + side] ?? 0) + (values[at + side + 1] ?? 0);
    const force = 2 * this.#stiffness * twisted;
    product[at] = (product[at] ?? 0) + force;
    product[at + 1] = (product[at + 1] ?? 0) - force;
    product[at + side] = (product[at + side] ?? 0) - force;
    product[at + side + 1] = (product[at + side + 1] ?? 0) + force;
  }
}

function dot(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] ?? 0) * (other[at] ?? 0);
  return sum;
}

const gradientRoundsMax = 60;
