/** What each reference looks like, as numbers: its outline, how far it stands out, and how exactly all of that is known. */
import { calibrationCardBorderMm, calibrationCardHeightMm, calibrationCardWidthMm } from "./calibration-card.ts";
import type { ReferenceLine, ReferenceShape } from "./scene-fit.ts";
import type { ReferenceKind, SizeReference } from "./size-types.ts";

export type KnownReference = {
  readonly kind: Exclude<ReferenceKind, "density">;
  readonly shape: ReferenceShape;
  /** How far inside the outline the second rectangle of edges lies, if there is one. */
  readonly insetMm: number | undefined;
  readonly place: "around" | "beside";
  readonly proudMm: number;
  readonly proudSigmaMm: number;
  /** What its own sides may be off, one standard deviation, as a part. */
  readonly toleranceSigma: number;
  /** Round corners of this radius are part of what it is; undefined: they may be anything up to `cornerMm`. */
  readonly radiusMm: number | undefined;
  /** What the corners take from each end of a side. */
  readonly cornerMm: number;
  readonly frameGrowthSigmaMm: number;
  /** How far its proportion may be off, as a part, while the symbol is taken for square. */
  readonly aspectOffMax: number;
};

/** ISO/IEC 7810: 85.60 x 53.98 mm, 0.76 mm thick, corners of 3.18 mm; sides within about a tenth of a mm. */
const idCardShape = { widthMm: 85.6, heightMm: 53.98, thicknessMm: 0.76, radiusMm: 3.18 } as const;

export function knownReference(
  reference: Extract<SizeReference, { readonly kind: "bezel" | "id-1" | "calibration-card" }>,
): KnownReference {
  switch (reference.kind) {
    case "bezel":
      return {
        kind: "bezel",
        shape: {
          widthMm: reference.widthMm,
          heightMm: reference.heightMm,
          lines: reference.lipMm === undefined ? outline : [...outline, ...opening(reference.lipMm)],
        },
        insetMm: reference.lipMm,
        place: "around",
        proudMm: reference.proudMm,
        proudSigmaMm: 0.2,
        toleranceSigma: 0.0013,
        radiusMm: undefined,
        cornerMm: Math.min(reference.widthMm, reference.heightMm) * 0.1,
        frameGrowthSigmaMm: 0,
        // Tighter than a card's: the error to be caught is a side's foot taken for its front edge.
        aspectOffMax: 0.006,
      };
    case "id-1":
      return {
        kind: "id-1",
        shape: { widthMm: idCardShape.widthMm, heightMm: idCardShape.heightMm, lines: outline },
        insetMm: undefined,
        place: "beside",
        proudMm: reference.proudMm ?? idCardShape.thicknessMm,
        proudSigmaMm: 0.4,
        toleranceSigma: 0.0006,
        radiusMm: idCardShape.radiusMm,
        cornerMm: idCardShape.radiusMm + 1,
        frameGrowthSigmaMm: 0,
        aspectOffMax,
      };
    case "calibration-card":
      return {
        kind: "calibration-card",
        shape: { widthMm: calibrationCardWidthMm, heightMm: calibrationCardHeightMm, lines: frame },
        insetMm: calibrationCardBorderMm,
        place: "beside",
        proudMm: reference.proudMm ?? 0.2,
        proudSigmaMm: 0.3,
        toleranceSigma: 0.001,
        radiusMm: undefined,
        cornerMm: 1.5,
        frameGrowthSigmaMm: 0.1,
        // Its marks say what it is, so an uneven symbol can be told from another rectangle.
        aspectOffMax: 0.04,
      };
  }
}

/** ID-1 and a business card of 85 x 55 mm are 2.6 % apart; printers stretch paper by half a per cent. */
const aspectOffMax = 0.008;
const sides = [0, 1, 2, 3] as const;
const outline: readonly ReferenceLine[] = sides.map((side) => ({ side, inset: 0, growth: 0, facing: 1 }));

function opening(inset: number): readonly ReferenceLine[] {
  return sides.map((side) => ({ side, inset, growth: 0, facing: -1 }));
}

/** The inner edge of the printed frame moves the other way when its ink grows. */
const frame: readonly ReferenceLine[] = [
  ...sides.map((side): ReferenceLine => ({ side, inset: 0, growth: 1, facing: 0 })),
  ...sides.map((side): ReferenceLine => ({ side, inset: calibrationCardBorderMm, growth: -1, facing: 0 })),
];
