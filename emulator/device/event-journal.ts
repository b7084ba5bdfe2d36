/**
 * The log of a networked device in its own memory: every event until a receipt covers it, and for the world's evidence
 * longer than that. One file of JSON lines, appended before anything is sent; what a device has said it can say again with
 * the same name (boot, sequence).
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { assert } from "../../protocol/base/result.ts";
import { eventSchema } from "../../protocol/wire/messages/event.ts";

/** An event as it is sent. */
export type SentEvent = z.input<typeof eventSchema>;

export interface JournalEntry {
  readonly event: SentEvent;
  /** What the decision was in truth, where the device's firmware keeps reasons to itself. */
  readonly truth?: { readonly reason: string; readonly failedChecks: readonly string[] };
}

export class EventJournal {
  readonly #path: string;
  readonly #entries: JournalEntry[] = [];
  #through = 0;
  readonly boot: number;

  /** Opens the file, which begins a new boot. */
  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
    let boot = 0;
    for (const line of existsSync(path) ? readLines(path) : []) {
      if ("boot" in line) boot = line.boot;
      else if ("through" in line) this.#through = line.through;
      else this.#entries.push(line.entry);
    }
    this.boot = boot + 1;
    this.#append({ boot: this.boot });
  }

  get next(): number {
    return (this.#entries.at(-1)?.event.sequence ?? 0) + 1;
  }

  /** Highest sequence that a receipt has covered; 0: none. */
  get through(): number {
    return this.#through;
  }

  append(facts: Omit<SentEvent, "boot" | "sequence">, truth?: JournalEntry["truth"]): JournalEntry {
    const event: SentEvent = { boot: this.boot, sequence: this.next, ...facts };
    const entry: JournalEntry = truth === undefined ? { event } : { event, truth };
    assert(eventSchema.safeParse(event).success, "a device writes only what it may send");
    this.#append({ entry });
    this.#entries.push(entry);
    return entry;
  }

  /** Up to `limit` entries with sequences `from`..`to`, oldest first. */
  read(from: number, to: number, limit: number): readonly JournalEntry[] {
    // Sequences start at 1 and have no holes, so a sequence is a place in the list.
    return this.#entries.slice(Math.max(0, from - 1), Math.min(to, from - 1 + limit));
  }

  all(): readonly JournalEntry[] {
    return this.#entries;
  }

  /** A receipt for more than was ever written, or for less than was receipted already, changes nothing. */
  receive(through: number): void {
    if (through <= this.#through || through >= this.next) return;
    this.#through = through;
    this.#append({ through });
  }

  #append(line: JournalLine): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}

type JournalLine = { readonly boot: number } | { readonly through: number } | { readonly entry: JournalEntry };

/** A kill in the middle of an append leaves a last line without its end: that event was never sent, and it is cut off. */
function readLines(path: string): readonly JournalLine[] {
  const text = readFileSync(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) writeFileSync(path, whole);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const read = journalLine.safeParse(JSON.parse(line));
      assert(read.success, "the journal reads back as it was written");
      return read.data as JournalLine;
    });
}

const journalLine = z.union([
  z.strictObject({ boot: z.number() }),
  z.strictObject({ through: z.number() }),
  z.strictObject({
    entry: z.strictObject({
      event: z.custom<SentEvent>((value) => eventSchema.safeParse(value).success),
      truth: z.strictObject({ reason: z.string(), failedChecks: z.array(z.string()) }).optional(),
    }),
  }),
]);
