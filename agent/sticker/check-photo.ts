/**
 * Checks a photograph of a mounted sticker: what it says, whose it is, how large and how good it is, what is wrong with it and
 * what to do; on wish with a picture of the bad modules and a page to file. The judging itself is protocol/sticker/photo-check.ts.
 *
 * Loads sharp and pdf-lib: only a command's own process imports this file (dynamically), never the agent's resident one.
 */
import { ok, type Result } from "../../protocol/base/result.ts";
import type { EarlierScan } from "../../protocol/sticker/condition/fade.ts";
import type { ReportedCondition } from "../../protocol/sticker/condition/triage.ts";
import { judgePhoto, type PhotoJudgement, type PhotoReport } from "../../protocol/sticker/photo-check.ts";
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import type { KnownStickers } from "../../protocol/sticker/verdict.ts";
import { drawMarkedSymbol, drawOutlinedPhoto } from "./module-picture.ts";
import { drawPhotoReport } from "./photo-report.ts";
import { type PictureFault, type PictureFormat, type ReadPicture, readPicture } from "./picture-file.ts";

export type PhotoCheckOptions = {
  readonly specification: StickerSpecification;
  readonly known: KnownStickers;
  /** Which edition of ISO/IEC 15415 grades (2011 where absent). */
  readonly edition?: "2011" | "2024" | undefined;
  /** For the trend of fading. Any order; without `nowMs` no trend is told. */
  readonly earlier?: readonly EarlierScan[] | undefined;
  readonly nowMs?: number | undefined;
  /** What the person in front of the panel says of housing and mount. */
  readonly reported?: ReportedCondition | undefined;
  /** Named on the PDF report. */
  readonly fileName?: string | undefined;
  /** Asks for `picturePng`: the symbol rectified, its bad modules marked. */
  readonly withPicture?: boolean | undefined;
  /** Asks for `reportPdf`: one page. */
  readonly withReport?: boolean | undefined;
};

export type PhotoCheck = {
  readonly report: PhotoReport & { readonly format: PictureFormat };
  /** Undefined when not asked for, and when no symbol could be located. */
  readonly picturePng: Uint8Array | undefined;
  readonly reportPdf: Uint8Array | undefined;
};

/** Reads a picture file and checks it as a photograph. Faults: those of `readPicture`. */
export async function checkPhotoFile(
  bytes: Uint8Array,
  options: PhotoCheckOptions,
): Promise<Result<PhotoCheck, PictureFault>> {
  const file = await readPicture(bytes);
  return file.ok ? ok(await checkPhoto(file.value, options)) : file;
}

/**
 * Checks a photograph that was read already. Never throws for what a picture holds; a picture without a sticker is the verdict
 * `fail` with the finding `sticker-unreadable`. Ends the search for symbols after `searchMsMax`. Source: SPEC Q70-Q82.
 */
export async function checkPhoto(
  { picture, format }: Pick<ReadPicture, "picture" | "format">,
  options: PhotoCheckOptions,
): Promise<PhotoCheck> {
  const { specification, known, edition, earlier, nowMs, reported, fileName } = options;
  const until = performance.now() + searchMsMax;
  const isOutOfTime = () => performance.now() > until;
  const judged = judgePhoto({ picture, specification, known, edition, earlier, nowMs, reported, isOutOfTime });
  const wantsMarks = options.withPicture === true || options.withReport === true;
  const markedPng = wantsMarks ? markedPicture(picture, judged) : undefined;
  const reportPdf =
    options.withReport === true
      ? await drawPhotoReport({
          ...{ report: judged.report, grade: judged.grade, fileName, markedPng },
          photoPng: drawOutlinedPhoto(picture, judged.report.corners, reportPhotoPx).toPng(),
        })
      : undefined;
  const picturePng = options.withPicture === true ? markedPng : undefined;
  return { report: { ...judged.report, format }, picturePng, reportPdf };
}

function markedPicture(
  picture: ReadPicture["picture"],
  { subject, condition }: PhotoJudgement,
): Uint8Array | undefined {
  const { symbol, identity } = subject;
  if (symbol === undefined) return undefined;
  const overlaid = identity.verdict === "overlay" ? identity.proof.region : undefined;
  return drawMarkedSymbol({ picture, map: symbol.map, cells: condition?.cells, overlaid }).toPng();
}

// A search takes a second or two; a hostile picture must not take minutes.
const searchMsMax = 30_000;
const reportPhotoPx = 800;
