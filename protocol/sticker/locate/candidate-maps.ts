/**
 * The maps that a guess of version and finders may mean, the likely ones first: flat or bent, with the alignment pattern at each place
 * where one seems to be, or through all of them.
 */
import { applyHomography, type Homography, invertHomography } from "../plane.ts";
import { symbolLayout } from "../qr/layout.ts";
import { affineNear, bendByLattice, bendQuadratically, finderPoints } from "./bend-map.ts";
import { alignmentPattern, findPattern, type PatternSpot } from "./find-patterns.ts";
import type { VersionGuess } from "./find-version.ts";
import { fitFlat, type PlacedPoint } from "./fit-flat.ts";
import { type ModuleMap, mapModule } from "./module-map.ts";
import type { Level } from "./pyramid.ts";
import type { Anchor } from "./refine-map.ts";
import { spreadByTiming } from "./trace-timing.ts";

/** `anchors`: places where the map is known to be right. */
export type AnchoredMap = { readonly map: ModuleMap; readonly anchors: readonly Anchor[] };

export function* candidateMaps(level: Level, guess: VersionGuess): Generator<AnchoredMap> {
  const { modules, version, moduleToPicture, finders, points } = guess;
  const flat: ModuleMap = { modules, moduleToPicture };
  const rim = finderPoints(finders);
  const anchors = [...finders, ...points].map(({ column, row }) => ({ column, row }));
  // Two finders do not say how the paper bends.
  const bent = finders.length < 3 ? undefined : bendQuadratically(moduleToPicture, modules, rim);
  if (version >= meshFrom) {
    yield meshMap(level, guess, flat);
    if (bent !== undefined) yield meshMap(level, guess, bent);
    return;
  }
  const spots = version === 1 ? [] : alignmentSpots(level, flat);
  const best = spots[0];
  if (best !== undefined) yield* flatThrough(guess, best, anchors);
  yield { map: flat, anchors };
  if (bent !== undefined) yield { map: bent, anchors };
  if (bent !== undefined) yield* spread(level, bent, anchors);
  if (version === 1) return;
  const all = [...spots, ...(bent === undefined ? [] : alignmentSpots(level, bent))];
  for (const spot of all) {
    if (spot !== best) yield* flatThrough(guess, spot, anchors);
    if (bent === undefined) continue;
    const point = { ...alignmentAt(spot, modules), weight: bentAlignmentWeight };
    const through = bendQuadratically(moduleToPicture, modules, [...rim, point]);
    yield { map: through, anchors: [...anchors, point] };
    yield* spread(level, through, [...anchors, point]);
  }
}

/** The same map with the timing patterns' word for how modules crowd together; where it is already right it is not said again. */
function* spread(level: Level, map: ModuleMap, anchors: readonly Anchor[]): Generator<AnchoredMap> {
  const wider = spreadByTiming(level, map);
  if (wider === undefined) return;
  const { modules } = map;
  const along = Array.from({ length: Math.floor((modules - 16) / 4) }, (_, at) => 10 + 4 * at);
  const onTiming = along.flatMap((at) => [
    { column: at, row: 6.5 },
    { column: 6.5, row: at },
  ]);
  yield { map: wider, anchors: [...anchors, ...onTiming] };
}

/** Places that look like the one alignment pattern of versions 2 to 6. */
function alignmentSpots(level: Level, map: ModuleMap): PatternSpot[] {
  const middle = map.modules - 6.5;
  const reach = Math.min(alignmentReachMost, 2.5 + map.modules / 16);
  const near = affineNear(map, middle, middle);
  return findPattern(alignmentPattern, level, near, middle, middle, reach, alignmentScoreMin);
}

function alignmentAt({ x, y }: PatternSpot, modules: number): PlacedPoint {
  return { x, y, column: modules - 6.5, row: modules - 6.5, weight: alignmentWeight };
}

function* flatThrough(guess: VersionGuess, spot: PatternSpot, anchors: readonly Anchor[]): Generator<AnchoredMap> {
  const { modules, finders, points } = guess;
  const point = alignmentAt(spot, modules);
  const moduleToPicture = fitFlat(finders, [...points, point], modules);
  if (moduleToPicture !== undefined) yield { map: { modules, moduleToPicture }, anchors: [...anchors, point] };
}

/** All alignment patterns, nearest to what is known first; each shows where the next must be looked for. */
function meshMap(
  level: Level,
  { modules, finders, version, moduleToPicture, points }: VersionGuess,
  start: ModuleMap,
): AnchoredMap {
  const known = [...finderPoints(finders), ...points];
  const centres = symbolLayout(version).alignmentCentres;
  const wanted = centres.map(({ column, row }) => ({ column: column + 0.5, row: row + 0.5 }));
  let map = start;
  const back = invertHomography(moduleToPicture);
  const found: PlacedPoint[] = [...points];
  while (wanted.length > 0) {
    const next = takeNearest(wanted, known);
    const guessed = shiftNear(map, back, known, next);
    const place = { column: next.column + guessed.column, row: next.row + guessed.row };
    const near = affineNear(map, place.column, place.row);
    const spot = findPattern(alignmentPattern, level, near, place.column, place.row, meshReach, alignmentScoreMin)[0];
    if (spot === undefined) continue;
    const point = { x: spot.x, y: spot.y, column: next.column, row: next.row, weight: 1 };
    found.push(point);
    known.push(point);
  }
  const flat =
    fitFlat(
      finders,
      found.map((point) => ({ ...point, weight: meshWeight })),
      modules,
    ) ?? moduleToPicture;
  map = bendByLattice(flat, modules, known);
  return { map, anchors: known };
}

/** Takes out the wanted place that lies nearest to any known one. */
function takeNearest(wanted: Anchor[], known: readonly Anchor[]): Anchor {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [at, place] of wanted.entries()) {
    for (const other of known) {
      const away = Math.hypot(place.column - other.column, place.row - other.row);
      if (away < least) {
        least = away;
        best = at;
      }
    }
  }
  return wanted.splice(best, 1)[0] ?? { column: 0, row: 0 };
}

/** What the known places nearby say about how far the map is off at a place, in modules. */
function shiftNear(map: ModuleMap, back: Homography, known: readonly PlacedPoint[], at: Anchor): Anchor {
  let column = 0;
  let row = 0;
  let total = 0;
  for (const point of known) {
    const away = (point.column - at.column) ** 2 + (point.row - at.row) ** 2;
    const weight = 1 / (away * away + 1);
    const mapped = mapModule(map, point.column, point.row);
    const seen = applyHomography(back, point.x, point.y);
    const put = applyHomography(back, mapped.x, mapped.y);
    column += weight * (seen.x - put.x);
    row += weight * (seen.y - put.y);
    total += weight;
  }
  return { column: column / total, row: row / total };
}

const alignmentReachMost = 5;
const alignmentScoreMin = 0.45;
const alignmentWeight = 60;
const bentAlignmentWeight = 3;
const meshFrom = 7;
const meshReach = 2.2;
const meshWeight = 30;
