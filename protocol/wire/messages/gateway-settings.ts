/**
 * Settings of a gateway that its authority may give it from afar: in its `desired`, with a version of their own; it answers in its
 * `reported`. Which settings there are is the gateway's closed list. Source: SPEC M27-M29.
 */
import { z } from "zod";
import { text, uint32 } from "./fields.ts";

export const SETTINGS_LIMIT = 32;
const settingName = text(64);

export const gatewaySettingsSchema = z.strictObject({
  /** Counts up with each change. One that is not above what the gateway took last changes nothing. */
  version: uint32,
  /** By the name they have in the gateway's configuration. What is not named is the file's to say. */
  settings: z
    .array(z.strictObject({ setting: settingName, value: z.union([z.boolean(), z.number(), text(64)]) }))
    .max(SETTINGS_LIMIT)
    .refine((all) => new Set(all.map(({ setting }) => setting)).size === all.length, "expected each setting once"),
});
export type GatewaySettings = z.output<typeof gatewaySettingsSchema>;

export const settingRefusals = [
  "unknown-setting",
  /** There is such a setting, and it is for the file alone. */
  "not-from-afar",
  "bad-value",
  /** The configuration takes nothing from afar. */
  "not-allowed-here",
] as const;

export const settingsReportSchema = z.strictObject({
  /** The latest that was taken; what was refused of it counts as taken. */
  version: uint32,
  /** In effect now. */
  applied: z.array(settingName).max(SETTINGS_LIMIT),
  /** Taken, and in effect after the next start. */
  waiting: z.array(settingName).max(SETTINGS_LIMIT),
  refused: z.array(z.strictObject({ setting: settingName, reason: z.enum(settingRefusals) })).max(SETTINGS_LIMIT),
});
export type SettingsReport = z.output<typeof settingsReportSchema>;
