/**
 * `event`: one or more entries of a device's log, oldest first. An event is named (device, boot count, sequence);
 * the sequence goes on across boots. `at` says what the device's clock showed and never orders. No doorcode, key or
 * PIN has a field here. Source: SPEC M5-M7; PROTOCOL parts 2 and 6.
 */
import { z } from "zod";
import { reasonToStandards } from "../../access/reason-standards.ts";
import { type ReasonCode, reasonCodes, warningCodes } from "../../access/reasons.ts";
import { versioned } from "../payload.ts";
import { base64Field, clockQuality, deviceId, entityId, hexText, text, uint32, unixTime } from "./fields.ts";

export const eventKinds = [
  "access-granted",
  "access-denied",
  "policy-committed",
  "clock-set",
  "boot",
  "log-gap",
  "scan",
  "door",
  "fault",
  "sealed-log",
] as const;
export type EventKind = (typeof eventKinds)[number];

/** Most events in one message: 64 events of 700 bytes stay under 48 KiB, and 64 full batches of a lock's log under 400 KiB. */
export const EVENT_BATCH_LIMIT = 64;

/** A full batch of a lock's log (4,371 bytes, SPEC X10) fits; not imported, because sealing knows entries and entries know events. */
const RAW_LIMIT_BYTES = 4_608;

/**
 * A denial's reason in the words of three standards; what a standard has no word for is left out. Written by the gateway from
 * `reason` alone, never by a device. SPEC D18, M13.
 */
export const standardsSchema = z.strictObject({
  onvif: z
    .strictObject({
      code: z.union([
        z.strictObject({ reason: text(32), detail: text(48).optional() }),
        z.strictObject({ topic: text(48) }),
      ]),
      lossy: z.boolean(),
    })
    .optional(),
  matter: z
    .strictObject({
      code: z.union([
        z.strictObject({ operationError: z.number().int().min(0).max(255) }),
        z.strictObject({ alarm: z.number().int().min(0).max(255) }),
      ]),
      lossy: z.boolean(),
    })
    .optional(),
  bacnet: z.strictObject({ code: z.number().int().min(0).max(65_535), lossy: z.boolean() }).optional(),
});
export type EventStandards = z.output<typeof standardsSchema>;

/** The standards' codes of a reason as they stand on an event; undefined where no standard has a word for it. */
export function standardsOf(reason: ReasonCode): EventStandards | undefined {
  const { onvif, matter, bacnet } = reasonToStandards(reason);
  if (onvif === undefined && matter === undefined && bacnet === undefined) return undefined;
  return {
    ...(onvif === undefined ? {} : { onvif }),
    ...(matter === undefined ? {} : { matter }),
    ...(bacnet === undefined ? {} : { bacnet }),
  };
}

/**
 * An event with the standards' codes of its reason, made from the reason that the device gave and from nothing else. What somebody wrote
 * there is not carried on, and an event without a reason gets none (row 89). SPEC M13.
 */
export function withStandards<Event extends Pick<DeviceEvent, "kind" | "reason" | "standards">>(
  event: Event,
): Omit<Event, "standards"> & { readonly standards?: EventStandards } {
  const { standards: _, ...said } = event;
  if (event.kind !== "access-denied" || event.reason === undefined) return said;
  const standards = standardsOf(event.reason);
  return standards === undefined ? said : { ...said, standards };
}

export const eventSchema = z.strictObject({
  boot: uint32,
  sequence: uint32,
  at: z.strictObject({ unixSeconds: unixTime.nullable(), quality: clockQuality }),
  kind: z.enum(eventKinds),
  person: entityId.optional(),
  credential: entityId.optional(),
  /** One of the kinds of credential, or `remote`: an unlock command of the authority. */
  credentialType: text(32).optional(),
  /** The unlock command that opened; the authority's record says whose it was. */
  command: hexText(16).optional(),
  /** The primary reason of a denial; absent where the firmware reports none. */
  reason: z.enum(reasonCodes).optional(),
  /** Written by the gateway where the device's firmware is too old to report reasons: upstream never guesses. Row 89. */
  reasonAbsent: z.literal("not reported by this firmware").optional(),
  standards: standardsSchema.optional(),
  /** All that failed, in the documented order. */
  failedChecks: z.array(z.enum(reasonCodes)).max(32).optional(),
  warnings: z.array(z.enum(warningCodes)).max(8).optional(),
  /** The vendor's text as the device shows it. */
  detail: text(120).optional(),
  /** 32-bit tag of an entry that matched nothing, eight hex digits; only the authority can tell what it was. */
  entryTag: z
    .string()
    .regex(/^[0-9a-f]{8}$/)
    .optional(),
  /** Of a `sealed-log`: the batch as the lock sealed it. In the authority's record: the entry as the lock chained it. */
  raw: base64Field(RAW_LIMIT_BYTES).optional(),
  /** Facts of `policy-committed`, `clock-set`, `log-gap`, `door` (0 closed, 1 open), `fault` (SPEC E5) and `sealed-log` (`first`, `last`). */
  facts: z.record(text(32), z.number()).optional(),
});
export type DeviceEvent = z.output<typeof eventSchema>;

export const eventBatchSchema = versioned({
  device: deviceId,
  events: z.array(eventSchema).min(1).max(EVENT_BATCH_LIMIT),
});
export type EventBatch = z.output<typeof eventBatchSchema>;
