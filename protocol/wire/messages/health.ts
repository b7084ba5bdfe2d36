/**
 * `health` (retained): battery, firmware, clock and uptime, each with its own age. Null is "unknown", never zero.
 * Source: SPEC M4; DESIGN part 3 rule 6; checklist rows 84-89 and 131.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { bootFields, clockQuality, deviceId, text, uint32, unixTime } from "./fields.ts";
import { gatewayBootFields } from "./gateway-command.ts";
import { syncStates } from "./reported.ts";

export const firmwareVerdicts = [
  "ok",
  "below floor",
  "unknown",
  "not comparable",
  "no floor known",
  "not applicable",
] as const;

export const gateVerdicts = ["able", "needs newer firmware", "unknown"] as const;

const milliseconds = z.number().min(0);
const count = z.number().int().min(0);
const space = z.strictObject({ freeBytes: count, totalBytes: count });
const policyVersion = z.strictObject({ epoch: uint32, version: uint32 });

export const healthSchema = versioned({
  device: deviceId,
  /** As in `state`. */
  via: deviceId.optional(),
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
  /** What the sender makes of what this firmware can do. SPEC F6. */
  firmwareGates: z
    .array(z.strictObject({ capability: text(32), verdict: z.enum(gateVerdicts), version: text(64) }))
    .max(8)
    .optional(),
  clock: z.strictObject({ quality: clockQuality, driftMs: z.number().int().nullable(), at: unixTime }).nullable(),
  uptimeSeconds: z.number().int().min(0).nullable(),
  bootCount: uint32.nullable(),
  /** Networked devices that take unlock commands. */
  boot: bootFields.optional(),
  /** Gateways only: what a command to the gateway itself is reckoned by. SPEC M24. */
  gatewayBoot: gatewayBootFields.optional(),
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
  /** How strong the device is heard, dBm: of a BLE lock by its gateway, of others by themselves if they say so. Null: not known. */
  signal: z
    .strictObject({ rssi: z.number().int().min(-127).max(20), at: unixTime })
    .nullable()
    .optional(),
  /** The gateway's word: people whom it still lets in (SPEC G3), and since when the first of them. Left out: it holds no policy. */
  exposure: z.strictObject({ revoked: uint32, signedOut: uint32, since: unixTime.nullable() }).optional(),
  /** The gateway's word: how its last failed visit failed, or what fault it last reported. Null: none that this gateway knows of. */
  lastFault: z
    .strictObject({ code: text(64), at: unixTime })
    .nullable()
    .optional(),
  /** A gateway of itself alone. SPEC G30. */
  gateway: z
    .strictObject({
      /** How late the event loop was since the last message. */
      loopLag: z.strictObject({ p50Ms: milliseconds, p99Ms: milliseconds, maxMs: milliseconds }).nullable(),
      /** Size on disk, and events that wait for an upstream receipt. */
      store: z.strictObject({ bytes: count.nullable(), waiting: count.nullable() }),
      /** Where the state lies. */
      disk: space.nullable(),
      memory: space.nullable(),
      residentBytes: count.nullable(),
      temperatureCelsius: z.number().min(-200).max(200).nullable(),
      power: z.strictObject({
        underVoltage: z.boolean().nullable(),
        throttled: z.boolean().nullable(),
        underVoltageSinceBoot: z.boolean().nullable(),
        throttledSinceBoot: z.boolean().nullable(),
      }),
      /** Who keeps its clock, and whether it has set it. */
      time: z.strictObject({ synchronised: z.boolean().nullable(), source: text(32).nullable() }),
      /** Of the machine; `uptimeSeconds` is the agent's. */
      machineUptimeSeconds: count.nullable(),
    })
    .optional(),
  /** When the sender wrote this message. */
  at: unixTime,
});

export type Health = z.output<typeof healthSchema>;
export type SyncWord = NonNullable<Health["sync"]>;
export type SignalWord = NonNullable<Health["signal"]>;
export type ExposureWord = NonNullable<Health["exposure"]>;
export type FaultWord = NonNullable<Health["lastFault"]>;
export type GatewayWord = NonNullable<Health["gateway"]>;
