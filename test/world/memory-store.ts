/** The store in memory, for tests of what stands on it. Held to the same contract suite as the one on disk. */

import {
  type AppendOutcome,
  type DocumentKind,
  type EventAppend,
  type LoggedEvent,
  type OutboxEntry,
  type Store,
  type StoredDocument,
  type StoredEvent,
  StoreError,
} from "../../agent/ports/store.ts";
import { addRange, type Coverage, countAbove, cutRange, highest } from "../../agent/store/coverage.ts";
import { isSameEvent } from "../../agent/store/event-body.ts";
import type { DeviceId } from "../../protocol/base/units.ts";

export class MemoryStore implements Store {
  /** Set to make every later write fail, as a full disk does. */
  failing: StoreError | undefined;
  #closed = false;
  readonly #eventsByDevice = new Map<DeviceId, Map<string, LoggedEvent>>();
  readonly #coverageByDevice = new Map<DeviceId, Coverage>();
  readonly #receiptedByDevice = new Map<DeviceId, number>();
  readonly #documents = new Map<string, StoredDocument>();

  async appendEvents(batch: EventAppend): Promise<AppendOutcome> {
    this.#checkWrite();
    const events = this.#eventsByDevice.get(batch.device) ?? new Map<string, LoggedEvent>();
    this.#eventsByDevice.set(batch.device, events);
    let coverage = this.#coverageByDevice.get(batch.device) ?? [];
    const { first = 0, last = -1 } = batch.drops ?? {};
    const from = Math.max(first, (this.#receiptedByDevice.get(batch.device) ?? -1) + 1);
    for (const [name, { sequence }] of events) if (sequence >= from && sequence <= last) events.delete(name);
    if (from <= last) coverage = cutRange(coverage, { first: from, last });
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
      coverage = addRange(coverage, { first: event.sequence, last: event.sequence });
      if (event.covers !== undefined) coverage = addRange(coverage, event.covers);
    }
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
  }

  async readLog(limit: number): Promise<readonly LoggedEvent[]> {
    this.#checkOpen();
    return [...this.#eventsByDevice.values()]
      .flatMap((events) => [...events.values()])
      .sort((left, right) => right.receivedAtMs - left.receivedAtMs || right.sequence - left.sequence)
      .slice(0, limit)
      .map(({ device, boot, sequence, body, receivedAtMs }) => ({ device, boot, sequence, body, receivedAtMs }));
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
