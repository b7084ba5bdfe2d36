/**
 * The agent's tables on the event loop, as most programs have their database: what the store's thread and its group commit are measured
 * against. The same SQL, the same file, the same promise; only who waits for the disk is another.
 */
import type { AppendOutcome, EventAppend, Store } from "../../agent/ports/store.ts";
import { openSoundDatabase } from "../../agent/store/recovery.ts";
import { Space } from "../../agent/store/space.ts";
import { StoreTables } from "../../agent/store/tables.ts";

/** `per-message`: each batch is a commit. `per-turn`: what came in one turn of the event loop is one. */
export type CommitRule = "per-message" | "per-turn";

export function openSameThreadStore(path: string, rule: CommitRule): Store {
  const { database } = openSoundDatabase(path);
  const tables = new StoreTables(database, new Space(database, path, { limitBytes: null, reserveBytes: 0 }));
  let waiting: (() => void)[] = [];
  const commitWaiting = (): void => {
    const group = waiting;
    waiting = [];
    tables.transact(() => {
      for (const perform of group) perform();
    });
  };
  const inTurn = <Value>(perform: () => Value): Promise<Value> => {
    if (rule === "per-message") return Promise.resolve(tables.transact(perform));
    return new Promise((resolve) => {
      let value: Value;
      const length = waiting.push(() => {
        value = perform();
        // Fulfilled after the commit, which ends before any promise is looked at.
        queueMicrotask(() => resolve(value));
      });
      if (length === 1) setImmediate(commitWaiting);
    });
  };
  return {
    appendEvents: (batch: EventAppend): Promise<AppendOutcome> => inTurn(() => tables.appendEvents(batch)),
    putDocuments: (documents) => inTurn(() => tables.putDocuments(documents)),
    readDocuments: (kind) => Promise.resolve(tables.readDocuments(kind)),
    coverage: notMeasured,
    outbox: notMeasured,
    readEvents: notMeasured,
    recordReceipt: notMeasured,
    readLog: notMeasured,
    erasePerson: notMeasured,
    tidy: notMeasured,
    space: notMeasured,
    close: async () => tables.close(),
  };
}

function notMeasured(): Promise<never> {
  return Promise.reject(new Error("not measured here"));
}
