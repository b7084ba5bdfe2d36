/**
 * The stickers of a site's panels: each panel has a rotation epoch; the sticker of this epoch is current, those before it are
 * dead from the moment of the rotation. A panel whose current sticker is retired has no valid one until it is rotated (SPEC Q58).
 * Payloads are minted again from the key whenever they are asked for.
 */
import { assert } from "../../protocol/base/result.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import {
  checkStickerMac,
  foldStickerToken,
  mintStickerPayload,
  parseStickerToken,
  publicUrlToOrigin,
  stickerEpochMax,
} from "../../protocol/sticker/token.ts";
import type { PanelState } from "./authority-state.ts";

export interface PanelStickers {
  readonly rotation: number;
  /** Null: it is retired, and is the last of those. */
  readonly current: string | null;
  /** Oldest first; the latest 256. */
  readonly retired: readonly string[];
}

/** What a token opens. Only `current` names its panel: a dead sticker tells nothing. */
export type TokenJudgement =
  | { readonly verdict: "current"; readonly panel: string }
  | { readonly verdict: "retired"; readonly panel: string }
  | { readonly verdict: "unknown"; readonly why: "not-a-token" | "mac-differs" | "no-such-panel" | "epoch-ahead" };

/** True when stickers can carry this URL: scheme, host and port, no path. */
export function isPublicUrl(text: string): boolean {
  return publicUrlToOrigin(text).ok;
}

export function panelStickers(key: Uint8Array, publicUrl: string, panel: PanelState): PanelStickers {
  const isRetired = panel.retiredAt !== null;
  const next = panel.rotation + (isRetired ? 1 : 0);
  const oldest = Math.max(1, next - retiredMax);
  const epochs = Array.from({ length: next - oldest }, (_, index) => oldest + index);
  const payloadOf = (epoch: number): string => {
    const minted = mintStickerPayload({ key, publicUrl, panelNumber: panel.number, epoch });
    assert(minted.ok, "the public URL was checked when the cloud started");
    return minted.value.payload;
  };
  const current = isRetired ? null : payloadOf(panel.rotation);
  return { rotation: panel.rotation, current, retired: epochs.map(payloadOf) };
}

/** Judges the text after `/L/`, in whatever case it was typed. SPEC Q8: no claim of a token counts without its MAC. */
export function judgeToken(
  key: Uint8Array,
  panels: Readonly<Record<string, PanelState>>,
  tokenText: string,
): TokenJudgement {
  const token = parseStickerToken(foldStickerToken(tokenText));
  if (!token.ok) return { verdict: "unknown", why: "not-a-token" };
  if (checkStickerMac(key, token.value) === "mac-differs") return { verdict: "unknown", why: "mac-differs" };
  const found = Object.entries(panels).find(([, panel]) => panel.number === token.value.panelNumber);
  if (found === undefined) return { verdict: "unknown", why: "no-such-panel" };
  const [panel, { rotation, retiredAt }] = found;
  if (token.value.epoch > rotation) return { verdict: "unknown", why: "epoch-ahead" };
  return { verdict: token.value.epoch === rotation && retiredAt === null ? "current" : "retired", panel };
}

/** False when the panel has had as many stickers as a token can count. */
export function mayRotate(panel: PanelState): boolean {
  return panel.rotation < stickerEpochMax;
}

/** Since when the current sticker is known to hang there, by whatever showed it first; null: nobody has shown it. SPEC Q60. */
export function seenOnWall({ openedAt, checkedAt }: PanelState): UnixSeconds | null {
  if (openedAt === null || checkedAt === null) return openedAt ?? checkedAt;
  return openedAt < checkedAt ? openedAt : checkedAt;
}

/** As many as the `desired` message of a panel takes; an older one is retired all the same, by its epoch. */
const retiredMax = 256;
