/** Small JSON documents beside the record: what the authority must know again after a restart. Never a daily doorcode. */
import type { DatabaseSync } from "node:sqlite";
import type { z } from "zod";
import { assert } from "../../protocol/base/result.ts";
import type { UnixMs } from "../../protocol/base/units.ts";

export interface StoredDocument<Body> {
  readonly body: Body;
  readonly writtenAt: UnixMs;
}

export class Documents {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Reads a document by its schema; one that does not fit is our own mistake, because only `put` writes here. */
  get<Schema extends z.ZodType>(name: string, schema: Schema): StoredDocument<z.output<Schema>> | undefined {
    const row = this.#database.prepare("SELECT body, written_at FROM documents WHERE name = ?").get(name);
    if (row === undefined) return undefined;
    const read = schema.safeParse(JSON.parse(String(row["body"])));
    assert(read.success, `the document ${name} reads back as it was written`);
    return { body: read.data, writtenAt: Number(row["written_at"]) as UnixMs };
  }

  /** The names that begin with `prefix`, in order. */
  names(prefix: string): readonly string[] {
    const end = `${prefix}\uffff`;
    const rows = this.#database.prepare("SELECT name FROM documents WHERE name >= ? AND name < ? ORDER BY name");
    return rows.all(prefix, end).map((row) => String(row["name"]));
  }

  /** Writes one document; when this returns, it is on disk. `body` is what the schema of `get` takes in. */
  put(name: string, body: unknown, at: UnixMs): void {
    this.#database
      .prepare(
        "INSERT INTO documents (name, body, written_at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body, written_at = excluded.written_at",
      )
      .run(name, JSON.stringify(body), at);
  }
}
