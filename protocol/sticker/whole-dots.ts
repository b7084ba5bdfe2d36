/**
 * A printer has dots, and a module that is not a whole number of them comes out uneven: 1.000 mm at 300 dpi is 11.81 dots, so some
 * modules get 11 and some 12. The module's size is therefore chosen from the printer's, and said. Rules: SPEC Q62.
 */
import { failed, ok, type Result } from "../base/result.ts";
import { printerDotsPerMm, type StickerSpecification } from "./specification.ts";

/** `specification` is the one that was given, with its module at whole dots. `offPercent`: by how much that is larger than wanted. */
export type WholeDots = {
  readonly specification: StickerSpecification & { readonly printerDpi: number };
  readonly dots: number;
  readonly moduleMm: number;
  readonly offPercent: number;
};

export type WholeDotsFault = {
  readonly code: "no-whole-dots";
  readonly wantedMm: number;
  readonly tolerancePercent: number;
  readonly printerDpi: number;
  /** The whole-dot modules on both sides of the wanted one; below the smallest there is none. */
  readonly below: { readonly dots: number; readonly moduleMm: number } | undefined;
  readonly above: { readonly dots: number; readonly moduleMm: number };
};

/**
 * Takes the module to the nearest whole number of dots.
 * Fault: no-whole-dots, when that is off by more than the specification's own tolerance: such a sticker would fail its own check, and
 * which way to go is for the site to say. Source: SPEC Q62.
 */
export function snapToWholeDots(
  specification: StickerSpecification,
  printerDpi: number,
): Result<WholeDots, WholeDotsFault> {
  const dotsPerMm = printerDotsPerMm(printerDpi);
  const wantedMm = specification.moduleMm;
  const dots = Math.max(1, Math.round(wantedMm * dotsPerMm));
  const moduleMm = dots / dotsPerMm;
  const offPercent = (moduleMm / wantedMm - 1) * 100;
  if (Math.abs(offPercent) > specification.tolerancePercent) {
    const floor = Math.floor(wantedMm * dotsPerMm);
    const sized = (count: number) => ({ dots: count, moduleMm: count / dotsPerMm });
    const { tolerancePercent } = specification;
    const below = floor === 0 ? undefined : sized(floor);
    return failed({ code: "no-whole-dots", wantedMm, tolerancePercent, printerDpi, below, above: sized(floor + 1) });
  }
  return ok({ specification: { ...specification, moduleMm, printerDpi }, dots, moduleMm, offPercent });
}
