/**
 * Finds the symbols that a drawing (a PDF page, an SVG) shows and measures them as exactly as the file states them.
 *
 * Rules: SPEC Q51. Theory: the drawing is looked at twice, the whole paper to find symbols, then each symbol alone at so many
 * pixels a module that the shares of pixels its edges cover place them to a thousandth of a module.
 */
import type { SymbolExtent, SymbolQuality, WidthRange } from "../../protocol/sticker/print-check.ts";
import { measureFlatSymbols, type ReadSymbol, readSymbol } from "../../protocol/sticker/read-symbol.ts";
import { type StickerSpecification, symbolModules } from "../../protocol/sticker/specification.ts";
import { drawPaper, intersection, type PaperBox, type PaperDrawing } from "./paper-drawing.ts";

/** A symbol as `checkPrint` wants it, but for what only the file knows. */
export type SeenSymbol = {
  readonly text: string;
  readonly extent: SymbolExtent;
  readonly quality: Omit<SymbolQuality, "printScalingOff">;
};

/** Finds and measures up to `symbolsMax` symbols; `too-large` when painting the drawing takes too much work. */
export function measureDrawing(
  drawing: PaperDrawing,
  specification: StickerSpecification,
  symbolsMax: number,
): readonly SeenSymbol[] | "too-large" {
  for (const look of listLooks(drawing)) {
    const seen = drawPaper(drawing, look.window, look.pixelsPerMm);
    if (seen === undefined) return "too-large";
    const found = measureFlatSymbols(seen, specification.quietZoneModules, symbolsMax);
    if (found.length === 0) continue;
    const measured: SeenSymbol[] = [];
    for (const each of found) {
      const close = measureClosely(drawing, specification, each, look);
      if (close === "too-large") return "too-large";
      measured.push(close);
    }
    return measured;
  }
  return [];
}

/** The same symbol of a drawing whose millimetres are none: only its pixels are told. */
export function withoutMillimetres(symbol: SeenSymbol, pixelsPerMm: number): SeenSymbol {
  const { extent, quality } = symbol;
  if (extent.unit !== "mm") return symbol;
  const { width, height, uncertainty, source } = extent;
  const inUnits = (range: WidthRange) => scaledRange(range, pixelsPerMm);
  const range = quality.moduleRange;
  return {
    ...symbol,
    extent: {
      unit: "px",
      width: width * pixelsPerMm,
      height: height * pixelsPerMm,
      uncertainty: uncertainty * pixelsPerMm,
      density: undefined,
      source,
    },
    // Still a drawing's: its edges are as exact as those in mm.
    quality: { ...quality, moduleRange: range && { x: inUnits(range.x), y: inUnits(range.y), unit: "mm" } },
  };
}

/** A part of the paper at a scale. */
type Look = { readonly window: PaperBox; readonly pixelsPerMm: number };

/** The whole paper, and then, for a symbol that was made far too small, what is painted on it as large as a reader likes it. */
function listLooks(drawing: PaperDrawing): readonly Look[] {
  const { widthMm, heightMm } = drawing;
  const page = { left: 0, top: 0, right: widthMm, bottom: heightMm };
  const first = Math.min(pagePixelsPerMm, Math.sqrt(pagePixelsMax / (widthMm * heightMm)));
  const painted = drawing.items.filter(({ bounds }) => {
    const share = ((bounds.right - bounds.left) * (bounds.bottom - bounds.top)) / (widthMm * heightMm);
    return share < backgroundShare;
  });
  if (painted.length === 0) return [{ window: page, pixelsPerMm: first }];
  const least = (side: (bounds: PaperBox) => number) =>
    painted.reduce((min, { bounds }) => Math.min(min, side(bounds)), Number.POSITIVE_INFINITY);
  const content = {
    left: least((bounds) => bounds.left),
    top: least((bounds) => bounds.top),
    right: -least((bounds) => -bounds.right),
    bottom: -least((bounds) => -bounds.bottom),
  };
  const margin = 0.2 * Math.max(content.right - content.left, content.bottom - content.top);
  const window = intersection(page, {
    left: content.left - margin,
    top: content.top - margin,
    right: content.right + margin,
    bottom: content.bottom + margin,
  });
  const second = contentSidePx / Math.max(window.right - window.left, window.bottom - window.top);
  const looks = [{ window: page, pixelsPerMm: first }];
  return second > 1.5 * first ? [...looks, { window, pixelsPerMm: second }] : looks;
}

function measureClosely(
  drawing: PaperDrawing,
  specification: StickerSpecification,
  found: ReadSymbol,
  look: Look,
): SeenSymbol | "too-large" {
  const modules = symbolModules(found.quality.symbolVersion ?? specification.symbolVersion);
  const page = { left: 0, top: 0, right: drawing.widthMm, bottom: drawing.heightMm };
  const around = boxAround(found, look);
  const moduleMm = Math.max(around.right - around.left, around.bottom - around.top) / modules;
  const margin = (specification.quietZoneModules + 2) * moduleMm;
  const window = intersection(page, {
    left: around.left - margin,
    top: around.top - margin,
    right: around.right + margin,
    bottom: around.bottom + margin,
  });
  const closePixelsPerMm = modulePixels / moduleMm;
  const close = drawPaper(drawing, window, closePixelsPerMm);
  if (close === undefined) return "too-large";
  const again = readSymbol(close, specification.quietZoneModules);
  const [read, scale] =
    again.ok && again.value.text === found.text ? [again.value, closePixelsPerMm] : [found, look.pixelsPerMm];
  const { text, extent, quality } = read;
  if (extent.kind === "tilted") return { text, extent: { unit: "none", reason: "tilted" }, quality };
  const { moduleRange } = quality;
  const placed = pictureUnder(drawing, around);
  const inMm = (range: WidthRange) => scaledRange(range, 1 / scale);
  return {
    text,
    extent: {
      unit: "mm",
      width: extent.width / scale,
      height: extent.height / scale,
      // A placed picture is measured to a pixel of its own, as any picture is.
      uncertainty: placed ?? vectorUncertaintyPx / scale,
      source: placed === undefined ? "vector" : "raster",
    },
    quality: {
      ...quality,
      moduleRange: moduleRange && { x: inMm(moduleRange.x), y: inMm(moduleRange.y), unit: "mm" },
    },
  };
}

function scaledRange({ narrowest, widest, noise = 0 }: WidthRange, by: number): WidthRange {
  return { narrowest: narrowest * by, widest: widest * by, noise: noise * by };
}

function boxAround(found: ReadSymbol, { window, pixelsPerMm }: Look): PaperBox {
  const xs = found.corners.map((corner) => window.left + corner.x / pixelsPerMm);
  const ys = found.corners.map((corner) => window.top + corner.y / pixelsPerMm);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/** The size in mm of one pixel of the picture that the symbol lies in; undefined when it lies in none. */
function pictureUnder(drawing: PaperDrawing, around: PaperBox): number | undefined {
  const [x, y] = [(around.left + around.right) / 2, (around.top + around.bottom) / 2];
  const under = drawing.items.findLast(
    ({ bounds }) => bounds.left <= x && bounds.right >= x && bounds.top <= y && bounds.bottom >= y,
  );
  // What lies on top there: modules are small, so a drawn symbol has areas above any background picture.
  if (under?.kind !== "picture") return undefined;
  const [a, b, c, d] = under.matrix;
  return Math.max(Math.hypot(a, b) / under.picture.width, Math.hypot(c, d) / under.picture.height);
}

const pagePixelsPerMm = 10;
const pagePixelsMax = 12_000_000;
const contentSidePx = 2_500;
// What covers nearly everything is paper.
const backgroundShare = 0.9;
const modulePixels = 32;
const vectorUncertaintyPx = 0.25;
