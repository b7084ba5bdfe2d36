/**
 * What years and people do to a sticker. All places are in modules of the symbol, (0, 0) its top left corner, so they are
 * true whatever the print's size; `paintCondition` turns them into three rasters that the sticker's face looks up.
 */
import { assert } from "../../protocol/base/result.ts";
import type { SeededRandom } from "../world/random.ts";
import { type Canvas, createCanvas, disc, ellipse, fillShape, rectangle, stroke } from "./canvas.ts";
import { layeredNoise, type Noise } from "./noise.ts";
import type { PrintedSymbol } from "./symbol-maker.ts";

export type Damage =
  /** A line scraped through the print: `shade` is what shows (bare paper 0.8, dirt 0.1). */
  | {
      readonly kind: "scratch";
      readonly from: readonly [number, number];
      readonly to: readonly [number, number];
      readonly width: number;
      readonly shade: number;
    }
  /** A ragged spot of `radius` modules. */
  | {
      readonly kind: "dirt";
      readonly at: readonly [number, number];
      readonly radius: number;
      readonly shade: number;
      readonly opacity: number;
    }
  /** A corner that came off: what lies below shows; a curled edge beside it. 0 top left, 1 top right, 2 bottom right, 3. */
  | { readonly kind: "peel"; readonly corner: 0 | 1 | 2 | 3; readonly reach: number }
  /** A piece torn out of the middle or the edge. */
  | { readonly kind: "tear"; readonly at: readonly [number, number]; readonly radius: number }
  /** The ink goes towards the paper: 0 as new, 1 blank; `uneven` 0..1 is how much more on one side than on the other. */
  | { readonly kind: "fade"; readonly amount: number; readonly uneven: number; readonly turn: number }
  /** A worn crease across the sticker. */
  | {
      readonly kind: "crease";
      readonly from: readonly [number, number];
      readonly to: readonly [number, number];
      readonly width: number;
    }
  /** Another sticker on top: blank of one shade, or with a symbol of its own that fills it. */
  | {
      readonly kind: "overlay";
      readonly middle: readonly [number, number];
      readonly size: readonly [number, number];
      readonly turn: number;
      readonly shade: number;
      readonly symbol?: PrintedSymbol;
    }
  /** A frame or bezel lip that covers everything farther out than `gap` modules from the symbol (negative: inside it). */
  | { readonly kind: "frame"; readonly gap: number; readonly shade: number }
  /** Modules printed the other way round: exact errors for graders. */
  | { readonly kind: "flip"; readonly modules: readonly number[] }
  /** Modules printed with another reflectance. */
  | { readonly kind: "tone"; readonly modules: readonly number[]; readonly reflectance: number };

export type Condition = {
  /** What lies on top: shade and cover. */
  readonly top: Canvas | undefined;
  /** Cover here is paper that is gone. */
  readonly gone: Canvas | undefined;
  /** Shade here is how far the ink has gone towards the paper. */
  readonly fade: Canvas | undefined;
};

/** Rasters reach `margin` modules beyond the symbol on all sides. Same damage, same stream, same rasters. */
export function paintCondition(
  damage: readonly Damage[],
  modules: number,
  margin: number,
  random: SeededRandom,
): Condition {
  const texels = modules > 60 ? 6 : 12;
  const box = { left: -margin, top: -margin, right: modules + margin, bottom: modules + margin };
  const has = (...kinds: readonly Damage["kind"][]) => damage.some(({ kind }) => kinds.includes(kind));
  const top = has("scratch", "dirt", "overlay", "frame", "crease", "peel", "tear")
    ? createCanvas(box, texels)
    : undefined;
  const gone = has("peel", "tear") ? createCanvas(box, texels) : undefined;
  const fade = has("fade") ? createCanvas(box, 1) : undefined;
  const noise = layeredNoise(random, 3);
  for (const [index, one] of damage.entries()) {
    // Every piece of damage looks at another part of the noise, so that two spots are not of one shape.
    const ragged: Noise = (x, y) => noise(x + 7.77 * index, y - 3.33 * index);
    if (top !== undefined) paintOnTop(top, one, modules, margin, ragged);
    if (gone !== undefined) tearAway(gone, one, modules, margin, ragged);
    if (fade !== undefined && one.kind === "fade") fadeInk(fade, one, modules, ragged);
  }
  return { top, gone, fade };
}

/** The symbol's modules as they leave the printer, 1 dark, `flip` damage included. */
export function printedModules(symbol: PrintedSymbol, damage: readonly Damage[]): Uint8Array {
  const printed = symbol.dark.slice();
  for (const one of damage) {
    if (one.kind !== "flip") continue;
    for (const at of one.modules) printed[at] = 1 - (printed[at] ?? 0);
  }
  return printed;
}

function paintOnTop(canvas: Canvas, damage: Damage, modules: number, margin: number, ragged: Noise): void {
  switch (damage.kind) {
    case "scratch":
      return paintScratch(canvas, damage, ragged);
    case "dirt": {
      const { at, radius, shade, opacity } = damage;
      const round = disc(at[0], at[1], radius);
      const wide = disc(at[0], at[1], radius * 1.5);
      const distance = (x: number, y: number) => round.distance(x, y) + 0.45 * radius * ragged(x / radius, y / radius);
      fillShape(canvas, { box: wide.box, distance }, { shade, opacity, softness: 0.25 * radius });
      return;
    }
    case "overlay":
      return paintOverlay(canvas, damage);
    case "frame": {
      const side = modules + 2 * damage.gap;
      const inside = rectangle(modules / 2, modules / 2, side, side);
      const box = { left: -margin, top: -margin, right: modules + margin, bottom: modules + margin };
      fillShape(canvas, { box, distance: (x, y) => -inside.distance(x, y) }, { shade: damage.shade });
      return;
    }
    case "crease": {
      const [from, to] = [damage.from, damage.to];
      const line = stroke(from[0], from[1], to[0], to[1], damage.width);
      const worn = (x: number, y: number) => line.distance(x, y) + 0.4 * damage.width * ragged(x * 2, y * 2);
      fillShape(canvas, { box: line.box, distance: worn }, { shade: 0.72, opacity: 0.75, softness: damage.width / 2 });
      return;
    }
    case "peel": {
      const edge = peelEdge(damage, modules, margin, ragged);
      // The curl: a band along the tear, lit from one side.
      const curl = (x: number, y: number) => Math.abs(edge(x, y) - 0.5) - 0.5;
      fillShape(
        canvas,
        { box: wholeBox(modules, margin), distance: curl },
        { shade: 0.88, opacity: 0.9, softness: 0.4 },
      );
      return;
    }
    case "tear": {
      const edge = tearEdge(damage, ragged);
      const rim = (x: number, y: number) => Math.abs(edge(x, y) - 0.2) - 0.25;
      fillShape(canvas, { box: wholeBox(modules, margin), distance: rim }, { shade: 0.9, opacity: 0.9, softness: 0.3 });
      return;
    }
    default:
      return;
  }
}

function paintScratch(canvas: Canvas, damage: Extract<Damage, { kind: "scratch" }>, ragged: Noise): void {
  const line = stroke(damage.from[0], damage.from[1], damage.to[0], damage.to[1], damage.width);
  const shaky = (x: number, y: number) => line.distance(x, y) + 0.3 * damage.width * ragged(x, y);
  fillShape(canvas, { box: line.box, distance: shaky }, { shade: damage.shade, opacity: 0.95 });
}

function paintOverlay(canvas: Canvas, damage: Extract<Damage, { kind: "overlay" }>): void {
  const [x0, y0] = damage.middle;
  const [width, height] = damage.size;
  const sheet = rectangle(x0, y0, width, height, damage.turn, Math.min(width, height) * 0.03);
  const shadow = rectangle(x0 + 0.3, y0 + 0.3, width, height, damage.turn);
  fillShape(canvas, shadow, { shade: 0.05, opacity: 0.45, softness: 0.8 });
  const symbol = damage.symbol;
  if (symbol === undefined) {
    fillShape(canvas, sheet, { shade: damage.shade });
    return;
  }
  const [cosine, sine] = [Math.cos(damage.turn), Math.sin(damage.turn)];
  const unit = Math.min(width, height) / (symbol.modules + 8);
  const shadeAt = (x: number, y: number) => {
    const column = Math.floor(((x - x0) * cosine + (y - y0) * sine) / unit + symbol.modules / 2);
    const row = Math.floor(((y - y0) * cosine - (x - x0) * sine) / unit + symbol.modules / 2);
    const inside = column >= 0 && row >= 0 && column < symbol.modules && row < symbol.modules;
    return inside && symbol.dark[row * symbol.modules + column] === 1 ? 0.06 : damage.shade;
  };
  fillShape(canvas, sheet, { shade: shadeAt });
}

function tearAway(canvas: Canvas, damage: Damage, modules: number, margin: number, ragged: Noise): void {
  if (damage.kind !== "peel" && damage.kind !== "tear") return;
  const edge = damage.kind === "peel" ? peelEdge(damage, modules, margin, ragged) : tearEdge(damage, ragged);
  fillShape(canvas, { box: wholeBox(modules, margin), distance: edge }, { shade: 0 });
}

function fadeInk(canvas: Canvas, damage: Extract<Damage, { kind: "fade" }>, modules: number, ragged: Noise): void {
  assert(damage.amount >= 0 && damage.amount <= 1, "ink fades by 0..1");
  const [cosine, sine] = [Math.cos(damage.turn), Math.sin(damage.turn)];
  for (let row = 0; row < canvas.height; row++) {
    for (let column = 0; column < canvas.width; column++) {
      const [x, y] = [canvas.left + column + 0.5 - modules / 2, canvas.top + row + 0.5 - modules / 2];
      const side = (x * cosine + y * sine) / modules + 0.3 * ragged(x / 9, y / 9);
      const own = damage.amount * (1 + damage.uneven * side);
      const at = row * canvas.width + column;
      canvas.shade[at] = 1 - (1 - (canvas.shade[at] ?? 0)) * (1 - Math.max(0, Math.min(1, own)));
    }
  }
}

type Edge = (x: number, y: number) => number;

/** A cut across one corner of the paper. */
function peelEdge(damage: Extract<Damage, { kind: "peel" }>, modules: number, margin: number, ragged: Noise): Edge {
  const right = damage.corner === 1 || damage.corner === 2;
  const bottom = damage.corner === 2 || damage.corner === 3;
  return (x, y) => {
    const fromX = right ? modules + margin - x : x + margin;
    const fromY = bottom ? modules + margin - y : y + margin;
    return (fromX + fromY - damage.reach) * Math.SQRT1_2 + 0.8 * ragged(x / 4, y / 4);
  };
}

function tearEdge(damage: Extract<Damage, { kind: "tear" }>, ragged: Noise): Edge {
  const shape = ellipse(damage.at[0], damage.at[1], damage.radius, damage.radius * 0.7, damage.at[0]);
  return (x, y) =>
    shape.distance(x, y) + 0.5 * damage.radius * ragged((2 * x) / damage.radius, (2 * y) / damage.radius);
}

function wholeBox(modules: number, margin: number) {
  return { left: -margin, top: -margin, right: modules + margin, bottom: modules + margin };
}
