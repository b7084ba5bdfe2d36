/**
 * How many symbols are read, and how fast, beside plain jsQR, zxing-wasm and zbar-wasm on the same pictures in the same run: real
 * photographs (`DOORLINK_QR_PHOTOS`, default ../shared/qr-dev), the emulated camera's families, and pictures without a code.
 */
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { readPicture } from "../../agent/sticker/picture-file.ts";
import { type BenchmarkCategory, benchmarkCategories, benchmarkPhoto } from "../../emulator/camera/benchmark-sets.ts";
import { negativePhoto, negativesInCampaign } from "../../emulator/camera/negatives.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { Pyramid } from "../../protocol/sticker/locate/pyramid.ts";
import { readSymbols, type SymbolReading } from "../../protocol/sticker/read-symbols.ts";
import { decodeBy, type OtherDecoder, otherDecoders } from "./other-decoders.ts";
import { type Figure, median, rounded } from "./result.ts";

export const readModel =
  "reading: a photograph counts as read when at least one of its symbols is; real photographs of ../shared/qr-dev and emulated ones of the 16 families (emulator/camera/benchmark-sets.ts); milliseconds are of decoding alone, without unpacking the file";

export async function readFigures({ quick }: { readonly quick: boolean }): Promise<readonly Figure[]> {
  return [
    ...(await photographFigures(quick)),
    ...(await familyFigures(quick ? 1 : 20)),
    ...(await largeFigures(quick ? 2 : 16)),
    ...negativeFigures(quick ? 14 : negativesInCampaign),
  ];
}

type Decoder = "doorlink" | OtherDecoder;

const decoders: readonly Decoder[] = ["doorlink", ...otherDecoders];

/** One entry a picture: was it read, and how long did it take? */
type Tally = Map<Decoder, { read: number; readonly ms: number[] }>;

function newTally(): Tally {
  return new Map(decoders.map((decoder) => [decoder, { read: 0, ms: [] }]));
}

async function count(
  tally: Tally,
  picture: GreyPicture,
  isRight: (texts: readonly string[]) => boolean,
): Promise<void> {
  for (const decoder of decoders) {
    const { texts, ms } = decoder === "doorlink" ? decodeHere(picture) : await decodeBy(decoder, picture);
    const own = tally.get(decoder);
    if (own === undefined) continue;
    own.ms.push(ms);
    if (isRight(texts)) own.read++;
  }
}

function decodeHere(picture: GreyPicture): { readonly texts: readonly string[]; readonly ms: number } {
  const started = performance.now();
  const readings = readSymbols(picture, { isOutOfTime: () => performance.now() - started > budgetMs });
  return { ms: performance.now() - started, texts: readings.flatMap(textsOf) };
}

/** The text, and the same bytes in the charsets in which somebody may have written down what is expected. */
function textsOf({ text, bytes }: SymbolReading): readonly string[] {
  return [
    text,
    ...["utf-8", "shift_jis", "windows-1252", "gb18030"].map((charset) => new TextDecoder(charset).decode(bytes)),
  ];
}

type PhotoSet = {
  readonly set: string;
  readonly target: number;
  readonly files: ReadonlyMap<string, string | null>;
};

/** A photograph whose text nobody knows counts as read when any text comes out. */
async function photographFigures(quick: boolean): Promise<readonly Figure[]> {
  const root = process.env["DOORLINK_QR_PHOTOS"] ?? "../shared/qr-dev";
  const figures: Figure[] = [];
  for (const { set, target, files } of photoSets(root)) {
    const tally = newTally();
    let taken = 0;
    for (const [name, expected] of files) {
      if (quick && taken >= quickPhotos) break;
      const read = await readPicture(new Uint8Array(await readFile(path.join(root, set, name))), { upright: false });
      if (!read.ok) continue;
      taken++;
      const wanted = expected === null || expected === "" ? undefined : plain(expected);
      await count(tally, read.value.picture, (texts) =>
        wanted === undefined ? texts.length > 0 : texts.some((text) => plain(text) === wanted),
      );
    }
    figures.push(...tallyFigures(`read-${set}`, tally, taken, quick ? undefined : target));
  }
  return figures;
}

function photoSets(root: string): readonly PhotoSet[] {
  const sets: PhotoSet[] = [];
  for (const { set, target } of [
    { set: "jsqr-e2e", target: 240 },
    { set: "zxing-java", target: 172 },
  ]) {
    const truth = path.join(root, set, "ground-truth.json");
    if (!existsSync(truth)) continue;
    const { files }: { files: Record<string, { text: string | null }> } = JSON.parse(readFileSync(truth, "utf8"));
    sets.push({ set, target, files: new Map(Object.entries(files).map(([name, { text }]) => [name, text])) });
  }
  return sets;
}

function plain(text: string): string {
  return text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").trim().normalize("NFC");
}

function tallyFigures(id: string, tally: Tally, pictures: number, target: number | undefined): readonly Figure[] {
  const own = tally.get("doorlink")?.read ?? 0;
  const others = otherDecoders.map((decoder) => `${decoder} ${tally.get(decoder)?.read ?? 0}`).join(", ");
  const best = Math.max(...otherDecoders.map((decoder) => tally.get(decoder)?.read ?? 0));
  const figure: Figure = {
    ...{ id, value: own, unit: `of ${pictures} photographs (${others})` },
    anchor: { name: "the best of the others", value: best },
    ratio: rounded(own / Math.max(1, best)),
  };
  return [target === undefined ? figure : { ...figure, target: `value >= ${target}`, holds: own >= target }];
}

async function familyFigures(seeds: number): Promise<readonly Figure[]> {
  const all = newTally();
  const figures: Figure[] = [];
  for (const category of benchmarkCategories) {
    const tally = newTally();
    for (let seed = 1; seed <= seeds; seed++) await countPhoto([tally, all], category, seed);
    figures.push(...tallyFigures(`read-camera-${category}`, tally, seeds, undefined));
  }
  const pictures = seeds * benchmarkCategories.length;
  const share = Math.ceil(cameraShareMin * pictures);
  return [...figures, ...tallyFigures("read-camera", all, pictures, share), ...timeFigures("read-camera", all)];
}

async function countPhoto(tallies: readonly Tally[], category: BenchmarkCategory, seed: number): Promise<void> {
  const { picture, truth } = benchmarkPhoto(category, seed);
  const wanted = new Set(truth.codes.map(({ text }) => text));
  const once = newTally();
  await count(once, picture, (texts) => texts.some((text) => wanted.has(text)));
  for (const tally of tallies) {
    for (const [decoder, { read, ms }] of once) {
      const into = tally.get(decoder);
      if (into === undefined) continue;
      into.read += read;
      into.ms.push(...ms);
    }
  }
}

/** Eleven million pixels, as a phone gives them: emulated photographs enlarged three times a side. */
async function largeFigures(seeds: number): Promise<readonly Figure[]> {
  const tally = newTally();
  for (let seed = 1; seed <= seeds; seed++) {
    const category = benchmarkCategories[seed % benchmarkCategories.length] ?? "nominal";
    const { picture, truth } = benchmarkPhoto(category, seed);
    const factor = Math.max(1, Math.round(Math.sqrt(largePixels / (picture.width * picture.height))));
    const wanted = new Set(truth.codes.map(({ text }) => text));
    await count(tally, new Pyramid(picture).enlarged(factor).picture, (texts) =>
      texts.some((text) => wanted.has(text)),
    );
  }
  return [...tallyFigures("read-large", tally, seeds, undefined), ...timeFigures("read-large", tally)];
}

function timeFigures(id: string, tally: Tally): readonly Figure[] {
  const own = tally.get("doorlink")?.ms ?? [];
  const zxing = tally.get("zxing")?.ms ?? [];
  return [
    timeFigure(`${id}-ms-median`, median(own), median(zxing), 5),
    timeFigure(`${id}-ms-p95`, high(own), high(zxing), 20),
  ];
}

function timeFigure(id: string, own: number, zxing: number, atMost: number): Figure {
  const ratio = own / zxing;
  return {
    ...{ id, value: rounded(own), unit: "ms" },
    anchor: { name: "zxing-wasm", value: rounded(zxing) },
    ...{ ratio: rounded(ratio), target: `ratio <= ${atMost}`, holds: ratio <= atMost },
  };
}

function high(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? Number.NaN;
}

function negativeFigures(seeds: number): readonly Figure[] {
  let falseReads = 0;
  const ms: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const read = decodeHere(negativePhoto(seed).picture);
    ms.push(read.ms);
    if (read.texts.length > 0) falseReads++;
  }
  const unit = `false reads of ${seeds} pictures without a code`;
  return [
    { id: "read-negatives", value: falseReads, unit, target: "value = 0", holds: falseReads === 0 },
    { id: "read-negatives-ms-p95", value: rounded(high(ms)), unit: "ms" },
  ];
}

const budgetMs = 10_000;
const quickPhotos = 40;
const cameraShareMin = 0.85;
const largePixels = 12_000_000;
