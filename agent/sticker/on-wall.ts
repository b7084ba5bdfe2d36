/** Whether a panel's current sticker is known to hang where it belongs, and how a check of a photo makes it known. Rules: SPEC Q60. */
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import { reasonOf, type StickerCommandDeps } from "./command-parts.ts";

/** What a list shows. */
export function onWallText({ current, seenAtMs }: PanelRecord): string {
  if (current === null) return "none valid";
  if (seenAtMs === undefined) return "unknown";
  return seenAtMs === null ? "reprint pending" : `seen ${new Date(seenAtMs).toISOString().slice(0, 10)}`;
}

/** Of a judgement: whose sticker it is. A covered one (`overlay`) is nobody's current one. */
export type SeenSticker = {
  readonly verdict: string;
  readonly panel: string | undefined;
  readonly epoch: number | undefined;
};

/** `known`: nothing is waited for. `not-current`: what was read is not what is waited for. */
export type SeenOutcome = "told" | "known" | "not-current" | "not-told";

/**
 * After a photo of a wall has passed: tells the authority that the sticker of this judgement hangs there, if it is the current one and the
 * reprint is still waited for. For photos only: a print file and a scan on a flat bed show paper, not a wall. Never fails the check; that
 * the authority could not be told is a warning, and the next photo tells it.
 */
export async function reportSeen(
  { verdict, panel, epoch }: SeenSticker,
  panels: readonly PanelRecord[],
  deps: Pick<StickerCommandDeps, "changeSticker" | "warn">,
): Promise<SeenOutcome> {
  const record = panels.find((each) => each.panel === panel);
  if (verdict !== "current" || record === undefined || epoch !== record.epoch) return "not-current";
  if (record.seenAtMs !== null) return "known";
  const fault = await tell(record, deps);
  if (fault === undefined) return "told";
  deps.warn(
    `the authority was not told that ${record.panel} has its sticker (${fault}); check a photo again when there is a link\n`,
  );
  return "not-told";
}

async function tell(
  { panel, epoch }: PanelRecord,
  deps: Pick<StickerCommandDeps, "changeSticker">,
): Promise<string | undefined> {
  try {
    const told = await deps.changeSticker({ panel, action: "seen", epoch });
    return told.ok ? undefined : (told.fault.reason ?? told.fault.code);
  } catch (cause) {
    return reasonOf(cause);
  }
}
