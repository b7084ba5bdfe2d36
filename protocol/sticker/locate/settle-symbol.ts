/**
 * Once a symbol is read, all its modules are known, so its map can be made better than it had to be for reading. Parts that were only
 * corrected may lie far off: they are drawn again from the parts that fit, and then all of it is laid on the true modules' edges.
 */
import { homographyBetween, type Point } from "../plane.ts";
import { bendByLattice } from "./bend-map.ts";
import { type ModuleMap, moduleMiddles, modulePixels } from "./module-map.ts";
import type { Level } from "./pyramid.ts";
import type { FoundModules } from "./read-triple.ts";
import { settleMap } from "./refine-map.ts";
import { judgeModules, judgeWithThresholds, sampleModules } from "./sample-modules.ts";

/** The same symbol with a better map and what is sampled through it; itself when its map is good or its modules are too small. */
export function settleSymbol(found: FoundModules): FoundModules {
  const { level, decoded } = found;
  if (modulePixels(found.map) / level.scale < settlePixelsMin) return found;
  const { modules } = found.map;
  const dark = decoded.mirrored ? transposed(decoded.dark, modules) : decoded.dark;
  let best = found.map;
  let fit = fitOf(level, best, dark);
  for (let round = 0; round < redrawRounds; round++) {
    const start = fit.share > goodShareEnough ? best : redrawn(best, fit.local);
    const map = settleMap(level, start, dark, (at) => judgeWithThresholds(sampleModules(level, at), modules, rule));
    const next = fitOf(level, map, dark);
    if (next.share < fit.share) break;
    const isDone = next.share > goodShareEnough || next.share < fit.share + 0.005;
    best = map;
    fit = next;
    if (isDone) break;
  }
  if (best === found.map) return found;
  const values = sampleModules(level, best);
  return { ...found, map: best, values, darkness: judgeModules(values, modules, rule) };
}

type Fit = { readonly local: Float32Array; readonly share: number };

/** For each module the share of those around it that look as they must, and the share of modules around which nearly all do. */
function fitOf(level: Level, map: ModuleMap, dark: Uint8Array): Fit {
  const { modules } = map;
  const darkness = judgeModules(sampleModules(level, map), modules, rule);
  const local = new Float32Array(dark.length);
  let good = 0;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      let agreeing = 0;
      let count = 0;
      for (let y = Math.max(0, row - 2); y <= Math.min(modules - 1, row + 2); y++) {
        for (let x = Math.max(0, column - 2); x <= Math.min(modules - 1, column + 2); x++) {
          if ((darkness[y * modules + x] ?? 0) > 0 === (dark[y * modules + x] === 1)) agreeing++;
          count++;
        }
      }
      local[row * modules + column] = agreeing / count;
      if (agreeing / count >= goodLocal) good++;
    }
  }
  return { local, share: good / dark.length };
}

/** A map through the modules that fit alone; the others are where those put them. */
function redrawn(map: ModuleMap, local: Float32Array): ModuleMap {
  const { modules } = map;
  const middles = moduleMiddles(map);
  const from: Point[] = [];
  const to: Point[] = [];
  for (let at = 0; at < local.length; at += 3) {
    if ((local[at] ?? 0) < goodLocal) continue;
    from.push({ x: (at % modules) + 0.5, y: Math.floor(at / modules) + 0.5 });
    to.push({ x: middles[2 * at] ?? 0, y: middles[2 * at + 1] ?? 0 });
  }
  if (from.length < modules) return map;
  const flat = homographyBetween(from, to);
  if (flat === undefined) return map;
  const points = from.map(({ x, y }, at) => ({ x: to[at]?.x ?? 0, y: to[at]?.y ?? 0, column: x, row: y, weight: 1 }));
  return bendByLattice(flat, modules, points);
}

function transposed(dark: Uint8Array, modules: number): Uint8Array {
  return dark.map((_, at) => dark[(at % modules) * modules + Math.floor(at / modules)] ?? 0);
}

const rule = { window: 3 };
const settlePixelsMin = 1.8;
const goodLocal = 0.88;
const goodShareEnough = 0.97;
const redrawRounds = 3;
