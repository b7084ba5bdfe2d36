/** Builders for the sticker tests: a site of two panels, its print files, and a file of the test's own. */

import { type PrintedSticker, printSticker } from "../../../agent/sticker/print-sticker.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification, type StickerSpecification } from "../../../protocol/sticker/specification.ts";
import { mintStickerPayload } from "../../../protocol/sticker/token.ts";
import type { PanelRecord } from "../../../protocol/sticker/verdict.ts";

const key = new Uint8Array(32).fill(5);

export function payload(panelNumber: number, epoch: number, publicUrl = "https://doors.example", by = key): string {
  const minted = mintStickerPayload({ key: by, publicUrl, panelNumber, epoch });
  assert(minted.ok, "the test's public URL mints");
  return minted.value.payload;
}

export const lobby: PanelRecord = {
  panel: "lobby",
  panelNumber: 1,
  doorName: "Lobby",
  epoch: 3,
  current: payload(1, 3),
  retired: [payload(1, 1), payload(1, 2)],
  listedAtMs: 0,
  ageMs: 5_000,
};

export const garage: PanelRecord = {
  ...lobby,
  panel: "garage",
  panelNumber: 2,
  doorName: "Garage",
  epoch: 1,
  current: payload(2, 1),
  retired: [],
};

export const panels = [lobby, garage];

export async function print(
  change: Partial<{
    payload: string;
    doorName: string;
    epoch: number;
    specification: StickerSpecification;
    madeAt: Date;
  }> = {},
): Promise<PrintedSticker> {
  const order = { payload: lobby.current, doorName: "Lobby", epoch: 3, specification: defaultStickerSpecification };
  const printed = await printSticker({ ...order, ...change });
  assert(printed.ok, "the test's sticker prints");
  return printed.value;
}
