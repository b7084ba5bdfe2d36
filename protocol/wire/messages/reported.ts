/**
 * `reported` (retained): what a lock holds, in its own words. `report` and `mac` are the lock's own bytes (SPEC Y7), so
 * that a gateway cannot make them up; the fields beside them are their reading for people. Source: SPEC M10; PROTOCOL part 4.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { base64Field, clockQuality, deviceId, uint32, unixTime } from "./fields.ts";

export const reportedSchema = versioned({
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  clock: clockQuality,
  logNext: uint32,
  report: base64Field(512),
  mac: base64Field(32),
  /** When the courier received it. */
  at: unixTime,
  courier: deviceId,
});
export type Reported = z.output<typeof reportedSchema>;

/** What an operator sees of a lock's door sync. Issue 4 adds `syncing`, `unconfirmed`, `refused`, `stale`. */
export const syncStates = ["in-sync", "pending", "unconfirmed", "out-of-range", "refused"] as const;
export type SyncState = (typeof syncStates)[number];

/** A person revoked upstream whom a lock still lets in, because it has not been synced since. Row 61; SPEC M10. */
export const exposureSchema = versioned({
  gateway: deviceId,
  at: unixTime,
  exposures: z
    .array(
      z.strictObject({
        device: deviceId,
        person: z.string().max(32),
        since: unixTime,
        /** Null: the lock has never reported. */
        holds: z.strictObject({ epoch: uint32, version: uint32 }).nullable(),
      }),
    )
    .max(10_000),
});
export type ExposureReport = z.output<typeof exposureSchema>;
