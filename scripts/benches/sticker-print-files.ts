/**
 * Print files with known defects by every maker: what `sticker check` finds, what it calls wrong that is right, and how
 * exactly it measures. Beside nothing: no other tool checks print files.
 */
import { performance } from "node:perf_hooks";
import { checkStickerFile } from "../../agent/sticker/check-sticker.ts";
import { defectsOf, makePrintFile, mistakesOf, printMakers } from "../../emulator/camera/print-files.ts";
import { assert } from "../../protocol/base/result.ts";
import { mintStickerPayload } from "../../protocol/sticker/token.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import { type Figure, median, rounded } from "./result.ts";

export const printFilesModel =
  "print files: 27 makers (qrcode's own SVG and PNG, seven styles of SVG, six of PDF, twelve kinds of raster) with one of 21 defects each, or none; drawn by emulator/camera/print-files.ts from a seed";

/** `files` from seed 0 on; every pair of maker and defect comes once in 520. */
export async function printFileFigures(files: number): Promise<readonly Figure[]> {
  const seen = await checkFiles(files);
  const { defective, found, good, falseAlarms, extra, times, vectorOff, rasterOff } = seen;
  return [
    { id: "print-files", value: files, unit: "files" },
    shareFigure("print-defects-found", found, defective, found === defective),
    {
      id: "print-false-alarms",
      value: falseAlarms,
      unit: `of ${good} good files`,
      target: "0",
      holds: falseAlarms === 0,
    },
    {
      id: "print-other-mistakes",
      value: extra,
      unit: `of ${defective} defective files`,
      target: "0",
      holds: extra === 0,
    },
    {
      id: "print-vector-size-off-worst",
      value: rounded(vectorOff),
      unit: "%",
      target: "<= 0.1",
      holds: vectorOff <= 0.1,
    },
    { id: "print-raster-size-off-worst", value: rounded(rasterOff), unit: "px", target: "<= 1", holds: rasterOff <= 1 },
    { id: "print-check-median", value: rounded(median(times)), unit: "ms" },
    { id: "print-check-worst", value: rounded(Math.max(...times)), unit: "ms" },
  ];
}

function shareFigure(id: string, value: number, of: number, holds: boolean): Figure {
  return { id, value, unit: `of ${of} files`, target: `${of}`, holds };
}

async function checkFiles(files: number) {
  const { payloads, panels } = site();
  const pairs = printMakers.flatMap((maker) => defectsOf(maker).map((defect) => ({ maker, defect })));
  const times: number[] = [];
  let [defective, found, good, falseAlarms, extra, vectorOff, rasterOff] = [0, 0, 0, 0, 0, 0, 0];
  for (let seed = 0; seed < files; seed++) {
    const pair = pairs[seed % pairs.length];
    assert(pair !== undefined, "there are pairs");
    const sample = await makePrintFile(seed, pair.maker, pair.defect, payloads);
    const from = performance.now();
    const checked = await checkStickerFile(sample.bytes, sample.specification, { panels, expectedPanel: "lobby" });
    times.push(performance.now() - from);
    const mistakes = checked.ok ? mistakesOf(sample, checked.value) : ["missed: not read"];
    const isGood = sample.expected.codes.length === 0;
    if (isGood) {
      good++;
      if (mistakes.length > 0) falseAlarms++;
    } else {
      defective++;
      if (!mistakes.some((mistake) => mistake.startsWith("missed"))) found++;
      if (mistakes.some((mistake) => !mistake.startsWith("missed"))) extra++;
    }
    if (mistakes.length > 0) process.stderr.write(`${sample.name}: ${mistakes.join("; ")}\n`);
    const { scalePercent, percentOff } = sample.expected;
    if (!checked.ok || !checked.value.size.measurable || scalePercent === undefined) continue;
    const { size } = checked.value;
    for (const axis of ["x", "y"] as const) {
      const off = 100 * Math.abs(size.scalePercent[axis] / scalePercent[axis] - 1);
      if (size.source === "vector") vectorOff = Math.max(vectorOff, off);
      else rasterOff = Math.max(rasterOff, off / percentOff);
    }
  }
  return { defective, found, good, falseAlarms, extra, times, vectorOff, rasterOff };
}

function site() {
  const key = new Uint8Array(32).fill(5);
  const mint = (panelNumber: number, epoch: number, publicUrl = "https://doors.example") => {
    const minted = mintStickerPayload({ key, publicUrl, panelNumber, epoch });
    assert(minted.ok, "the bench's public URL mints");
    return minted.value.payload;
  };
  const current = mint(1, 3);
  const lobby: PanelRecord = {
    panel: "lobby",
    panelNumber: 1,
    doorName: "Lobby",
    epoch: 3,
    current,
    retired: [mint(1, 1), mint(1, 2)],
    listedAtMs: 0,
    ageMs: 0,
  };
  const otherPanel = mint(2, 1);
  const garage = { ...lobby, panel: "garage", panelNumber: 2, epoch: 1, current: otherPanel, retired: [] };
  const payloads = {
    current,
    retired: mint(1, 2),
    otherPanel,
    foreign: mint(1, 3, "https://evil.example"),
  };
  return { payloads, panels: [lobby, garage] };
}
