/**
 * Orders to take a person out of the stored events. An order walks through each device's log as far as upstream has it, some rows at a
 * time, and is gone when it has passed the last event that was there when it was given. SPEC G66.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type ErasureOrder, eraseFromBody } from "./event-body.ts";

interface Walk extends ErasureOrder {
  readonly device: number;
  /** First sequence that is not looked at yet. */
  next: number;
  readonly last: number;
}

export interface WalkState {
  /** Since the start. */
  readonly erased: number;
  /** Nothing with a receipt is left to be looked at. */
  readonly done: boolean;
}

export class Erasures {
  readonly #statements: Record<"load" | "save" | "remove" | "read" | "write", StatementSync>;
  #walks: Walk[] = [];
  /** Events changed since the start, by whomever the walk was asked for. */
  #erased = 0;

  constructor(database: DatabaseSync) {
    this.#statements = {
      load: database.prepare("SELECT person, device, credentials, next, last FROM erasures"),
      save: database.prepare("INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?, ?)"),
      remove: database.prepare("DELETE FROM erasures WHERE person = ? AND device = ?"),
      read: database.prepare(
        "SELECT sequence, boot, body FROM events WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence, boot LIMIT ?",
      ),
      write: database.prepare("UPDATE events SET body = ? WHERE device = ? AND sequence = ? AND boot = ?"),
    };
    this.load();
  }

  load(): void {
    this.#walks = this.#statements.load.all().map((columns) => ({
      person: String(columns["person"]),
      credentials: String(columns["credentials"]).split(" ").filter(Boolean),
      device: Number(columns["device"]),
      next: Number(columns["next"]),
      last: Number(columns["last"]),
    }));
  }

  get isEmpty(): boolean {
    return this.#walks.length === 0;
  }

  /** An order that was given before begins anew, with what it names now. */
  order({ person, credentials }: ErasureOrder, device: number, last: number): void {
    const before = this.#walks.find((walk) => walk.person === person && walk.device === device);
    // What the order before named and has not come to yet is not forgotten.
    const all = [...new Set([...(before?.credentials ?? []), ...credentials])];
    this.#statements.save.run(person, device, all.join(" "), 0, last);
    this.#walks = this.#walks.filter((walk) => walk !== before);
    this.#walks.push({ person, credentials: all, device, next: 0, last });
  }

  get erased(): number {
    return this.#erased;
  }

  /** Looks at some rows. */
  walk(receiptedOf: (device: number) => number, rowsMax: number): WalkState {
    let rowsLeft = rowsMax;
    for (const walk of this.#walks) {
      const through = Math.min(walk.last, receiptedOf(walk.device));
      if (walk.next > through) continue;
      if (rowsLeft <= 0) return { erased: this.#erased, done: false };
      const rows = this.#statements.read.all(walk.device, walk.next, through, rowsLeft);
      this.#erased += rows.filter((columns) => this.#erase(walk, columns)).length;
      const isWhole = rows.length < rowsLeft;
      rowsLeft -= rows.length;
      // The last sequence may be there under another boot as well: it is looked at again, unless it was all that there was.
      const lastLooked = Number(rows.at(-1)?.["sequence"]);
      walk.next = isWhole ? through + 1 : Math.max(walk.next + 1, lastLooked);
      this.#save(walk);
      if (!isWhole) return { erased: this.#erased, done: false };
    }
    this.#walks = this.#walks.filter(({ next, last }) => next <= last);
    return { erased: this.#erased, done: true };
  }

  /** The body as it is to be shown, though it may not be changed yet. */
  shown(device: number, sequence: number, body: string): string {
    const orders = this.#walks.filter((walk) => walk.device === device && sequence <= walk.last);
    return orders.reduce((text, order) => eraseFromBody(text, order) ?? text, body);
  }

  #erase(walk: Walk, columns: Record<string, unknown>): boolean {
    const body = eraseFromBody(String(columns["body"]), walk);
    if (body === undefined) return false;
    this.#statements.write.run(body, walk.device, Number(columns["sequence"]), Number(columns["boot"]));
    return true;
  }

  #save({ person, device, credentials, next, last }: Walk): void {
    if (next > last) this.#statements.remove.run(person, device);
    else this.#statements.save.run(person, device, credentials.join(" "), next, last);
  }
}
