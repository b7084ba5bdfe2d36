/** A grade as lines of text for a terminal. Rule: SPEC Q37: no letter without edition, aperture and pixels a module. */

import { quietZoneModules, type SegmentGrade } from "./fixed-patterns.ts";
import type { GradeCaveat, GradeFault, ParameterGrade, ParameterName, SymbolGrade } from "./grade.ts";

/** The first row says the whole; then one a parameter, the quiet zone, and what must be known of the grade. No trailing spaces. */
export function gradeRows(grade: SymbolGrade): readonly string[] {
  const { left, top, right, bottom } = grade.quietZone;
  return [
    gradeHeadline(grade),
    ...grade.parameters.map((parameter) => parameterRow(grade, parameter)),
    `  ${"quiet zone".padEnd(nameWidth)} left ${left}, top ${top}, right ${right}, bottom ${bottom} of ${quietZoneModules} modules`,
    ...grade.caveats.map((caveat) => `  note: ${caveatTexts[caveat]}`),
  ];
}

/** `grade 3.0 (B), ISO-style, uncalibrated; edition 2011, aperture 0.80 X, 7.4 px per module`. */
export function gradeHeadline(grade: SymbolGrade): string {
  const { overall, title, edition, apertureShare, pixelsPerModule } = grade;
  const pixels = Math.min(pixelsPerModule.across, pixelsPerModule.down).toFixed(1);
  const basis = `edition ${edition}, aperture ${apertureShare.toFixed(2)} X, ${pixels} px per module`;
  return `grade ${overall.grade.toFixed(1)} (${overall.letter}), ${title}; ${basis}`;
}

export function gradeFaultText(fault: GradeFault): string {
  switch (fault.code) {
    case "too-few-pixels":
      return `not gradable: ${fault.pixelsPerModule.toFixed(1)} px per module, at least ${fault.least} are needed`;
    case "no-contrast":
      return `not gradable: light and dark modules differ by ${fault.contrastPercent.toFixed(1)} % only`;
    case "outside-picture":
      return "not gradable: less than half of the symbol is in the picture";
  }
}

function parameterRow(grade: SymbolGrade, parameter: ParameterGrade): string {
  const { name, grade: points, letter, known, why } = parameter;
  const judged =
    points === undefined || letter === undefined
      ? why === "informative"
        ? "not graded"
        : "not measurable"
      : `${points.toFixed(1)} ${letter}`;
  const mark = points !== undefined && known === "recalled" ? " [R]" : "";
  const detail = detailOf(grade, name);
  return `  ${parameterTexts[name].padEnd(nameWidth)} ${valueText(parameter).padEnd(valueWidth)} ${judged}${mark}${detail}`;
}

function valueText({ value, unit }: ParameterGrade): string {
  if (value === undefined) return "-";
  switch (unit) {
    case "points":
      return `${value.toFixed(1)} %`;
    case "share":
      return value.toFixed(3);
    case "modules":
      return `${value.toFixed(3)} X`;
    case "wrong modules":
      return `${value} wrong`;
    case "none":
      return "-";
  }
}

function detailOf(grade: SymbolGrade, name: ParameterName): string {
  const list = (segments: readonly SegmentGrade[]): string =>
    ` (${segments.map(({ segment, grade: points, wrong }) => `${segment} ${points.toFixed(1)}/${wrong}`).join(", ")})`;
  switch (name) {
    case "fixedPatternDamage":
      return list(grade.segments);
    case "formatInformation":
      return list(grade.formatCopies);
    case "versionInformation":
      return list(grade.versionCopies);
    case "printGrowth":
      return ` (across ${percent(grade.growth.across)}, down ${percent(grade.growth.down)} of a module)`;
    default:
      return "";
  }
}

function percent(share: number): string {
  return `${share >= 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;
}

const parameterTexts: Readonly<Record<ParameterName, string>> = {
  decode: "decode",
  symbolContrast: "symbol contrast",
  cellContrast: "cell contrast",
  modulation: "modulation",
  reflectanceMargin: "reflectance margin",
  fixedPatternDamage: "fixed pattern damage",
  axialNonuniformity: "axial nonuniformity",
  gridNonuniformity: "grid nonuniformity",
  unusedErrorCorrection: "unused error correction",
  formatInformation: "format information",
  versionInformation: "version information",
  printGrowth: "print growth",
};

const caveatTexts: Readonly<Record<GradeCaveat, string>> = {
  uncalibrated:
    "reflectance is not calibrated: cell contrast and modulation of ISO/IEC 29158, good for comparison only",
  "few-pixels": "fewer than 5 px per module: coarse",
  "light-evened-out": "uneven light has been evened out",
  "shadow-edge": "light and shade lie across the symbol: take the picture again before judging the sticker",
  "axes-not-comparable":
    "lengths in a photograph are not true: no axial nonuniformity without a reference beside the symbol",
  "bent-surface": "the sticker is on a bent surface; the bend itself is not graded",
  "quiet-zone-outside-picture": "the quiet zone is partly outside the picture, and counts as damaged there",
  "recalled-thresholds": "[R] thresholds recalled, not checked with the standard's text",
  "interpolated-decimals": "decimals are interpolated between the cut-offs of 2011",
  "grid-not-measured": "too few edges were measurable to be sure of the grid",
};

const nameWidth = 24;
const valueWidth = 10;
