/** `doorlink sticker card`: the calibration card as a PDF. Nobody is asked for anything. */
import { writeFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { calibrationCardHeightMm, calibrationCardWidthMm } from "../../protocol/sticker/size/calibration-card.ts";
import { complain, json, reasonOf, type StickerCommandDeps, table } from "./command-parts.ts";
import type { Paper } from "./pdf-page.ts";

export type CardOptions = { readonly out: string; readonly paper: Paper; readonly json?: boolean };

/** Adds `card` to `sticker`. */
export function registerCardCommand(sticker: Command, deps: StickerCommandDeps): void {
  sticker
    .command("card")
    .description("a card of known size, to be photographed beside a sticker whose size is asked for")
    .requiredOption("--out <file>", "PDF to write")
    .addOption(new Option("--paper <paper>", "of the PDF").choices(["a4", "letter"]).default("a4"))
    .option("--json", "one JSON object on stdout")
    .action(async (options: CardOptions) => deps.finish(await runStickerCard(options, deps)));
}

export async function runStickerCard(
  { out, paper, json: asJson }: CardOptions,
  deps: StickerCommandDeps,
): Promise<number> {
  const { drawCardPdf } = await import("./card-pdf.ts");
  try {
    await writeFile(out, await drawCardPdf(paper));
  } catch (cause) {
    return complain(deps, { exit: 3, line: `cannot write ${out}: ${reasonOf(cause)}` });
  }
  const [widthMm, heightMm] = [calibrationCardWidthMm, calibrationCardHeightMm];
  if (asJson === true) deps.write(json({ pdf: out, widthMm, heightMm, paper }));
  else {
    deps.write(
      table([
        ["card", `${widthMm.toFixed(2)} x ${heightMm.toFixed(2)} mm, the outline of a bank card`],
        ["pdf", out],
        ["print", 'at 100 % ("actual size"), then lay a bank card on it: they must match'],
      ]),
    );
  }
  return 0;
}
