/**
 * The decision as somebody at a desk asks for it (SPEC D22): this door, this credential, that time; every device at the door, all
 * checks, the reason and what to do. The devices are taken to be in order: synced, clock set, battery good.
 */
import type { Attempt, LockState } from "../access/attempt.ts";
import { type Decision, decide } from "../access/decide.ts";
import { indexPolicy } from "../access/policy-index.ts";
import {
  type CheckName,
  checkByDenialReason,
  checkNames,
  type DenialReason,
  denialReasons,
  type ReasonCode,
  reasonToDetail,
} from "../access/reasons.ts";
import { remedyOf } from "../access/remedies.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import { modelByName } from "../firmware/models.ts";
import { type CompileFault, type CompileOptions, compileLockPolicy } from "./compile-lock-policy.ts";
import type { Site, SiteCredential, SiteDevice } from "./site.ts";

/** `assumed`: only the device itself knows, and it is taken to be in order. */
export type CheckResult = "passed" | "assumed" | "failed" | "not evaluated";

export interface DeskDecision {
  readonly deviceId: string;
  readonly model: string;
  /** By everything that is known here; what the device does not read or is not for is in it as one failure among the others. */
  readonly decision: Decision;
  /** The failed checks as the desk names them: of a credential for other doors, that it is at the wrong lock. */
  readonly reasons: readonly ReasonCode[];
  /** The first of them. */
  readonly primaryReason: ReasonCode | undefined;
  /** Every check, in the documented order. */
  readonly checks: readonly {
    readonly check: CheckName;
    readonly result: CheckResult;
    readonly reasons: readonly ReasonCode[];
  }[];
  /** What the device itself would say where that differs: an offline lock does not hold people without a key. */
  readonly deviceSays: DenialReason | undefined;
  /** The text in an Akuvox log, for devices that write it. */
  readonly detail: string | undefined;
  readonly remedy: string | undefined;
}

export type DeskFault =
  | { readonly code: "unknown-door"; readonly door: string; readonly known: readonly string[] }
  | { readonly code: "no-such-credential"; readonly credential: string }
  | { readonly code: "no-device"; readonly door: string }
  /** The door sensor sees a mechanical key turn; nobody decides. */
  | { readonly code: "mechanical-key"; readonly fits: readonly string[] }
  | CompileFault;

/** One decision for each device of the door. Faults: as listed. */
export function decideAtDesk(
  site: Site,
  doorId: string,
  credentialId: string,
  at: UnixSeconds,
): Result<readonly DeskDecision[], DeskFault> {
  if (!site.doors.some(({ id }) => id === doorId)) {
    return failed({ code: "unknown-door", door: doorId, known: site.doors.map(({ id }) => id) });
  }
  const credential = site.credentials.find(({ id }) => id === credentialId);
  if (credential === undefined) return failed({ code: "no-such-credential", credential: credentialId });
  const devices = site.devices.filter(({ door }) => door === doorId);
  if (devices.length === 0) return failed({ code: "no-device", door: doorId });
  const attempt = attemptWith(credential, at);
  if (attempt === undefined) {
    const fits = isForDoor(credential, doorId)
      ? devices.filter(({ model }) => modelByName[model].mechanicalKey).map(({ id }) => id)
      : [];
    return failed({ code: "mechanical-key", fits });
  }
  const decisions: DeskDecision[] = [];
  for (const device of devices) {
    const decided = decideAt(site, device, credential, attempt, at);
    if (!decided.ok) return decided;
    decisions.push(decided.value);
  }
  return ok(decisions);
}

function decideAt(
  site: Site,
  device: SiteDevice,
  credential: SiteCredential,
  attempt: Attempt,
  at: UnixSeconds,
): Result<DeskDecision, CompileFault> {
  const held = compileLockPolicy(site, device.id, optionsAt(at));
  if (!held.ok) return held;
  const known = decideByAllThatIsKnown(site, device, credential, at);
  if (!known.ok) return known;
  const model = modelByName[device.model];
  const decision = known.value;
  const says = decide(indexPolicy(held.value), stateAt(at), attempt, at).primaryReason;
  const refined = (reasons: readonly DenialReason[]): readonly ReasonCode[] =>
    isForDoor(credential, device.door)
      ? reasons
      : reasons.map((reason) => (reason === "NO_ACCESS_RIGHTS" ? "WRONG_LOCK" : reason));
  const reasons = refined(decision.failedChecks);
  const primaryReason = reasons[0];
  // What is typed at a panel is a PIN to it, whatever it was made as.
  const readAs = attempt.kind === "code" && !model.takes.includes(credential.kind) ? "pin" : credential.kind;
  return ok({
    deviceId: device.id,
    model: device.model,
    decision,
    reasons,
    primaryReason,
    checks: checkNames.map((check) => checkResult(check, decision, credential, refined)),
    deviceSays: says === primaryReason ? undefined : says,
    detail: model.maker === "Akuvox" && says !== undefined ? reasonToDetail(says, readAs) : undefined,
    remedy: primaryReason === undefined ? undefined : remedyOf(primaryReason, model.network === "ble"),
  });
}

/**
 * Decides with every person and credential of the site. A credential that this device does not read, or that is for other doors, is
 * decided as if it were not so, with that failure added: the device would stop there, and the desk knows the rest.
 */
function decideByAllThatIsKnown(
  site: Site,
  device: SiteDevice,
  credential: SiteCredential,
  at: UnixSeconds,
): Result<Decision, CompileFault> {
  const isRead = modelByName[device.model].takes.includes(credential.kind);
  const isHere = isForDoor(credential, device.door);
  const { doors: _, ...anywhere } = credential;
  const { digits: __, token: ___, ...bare } = anywhere;
  const standIn: SiteCredential = isRead ? anywhere : { ...bare, kind: "app-key" };
  const credentials = site.credentials.map((one) => (one.id === credential.id ? standIn : one));
  const asked = isRead && isHere ? site : { ...site, credentials };
  const policy = compileLockPolicy(asked, device.id, { ...optionsAt(at), holdAll: true });
  if (!policy.ok) return policy;
  const attempt = attemptWith(isRead && isHere ? credential : standIn, at);
  assert(attempt !== undefined, "a mechanical key is decided by nobody");
  const decision = decide(indexPolicy(policy.value), stateAt(at), attempt, at);
  if (isRead && isHere) return ok(decision);
  const failedToo: ReadonlySet<DenialReason> = new Set([
    // What a stand-in fails as an app key is none of the credential's own failures.
    ...decision.failedChecks.filter((reason) => isRead || reason !== "APP_SESSION_EXPIRED"),
    ...(isRead ? [] : (["CREDENTIAL_NOT_SUPPORTED"] as const)),
    ...(isHere ? [] : (["NO_ACCESS_RIGHTS"] as const)),
  ]);
  const failedChecks = denialReasons.filter((reason) => failedToo.has(reason));
  const { kind: credentialKind } = credential;
  return ok({ ...decision, granted: false, primaryReason: failedChecks[0], failedChecks, credentialKind, marks: [] });
}

function checkResult(
  check: CheckName,
  { failedChecks, unevaluated }: Decision,
  { usesAllowed }: SiteCredential,
  refined: (reasons: readonly DenialReason[]) => readonly ReasonCode[],
): DeskDecision["checks"][number] {
  const reasons = refined(failedChecks.filter((reason) => checkByDenialReason[reason] === check));
  if (reasons.length > 0) return { check, result: "failed", reasons };
  if (unevaluated.includes(check)) return { check, result: "not evaluated", reasons };
  const isAssumed = checksOfTheDeviceAlone.includes(check) || (check === "uses" && usesAllowed !== undefined);
  return { check, result: isAssumed ? "assumed" : "passed", reasons };
}

function isForDoor({ doors }: SiteCredential, doorId: string): boolean {
  return doors === undefined || doors.includes(doorId);
}

function optionsAt(now: UnixSeconds): CompileOptions {
  return { epoch: 0, version: 0, now, codeHashKey: deskKey };
}

/** How this credential is presented; undefined for a mechanical key. */
function attemptWith({ id, kind, digits, token }: SiteCredential, at: UnixSeconds): Attempt | undefined {
  switch (kind) {
    case "app-key":
      return { kind: "app", credentialId: id, certificate: { issuedAt: at, notAfter: unixSeconds(at + 3_600) } };
    case "permanent-doorcode":
    case "pin":
      return { kind: "code", digits: digits ?? "" };
    case "temp-key":
      return digits === undefined
        ? { kind: "token", tokenKind: "qr", value: token ?? "", authentic: true }
        : { kind: "code", digits };
    case "keycard":
    case "rf-card":
    case "qr":
    case "face":
    case "licence-plate":
      return { kind: "token", tokenKind: kind, value: token ?? "", authentic: true };
    case "mechanical-key":
      return undefined;
  }
}

function stateAt(at: UnixSeconds): LockState {
  return {
    clock: { quality: "set", highWater: at, poweredSecondsUnset: 0 },
    codeKey: deskKey,
    entryTagKey: deskKey,
    dailyKeys: [],
    usedSlots: new Set(),
    usesSpent: new Map(),
    keypadLockedOut: false,
    battery: "ok",
  };
}

/** Nothing leaves the desk, so any key will do. */
const deskKey = new Uint8Array(32);

/** What the desk takes to be in order, because the device alone knows it. */
const checksOfTheDeviceAlone: readonly CheckName[] = [
  "lock-out",
  "entry-timing",
  "lease",
  "clock",
  "deadbolt",
  "battery",
];
