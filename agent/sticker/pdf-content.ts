/**
 * Runs the operators of a PDF page that decide what is seen: paths, pens, colours, clips, forms and pictures, each through
 * its matrix into mm of paper. Rules: SPEC Q25, Q54. What is passed over and might be seen (text, shadings, ...) is named.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import {
  boxOnPaper,
  type DrawingInHand,
  drawingRoomMax,
  type FillRule,
  fillPath,
  intersection,
  type Matrix,
  multiplyMatrices,
  type Paint,
  type PaperBox,
  placePicture,
  type Subpath,
  strokePath,
} from "./paper-drawing.ts";
import { addCubic } from "./path-curves.ts";
import { grey, readPdfPicture, readSpace, type Space } from "./pdf-image.ts";
import {
  asDictionary,
  asName,
  asNumber,
  asNumbers,
  asStream,
  contentBytesMax,
  type PdfObjects,
  resolvePdf,
  unpackStream,
} from "./pdf-objects.ts";
import { type Lexer, nextValue, type PdfDictionary, type PdfStream, type PdfValue } from "./pdf-words.ts";

export type PdfContentFault =
  | { readonly code: "pdf-not-supported"; readonly what: "filter" }
  | { readonly code: "pdf-too-large"; readonly what: "content" | "operators" | "points"; readonly max: number };

export type ContentWalk = {
  readonly objects: PdfObjects;
  readonly drawing: DrawingInHand;
  operators: number;
  pictures: number;
};

/**
 * Runs the content of one page (or form): `streams` are read as one. Faults: pdf-not-supported (a filter that is not
 * read), pdf-too-large (content over 32 MB unpacked, a million operators, two million points).
 */
export async function runContent(
  walk: ContentWalk,
  streams: readonly PdfStream[],
  resources: PdfDictionary | undefined,
  place: { readonly matrix: Matrix; readonly clip: PaperBox; readonly depth: number; readonly from?: GraphicsState },
): Promise<Result<undefined, PdfContentFault>> {
  const texts: string[] = [];
  for (const stream of streams) {
    const unpacked = unpackStream(walk.objects, stream, walk.objects.room);
    if (unpacked === "too-large") return failed({ code: "pdf-too-large", what: "content", max: contentBytesMax });
    if (unpacked === "rubbish" || unpacked.left !== undefined) {
      return failed({ code: "pdf-not-supported", what: "filter" });
    }
    walk.objects.room -= unpacked.bytes.length;
    texts.push(Buffer.from(unpacked.bytes).toString("latin1"));
  }
  const state = place.from ?? initialState;
  const run: Run = {
    walk,
    resources,
    depth: place.depth,
    state: { ...state, matrix: place.matrix, clip: place.clip },
    stack: [],
    subpaths: [],
    points: [],
    clipping: undefined,
    hiddenText: false,
  };
  return runOperators(run, { text: texts.join("\n"), at: 0 });
}

type Pen = { readonly width: number; readonly cap: "butt" | "round" | "square"; readonly dashed: boolean };

/** `undefined` colours are patterns, which are not drawn. */
export type GraphicsState = {
  readonly matrix: Matrix;
  readonly clip: PaperBox;
  readonly fill: number | undefined;
  readonly stroke: number | undefined;
  readonly fillSpace: Space | undefined;
  readonly strokeSpace: Space | undefined;
  readonly fillAlpha: number;
  readonly strokeAlpha: number;
  readonly pen: Pen;
};

const initialState: GraphicsState = {
  matrix: [1, 0, 0, 1, 0, 0],
  clip: { left: 0, top: 0, right: 0, bottom: 0 },
  fill: 0,
  stroke: 0,
  fillSpace: grey,
  strokeSpace: grey,
  fillAlpha: 1,
  strokeAlpha: 1,
  pen: { width: 1, cap: "butt", dashed: false },
};

type Run = {
  readonly walk: ContentWalk;
  readonly resources: PdfDictionary | undefined;
  readonly depth: number;
  state: GraphicsState;
  readonly stack: GraphicsState[];
  subpaths: Subpath[];
  points: number[];
  /** Set by W until the path is painted. */
  clipping: FillRule | undefined;
  /** Text that is laid over a scan to be searched, and not seen. */
  hiddenText: boolean;
};

async function runOperators(run: Run, lexer: Lexer): Promise<Result<undefined, PdfContentFault>> {
  const { walk } = run;
  let operands: PdfValue[] = [];
  for (let next = nextValue(lexer); next !== undefined; next = nextValue(lexer)) {
    if ("value" in next) {
      if (operands.length < operandsMax) operands.push(next.value);
      continue;
    }
    if (++walk.operators > operatorsMax) {
      return failed({ code: "pdf-too-large", what: "operators", max: operatorsMax });
    }
    const { word } = next;
    let done: Result<undefined, PdfContentFault> = ok(undefined);
    if (word === "Do") done = await drawObject(run, operands.at(-1));
    else if (word === "BI") done = await drawInline(run, lexer);
    else if (paintOperators.has(word)) done = paintPath(run, word);
    else runSimple(run, word, operands);
    if (!done.ok) return done;
    operands = [];
  }
  return ok(undefined);
}

/** Operators that only change the state or the path in hand. */
function runSimple(run: Run, word: string, operands: readonly PdfValue[]): void {
  const numbers = operands.filter((each) => typeof each === "number");
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = numbers;
  const { state } = run;
  if (buildPath(run, word, numbers)) return;
  if (setColour(run, word, operands, numbers)) return;
  switch (word) {
    case "q":
      if (run.stack.length < stackMax) run.stack.push(state);
      break;
    case "Q":
      run.state = run.stack.pop() ?? state;
      break;
    case "cm":
      if (numbers.length >= 6) run.state = { ...state, matrix: multiplyMatrices([a, b, c, d, e, f], state.matrix) };
      break;
    case "w":
      run.state = { ...state, pen: { ...state.pen, width: Math.abs(a) } };
      break;
    case "J":
      run.state = { ...state, pen: { ...state.pen, cap: caps[a] ?? "butt" } };
      break;
    case "d": {
      const [dashes] = operands;
      run.state = { ...state, pen: { ...state.pen, dashed: Array.isArray(dashes) && dashes.length > 0 } };
      break;
    }
    case "W":
    case "W*":
      run.clipping = word === "W" ? "nonzero" : "evenodd";
      break;
    case "gs":
      setGraphicsState(run, operands[0]);
      break;
    case "sh":
      run.walk.drawing.notRead.add("shading");
      break;
    case "Tr":
      run.hiddenText = a === 3;
      break;
    case "Tj":
    case "TJ":
    case "'":
    case '"':
      if (!run.hiddenText) run.walk.drawing.notRead.add("text");
      break;
    default:
  }
}

/** False for an operator that builds no path. */
function buildPath(run: Run, word: string, numbers: readonly number[]): boolean {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = numbers;
  const [x = a, y = b] = run.points.slice(-2);
  switch (word) {
    case "m":
      endSubpath(run, false);
      run.points.push(a, b);
      return true;
    case "l":
      run.points.push(a, b);
      return true;
    case "c":
      addCubic(run.points, [x, y, a, b, c, d, e, f]);
      return true;
    case "v":
      addCubic(run.points, [x, y, x, y, a, b, c, d]);
      return true;
    case "y":
      addCubic(run.points, [x, y, a, b, c, d, c, d]);
      return true;
    case "h":
      endSubpath(run, true);
      return true;
    case "re":
      endSubpath(run, false);
      run.subpaths.push({ points: [a, b, a + c, b, a + c, b + d, a, b + d], closed: true });
      return true;
    default:
      return false;
  }
}

function endSubpath(run: Run, closed: boolean): void {
  if (run.points.length >= 4) run.subpaths.push({ points: run.points, closed });
  // After `h` the next line starts where this subpath did.
  run.points = closed ? run.points.slice(0, 2) : [];
}

function paintPath(run: Run, word: string): Result<undefined, PdfContentFault> {
  const { drawing } = run.walk;
  const closes = word === "s" || word === "b" || word === "b*";
  endSubpath(run, closes);
  const { subpaths, state } = run;
  run.subpaths = [];
  run.points = [];
  const { matrix, clip, pen } = state;
  const rule = word.endsWith("*") ? "evenodd" : "nonzero";
  let hasRoom = true;
  if (/^[fFbB]/.test(word)) {
    const paint = paintOf(run, state.fill, state.fillAlpha);
    if (paint !== undefined) hasRoom = fillPath(drawing, subpaths, { matrix, clip, paint, rule });
  }
  if (/^[sSbB]/.test(word)) {
    const paint = paintOf(run, state.stroke, state.strokeAlpha);
    if (pen.dashed) drawing.notRead.add("dashes");
    const width = Math.max(pen.width, hairline);
    if (paint !== undefined) hasRoom &&= strokePath(drawing, subpaths, { matrix, clip, paint, cap: pen.cap, width });
  }
  if (run.clipping !== undefined) {
    const { box, isBox } = boxOnPaper(subpaths, matrix);
    if (!isBox && subpaths.length > 0) drawing.notRead.add("clip");
    run.state = { ...state, clip: intersection(clip, box) };
    run.clipping = undefined;
  }
  return hasRoom ? ok(undefined) : failed({ code: "pdf-too-large", what: "points", max: drawingRoomMax });
}

function paintOf(run: Run, light: number | undefined, alpha: number): Paint | undefined {
  if (light === undefined) run.walk.drawing.notRead.add("pattern");
  return light === undefined ? undefined : { light: Math.min(1, Math.max(0, light)), alpha };
}

/** False for an operator that sets no colour. */
function setColour(run: Run, word: string, operands: readonly PdfValue[], numbers: readonly number[]): boolean {
  const isStroke = word !== word.toLowerCase();
  const { objects } = run.walk;
  const device = deviceByOperator[word];
  if (device !== undefined && Object.hasOwn(deviceByOperator, word)) {
    const space = readSpace(objects, { kind: "name", name: device }, undefined);
    const light = space?.light(numbers) ?? 0;
    run.state = isStroke
      ? { ...run.state, stroke: light, strokeSpace: space }
      : { ...run.state, fill: light, fillSpace: space };
    return true;
  }
  if (word === "cs" || word === "CS") {
    const space = readSpace(objects, operands[0], run.resources);
    // Every space begins at black, separations at full ink.
    run.state = isStroke
      ? { ...run.state, stroke: 0, strokeSpace: space }
      : { ...run.state, fill: 0, fillSpace: space };
    return true;
  }
  if (word !== "sc" && word !== "scn" && word !== "SC" && word !== "SCN") return false;
  const space = isStroke ? run.state.strokeSpace : run.state.fillSpace;
  const light = space === undefined ? undefined : space.light(numbers);
  run.state = isStroke ? { ...run.state, stroke: light } : { ...run.state, fill: light };
  return true;
}

function setGraphicsState(run: Run, name: PdfValue | undefined): void {
  const { objects, drawing } = run.walk;
  const key = asName(objects, name) ?? "";
  const found = asDictionary(objects, asDictionary(objects, run.resources?.get("ExtGState"))?.get(key));
  if (found === undefined) return;
  const { state } = run;
  const mask = resolvePdf(objects, found.get("SMask"));
  if (mask !== undefined && asName(objects, mask) !== "None") drawing.notRead.add("soft mask");
  run.state = {
    ...state,
    fillAlpha: asNumber(objects, found.get("ca")) ?? state.fillAlpha,
    strokeAlpha: asNumber(objects, found.get("CA")) ?? state.strokeAlpha,
    pen: { ...state.pen, width: asNumber(objects, found.get("LW")) ?? state.pen.width },
  };
}

async function drawObject(run: Run, name: PdfValue | undefined): Promise<Result<undefined, PdfContentFault>> {
  const { objects, drawing } = run.walk;
  const key = asName(objects, name) ?? "";
  const stream = asStream(objects, asDictionary(objects, run.resources?.get("XObject"))?.get(key));
  if (stream === undefined) return ok(undefined);
  const kind = asName(objects, stream.dictionary.get("Subtype"));
  if (kind === "Image") return drawPicture(run, stream);
  if (kind !== "Form") return ok(undefined);
  if (run.depth >= formDepthMax) {
    drawing.notRead.add("form");
    return ok(undefined);
  }
  const own = asNumbers(objects, stream.dictionary.get("Matrix"));
  const [a = 1, b = 0, c = 0, d = 1, e = 0, f = 0] = own?.length === 6 ? own : [];
  const matrix = multiplyMatrices([a, b, c, d, e, f], run.state.matrix);
  const resources = asDictionary(objects, stream.dictionary.get("Resources")) ?? run.resources;
  const clip = formClip(objects, stream, matrix, run.state.clip);
  return runContent(run.walk, [stream], resources, { matrix, clip, depth: run.depth + 1, from: run.state });
}

function formClip(objects: PdfObjects, stream: PdfStream, matrix: Matrix, clip: PaperBox): PaperBox {
  const box = asNumbers(objects, stream.dictionary.get("BBox"));
  const [x0, y0, x1, y1] = box ?? [];
  if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined) return clip;
  const corners = { points: [x0, y0, x1, y0, x1, y1, x0, y1], closed: true };
  return intersection(clip, boxOnPaper([corners], matrix).box);
}

async function drawPicture(run: Run, stream: PdfStream): Promise<Result<undefined, PdfContentFault>> {
  const { walk, state } = run;
  if (++walk.pictures > picturesMax) {
    walk.drawing.notRead.add(`more than ${picturesMax} images`);
    return ok(undefined);
  }
  const read = await readPdfPicture(walk.objects, stream, state.fill ?? 0, run.resources);
  if ("notRead" in read) {
    walk.drawing.notRead.add(read.notRead);
    return ok(undefined);
  }
  // A PDF picture stands on its unit square with its first row at the top, where y is 1.
  const matrix = multiplyMatrices([1, 0, 0, -1, 0, 1], state.matrix);
  const hasRoom = placePicture(walk.drawing, { ...read, alpha: state.fillAlpha, matrix }, state.clip);
  return hasRoom ? ok(undefined) : failed({ code: "pdf-too-large", what: "points", max: drawingRoomMax });
}

/** `BI <keys> ID <samples> EI`. */
async function drawInline(run: Run, lexer: Lexer): Promise<Result<undefined, PdfContentFault>> {
  const dictionary = new Map<string, PdfValue>();
  for (;;) {
    const key = nextValue(lexer);
    if (key === undefined) return ok(undefined);
    if ("word" in key) {
      if (key.word === "ID") break;
      continue;
    }
    const name = asName(run.walk.objects, key.value);
    const value = nextValue(lexer);
    if (name === undefined || value === undefined || "word" in value) continue;
    dictionary.set(longKeys.get(name) ?? name, value.value);
  }
  const start = lexer.at + 1;
  const end = inlineEnd(lexer.text, start);
  if (end === undefined) return ok(undefined);
  lexer.at = end + 3;
  const packed = new Uint8Array(Buffer.from(lexer.text.slice(start, end), "latin1"));
  return drawPicture(run, { kind: "stream", dictionary, packed });
}

/** The first EI that stands alone and is followed by what may follow it: text, not samples. */
function inlineEnd(text: string, start: number): number | undefined {
  const pattern = /[\0\s]EI(?=[\0\s]|$)/g;
  pattern.lastIndex = Math.max(0, start - 1);
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    if (/^[\s\x20-\x7e]*$/.test(text.slice(found.index + 3, found.index + 13))) return found.index;
  }
  return undefined;
}

const deviceByOperator: Readonly<Record<string, string>> = {
  g: "DeviceGray",
  G: "DeviceGray",
  rg: "DeviceRGB",
  RG: "DeviceRGB",
  k: "DeviceCMYK",
  K: "DeviceCMYK",
};
const paintOperators: ReadonlySet<string> = new Set(["f", "F", "f*", "B", "B*", "b", "b*", "S", "s", "n"]);
const caps: Readonly<Record<number, Pen["cap"]>> = { 0: "butt", 1: "round", 2: "square" };
const longKeys: ReadonlyMap<string, string> = new Map([
  ["W", "Width"],
  ["H", "Height"],
  ["BPC", "BitsPerComponent"],
  ["CS", "ColorSpace"],
  ["D", "Decode"],
  ["DP", "DecodeParms"],
  ["F", "Filter"],
  ["IM", "ImageMask"],
]);
const operatorsMax = 1_000_000;
const operandsMax = 64;
const stackMax = 1_000;
const formDepthMax = 8;
const picturesMax = 50;
// A pen of width 0 draws the thinnest line there is.
const hairline = 0.01;
