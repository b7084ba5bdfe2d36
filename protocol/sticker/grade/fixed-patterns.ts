/**
 * The parts of a symbol that are the same in each: finders with their surroundings, timing, alignment patterns, and the two copies
 * each of format and version information. Damage there costs more than in the data, since nothing corrects it.
 *
 * Rules: SPEC Q44, Q45.
 */
import { formatPlaces, type ModulePlace, symbolLayout, versionInformationFrom, versionPlaces } from "../qr/layout.ts";
import { overlayGrade } from "./error-correction.ts";
import type { GradeEdition, ThresholdName } from "./thresholds.ts";

/**
 * A1, A2, A3: finder at the top left, top right, lower left, with separator and the quiet zone around its corner. B1, B2: the
 * timing row and column. C: all alignment patterns. `format1`... : copies of format and version information.
 */
export type SegmentName = "A1" | "A2" | "A3" | "B1" | "B2" | "C" | "format1" | "format2" | "version1" | "version2";

export type SegmentGrade = {
  readonly segment: SegmentName;
  readonly modules: number;
  /** Modules of the other colour than they should be; beyond the picture all are. */
  readonly wrong: number;
  readonly grade: number;
};

/** The margin of a module or of a module of the quiet zone (indexes from -4 to modules + 3); 0 when it is wrong. */
export type MarginAt = (column: number, row: number) => number;

export type PatternGrades = {
  readonly fixed: readonly SegmentGrade[];
  readonly format: readonly SegmentGrade[];
  /** Empty below version 7. */
  readonly version: readonly SegmentGrade[];
};

/** Grades all segments of a version. `isWrong` tells a module of the wrong colour from one that is only weak. */
export function gradePatterns(
  version: number,
  marginAt: MarginAt,
  isWrong: (column: number, row: number) => boolean,
  edition: GradeEdition,
): PatternGrades {
  const grade = ({ segment, places }: SegmentPlaces): SegmentGrade => {
    const margins = Float64Array.from(places, ({ column, row }) => marginAt(column, row));
    const { threshold, ofHundred } = gradingOf(segment);
    const scale = ofHundred ? 100 / places.length : 1;
    const damageAt = (cut: number): number => scale * margins.reduce((sum, margin) => sum + (margin < cut ? 1 : 0), 0);
    const wrong = places.reduce((sum, { column, row }) => sum + (isWrong(column, row) ? 1 : 0), 0);
    return { segment, modules: places.length, wrong, grade: overlayGrade(margins, threshold, damageAt, edition) };
  };
  const { modules } = symbolLayout(version);
  const format = formatPlaces(modules);
  const versions = version >= versionInformationFrom ? versionPlaces(modules) : undefined;
  return {
    fixed: fixedSegments(version).map(grade),
    format: [grade({ segment: "format1", places: format.first }), grade({ segment: "format2", places: format.second })],
    version:
      versions === undefined
        ? []
        : [
            grade({ segment: "version1", places: versions.first }),
            grade({ segment: "version2", places: versions.second }),
          ],
  };
}

/** Width of the quiet zone in modules, on all sides. Source: ISO/IEC 18004. */
export const quietZoneModules = 4;

type SegmentPlaces = { readonly segment: SegmentName; readonly places: readonly ModulePlace[] };

function fixedSegments(version: number): readonly SegmentPlaces[] {
  const { modules, alignmentCentres } = symbolLayout(version);
  const timing = Array.from({ length: modules - 16 }, (_, at) => at + 8);
  const segments: SegmentPlaces[] = [
    { segment: "A1", places: block(-quietZoneModules, -quietZoneModules, finderBlock) },
    { segment: "A2", places: block(modules - 8, -quietZoneModules, finderBlock) },
    { segment: "A3", places: block(-quietZoneModules, modules - 8, finderBlock) },
    { segment: "B1", places: timing.map((column) => ({ column, row: 6 })) },
    { segment: "B2", places: timing.map((row) => ({ column: 6, row })) },
  ];
  if (alignmentCentres.length === 0) return segments;
  return [
    ...segments,
    { segment: "C", places: alignmentCentres.flatMap(({ column, row }) => block(column - 2, row - 2, 5)) },
  ];
}

function block(left: number, top: number, side: number): readonly ModulePlace[] {
  return Array.from({ length: side * side }, (_, at) => ({
    column: left + (at % side),
    row: top + Math.floor(at / side),
  }));
}

function gradingOf(segment: SegmentName): { readonly threshold: ThresholdName; readonly ofHundred: boolean } {
  switch (segment) {
    case "A1":
    case "A2":
    case "A3":
      return { threshold: "finderSegment", ofHundred: false };
    case "B1":
    case "B2":
      return { threshold: "timingSegment", ofHundred: true };
    case "C":
      return { threshold: "alignmentSegment", ofHundred: true };
    case "format1":
    case "format2":
      return { threshold: "formatInformation", ofHundred: false };
    case "version1":
    case "version2":
      return { threshold: "versionInformation", ofHundred: false };
  }
}

/** Finder (7), separator (1) and quiet zone (4). */
const finderBlock = 12;
