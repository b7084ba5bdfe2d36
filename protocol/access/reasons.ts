/**
 * The one closed list of reasons for which a door did not open, and of warnings when it did.
 *
 * Order matters: `denialReasons` stands in the documented order of the checks (SPEC D2), and the primary reason of a denial is
 * the first of its failed checks. What keeps the lock from looking at all comes first (lock-out, entry timing); then the order of
 * the quick reference in the Akuvox article on door-opening failures: credential, licence, access group, validity,
 * schedule and holiday; what is physical comes last.
 */
import { type CredentialKind, credentialKinds } from "./credential-kind.ts";

/** The checks that `decide` runs, in their documented order. */
export const checkNames = [
  "lock-out",
  "entry-timing",
  "credential",
  "assignment",
  "licence",
  "access-group",
  "validity",
  "lease",
  "clock",
  "schedule",
  "holiday",
  "uses",
  "deadbolt",
  "battery",
] as const;
export type CheckName = (typeof checkNames)[number];

/** Each reason of a denial and the check it belongs to, in the documented order. */
export const checkByDenialReason = {
  LOCKED_OUT: "lock-out",
  ENTRY_TIMEOUT: "entry-timing",
  CREDENTIAL_NOT_SUPPORTED: "credential",
  CREDENTIAL_UNKNOWN: "credential",
  CREDENTIAL_NOT_AUTHENTIC: "credential",
  CREDENTIAL_STOLEN: "credential",
  CREDENTIAL_LOST: "credential",
  CREDENTIAL_REVOKED: "credential",
  CREDENTIAL_DISABLED: "credential",
  CREDENTIAL_UNASSIGNED: "assignment",
  DOOR_NOT_ACTIVATED: "licence",
  DOOR_LICENSE_EXPIRED: "licence",
  DOOR_NOT_ASSIGNED: "licence",
  NO_ACCESS_RIGHTS: "access-group",
  CREDENTIAL_NOT_YET_ACTIVE: "validity",
  CREDENTIAL_EXPIRED: "validity",
  APP_SESSION_EXPIRED: "validity",
  LEASE_ENDED: "lease",
  DEVICE_CLOCK_WRONG: "clock",
  OUT_OF_SCHEDULE: "schedule",
  HOLIDAY_RESTRICTED: "holiday",
  CREDENTIAL_USES_EXHAUSTED: "uses",
  DEADBOLT_EXTENDED: "deadbolt",
  INSUFFICIENT_BATTERY: "battery",
} as const satisfies Record<string, CheckName>;

export type DenialReason = keyof typeof checkByDenialReason;
export const denialReasons = Object.keys(checkByDenialReason) as readonly DenialReason[];

/**
 * What only the authority can say, because only it knows other doors, other days and newer revisions. A lock reports
 * CREDENTIAL_UNKNOWN in these cases; `refineUnknown` turns it into one of them afterwards.
 */
export const authorityReasons = [
  "WRONG_LOCK",
  "DOORCODE_EXPIRED",
  "DOORCODE_ALREADY_USED",
  "DOORCODE_NOT_YET_VALID",
  "CREDENTIAL_NOT_SYNCED",
] as const;
export type AuthorityReason = (typeof authorityReasons)[number];

/** What happened after a grant, seen by the door's own sensors. */
export const doorReasons = ["ACCESS_NOT_TAKEN", "JAMMED"] as const;
export type DoorReason = (typeof doorReasons)[number];

export type ReasonCode = DenialReason | AuthorityReason | DoorReason;
export const reasonCodes: readonly ReasonCode[] = [...denialReasons, ...authorityReasons, ...doorReasons];

/** What should be known about a decision besides its reason; a warning never changes the decision. */
export const warningCodes = [
  "REVOKED_NOT_SYNCED",
  "POLICY_STALE",
  "DEVICE_CLOCK_DOUBTFUL",
  "LICENSE_NEAR_END",
  "LEASE_NEAR_END",
  "BATTERY_LOW",
] as const;
export type WarningCode = (typeof warningCodes)[number];

/** How an Akuvox panel writes the kind in "Invalid [Credential Type]"; one label for each kind, so that it reads back. */
export const detailLabelByKind: Readonly<Record<CredentialKind, string>> = {
  "app-key": "BLE",
  "permanent-doorcode": "Doorcode",
  "daily-doorcode": "Daily Doorcode",
  keycard: "NFC",
  "mechanical-key": "Key",
  pin: "PIN",
  "rf-card": "RF Card",
  qr: "QR Code",
  face: "Face",
  "licence-plate": "License Plate",
  "temp-key": "Temp Key",
};

export const detailText = {
  invalid: (kind: CredentialKind): string => `Invalid ${detailLabelByKind[kind]}`,
  licence: "Door license expired or not activated",
  permissionOrLicence: "No access permission or door license is not available",
  validPeriod: "Not within the valid period",
  holiday: "No access permission during holidays",
} as const;

/**
 * The verbatim text of the Detail column for a reason, or undefined where Akuvox has none.
 * `kind` is what was presented. Source: S2; knowledge.akuvox.com/docs/door-opening-failure (one text, four causes).
 */
export function reasonToDetail(reason: ReasonCode, kind: CredentialKind): string | undefined {
  switch (reason) {
    case "CREDENTIAL_UNKNOWN":
    case "CREDENTIAL_UNASSIGNED":
    case "CREDENTIAL_NOT_AUTHENTIC":
    case "CREDENTIAL_NOT_SUPPORTED":
      return detailText.invalid(kind);
    case "DOOR_LICENSE_EXPIRED":
    case "DOOR_NOT_ACTIVATED":
      return detailText.licence;
    case "DOOR_NOT_ASSIGNED":
    case "NO_ACCESS_RIGHTS":
    case "OUT_OF_SCHEDULE":
      return detailText.permissionOrLicence;
    case "CREDENTIAL_EXPIRED":
    case "CREDENTIAL_NOT_YET_ACTIVE":
      return detailText.validPeriod;
    case "HOLIDAY_RESTRICTED":
      return detailText.holiday;
    default:
      return undefined;
  }
}

export interface DetailMeaning {
  /** Every reason that shows this text, in the order in which to look: licence before access group (row 109). */
  readonly reasons: readonly ReasonCode[];
  /** What was presented, where the text says so. */
  readonly kind?: CredentialKind;
  /** What stood after "Invalid", when it is no kind that we know. */
  readonly unknownKind?: string;
}

/**
 * Reads a Detail text; undefined when it is none that is known. Letters of either case, and the short forms of the quick reference
 * table ("Invalid Credential", "No access permission"), are read as well.
 */
export function detailToReasons(text: string): DetailMeaning | undefined {
  const plain = text.trim().toLowerCase();
  const fixed = meaningByText.get(plain);
  if (fixed !== undefined) return fixed;
  const kindText = invalidPattern.exec(plain)?.[1];
  if (kindText === undefined) return undefined;
  const kind = kindByLabel.get(kindText);
  if (kind !== undefined) return { reasons: invalidReasons, kind };
  return { reasons: invalidReasons, unknownKind: kindText };
}

const invalidReasons: readonly ReasonCode[] = [
  "CREDENTIAL_UNASSIGNED",
  "CREDENTIAL_UNKNOWN",
  "CREDENTIAL_NOT_AUTHENTIC",
  "CREDENTIAL_NOT_SUPPORTED",
];
const licenceReasons: readonly ReasonCode[] = ["DOOR_LICENSE_EXPIRED", "DOOR_NOT_ACTIVATED"];
const rightsReasons: readonly ReasonCode[] = ["DOOR_NOT_ASSIGNED", "NO_ACCESS_RIGHTS", "OUT_OF_SCHEDULE"];

const meaningByText: ReadonlyMap<string, DetailMeaning> = new Map([
  [detailText.licence.toLowerCase(), { reasons: licenceReasons }],
  // One text, four causes: licence, company, group, schedule.
  [detailText.permissionOrLicence.toLowerCase(), { reasons: [...licenceReasons, ...rightsReasons] }],
  ["no access permission", { reasons: rightsReasons }],
  [detailText.validPeriod.toLowerCase(), { reasons: ["CREDENTIAL_EXPIRED", "CREDENTIAL_NOT_YET_ACTIVE"] }],
  [detailText.holiday.toLowerCase(), { reasons: ["HOLIDAY_RESTRICTED"] }],
  ["invalid credential", { reasons: invalidReasons }],
]);
const kindByLabel: ReadonlyMap<string, CredentialKind> = new Map(
  credentialKinds.map((kind) => [detailLabelByKind[kind].toLowerCase(), kind]),
);
/** A kind is a word or three; a longer text is no Detail of this form. */
const invalidPattern = /^invalid ([a-z0-9 -]{1,40})$/;
