/**
 * Two pictures for the report: the symbol seen from straight in front with what is wrong marked, and the photograph with the symbol's outline.
 * Rules: SPEC Q77.
 */
import { type CellMap, cellState, cellsPerModule, quietModules } from "../../protocol/sticker/condition/cell-map.ts";
import { type GreyPicture, lumaAt } from "../../protocol/sticker/grey-picture.ts";
import type { ModuleRegion } from "../../protocol/sticker/identity/region.ts";
import type { Point, SymbolMap } from "../../protocol/sticker/plane.ts";
import { type Colour, ColourCanvas } from "./colour-canvas.ts";

export type MarkedSymbol = {
  readonly picture: GreyPicture;
  readonly map: SymbolMap;
  readonly cells: CellMap | undefined;
  /** Where another code lies on top. */
  readonly overlaid: ModuleRegion | undefined;
};

/** The symbol with its quiet zone, rectified, `pixelsPerModule` large, bad cells tinted, a legend below. */
export function drawMarkedSymbol(symbol: MarkedSymbol, pixelsPerModule = markedPixelsPerModule): ColourCanvas {
  const { picture, map, cells, overlaid } = symbol;
  const side = (map.modules + 2 * quietModules) * pixelsPerModule;
  const canvas = new ColourCanvas(side, side + legendHeight);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const column = (x + 0.5) / pixelsPerModule - quietModules;
      const row = (y + 0.5) / pixelsPerModule - quietModules;
      const at = map.toPicture(column, row);
      const isInside = at.x >= 0 && at.y >= 0 && at.x <= picture.width && at.y <= picture.height;
      const luma = isInside ? lumaAt(picture, at.x, at.y) : outsideLuma;
      canvas.blend(x, y, [luma, luma, luma], 1);
    }
  }
  if (cells !== undefined) tintCells(canvas, cells, pixelsPerModule);
  if (overlaid !== undefined) frameRegion(canvas, overlaid, pixelsPerModule);
  drawLegend(canvas, side, cells !== undefined, overlaid !== undefined);
  return canvas;
}

/** The photograph, at most `sideMax` wide and high, with the symbol's outline and its top left corner marked. */
export function drawOutlinedPhoto(
  picture: GreyPicture,
  corners: readonly Point[] | undefined,
  sideMax: number,
): ColourCanvas {
  const step = Math.max(1, Math.max(picture.width, picture.height) / sideMax);
  const canvas = new ColourCanvas(Math.floor(picture.width / step), Math.floor(picture.height / step));
  const rays = Math.ceil(step);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      let sum = 0;
      for (let ray = 0; ray < rays * rays; ray++) {
        const [across, down] = [((ray % rays) + 0.5) / rays, (Math.floor(ray / rays) + 0.5) / rays];
        sum += lumaAt(picture, (x + across) * step, (y + down) * step);
      }
      const luma = sum / (rays * rays);
      canvas.blend(x, y, [luma, luma, luma], 1);
    }
  }
  if (corners === undefined) return canvas;
  for (const [at, corner] of corners.entries()) {
    const next = corners[(at + 1) % corners.length] ?? corner;
    canvas.line(corner.x / step, corner.y / step, next.x / step, next.y / step, outlinePx, outlineColour);
  }
  const [first] = corners;
  if (first !== undefined)
    canvas.line(first.x / step, first.y / step, first.x / step, first.y / step, 12, outlineColour);
  return canvas;
}

function tintCells(canvas: ColourCanvas, { side, states }: CellMap, pixelsPerModule: number): void {
  const cell = pixelsPerModule / cellsPerModule;
  for (const [at, state] of states.entries()) {
    const mark = marks.find((each) => each.state === state);
    if (mark === undefined) continue;
    canvas.fill((at % side) * cell, Math.floor(at / side) * cell, cell, cell, mark.colour, tintCover);
  }
}

function frameRegion(canvas: ColourCanvas, region: ModuleRegion, pixelsPerModule: number): void {
  const left = (region.column + quietModules) * pixelsPerModule;
  const top = (region.row + quietModules) * pixelsPerModule;
  const [right, bottom] = [left + region.columns * pixelsPerModule, top + region.rows * pixelsPerModule];
  canvas.line(left, top, right, top, framePx, overlayColour);
  canvas.line(right, top, right, bottom, framePx, overlayColour);
  canvas.line(right, bottom, left, bottom, framePx, overlayColour);
  canvas.line(left, bottom, left, top, framePx, overlayColour);
}

/** Two columns below the symbol. */
function drawLegend(canvas: ColourCanvas, top: number, hasCells: boolean, isOverlaid: boolean): void {
  canvas.fill(0, top, canvas.width, legendHeight, white);
  if (!hasCells) {
    canvas.write("ink and paper cannot be told apart", legendLeft, top + 22, letterPx, black);
    return;
  }
  const entries = [
    ...marks.map(({ colour, label }) => ({ colour, label })),
    ...(isOverlaid ? [{ colour: overlayColour, label: "another code on top" }] : []),
  ];
  for (const [index, { colour, label }] of entries.entries()) {
    const left = legendLeft + (index % 2) * (canvas.width / 2);
    const y = top + 16 + Math.floor(index / 2) * 30;
    canvas.fill(left, y, 20, 20, colour);
    canvas.write(label, left + 30, y + 4, letterPx, black);
  }
}

const black: Colour = [0, 0, 0];
const white: Colour = [255, 255, 255];
const outlineColour: Colour = [220, 30, 60];
const overlayColour: Colour = [200, 0, 200];
const marks: readonly { readonly state: number; readonly colour: Colour; readonly label: string }[] = [
  { state: cellState.darkened, colour: [214, 39, 40], label: "dark, should be light" },
  { state: cellState.lightened, colour: [255, 140, 0], label: "light, should be dark" },
  { state: cellState.grey, colour: [130, 80, 200], label: "neither light nor dark" },
  { state: cellState.glare, colour: [0, 160, 220], label: "glare" },
];
const markedPixelsPerModule = 15;
const tintCover = 0.6;
const outsideLuma = 128;
const framePx = 4;
const outlinePx = 3;
const legendHeight = 112;
const legendLeft = 16;
const letterPx = 12;
