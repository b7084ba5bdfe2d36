/**
 * What to do about a reason, in one line for whoever sits at the desk (rows 93-118). Diagnosis says more: the path, the role,
 * the proof; this is what an event or a command can carry.
 */
import type { ReasonCode } from "./reasons.ts";

export function remedyOf(reason: ReasonCode): string {
  return remedyByReason[reason];
}

const remedyByReason: Readonly<Record<ReasonCode, string>> = {
  LOCKED_OUT: "Wait until the keypad takes entries again, or use the app or a card.",
  ENTRY_TIMEOUT: "Type the code again, each digit within 5 seconds of the one before.",
  CREDENTIAL_NOT_SUPPORTED: "Use a credential that this device can read.",
  CREDENTIAL_UNKNOWN: "Check the code or card; if it is new, sync the door, else assign it to a user.",
  CREDENTIAL_NOT_AUTHENTIC: "The card did not prove its key: replace it, and find out who has a copy.",
  CREDENTIAL_STOLEN: "The credential is marked as stolen: issue a new one, and never reactivate this.",
  CREDENTIAL_LOST: "The credential is marked as lost: issue a new one, or take the mark away if it was found.",
  CREDENTIAL_REVOKED: "Access was revoked: property management decides whether to give it back.",
  CREDENTIAL_DISABLED: "Enable the credential again in the person's settings.",
  CREDENTIAL_UNASSIGNED: "Assign the credential to a user.",
  DOOR_NOT_ACTIVATED: "Activate the door's licence.",
  DOOR_LICENSE_EXPIRED: "Renew the door's licence.",
  DOOR_NOT_ASSIGNED: "Assign the door to the company or property.",
  NO_ACCESS_RIGHTS: "Add the person to an access group that has this door.",
  CREDENTIAL_NOT_YET_ACTIVE: "Wait until the credential begins, or let it begin earlier.",
  CREDENTIAL_EXPIRED: "Create a new credential, or extend this one.",
  APP_SESSION_EXPIRED: "Open the app with an internet connection, so that its certificate is renewed.",
  LEASE_ENDED: "Sync the door: it has not heard from the site for longer than it may go on alone.",
  DEVICE_CLOCK_WRONG: "Sync the door: its clock is not set.",
  OUT_OF_SCHEDULE: "Come within the schedule, or add the person to an access group whose schedule covers this time.",
  HOLIDAY_RESTRICTED: "Set working hours for the holiday, or come on another day.",
  CREDENTIAL_USES_EXHAUSTED: "Create a new credential: this one has been used as often as it may.",
  DEADBOLT_EXTENDED: "The deadbolt is thrown from inside: daily codes do not open it; ask somebody inside.",
  INSUFFICIENT_BATTERY: "Replace the batteries, then sync the door.",
  WRONG_LOCK: "Type the code at the lock of the door it was made for.",
  DOORCODE_EXPIRED: "Generate a new doorcode: this one was for an earlier day.",
  DOORCODE_ALREADY_USED: "Generate a new doorcode: this one opens once.",
  DOORCODE_NOT_YET_VALID: "Use the code on the day it is for, or generate one for today.",
  CREDENTIAL_NOT_SYNCED: "Sync the door: the credential is right but has not reached the lock.",
  ACCESS_NOT_TAKEN: "The door was released and not opened: try again and pull within its time.",
  JAMMED: "Free the bolt: align the door, then try again.",
};
