import { describe, expect, it } from "vitest";
import { cellAt, gradeCase, inventCleanSymbol, negative } from "../../../../emulator/camera/graded-campaign.ts";
import { type InjectedSymbol, idealMap, type Scan, scanSymbol } from "../../../../emulator/camera/graded-symbols.ts";
import { seededRandom } from "../../../../emulator/world/random.ts";
import { assert } from "../../../../protocol/base/result.ts";
import {
  type GradeOptions,
  gradeSymbol,
  type ParameterName,
  type SymbolGrade,
} from "../../../../protocol/sticker/grade/grade.ts";
import { gradeFaultText, gradeHeadline, gradeRows } from "../../../../protocol/sticker/grade/grade-rows.ts";
import type { GreyPicture } from "../../../../protocol/sticker/grey-picture.ts";
import type { SymbolMap } from "../../../../protocol/sticker/plane.ts";
import { blockPlaces } from "../../../../protocol/sticker/qr/codewords.ts";
import { formatPlaces, symbolLayout, versionPlaces } from "../../../../protocol/sticker/qr/layout.ts";

const scan: Scan = { pixelsAcross: 8, pixelsDown: 8, turn: 0, offset: { x: 0, y: 0 }, noise: 0 };
const files: GradeOptions = { edition: "2011", reflectance: "calibrated" };
const photos: GradeOptions = { edition: "2011", reflectance: "uncalibrated", tone: "linear", view: "flat" };

/** A clean symbol: paper 0.9, ink 0.1 of reflectance. */
function cleanSymbol(version: number, seed = 1): InjectedSymbol {
  const symbol = inventCleanSymbol(seededRandom(seed, "grade-test"), version);
  return { ...symbol, reflectance: Float64Array.from(symbol.inked, (isInk) => (isInk === 1 ? 0.1 : 0.9)) };
}

function picture(symbol: InjectedSymbol): GreyPicture {
  return scanSymbol(symbol, scan, seededRandom(1, "grade-test/noise"));
}

function grade(
  symbol: InjectedSymbol,
  options: GradeOptions = files,
  seen = picture(symbol),
  map = idealMap(symbol.modules, scan),
): SymbolGrade {
  const graded = gradeSymbol(seen, { ...symbol, map }, options);
  assert(graded.ok, "the symbol can be graded");
  return graded.value;
}

function parameterOf(graded: SymbolGrade, name: ParameterName) {
  const found = graded.parameters.find((one) => one.name === name);
  assert(found !== undefined, `there is ${name}`);
  return found;
}

/** Cells of the symbol printed with a reflectance; `flip` with the other colour's. */
function print(
  symbol: InjectedSymbol,
  cells: readonly (readonly [column: number, row: number])[],
  as: number | "flip",
): InjectedSymbol {
  const reflectance = Float64Array.from(symbol.reflectance);
  const inked = Uint8Array.from(symbol.inked);
  for (const [column, row] of cells) {
    const at = cellAt(symbol.modules, column, row);
    if (as === "flip") inked[at] = 1 - (symbol.inked[at] ?? 0);
    reflectance[at] = as === "flip" ? (inked[at] === 1 ? 0.1 : 0.9) : as;
  }
  return { ...symbol, reflectance, inked };
}

/** One module of each of the first `count` codewords of the first block. */
function inCodewords(symbol: InjectedSymbol, count: number): readonly (readonly [number, number])[] {
  const { bitOrder } = symbolLayout(symbol.version);
  return [...(blockPlaces(symbol.version, symbol.level)[0] ?? [])].slice(0, count).map((codeword) => {
    const index = bitOrder[8 * codeword + 3] ?? 0;
    return [index % symbol.modules, Math.floor(index / symbol.modules)] as const;
  });
}

describe("a clean symbol", () => {
  it.each(["2011", "2024"] as const)("[Q36] has the best grade in every parameter, edition %s", (edition) => {
    const graded = grade(cleanSymbol(7), { ...files, edition });
    expect(graded.overall).toMatchObject({ grade: 4, letter: "A" });
    for (const { name, grade: points } of graded.parameters) {
      if (name !== "printGrowth" || edition === "2024") expect([name, points]).toEqual([name, 4]);
    }
    expect(graded.quietZone).toEqual({ left: 4, top: 4, right: 4, bottom: 4 });
    expect(parameterOf(graded, "symbolContrast").value).toBeCloseTo(80, 0);
  });

  it("[Q36] by 2024 has modulation and reflectance margin in one, graded growth, and decimals marked as interpolated", () => {
    const names = (edition: "2011" | "2024") =>
      grade(cleanSymbol(2), { ...files, edition }).parameters.map(({ name }) => name);
    expect(names("2011")).toContain("reflectanceMargin");
    expect(names("2024")).not.toContain("reflectanceMargin");
    const newer = grade(cleanSymbol(2), { ...files, edition: "2024" });
    expect(newer.caveats).toContain("interpolated-decimals");
    expect(parameterOf(newer, "symbolContrast").interpolated).toBe(true);
    expect(parameterOf(grade(cleanSymbol(2)), "symbolContrast").interpolated).toBe(false);
  });

  it("[Q37] never shows a letter without edition, aperture and pixels; a photo's grade is called uncalibrated", () => {
    const [headline = ""] = gradeRows(grade(cleanSymbol(2)));
    expect(headline).toBe("grade 4.0 (A), ISO/IEC 15415 parameters; edition 2011, aperture 0.80 X, 8.0 px per module");
    const photo = grade(cleanSymbol(2), { ...photos, apertureShare: 0.5 });
    expect(gradeHeadline(photo)).toBe(
      "grade 4.0 (A), ISO-style, uncalibrated; edition 2011, aperture 0.50 X, 8.0 px per module",
    );
    expect(photo.caveats).toContain("uncalibrated");
  });

  it("[Q37] marks what rests on recalled cut-offs", () => {
    const rows = gradeRows(grade(cleanSymbol(2)));
    expect(rows.find((row) => row.includes("fixed pattern damage"))).toContain("4.0 A [R]");
    expect(rows.find((row) => row.includes("symbol contrast"))).not.toContain("[R]");
    expect(rows.at(-1)).toContain("[R]");
    expect(rows.every((row) => row === row.trimEnd())).toBe(true);
  });
});

describe("reflectance", () => {
  it("[Q38] contrast is of the extremes by 2011, of the extreme hundredths by 2024; the threshold moves with it", () => {
    const symbol = print(cleanSymbol(2), [[12, 12]], 0);
    const dark = symbol.dark[12 * symbol.modules + 12] === 1;
    const spotted = dark ? symbol : print(cleanSymbol(2), [[3, 3]], 0);
    const [older, newer] = [grade(spotted), grade(spotted, { ...files, edition: "2024" })];
    expect(older.levels.dark).toBeCloseTo(0, 3);
    expect(older.levels.threshold).toBeCloseTo((older.levels.light + older.levels.dark) / 2, 9);
    expect(newer.levels.dark).toBeGreaterThan(0.08);
    expect(newer.levels.threshold).toBeCloseTo(0.5, 1);
  });

  it("[Q38] a symbol printed light on dark has the grade of its positive", () => {
    const symbol = print(
      cleanSymbol(3),
      [
        [20, 20],
        [21, 11],
      ],
      "flip",
    );
    const [positive, turned] = [grade(symbol), grade(negative(symbol))];
    expect(turned.overall).toEqual(positive.overall);
    expect(turned.segments).toEqual(positive.segments);
    expect([...turned.modules.wrong]).toEqual([...positive.modules.wrong]);
    const contrast = (graded: SymbolGrade): number => parameterOf(graded, "symbolContrast").value ?? 0;
    expect(Math.abs(contrast(turned) - contrast(positive))).toBeLessThan(0.8);
  });

  it("[Q38] the aperture looks at the middle of a module: ink that has grown by a fifth changes little, by a half much", () => {
    const modulation = (growth: number): number =>
      parameterOf(grade({ ...cleanSymbol(2), growth: { across: growth, down: growth } }), "modulation").value ?? 0;
    expect(modulation(0.15)).toBeGreaterThan(0.95);
    expect(modulation(0.5)).toBeLessThan(0.6);
  });

  it("[Q38] undoes the curve of a scanner when told of it", () => {
    const symbol = cleanSymbol(2);
    const linear = picture(symbol);
    const curved = {
      ...linear,
      luma: linear.luma.map((luma) => Math.round(255 * (1.055 * (luma / 255) ** (1 / 2.4) - 0.055))),
    };
    const graded = grade(symbol, { ...files, tone: "srgb" }, curved);
    expect(graded.levels.light).toBeCloseTo(0.9, 1);
    expect(graded.levels.dark).toBeCloseTo(0.1, 1);
  });

  it("[Q39] uncalibrated there is no symbol contrast but a cell contrast, and half the light is the same grade", () => {
    const symbol = {
      ...cleanSymbol(2),
      reflectance: cleanSymbol(2).reflectance.map((value) => (value > 0.5 ? 0.9 : 0.7)),
    };
    const bright = picture(symbol);
    const dim = { ...bright, luma: bright.luma.map((luma) => Math.round(luma / 2)) };
    for (const seen of [bright, dim]) {
      const graded = grade(symbol, photos, seen);
      expect(parameterOf(graded, "cellContrast").value).toBeCloseTo(0.2 / 0.9, 2);
      expect(graded.overall).toEqual({ grade: 2, letter: "C", lowest: ["cellContrast"] });
      expect(graded.parameters.some(({ name }) => name === "symbolContrast")).toBe(false);
    }
  });

  it("[Q39] slow light is evened out where nothing is calibrated, and only there", () => {
    const symbol = cleanSymbol(3);
    const even = picture(symbol);
    const luma = even.luma.map((value, at) => Math.round(value * (0.35 + (0.65 * (at % even.width)) / even.width)));
    const lit = { ...even, luma };
    const photo = grade(symbol, photos, lit);
    expect(photo.overall.grade).toBe(4);
    expect(photo.caveats).toContain("light-evened-out");
    expect(Math.min(...photo.modules.modulation)).toBeGreaterThan(0.9);
    expect(grade(symbol, files, lit).overall.grade).toBeLessThan(4);
  });
});

describe("the grid", () => {
  it.each([
    ["half a module to the side", 0.5, 0.4, 0, 0],
    ["turned and stretched", -0.2, 0.1, 0.02, -0.015],
    ["bent", 0.1, 0.1, 0.01, 0.02],
  ])("[Q40] is measured from edges, so a map that is %s changes nothing", (_, dx, dy, shear, bend) => {
    const symbol = print(
      cleanSymbol(4),
      [
        [20, 20],
        [3, 3],
        [25, 30],
      ],
      "flip",
    );
    const ideal = idealMap(symbol.modules, scan);
    const off: SymbolMap = {
      modules: symbol.modules,
      toPicture: (column, row) =>
        ideal.toPicture(column + dx + shear * row, row + dy + (bend * (column - 16) ** 2) / 16 - shear * column),
    };
    const [straight, moved] = [grade(symbol), grade(symbol, files, picture(symbol), off)];
    expect(moved.overall).toEqual(straight.overall);
    expect([...moved.modules.wrong]).toEqual([...straight.modules.wrong]);
    expect(parameterOf(moved, "gridNonuniformity").value).toBeLessThan(0.03);
    expect(parameterOf(moved, "axialNonuniformity").value).toBeLessThan(0.005);
  });

  it("[Q40] axes are compared in files; in a photo only through a plane in which lengths are true", () => {
    const symbol = cleanSymbol(2);
    const wide: Scan = { ...scan, pixelsAcross: 8.8 };
    const seen = scanSymbol(symbol, wide, seededRandom(1, "grade-test/noise"));
    const map = idealMap(symbol.modules, wide);
    const flat = grade(symbol, files, seen, map);
    expect(parameterOf(flat, "axialNonuniformity")).toMatchObject({ grade: 2, letter: "C" });
    expect(parameterOf(flat, "axialNonuniformity").value).toBeCloseTo(0.8 / 8.4, 3);
    const photo = grade(symbol, { ...photos, view: "perspective" }, seen, map);
    expect(parameterOf(photo, "axialNonuniformity")).toMatchObject({
      value: undefined,
      grade: undefined,
      why: "not-measurable",
    });
    expect(photo.overall.grade).toBe(4);
    expect(photo.caveats).toContain("axes-not-comparable");
    const told = grade(
      symbol,
      { ...photos, view: "perspective", toPlane: ({ x, y }) => ({ x: x / 88, y: y / 80 }) },
      seen,
      map,
    );
    expect(parameterOf(told, "axialNonuniformity").value).toBeCloseTo(0, 3);
    expect(told.pixelsPerModule.across).toBeCloseTo(8.8, 1);
  });

  it("[Q41] growth is told for each axis with its sign; the worse counts, graded by 2024 only", () => {
    const symbol = { ...cleanSymbol(2), growth: { across: 0.12, down: -0.24 } };
    const [older, newer] = [grade(symbol), grade(symbol, { ...files, edition: "2024" })];
    expect(Math.abs(older.growth.across - 0.12)).toBeLessThan(0.01);
    expect(Math.abs(older.growth.down + 0.24)).toBeLessThan(0.01);
    expect(parameterOf(older, "printGrowth")).toMatchObject({ grade: undefined, why: "informative" });
    expect(parameterOf(newer, "printGrowth").value).toBeCloseTo(-0.8, 1);
    expect(parameterOf(newer, "printGrowth").letter).toBe("C");
  });
});

describe("error correction", () => {
  it("[Q42] is counted a block, the worst counts, and decode fails with the first error too many", () => {
    const symbol = { ...cleanSymbol(1, 3) };
    const kept = { L: 3, M: 2, Q: 1, H: 1 }[symbol.level];
    const usable = { L: 7, M: 10, Q: 13, H: 17 }[symbol.level] - kept;
    for (const errors of [0, 1, usable / 2, usable / 2 + 1]) {
      const graded = grade(print(symbol, inCodewords(symbol, errors), "flip"));
      expect(parameterOf(graded, "unusedErrorCorrection").value).toBeCloseTo(Math.max(1 - (2 * errors) / usable, 0), 9);
      expect(parameterOf(graded, "decode").grade).toBe(errors > usable / 2 ? 0 : 4);
      expect(graded.blocks[0]?.errors).toBe(errors);
    }
  });

  it("[Q43] a few weak modules do not sink a symbol that could spare them; many do", () => {
    const seed = [1, 2, 3, 4, 5, 6, 7, 8].find((one) => cleanSymbol(4, one).level === "H") ?? 0;
    const symbol = cleanSymbol(4, seed);
    const few = grade(print(symbol, inCodewords(symbol, 2), 0.53));
    expect(parameterOf(few, "modulation").value).toBeLessThan(0.1);
    expect(parameterOf(few, "modulation").grade).toBe(4);
    const many = grade(print(symbol, inCodewords(symbol, 8), 0.53));
    expect(parameterOf(many, "modulation").grade).toBeLessThanOrEqual(1);
  });

  it("[Q43] the reflectance margin counts wrong modules as weak, modulation does not", () => {
    const symbol = cleanSymbol(1, 3);
    const graded = grade(print(symbol, inCodewords(symbol, 3), "flip"));
    expect(parameterOf(graded, "modulation").grade).toBe(4);
    expect(parameterOf(graded, "reflectanceMargin").grade).toBeLessThan(4);
    expect(parameterOf(graded, "reflectanceMargin").value).toBe(0);
  });
});

describe("fixed patterns", () => {
  const last = 16 + 17;
  const segments: readonly (readonly [string, readonly (readonly [number, number])[], number])[] = [
    ["A1", [[0, 0]], 3],
    [
      "A1",
      [
        [7, 7],
        [-2, 3],
      ],
      2,
    ],
    [
      "A2",
      [
        [last - 3, 3],
        [last - 8, 5],
        [last + 1, -1],
      ],
      1,
    ],
    [
      "A3",
      [
        [1, last - 2],
        [2, last - 2],
        [3, last - 2],
        [3, last + 3],
      ],
      0,
    ],
    ["B1", [[11, 6]], 3],
    [
      "B2",
      [
        [6, 10],
        [6, 15],
      ],
      1,
    ],
    [
      "C",
      [
        [26, 26],
        [25, 25],
      ],
      3,
    ],
  ];
  it.each(segments)("[Q44] damage in %s at %j is counted there and nowhere else, grade %i", (name, cells, points) => {
    const symbol = cleanSymbol(4);
    const spots = cells.filter(([column, row]) => column < 0 || row < 0 || column >= last || row >= last);
    const modules = cells.filter((cell) => !spots.includes(cell));
    const damaged = print(print(symbol, modules, "flip"), spots, 0.1);
    const graded = grade(damaged);
    for (const { segment, wrong, grade: own } of graded.segments) {
      expect([segment, wrong, own]).toEqual(segment === name ? [segment, cells.length, points] : [segment, 0, 4]);
    }
    expect(parameterOf(graded, "fixedPatternDamage").grade).toBe(points);
    expect(graded.overall.grade).toBe(points);
  });

  it("[Q45] the worse copy of format and version information counts; a symbol with both copies lost cannot be read", () => {
    const symbol = cleanSymbol(7);
    const places = (of: readonly { readonly column: number; readonly row: number }[], count: number) =>
      of.slice(0, count).map(({ column, row }) => [column, row] as const);
    const format = formatPlaces(symbol.modules);
    const version = versionPlaces(symbol.modules);
    const one = grade(print(symbol, [...places(format.first, 2), ...places(version.second, 1)], "flip"));
    expect(parameterOf(one, "formatInformation")).toMatchObject({ value: 2, grade: 2 });
    expect(parameterOf(one, "versionInformation")).toMatchObject({ value: 1, grade: 3 });
    expect(parameterOf(one, "decode").grade).toBe(4);
    const both = grade(print(symbol, [...places(format.first, 4), ...places(format.second, 4)], "flip"));
    expect(parameterOf(both, "formatInformation").grade).toBe(0);
    expect(parameterOf(both, "decode").grade).toBe(0);
    expect(grade(cleanSymbol(6)).parameters.some(({ name }) => name === "versionInformation")).toBe(false);
  });
});

describe("the quiet zone", () => {
  it("[Q46] is measured a side, and not graded by itself", () => {
    const symbol = cleanSymbol(2);
    const cells = Array.from({ length: 5 }, (_, at) => [symbol.modules + 2, 10 + at] as const);
    const graded = grade(print(symbol, cells, 0.1));
    expect(graded.quietZone).toEqual({ left: 4, top: 4, right: 2, bottom: 4 });
    expect(graded.overall.grade).toBe(4);
  });

  it("[Q46] beyond the picture there is none, and the finders there are damaged", () => {
    const symbol = cleanSymbol(2);
    const whole = picture(symbol);
    const cut = 5 * 8 - 10;
    const cropped: GreyPicture = {
      ...{ width: whole.width - cut, height: whole.height },
      luma: Uint8Array.from({ length: (whole.width - cut) * whole.height }, (_, at) => {
        const [x, y] = [at % (whole.width - cut), Math.floor(at / (whole.width - cut))];
        return whole.luma[y * whole.width + x + cut] ?? 0;
      }),
    };
    const ideal = idealMap(symbol.modules, scan);
    const map: SymbolMap = {
      modules: symbol.modules,
      toPicture: (column, row) => {
        const { x, y } = ideal.toPicture(column, row);
        return { x: x - cut, y };
      },
    };
    const graded = grade(symbol, files, cropped, map);
    expect(graded.quietZone).toEqual({ left: 1.25, top: 4, right: 4, bottom: 4 });
    expect(graded.caveats).toContain("quiet-zone-outside-picture");
    expect(graded.segments.map(({ segment, grade: points }) => [segment, points])).toContainEqual(["A1", 0]);
    expect(graded.segments.map(({ segment, grade: points }) => [segment, points])).toContainEqual(["A2", 4]);
  });
});

describe("what cannot be graded", () => {
  it("[Q47] too few pixels, no contrast, or most of it outside the picture is a named fault and no number", () => {
    const symbol = cleanSymbol(2);
    const small = gradeCase(
      { symbol, scan: { ...scan, pixelsAcross: 2.9 }, mode: { edition: "2011", reflectance: "calibrated" } },
      1,
    );
    expect(small).toMatchObject({ ok: false, fault: { code: "too-few-pixels", least: 3 } });
    const blank = { ...picture(symbol), luma: picture(symbol).luma.map(() => 200) };
    const faultOf = (seen: GreyPicture, map: SymbolMap) => {
      const graded = gradeSymbol(seen, { ...symbol, map }, files);
      return graded.ok ? undefined : graded.fault;
    };
    const ideal = idealMap(symbol.modules, scan);
    expect(faultOf(blank, ideal)).toEqual({ code: "no-contrast", contrastPercent: 0 });
    const away: SymbolMap = {
      modules: symbol.modules,
      toPicture: (column, row) => ideal.toPicture(column + 20, row + 15),
    };
    expect(faultOf(picture(symbol), away)).toEqual({ code: "outside-picture" });
    const turned: SymbolMap = { modules: symbol.modules, toPicture: (column, row) => ideal.toPicture(row, column) };
    const mistaken = gradeSymbol(picture(negative(symbol)), { ...symbol, map: ideal }, files);
    expect(mistaken).toMatchObject({ ok: false, fault: { code: "no-contrast" } });
    expect(faultOf(picture(symbol), turned)?.code ?? "graded").toBe("graded");
    expect(gradeFaultText({ code: "too-few-pixels", pixelsPerModule: 2.94, least: 3 })).toBe(
      "not gradable: 2.9 px per module, at least 3 are needed",
    );
  });

  it("[Q47] any bytes as a picture give a grade or a fault within bounded work", () => {
    const symbol = cleanSymbol(2);
    for (let seed = 1; seed <= 5; seed++) {
      const random = seededRandom(seed, "grade-test/garbage");
      const [width, height] = [100 + random.integer(300), 100 + random.integer(300)];
      const seen = { width, height, luma: random.bytes(width * height) };
      const graded = gradeSymbol(seen, { ...symbol, map: idealMap(symbol.modules, scan) }, files);
      if (graded.ok) expect(graded.value.overall.grade).toBe(0);
      else expect(["no-contrast", "outside-picture"]).toContain(graded.fault.code);
    }
  });
});
