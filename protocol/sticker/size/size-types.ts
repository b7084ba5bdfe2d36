/** What size by photo takes and gives; `measureSize` (measure-size.ts) does the work. Rules: SPEC Q84-Q90. */
import type { GreyPicture } from "../grey-picture.ts";
import type { Point, SymbolMap } from "../plane.ts";

/**
 * The panel's front, as the site measured it once: the outer rectangle of straight edges that a photo shows around the sticker.
 * `widthMm` and `heightMm` 20..600; `proudMm` -20..50: how far those edges stand in front of the sticker's face. `lipMm` 1..100: width of
 * the rim, where the panel has one: then its inner edges count too, and outer and inner ones cannot be mistaken for each other.
 */
export type BezelDimensions = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly proudMm: number;
  readonly lipMm?: number | undefined;
};

/** Pixels to the mm on each axis of the picture: a flat-bed scan that states its density. */
export type ScanDensity = { readonly x: number; readonly y: number };

/**
 * What lends the picture its millimetres. `proudMm` of a card: how far its face stands in front of the sticker's; by default
 * its own thickness, as when it is held against the wall beside the sticker.
 */
export type SizeReference =
  | ({ readonly kind: "bezel" } & BezelDimensions)
  | { readonly kind: "id-1"; readonly proudMm?: number | undefined }
  | { readonly kind: "calibration-card"; readonly proudMm?: number | undefined }
  | { readonly kind: "density"; readonly density: ScanDensity }
  /** Whatever is there: the density if it is given, then the calibration card, the bezel if the site has one, an ID-1 card. */
  | {
      readonly kind: "auto";
      readonly density?: ScanDensity | undefined;
      readonly bezel?: BezelDimensions | undefined;
    };

export type ReferenceKind = "density" | "calibration-card" | "bezel" | "id-1";

export type SizeOrder = {
  readonly picture: GreyPicture;
  /** Where the symbol lies, to half a module. */
  readonly map: SymbolMap;
  /** The true modules, 1 dark, row by row: those of the payload, not those that are seen. */
  readonly dark: Uint8Array;
  /** What the specification asks of a module; the size is looked for between 75 % and 130 % of it. */
  readonly moduleMm: number;
  readonly reference: SizeReference;
  /**
   * Focal length over the longer side of the picture (EXIF: focal length in 35 mm film / 36 for 3:2, / 34.6 for 4:3).
   * Absent: 0.78, known only to a fifth; it matters for what does not lie in the sticker's plane.
   */
  readonly focalRatio?: number | undefined;
};

export type SizeMeasurement = {
  /** The symbol's own axes: x along its rows, y along its columns; without quiet zone; ink growth taken out. */
  readonly widthMm: number;
  readonly heightMm: number;
  readonly moduleMm: { readonly x: number; readonly y: number };
  /** Against the specified module. */
  readonly scalePercent: { readonly x: number; readonly y: number };
  /** Half of the 95 % interval of each scale, in percent of it. */
  readonly uncertaintyPercent: { readonly x: number; readonly y: number };
  readonly reference: ReferenceKind;
  /** Its corners in the picture (of a card with round corners: where its sides meet); undefined for a density. */
  readonly referenceCorners: readonly [Point, Point, Point, Point] | undefined;
  /** The camera from the symbol, in mm, and how far from straight on it looked, in degrees; undefined for a density. */
  readonly distanceMm: number | undefined;
  readonly tiltDegrees: number | undefined;
  /** How far the dark of the print runs beyond its edges, both sides together, in modules: seen, ink and light alike. */
  readonly growthModules: { readonly x: number; readonly y: number };
};

/** All of them mean `not-measurable`; none of them carries a size. */
export type SizeFault =
  /** Nothing in the picture has the shape of the reference. `tried` says what was looked for and what stood against each. */
  | { readonly code: "no-reference"; readonly tried: readonly TriedReference[] }
  /** The symbol's own edges could not be measured: too small, too blurred or too damaged. */
  | { readonly code: "symbol-unclear"; readonly edges: number; readonly edgesMin: number }
  /** A curved, folded or loose sticker has no one plane. `misfitModules`: root mean square of its edges. */
  | { readonly code: "symbol-not-flat"; readonly misfitModules: number; readonly misfitMax: number }
  /** The density is of a scan, but the symbol is seen at an angle. */
  | { readonly code: "not-a-scan"; readonly skewPercent: number; readonly skewMax: number };

export type TriedReference = {
  readonly reference: ReferenceKind;
  readonly reason: ReferenceTrouble;
  /** For `wrong-aspect`: the rectangle's longer over its shorter side as seen, and that of the reference. */
  readonly measuredAspect?: number;
  readonly expectedAspect?: number;
};

export type ReferenceTrouble =
  /** No rectangle of about that size and shape. */
  | "not-found"
  /** There is one, but its sides are not in the proportion of the reference: a business card, another panel. */
  | "wrong-aspect"
  /** Several rectangles fit and say different sizes. */
  | "ambiguous"
  /** Its edges are not straight, or do not lie in a plane parallel to the sticker's. */
  | "not-flat"
  /** Square corners where a card has round ones. */
  | "wrong-corners"
  /** The frame is there, the four marks are not. */
  | "marks-missing"
  /** Measured, but no better than `uncertaintyMaxPercent`. */
  | "too-uncertain";
