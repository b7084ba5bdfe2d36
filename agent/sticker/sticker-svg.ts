/** The face of a sticker as SVG: in true mm for whoever opens the file, and in whole pixels for what is made of it. */
import type { ModuleRun } from "../../protocol/sticker/symbol.ts";
import { strokeWidth } from "./lettering.ts";
import { millimetre } from "./millimetre.ts";
import type { PlacedLine, StickerLayout } from "./sticker-layout.ts";

export type SvgFace = {
  readonly layout: StickerLayout;
  readonly runs: readonly ModuleRun[];
  readonly moduleMm: number;
};

/** `width` and `height` in mm, one user unit a mm. */
export function faceToSvg({ layout, runs, moduleMm }: SvgFace): string {
  const [width, height] = [millimetre(layout.widthMm), millimetre(layout.heightMm)];
  const module = millimetre(moduleMm);
  const path = runs
    .map((run) => {
      const x = millimetre(layout.symbolLeftMm + run.column * moduleMm);
      const wide = millimetre(run.width * moduleMm);
      return `M${x} ${millimetre(layout.symbolTopMm + run.row * moduleMm)}h${wide}v${module}h-${wide}z`;
    })
    .join("");
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}mm" height="${height}mm" viewBox="0 0 ${width} ${height}">` +
    `<path fill="#fff" d="M0 0h${width}v${height}H0z"/>` +
    `<path d="${path}" shape-rendering="crispEdges"/>${lettersToSvg(layout.lines, 1)}</svg>`
  );
}

export type PixelFace = {
  readonly svg: string;
  readonly widthPx: number;
  readonly heightPx: number;
  /** The symbol's outer top left corner. */
  readonly left: number;
  readonly top: number;
  readonly pixelsPerMm: number;
};

/** Every module is `pixelsPerModule` pixels, and every edge of one stands between two pixels. */
export function faceToPixelSvg({ layout, runs, moduleMm }: SvgFace, pixelsPerModule: number): PixelFace {
  const pixelsPerMm = pixelsPerModule / moduleMm;
  const widthPx = Math.round(layout.widthMm * pixelsPerMm);
  const heightPx = Math.round(layout.heightMm * pixelsPerMm);
  const left = Math.round(layout.symbolLeftMm * pixelsPerMm);
  const top = Math.round(layout.symbolTopMm * pixelsPerMm);
  const path = runs
    .map((run) => {
      const width = run.width * pixelsPerModule;
      const x = left + run.column * pixelsPerModule;
      return `M${x} ${top + run.row * pixelsPerModule}h${width}v${pixelsPerModule}h-${width}z`;
    })
    .join("");
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${widthPx}" height="${heightPx}">` +
    `<path fill="#fff" d="M0 0h${widthPx}v${heightPx}H0z"/>` +
    `<path d="${path}" shape-rendering="crispEdges"/>${lettersToSvg(layout.lines, pixelsPerMm)}</svg>`;
  return { svg, widthPx, heightPx, left, top, pixelsPerMm };
}

function lettersToSvg(lines: readonly PlacedLine[], unitsPerMm: number): string {
  const groups = lines.map(({ line, leftMm, topMm, scale }) => {
    const corner = `${leftMm * unitsPerMm} ${topMm * unitsPerMm}`;
    const paths = line.glyphs.map((glyph) => `<path transform="translate(${glyph.x} 0)" d="${glyph.path}"/>`);
    return `<g transform="translate(${corner}) scale(${scale * unitsPerMm})">${paths.join("")}</g>`;
  });
  const pen = `fill="none" stroke="#000" stroke-width="${strokeWidth}" stroke-linecap="round" stroke-linejoin="round"`;
  return `<g ${pen}>${groups.join("")}</g>`;
}
