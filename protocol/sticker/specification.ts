/**
 * What a sticker of this site shall be. There is no official number for it: these are doorlink's defaults, chosen for a
 * panel that is scanned from 30-50 cm (rule of thumb: width at least a tenth of the distance), and a site's file may
 * change every one of them. Rules: SPEC Q12.
 */
import { z } from "zod";
import { failed, ok, type Result } from "../base/result.ts";
import type { BezelDimensions } from "./size/size-types.ts";

/**
 * `moduleMm` 0.25..10; `quietZoneModules` 4..20, on each side; `symbolVersion` 1..10 (17 + 4 * version modules a side);
 * `tolerancePercent` 0.1..10, allowed either way on each axis. `minimumContrastPercent` 1..100: (white - black) / white.
 * `printerDpi` 100..4800, of the printer that will print it; absent: unknown, and dots are not judged.
 * `bezel`: the panel's front around the sticker, against which a photo is measured; absent: photos need a card.
 */
export type StickerSpecification = {
  readonly name: string;
  readonly moduleMm: number;
  readonly quietZoneModules: number;
  readonly errorCorrectionLevel: "L" | "M" | "Q" | "H";
  readonly symbolVersion: number;
  readonly tolerancePercent: number;
  readonly minimumContrastPercent: number;
  readonly printerDpi?: number | undefined;
  readonly bezel?: BezelDimensions | undefined;
};

export type SpecificationFault = {
  readonly code: "bad-specification";
  /** All mistakes at once. */
  readonly mistakes: readonly { readonly where: string; readonly expected: string }[];
};

/** 33 modules of 1 mm with a quarter of the codewords for repair: 33 mm wide, up to 67 characters of payload. */
export const defaultStickerSpecification: StickerSpecification = {
  name: "doorlink default",
  moduleMm: 1,
  quietZoneModules: 4,
  errorCorrectionLevel: "Q",
  symbolVersion: 4,
  tolerancePercent: 2,
  minimumContrastPercent: 70,
};

/**
 * Reads a specification as a file gives it; what is left out keeps its default, an unknown field is a mistake.
 * Faults: bad-specification with every mistake. Source: SPEC Q12.
 */
export function parseStickerSpecification(value: unknown): Result<StickerSpecification, SpecificationFault> {
  const read = specificationSchema.safeParse(value);
  if (read.success) return ok(read.data);
  const mistakes = read.error.issues.map((issue) => ({ where: issue.path.join("."), expected: issue.message }));
  return failed({ code: "bad-specification", mistakes });
}

/**
 * Dots to the millimetre. What is sold as 203 dpi has 8 dots to the millimetre exactly (203.2 dpi); the others mean inches.
 * Source: the makers' data sheets; SPEC Q50.
 */
export function printerDotsPerMm(printerDpi: number): number {
  return printerDpi === 203 ? 8 : printerDpi / 25.4;
}

/** Modules a side, quiet zone not counted. */
export function symbolModules(symbolVersion: number): number {
  return 17 + 4 * symbolVersion;
}

/** Width of the symbol in mm, quiet zone not counted. */
export function symbolSizeMm(specification: StickerSpecification): number {
  return symbolModules(specification.symbolVersion) * specification.moduleMm;
}

const specificationSchema = z.strictObject({
  name: z.string().min(1).max(80).default(defaultStickerSpecification.name),
  moduleMm: z.number().min(0.25).max(10).default(defaultStickerSpecification.moduleMm),
  quietZoneModules: z.int().min(4).max(20).default(defaultStickerSpecification.quietZoneModules),
  errorCorrectionLevel: z.enum(["L", "M", "Q", "H"]).default(defaultStickerSpecification.errorCorrectionLevel),
  symbolVersion: z.int().min(1).max(10).default(defaultStickerSpecification.symbolVersion),
  tolerancePercent: z.number().min(0.1).max(10).default(defaultStickerSpecification.tolerancePercent),
  minimumContrastPercent: z.number().min(1).max(100).default(defaultStickerSpecification.minimumContrastPercent),
  printerDpi: z.number().min(100).max(4800).optional(),
  bezel: z
    .strictObject({
      widthMm: z.number().min(20).max(600),
      heightMm: z.number().min(20).max(600),
      proudMm: z.number().min(-20).max(50).default(0),
      lipMm: z.number().min(1).max(100).optional(),
    })
    .optional(),
});
