/**
 * The condition of a mounted sticker whose payload is known: what happened to it, how much, and what to do. Rules: SPEC Q77-Q81.
 */
import type { GreyPicture } from "../grey-picture.ts";
import type { ModuleRegion } from "../identity/region.ts";
import type { SymbolMap } from "../plane.ts";
import type { StickerSpecification } from "../specification.ts";
import { type Bend, measureBend } from "./bend.ts";
import { type Cause, type CauseCode, findCauses } from "./causes.ts";
import { type CellMap, type KnownSymbol, mapCells } from "./cell-map.ts";
import { type EarlierScan, type FadeJudgement, judgeFade } from "./fade.ts";
import type { Patch } from "./patches.ts";

export type ConditionFinding = {
  readonly code: CauseCode | "fade" | "curved";
  readonly where: string;
  readonly measured: string;
  readonly expected: string;
  readonly remedy: string;
};

export type ConditionOrder = {
  readonly picture: GreyPicture;
  readonly symbol: KnownSymbol;
  readonly specification: StickerSpecification;
  /** Measured size of a module; the specified one where absent. */
  readonly moduleMm?: number | undefined;
  /** Where identity found another code's pattern. */
  readonly overlaid?: ModuleRegion | undefined;
  /** Texts of other symbols that were read on top of this one. */
  readonly overlaidTexts?: readonly string[] | undefined;
  /** The map that follows the paper best, if there is a better one than the symbol's. */
  readonly finestMap?: SymbolMap | undefined;
  readonly earlier?: readonly EarlierScan[] | undefined;
  readonly nowMs?: number | undefined;
};

export type Condition = {
  readonly causes: readonly Cause[];
  readonly findings: readonly ConditionFinding[];
  readonly fade: FadeJudgement | undefined;
  readonly bend: Bend | undefined;
  /** For the picture with bad modules; undefined when ink and paper cannot be told apart. */
  readonly cells: CellMap | undefined;
};

/** Judges the condition. Never throws; what cannot be told is no finding. */
export function judgeCondition(order: ConditionOrder): Condition {
  const { picture, symbol, specification } = order;
  const cells = mapCells(picture, symbol);
  const bend = measureBend(order.finestMap ?? symbol.map);
  if (cells === undefined) {
    const finding: ConditionFinding = {
      ...{ code: "fade", where: "symbol", measured: "ink and paper hardly differ" },
      ...{ expected: contrastWanted(specification), remedy: fadeRemedy },
    };
    return { causes: [], findings: [finding], fade: undefined, bend, cells };
  }
  const causes = findCauses(cells, order.overlaid);
  const contrastPercent = 100 * (1 - linear(cells.inkLuma) / linear(cells.paperLuma));
  const fade = judgeFade(contrastPercent, specification.minimumContrastPercent, order.earlier ?? [], order.nowMs);
  const moduleMm = order.moduleMm ?? specification.moduleMm;
  const findings = [
    ...groupCauses(causes, cells, moduleMm, order),
    ...fadeFindings(fade, specification),
    ...bendFindings(causes.some(({ code }) => code === "peeling") ? undefined : bend),
  ];
  return { causes, findings, fade, bend, cells };
}

/** One finding a kind: the largest patch is described, the others are counted. */
function groupCauses(
  causes: readonly Cause[],
  cells: CellMap,
  moduleMm: number,
  order: ConditionOrder,
): readonly ConditionFinding[] {
  const findings: ConditionFinding[] = [];
  for (const code of new Set(causes.map((cause) => cause.code))) {
    const all = causes.filter((cause) => cause.code === code);
    if (code === "quiet-zone-eaten") {
      findings.push(quietZoneFinding(all, order.specification));
      continue;
    }
    const patches = all.flatMap(({ patch }) => patch ?? []).sort((a, b) => b.area - a.area);
    const [largest] = patches;
    if (largest === undefined) continue;
    const words = causeWords[code];
    const more = patches.length > 1 ? `, and ${patches.length - 1} more` : "";
    const texts = code === "overlay" ? (order.overlaidTexts ?? []).map((text) => `; it reads ${text}`).join("") : "";
    findings.push({
      code,
      where: placeText(largest, cells.modules),
      measured: `${words.measured}, ${sizeText(largest, moduleMm)}${more}${texts}`,
      expected: words.expected,
      remedy: words.remedy,
    });
  }
  return findings;
}

function quietZoneFinding(causes: readonly Cause[], specification: StickerSpecification): ConditionFinding {
  const clear = causes.map(({ side, clearModules = 0 }) => {
    return clearModules < 0 ? `${side}: the symbol itself is covered` : `${side}: ${clearModules.toFixed(1)} modules`;
  });
  return {
    code: "quiet-zone-eaten",
    where: causes.map(({ side }) => side).join(", "),
    measured: clear.join("; "),
    expected: `${specification.quietZoneModules} modules of white on every side`,
    remedy:
      "Move the sticker out of the frame, or print it smaller by the site's specification: never trim the white border.",
  };
}

function fadeFindings(fade: FadeJudgement, specification: StickerSpecification): readonly ConditionFinding[] {
  if (fade.daysLeft === undefined) return [];
  const trend = fade.perMonth === undefined ? "" : `, ${fade.perMonth.toFixed(1)} points a month`;
  const when = fade.daysLeft === 0 ? "" : `; below the minimum in about ${Math.round(fade.daysLeft)} days`;
  return [
    {
      code: "fade",
      where: "symbol",
      measured: `contrast ${fade.contrastPercent.toFixed(0)} %${trend}${when}`,
      expected: contrastWanted(specification),
      remedy: fadeRemedy,
    },
  ];
}

function bendFindings(bend: Bend | undefined): readonly ConditionFinding[] {
  if (bend === undefined || bend.kind === "flat") return [];
  const worst = bend.corners.indexOf(Math.max(...bend.corners));
  const measured = `${(bend.corners[worst] ?? 0).toFixed(2)} modules off the plane of its middle`;
  if (bend.kind === "curved") {
    const remedy = "Mount the sticker on a flat part of the panel.";
    return [{ code: "curved", where: "symbol", measured, expected: "a flat sticker", remedy }];
  }
  const where = `${cornerNames[worst] ?? ""} corner`;
  return [{ code: "peeling", where, measured, expected: "a flat sticker", remedy: causeWords.peeling.remedy }];
}

function contrastWanted(specification: StickerSpecification): string {
  return `contrast of at least ${specification.minimumContrastPercent} %`;
}

function placeText({ column, row }: Patch, modules: number): string {
  const third = (place: number) => Math.min(2, Math.max(0, Math.floor((3 * place) / modules)));
  const names = [
    ["top left", "top", "top right"],
    ["left", "middle", "right"],
    ["bottom left", "bottom", "bottom right"],
  ] as const;
  return `${names[third(row)]?.[third(column)]}, about column ${Math.round(column)}, row ${Math.round(row)}`;
}

function sizeText({ length, width }: Patch, moduleMm: number): string {
  return `${length.toFixed(1)} x ${width.toFixed(1)} modules (about ${(length * moduleMm).toFixed(0)} x ${(width * moduleMm).toFixed(0)} mm)`;
}

/** Cameras write levels by the curve of sRGB, about a power of 2.2. */
function linear(luma: number): number {
  return (Math.max(1, luma) / 255) ** 2.2;
}

const fadeRemedy = "The print has faded: rotate and reprint, on outdoor material.";
const cornerNames = ["top left", "top right", "bottom right", "bottom left"] as const;
const causeWords: Readonly<
  Record<
    Exclude<CauseCode, "quiet-zone-eaten">,
    { readonly measured: string; readonly expected: string; readonly remedy: string }
  >
> = {
  overlay: {
    measured: "another code lies on top of ours",
    expected: "our code alone",
    remedy:
      "Do not scan or open it: it may lead visitors astray. Photograph it, take it off, keep it, tell the site's owner; then rotate and reprint.",
  },
  covered: {
    measured: "a blank label lies on top",
    expected: "our code alone",
    remedy: "Take it off without tearing the sticker; if it does not come off cleanly, rotate and reprint.",
  },
  scratch: {
    measured: "a line through the print",
    expected: "no line",
    remedy: "Rotate and reprint; a laminate resists keys.",
  },
  dirt: {
    measured: "a dark spot",
    expected: "no spot",
    remedy: "Clean with a dry cloth and scan again; if it stays, rotate and reprint.",
  },
  torn: { measured: "print is missing", expected: "all of the print", remedy: "Rotate and reprint." },
  peeling: {
    measured: "a corner has come off",
    expected: "a sticker that lies flat",
    remedy: "Rotate and reprint; clean the panel before the new sticker, and do not glue the old one back.",
  },
  worn: {
    measured: "small damage",
    expected: "all of the print",
    remedy: "Watch it; rotate and reprint when it grows.",
  },
  glare: {
    measured: "light reflects from it, as bright as the camera can tell",
    expected: "no reflection",
    remedy: "Photograph again from an angle, or shade the panel, before condemning the sticker.",
  },
};
