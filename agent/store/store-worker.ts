/**
 * The store's own thread: everything that arrived while the last commit was on its way to the disk goes into the next one
 * (group commit), and nothing is answered before its commit has returned.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { assert } from "../../protocol/base/result.ts";
import { StoreError } from "../ports/store.ts";
import { OPENING_ID, type StoreAnswer, type StoreCall, type StoreRequest } from "./store-calls.ts";
import { messageOf, StoreTables } from "./tables.ts";

function run(port: MessagePort, path: string): void {
  let tables: StoreTables;
  try {
    tables = new StoreTables(path);
  } catch (error) {
    port.postMessage(failure(OPENING_ID, error));
    port.close();
    return;
  }
  let waiting: StoreRequest[] = [];
  const commitWaiting = (): void => {
    const group = waiting;
    waiting = [];
    for (const answer of answerGroup(tables, group)) port.postMessage(answer);
    if (group.some(({ call }) => call.name === "close")) port.close();
  };
  port.on("message", (request: StoreRequest) => {
    // The port hands over all that has queued up before the immediate runs: the group forms by itself under load.
    if (waiting.push(request) === 1) setImmediate(commitWaiting);
  });
  port.postMessage({ id: OPENING_ID, ok: true, value: undefined } satisfies StoreAnswer);
}

function answerGroup(tables: StoreTables, group: readonly StoreRequest[]): readonly StoreAnswer[] {
  const open = group.filter(({ call }) => call.name !== "close");
  const closing = group.filter(({ call }) => call.name === "close");
  const answers = open.length === 0 ? [] : commitGroup(tables, open);
  if (closing.length > 0) tables.close();
  return [...answers, ...closing.map(({ id }) => ({ id, ok: true as const, value: undefined }))];
}

/** One transaction for all. A group that fails (a full disk) fails as one: nobody is told that something is kept when it is not. */
function commitGroup(tables: StoreTables, group: readonly StoreRequest[]): readonly StoreAnswer[] {
  try {
    return tables.transact(() => group.map(({ id, call }) => ({ id, ok: true, value: perform(tables, call) })));
  } catch (error) {
    return group.map(({ id }) => failure(id, error));
  }
}

function perform(tables: StoreTables, call: StoreCall): unknown {
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
      return tables.readLog(call.limit);
    case "putDocuments":
      return tables.putDocuments(call.documents);
    case "readDocuments":
      return tables.readDocuments(call.kind);
    case "close":
      return undefined;
  }
}

function failure(id: number, error: unknown): StoreAnswer {
  const code = error instanceof StoreError ? error.code : "failed";
  const message = error instanceof StoreError ? error.message.replace(/^store: /, "") : messageOf(error);
  return { id, ok: false, code, message };
}

assert(parentPort !== null, "the store's thread is started by the store");
run(parentPort, String(workerData));
