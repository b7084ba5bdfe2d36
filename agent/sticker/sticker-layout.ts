/**
 * Where things stand on the face of a sticker, in millimetres from its top left corner. PDF and PNG are drawn from this
 * one layout, so that they show the same sticker.
 */
import { type StickerSpecification, symbolModules } from "../../protocol/sticker/specification.ts";
import { capHeight, type LetteredLine, setLine } from "./lettering.ts";

/** A line of capitals; `scale` takes glyph units to mm. */
export type PlacedLine = {
  readonly line: LetteredLine;
  readonly leftMm: number;
  readonly topMm: number;
  readonly scale: number;
};

export type StickerLayout = {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly symbolLeftMm: number;
  readonly symbolTopMm: number;
  readonly lines: readonly PlacedLine[];
  /** Characters of the door name that cannot be drawn. */
  readonly missing: string;
};

/** `sheet`: to be cut out, with paper to spare around it. `label`: the label's own edge is the edge, and every mm of it is wanted. */
export type StickerForm = "sheet" | "label";

/** Lays out symbol, quiet zone, door name, call to action and epoch. */
export function layOutSticker(
  specification: StickerSpecification,
  words: { readonly doorName: string; readonly epoch: number },
  form: StickerForm = "sheet",
): StickerLayout {
  const { marginMm, bottomMm } = edges[form];
  const quietMm = specification.quietZoneModules * specification.moduleMm;
  const symbolMm = symbolModules(specification.symbolVersion) * specification.moduleMm;
  const widthMm = symbolMm + 2 * quietMm + 2 * marginMm;
  const nameTopMm = marginMm + symbolMm + 2 * quietMm + nameGapMm;
  const callTopMm = nameTopMm + nameCapMm + lineGapMm;
  const heightMm = callTopMm + callCapMm + bottomMm;
  const name = setLine(words.doorName);
  const centred = (line: LetteredLine, topMm: number, capMm: number): PlacedLine => {
    // A long name is set smaller rather than cut; its middle stays where the line's middle is.
    const scale = Math.min(capMm / capHeight, (widthMm - 2 * lineMarginMm) / Math.max(line.width, 1));
    return {
      line,
      leftMm: (widthMm - line.width * scale) / 2,
      topMm: topMm + (capMm - capHeight * scale) / 2,
      scale,
    };
  };
  return {
    widthMm,
    heightMm,
    symbolLeftMm: marginMm + quietMm,
    symbolTopMm: marginMm + quietMm,
    lines: [
      centred(name, nameTopMm, nameCapMm),
      centred(setLine("Scan to call a resident"), callTopMm, callCapMm),
      centred(setLine(`No. ${words.epoch}`), callTopMm + callCapMm + lineGapMm, epochCapMm),
    ],
    missing: name.missing,
  };
}

const edges = {
  // Paper beyond the quiet zone, so that a careless cut does not eat it.
  sheet: { marginMm: 4.5, bottomMm: 9 },
  label: { marginMm: 0, bottomMm: 5 },
} as const;
const lineMarginMm = 4.5;
const nameGapMm = 0.5;
const nameCapMm = 4.6;
const callCapMm = 2;
const epochCapMm = 1.5;
const lineGapMm = 2.6;
