/**
 * `health` (retained): battery, firmware, clock and uptime, each with its own age. Null is "unknown", never zero.
 * Source: SPEC M4; DESIGN part 3 rule 6; checklist rows 84-89 and 131.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { bootFields, clockQuality, deviceId, text, uint32, unixTime } from "./fields.ts";

export const firmwareVerdicts = [
  "ok",
  "below floor",
  "unknown",
  "not comparable",
  "no floor known",
  "not applicable",
] as const;

export const healthSchema = versioned({
  device: deviceId,
  battery: z
    .strictObject({
      millivolts: z.number().int().min(0).max(60_000),
      percent: z.number().min(0).max(100),
      at: unixTime,
    })
    .nullable(),
  firmware: z.strictObject({ version: text(64), at: unixTime }).nullable(),
  /** What the sender makes of the firmware; null when the sender is the device itself, which does not judge. */
  firmwareVerdict: z.enum(firmwareVerdicts).nullable(),
  clock: z.strictObject({ quality: clockQuality, driftMs: z.number().int().nullable(), at: unixTime }).nullable(),
  uptimeSeconds: z.number().int().min(0).nullable(),
  bootCount: uint32.nullable(),
  /** Networked devices that take unlock commands. */
  boot: bootFields.optional(),
  lastSyncAt: unixTime.nullable(),
  /** When the sender wrote this message. */
  at: unixTime,
});

export type Health = z.output<typeof healthSchema>;
