/**
 * `desired` (retained, written by the authority): what a device should be. One shape per kind of device: the gateway
 * (who and what there is at the site), a BLE lock (the signed policy to carry), a passive panel (its payloads).
 * The signed parts are opaque to the courier but for their clear headers. Source: SPEC M9, M12; PROTOCOL parts 1, 4, 7.
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
      }),
    )
    .max(1000),
  people: z.array(z.strictObject({ id: entityId, name: text(80) })).max(10_000),
});
export type GatewayDesired = z.output<typeof gatewayDesiredSchema>;

export const lockDesiredSchema = versioned({
  kind: z.literal("lock"),
  revision,
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  manifest: signedBlob(32 * 1024),
  bundle: base64Field(256 * 1024),
  /** Frees the lock's log up to a sequence; null: nothing to free yet. */
  release: signedBlob(256).nullable(),
  /** Who is revoked here, since when, and from which policy version on the lock knows it. */
  revocations: z.array(z.strictObject({ person: entityId, since: unixTime, epoch: uint32, version: uint32 })).max(1000),
});
export type LockDesired = z.output<typeof lockDesiredSchema>;

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
  panelDesiredSchema,
]);
export type Desired = z.output<typeof desiredSchema>;
