/**
 * Whom a visitor finds in the directory of a DOOR Link panel (SPEC N7; rows 16-20): exactly the residents who have a unit, a key to
 * the paired door and "Show in intercom"; and, for one who is not found, everything that is missing.
 */
import type { UnixSeconds } from "../base/units.ts";
import { hasKey, isRevoked, personById } from "./rights.ts";
import type { LinkPanel, Person, Site } from "./site.ts";

export interface DirectoryEntry {
  readonly personId: string;
  readonly name: string;
  readonly unitName: string;
}

export type DirectoryGap =
  | "no-such-panel"
  | "no-such-person"
  | "not-a-resident"
  | "no-unit"
  | "no-key"
  | "not-shown"
  | "revoked";

/** Sorted by unit, then by name. An unknown panel has an empty directory. */
export function listDirectory(site: Site, panelId: string, now: UnixSeconds): readonly DirectoryEntry[] {
  const panel = panelById(site, panelId);
  if (panel === undefined) return [];
  return site.people
    .filter((person) => gapsOf(site, panel, person, now).length === 0)
    .map(({ id, name, unit }) => ({ personId: id, name, unitName: unitName(site, unit) }))
    .sort(byUnitThenName);
}

/** Every reason why a person is not listed; none of them means listed. */
export function explainDirectory(
  site: Site,
  panelId: string,
  personId: string,
  now: UnixSeconds,
): { readonly listed: boolean; readonly missing: readonly DirectoryGap[] } {
  const panel = panelById(site, panelId);
  const person = personById(site, personId);
  const missing: DirectoryGap[] = [];
  if (panel === undefined) missing.push("no-such-panel");
  if (person === undefined) missing.push("no-such-person");
  else if (panel !== undefined) missing.push(...gapsOf(site, panel, person, now));
  return { listed: missing.length === 0, missing };
}

function gapsOf(site: Site, panel: LinkPanel, person: Person, now: UnixSeconds): readonly DirectoryGap[] {
  const gaps: DirectoryGap[] = [];
  if (person.role !== "RESIDENT") gaps.push("not-a-resident");
  if (isRevoked(person, now)) gaps.push("revoked");
  if (person.unit === undefined) gaps.push("no-unit");
  // A revoked person has lost every key; saying both would send the operator to repair a group that is right.
  if (!isRevoked(person, now) && !hasKey(site, person.id, panel.door, now)) gaps.push("no-key");
  if (!person.showInIntercom) gaps.push("not-shown");
  return gaps;
}

function panelById(site: Site, panelId: string): LinkPanel | undefined {
  return site.panels.find(({ id }) => id === panelId);
}

function unitName(site: Site, unitId: string | undefined): string {
  return site.units.find(({ id }) => id === unitId)?.name ?? "";
}

function byUnitThenName(left: DirectoryEntry, right: DirectoryEntry): number {
  return compareText(left.unitName, right.unitName) || compareText(left.name, right.name);
}

/** By code units: the order must not depend on the machine's language. */
function compareText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
