/**
 * Print and patterns that are no QR code and look like one to a hasty eye: text, grids, checkers, frames within frames,
 * rings, bar codes, modules without finders and finders without a message.
 */
import type { SeededRandom } from "../world/random.ts";
import { type Canvas, disc, fillShape, rectangle, ring, type Shape, stroke } from "./canvas.ts";

export type ClutterKind = "text" | "grid" | "checkers" | "frames" | "rings" | "bars" | "modules" | "half-codes";

/** Paints one kind of clutter over the whole canvas, dark on its paper, here and there light on dark. */
export function paintClutter(
  canvas: Canvas,
  kind: ClutterKind,
  sideMm: number,
  paper: number,
  random: SeededRandom,
): void {
  const painters = { text, grid, checkers, frames, rings, bars, modules, "half-codes": halfCodes };
  painters[kind]({ canvas, side: sideMm, paper, ink: 0.04 + 0.1 * random.next(), random });
}

type Task = {
  readonly canvas: Canvas;
  readonly side: number;
  readonly paper: number;
  readonly ink: number;
  readonly random: SeededRandom;
};

/** Lines of an alphabet of twenty-six made-up letters, in blocks of several sizes. */
function text({ canvas, side, ink, random }: Task): void {
  const alphabet = Array.from({ length: 26 }, () => inventLetter(random));
  let y = -side / 2;
  while (y < side / 2) {
    const height = side * (0.008 + 0.03 * random.next() ** 2);
    const bold = height * (0.09 + 0.12 * random.next());
    const lines = 1 + random.integer(6);
    for (let line = 0; line < lines && y < side / 2; line++) {
      const end = side / 2 - side * 0.25 * random.next();
      let x = -side / 2 + height;
      while (x < end) {
        if (random.next() < 0.17) x += height * 0.6;
        for (const [x1, y1, x2, y2] of alphabet[random.integer(26)] ?? []) {
          const part = stroke(x + x1 * height, y + y1 * height, x + x2 * height, y + y2 * height, bold);
          fillShape(canvas, part, { shade: ink });
        }
        x += height * 0.72;
      }
      y += height * 1.7;
    }
    y += height * 1.2;
  }
}

function inventLetter(random: SeededRandom): readonly (readonly [number, number, number, number])[] {
  const anchors = [0, 0.25, 0.5];
  const pick = () => anchors[random.integer(3)] ?? 0;
  const level = () => random.integer(3) / 2;
  const stem = random.next() < 0.7 ? [[0, 0, 0, 1] as const] : [];
  return [...stem, ...Array.from({ length: 1 + random.integer(3) }, () => [pick(), level(), pick(), level()] as const)];
}

function grid({ canvas, side, ink, random }: Task): void {
  const pitch = side * (0.012 + 0.06 * random.next());
  const across = pitch * (0.7 + 0.6 * random.next());
  const thick = pitch * (0.06 + 0.3 * random.next());
  const reach = side / 2;
  for (let x = -reach; x < reach; x += across) fillShape(canvas, stroke(x, -reach, x, reach, thick), { shade: ink });
  for (let y = -reach; y < reach; y += pitch) fillShape(canvas, stroke(-reach, y, reach, y, thick), { shade: ink });
}

function checkers({ canvas, side, ink, random }: Task): void {
  const cell = side * (0.01 + 0.05 * random.next());
  const count = Math.ceil(side / cell);
  for (let row = 0; row < count; row++) {
    for (let column = row % 2; column < count; column += 2) {
      const [x, y] = [(column + 0.5) * cell - side / 2, (row + 0.5) * cell - side / 2];
      fillShape(canvas, rectangle(x, y, cell, cell), { shade: ink });
    }
  }
}

/** Squares in squares: often with the very proportions of a finder, 1:1:3:1:1, sometimes near them. */
function frames({ canvas, side, paper, ink, random }: Task): void {
  const count = 20 + random.integer(60);
  for (let frame = 0; frame < count; frame++) {
    const unit = side * (0.004 + 0.014 * random.next());
    const [x, y] = [(random.next() - 0.5) * side, (random.next() - 0.5) * side];
    const turn = random.next() < 0.5 ? 0 : random.next() * Math.PI;
    const like = random.next() < 0.6;
    const [outer, middle, inner] = like ? [7, 5, 3] : [6 + 4 * random.next(), 4.2 + random.next(), 2 + random.next()];
    const corner = random.next() < 0.3 ? unit : 0;
    fillShape(canvas, rectangle(x, y, (outer + 2) * unit, (outer + 2) * unit, turn), { shade: paper });
    fillShape(canvas, rectangle(x, y, outer * unit, outer * unit, turn, corner), { shade: ink });
    fillShape(canvas, rectangle(x, y, middle * unit, middle * unit, turn, corner / 2), { shade: paper });
    fillShape(canvas, rectangle(x, y, inner * unit, inner * unit, turn), { shade: ink });
  }
}

/** Targets and bull's eyes. */
function rings({ canvas, side, paper, ink, random }: Task): void {
  const count = 10 + random.integer(30);
  for (let target = 0; target < count; target++) {
    const unit = side * (0.004 + 0.018 * random.next());
    const [x, y] = [(random.next() - 0.5) * side, (random.next() - 0.5) * side];
    const turns = 1 + random.integer(4);
    fillShape(canvas, disc(x, y, (1.5 + 2 * turns + 1) * unit), { shade: paper });
    fillShape(canvas, disc(x, y, 1.5 * unit), { shade: ink });
    for (let turn = 1; turn <= turns; turn++)
      fillShape(canvas, ring(x, y, (1 + 2 * turn) * unit, unit), { shade: ink });
  }
}

/** One-dimensional bar codes, upright and lying. */
function bars({ canvas, side, paper, ink, random }: Task): void {
  const count = 4 + random.integer(10);
  for (let code = 0; code < count; code++) {
    const unit = side * (0.0015 + 0.004 * random.next());
    const [x0, y0] = [(random.next() - 0.5) * side, (random.next() - 0.5) * side];
    const height = unit * (20 + 50 * random.next());
    const upright = random.next() < 0.7;
    const width = unit * 95;
    const turn = upright ? 0 : Math.PI / 2;
    fillShape(canvas, rectangle(x0, y0, width + 20 * unit, height + 8 * unit, turn), { shade: paper });
    let along = -width / 2;
    while (along < width / 2) {
      const bar = unit * (1 + random.integer(4));
      const middle = along + bar / 2;
      const [x, y] = upright ? [x0 + middle, y0] : [x0, y0 + middle];
      fillShape(canvas, rectangle(x, y, bar, height, turn), { shade: ink });
      along += bar + unit * (1 + random.integer(4));
    }
  }
}

/** Blocks of random modules, some with a Data Matrix's border, none with finders. */
function modules({ canvas, side, paper, ink, random }: Task): void {
  const count = 2 + random.integer(6);
  for (let block = 0; block < count; block++) {
    const cells = 10 + random.integer(40);
    const unit = (side * (0.15 + 0.3 * random.next())) / cells;
    const [x, y] = [(random.next() - 0.5) * side * 0.8, (random.next() - 0.5) * side * 0.8];
    const turn = random.next() < 0.5 ? 0 : random.next() * Math.PI;
    const border = random.next() < 0.5;
    fillShape(canvas, rectangle(x, y, (cells + 4) * unit, (cells + 4) * unit, turn), { shade: paper });
    const dark = (column: number, row: number) => {
      if (border && (column === 0 || row === cells - 1)) return true;
      if (border && (row === 0 || column === cells - 1)) return (row + column) % 2 === 0;
      return random.next() < 0.5;
    };
    fillCells(canvas, { x, y, turn, unit, cells }, dark, ink);
  }
}

/** Three finders and timing of a real version, with random modules where the message should be; some lack a finder. */
function halfCodes({ canvas, side, paper, ink, random }: Task): void {
  const count = 1 + random.integer(4);
  for (let code = 0; code < count; code++) {
    const cells = 17 + 4 * (1 + random.integer(10));
    const unit = (side * (0.25 + 0.3 * random.next())) / cells;
    const [x, y] = [(random.next() - 0.5) * side * 0.6, (random.next() - 0.5) * side * 0.6];
    const turn = random.next() * 2 * Math.PI;
    const missing = random.integer(6);
    fillShape(canvas, rectangle(x, y, (cells + 8) * unit, (cells + 8) * unit, turn), { shade: paper });
    const dark = (column: number, row: number) => {
      const spare = random.next() < 0.5;
      const far = cells - 8;
      const finder = [column < 8 && row < 8, column >= far && row < 8, column < 8 && row >= far].indexOf(true);
      if (finder >= 0 && finder !== missing) {
        const u = Math.abs((column < 8 ? column : cells - 1 - column) - 3);
        const v = Math.abs((row < 8 ? row : cells - 1 - row) - 3);
        const distance = Math.max(u, v);
        return distance !== 2 && distance < 4;
      }
      if (column === 6 || row === 6) return (column + row) % 2 === 0;
      return spare;
    };
    fillCells(canvas, { x, y, turn, unit, cells }, dark, ink);
  }
}

type Cells = {
  readonly x: number;
  readonly y: number;
  readonly turn: number;
  readonly unit: number;
  readonly cells: number;
};

/** Dark cells merged along rows, so that no light hairlines stay between them. */
function fillCells(canvas: Canvas, place: Cells, dark: (column: number, row: number) => boolean, ink: number): void {
  const { x, y, turn, unit, cells } = place;
  const grid = Uint8Array.from({ length: cells * cells }, (_, at) =>
    dark(at % cells, Math.floor(at / cells)) ? 1 : 0,
  );
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const half = (cells * unit) / 2;
  const reach = half * Math.SQRT2;
  const whole: Shape = {
    box: { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach },
    // Distance to the next dark cell is not needed, only on which side of its edge a point lies.
    distance: (px, py) => {
      const column = Math.floor(((px - x) * cosine + (py - y) * sine + half) / unit);
      const row = Math.floor(((py - y) * cosine - (px - x) * sine + half) / unit);
      const inside = column >= 0 && row >= 0 && column < cells && row < cells;
      return inside && grid[row * cells + column] === 1 ? -unit : unit;
    },
  };
  fillShape(canvas, whole, { shade: ink });
}
