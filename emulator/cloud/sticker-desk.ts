/**
 * Where a change of a panel's sticker is asked for, by somebody who manages the site or by a gateway. It judges, writes down who
 * asked and what came of it, and then has the authority do it. Rules: SPEC Q58-Q60.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { StickerAction, StickerReason } from "../../protocol/wire/messages/command.ts";
import type { WorldClock } from "../world/clock.ts";
import type { Authority } from "./authority.ts";
import type { OutgoingMessage } from "./broker.ts";
import { desiredOfPanel } from "./desired.ts";
import type { CloudLog } from "./log.ts";
import type { StickerRecord } from "./sticker-record.ts";
import { mayRotate, type PanelStickers } from "./stickers.ts";

export interface StickerRequest {
  /** A gateway, or null for somebody who manages the site. */
  readonly gateway: DeviceId | null;
  readonly panel: string;
  readonly action: StickerAction;
  /** What the asker takes for the panel's rotation; null: whatever it is. */
  readonly rotation: number | null;
}

export interface StickerDeskParts {
  readonly authority: Authority;
  readonly record: StickerRecord;
  readonly clock: WorldClock;
  readonly log: CloudLog;
  readonly send: (message: OutgoingMessage) => void;
}

export class StickerDesk {
  readonly #parts: StickerDeskParts;

  constructor(parts: StickerDeskParts) {
    this.#parts = parts;
  }

  /**
   * Judges and carries out. When this returns, it is on disk and the panel's new list is on its way to the site.
   * Faults: those of `StickerReason`.
   */
  request(request: StickerRequest): Result<PanelStickers, { readonly code: StickerReason }> {
    const { record, authority, clock, log } = this.#parts;
    const { gateway, panel, action } = request;
    const reason = this.#judge(request);
    const rotation = authority.state.panels[panel]?.rotation ?? null;
    const line = { by: gateway ?? "manager", panel, action, rotation, outcome: reason ?? ("done" as const) };
    record.append({ at: clock.nowMs(), ...line });
    log.info(line, "sticker");
    if (reason !== undefined) return failed({ code: reason });
    this.#carryOut(action, panel);
    this.tellPanel(panel);
    const stickers = authority.stickersOf(panel);
    return stickers === undefined ? failed({ code: "no-such-panel" }) : ok(stickers);
  }

  /** Says the panel's list again, to whom it is news. */
  tellPanel(panel: string): void {
    const message = desiredOfPanel(this.#parts.authority, panel as DeviceId);
    if (message !== undefined) this.#parts.send(message);
  }

  #judge({ gateway, panel, action, rotation }: StickerRequest): StickerReason | undefined {
    const { authority, record, clock } = this.#parts;
    const here = authority.site?.panels.some(({ id }) => id === panel) ?? false;
    const state = authority.state.panels[panel];
    if (!here || state === undefined) return "no-such-panel";
    if (rotation !== null && rotation !== state.rotation) return "another-rotation";
    if (action === "seen") return state.retiredAt === null ? undefined : "no-valid-sticker";
    if (action === "rotate" && !mayRotate(state)) return "no-rotations-left";
    // A gateway that was taken over could otherwise leave a house without a valid sticker for as long as it likes, and use up its rotations.
    const isOften = gateway !== null && record.changesSince(panel, clock.nowMs() - dayMs) >= gatewayChangesMax;
    return isOften ? "too-often" : undefined;
  }

  #carryOut(action: StickerAction, panel: string): void {
    const { authority } = this.#parts;
    if (action === "rotate") authority.rotateSticker(panel);
    else if (action === "retire") authority.retireSticker(panel);
    else authority.stickerSeen(panel);
  }
}

const dayMs = 86_400_000;
/** Of one panel in a day: more than anybody prints. */
const gatewayChangesMax = 20;
