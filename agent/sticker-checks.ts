/** The last check of each panel's sticker that this gateway was told of, kept across restarts. Pictures stay with who took them. SPEC G35. */
import { z } from "zod";
import type { DeviceId, UnixSeconds } from "../protocol/base/units.ts";
import { unixTime } from "../protocol/wire/messages/fields.ts";
import { type StickerCheck, stickerCheckRequest } from "./http/health-views.ts";
import type { Store } from "./ports/store.ts";
import { readDocumentBody } from "./store/document-body.ts";

const keptSchema = z.strictObject({ ...stickerCheckRequest.shape, at: unixTime });
export type KeptCheck = z.output<typeof keptSchema>;

export class StickerChecks {
  readonly #store: Store;
  readonly #checkByPanel = new Map<string, KeptCheck>();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(): Promise<void> {
    for (const document of await this.#store.readDocuments("sticker-check")) {
      const check = readDocumentBody(keptSchema, document);
      if (check !== undefined) this.#checkByPanel.set(document.device, check);
    }
  }

  of(panel: string): KeptCheck | null {
    return this.#checkByPanel.get(panel) ?? null;
  }

  async note(panel: DeviceId, check: StickerCheck, at: UnixSeconds): Promise<void> {
    const kept = { ...check, at };
    this.#checkByPanel.set(panel, kept);
    await this.#store.putDocuments([{ kind: "sticker-check", device: panel, body: JSON.stringify(kept) }]);
  }
}
