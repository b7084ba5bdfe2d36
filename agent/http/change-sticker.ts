/** A change of a panel's sticker, asked of the authority: the gateway mints nothing and ends nothing by itself. SPEC Q59. */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { parseDeviceId } from "../../protocol/base/units.ts";
import { type StickerAction, stickerReasons } from "../../protocol/wire/messages/command.ts";
import { type Described, describePanel } from "./describe.ts";

export type StickerChange = {
  readonly panel: string;
  readonly action: StickerAction;
  readonly epoch?: number | undefined;
};

/**
 * `no-such-panel`: nor does this gateway's list have it. `authority-silent`: there is no link, or no answer came; whether it was done is
 * not known. `authority-refused`: its reason. `list-behind`: it was done, and the new list is not here.
 */
export type StickerChangeFault = {
  readonly code: "no-such-panel" | "authority-silent" | "authority-refused" | "list-behind";
  readonly reason?: string;
};

/** Asks, and gives the panel as it stands by the authority's list after it. Faults: `StickerChangeFault`. */
export async function changeSticker(
  { gateway, clock }: Described,
  { panel, action, epoch }: StickerChange,
): Promise<Result<ReturnType<typeof describePanel>, StickerChangeFault>> {
  const device = parseDeviceId(panel);
  const known = device === undefined ? undefined : gateway.table.panelDesired(device);
  if (device === undefined || known === undefined) return failed({ code: "no-such-panel" });
  const answer = await gateway.upstream.askSticker({ device, action, rotation: epoch ?? known.rotation });
  if (!answer.ok) {
    const isJudged = stickerReasons.some((reason) => reason === answer.reason);
    return failed({ code: isJudged ? "authority-refused" : "authority-silent", reason: answer.reason });
  }
  const after = gateway.table.panelDesired(device);
  if (after === undefined || after.rotation < answer.rotation) return failed({ code: "list-behind" });
  return ok(describePanel({ gateway, clock }, after));
}

export function stickerStatusOf({ code }: StickerChangeFault): 404 | 409 | 502 | 503 {
  switch (code) {
    case "no-such-panel":
      return 404;
    case "authority-refused":
      return 409;
    case "authority-silent":
      return 503;
    case "list-behind":
      return 502;
  }
}
