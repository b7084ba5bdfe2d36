/** Builders for the sticker tests: a site of two panels, its print files, and a file of the test's own. */

import { type FacePng, facePdf, facePng, faceSvg, makeFace } from "../../../agent/sticker/print-sticker.ts";
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

/** A panel that has a valid sticker. */
type StickeredPanel = PanelRecord & { readonly current: string };

export const lobby: StickeredPanel = {
  panel: "lobby",
  panelNumber: 1,
  doorName: "Lobby",
  epoch: 3,
  current: payload(1, 3),
  retired: [payload(1, 1), payload(1, 2)],
  listedAtMs: 0,
  ageMs: 5_000,
};

export const garage: StickeredPanel = {
  ...lobby,
  panel: "garage",
  panelNumber: 2,
  doorName: "Garage",
  epoch: 1,
  current: payload(2, 1),
  retired: [],
};

export const panels = [lobby, garage];

/** One sticker in all its files. */
export type PrintedSticker = FacePng & {
  readonly pdf: Uint8Array;
  readonly svg: string;
  readonly face: { readonly widthMm: number; readonly heightMm: number };
  readonly missingCharacters: string;
};

export async function print(
  change: Partial<{
    payload: string;
    doorName: string;
    epoch: number;
    specification: StickerSpecification;
    madeAt: Date;
  }> = {},
): Promise<PrintedSticker> {
  const usual = { payload: lobby.current, doorName: "Lobby", epoch: 3, specification: defaultStickerSpecification };
  const order = { ...usual, ...change };
  const face = makeFace(order, "sheet");
  assert(face.ok, "the test's sticker has a face");
  const pdf = await facePdf(order, face.value);
  assert(pdf.ok, "the test's sticker fits on a page");
  const { widthMm, heightMm, missing } = face.value.layout;
  return {
    pdf: pdf.value,
    svg: faceSvg(face.value, order.specification),
    ...(await facePng(face.value, order.specification)),
    face: { widthMm, heightMm },
    missingCharacters: missing,
  };
}
