/**
 * Measures vector symbols in PDF files: takes the filled rectangles of the first page through their matrices into
 * millimetres of paper, exactly as the file states them, without a rasteriser.
 *
 * Rules: SPEC Q25. What is understood: filled rectangles in grey, RGB or CMYK, `q Q cm`, form XObjects, UserUnit; content
 * streams plain or Flate. What is not (pictures inside a PDF, curves as modules, object streams, encryption) is a named
 * fault or simply no symbol, never a guess. Loads pdf-lib: only a command's own process imports this file.
 */
import { inflateSync } from "node:zlib";
import {
  PDFArray,
  type PDFContext,
  PDFDict,
  PDFDocument,
  PDFName,
  PDFNumber,
  type PDFObject,
  type PDFPage,
  PDFRawStream,
  PDFStream,
  PrintScaling,
} from "pdf-lib";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";

/** A rectangle in mm from the page's top left corner. */
export type PaperRectangle = {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
};

/** A filled rectangle; later ones lie on top of earlier ones. */
export type PaintedRectangle = PaperRectangle & { readonly dark: boolean };

export type ReadPdf = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly pages: number;
  readonly rectangles: readonly PaintedRectangle[];
  readonly printScalingOff: boolean;
};

export type PdfFault =
  | { readonly code: "pdf-damaged" }
  | { readonly code: "pdf-encrypted" }
  | { readonly code: "pdf-not-supported"; readonly what: "object-streams" | "filter" | "page-size" }
  | { readonly code: "pdf-too-large"; readonly what: "content" | "operators"; readonly max: number };

/**
 * Reads the first page. Faults: pdf-damaged, pdf-encrypted, pdf-not-supported (with what), pdf-too-large (content over
 * 32 MB unpacked, or over a million operators). Source: SPEC Q25.
 */
export async function readPdf(bytes: Uint8Array): Promise<Result<ReadPdf, PdfFault>> {
  // pdf-lib unpacks object streams without a limit, so a file that has them never reaches it.
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes("/ObjStm")) {
    return failed({ code: "pdf-not-supported", what: "object-streams" });
  }
  let document: PDFDocument;
  try {
    document = await PDFDocument.load(bytes, {
      updateMetadata: false,
      ignoreEncryption: true,
      // Otherwise it writes a warning to the console and goes on with half a file.
      throwOnInvalidObject: true,
    });
    // Asked of the document: pdf-lib's own error for it is compiled so that `instanceof` does not know it.
    if (document.isEncrypted) return failed({ code: "pdf-encrypted" });
    return readFirstPage(document);
  } catch {
    // pdf-lib throws wherever a damaged file first shows, in parsing or at any later look-up; it all means one thing to
    // the reader of the report.
    return failed({ code: "pdf-damaged" });
  }
}

function readFirstPage(document: PDFDocument): Result<ReadPdf, PdfFault> {
  if (document.getPageCount() === 0) return failed({ code: "pdf-damaged" });
  const page = document.getPage(0);
  const unit = userUnit(page) * mmPerPoint;
  const box = page.getMediaBox();
  const widthMm = box.width * unit;
  const heightMm = box.height * unit;
  if (!(widthMm > 0 && heightMm > 0 && widthMm <= pageMmMax && heightMm <= pageMmMax)) {
    return failed({ code: "pdf-not-supported", what: "page-size" });
  }
  const walk: Walk = { context: document.context, rectangles: [], operators: 0, unpackedBytes: 0 };
  // Points from the lower left, y up, become mm from the top left, y down.
  const base: Matrix = [unit, 0, 0, -unit, -box.x * unit, (box.y + box.height) * unit];
  const content = pageContent(walk, page);
  if (!content.ok) return content;
  const walked = walkContent(walk, content.value, page.node.Resources(), base, 0);
  if (!walked.ok) return walked;
  const scaling = document.catalog.getViewerPreferences()?.getPrintScaling();
  return ok({
    widthMm,
    heightMm,
    pages: document.getPageCount(),
    rectangles: walk.rectangles,
    printScalingOff: scaling === PrintScaling.None,
  });
}

/** Draws rectangles into a grey picture of `pixelsPerMm`, for finding and reading only; sizes come from the rectangles. */
export function rectanglesToPicture(pdf: ReadPdf, pixelsPerMm: number): GreyPicture {
  const width = Math.ceil(pdf.widthMm * pixelsPerMm);
  const height = Math.ceil(pdf.heightMm * pixelsPerMm);
  const luma = new Uint8Array(width * height).fill(255);
  for (const { left, top, right, bottom, dark } of pdf.rectangles) {
    const fromX = Math.max(0, Math.round(left * pixelsPerMm));
    const toX = Math.min(width, Math.round(right * pixelsPerMm));
    for (
      let y = Math.max(0, Math.round(top * pixelsPerMm));
      y < Math.min(height, Math.round(bottom * pixelsPerMm));
      y++
    ) {
      if (toX > fromX) luma.fill(dark ? 0 : 255, y * width + fromX, y * width + toX);
    }
  }
  return { width, height, luma };
}

/**
 * The bounding box of the dark rectangles that lie inside `around` (grown by `slack`): the exact extent of a symbol that
 * was found in the picture. Undefined when there are none.
 */
export function boundRectangles(
  rectangles: readonly PaintedRectangle[],
  around: PaperRectangle,
  slack: number,
): PaperRectangle | undefined {
  const inside = rectangles.filter(({ left, top, right, bottom, dark }) => {
    const acrossIn = left > around.left - slack && right < around.right + slack;
    return dark && acrossIn && top > around.top - slack && bottom < around.bottom + slack;
  });
  if (inside.length === 0) return undefined;
  return {
    left: least(inside.map((each) => each.left)),
    top: least(inside.map((each) => each.top)),
    right: -least(inside.map((each) => -each.right)),
    bottom: -least(inside.map((each) => -each.bottom)),
  };
}

/** Not `Math.min(...values)`: a hostile file has more rectangles than a call has room for arguments. */
function least(values: readonly number[]): number {
  return values.reduce((min, value) => Math.min(min, value), Number.POSITIVE_INFINITY);
}

type Matrix = readonly [number, number, number, number, number, number];

type Walk = {
  readonly context: PDFContext;
  readonly rectangles: PaintedRectangle[];
  operators: number;
  unpackedBytes: number;
};

type GraphicsState = { readonly matrix: Matrix; readonly dark: boolean };

function userUnit(page: PDFPage): number {
  const unit = page.node.lookup(PDFName.of("UserUnit"));
  return unit instanceof PDFNumber && unit.asNumber() > 0 ? unit.asNumber() : 1;
}

/** The page's content: one stream, or several read as one with a space between them. */
function pageContent(walk: Walk, page: PDFPage): Result<string, PdfFault> {
  const contents = page.node.Contents();
  const streams =
    contents instanceof PDFArray ? contents.asArray().map((each) => walk.context.lookup(each)) : [contents];
  const texts: string[] = [];
  for (const stream of streams) {
    const text = streamText(walk, stream);
    if (!text.ok) return text;
    texts.push(text.value);
  }
  return ok(texts.join("\n"));
}

function streamText(walk: Walk, stream: PDFObject | undefined): Result<string, PdfFault> {
  if (!(stream instanceof PDFStream)) return ok("");
  const filter = stream.dict.lookup(PDFName.of("Filter"));
  const names =
    filter instanceof PDFArray ? filter.asArray().map(String) : filter === undefined ? [] : [String(filter)];
  const packed = stream instanceof PDFRawStream ? stream.contents : stream.getContents();
  if (names.length > 1 || (names.length === 1 && names[0] !== "/FlateDecode")) {
    return failed({ code: "pdf-not-supported", what: "filter" });
  }
  if (stream.dict.has(PDFName.of("DecodeParms"))) return failed({ code: "pdf-not-supported", what: "filter" });
  const room = contentBytesMax - walk.unpackedBytes;
  const plain = names.length === 0 ? packed : inflate(packed, room);
  if (plain === undefined || plain.length > room) {
    return failed({ code: "pdf-too-large", what: "content", max: contentBytesMax });
  }
  walk.unpackedBytes += plain.length;
  return ok(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString("latin1"));
}

function inflate(packed: Uint8Array, room: number): Uint8Array | undefined {
  try {
    return inflateSync(packed, { maxOutputLength: Math.max(1, room) });
  } catch {
    // Too much, or not Flate at all: either way the content cannot be measured within the limit.
    return undefined;
  }
}

/** Runs the operators that decide where dark rectangles fall; every other operator only drops its operands. */
function walkContent(
  walk: Walk,
  text: string,
  resources: PDFDict | undefined,
  base: Matrix,
  depth: number,
): Result<undefined, PdfFault> {
  const stack: GraphicsState[] = [];
  let state: GraphicsState = { matrix: base, dark: true };
  let path: PaperRectangle[] = [];
  let operands: number[] = [];
  let lastName = "";
  for (const [token] of text.matchAll(tokenPattern)) {
    const number = Number(token);
    if (!Number.isNaN(number)) {
      operands.push(number);
      continue;
    }
    if (token.startsWith("/")) {
      lastName = token.slice(1);
      continue;
    }
    if (!operatorPattern.test(token)) continue;
    if (++walk.operators > operatorsMax) return failed({ code: "pdf-too-large", what: "operators", max: operatorsMax });
    if (token === "q" && stack.length < stackMax) stack.push(state);
    else if (token === "Q") state = stack.pop() ?? state;
    else if (token === "cm") state = { ...state, matrix: multiply(operandMatrix(operands), state.matrix) };
    else if (Object.hasOwn(lightnessByColourOperator, token)) state = { ...state, dark: isDarkColour(token, operands) };
    else if (token === "re") path.push(rectangleOnPaper(operands, state.matrix));
    else if (fillOperators.has(token)) {
      const { dark } = state;
      for (const each of path) if (each.right > each.left) walk.rectangles.push({ ...each, dark });
      path = [];
    } else if (pathEndOperators.has(token)) path = [];
    else if (token === "Do") {
      const drawn = walkForm(walk, lastName, resources, state.matrix, depth);
      if (!drawn.ok) return drawn;
    }
    operands = [];
  }
  return ok(undefined);
}

function walkForm(
  walk: Walk,
  name: string,
  resources: PDFDict | undefined,
  matrix: Matrix,
  depth: number,
): Result<undefined, PdfFault> {
  const forms = resources?.lookup(PDFName.of("XObject"));
  const form = forms instanceof PDFDict ? forms.lookup(PDFName.of(name)) : undefined;
  if (!(form instanceof PDFStream) || depth >= formDepthMax) return ok(undefined);
  if (String(form.dict.lookup(PDFName.of("Subtype"))) !== "/Form") return ok(undefined);
  const text = streamText(walk, form);
  if (!text.ok) return text;
  const own = form.dict.lookup(PDFName.of("Matrix"));
  const numbers =
    own instanceof PDFArray ? own.asArray().map((each) => (each instanceof PDFNumber ? each.asNumber() : 0)) : [];
  const formMatrix: Matrix = numbers.length === 6 ? operandMatrix(numbers) : [1, 0, 0, 1, 0, 0];
  const formResources = form.dict.lookup(PDFName.of("Resources"));
  const inner = formResources instanceof PDFDict ? formResources : resources;
  return walkContent(walk, text.value, inner, multiply(formMatrix, matrix), depth + 1);
}

/** Turned by anything but quarter turns, a rectangle gets no width: it is no module of an upright symbol. */
function rectangleOnPaper(operands: readonly number[], matrix: Matrix): PaperRectangle {
  const [x = 0, y = 0, width = 0, height = 0] = operands.slice(-4);
  const [a, b, c, d, e, f] = matrix;
  const upright = (Math.abs(b) < skewMax && Math.abs(c) < skewMax) || (Math.abs(a) < skewMax && Math.abs(d) < skewMax);
  const x0 = a * x + c * y + e;
  const y0 = b * x + d * y + f;
  const x1 = a * (x + width) + c * (y + height) + e;
  const y1 = b * (x + width) + d * (y + height) + f;
  const left = Math.min(x0, x1);
  return { left, right: upright ? Math.max(x0, x1) : left, top: Math.min(y0, y1), bottom: Math.max(y0, y1) };
}

function operandMatrix(operands: readonly number[]): Matrix {
  const [a = 1, b = 0, c = 0, d = 1, e = 0, f = 0] = operands.slice(-6);
  return [a, b, c, d, e, f];
}

/** First `inner`, then `outer`, as `cm` wants it. */
function multiply(inner: Matrix, outer: Matrix): Matrix {
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

function isDarkColour(operator: string, operands: readonly number[]): boolean {
  const light = lightnessByColourOperator[operator]?.(operands) ?? 1;
  return light < 0.5;
}

/** How light a fill colour is, 0..1, by operator. */
const lightnessByColourOperator: Readonly<Record<string, (operands: readonly number[]) => number>> = {
  g: ([grey = 0]) => grey,
  rg: ([red = 0, green = 0, blue = 0]) => 0.299 * red + 0.587 * green + 0.114 * blue,
  k: ([cyan = 0, magenta = 0, yellow = 0, black = 0]) => (1 - black) * (1 - (cyan + magenta + yellow) / 3),
};

const fillOperators: ReadonlySet<string> = new Set(["f", "F", "f*", "B", "B*", "b", "b*"]);
const pathEndOperators: ReadonlySet<string> = new Set(["n", "S", "s"]);
// Strings and comments are skipped whole, so that a text that says `re` draws nothing.
const tokenPattern =
  /\((?:[^()\\]|\\[\s\S])*\)|<<|>>|<[0-9A-Fa-f\s]*>|%[^\r\n]*|\/[^\s()<>[\]{}/%]*|[^\s()<>[\]{}/%]+/g;
const operatorPattern = /^[A-Za-z'"][A-Za-z0-9*]*$/;
const mmPerPoint = 25.4 / 72;
const skewMax = 1e-9;
const pageMmMax = 5_100;
const contentBytesMax = 32_000_000;
const operatorsMax = 1_000_000;
const stackMax = 1_000;
const formDepthMax = 4;
