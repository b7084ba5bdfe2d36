import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { utf8 } from "../../protocol/base/bytes.ts";
import { timeCommandSchema, unlockCommandSchema, unlockResultSchema } from "../../protocol/wire/messages/command.ts";
import { desiredSchema } from "../../protocol/wire/messages/desired.ts";
import { eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, PAYLOAD_LIMIT_BYTES, parsePayload } from "../../protocol/wire/payload.ts";
import { type Broken, outcomeOf, readVectors } from "./read-vectors.ts";

const schemas: Readonly<Record<string, z.ZodType>> = {
  state: stateSchema,
  receipt: receiptSchema,
  event: eventBatchSchema,
  desired: desiredSchema,
  "command/time": timeCommandSchema,
  "command/unlock": unlockCommandSchema,
  "result/unlock": unlockResultSchema,
};
const vectors = readVectors<{
  readonly values: readonly { readonly message: string; readonly text: string }[];
  readonly broken: readonly (Broken & {
    readonly message: string;
    readonly text?: string;
    readonly bytes?: Uint8Array;
    readonly path?: string;
  })[];
}>("payloads.json");

function schemaOf(message: string): z.ZodType {
  const schema = schemas[message];
  if (schema === undefined) throw new Error(`no schema for ${message}`);
  return schema;
}

describe("payloads.json", () => {
  it.each(vectors.values)("[M1] reads $message: $text", ({ message, text }) => {
    expect(outcomeOf(parsePayload(schemaOf(message), utf8(text)))).toBe("ok");
    expect(formatPayload(schemaOf(message), JSON.parse(text))).toBe(JSON.stringify(JSON.parse(text)));
  });

  it.each(vectors.broken)("[$rule] refuses $message: $what", ({ message, text, bytes, expect: code, path }) => {
    const read = parsePayload(schemaOf(message), bytes ?? utf8(text ?? ""));
    expect(read).toMatchObject({ ok: false, fault: { code, ...(path === undefined ? {} : { path }) } });
  });

  it("[M1] takes 512 KiB and not a byte more", () => {
    const whole = utf8(vectors.values[0]?.text ?? "");
    const padded = (bytes: number) => Uint8Array.from([...whole, ...Array(bytes - whole.length).fill(0x20)]);
    expect(parsePayload(stateSchema, padded(PAYLOAD_LIMIT_BYTES)).ok).toBe(true);
    expect(outcomeOf(parsePayload(stateSchema, padded(PAYLOAD_LIMIT_BYTES + 1)))).toBe("payload-too-large");
    expect(PAYLOAD_LIMIT_BYTES).toBe(512 * 1024);
  });
});
