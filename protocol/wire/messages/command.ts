/**
 * `command/<name>` and `result/<name>`: asked by id, answered by results with the same id. `time`, `pair`, `sticker` and `lease` go from a gateway to
 * the authority and open nothing; `unlock` goes from the authority to a networked device, through its gateway, which can neither make nor alter
 * one. Every command that there is stands in `commandsByName`. Source: SPEC M11, Q59, V1-V9; PROTOCOL parts 2, 5 and 7.
 */
import { z } from "zod";
import { commandStates } from "../command-state.ts";
import { DAILY_KEYS_LIMIT_BYTES, PAIRING_STATEMENT_LIMIT_BYTES } from "../pairing-message.ts";
import { versioned } from "../payload.ts";
import { SEAL_OVERHEAD_BYTES } from "../sealing.ts";
import { SIGNED_ANSWER_LIMIT_BYTES } from "../sync-message.ts";
import { UNLOCK_COMMAND_LIMIT_BYTES } from "../unlock-command.ts";
import { signedBlob } from "./desired.ts";
import { base64Exactly, base64Field, bluetoothAddress, deviceId, hexText, text, uint32 } from "./fields.ts";
import { gatewayCommandSchema, gatewayResultSchema } from "./gateway-command.ts";

export const resultStates = commandStates;

/** `authority/command/time`: a lock asks, through its courier, what time it is. */
export const timeCommandSchema = versioned({
  id: text(64),
  from: deviceId,
  device: deviceId,
  nonce: base64Exactly(16),
});
export type TimeCommand = z.output<typeof timeCommandSchema>;

/** `<gateway>/result/time`. */
export const timeResultSchema = versioned({
  id: text(64),
  device: deviceId,
  state: z.enum(resultStates),
  answer: signedBlob(SIGNED_ANSWER_LIMIT_BYTES).optional(),
  reason: text(120).optional(),
});
export type TimeResult = z.output<typeof timeResultSchema>;

/**
 * `authority/command/pair`: a lock accepted an offer, and its gateway asks what to hand over; with `confirmation`, that the lock keeps it.
 * What counts is the lock's own, under MACs that no gateway can make. SPEC Z9, Z11.
 */
export const pairCommandSchema = versioned({
  id: text(64),
  from: deviceId,
  device: deviceId,
  address: bluetoothAddress,
  statement: base64Field(PAIRING_STATEMENT_LIMIT_BYTES),
  mac: base64Exactly(32),
  confirmation: base64Exactly(32).optional(),
});
export type PairCommand = z.output<typeof pairCommandSchema>;

export const pairReasons = [
  "no-site",
  "no-such-device",
  "not-a-ble-lock",
  /** Nobody who manages the site has opened the pairing of this device, or the time for it is over. */
  "not-open",
  "malformed-statement",
  "low-order-key",
  "statement-bad-mac",
  "wrong-model",
  /** It names a pairing that this device had before. */
  "replayed",
  "confirmation-bad-mac",
] as const;
export type PairReason = (typeof pairReasons)[number];

/** `<gateway>/result/pair`; `sealed` answers the first, nothing but `done` the second. */
export const pairResultSchema = versioned({
  id: text(64),
  device: deviceId,
  state: z.enum(resultStates),
  sealed: base64Field(DAILY_KEYS_LIMIT_BYTES + SEAL_OVERHEAD_BYTES).optional(),
  reason: z.enum(pairReasons).optional(),
});
export type PairResult = z.output<typeof pairResultSchema>;

/** `rotate`: give the panel its next sticker. `retire`: end its present one. `seen`: the present one was read off the wall. */
export const stickerActions = ["rotate", "retire", "seen"] as const;
export type StickerAction = (typeof stickerActions)[number];

/**
 * `authority/command/sticker`: a gateway asks for a change of a passive panel's sticker. `rotation` is the one that the asker takes for
 * the present one, so that a question asked twice, or from an old list, ends no sticker that the asker has not seen. SPEC Q59.
 */
export const stickerCommandSchema = versioned({
  id: text(64),
  from: deviceId,
  device: deviceId,
  action: z.enum(stickerActions),
  rotation: uint32,
});
export type StickerCommand = z.output<typeof stickerCommandSchema>;

export const stickerReasons = [
  "no-such-panel",
  /** The panel's rotation is another than the asker's. */
  "another-rotation",
  "no-rotations-left",
  /** Gateways have changed this panel's sticker as often as they may in a day. */
  "too-often",
  /** Seen, although it is retired and no valid one has followed. */
  "no-valid-sticker",
] as const;
export type StickerReason = (typeof stickerReasons)[number];

/** `<gateway>/result/sticker`; `rotation` is the panel's after it. The payload itself comes in the panel's `desired`, before this. */
export const stickerResultSchema = versioned({
  id: text(64),
  device: deviceId,
  state: z.enum(resultStates),
  rotation: uint32.optional(),
  reason: z.enum(stickerReasons).optional(),
});
export type StickerResult = z.output<typeof stickerResultSchema>;

/** `take`: may this gateway visit the lock now? `end`: its visit is over. */
export const leaseActions = ["take", "end"] as const;
export type LeaseAction = (typeof leaseActions)[number];

/** `authority/command/lease`: a gateway that shares its site with others asks before it visits a lock. It opens nothing. SPEC G20. */
export const leaseCommandSchema = versioned({
  id: text(64),
  from: deviceId,
  device: deviceId,
  action: z.enum(leaseActions),
});
export type LeaseCommand = z.output<typeof leaseCommandSchema>;

export const leaseReasons = [
  /** Another gateway visits it, or asked before and is next. */
  "held",
  "no-such-lock",
] as const;
export type LeaseReason = (typeof leaseReasons)[number];

/** A longest lease is an hour. */
const LEASE_MS_MAX = 3_600_000;

/** `<gateway>/result/lease`; `forMs`: how long the lease lasts from the question on, or after which time to ask again. */
export const leaseResultSchema = versioned({
  id: text(64),
  device: deviceId,
  state: z.enum(resultStates),
  forMs: z.int().min(0).max(LEASE_MS_MAX).optional(),
  /** Who holds it. */
  by: deviceId.optional(),
  reason: z.enum(leaseReasons).optional(),
});
export type LeaseResult = z.output<typeof leaseResultSchema>;

/** Largest `command/unlock` or `result/unlock`: both are below 500 bytes. */
export const UNLOCK_PAYLOAD_LIMIT_BYTES = 1024;

/** `<device>/command/unlock`, never retained. What counts stands in `command`; the rest is for its way. */
export const unlockCommandSchema = versioned({
  /** The signed command's id, so that it can be answered by who cannot read the rest. */
  id: hexText(16),
  device: deviceId,
  /** The gateway that is to forward it; the site's other gateways do nothing. */
  via: deviceId,
  command: signedBlob(UNLOCK_COMMAND_LIMIT_BYTES),
});
export type UnlockCommandMessage = z.output<typeof unlockCommandSchema>;

/** Why an unlock was not carried out. The first seven are those of `verifyUnlock`. */
export const unlockReasons = [
  "bad-signature",
  "malformed-command",
  "wrong-device",
  "wrong-boot",
  "expired",
  "too-far-ahead",
  "replayed",
  /** The device: it has no authority yet, or cannot remember more commands. */
  "not-enrolled",
  "too-many-commands",
  /** It came out of a broker's memory and not from the authority now. */
  "retained",
  /** The gateway: the device is not on its broker, or is none that takes commands. */
  "device-offline",
  "not-a-networked-device",
] as const;
export type UnlockReason = (typeof unlockReasons)[number];

/** `<device>/result/unlock`: from the device, or from its gateway about what it did not forward. */
export const unlockResultSchema = versioned({
  id: hexText(16),
  device: deviceId,
  state: z.enum(resultStates),
  reason: z.enum(unlockReasons).optional(),
});
export type UnlockResult = z.output<typeof unlockResultSchema>;

/** Every command, with the shapes of its messages. No other name is taken by anybody. */
export const commandsByName = {
  time: { command: timeCommandSchema, result: timeResultSchema },
  pair: { command: pairCommandSchema, result: pairResultSchema },
  sticker: { command: stickerCommandSchema, result: stickerResultSchema },
  lease: { command: leaseCommandSchema, result: leaseResultSchema },
  unlock: { command: unlockCommandSchema, result: unlockResultSchema },
  gateway: { command: gatewayCommandSchema, result: gatewayResultSchema },
} as const;
export type CommandName = keyof typeof commandsByName;
