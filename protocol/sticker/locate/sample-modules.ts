/**
 * One luma a module, and from it how dark it is beside what is dark and light around it.
 */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import { type ModuleMap, moduleMiddles, modulePixels } from "./module-map.ts";
import type { Level, Pyramid } from "./pyramid.ts";

/** The copy in which a module has about three to six pixels: one look at it then means over the module. */
export function levelForModules(pyramid: Pyramid, pixels: number): Level {
  let chosen = 1;
  for (const factor of factors) if (pixels / factor >= modulePixelsMin) chosen = factor;
  return pyramid.reduced(chosen);
}

/** Luma of each module, row by row: the mean of five looks at its middle. */
export function sampleModules(level: Level, map: ModuleMap): Float32Array {
  const { modules } = map;
  const middles = moduleMiddles(map);
  const values = new Float32Array(modules * modules);
  const { picture, scale } = level;
  const spread = modulePixels(map) / scale < 2 ? 0.12 : 0.22;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      const x = (middles[2 * at] ?? 0) / scale;
      const y = (middles[2 * at + 1] ?? 0) / scale;
      const beside = column + 1 < modules ? at + 1 : at - 1;
      const below = row + 1 < modules ? at + modules : at - modules;
      const ux = spread * ((middles[2 * beside] ?? 0) / scale - x);
      const uy = spread * ((middles[2 * beside + 1] ?? 0) / scale - y);
      const vx = spread * ((middles[2 * below] ?? 0) / scale - x);
      const vy = spread * ((middles[2 * below + 1] ?? 0) / scale - y);
      values[at] = fiveLooks(picture, x, y, ux, uy, vx, vy);
    }
  }
  return values;
}

function fiveLooks(picture: GreyPicture, x: number, y: number, ux: number, uy: number, vx: number, vy: number): number {
  return (
    (2 * lumaAt(picture, x, y) +
      lumaAt(picture, x + ux + vx, y + uy + vy) +
      lumaAt(picture, x - ux - vx, y - uy - vy) +
      lumaAt(picture, x + ux - vx, y + uy - vy) +
      lumaAt(picture, x - ux + vx, y - uy + vy)) /
    6
  );
}

/** Takes out some of the blur: each module against the mean of its four neighbours, `amount` 0..1. */
export function sharpenModules(values: Float32Array, modules: number, amount: number): Float32Array {
  const sharp = new Float32Array(values.length);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      const here = values[at] ?? 0;
      const left = values[column > 0 ? at - 1 : at] ?? 0;
      const right = values[column + 1 < modules ? at + 1 : at] ?? 0;
      const above = values[row > 0 ? at - modules : at] ?? 0;
      const below = values[row + 1 < modules ? at + modules : at] ?? 0;
      sharp[at] = here + amount * (here - (left + right + above + below) / 4);
    }
  }
  return sharp;
}

/** How thresholds are found. `window`: modules each way that are looked at; 0 for one threshold over the whole symbol. */
export type ThresholdRule = { readonly window: number };

/**
 * How dark each module is: 1 as the dark ones around it, -1 as the light ones, 0 in the middle. First a rough threshold from the
 * window's mean and extremes; then twice the means of what it calls dark and light around each module.
 */
export function judgeModules(values: Float32Array, modules: number, rule: ThresholdRule): Float32Array {
  return judgeWithThresholds(values, modules, rule).darkness;
}

/** Also gives the luma at which each module's darkness would be 0. */
export function judgeWithThresholds(
  values: Float32Array,
  modules: number,
  { window }: ThresholdRule,
): { readonly darkness: Float32Array; readonly thresholds: Float32Array } {
  const darkness = new Float32Array(values.length);
  const thresholds = new Float32Array(values.length);
  if (window === 0) {
    judgeGlobally(values, darkness, thresholds);
    return { darkness, thresholds };
  }
  roughJudgement(values, modules, window, darkness);
  for (let round = 0; round < judgeRounds; round++) refineJudgement(values, modules, window + 1, darkness, thresholds);
  return { darkness, thresholds };
}

function judgeGlobally(values: Float32Array, darkness: Float32Array, thresholds: Float32Array): void {
  const sorted = Float32Array.from(values).sort();
  let low = sorted[Math.floor(sorted.length * 0.1)] ?? 0;
  let high = sorted[Math.floor(sorted.length * 0.9)] ?? 255;
  for (let round = 0; round < 4; round++) {
    const middle = (low + high) / 2;
    let lowSum = 0;
    let lowCount = 0;
    let highSum = 0;
    for (const value of values) {
      if (value < middle) {
        lowSum += value;
        lowCount++;
      } else highSum += value;
    }
    if (lowCount === 0 || lowCount === values.length) break;
    low = lowSum / lowCount;
    high = highSum / (values.length - lowCount);
  }
  const half = Math.max(1, (high - low) / 2);
  for (let at = 0; at < values.length; at++) darkness[at] = ((low + high) / 2 - (values[at] ?? 0)) / half;
  thresholds.fill((low + high) / 2);
}

/** Beside the mean of the window's mean and its middle between extremes; along rows first, then along columns. */
function roughJudgement(values: Float32Array, modules: number, window: number, darkness: Float32Array): void {
  const lows = new Float32Array(values.length);
  const highs = new Float32Array(values.length);
  const means = new Float32Array(values.length);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const from = row * modules + Math.max(0, column - window);
      const to = row * modules + Math.min(modules - 1, column + window);
      let low = values[from] ?? 0;
      let high = low;
      let sum = low;
      for (let at = from + 1; at <= to; at++) {
        const value = values[at] ?? 0;
        if (value < low) low = value;
        if (value > high) high = value;
        sum += value;
      }
      lows[row * modules + column] = low;
      highs[row * modules + column] = high;
      means[row * modules + column] = sum / (to - from + 1);
    }
  }
  for (let row = 0; row < modules; row++) {
    const from = Math.max(0, row - window);
    const to = Math.min(modules - 1, row + window);
    for (let column = 0; column < modules; column++) {
      let low = lows[from * modules + column] ?? 0;
      let high = highs[from * modules + column] ?? 0;
      let sum = means[from * modules + column] ?? 0;
      for (let at = (from + 1) * modules + column; at <= to * modules + column; at += modules) {
        low = Math.min(low, lows[at] ?? 0);
        high = Math.max(high, highs[at] ?? 0);
        sum += means[at] ?? 0;
      }
      const at = row * modules + column;
      darkness[at] = (low + high) / 4 + sum / (to - from + 1) / 2 - (values[at] ?? 0);
    }
  }
}

function refineJudgement(
  values: Float32Array,
  modules: number,
  window: number,
  darkness: Float32Array,
  thresholds: Float32Array,
): void {
  const stride = modules + 1;
  const darkSums = new Float64Array(stride * stride);
  const darkCounts = new Int32Array(stride * stride);
  const allSums = new Float64Array(stride * stride);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      const isDark = (darkness[at] ?? 0) > 0;
      const value = values[at] ?? 0;
      const to = (row + 1) * stride + column + 1;
      darkSums[to] = (isDark ? value : 0) + before(darkSums, to, stride);
      darkCounts[to] = (isDark ? 1 : 0) + before(darkCounts, to, stride);
      allSums[to] = value + before(allSums, to, stride);
    }
  }
  const last = stride * stride - 1;
  const darkAll = (darkSums[last] ?? 0) / Math.max(1, darkCounts[last] ?? 0);
  const lightCountAll = Math.max(1, modules * modules - (darkCounts[last] ?? 0));
  const lightAll = ((allSums[last] ?? 0) - (darkSums[last] ?? 0)) / lightCountAll;
  const floor = contrastFloorShare * Math.max(4, lightAll - darkAll);
  for (let row = 0; row < modules; row++) {
    const top = Math.max(0, row - window) * stride;
    const bottom = Math.min(modules, row + window + 1) * stride;
    for (let column = 0; column < modules; column++) {
      const left = Math.max(0, column - window);
      const right = Math.min(modules, column + window + 1);
      const darkCount = inBox(darkCounts, top, bottom, left, right);
      const darkSum = inBox(darkSums, top, bottom, left, right);
      const lightCount = ((bottom - top) / stride) * (right - left) - darkCount;
      const lightSum = inBox(allSums, top, bottom, left, right) - darkSum;
      // A few modules' worth of the whole symbol's means keep a window of one colour from inventing the other.
      const dark = (darkSum + priorModules * darkAll) / (darkCount + priorModules);
      const light = (lightSum + priorModules * lightAll) / (lightCount + priorModules);
      const at = row * modules + column;
      thresholds[at] = (dark + light) / 2;
      darkness[at] = ((dark + light) / 2 - (values[at] ?? 0)) / Math.max(floor, (light - dark) / 2);
    }
  }
}

function before(sums: Float64Array | Int32Array, at: number, stride: number): number {
  return (sums[at - 1] ?? 0) + (sums[at - stride] ?? 0) - (sums[at - stride - 1] ?? 0);
}

function inBox(sums: Float64Array | Int32Array, top: number, bottom: number, left: number, right: number): number {
  return (sums[bottom + right] ?? 0) - (sums[top + right] ?? 0) - (sums[bottom + left] ?? 0) + (sums[top + left] ?? 0);
}

const factors = [1, 2, 3, 4, 6, 8, 12, 16, 24];
const modulePixelsMin = 3;
const judgeRounds = 2;
const contrastFloorShare = 0.12;
const priorModules = 2;
