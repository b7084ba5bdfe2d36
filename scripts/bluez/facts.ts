/** What the virtual machine says over its serial line, one JSON object a line: facts only, to be judged outside. */
import { z } from "zod";

const base64 = z.base64();
const count = z.number().int().nonnegative();

const frameCounts = z.object({
  framesIn: count,
  framesOut: count,
  /** Frames that came after a younger one, and by how many places at most. */
  late: count,
  deepest: count,
});

export const factSchema = z.discriminatedUnion("fact", [
  z.object({ fact: z.literal("guest"), node: z.string(), kernel: z.string(), upSeconds: z.number() }),
  z.object({ fact: z.literal("bluetoothd"), channels: count, readyMs: z.number() }),
  z.object({
    fact: z.literal("lock"),
    readyMs: z.number(),
    address: z.string(),
    staticPublicKey: base64,
    pairingId: base64,
    bootCount: count,
  }),
  z.object({
    fact: z.literal("discovered"),
    when: z.enum(["first", "after-sync"]),
    ms: z.number(),
    scans: count,
    advertisement: z.string(),
  }),
  z.object({
    fact: z.literal("visit"),
    name: z.enum(["full", "interrupted", "resumed"]),
    version: count,
    credentials: count,
    /** What the carried delta stands on; null: a snapshot was carried. */
    base: z.object({ version: count, credentials: count }).nullable(),
    ok: z.boolean(),
    fault: z.string().nullable(),
    fromVersion: count.nullable(),
    clockWritten: z.boolean().nullable(),
    durationMs: z.number(),
    /** From the call until the link is ready for frames; null when it never was. */
    connectMs: z.number().nullable(),
    /** From ready until the lock's report had come; null when none came. */
    syncMs: z.number().nullable(),
    bytes: count,
    /** How far the courier's stream of this visit went; what goes out again counts once. */
    streamBytes: count,
    /** Extra ATT channels that were open when the report came or the link was cut; both ends of each are in this machine. */
    eattChannels: count,
    /** Of the lock's log, as the lock sealed them. */
    batches: z.array(base64),
    released: count.nullable(),
    report: z.object({ bytes: base64, mac: base64 }).nullable(),
    ...frameCounts.shape,
  }),
  /** The lock's end of the same visits, in order. */
  z.object({
    fact: z.literal("lock-link"),
    reason: z.string(),
    milliseconds: z.number(),
    bytesIn: count,
    bytesOut: count,
    ...frameCounts.shape,
  }),
  z.object({
    fact: z.literal("state"),
    after: z.enum(["full", "interrupted", "resumed"]),
    version: count,
    root: base64,
    stagedBytes: count,
    logFirst: count,
    logNext: count,
  }),
  z.object({
    fact: z.literal("attempt"),
    after: z.enum(["boot", "full", "interrupted", "resumed"]),
    /** The version whose code was typed; null: a code of no version. */
    codeOf: count.nullable(),
    granted: z.boolean(),
  }),
  /** Which of the two was ended first, and what the lock's process said to that. */
  z.object({
    fact: z.literal("stopped"),
    first: z.enum(["lock", "bluetoothd"]),
    lockExitCode: z.number().int().nullable(),
  }),
  z.object({ fact: z.literal("gave-up"), during: z.string(), message: z.string() }),
  z.object({ fact: z.literal("end"), seconds: z.number() }),
]);
export type Fact = z.output<typeof factSchema>;
export type FactOf<Name extends Fact["fact"]> = Extract<Fact, { fact: Name }>;
