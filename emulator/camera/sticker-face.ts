/** The printed face of one sticker: reflectance at any point, given in mm from the symbol's middle. */
import type { SeededRandom } from "../world/random.ts";
import { lookUp } from "./canvas.ts";
import { type Condition, type Damage, paintCondition, printedModules } from "./condition.ts";
import type { PrintedSymbol } from "./symbol-maker.ts";

export type MountedCode = {
  readonly symbol: PrintedSymbol;
  /** The symbol's middle on its surface. */
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  /** What the file says; the print's scaling comes on top. */
  readonly moduleMm: number;
  /** 1 as ordered; 0.95 is a page fitted to the printer's margins. */
  readonly scaleX: number;
  readonly scaleY: number;
  /** How far dark runs beyond its edges on both sides together, in modules; negative when the paper eats the ink. */
  readonly growthX: number;
  readonly growthY: number;
  /** White around the symbol: one number, or left, top, right, bottom. */
  readonly quietZoneModules: number | readonly [number, number, number, number];
  readonly paperReflectance: number;
  readonly inkReflectance: number;
  /** Light modules on dark paper. */
  readonly inverted: boolean;
  readonly mirrored: boolean;
  /** 0 square modules .. 0.5 discs: how round each module's corners are. */
  readonly roundness: number;
  /** 0 matt .. 1 laminated: how much glare shows on it. */
  readonly gloss: number;
  readonly damage: readonly Damage[];
};

export type StickerFace = {
  readonly code: MountedCode;
  readonly condition: Condition;
  readonly printed: Uint8Array;
  readonly moduleXMm: number;
  readonly moduleYMm: number;
  readonly halfWidthMm: number;
  readonly halfHeightMm: number;
  /** Reflectance 0..1 at mm from the symbol's middle; negative where there is no paper. */
  readonly reflectance: (x: number, y: number) => number;
  /** The same in module units. */
  readonly reflectanceOfModule: (column: number, row: number) => number;
  /** 0..1: how much of the print is hidden or gone there. */
  readonly hiddenAt: (column: number, row: number) => number;
};

/** Defaults of what a test does not care about: a new, matt, dark-on-white sticker with its full quiet zone. */
export function mountCode(code: Pick<MountedCode, "symbol"> & Partial<MountedCode>): MountedCode {
  return {
    ...{ xMm: 0, yMm: 0, turnDegrees: 0, moduleMm: 1, scaleX: 1, scaleY: 1, growthX: 0, growthY: 0 },
    ...{ quietZoneModules: 4, paperReflectance: 0.82, inkReflectance: 0.05, inverted: false, mirrored: false },
    ...{ roundness: 0, gloss: 0.6, damage: [] },
    ...code,
  };
}

export function makeFace(code: MountedCode, random: SeededRandom): StickerFace {
  const { modules } = code.symbol;
  const [left, top, right, bottom] = quietZone(code);
  const moduleXMm = code.moduleMm * code.scaleX;
  const moduleYMm = code.moduleMm * code.scaleY;
  const margin = Math.max(left, top, right, bottom);
  const condition = paintCondition(code.damage, modules, margin, random);
  const printed = printedModules(code.symbol, code.damage);
  const print = printReader(code, printed);
  const paper = code.inverted ? code.inkReflectance : code.paperReflectance;
  const face = (column: number, row: number): number => {
    if (column < -left || row < -top || column > modules + right || row > modules + bottom) return -1;
    if (condition.gone !== undefined && lookUp(condition.gone, condition.gone.cover, column, row) > 0.5) return -1;
    let shade = print(column, row);
    if (condition.fade !== undefined)
      shade += (paper - shade) * lookUp(condition.fade, condition.fade.shade, column, row);
    if (condition.top !== undefined) {
      const cover = lookUp(condition.top, condition.top.cover, column, row);
      if (cover > 0) shade += (lookUp(condition.top, condition.top.shade, column, row) - shade) * cover;
    }
    return shade;
  };
  const flip = code.mirrored ? -1 : 1;
  return {
    ...{ code, condition, printed, moduleXMm, moduleYMm },
    halfWidthMm: (modules / 2 + Math.max(left, right)) * moduleXMm,
    halfHeightMm: (modules / 2 + Math.max(top, bottom)) * moduleYMm,
    reflectance: (x, y) => face((flip * x) / moduleXMm + modules / 2, y / moduleYMm + modules / 2),
    reflectanceOfModule: face,
    hiddenAt: (column, row) => {
      const gone = condition.gone === undefined ? 0 : lookUp(condition.gone, condition.gone.cover, column, row);
      const cover = condition.top === undefined ? 0 : lookUp(condition.top, condition.top.cover, column, row);
      return Math.max(gone, cover);
    },
  };
}

/** Left, top, right, bottom, in modules. */
export function quietZone(code: MountedCode): readonly [number, number, number, number] {
  const zone = code.quietZoneModules;
  return typeof zone === "number" ? [zone, zone, zone, zone] : zone;
}

/** The print as it left the printer: module shades, ink spread and round corners, nothing that happened later. */
function printReader(code: MountedCode, printed: Uint8Array): (column: number, row: number) => number {
  const { modules } = code.symbol;
  const [paper, ink] = code.inverted
    ? [code.inkReflectance, code.paperReflectance]
    : [code.paperReflectance, code.inkReflectance];
  const tones = Float32Array.from(printed, (dark) => (dark === 1 ? ink : paper));
  for (const one of code.damage) {
    if (one.kind === "tone") for (const at of one.modules) tones[at] = one.reflectance;
  }
  const toneAt = (column: number, row: number): number => {
    const [c, r] = [Math.floor(column), Math.floor(row)];
    return c < 0 || r < 0 || c >= modules || r >= modules ? paper : (tones[r * modules + c] ?? paper);
  };
  if (code.roundness > 0) return roundPrint(code.roundness, paper, toneAt);
  const [reachX, reachY] = [code.growthX / 2, code.growthY / 2];
  if (reachX === 0 && reachY === 0) return toneAt;
  // What is darker than its neighbour spreads into it. A reach below half a module meets at most the four corners' modules.
  const spread = (one: number, other: number, reach: number) =>
    reach >= 0 ? Math.min(one, other) : Math.max(one, other);
  const [x, y] = [Math.abs(reachX), Math.abs(reachY)];
  return (column, row) =>
    spread(
      spread(toneAt(column - x, row - y), toneAt(column + x, row - y), reachX),
      spread(toneAt(column - x, row + y), toneAt(column + x, row + y), reachX),
      reachY,
    );
}

/** Designer codes: every module a dot of its own. */
function roundPrint(
  roundness: number,
  paper: number,
  toneAt: (column: number, row: number) => number,
): (column: number, row: number) => number {
  const straight = 0.5 - roundness;
  return (column, row) => {
    const [x, y] = [Math.abs(column - Math.floor(column) - 0.5), Math.abs(row - Math.floor(row) - 0.5)];
    const inside = Math.hypot(Math.max(0, x - straight), Math.max(0, y - straight)) <= roundness;
    return inside ? toneAt(column, row) : paper;
  };
}
