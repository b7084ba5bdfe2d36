/**
 * Branded units and identifiers. A number or string takes its brand where it enters the program
 * (a codec, a clock, a parser) and keeps it from then on.
 */
declare const unit: unique symbol;
export type Branded<Base, Name extends string> = Base & { readonly [unit]: Name };

/** Seconds since 1970-01-01T00:00:00Z, whole. */
export type UnixSeconds = Branded<number, "UnixSeconds">;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type UnixMs = Branded<number, "UnixMs">;
/** Milliseconds of a clock that only goes forward; its zero has no meaning. */
export type MonotonicMs = Branded<number, "MonotonicMs">;
/** Seconds since a device's boot. */
export type UptimeSeconds = Branded<number, "UptimeSeconds">;
/** Days from 1970-01-01 to a civil date of the site. */
export type LocalDay = Branded<number, "LocalDay">;
/** `[a-z0-9-]{3,32}` (SPEC N1). */
export type DeviceId = Branded<string, "DeviceId">;

export const unixSeconds = (value: number): UnixSeconds => Math.floor(value) as UnixSeconds;
export const unixMs = (value: number): UnixMs => value as UnixMs;
export const monotonicMs = (value: number): MonotonicMs => value as MonotonicMs;
export const uptimeSeconds = (value: number): UptimeSeconds => value as UptimeSeconds;
export const localDay = (value: number): LocalDay => value as LocalDay;

const deviceIdPattern = /^[a-z0-9-]{3,32}$/;

/** Reads a device id; anything that is not `[a-z0-9-]{3,32}` gives undefined. */
export function parseDeviceId(text: string): DeviceId | undefined {
  return deviceIdPattern.test(text) ? (text as DeviceId) : undefined;
}
