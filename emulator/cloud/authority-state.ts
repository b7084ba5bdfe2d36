/**
 * What the authority remembers: pairings, policy versions, revocations, sticker rotations, slots given out, gateways, phones.
 * Keys are not in it (they derive from the seed), and neither is a daily doorcode (it derives from its slot).
 */
import { z } from "zod";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import { type UnixMs, unixSeconds } from "../../protocol/base/units.ts";
import { base64Field, deviceId, entityId, uint32, unixTime } from "../../protocol/wire/messages/fields.ts";
import { gatewaySettingsSchema } from "../../protocol/wire/messages/gateway-settings.ts";
import { DAILY_KEYS_LIMIT_BYTES } from "../../protocol/wire/pairing-message.ts";
import { SEAL_OVERHEAD_BYTES } from "../../protocol/wire/sealing.ts";
import type { Documents } from "./documents.ts";

export const pendingRevocationSchema = z.object({
  person: entityId,
  since: unixTime,
  epoch: uint32,
  version: uint32,
  /**
   * The credentials that lost something by that version, what each could do before (`credentialWays`), and whether all that it lost
   * are the certificates of before a password reset.
   */
  lost: z
    .array(z.object({ credential: z.string(), was: base64Field(8), signedOutOnly: z.boolean().default(false) }))
    .default([]),
});

export const authorityStateSchema = z.object({
  /** The site file as it was imported, and the instant against which its relative times resolve. */
  site: z.object({ text: z.string(), start: unixTime }).nullable(),
  /** The epoch of the keys that sign now, and since when. */
  keyset: z.object({ epoch: uint32, since: unixTime }).default({ epoch: 1, since: unixSeconds(0) }),
  panels: z.record(
    z.string(),
    z.object({
      number: uint32,
      rotation: uint32,
      rotatedAt: unixTime,
      /** When the directory was first opened by the current sticker. */
      openedAt: unixTime.nullable(),
      /** When a gateway first read the current sticker off the wall. */
      checkedAt: unixTime.nullable().default(null),
      /** Since when the sticker of this rotation is dead too; null: it is valid. */
      retiredAt: unixTime.nullable().default(null),
    }),
  ),
  pairings: z.record(
    z.string(),
    z.object({
      pairingId: base64Field(16),
      staticPublicKey: base64Field(32),
      address: z.string(),
      pairedAt: unixTime,
      /** Where the log of this pairing begins to number: beyond everything of the pairings before it. */
      firstSequence: uint32.default(1),
      /** False: the lock was handed its keys over the air, and nobody has heard yet that it keeps them. */
      confirmed: z.boolean().default(true),
      /** What it was handed over the air, sealed for the lock alone; absent after a pairing on the bench. */
      sealed: base64Field(DAILY_KEYS_LIMIT_BYTES + SEAL_OVERHEAD_BYTES).optional(),
      /** Pairings of before, the latest first. */
      former: z.array(z.object({ pairingId: base64Field(16), staticPublicKey: base64Field(32) })).default([]),
    }),
  ),
  policies: z.record(
    z.string(),
    z.object({
      epoch: uint32,
      version: uint32,
      /** The policy as it is encoded. */
      bundle: base64Field(256 * 1024),
      /** What the lock may still hold, oldest first: the version that it confirmed last and those since. Deltas stand on them. */
      former: z.array(z.object({ epoch: uint32, version: uint32, bundle: base64Field(256 * 1024) })).default([]),
      /** What it held before that, oldest first: a lock whose newer policy has rotted falls back to one of them. */
      behind: z.array(z.object({ epoch: uint32, version: uint32, bundle: base64Field(256 * 1024) })).default([]),
      /** The first version of each epoch, oldest first; those that began before this was kept are missing. No version is given twice. */
      epochStarts: z.array(z.object({ epoch: uint32, version: uint32 })).default([]),
      notAfter: unixTime,
      revocations: z.array(pendingRevocationSchema),
      /** The latest that the lock has confirmed: its log of before may come after that. */
      confirmedRevocations: z.array(pendingRevocationSchema).default([]),
      /** Keypad lookups that only former versions have, each with the last of them, since the one that the lock confirmed. */
      formerCodes: z.array(z.object({ lookup: base64Field(8), version: uint32 })).default([]),
    }),
  ),
  /** Until when each lock may be paired through a gateway, because somebody who manages the site said so. */
  pairingOpenUntil: z.record(z.string(), unixTime).default({}),
  /** Credentials that the site no longer has and a lock may still hold: whose they were. */
  departed: z.record(z.string(), z.object({ person: entityId, name: z.string() })).default({}),
  revokedSince: z.record(z.string(), unixTime),
  /** Since when each person's app certificates count again, after a password reset. */
  signedOutAt: z.record(z.string(), unixTime).default({}),
  gateways: z.record(
    z.string(),
    z.object({
      passwordHash: base64Field(32),
      courierPublicKey: base64Field(32).nullable(),
      timePublicKey: base64Field(32).nullable().default(null),
      certificateNotAfter: unixTime.nullable(),
    }),
  ),
  /** Settings given to gateways from afar, by gateway. */
  gatewaySettings: z.record(z.string(), gatewaySettingsSchema).default({}),
  enrolled: z.array(deviceId),
  allotments: z.array(
    z.object({
      door: z.string(),
      localDay: z.number().int(),
      mode: z.enum(["single-use", "all-day"]),
      slot: z.number().int(),
      person: z.string(),
      at: unixTime,
    }),
  ),
  /** By phone and person; one that was signed out is kept, so that it can be told so. */
  phones: z.record(
    z.string(),
    z.object({ person: z.string(), tokenHash: base64Field(32), signedOut: z.boolean().default(false) }),
  ),
});

export type AuthorityState = z.output<typeof authorityStateSchema>;
export type PanelState = AuthorityState["panels"][string];
export type PairingState = AuthorityState["pairings"][string];
export type PolicyState = AuthorityState["policies"][string];
export type GatewayState = AuthorityState["gateways"][string];

export const emptyAuthorityState: AuthorityState = {
  site: null,
  keyset: { epoch: 1, since: unixSeconds(0) },
  panels: {},
  pairings: {},
  policies: {},
  pairingOpenUntil: {},
  departed: {},
  revokedSince: {},
  signedOutAt: {},
  gateways: {},
  gatewaySettings: {},
  enrolled: [],
  allotments: [],
  phones: {},
};

export function loadAuthorityState(documents: Documents): AuthorityState {
  return documents.get(documentName, authorityStateSchema)?.body ?? emptyAuthorityState;
}

export function saveAuthorityState(documents: Documents, state: AuthorityState, at: UnixMs): void {
  documents.put(documentName, withBase64(state), at);
}

/** Up to which number revisions of desired documents may have been given out; 0: none ever was. */
export function loadReservedRevision(documents: Documents): number {
  return documents.get(revisionName, reservedRevision)?.body.reservedUntil ?? 0;
}

export function saveReservedRevision(documents: Documents, reservedUntil: number, at: UnixMs): void {
  documents.put(revisionName, { reservedUntil }, at);
}

/** The same with byte strings as base64, which is what the schema reads. */
export function withBase64(value: unknown): unknown {
  if (value instanceof Uint8Array) return bytesToBase64(value);
  if (Array.isArray(value)) return value.map(withBase64);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withBase64(inner)]));
}

const documentName = "authority";
const revisionName = "revision";
const reservedRevision = z.object({ reservedUntil: z.number().int().min(0) });
