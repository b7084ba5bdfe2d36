import { describe, expect, it } from "vitest";
import { type DoorKind, doorKinds, roles } from "../../../protocol/access/roles.ts";
import {
  type LogSubject,
  type LogViewer,
  logSight,
  showsSequence,
  viewerRoles,
} from "../../../protocol/wire/log-privacy.ts";
import { type EventKind, eventKinds } from "../../../protocol/wire/messages/event.ts";

/** Who an entry names. The door of a home is that of unit-1a. */
const people = {
  nobody: {},
  "lives here": { person: "alice", personRole: "RESIDENT", personUnit: "unit-1a" },
  "lives elsewhere": { person: "bob", personRole: "RESIDENT", personUnit: "unit-2b" },
  "no resident": { person: "carl", personRole: "NON_RESIDENT" },
  guest: { person: "gina", personRole: "GUEST" },
  tourer: { person: "tom", personRole: "TOURER" },
  "manager who lives here": { person: "mia", personRole: "MANAGER", personUnit: "unit-1a" },
  "manager who lives elsewhere": { person: "max", personRole: "MANAGER", personUnit: "unit-2b" },
  manager: { person: "kira", personRole: "MANAGER" },
  "not listed": { person: "zoe" },
  "credential of nobody": { namesCredential: true },
} as const satisfies Record<string, Partial<LogSubject>>;
type Who = keyof typeof people;

const viewers = {
  manager: { role: "manager" },
  technician: { role: "technician" },
  alice: { role: "resident", person: "alice", unit: "unit-1a" },
  "lives with alice": { role: "resident", person: "amir", unit: "unit-1a" },
  bob: { role: "resident", person: "bob", unit: "unit-2b" },
  "no unit": { role: "resident", person: "nora", unit: undefined },
} as const satisfies Record<string, LogViewer>;
const viewerNames = Object.keys(viewers) as readonly (keyof typeof viewers)[];

/** W whole, w without who, - hidden; in the order of `viewers`. */
const accessAtHome: Readonly<Record<Who, { readonly granted: string; readonly denied: string }>> = {
  nobody: { granted: "------", denied: "WwWW--" },
  "lives here": { granted: "--W---", denied: "--W---" },
  "lives elsewhere": { granted: "----W-", denied: "----W-" },
  "no resident": { granted: "WwWW--", denied: "WwWW--" },
  guest: { granted: "WwWW--", denied: "WwWW--" },
  tourer: { granted: "WwWW--", denied: "WwWW--" },
  "manager who lives here": { granted: "------", denied: "------" },
  "manager who lives elsewhere": { granted: "WwWW--", denied: "WwWW--" },
  manager: { granted: "WwWW--", denied: "WwWW--" },
  "not listed": { granted: "------", denied: "------" },
  "credential of nobody": { granted: "------", denied: "------" },
};
const accessAtCommonDoor: Readonly<Record<Who, string>> = {
  nobody: "Ww----",
  "lives here": "WwW---",
  "lives elsewhere": "Ww--W-",
  "no resident": "Ww----",
  guest: "Ww----",
  tourer: "Ww----",
  "manager who lives here": "Ww----",
  "manager who lives elsewhere": "Ww----",
  manager: "Ww----",
  "not listed": "Ww----",
  "credential of nobody": "Ww----",
};
/** A door of which nobody said what it is: as a home, and nobody's own; a manager with a home may live there. */
const accessAtUnknownDoor: typeof accessAtHome = {
  ...accessAtHome,
  nobody: { granted: "------", denied: "Ww----" },
  "no resident": { granted: "Ww----", denied: "Ww----" },
  guest: { granted: "Ww----", denied: "Ww----" },
  tourer: { granted: "Ww----", denied: "Ww----" },
  "manager who lives elsewhere": { granted: "------", denied: "------" },
  manager: { granted: "Ww----", denied: "Ww----" },
};

const deviceKinds: readonly EventKind[] = ["policy-committed", "clock-set", "boot", "log-gap", "fault"];
const traceKinds: readonly EventKind[] = ["scan", "door", "sealed-log"];

function sights(kind: EventKind, doorKind: DoorKind | undefined, who: Who): string {
  const letters = { whole: "W", "without-who": "w", hidden: "-" };
  const nobody = { person: undefined, namesCredential: false, personRole: undefined, personUnit: undefined };
  const doorUnit = doorKind === "RESIDENCE" ? "unit-1a" : undefined;
  const subject: LogSubject = { kind, doorKind, doorUnit, ...nobody, ...people[who] };
  return viewerNames.map((name) => letters[logSight(subject, viewers[name])]).join("");
}

const everybody = Object.keys(people) as readonly Who[];
const commonDoors = doorKinds.filter((kind) => kind !== "RESIDENCE");

describe("who may see what of a door log", () => {
  it("the tables below name every kind of event, door, role and viewer that there is", () => {
    expect([...deviceKinds, ...traceKinds, "access-granted", "access-denied"].sort()).toEqual([...eventKinds].sort());
    expect(new Set(Object.values(people).flatMap((one) => ("personRole" in one ? [one.personRole] : [])))).toEqual(
      new Set(roles),
    );
    expect(new Set(Object.values(viewers).map(({ role }) => role))).toEqual(new Set(viewerRoles));
    expect(commonDoors).toHaveLength(4);
  });

  it.each(everybody)("[M18] row 90: at the door of a home: %s", (who) => {
    expect(sights("access-granted", "RESIDENCE", who)).toBe(accessAtHome[who].granted);
    expect(sights("access-denied", "RESIDENCE", who)).toBe(accessAtHome[who].denied);
  });

  it.each(everybody)("[M18] row 90: at a common door: %s", (who) => {
    for (const door of commonDoors) {
      for (const kind of ["access-granted", "access-denied"] as const) {
        expect(sights(kind, door, who), `${door} ${kind}`).toBe(accessAtCommonDoor[who]);
      }
    }
  });

  it.each(everybody)("[M18] at a door of which nobody said what it is: %s", (who) => {
    expect(sights("access-granted", undefined, who)).toBe(accessAtUnknownDoor[who].granted);
    expect(sights("access-denied", undefined, who)).toBe(accessAtUnknownDoor[who].denied);
  });

  it("[M19] a device's own words are for who manages or mends it, at every door; a resident has no use for them", () => {
    for (const kind of deviceKinds) {
      for (const door of [...doorKinds, undefined])
        expect(sights(kind, door, "nobody"), `${door} ${kind}`).toBe("WW----");
    }
  });

  it("[M19] a trace tells when somebody comes and goes: at the door of a home, and at an unknown one, nobody sees it", () => {
    for (const kind of traceKinds) {
      for (const door of ["RESIDENCE", undefined] as const) expect(sights(kind, door, "nobody")).toBe("------");
      for (const door of commonDoors) expect(sights(kind, door, "nobody")).toBe("WW----");
    }
  });

  it("[M18] an entry of whatever kind that names somebody is judged as theirs", () => {
    for (const kind of [...deviceKinds, ...traceKinds]) {
      expect(sights(kind, "RESIDENCE", "lives here"), kind).toBe("--W---");
      expect(sights(kind, "RESIDENCE", "guest"), kind).toBe("WwWW--");
      expect(sights(kind, "COMMUNAL", "lives here"), kind).toBe("WwW---");
    }
  });

  it("[M20] at the door of a home an entry's number is no business of who manages the house", () => {
    const shown = viewerNames.map((name) =>
      [...doorKinds, undefined].filter((doorKind) => showsSequence({ doorKind }, viewers[name])),
    );
    expect(shown.slice(0, 2)).toEqual([commonDoors, commonDoors]);
    for (const doors of shown.slice(2)) expect(doors).toHaveLength(6);
  });
});
