/**
 * `command/<name>` and `result/<name>`: asked by id, answered by a result with the same id. Commands of this first run go
 * from a gateway to the authority and open nothing. A result moves accepted -> executing -> done | failed | refused | expired.
 * Source: SPEC M11; PROTOCOL parts 2 and 5.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { signedBlob } from "./desired.ts";
import { base64Field, deviceId, text } from "./fields.ts";

export const resultStates = ["accepted", "executing", "done", "failed", "refused", "expired"] as const;

/** `authority/command/time`: a lock asks, through its courier, what time it is. */
export const timeCommandSchema = versioned({
  id: text(64),
  from: deviceId,
  device: deviceId,
  nonce: base64Field(16),
});
export type TimeCommand = z.output<typeof timeCommandSchema>;

/** `<gateway>/result/time`. */
export const timeResultSchema = versioned({
  id: text(64),
  device: deviceId,
  state: z.enum(resultStates),
  answer: signedBlob(256).optional(),
  reason: text(120).optional(),
});
export type TimeResult = z.output<typeof timeResultSchema>;
