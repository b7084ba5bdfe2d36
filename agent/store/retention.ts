/**
 * What upstream has had long enough goes. When upstream got what is not kept for each event, because that would be a write each: once a
 * day it is noted how far each device's receipts reach, and all below a note is at least as old as the note. SPEC G64.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";

interface Mark {
  readonly atMs: number;
  readonly through: number;
}

export class Retention {
  readonly #statements: Record<"load" | "note" | "forget" | "reach" | "remove" | "oldest", StatementSync>;
  #marksByDevice = new Map<number, readonly Mark[]>();
  /** Nothing at or below it is on disk any more, as far as it was found out since the start. */
  readonly #emptyThrough = new Map<number, number>();

  constructor(database: DatabaseSync) {
    this.#statements = {
      load: database.prepare("SELECT device, at_ms, through FROM receipt_marks ORDER BY device, at_ms"),
      note: database.prepare("INSERT OR REPLACE INTO receipt_marks VALUES (?, ?, ?)"),
      forget: database.prepare("DELETE FROM receipt_marks WHERE device = ? AND at_ms < ?"),
      // The sequence up to which so many rows reach.
      reach: database.prepare(
        "SELECT max(sequence) AS reach, count(*) AS n FROM (SELECT sequence FROM events WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?)",
      ),
      remove: database.prepare("DELETE FROM events WHERE device = ? AND sequence BETWEEN ? AND ?"),
      oldest: database.prepare(
        "SELECT received_ms FROM events WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT 1",
      ),
    };
    this.load();
  }

  load(): void {
    this.#marksByDevice = new Map();
    this.#emptyThrough.clear();
    for (const columns of this.#statements.load.all()) {
      const device = Number(columns["device"]);
      const mark = { atMs: Number(columns["at_ms"]), through: Number(columns["through"]) };
      this.#marksByDevice.set(device, [...(this.#marksByDevice.get(device) ?? []), mark]);
    }
  }

  /** Notes how far receipts reach, at most once a day for each device and only where they reach further than the last note. */
  note(device: number, receipted: number, nowMs: number): void {
    const last = this.#marksByDevice.get(device)?.at(-1);
    const isNews = receipted >= 0 && (last === undefined || receipted > last.through);
    if (!isNews || (last !== undefined && Math.abs(nowMs - last.atMs) < MARK_STEP_MS)) return;
    this.#statements.note.run(device, nowMs, receipted);
    const marks = [...(this.#marksByDevice.get(device) ?? []), { atMs: nowMs, through: receipted }];
    this.#marksByDevice.set(
      device,
      marks.sort((left, right) => left.atMs - right.atMs),
    );
  }

  /** Removes rows of a device that have been receipted for longer than `keepMs`. Gives how many. */
  removeOld(
    device: number,
    { nowMs, keepMs }: { readonly nowMs: number; readonly keepMs: number },
    rowsMax: number,
  ): number {
    const old = (this.#marksByDevice.get(device) ?? []).filter(({ atMs }) => atMs + keepMs <= nowMs);
    const newest = old.at(-1);
    if (newest === undefined) return 0;
    const removed = this.removeThrough(device, newest.through, rowsMax);
    if (removed < rowsMax && old.length > 1) {
      // The newest of the old ones says all that the others do.
      this.#statements.forget.run(device, newest.atMs);
      const kept = (this.#marksByDevice.get(device) ?? []).filter(({ atMs }) => atMs >= newest.atMs);
      this.#marksByDevice.set(device, kept);
    }
    return removed;
  }

  /** When the oldest row at or below `through` came; undefined: there is none. */
  oldestMs(device: number, through: number): number | undefined {
    const from = (this.#emptyThrough.get(device) ?? -1) + 1;
    if (from > through) return undefined;
    const ms = this.#statements.oldest.get(device, from, through)?.["received_ms"];
    if (typeof ms !== "number") this.#emptyThrough.set(device, through);
    return typeof ms === "number" ? ms : undefined;
  }

  /** Removes the first rows of a device, none above `through`. Gives how many. */
  removeThrough(device: number, through: number, rowsMax: number): number {
    const from = (this.#emptyThrough.get(device) ?? -1) + 1;
    if (from > through) return 0;
    const found = this.#statements.reach.get(device, from, through, rowsMax);
    const count = Number(found?.["n"] ?? 0);
    const reach = count < rowsMax ? through : Number(found?.["reach"]);
    const removed = count === 0 ? 0 : Number(this.#statements.remove.run(device, from, reach).changes);
    this.#emptyThrough.set(device, reach);
    return removed;
  }

  /** Rows at or above this sequence are there again or anew. */
  filled(device: number, from: number): void {
    if (from <= (this.#emptyThrough.get(device) ?? -1)) this.#emptyThrough.set(device, from - 1);
  }
}

const MARK_STEP_MS = 24 * 3_600_000;
