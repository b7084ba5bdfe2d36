/**
 * Stickers: what is read, graded, measured, named and found, beside other decoders on the same pictures where there are any, and
 * beside the known truth of what was printed, mounted and damaged where there are none.
 */
import { type BenchOptions, type BenchResult, benchResult, type Figure } from "./result.ts";
import { gradeFigures, gradeModel } from "./sticker-grade.ts";
import { identityModel, measureIdentity } from "./sticker-identity.ts";
import { printFileFigures, printFilesModel } from "./sticker-print-files.ts";
import { readFigures, readModel } from "./sticker-read.ts";
import { sizeFigures, sizeModel } from "./sticker-size.ts";

type Part = {
  readonly model: string;
  readonly measure: (options: BenchOptions) => readonly Figure[] | Promise<readonly Figure[]>;
};

/** Each is also a benchmark of its own, `sticker-read` and so on: together they take two hours of one core. */
const stickerParts = {
  read: { model: readModel, measure: readFigures },
  print: { model: printFilesModel, measure: ({ quick }) => printFileFigures(quick ? 52 : 1_560) },
  grade: { model: gradeModel, measure: ({ quick }) => gradeFigures(quick ? 20 : 2_000) },
  size: { model: sizeModel, measure: ({ quick }) => sizeFigures(quick ? 3 : 100) },
  identity: { model: identityModel, measure: ({ quick }) => measureIdentity(quick) },
} as const satisfies Readonly<Record<string, Part>>;

/** Runs one part, or all; `quick` takes a sample of each, for CI. */
export async function benchSticker(
  options: BenchOptions,
  names: readonly (keyof typeof stickerParts)[] = ["read", "print", "grade", "size", "identity"],
): Promise<BenchResult> {
  const figures: Figure[] = [];
  for (const name of names) figures.push(...(await stickerParts[name].measure(options)));
  const bench = names.length === 1 ? `sticker-${names[0]}` : "sticker";
  return benchResult(
    bench,
    figures,
    names.map((name) => stickerParts[name].model),
  );
}
