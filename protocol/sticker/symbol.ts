/**
 * The QR symbol of a payload as a grid of modules, and as rectangles and SVG in millimetres. This is the one file that
 * knows `qrcode`. Rules: SPEC Q5, Q13.
 */
import { create } from "qrcode";
import { failed, ok, type Result } from "../base/result.ts";
import { type StickerSpecification, symbolModules } from "./specification.ts";

/** `dark` is row by row, `modules` x `modules`, 1 for dark. The quiet zone is not in it. */
export type SymbolMatrix = {
  readonly modules: number;
  readonly dark: Uint8Array;
  readonly version: number;
  readonly errorCorrectionLevel: "L" | "M" | "Q" | "H";
  readonly maskPattern: number;
};

/** A dark run inside one row: `width` modules from (`column`, `row`), one module high. */
export type ModuleRun = { readonly column: number; readonly row: number; readonly width: number };

export type SymbolFault =
  | { readonly code: "payload-not-alphanumeric"; readonly at: number }
  | { readonly code: "payload-too-long"; readonly length: number; readonly symbolVersion: number };

/**
 * Encodes a payload as one alphanumeric segment at the specification's version and level; the mask is the one the standard's
 * penalty rules choose (or `maskPattern` 0..7, to encode again what was read).
 * Faults: payload-not-alphanumeric (index of the first bad character), payload-too-long. Same input, same grid.
 * Source: ISO/IEC 18004 by way of `qrcode`; SPEC Q5.
 */
export function payloadToSymbol(
  payload: string,
  specification: Pick<StickerSpecification, "symbolVersion" | "errorCorrectionLevel">,
  maskPattern?: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7,
): Result<SymbolMatrix, SymbolFault> {
  const bad = payload.search(/[^0-9A-Z $%*+\-./:]/);
  if (bad >= 0) return failed({ code: "payload-not-alphanumeric", at: bad });
  const { symbolVersion, errorCorrectionLevel } = specification;
  // `qrcode` answers an overlong payload with a plain Error, and its message is not a thing to depend on.
  if (payload.length > alphanumericCapacity(symbolVersion, errorCorrectionLevel)) {
    return failed({ code: "payload-too-long", length: payload.length, symbolVersion });
  }
  const made = create([{ data: payload, mode: "alphanumeric" }], {
    version: symbolVersion,
    errorCorrectionLevel,
    ...(maskPattern === undefined ? {} : { maskPattern }),
  });
  const modules = symbolModules(symbolVersion);
  return ok({
    modules,
    dark: Uint8Array.from(made.modules.data, (module) => (module ? 1 : 0)),
    version: symbolVersion,
    errorCorrectionLevel,
    maskPattern: made.maskPattern ?? 0,
  });
}

/** Dark modules merged along rows, so that a PDF or SVG has a quarter of the rectangles and no hairlines between them. */
export function symbolRuns(symbol: SymbolMatrix): readonly ModuleRun[] {
  const runs: ModuleRun[] = [];
  for (let row = 0; row < symbol.modules; row++) {
    let column = 0;
    while (column < symbol.modules) {
      let end = column;
      while (end < symbol.modules && isDark(symbol, end, row)) end++;
      if (end > column) runs.push({ column, row, width: end - column });
      column = end + 1;
    }
  }
  return runs;
}

/** Symbol and quiet zone as SVG with its true size in mm. */
export function symbolToSvg(symbol: SymbolMatrix, specification: StickerSpecification): string {
  const quiet = specification.quietZoneModules;
  const side = symbol.modules + 2 * quiet;
  const sizeMm = Number((side * specification.moduleMm).toFixed(4));
  const path = symbolRuns(symbol)
    .map((run) => `M${run.column + quiet} ${run.row + quiet}h${run.width}v1h-${run.width}z`)
    .join("");
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${sizeMm}mm" height="${sizeMm}mm" viewBox="0 0 ${side} ${side}"` +
    ` shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${side}v${side}H0z"/><path d="${path}"/></svg>`
  );
}

export function isDark(symbol: SymbolMatrix, column: number, row: number): boolean {
  return symbol.dark[row * symbol.modules + column] === 1;
}

/** Characters that fit, for versions 1..10. Source: ISO/IEC 18004 table 7. */
function alphanumericCapacity(version: number, level: "L" | "M" | "Q" | "H"): number {
  return alphanumericCapacities[level][version - 1] ?? 0;
}

const alphanumericCapacities = {
  L: [25, 47, 77, 114, 154, 195, 224, 279, 335, 395],
  M: [20, 38, 61, 90, 122, 154, 178, 221, 262, 311],
  Q: [16, 29, 47, 67, 87, 108, 125, 157, 189, 221],
  H: [10, 20, 35, 50, 64, 84, 93, 122, 143, 174],
} as const;
