/**
 * `state` (retained): is the device there. A device that speaks for itself leaves `online: false` as its last will;
 * one that a gateway represents is judged by its own latest report. Source: SPEC M4; PROTOCOL part 1.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { deviceId, unixTime } from "./fields.ts";

export const stateSchema = versioned({
  device: deviceId,
  /** The gateway that represents the device and says this of it; left out by who speaks for itself. SPEC G24. */
  via: deviceId.optional(),
  online: z.boolean(),
  /** When the device itself was last heard; null: never, or not known to the one who says it (a last will). */
  heardAt: unixTime.nullable(),
});

export type DeviceState = z.output<typeof stateSchema>;
