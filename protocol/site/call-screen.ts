/**
 * What a resident's app offers on its call screen (SPEC N9; rows 30-33), and why an option is not there: no lock that could take a
 * doorcode, an app below the version that knows the option, or nothing that anybody can see, which goes to support with what S0 says
 * to include. Nothing is guessed: an app that has not said its version is not taken for an old one.
 */
import { compareVersions, parseVersion } from "../firmware/version.ts";

export type CallOption = "generate-doorcode";
export type AppCapability = "receive-calls" | CallOption;

export interface AppMinimum {
  readonly version: string;
  readonly source: string;
  /** Month in which the source was written or read. */
  readonly setOn: string;
}

const emulatorsOwn = {
  source:
    "this project's own for the emulated app: S0 asks for an app that is up to date, and DOOR publishes no version for it",
  setOn: "2026-11",
} as const;

/** From which version of the app on each capability is there. */
export const appMinimumByCapability: Readonly<Record<AppCapability, AppMinimum>> = {
  "receive-calls": { version: "4.0.0", ...emulatorsOwn },
  "generate-doorcode": { version: "5.2.0", ...emulatorsOwn },
};

export interface CallScreenFacts {
  readonly doorName: string;
  readonly resident: { readonly name: string; readonly email: string };
  /** Locks of the door on which a daily code can work now. */
  readonly doorcodeLocks: number;
  /** As the app reports it; undefined: it reported none. */
  readonly appVersion: string | undefined;
}

/** Whom to ask and what to send along. Source: S0, "When to escalate". */
export interface Escalation {
  readonly to: string;
  readonly include: readonly { readonly what: string; readonly value: string | null }[];
}

export interface MissingOption {
  readonly option: CallOption;
  readonly reason: "NO_ACTIVE_DEVICE" | "APP_TOO_OLD" | "UNEXPLAINED";
  readonly remedy: string;
  /** Of APP_TOO_OLD. */
  readonly minimum?: AppMinimum;
  /** Of UNEXPLAINED. */
  readonly escalation?: Escalation;
}

export interface CallScreen {
  readonly options: readonly CallOption[];
  readonly missing: readonly MissingOption[];
}

/** The options that the app is to show, and every reason for one that it is not, in the order in which S0 asks for them. */
export function callScreen(facts: CallScreenFacts): CallScreen {
  const missing: MissingOption[] = [];
  if (facts.doorcodeLocks === 0) missing.push(withoutDevice(facts));
  if (appKnows("generate-doorcode", facts.appVersion) === false) missing.push(tooOld(facts));
  return { options: missing.length === 0 ? ["generate-doorcode"] : [], missing };
}

/** The same after the app said what it really shows: an option that was to be there and is not has no cause that we could name. */
export function callScreenAsShown(facts: CallScreenFacts, shown: readonly string[]): CallScreen {
  const meant = callScreen(facts);
  const lost = meant.options.filter((option) => !shown.includes(option));
  if (lost.length === 0) return meant;
  const options = meant.options.filter((option) => shown.includes(option));
  return { options, missing: lost.map((option) => unexplained(option, facts)) };
}

/** Undefined when the version is missing, cannot be read, or ends where the minimum goes on. */
export function appKnows(capability: AppCapability, appVersion: string | undefined): boolean | undefined {
  const minimum = parseVersion(appMinimumByCapability[capability].version);
  const reported = parseVersion(appVersion ?? "");
  if (!minimum.ok || !reported.ok) return undefined;
  const order = compareVersions(reported.value, minimum.value);
  return order === undefined ? undefined : order >= 0;
}

function withoutDevice({ doorName }: CallScreenFacts): MissingOption {
  return {
    option: "generate-doorcode",
    reason: "NO_ACTIVE_DEVICE",
    remedy: `Assign a lock to ${doorName} and put it in service: a doorcode can only be generated for a door with an active device.`,
  };
}

function tooOld({ resident, appVersion }: CallScreenFacts): MissingOption {
  const minimum = appMinimumByCapability["generate-doorcode"];
  return {
    option: "generate-doorcode",
    reason: "APP_TOO_OLD",
    remedy: `${resident.name} updates the app: it is ${appVersion}, and doorcodes need ${minimum.version}.`,
    minimum,
  };
}

function unexplained(option: CallOption, { doorName, resident, appVersion }: CallScreenFacts): MissingOption {
  return {
    option,
    reason: "UNEXPLAINED",
    remedy: `Contact ${supportAddress}: the door has an active lock, the app knows the option, and it does not appear.`,
    escalation: {
      to: supportAddress,
      include: [
        { what: "the door name in DOOR OS", value: doorName },
        { what: "the resident's email", value: resident.email },
        { what: "the version of the app", value: appVersion ?? null },
        // Only whoever stood at the door can say this.
        { what: "a description of what happens when the QR code is scanned", value: null },
      ],
    },
  };
}

const supportAddress = "support@door.com";
