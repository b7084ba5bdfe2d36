/**
 * Stickers: what is read, graded, measured, named and found, beside other decoders on the same pictures where there are any, and
 * beside the known truth of what was printed, mounted and damaged where there are none.
 */
import { type BenchOptions, type BenchResult, benchResult } from "./result.ts";
import { gradeFigures, gradeModel } from "./sticker-grade.ts";
import { measureIdentity } from "./sticker-identity.ts";
import { printFileFigures, printFilesModel } from "./sticker-print-files.ts";
import { readFigures, readModel } from "./sticker-read.ts";
import { sizeFigures, sizeModel } from "./sticker-size.ts";

/** Runs everything, in full about an hour on two cores; `quick` takes a sample of each, for CI. */
export async function benchSticker({ quick }: BenchOptions): Promise<BenchResult> {
  const figures = [
    ...(await readFigures({ quick })),
    ...(await printFileFigures(quick ? 52 : 1_560)),
    ...gradeFigures(quick ? 20 : 2_000),
    ...sizeFigures(quick ? 4 : 150),
    ...measureIdentity(quick),
  ];
  return benchResult("sticker", figures, [readModel, printFilesModel, gradeModel, sizeModel]);
}
