/**
 * What a picture shows of each module: how bright it is, whether that is dark or light here, and whether it says anything at all.
 *
 * Theory: light falls unevenly, so each module is compared with the dark and the light of its own neighbourhood. Data is masked to look
 * like noise: a neighbourhood of one colour is no data but something that lies on it (dirt, glare, a torn place), and says nothing.
 * Rules: SPEC Q70.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import type { SymbolMap } from "../plane.ts";
import { moduleRole, symbolLayout } from "../qr/layout.ts";

/** All row by row, one a module. `luma` is 0..255, NaN outside the picture; `dark` 1 dark; `known` 1 where `dark` says something. */
export type ModuleSamples = {
  readonly version: number;
  readonly modules: number;
  readonly luma: Float32Array;
  readonly dark: Uint8Array;
  readonly known: Uint8Array;
  /** -1 clearly light .. 1 clearly dark, by the dark and light around it. */
  readonly evidence: Float32Array;
  /** Share of the modules whose middle is dark in one place and light in another: a grid that fits has few. */
  readonly mixedShare: number;
};

/** Samples each module over its middle. `inverted`: the symbol is light on dark. */
export function sampleModules(picture: GreyPicture, map: SymbolMap, version: number, inverted = false): ModuleSamples {
  const { modules } = map;
  const luma = new Float32Array(modules * modules);
  const spread = new Float32Array(modules * modules);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const seen = lookAtModule(picture, map, column, row);
      luma[row * modules + column] = inverted ? 255 - seen.mean : seen.mean;
      spread[row * modules + column] = seen.spread;
    }
  }
  const evidence = compareWithSurroundings(luma, modules);
  const dark = new Uint8Array(luma.length);
  const known = new Uint8Array(luma.length);
  for (const [at, one] of evidence.entries()) {
    if (one > 0) dark[at] = 1;
    if (Math.abs(one) >= evidenceMin) known[at] = 1;
  }
  const whole = darkAndLight(luma.filter((one) => !Number.isNaN(one)));
  const mixed = spread.filter((one) => one > mixedSpread * (whole.light - whole.dark)).length;
  const covered = withoutCovered(dark, known, version);
  return { version, modules, luma, dark, known: covered, evidence, mixedShare: mixed / spread.length };
}

/**
 * Takes from `known` the data modules in the middle of a neighbourhood of one colour, where something covers the symbol. Fixed
 * patterns and what lies beside them may be of one colour by right and stay.
 */
export function withoutCovered(dark: Uint8Array, known: Uint8Array, version: number): Uint8Array {
  const { modules, roles } = symbolLayout(version);
  const left = known.slice();
  const [darkSums, dataSums] = [new Int32Array((modules + 1) ** 2), new Int32Array((modules + 1) ** 2)];
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      const isData = roles[at] === moduleRole.data && known[at] === 1;
      addToSum(darkSums, modules, column, row, isData && dark[at] === 1 ? 1 : 0);
      addToSum(dataSums, modules, column, row, isData ? 1 : 0);
    }
  }
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      if (roles[at] !== moduleRole.data) continue;
      const data = windowSum(dataSums, modules, column, row);
      if (data < coveredDataMin) continue;
      const darkShare = windowSum(darkSums, modules, column, row) / data;
      const isCovered = dark[at] === 1 ? darkShare >= coveredShare : darkShare <= 1 - coveredShare;
      if (isCovered) left[at] = 0;
    }
  }
  return left;
}

/** Mean of the middle of a module, and its darkest to lightest place; both NaN where it lies outside the picture. */
function lookAtModule(
  picture: GreyPicture,
  map: SymbolMap,
  column: number,
  row: number,
): { readonly mean: number; readonly spread: number } {
  let [sum, darkest, lightest] = [0, 255, 0];
  for (let down = 0; down < samplesSide; down++) {
    for (let across = 0; across < samplesSide; across++) {
      const at = map.toPicture(column + sampleAt(across), row + sampleAt(down));
      if (!(at.x >= 0 && at.y >= 0 && at.x <= picture.width && at.y <= picture.height)) {
        return { mean: Number.NaN, spread: Number.NaN };
      }
      const luma = lumaAt(picture, at.x, at.y);
      sum += luma;
      darkest = Math.min(darkest, luma);
      lightest = Math.max(lightest, luma);
    }
  }
  return { mean: sum / samplesSide ** 2, spread: lightest - darkest };
}

function sampleAt(step: number): number {
  return 0.5 + (sampleReach * (step - (samplesSide - 1) / 2)) / ((samplesSide - 1) / 2);
}

/** Where each module's luma lies between the dark and the light around it. */
function compareWithSurroundings(luma: Float32Array, modules: number): Float32Array {
  const evidence = new Float32Array(luma.length);
  const whole = darkAndLight(luma.filter((one) => !Number.isNaN(one)));
  const contrast = Math.max(1, whole.light - whole.dark);
  const around = new Float32Array((2 * surroundings + 1) ** 2);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const seen = luma[row * modules + column] ?? Number.NaN;
      if (Number.isNaN(seen)) continue;
      let count = 0;
      const bottom = Math.min(modules - 1, row + surroundings);
      const right = Math.min(modules - 1, column + surroundings);
      for (let y = Math.max(0, row - surroundings); y <= bottom; y++) {
        for (let x = Math.max(0, column - surroundings); x <= right; x++) {
          const one = luma[y * modules + x] ?? Number.NaN;
          if (!Number.isNaN(one)) around[count++] = one;
        }
      }
      const here = darkAndLight(around.subarray(0, count));
      // Where everything is of one brightness, its own dark and light are noise: the whole symbol's are better.
      const isFlat = here.light - here.dark < flatShare * contrast;
      const { dark, light } = isFlat ? whole : here;
      const half = Math.max(1, (light - dark) / 2);
      evidence[row * modules + column] = Math.max(-1, Math.min(1, ((dark + light) / 2 - seen) / half));
    }
  }
  return evidence;
}

/** Robust darkest and lightest: the tenths at both ends are left to specks and reflections. */
function darkAndLight(values: Float32Array): { readonly dark: number; readonly light: number } {
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return { dark: at(tailShare), light: at(1 - tailShare) };
}

/** Sums over the rectangle from (0, 0), one wider and higher than the grid. */
function addToSum(sums: Int32Array, modules: number, column: number, row: number, value: number): void {
  const width = modules + 1;
  const at = (row + 1) * width + column + 1;
  sums[at] = value + (sums[at - 1] ?? 0) + (sums[at - width] ?? 0) - (sums[at - width - 1] ?? 0);
}

function windowSum(sums: Int32Array, modules: number, column: number, row: number): number {
  const width = modules + 1;
  const left = Math.max(0, column - coveredReach);
  const top = Math.max(0, row - coveredReach);
  const right = Math.min(modules, column + coveredReach + 1);
  const bottom = Math.min(modules, row + coveredReach + 1);
  const at = (x: number, y: number) => sums[y * width + x] ?? 0;
  return at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top);
}

const mixedSpread = 0.5;
const samplesSide = 3;
const sampleReach = 0.22;
const surroundings = 4;
const flatShare = 0.35;
const tailShare = 0.1;
const evidenceMin = 0.2;
// Masked data has 21 of 25 modules of one colour once in 2,500 places at most.
const coveredReach = 2;
const coveredDataMin = 12;
const coveredShare = 0.84;
