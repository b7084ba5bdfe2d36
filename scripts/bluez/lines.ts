/** A child process that speaks in JSON lines, and waiting for one of them with a deadline. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

export type Line = Readonly<Record<string, unknown>>;

/** Keeps every line until somebody asks for it. */
export class LineReader {
  readonly #lines: Line[] = [];
  #wake: () => void = () => undefined;

  constructor(stream: Readable, onOther: (text: string) => void = () => undefined) {
    createInterface({ input: stream }).on("line", (text) => {
      const line = parseLine(text);
      if (line === undefined) return onOther(text);
      this.#lines.push(line);
      this.#wake();
    });
  }

  /** The oldest line not yet taken that fits; those before it stay. Throws when none came within `limitMs`. */
  async take(what: string, fits: (line: Line) => boolean, limitMs: number): Promise<Line> {
    const endsAt = performance.now() + limitMs;
    for (;;) {
      const index = this.#lines.findIndex(fits);
      const [line] = index < 0 ? [] : this.#lines.splice(index, 1);
      if (line !== undefined) return line;
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Fulfilled with the exit code; the process is killed when it takes longer than `limitMs`, and then with null. */
export function untilExit(child: ChildProcess, limitMs: number): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode);
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
    child.once("exit", (code) => {
      clearTimeout(timer);
      resolve(code);
    });
  });
}

export function parseLine(text: string): Line | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    // Half a line of a machine that was stopped while it spoke.
    return undefined;
  }
}
