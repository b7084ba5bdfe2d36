/**
 * The frozen bytes of this folder. Each file says in `origin` how it was made: from SPEC, in Python, never by our own code, which
 * would only agree with itself. A format that is in a field cannot change any more; what has to be different is a new version.
 */
import { readFileSync } from "node:fs";
import { hexToBytes } from "../../protocol/base/bytes.ts";

/** One case that must be refused, and as what. `rule` is the one that forbids it. */
export interface Broken {
  readonly what: string;
  readonly rule: string;
  readonly expect: string;
}

/** Reads a file of this folder; `{ "hex": "..." }` stands for bytes. The caller says what it knows to be in there. */
export function readVectors<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"), (_key, value: unknown) =>
    bytesIn(value),
  ) as Shape;
}

export function bytesOf(hex: string): Uint8Array {
  const bytes = hexToBytes(hex);
  if (bytes === undefined) throw new Error("a vector is not hex");
  return bytes;
}

/** Bytes for an object of `hex` alone, everything else as it is. */
function bytesIn(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("hex" in value) || Object.keys(value).length > 1) return value;
  return typeof value.hex === "string" ? bytesOf(value.hex) : value;
}

/** What came of a decoder: `ok`, or the fault's code. */
export function outcomeOf(result: { readonly ok: boolean; readonly fault?: { readonly code: string } }): string {
  return result.ok ? "ok" : (result.fault?.code ?? "no fault");
}
