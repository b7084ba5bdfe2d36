/**
 * What the authority can say about a denial that the lock could only call unknown (SPEC C6, D15).
 *
 * The lock told a keyed tag of the entry, never the entry. The authority knows every code that it gave out, makes their tags under the
 * same lock's key, and looks for the one that fits. A tag has 32 bits: that one of 1,000 codes fits by chance happens once in
 * four million denials.
 */
import type { LocalDay } from "../base/units.ts";
import type { DailySlot } from "../doorcode/daily-code.ts";
import { entryTag } from "./lookup.ts";
import type { AuthorityReason } from "./reasons.ts";

/** A daily code that was given out, for the door and day it was for. */
export interface IssuedCode extends DailySlot {
  readonly doorId: string;
  readonly code: string;
  /** Its single use was taken, by the lock's own record, before the denial. */
  readonly used: boolean;
}

/** A permanent code of the newest policy. */
export type HeldCode = { readonly doorId: string; readonly credentialId: string; readonly digits: string };

export interface DeniedEntry {
  readonly entryTag: number;
  /** The door of the lock that denied it. */
  readonly doorId: string;
  /** The site's civil day when it was typed, by true time as far as that is known. */
  readonly localDay: LocalDay;
}

export interface Refinement {
  readonly reason: AuthorityReason | "CREDENTIAL_UNKNOWN";
  /** The door that the code is for, when that is known. */
  readonly doorId?: string;
  readonly credentialId?: string;
  readonly issued?: IssuedCode;
}

/**
 * Names a denied entry. The lock's own door is looked at before others, for the same code may by chance be another door's.
 */
export function refineUnknown(
  denied: DeniedEntry,
  entryTagKey: Uint8Array,
  issued: readonly IssuedCode[],
  held: readonly HeldCode[],
): Refinement {
  const fits = (digits: string): boolean => entryTag(entryTagKey, digits) === denied.entryTag;
  const fitting = issued.filter(({ code }) => fits(code));
  const here = fitting.filter(({ doorId }) => doorId === denied.doorId);
  const nearest = here.toSorted((left, right) => distance(left, denied) - distance(right, denied))[0];
  if (nearest !== undefined) return { reason: reasonHere(nearest, denied), doorId: nearest.doorId, issued: nearest };
  const heldFitting = held.filter(({ digits }) => fits(digits));
  const heldHere = heldFitting.find(({ doorId }) => doorId === denied.doorId);
  if (heldHere !== undefined) {
    return { reason: "CREDENTIAL_NOT_SYNCED", doorId: heldHere.doorId, credentialId: heldHere.credentialId };
  }
  const elsewhere = fitting[0];
  if (elsewhere !== undefined) return { reason: "WRONG_LOCK", doorId: elsewhere.doorId, issued: elsewhere };
  const heldElsewhere = heldFitting[0];
  if (heldElsewhere === undefined) return { reason: "CREDENTIAL_UNKNOWN" };
  return { reason: "WRONG_LOCK", doorId: heldElsewhere.doorId, credentialId: heldElsewhere.credentialId };
}

function reasonHere(issued: IssuedCode, denied: DeniedEntry): AuthorityReason {
  if (issued.localDay < denied.localDay) return "DOORCODE_EXPIRED";
  if (issued.localDay > denied.localDay) return "DOORCODE_NOT_YET_VALID";
  // Right door, right day, unused and yet unknown: the lock lacks the door's present daily key.
  return issued.mode === "single-use" && issued.used ? "DOORCODE_ALREADY_USED" : "CREDENTIAL_NOT_SYNCED";
}

function distance(issued: IssuedCode, denied: DeniedEntry): number {
  return Math.abs(issued.localDay - denied.localDay);
}
