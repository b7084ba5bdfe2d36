/** What the store's two threads say to each other. Every call is answered once, with its id. */
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { DocumentKind, EventAppend, LogQuery, StoredDocument, StoreErrorCode } from "../ports/store.ts";
import type { SpaceLimits } from "./space.ts";

export type StoreCall =
  | { readonly name: "appendEvents"; readonly batch: EventAppend }
  | { readonly name: "coverage"; readonly device: DeviceId }
  | { readonly name: "outbox" }
  | { readonly name: "readEvents"; readonly device: DeviceId; readonly after: number; readonly limit: number }
  | { readonly name: "recordReceipt"; readonly device: DeviceId; readonly through: number }
  | { readonly name: "readLog"; readonly query: LogQuery }
  | { readonly name: "orderErasure"; readonly person: string; readonly credentials: readonly string[] }
  | { readonly name: "walkErasures" }
  | { readonly name: "tidy"; readonly nowMs: UnixMs; readonly keepMs: number }
  | { readonly name: "space" }
  | { readonly name: "putDocuments"; readonly documents: readonly StoredDocument[] }
  | { readonly name: "readDocuments"; readonly kind: DocumentKind }
  | { readonly name: "close" };

export interface StoreRequest {
  readonly id: number;
  readonly call: StoreCall;
}

/** What the store's thread is started with. */
export interface StoreOpening extends SpaceLimits {
  readonly path: string;
}

/** What the opening is answered with. */
export interface StoreOpened {
  /** A damaged database was put aside under this name, and why; null: there was none. */
  readonly setAside: { readonly path: string; readonly reason: string; readonly salvagedEvents: number } | null;
}

/** id 0 answers the opening. */
export type StoreAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: StoreErrorCode; readonly message: string };

export const OPENING_ID = 0;
