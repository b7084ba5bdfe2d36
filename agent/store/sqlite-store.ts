/**
 * The store on disk: SQLite in a worker thread. This side only numbers the calls and hands the answers back.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
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
} from "../ports/store.ts";
import type { Coverage } from "./coverage.ts";
import type { WalkState } from "./erasures.ts";
import type { SpaceLimits } from "./space.ts";
import {
  OPENING_ID,
  type StoreAnswer,
  type StoreCall,
  type StoreOpened,
  type StoreOpening,
  type StoreRequest,
} from "./store-calls.ts";

export interface SqliteStoreOptions extends Partial<SpaceLimits> {
  /** A damaged database was put aside, and a new one begun. */
  readonly onSetAside?: (setAside: NonNullable<StoreOpened["setAside"]>) => void;
}

/**
 * Opens or makes the database at `path`. `onFailure` hears once when the thread ends unasked: the agent cannot go on then.
 * Throws StoreError: unavailable, too-new.
 */
export async function openSqliteStore(
  path: string,
  onFailure: (error: StoreError) => void,
  options: SqliteStoreOptions = {},
): Promise<Store> {
  const { limitBytes = null, reserveBytes = 0, onSetAside } = options;
  const store = new SqliteStore({ path, limitBytes, reserveBytes }, onFailure);
  const { setAside } = await store.opened;
  if (setAside !== null) onSetAside?.(setAside);
  return store;
}

/** Has the thread begun, on another core, while this one still loads what it will open the store for. */
export function startStoreThread(): void {
  if (started !== undefined) return;
  started = new Worker(new URL("./store-worker.ts", import.meta.url), {
    // What it reads goes out at once: a larger nursery would only be filled with what is done with.
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
  // One that nobody takes keeps no process.
  started.unref();
}

function takeThread(opening: StoreOpening): Worker {
  startStoreThread();
  const worker = started;
  assert(worker !== undefined, "it was started just now");
  started = undefined;
  worker.ref();
  worker.postMessage(opening);
  return worker;
}

let started: Worker | undefined;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

class SqliteStore implements Store {
  readonly opened: Promise<StoreOpened>;
  readonly #worker: Worker;
  readonly #waitingById = new Map<number, Waiting>();
  #asked: StoreRequest[] = [];
  #lastId = OPENING_ID;
  #closing = false;
  #ended: StoreError | undefined;

  constructor(opening: StoreOpening, onFailure: (error: StoreError) => void) {
    this.#worker = takeThread(opening);
    this.opened = new Promise<StoreOpened>((resolve, reject) => {
      this.#waitingById.set(OPENING_ID, { resolve: (value) => resolve(value as StoreOpened), reject });
    });
    this.#worker.on("message", (answers: readonly StoreAnswer[]) => {
      for (const answer of answers) this.#settle(answer);
    });
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

  /** Slice by slice, so that commits come in between. */
  async readLog(query: LogQuery): Promise<LogPage> {
    const events: LoggedEvent[] = [];
    let after = query.after;
    for (let slice = 0; slice < LOG_SLICES_MAX; slice++) {
      const limit = query.limit - events.length;
      const page: LogPage = await this.#call({ name: "readLog", query: { ...query, limit, after } });
      events.push(...page.events);
      if (page.next === null || events.length >= query.limit) return { events, next: page.next };
      after = page.next;
    }
    return { events, next: after ?? null };
  }

  async erasePerson(person: string, credentials: readonly string[] = []): Promise<Erasure> {
    const before = await this.#call<Erasure>({ name: "orderErasure", person, credentials });
    for (;;) {
      // The thread walks by itself as well, between two commits: what counts is what was changed since the order.
      const { erased, done }: WalkState = await this.#call({ name: "walkErasures" });
      if (done) return { erased: erased - before.erased, waiting: before.waiting };
    }
  }

  tidy(retention: { readonly nowMs: UnixMs; readonly keepMs: number }): Promise<{ purged: number; done: boolean }> {
    return this.#call({ name: "tidy", ...retention });
  }

  space(): Promise<StoreSpace> {
    return this.#call({ name: "space" });
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
      // What was asked in one turn of the event loop goes over at once: handing over costs more than a short call.
      if (this.#asked.push(request) === 1) setImmediate(() => this.#handOver());
    });
  }

  #handOver(): void {
    const requests = this.#asked;
    this.#asked = [];
    this.#worker.postMessage(requests);
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

/** 65,536 events are looked at in one call at most (half a second here, more on a Pi), so that who asks over HTTP gets an answer in time. */
const LOG_SLICES_MAX = 16;
