/**
 * Daily doorcodes: a code that a lock can check alone, on the day it is for, without ever having heard of it (SPEC C1-C4).
 *
 * The authority and the locks of a door share one daily key. The code of a slot is HOTP (RFC 4226 part 5.3) with HMAC-SHA-256
 * over an 8-byte big-endian counter `localDay(32) | mode(16) | slot(16)`. The lock accepts every slot of today; which of them
 * are given out, and to whom, only the authority knows.
 */

import { equalBytes, readU32 } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import type { LocalDay } from "../base/units.ts";
import { hmacSha256 } from "../crypto.ts";

export type DailyMode = "single-use" | "all-day";
/** Mode numbers in the counter. */
export const modeNumber: Readonly<Record<DailyMode, number>> = { "single-use": 1, "all-day": 2 };

export interface DailySlot {
  readonly localDay: LocalDay;
  readonly mode: DailyMode;
  /** From 0. */
  readonly slot: number;
}

/** More slots than this would make guessing too easy even with seven digits. */
export const slotsMax = 64;

/** The code of one slot: `digits` decimal digits, leading zeros kept. Source: SPEC C1. */
export function dailyCode(doorKey: Uint8Array, slot: DailySlot, digits: number): string {
  return truncateToDigits(hmacSha256(doorKey, dailyCounter(slot)), digits);
}

/** The 8-byte counter: local day u32 | mode u16 | slot u16, big-endian. */
export function dailyCounter({ localDay, mode, slot }: DailySlot): Uint8Array {
  assert(Number.isInteger(localDay) && localDay >= 0 && localDay <= 0xffff_ffff, "a local day is a u32");
  assert(Number.isInteger(slot) && slot >= 0 && slot < slotsMax, "a slot is 0-63");
  // Of each number the array takes the lowest byte.
  return Uint8Array.of(
    localDay >>> 24,
    localDay >>> 16,
    localDay >>> 8,
    localDay,
    0,
    modeNumber[mode],
    slot >>> 8,
    slot,
  );
}

/**
 * Dynamic truncation of an HMAC of 20 or more bytes to decimal digits: the low four bits of the last byte choose four bytes,
 * whose top bit is cleared. Source: RFC 4226 part 5.3; the RFC's last byte is byte 19, ours byte 31 of SHA-256.
 */
export function truncateToDigits(mac: Uint8Array, digits: number): string {
  assert(Number.isInteger(digits) && digits >= 1 && digits <= 9, "a code has 1-9 digits");
  assert(mac.length >= 20, "an HMAC to truncate has at least 20 bytes");
  const offset = (mac[mac.length - 1] ?? 0) & 0x0f;
  const word = readU32(mac, offset) & 0x7fff_ffff;
  return String(word % 10 ** digits).padStart(digits, "0");
}

/** How many digits a door's daily codes have, and how many slots of each mode its locks accept. */
export interface DailyRules {
  readonly dailyDigits: number;
  readonly singleUseSlots: number;
  readonly allDaySlots: number;
}

/** Every slot of a day with its code, single-use slots first. */
export function dailyCodes(
  doorKey: Uint8Array,
  localDay: LocalDay,
  rules: DailyRules,
): readonly (DailySlot & { readonly code: string })[] {
  return daySlots(localDay, rules).map((slot) => ({ ...slot, code: dailyCode(doorKey, slot, rules.dailyDigits) }));
}

function daySlots(
  localDay: LocalDay,
  rules: { readonly singleUseSlots: number; readonly allDaySlots: number },
): readonly DailySlot[] {
  const slots: DailySlot[] = [];
  for (let slot = 0; slot < rules.singleUseSlots; slot++) slots.push({ localDay, mode: "single-use", slot });
  for (let slot = 0; slot < rules.allDaySlots; slot++) slots.push({ localDay, mode: "all-day", slot });
  return slots;
}

/**
 * The slots of a day that have this code, single-use slots first; nearly always none or one.
 *
 * A day has up to 128 codes for each key, and whoever types a wrong one would wait for all of them. So what the day that was asked last
 * needs stays in memory beside each key: its codes with their slots, and a copy of the key. It is replaced when another day or other rules
 * are asked, or when the key's bytes were written over in place (the old copy lies there until then), and given up to the collector
 * with the key's own array. Whoever can read it there can read the key, and with it the codes of every day.
 */
export function slotsOfCode(
  doorKey: Uint8Array,
  localDay: LocalDay,
  rules: DailyRules,
  code: string,
): readonly DailySlot[] {
  const kept = dayByKey.get(doorKey);
  const isOfDay = kept?.localDay === localDay && hasRules(kept.rules, rules) && equalBytes(kept.doorKey, doorKey);
  const day = isOfDay ? kept : dayOf(doorKey, localDay, rules);
  if (!isOfDay) dayByKey.set(doorKey, day);
  return day.slotsByCode.get(code) ?? noSlots;
}

interface DayOfCodes {
  readonly localDay: LocalDay;
  readonly rules: DailyRules;
  /** A copy of the key, by which a key that was written over is noticed. */
  readonly doorKey: Uint8Array;
  readonly slotsByCode: ReadonlyMap<string, readonly DailySlot[]>;
}

function dayOf(doorKey: Uint8Array, localDay: LocalDay, rules: DailyRules): DayOfCodes {
  const slotsByCode = new Map<string, DailySlot[]>();
  for (const { code, ...slot } of dailyCodes(doorKey, localDay, rules)) {
    const slots = slotsByCode.get(code);
    if (slots === undefined) slotsByCode.set(code, [slot]);
    else slots.push(slot);
  }
  const { dailyDigits, singleUseSlots, allDaySlots } = rules;
  return { localDay, rules: { dailyDigits, singleUseSlots, allDaySlots }, doorKey: doorKey.slice(), slotsByCode };
}

function hasRules(left: DailyRules, right: DailyRules): boolean {
  return (
    left.dailyDigits === right.dailyDigits &&
    left.singleUseSlots === right.singleUseSlots &&
    left.allDaySlots === right.allDaySlots
  );
}

/** The name under which a lock remembers that a single-use slot was taken. */
export function usedSlotName(keyId: number, { localDay, mode, slot }: DailySlot): string {
  return `${keyId}/${localDay}/${modeNumber[mode]}/${slot}`;
}

/**
 * The marks that a lock must still keep: those of days that signed time has not passed. Only time that the authority signed
 * counts, or a lock whose clock was pushed ahead would forget, be set right, and open twice. Source: SPEC C4.
 */
export function keptUsedSlots(names: Iterable<string>, signedDay: LocalDay): ReadonlySet<string> {
  return new Set([...names].filter((name) => usedSlotDay(name) >= signedDay));
}

/** The day of a name made by `usedSlotName`: marks may be dropped when signed time has passed that day. */
export function usedSlotDay(name: string): number {
  return Number(name.split("/")[1]);
}

/** Weak: when nobody holds a key's bytes any more, its codes go with it. */
const dayByKey = new WeakMap<Uint8Array, DayOfCodes>();
const noSlots: readonly DailySlot[] = [];
