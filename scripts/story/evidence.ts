/** What the demo reads from the parts, and the shape of what it prints. Looser than the wire: the story names only what it judges. */
import { z } from "zod";

export const stepIds = [
  "print-sticker",
  "check-print",
  "scan",
  "grade",
  "directory",
  "call",
  "doorcode",
  "wrong-lock",
  "exposure",
  "sync",
  "revoked-denied",
  "outage",
  "upstream",
] as const;
export type StepId = (typeof stepIds)[number];

export interface StepResult {
  readonly id: StepId;
  readonly ok: boolean;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** What a step found: its evidence, a line for people, and what does not hold (empty: all of it does). */
export interface Finding {
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly line: string;
  readonly objections: readonly string[];
}

export const deviceLog = z.looseObject({
  events: z.array(
    z.looseObject({
      boot: z.number(),
      sequence: z.number(),
      kind: z.string(),
      person: z.string().optional(),
      reason: z.string().optional(),
      credential: z.string().optional(),
      credentialType: z.string().optional(),
    }),
  ),
});

export const recordEvents = z.looseObject({
  events: z.array(
    z.looseObject({
      device: z.string(),
      boot: z.number(),
      sequence: z.number(),
      kind: z.string(),
      reason: z.string().nullish(),
      reasonAbsent: z.string().nullish(),
      authorityReason: z.string().nullish(),
      person: z.string().nullish(),
    }),
  ),
});

export const recordSummary = z.looseObject({
  events: z.number(),
  duplicates: z.number(),
  redelivered: z.number(),
  gaps: z.number(),
  devices: z.array(z.looseObject({ device: z.string(), events: z.number() })),
});

export const agentStatus = z.looseObject({
  upstream: z.looseObject({ connected: z.boolean(), outboxDepth: z.number() }),
  devices: z.array(
    z.looseObject({
      device: z.string(),
      network: z.string(),
      online: z.boolean().nullable(),
      syncState: z.string().nullish(),
      lastSyncAt: z.number().nullish(),
    }),
  ),
});

export const panels = z.array(
  z.looseObject({ panel: z.string(), epoch: z.number(), current: z.string(), retired: z.array(z.string()) }),
);

export const exposures = z.looseObject({
  exposures: z.array(z.looseObject({ device: z.string(), person: z.string(), since: z.number() })),
});

export const granted = z.looseObject({ granted: z.boolean(), reason: z.string().nullish() });

/** Two lists of events are the same when each device's names, kinds and reasons are, in order. */
export function namesOf(
  events: readonly { boot: number; sequence: number; kind: string; reason?: string | null | undefined }[],
): readonly string[] {
  return events.map(({ boot, sequence, kind, reason }) => `${boot}/${sequence} ${kind}${reason ? ` ${reason}` : ""}`);
}
