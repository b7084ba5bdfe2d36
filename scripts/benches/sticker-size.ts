/** Printed size from photographs with a reference in view, beside the size that the emulated sticker has. */
import {
  runSizeCampaign,
  type SizeFigures,
  type SizePhoto,
  type SizeScene,
} from "../../emulator/camera/size-trials.ts";
import type { SymbolMap } from "../../protocol/sticker/plane.ts";
import { readSymbols } from "../../protocol/sticker/read-symbols.ts";
import { type Figure, rounded } from "./result.ts";

export const sizeModel =
  "sizes: emulated photographs of 2000 x 1500 pixels from 22-33 cm, tilted up to 22 degrees, with a bent lens, noise and JPEG; the bezel as somebody measured it with a ruler, half of the focal lengths known to 2 %; the symbol's map is the reader's own; the error is that of the mean of both sides, where a size was given at all";

/** `trials` photographs of a 100 % print and of a 97 % print by each reference, and of things that are none. */
export function sizeFigures(trials: number): readonly Figure[] {
  const seeds = Array.from({ length: trials }, (_, at) => firstSeed + at);
  return [
    ...referenceFigures("bezel", seeds, 1),
    ...referenceFigures("id-1", seeds, 1.5),
    ...referenceFigures("calibration-card", seeds, 1.5),
    ...wrongReferences.map((scene) => noReferenceFigure(scene, seeds.slice(0, Math.ceil(trials / 5)))),
  ];
}

function referenceFigures(scene: SizeScene, seeds: readonly number[], p95Max: number): readonly Figure[] {
  const good = runSizeCampaign(scene, seeds, 1, readMap);
  const small = runSizeCampaign(scene, seeds, 0.97, readMap);
  const [alarms, flagged] = [100 * good.flaggedShare, 100 * small.flaggedShare];
  const { p95ErrorPercent: p95, medianErrorPercent, coverage } = good;
  return [
    { id: `size-${scene}-measured`, value: good.measured, unit: `of ${good.trials} photographs${reasonsText(good)}` },
    { id: `size-${scene}-median`, value: rounded(medianErrorPercent), unit: "% error" },
    { id: `size-${scene}-p95`, value: rounded(p95), unit: "% error", target: `<= ${p95Max}`, holds: p95 <= p95Max },
    {
      ...{ id: `size-${scene}-coverage`, value: rounded(100 * coverage), unit: "% of sides within what was stated" },
      ...{ target: ">= 93", holds: coverage >= 0.93 },
    },
    { id: `size-${scene}-97-flagged`, value: rounded(flagged), unit: "%", target: ">= 95", holds: flagged >= 95 },
    { id: `size-${scene}-false-alarms`, value: rounded(alarms), unit: "%", target: "<= 1", holds: alarms <= 1 },
  ];
}

function noReferenceFigure(scene: SizeScene, seeds: readonly number[]): Figure {
  const { measured, trials } = runSizeCampaign(scene, seeds, 1, readMap);
  return {
    ...{ id: `size-${scene}`, value: measured, unit: `sizes given in ${trials} photographs without a true reference` },
    ...{ target: "0", holds: measured === 0 },
  };
}

function readMap({ picture, code }: SizePhoto): SymbolMap | undefined {
  return readSymbols(picture).find(({ text }) => text === code.text)?.map;
}

function reasonsText({ reasons }: SizeFigures): string {
  const words = Object.entries(reasons).map(([reason, count]) => `${count} ${reason}`);
  return words.length === 0 ? "" : `, else ${words.join(", ")}`;
}

const wrongReferences = ["nothing", "phone", "business-card", "picture-frame"] as const;
const firstSeed = 1_001;
