/**
 * Which daily code the authority gives to whom (SPEC C3, C5; PROTOCOL part 6).
 *
 * A lock accepts every slot of the day; the authority alone decides which are given out, so a new issuer needs no sync and a revoked one
 * holds no key. Pure: the day's ledger comes in, the slot to add to it goes out.
 */
import { failed, ok, type Result } from "../base/result.ts";
import { type LocalDay, localDay } from "../base/units.ts";
import { type DailyMode, type DailyRules, type DailySlot, dailyCodes } from "./daily-code.ts";

export interface DoorcodeIssuer {
  readonly personId: string;
  readonly role: string;
  /** Has a key in force to the door. */
  readonly hasKey: boolean;
}

export interface AllotRequest {
  readonly issuer: DoorcodeIssuer;
  readonly localDay: LocalDay;
  readonly mode: DailyMode;
}

/** What the authority knows about the door and that day. */
export interface AllotDay {
  readonly doorKey: Uint8Array;
  readonly rules: DailyRules;
  /** Devices of the door that are in service. */
  readonly activeDevices: number;
  /** The site's civil day now. */
  readonly today: LocalDay;
  /** Slots of `localDay` that were given out already, in any mode. */
  readonly taken: readonly Pick<DailySlot, "mode" | "slot">[];
  /** Permanent codes of every policy version from the last confirmed to the newest signed. */
  readonly permanentCodes: ReadonlySet<string>;
}

export interface Allotment extends DailySlot {
  readonly code: string;
}

export type AllotFault =
  | { readonly code: "NO_ACTIVE_DEVICE" }
  | { readonly code: "NO_DAILY_CODES" }
  | { readonly code: "NO_ACCESS" }
  | { readonly code: "ROLE_MAY_NOT_ISSUE"; readonly role: string }
  | { readonly code: "DAY_PAST"; readonly today: LocalDay }
  | { readonly code: "TOO_FAR_AHEAD"; readonly last: LocalDay }
  | { readonly code: "SLOTS_EXHAUSTED"; readonly mode: DailyMode; readonly taken: number; readonly skipped: number };

/**
 * The first free slot whose code nothing else that day has. The door is judged before the person, so that whoever has no access
 * learns no more than others. Faults: as listed, in that order of judgement.
 */
export function allotDailyCode(request: AllotRequest, day: AllotDay): Result<Allotment, AllotFault> {
  const refusal = refusalOf(request, day);
  if (refusal !== undefined) return failed(refusal);
  const codes = dailyCodes(day.doorKey, request.localDay, day.rules);
  const usable = issuableSlots(codes, day.permanentCodes);
  const ofMode = codes.filter(({ mode }) => mode === request.mode);
  const taken = new Set(day.taken.filter(({ mode }) => mode === request.mode).map(({ slot }) => slot));
  const free = ofMode.find((slot) => usable.has(slot) && !taken.has(slot.slot));
  if (free !== undefined) return ok(free);
  const skipped = ofMode.filter((slot) => !usable.has(slot)).length;
  return failed({ code: "SLOTS_EXHAUSTED", mode: request.mode, taken: taken.size, skipped });
}

/** How many days ahead of today a code is issued at most. */
export const issueDaysAhead = 7;
/** Property management, and whoever lives behind the door (row 80). */
export const issuingRoles: readonly string[] = ["RESIDENT", "MANAGER"];

function refusalOf({ issuer, localDay: wanted }: AllotRequest, day: AllotDay): AllotFault | undefined {
  if (day.activeDevices === 0) return { code: "NO_ACTIVE_DEVICE" };
  if (day.rules.singleUseSlots + day.rules.allDaySlots === 0) return { code: "NO_DAILY_CODES" };
  if (!issuingRoles.includes(issuer.role)) return { code: "ROLE_MAY_NOT_ISSUE", role: issuer.role };
  if (!issuer.hasKey) return { code: "NO_ACCESS" };
  if (wanted < day.today) return { code: "DAY_PAST", today: day.today };
  const last = localDay(day.today + issueDaysAhead);
  return wanted > last ? { code: "TOO_FAR_AHEAD", last } : undefined;
}

/**
 * The slots whose code is theirs alone. Both of two slots with one code stay unissued: the lock would take the single use of the
 * one for the other. Source: SPEC C5.
 */
function issuableSlots(codes: readonly Allotment[], permanentCodes: ReadonlySet<string>): ReadonlySet<Allotment> {
  const countByCode = new Map<string, number>();
  for (const { code } of codes) countByCode.set(code, (countByCode.get(code) ?? 0) + 1);
  return new Set(codes.filter(({ code }) => countByCode.get(code) === 1 && !permanentCodes.has(code)));
}
