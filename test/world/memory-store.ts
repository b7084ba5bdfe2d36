/** The store in memory, for tests of what stands on it. Held to the same contract suite as the one on disk. */

import {
  type AppendOutcome,
  type DocumentKind,
  type Erasure,
  type EventAppend,
  type LoggedEvent,
  type LogPage,
  type LogQuery,
  type OutboxEntry,
  type Store,
  type StoredDocument,
  type StoredEvent,
  StoreError,
  type StoreSpace,
} from "../../agent/ports/store.ts";
import {
  addEvents,
  COVERAGE_RANGES_MAX,
  type Coverage,
  countAbove,
  cutRange,
  highest,
} from "../../agent/store/coverage.ts";
import { type ErasureOrder, eraseFromBody, isSameEvent } from "../../agent/store/event-body.ts";
import { readLogSlice } from "../../agent/store/log-query.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";

type Erasing = ErasureOrder & { readonly lastByDevice: ReadonlyMap<DeviceId, number> };

export class MemoryStore implements Store {
  /** Set to make every later write fail, as a full disk does. */
  failing: StoreError | undefined;
  /** No room for events; what the gateway itself must note has its reserve. */
  full = false;
  #closed = false;
  readonly #eventsByDevice = new Map<DeviceId, Map<string, LoggedEvent>>();
  readonly #coverageByDevice = new Map<DeviceId, Coverage>();
  readonly #receiptedByDevice = new Map<DeviceId, number>();
  readonly #documents = new Map<string, StoredDocument>();
  readonly #erasures: Erasing[] = [];
  readonly #receiptMarks: { readonly device: DeviceId; readonly atMs: UnixMs; readonly through: number }[] = [];

  async appendEvents(batch: EventAppend): Promise<AppendOutcome> {
    this.#checkWrite();
    if (this.full && batch.events.length > 0) throw new StoreError("full", "there is no room for events");
    const events = this.#eventsByDevice.get(batch.device) ?? new Map<string, LoggedEvent>();
    this.#eventsByDevice.set(batch.device, events);
    let coverage = this.#coverageByDevice.get(batch.device) ?? [];
    const { first = 0, last = -1 } = batch.drops ?? {};
    const from = Math.max(first, (this.#receiptedByDevice.get(batch.device) ?? -1) + 1);
    if (from <= last) coverage = cutRange(coverage, { first: from, last });
    if (addEvents(coverage, batch.events).length > COVERAGE_RANGES_MAX) {
      return { stored: 0, duplicates: 0, conflicting: 0, refused: "too-many-holes", coverage };
    }
    for (const [name, { sequence }] of events) if (sequence >= from && sequence <= last) events.delete(name);
    let stored = 0;
    let conflicting = 0;
    for (const event of batch.events) {
      const name = `${event.boot}/${event.sequence}`;
      const held = events.get(name);
      if (held !== undefined && !isSameEvent(held.body, event.body)) conflicting += 1;
      if (held === undefined) {
        events.set(name, { ...event, device: batch.device, receivedAtMs: batch.receivedAtMs });
        stored += 1;
      }
    }
    coverage = addEvents(coverage, batch.events);
    this.#coverageByDevice.set(batch.device, coverage);
    this.#put(batch.documents ?? []);
    return { stored, duplicates: batch.events.length - stored, conflicting, coverage };
  }

  async coverage(device: DeviceId): Promise<Coverage> {
    this.#checkOpen();
    return this.#coverageByDevice.get(device) ?? [];
  }

  async outbox(): Promise<readonly OutboxEntry[]> {
    this.#checkOpen();
    return [...this.#coverageByDevice.keys()]
      .sort()
      .map((device) => {
        const receipted = this.#receiptedByDevice.get(device) ?? -1;
        const coverage = this.#coverageByDevice.get(device) ?? [];
        return { device, receipted, last: highest(coverage), depth: countAbove(coverage, receipted) };
      })
      .filter(({ depth }) => depth > 0);
  }

  async readEvents(device: DeviceId, after: number, limit: number): Promise<readonly StoredEvent[]> {
    this.#checkOpen();
    return [...(this.#eventsByDevice.get(device)?.values() ?? [])]
      .filter(({ sequence }) => sequence > after)
      .sort((left, right) => left.sequence - right.sequence || left.boot - right.boot)
      .slice(0, limit)
      .map(({ boot, sequence, body }) => ({ boot, sequence, body }));
  }

  async recordReceipt(device: DeviceId, through: number): Promise<void> {
    this.#checkWrite();
    this.#receiptedByDevice.set(device, Math.max(through, this.#receiptedByDevice.get(device) ?? -1));
    for (const order of this.#erasures) this.#erase(order, device);
  }

  async readLog(query: LogQuery): Promise<LogPage> {
    this.#checkOpen();
    return readLogSlice([...this.#eventsByDevice.keys()].sort(), query, (device, below, limit) =>
      [...(this.#eventsByDevice.get(device)?.values() ?? [])]
        .filter(({ sequence, boot }) => (sequence - below.sequence || boot - below.boot) < 0)
        .sort((left, right) => right.sequence - left.sequence || right.boot - left.boot)
        .slice(0, limit)
        .map((event) => ({ ...event, body: this.#erasedBody(device, event) ?? event.body })),
    );
  }

  async erasePerson(person: string, credentials: readonly string[] = []): Promise<Erasure> {
    this.#checkWrite();
    const lastByDevice = new Map([...this.#coverageByDevice].map(([device, coverage]) => [device, highest(coverage)]));
    const order = { person, credentials, lastByDevice };
    this.#erasures.push(order);
    const entries = await this.outbox();
    return {
      erased: [...lastByDevice.keys()].reduce((sum, device) => sum + this.#erase(order, device), 0),
      waiting: entries.reduce((sum, { depth }) => sum + depth, 0),
    };
  }

  async tidy({ nowMs, keepMs }: { readonly nowMs: UnixMs; readonly keepMs: number }) {
    this.#checkWrite();
    let purged = 0;
    for (const { device, atMs, through } of this.#receiptMarks) {
      if (atMs + keepMs > nowMs) continue;
      const events = this.#eventsByDevice.get(device) ?? new Map<string, LoggedEvent>();
      for (const [name, { sequence }] of events) if (sequence <= through && events.delete(name)) purged += 1;
    }
    for (const [device, through] of this.#receiptedByDevice) this.#receiptMarks.push({ device, atMs: nowMs, through });
    return { purged, done: true };
  }

  async space(): Promise<StoreSpace> {
    const isFull = this.full || this.failing?.code === "full";
    const filling = isFull ? ("full" as const) : ("room" as const);
    return { filling, usedBytes: 0, limitBytes: null, diskFull: this.failing?.code === "full", droppedEvents: 0 };
  }

  async putDocuments(documents: readonly StoredDocument[]): Promise<void> {
    this.#checkWrite();
    this.#put(documents);
  }

  async readDocuments(kind: DocumentKind): Promise<readonly StoredDocument[]> {
    this.#checkOpen();
    return [...this.#documents.values()]
      .filter((document) => document.kind === kind)
      .sort((left, right) => (left.device < right.device ? -1 : 1));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #erase(order: Erasing, device: DeviceId): number {
    const receipted = this.#receiptedByDevice.get(device) ?? -1;
    let erased = 0;
    for (const [name, event] of this.#eventsByDevice.get(device) ?? []) {
      if (event.sequence > Math.min(receipted, order.lastByDevice.get(device) ?? -1)) continue;
      const body = eraseFromBody(event.body, order);
      if (body === undefined) continue;
      this.#eventsByDevice.get(device)?.set(name, { ...event, body });
      erased += 1;
    }
    return erased;
  }

  #erasedBody(device: DeviceId, { sequence, body }: LoggedEvent): string | undefined {
    const orders = this.#erasures.filter(({ lastByDevice }) => sequence <= (lastByDevice.get(device) ?? -1));
    return orders.map((order) => eraseFromBody(body, order)).find((erased) => erased !== undefined);
  }

  #put(documents: readonly StoredDocument[]): void {
    for (const document of documents) this.#documents.set(`${document.kind}/${document.device}`, document);
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("closed", "the store is closed");
  }

  #checkWrite(): void {
    this.#checkOpen();
    if (this.failing !== undefined) throw this.failing;
  }
}
