/**
 * MQTT payloads: UTF-8 JSON objects with the schema version in `v`, in a named size.
 * Every message file defines its zod schema with `versioned(...)` and is read and written here only.
 * Source: SPEC M1-M3; PROTOCOL part 2.
 */
import { z } from "zod";
import { failed, ok, type Result } from "../base/result.ts";

export const SCHEMA_VERSION = 1;

/** Largest payload taken: a bundle of 5,000 credentials in base64 with room to spare. */
export const PAYLOAD_LIMIT_BYTES = 512 * 1024;

export type PayloadFault =
  | { readonly code: "payload-too-large"; readonly bytes: number; readonly limitBytes: number }
  | { readonly code: "payload-not-utf8" }
  | { readonly code: "payload-not-json" }
  | { readonly code: "payload-future-version"; readonly version: number; readonly supported: number }
  | { readonly code: "payload-bad-shape"; readonly path: string; readonly expected: string };

/** Adds the schema version to a message's shape. Unknown keys are refused: a new key is a new version. */
export function versioned<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject({ v: z.literal(SCHEMA_VERSION), ...shape });
}

/**
 * Reads a payload by its schema. Faults: payload-too-large, payload-not-utf8, payload-not-json,
 * payload-future-version (a `v` above ours), payload-bad-shape (the first offending path). Never throws.
 */
export function parsePayload<Schema extends z.ZodType>(
  schema: Schema,
  payload: Uint8Array,
  limitBytes = PAYLOAD_LIMIT_BYTES,
): Result<z.output<Schema>, PayloadFault> {
  if (payload.length > limitBytes) {
    return failed({ code: "payload-too-large", bytes: payload.length, limitBytes });
  }
  const text = decodeUtf8(payload);
  if (text === undefined) return failed({ code: "payload-not-utf8" });
  const json = parseJson(text);
  if (json === undefined) return failed({ code: "payload-not-json" });
  const version = versionOf(json.value);
  if (version !== undefined && version > SCHEMA_VERSION) {
    return failed({ code: "payload-future-version", version, supported: SCHEMA_VERSION });
  }
  const parsed = schema.safeParse(json.value);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  return failed({
    code: "payload-bad-shape",
    path: issue === undefined ? "" : issue.path.join("."),
    expected: issue === undefined ? "a message of this schema" : issue.message,
  });
}

/** Writes a message as its reader expects it: checked by the schema, and as it was given (base64 stays text). A bad one is our own mistake. */
export function formatPayload<Schema extends z.ZodType>(schema: Schema, message: z.input<Schema>): string {
  schema.parse(message);
  return JSON.stringify(message);
}

function decodeUtf8(payload: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(payload);
  } catch {
    return undefined;
  }
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function versionOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !("v" in value)) return undefined;
  return typeof value.v === "number" ? value.v : undefined;
}
