/**
 * The store on disk: SQLite in a worker thread. This side only numbers the calls and hands the answers back.
 */
import { Worker } from "node:worker_threads";
import type { DeviceId } from "../../protocol/base/units.ts";
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
} from "../ports/store.ts";
import type { Coverage } from "./coverage.ts";
import { OPENING_ID, type StoreAnswer, type StoreCall, type StoreRequest } from "./store-calls.ts";

/**
 * Opens or makes the database at `path`. `onFailure` hears once when the thread ends unasked: the agent cannot go on then.
 * Throws StoreError: unavailable, too-new.
 */
export async function openSqliteStore(path: string, onFailure: (error: StoreError) => void): Promise<Store> {
  const store = new SqliteStore(path, onFailure);
  await store.opened;
  return store;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

class SqliteStore implements Store {
  readonly opened: Promise<void>;
  readonly #worker: Worker;
  readonly #waitingById = new Map<number, Waiting>();
  #lastId = OPENING_ID;
  #closing = false;
  #ended: StoreError | undefined;

  constructor(path: string, onFailure: (error: StoreError) => void) {
    this.#worker = new Worker(new URL("./store-worker.ts", import.meta.url), { workerData: path });
    this.opened = new Promise<void>((resolve, reject) => {
      this.#waitingById.set(OPENING_ID, { resolve: () => resolve(), reject });
    });
    this.#worker.on("message", (answer: StoreAnswer) => this.#settle(answer));
    this.#worker.on("error", (cause) => this.#end(new StoreError("closed", "the store's thread failed", { cause })));
    this.#worker.on("exit", () => {
      this.#end(new StoreError("closed", "the store is closed"));
      if (!this.#closing && this.#lastId > OPENING_ID) {
        onFailure(this.#ended ?? new StoreError("closed", "the store's thread ended"));
      }
    });
  }

  appendEvents(batch: EventAppend): Promise<AppendOutcome> {
    return this.#call({ name: "appendEvents", batch });
  }

  coverage(device: DeviceId): Promise<Coverage> {
    return this.#call({ name: "coverage", device });
  }

  outbox(): Promise<readonly OutboxEntry[]> {
    return this.#call({ name: "outbox" });
  }

  readEvents(device: DeviceId, after: number, limit: number): Promise<readonly StoredEvent[]> {
    return this.#call({ name: "readEvents", device, after, limit });
  }

  recordReceipt(device: DeviceId, through: number): Promise<void> {
    return this.#call({ name: "recordReceipt", device, through });
  }

  readLog(limit: number): Promise<readonly LoggedEvent[]> {
    return this.#call({ name: "readLog", limit });
  }

  putDocuments(documents: readonly StoredDocument[]): Promise<void> {
    return this.#call({ name: "putDocuments", documents });
  }

  readDocuments(kind: DocumentKind): Promise<readonly StoredDocument[]> {
    return this.#call({ name: "readDocuments", kind });
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    const closed = this.#call<void>({ name: "close" });
    this.#closing = true;
    await closed;
    await exited;
  }

  #call<Value>(call: StoreCall): Promise<Value> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#closing) return Promise.reject(new StoreError("closed", "the store is closed"));
    this.#lastId += 1;
    const request: StoreRequest = { id: this.#lastId, call };
    return new Promise<Value>((resolve, reject) => {
      // The worker answers each call by its own name with the value of that name (store-calls.ts).
      this.#waitingById.set(request.id, { resolve: (value) => resolve(value as Value), reject });
      this.#worker.postMessage(request);
    });
  }

  #settle(answer: StoreAnswer): void {
    const waiting = this.#waitingById.get(answer.id);
    this.#waitingById.delete(answer.id);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(new StoreError(answer.code, answer.message));
  }

  #end(error: StoreError): void {
    this.#ended ??= error;
    for (const waiting of this.#waitingById.values()) waiting.reject(this.#ended);
    this.#waitingById.clear();
  }
}
