/** `doorlink sticker read FILE...`: every QR symbol of every picture, whoever made it. */
import type { Command } from "commander";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { SymbolReading } from "../../protocol/sticker/read-symbols.ts";
import {
  type Complaint,
  complain,
  describeFault,
  json,
  loadFile,
  type StickerCommandDeps,
  usage,
} from "./command-parts.ts";

export type ReadCommandOptions = { readonly json?: boolean; readonly seconds?: string };

type ReadText = {
  readonly text: string;
  /** Top left, top right, bottom right, bottom left as printed; pixels as stored. */
  readonly corners: readonly (readonly [number, number])[];
  readonly version: number;
  /** From the start of the reading of this picture. */
  readonly ms: number;
};

type ReadLine = {
  readonly file: string;
  readonly texts: readonly ReadText[];
  readonly ms: number;
  readonly error?: string;
};

/** Adds `read` to `sticker`. */
export function registerReadCommand(sticker: Command, deps: StickerCommandDeps): void {
  sticker
    .command("read")
    .argument("<file...>", "PNG, JPEG, WebP or TIFF")
    .description("read every QR symbol of each picture, also damaged, curved, dark and small ones")
    .option("--json", "one JSON line a file on stdout, corners in pixels as stored")
    .option("--seconds <seconds>", "at most so long a picture", String(secondsDefault))
    .addHelpText(
      "after",
      "\nCorners: top left, top right, bottom right, bottom left of the symbol as it was printed, in pixels of the picture as it is\n" +
        "stored (an EXIF orientation is not applied). ms: reading alone, without unpacking the file. A file that is no picture gets a\n" +
        "line with an error, the others are read, and the exit code is 2 at the end. Exit 1: nothing was read in any file.",
    )
    .action(async (files: readonly string[], options: ReadCommandOptions) =>
      deps.finish(await runStickerRead(files, options, deps)),
    );
}

/** Reads all files, one after the other; 0 when anything was read, 1 when nothing, 2 when a file was no picture. */
export async function runStickerRead(
  files: readonly string[],
  options: ReadCommandOptions,
  deps: StickerCommandDeps,
): Promise<number> {
  const seconds = Number(options.seconds ?? secondsDefault);
  if (!(seconds > 0 && seconds <= secondsMax)) {
    return complain(deps, usage(`--seconds: a number up to ${secondsMax} is expected, such as ${secondsDefault}`));
  }
  let anyRead = false;
  let anyBad = false;
  for (const file of files) {
    const line = await readOne(file, seconds);
    anyRead ||= line.texts.length > 0;
    anyBad ||= line.error !== undefined;
    deps.write(options.json === true ? json(line) : lineText(line));
  }
  return anyBad ? 2 : anyRead ? 0 : 1;
}

async function readOne(file: string, seconds: number): Promise<ReadLine> {
  const picture = await loadPicture(file);
  if (!picture.ok) return { file, texts: [], ms: 0, error: picture.fault.line };
  const { readSymbols } = await import("../../protocol/sticker/read-symbols.ts");
  const started = performance.now();
  const elapsed = (): number => Math.round((performance.now() - started) * 10) / 10;
  const texts: ReadText[] = [];
  readSymbols(picture.value, {
    isOutOfTime: () => performance.now() - started > seconds * 1000,
    onReading: (reading) => texts.push(readText(reading, elapsed())),
  });
  return { file, texts, ms: elapsed() };
}

async function loadPicture(file: string) {
  const bytes: Result<Uint8Array, Complaint> = await loadFile(file, pictureBytesMax);
  if (!bytes.ok) return bytes;
  const { readPicture } = await import("./picture-file.ts");
  const read = await readPicture(bytes.value, { upright: false });
  return read.ok ? ok(read.value.picture) : failed(usage(`${file}: ${describeFault(read.fault)}`));
}

function readText({ text, corners, version }: SymbolReading, ms: number): ReadText {
  const rounded = (value: number): number => Math.round(value * 100) / 100;
  return { text, corners: corners.map(({ x, y }) => [rounded(x), rounded(y)] as const), version, ms };
}

function lineText({ file, texts, ms, error }: ReadLine): string {
  if (error !== undefined) return `${error}\n`;
  if (texts.length === 0) return `${file}: no symbol read (${ms} ms)\n`;
  return texts.map(({ text, version }) => `${file}: ${JSON.stringify(text)} (version ${version})\n`).join("");
}

// As `sticker check` takes them.
const pictureBytesMax = 64_000_000;
const secondsDefault = 10;
const secondsMax = 600;
