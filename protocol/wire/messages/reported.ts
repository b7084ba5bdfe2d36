/**
 * `reported` (retained): what a lock or a networked device holds, in its own words. `report` and `mac` are its own bytes (SPEC Y7, M14),
 * so that a gateway cannot make them up; the fields beside them are their reading for people. Source: SPEC M10, M14; PROTOCOL part 4.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { revocationKinds } from "./desired.ts";
import { base64Exactly, base64Field, clockQuality, deviceId, uint32, unixTime } from "./fields.ts";
import { settingsReportSchema } from "./gateway-settings.ts";

export const reportedSchema = versioned({
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  clock: clockQuality,
  logNext: uint32,
  report: base64Field(512),
  mac: base64Exactly(32),
  /** When the courier received it, or by the clock of the device that said it itself. */
  at: unixTime,
  /** Who carried it away from a lock; absent: a networked device said it, and `report` is a policy report. */
  courier: deviceId.optional(),
});
export type Reported = z.output<typeof reportedSchema>;

/** What an operator sees of a lock's door sync; SPEC G10 says when each holds and which of several is shown. */
export const syncStates = ["in-sync", "pending", "syncing", "unconfirmed", "out-of-range", "refused", "stale"] as const;
export type SyncState = (typeof syncStates)[number];

/** A person revoked or signed out upstream whom a lock still lets in, because it has not been synced since. Row 61; SPEC M10. */
export const exposureSchema = versioned({
  gateway: deviceId,
  at: unixTime,
  exposures: z
    .array(
      z.strictObject({
        device: deviceId,
        person: z.string().max(32),
        since: unixTime,
        what: z.enum(revocationKinds).default("revoked"),
        /** Null: the lock has never reported. */
        holds: z.strictObject({ epoch: uint32, version: uint32 }).nullable(),
      }),
    )
    .max(10_000),
  /** Absent: the authority has never given it settings. SPEC M28. */
  settings: settingsReportSchema.optional(),
  /** How many people were taken out of what the gateway keeps, and when the last; who, nobody says. SPEC M30. */
  erasures: z.strictObject({ people: uint32, lastAt: unixTime }).optional(),
});
export type ExposureReport = z.output<typeof exposureSchema>;
