/**
 * The store's own thread: everything that arrived while the last commit was on its way to the disk goes into the next one
 * (group commit), and nothing is answered before its commit has returned. What it has to do for itself (erasing, making room) it does in
 * small pieces between two groups.
 */
import { type MessagePort, parentPort } from "node:worker_threads";
import { assert } from "../../protocol/base/result.ts";
import { giveBackMemory, SETTLED_MS } from "../base/settle.ts";
import { StoreError } from "../ports/store.ts";
import { messageOf, SQLITE_FULL, sqliteCode } from "./database.ts";
import { isDamage, noteDamage, openSoundDatabase } from "./recovery.ts";
import { Space } from "./space.ts";
import {
  OPENING_ID,
  type StoreAnswer,
  type StoreCall,
  type StoreOpened,
  type StoreOpening,
  type StoreRequest,
} from "./store-calls.ts";
import { StoreTables } from "./tables.ts";

function run(port: MessagePort, opening: StoreOpening): void {
  let desk: Desk;
  let opened: StoreOpened;
  try {
    const { database, setAside } = openSoundDatabase(opening.path);
    const space = new Space(database, opening.path, opening);
    desk = new Desk(new StoreTables(database, space), space, opening.path);
    opened = { setAside };
  } catch (error) {
    port.postMessage([failure(OPENING_ID, error)]);
    port.close();
    return;
  }
  let waiting: StoreRequest[] = [];
  let cancelPiece: () => void = () => undefined;
  const doPiece = (): void => {
    if (desk.doPiece()) laterPiece();
  };
  const laterPiece = (): void => {
    cancelPiece();
    const timer = setTimeout(doPiece, PIECE_PAUSE_MS);
    cancelPiece = () => clearTimeout(timer);
  };
  const commitWaiting = (): void => {
    const group = waiting;
    waiting = [];
    port.postMessage(desk.answerGroup(group));
    if (group.some(({ call }) => call.name === "close")) {
      cancelPiece();
      port.close();
    } else if (group.some(({ call }) => pieceMakers.has(call.name))) laterPiece();
  };
  port.on("message", (requests: readonly StoreRequest[]) => {
    // The port hands over all that has queued up before the immediate runs: the group forms by itself under load.
    if (waiting.length === 0) setImmediate(commitWaiting);
    for (const request of requests) waiting.push(request);
  });
  port.postMessage([{ id: OPENING_ID, ok: true, value: opened }] satisfies StoreAnswer[]);
  laterPiece();
}

class Desk {
  readonly #tables: StoreTables;
  readonly #space: Space;
  readonly #path: string;

  constructor(tables: StoreTables, space: Space, path: string) {
    this.#tables = tables;
    this.#space = space;
    this.#path = path;
  }

  answerGroup(group: readonly StoreRequest[]): readonly StoreAnswer[] {
    const open = group.filter(({ call }) => call.name !== "close");
    const closing = group.filter(({ call }) => call.name === "close");
    const answers = open.length === 0 ? [] : this.#commitGroup(open);
    if (closing.length > 0) this.#tables.close();
    return [...answers, ...closing.map(({ id }) => ({ id, ok: true as const, value: undefined }))];
  }

  /**
   * One transaction for all. A group that fails fails as one: nobody is told that something is kept when it is not. Of a disk without room
   * the group is tried once more, with what was held back and without events.
   */
  #commitGroup(group: readonly StoreRequest[]): readonly StoreAnswer[] {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#space.measure();
        return this.#tables.transact(() => group.map((request) => this.#answer(request)));
      } catch (error) {
        const isFull = sqliteCode(error) === SQLITE_FULL;
        if (isFull) this.#space.diskIsFull();
        if (isFull && attempt < COMMIT_ATTEMPTS) continue;
        if (isDamage(error)) noteDamage(this.#path);
        return group.map((request) => this.#afterFailure(request, error));
      }
    }
  }

  /** Who only asked is answered all the same: a full disk must not take away the screen that says so. */
  #afterFailure(request: StoreRequest, error: unknown): StoreAnswer {
    if (!readers.has(request.call.name)) return failure(request.id, error);
    try {
      return this.#answer(request);
    } catch (readError) {
      return failure(request.id, readError);
    }
  }

  /** Does some of what is to be done. True: there is more. */
  doPiece(): boolean {
    try {
      this.#space.measure();
      if (!this.#tables.hasErasures && !this.#space.isCrowded) return false;
      return this.#tables.transact(() => {
        const erased = this.#tables.walkErasures();
        return !erased.done || (this.#space.isCrowded && !this.#tables.makeRoom().done);
      });
    } catch (error) {
      // The next call that comes meets the same, and its caller hears of it.
      if (sqliteCode(error) === SQLITE_FULL) this.#space.diskIsFull();
      else if (isDamage(error)) noteDamage(this.#path);
      return false;
    }
  }

  #answer({ id, call }: StoreRequest): StoreAnswer {
    try {
      return { id, ok: true, value: this.#perform(call) };
    } catch (error) {
      // Refused before anything of it was written; the rest of the group stands.
      if (error instanceof StoreError && error.code === "full") return failure(id, error);
      throw error;
    }
  }

  #perform(call: StoreCall): unknown {
    const tables = this.#tables;
    switch (call.name) {
      case "appendEvents":
        return tables.appendEvents(call.batch);
      case "coverage":
        return tables.coverage(call.device);
      case "outbox":
        return tables.outbox();
      case "readEvents":
        return tables.readEvents(call.device, call.after, call.limit);
      case "recordReceipt":
        return tables.recordReceipt(call.device, call.through);
      case "readLog":
        return tables.readLog(call.query);
      case "orderErasure":
        return tables.orderErasure(call.person, call.credentials);
      case "walkErasures":
        return tables.walkErasures();
      case "tidy": {
        const isGrowing = this.#space.growReserve();
        const { purged, done } = tables.tidy(call);
        return { purged, done: done && !isGrowing };
      }
      case "space":
        return this.#space.state();
      case "putDocuments":
        return tables.putDocuments(call.documents);
      case "readDocuments":
        return tables.readDocuments(call.kind);
      case "close":
        return undefined;
    }
  }
}

function failure(id: number, error: unknown): StoreAnswer {
  if (error instanceof StoreError) {
    return { id, ok: false, code: error.code, message: error.message.replace(/^store: /, "") };
  }
  return { id, ok: false, code: sqliteCode(error) === SQLITE_FULL ? "full" : "failed", message: messageOf(error) };
}

const readers: ReadonlySet<StoreCall["name"]> = new Set([
  "coverage",
  "outbox",
  "readEvents",
  "readLog",
  "space",
  "readDocuments",
]);
/** After these there may be something to erase, or room to make. */
const pieceMakers: ReadonlySet<StoreCall["name"]> = new Set(["appendEvents", "recordReceipt", "orderErasure"]);
const PIECE_PAUSE_MS = 2;
const COMMIT_ATTEMPTS = 2;

assert(parentPort !== null, "the store's thread is started by the store");
const port = parentPort;
port.once("message", (opening: StoreOpening) => run(port, opening));
setTimeout(giveBackMemory, SETTLED_MS).unref();
