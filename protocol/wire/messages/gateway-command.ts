/**
 * `<gateway>/command/gateway` and `<gateway>/result/gateway`: what the authority has a gateway itself do. None of it opens anything, moves
 * a bolt, or gives the gateway another broker, key or secret: for that there is no word. Not signed: who can write here can write
 * `desired` too, and the worst of it is bounded (agent/SECURITY.md). Source: SPEC M23-M26; PROTOCOL parts 2 and 5.
 */
import { z } from "zod";
import { commandStates } from "../command-state.ts";
import { versioned } from "../payload.ts";
import { deviceId, entityId, hexText, text, uint32, unixTime } from "./fields.ts";

/** Largest command or result of a gateway. */
export const GATEWAY_COMMAND_LIMIT_BYTES = 8 * 1024;

const gatewayOrder = z.discriminatedUnion("action", [
  /** Visit this lock now, before others. */
  z.strictObject({ action: z.literal("sync"), device: deviceId }),
  /** Take this person out of everything that the gateway keeps. */
  z.strictObject({
    action: z.literal("erase-person"),
    person: entityId,
    /** Theirs, as far as the authority knows: a gateway is not told whose a credential is. */
    credentials: z.array(entityId).max(64).default([]),
  }),
  /** Read the configuration's file again. */
  z.strictObject({ action: z.literal("reload") }),
  /** Say how things stand. */
  z.strictObject({ action: z.literal("diagnose") }),
]);
export type GatewayOrder = z.output<typeof gatewayOrder>;
export type GatewayAction = GatewayOrder["action"];
export const gatewayActions = [
  "sync",
  "erase-person",
  "reload",
  "diagnose",
] as const satisfies readonly GatewayAction[];

/** Which run of the gateway's program this is, and how long ago it began; its sleep counts. */
export const gatewayBootFields = z.strictObject({
  id: hexText(16),
  uptimeMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
});
export type GatewayBoot = z.output<typeof gatewayBootFields>;

export const gatewayCommandSchema = versioned({
  id: hexText(16),
  /** The gateway that is to do it. */
  device: deviceId,
  /** The run it is for, and the last millisecond of its uptime in which it may be begun. */
  bootId: hexText(16),
  notAfterUptimeMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  order: gatewayOrder,
});
export type GatewayCommand = z.output<typeof gatewayCommandSchema>;

export const gatewayReasons = [
  "malformed-command",
  "too-far-ahead",
  "too-many-commands",
  /** This lock has been visited for commands as often as it may be in a day. */
  "too-often",
  /** The gateway's configuration takes no commands. */
  "not-allowed-here",
  /** With `expired`: for an earlier run of the gateway's program, or past its time. */
  "another-boot",
  "too-late",
  /** With `failed`: the program ended while it was done; or it could not be done. */
  "interrupted",
  "not-done",
] as const;
export type GatewayReason = (typeof gatewayReasons)[number];

const syncDone = z.strictObject({
  device: deviceId,
  outcome: z.enum(["in-sync", "pending"]),
  to: z.strictObject({ epoch: uint32, version: uint32 }),
  reportedAt: unixTime,
});

/** What a command gave; of the one that was asked for. None names a person. */
export const gatewayAnswerSchema = z.strictObject({
  sync: syncDone.optional(),
  /** Why it was not done, in the words of whoever tried. */
  fault: z.strictObject({ code: text(40), reason: text(120).optional() }).optional(),
  /** Entries changed now; entries that are looked at when the authority has receipted them; signed policies that name the person. */
  erased: z.strictObject({ events: uint32, waiting: uint32, signed: uint32 }).optional(),
  /** Settings that wait for a restart, and how many mistakes the file has: with any, the one before stands. */
  reloaded: z.strictObject({ waiting: z.array(text(64)).max(64), mistakes: uint32 }).optional(),
  diagnosis: z
    .strictObject({
      version: text(64),
      uptimeSeconds: z.number().int().min(0),
      outboxDepth: z.number().int().min(0),
      linkAttempts: z.number().int().min(0),
      radioFault: text(40).nullable(),
      devicesConnected: uint32,
      /** How many locks are in each state. */
      locks: z.array(z.strictObject({ state: text(32), locks: uint32 })).max(16),
      /** What was refused on the site's broker since the start, by name. */
      refused: z.array(z.strictObject({ code: text(48), times: uint32 })).max(64),
    })
    .optional(),
});
export type GatewayAnswer = z.output<typeof gatewayAnswerSchema>;

export const gatewayResultSchema = versioned({
  id: hexText(16),
  device: deviceId,
  state: z.enum(commandStates),
  reason: z.enum(gatewayReasons).optional(),
  answer: gatewayAnswerSchema.optional(),
});
export type GatewayResult = z.output<typeof gatewayResultSchema>;
