/**
 * What a made print file shall show, in millimetres: the symbol, the paper around it, and what is wrong with it. The makers
 * (`print-file-makers.ts`) draw a plan in one of many ways; what a checker should say of it follows from the plan alone.
 */
import { assert } from "../../protocol/base/result.ts";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import { payloadToSymbol, type SymbolMatrix } from "../../protocol/sticker/symbol.ts";

export type PrintDefect =
  | "none"
  | "slightly-resampled"
  | "scaled"
  | "fit-to-page"
  | "stretched"
  | "no-density"
  | "wrong-density"
  | "uneven-modules"
  | "quiet-zone-cut"
  | "quiet-zone-line"
  | "low-contrast"
  | "wrong-level"
  | "wrong-version"
  | "foreign"
  | "misplaced"
  | "retired"
  | "print-scaling-on"
  | "broken-dots"
  | "damaged-modules"
  | "spotted-modules"
  | "inverted"
  | "mirrored";

/** Light 0..1 over what lies below, in mm from the paper's top left. */
export type PlannedMark = {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly light: number;
};

export type PrintPlan = {
  readonly specification: StickerSpecification;
  readonly symbol: SymbolMatrix;
  readonly payload: string;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly symbolLeft: number;
  readonly symbolTop: number;
  readonly moduleX: number;
  readonly moduleY: number;
  readonly inkLight: number;
  readonly groundLight: number;
  readonly marks: readonly PlannedMark[];
  readonly defect: PrintDefect;
};

/** The payloads that a site knows, and one of somebody else. */
export type KnownPayloads = {
  readonly current: string;
  readonly retired: string;
  readonly otherPanel: string;
  readonly foreign: string;
};

/** Numbers from 0 up to but not 1; `seededRandom(...).next`. */
export type Dice = () => number;

export function pick<Choice>(dice: Dice, choices: readonly Choice[]): Choice {
  const chosen = choices[Math.floor(dice() * choices.length)];
  assert(chosen !== undefined, "there is something to pick from");
  return chosen;
}

export function between(dice: Dice, from: number, to: number): number {
  return from + dice() * (to - from);
}

/** Plans one file. `specification` has the module that a good file would have. */
export function planPrint(
  dice: Dice,
  defect: PrintDefect,
  specification: StickerSpecification,
  payloads: KnownPayloads,
): PrintPlan {
  const payload = payloadFor(defect, payloads);
  const symbol = planSymbol(dice, defect, specification, payload);
  const [scaleX, scaleY] = planScale(dice, defect, specification.tolerancePercent);
  const [moduleX, moduleY] = [specification.moduleMm * scaleX, specification.moduleMm * scaleY];
  const quiet = planQuiet(dice, defect, specification.quietZoneModules);
  const symbolLeft = quiet.left * moduleX;
  const symbolTop = quiet.top * moduleY;
  const { modules } = symbol;
  const [inkLight, groundLight] = planLight(dice, defect);
  const plan = {
    specification,
    symbol,
    payload,
    widthMm: symbolLeft + (modules + quiet.right) * moduleX,
    heightMm: symbolTop + (modules + quiet.bottom) * moduleY,
    symbolLeft,
    symbolTop,
    moduleX,
    moduleY,
    inkLight,
    groundLight,
    defect,
  };
  return { ...plan, marks: planMarks(dice, plan) };
}

/** What is dark in the plan, as one rectangle a run of modules. */
export function darkRuns(plan: PrintPlan): readonly (Omit<PlannedMark, "light"> & { readonly row: number })[] {
  const { symbol, symbolLeft, symbolTop, moduleX, moduleY } = plan;
  const runs: (Omit<PlannedMark, "light"> & { readonly row: number })[] = [];
  for (let row = 0; row < symbol.modules; row++) {
    for (let column = 0; column < symbol.modules; column++) {
      if (symbol.dark[row * symbol.modules + column] !== 1) continue;
      const from = column;
      while (column < symbol.modules && symbol.dark[row * symbol.modules + column] === 1) column++;
      runs.push({
        left: symbolLeft + from * moduleX,
        top: symbolTop + row * moduleY,
        width: (column - from) * moduleX,
        height: moduleY,
        row,
      });
    }
  }
  return runs;
}

function payloadFor(defect: PrintDefect, payloads: KnownPayloads): string {
  if (defect === "foreign") return payloads.foreign;
  if (defect === "misplaced") return payloads.otherPanel;
  return defect === "retired" ? payloads.retired : payloads.current;
}

function planSymbol(
  dice: Dice,
  defect: PrintDefect,
  specification: StickerSpecification,
  payload: string,
): SymbolMatrix {
  const level = specification.errorCorrectionLevel;
  const otherLevels = (["L", "M", "Q"] as const).filter((each) => each !== level);
  const made = payloadToSymbol(payload, {
    symbolVersion: specification.symbolVersion + (defect === "wrong-version" ? pick(dice, [1, 2]) : 0),
    errorCorrectionLevel: defect === "wrong-level" ? pick(dice, otherLevels) : level,
  });
  assert(made.ok, "the planned payload fits");
  const { dark, modules } = made.value;
  const changed = dark.slice();
  if (defect === "damaged-modules") {
    const count = Math.floor(between(dice, 1, 6));
    for (let hit = 0; hit < count; hit++) {
      const at = middleModule(dice, modules);
      changed[at] = 1 - (dark[at] ?? 0);
    }
  }
  if (defect === "mirrored") {
    for (let at = 0; at < dark.length; at++)
      changed[at] = dark[(at % modules) * modules + Math.floor(at / modules)] ?? 0;
  }
  return { ...made.value, dark: changed };
}

/** A module that belongs to no finder. */
function middleModule(dice: Dice, modules: number): number {
  const row = Math.floor(between(dice, 9, modules - 9));
  return row * modules + Math.floor(between(dice, 9, modules - 9));
}

function planScale(dice: Dice, defect: PrintDefect, tolerancePercent: number): readonly [number, number] {
  const least = (tolerancePercent + 0.6) / 100;
  if (defect === "fit-to-page") {
    const scale = between(dice, 0.94, Math.min(0.97, 1 - least));
    return [scale, scale];
  }
  if (defect === "scaled") {
    const scale = pick(dice, [1 + between(dice, least, 0.3), between(dice, 0.6, 0.88)]);
    return [scale, scale];
  }
  if (defect === "stretched") {
    const by = 1 + pick(dice, [-1, 1]) * between(dice, 0.04, 0.12);
    return pick(dice, [[by, 1] as const, [1, by] as const]);
  }
  if (defect === "slightly-resampled") {
    const scale = 1 + between(dice, -0.4, 0.4) * (tolerancePercent / 100);
    return [scale, scale];
  }
  return [1, 1];
}

type Sides = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };

function planQuiet(dice: Dice, defect: PrintDefect, wanted: number): Sides {
  // Whole modules, so that a raster stays whole too; a line or mark needs paper outside.
  const wide = wanted + Math.floor(between(dice, 0, 3)) + (defect === "quiet-zone-line" ? 1 : 0);
  const sides = { left: wide, top: wide, right: wide, bottom: wide };
  if (defect !== "quiet-zone-cut") return sides;
  const side = pick(dice, ["left", "top", "right", "bottom"] as const);
  return {
    ...sides,
    [side]: pick(
      dice,
      [1, 2, 3].filter((each) => each < wanted),
    ),
  };
}

function planLight(dice: Dice, defect: PrintDefect): readonly [number, number] {
  if (defect === "low-contrast") {
    const ground = pick(dice, [1, 1, between(dice, 0.8, 1)]);
    return [ground * between(dice, 0.4, 0.65), ground];
  }
  const ground = pick(dice, [1, 1, 1, between(dice, 0.85, 1)]);
  const ink = pick(dice, [0, 0, 0, between(dice, 0, 0.2)]) * ground;
  return defect === "inverted" ? [ground, ink] : [ink, ground];
}

function planMarks(dice: Dice, plan: Omit<PrintPlan, "marks">): readonly PlannedMark[] {
  const { defect, symbol, symbolLeft, symbolTop, moduleX, moduleY, widthMm, heightMm, inkLight } = plan;
  if (defect === "quiet-zone-line") {
    const out = between(dice, 1, plan.specification.quietZoneModules - 0.8);
    const [thickX, thickY] = [pick(dice, [0.25, 0.5, 1]) * moduleX, pick(dice, [0.25, 0.5, 1]) * moduleY];
    const right = symbolLeft + (symbol.modules + out) * moduleX;
    const bottom = symbolTop + (symbol.modules + out) * moduleY;
    return [
      pick(dice, [
        { left: symbolLeft - out * moduleX - thickX, top: 0, width: thickX, height: heightMm, light: inkLight },
        { left: 0, top: symbolTop - out * moduleY - thickY, width: widthMm, height: thickY, light: inkLight },
        { left: right, top: 0, width: thickX, height: heightMm, light: inkLight },
        { left: 0, top: bottom, width: widthMm, height: thickY, light: inkLight },
      ]),
    ];
  }
  if (defect !== "spotted-modules") return [];
  return Array.from({ length: Math.floor(between(dice, 1, 5)) }, () => {
    const at = middleModule(dice, symbol.modules);
    const light = symbol.dark[at] === 1 ? plan.groundLight : inkLight;
    return {
      left: symbolLeft + ((at % symbol.modules) + 0.25) * moduleX,
      top: symbolTop + (Math.floor(at / symbol.modules) + 0.25) * moduleY,
      width: 0.5 * moduleX,
      height: 0.5 * moduleY,
      light,
    };
  });
}
