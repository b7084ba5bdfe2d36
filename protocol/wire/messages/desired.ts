/**
 * `desired` (retained, written by the authority): what a device should be. One shape per kind of device: the gateway
 * (who and what there is at the site), a BLE lock (the signed policy to carry), a networked device (the signed policy that its gateway
 * hands on), a passive panel (its payloads).
 * The signed parts are opaque to the courier but for their clear headers. Source: SPEC M9, M12, M15; PROTOCOL parts 1, 4, 7.
 */
import { z } from "zod";
import { doorKinds, roles } from "../../access/roles.ts";
import { KEYSET_LIMIT_BYTES } from "../keyset.ts";
import { versioned } from "../payload.ts";
import { SIGNED_ANSWER_LIMIT_BYTES } from "../sync-message.ts";
import { DELEGATE_LIMIT_BYTES } from "../time-delegate.ts";
import { base64Exactly, base64Field, deviceId, entityId, text, uint32, unixTime } from "./fields.ts";
import { gatewaySettingsSchema } from "./gateway-settings.ts";

const key32 = base64Exactly(32);
const signature = base64Exactly(64);

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

/** A visit that brings little takes 2 s; what is shorter than this leaves none for the way there and back. */
export const VISIT_LEASE_SECONDS_MIN = 10;
export const VISIT_LEASE_SECONDS_MAX = 3_600;

export const gatewayDesiredSchema = versioned({
  kind: z.literal("gateway"),
  revision,
  site: z.strictObject({
    id: entityId,
    name: text(80),
    timeZone: text(64),
    /** Digits of the shortest doorcode in use here; left out: not said. Some firmware takes no short ones. SPEC F6. */
    doorcodeDigits: z.number().int().min(4).max(9).optional(),
  }),
  /** The certificate by which locks accept this gateway as a courier; null until the authority has seen its key. */
  courierCertificate: signedBlob(1024).nullable(),
  /** By which this gateway may tell its locks the time when the authority is out of reach (SPEC J1); null: it may not. */
  timeDelegate: signedBlob(DELEGATE_LIMIT_BYTES).nullable().default(null),
  /** What a lock is offered when it is paired: the root to pin, and the keyset under it. Null: no pairing through this gateway. */
  pairing: z
    .strictObject({ root: key32, keyset: signedBlob(KEYSET_LIMIT_BYTES) })
    .nullable()
    .default(null),
  /** How long a gateway may visit a lock that it was granted (SPEC G20); null: it is the site's only one, and asks nobody. */
  visitLeaseSeconds: z.int().min(VISIT_LEASE_SECONDS_MIN).max(VISIT_LEASE_SECONDS_MAX).nullable().default(null),
  devices: z
    .array(
      z.strictObject({
        id: deviceId,
        model: text(32),
        network: z.enum(networks),
        door: entityId,
        doorName: text(80),
        /** What the door is, and the unit behind that of a home; absent: not said, and taken for a home. SPEC M18. */
        doorKind: z.enum(doorKinds).optional(),
        doorUnit: entityId.optional(),
        /** BLE locks only. */
        address: text(17).optional(),
        staticPublicKey: key32.optional(),
        pairingId: base64Exactly(16).optional(),
        /** Enrolled networked devices only: by what the gateway's broker knows their password. SPEC B7. */
        login: z.strictObject({ salt: base64Exactly(16), hash: key32 }).optional(),
      }),
    )
    .max(1000),
  people: z
    .array(
      z.strictObject({
        id: entityId,
        name: text(80),
        /** Absent: a resident, or not said, which is taken for one. SPEC M18. */
        role: z.enum(roles).optional(),
        /** Where somebody lives who is no resident by role. */
        unit: entityId.optional(),
      }),
    )
    .max(PEOPLE_LIMIT),
  /** Null: the gateway goes by its own file alone, or by what it was last told. */
  settings: gatewaySettingsSchema.nullable().default(null),
});
export type GatewayDesired = z.output<typeof gatewayDesiredSchema>;

/** So many fit into a payload beside the largest bundle; of more, the authority sends the latest. */
export const REVOCATIONS_LIMIT = 1000;

/** Signed out: only phones that hold a certificate of before a password reset are still let in. */
export const revocationKinds = ["revoked", "signed-out"] as const;
export type RevocationKind = (typeof revocationKinds)[number];

/** Who is revoked here or signed out, since when (which may lie ahead), and from which policy version on the device knows it. */
const revocations = z
  .array(
    z.strictObject({
      person: entityId,
      since: unixTime,
      epoch: uint32,
      version: uint32,
      what: z.enum(revocationKinds).default("revoked"),
    }),
  )
  .max(REVOCATIONS_LIMIT);

/**
 * Why a lock should hear of its policy at once, the most urgent first: somebody with a right to come in is kept out, somebody without one
 * is let in, a new keycard waits for its door. The courier cannot read the policy, so the authority says it. SPEC M16.
 */
export const urgentReasons = ["lock-out", "revocation", "keycard"] as const;
export type UrgentReason = (typeof urgentReasons)[number];

/** A snapshot and a few deltas. */
const BUNDLES_LIMIT = 8;

export const lockDesiredSchema = versioned({
  kind: z.literal("lock"),
  revision,
  device: deviceId,
  policy: z.strictObject({ epoch: uint32, version: uint32 }),
  /** Null: what is new in it can wait for its turn. */
  urgent: z.enum(urgentReasons).nullable().default(null),
  /** By when a lock that holds this policy is visited again: half of its shortest lease. Null: it has no lease. SPEC J8. */
  visitBy: unixTime.nullable().default(null),
  /** The newest keyset, for a lock that holds an older one. */
  keyset: z.strictObject({ epoch: uint32, blob: signedBlob(KEYSET_LIMIT_BYTES) }),
  /** Sealed ways to that policy: deltas from versions that the lock may hold, and the snapshot, whose `from` is 0. SPEC Y16. */
  bundles: z
    .array(z.strictObject({ from: uint32, manifest: signedBlob(4 * 1024), bytes: base64Field(256 * 1024) }))
    .max(BUNDLES_LIMIT),
  /** Frees the lock's log up to a sequence; null: nothing to free yet. */
  release: signedBlob(SIGNED_ANSWER_LIMIT_BYTES).nullable(),
  /**
   * What the lock holds by the latest report under its own MAC, when that came (the authority's clock), and which gateway brought it; `by` null:
   * none of them did. How the other gateways of a site know of a visit. Null: it has never reported, or the site has one gateway. SPEC G23.
   */
  confirmed: z
    .strictObject({
      epoch: uint32,
      version: uint32,
      bootCount: uint32,
      logNext: uint32,
      at: unixTime,
      by: deviceId.nullable(),
    })
    .nullable()
    .default(null),
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
  /** Null: the latest one was retired, and none is valid until the next rotation. SPEC Q58. */
  current: text(200).nullable(),
  retired: z.array(text(200)).max(256),
  at: unixTime,
  /** Since when the current sticker is known to hang on the wall; null: nobody has shown it yet. SPEC Q60. */
  seenAt: unixTime.nullable().default(null),
});
export type PanelDesired = z.output<typeof panelDesiredSchema>;

export const desiredSchema = z.discriminatedUnion("kind", [
  gatewayDesiredSchema,
  lockDesiredSchema,
  deviceDesiredSchema,
  panelDesiredSchema,
]);
export type Desired = z.output<typeof desiredSchema>;
