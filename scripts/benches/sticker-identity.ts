/**
 * Identity of worn stickers at the level of modules: how often the right name is given with up to two fifths of a symbol destroyed, and how often a
 * code that is not listed, or is retired, is taken for a listed one (never). What is drawn is told in emulator/camera/identity-trials.ts.
 */

import {
  falseAcceptKinds,
  judgedKinds,
  judgedWear,
  makeTrialSite,
  type TrialTally,
  tallyIdentity,
} from "../../emulator/camera/identity-trials.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { assert } from "../../protocol/base/result.ts";
import { type Figure, rounded } from "./result.ts";

export const identityModel =
  "identity: modules of a site's 500 stickers, of foreign and of altered ones, worn by strewn modules, blobs and lines up to two fifths; no camera between; drawn by emulator/camera/identity-trials.ts from a seed";

/** Figures for `scripts/bench sticker`: at least 2,000 own and foreign trials, 100,000 that must never be accepted; a sample when quick. */
export function measureIdentity(quick: boolean): readonly Figure[] {
  const site = makeTrialSite(panelCount, epochs, seededRandom(seed, "bench/identity"));
  const began = performance.now();
  const each = quick ? 20 : 300;
  const judged = tallyIdentity({ site, kinds: judgedKinds, wear: judgedWear, trials: each, shareMax, seed });
  const milliseconds = (performance.now() - began) / total(judged, "trials");
  const renderedEach = quick ? 5 : 100;
  const rendered = tallyIdentity({
    ...{ site, kinds: judgedKinds, wear: judgedWear, trials: renderedEach, shareMax },
    ...{ seed: seed + 2, through: "picture" },
  });
  const harder = tallyIdentity({ site, kinds: ["worn-overlay"], wear: judgedWear, trials: each, shareMax, seed });
  const scribbled = tallyIdentity({ site, kinds: judgedKinds, wear: ["scribble"], trials: each, shareMax, seed });
  const falseEach = Math.ceil((quick ? 1_000 : 100_000) / (falseAcceptKinds.length * judgedWear.length));
  const wrongly = tallyIdentity({
    ...{ site, kinds: falseAcceptKinds, wear: judgedWear, trials: falseEach, shareMax },
    seed: seed + 1,
  });
  const worst = judged.reduce((least, tally) =>
    tally.right / tally.trials < least.right / least.trials ? tally : least,
  );
  const accepted = total(wrongly, "falseAccepts");
  return [
    figure("identity-right", percent(judged), "%", "at least 99", percent(judged) >= 99),
    { id: `identity-right-least (${worst.kind}, ${worst.wear})`, value: percent([worst]), unit: "%" },
    figure("identity-right-rendered", percent(rendered), "%", "at least 99", percent(rendered) >= 99),
    { id: "identity-right-worn-overlay", value: percent(harder), unit: "%" },
    { id: "identity-right-scribbled", value: percent(scribbled), unit: "%" },
    figure("identity-false-accepts", accepted, `of ${total(wrongly, "trials")}`, "0", accepted === 0),
    { id: "identity-time", value: rounded(milliseconds), unit: `ms a symbol, ${panelCount * epochs} known stickers` },
  ];
}

function figure(id: string, value: number, unit: string, target: string, holds: boolean): Figure {
  return { id, value, unit, target, holds };
}

function percent(tallies: readonly TrialTally[]): number {
  const trials = total(tallies, "trials");
  assert(trials > 0, "there are trials");
  return rounded((100 * total(tallies, "right")) / trials);
}

function total(tallies: readonly TrialTally[], what: "trials" | "right" | "falseAccepts"): number {
  return tallies.reduce((sum, tally) => sum + tally[what], 0);
}

const seed = 5;
const panelCount = 100;
const epochs = 5;
const shareMax = 0.4;
