/** `birth` (retained): what a device is, said at each start. Source: SPEC M4; PROTOCOL part 2. */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { bootFields, deviceId, text, uint32 } from "./fields.ts";

export const birthSchema = versioned({
  device: deviceId,
  model: text(32),
  /** The gateway that speaks for this device; absent when it speaks for itself. */
  via: deviceId.optional(),
  bootCount: uint32,
  /** Networked devices that take unlock commands. */
  boot: bootFields.optional(),
  serial: text(64).optional(),
  /** Null: the device did not say. */
  firmware: text(64).nullable(),
  hardware: text(64).nullable(),
  /** Gateways only: the X25519 key by which locks know this courier, base64. */
  courierPublicKey: z.string().max(64).optional(),
  /** Gateways only: the Ed25519 key by which one may be told to answer for the time, base64. */
  timePublicKey: z.string().max(64).optional(),
});

export type Birth = z.output<typeof birthSchema>;
