/** The section `store` of the configuration: how much of the disk events may take, and how long they stay. SPEC G62, G64. */
import { z } from "zod";

export const storeConfigSchema = z
  .strictObject({
    /** Most that the database takes on the disk; what goes through it on its way (some 8 MB) comes on top. */
    limitMegabytes: z.number().int().min(16).max(1_000_000).default(2_048),
    /** Of that, and of the disk, what is held back from events for what the gateway itself must note. */
    reserveMegabytes: z.number().int().min(4).max(10_000).default(16),
    /** How long events stay after upstream has them. */
    retentionDays: z.number().int().min(0).max(3_660).default(90),
  })
  .refine(({ limitMegabytes, reserveMegabytes }) => reserveMegabytes * 2 <= limitMegabytes, {
    path: ["reserveMegabytes"],
    message: "at most half of limitMegabytes",
  })
  .prefault({});

type StoreConfig = z.output<typeof storeConfigSchema>;

export function spaceLimitsOf({ limitMegabytes, reserveMegabytes }: StoreConfig) {
  return { limitBytes: limitMegabytes * MEGABYTE, reserveBytes: reserveMegabytes * MEGABYTE };
}

const MEGABYTE = 1024 * 1024;
