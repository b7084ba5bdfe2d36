import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { snapToWholeDots } from "../../../protocol/sticker/whole-dots.ts";

const wanting = (moduleMm: number, tolerancePercent = 2) => ({
  ...defaultStickerSpecification,
  moduleMm,
  tolerancePercent,
});

describe("whole dots", () => {
  it.each([
    // Printer, wanted, dots, size: 8 dots to the mm exactly where 203 is said, else to the inch.
    [203, 1, 8, 1],
    [203, 0.5, 4, 0.5],
    [300, 1, 12, 1.016],
    [300, 0.339, 4, 0.33867],
    [300, 0.762, 9, 0.762],
    [600, 1, 24, 1.016],
    [600, 0.508, 12, 0.508],
  ])("[Q62] at %i dpi %f mm is %i dots of %f mm together", (printerDpi, moduleMm, dots, sizeMm) => {
    const snapped = snapToWholeDots(wanting(moduleMm), printerDpi);
    expect(snapped).toMatchObject({ ok: true, value: { dots, specification: { printerDpi } } });
    if (!snapped.ok) return;
    expect(snapped.value.moduleMm).toBeCloseTo(sizeMm, 4);
    expect(snapped.value.specification.moduleMm).toBe(snapped.value.moduleMm);
    expect(snapped.value.offPercent).toBeCloseTo((snapped.value.moduleMm / moduleMm - 1) * 100, 9);
  });

  it("[Q62] what is off by more than the tolerance is refused, and both sides are named", () => {
    expect(snapToWholeDots(wanting(0.9), 203)).toEqual({
      ok: false,
      fault: {
        code: "no-whole-dots",
        wantedMm: 0.9,
        tolerancePercent: 2,
        printerDpi: 203,
        below: { dots: 7, moduleMm: 0.875 },
        above: { dots: 8, moduleMm: 1 },
      },
    });
    expect(snapToWholeDots(wanting(0.9, 3), 203)).toMatchObject({ ok: true, value: { dots: 7 } });
    expect(snapToWholeDots(wanting(0.25), 50)).toMatchObject({ fault: { below: undefined, above: { dots: 1 } } });
  });

  it("[Q62] what is taken is whole, within tolerance and the nearest there is; what is refused has no whole dots within it", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.25, max: 10, noNaN: true }),
        fc.constantFrom(203, 300, 600),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (moduleMm, printerDpi, tolerancePercent) => {
          const perMm = printerDpi === 203 ? 8 : printerDpi / 25.4;
          const errors = Array.from({ length: 250 }, (_, dots) => Math.abs((dots + 1) / perMm / moduleMm - 1) * 100);
          const best = Math.min(...errors);
          const snapped = snapToWholeDots(wanting(moduleMm, tolerancePercent), printerDpi);
          expect(snapped.ok).toBe(best <= tolerancePercent);
          if (snapped.ok) expect(Math.abs(snapped.value.offPercent)).toBeCloseTo(best, 6);
        },
      ),
      { numRuns: 300 },
    );
  });
});
