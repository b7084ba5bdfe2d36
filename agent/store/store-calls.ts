/** What the store's two threads say to each other. Every call is answered once, with its id. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { DocumentKind, EventAppend, StoredDocument, StoreErrorCode } from "../ports/store.ts";

export type StoreCall =
  | { readonly name: "appendEvents"; readonly batch: EventAppend }
  | { readonly name: "coverage"; readonly device: DeviceId }
  | { readonly name: "outbox" }
  | { readonly name: "readEvents"; readonly device: DeviceId; readonly after: number; readonly limit: number }
  | { readonly name: "recordReceipt"; readonly device: DeviceId; readonly through: number }
  | { readonly name: "readLog"; readonly limit: number }
  | { readonly name: "putDocuments"; readonly documents: readonly StoredDocument[] }
  | { readonly name: "readDocuments"; readonly kind: DocumentKind }
  | { readonly name: "close" };

export interface StoreRequest {
  readonly id: number;
  readonly call: StoreCall;
}

/** id 0 answers the opening. */
export type StoreAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: StoreErrorCode; readonly message: string };

export const OPENING_ID = 0;
