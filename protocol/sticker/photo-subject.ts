/**
 * Which symbol of a photograph is the sticker, and whose is it? Joins reading, which is certain where it succeeds, with comparison, which still
 * succeeds where reading has long failed. Rules: SPEC Q70, Q74-Q76.
 */
import type { GreyPicture } from "./grey-picture.ts";
import type { IdentityReason } from "./identify.ts";
import { identifySymbol, type PictureIdentity, type PlacedSymbol } from "./identity/in-picture.ts";
import type { ModuleRegion } from "./identity/region.ts";
import { distance, type Point, type SymbolMap, symbolCorners } from "./plane.ts";
import type { ErrorCorrectionLevel, MaskPattern } from "./qr/layout.ts";
import { locateSymbols, readSymbols, type SymbolReading } from "./read-symbols.ts";
import type { StickerSpecification } from "./specification.ts";
import { payloadToSymbol } from "./symbol.ts";
import {
  judgePayload,
  type KnownStickers,
  type StickerJudgement,
  type StickerVerdict,
  type VerdictReason,
} from "./verdict.ts";

/** How the identity was proved. Strengths in nats: chance is fooled less than once in exp(strength) looks. */
export type IdentityProof = {
  readonly by: "reading" | "comparison" | "both" | "neither";
  readonly agreement: number | undefined;
  readonly strength: number | undefined;
  readonly required: number | undefined;
  /** Share of the modules that say nothing any more. */
  readonly destroyed: number | undefined;
  /** With `overlay`: where, in modules; and what the other code says, when it could be read. */
  readonly region: ModuleRegion | undefined;
  readonly overlaidTexts: readonly string[];
};

export type PhotoIdentity = Omit<StickerJudgement, "verdict" | "reason"> & {
  readonly verdict: StickerVerdict | "overlay";
  readonly reason: VerdictReason | IdentityReason;
  readonly proof: IdentityProof;
};

/** A symbol whose every module is known. */
export type SubjectSymbol = {
  readonly map: SymbolMap;
  readonly version: number;
  readonly level: ErrorCorrectionLevel;
  readonly mask: MaskPattern;
  readonly dark: Uint8Array;
  readonly inverted: boolean;
};

export type PhotoSubject = {
  readonly identity: PhotoIdentity;
  /** The sticker's text, read or recognised. */
  readonly payload: string | undefined;
  /** Undefined when its modules are not known: nothing was read or recognised. */
  readonly symbol: SubjectSymbol | undefined;
  /** Where it is, when that much could be told. */
  readonly corners: readonly [Point, Point, Point, Point] | undefined;
  readonly mirrored: boolean | undefined;
  /** All that was read, the sticker too. */
  readonly readings: readonly SymbolReading[];
};

/** Finds and names the sticker. `isOutOfTime` bounds the search. Never throws. */
export function findSubject(
  picture: GreyPicture,
  known: KnownStickers,
  specification: StickerSpecification,
  isOutOfTime?: () => boolean,
): PhotoSubject {
  const readings = readSymbols(picture, { isOutOfTime });
  const listed = bestReading(readings, known);
  const look = { panels: known.panels, level: specification.errorCorrectionLevel, expectedPanel: known.expectedPanel };
  if (listed !== undefined) {
    const compared = identifySymbol(picture, { ...listed, certain: true }, look);
    return readSubject(listed, compared, readings, known);
  }
  const recognised = recognise(picture, readings, look, specification.symbolVersion, isOutOfTime);
  if (recognised !== undefined && recognised.identity.candidate !== undefined) {
    return recognisedSubject(recognised, readings, known);
  }
  const [foreign] = readings.toSorted((a, b) => areaOf(b.corners) - areaOf(a.corners));
  if (foreign !== undefined) return readSubject(foreign, undefined, readings, known);
  return unreadSubject(recognised?.identity, known);
}

/** Of the texts on our lists, the one that should hang here, else the largest. */
function bestReading(readings: readonly SymbolReading[], known: KnownStickers): SymbolReading | undefined {
  const judged = readings.flatMap((reading) => {
    const { verdict } = judgePayload(reading.text, known);
    const rank = listedRanks.indexOf(verdict);
    return rank < 0 ? [] : [{ reading, rank }];
  });
  judged.sort((a, b) => a.rank - b.rank || areaOf(b.reading.corners) - areaOf(a.reading.corners));
  return judged[0]?.reading;
}

type Recognised = { readonly identity: PictureIdentity; readonly placed: PlacedSymbol };

/** Compares every place where a symbol of the site's version seems to be; the strongest wins. */
function recognise(
  picture: GreyPicture,
  readings: readonly SymbolReading[],
  look: Parameters<typeof identifySymbol>[2],
  version: number,
  isOutOfTime?: () => boolean,
): Recognised | undefined {
  const located = locateSymbols(picture, { isOutOfTime });
  const read = new Set<SymbolMap>(readings.map(({ map }) => map));
  const places: readonly PlacedSymbol[] = located
    .filter((place) => place.version === version)
    .slice(0, placesMax)
    .map((place) => ({ ...place, certain: read.has(place.map) }));
  let best: Recognised | undefined;
  for (const placed of places) {
    const identity = identifySymbol(picture, placed, look);
    if (best === undefined || isBetter(identity, best.identity)) best = { identity, placed };
    if (identity.candidate !== undefined && identity.strength >= surelyRecognised * identity.required) break;
  }
  return best;
}

/** Strength decides; without any, a symbol that is certainly foreign says more than one that cannot be told. */
function isBetter(one: PictureIdentity, other: PictureIdentity): boolean {
  const isRecognised = (identity: PictureIdentity) => identity.candidate !== undefined;
  if (isRecognised(one) !== isRecognised(other)) return isRecognised(one);
  if (isRecognised(one)) return one.strength > other.strength;
  return one.verdict === "foreign" && other.verdict !== "foreign";
}

function readSubject(
  reading: SymbolReading,
  compared: PictureIdentity | undefined,
  readings: readonly SymbolReading[],
  known: KnownStickers,
): PhotoSubject {
  const judged = judgePayload(reading.text, known);
  const isSame = compared?.candidate?.payload === reading.text;
  const onTop = textsOnTop(reading.map, reading.text, readings);
  const isOverlaid = (isSame && compared.verdict === "overlay") || onTop.length > 0;
  const proof = proofOf(isSame ? "both" : "reading", isSame ? compared : undefined, onTop);
  return {
    identity: isOverlaid ? { ...judged, verdict: "overlay", reason: "two-regions", proof } : { ...judged, proof },
    payload: reading.text,
    symbol: {
      ...{ map: reading.map, version: reading.version, level: reading.errorCorrectionLevel },
      ...{ mask: reading.maskPattern, dark: reading.symbol, inverted: reading.inverted },
    },
    corners: reading.corners,
    mirrored: reading.mirrored,
    readings,
  };
}

function recognisedSubject(
  { identity, placed }: Recognised,
  readings: readonly SymbolReading[],
  known: KnownStickers,
): PhotoSubject {
  const payload = identity.candidate?.payload ?? "";
  const judged = judgePayload(payload, known);
  const onTop = textsOnTop(identity.map, payload, readings);
  const isOverlaid = identity.verdict === "overlay" || onTop.length > 0;
  const mask = identity.mask ?? 0;
  const level = identity.level;
  const made = payloadToSymbol(payload, { symbolVersion: placed.version, errorCorrectionLevel: level }, mask);
  const about = { map: identity.map, version: placed.version, level, mask, inverted: placed.inverted };
  return {
    identity: {
      ...judged,
      verdict: isOverlaid ? "overlay" : judged.verdict,
      reason: isOverlaid ? "two-regions" : identity.reason,
      proof: proofOf("comparison", identity, onTop),
    },
    payload,
    symbol: made.ok ? { ...about, dark: made.value.dark } : undefined,
    corners: symbolCorners(identity.map),
    mirrored: undefined,
    readings,
  };
}

function unreadSubject(identity: PictureIdentity | undefined, known: KnownStickers): PhotoSubject {
  const judged = judgePayload(undefined, known);
  const isForeign = identity?.verdict === "foreign";
  return {
    identity: {
      ...judged,
      verdict: isForeign ? "foreign" : judged.verdict,
      reason: identity?.reason ?? judged.reason,
      proof: proofOf(isForeign ? "comparison" : "neither", identity, []),
    },
    payload: undefined,
    symbol: undefined,
    corners: identity === undefined || identity.reason === "no-structure" ? undefined : symbolCorners(identity.map),
    mirrored: undefined,
    readings: [],
  };
}

function proofOf(
  by: IdentityProof["by"],
  identity: PictureIdentity | undefined,
  overlaidTexts: readonly string[],
): IdentityProof {
  const { agreement, strength, required, destroyed, region } = identity ?? {};
  return { by, agreement, strength, required, destroyed, region, overlaidTexts };
}

/** Other texts whose symbol's middle lies inside this one. */
function textsOnTop(map: SymbolMap, text: string, readings: readonly SymbolReading[]): readonly string[] {
  const corners = symbolCorners(map);
  return readings.flatMap((reading) => {
    const middle = reading.map.toPicture(reading.modules / 2, reading.modules / 2);
    return reading.text !== text && isInside(middle, corners) ? [shownText(reading.text)] : [];
  });
}

/** A stranger's text goes to terminals and pages: nothing but what can be printed, and not too much of it. */
function shownText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, shownTextMax);
}

function isInside(point: Point, corners: readonly Point[]): boolean {
  const turns = corners.map((corner, at) => {
    const next = corners[(at + 1) % corners.length] ?? corner;
    return (next.x - corner.x) * (point.y - corner.y) - (next.y - corner.y) * (point.x - corner.x) > 0;
  });
  return turns.every((turn) => turn) || turns.every((turn) => !turn);
}

function areaOf([first, second, , last]: readonly [Point, Point, Point, Point]): number {
  return distance(first, second) * distance(first, last);
}

const listedRanks: readonly StickerVerdict[] = ["current", "misplaced", "retired"];
const placesMax = 12;
const shownTextMax = 200;
const surelyRecognised = 1.5;
