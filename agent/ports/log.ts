/** Where the agent says what it did: facts and one sentence. Never a key, a code, a payload or a resident's e-mail. */
export interface Log {
  info(facts: LogFacts, message: string): void;
  warn(facts: LogFacts, message: string): void;
  error(facts: LogFacts, message: string): void;
}

export type LogFacts = Readonly<Record<string, string | number | boolean | null | undefined>>;
