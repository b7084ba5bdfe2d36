/** What stickers hang on and what stands around them: walls, plants, wood. Reflectance on a canvas in mm about the middle. */
import type { SeededRandom } from "../world/random.ts";
import { type Canvas, createCanvas, ellipse, fillCanvas, fillShape, rectangle, stroke } from "./canvas.ts";
import { type ClutterKind, paintClutter } from "./clutter.ts";
import { layeredNoise, smoothNoise } from "./noise.ts";

export type WallKind = "plain" | "plaster" | "brick" | "tiles" | "wood" | "foliage" | ClutterKind;

/** Paints a square wall of `sideMm`, `texels` across, about the middle. `tone` is its mean reflectance, 0..1. */
export function paintWall(kind: WallKind, sideMm: number, texels: number, tone: number, random: SeededRandom): Canvas {
  const half = sideMm / 2;
  const canvas = createCanvas({ left: -half, top: -half, right: half, bottom: half }, texels / sideMm, tone);
  switch (kind) {
    case "plain":
      return canvas;
    case "plaster":
      paintPlaster(canvas, tone, random);
      return canvas;
    case "brick":
      paintBricks(canvas, sideMm, tone, { width: 120, height: 36, joint: 8 }, random);
      return canvas;
    case "tiles":
      paintBricks(canvas, sideMm, tone, { width: 60, height: 60, joint: 2.5 }, random);
      return canvas;
    case "wood":
      paintWood(canvas, tone, random);
      return canvas;
    case "foliage":
      paintFoliage(canvas, sideMm, random);
      return canvas;
    default:
      paintPaper(canvas, tone, random);
      paintClutter(canvas, kind, sideMm, tone, random);
      return canvas;
  }
}

function paintPlaster(canvas: Canvas, tone: number, random: SeededRandom): void {
  const coarse = layeredNoise(random, 4);
  const fine = smoothNoise(random);
  fillCanvas(canvas, (x, y) => tone * (1 + 0.08 * coarse(x / 14, y / 14) + 0.05 * fine(x / 0.9, y / 0.9)));
}

function paintPaper(canvas: Canvas, tone: number, random: SeededRandom): void {
  const fine = layeredNoise(random, 2);
  fillCanvas(canvas, (x, y) => tone * (1 + 0.015 * fine(x / 1.5, y / 1.5)));
}

function paintBricks(
  canvas: Canvas,
  sideMm: number,
  tone: number,
  brick: { readonly width: number; readonly height: number; readonly joint: number },
  random: SeededRandom,
): void {
  const grain = layeredNoise(random, 4);
  fillCanvas(canvas, (x, y) => Math.min(0.9, tone * 1.5) * (1 + 0.12 * grain(x / 4, y / 4)));
  const rows = Math.ceil(sideMm / (brick.height + brick.joint)) + 2;
  const columns = Math.ceil(sideMm / (brick.width + brick.joint)) + 2;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const shift = row % 2 === 0 || brick.width === brick.height ? 0 : (brick.width + brick.joint) / 2;
      const x = (column - columns / 2) * (brick.width + brick.joint) + shift;
      const y = (row - rows / 2) * (brick.height + brick.joint);
      const own = tone * (0.8 + 0.4 * random.next());
      const shade = (px: number, py: number) => own * (1 + 0.2 * grain(px / 6 + column, py / 6 + row));
      fillShape(canvas, rectangle(x, y, brick.width, brick.height, 0, 1.5), { shade, softness: 1 });
    }
  }
}

function paintWood(canvas: Canvas, tone: number, random: SeededRandom): void {
  const wave = layeredNoise(random, 3);
  fillCanvas(canvas, (x, y) => {
    const grain = Math.sin((y + 9 * wave(x / 90, y / 30)) * 1.1 + 3 * wave(x / 300, y / 6));
    const board = Math.abs(y - 95 * Math.round(y / 95)) < 0.8 ? 0.35 : 1;
    return tone * board * (1 + 0.16 * grain + 0.08 * wave(x / 40, y / 1.2));
  });
}

function paintFoliage(canvas: Canvas, sideMm: number, random: SeededRandom): void {
  const deep = layeredNoise(random, 3);
  fillCanvas(canvas, (x, y) => 0.06 * (1 + 0.6 * deep(x / 20, y / 20)));
  const leaves = 900;
  for (let leaf = 0; leaf < leaves; leaf++) {
    const size = sideMm * (0.008 + 0.03 * random.next() ** 2);
    const [x, y] = [(random.next() - 0.5) * sideMm, (random.next() - 0.5) * sideMm];
    const turn = random.next() * Math.PI;
    // Leaves painted later hang farther out and catch more light.
    const shade = (0.05 + 0.4 * (leaf / leaves)) * (0.5 + random.next());
    fillShape(canvas, ellipse(x + size * 0.2, y + size * 0.3, size, size * 0.42, turn), {
      shade: 0.02,
      opacity: 0.5,
      softness: size * 0.3,
    });
    const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
    const tilted = (px: number, py: number) => shade * (1 + (0.25 * ((py - y) * cosine - (px - x) * sine)) / size);
    fillShape(canvas, ellipse(x, y, size, size * 0.42, turn), { shade: tilted, opacity: 0.95 });
    const vein = stroke(x - size * cosine, y - size * sine, x + size * cosine, y + size * sine, size * 0.05);
    fillShape(canvas, vein, { shade: shade * 1.5, opacity: 0.6 });
  }
}
