/**
 * The record of unlock commands: who had which door opened, by which device, and what became of it. Append-only, one line for each step;
 * `sent` is on disk before anything is sent, and no command id is ever issued twice.
 */
import type { DatabaseSync } from "node:sqlite";
import type { UnixMs } from "../../protocol/base/units.ts";
import type { CommandState } from "../../protocol/wire/command-state.ts";

/** `denied`: nothing was signed. `unconfirmed`: sent, and nothing final was heard in its time; what follows may still say. */
export type UnlockStep = CommandState | "denied" | "not-sent" | "sent" | "unconfirmed";

export interface UnlockLine {
  readonly at: UnixMs;
  /** Null: nothing was signed. */
  readonly command: string | null;
  readonly door: string;
  readonly device: string | null;
  readonly person: string;
  readonly step: UnlockStep;
  readonly reason: string | null;
}

export interface UnlockEntry extends Omit<UnlockLine, "step" | "reason"> {
  /** Counts up; ask for what came after it. */
  readonly id: number;
  readonly outcome: UnlockStep;
  readonly reason: string | null;
  readonly steps: readonly { readonly step: string; readonly at: number }[];
}

export class UnlockRecord {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(schema);
  }

  /** When this returns, the line is on disk. A command id that was issued before breaks the program, not the promise. */
  append({ at, command, door, device, person, step, reason }: UnlockLine): void {
    this.#database
      .prepare("INSERT INTO unlocks (at, command, door, device, person, step, reason) VALUES (?, ?, ?, ?, ?, ?, ?)")
      .run(at, command, door, device, person, step, reason);
  }

  isIssued(command: string): boolean {
    return this.#database.prepare("SELECT 1 FROM unlocks WHERE command = ? LIMIT 1").get(command) !== undefined;
  }

  /** One entry for each thing that was asked, oldest first, with its latest outcome. */
  list(): readonly UnlockEntry[] {
    const rows = this.#database.prepare(listQuery).all(entriesPerAnswer).toReversed();
    return rows.map((row) => {
      const command = row["command"] === null ? null : String(row["command"]);
      const lines = command === null ? [row] : this.#linesOf(command);
      const last = lines.at(-1) ?? row;
      return {
        id: Number(row["id"]),
        at: Number(row["at"]) as UnixMs,
        command,
        door: String(row["door"]),
        device: row["device"] === null ? null : String(row["device"]),
        person: String(row["person"]),
        outcome: String(last["step"]) as UnlockStep,
        reason: last["reason"] === null ? null : String(last["reason"]),
        steps: lines.map((line) => ({ step: String(line["step"]), at: Number(line["at"]) })),
      };
    });
  }

  #linesOf(command: string) {
    return this.#database.prepare("SELECT step, reason, at FROM unlocks WHERE command = ? ORDER BY id").all(command);
  }
}

const entriesPerAnswer = 1000;
const listQuery = "SELECT * FROM unlocks WHERE step IN ('denied', 'not-sent', 'sent') ORDER BY id DESC LIMIT ?";
const schema = `
  CREATE TABLE IF NOT EXISTS unlocks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, command TEXT, door TEXT NOT NULL, device TEXT, person TEXT NOT NULL,
    step TEXT NOT NULL, reason TEXT
  );
  CREATE INDEX IF NOT EXISTS unlocks_by_command ON unlocks (command);
  CREATE UNIQUE INDEX IF NOT EXISTS unlocks_issued_once ON unlocks (command) WHERE step = 'sent';
  CREATE TRIGGER IF NOT EXISTS unlocks_are_not_changed BEFORE UPDATE ON unlocks
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS unlocks_are_not_removed BEFORE DELETE ON unlocks
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
`;
