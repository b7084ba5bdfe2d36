import { describe, expect, it } from "vitest";
import { checkPrint, type SymbolExtent, type SymbolQuality } from "../../../protocol/sticker/print-check.ts";
import { defaultStickerSpecification, parseStickerSpecification } from "../../../protocol/sticker/specification.ts";
import type { StickerJudgement } from "../../../protocol/sticker/verdict.ts";

const identity: StickerJudgement = {
  verdict: "current",
  reason: "on-the-list",
  panel: "lobby",
  epoch: 3,
  currentEpoch: 3,
  expectedPanel: "lobby",
  listAgeMs: 0,
};

const quality: SymbolQuality = {
  symbolVersion: 4,
  errorCorrectionLevel: "Q",
  maskPattern: 2,
  moduleErrors: 0,
  quietZoneModules: 4,
  contrastPercent: 100,
  printScalingOff: undefined,
};

function check(change: {
  readonly extent?: SymbolExtent;
  readonly quality?: Partial<SymbolQuality>;
  readonly identity?: Partial<StickerJudgement>;
}) {
  return checkPrint({
    extent: change.extent ?? pixels(792, 792),
    quality: { ...quality, ...change.quality },
    identity: { ...identity, ...change.identity },
    specification: defaultStickerSpecification,
  });
}

function pixels(width: number, height: number, density: { x: number; y: number } | undefined = { x: 24, y: 24 }) {
  return { unit: "px", width, height, uncertainty: 1, density } as const;
}

const codes = (report: ReturnType<typeof check>) => report.findings.map((finding) => finding.code);

describe("size", () => {
  it("[Q14] takes pixels by the density of each axis and vector extents as they are", () => {
    const raster = check({ extent: pixels(792, 396, { x: 24, y: 12 }) });
    expect(raster).toMatchObject({
      verdict: "pass",
      size: { widthMm: 33, heightMm: 33, scalePercent: { x: 100, y: 100 }, uniform: true, source: "raster" },
    });
    const vector = check({ extent: { unit: "mm", width: 31.02, height: 31.02, uncertainty: 0.001 } });
    expect(vector.size).toMatchObject({ measurable: true, widthMm: 31.02, expectedMm: 33, source: "vector" });
  });

  it("[Q14] measures modules, so that a symbol of another version is not called scaled", () => {
    const report = check({ extent: pixels(37 * 24, 37 * 24), quality: { symbolVersion: 5 } });
    expect(report.size).toMatchObject({ scalePercent: { x: 100, y: 100 } });
    expect(codes(report)).toEqual(["symbol-version-differs"]);
  });

  it.each([
    [98.1, "pass", []],
    [101.9, "pass", []],
    [97.8, "fail", ["fit-to-page"]],
    [97, "fail", ["fit-to-page"]],
    [94, "fail", ["fit-to-page"]],
    [90, "fail", ["fit-to-page"]],
    [89, "fail", ["scaled"]],
    [50, "fail", ["scaled"]],
    [103, "fail", ["scaled"]],
    [200, "fail", ["scaled"]],
  ] as const)("[Q16] %d %% of the size: %s %j", (percent, verdict, expected) => {
    const report = check({ extent: pixels(7.92 * percent, 7.92 * percent) });
    expect(report.verdict).toBe(verdict);
    expect(codes(report)).toEqual(expected);
    const { size } = report;
    expect(size.measurable && size.scalePercent.x).toBeCloseTo(percent, 6);
    for (const finding of report.findings) expect(finding.measured).toContain(`${percent.toFixed(1)} %`);
  });

  it("[Q16] names uneven scaling with both percents, and calls no difference uneven that is within the measurement", () => {
    const uneven = check({ extent: pixels(792, 744) });
    expect(codes(uneven)).toEqual(["scaled-unevenly"]);
    expect(uneven.findings[0]?.measured).toBe("100.0 % wide, 93.9 % high");
    // 3 pixels to a module: a pixel is one percent, and two of them prove nothing.
    const coarse = check({ extent: pixels(93, 94.5, { x: 3, y: 3 }) });
    expect(codes(coarse)).toEqual(["fit-to-page"]);
  });

  it("[Q15] [Q19] no density, a tilt or no symbol: not measurable, never a guess", () => {
    const without = check({ extent: { unit: "px", width: 792, height: 792, uncertainty: 1, density: undefined } });
    expect(without).toMatchObject({
      verdict: "not-measurable",
      size: { measurable: false, reason: "no-density", widthPx: 792, expectedMm: 33 },
    });
    expect(codes(without)).toEqual(["density-missing"]);
    const tilted = check({ extent: { unit: "none", reason: "tilted" } });
    expect(tilted.verdict).toBe("not-measurable");
    expect(codes(tilted)).toEqual(["tilted"]);
    const nothing = check({
      extent: { unit: "none", reason: "no-symbol" },
      identity: { verdict: "unreadable", reason: "nothing-read" },
    });
    expect(nothing).toMatchObject({ verdict: "fail", size: { measurable: false, reason: "no-symbol" } });
    expect(codes(nothing)).toEqual(["sticker-unreadable"]);
  });
});

describe("findings", () => {
  it.each(["retired", "misplaced", "newer-than-known", "foreign", "altered", "unreadable"] as const)(
    "[Q17] a %s sticker fails at the right size, with a remedy",
    (verdict) => {
      const report = check({ identity: { verdict } });
      expect(report.verdict).toBe("fail");
      expect(codes(report)).toEqual([`sticker-${verdict}`]);
      expect(report.findings[0]?.remedy).not.toBe("");
      expect(report.findings[0]?.measured).not.toContain("{");
    },
  );

  it("[Q17] fails rather than says not measurable when both are so, identity first", () => {
    const extent = { unit: "px", width: 792, height: 792, uncertainty: 1, density: undefined } as const;
    const report = check({ extent, identity: { verdict: "retired" } });
    expect(report.verdict).toBe("fail");
    expect(codes(report)).toEqual(["sticker-retired", "density-missing"]);
  });

  it.each([
    [{ quietZoneModules: 3.5 }, ["quiet-zone-narrow"]],
    [{ quietZoneModules: 3.8 }, []],
    [{ contrastPercent: 60 }, ["contrast-low"]],
    [{ errorCorrectionLevel: "L" as const }, ["error-correction-differs"]],
    [{ moduleErrors: 2 }, ["modules-differ"]],
    [{ printScalingOff: false }, ["print-scaling-not-off"]],
    [{ printScalingOff: true }, []],
    [{ errorCorrectionLevel: undefined, moduleErrors: undefined, quietZoneModules: undefined }, []],
  ])("[Q18] %j gives %j", (change, expected) => {
    const report = check({ quality: change });
    expect(codes(report)).toEqual(expected);
    expect(report.verdict).toBe(expected.length === 0 ? "pass" : "fail");
  });

  it("[Q18] a foreign code is not told to be of our version and level", () => {
    const report = check({
      extent: pixels(25 * 24, 25 * 24),
      identity: { verdict: "foreign" },
      quality: { symbolVersion: 2, errorCorrectionLevel: "L" },
    });
    expect(codes(report)).toEqual(["sticker-foreign"]);
  });
});

describe("modules and dots", () => {
  it.each([
    [7, 8, "px", ["modules-uneven"]],
    [24, 25, "px", ["modules-uneven"]],
    [40, 41, "px", []],
    [4, 4.3, "px", []],
    [0.98, 1.02, "mm", ["modules-uneven"]],
    [0.99, 1.01, "mm", []],
  ] as const)("[Q49] columns of %f to %f %s: %j", (narrowest, widest, unit, expected) => {
    const even = { narrowest: widest, widest };
    const report = check({ quality: { moduleRange: { x: { narrowest, widest }, y: even, unit } } });
    expect(codes(report)).toEqual(expected);
    if (expected.length > 0) expect(report.findings[0]?.measured).toContain("columns");
  });

  const vector = (moduleMm: number) =>
    ({ unit: "mm", width: 33 * moduleMm, height: 33 * moduleMm, uncertainty: 0.001 }) as const;
  it.each([
    [203, 1, []],
    [203, 1.001, []],
    [300, 1.016, []],
    [300, 1, ["printer-dots-not-whole"]],
    [600, 1.016, []],
    [600, 1.02, ["printer-dots-not-whole"]],
    [203, 0.375, ["printer-dots-few"]],
    [203, 0.5, []],
  ] as const)("[Q50] at %d dpi a module of %f mm: %j", (printerDpi, moduleMm, expected) => {
    const specification = { ...defaultStickerSpecification, moduleMm, printerDpi };
    const report = checkPrint({ extent: vector(moduleMm), quality, identity, specification });
    expect(codes(report)).toEqual(expected);
  });

  it("[Q50] what a pixel of measuring may be off is on the file's side, and no printer is no finding", () => {
    const extent = pixels(33 * 12, 33 * 12, { x: 300 / 25.4, y: 300 / 25.4 });
    const specification = { ...defaultStickerSpecification, moduleMm: 1.016, printerDpi: 300 };
    expect(codes(checkPrint({ extent: { ...extent, width: 397 }, quality, identity, specification }))).toEqual([]);
    expect(codes(check({ extent: vector(1) }))).toEqual([]);
  });

  it.each([
    [{ inverted: true, contrastPercent: -300 }, ["inverted"]],
    [{ mirrored: true }, ["mirrored"]],
    [{ mixedModules: 3 }, ["modules-differ"]],
    [{ quietZoneModules: 2, quietZoneSide: "left" as const }, ["quiet-zone-narrow"]],
  ])("[Q18] %j gives %j", (change, expected) => {
    expect(codes(check({ quality: change }))).toEqual(expected);
  });
});

describe("specification", () => {
  it("[Q12] takes what a file says and keeps its own defaults for the rest", () => {
    expect(parseStickerSpecification({})).toEqual({ ok: true, value: defaultStickerSpecification });
    expect(parseStickerSpecification({ moduleMm: 1.2, tolerancePercent: 1 })).toEqual({
      ok: true,
      value: { ...defaultStickerSpecification, moduleMm: 1.2, tolerancePercent: 1 },
    });
  });

  it("[Q12] names all mistakes at once", () => {
    const read = parseStickerSpecification({ moduleMm: 0, quietZoneModules: 3, colour: "red", symbolVersion: 4.5 });
    const places = read.ok ? [] : read.fault.mistakes.map(({ where }) => where);
    expect(places.toSorted()).toEqual(["", "moduleMm", "quietZoneModules", "symbolVersion"]);
    expect(parseStickerSpecification({ printerDpi: 50 })).toMatchObject({
      fault: { mistakes: [{ where: "printerDpi" }] },
    });
    expect(parseStickerSpecification({ printerDpi: 203 })).toMatchObject({ value: { printerDpi: 203 } });
    expect(parseStickerSpecification("33 mm")).toMatchObject({ ok: false, fault: { code: "bad-specification" } });
  });
});
