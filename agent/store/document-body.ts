/** The JSON of a stored document, read back. The disk may have spoilt it, and a gateway that stops at that would never start again. */
import type { z } from "zod";
import type { StoredDocument } from "../ports/store.ts";

/** What the document says; undefined when it is no JSON or has another shape than it was stored in. */
export function readDocumentBody<Schema extends z.ZodType>(
  schema: Schema,
  { body }: StoredDocument,
): z.output<Schema> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const read = schema.safeParse(value);
  return read.success ? read.data : undefined;
}
