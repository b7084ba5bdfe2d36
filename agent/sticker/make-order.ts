/** What is to be printed: of which panels, in which files, for which printer. */
import type { StickerSpecification } from "../../protocol/sticker/specification.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import type { WholeDots } from "../../protocol/sticker/whole-dots.ts";
import type { Paper } from "./pdf-page.ts";

export const stickerFormats = ["pdf", "svg", "png", "zpl", "brother"] as const;
export type StickerFormat = (typeof stickerFormats)[number];

/** A panel with a sticker to print. */
export type ValidPanel = PanelRecord & { readonly current: string };

export type FilesOrder = {
  readonly formats: readonly StickerFormat[];
  readonly specification: StickerSpecification;
  /** Set when the printer's dots are known; the specification's module is then a whole number of them. */
  readonly dots: WholeDots | undefined;
  readonly paper: Paper;
  /** mm; of a Brother printer. */
  readonly roll: number;
  /** One PDF of all stickers instead of one of each. */
  readonly sheet: boolean;
};
