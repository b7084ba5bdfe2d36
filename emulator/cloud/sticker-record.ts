/**
 * The record of what was asked about stickers: by whom, for which panel, and what the authority made of it. Append-only; a change is
 * on disk here before it is made, so that no sticker ends without a line that says who ended it.
 */
import type { DatabaseSync } from "node:sqlite";
import type { UnixMs } from "../../protocol/base/units.ts";
import type { StickerAction, StickerReason } from "../../protocol/wire/messages/command.ts";

export interface StickerLine {
  readonly at: UnixMs;
  /** A gateway's id, or `manager`. */
  readonly by: string;
  readonly panel: string;
  readonly action: StickerAction;
  /** The panel's rotation before it; null: there is no such panel. */
  readonly rotation: number | null;
  readonly outcome: "done" | StickerReason;
}

export class StickerRecord {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(schema);
  }

  /** When this returns, the line is on disk. */
  append({ at, by, panel, action, rotation, outcome }: StickerLine): void {
    this.#database
      .prepare("INSERT INTO stickers (at, asker, panel, action, rotation, outcome) VALUES (?, ?, ?, ?, ?, ?)")
      .run(at, by, panel, action, rotation, outcome);
  }

  /** How many rotations and retirements of a panel gateways had done since then. */
  changesSince(panel: string, since: number): number {
    return Number(this.#database.prepare(countQuery).get(panel, since)?.["changes"] ?? 0);
  }

  /** The latest, oldest first. */
  list(): readonly (StickerLine & { readonly id: number })[] {
    const rows = this.#database.prepare("SELECT * FROM stickers ORDER BY id DESC LIMIT ?").all(linesPerAnswer);
    return rows.toReversed().map((row) => ({
      id: Number(row["id"]),
      at: Number(row["at"]) as UnixMs,
      by: String(row["asker"]),
      panel: String(row["panel"]),
      action: String(row["action"]) as StickerAction,
      rotation: row["rotation"] === null ? null : Number(row["rotation"]),
      outcome: String(row["outcome"]) as StickerLine["outcome"],
    }));
  }
}

const linesPerAnswer = 1000;
const countQuery = `SELECT count(*) AS changes FROM stickers
  WHERE panel = ? AND at > ? AND asker <> 'manager' AND action <> 'seen' AND outcome = 'done'`;
const schema = `
  CREATE TABLE IF NOT EXISTS stickers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, asker TEXT NOT NULL, panel TEXT NOT NULL, action TEXT NOT NULL, rotation INTEGER,
    outcome TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS stickers_by_panel ON stickers (panel, at);
  CREATE TRIGGER IF NOT EXISTS stickers_are_not_changed BEFORE UPDATE ON stickers
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS stickers_are_not_removed BEFORE DELETE ON stickers
    BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
`;
