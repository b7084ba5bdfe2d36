/**
 * The firmware of a device that is on the site's network: a panel or reader of the Akuvox kind, or an R2 lock.
 *
 * It decides by its compiled policy as an offline lock does, with the same order: marks, log, then the relay (SPEC L1). The policy is
 * the one of its installation until the authority's first one comes (SPEC M15); newer ones come whole, over MQTT. Its clock
 * comes from the network and counts as set. Its log is the event journal; what firmware below its floor does not report
 * (the reason, row 89) stands in the journal's truth for the world to compare, and in no event.
 */
import type { Attempt, DailyKey, LockState } from "../../protocol/access/attempt.ts";
import { civilDay, civilSeconds, offsetAt } from "../../protocol/access/calendar.ts";
import type { CredentialKind } from "../../protocol/access/credential-kind.ts";
import { type Decision, decide } from "../../protocol/access/decide.ts";
import { entryTag } from "../../protocol/access/lookup.ts";
import { encodePolicy, type LockPolicy, policyRoot } from "../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import { type DenialReason, reasonToDetail } from "../../protocol/access/reasons.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type MonotonicMs, monotonicMs, type UnixMs, unixSeconds } from "../../protocol/base/units.ts";
import type { DeviceModel } from "../../protocol/firmware/models.ts";
import { judgeFirmware, reportsReason } from "../../protocol/firmware/version.ts";
import { type DeliveryFault, verifyDelivery } from "../../protocol/sync/delivered-policy.ts";
import { faultNumberByCode } from "../../protocol/wire/audit-entry.ts";
import type { UnlockCommandMessage, UnlockReason, UnlockResult } from "../../protocol/wire/messages/command.ts";
import type { DeviceDesired } from "../../protocol/wire/messages/desired.ts";
import type { BootFields } from "../../protocol/wire/messages/fields.ts";
import { macPolicyReport, policyReport } from "../../protocol/wire/policy-report.ts";
import type { EventJournal, SentEvent } from "./event-journal.ts";
import type { Flash } from "./flash.ts";
import { Keypad, type KeypadKey } from "./keypad.ts";
import { type LockOutcome, unusableEntry } from "./lock.ts";
import { type FlashFault, LockStore } from "./lock-store.ts";
import { KeypadThrottle } from "./lock-throttle.ts";
import { type UnlockEnrolment, UnlockGuard } from "./networked-unlock.ts";
import { PoweredTime } from "./powered-time.ts";
import { UsedMarks } from "./used-marks.ts";

export interface NetworkedHardware {
  readonly model: DeviceModel;
  /** What the device says of itself; null: it does not say. */
  readonly firmware: string | null;
  /** Under which the codes of the policy of its installation are hashed. */
  readonly codeKey: Uint8Array;
  /** Such devices hold their users' names; a policy holds credentials only. */
  readonly personByCredential: ReadonlyMap<string, string>;
}

/** What enrolment gives: how denied codes are named, and on a lock the keys of its door's daily codes. */
export interface Enrolment {
  readonly entryTagKey: Uint8Array;
  readonly dailyKeys: readonly DailyKey[];
  /** Absent: the device takes no unlock commands. */
  readonly unlock?: UnlockEnrolment;
  /** Absent: the device goes on deciding by what it was installed with. */
  readonly policy?: PolicyEnrolment;
}

/** What enrolment gives a device that learns policies. */
export interface PolicyEnrolment {
  /** The id given at enrolment, by which a signed policy names this device. */
  readonly pairingId: Uint8Array;
  /** The authority's Ed25519 public key for policies. */
  readonly policyKey: Uint8Array;
  /** Under which the codes of the authority's policies are hashed. */
  readonly codeHashKey: Uint8Array;
  /** Shared with the authority alone: MACs what this device says it holds. */
  readonly reportKey: Uint8Array;
}

/** Which policy decides; epoch and version 0: the one that the device was installed with. */
export interface HeldVersion {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
}

export type PolicyRefusal = DeliveryFault | { readonly code: "not-enrolled" };

/** Time as the host gives it: the network's time for decisions, an ever-forward one for keypad and relay. */
export interface DeviceTime {
  readonly unixMs: UnixMs;
  readonly monotonicMs: MonotonicMs;
}

export class NetworkedDevice {
  readonly hardware: NetworkedHardware;
  readonly journal: EventJournal;
  #policy: IndexedPolicy;
  #holds: HeldVersion;
  /** Under which the codes of the policy that decides are hashed. */
  #codeKey: Uint8Array;
  readonly #store: LockStore;
  readonly #keypad = new Keypad();
  readonly #throttle: KeypadThrottle;
  readonly #powered: PoweredTime;
  readonly #marks: UsedMarks;
  readonly #bootedAt: MonotonicMs;
  readonly #bootId: Uint8Array;
  #enrolment: Enrolment | undefined;
  #unlockGuard: UnlockGuard | undefined;
  #openUntil: MonotonicMs | undefined;

  constructor(
    hardware: NetworkedHardware,
    policy: LockPolicy,
    /** `bootId`: 16 random bytes, drawn anew at each boot. */
    memory: { readonly flash: Flash; readonly journal: EventJournal; readonly bootId: Uint8Array },
    time: DeviceTime,
  ) {
    this.hardware = hardware;
    this.journal = memory.journal;
    this.#policy = indexPolicy(policy);
    this.#holds = { epoch: 0, version: 0, root: policyRoot(encodePolicy(policy)) };
    this.#codeKey = hardware.codeKey;
    this.#bootId = memory.bootId;
    this.#store = new LockStore(memory.flash);
    const faults = this.#store.findRot();
    this.#throttle = new KeypadThrottle(this.#store);
    this.#powered = new PoweredTime(memory.flash, time.monotonicMs, this.#throttle.countedSeconds);
    this.#bootedAt = time.monotonicMs;
    this.#marks = new UsedMarks(this.#store);
    this.#write({ kind: "boot" }, time);
    this.#settleRot(faults, time);
  }

  /** Takes what enrolment gave. A policy that was delivered in an earlier boot decides from here on: its codes need the key of enrolment. */
  enrol(enrolment: Enrolment): void {
    this.#enrolment = enrolment;
    const { unlock, policy } = enrolment;
    const kept = policy === undefined ? undefined : this.#store.readPolicy();
    if (policy !== undefined && kept !== undefined) this.#decideBy(kept, policy);
    if (kept?.stale === false) this.#marks.policyHeld(kept.policy);
    const boot = { id: this.#bootId, count: this.journal.boot };
    this.#unlockGuard = unlock === undefined ? undefined : new UnlockGuard(unlock, boot);
  }

  /** Which boot this is and how old, for the authority; undefined for a device that takes no unlock commands. */
  bootFields(now: MonotonicMs): BootFields | undefined {
    return this.#unlockGuard?.bootFields(this.#uptimeMs(now));
  }

  /**
   * Carries out an unlock command that this device itself finds good, and gives what is to be answered, in order. The bolt
   * moves when the command is remembered and the event is written (SPEC L1, V5).
   */
  unlock(message: UnlockCommandMessage, time: DeviceTime): readonly UnlockAnswer[] {
    if (this.#unlockGuard === undefined) return [{ state: "refused", reason: "not-enrolled" }];
    const taken = this.#unlockGuard.take(message, this.#uptimeMs(time.monotonicMs));
    if (!taken.ok) return [refusalToAnswer(taken.fault.code)];
    this.#write({ kind: "access-granted", credentialType: "remote", command: message.id }, time);
    this.#open(time);
    return [{ state: "accepted" }, { state: "executing" }, { state: "done" }];
  }

  /** Which policy decides. */
  get holds(): HeldVersion {
    return this.#holds;
  }

  /**
   * Takes a policy of the authority: it decides when this returns, and is written down (SPEC M15). A fault leaves everything as it was.
   */
  takePolicy(desired: DeviceDesired, time: DeviceTime): Result<HeldVersion, PolicyRefusal> {
    const enrolled = this.#enrolment?.policy;
    if (enrolled === undefined) return failed({ code: "not-enrolled" });
    const { pairingId, policyKey } = enrolled;
    const now = unixSeconds(time.unixMs / 1000);
    const verified = verifyDelivery(desired.manifest, desired.bundle, {
      pairingId,
      policyKey,
      holds: this.#holds,
      now,
    });
    if (!verified.ok) return verified;
    this.#store.commitPolicy(verified.value);
    this.#decideBy(verified.value, enrolled);
    this.#marks.policyHeld(verified.value.policy);
    return ok(this.#holds);
  }

  /** What this device holds, in its own words and under its MAC (SPEC M14); undefined before enrolment. */
  policyReport(now: MonotonicMs): { readonly report: Uint8Array; readonly mac: Uint8Array } | undefined {
    const enrolled = this.#enrolment?.policy;
    if (enrolled === undefined) return undefined;
    const { pairingId, reportKey } = enrolled;
    const bootCount = this.journal.boot;
    const report = policyReport.encode({ pairingId, ...this.#holds, bootCount, uptimeMs: this.#uptimeMs(now) });
    return { report, mac: macPolicyReport(reportKey, report) };
  }

  /** Whether denials leave this device with a reason. "Not known" firmware is taken to: row 89 knows of floors only. */
  get reportsReasons(): boolean {
    const { model, firmware } = this.hardware;
    return reportsReason(judgeFirmware(model.name, firmware ?? undefined)) !== "not reported";
  }

  get relay(): "locked" | "unlocked" {
    return this.#openUntil === undefined ? "locked" : "unlocked";
  }

  press(key: KeypadKey, time: DeviceTime): readonly LockOutcome[] {
    const { digitTimeoutMs, checkMarkKey, keypadWake } = this.hardware.model;
    if (digitTimeoutMs === undefined) return [];
    const endsAfter = checkMarkKey ? undefined : this.#policy.policy.keypad.dailyDigits;
    return this.#keypad.press(key, { digitTimeoutMs, endsAfter, keypadWake }, time.monotonicMs).map((event) => {
      if (event.kind === "entry") return this.#enter(event.digits, event.times, time);
      return event.kind === "timeout" ? this.#timeOut(time) : unusableEntry;
    });
  }

  /** Whether the keypad is dark and the next key only wakes it (SPEC K5). */
  isKeypadAsleep(now: MonotonicMs): boolean {
    return this.#keypad.isAsleep(this.hardware.model, now);
  }

  present(attempt: Exclude<Attempt, { kind: "code" }>, time: DeviceTime): LockOutcome {
    const kind = attempt.kind === "app" ? "app-key" : attempt.tokenKind;
    return this.#judge(attempt, kind, false, time);
  }

  /** To be called when `nextWakeMs` has come, and now and then besides: harmless at any time. */
  wake(time: DeviceTime): readonly LockOutcome[] {
    this.#powered.keep(time.monotonicMs);
    if (this.#openUntil !== undefined && time.monotonicMs >= this.#openUntil) this.#openUntil = undefined;
    return this.#keypad.wake(time.monotonicMs).map(() => this.#timeOut(time));
  }

  nextWakeMs(): MonotonicMs | undefined {
    const keypad = this.#keypad.nextWakeMs();
    const earliest = Math.min(
      keypad === undefined ? Number.POSITIVE_INFINITY : keypad + 1,
      this.#openUntil ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(earliest) ? monotonicMs(earliest) : undefined;
  }

  uptimeSeconds(now: MonotonicMs): number {
    return Math.floor(this.#uptimeMs(now) / 1000);
  }

  #uptimeMs(now: MonotonicMs): number {
    return Math.floor(now - this.#bootedAt);
  }

  #decideBy(
    { epoch, version, root, policy }: HeldVersion & { readonly policy: LockPolicy },
    { codeHashKey }: PolicyEnrolment,
  ): void {
    this.#policy = indexPolicy(policy);
    this.#holds = { epoch, version, root };
    this.#codeKey = codeHashKey;
  }

  #open(time: DeviceTime): void {
    this.#openUntil = monotonicMs(time.monotonicMs + (this.hardware.model.relockSeconds ?? 5) * 1000);
  }

  #enter(digits: string, times: readonly MonotonicMs[], time: DeviceTime): LockOutcome {
    const { policy } = this.#policy;
    const tag = entryTag(this.#enrolment?.entryTagKey ?? this.#codeKey, digits);
    const admitted = this.#throttle.admit(
      policy,
      tag,
      {
        poweredSeconds: this.#powered.seconds(time.monotonicMs),
        unixSeconds: unixSeconds(time.unixMs / 1000),
      },
      this.#enrolment?.dailyKeys,
    );
    const attempt: Attempt = { kind: "code", digits, digitTimesMs: times };
    const outcome = this.#judge(attempt, this.#typedKind(), !admitted, time);
    if (admitted && outcome.recognised) this.#throttle.refund(policy, tag);
    return outcome;
  }

  /** How this model calls what was typed and not recognised. */
  #typedKind(): CredentialKind {
    return this.hardware.model.maker === "Akuvox" ? "pin" : "permanent-doorcode";
  }

  #timeOut(time: DeviceTime): LockOutcome {
    const failedChecks = ["ENTRY_TIMEOUT"] as const;
    const sequence = this.#deny({ kind: "access-denied" }, failedChecks, undefined, time);
    return { ...unusableEntry, indicator: "timeout", reason: failedChecks[0], failedChecks, sequence };
  }

  #judge(attempt: Attempt, presented: CredentialKind, keypadLockedOut: boolean, time: DeviceTime): LockOutcome {
    this.#settleSlots(time);
    const decision = decide(this.#policy, this.#state(keypadLockedOut, time), attempt, unixSeconds(time.unixMs / 1000));
    this.#marks.keep(decision.marks);
    const { granted, primaryReason, failedChecks, warnings } = decision;
    const facts = this.#decisionFacts(decision, presented);
    const sequence = granted
      ? this.#write(facts, time)
      : this.#deny(facts, failedChecks, decision.credentialKind ?? presented, time);
    if (granted) this.#open(time);
    return {
      granted,
      recognised: decision.credentialId !== undefined || decision.daily !== undefined,
      indicator: granted ? "spin" : "blink",
      ...(primaryReason === undefined ? {} : { reason: primaryReason }),
      failedChecks,
      warnings,
      sequence,
    };
  }

  #state(keypadLockedOut: boolean, time: DeviceTime): LockState {
    const codeKey = this.#codeKey;
    return {
      clock: { quality: "set", highWater: unixSeconds(time.unixMs / 1000), poweredSecondsUnset: 0 },
      codeKey,
      entryTagKey: this.#enrolment?.entryTagKey ?? codeKey,
      dailyKeys: this.#enrolment?.dailyKeys ?? [],
      usedSlots: this.#marks.usedSlots,
      usesSpent: this.#marks.usesSpent,
      keypadLockedOut,
      battery: "wired",
    };
  }

  /** What has rotted is told, and from here on flash says what the device makes of it (SPEC L11-L18). */
  #settleRot(faults: readonly FlashFault[], time: DeviceTime): void {
    for (const { code, count } of faults) {
      this.#write({ kind: "fault", facts: { before: faultNumberByCode[code], after: count } }, time);
    }
    this.#throttle.settle(this.#powered.seconds(time.monotonicMs));
    this.#marks.settle();
    if (this.#store.readPolicy() === undefined) this.#marks.policyHeld(this.#policy.policy);
    this.#store.settleRot();
  }

  /** SPEC L13: the network's time is this device's own, so the day on which the marks were lost is today, once its door's keys are here. */
  #settleSlots(time: DeviceTime): void {
    const dailyKeys = this.#enrolment?.dailyKeys;
    const now = unixSeconds(time.unixMs / 1000);
    const offset = offsetAt(this.#policy.policy.zone, now);
    if (!this.#marks.areSlotsLost || dailyKeys === undefined || offset === undefined) return;
    this.#marks.useUpDay(civilDay(civilSeconds(now, offset)), dailyKeys);
  }

  #decisionFacts(decision: Decision, presented: CredentialKind): EventFacts {
    const { credentialId, credentialKind } = decision;
    const person = credentialId === undefined ? undefined : this.hardware.personByCredential.get(credentialId);
    return {
      kind: decision.granted ? "access-granted" : "access-denied",
      ...(credentialId === undefined ? {} : { credential: credentialId }),
      ...(person === undefined ? {} : { person }),
      credentialType: credentialKind ?? presented,
      // A tag made before enrolment would mean nothing to the authority.
      ...(decision.entryTag === undefined || this.#enrolment === undefined
        ? {}
        : { entryTag: decision.entryTag.toString(16).padStart(8, "0") }),
    };
  }

  /** Writes a denial: with its reasons, or, from firmware that keeps them to itself, with the truth beside the event. */
  #deny(
    facts: EventFacts,
    failedChecks: readonly DenialReason[],
    presented: CredentialKind | undefined,
    time: DeviceTime,
  ): number {
    const reason = failedChecks[0];
    if (reason === undefined) return this.#write(facts, time);
    if (!this.reportsReasons) return this.#write(facts, time, { reason, failedChecks });
    const shown = this.hardware.model.maker === "Akuvox" && presented !== undefined;
    const detail = shown ? reasonToDetail(reason, presented) : undefined;
    const reasons = { reason, failedChecks: [...failedChecks], ...(detail === undefined ? {} : { detail }) };
    return this.#write({ ...facts, ...reasons }, time);
  }

  #write(
    facts: EventFacts,
    time: DeviceTime,
    truth?: { readonly reason: string; readonly failedChecks: readonly string[] },
  ): number {
    const at = { unixSeconds: Math.floor(time.unixMs / 1000), quality: "set" as const };
    return this.journal.append({ at, ...facts }, truth).event.sequence;
  }
}

/** A result without its names, which the sender adds. */
export type UnlockAnswer = Pick<UnlockResult, "state" | "reason">;

/** `expired` is a state of its own; every other reason is a refusal. */
export function refusalToAnswer(reason: UnlockReason): UnlockAnswer {
  return { state: reason === "expired" ? "expired" : "refused", reason };
}

type EventFacts = Omit<SentEvent, "boot" | "sequence" | "at">;
