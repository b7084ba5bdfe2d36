/**
 * How far each side of a symbol stays clear. Rules: SPEC Q46. Not graded for itself: the standard judges the quiet zone with the
 * finders it surrounds; but what stands beside the middle of a side keeps readers off as well, so it is measured and said.
 */
import type { SymbolMap } from "../plane.ts";
import { quietZoneModules } from "./fixed-patterns.ts";
import { apertureDisc, apertureMean, type ReflectancePicture } from "./reflectance.ts";

/** Clear modules from 0 to 4, in steps of a quarter; sides as the symbol stands. Beyond the picture there is none. */
export type ClearSides = {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
};

/**
 * Looks at each side along the symbol's own length; the corners are the finders' (see `fixed-patterns.ts`). `isLight` judges a
 * reflectance at (column, row). What is smaller than about half a module is a speck and no end of the quiet zone.
 */
export function measureClearSides(
  source: ReflectancePicture,
  map: SymbolMap,
  isLight: (reflectance: number, column: number, row: number) => boolean,
): ClearSides {
  const disc = apertureDisc(probeDiameter, probePlaces);
  const { modules } = map;
  const isDark = (column: number, row: number): boolean => {
    const reflectance = apertureMean(source, map, column, row, disc);
    return Number.isNaN(reflectance) || !isLight(reflectance, column, row);
  };
  return {
    left: clearDistance(modules, (along, out) => isDark(-out, along)),
    top: clearDistance(modules, (along, out) => isDark(along, -out)),
    right: clearDistance(modules, (along, out) => isDark(modules + out, along)),
    bottom: clearDistance(modules, (along, out) => isDark(along, modules + out)),
  };
}

function clearDistance(modules: number, isDark: (along: number, out: number) => boolean): number {
  for (let out = firstDepth; out < quietZoneModules; out += depthStep) {
    let run = 0;
    for (let along = probeStep / 2; along < modules; along += probeStep) {
      run = isDark(along, out) ? run + 1 : 0;
      if (run === speckRun) return out === firstDepth ? 0 : out - depthStep / 2;
    }
  }
  return quietZoneModules;
}

const probeDiameter = 0.25;
const probePlaces = 16;
const depthStep = 0.25;
// Nearer than this, ink that has grown from the symbol itself is seen.
const firstDepth = 0.375;
const probeStep = 0.5;
/** Two probes beside each other: half a module to a whole one. */
const speckRun = 2;
