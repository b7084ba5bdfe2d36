/**
 * Checks a photograph of a mounted sticker as a whole: whose it is, how large, how good, what happened to it, and which phones would read it.
 *
 * Rules: SPEC Q70-Q82. Theory: each part judges by itself and says what it could not tell; here their findings are put into one list and one
 * verdict. `fail` needs something wrong with the sticker; what is wrong with the photo (glare, no reference for its size) is no fault of the
 * sticker and makes the verdict `not-measurable`.
 */

import type { EarlierScan } from "./condition/fade.ts";
import { type Condition, judgeCondition } from "./condition/judge-condition.ts";
import {
  likeGlare,
  type ReportedCondition,
  type Triage,
  type TriageCause,
  triageCondition,
} from "./condition/triage.ts";
import { gradeSymbol, type SymbolGrade } from "./grade/grade.ts";
import { gradeFaultText, gradeHeadline } from "./grade/grade-rows.ts";
import type { GreyPicture } from "./grey-picture.ts";
import { findSubject, type PhotoIdentity, type PhotoSubject, type SubjectSymbol } from "./photo-subject.ts";
import type { Point } from "./plane.ts";
import { checkPrint, type SizeReport, type SymbolQuality } from "./print-check.ts";
import { judgeScanners, type ScanFault, type ScanOutcome, tryScanners } from "./scanner-profiles.ts";
import { measureSize } from "./size/measure-size.ts";
import type { SizeFault, SizeMeasurement } from "./size/size-types.ts";
import { type StickerSpecification, symbolSizeMm } from "./specification.ts";
import type { KnownStickers, StickerJudgement } from "./verdict.ts";

/** Codes are those of print-check, of the condition, and `grade-low`, `size-not-measurable`, `sticker-overlay`. */
export type PhotoFinding = {
  readonly code: string;
  readonly where: string;
  readonly measured: string;
  readonly expected: string;
  readonly remedy: string;
};

export type PhotoSize =
  | (Extract<SizeReport, { readonly measurable: true }> &
      Pick<SizeMeasurement, "reference" | "referenceCorners" | "distanceMm" | "tiltDegrees">)
  | {
      readonly measurable: false;
      readonly reason: SizeFault["code"] | "no-symbol";
      /** For people. */
      readonly about: string;
      readonly expectedMm: number;
    };

/** The grade without its arrays; `fault` says why there is none. */
export type PhotoGrade = Omit<SymbolGrade, "modules"> & { readonly headline: string };

export type PhotoReport = {
  readonly verdict: "pass" | "fail" | "not-measurable";
  readonly size: PhotoSize;
  readonly quality: SymbolQuality;
  readonly identity: PhotoIdentity;
  readonly findings: readonly PhotoFinding[];
  readonly payload: string | undefined;
  readonly corners: readonly [Point, Point, Point, Point] | undefined;
  readonly grade: PhotoGrade | undefined;
  /** Why there is no grade. */
  readonly gradeFault: string | undefined;
  readonly causes: readonly { readonly code: string; readonly where: string }[];
  readonly triage: Triage;
  readonly profiles: readonly ScanOutcome[];
  readonly scanFault: ScanFault | undefined;
};

export type PhotoCheckOrder = {
  readonly picture: GreyPicture;
  readonly specification: StickerSpecification;
  readonly known: KnownStickers;
  readonly edition?: "2011" | "2024" | undefined;
  readonly earlier?: readonly EarlierScan[] | undefined;
  readonly nowMs?: number | undefined;
  readonly reported?: ReportedCondition | undefined;
  /** Focal length over the longer side of the picture, where EXIF states it. */
  readonly focalRatio?: number | undefined;
  readonly isOutOfTime?: (() => boolean) | undefined;
};

/** The report, and what pictures of it need. */
export type PhotoJudgement = {
  readonly report: PhotoReport;
  readonly subject: PhotoSubject;
  readonly condition: Condition | undefined;
  readonly grade: SymbolGrade | undefined;
};

/** Checks one photograph. Never throws for what is in it. Source: SPEC Q70-Q82. */
export function judgePhoto(order: PhotoCheckOrder): PhotoJudgement {
  const { picture, specification, known } = order;
  const subject = findSubject(picture, known, specification, order.isOutOfTime);
  const { symbol, identity } = subject;
  const measured = symbol === undefined ? undefined : measurePhoto(order, symbol);
  const size = photoSize(measured?.size, subject, specification);
  const grade = measured?.grade?.ok === true ? measured.grade.value : undefined;
  const condition =
    symbol === undefined
      ? undefined
      : judgeCondition({
          ...{ picture, symbol, specification, earlier: order.earlier, nowMs: order.nowMs },
          moduleMm: size.measurable ? (size.moduleMm.x + size.moduleMm.y) / 2 : undefined,
          ...{ overlaid: identity.proof.region, overlaidTexts: identity.proof.overlaidTexts },
          finestMap: grade?.modules.map,
        });
  const quality = qualityOf(subject, grade, condition);
  const findings = [
    ...printFindings(size, subject, specification, condition),
    // What lies on top is told with the identity.
    ...(condition?.findings ?? []).filter(({ code }) => code !== "overlay" || identity.verdict !== "overlay"),
    ...gradeFindings(grade, condition),
    ...sizeFindings(size),
  ];
  const triage = triageCondition(triageCauses(findings, identity), order.reported);
  const profiles = symbol === undefined ? [] : tryScanners(picture, symbol.map, subject.payload);
  const report: PhotoReport = {
    ...{ verdict: verdictOf(findings, size), size, quality, identity, findings, triage, profiles },
    ...{ payload: subject.payload, corners: subject.corners, grade: grade && photoGrade(grade) },
    gradeFault: measured?.grade.ok === false ? gradeFaultText(measured.grade.fault) : undefined,
    causes: (condition?.findings ?? []).map(({ code, where }) => ({ code, where })),
    scanFault: symbol === undefined ? undefined : scanFaultOf(profiles, subject, condition),
  };
  return { report, subject, condition, grade };
}

function measurePhoto(order: PhotoCheckOrder, symbol: SubjectSymbol) {
  const { picture, specification } = order;
  const { bezel, moduleMm } = specification;
  const { map, dark } = symbol;
  const reference = { kind: "auto", bezel } as const;
  const size = measureSize({ picture, map, dark, moduleMm, reference, focalRatio: order.focalRatio });
  const grade = gradeSymbol(picture, symbol, { edition: order.edition ?? "2011", reflectance: "uncalibrated" });
  return { size, grade };
}

type Measured = ReturnType<typeof measurePhoto>;

function photoSize(
  measured: Measured["size"] | undefined,
  { symbol }: PhotoSubject,
  specification: StickerSpecification,
): PhotoSize {
  const expectedMm = symbolSizeMm(specification);
  if (measured === undefined || symbol === undefined) {
    return { measurable: false, reason: "no-symbol", about: "no symbol whose modules are known", expectedMm };
  }
  if (!measured.ok)
    return { measurable: false, reason: measured.fault.code, about: sizeFaultText(measured.fault), expectedMm };
  const { widthMm, heightMm, uncertaintyPercent, reference, referenceCorners, distanceMm, tiltDegrees } =
    measured.value;
  const report = checkPrint({
    extent: {
      ...{ unit: "mm", width: widthMm, height: heightMm, source: "raster" },
      uncertainty: (Math.max(uncertaintyPercent.x, uncertaintyPercent.y) / 100) * Math.min(widthMm, heightMm),
    },
    quality: { ...unknownQuality, symbolVersion: symbol.version },
    identity: soundIdentity,
    specification,
  }).size;
  if (!report.measurable) return { measurable: false, reason: "no-symbol", about: "no symbol", expectedMm };
  return { ...report, reference, referenceCorners, distanceMm, tiltDegrees };
}

/** Identity, size and version as every other file is judged. */
function printFindings(
  size: PhotoSize,
  { identity, symbol }: PhotoSubject,
  specification: StickerSpecification,
  condition: Condition | undefined,
): readonly PhotoFinding[] {
  const { verdict, reason, proof, ...judged } = identity;
  const isOverlay = verdict === "overlay";
  // The condition tells of what lies on top; what lies below is judged as if it were free.
  const isKnownReason = (one: string): one is "on-the-list" => one === "on-the-list";
  const { findings } = checkPrint({
    extent: size.measurable
      ? {
          ...{ unit: "mm", width: size.widthMm, height: size.heightMm, source: "raster" },
          uncertainty: (size.uncertaintyPercent / 100) * Math.min(size.widthMm, size.heightMm),
        }
      : { unit: "none", reason: "no-symbol" },
    quality: { ...unknownQuality, symbolVersion: symbol?.version, errorCorrectionLevel: symbol?.level },
    identity: {
      ...judged,
      verdict: isOverlay ? "current" : verdict,
      reason: isKnownReason(reason) ? reason : "nothing-read",
    },
    specification,
  });
  if (!isOverlay) return findings;
  const part = proof.region === undefined ? "" : ` over ${proof.region.columns} x ${proof.region.rows} modules`;
  const says = proof.overlaidTexts.map((text) => `; it reads ${text}`).join("");
  return [
    {
      code: "sticker-overlay",
      where: condition?.findings.find(({ code }) => code === "overlay")?.where ?? "symbol",
      measured: `the sticker of ${identity.panel ?? "this panel"}, with another code on top${part}${says}`,
      expected: "our sticker alone",
      remedy: "Do not scan it. Photograph it, take it off, tell the site's owner; then rotate and reprint.",
    },
    ...findings,
  ];
}

/** A low grade is a finding of its own where no cause explains it. */
function gradeFindings(grade: SymbolGrade | undefined, condition: Condition | undefined): readonly PhotoFinding[] {
  if (grade === undefined || grade.overall.grade >= gradeMin) return [];
  const isGlare = condition?.findings.some(({ code }) => code === "glare") === true;
  return [
    {
      code: "grade-low",
      where: grade.overall.lowest.join(", "),
      measured: gradeHeadline(grade),
      expected: `at least ${gradeMin.toFixed(1)} (C)`,
      remedy: isGlare
        ? "Photograph again without the reflection; the grade is of the photo, not of the sticker."
        : "See the causes; where none is named, photograph again, sharp and in even light, and reprint if it stays.",
    },
  ];
}

function sizeFindings(size: PhotoSize): readonly PhotoFinding[] {
  if (size.measurable || size.reason === "no-symbol") return [];
  return [
    {
      code: "size-not-measurable",
      where: "photo",
      measured: size.about,
      expected: `something of known size beside the code, so that ${size.expectedMm.toFixed(1)} mm can be checked`,
      remedy:
        "Photograph it with an ID-1 card or the calibration card flat beside it, or measure the panel's bezel once.",
    },
  ];
}

function verdictOf(findings: readonly PhotoFinding[], size: PhotoSize): PhotoReport["verdict"] {
  const isGlare = findings.some(({ code }) => code === "glare");
  const failing = findings.filter(({ code }) => !harmlessCodes.has(code) && !(isGlare && unsureInGlare.has(code)));
  if (failing.length > 0) return "fail";
  return size.measurable && !isGlare ? "pass" : "not-measurable";
}

function triageCauses(findings: readonly PhotoFinding[], identity: PhotoIdentity): ReadonlySet<TriageCause> {
  const causes = new Set<TriageCause>();
  for (const { code } of findings) {
    const cause = triageByCode[code];
    if (cause !== undefined) causes.add(cause);
  }
  if (identity.verdict === "unreadable") causes.add("unreadable");
  else if (identity.verdict !== "current" && identity.verdict !== "overlay") causes.add("wrong-sticker");
  return causes;
}

function scanFaultOf(
  profiles: readonly ScanOutcome[],
  { identity }: PhotoSubject,
  condition: Condition | undefined,
): ScanFault {
  const codes = new Set((condition?.findings ?? []).map(({ code }) => code));
  return judgeScanners(profiles, {
    doorlink: identity.proof.by === "reading" || identity.proof.by === "both",
    glare: codes.has("glare"),
    damaged: [...codes].some((code) => code !== "glare" && code !== "curved"),
  });
}

function qualityOf(
  { symbol, mirrored }: PhotoSubject,
  grade: SymbolGrade | undefined,
  condition: Condition | undefined,
): SymbolQuality {
  const sides = grade?.quietZone;
  const narrowest = sides && Math.min(sides.left, sides.top, sides.right, sides.bottom);
  return {
    symbolVersion: symbol?.version,
    errorCorrectionLevel: symbol?.level,
    maskPattern: symbol?.mask,
    moduleErrors: grade?.modules.wrong.reduce((sum, one) => sum + one, 0),
    quietZoneModules: narrowest,
    contrastPercent: condition?.fade?.contrastPercent,
    printScalingOff: undefined,
    inverted: symbol?.inverted,
    mirrored,
  };
}

function photoGrade(grade: SymbolGrade): PhotoGrade {
  const { modules: _, ...told } = grade;
  return { ...told, headline: gradeHeadline(grade) };
}

function sizeFaultText(fault: SizeFault): string {
  switch (fault.code) {
    case "no-reference":
      return `nothing of known size was found (${fault.tried.map(({ reference, reason }) => `${reference}: ${reason}`).join(", ")})`;
    case "symbol-unclear":
      return `the symbol's edges are too unclear (${fault.edges} of ${fault.edgesMin})`;
    case "symbol-not-flat":
      return `the sticker is not flat (${fault.misfitModules.toFixed(2)} modules off)`;
    case "not-a-scan":
      return "seen at an angle";
  }
}

const unknownQuality: SymbolQuality = {
  ...{ symbolVersion: undefined, errorCorrectionLevel: undefined, maskPattern: undefined, moduleErrors: undefined },
  ...{ quietZoneModules: undefined, contrastPercent: undefined, printScalingOff: undefined },
};
const soundIdentity: StickerJudgement = {
  ...{ verdict: "current", reason: "on-the-list", panel: undefined, epoch: undefined, currentEpoch: undefined },
  ...{ expectedPanel: undefined, listAgeMs: undefined },
};
// Most users of the standards pass from C on. Source: GS1 General Specifications.
const gradeMin = 1.5;
const unsureInGlare: ReadonlySet<string> = new Set(["grade-low", ...likeGlare]);
const harmlessCodes: ReadonlySet<string> = new Set(["size-not-measurable", "curved", "worn", "glare"]);
const triageByCode: Readonly<Record<string, TriageCause>> = {
  overlay: "overlay",
  "sticker-overlay": "overlay",
  covered: "covered",
  peeling: "peeling",
  torn: "torn",
  scratch: "scratch",
  dirt: "dirt",
  worn: "worn",
  glare: "glare",
  fade: "fade",
  "quiet-zone-eaten": "quiet-zone-eaten",
  "fit-to-page": "wrong-size",
  scaled: "wrong-size",
  "scaled-unevenly": "wrong-size",
};
