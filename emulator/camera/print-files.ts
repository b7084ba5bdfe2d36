/**
 * Print files with known defects, from a seed: which maker drew it, what is wrong with it, and what a checker should say. Used by
 * the tests and by the benches. Same seed, same file.
 */
import type { PrintReport } from "../../protocol/sticker/print-check.ts";
import { defaultStickerSpecification, type StickerSpecification } from "../../protocol/sticker/specification.ts";
import { seededRandom } from "../world/random.ts";
import {
  drawPdf,
  drawSvg,
  type PdfStyleName,
  pickHouse,
  pictureSvg,
  qrcodePng,
  qrcodeSvg,
  type RasterFormat,
  type SvgStyleName,
  writeRaster,
} from "./print-file-makers.ts";
import {
  between,
  type Dice,
  type KnownPayloads,
  type PrintDefect,
  type PrintPlan,
  pick,
  planPrint,
} from "./print-file-plan.ts";

export type PrintFileSample = {
  /** Seed, maker and defect in words. */
  readonly name: string;
  readonly maker: string;
  readonly defect: PrintDefect;
  readonly bytes: Uint8Array;
  readonly specification: StickerSpecification;
  readonly expected: {
    readonly verdict: "pass" | "fail" | "not-measurable";
    /** All findings, in no order. */
    readonly codes: readonly string[];
    /** Of the printed module to the specified one; undefined where the file states no size. */
    readonly scalePercent: { readonly x: number; readonly y: number } | undefined;
    /** What measuring may be off, in percent: 0.1 for vectors, a pixel over the symbol for rasters. */
    readonly percentOff: number;
  };
};

export type PrintMaker =
  | "qrcode-svg"
  | `svg-${SvgStyleName}`
  | "svg-picture"
  | `pdf-${PdfStyleName}`
  | "qrcode-png"
  | `raster-${RasterFormat}`;

export const printMakers: readonly PrintMaker[] = [
  "qrcode-svg",
  ...(["rects", "path", "outline", "use", "css", "groups", "stretched-view"] as const).map(
    (name) => `svg-${name}` as const,
  ),
  "svg-picture",
  ...(["rects", "path", "strokes", "form", "picture", "jpeg"] as const).map((name) => `pdf-${name}` as const),
  "qrcode-png",
  ...(
    [
      "png",
      "png-palette",
      "png-16-bit",
      "png-alpha",
      "jpeg",
      "jpeg-grey",
      "jpeg-cmyk",
      "jpeg-turned",
      "tiff",
      "tiff-cmyk",
      "webp",
    ] as const
  ).map((name) => `raster-${name}` as const),
];

/** The defects that a maker's format can have at all. */
export function defectsOf(maker: PrintMaker): readonly PrintDefect[] {
  const isPdf = maker.startsWith("pdf-");
  const isRaster = maker.startsWith("raster-") || maker === "qrcode-png";
  const isOwn = maker.startsWith("qrcode-");
  const isPicture = maker === "svg-picture" || maker === "pdf-picture" || maker === "pdf-jpeg";
  const size: readonly PrintDefect[] = isOwn && isRaster ? [] : ["scaled", "fit-to-page", "slightly-resampled"];
  return [
    "none",
    ...size,
    "low-contrast",
    "wrong-level",
    "wrong-version",
    "foreign",
    "misplaced",
    "retired",
    "broken-dots",
    // What `qrcode` draws itself is always whole, square and the right way round.
    ...(isOwn ? [] : (["stretched", "quiet-zone-cut", "quiet-zone-line", "damaged-modules", "mirrored"] as const)),
    ...(isOwn || maker === "raster-png-alpha" ? [] : (["spotted-modules", "inverted"] as const)),
    ...(isPdf ? (["print-scaling-on"] as const) : isPicture ? [] : (["no-density"] as const)),
    ...(isRaster ? (["wrong-density"] as const) : []),
    ...(isRaster || isPicture ? (["uneven-modules"] as const) : []),
  ];
}

/** Makes one file of a maker with a defect that it can have. */
export async function makePrintFile(
  seed: number,
  maker: PrintMaker,
  defect: PrintDefect,
  payloads: KnownPayloads,
): Promise<PrintFileSample> {
  const dice = seededRandom(seed, `print-file/${maker}/${defect}`).next;
  const isRaster = maker.startsWith("raster-") || maker === "qrcode-png" || isPictureMaker(maker);
  const pixels = pickPixels(dice, defect, maker);
  const specification = pickSpecification(dice, defect, isRaster ? pixels.moduleMm : undefined);
  const plan = planPrint(dice, defect, specification, payloads);
  const drawn = await draw(dice, maker, plan, pixels);
  return {
    name: `${seed} ${maker} ${defect}`,
    maker,
    defect,
    bytes: drawn.bytes,
    specification,
    expected: expectedOf(plan, isRaster ? pixels : undefined, drawn),
  };
}

/**
 * What a checker's report says wrongly of a sample, in words; empty when all is as expected. Missing findings, false
 * alarms, another verdict, and a size that is off by more than it may.
 */
export function mistakesOf(sample: PrintFileSample, report: PrintReport): readonly string[] {
  const { codes, verdict, scalePercent, percentOff } = sample.expected;
  const found = report.findings.map((finding) => finding.code);
  const mistakes = [
    ...codes.filter((code) => !found.some((each) => each === code)).map((code) => `missed ${code}`),
    ...found.filter((code) => !codes.includes(code)).map((code) => `false alarm ${code}`),
  ];
  if (report.verdict !== verdict) mistakes.push(`verdict ${report.verdict}, not ${verdict}`);
  if (scalePercent === undefined || !report.size.measurable) return mistakes;
  for (const axis of ["x", "y"] as const) {
    const off = report.size.scalePercent[axis] / scalePercent[axis] - 1;
    if (Math.abs(100 * off) > percentOff) mistakes.push(`${axis} is ${(100 * off).toFixed(3)} % off`);
  }
  return mistakes;
}

/** Pixels a module, the density that makes them the specified size, and the one that the file states. */
type Pixels = {
  readonly modulePx: number;
  readonly dpi: number;
  readonly stated: number | undefined;
  readonly moduleMm: number;
};

type Drawn = {
  readonly bytes: Uint8Array;
  /** Of a raster, its pixels to those that the plan's size would have. */
  readonly stretch?: { readonly x: number; readonly y: number };
  /** The page was turned by a quarter: what was its width is its height. */
  readonly onSide?: boolean;
};

function pickPixels(dice: Dice, defect: PrintDefect, maker: PrintMaker): Pixels {
  // Spots need modules that are large enough to show them; JPEG eats fine detail.
  const isFine = defect === "spotted-modules" || defect === "quiet-zone-line";
  const least = isFine ? 10 : maker.includes("jpeg") || maker.includes("webp") ? 6 : 4;
  const whole = Math.floor(between(dice, least, 25));
  const modulePx = defect === "uneven-modules" ? Math.min(whole, 16) + pick(dice, [0.25, 0.4, 0.6]) : whole;
  const dpi = pick(
    dice,
    [203, 300, 400, 600].filter((each) => (modulePx * 25.4) / each >= 0.4),
  );
  const wrong = pick(dice, [0.5, 2, 0.75, 96 / 72]);
  const stated = defect === "no-density" ? undefined : defect === "wrong-density" ? Math.round(dpi * wrong) : dpi;
  return { modulePx, dpi, stated, moduleMm: (modulePx * 25.4) / dpi };
}

function pickSpecification(dice: Dice, defect: PrintDefect, rasterModuleMm: number | undefined): StickerSpecification {
  const moduleMm = rasterModuleMm ?? pick(dice, [0.5, 0.6, 0.762, 0.8, 1, 1.016, 1.25, 2]);
  const symbolVersion = pick(dice, [4, 4, 5, 6]);
  const printer = pickPrinter(dice, defect, moduleMm);
  return {
    ...defaultStickerSpecification,
    moduleMm: printer.moduleMm,
    symbolVersion,
    errorCorrectionLevel: pick(dice, ["M", "Q"] as const),
    quietZoneModules: pick(dice, [4, 4, 5]),
    tolerancePercent: pick(dice, [1, 2]),
    ...(printer.dpi === undefined ? {} : { printerDpi: printer.dpi }),
  };
}

/** A printer whose dots the module breaks; for other defects sometimes one whose dots it keeps, mostly none. */
function pickPrinter(dice: Dice, defect: PrintDefect, moduleMm: number) {
  const dots = (dpi: number) => moduleMm * (dpi === 203 ? 8 : dpi / 25.4);
  const off = (dpi: number) => Math.abs(dots(dpi) - Math.round(dots(dpi)));
  if (defect === "broken-dots") {
    const broken = [203, 300, 600].filter((dpi) => off(dpi) > 0.12 && dots(dpi) > 5);
    if (broken.length > 0) return { moduleMm, dpi: pick(dice, broken) };
    // Nothing breaks it: a printer of odd resolution does.
    return { moduleMm, dpi: Math.round(((Math.ceil(moduleMm * 12) + 0.4) / moduleMm) * 25.4) };
  }
  if (defect !== "none") return { moduleMm, dpi: undefined };
  const kept = [203, 300, 600].filter((dpi) => off(dpi) * 45 < 0.3 && Math.round(dots(dpi)) >= 4);
  return { moduleMm, dpi: kept.length > 0 ? pick(dice, kept) : undefined };
}

async function draw(dice: Dice, maker: PrintMaker, plan: PrintPlan, pixels: Pixels): Promise<Drawn> {
  const utf8 = (text: string): Drawn => ({ bytes: new TextEncoder().encode(text) });
  const { modulePx, stated } = pixels;
  if (maker === "qrcode-svg") return utf8(await qrcodeSvg(plan, plan.defect !== "no-density"));
  if (maker === "qrcode-png") {
    const margin = Math.round(plan.symbolLeft / plan.moduleX);
    const side = plan.symbol.modules + 2 * margin;
    const size = plan.defect === "uneven-modules" ? { width: Math.round(modulePx * side) } : { scale: modulePx };
    const stretch = "width" in size ? size.width / (modulePx * side) : 1;
    return { bytes: await qrcodePng(plan, size, stated), stretch: { x: stretch, y: stretch } };
  }
  if (maker === "svg-picture") {
    return utf8(pictureSvg(plan, (await writeRaster(dice, unscaled(plan), "png", { modulePx, dpi: undefined })).bytes));
  }
  if (maker.startsWith("svg-")) {
    const unit = plan.defect === "no-density" ? "px" : "mm";
    return utf8(drawSvg(dice, plan, maker.slice(4) as SvgStyleName, unit));
  }
  if (maker.startsWith("pdf-")) {
    const style = maker.slice(4) as PdfStyleName;
    const house = pickHouse(dice);
    const format = style === "jpeg" ? "jpeg" : pick(dice, ["png", "png-palette", "png-16-bit"] as const);
    const raster = isPictureMaker(maker)
      ? (await writeRaster(dice, unscaled(plan), format, { modulePx, dpi: undefined })).bytes
      : undefined;
    // Words on a picture would change its pixels at the corner, where some plans have no paper to spare.
    const quiet = plan.defect === "quiet-zone-cut" ? { ...house, words: false } : house;
    return { bytes: await drawPdf(plan, style, quiet, raster), onSide: house.rotate % 180 !== 0 };
  }
  const format = maker.slice(7) as RasterFormat;
  const written = await writeRaster(dice, plan, format, { modulePx, dpi: stated });
  const x = written.widthPx / ((plan.widthMm * pixels.dpi) / 25.4);
  const y = written.heightPx / ((plan.heightMm * pixels.dpi) / 25.4);
  return { bytes: written.bytes, stretch: { x, y } };
}

/** A picture that is placed takes its size from its place; its own pixels are as the specification has them. */
function unscaled(plan: PrintPlan): PrintPlan {
  const { moduleMm } = plan.specification;
  const [x, y] = [moduleMm / plan.moduleX, moduleMm / plan.moduleY];
  return {
    ...plan,
    widthMm: plan.widthMm * x,
    heightMm: plan.heightMm * y,
    symbolLeft: plan.symbolLeft * x,
    symbolTop: plan.symbolTop * y,
    moduleX: moduleMm,
    moduleY: moduleMm,
    marks: plan.marks.map((mark) => ({
      ...mark,
      left: mark.left * x,
      top: mark.top * y,
      width: mark.width * x,
      height: mark.height * y,
    })),
  };
}

function isPictureMaker(maker: PrintMaker): boolean {
  return maker === "svg-picture" || maker === "pdf-picture" || maker === "pdf-jpeg";
}

function expectedOf(plan: PrintPlan, pixels: Pixels | undefined, drawn: Drawn): PrintFileSample["expected"] {
  const { specification, defect } = plan;
  const { x: stretchX, y: stretchY } = drawn.stretch ?? { x: 1, y: 1 };
  const wrong = pixels?.stated === undefined ? 1 : pixels.dpi / pixels.stated;
  const across = (100 * plan.moduleX * stretchX * wrong) / specification.moduleMm;
  const down = (100 * plan.moduleY * stretchY * wrong) / specification.moduleMm;
  const code = codeByDefect[defect];
  const off = Math.max(Math.abs(across - 100), Math.abs(down - 100));
  const scaleCode = across >= 89.5 && across <= 97.9 ? "fit-to-page" : "scaled";
  const codes = defect === "scaled" || defect === "wrong-density" ? [scaleCode] : code === undefined ? [] : [code];
  const isUnmeasured = defect === "no-density";
  return {
    verdict: isUnmeasured ? "not-measurable" : codes.length === 0 ? "pass" : "fail",
    codes: off > 50 && codes.length === 0 ? ["scaled"] : codes,
    scalePercent: isUnmeasured ? undefined : drawn.onSide === true ? { x: down, y: across } : { x: across, y: down },
    percentOff: pixels === undefined ? 0.1 : 100 / (pixels.modulePx * plan.symbol.modules),
  };
}

const codeByDefect: Readonly<Record<PrintDefect, string | undefined>> = {
  none: undefined,
  "slightly-resampled": undefined,
  scaled: "scaled",
  "fit-to-page": "fit-to-page",
  stretched: "scaled-unevenly",
  "no-density": "density-missing",
  "wrong-density": "scaled",
  "uneven-modules": "modules-uneven",
  "quiet-zone-cut": "quiet-zone-narrow",
  "quiet-zone-line": "quiet-zone-narrow",
  "low-contrast": "contrast-low",
  "wrong-level": "error-correction-differs",
  "wrong-version": "symbol-version-differs",
  foreign: "sticker-foreign",
  misplaced: "sticker-misplaced",
  retired: "sticker-retired",
  "print-scaling-on": "print-scaling-not-off",
  "broken-dots": "printer-dots-not-whole",
  "damaged-modules": "modules-differ",
  "spotted-modules": "modules-differ",
  inverted: "inverted",
  mirrored: "mirrored",
};
