/**
 * What the agent keeps on its disk: the events of its devices, how far upstream has them, and the last good document of
 * each kind per device. Every promise of a write is fulfilled only when the write would survive a power cut.
 * One contract suite holds every implementation to this (`test/contract/store.ts`).
 */
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { Coverage } from "../store/coverage.ts";

export interface Store {
  /**
   * Adds events; one whose name (device, boot, sequence) is there already is left as it is and counted as a duplicate.
   * `documents` are written in the same commit.
   */
  appendEvents(batch: EventAppend): Promise<AppendOutcome>;

  /** Which sequences of a device are on disk (or were declared lost by it). */
  coverage(device: DeviceId): Promise<Coverage>;

  /** Devices with events that no upstream receipt covers yet, in the order of their names. */
  outbox(): Promise<readonly OutboxEntry[]>;
  /** Events of a device above `after` in the order of their sequence, at most `limit`. */
  readEvents(device: DeviceId, after: number, limit: number): Promise<readonly StoredEvent[]>;
  /** Upstream has everything of the device up to and with `through`. A lower one than known before changes nothing. */
  recordReceipt(device: DeviceId, through: number): Promise<void>;

  /** The newest events of all devices by the time they came here, newest first, at most `limit`. */
  readLog(limit: number): Promise<readonly LoggedEvent[]>;

  /** Replaces the documents of the same kind and device. */
  putDocuments(documents: readonly StoredDocument[]): Promise<void>;
  readDocuments(kind: DocumentKind): Promise<readonly StoredDocument[]>;

  /** Finishes what was asked for and gives the files back. Later calls throw StoreError "closed". */
  close(): Promise<void>;
}

export interface EventAppend {
  readonly device: DeviceId;
  readonly receivedAtMs: UnixMs;
  readonly events: readonly StoredEvent[];
  readonly documents?: readonly StoredDocument[];
  /**
   * Sequences that were read anew, or that the device says it never wrote: what is kept there and no receipt covers goes in the same commit,
   * before the events come.
   */
  readonly drops?: { readonly first: number; readonly last: number };
}

export interface StoredEvent {
  readonly boot: number;
  readonly sequence: number;
  /** The event as its wire form in JSON. */
  readonly body: string;
  /** Further sequences that count as covered: what a log-gap says is lost, and what a run of a sealed log has before its last. */
  readonly covers?: { readonly first: number; readonly last: number };
}

export interface LoggedEvent extends StoredEvent {
  readonly device: DeviceId;
  readonly receivedAtMs: UnixMs;
}

export interface AppendOutcome {
  readonly stored: number;
  readonly duplicates: number;
  /** Of the duplicates: how many say something else than what is there under their name. */
  readonly conflicting: number;
  readonly coverage: Coverage;
}

export interface OutboxEntry {
  readonly device: DeviceId;
  /** Upstream has everything up to and with this; -1: nothing yet. */
  readonly receipted: number;
  /** Highest sequence on disk. */
  readonly last: number;
  /** Events waiting for a receipt. */
  readonly depth: number;
}

/**
 * `desired`, `birth`, `state`, `health`, `reported`: the MQTT payload of that channel. `audit-head`: how far a lock's log has
 * been read, `agent/sync/audit-log.ts`. `visit`: how the last visit went, `agent/sync/visit-record.ts`.
 */
export type DocumentKind = "desired" | "birth" | "state" | "health" | "reported" | "audit-head" | "visit";

export interface StoredDocument {
  readonly kind: DocumentKind;
  readonly device: DeviceId;
  readonly body: string;
}

export type StoreErrorCode =
  /** The files cannot be opened or made. */
  | "unavailable"
  /** The files were written by a newer doorlink. */
  | "too-new"
  /** A read or write failed; nothing of that write is kept. */
  | "failed"
  /** The store was closed, or its thread ended. */
  | "closed";

/** The one class a store throws. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(`store: ${message}`, options);
    this.name = "StoreError";
    this.code = code;
  }
}
