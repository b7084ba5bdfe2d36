/**
 * Who may see what of a door log. The rule of DOOR's help pages: who manages a building sees all activity on its common doors, and on
 * the door of somebody's home only that of people who do not live there. What is not known is taken for the more private.
 *
 * Theory. An entry is one of three things. A device's own words (a boot, a clock that was set, a policy, a gap, a fault) are about
 * nobody. An access names somebody, or somebody unknown. A trace (a door that moved, a run of a log that the gateway cannot read)
 * names nobody, and tells at the door of a home when its people come and go. The authority, whose record it is, sees everything.
 * Source: SPEC M18-M20; rows 90-92; reference: domain, part 1.2.
 */
import type { DoorKind, Role } from "../access/roles.ts";
import type { EventKind } from "./messages/event.ts";

/** Of those who look; `resident` is one person, who has proved who they are. */
export const viewerRoles = ["manager", "technician", "resident"] as const;
export type ViewerRole = (typeof viewerRoles)[number];

export type LogViewer =
  | { readonly role: "manager" | "technician" }
  | { readonly role: "resident"; readonly person: string; readonly unit: string | undefined };

/** An entry as far as the rule goes by it. Undefined is what is not known, or not there. */
export interface LogSubject {
  readonly kind: EventKind;
  readonly doorKind: DoorKind | undefined;
  /** The unit behind the door. */
  readonly doorUnit: string | undefined;
  /** Whom the entry names. */
  readonly person: string | undefined;
  /** A credential is somebody's, also where the entry does not say whose. */
  readonly namesCredential: boolean;
  readonly personRole: Role | undefined;
  readonly personUnit: string | undefined;
}

/** `without-who`: what happened, and neither the person nor the credential. */
export type LogSight = "whole" | "without-who" | "hidden";

/** SPEC M18, M19. */
export function logSight(subject: LogSubject, viewer: LogViewer): LogSight {
  const what = whatByKind[subject.kind];
  // A device's own words name nobody; one that does is judged as an access of theirs.
  const isAccess = what === "access" || subject.person !== undefined || subject.namesCredential;
  if (viewer.role === "resident") return isAccess ? sightOfResident(subject, viewer) : "hidden";
  if (!isAccess) return what === "device" || !isPrivateDoor(subject.doorKind) ? "whole" : "hidden";
  if (isPrivateDoor(subject.doorKind) && isAtHome(subject)) return "hidden";
  return viewer.role === "manager" ? "whole" : "without-who";
}

/** SPEC M20: how many entries a device wrote between two that are shown says how often its people came and went. */
export function showsSequence(subject: Pick<LogSubject, "doorKind">, viewer: LogViewer): boolean {
  return viewer.role === "resident" || !isPrivateDoor(subject.doorKind);
}

/** The door of a home, and a door of which nobody said what it is. */
function isPrivateDoor(kind: DoorKind | undefined): boolean {
  return kind === undefined || kind === "RESIDENCE";
}

/** One's own entries everywhere, and at one's own door those of people who do not live there. */
function sightOfResident(subject: LogSubject, viewer: Extract<LogViewer, { role: "resident" }>): LogSight {
  if (subject.person === viewer.person) return "whole";
  const isOwnDoor =
    subject.doorKind === "RESIDENCE" && subject.doorUnit !== undefined && subject.doorUnit === viewer.unit;
  return isOwnDoor && !isAtHome(subject) ? "whole" : "hidden";
}

/** Whether the entry is, or may be, of somebody who lives behind a private door. */
function isAtHome({ kind, person, namesCredential, personRole, personUnit, doorUnit }: LogSubject): boolean {
  // Nobody was let in, and nobody is known by it: who tries a stranger's door is no resident's secret.
  if (person === undefined && !namesCredential) return kind !== "access-denied";
  switch (personRole) {
    case "NON_RESIDENT":
    case "GUEST":
    case "TOURER":
      return false;
    case "MANAGER":
      return personUnit !== undefined && (doorUnit === undefined || personUnit === doorUnit);
    case "RESIDENT":
    case undefined:
      return true;
  }
}

const whatByKind: Readonly<Record<EventKind, "device" | "access" | "trace">> = {
  "access-granted": "access",
  "access-denied": "access",
  "policy-committed": "device",
  "clock-set": "device",
  boot: "device",
  "log-gap": "device",
  scan: "trace",
  door: "trace",
  fault: "device",
  "sealed-log": "trace",
};
