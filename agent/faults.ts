/**
 * The last fault of each device, kept across restarts: how the last failed visit to a lock failed, or what a networked device last said
 * of its own memory. The log of a lock is sealed for the authority, so what it says there is not known here. SPEC G30.
 */
import { z } from "zod";
import type { DeviceId, UnixSeconds } from "../protocol/base/units.ts";
import { faultNumberByCode } from "../protocol/wire/audit-entry.ts";
import type { DeviceEvent } from "../protocol/wire/messages/event.ts";
import { text, unixTime } from "../protocol/wire/messages/fields.ts";
import type { FaultWord } from "../protocol/wire/messages/health.ts";
import type { Store } from "./ports/store.ts";
import { readDocumentBody } from "./store/document-body.ts";

const faultSchema = z.strictObject({ code: text(64), at: unixTime });

export class LatestFaults {
  readonly #store: Store;
  readonly #faultById = new Map<DeviceId, FaultWord>();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(): Promise<void> {
    for (const document of await this.#store.readDocuments("fault")) {
      const fault = readDocumentBody(faultSchema, document);
      if (fault !== undefined) this.#faultById.set(document.device, fault);
    }
  }

  of(device: DeviceId): FaultWord | null {
    return this.#faultById.get(device) ?? null;
  }

  /** The same fault again within a minute is not worth a write. */
  async note(device: DeviceId, code: string, at: UnixSeconds): Promise<void> {
    const before = this.#faultById.get(device);
    if (before?.code === code && at - before.at < SAME_FAULT_SECONDS) return;
    const fault = { code: code.slice(0, 64), at };
    this.#faultById.set(device, fault);
    await this.#store.putDocuments([{ kind: "fault", device, body: JSON.stringify(fault) }]);
  }
}

/** The fault that the last of these events tells of; undefined: none does. */
export function faultOfEvents(events: readonly Pick<DeviceEvent, "kind" | "facts">[]): string | undefined {
  const last = events.findLast(({ kind }) => kind === "fault");
  if (last === undefined) return undefined;
  const number = last.facts?.["before"];
  return Object.entries(faultNumberByCode).find(([, known]) => known === number)?.[0] ?? "unnamed-fault";
}

const SAME_FAULT_SECONDS = 60;
