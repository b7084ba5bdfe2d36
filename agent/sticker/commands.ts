/**
 * `doorlink sticker make | rotate | retire | card | check | list`. The known payloads come from the running agent; the work is done in this
 * command's own process, and what loads sharp is imported only when a command needs it, never by the resident agent.
 *
 * Each run function gives its exit code: 0 fine, 1 finding, 2 usage or bad input, 3 environment. None ends the process.
 */
import type { Command } from "commander";
import { registerCardCommand } from "./card-command.ts";
import { registerCheckCommand } from "./check-command.ts";
import { ageText, complain, json, listPanels, type StickerCommandDeps, table } from "./command-parts.ts";
import { registerMakeCommand } from "./make-command.ts";
import { onWallText } from "./on-wall.ts";
import { registerReadCommand } from "./read-command.ts";
import { registerRotateCommands } from "./rotate-command.ts";

export type ListOptions = { readonly json?: boolean };

/** Adds `sticker` with its commands to a commander program. */
export function registerStickerCommands(program: Command, deps: StickerCommandDeps): void {
  const sticker = program.command("sticker").description("make, check and list the printed QR stickers");
  registerMakeCommand(sticker, deps);
  registerRotateCommands(sticker, deps);
  registerCardCommand(sticker, deps);
  registerCheckCommand(sticker, deps);
  registerReadCommand(sticker, deps);
  sticker
    .command("list")
    .description("the panels with their current and retired stickers")
    .option("--json", "one JSON object on stdout")
    .action(async (options: ListOptions) => deps.finish(await runStickerList(options, deps)));
}

/** Lists panels; payloads in full only with `--json`. */
export async function runStickerList(options: ListOptions, deps: StickerCommandDeps): Promise<number> {
  const panels = await listPanels(deps);
  if (!panels.ok) return complain(deps, panels.fault);
  if (options.json === true) {
    deps.write(json({ panels: panels.value }));
    return 0;
  }
  const rows = panels.value.map((record) => [
    record.panel,
    record.doorName,
    String(record.epoch),
    String(record.retired.length),
    onWallText(record),
    ageText(record.ageMs),
    record.current ?? "none: retired",
  ]);
  deps.write(table([["PANEL", "DOOR", "NUMBER", "RETIRED", "ON WALL", "LIST AGE", "CURRENT"], ...rows]));
  return 0;
}
