/**
 * The firmware of a device that is on the site's network: a panel or reader of the Akuvox kind, or an R2 lock.
 *
 * It decides by its compiled policy as an offline lock does, with the same order: marks, log, then the relay (SPEC L1). Its clock
 * comes from the network and counts as set. Its log is the event journal; what firmware below its floor does not report
 * (the reason, row 89) stands in the journal's truth for the world to compare, and in no event.
 */
import type { Attempt, DailyKey, LockState } from "../../protocol/access/attempt.ts";
import type { CredentialKind } from "../../protocol/access/credential-kind.ts";
import { type Decision, decide } from "../../protocol/access/decide.ts";
import { entryTag } from "../../protocol/access/lookup.ts";
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import { type DenialReason, reasonToDetail } from "../../protocol/access/reasons.ts";
import { type MonotonicMs, monotonicMs, type UnixMs, unixSeconds } from "../../protocol/base/units.ts";
import type { DeviceModel } from "../../protocol/firmware/models.ts";
import { judgeFirmware, reportsReason } from "../../protocol/firmware/version.ts";
import type { EventJournal, SentEvent } from "./event-journal.ts";
import type { Flash } from "./flash.ts";
import { Keypad, type KeypadKey } from "./keypad.ts";
import { type LockOutcome, unusableEntry } from "./lock.ts";
import { LockStore } from "./lock-store.ts";
import { KeypadThrottle } from "./lock-throttle.ts";

export interface NetworkedHardware {
  readonly model: DeviceModel;
  /** What the device says of itself; null: it does not say. */
  readonly firmware: string | null;
  readonly codeKey: Uint8Array;
  /** Such devices hold their users' names; a policy holds credentials only. */
  readonly personByCredential: ReadonlyMap<string, string>;
}

/** What enrolment gives: how denied codes are named, and on a lock the keys of its door's daily codes. */
export interface Enrolment {
  readonly entryTagKey: Uint8Array;
  readonly dailyKeys: readonly DailyKey[];
}

/** Time as the host gives it: the network's time for decisions, an ever-forward one for keypad and relay. */
export interface DeviceTime {
  readonly unixMs: UnixMs;
  readonly monotonicMs: MonotonicMs;
}

export class NetworkedDevice {
  readonly hardware: NetworkedHardware;
  readonly journal: EventJournal;
  readonly #policy: IndexedPolicy;
  readonly #store: LockStore;
  readonly #keypad = new Keypad();
  readonly #throttle: KeypadThrottle;
  readonly #bootedAt: MonotonicMs;
  #enrolment: Enrolment | undefined;
  #openUntil: MonotonicMs | undefined;

  constructor(
    hardware: NetworkedHardware,
    policy: LockPolicy,
    memory: { readonly flash: Flash; readonly journal: EventJournal },
    time: DeviceTime,
  ) {
    this.hardware = hardware;
    this.journal = memory.journal;
    this.#policy = indexPolicy(policy);
    this.#store = new LockStore(memory.flash);
    this.#throttle = new KeypadThrottle(this.#store);
    this.#bootedAt = time.monotonicMs;
    this.#write({ kind: "boot" }, time);
  }

  enrol(enrolment: Enrolment): void {
    this.#enrolment = enrolment;
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
    const { digitTimeoutMs, checkMarkKey } = this.hardware.model;
    if (digitTimeoutMs === undefined) return [];
    const endsAfter = checkMarkKey ? undefined : this.#policy.policy.keypad.dailyDigits;
    return this.#keypad.press(key, { digitTimeoutMs, endsAfter }, time.monotonicMs).map((event) => {
      if (event.kind === "entry") return this.#enter(event.digits, event.times, time);
      return event.kind === "timeout" ? this.#timeOut(time) : unusableEntry;
    });
  }

  present(attempt: Exclude<Attempt, { kind: "code" }>, time: DeviceTime): LockOutcome {
    const kind = attempt.kind === "app" ? "app-key" : attempt.tokenKind;
    return this.#judge(attempt, kind, false, time);
  }

  wake(time: DeviceTime): readonly LockOutcome[] {
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
    return Math.floor((now - this.#bootedAt) / 1000);
  }

  #enter(digits: string, times: readonly MonotonicMs[], time: DeviceTime): LockOutcome {
    const { policy } = this.#policy;
    const tag = entryTag(this.#enrolment?.entryTagKey ?? this.hardware.codeKey, digits);
    // Mains power: the throttle is refilled by the network's time, which a power cut does not stop.
    const now = unixSeconds(time.unixMs / 1000);
    const admitted = this.#throttle.admit(policy, tag, { poweredSeconds: now, unixSeconds: now });
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
    const decision = decide(this.#policy, this.#state(keypadLockedOut, time), attempt, unixSeconds(time.unixMs / 1000));
    this.#persistMarks(decision);
    const { granted, primaryReason, failedChecks, warnings } = decision;
    const facts = this.#decisionFacts(decision, presented);
    const sequence = granted
      ? this.#write(facts, time)
      : this.#deny(facts, failedChecks, decision.credentialKind ?? presented, time);
    if (granted) this.#openUntil = monotonicMs(time.monotonicMs + (this.hardware.model.relockSeconds ?? 5) * 1000);
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
    const { codeKey } = this.hardware;
    return {
      clock: { quality: "set", highWater: unixSeconds(time.unixMs / 1000), poweredSecondsUnset: 0 },
      codeKey,
      entryTagKey: this.#enrolment?.entryTagKey ?? codeKey,
      dailyKeys: this.#enrolment?.dailyKeys ?? [],
      usedSlots: this.#store.readUsedSlots(),
      usesSpent: this.#store.readUsesSpent(),
      keypadLockedOut,
      battery: "wired",
    };
  }

  #persistMarks(decision: Decision): void {
    for (const mark of decision.marks) {
      if (mark.kind === "daily-code-used") {
        this.#store.writeUsedSlots(new Set([...this.#store.readUsedSlots(), mark.name]));
      } else {
        this.#store.writeUsesSpent(new Map([...this.#store.readUsesSpent(), [mark.credentialId, mark.spent]]));
      }
    }
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

type EventFacts = Omit<SentEvent, "boot" | "sequence" | "at">;
