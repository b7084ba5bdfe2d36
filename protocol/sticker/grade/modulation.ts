/**
 * Reflectances to modulation: what is light and what is dark in a symbol, the threshold between them, and how clearly each module
 * is on its own side of it.
 *
 * Rules: SPEC Q38, Q39. All reflectances are those of a symbol dark on light (see `reflectance.ts`).
 */
import type { GradeEdition } from "./thresholds.ts";

/** `calibrated`: luma is reflectance. `uncalibrated`: only proportions mean anything, so ISO/IEC 29158 is followed. */
export type ReflectanceKind = "calibrated" | "uncalibrated";

/** Reflectances 0..1. `light` and `dark`: extremes (calibrated) or means (uncalibrated) of both sides of the threshold. */
export type Levels = { readonly light: number; readonly dark: number; readonly threshold: number };

/**
 * Levels from the reflectances of all modules and of the clear quiet zone.
 * Calibrated, 2011: the lightest and the darkest, threshold half way. Calibrated, 2024: means of the lightest and darkest hundredth,
 * best threshold [R]. Uncalibrated: best threshold, and the means of either side.
 */
export function measureLevels(
  reflectances: Float64Array,
  edition: GradeEdition,
  kind: ReflectanceKind,
): Levels | undefined {
  const sorted = reflectances.filter((value) => !Number.isNaN(value)).sort();
  if (sorted.length < 2) return undefined;
  if (kind === "uncalibrated") {
    const threshold = bestThreshold(sorted);
    const split = sorted.findIndex((value) => value >= threshold);
    return { threshold, light: mean(sorted.subarray(split)), dark: mean(sorted.subarray(0, split)) };
  }
  const share = edition === "2011" ? 1 : Math.max(Math.ceil(sorted.length * extremeShare), 1);
  const light = mean(sorted.subarray(sorted.length - share));
  const dark = mean(sorted.subarray(0, share));
  return { light, dark, threshold: edition === "2011" ? (light + dark) / 2 : bestThreshold(sorted) };
}

/**
 * How far a module is on its own side of the threshold, 0..1 and more; 0 on the wrong side or at the threshold.
 * Calibrated 2 |R - T| / (light - dark), uncalibrated (R - T) / (light - T) or (T - R) / (T - dark).
 */
export function marginOf(reflectance: number, isDark: boolean, levels: Levels, kind: ReflectanceKind): number {
  const own = isDark ? levels.threshold - reflectance : reflectance - levels.threshold;
  return own > 0 ? own / scaleOf(isDark, levels, kind) : 0;
}

/** As `marginOf`, but for the side the module is on, right or wrong. */
export function modulationOf(reflectance: number, levels: Levels, kind: ReflectanceKind): number {
  return marginOf(reflectance, reflectance < levels.threshold, levels, kind);
}

/**
 * Half way between the means of light and dark, where light and dark are told apart so that the variances of both add up to least.
 * The variances are those of ISO/IEC 29158 [R]; any value between the two groups divides them as well, and the one half way
 * between their means does not move when a single module comes out grey.
 */
function bestThreshold(sorted: Float64Array): number {
  const count = sorted.length;
  const sums = new Float64Array(count + 1);
  const squares = new Float64Array(count + 1);
  for (let at = 0; at < count; at++) {
    const value = sorted[at] ?? 0;
    sums[at + 1] = (sums[at] ?? 0) + value;
    squares[at + 1] = (squares[at] ?? 0) + value * value;
  }
  const average = (from: number, to: number): number => ((sums[to] ?? 0) - (sums[from] ?? 0)) / (to - from);
  const variance = (from: number, to: number): number =>
    ((squares[to] ?? 0) - (squares[from] ?? 0)) / (to - from) - average(from, to) ** 2;
  let best = { split: 1, spread: Number.POSITIVE_INFINITY };
  for (let split = 1; split < count; split++) {
    if (sorted[split] === sorted[split - 1]) continue;
    const spread = variance(0, split) + variance(split, count);
    if (spread < best.spread) best = { split, spread };
  }
  return (average(0, best.split) + average(best.split, count)) / 2;
}

function scaleOf(isDark: boolean, { light, dark, threshold }: Levels, kind: ReflectanceKind): number {
  const scale = kind === "calibrated" ? (light - dark) / 2 : isDark ? threshold - dark : light - threshold;
  return Math.max(scale, scaleMin);
}

function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return values.length === 0 ? 0 : sum / values.length;
}

const extremeShare = 0.01;
// A symbol without any contrast has no modulation rather than an endless one.
const scaleMin = 1e-6;
