/** Fields that several messages share, each with its range. */
import { z } from "zod";
import { base64ToBytes } from "../../base/bytes.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds } from "../../base/units.ts";

export const deviceId = z.string().transform((text, context): DeviceId => {
  const id = parseDeviceId(text);
  if (id !== undefined) return id;
  context.addIssue({ code: "custom", message: "expected a device id of [a-z0-9-]{3,32}" });
  return z.NEVER;
});

/** Names of people, doors, units and rules in the site's configuration: `[a-z0-9-]{1,32}`. */
export const entityId = z.string().regex(/^[a-z0-9-]{1,32}$/, "expected an id of [a-z0-9-]{1,32}");

export const unixTime = z
  .number()
  .int()
  .min(0)
  .max(2 ** 40)
  .transform((value) => value as UnixSeconds);

/** Whole number 0..2^32-1: boot counts, sequences, versions, epochs. */
export const uint32 = z
  .number()
  .int()
  .min(0)
  .max(2 ** 32 - 1);

/** Standard, padded base64 of at most `limitBytes` bytes. */
export function base64Field(limitBytes: number) {
  return z
    .string()
    .max(Math.ceil(limitBytes / 3) * 4)
    .transform((text, context): Uint8Array => {
      const bytes = base64ToBytes(text);
      if (bytes !== undefined && bytes.length <= limitBytes) return bytes;
      context.addIssue({ code: "custom", message: `expected base64 of at most ${limitBytes} bytes` });
      return z.NEVER;
    });
}

/** Standard, padded base64 of exactly `bytes` bytes. */
export function base64Exactly(bytes: number) {
  const expected = `expected base64 of ${bytes} bytes`;
  return base64Field(bytes).refine((read) => read.length === bytes, expected);
}

/** Exactly `bytes` bytes in lower-case hex; stays text. */
export const hexText = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `expected ${bytes} bytes in lower-case hex`);

/** `set`: trusted; `lower-bound`: not before this; `unset`: unknown. SPEC M5; PROTOCOL part 5. */
export const clockQuality = z.enum(["set", "lower-bound", "unset"]);
export type ClockQuality = z.output<typeof clockQuality>;

/**
 * Which boot of the device this is and how long ago it began, in its own words: only the device and its authority can make `mac`.
 * The authority needs it to sign an unlock command. SPEC V6.
 */
export const bootFields = z.strictObject({
  id: hexText(16),
  uptimeMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  mac: hexText(32),
});
export type BootFields = z.output<typeof bootFields>;

export const text = (limit: number) => z.string().max(limit);

/** As BlueZ writes it: upper-case hex pairs with colons. */
export const bluetoothAddress = z
  .string()
  .regex(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/, "expected a Bluetooth address such as C0:FF:EE:00:00:01");
