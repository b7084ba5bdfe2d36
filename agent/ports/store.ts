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

  /**
   * Events, newest first: of one device always in the order of its log, of several by the time they came here. One call looks at a bounded
   * number of events, so a page may hold fewer than `limit` although more is there: `next` says where to go on.
   */
  readLog(query: LogQuery): Promise<LogPage>;

  /**
   * Takes a person out of the stored events: what names the person or one of the credentials keeps its name (device, boot, sequence), its
   * time and kind, and loses who it was. Of what upstream has no receipt for this is done when it has; until then `readLog` shows it so
   * already. Fulfilled when the order is on disk and nothing with a receipt names the person any more. What comes later is not touched.
   */
  erasePerson(person: string, credentials?: readonly string[]): Promise<Erasure>;

  /**
   * To be called now and then. Removes some of what upstream has had a receipt for longer than `keepMs`; `done`: nothing is left to remove now. Never anything
   * without a receipt. What is removed stays in `coverage`.
   */
  tidy(retention: {
    readonly nowMs: UnixMs;
    readonly keepMs: number;
  }): Promise<{ readonly purged: number; readonly done: boolean }>;

  /** How full it is. */
  space(): Promise<StoreSpace>;

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
  /** Who it was has been taken out. */
  readonly erased?: true;
}

/** Every part that is there must hold. */
export interface LogQuery {
  readonly limit: number;
  readonly devices?: readonly DeviceId[] | undefined;
  readonly person?: string | undefined;
  /** Primary reasons of denials. */
  readonly reasons?: readonly string[] | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** Came here at this time or later; before this time. What filled a hole late stands where it belongs in its log, not when it came. */
  readonly sinceMs?: UnixMs | undefined;
  readonly beforeMs?: UnixMs | undefined;
  /** The `next` of the page before, with the same query. */
  readonly after?: string | undefined;
}

export interface LogPage {
  readonly events: readonly LoggedEvent[];
  /** Null: there is nothing more. */
  readonly next: string | null;
}

export interface Erasure {
  /** Events that were changed now. */
  readonly erased: number;
  /** Events without a receipt that are looked at when they have one, of this person or not. */
  readonly waiting: number;
}

/**
 * `thinning`: of telemetry that comes in a row only the last is kept. `dropping`: the oldest telemetry makes room. `full`: events are
 * refused with StoreError "full". SPEC G62.
 */
export const storeFillings = ["room", "thinning", "dropping", "full"] as const;
export type StoreFilling = (typeof storeFillings)[number];

export interface StoreSpace {
  readonly filling: StoreFilling;
  readonly usedBytes: number;
  /** Own limit; null: none. */
  readonly limitBytes: number | null;
  /** The disk itself said that it is full, and has not been seen to have room since. */
  readonly diskFull: boolean;
  /** Telemetry events since the start that gave way and are named in gap records. */
  readonly droppedEvents: number;
}

export interface AppendOutcome {
  readonly stored: number;
  readonly duplicates: number;
  /** Of the duplicates: how many say something else than what is there under their name. */
  readonly conflicting: number;
  /** Set: nothing of the batch was kept, because the device's log would have more holes than are kept track of. SPEC G61. */
  readonly refused?: "too-many-holes";
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
 * been read, `agent/sync/audit-log.ts`. `visit`: how the last visit went, `agent/sync/visit-record.ts`. `enrolment`: a device's
 * claim and certificates, `agent/enrolment/enrolment-document.ts`. `clock`: the last time that was believed, `agent/enrolment/trusted-time.ts`.
 * `fault`: the last fault of a device, `agent/faults.ts`. `sticker-check`: of a
 * panel, `agent/sticker-checks.ts`. `door`: `agent/doors.ts`.
 */
export type DocumentKind =
  | "desired"
  | "birth"
  | "state"
  | "health"
  | "reported"
  | "audit-head"
  | "visit"
  /** Of the gateway: `agent/remote/gateway-commands.ts`, `agent/remote/remote-settings.ts`, `agent/log/erasures.ts`. */
  | "command"
  | "settings"
  | "erasure"
  | "enrolment"
  | "clock"
  | "fault"
  | "sticker-check"
  | "door";

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
  /** There is no room for it; nothing of it is kept, and it is asked for again when there is. */
  | "full"
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

/** A state and no fault: it passes when there is room again. */
export function isStoreFull(error: unknown): boolean {
  return error instanceof StoreError && error.code === "full";
}
