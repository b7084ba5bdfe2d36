/**
 * What the gateway knows of its site: the authority's desired documents and each device's last words. Everything here came
 * through a schema, is on disk before it counts, and is read back through the same schema at the next start.
 */
import type { z } from "zod";
import { bytesToBase64, utf8 } from "../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import { type DeviceId, type UnixMs, type UnixSeconds, unixSeconds } from "../protocol/base/units.ts";
import { type FloorTable, shippedFloorTable } from "../protocol/firmware/floor-table.ts";
import { type Birth, birthSchema } from "../protocol/wire/messages/birth.ts";
import {
  type DeviceDesired,
  desiredSchema,
  type GatewayDesired,
  type LockDesired,
  type PanelDesired,
} from "../protocol/wire/messages/desired.ts";
import { type Health, healthSchema } from "../protocol/wire/messages/health.ts";
import { type Reported, reportedSchema } from "../protocol/wire/messages/reported.ts";
import { type DeviceState, stateSchema } from "../protocol/wire/messages/state.ts";
import { formatPayload, type PayloadFault, parsePayload } from "../protocol/wire/payload.ts";
import type { Log } from "./ports/log.ts";
import type { DocumentKind, Store, StoredDocument } from "./ports/store.ts";

export type SiteDevice = GatewayDesired["devices"][number];

/** A device's last words, in the form of their messages; null where it never said so. */
export interface DeviceWords {
  readonly birth: Birth | null;
  readonly state: DeviceState | null;
  readonly health: Health | null;
  readonly reported: Reported | null;
}

/** What a networked device is to hold, and the document as the authority wrote it, to be handed on. */
export interface DeviceOrder {
  readonly desired: DeviceDesired;
  readonly text: string;
}

export type DesiredFault =
  | PayloadFault
  | { readonly code: "wrong-device"; readonly expected: string; readonly actual: string }
  | { readonly code: "not-ours"; readonly device: string }
  | { readonly code: "older-document"; readonly device: string };

export class DeviceTable {
  /** What firmware versions mean here. */
  readonly floors: FloorTable;
  readonly #store: Store;
  readonly #gatewayId: DeviceId;
  #gateway: GatewayDesired | undefined;
  readonly #deviceById = new Map<DeviceId, SiteDevice>();
  readonly #lockDesiredById = new Map<DeviceId, LockDesired>();
  readonly #deviceOrderById = new Map<DeviceId, DeviceOrder>();
  readonly #panelDesiredById = new Map<DeviceId, PanelDesired>();
  readonly #wordsById = new Map<DeviceId, DeviceWords>();
  readonly #desiredAtById = new Map<DeviceId, UnixMs>();

  /** What is left of a document of the authority before it is read and kept. SPEC M31. */
  redact: (payload: Uint8Array) => Uint8Array = (payload) => payload;

  constructor(store: Store, gatewayId: DeviceId, floors: FloorTable = shippedFloorTable) {
    this.floors = floors;
    this.#store = store;
    this.#gatewayId = gatewayId;
  }

  /** Reads everything back. A document that this version cannot read any more is left out and named in the log. */
  async load(log: Log): Promise<void> {
    const unreadable = (document: StoredDocument, fault: { readonly code: string }): void =>
      log.warn({ kind: document.kind, device: document.device, fault: fault.code }, "a stored document is unreadable");
    for (const document of await this.#store.readDocuments("desired")) {
      const read = this.#readDesired(document.device, utf8(document.body));
      if (!read.ok) unreadable(document, read.fault);
    }
    await this.#loadWords("birth", birthSchema, unreadable);
    await this.#loadWords("state", stateSchema, unreadable);
    await this.#loadWords("health", healthSchema, unreadable);
    await this.#loadWords("reported", reportedSchema, unreadable);
  }

  get gateway(): GatewayDesired | undefined {
    return this.#gateway;
  }

  devices(): readonly SiteDevice[] {
    return [...this.#deviceById.values()];
  }

  device(id: DeviceId): SiteDevice | undefined {
    return this.#deviceById.get(id);
  }

  lockDesired(id: DeviceId): LockDesired | undefined {
    return this.#lockDesiredById.get(id);
  }

  deviceOrder(id: DeviceId): DeviceOrder | undefined {
    return this.#deviceOrderById.get(id);
  }

  /** What a lock or a networked device is to hold. */
  policyDesired(id: DeviceId): LockDesired | DeviceDesired | undefined {
    return this.#lockDesiredById.get(id) ?? this.#deviceOrderById.get(id)?.desired;
  }

  /** Of all locks and networked devices. */
  policiesDesired(): readonly (LockDesired | DeviceDesired)[] {
    return [...this.#lockDesiredById.values(), ...[...this.#deviceOrderById.values()].map(({ desired }) => desired)];
  }

  panelDesired(id: DeviceId): PanelDesired | undefined {
    return this.#panelDesiredById.get(id);
  }

  panelsDesired(): readonly PanelDesired[] {
    return [...this.#panelDesiredById.values()];
  }

  /** When the authority last said what it wants of a device; undefined: not since the start. */
  desiredAtMs(id: DeviceId): UnixMs | undefined {
    return this.#desiredAtById.get(id);
  }

  words(id: DeviceId): DeviceWords {
    return this.#wordsById.get(id) ?? noWords;
  }

  /**
   * Takes a desired document of the authority: parsed, applied, and on disk when this is fulfilled.
   * Faults: those of the payload, wrong-device (topic and document disagree), not-ours (another gateway's),
   * older-document (a newer one is held).
   */
  async takeDesired(device: DeviceId, said: Uint8Array, nowMs: UnixMs): Promise<Result<DesiredKind, DesiredFault>> {
    const payload = this.redact(said);
    const read = this.#readDesired(device, payload);
    if (read.ok) {
      this.#desiredAtById.set(device, nowMs);
      await this.#store.putDocuments([{ kind: "desired", device, body: new TextDecoder().decode(payload) }]);
    }
    return read;
  }

  /** Keeps new words of a device. */
  async keep(id: DeviceId, words: Partial<DeviceWords>): Promise<void> {
    const documents = wordsToDocuments(id, words);
    this.#wordsById.set(id, { ...this.words(id), ...words });
    await this.#store.putDocuments(documents);
  }

  #readDesired(device: DeviceId, payload: Uint8Array): Result<DesiredKind, DesiredFault> {
    const read = parsePayload(desiredSchema, payload);
    if (!read.ok) return read;
    const desired = read.value;
    // SPEC M12: brokers give a retained document after a live one that replaced it (seen with aedes).
    const held = this.#heldRevision(desired.kind, device);
    if (held !== undefined && desired.revision < held) return failed({ code: "older-document", device });
    if (desired.kind === "gateway") {
      if (device !== this.#gatewayId) return failed({ code: "not-ours", device });
      this.#gateway = desired;
      this.#deviceById.clear();
      for (const one of desired.devices) this.#deviceById.set(one.id, one);
      return ok(desired.kind);
    }
    if (desired.device !== device) {
      return failed({ code: "wrong-device", expected: device, actual: desired.device });
    }
    if (desired.kind === "lock") this.#lockDesiredById.set(device, desired);
    else if (desired.kind === "device") {
      this.#deviceOrderById.set(device, { desired, text: new TextDecoder().decode(payload) });
    } else this.#panelDesiredById.set(device, desired);
    return ok(desired.kind);
  }

  #heldRevision(kind: DesiredKind, device: DeviceId): number | undefined {
    switch (kind) {
      case "gateway":
        return device === this.#gatewayId ? this.#gateway?.revision : undefined;
      case "lock":
        return this.#lockDesiredById.get(device)?.revision;
      case "device":
        return this.#deviceOrderById.get(device)?.desired.revision;
      case "panel":
        return this.#panelDesiredById.get(device)?.revision;
    }
  }

  async #loadWords<Kind extends WordKind>(
    kind: Kind,
    schema: z.ZodType<NonNullable<DeviceWords[Kind]>>,
    unreadable: (document: StoredDocument, fault: { readonly code: string }) => void,
  ): Promise<void> {
    for (const document of await this.#store.readDocuments(kind)) {
      const read = parsePayload(schema, utf8(document.body));
      if (read.ok) this.#wordsById.set(document.device, { ...this.words(document.device), [kind]: read.value });
      else unreadable(document, read.fault);
    }
  }
}

export type DesiredKind = "gateway" | "lock" | "device" | "panel";
type WordKind = Extract<DocumentKind, keyof DeviceWords>;

/** The words as they are kept and as they go upstream. */
export function wordsToDocuments(device: DeviceId, words: Partial<DeviceWords>): readonly StoredDocument[] {
  const documents: StoredDocument[] = [];
  const { birth, state, health, reported } = words;
  if (birth) documents.push({ kind: "birth", device, body: formatPayload(birthSchema, birth) });
  if (state) documents.push({ kind: "state", device, body: formatPayload(stateSchema, state) });
  if (health) documents.push({ kind: "health", device, body: formatPayload(healthSchema, health) });
  if (reported) documents.push({ kind: "reported", device, body: formatReported(reported) });
  return documents;
}

export function formatReported(reported: Reported): string {
  const { report, mac, ...rest } = reported;
  return formatPayload(reportedSchema, { ...rest, report: bytesToBase64(report), mac: bytesToBase64(mac) });
}

export function emptyHealth(device: DeviceId, at: UnixSeconds): Health {
  return {
    v: 1,
    device,
    battery: null,
    firmware: null,
    firmwareVerdict: null,
    clock: null,
    uptimeSeconds: null,
    bootCount: null,
    lastSyncAt: null,
    at,
  };
}

export function secondsOf(ms: number): UnixSeconds {
  return unixSeconds(ms / 1000);
}

const noWords: DeviceWords = { birth: null, state: null, health: null, reported: null };
