/**
 * Each reason in the words of three standards, for whoever receives an event and speaks one of them (SPEC D18).
 *
 * `lossy` marks a code that says less than the reason, or something near it; undefined means that the standard has no word at all. That
 * is so for what only a lock without a network can suffer: a clock that is wrong, a credential that has not arrived.
 */
import { assert } from "../base/result.ts";
import type { ReasonCode } from "./reasons.ts";

export type StandardCode<Code> = { readonly code: Code; readonly lossy: boolean };

export interface StandardCodes {
  /** DenyReason, with a disable reason or a topic of its own where ONVIF has one. */
  readonly onvif: StandardCode<OnvifReason> | undefined;
  /** OperationErrorEnum of the Door Lock cluster (0x0101), or an AlarmCodeEnum. */
  readonly matter: StandardCode<MatterCode> | undefined;
  /** BACnetAccessEvent. */
  readonly bacnet: StandardCode<number> | undefined;
}

export type OnvifReason =
  | { readonly reason: OnvifDenyReason; readonly detail?: string }
  | { readonly topic: "Denied/CredentialNotFound" | "AccessNotTaken/Credential" };
type OnvifDenyReason =
  | "CredentialNotEnabled"
  | "CredentialNotActive"
  | "CredentialExpired"
  | "InvalidPIN"
  | "NotPermittedAtThisTime"
  | "Unauthorized"
  | "Other";
export type MatterCode = { readonly operationError: 0 | 1 | 2 | 3 | 4 } | { readonly alarm: 0 | 4 };

const standardSources = {
  onvif:
    "ONVIF Access Control Service, wsdl/ver10/pacs/accesscontrol.wsdl and doc/AccessControl.xml (github.com/onvif/specs)",
  matter: "Matter Door Lock cluster 0x0101, door-lock-cluster.xml (github.com/project-chip/connectedhomeip)",
  bacnet: "ANSI/ASHRAE 135, BACnetAccessEvent, values as in bacnet-types 0.9.0 (docs.rs)",
} as const;

/** Where a mapping is from: the standard's own word for the code, and the place of that word. Undefined where there is no mapping. */
export function mappingSource(reason: ReasonCode, standard: keyof StandardCodes): string | undefined {
  const term = termOf(standardsByReason[reason], standard);
  return term === undefined ? undefined : `${term}: ${standardSources[standard]}`;
}

function termOf({ onvif, matter, bacnet }: StandardCodes, standard: keyof StandardCodes): string | undefined {
  switch (standard) {
    case "onvif": {
      if (onvif === undefined) return undefined;
      if ("topic" in onvif.code) return `topic ${onvif.code.topic}`;
      const { reason, detail } = onvif.code;
      return `DenyReason ${reason}${detail === undefined ? "" : `, ${detail}`}`;
    }
    case "matter": {
      if (matter === undefined) return undefined;
      const { code } = matter;
      return "alarm" in code
        ? `AlarmCodeEnum ${matterAlarms[code.alarm]} (${code.alarm})`
        : `OperationErrorEnum ${matterErrors[code.operationError]} (${code.operationError})`;
    }
    case "bacnet": {
      if (bacnet === undefined) return undefined;
      const name = bacnetEvents.get(bacnet.code);
      assert(name !== undefined, "every event that is mapped has its name here");
      return `${name} (${bacnet.code})`;
    }
  }
}

/** How to write a reason of ours where a standard leaves room for makers' own words: as a qualified name (ONVIF, DenyReason Other). */
export function vendorReason(reason: ReasonCode): string {
  return `doorlink:${reason}`;
}

/** The same reason in the other standards' words. */
export function reasonToStandards(reason: ReasonCode): StandardCodes {
  return standardsByReason[reason];
}

/** The reasons of ours that a BACnet access event may stand for, exact ones first; none for an event that no reason uses. */
export function bacnetToReasons(event: number): readonly ReasonCode[] {
  return reasonsWith(({ bacnet }) => (bacnet?.code === event ? bacnet : undefined));
}

/** The reasons of ours that a Matter operation error may stand for, exact ones first. */
export function matterErrorToReasons(operationError: number): readonly ReasonCode[] {
  return reasonsWith(({ matter }) =>
    matter !== undefined && "operationError" in matter.code && matter.code.operationError === operationError
      ? matter
      : undefined,
  );
}

/** The reasons of ours that an ONVIF deny reason may stand for, exact ones first. Unknown text counts as Other, as ONVIF demands. */
export function onvifToReasons(text: string): readonly ReasonCode[] {
  const own = text.startsWith("doorlink:") ? text.slice("doorlink:".length) : undefined;
  if (own !== undefined && Object.hasOwn(standardsByReason, own)) return [own as ReasonCode];
  const reason = onvifDenyReasons.find((known) => known === text) ?? "Other";
  return reasonsWith(({ onvif }) =>
    onvif !== undefined && "reason" in onvif.code && onvif.code.reason === reason ? onvif : undefined,
  );
}

function reasonsWith(match: (codes: StandardCodes) => { readonly lossy: boolean } | undefined): readonly ReasonCode[] {
  const found = (Object.keys(standardsByReason) as ReasonCode[]).flatMap((reason) => {
    const code = match(standardsByReason[reason]);
    return code === undefined ? [] : [{ reason, lossy: code.lossy }];
  });
  return found.toSorted((left, right) => Number(left.lossy) - Number(right.lossy)).map(({ reason }) => reason);
}

const exact = <Code>(code: Code): StandardCode<Code> => ({ code, lossy: false });
const lossy = <Code>(code: Code): StandardCode<Code> => ({ code, lossy: true });
const denied = (reason: OnvifDenyReason, detail?: string): OnvifReason =>
  detail === undefined ? { reason } : { reason, detail };
const error = (operationError: 0 | 1 | 2 | 3 | 4): MatterCode => ({ operationError });
const notFound: OnvifReason = { topic: "Denied/CredentialNotFound" };
const none = undefined;

const matterErrors = [
  "Unspecified",
  "InvalidCredential",
  "DisabledUserDenied",
  "Restricted",
  "InsufficientBattery",
] as const;
const matterAlarms = { 0: "LockJammed", 4: "WrongCodeEntryLimit" } as const;
const bacnetEvents: ReadonlyMap<number, string> = new Map([
  [10, "out-of-service"],
  [16, "no-entry-after-granted"],
  [129, "denied-unknown-credential"],
  [130, "denied-authentication-unavailable"],
  [131, "denied-authentication-factor-timeout"],
  [132, "denied-incorrect-authentication-factor"],
  [134, "denied-point-no-access-rights"],
  [136, "denied-out-of-time-range"],
  [139, "denied-unexpected-location-usage"],
  [140, "denied-max-attempts"],
  [143, "denied-authentication-factor-lost"],
  [144, "denied-authentication-factor-stolen"],
  [149, "denied-credential-unassigned"],
  [150, "denied-credential-not-provisioned"],
  [151, "denied-credential-not-yet-active"],
  [152, "denied-credential-expired"],
  [153, "denied-credential-manual-disable"],
  [156, "denied-credential-max-uses"],
  [158, "denied-credential-disabled"],
]);

const onvifDenyReasons: readonly OnvifDenyReason[] = [
  "CredentialNotEnabled",
  "CredentialNotActive",
  "CredentialExpired",
  "InvalidPIN",
  "NotPermittedAtThisTime",
  "Unauthorized",
  "Other",
];

const standardsByReason: Readonly<Record<ReasonCode, StandardCodes>> = {
  LOCKED_OUT: {
    // ONVIF and Matter speak of a credential or a lock; here it is the keypad alone.
    onvif: lossy(denied("CredentialNotEnabled", "pt:CredentialLockedOut")),
    matter: exact({ alarm: 4 }),
    bacnet: exact(140),
  },
  ENTRY_TIMEOUT: { onvif: lossy(denied("Other")), matter: none, bacnet: exact(131) },
  CREDENTIAL_NOT_SUPPORTED: { onvif: lossy(denied("Other")), matter: lossy(error(1)), bacnet: lossy(130) },
  CREDENTIAL_UNKNOWN: { onvif: exact(notFound), matter: exact(error(1)), bacnet: exact(129) },
  CREDENTIAL_NOT_AUTHENTIC: { onvif: lossy(denied("Unauthorized")), matter: lossy(error(1)), bacnet: lossy(132) },
  CREDENTIAL_STOLEN: {
    onvif: exact(denied("CredentialNotEnabled", "pt:CredentialStolen")),
    matter: lossy(error(2)),
    bacnet: exact(144),
  },
  CREDENTIAL_LOST: {
    onvif: exact(denied("CredentialNotEnabled", "pt:CredentialLost")),
    matter: lossy(error(2)),
    bacnet: exact(143),
  },
  CREDENTIAL_REVOKED: {
    onvif: lossy(denied("CredentialNotEnabled", "pt:CredentialBlocked")),
    matter: lossy(error(2)),
    bacnet: lossy(153),
  },
  CREDENTIAL_DISABLED: { onvif: exact(denied("CredentialNotEnabled")), matter: exact(error(2)), bacnet: exact(158) },
  CREDENTIAL_UNASSIGNED: { onvif: lossy(notFound), matter: lossy(error(1)), bacnet: exact(149) },
  DOOR_NOT_ACTIVATED: { onvif: lossy(denied("Other")), matter: lossy(error(0)), bacnet: lossy(10) },
  DOOR_LICENSE_EXPIRED: { onvif: lossy(denied("Other")), matter: lossy(error(0)), bacnet: lossy(10) },
  DOOR_NOT_ASSIGNED: { onvif: lossy(denied("Unauthorized")), matter: lossy(error(0)), bacnet: lossy(134) },
  NO_ACCESS_RIGHTS: { onvif: exact(denied("Unauthorized")), matter: lossy(error(1)), bacnet: exact(134) },
  CREDENTIAL_NOT_YET_ACTIVE: {
    onvif: exact(denied("CredentialNotActive")),
    matter: lossy(error(3)),
    bacnet: exact(151),
  },
  CREDENTIAL_EXPIRED: { onvif: exact(denied("CredentialExpired")), matter: lossy(error(3)), bacnet: exact(152) },
  APP_SESSION_EXPIRED: { onvif: lossy(denied("CredentialExpired")), matter: lossy(error(1)), bacnet: lossy(152) },
  LEASE_ENDED: {
    onvif: lossy(denied("CredentialExpired", "pt:CredentialRenewalNeeded")),
    matter: lossy(error(3)),
    bacnet: lossy(152),
  },
  DEVICE_CLOCK_WRONG: { onvif: none, matter: none, bacnet: none },
  OUT_OF_SCHEDULE: { onvif: exact(denied("NotPermittedAtThisTime")), matter: exact(error(3)), bacnet: exact(136) },
  HOLIDAY_RESTRICTED: { onvif: lossy(denied("NotPermittedAtThisTime")), matter: lossy(error(3)), bacnet: lossy(136) },
  CREDENTIAL_USES_EXHAUSTED: { onvif: lossy(denied("Other")), matter: lossy(error(1)), bacnet: exact(156) },
  DEADBOLT_EXTENDED: { onvif: lossy(denied("Other")), matter: lossy(error(3)), bacnet: none },
  INSUFFICIENT_BATTERY: { onvif: lossy(denied("Other")), matter: exact(error(4)), bacnet: none },
  WRONG_LOCK: { onvif: lossy(denied("Unauthorized")), matter: lossy(error(1)), bacnet: lossy(139) },
  DOORCODE_EXPIRED: { onvif: exact(denied("CredentialExpired")), matter: lossy(error(3)), bacnet: lossy(152) },
  DOORCODE_ALREADY_USED: { onvif: lossy(denied("Other")), matter: lossy(error(1)), bacnet: lossy(156) },
  DOORCODE_NOT_YET_VALID: { onvif: exact(denied("CredentialNotActive")), matter: lossy(error(3)), bacnet: lossy(151) },
  CREDENTIAL_NOT_SYNCED: { onvif: none, matter: none, bacnet: lossy(150) },
  ACCESS_NOT_TAKEN: { onvif: exact({ topic: "AccessNotTaken/Credential" }), matter: none, bacnet: exact(16) },
  JAMMED: { onvif: none, matter: exact({ alarm: 0 }), bacnet: none },
};
