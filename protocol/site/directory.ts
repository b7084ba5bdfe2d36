/**
 * Whom a visitor finds in the directory of a DOOR Link panel (SPEC N7; rows 16-20): exactly the residents who have a unit, a key to
 * the paired door and "Show in intercom"; and, for one who is not found, everything that is missing and where to mend it.
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

/** Where an operator mends one gap: the menus of DOOR OS one after the other, and what to do at the last of them. */
export interface DirectoryRemedy {
  readonly gap: DirectoryGap;
  readonly path: readonly string[];
  readonly action: string;
  /** Both in one line: `People > Dev Patel > Edit: assign a unit`. */
  readonly text: string;
}

/** Sorted by unit, then by name. An unknown panel has an empty directory. */
export function listDirectory(site: Site, panelId: string, now: UnixSeconds): readonly DirectoryEntry[] {
  const panel = panelById(site, panelId);
  if (panel === undefined) return [];
  return site.people
    .filter((person) => gapsOf(site, panel, person, now).length === 0)
    .map(({ id, name, unit }) => ({ personId: id, name, unitName: unitName(site, unit) }))
    .sort(byUnitThenName);
}

/** Every reason why a person is not listed, each with its remedy, in the same order; none of them means listed. */
export function explainDirectory(
  site: Site,
  panelId: string,
  personId: string,
  now: UnixSeconds,
): {
  readonly listed: boolean;
  readonly missing: readonly DirectoryGap[];
  readonly remedies: readonly DirectoryRemedy[];
} {
  const panel = panelById(site, panelId);
  const person = personById(site, personId);
  const missing: DirectoryGap[] = [];
  if (panel === undefined) missing.push("no-such-panel");
  if (person === undefined) missing.push("no-such-person");
  else if (panel !== undefined) missing.push(...gapsOf(site, panel, person, now));
  const names = {
    person: person?.name ?? personId,
    panel: panel?.name ?? panelId,
    door: site.doors.find(({ id }) => id === panel?.door)?.name ?? panel?.door ?? "",
  };
  return { listed: missing.length === 0, missing, remedies: missing.map((gap) => remedyOfGap(gap, names)) };
}

interface DirectoryNames {
  readonly person: string;
  readonly panel: string;
  readonly door: string;
}

function remedyOfGap(gap: DirectoryGap, names: DirectoryNames): DirectoryRemedy {
  const { path, action } = remedyByGap[gap];
  const [filledPath, filledAction] = [path.map((menu) => filled(menu, names)), filled(action, names)];
  return { gap, path: filledPath, action: filledAction, text: `${filledPath.join(" > ")}: ${filledAction}` };
}

/** Names go in where they stand in braces; a brace in a name stays what it is. */
function filled(template: string, names: DirectoryNames): string {
  return template.replace(/\{(person|panel|door)\}/g, (_, what: keyof DirectoryNames) => names[what]);
}

/**
 * The path of the unit is S0's own ("DOOR OS, People, resident, Edit"), and so is where "Show in intercom" stands ("the resident's
 * account settings"). That of a panel is from DOOR's call-flow article (40448867230615). For a key S0 says what must hold and not
 * where to click, so the path goes to the resident and the action names the key.
 */
const remedyByGap: Readonly<Record<DirectoryGap, Pick<DirectoryRemedy, "path" | "action">>> = {
  "no-such-panel": { path: ["Access", "Doors"], action: "pair a DOOR Link with the door; there is no {panel}" },
  "no-such-person": { path: ["People"], action: "add the resident; there is no {person}" },
  "not-a-resident": { path: ["People", "{person}", "Edit"], action: "make them a resident; nobody else is listed" },
  revoked: { path: ["People", "{person}", "Edit"], action: "give access back, if property management decides so" },
  "no-unit": { path: ["People", "{person}", "Edit"], action: "assign a unit" },
  "no-key": { path: ["People", "{person}", "Edit"], action: "give key access to {door}, the door paired with {panel}" },
  "not-shown": { path: ["People", "{person}", "Account settings"], action: "enable Show in intercom" },
};

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
