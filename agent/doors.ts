/**
 * Whether the door of a networked device is open, by the last word that the device logged about it. Locks' logs are sealed, so of their doors
 * nothing is known here. SPEC E1.
 */
import { z } from "zod";
import type { DeviceId } from "../protocol/base/units.ts";
import type { DeviceEvent } from "../protocol/wire/messages/event.ts";
import type { Store } from "./ports/store.ts";
import { readDocumentBody } from "./store/document-body.ts";

const doorSchema = z.strictObject({ door: z.enum(["open", "closed"]) });
type DoorWord = z.output<typeof doorSchema>["door"];

export class LatestDoors {
  readonly #store: Store;
  readonly #wordById = new Map<string, DoorWord>();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(): Promise<void> {
    for (const document of await this.#store.readDocuments("door")) {
      const read = readDocumentBody(doorSchema, document);
      if (read !== undefined) this.#wordById.set(document.device, read.door);
    }
  }

  /** Null: it never said. */
  of(device: string): DoorWord | null {
    return this.#wordById.get(device) ?? null;
  }

  async note(device: DeviceId, door: DoorWord): Promise<void> {
    if (this.#wordById.get(device) === door) return;
    this.#wordById.set(device, door);
    await this.#store.putDocuments([{ kind: "door", device, body: JSON.stringify({ door }) }]);
  }
}

/** What the last of these events says of the door; undefined: none does. `after`: 0 closed, 1 open. */
export function doorOfEvents(events: readonly Pick<DeviceEvent, "kind" | "facts">[]): DoorWord | undefined {
  const after = events.findLast(({ kind }) => kind === "door")?.facts?.["after"];
  return after === 1 ? "open" : after === 0 ? "closed" : undefined;
}
