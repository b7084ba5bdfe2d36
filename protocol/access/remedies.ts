/**
 * What to do about a reason (SPEC D19; rows 93-118, 124): cause and remedy in one line each, which is what an event or a command can
 * carry, and the steps of an operator in the order in which they are taken.
 *
 * The steps are S2's for devices whose makers S2 is about: licence first, access group second; a new user or a current one; with
 * or without payment permission; membership that is inherited goes at the user group first; a group that exists or a new one; for a
 * visitor a new temp key. For DOOR's own locks S2's menus do not exist; there the steps name the person's page of S0, and a door
 * sync where the lock has no network. S2 lost its icons in the copy we have, so "open" stands for "click the icon of".
 * Names come in as facts; what is not known keeps every branch open, each with its condition.
 */
import { detailToReasons, type ReasonCode } from "./reasons.ts";

/** A row of S2's quick reference, for every reason. */
export interface ReasonTriple {
  readonly reason: ReasonCode;
  readonly cause: string;
  readonly remedy: string;
}

export interface RemedyStep {
  /** Holds only then; absent: always. */
  readonly when?: string;
  /** The menus one after the other; empty where no operator's menu is involved. */
  readonly path: readonly string[];
  readonly action: string;
}

export interface Remedy extends ReasonTriple {
  readonly steps: readonly RemedyStep[];
}

/** A group that the user is in now and that does not let them in at this time. */
export interface HeldMembership {
  readonly group: string;
  /** The user group that it comes from; absent: direct. */
  readonly inheritedFrom?: string;
}

export interface RemedyFacts {
  readonly maker: "DOOR" | "Akuvox";
  /** Reached by a courier only: what is changed at the desk is not on the lock yet. */
  readonly offline: boolean;
  readonly door: string;
  /** How the kind of credential is called. */
  readonly credential: string;
  /** Absent: assigned to nobody. */
  readonly user?: string;
  /** For whom a credential of nobody is meant; absent: not known, so both branches are given. */
  readonly meantFor?: "new user" | "current user";
  /** Of whoever reads this; it varies by role, so undefined gives both branches. */
  readonly paymentPermission?: boolean;
  readonly memberships: readonly HeldMembership[];
  /** Access groups with this door that would let the user in at this time, by decision. */
  readonly groupsThatOpen: readonly string[];
  readonly holiday?: string;
  readonly visitor: boolean;
  /** The doors that the credential is for; absent: not limited. */
  readonly madeFor?: readonly string[];
  /** How the kinds of credential are called that the device reads. */
  readonly reads: readonly string[];
}

/** `isOffline`: false for a device on the site's network, to which nobody need carry anything. */
export function tripleOf(reason: ReasonCode, isOffline = true): ReasonTriple {
  const [cause, remedy] = causeAndRemedyByReason[reason];
  return { reason, cause, remedy: (isOffline ? undefined : networkedRemedyByReason[reason]) ?? remedy };
}

export function remedyOf(reason: ReasonCode, isOffline = true): string {
  return tripleOf(reason, isOffline).remedy;
}

/** The triple with its steps, in the order in which they are taken. */
export function remedyFor(reason: ReasonCode, facts: RemedyFacts): Remedy {
  const triple = tripleOf(reason, facts.offline);
  const steps = stepsOf(reason, facts);
  const usual = steps.length > 0 ? steps : [{ path: [], action: triple.remedy }];
  return { ...triple, steps: needsSync(reason, facts) ? [...usual, syncStep(facts)] : usual };
}

/** When nothing but a text of the Detail column is known: everything it may mean, in the order in which to look. */
export function remediesOfDetail(detail: string, facts: RemedyFacts): readonly Remedy[] {
  return (detailToReasons(detail)?.reasons ?? []).map((reason) => remedyFor(reason, facts));
}

/** `Doors > Roof: renew the licence of the door`, with its condition in front. */
export function stepText({ when, path, action }: RemedyStep): string {
  const where = path.length === 0 ? action : `${path.join(" > ")}: ${action}`;
  return when === undefined ? where : `${when}, ${where}`;
}

function stepsOf(reason: ReasonCode, facts: RemedyFacts): readonly RemedyStep[] {
  switch (reason) {
    case "CREDENTIAL_UNASSIGNED":
      return assignSteps(facts);
    case "DOOR_NOT_ACTIVATED":
    case "DOOR_LICENSE_EXPIRED":
      return licenceSteps(reason, facts);
    case "NO_ACCESS_RIGHTS":
      return joinSteps(facts);
    case "OUT_OF_SCHEDULE":
      return [...leaveSteps(facts), ...joinSteps(facts)];
    case "DOOR_NOT_ASSIGNED":
      return [{ path: ["Doors", facts.door], action: "assign the door to the company or property" }];
    case "CREDENTIAL_NOT_SUPPORTED":
      return facts.reads.length === 0
        ? []
        : [{ path: [], action: `use what this device reads: ${facts.reads.join(", ")}` }];
    case "WRONG_LOCK":
      return wrongLockSteps(facts);
    case "CREDENTIAL_EXPIRED":
    case "CREDENTIAL_USES_EXHAUSTED":
      return facts.visitor ? [tempKeyStep] : newCredentialSteps(facts);
    case "CREDENTIAL_LOST":
    case "CREDENTIAL_STOLEN":
    case "CREDENTIAL_NOT_AUTHENTIC":
      return newCredentialSteps(facts);
    case "HOLIDAY_RESTRICTED":
      return holidaySteps(facts);
    default:
      return [];
  }
}

/** Rows 99-101. */
function assignSteps(facts: RemedyFacts): readonly RemedyStep[] {
  const { maker, credential, user, meantFor } = facts;
  if (maker === "DOOR") return [{ path: ["People", user ?? "the user", "Edit"], action: `assign the ${credential}` }];
  const forNew: readonly RemedyStep[] = [
    {
      when: "for a new user",
      path: ["User", "Personnel", "New Personnel"],
      action: "set up the user's basic information and permissions",
    },
    { when: "for a new user", path: ["User", "Personnel", "New Personnel", "Next"], action: `add the ${credential}` },
  ];
  const forCurrent: readonly RemedyStep[] = [
    {
      when: "for a current user",
      path: ["User", "Personnel", user ?? "the target user"],
      action: `open the user and add the ${credential}`,
    },
  ];
  if (meantFor === "new user") return forNew;
  return meantFor === "current user" ? forCurrent : [...forNew, ...forCurrent];
}

/** Rows 103-105. */
function licenceSteps(
  reason: "DOOR_NOT_ACTIVATED" | "DOOR_LICENSE_EXPIRED",
  { door, paymentPermission }: RemedyFacts,
): readonly RemedyStep[] {
  const verb = reason === "DOOR_NOT_ACTIVATED" ? "activate" : "renew";
  const own: RemedyStep = {
    when: "with payment permission",
    path: ["Doors", door],
    action: `${verb} the unsubscribed door`,
  };
  const other: RemedyStep = {
    when: "without payment permission",
    path: [],
    action: `contact your distributor to ${verb} the licence of ${door}`,
  };
  if (paymentPermission === undefined) return [own, other];
  return [paymentPermission ? own : other];
}

function wrongLockSteps({ credential, madeFor = [] }: RemedyFacts): readonly RemedyStep[] {
  if (madeFor.length === 0) return [];
  return [{ path: [], action: `use the ${credential} where it is for: ${madeFor.join(", ")}` }];
}

/**
 * Rows 110-111: a membership that is inherited has no button to remove it, and ends at the user group. Only for whoever is to be moved:
 * one group that lets in is enough (SPEC D10), and who came at the wrong hour need not lose what they have.
 */
function leaveSteps({ maker, user = "the target user", memberships }: RemedyFacts): readonly RemedyStep[] {
  if (maker === "DOOR") return [];
  const inherited = memberships.flatMap(({ group, inheritedFrom }) =>
    inheritedFrom === undefined
      ? []
      : [
          {
            when: onlyToMove,
            // S2 says to remove the user from the group first and names no menu for it; the path is the thing itself.
            path: ["User group", inheritedFrom],
            action: `remove ${user} from the group first: access group ${group} is inherited from it`,
          },
        ],
  );
  const direct = memberships
    .filter(({ inheritedFrom }) => inheritedFrom === undefined)
    .map(({ group }) => ({
      when: onlyToMove,
      path: ["User", "Personnel", user],
      action: `remove ${user} from access group ${group}`,
    }));
  return [...inherited, ...direct];
}

/** Row 112. */
function joinSteps({ maker, user, door, groupsThatOpen }: RemedyFacts): readonly RemedyStep[] {
  const who = user ?? "the target user";
  if (maker === "DOOR") {
    const keys = groupsThatOpen.length === 0 ? `a key to ${door} that holds at this time` : oneOf(groupsThatOpen);
    return [{ path: ["People", who, "Edit"], action: `give ${keys}` }];
  }
  const personnel = ["User", "Personnel", who];
  if (groupsThatOpen.length > 0) {
    return [{ path: [...personnel, "+Add to Existing Access Group"], action: oneOf(groupsThatOpen) }];
  }
  return [
    {
      path: [...personnel, "Create New Access Group"],
      action: `with ${door} and a schedule that covers this time; no group that exists does`,
    },
  ];
}

function newCredentialSteps({ maker, user = "the target user", credential }: RemedyFacts): readonly RemedyStep[] {
  const action = `add a new ${credential} in place of this one`;
  if (maker === "DOOR") return [{ path: ["People", user, "Edit"], action }];
  return [{ path: ["User", "Personnel", user], action }];
}

/** Rows 117-118. */
function holidaySteps({ maker, holiday = "the target holiday" }: RemedyFacts): readonly RemedyStep[] {
  if (maker === "DOOR") return [{ path: [], action: `set working hours for ${holiday}` }];
  return [
    {
      path: ["Access Control", "Holiday", holiday],
      action: "enable Working Hours and set the time when authorised users can enter",
    },
  ];
}

/** A change at the desk is on a lock without a network when a courier has brought it; what the person does alone needs none. */
function needsSync(reason: ReasonCode, { offline }: RemedyFacts): boolean {
  return offline && reasonsMendedAtTheDesk.includes(reason);
}

function syncStep({ door }: RemedyFacts): RemedyStep {
  return { path: ["Access", door], action: "sync the door, which brings the change to the lock" };
}

function oneOf(names: readonly string[]): string {
  return names.length === 1 ? String(names[0]) : `one of ${names.join(", ")}`;
}

const onlyToMove = "only if the user is to be moved";

/** Rows 114-115. */
const tempKeyStep: RemedyStep = { path: ["User", "Visitor", "New"], action: "create a new temp key" };

const reasonsMendedAtTheDesk: readonly ReasonCode[] = [
  "CREDENTIAL_STOLEN",
  "CREDENTIAL_LOST",
  "CREDENTIAL_NOT_AUTHENTIC",
  "CREDENTIAL_REVOKED",
  "CREDENTIAL_DISABLED",
  "CREDENTIAL_UNASSIGNED",
  "NO_ACCESS_RIGHTS",
  "CREDENTIAL_NOT_YET_ACTIVE",
  "CREDENTIAL_EXPIRED",
  "OUT_OF_SCHEDULE",
  "HOLIDAY_RESTRICTED",
  "CREDENTIAL_USES_EXHAUSTED",
];

/** Cause and remedy. The five of S2's quick reference are in its sense; the others are ours, because S2 has no row for them. */
const causeAndRemedyByReason: Readonly<Record<ReasonCode, readonly [cause: string, remedy: string]>> = {
  LOCKED_OUT: [
    "Too many wrong codes were typed, and the keypad pauses.",
    "Wait until the keypad takes entries again, or use the app or a card.",
  ],
  ENTRY_TIMEOUT: [
    "A digit came later than 5 seconds after the one before it.",
    "Touch the keypad if it is dark, then type the whole code again, each digit within 5 seconds of the one before.",
  ],
  CREDENTIAL_NOT_SUPPORTED: [
    "This device does not read this kind of credential.",
    "Use a credential that this device can read.",
  ],
  CREDENTIAL_UNKNOWN: [
    "The device holds nothing that matches what was presented.",
    "Check the code or card; if it is new, sync the door, else assign it to a user.",
  ],
  CREDENTIAL_NOT_AUTHENTIC: [
    "The number is known, and the card could not prove its key.",
    "The card did not prove its key: replace it, and find out who has a copy.",
  ],
  CREDENTIAL_STOLEN: [
    "The credential is marked as stolen.",
    "The credential is marked as stolen: issue a new one, and never reactivate this.",
  ],
  CREDENTIAL_LOST: [
    "The credential is marked as lost.",
    "The credential is marked as lost: issue a new one, or take the mark away if it was found.",
  ],
  CREDENTIAL_REVOKED: [
    "The credential or its holder was revoked.",
    "Access was revoked: property management decides whether to give it back.",
  ],
  CREDENTIAL_DISABLED: ["The credential is switched off.", "Enable the credential again in the person's settings."],
  CREDENTIAL_UNASSIGNED: ["The credential is not assigned to a user.", "Assign the credential to a user."],
  DOOR_NOT_ACTIVATED: ["The door was never activated.", "Activate the door's licence."],
  DOOR_LICENSE_EXPIRED: ["The door's subscription has expired.", "Renew the door's licence."],
  DOOR_NOT_ASSIGNED: ["The door is assigned to no company or property.", "Assign the door to the company or property."],
  NO_ACCESS_RIGHTS: [
    "The user is in no access group with this door.",
    "Add the person to an access group that has this door.",
  ],
  CREDENTIAL_NOT_YET_ACTIVE: [
    "The credential's time has not begun.",
    "Wait until the credential begins, or let it begin earlier.",
  ],
  CREDENTIAL_EXPIRED: ["The credential's time is over.", "Create a new credential, or extend this one."],
  APP_SESSION_EXPIRED: [
    "The app's certificate is older than 72 hours, or from before a sign-out.",
    "Open the app with an internet connection, so that its certificate is renewed.",
  ],
  LEASE_ENDED: [
    "The lock has not heard from the site for longer than it may go on alone.",
    "Sync the door: it has not heard from the site for longer than it may go on alone.",
  ],
  DEVICE_CLOCK_WRONG: ["The device does not know the time.", "Sync the door: its clock is not set."],
  OUT_OF_SCHEDULE: [
    "The user is not in the access schedule at this time.",
    "Come within the schedule, or add the person to an access group whose schedule covers this time.",
  ],
  HOLIDAY_RESTRICTED: [
    "A holiday closes the door to whoever comes by a schedule.",
    "Set working hours for the holiday, or come on another day.",
  ],
  CREDENTIAL_USES_EXHAUSTED: [
    "The credential has been used as often as it may.",
    "Create a new credential: this one has been used as often as it may.",
  ],
  DEADBOLT_EXTENDED: [
    "The deadbolt is thrown from inside.",
    "The deadbolt is thrown from inside: daily codes do not open it; ask somebody inside.",
  ],
  INSUFFICIENT_BATTERY: ["The battery cannot move the bolt.", "Replace the batteries, then sync the door."],
  WRONG_LOCK: ["It was made for another door.", "Use it at the lock of the door it was made for."],
  DOORCODE_EXPIRED: ["The code was for an earlier day.", "Generate a new doorcode: this one was for an earlier day."],
  DOORCODE_ALREADY_USED: ["The code opens once and has been used.", "Generate a new doorcode: this one opens once."],
  DOORCODE_NOT_YET_VALID: [
    "The code is for a later day.",
    "Use the code on the day it is for, or generate one for today.",
  ],
  CREDENTIAL_NOT_SYNCED: [
    "The credential is right and has not reached the lock.",
    "Sync the door: the credential is right but has not reached the lock.",
  ],
  ACCESS_NOT_TAKEN: [
    "The door was released and nobody opened it.",
    "The door was released and not opened: try again and pull within its time.",
  ],
  JAMMED: ["The bolt cannot move.", "Free the bolt: align the door, then try again."],
};

/** Where the usual remedy has somebody go to the door: what is on a network needs no courier. */
const networkedRemedyByReason: Partial<Record<ReasonCode, string>> = {
  CREDENTIAL_UNKNOWN:
    "Check the code or card; if it is new, see that the device is connected to the site, else assign it to a user.",
  LEASE_ENDED:
    "See that the device is connected to the site: it has not heard from it for longer than it may go on alone.",
  DEVICE_CLOCK_WRONG: "See that the device is connected, so that its clock is set by the network.",
  INSUFFICIENT_BATTERY: "Replace the batteries.",
  CREDENTIAL_NOT_SYNCED:
    "See that the device is connected to the site: the credential is right but has not reached it.",
};
