/**
 * Curves as short lines: Bezier curves of PDF and SVG, and the elliptical arcs of SVG. Sixteen lines to a curve keep within a
 * thousandth of a rounded module.
 */

/** Appends a cubic Bezier curve without its starting point; all eight numbers are coordinates. */
export function addCubic(
  points: number[],
  curve: readonly [number, number, number, number, number, number, number, number],
): void {
  const [x0, y0, x1, y1, x2, y2, x3, y3] = curve;
  for (let step = 1; step <= linesPerCurve; step++) {
    const t = step / linesPerCurve;
    const s = 1 - t;
    const [a, b, c, d] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
    points.push(a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3);
  }
}

/** An arc as SVG's `A` writes it. `turn` in degrees. */
export type Arc = {
  readonly fromX: number;
  readonly fromY: number;
  readonly radiusX: number;
  readonly radiusY: number;
  readonly turn: number;
  readonly large: boolean;
  readonly sweep: boolean;
  readonly toX: number;
  readonly toY: number;
};

/** Appends an elliptical arc without its starting point. Source: SVG 1.1, F.6 (from end points to centre). */
export function addArc(points: number[], arc: Arc): void {
  const { fromX, fromY, toX, toY } = arc;
  let [rx, ry] = [Math.abs(arc.radiusX), Math.abs(arc.radiusY)];
  if (rx === 0 || ry === 0 || (fromX === toX && fromY === toY)) {
    points.push(toX, toY);
    return;
  }
  const phi = (arc.turn * Math.PI) / 180;
  const [cos, sin] = [Math.cos(phi), Math.sin(phi)];
  const [halfX, halfY] = [(fromX - toX) / 2, (fromY - toY) / 2];
  const x1 = cos * halfX + sin * halfY;
  const y1 = -sin * halfX + cos * halfY;
  const tooFar = (x1 / rx) ** 2 + (y1 / ry) ** 2;
  if (tooFar > 1) {
    rx *= Math.sqrt(tooFar);
    ry *= Math.sqrt(tooFar);
  }
  const below = (rx * y1) ** 2 + (ry * x1) ** 2;
  const root = Math.sqrt(Math.max(0, ((rx * ry) ** 2 - below) / below)) * (arc.large === arc.sweep ? -1 : 1);
  const [cx1, cy1] = [(root * rx * y1) / ry, (-root * ry * x1) / rx];
  const centreX = cos * cx1 - sin * cy1 + (fromX + toX) / 2;
  const centreY = sin * cx1 + cos * cy1 + (fromY + toY) / 2;
  const start = Math.atan2((y1 - cy1) / ry, (x1 - cx1) / rx);
  let sweep = Math.atan2((-y1 - cy1) / ry, (-x1 - cx1) / rx) - start;
  if (arc.sweep && sweep < 0) sweep += 2 * Math.PI;
  if (!arc.sweep && sweep > 0) sweep -= 2 * Math.PI;
  const lines = Math.max(1, Math.ceil((linesPerCurve * Math.abs(sweep)) / (Math.PI / 2)));
  for (let line = 1; line < lines; line++) {
    const angle = start + (sweep * line) / lines;
    const [x, y] = [rx * Math.cos(angle), ry * Math.sin(angle)];
    points.push(centreX + cos * x - sin * y, centreY + sin * x + cos * y);
  }
  points.push(toX, toY);
}

const linesPerCurve = 16;
