/**
 * Draws a planned print file in the ways that programs draw them: `qrcode`'s own SVG and PNG, hand-made SVG of several
 * styles, PDF of rectangles, paths, pens, forms and pictures, and rasters of many kinds. Knows sharp and pdf-lib: short-lived
 * processes only.
 */
import { crc32 } from "node:zlib";
import {
  concatTransformationMatrix,
  fill,
  lineTo,
  moveTo,
  PDFDocument,
  PDFName,
  PDFNumber,
  type PDFPage,
  PrintScaling,
  popGraphicsState,
  pushGraphicsState,
  rectangle,
  rgb,
  setFillingGrayscaleColor,
  setLineWidth,
  setStrokingGrayscaleColor,
  stroke,
} from "pdf-lib";
import { toBuffer, toString as toText } from "qrcode";
import sharp, { type Sharp } from "sharp";
import { assert } from "../../protocol/base/result.ts";
import { between, type Dice, darkRuns, type PlannedMark, type PrintPlan, pick } from "./print-file-plan.ts";

/** A raster's pixels: `dpi` is what the file states, undefined for nothing. */
export type RasterPlan = { readonly modulePx: number; readonly dpi: number | undefined };

// ---- SVG -----------------------------------------------------------------------------------------------------------

/** `qrcode`'s own SVG, with its size in mm put in as a careful person would; `sized` false leaves it as it comes. */
export async function qrcodeSvg(plan: PrintPlan, sized: boolean): Promise<string> {
  const margin = Math.round(plan.symbolLeft / plan.moduleX);
  const svg = await toText(segments(plan), {
    type: "svg",
    margin,
    version: plan.symbol.version,
    errorCorrectionLevel: plan.symbol.errorCorrectionLevel,
    color: { dark: hexGrey(plan.inkLight), light: hexGrey(plan.groundLight) },
    ...(sized ? {} : { width: 300 }),
  });
  return sized ? svg.replace("<svg ", `<svg width="${plan.widthMm}mm" height="${plan.heightMm}mm" `) : svg;
}

export type SvgStyleName = "rects" | "path" | "outline" | "use" | "css" | "groups" | "stretched-view";

/** Hand-made SVG. `unit` "px" states no physical size. */
export function drawSvg(dice: Dice, plan: PrintPlan, style: SvgStyleName, unit: "mm" | "px"): string {
  const [per, name] = unit === "px" ? [4, pick(dice, ["", "px"])] : pick(dice, svgUnits);
  const [width, height] = [`${plan.widthMm * per}${name}`, `${plan.heightMm * per}${name}`];
  const inside = `${svgRectangle({ ...paperMark(plan) }, grey(plan.groundLight))}${svgSymbol(plan, style)}`;
  const marks = plan.marks.map((mark) => svgRectangle(mark, grey(mark.light))).join("");
  const [viewWidth, viewHeight] = [plan.widthMm, plan.heightMm];
  // The window may have other units than the paper; stretched ones say so.
  const isStretched = style === "stretched-view";
  const view = isStretched ? `0 0 ${viewWidth * 2} ${viewHeight}` : `0 0 ${viewWidth} ${viewHeight}`;
  const body = isStretched ? `<g transform="scale(2 1)">${inside}${marks}</g>` : `${inside}${marks}`;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"` +
    ` width="${width}" height="${height}" viewBox="${view}"${isStretched ? ' preserveAspectRatio="none"' : ""}>` +
    `<title>Sticker</title>${body}</svg>`
  );
}

function svgSymbol(plan: PrintPlan, style: SvgStyleName): string {
  const ink = grey(plan.inkLight);
  const runs = darkRuns(plan);
  switch (style) {
    case "rects":
    case "stretched-view":
      return runs.map((run) => svgRectangle(run, ink)).join("");
    case "path":
      return `<path fill="${ink}" d="${runs.map(svgBox).join("")}"/>`;
    case "outline":
      return `<path fill="${ink}" fill-rule="evenodd" d="${outlines(plan)}"/>`;
    case "use": {
      const { moduleX, moduleY } = plan;
      const one = `<defs><rect id="m" width="${moduleX}" height="${moduleY}" fill="${ink}"/></defs>`;
      return one + runs.flatMap((run) => usesOf(run, moduleX)).join("");
    }
    case "css":
      return `<style>.dark{fill:${ink};stroke:none}</style><g class="dark"><path d="${runs.map(svgBox).join(" ")}"/></g>`;
    case "groups": {
      const { symbolLeft, symbolTop, moduleX, moduleY } = plan;
      const unitRuns = runs.map((run) => {
        const column = Math.round((run.left - symbolLeft) / moduleX);
        return `<rect x="${column}" y="${run.row}" width="${Math.round(run.width / moduleX)}" height="1"/>`;
      });
      const place = `translate(${symbolLeft},${symbolTop})`;
      return `<g transform="${place}"><g fill="${ink}" transform="scale(${moduleX} ${moduleY})">${unitRuns.join("")}</g></g>`;
    }
  }
}

function usesOf(run: Omit<PlannedMark, "light">, moduleX: number): readonly string[] {
  return Array.from({ length: Math.round(run.width / moduleX) }, (_, index) => {
    return `<use xlink:href="#m" x="${run.left + index * moduleX}" y="${run.top}"/>`;
  });
}

/** The borders between dark and light as closed polygons, holes included, as tracing programs write them. */
function outlines(plan: PrintPlan): string {
  const { modules, dark } = plan.symbol;
  const isDark = (column: number, row: number) =>
    column >= 0 && row >= 0 && column < modules && row < modules && dark[row * modules + column] === 1;
  // Each border segment runs with the dark on its right; keyed by where it starts.
  const next = new Map<string, (readonly [number, number])[]>();
  const add = (x: number, y: number, toX: number, toY: number) => {
    const key = `${x} ${y}`;
    next.set(key, [...(next.get(key) ?? []), [toX, toY]]);
  };
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      if (!isDark(column, row)) continue;
      if (!isDark(column, row - 1)) add(column, row, column + 1, row);
      if (!isDark(column + 1, row)) add(column + 1, row, column + 1, row + 1);
      if (!isDark(column, row + 1)) add(column + 1, row + 1, column, row + 1);
      if (!isDark(column - 1, row)) add(column, row + 1, column, row);
    }
  }
  const paths: string[] = [];
  const x = (column: number) => plan.symbolLeft + column * plan.moduleX;
  const y = (row: number) => plan.symbolTop + row * plan.moduleY;
  for (const start of next.keys()) {
    for (let at: readonly [number, number] | undefined = next.get(start)?.pop(); at !== undefined; ) {
      const [startX = 0, startY = 0] = start.split(" ").map(Number);
      let path = `M${x(startX)} ${y(startY)}`;
      while (at !== undefined && `${at[0]} ${at[1]}` !== start) {
        path += `L${x(at[0])} ${y(at[1])}`;
        at = next.get(`${at[0]} ${at[1]}`)?.pop();
      }
      paths.push(`${path}Z`);
      at = next.get(start)?.pop();
    }
  }
  return paths.join("");
}

/** An SVG that is only a frame around a PNG. */
export function pictureSvg(plan: PrintPlan, png: Uint8Array): string {
  const data = Buffer.from(png).toString("base64");
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${plan.widthMm}mm" height="${plan.heightMm}mm" viewBox="0 0 100 100"` +
    ` preserveAspectRatio="none"><image width="100" height="100" preserveAspectRatio="none" href="data:image/png;base64,${data}"/></svg>`
  );
}

// ---- PDF -----------------------------------------------------------------------------------------------------------

export type PdfStyleName = "rects" | "path" | "strokes" | "form" | "picture" | "jpeg";

/** How a page is put together; all of it must make no difference. */
export type PdfHouse = {
  readonly rotate: 0 | 90 | 180 | 270;
  readonly userUnit: number;
  readonly offsetPt: number;
  readonly objectStreams: boolean;
  readonly pagesBefore: number;
  readonly words: boolean;
};

export async function drawPdf(
  plan: PrintPlan,
  style: PdfStyleName,
  house: PdfHouse,
  raster: Uint8Array | undefined,
): Promise<Uint8Array> {
  const document = await PDFDocument.create({ updateMetadata: false });
  if (plan.defect !== "print-scaling-on") {
    document.catalog.getOrCreateViewerPreferences().setPrintScaling(PrintScaling.None);
  }
  for (let page = 0; page < house.pagesBefore; page++)
    document.addPage([200, 100]).drawText("Cover sheet", { x: 20, y: 40 });
  const perMm = 72 / 25.4 / house.userUnit;
  const [width, height] = [plan.widthMm * perMm, plan.heightMm * perMm];
  const page = document.addPage([width + 2 * house.offsetPt, height + 2 * house.offsetPt]);
  if (house.offsetPt > 0) page.setCropBox(house.offsetPt, house.offsetPt, width, height);
  if (house.rotate !== 0) page.node.set(PDFName.of("Rotate"), PDFNumber.of(house.rotate));
  if (house.userUnit !== 1) page.node.set(PDFName.of("UserUnit"), PDFNumber.of(house.userUnit));
  if (style === "form") {
    const inner = await drawPdf({ ...plan, defect: "none" }, "path", { ...plainHouse }, undefined);
    const [embedded] = await document.embedPdf(inner);
    assert(embedded !== undefined, "the inner document has a page");
    page.drawPage(embedded, { x: house.offsetPt, y: house.offsetPt, width, height });
  } else if (style === "picture" || style === "jpeg") {
    assert(raster !== undefined, "a picture style needs a picture");
    const image = style === "jpeg" ? await document.embedJpg(raster) : await document.embedPng(raster);
    page.drawImage(image, { x: house.offsetPt, y: house.offsetPt, width, height });
  } else drawOnPage(page, plan, style, { perMm, offsetPt: house.offsetPt, height });
  if (house.words) page.drawText("Door", { x: 1, y: 1, size: 2, color: rgb(0.5, 0.5, 0.5) });
  return document.save({ useObjectStreams: house.objectStreams });
}

const plainHouse: PdfHouse = {
  rotate: 0,
  userUnit: 1,
  offsetPt: 0,
  objectStreams: false,
  pagesBefore: 0,
  words: false,
};

export function pickHouse(dice: Dice): PdfHouse {
  return {
    rotate: pick(dice, [0, 0, 0, 90, 180, 270] as const),
    userUnit: pick(dice, [1, 1, 1, 2]),
    offsetPt: pick(dice, [0, 0, 20]),
    objectStreams: dice() < 0.4,
    pagesBefore: pick(dice, [0, 0, 0, 1]),
    words: dice() < 0.3,
  };
}

function drawOnPage(
  page: PDFPage,
  plan: PrintPlan,
  style: "rects" | "path" | "strokes",
  on: { readonly perMm: number; readonly offsetPt: number; readonly height: number },
): void {
  const paper = paperMark(plan);
  const runs = darkRuns(plan);
  const box = ({ left, top, width, height }: Omit<PlannedMark, "light">) => rectangle(left, top, width, height);
  page.pushOperators(
    pushGraphicsState(),
    // Millimetres from the top left, y down.
    concatTransformationMatrix(on.perMm, 0, 0, -on.perMm, on.offsetPt, on.offsetPt + on.height),
    setFillingGrayscaleColor(plan.groundLight),
    box(paper),
    fill(),
    setFillingGrayscaleColor(plan.inkLight),
    setStrokingGrayscaleColor(plan.inkLight),
  );
  if (style === "path") page.pushOperators(...runs.map(box), fill());
  if (style === "rects") page.pushOperators(...runs.flatMap((run) => [box(run), fill()]));
  if (style === "strokes") {
    page.pushOperators(
      setLineWidth(plan.moduleY),
      ...runs.flatMap(({ left, top, width, height }) => [
        moveTo(left, top + height / 2),
        lineTo(left + width, top + height / 2),
        stroke(),
      ]),
    );
  }
  for (const mark of plan.marks) page.pushOperators(setFillingGrayscaleColor(mark.light), box(mark), fill());
  page.pushOperators(popGraphicsState());
}

// ---- rasters -------------------------------------------------------------------------------------------------------

export type RasterFormat =
  | "png"
  | "png-palette"
  | "png-16-bit"
  | "png-alpha"
  | "jpeg"
  | "jpeg-grey"
  | "jpeg-cmyk"
  | "jpeg-turned"
  | "tiff"
  | "tiff-cmyk"
  | "webp";

/**
 * The plan's pixels at whole (or broken, then uneven) modules, before its scale: `modulePx` a module of the specification.
 */
function paintPixels(
  plan: PrintPlan,
  modulePx: number,
): { readonly width: number; readonly height: number; readonly luma: Uint8Array } {
  const x = (mm: number) => Math.round((mm / plan.moduleX) * modulePx);
  const y = (mm: number) => Math.round((mm / plan.moduleY) * modulePx);
  const [width, height] = [x(plan.widthMm), y(plan.heightMm)];
  const luma = new Uint8Array(width * height).fill(Math.round(255 * plan.groundLight));
  const paint = (mark: Omit<PlannedMark, "light">, light: number) => {
    const from = Math.max(0, x(mark.left));
    // A line of less than a pixel is printed as one.
    const to = Math.min(width, Math.max(from + 1, x(mark.left + mark.width)));
    const top = Math.max(0, y(mark.top));
    const bottom = Math.min(height, Math.max(top + 1, y(mark.top + mark.height)));
    for (let row = top; row < bottom; row++) luma.fill(Math.round(255 * light), row * width + from, row * width + to);
  };
  for (const run of darkRuns(plan)) paint(run, plan.inkLight);
  for (const mark of plan.marks) paint(mark, mark.light);
  return { width, height, luma };
}

/** Writes a raster; where the plan has a scale the pixels are resampled by it, as an editor's "resize" does. */
export async function writeRaster(
  dice: Dice,
  plan: PrintPlan,
  format: RasterFormat,
  { modulePx, dpi }: RasterPlan,
): Promise<{ readonly bytes: Uint8Array; readonly widthPx: number; readonly heightPx: number }> {
  const { width, height, luma } = paintPixels(plan, modulePx);
  const widthPx = Math.round((width * plan.moduleX) / plan.specification.moduleMm);
  const heightPx = Math.round((height * plan.moduleY) / plan.specification.moduleMm);
  const raw = sharp(luma, { raw: { width, height, channels: 1 } });
  const resized =
    widthPx === width && heightPx === height ? raw : raw.resize({ width: widthPx, height: heightPx, fit: "fill" });
  const pixels = await resized.toColourspace("b-w").raw().toBuffer();
  const exact = sharp(pixels, { raw: { width: widthPx, height: heightPx, channels: 1 } });
  const bytes = await encodeRaster(dice, exact, format, dpi);
  return { bytes: new Uint8Array(bytes), widthPx, heightPx };
}

async function encodeRaster(
  dice: Dice,
  pixels: Sharp,
  format: RasterFormat,
  dpi: number | undefined,
): Promise<Uint8Array> {
  const density = dpi === undefined ? {} : { density: dpi };
  const stated = (image: Sharp, more: { readonly orientation?: number } = {}) =>
    dpi === undefined && more.orientation === undefined ? image : image.withMetadata({ ...density, ...more });
  const quality = Math.round(between(dice, 70, 95));
  switch (format) {
    case "png":
      return stated(pixels.png()).toBuffer();
    case "png-palette":
      return stated(pixels.png({ palette: true })).toBuffer();
    case "png-16-bit":
      return stated(pixels.toColourspace("grey16").png()).toBuffer();
    case "png-alpha":
      return stated((await transparentPaper(pixels)).png()).toBuffer();
    case "jpeg":
      return stated(pixels.toColourspace("srgb").jpeg({ quality })).toBuffer();
    case "jpeg-grey":
      return stated(pixels.jpeg({ quality })).toBuffer();
    case "jpeg-cmyk":
      return stated(pixels.toColourspace("cmyk").jpeg({ quality })).toBuffer();
    case "jpeg-turned": {
      const turned = sharp(await pixels.rotate(270).png().toBuffer());
      return stated(turned.jpeg({ quality }), { orientation: 6 }).toBuffer();
    }
    case "tiff":
      return stated(pixels.tiff({ compression: pick(dice, ["lzw", "none", "deflate"]) })).toBuffer();
    case "tiff-cmyk":
      return stated(pixels.toColourspace("cmyk").tiff({ compression: "lzw" })).toBuffer();
    case "webp":
      return stated(pixels.webp({ quality, lossless: dice() < 0.5 })).toBuffer();
  }
}

/** Dark on nothing: the paper is what shows through. */
async function transparentPaper(pixels: Sharp): Promise<Sharp> {
  const { data, info } = await pixels.clone().raw().toBuffer({ resolveWithObject: true });
  const rgba = Buffer.alloc(info.width * info.height * 4);
  for (let at = 0; at < info.width * info.height; at++) rgba[4 * at + 3] = 255 - (data[at * info.channels] ?? 0);
  return sharp(rgba, { raw: { width: info.width, height: info.height, channels: 4 } });
}

/**
 * `qrcode`'s own PNG: by `scale` (whole pixels a module) or by `width` (7 and 8 pixel modules). It states no density;
 * `dpi` is put in as a chunk where it is wanted.
 */
export async function qrcodePng(
  plan: PrintPlan,
  size: { readonly scale: number } | { readonly width: number },
  dpi: number | undefined,
): Promise<Uint8Array> {
  const png = await toBuffer(segments(plan), {
    ...size,
    margin: Math.round(plan.symbolLeft / plan.moduleX),
    version: plan.symbol.version,
    errorCorrectionLevel: plan.symbol.errorCorrectionLevel,
    color: { dark: hexGrey(plan.inkLight), light: hexGrey(plan.groundLight) },
  });
  return dpi === undefined ? new Uint8Array(png) : withPhysicalSize(png, dpi);
}

/** Puts pHYs behind IHDR. Source: PNG (ISO/IEC 15948), 11.3.4.3. */
function withPhysicalSize(png: Uint8Array, dpi: number): Uint8Array {
  const chunk = Buffer.alloc(21);
  const perMetre = Math.round(dpi / 0.0254);
  chunk.writeUInt32BE(9, 0);
  chunk.write("pHYs", 4, "latin1");
  chunk.writeUInt32BE(perMetre, 8);
  chunk.writeUInt32BE(perMetre, 12);
  chunk[16] = 1;
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 17)), 17);
  const headerEnd = 8 + 25;
  return new Uint8Array(Buffer.concat([png.subarray(0, headerEnd), chunk, png.subarray(headerEnd)]));
}

// ---- small things --------------------------------------------------------------------------------------------------

function segments(plan: PrintPlan): { data: string; mode: "alphanumeric" }[] {
  return [{ data: plan.payload, mode: "alphanumeric" }];
}

function paperMark(plan: PrintPlan): Omit<PlannedMark, "light"> {
  return { left: 0, top: 0, width: plan.widthMm, height: plan.heightMm };
}

function svgRectangle({ left, top, width, height }: Omit<PlannedMark, "light">, colour: string): string {
  return `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour}"/>`;
}

function svgBox({ left, top, width, height }: Omit<PlannedMark, "light">): string {
  return `M${left} ${top}h${width}v${height}h-${width}z`;
}

function grey(light: number): string {
  const level = Math.round(255 * light);
  return level === 0 ? "#000" : level === 255 ? "white" : `rgb(${level},${level},${level})`;
}

function hexGrey(light: number): string {
  return `#${Math.round(255 * light)
    .toString(16)
    .padStart(2, "0")
    .repeat(3)}`;
}

const svgUnits: readonly (readonly [number, string])[] = [
  [1, "mm"],
  [0.1, "cm"],
  [1 / 25.4, "in"],
  [72 / 25.4, "pt"],
];
