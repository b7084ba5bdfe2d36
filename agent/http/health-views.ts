/** What the API shows of the gateway's own health, of checked stickers and of all that needs a person. The schemas are the contract. */
import { z } from "zod";
import { entityId, text } from "../../protocol/wire/messages/fields.ts";

const seconds = z.number().int();
const space = z.strictObject({ freeBytes: z.number(), totalBytes: z.number() });
const known = z.boolean().nullable();

/** Each null: not known. */
export const selfView = z.strictObject({
  ageSeconds: seconds,
  loopLag: z.strictObject({ p50Ms: z.number(), p99Ms: z.number(), maxMs: z.number() }).nullable(),
  storeBytes: z.number().nullable(),
  disk: space.nullable(),
  memory: space.nullable(),
  residentBytes: z.number(),
  temperatureCelsius: z.number().nullable(),
  power: z.strictObject({
    underVoltage: known,
    throttled: known,
    underVoltageSinceBoot: known,
    throttledSinceBoot: known,
  }),
  time: z.strictObject({ synchronised: known, source: z.string().nullable() }),
  machineUptimeSeconds: z.number().nullable(),
});
export type SelfView = z.output<typeof selfView>;

/** The groups of `doorlink status`, in its order. */
export const attentionGroups = ["sync", "upgrade", "lowBattery", "stickers", "alerts"] as const;
export type AttentionGroup = (typeof attentionGroups)[number];

/** One thing that a person should do. */
export const attentionItem = z.strictObject({
  /** The device, panel or gateway. */
  who: z.string(),
  doorName: z.string().nullable(),
  what: z.string(),
  /** For how long it has been so, or how old what is known of it is; null: not known. */
  ageSeconds: seconds.nullable(),
  remedy: z.string(),
});
export type AttentionItem = z.output<typeof attentionItem>;

export const attentionView = z.strictObject({
  sync: z.array(attentionItem),
  upgrade: z.array(attentionItem),
  lowBattery: z.array(attentionItem),
  stickers: z.array(attentionItem),
  alerts: z.array(attentionItem),
});
export type AttentionView = z.output<typeof attentionView>;

/** How a photograph of a panel's sticker was judged, as `doorlink sticker check` tells the agent. */
export const stickerCheckRequest = z.strictObject({
  panel: entityId,
  verdict: z.enum(["pass", "fail", "not-measurable"]),
  /** Whose it is, in the words of SPEC Q: `current`, `retired`, `misplaced` ... */
  identity: text(32),
  /** `A` to `F`; null: it could not be graded. */
  letter: z
    .string()
    .regex(/^[A-F]$/)
    .nullable(),
});
export type StickerCheck = z.output<typeof stickerCheckRequest>;
export const stickerCheckView = z.strictObject({ ...stickerCheckRequest.shape, at: seconds });
