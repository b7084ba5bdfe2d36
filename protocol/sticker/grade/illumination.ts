/**
 * The slow change of light over a photographed symbol, taken out before reflectances are compared: a quadratic surface through the
 * light modules. A photograph says nothing of reflectance but by comparison, and comparing what lies in lamp light with what lies
 * in shade would grade the room. Only for uncalibrated pictures; what it takes out is never sharper than the surface, so dirt stays.
 *
 * Rule: SPEC Q39.
 */
import { fitSurface, type SurfaceSample } from "./smooth-surface.ts";

/** The light at (column, row) in modules, 1 on the mean; held at the border's value a little outside. */
export type Illumination = (column: number, row: number) => number;

export const evenIllumination: Illumination = () => 1;

/** Fits the surface to physical reflectances of light modules. Even where nothing can be fitted. */
export function fitIllumination(samples: readonly SurfaceSample[], modules: number): Illumination {
  if (samples.length < samplesMin) return evenIllumination;
  const surface = fitSurface(samples, modules, surfaceDegree, missMin);
  if (surface === undefined) return evenIllumination;
  let mean = 0;
  for (const { column, row } of samples) mean += surface(column, row) / samples.length;
  if (!(mean > 0)) return evenIllumination;
  const held = (place: number): number => Math.min(Math.max(place, -outside), modules + outside);
  return (column, row) => Math.max(surface(held(column), held(row)) / mean, lightMin);
}

/** A module as the light shows it: physical reflectance, evened out. */
export type LitModule = SurfaceSample & { readonly light: boolean };

/**
 * Whether a shadow's edge (or that of a patch of sun) runs across the symbol, which the smooth surface cannot take out: some part is
 * darker or brighter than the rest, ink and paper alike in proportion. Dirt and fading change the proportion instead.
 */
export function hasShadowEdge(lit: readonly LitModule[], modules: number): boolean {
  const whole = proportionOf(lit);
  if (whole === undefined) return false;
  const step = Math.max(shadowStep, Math.floor(modules / shadowWindows));
  for (let row = 0; row + shadowSide <= modules; row += step) {
    for (let column = 0; column + shadowSide <= modules; column += step) {
      const part = lit.filter(
        (one) => one.column > column && one.column < column + shadowSide && one.row > row && one.row < row + shadowSide,
      );
      const here = proportionOf(part);
      if (here === undefined || here.contrast < contrastKept * whole.contrast) continue;
      if (Math.abs(Math.log(here.light / whole.light)) > shadowDepth) return true;
    }
  }
  return false;
}

/** The median light module, and what share of it the median dark one lacks. */
function proportionOf(lit: readonly LitModule[]): { readonly light: number; readonly contrast: number } | undefined {
  const light = medianOf(lit.filter((one) => one.light));
  const dark = medianOf(lit.filter((one) => !one.light));
  if (light === undefined || dark === undefined || !(light > 0)) return undefined;
  return { light, contrast: (light - dark) / light };
}

function medianOf(lit: readonly LitModule[]): number | undefined {
  return lit.map(({ value }) => value).sort((a, b) => a - b)[Math.floor(lit.length / 2)];
}

const shadowSide = 7;
const shadowStep = 3;
/** At most about so many windows a side. */
const shadowWindows = 14;
/** An eighth brighter or darker than the rest. */
const shadowDepth = 0.12;
const contrastKept = 0.9;
const surfaceDegree = 2;
const samplesMin = 50;
/** Modules beyond the symbol to which the surface is believed. */
const outside = 2;
const missMin = 0.02;
// Less light than this share of the mean is not made up for: that would be grading noise.
const lightMin = 0.2;
