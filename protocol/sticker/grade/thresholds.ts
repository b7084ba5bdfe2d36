/**
 * From a measured value to a grade: the cut-offs of every parameter, each with where it was learned from.
 *
 * Rules: SPEC Q36, Q37. The text of the standards is not at hand. What a maker of verifiers prints in a manual is `stated`; what is
 * known from memory only is `recalled` and marked [R] wherever it is shown, until somebody checks it with a bought copy.
 * Edition 2011 gives whole grades 4..0. Edition 2024 gives decimals; how it reaches them is not known here, so they are
 * interpolated between the cut-offs of 2011, cut (never rounded up) to one decimal, and marked as interpolated.
 */

export type GradeEdition = "2011" | "2024";

export type GradeLetter = "A" | "B" | "C" | "D" | "F";

/**
 * A value at a cut-off has that grade. `zero` is where an interpolated grade reaches 0; whole grades do not use it: what does not
 * reach `one` is 0.
 */
export type ThresholdRow = {
  readonly better: "more" | "less";
  readonly four: number;
  readonly three: number;
  readonly two: number;
  readonly one: number;
  readonly zero: number;
  /** Whether the cut-offs `four` to `one` were read in a named source. All of `zero` are recalled. */
  readonly known: "stated" | "recalled";
  readonly source: string;
};

const finderSegment: ThresholdRow = {
  ...{ better: "less", four: 0, three: 1, two: 2, one: 3, zero: 4 },
  ...{ known: "recalled", source: "wrong modules; ISO/IEC 18004, annex on print quality" },
};

export const gradeThresholds = {
  /** Points of reflectance, 0..100. */
  symbolContrast: {
    ...{ better: "more", four: 70, three: 55, two: 40, one: 20, zero: 15 },
    ...{ known: "stated", source: "GS1 2D Verification Guideline table 9-1; Cognex DataMan 475 manual" },
  },
  /** Share; also cell modulation and reflectance margin. */
  modulation: {
    ...{ better: "more", four: 0.5, three: 0.4, two: 0.3, one: 0.2, zero: 0.1 },
    ...{ known: "stated", source: "GS1 2D Verification Guideline table 9-2; Cognex DataMan 475 manual" },
  },
  cellContrast: {
    ...{ better: "more", four: 0.3, three: 0.25, two: 0.2, one: 0.15, zero: 0.1 },
    ...{ known: "stated", source: "ISO/IEC 29158 in the Keyence SR-750 and Cognex DataMan 475 manuals" },
  },
  axialNonuniformity: {
    ...{ better: "less", four: 0.06, three: 0.08, two: 0.1, one: 0.12, zero: 0.14 },
    ...{ known: "stated", source: "GS1 2D Verification Guideline table 9-4; Cognex VisionPro reference" },
  },
  /** Modules. */
  gridNonuniformity: {
    ...{ better: "less", four: 0.38, three: 0.5, two: 0.63, one: 0.75, zero: 0.87 },
    ...{ known: "stated", source: "GS1 2D Verification Guideline table 9-5; Cognex VisionPro reference" },
  },
  unusedErrorCorrection: {
    ...{ better: "more", four: 0.62, three: 0.5, two: 0.37, one: 0.25, zero: 0.2 },
    ...{ known: "stated", source: "GS1 2D Verification Guideline table 9-6; Cognex DataMan 475 manual" },
  },
  finderSegment,
  /** Percent of the segment's modules. */
  timingSegment: {
    ...{ better: "less", four: 0, three: 7, two: 11, one: 14, zero: 17 },
    ...{ known: "recalled", source: "percent of wrong modules; ISO/IEC 18004, annex on print quality" },
  },
  /** Percent of the modules of all alignment patterns. */
  alignmentSegment: {
    ...{ better: "less", four: 0, three: 10, two: 20, one: 30, zero: 40 },
    ...{ known: "recalled", source: "percent of wrong modules; ISO/IEC 18004, annex on print quality" },
  },
  formatInformation: finderSegment,
  versionInformation: finderSegment,
  /** Of the largest growth allowed, which is 0.3 modules. */
  printGrowth: {
    ...{ better: "less", four: 0.5, three: 0.7, two: 0.85, one: 1, zero: 1.15 },
    ...{
      known: "recalled",
      source: "bands of the old Data Matrix scheme; those of ISO/IEC 15415:2024 are not known here",
    },
  },
} as const satisfies Record<string, ThresholdRow>;

export type ThresholdName = keyof typeof gradeThresholds;

/** The grade of a value: whole 4..0 by the edition of 2011, by that of 2024 interpolated and cut to one decimal. */
export function gradeByThreshold(name: ThresholdName, value: number, edition: GradeEdition): number {
  return edition === "2011" ? wholeGrade(gradeThresholds[name], value) : cutDecimal(smoothGrade(name, value));
}

/** The interpolated grade before it is cut to one decimal; never rises as the value gets worse. */
export function smoothGrade(name: ThresholdName, value: number): number {
  const row: ThresholdRow = gradeThresholds[name];
  const sign = row.better === "more" ? 1 : -1;
  const anchors = [row.zero, row.one, row.two, row.three, row.four];
  if (!(sign * value > sign * row.zero)) return 0;
  for (let above = 1; above < anchors.length; above++) {
    const [low = 0, high = 0] = [anchors[above - 1], anchors[above]];
    if (sign * value < sign * high) return above - 1 + (value - low) / (high - low);
  }
  return 4;
}

/** One decimal, cut: a grade is never better than what was reached. */
export function cutDecimal(grade: number): number {
  return Math.floor(grade * 10 + slack) / 10;
}

/** A from 3.5, B from 2.5, C from 1.5, D from 0.5 [R: stated by Keyence for the linear standard, ISO/IEC 15416]. */
export function letterOfGrade(grade: number): GradeLetter {
  if (grade >= 3.5) return "A";
  if (grade >= 2.5) return "B";
  if (grade >= 1.5) return "C";
  return grade >= 0.5 ? "D" : "F";
}

function wholeGrade(row: ThresholdRow, value: number): number {
  const sign = row.better === "more" ? 1 : -1;
  const reached = [row.four, row.three, row.two, row.one].findIndex((cut) => sign * (value - cut) >= -slack);
  return reached < 0 ? 0 : 4 - reached;
}

/** What a sum of fractions may miss of a cut-off that it should meet. */
const slack = 1e-9;
