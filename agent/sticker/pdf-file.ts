/**
 * Measures symbols in PDF files: takes what a page paints through its matrices into millimetres of paper, exactly as the file
 * states them, without a rasteriser of others.
 *
 * Rules: SPEC Q25, Q53, Q54. The paper is what is printed: the crop box, turned as `Rotate` says, in `UserUnit`s.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type Matrix, newDrawing, type PaperDrawing } from "./paper-drawing.ts";
import { type ContentWalk, type PdfContentFault, runContent } from "./pdf-content.ts";
import {
  asDictionary,
  asList,
  asName,
  asNumber,
  asNumbers,
  asStream,
  type PdfObjects,
  type PdfObjectsFault,
  readPdfObjects,
} from "./pdf-objects.ts";
import type { PdfDictionary, PdfValue } from "./pdf-words.ts";

export type PdfFault =
  | PdfObjectsFault
  | PdfContentFault
  | { readonly code: "pdf-not-supported"; readonly what: "filter" | "page-size" };

export type OpenPdf = {
  readonly pages: number;
  /** The print dialog opens at "no scaling". */
  readonly printScalingOff: boolean;
  /** Draws a page, counted from 0. Faults: pdf-damaged (no such page), pdf-not-supported, pdf-too-large. */
  readonly drawPage: (index: number) => Promise<Result<PaperDrawing, PdfFault>>;
};

/**
 * Opens a PDF: finds its objects and pages. Faults: pdf-damaged, pdf-encrypted, pdf-too-large. Never throws.
 * Source: SPEC Q25, Q53.
 */
export function openPdf(bytes: Uint8Array): Result<OpenPdf, PdfFault> {
  const read = readPdfObjects(bytes);
  if (!read.ok) return read;
  const objects = read.value;
  const root = asDictionary(objects, objects.trailer.get("Root"));
  const pages = root === undefined ? [] : listPages(objects, root.get("Pages"));
  if (pages.length === 0) return failed({ code: "pdf-damaged" });
  const preferences = asDictionary(objects, root?.get("ViewerPreferences"));
  return ok({
    pages: pages.length,
    printScalingOff: asName(objects, preferences?.get("PrintScaling")) === "None",
    drawPage: async (index) => {
      const page = pages[index];
      return page === undefined ? failed({ code: "pdf-damaged" }) : drawPage(objects, page);
    },
  });
}

/** A page with what it inherits. */
type Page = {
  readonly dictionary: PdfDictionary;
  readonly inherited: ReadonlyMap<string, PdfValue>;
};

function listPages(objects: PdfObjects, top: PdfValue | undefined): readonly Page[] {
  const pages: Page[] = [];
  const seen = new Set<PdfDictionary>();
  const visit = (value: PdfValue | undefined, inherited: ReadonlyMap<string, PdfValue>, depth: number): void => {
    const node = asDictionary(objects, value);
    if (node === undefined || seen.has(node) || depth > treeDepthMax || pages.length >= pagesMax) return;
    seen.add(node);
    const here = new Map(inherited);
    for (const key of inheritedKeys) {
      const own = node.get(key);
      if (own !== undefined) here.set(key, own);
    }
    const kids = asList(objects, node.get("Kids"));
    if (kids === undefined) pages.push({ dictionary: node, inherited: here });
    else for (const kid of kids) visit(kid, here, depth + 1);
  };
  visit(top, new Map(), 0);
  return pages;
}

async function drawPage(objects: PdfObjects, { dictionary, inherited }: Page): Promise<Result<PaperDrawing, PdfFault>> {
  const paper = paperOf(objects, dictionary, inherited);
  if (paper === undefined) return failed({ code: "pdf-not-supported", what: "page-size" });
  const { widthMm, heightMm, matrix } = paper;
  const contents = dictionary.get("Contents");
  const parts = asList(objects, contents) ?? (contents === undefined ? [] : [contents]);
  const streams = parts.slice(0, streamsMax).flatMap((part) => asStream(objects, part) ?? []);
  const drawing = newDrawing();
  if (hasVisibleNotes(objects, dictionary)) drawing.notRead.add("annotations");
  const walk: ContentWalk = { objects, drawing, operators: 0, pictures: 0 };
  const clip = { left: 0, top: 0, right: widthMm, bottom: heightMm };
  const resources = asDictionary(objects, inherited.get("Resources"));
  const done = await runContent(walk, streams, resources, { matrix, clip, depth: 0 });
  if (!done.ok) return done;
  return ok({ widthMm, heightMm, items: drawing.items, notRead: [...drawing.notRead].slice(0, notReadMax) });
}

/** Notes, stamps and fields with a look of their own; links have none. */
function hasVisibleNotes(objects: PdfObjects, page: PdfDictionary): boolean {
  const notes = asList(objects, page.get("Annots")) ?? [];
  return notes.some((note) => {
    const dictionary = asDictionary(objects, note);
    return dictionary?.has("AP") === true && asName(objects, dictionary.get("Subtype")) !== "Link";
  });
}

/** Undefined for a page without a size, or larger than 5.1 m (the largest that PDF allows without units of its own). */
function paperOf(objects: PdfObjects, dictionary: PdfDictionary, inherited: ReadonlyMap<string, PdfValue>) {
  const media = boxOf(asNumbers(objects, inherited.get("MediaBox")));
  const crop = boxOf(asNumbers(objects, inherited.get("CropBox"))) ?? media;
  if (media === undefined || crop === undefined) return undefined;
  const [left, bottom] = [Math.max(media.x0, crop.x0), Math.max(media.y0, crop.y0)];
  const [right, top] = [Math.min(media.x1, crop.x1), Math.min(media.y1, crop.y1)];
  const stated = asNumber(objects, dictionary.get("UserUnit")) ?? 1;
  const unit = (stated > 0 ? stated : 1) * mmPerPoint;
  const turn = ((((asNumber(objects, inherited.get("Rotate")) ?? 0) % 360) + 360) % 360) / 90;
  const [across, down] = [(right - left) * unit, (top - bottom) * unit];
  if (!(across > 0 && down > 0 && across <= pageMmMax && down <= pageMmMax)) return undefined;
  // Points from the lower left, y up, become mm from the top left, y down, after the page was turned clockwise.
  const matrices: readonly Matrix[] = [
    [unit, 0, 0, -unit, -left * unit, top * unit],
    [0, unit, unit, 0, -bottom * unit, -left * unit],
    [-unit, 0, 0, unit, right * unit, -bottom * unit],
    [0, -unit, -unit, 0, top * unit, right * unit],
  ];
  const matrix = matrices[turn];
  if (matrix === undefined) return undefined;
  const isOnSide = turn % 2 === 1;
  return { widthMm: isOnSide ? down : across, heightMm: isOnSide ? across : down, matrix };
}

function boxOf(numbers: readonly number[] | undefined) {
  const [a, b, c, d] = numbers ?? [];
  if (a === undefined || b === undefined || c === undefined || d === undefined) return undefined;
  return { x0: Math.min(a, c), y0: Math.min(b, d), x1: Math.max(a, c), y1: Math.max(b, d) };
}

const inheritedKeys = ["Resources", "MediaBox", "CropBox", "Rotate"] as const;
const mmPerPoint = 25.4 / 72;
const pageMmMax = 5_100;
const pagesMax = 1_000;
const treeDepthMax = 50;
const streamsMax = 1_000;
const notReadMax = 10;
