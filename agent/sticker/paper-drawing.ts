/**
 * What a PDF page or an SVG paints, in millimetres of paper, and how it is looked at: each area covers its share of a pixel,
 * so that an edge between two pixels can be measured where the file says it is.
 *
 * Rules: SPEC Q25, Q51. Nothing here reads a file; `pdf-file.ts` and `svg-file.ts` fill a drawing, within named limits.
 */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";

/** As PDF and SVG write it: x' = a x + c y + e, y' = b x + d y + f. */
export type Matrix = readonly [number, number, number, number, number, number];

/** In mm from the paper's top left corner. */
export type PaperBox = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };

/** Points x, y, x, y, ... of one part of a path, in the units of its own matrix. */
export type Subpath = { readonly points: readonly number[]; readonly closed: boolean };

/** How an area is filled: `light` 0 (black) to 1, `alpha` 0 (invisible) to 1. */
export type Paint = { readonly light: number; readonly alpha: number };

export type FillRule = "nonzero" | "evenodd";

export type PaintedArea = {
  readonly kind: "area";
  readonly paint: Paint;
  readonly rule: FillRule;
  /** Closed polygons in mm; empty when `boxes` has the whole area. */
  readonly rings: readonly Float64Array[];
  /** Upright rectangles in mm: left, top, right, bottom, left, ... */
  readonly boxes: Float64Array;
  readonly bounds: PaperBox;
};

/** A picture whose unit square (0, 0 at its top left) `matrix` takes to the paper. `opacity`: 255 covers, 0 does not. */
export type PlacedPicture = {
  readonly kind: "picture";
  readonly picture: GreyPicture;
  readonly opacity: Uint8Array | undefined;
  readonly alpha: number;
  readonly matrix: Matrix;
  readonly bounds: PaperBox;
};

export type PaintedItem = PaintedArea | PlacedPicture;

/** Later items lie on top of earlier ones. `notRead` names what was passed over and might have been seen on paper. */
export type PaperDrawing = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly items: readonly PaintedItem[];
  readonly notRead: readonly string[];
};

/** A drawing while it is read. `room` is how many points and pixels it may still take. */
export type DrawingInHand = { readonly items: PaintedItem[]; readonly notRead: Set<string>; room: number };

/** Room for two million points: a page full of symbols has tens of thousands. */
export const drawingRoomMax = 2_000_000;

export const identityMatrix: Matrix = [1, 0, 0, 1, 0, 0];

export function newDrawing(): DrawingInHand {
  return { items: [], notRead: new Set(), room: drawingRoomMax };
}

/** First `inner`, then `outer`. */
export function multiplyMatrices(inner: Matrix, outer: Matrix): Matrix {
  const [a, b, c, d, e, f] = inner;
  const [oa, ob, oc, od, oe, of] = outer;
  return [
    a * oa + b * oc,
    a * ob + b * od,
    c * oa + d * oc,
    c * ob + d * od,
    e * oa + f * oc + oe,
    e * ob + f * od + of,
  ];
}

/** Fills subpaths; `clip` is where the paint may fall at all. False when the drawing has no more room. */
export function fillPath(
  drawing: DrawingInHand,
  subpaths: readonly Subpath[],
  to: { readonly matrix: Matrix; readonly paint: Paint; readonly rule: FillRule; readonly clip: PaperBox },
): boolean {
  const rings: Float64Array[] = [];
  for (const { points } of subpaths) {
    drawing.room -= points.length / 2;
    if (drawing.room < 0) return false;
    if (points.length >= 6) rings.push(onPaper(points, to.matrix));
  }
  addArea(drawing, rings, to);
  return true;
}

/**
 * Draws subpaths with a pen of `width` in the units of the path. Corners are square as those of a mitre are at right
 * angles; `cap` says what stands at open ends. False when the drawing has no more room.
 */
export function strokePath(
  drawing: DrawingInHand,
  subpaths: readonly Subpath[],
  pen: {
    readonly matrix: Matrix;
    readonly paint: Paint;
    readonly clip: PaperBox;
    readonly width: number;
    readonly cap: "butt" | "round" | "square";
  },
): boolean {
  const rings: Float64Array[] = [];
  for (const subpath of subpaths) {
    drawing.room -= 2 * subpath.points.length;
    if (drawing.room < 0) return false;
    for (const quad of strokeQuads(subpath, pen.width, pen.cap !== "butt")) rings.push(onPaper(quad, pen.matrix));
  }
  addArea(drawing, rings, { ...pen, rule: "nonzero" });
  return true;
}

/** Places a picture. False when the drawing has no more room: its pixels count as much as points. */
export function placePicture(
  drawing: DrawingInHand,
  picture: Omit<PlacedPicture, "kind" | "bounds">,
  clip: PaperBox,
): boolean {
  const corners = onPaper([0, 0, 1, 0, 1, 1, 0, 1], picture.matrix);
  const bounds = intersection(boundsOf([corners]), clip);
  if (isEmpty(bounds) || !isFiniteBox(bounds)) return true;
  drawing.room -= 4;
  if (drawing.room < 0) return false;
  drawing.items.push({ kind: "picture", ...picture, bounds });
  return true;
}

/**
 * Looks at a part of the paper: `window` at `pixelsPerMm`, white where nothing is painted. Undefined when painting would
 * take more than some seconds (a hostile file paints the whole page a hundred thousand times).
 */
export function drawPaper(drawing: PaperDrawing, window: PaperBox, pixelsPerMm: number): GreyPicture | undefined {
  const width = Math.max(1, Math.ceil((window.right - window.left) * pixelsPerMm - roundingSlack));
  const height = Math.max(1, Math.ceil((window.bottom - window.top) * pixelsPerMm - roundingSlack));
  const canvas: Canvas = {
    width,
    height,
    luma: new Uint8Array(width * height).fill(255),
    pixelsPerMm,
    window,
    work: paintWorkMax,
  };
  for (const item of drawing.items) {
    const { left, top, right, bottom } = item.bounds;
    if (right <= window.left || left >= window.right || bottom <= window.top || top >= window.bottom) continue;
    if (item.kind === "picture") paintPicture(canvas, item);
    else if (item.boxes.length > 0) paintBoxes(canvas, item);
    else paintRings(canvas, item);
    if (canvas.work < 0) return undefined;
  }
  return { width, height, luma: canvas.luma };
}

export function intersection(one: PaperBox, other: PaperBox): PaperBox {
  return {
    left: Math.max(one.left, other.left),
    top: Math.max(one.top, other.top),
    right: Math.min(one.right, other.right),
    bottom: Math.min(one.bottom, other.bottom),
  };
}

/** The box of a path on paper, and whether the path is that upright box itself. */
export function boxOnPaper(
  subpaths: readonly Subpath[],
  matrix: Matrix,
): { readonly box: PaperBox; readonly isBox: boolean } {
  const rings = subpaths.filter(({ points }) => points.length >= 6).map(({ points }) => onPaper(points, matrix));
  const [first] = rings;
  const isBox = rings.length === 1 && first !== undefined && uprightBox(first) !== undefined;
  return { box: boundsOf(rings), isBox };
}

type Canvas = {
  readonly width: number;
  readonly height: number;
  readonly luma: Uint8Array;
  readonly pixelsPerMm: number;
  readonly window: PaperBox;
  work: number;
};

function addArea(
  drawing: DrawingInHand,
  rings: readonly Float64Array[],
  to: { readonly paint: Paint; readonly rule: FillRule; readonly clip: PaperBox },
): void {
  if (rings.length === 0 || to.paint.alpha <= 0) return;
  const bounds = intersection(boundsOf(rings), to.clip);
  if (isEmpty(bounds) || !isFiniteBox(bounds)) return;
  const boxes = to.rule === "nonzero" || rings.length === 1 ? uprightBoxes(rings) : undefined;
  const area = { kind: "area", paint: to.paint, rule: to.rule, bounds } as const;
  drawing.items.push(
    boxes === undefined ? { ...area, rings, boxes: new Float64Array(0) } : { ...area, rings: [], boxes },
  );
}

/** Undefined unless every ring is an upright rectangle and all go around the same way: then none is a hole in another. */
function uprightBoxes(rings: readonly Float64Array[]): Float64Array | undefined {
  const boxes = new Float64Array(4 * rings.length);
  let way = 0;
  for (const [index, ring] of rings.entries()) {
    const box = uprightBox(ring);
    if (box === undefined) return undefined;
    if (way !== 0 && box.way !== way) return undefined;
    way = box.way;
    boxes.set([box.left, box.top, box.right, box.bottom], 4 * index);
  }
  return boxes;
}

function uprightBox(ring: Float64Array): (PaperBox & { readonly way: 1 | -1 }) | undefined {
  const closed = ring.length === 10 && near(ring[0], ring[8]) && near(ring[1], ring[9]);
  if (ring.length !== 8 && !closed) return undefined;
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0, x2 = 0, y2 = 0, x3 = 0, y3 = 0] = ring;
  const across = near(y0, y1) && near(x1, x2) && near(y2, y3) && near(x3, x0);
  const down = near(x0, x1) && near(y1, y2) && near(x2, x3) && near(y3, y0);
  if (!across && !down) return undefined;
  const turn = (x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1);
  return {
    left: Math.min(x0, x2),
    top: Math.min(y0, y2),
    right: Math.max(x0, x2),
    bottom: Math.max(y0, y2),
    way: turn < 0 ? -1 : 1,
  };
}

/** One rectangle a segment, all going around the same way. */
function strokeQuads({ points, closed }: Subpath, width: number, capped: boolean): readonly (readonly number[])[] {
  const quads: (readonly number[])[] = [];
  const corners: number[] = [];
  for (let at = 0; at + 1 < points.length; at += 2) {
    const [x, y] = [points[at] ?? 0, points[at + 1] ?? 0];
    // A point that repeats the one before has no direction.
    if (x !== corners.at(-2) || y !== corners.at(-1)) corners.push(x, y);
  }
  if (closed && corners.length >= 4 && (corners[0] !== corners.at(-2) || corners[1] !== corners.at(-1))) {
    corners.push(corners[0] ?? 0, corners[1] ?? 0);
  }
  const last = corners.length - 4;
  for (let at = 0; at <= last; at += 2) {
    const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = corners.slice(at, at + 4);
    const length = Math.hypot(x1 - x0, y1 - y0);
    const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
    const before = at > 0 ? isCorner(corners, at) : closed || capped;
    const after = at < last ? isCorner(corners, at + 2) : closed || capped;
    const half = width / 2;
    const [from, to] = [before ? half : 0, after ? half : 0];
    const [ax, ay, bx, by] = [x0 - ux * from, y0 - uy * from, x1 + ux * to, y1 + uy * to];
    const [nx, ny] = [-uy * half, ux * half];
    quads.push([ax + nx, ay + ny, bx + nx, by + ny, bx - nx, by - ny, ax - nx, ay - ny]);
  }
  return quads;
}

/** Whether the line turns by more than about 20 degrees at a point: less is the flattened part of a curve. */
function isCorner(corners: readonly number[], at: number): boolean {
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0, x2 = 0, y2 = 0] = corners.slice(at - 2, at + 4);
  const [ax, ay, bx, by] = [x1 - x0, y1 - y0, x2 - x1, y2 - y1];
  return ax * bx + ay * by < 0.94 * Math.hypot(ax, ay) * Math.hypot(bx, by);
}

function paintBoxes(canvas: Canvas, { boxes, bounds, paint }: PaintedArea): void {
  const { window, pixelsPerMm } = canvas;
  for (let at = 0; at < boxes.length; at += 4) {
    const left = (Math.max(boxes[at] ?? 0, bounds.left) - window.left) * pixelsPerMm;
    const top = (Math.max(boxes[at + 1] ?? 0, bounds.top) - window.top) * pixelsPerMm;
    const right = (Math.min(boxes[at + 2] ?? 0, bounds.right) - window.left) * pixelsPerMm;
    const bottom = (Math.min(boxes[at + 3] ?? 0, bounds.bottom) - window.top) * pixelsPerMm;
    paintBox(canvas, left, top, right, bottom, paint);
    if (canvas.work < 0) return;
  }
}

function paintBox(canvas: Canvas, left: number, top: number, right: number, bottom: number, paint: Paint): void {
  const fromX = Math.max(0, Math.floor(left));
  const toX = Math.min(canvas.width, Math.ceil(right));
  const toY = Math.min(canvas.height, Math.ceil(bottom));
  for (let y = Math.max(0, Math.floor(top)); y < toY; y++) {
    const coverY = Math.min(bottom, y + 1) - Math.max(top, y);
    canvas.work -= 4 + toX - fromX;
    if (canvas.work < 0) return;
    for (let x = fromX; x < toX; x++) {
      const cover = coverY * (Math.min(right, x + 1) - Math.max(left, x));
      blend(canvas, y * canvas.width + x, cover * paint.alpha, paint.light);
    }
  }
}

type Edge = {
  readonly x: number;
  readonly y: number;
  readonly endY: number;
  readonly slope: number;
  readonly way: number;
};

/** Scan lines, several to a row of pixels; across, coverage is exact. */
function paintRings(canvas: Canvas, area: PaintedArea): void {
  const edges = listEdges(canvas, area.rings);
  const { bounds, paint } = area;
  const { window, pixelsPerMm } = canvas;
  const left = Math.max(0, (bounds.left - window.left) * pixelsPerMm);
  const right = Math.min(canvas.width, (bounds.right - window.left) * pixelsPerMm);
  const top = Math.max(0, (bounds.top - window.top) * pixelsPerMm);
  const bottom = Math.min(canvas.height, (bounds.bottom - window.top) * pixelsPerMm);
  const fromX = Math.floor(left);
  const toX = Math.ceil(right);
  const cover = new Float64Array(toX - fromX + 2);
  let active: Edge[] = [];
  let next = 0;
  for (let y = Math.floor(top); y < bottom; y++) {
    active = active.filter((edge) => edge.endY > y);
    for (let edge = edges[next]; edge !== undefined && edge.y < y + 1; edge = edges[++next]) {
      if (edge.endY > y) active.push(edge);
    }
    if (active.length === 0) continue;
    canvas.work -= scansPerRow * edgeWork * active.length + toX - fromX;
    if (canvas.work < 0) return;
    cover.fill(0);
    for (let scan = 0; scan < scansPerRow; scan++) {
      const at = y + (scan + 0.5) / scansPerRow;
      if (at >= top && at < bottom) addScan(cover, fromX, { active, at, left, right, rule: area.rule });
    }
    let sum = 0;
    for (let x = fromX; x < toX; x++) {
      sum += cover[x - fromX] ?? 0;
      if (sum > 1e-9) blend(canvas, y * canvas.width + x, (sum / scansPerRow) * paint.alpha, paint.light);
    }
  }
}

/** In pixels of the canvas, from top to bottom; level edges are between no scan lines. */
function listEdges({ window, pixelsPerMm, height }: Canvas, rings: readonly Float64Array[]): readonly Edge[] {
  const edges: Edge[] = [];
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const x0 = ((ring[at] ?? 0) - window.left) * pixelsPerMm;
      const y0 = ((ring[at + 1] ?? 0) - window.top) * pixelsPerMm;
      const x1 = ((ring[(at + 2) % ring.length] ?? 0) - window.left) * pixelsPerMm;
      const y1 = ((ring[(at + 3) % ring.length] ?? 0) - window.top) * pixelsPerMm;
      if (y0 === y1 || Math.max(y0, y1) <= 0 || Math.min(y0, y1) >= height) continue;
      const slope = (x1 - x0) / (y1 - y0);
      if (y0 < y1) edges.push({ x: x0, y: y0, endY: y1, slope, way: 1 });
      else edges.push({ x: x1, y: y1, endY: y0, slope, way: -1 });
    }
  }
  return edges.sort((one, other) => one.y - other.y);
}

/** Adds one scan line's spans as differences: summed from the left they give the share of each pixel that is covered. */
function addScan(
  cover: Float64Array,
  fromX: number,
  scan: {
    readonly active: readonly Edge[];
    readonly at: number;
    readonly left: number;
    readonly right: number;
    readonly rule: FillRule;
  },
): void {
  const { at, left, right, rule } = scan;
  const crossings = scan.active
    .filter((edge) => edge.y <= at && edge.endY > at)
    .map((edge) => ({ x: Math.min(Math.max(edge.x + (at - edge.y) * edge.slope, left), right), way: edge.way }))
    .sort((one, other) => one.x - other.x);
  let winding = 0;
  for (const { x, way } of crossings) {
    const before = rule === "nonzero" ? winding !== 0 : winding % 2 !== 0;
    winding += way;
    const after = rule === "nonzero" ? winding !== 0 : winding % 2 !== 0;
    if (before === after) continue;
    const cell = Math.floor(x) - fromX;
    const part = x - Math.floor(x);
    const sign = after ? 1 : -1;
    cover[cell] = (cover[cell] ?? 0) + sign * (1 - part);
    cover[cell + 1] = (cover[cell + 1] ?? 0) + sign * part;
  }
}

function paintPicture(canvas: Canvas, item: PlacedPicture): void {
  const { picture, opacity, matrix, bounds, alpha } = item;
  const inverse = invert(matrix);
  if (inverse === undefined) return;
  const { window, pixelsPerMm } = canvas;
  const fromX = Math.max(0, Math.floor((bounds.left - window.left) * pixelsPerMm));
  const fromY = Math.max(0, Math.floor((bounds.top - window.top) * pixelsPerMm));
  const toX = Math.min(canvas.width, Math.ceil((bounds.right - window.left) * pixelsPerMm));
  const toY = Math.min(canvas.height, Math.ceil((bounds.bottom - window.top) * pixelsPerMm));
  const [a, b, c, d, e, f] = inverse;
  for (let y = fromY; y < toY; y++) {
    canvas.work -= (toX - fromX) * samplesPerPixel * samplesPerPixel;
    if (canvas.work < 0) return;
    for (let x = fromX; x < toX; x++) {
      let [sum, covered] = [0, 0];
      for (let sample = 0; sample < samplesPerPixel * samplesPerPixel; sample++) {
        const paperX = window.left + (x + ((sample % samplesPerPixel) + 0.5) / samplesPerPixel) / pixelsPerMm;
        const paperY = window.top + (y + (Math.floor(sample / samplesPerPixel) + 0.5) / samplesPerPixel) / pixelsPerMm;
        const column = Math.floor((a * paperX + c * paperY + e) * picture.width);
        const row = Math.floor((b * paperX + d * paperY + f) * picture.height);
        if (column < 0 || row < 0 || column >= picture.width || row >= picture.height) continue;
        const at = row * picture.width + column;
        const cover = opacity === undefined ? 1 : (opacity[at] ?? 0) / 255;
        sum += cover * (picture.luma[at] ?? 0);
        covered += cover;
      }
      if (covered === 0) continue;
      const share = (covered / (samplesPerPixel * samplesPerPixel)) * alpha;
      blend(canvas, y * canvas.width + x, share, sum / covered / 255);
    }
  }
}

function blend(canvas: Canvas, at: number, share: number, light: number): void {
  const before = canvas.luma[at] ?? 255;
  canvas.luma[at] = Math.round(before + (light * 255 - before) * Math.min(1, share));
}

function onPaper(points: readonly number[], [a, b, c, d, e, f]: Matrix): Float64Array {
  const paper = new Float64Array(points.length - (points.length % 2));
  for (let at = 0; at < paper.length; at += 2) {
    const [x, y] = [points[at] ?? 0, points[at + 1] ?? 0];
    paper[at] = a * x + c * y + e;
    paper[at + 1] = b * x + d * y + f;
  }
  return paper;
}

function boundsOf(rings: readonly Float64Array[]): PaperBox {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, -Infinity, -Infinity];
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const [x, y] = [ring[at] ?? Number.NaN, ring[at + 1] ?? Number.NaN];
      // NaN would pass every comparison; it makes the box not finite instead.
      if (Number.isNaN(x + y)) return { left: Number.NaN, top: Number.NaN, right: Number.NaN, bottom: Number.NaN };
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return { left, top, right, bottom };
}

/** Undefined when the matrix flattens everything to a line. */
function invert([a, b, c, d, e, f]: Matrix): Matrix | undefined {
  const determinant = a * d - b * c;
  if (!Number.isFinite(determinant) || determinant === 0) return undefined;
  return [
    d / determinant,
    -b / determinant,
    -c / determinant,
    a / determinant,
    (c * f - d * e) / determinant,
    (b * e - a * f) / determinant,
  ];
}

function isEmpty({ left, top, right, bottom }: PaperBox): boolean {
  return right <= left || bottom <= top;
}

function isFiniteBox({ left, top, right, bottom }: PaperBox): boolean {
  return Number.isFinite(left + top + right + bottom);
}

function near(one: number | undefined, other: number | undefined): boolean {
  return Math.abs((one ?? 0) - (other ?? 0)) < nearMm;
}

// A tenth of a micrometre: what matrices of eight digits lose on a page.
const nearMm = 1e-4;
// 8.000000001 pixels are 8.
const roundingSlack = 1e-6;
const scansPerRow = 8;
const samplesPerPixel = 4;
// What an edge costs in a scan line, counted in pixels: it is moved, sorted and crossed.
const edgeWork = 40;
// Pixels touched: some seconds on a small machine. A page with a picture all over it takes a fifth of this.
const paintWorkMax = 500_000_000;
