/**
 * `health` (retained): battery, firmware, clock and uptime, each with its own age. Null is "unknown", never zero.
 * Source: SPEC M4; DESIGN part 3 rule 6; checklist rows 84-89 and 131.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { bootFields, clockQuality, deviceId, text, uint32, unixTime } from "./fields.ts";
import { syncStates } from "./reported.ts";

export const firmwareVerdicts = [
  "ok",
  "below floor",
  "unknown",
  "not comparable",
  "no floor known",
  "not applicable",
] as const;

const policyVersion = z.strictObject({ epoch: uint32, version: uint32 });

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
  /** BLE locks only, and the gateway's word: how the door sync stands. What the lock holds, its own report alone proves. SPEC M17. */
  sync: z
    .strictObject({
      state: z.enum(syncStates),
      /** Which of the ways into that state; null: it needs none. */
      why: text(64).nullable(),
      since: unixTime.nullable(),
      desired: policyVersion.nullable(),
      /** By the lock's own report, and when that came; null: it has never reported to this gateway. */
      reported: policyVersion.extend({ at: unixTime }).nullable(),
      /** On the air or in a visit; null: never. */
      heardAt: unixTime.nullable(),
    })
    .optional(),
  /** When the sender wrote this message. */
  at: unixTime,
});

export type Health = z.output<typeof healthSchema>;
export type SyncWord = NonNullable<Health["sync"]>;
