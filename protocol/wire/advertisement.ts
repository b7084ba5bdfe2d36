/**
 * What a lock says to everybody who listens: 6 bytes of service data (SPEC A1-A5).
 *
 *     protocol u8 | flags u8 | version bits u24 big-endian | log head bits u8
 *
 * It is a hint that saves a connection and nothing more: nobody signed it, so nothing may be decided by it except
 * whether a visit is worth the battery. Flags: bit 0 wants sync, bit 1 clock not set, bit 2 battery low, bit 3 tamper;
 * bits 4-7 are zero until a later protocol number gives them a meaning.
 */
import { failed, ok, type Result } from "../base/result.ts";

export const ADVERTISEMENT_BYTES = 6;
export const ADVERTISEMENT_PROTOCOL = 1;
/** How many low bits of the policy version are shown: a lock is visited long before 16,777,216 versions have passed. */
export const VERSION_BITS = 24;
/** How many low bits of the log head are shown: enough to see that something is new, too few to count visitors by. */
export const LOG_HEAD_BITS = 8;

export interface Advertisement {
  readonly wantsSync: boolean;
  readonly clockNotSet: boolean;
  readonly batteryLow: boolean;
  readonly tamper: boolean;
  /** Policy version modulo 2^24. */
  readonly versionBits: number;
  /** Sequence of the newest log entry modulo 2^8; zero on residence doors, where it would tell comings and goings. */
  readonly logHeadBits: number;
}

export type AdvertisementFault =
  | { readonly code: "wrong-length"; readonly expected: number; readonly actual: number }
  | { readonly code: "unknown-protocol"; readonly expected: number; readonly actual: number }
  | { readonly code: "reserved-flags"; readonly flags: number };

export type AdvertisementEncodeFault = {
  readonly code: "version-bits-out-of-range" | "log-head-bits-out-of-range";
  readonly limit: number;
  readonly actual: number;
};

/**
 * Reads the 6 bytes of service data.
 * Faults: wrong-length, unknown-protocol, reserved-flags (a bit of 4-7 is set). Never throws.
 * Source: SPEC A1, A2.
 */
export function decodeAdvertisement(bytes: Uint8Array): Result<Advertisement, AdvertisementFault> {
  const [protocol, flags, high, middle, low, logHeadBits] = bytes;
  if (
    bytes.length !== ADVERTISEMENT_BYTES ||
    protocol === undefined ||
    flags === undefined ||
    high === undefined ||
    middle === undefined ||
    low === undefined ||
    logHeadBits === undefined
  ) {
    return failed({ code: "wrong-length", expected: ADVERTISEMENT_BYTES, actual: bytes.length });
  }
  if (protocol !== ADVERTISEMENT_PROTOCOL) {
    return failed({ code: "unknown-protocol", expected: ADVERTISEMENT_PROTOCOL, actual: protocol });
  }
  if ((flags & ~ALL_FLAGS) !== 0) return failed({ code: "reserved-flags", flags });
  return ok({
    wantsSync: (flags & WANTS_SYNC) !== 0,
    clockNotSet: (flags & CLOCK_NOT_SET) !== 0,
    batteryLow: (flags & BATTERY_LOW) !== 0,
    tamper: (flags & TAMPER) !== 0,
    versionBits: high * 0x10000 + middle * 0x100 + low,
    logHeadBits,
  });
}

/**
 * Writes the 6 bytes.
 * Faults: version-bits-out-of-range (whole number 0..2^24-1 expected), log-head-bits-out-of-range (0..255).
 * Source: SPEC A1, A2.
 */
export function encodeAdvertisement(advertisement: Advertisement): Result<Uint8Array, AdvertisementEncodeFault> {
  const { versionBits, logHeadBits } = advertisement;
  if (!fitsBits(versionBits, VERSION_BITS)) {
    return failed({ code: "version-bits-out-of-range", limit: 2 ** VERSION_BITS - 1, actual: versionBits });
  }
  if (!fitsBits(logHeadBits, LOG_HEAD_BITS)) {
    return failed({ code: "log-head-bits-out-of-range", limit: 2 ** LOG_HEAD_BITS - 1, actual: logHeadBits });
  }
  const flags =
    (advertisement.wantsSync ? WANTS_SYNC : 0) |
    (advertisement.clockNotSet ? CLOCK_NOT_SET : 0) |
    (advertisement.batteryLow ? BATTERY_LOW : 0) |
    (advertisement.tamper ? TAMPER : 0);
  return ok(
    new Uint8Array([
      ADVERTISEMENT_PROTOCOL,
      flags,
      (versionBits >>> 16) & 0xff,
      (versionBits >>> 8) & 0xff,
      versionBits & 0xff,
      logHeadBits,
    ]),
  );
}

/** The bits of a policy version that an advertisement shows (SPEC A3). */
export function versionBitsOf(policyVersion: number): number {
  return policyVersion % 2 ** VERSION_BITS;
}

/** The bits of a log head that an advertisement shows: none on a residence door (SPEC A4). */
export function logHeadBitsOf(logHead: number, door: "communal" | "residence"): number {
  return door === "residence" ? 0 : logHead % 2 ** LOG_HEAD_BITS;
}

function fitsBits(value: number, bits: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

const WANTS_SYNC = 0b0001;
const CLOCK_NOT_SET = 0b0010;
const BATTERY_LOW = 0b0100;
const TAMPER = 0b1000;
const ALL_FLAGS = WANTS_SYNC | CLOCK_NOT_SET | BATTERY_LOW | TAMPER;
