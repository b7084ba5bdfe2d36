/**
 * Does a print file show the right sticker at the right size? Takes what was measured and read, gives a report.
 *
 * Rules: SPEC Q14-Q19, Q49, Q50. Theory: the size of a module is the truth, because it holds for a symbol of any version; both axes
 * are judged on their own and then compared with each other. What cannot be measured is said as not measurable and never
 * guessed: pixels without a density have no millimetres.
 */
import { printerDotsPerMm, type StickerSpecification, symbolModules, symbolSizeMm } from "./specification.ts";
import type { StickerJudgement } from "./verdict.ts";

/** The symbol's extent without quiet zone: in mm (vector files), in pixels (pictures), or why there is none. */
export type SymbolExtent =
  | {
      readonly unit: "mm";
      readonly width: number;
      readonly height: number;
      readonly uncertainty: number;
      /** A picture that a PDF or SVG places in mm is a raster all the same; absent: vector. */
      readonly source?: "vector" | "raster" | undefined;
    }
  | {
      readonly unit: "px";
      readonly width: number;
      readonly height: number;
      readonly uncertainty: number;
      /** Pixels per mm on each axis; undefined when the file states none that can be believed. */
      readonly density: { readonly x: number; readonly y: number } | undefined;
      readonly source?: "vector" | "raster" | undefined;
    }
  | { readonly unit: "none"; readonly reason: "no-symbol" | "tilted" };

/** The narrowest and the widest of all columns, or rows; `noise`: how much of their difference chance alone may make. */
export type WidthRange = {
  readonly narrowest: number;
  readonly widest: number;
  readonly noise?: number | undefined;
};

/** Columns (x) and rows (y) of modules. */
export type ModuleRange = { readonly x: WidthRange; readonly y: WidthRange; readonly unit: "px" | "mm" };

/** What was read and seen of the symbol; undefined where it could not be told. */
export type SymbolQuality = {
  readonly symbolVersion: number | undefined;
  readonly errorCorrectionLevel: "L" | "M" | "Q" | "H" | undefined;
  readonly maskPattern: number | undefined;
  /** Modules that differ from the payload encoded again; undefined if that could not be done. */
  readonly moduleErrors: number | undefined;
  /** The narrowest side, in modules, counted up to what the specification asks. */
  readonly quietZoneModules: number | undefined;
  /** The side, as the symbol stands, that is the narrowest. */
  readonly quietZoneSide?: "left" | "top" | "right" | "bottom" | undefined;
  /** (white - black) / white; below 0 when the symbol is light on dark. */
  readonly contrastPercent: number | undefined;
  /** PDF only: the print dialog opens at "no scaling". */
  readonly printScalingOff: boolean | undefined;
  /** Light modules on a dark ground. */
  readonly inverted?: boolean | undefined;
  /** As seen in a mirror; undefined if it could not be told. */
  readonly mirrored?: boolean | undefined;
  /** Modules that are of the right colour but not all over. */
  readonly mixedModules?: number | undefined;
  readonly moduleRange?: ModuleRange | undefined;
};

export type SizeReport =
  | {
      readonly measurable: true;
      readonly widthMm: number;
      readonly heightMm: number;
      readonly expectedMm: number;
      readonly moduleMm: { readonly x: number; readonly y: number };
      readonly scalePercent: { readonly x: number; readonly y: number };
      readonly uncertaintyPercent: number;
      readonly uniform: boolean;
      readonly tolerancePercent: number;
      readonly source: "vector" | "raster";
    }
  | {
      readonly measurable: false;
      readonly reason: "no-symbol" | "tilted" | "no-density";
      readonly widthPx: number | undefined;
      readonly heightPx: number | undefined;
      readonly expectedMm: number;
    };

export type FindingCode =
  | "fit-to-page"
  | "scaled"
  | "scaled-unevenly"
  | "modules-uneven"
  | "printer-dots-not-whole"
  | "printer-dots-few"
  | "density-missing"
  | "tilted"
  | "print-scaling-not-off"
  | "quiet-zone-narrow"
  | "contrast-low"
  | "inverted"
  | "mirrored"
  | "symbol-version-differs"
  | "error-correction-differs"
  | "modules-differ"
  | `sticker-${Exclude<StickerJudgement["verdict"], "current">}`;

export type PrintFinding = {
  readonly code: FindingCode;
  readonly where: string;
  readonly measured: string;
  readonly expected: string;
  readonly remedy: string;
};

export type PrintReport = {
  readonly verdict: "pass" | "fail" | "not-measurable";
  readonly size: SizeReport;
  readonly quality: SymbolQuality;
  readonly identity: StickerJudgement;
  readonly findings: readonly PrintFinding[];
};

/**
 * Judges one symbol. `fail` if anything is wrong, else `not-measurable` if the size could not be told, else `pass`.
 * Findings come identity first, then size, then quality. Source: SPEC Q14-Q19, Q49, Q50.
 */
export function checkPrint(measured: {
  readonly extent: SymbolExtent;
  readonly quality: SymbolQuality;
  readonly identity: StickerJudgement;
  readonly specification: StickerSpecification;
}): PrintReport {
  const { extent, quality, identity, specification } = measured;
  const size = sizeReport(extent, quality.symbolVersion, specification);
  const findings = [
    ...identityFindings(identity),
    ...sizeFindings(size),
    ...printerFindings(size, quality.symbolVersion, specification),
    ...evennessFindings(quality),
    ...qualityFindings(quality, specification, identity.verdict !== "foreign" && identity.verdict !== "unreadable"),
  ];
  const failing = findings.some((finding) => !unmeasuredCodes.has(finding.code));
  const verdict = failing ? "fail" : size.measurable ? "pass" : "not-measurable";
  return { verdict, size, quality, identity, findings };
}

/** Millimetres and percent per axis; an unknown version is taken as the specified one. Source: SPEC Q14. */
function sizeReport(
  extent: SymbolExtent,
  symbolVersion: number | undefined,
  specification: StickerSpecification,
): SizeReport {
  const expectedMm = symbolSizeMm(specification);
  if (extent.unit === "none") {
    return { measurable: false, reason: extent.reason, widthPx: undefined, heightPx: undefined, expectedMm };
  }
  const perMm = extent.unit === "mm" ? { x: 1, y: 1 } : extent.density;
  if (perMm === undefined) {
    return { measurable: false, reason: "no-density", widthPx: extent.width, heightPx: extent.height, expectedMm };
  }
  const modules = symbolModules(symbolVersion ?? specification.symbolVersion);
  const widthMm = extent.width / perMm.x;
  const heightMm = extent.height / perMm.y;
  const moduleMm = { x: widthMm / modules, y: heightMm / modules };
  const scalePercent = {
    x: (100 * moduleMm.x) / specification.moduleMm,
    y: (100 * moduleMm.y) / specification.moduleMm,
  };
  const uncertaintyPercent = (100 * extent.uncertainty) / Math.min(extent.width, extent.height);
  // What the measurement itself may be off is no proof of uneven scaling.
  const allowedSpread = Math.max(unevenPercentMin, 2 * uncertaintyPercent);
  return {
    measurable: true,
    widthMm,
    heightMm,
    expectedMm,
    moduleMm,
    scalePercent,
    uncertaintyPercent,
    uniform: Math.abs(scalePercent.x - scalePercent.y) <= allowedSpread,
    tolerancePercent: specification.tolerancePercent,
    source: extent.source ?? (extent.unit === "mm" ? "vector" : "raster"),
  };
}

function sizeFindings(size: SizeReport): readonly PrintFinding[] {
  if (!size.measurable) return unmeasuredFindings(size);
  const { x, y } = size.scalePercent;
  const offMax = Math.max(Math.abs(x - 100), Math.abs(y - 100));
  if (offMax <= size.tolerancePercent) return [];
  const about = {
    where: "symbol",
    measured: size.uniform
      ? `${x.toFixed(1)} % (${millimetres(size.widthMm)} wide)`
      : `${x.toFixed(1)} % wide, ${y.toFixed(1)} % high`,
    expected: `100 % +/- ${size.tolerancePercent} % (${millimetres(size.expectedMm)})`,
  };
  if (!size.uniform) {
    const remedy = "Print at 100 % with the printer's resolution equal on both axes; do not stretch the picture.";
    return [{ ...about, code: "scaled-unevenly", remedy }];
  }
  // SPEC Q16: what print dialogs do to keep a page inside the printable area.
  if (x >= fitToPageFrom && x <= fitToPageTo) {
    const remedy = 'Print again at 100 % ("actual size"), with "fit to page" switched off.';
    return [{ ...about, code: "fit-to-page", remedy }];
  }
  return [{ ...about, code: "scaled", remedy: 'Print again at 100 % ("actual size").' }];
}

function unmeasuredFindings(size: SizeReport & { readonly measurable: false }): readonly PrintFinding[] {
  if (size.reason === "no-density") {
    return [
      {
        code: "density-missing",
        where: "file",
        measured: `${Math.round(size.widthPx ?? 0)} x ${Math.round(size.heightPx ?? 0)} px, no density`,
        expected: `a density, so that ${millimetres(size.expectedMm)} can be checked`,
        remedy: "Export with the density (dpi) written into the file, an SVG with its size in mm, or check the PDF.",
      },
    ];
  }
  if (size.reason === "tilted") {
    return [
      {
        code: "tilted",
        where: "symbol",
        measured: "seen at an angle",
        expected: "a print file or a flat scan, sides parallel to the picture",
        remedy: "Check the print file, or scan the print on a flat-bed scanner.",
      },
    ];
  }
  // Without a symbol the identity already says `unreadable`; a second finding would say the same.
  return [];
}

/**
 * SPEC Q50: modules of a whole number of dots, so that the driver has nothing to round. What the measurement may be off is
 * on the file's side.
 */
function printerFindings(
  size: SizeReport,
  symbolVersion: number | undefined,
  specification: StickerSpecification,
): readonly PrintFinding[] {
  const { printerDpi } = specification;
  if (!size.measurable || printerDpi === undefined) return [];
  const dotsPerMm = printerDotsPerMm(printerDpi);
  const modules = symbolModules(symbolVersion ?? specification.symbolVersion);
  const dots = [size.moduleMm.x * dotsPerMm, size.moduleMm.y * dotsPerMm] as const;
  const uncertainDots = (size.uncertaintyPercent / 100) * Math.max(...dots) * modules;
  const offDots = Math.max(...dots.map((each) => Math.abs(each - Math.round(each)) * modules));
  const whole = Math.max(dotsMin, Math.round((dots[0] + dots[1]) / 2));
  const about = {
    where: "symbol",
    measured: `${dots[0].toFixed(2)} x ${dots[1].toFixed(2)} dots a module at ${printerDpi} dpi`,
    remedy: `Make the module ${(whole / dotsPerMm).toFixed(3)} mm (${whole} dots).`,
  };
  if (Math.max(...dots) < dotsMin - uncertainDots / modules - roundingDots) {
    return [{ ...about, code: "printer-dots-few", expected: `at least ${dotsMin} dots a module` }];
  }
  if (offDots - uncertainDots <= offDotsMax) return [];
  return [{ ...about, code: "printer-dots-not-whole", expected: "a whole number of dots a module" }];
}

/** SPEC Q49: what a picture scaled by pixels, or a drawing rounded to points, does to its modules. */
function evennessFindings({ moduleRange }: SymbolQuality): readonly PrintFinding[] {
  if (moduleRange === undefined) return [];
  const uneven = (["x", "y"] as const).filter((axis) => isUneven(moduleRange, axis));
  if (uneven.length === 0) return [];
  const places = moduleRange.unit === "px" ? 1 : 3;
  const words = uneven.map((axis) => {
    const { narrowest, widest } = moduleRange[axis];
    const named = axis === "x" ? "columns" : "rows";
    return `${named} of ${narrowest.toFixed(places)} to ${widest.toFixed(places)} ${moduleRange.unit}`;
  });
  return [
    {
      code: "modules-uneven",
      where: "symbol",
      measured: words.join(", "),
      expected: "modules of one size",
      remedy:
        "Draw each module with the same whole number of pixels (an integer `scale`, not a `width`), or use the PDF.",
    },
  ];
}

function isUneven(range: ModuleRange, axis: "x" | "y"): boolean {
  const { narrowest, widest, noise = 0 } = range[axis];
  const spread = widest - narrowest - noise;
  return spread > (unevenModulePercent / 100) * widest && (range.unit === "mm" || spread > unevenPxMin);
}

function qualityFindings(
  quality: SymbolQuality,
  specification: StickerSpecification,
  ours: boolean,
): readonly PrintFinding[] {
  const findings: PrintFinding[] = [];
  const add = (code: FindingCode, where: string, measured: string, expected: string, remedy: string) =>
    findings.push({ code, where, measured, expected, remedy });
  const reprint = "Make the file again with `doorlink sticker make`.";
  const { symbolVersion, errorCorrectionLevel, moduleErrors, quietZoneModules, contrastPercent } = quality;
  if (quality.printScalingOff === false) {
    const remedy = `${reprint} Until then choose "actual size" in the print dialog.`;
    add("print-scaling-not-off", "document", "print dialog opens with scaling", "print scaling: none", remedy);
  }
  const quietMin = specification.quietZoneModules;
  if (quietZoneModules !== undefined && quietZoneModules < quietMin - quietSlackModules) {
    const remedy = "Leave white space around the symbol: no frame, text or cut nearer than that.";
    const where = quality.quietZoneSide === undefined ? "quiet zone" : `quiet zone, ${quality.quietZoneSide}`;
    add("quiet-zone-narrow", where, `${quietZoneModules.toFixed(1)} modules`, `${quietMin} modules`, remedy);
  }
  if (quality.inverted === true) {
    const remedy = "Print dark modules on a light ground: many readers know no other.";
    add("inverted", "symbol", "light modules on a dark ground", "dark modules on a light ground", remedy);
  }
  if (quality.mirrored === true) {
    add("mirrored", "symbol", "seen as in a mirror", "not mirrored", "Switch mirroring off in the print dialog.");
  }
  const contrastMin = specification.minimumContrastPercent;
  // Of an inverted symbol the contrast says no more than that.
  if (contrastPercent !== undefined && quality.inverted !== true && contrastPercent < contrastMin) {
    const remedy = "Print black on white, without a tint behind the symbol.";
    add("contrast-low", "symbol", `${contrastPercent.toFixed(0)} %`, `at least ${contrastMin} %`, remedy);
  }
  if (!ours) return findings;
  if (symbolVersion !== undefined && symbolVersion !== specification.symbolVersion) {
    const expected = `version ${specification.symbolVersion}`;
    add("symbol-version-differs", "symbol", `version ${symbolVersion}`, expected, reprint);
  }
  if (errorCorrectionLevel !== undefined && errorCorrectionLevel !== specification.errorCorrectionLevel) {
    const expected = `level ${specification.errorCorrectionLevel}`;
    add("error-correction-differs", "symbol", `level ${errorCorrectionLevel}`, expected, reprint);
  }
  const mixed = quality.mixedModules ?? 0;
  if ((moduleErrors !== undefined && moduleErrors > 0) || mixed > 0) {
    const remedy = `${reprint} A print file has no damaged modules.`;
    const partly = mixed > (moduleErrors ?? 0) ? `, ${mixed} not of one colour` : "";
    add("modules-differ", "symbol", `${moduleErrors ?? 0} modules differ${partly}`, "0 modules differ", remedy);
  }
  return findings;
}

function identityFindings(identity: StickerJudgement): readonly PrintFinding[] {
  if (identity.verdict === "current") return [];
  const panel = identity.panel ?? identity.expectedPanel ?? "this panel";
  const words = identityWords[identity.verdict];
  const claimed = identity.epoch === undefined ? "" : ` (epoch ${identity.epoch})`;
  const wanted = identity.currentEpoch === undefined ? "" : ` (epoch ${identity.currentEpoch})`;
  return [
    {
      code: `sticker-${identity.verdict}`,
      where: "payload",
      measured: words.measured.replace("{panel}", panel) + claimed,
      expected: `the current sticker of ${identity.expectedPanel ?? panel}${wanted}`,
      remedy: words.remedy,
    },
  ];
}

function millimetres(value: number): string {
  return `${value.toFixed(2)} mm`;
}

const identityWords = {
  retired: { measured: "a retired sticker of {panel}", remedy: "Throw it away; make and print the current sticker." },
  misplaced: { measured: "the sticker of {panel}", remedy: "Put it where it belongs; make the right one for here." },
  "newer-than-known": {
    measured: "a sticker newer than this agent's list",
    remedy: "Wait until the agent has synced with upstream, then check again.",
  },
  foreign: { measured: "a code that is not of this site", remedy: "Do not use it. If it hangs on a door, remove it." },
  altered: {
    measured: "our address with a token the authority did not mint",
    remedy: "Do not use it. Make and print the current sticker; find out where this one came from.",
  },
  unreadable: {
    measured: "no code could be read",
    remedy: "Make the file again; check that the whole symbol is shown.",
  },
} as const;

const unmeasuredCodes: ReadonlySet<FindingCode> = new Set(["density-missing", "tilted"]);
// Below four dots a printer's own blur closes the gaps between modules. Source: Denso Wave's advice.
const dotsMin = 4;
// Half a dot over the whole symbol: from there on some module gets a dot more or less than its neighbours.
const offDotsMax = 0.5;
// A module of 4 dots that is written to three digits of a millimetre is not called one of 3.99.
const roundingDots = 0.02;
// 24 and 25 px are uneven, 40 and 41 no reader can tell.
const unevenModulePercent = 2.5;
// Edges of smoothed pictures of three-pixel modules are found to a third of a pixel; rounding moves them by a whole one.
const unevenPxMin = 0.5;
// Printers whose axes differ by less than this are common, and no reader minds.
const unevenPercentMin = 0.5;
const fitToPageFrom = 89.5;
const fitToPageTo = 97.9;
// A quiet zone is counted in whole pixels; half a module is less than any reader's margin and more than rounding.
const quietSlackModules = 0.25;
