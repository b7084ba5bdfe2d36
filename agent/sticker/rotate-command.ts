/**
 * `doorlink sticker rotate | retire`: asks the authority, which alone can mint and end a sticker, and prints what it minted.
 * Rules: SPEC Q58-Q60.
 */
import type { Command } from "commander";
import { ok, type Result } from "../../protocol/base/result.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import type { StickerAction } from "../../protocol/wire/messages/command.ts";
import {
  type Complaint,
  complain,
  json,
  listPanels,
  reasonOf,
  type StickerChangeFault,
  type StickerCommandDeps,
  table,
  unknownPanel,
  usage,
} from "./command-parts.ts";
import {
  addMakeOptions,
  type MakeOptions,
  madeJson,
  madeText,
  readOrder,
  toValidPanel,
  writeStickers,
} from "./make-command.ts";
import { onWallText } from "./on-wall.ts";

export type RotateOptions = Omit<MakeOptions, "out"> & { readonly out?: string };
export type RetireOptions = { readonly json?: boolean };

/** Adds `rotate` and `retire` to `sticker`. */
export function registerRotateCommands(sticker: Command, deps: StickerCommandDeps): void {
  const rotate = sticker
    .command("rotate")
    .argument("<panel>", "the panel that gets its next sticker; the one before is dead from then on")
    .description("ask the authority for a panel's next sticker, and print it");
  addMakeOptions(rotate.option("--out <dir>", "folder for the print files of the new sticker"))
    .option("--json", "one JSON object on stdout")
    .action(async (panel: string, options: RotateOptions) => deps.finish(await runRotate(panel, options, deps)));
  sticker
    .command("retire")
    .argument("<panel>", "the panel whose sticker is dead from then on, until it is rotated")
    .description("end a panel's sticker without another, as when the panel is taken down")
    .option("--json", "one JSON object on stdout")
    .action(async (panel: string, options: RetireOptions) => deps.finish(await runRetire(panel, options, deps)));
}

/** With `--out`, the print files are made in the same breath; what they need is checked before anything is rotated. */
export async function runRotate(panel: string, options: RotateOptions, deps: StickerCommandDeps): Promise<number> {
  const { out } = options;
  const order = out === undefined ? undefined : await readOrder({ ...options, out });
  if (order?.ok === false) return complain(deps, order.fault);
  const asked = await change(panel, "rotate", deps);
  if (!asked.ok) return complain(deps, asked.fault);
  const { before, after } = asked.value;
  const said = { panel, doorName: after.doorName, epoch: after.epoch, payload: after.current, retired: before.current };
  const rows = [
    ["panel", `${panel} (${after.doorName}), number ${after.epoch}`],
    ["dead", before.current === null ? "none was valid" : `number ${before.epoch}, wherever it still hangs`],
    ["on wall", onWallText(after)],
  ];
  if (order === undefined || out === undefined) {
    deps.write(
      options.json === true ? json(said) : table([...rows, ["print", `doorlink sticker make ${panel} --out DIR`]]),
    );
    return 0;
  }
  const valid = toValidPanel(after);
  const made = valid.ok ? await writeStickers([valid.value], order.value, out) : valid;
  if (!made.ok) {
    const again = `${panel} is at number ${after.epoch} now; print it with "doorlink sticker make ${panel} --out DIR"`;
    return complain(deps, { ...made.fault, line: `${made.fault.line} (${again})` });
  }
  const files = madeJson(made.value, order.value);
  deps.write(options.json === true ? json({ ...said, ...files }) : table(rows) + madeText(made.value, order.value));
  return 0;
}

export async function runRetire(panel: string, options: RetireOptions, deps: StickerCommandDeps): Promise<number> {
  const asked = await change(panel, "retire", deps);
  if (!asked.ok) return complain(deps, asked.fault);
  const { before, after } = asked.value;
  if (options.json === true) {
    deps.write(json({ panel, doorName: after.doorName, epoch: after.epoch, payload: null, retired: before.current }));
    return 0;
  }
  deps.write(
    table([
      ["panel", `${panel} (${after.doorName})`],
      ["dead", before.current === null ? "it had no valid sticker" : `number ${before.epoch}, wherever it still hangs`],
      ["valid", `none until "doorlink sticker rotate ${panel}"`],
    ]),
  );
  return 0;
}

type Change = { readonly before: PanelRecord; readonly after: PanelRecord };

/** Names the number that is meant: a command that is given twice, or on an old list, ends nothing that its giver has not seen. */
async function change(
  panel: string,
  action: StickerAction,
  deps: StickerCommandDeps,
): Promise<Result<Change, Complaint>> {
  const panels = await listPanels(deps);
  if (!panels.ok) return panels;
  const before = panels.value.find((each) => each.panel === panel);
  if (before === undefined) return { ok: false, fault: { code: "complaint", ...unknownPanel(panel, panels.value) } };
  try {
    const changed = await deps.changeSticker({ panel, action, epoch: before.epoch });
    return changed.ok ? ok({ before, after: changed.value }) : { ok: false, fault: complaintOf(panel, changed.fault) };
  } catch (cause) {
    return { ok: false, fault: { code: "complaint", exit: 3, line: `the agent does not answer: ${reasonOf(cause)}` } };
  }
}

function complaintOf(panel: string, { code, reason = "" }: StickerChangeFault): Complaint {
  const look = '"doorlink sticker list" shows the number that counts';
  switch (code) {
    case "authority-silent":
      return environment(
        reason === "unreachable"
          ? `no link to the authority, which alone can do it: nothing was done; "doorlink status" says when there is one`
          : `the authority did not answer in time: it may have been done; ${look}`,
      );
    case "list-behind":
      return environment(`it was done, and the new list is not here yet; ${look}`);
    case "authority-refused":
      return { code: "complaint", exit: 1, line: `the authority refused: ${refusals[reason] ?? reason} (${panel})` };
    default:
      return usage(`${code}: the agent did not take that for ${panel}`);
  }
}

const refusals: Readonly<Record<string, string>> = {
  "no-such-panel": "the panel is not in its site file any more",
  "another-rotation":
    'the panel is at another number by now; look at "doorlink sticker list" and ask again if it is still wanted',
  "no-rotations-left": "the panel has used all of its 65,535 numbers; give the site a new panel in its place",
  "too-often":
    "this panel's sticker was changed through gateways too often today; somebody who manages the site can do it there",
};

function environment(line: string): Complaint {
  return { code: "complaint", exit: 3, line };
}
