/**
 * `receipt`: everything of this device up to and with `through` is on the receiver's disk. `missing` asks for what
 * was passed over. A sender keeps an event until a receipt covers it. Source: SPEC M8; DESIGN part 3 rules 1 and 2.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { deviceId, uint32 } from "./fields.ts";

export const receiptSchema = versioned({
  device: deviceId,
  /** Highest sequence below which nothing is missing; null: nothing yet. */
  through: uint32.nullable(),
  missing: z.array(z.strictObject({ from: uint32, to: uint32 })).max(32),
});
export type Receipt = z.output<typeof receiptSchema>;
