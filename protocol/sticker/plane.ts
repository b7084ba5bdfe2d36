/**
 * The geometry of flat things in pictures: points, homographies (3 x 3, row by row, without a scale of their own) and the map
 * of a symbol's modules to the picture. A pixel (i, j) covers [i, i + 1) x [j, j + 1); its middle is (i + 0.5, j + 0.5).
 */

export type Point = { readonly x: number; readonly y: number };

export type Homography = readonly [number, number, number, number, number, number, number, number, number];

/**
 * Where a symbol's modules lie in a picture. (0, 0) is the outer corner at the top left of the symbol as it was printed,
 * (modules, modules) the one at the bottom right; module (c, r) has its middle at (c + 0.5, r + 0.5). Also good outside,
 * for the quiet zone.
 */
export type SymbolMap = {
  readonly modules: number;
  readonly toPicture: (column: number, row: number) => Point;
};

export function applyHomography(h: Homography, x: number, y: number): Point {
  const depth = h[6] * x + h[7] * y + h[8];
  return { x: (h[0] * x + h[1] * y + h[2]) / depth, y: (h[3] * x + h[4] * y + h[5]) / depth };
}

/** First `inner`, then `outer`. */
export function multiplyHomographies(outer: Homography, inner: Homography): Homography {
  const [a, b, c, d, e, f, g, h, i] = outer;
  const [j, k, l, m, n, o, p, q, r] = inner;
  return [
    a * j + b * m + c * p,
    a * k + b * n + c * q,
    a * l + b * o + c * r,
    d * j + e * m + f * p,
    d * k + e * n + f * q,
    d * l + e * o + f * r,
    g * j + h * m + i * p,
    g * k + h * n + i * q,
    g * l + h * o + i * r,
  ];
}

/** The adjugate: a homography has no scale, so dividing by the determinant would change nothing. */
export function invertHomography(homography: Homography): Homography {
  const [a, b, c, d, e, f, g, h, i] = homography;
  return [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ];
}

/**
 * The homography that takes `from[i]` to `to[i]`: exact for four pairs, least squares (of the algebraic error, on centred and
 * scaled points) for more. Undefined when the points do not fix one: fewer than four, or too many of them on one line.
 * `weights`: one a pair, 1 where absent.
 */
export function homographyBetween(
  from: readonly Point[],
  to: readonly Point[],
  weights?: readonly number[],
): Homography | undefined {
  const pairs = Math.min(from.length, to.length);
  if (pairs < 4) return undefined;
  const source = normalisation(from);
  const target = normalisation(to);
  if (source === undefined || target === undefined) return undefined;
  const normal = new Float64Array(64);
  const right = new Float64Array(8);
  const row = new Float64Array(8);
  for (let at = 0; at < pairs; at++) {
    const weight = weights?.[at] ?? 1;
    const { x, y } = moved(source, from[at]);
    const { x: u, y: v } = moved(target, to[at]);
    row.set([x, y, 1, 0, 0, 0, -u * x, -u * y]);
    accumulate(normal, right, row, u, weight);
    row.set([0, 0, 0, x, y, 1, -v * x, -v * y]);
    accumulate(normal, right, row, v, weight);
  }
  const solved = solveLinear(normal, right);
  if (solved === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = solved;
  const inner: Homography = [a, b, c, d, e, f, g, h, 1];
  const back: Homography = [1 / target.scale, 0, target.x, 0, 1 / target.scale, target.y, 0, 0, 1];
  const forth: Homography = [
    source.scale,
    0,
    -source.scale * source.x,
    0,
    source.scale,
    -source.scale * source.y,
    0,
    0,
    1,
  ];
  return multiplyHomographies(back, multiplyHomographies(inner, forth));
}

/** The map of a flat symbol from a homography that takes module units to pixels. */
export function flatSymbolMap(modules: number, moduleToPicture: Homography): SymbolMap {
  return { modules, toPicture: (column, row) => applyHomography(moduleToPicture, column, row) };
}

/** The outer corners of a symbol: top left, top right, bottom right, bottom left as it was printed. */
export function symbolCorners(map: SymbolMap): readonly [Point, Point, Point, Point] {
  const { modules, toPicture } = map;
  return [toPicture(0, 0), toPicture(modules, 0), toPicture(modules, modules), toPicture(0, modules)];
}

/**
 * Solves the square system `matrix * x = right` (row by row) by Gauss with pivots. Undefined when it has no one solution.
 * Both arguments are used up.
 */
export function solveLinear(matrix: Float64Array, right: Float64Array): Float64Array | undefined {
  const size = right.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column + 1; row < size; row++) {
      if (Math.abs(matrix[row * size + column] ?? 0) > Math.abs(matrix[pivot * size + column] ?? 0)) pivot = row;
    }
    const head = matrix[pivot * size + column] ?? 0;
    if (!(Math.abs(head) > pivotMin)) return undefined;
    if (pivot !== column) swapRows(matrix, right, pivot, column, size);
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const factor = (matrix[row * size + column] ?? 0) / head;
      if (factor === 0) continue;
      for (let at = column; at < size; at++) {
        matrix[row * size + at] = (matrix[row * size + at] ?? 0) - factor * (matrix[column * size + at] ?? 0);
      }
      right[row] = (right[row] ?? 0) - factor * (right[column] ?? 0);
    }
  }
  for (let row = 0; row < size; row++) right[row] = (right[row] ?? 0) / (matrix[row * size + row] ?? 1);
  return right;
}

export function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** Where the middle of the points is, and what makes their mean distance from it the square root of two. */
type Normalisation = { readonly x: number; readonly y: number; readonly scale: number };

function normalisation(points: readonly Point[]): Normalisation | undefined {
  let x = 0;
  let y = 0;
  for (const point of points) {
    x += point.x / points.length;
    y += point.y / points.length;
  }
  let spread = 0;
  for (const point of points) spread += Math.hypot(point.x - x, point.y - y) / points.length;
  if (!(spread > 0) || !Number.isFinite(spread)) return undefined;
  return { x, y, scale: Math.SQRT2 / spread };
}

function moved({ x, y, scale }: Normalisation, point: Point | undefined): Point {
  return { x: ((point?.x ?? 0) - x) * scale, y: ((point?.y ?? 0) - y) * scale };
}

function accumulate(normal: Float64Array, right: Float64Array, row: Float64Array, value: number, weight: number): void {
  for (let i = 0; i < 8; i++) {
    const left = weight * (row[i] ?? 0);
    if (left === 0) continue;
    for (let j = 0; j < 8; j++) normal[i * 8 + j] = (normal[i * 8 + j] ?? 0) + left * (row[j] ?? 0);
    right[i] = (right[i] ?? 0) + left * value;
  }
}

function swapRows(matrix: Float64Array, right: Float64Array, one: number, other: number, size: number): void {
  for (let at = 0; at < size; at++) {
    const kept = matrix[one * size + at] ?? 0;
    matrix[one * size + at] = matrix[other * size + at] ?? 0;
    matrix[other * size + at] = kept;
  }
  const kept = right[one] ?? 0;
  right[one] = right[other] ?? 0;
  right[other] = kept;
}

const pivotMin = 1e-12;
