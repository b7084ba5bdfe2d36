/**
 * `desired` (retained, written by the authority): what a device should be. One shape per kind of device: the gateway
 * (who and what there is at the site), a BLE lock (the signed policy to carry), a networked device (the signed policy that its gateway
 * hands on), a passive panel (its payloads).
 * The signed parts are opaque to the courier but for their clear headers. Source: SPEC M9, M12, M15; PROTOCOL parts 1, 4, 7.
 */
import { z } from "zod";
import { versioned } from "../payload.ts";
import { base64Field, deviceId, entityId, text, uint32, unixTime } from "./fields.ts";

const key32 = base64Field(32);
const signature = base64Field(64);

/** An object with the authority's signature over it. */
export const signedBlob = (limitBytes: number) => z.strictObject({ bytes: base64Field(limitBytes), signature });

/** Milliseconds of the authority's clock, and always more than the last: an older document that comes later is dropped. SPEC M12. */
const revision = z
  .number()
  .int()
  .min(0)
  .max(2 ** 52);

export const networks = ["mqtt", "ble", "passive"] as const;

/** The people of a site, and those who have left it and are still let in by some lock. */
export const PEOPLE_LIMIT = 10_000;

export const gatewayDesiredSchema = versioned({
  kind: z.literal("gateway"),
  revision,
  site: z.strictObject({ id: entityId, name: text(80), timeZone: text(64) }),
  /** The certificate by which locks accept this gateway as a courier; null until the authority has seen its key. */
  courierCertificate: signedBlob(1024).nullable(),
  devices: z
    .array(
      z.strictObject({
        id: deviceId,
        model: text(32),
        network: z.enum(networks),
        door: entityId,
        doorName: text(80),
        /** BLE locks only. */
        address: text(17).optional(),
        staticPublicKey: key32.optional(),
        pairingId: base64Field(16).optional(),
        /** Enrolled networked devices only: by what the gateway's broker knows their password. SPEC B7. */
        login: z.strictObject({ salt: base64Field(16), hash: key32 }).optional(),
      }),
    )
    .max(1000),
  people: z.array(z.strictObject({ id: entityId, name: text(80) })).max(PEOPLE_LIMIT),
});
export type GatewayDesired = z.output<typeof gatewayDesiredSchema>;

/** So many fit into a payload beside the largest bundle; of more, the authority sends the latest. */
export const REVOCATIONS_LIMIT = 1000;

/** Who is revoked here, since when, and from which policy version on the device knows it. */
const revocations = z
  .array(z.strictObject({ person: entityId, since: unixTime, epoch: uint32, version: uint32 }))
  .max(REVOCATIONS_LIMIT);

export const lockDesiredSchema = versioned({
  kind: z.literal("lock"),
  revision,
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  manifest: signedBlob(32 * 1024),
  bundle: base64Field(256 * 1024),
  /** Frees the lock's log up to a sequence; null: nothing to free yet. */
  release: signedBlob(256).nullable(),
  revocations,
});
export type LockDesired = z.output<typeof lockDesiredSchema>;

/** The same for a device that listens itself: on the site's broker it is this very document. It opens nothing. SPEC M15. */
export const deviceDesiredSchema = versioned({
  kind: z.literal("device"),
  revision,
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  manifest: signedBlob(32 * 1024),
  bundle: base64Field(256 * 1024),
  revocations,
});
export type DeviceDesired = z.output<typeof deviceDesiredSchema>;

export const panelDesiredSchema = versioned({
  kind: z.literal("panel"),
  revision,
  device: deviceId,
  panelNumber: uint32,
  door: entityId,
  doorName: text(80),
  rotation: uint32,
  current: text(200),
  retired: z.array(text(200)).max(256),
  at: unixTime,
});
export type PanelDesired = z.output<typeof panelDesiredSchema>;

export const desiredSchema = z.discriminatedUnion("kind", [
  gatewayDesiredSchema,
  lockDesiredSchema,
  deviceDesiredSchema,
  panelDesiredSchema,
]);
export type Desired = z.output<typeof desiredSchema>;
