/**
 * A raster to paint shapes on, in the units of whoever paints (mm of a wall, modules of a symbol). It carries a shade
 * (reflectance 0..1) and how much of what lies below is covered (0..1), so one canvas serves as a wall and another as dirt.
 */

export type Box = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };

export type Canvas = {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly texelsPerUnit: number;
  readonly shade: Float32Array;
  readonly cover: Float32Array;
};

/** Signed distance in units to a shape's edge: negative inside. */
export type Shape = { readonly box: Box; readonly distance: (x: number, y: number) => number };

/** Covers `box`; starts all of one shade, covering nothing. */
export function createCanvas(box: Box, texelsPerUnit: number, shade = 0): Canvas {
  const width = Math.max(2, Math.ceil((box.right - box.left) * texelsPerUnit));
  const height = Math.max(2, Math.ceil((box.bottom - box.top) * texelsPerUnit));
  return {
    ...{ width, height, left: box.left, top: box.top, texelsPerUnit },
    shade: new Float32Array(width * height).fill(shade),
    cover: new Float32Array(width * height),
  };
}

export type Paint = {
  /** Reflectance 0..1, or one that differs from point to point. */
  readonly shade: number | ((x: number, y: number) => number);
  /** 0..1, default 1. */
  readonly opacity?: number;
  /** Width of the edge in units; by default one texel. */
  readonly softness?: number;
};

/** Paints over what is there; what lies outside the canvas is lost. */
export function fillShape(canvas: Canvas, shape: Shape, paint: Paint): void {
  const { width, height, left, top, texelsPerUnit, shade, cover } = canvas;
  const soft = Math.max(paint.softness ?? 0, 1 / texelsPerUnit);
  const opacity = paint.opacity ?? 1;
  const firstColumn = Math.max(0, Math.floor((shape.box.left - soft - left) * texelsPerUnit));
  const lastColumn = Math.min(width - 1, Math.ceil((shape.box.right + soft - left) * texelsPerUnit));
  const firstRow = Math.max(0, Math.floor((shape.box.top - soft - top) * texelsPerUnit));
  const lastRow = Math.min(height - 1, Math.ceil((shape.box.bottom + soft - top) * texelsPerUnit));
  for (let row = firstRow; row <= lastRow; row++) {
    const y = top + (row + 0.5) / texelsPerUnit;
    for (let column = firstColumn; column <= lastColumn; column++) {
      const x = left + (column + 0.5) / texelsPerUnit;
      const part = 0.5 - shape.distance(x, y) / soft;
      if (part <= 0) continue;
      const own = opacity * Math.min(1, part);
      const at = row * width + column;
      const tone = typeof paint.shade === "number" ? paint.shade : paint.shade(x, y);
      const before = cover[at] ?? 0;
      const after = own + before * (1 - own);
      // The shade of a half-clear texel is that of its paint alone: what lies below is mixed in when it is looked at.
      const kept = after === 0 ? 0 : (before * (1 - own)) / after;
      shade[at] = (shade[at] ?? 0) * kept + tone * (1 - kept);
      cover[at] = after;
    }
  }
}

/** Fills every texel opaquely. */
export function fillCanvas(canvas: Canvas, shade: (x: number, y: number) => number): void {
  for (let row = 0; row < canvas.height; row++) {
    const y = canvas.top + (row + 0.5) / canvas.texelsPerUnit;
    for (let column = 0; column < canvas.width; column++) {
      const x = canvas.left + (column + 0.5) / canvas.texelsPerUnit;
      canvas.shade[row * canvas.width + column] = shade(x, y);
    }
  }
  canvas.cover.fill(1);
}

/** Bilinear look-up of one plane; the edge texels go on for ever. */
export function lookUp(canvas: Canvas, plane: Float32Array, x: number, y: number): number {
  const { width, height, left, top, texelsPerUnit } = canvas;
  const column = Math.max(0, Math.min(width - 1.001, (x - left) * texelsPerUnit - 0.5));
  const row = Math.max(0, Math.min(height - 1.001, (y - top) * texelsPerUnit - 0.5));
  const column0 = Math.floor(column);
  const row0 = Math.floor(row);
  const fx = column - column0;
  const fy = row - row0;
  const at = row0 * width + column0;
  const upper = (plane[at] ?? 0) * (1 - fx) + (plane[at + 1] ?? 0) * fx;
  const lower = (plane[at + width] ?? 0) * (1 - fx) + (plane[at + width + 1] ?? 0) * fx;
  return upper * (1 - fy) + lower * fy;
}

/** Bilinear look-up that goes on in mirrored copies beyond the edges, so that a wall has no end. */
export function lookUpMirrored(canvas: Canvas, plane: Float32Array, x: number, y: number): number {
  const spanX = canvas.width / canvas.texelsPerUnit;
  const spanY = canvas.height / canvas.texelsPerUnit;
  return lookUp(
    canvas,
    plane,
    canvas.left + mirror(x - canvas.left, spanX),
    canvas.top + mirror(y - canvas.top, spanY),
  );
}

export function disc(x: number, y: number, radius: number): Shape {
  return {
    box: { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius },
    distance: (px, py) => Math.hypot(px - x, py - y) - radius,
  };
}

/** The band between two circles. */
export function ring(x: number, y: number, radius: number, thickness: number): Shape {
  const outer = disc(x, y, radius + thickness / 2);
  return { box: outer.box, distance: (px, py) => Math.abs(Math.hypot(px - x, py - y) - radius) - thickness / 2 };
}

/** A straight stroke with round ends. */
export function stroke(x1: number, y1: number, x2: number, y2: number, thickness: number): Shape {
  const half = thickness / 2;
  const [dx, dy] = [x2 - x1, y2 - y1];
  const squared = Math.max(dx * dx + dy * dy, 1e-12);
  return {
    box: {
      left: Math.min(x1, x2) - half,
      top: Math.min(y1, y2) - half,
      right: Math.max(x1, x2) + half,
      bottom: Math.max(y1, y2) + half,
    },
    distance: (px, py) => {
      const along = Math.max(0, Math.min(1, ((px - x1) * dx + (py - y1) * dy) / squared));
      return Math.hypot(px - x1 - along * dx, py - y1 - along * dy) - half;
    },
  };
}

/** A rectangle about (x, y), turned by radians, with round corners. */
export function rectangle(x: number, y: number, width: number, height: number, turn = 0, corner = 0): Shape {
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const [halfWidth, halfHeight] = [width / 2 - corner, height / 2 - corner];
  const reach = Math.hypot(width, height) / 2;
  return {
    box: { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach },
    distance: (px, py) => {
      const outX = Math.abs((px - x) * cosine + (py - y) * sine) - halfWidth;
      const outY = Math.abs((py - y) * cosine - (px - x) * sine) - halfHeight;
      return Math.hypot(Math.max(outX, 0), Math.max(outY, 0)) + Math.min(Math.max(outX, outY), 0) - corner;
    },
  };
}

/** An ellipse, near enough: distances away from its edge are only roughly right. */
export function ellipse(x: number, y: number, radiusX: number, radiusY: number, turn = 0): Shape {
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const reach = Math.max(radiusX, radiusY);
  return {
    box: { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach },
    distance: (px, py) => {
      const u = ((px - x) * cosine + (py - y) * sine) / radiusX;
      const v = ((py - y) * cosine - (px - x) * sine) / radiusY;
      return (Math.hypot(u, v) - 1) * Math.min(radiusX, radiusY);
    },
  };
}

function mirror(offset: number, span: number): number {
  const folded = offset - 2 * span * Math.floor(offset / (2 * span));
  return folded < span ? folded : 2 * span - folded;
}
