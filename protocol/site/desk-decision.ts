/**
 * The decision as somebody at a desk asks for it: this door, this credential, that time; every device at the door, all checks, the
 * reason and what to do. The devices are taken to be in order: synced, clock set, battery good.
 */
import type { Attempt, LockState } from "../access/attempt.ts";
import { type Decision, decide } from "../access/decide.ts";
import type { LockPolicy } from "../access/policy.ts";
import { indexPolicy } from "../access/policy-index.ts";
import {
  type CheckName,
  checkByDenialReason,
  checkNames,
  type DenialReason,
  reasonToDetail,
} from "../access/reasons.ts";
import { remedyOf } from "../access/remedies.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import { modelByName } from "../firmware/models.ts";
import { type CompileFault, compileLockPolicy } from "./compile-lock-policy.ts";
import type { Site, SiteCredential, SiteDevice } from "./site.ts";

export type CheckResult = "passed" | "failed" | "not evaluated";

export interface DeskDecision {
  readonly deviceId: string;
  readonly model: string;
  readonly decision: Decision;
  /** Every check, in the documented order. */
  readonly checks: readonly {
    readonly check: CheckName;
    readonly result: CheckResult;
    readonly reasons: readonly DenialReason[];
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
    const fits = devices.filter(({ model }) => modelByName[model].mechanicalKey).map(({ id }) => id);
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
  const options = { epoch: 0, version: 0, now: at, codeHashKey: deskKey };
  const held = compileLockPolicy(site, device.id, options);
  if (!held.ok) return held;
  const known = compileLockPolicy(site, device.id, { ...options, holdAll: true });
  if (!known.ok) return known;
  const state = stateAt(at);
  const decideBy = (policy: LockPolicy): Decision => decide(indexPolicy(policy), state, attempt, at);
  const [says, decision] = [decideBy(held.value), decideBy(known.value)];
  const { primaryReason } = decision;
  const writesDetail = modelByName[device.model].maker === "Akuvox" && primaryReason !== undefined;
  return ok({
    deviceId: device.id,
    model: device.model,
    decision,
    checks: checkNames.map((check) => checkResult(check, decision)),
    deviceSays: says.primaryReason === primaryReason ? undefined : says.primaryReason,
    detail: writesDetail ? reasonToDetail(primaryReason, credential.kind) : undefined,
    remedy: primaryReason === undefined ? undefined : remedyOf(primaryReason),
  });
}

function checkResult(check: CheckName, decision: Decision): DeskDecision["checks"][number] {
  const reasons = decision.failedChecks.filter((reason) => checkByDenialReason[reason] === check);
  if (reasons.length > 0) return { check, result: "failed", reasons };
  return { check, result: decision.unevaluated.includes(check) ? "not evaluated" : "passed", reasons };
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
