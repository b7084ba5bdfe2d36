/**
 * Measures vector symbols in SVG files: takes every shape through its transforms into millimetres of paper, as the file
 * states them, without a rasteriser and without handing a byte to anything that would load or run something.
 *
 * Rules: SPEC Q51, Q52. Millimetres are believed only when the file says a physical unit (mm, cm, in, pt, pc, Q); `px` and bare numbers
 * are 1/72, 1/90 or 1/96 of an inch to different programs, so they state no size.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import {
  type DrawingInHand,
  drawingRoomMax,
  fillPath,
  identityMatrix,
  type Matrix,
  multiplyMatrices,
  newDrawing,
  type PaperBox,
  type PaperDrawing,
  placePicture,
  type Subpath,
  strokePath,
} from "./paper-drawing.ts";
import { readPicture } from "./picture-file.ts";
import { ellipseToSubpath, listToPoints, pathToSubpaths, rectangleToSubpath } from "./svg-path.ts";
import {
  cascade,
  colourToPaint,
  inheritStyle,
  initialStyle,
  readStyleSheet,
  readTransform,
  type StyleRule,
  type SvgAttributes,
  type SvgStyle,
} from "./svg-style.ts";
import { hasOutsideUrl, readSvgTree, type SvgNode, type SvgTreeFault } from "./svg-tree.ts";

/** `unit` "px": the file states no physical size, and the drawing's millimetres are only `pixelsPerMm` pixels each. */
export type ReadSvg = {
  readonly drawing: PaperDrawing;
  readonly unit: "mm" | "px";
  /** Pixels of the file to a millimetre of the drawing; 1 when the unit is mm. */
  readonly pixelsPerMm: number;
};

export type SvgFault =
  | SvgTreeFault
  | { readonly code: "svg-not-supported"; readonly what: string }
  | { readonly code: "svg-too-large"; readonly what: "points" | "uses" | "size"; readonly max: number };

/**
 * Reads an SVG. Faults: those of `readSvgTree`, svg-not-supported (a size without extent), svg-too-large (over two million
 * points, 300,000 shapes by way of `use`, or 5.1 m). What is passed over (text, gradients, masks, ...) is named in the drawing.
 * Source: SPEC Q51, Q52.
 */
export async function readSvg(bytes: Uint8Array): Promise<Result<ReadSvg, SvgFault>> {
  const tree = readSvgTree(bytes);
  if (!tree.ok) return tree;
  const nodes = listNodes(tree.value);
  const sheets = nodes.filter(({ name }) => name === "style").map(({ text }) => text);
  if (sheets.some(hasOutsideUrl)) return failed({ code: "svg-outside-link", where: "style" });
  const paper = paperOf(tree.value);
  if (!(paper.widthMm > 0 && paper.heightMm > 0)) return failed({ code: "svg-not-supported", what: "size" });
  if (Math.max(paper.widthMm, paper.heightMm) > sideMmMax) {
    return failed({ code: "svg-too-large", what: "size", max: sideMmMax });
  }
  const drawing = newDrawing();
  const rules = sheets.flatMap((sheet) => {
    const read = readStyleSheet(sheet);
    if (!read.complete) drawing.notRead.add("style");
    return read.rules;
  });
  const pictures = await readPictures(nodes, drawing);
  const walk: Walk = { drawing, rules, pictures, nodeById: nodesById(nodes), uses: 0, usesMax: shapesMax };
  const page = { left: 0, top: 0, right: paper.widthMm, bottom: paper.heightMm };
  const fault = drawChildren(walk, tree.value, {
    matrix: paper.matrix,
    style: inheritStyle(initialStyle, cascade("svg", tree.value.attributes, rules)),
    clip: page,
    depth: 0,
    width: paper.viewWidth,
    height: paper.viewHeight,
  });
  if (fault !== undefined) return failed(fault);
  const { widthMm, heightMm } = paper;
  return ok({
    drawing: { widthMm, heightMm, items: drawing.items, notRead: [...drawing.notRead].slice(0, notReadMax) },
    unit: paper.unit,
    pixelsPerMm: paper.pixelsPerMm,
  });
}

type Paper = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly unit: "mm" | "px";
  readonly pixelsPerMm: number;
  /** From user units to mm of paper. */
  readonly matrix: Matrix;
  readonly viewWidth: number;
  readonly viewHeight: number;
};

function paperOf(root: SvgNode): Paper {
  const view = readViewBox(root.attributes["viewBox"]);
  const width = readLength(root.attributes["width"]);
  const height = readLength(root.attributes["height"]);
  const ratio = view === undefined ? undefined : view.height / view.width;
  // One side given and a viewBox: the other follows (SVG 2, 8.2). Neither given: the viewBox in pixels, else 300 x 150.
  const sides = {
    width: width ?? scaled(height, ratio === undefined ? undefined : 1 / ratio) ?? pixels(view?.width ?? 300),
    height: height ?? scaled(width, ratio) ?? pixels(view?.height ?? 150),
  };
  const physical = sides.width.unit === "mm" && sides.height.unit === "mm";
  const inPixels = { width: toPixels(sides.width), height: toPixels(sides.height) };
  const pixelsPerMm = physical ? 1 : Math.max(inPixels.width, inPixels.height) / sideMmOfPixels;
  const widthMm = physical ? sides.width.value : inPixels.width / pixelsPerMm;
  const heightMm = physical ? sides.height.value : inPixels.height / pixelsPerMm;
  const shown = view ?? { left: 0, top: 0, width: inPixels.width, height: inPixels.height };
  const box = { left: 0, top: 0, width: widthMm, height: heightMm };
  return {
    widthMm,
    heightMm,
    unit: physical ? "mm" : "px",
    pixelsPerMm,
    matrix: fitMatrix(shown, box, root.attributes["preserveAspectRatio"]),
    viewWidth: shown.width,
    viewHeight: shown.height,
  };
}

type Place = {
  readonly matrix: Matrix;
  readonly style: SvgStyle;
  readonly clip: PaperBox;
  readonly depth: number;
  /** What percentages are of. */
  readonly width: number;
  readonly height: number;
};

type Walk = {
  readonly drawing: DrawingInHand;
  readonly rules: readonly StyleRule[];
  readonly pictures: ReadonlyMap<SvgNode, Omit<Parameters<typeof placePicture>[1], "matrix" | "alpha">>;
  readonly nodeById: ReadonlyMap<string, SvgNode>;
  uses: number;
  readonly usesMax: number;
};

function drawChildren(walk: Walk, node: SvgNode, place: Place): SvgFault | undefined {
  for (const child of node.children) {
    const fault = drawNode(walk, child, place);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function drawNode(walk: Walk, node: SvgNode, outer: Place): SvgFault | undefined {
  const { drawing } = walk;
  if (unseen.has(node.name) || node.name.includes(":")) return undefined;
  if (++walk.uses > walk.usesMax) return { code: "svg-too-large", what: "uses", max: walk.usesMax };
  const attributes = cascade(node.name, node.attributes, walk.rules);
  if (attributes["display"]?.trim() === "none") return undefined;
  for (const effect of ["clip-path", "mask", "filter"]) {
    if ((attributes[effect] ?? "none") !== "none") drawing.notRead.add(effect);
  }
  const own = readTransform(attributes["transform"] ?? "");
  if (own === undefined) drawing.notRead.add("transform");
  const place: Place = {
    ...outer,
    matrix: multiplyMatrices(own ?? identityMatrix, outer.matrix),
    style: inheritStyle(outer.style, attributes),
  };
  if (groups.has(node.name)) return drawChildren(walk, node, place);
  if (node.name === "use") return drawUse(walk, node, place);
  if (node.name === "svg") return drawViewport(walk, node, place, attributes);
  if (node.name === "image") return drawImage(walk, node, place);
  if (node.name === "text") {
    drawing.notRead.add("text");
    return undefined;
  }
  const subpaths = shapeOf(node.name, attributes, place, drawing);
  if (subpaths === undefined) {
    drawing.notRead.add(node.name.slice(0, 40));
    return undefined;
  }
  return paintShape(walk, subpaths, place);
}

function paintShape(walk: Walk, subpaths: readonly Subpath[], { matrix, style, clip }: Place): SvgFault | undefined {
  if (!style.visible) return undefined;
  const { drawing } = walk;
  const paintOf = (colour: string, opacity: number) => {
    const paint = colourToPaint(colour, style.colour, opacity * style.alpha);
    if (paint === undefined) drawing.notRead.add(colour.startsWith("url(") ? "gradient or pattern" : "colour");
    return paint === "none" ? undefined : paint;
  };
  const fill = paintOf(style.fill, style.fillOpacity);
  const stroke = style.strokeWidth > 0 ? paintOf(style.stroke, style.strokeOpacity) : undefined;
  if (stroke !== undefined && style.dashed) drawing.notRead.add("dashes");
  const pen = { matrix, clip, width: style.strokeWidth, cap: style.cap };
  const hasRoom =
    (fill === undefined || fillPath(drawing, subpaths, { matrix, clip, paint: fill, rule: style.fillRule })) &&
    (stroke === undefined || strokePath(drawing, subpaths, { ...pen, paint: stroke }));
  return hasRoom ? undefined : { code: "svg-too-large", what: "points", max: drawingRoomMax };
}

/** Undefined for an element that is no shape. */
function shapeOf(
  name: string,
  attributes: SvgAttributes,
  { width, height }: Place,
  drawing: DrawingInHand,
): readonly Subpath[] | undefined {
  const x = (key: string) => lengthIn(attributes[key], width) ?? 0;
  const y = (key: string) => lengthIn(attributes[key], height) ?? 0;
  switch (name) {
    case "path": {
      const read = pathToSubpaths(attributes["d"] ?? "", drawing.room);
      if (!read.complete) drawing.notRead.add("path");
      return read.subpaths;
    }
    case "rect": {
      const [rx, ry] = [lengthIn(attributes["rx"], width), lengthIn(attributes["ry"], height)];
      return [rectangleToSubpath(x("x"), y("y"), x("width"), y("height"), rx ?? ry ?? 0, ry ?? rx ?? 0)];
    }
    case "circle":
      return [ellipseToSubpath(x("cx"), y("cy"), x("r"), x("r"))];
    case "ellipse":
      return [ellipseToSubpath(x("cx"), y("cy"), x("rx"), y("ry"))];
    case "line":
      return [{ points: [x("x1"), y("y1"), x("x2"), y("y2")], closed: false }];
    case "polyline":
      return [{ points: listToPoints(attributes["points"] ?? ""), closed: false }];
    case "polygon":
      return [{ points: listToPoints(attributes["points"] ?? ""), closed: true }];
    default:
      return undefined;
  }
}

function drawUse(walk: Walk, node: SvgNode, place: Place): SvgFault | undefined {
  const target = walk.nodeById.get((node.attributes["href"] ?? "").trim().slice(1));
  if (target === undefined) return undefined;
  if (place.depth >= useDepthMax) return { code: "svg-too-large", what: "depth", max: useDepthMax };
  const x = lengthIn(node.attributes["x"], place.width) ?? 0;
  const y = lengthIn(node.attributes["y"], place.height) ?? 0;
  const matrix = multiplyMatrices([1, 0, 0, 1, x, y], place.matrix);
  const inner = { ...place, matrix, depth: place.depth + 1 };
  if (target.name !== "symbol" && target.name !== "svg") return drawNode(walk, target, inner);
  const { width, height } = node.attributes;
  const sized = {
    ...target.attributes,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
  };
  return drawViewport(walk, target, inner, sized);
}

/** An inner `svg` or a `symbol`: a window of its own with its own units. */
function drawViewport(walk: Walk, node: SvgNode, place: Place, attributes: SvgAttributes): SvgFault | undefined {
  const left = lengthIn(attributes["x"], place.width) ?? 0;
  const top = lengthIn(attributes["y"], place.height) ?? 0;
  const width = lengthIn(attributes["width"], place.width) ?? place.width;
  const height = lengthIn(attributes["height"], place.height) ?? place.height;
  const view = readViewBox(attributes["viewBox"]) ?? { left: 0, top: 0, width, height };
  if (!(width > 0 && height > 0)) return undefined;
  const fit = fitMatrix(view, { left, top, width, height }, attributes["preserveAspectRatio"]);
  const matrix = multiplyMatrices(fit, place.matrix);
  return drawChildren(walk, node, { ...place, matrix, width: view.width, height: view.height });
}

function drawImage(walk: Walk, node: SvgNode, place: Place): SvgFault | undefined {
  const placed = walk.pictures.get(node);
  // Why it could not be read is already named.
  if (placed === undefined || !place.style.visible) return undefined;
  const { width: pixelWidth, height: pixelHeight } = placed.picture;
  const left = lengthIn(node.attributes["x"], place.width) ?? 0;
  const top = lengthIn(node.attributes["y"], place.height) ?? 0;
  const width = lengthIn(node.attributes["width"], place.width);
  const height = lengthIn(node.attributes["height"], place.height);
  const box = {
    left,
    top,
    width: width ?? (height === undefined ? pixelWidth : (height * pixelWidth) / pixelHeight),
    height: height ?? (width === undefined ? pixelHeight : (width * pixelHeight) / pixelWidth),
  };
  const pixels = { left: 0, top: 0, width: pixelWidth, height: pixelHeight };
  const fit = fitMatrix(pixels, box, node.attributes["preserveAspectRatio"]);
  const unit = multiplyMatrices([pixelWidth, 0, 0, pixelHeight, 0, 0], multiplyMatrices(fit, place.matrix));
  const hasRoom = placePicture(walk.drawing, { ...placed, matrix: unit, alpha: place.style.alpha }, place.clip);
  return hasRoom ? undefined : { code: "svg-too-large", what: "points", max: drawingRoomMax };
}

/** Pictures inside the file (`data:`), decoded once; sharp gets PNG, JPEG, WebP and TIFF only, told by their first bytes. */
async function readPictures(nodes: readonly SvgNode[], drawing: DrawingInHand): Promise<Walk["pictures"]> {
  const pictures = new Map<SvgNode, { picture: Awaited<ReturnType<typeof pictureOf>> & object; opacity: undefined }>();
  for (const node of nodes) {
    if (node.name !== "image") continue;
    const picture = pictures.size < picturesMax ? await pictureOf(node.attributes["href"] ?? "") : undefined;
    if (picture === undefined) drawing.notRead.add("image");
    else pictures.set(node, { picture, opacity: undefined });
  }
  return pictures;
}

async function pictureOf(href: string) {
  const base64 = /^\s*data:image\/[\w.+-]+;base64,([\sA-Za-z0-9+/=]*)$/.exec(href)?.[1];
  if (base64 === undefined) return undefined;
  const read = await readPicture(new Uint8Array(Buffer.from(base64, "base64")));
  return read.ok ? read.value.picture : undefined;
}

type ViewBox = { readonly left: number; readonly top: number; readonly width: number; readonly height: number };

function readViewBox(text: string | undefined): ViewBox | undefined {
  const numbers =
    text
      ?.trim()
      .split(/[\s,]+/)
      .map(Number) ?? [];
  const [left = Number.NaN, top = Number.NaN, width = Number.NaN, height = Number.NaN] = numbers;
  if (numbers.length !== 4 || !Number.isFinite(left + top + width + height)) return undefined;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

/** From `view` into `box`, as `preserveAspectRatio` says. */
function fitMatrix(view: ViewBox, box: ViewBox, preserve: string | undefined): Matrix {
  const words = (preserve ?? "").trim().split(/\s+/);
  const [scaleX, scaleY] = [box.width / view.width, box.height / view.height];
  if (words[0] === "none") {
    return [scaleX, 0, 0, scaleY, box.left - view.left * scaleX, box.top - view.top * scaleY];
  }
  const scale = words[1] === "slice" ? Math.max(scaleX, scaleY) : Math.min(scaleX, scaleY);
  const share = (word: string, axis: "x" | "Y") => {
    const found = new RegExp(axis === "x" ? "x(Min|Mid|Max)" : "Y(Min|Mid|Max)").exec(word)?.[1];
    return found === "Min" ? 0 : found === "Max" ? 1 : 0.5;
  };
  const align = words[0] ?? "";
  const left = box.left + (box.width - view.width * scale) * share(align, "x");
  const top = box.top + (box.height - view.height * scale) * share(align, "Y");
  return [scale, 0, 0, scale, left - view.left * scale, top - view.top * scale];
}

type Length = { readonly value: number; readonly unit: "mm" | "px" };

/** Undefined for nothing, `auto`, percentages and what is no length. */
function readLength(text: string | undefined): Length | undefined {
  const parts = /^\s*\+?((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(mm|cm|in|pt|pc|q|px|)\s*$/i.exec(text ?? "");
  if (parts === null) return undefined;
  const value = Number(parts[1]);
  const perUnit = mmPerUnit[(parts[2] ?? "").toLowerCase()];
  return perUnit === undefined ? { value, unit: "px" } : { value: value * perUnit, unit: "mm" };
}

/** A length in user units; percentages of `whole`. */
function lengthIn(text: string | undefined, whole: number): number | undefined {
  if (text === undefined) return undefined;
  const share = /^\s*([+-]?[\d.]+)%\s*$/.exec(text)?.[1];
  if (share !== undefined) return (Number(share) / 100) * whole;
  if (/^\s*[+-]?[\d.]+(?:e[+-]?\d+)?\s*$/i.test(text)) return Number(text);
  const negative = text.trim().startsWith("-");
  const length = readLength(text.trim().replace(/^-/, ""));
  return length === undefined ? undefined : (negative ? -1 : 1) * toPixels(length);
}

function scaled(length: Length | undefined, ratio: number | undefined): Length | undefined {
  return length === undefined || ratio === undefined ? undefined : { ...length, value: length.value * ratio };
}

function pixels(value: number): Length {
  return { value, unit: "px" };
}

/** CSS: an inch has 96 pixels. */
function toPixels({ value, unit }: Length): number {
  return unit === "px" ? value : (value * 96) / 25.4;
}

function listNodes(root: SvgNode): readonly SvgNode[] {
  const nodes: SvgNode[] = [root];
  for (const node of nodes) {
    for (const child of node.children) nodes.push(child);
  }
  return nodes;
}

function nodesById(nodes: readonly SvgNode[]): ReadonlyMap<string, SvgNode> {
  const byId = new Map<string, SvgNode>();
  for (const node of nodes) {
    const { id } = node.attributes;
    if (id !== undefined && !byId.has(id)) byId.set(id, node);
  }
  return byId;
}

const mmPerUnit: Readonly<Record<string, number>> = {
  mm: 1,
  cm: 10,
  in: 25.4,
  pt: 25.4 / 72,
  pc: 25.4 / 6,
  q: 0.25,
};
const groups: ReadonlySet<string> = new Set(["g", "a", "switch"]);
/** What draws nothing where it stands. */
const unseen: ReadonlySet<string> = new Set([
  "defs",
  "symbol",
  "title",
  "desc",
  "metadata",
  "style",
  "marker",
  "clipPath",
  "mask",
  "pattern",
  "filter",
  "linearGradient",
  "radialGradient",
  "view",
  "font",
]);
const sideMmMax = 5_100;
const sideMmOfPixels = 200;
const shapesMax = 300_000;
const useDepthMax = 16;
const picturesMax = 50;
const notReadMax = 10;
