/**
 * The log's last lines, kept in memory for a diagnostic archive: on a gateway the log goes to a journal in memory that other users may not
 * read. Lines go on to where they went before. SPEC G36, G37.
 */
export interface LineSink {
  write(line: string): unknown;
}

export class RecentLog implements LineSink {
  readonly #sink: LineSink;
  readonly #lines: string[] = [];
  #characters = 0;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  write(line: string): void {
    this.#sink.write(line);
    this.#lines.push(line);
    this.#characters += line.length;
    while (this.#characters > KEPT_CHARACTERS || this.#lines.length > KEPT_LINES) {
      this.#characters -= this.#lines.shift()?.length ?? 0;
    }
  }

  /** Oldest first, each with its line end. */
  lines(): readonly string[] {
    return [...this.#lines];
  }
}

/** A gateway says about a hundred lines a day; a storm must not eat its memory. */
const KEPT_LINES = 1_000;
const KEPT_CHARACTERS = 200_000;

/**
 * By design nothing secret is given to the log (`ports/log.ts`), and a test looks for every secret of a real run in it. This is for the mistake
 * that nobody has made yet: a fact of such a name is not printed. `code` is not among them: it names faults.
 */
export const redactedFacts = {
  paths: [
    "password",
    "secret",
    "token",
    "pin",
    "email",
    "phone",
    "setupCode",
    "doorcode",
    "privateKey",
    "key",
    "payload",
  ],
  censor: "(removed)",
};
