/**
 * The firmware of an emulated lock: keypad, decisions, bolt, log, clock, and what a door sync needs of it.
 *
 * Theory of operation. Everything that must outlive power is in flash (`lock-store.ts`, `audit-log.ts`, `lock-clock.ts`); this
 * class holds no fact that it could not read back. `decide` judges; the firmware acts on it in a fixed order: what the decision
 * uses up is written first, then the log entry, and only then the bolt moves (SPEC L1). Power may go at any write: a code may
 * then be used up though the door stayed shut, but it never opens twice. The firmware has no clock, timer or radio; times
 * are arguments and what shall happen later comes out of `nextWakeMs`.
 *
 * There is no master code and no other way to the bolt than a granted decision or, where the model has a keyway, the mechanical
 * key that fits it (seed S1 says why).
 */
import type { Attempt, LockState } from "../../protocol/access/attempt.ts";
import { civilDay, civilSeconds, offsetAt } from "../../protocol/access/calendar.ts";
import { isCardAuthentic } from "../../protocol/access/card-key.ts";
import { type Decision, decide } from "../../protocol/access/decide.ts";
import { entryTag } from "../../protocol/access/lookup.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import type { DenialReason, WarningCode } from "../../protocol/access/reasons.ts";
import { u32Bytes } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import {
  type DeviceId,
  type MonotonicMs,
  monotonicMs,
  type UnixMs,
  type UnixSeconds,
  unixSeconds,
} from "../../protocol/base/units.ts";
import type { DeviceModel } from "../../protocol/firmware/models.ts";
import { derivePairingKeys } from "../../protocol/sync/authority.ts";
import { acceptKeyset } from "../../protocol/sync/keyset.ts";
import type { LockAction, LockFacts, LockPairing, LockSync } from "../../protocol/sync/lock-sync.ts";
import type { LockPairingRecord } from "../../protocol/sync/pairing.ts";
import { encodeAdvertisement, logHeadBitsOf, versionBitsOf } from "../../protocol/wire/advertisement.ts";
import { faultNumberByCode } from "../../protocol/wire/audit-entry.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { type AuditFacts, AuditLog } from "./audit-log.ts";
import { BATTERY_LOW_PERCENT, type Battery, type BatteryReading } from "./battery.ts";
import type { Deadbolt } from "./deadbolt.ts";
import { ERASE_CYCLES_LIMIT, type Flash } from "./flash.ts";
import type { Keycard } from "./keycard.ts";
import { Keypad, type KeypadIndicator, type KeypadKey } from "./keypad.ts";
import { LockClock } from "./lock-clock.ts";
import { LockIdentity, type LossCode } from "./lock-identity.ts";
import { BANK_LIMIT_BYTES, type FlashFault, type HeldPolicy, LockStore } from "./lock-store.ts";
import { KeypadThrottle } from "./lock-throttle.ts";
import { PoweredTime } from "./powered-time.ts";
import { UsedMarks } from "./used-marks.ts";

export interface LockHardware {
  readonly device: DeviceId;
  readonly model: DeviceModel;
  readonly firmware: string;
  readonly hardware: string;
  /** Residence doors do not show their log head on the air (SPEC A4). */
  readonly door: "communal" | "residence";
  readonly driftPpm: number;
  /** Undefined on a wired lock. */
  readonly battery: Battery | undefined;
  /** Absent on a lock without a second bolt. */
  readonly deadbolt?: Deadbolt;
  /** The X25519 private key that it was made with. */
  readonly factoryKey: Uint8Array;
  /** What is on the card in its box (SPEC Z6): a secret of 16 bytes, and the root's fingerprint where one was known. Absent: none was made. */
  readonly setup?: LockSetup;
}

export interface LockSetup {
  readonly secret: Uint8Array;
  readonly rootFingerprint?: Uint8Array;
}

/** What came of one attempt, as the lock itself sees it. */
export interface LockOutcome {
  readonly granted: boolean;
  /** What was presented is known here, whether it opened or not. */
  readonly recognised: boolean;
  readonly indicator: KeypadIndicator;
  readonly reason?: DenialReason;
  readonly failedChecks: readonly DenialReason[];
  readonly warnings: readonly WarningCode[];
  /** Its name in the lock's log; absent before pairing, when there is no log. */
  readonly sequence?: number;
}

export class LockFirmware {
  readonly hardware: LockHardware;
  readonly bootCount: number;
  readonly #store: LockStore;
  readonly #flash: Flash;
  readonly #identity: LockIdentity;
  readonly #keypad = new Keypad();
  readonly #throttle: KeypadThrottle;
  #clock: LockClock;
  #powered: PoweredTime;
  #paired: Paired | undefined;
  #held: (HeldPolicy & { readonly indexed: IndexedPolicy }) | undefined;
  #marks: UsedMarks;
  #isWearTold = false;
  #boltOpenUntil: MonotonicMs | undefined;
  /** The bolt was turned by hand, and will be again: the motor has no part in it. */
  #turnedByKey = false;
  #idleSince: MonotonicMs;

  /** Boots: counts the boot, reads flash back, and writes the boot into the log if there is one. */
  constructor(hardware: LockHardware, flash: Flash, now: MonotonicMs) {
    this.hardware = hardware;
    this.#flash = flash;
    // Before anything else is read: a wipe that lost its power is finished first.
    this.#identity = new LockIdentity(flash, hardware.factoryKey);
    this.#store = new LockStore(flash);
    const faults = this.#store.findRot();
    this.bootCount = this.#store.countBoot();
    this.#loadPolicy();
    this.#clock = new LockClock(flash, hardware.driftPpm, now, this.#held?.policy.issuedAt);
    this.#throttle = new KeypadThrottle(this.#store);
    this.#powered = new PoweredTime(flash, this.#clock.counter(now), this.#throttle.countedSeconds);
    this.#marks = new UsedMarks(this.#store);
    this.#idleSince = now;
    const record = this.#store.readPairing();
    if (record !== undefined) this.#usePairing(record, faults, now);
    this.#settleRot(now);
  }

  /** What the bench does to a new lock: gives it its authority and its door's daily keys, and sets its clock to `time`. */
  pair(
    { pairingId, root, keyset: offered, dailyKeys, firstSequence = 1 }: BenchGrant,
    time: UnixMs,
    now: MonotonicMs,
  ): void {
    const keyset = acceptKeyset(root, undefined, offered, this.#clock.state.floor);
    assert(keyset.ok, "the bench brings a keyset that its root signed");
    const keys = derivePairingKeys(this.staticPrivateKey, keyset.value.keyset.static, pairingId);
    assert(keys !== undefined, "the authority's static key is no point of low order");
    this.keepPairing({ pairingId, root, keyset: keyset.value, keys, dailyKeys }, firstSequence, now);
    this.#clock.set(time, now);
  }

  /**
   * Somebody opened the lock from inside and held its reset button: it forgets its authority, its policy, its log and its time, and has
   * another key from here on. `staticPrivateKey` is 32 fresh random bytes. SPEC Z10.
   */
  factoryReset(staticPrivateKey: Uint8Array, now: MonotonicMs): void {
    const firstSequence = this.#paired?.log.next ?? this.#identity.firstSequence;
    this.#paired = undefined;
    this.#held = undefined;
    this.#identity.reset(staticPrivateKey, firstSequence);
    this.#clock = new LockClock(this.#flash, this.hardware.driftPpm, now);
    this.#powered = new PoweredTime(this.#flash, this.#clock.counter(now), this.#throttle.countedSeconds);
    this.#marks = new UsedMarks(this.#store);
  }

  /** By what an unpaired lock judges dates: the highest time that was ever signed for it. */
  get judgedAt(): UnixSeconds {
    return this.#clock.state.floor;
  }

  /** X25519; the one that the lock was made with until a factory reset made another. */
  get staticPrivateKey(): Uint8Array {
    return this.#identity.staticPrivateKey;
  }

  /** A pairing came to its commit: from here on the lock knows its authority. */
  keepPairing(record: LockPairingRecord, firstSequence: number, now: MonotonicMs): void {
    assert(this.#paired === undefined, "a paired lock must be reset before it is paired again");
    this.#identity.beginLog(firstSequence);
    this.#store.writePairing(record);
    this.#usePairing(record, [], now);
  }

  /** It forgot its authority in service: only its setup code gives it one again, and no bench. */
  get wasWiped(): boolean {
    return !this.paired && this.#identity.isMarked;
  }

  get paired(): boolean {
    return this.#paired !== undefined;
  }

  /** Why it is not paired any more, when rot took its pairing (SPEC L17); the log of the next pairing begins with it. */
  get lostPairing(): LossCode | undefined {
    return this.#identity.lost;
  }

  /** One key of the keypad. Gives an outcome for each entry that ended by it; usually none. */
  press(key: KeypadKey, now: MonotonicMs): readonly LockOutcome[] {
    const { digitTimeoutMs, checkMarkKey, keypadWake } = this.hardware.model;
    if (digitTimeoutMs === undefined) return [];
    const endsAfter = checkMarkKey ? undefined : (this.#held?.policy.keypad.dailyDigits ?? DIGITS_WITHOUT_POLICY);
    const settings = { digitTimeoutMs, endsAfter, keypadWake };
    return this.#keypad.press(key, settings, now).map((event) => {
      if (event.kind === "entry") return this.#enter(event.digits, event.times, now);
      return event.kind === "timeout" ? this.#timeOut(now) : unusableEntry;
    });
  }

  /** Whether the keypad is dark and the next key only wakes it (SPEC K5). */
  isKeypadAsleep(now: MonotonicMs): boolean {
    return this.#keypad.isAsleep(this.hardware.model, now);
  }

  /** A phone's app key or a token held against the lock. Codes come by `press` alone, keycards by `readCard`. */
  present(attempt: Exclude<Attempt, { kind: "code" }>, now: MonotonicMs): LockOutcome {
    return this.#judge(attempt, false, now);
  }

  /** A keycard at the reader: it must prove its key, if the policy holds one for it. `challenge` is 16 fresh random bytes. */
  readCard(card: Keycard, challenge: Uint8Array, now: MonotonicMs): LockOutcome {
    const { number } = card;
    const [paired, held] = [this.#paired, this.#held];
    const proof = card.prove(challenge);
    const authentic =
      paired === undefined ||
      held === undefined ||
      isCardAuthentic(held.indexed, paired.record.keys.codeHash, { number, challenge, proof });
    return this.#judge({ kind: "token", tokenKind: "keycard", value: number, authentic }, false, now);
  }

  /**
   * A mechanical key turns the bolt and asks nobody. All that the lock learns is what its door sensor sees, and whose key it was
   * it cannot know (SPEC L9). Undefined: this model has no keyway.
   */
  turnKey(now: MonotonicMs): { readonly sequence?: number } | undefined {
    if (!this.hardware.model.mechanicalKey) return undefined;
    const sequence = this.#log({ kind: "door", before: DOOR_CLOSED, after: DOOR_OPEN }, now);
    this.#turnedByKey = this.#boltOpenUntil === undefined;
    this.#boltOpenUntil = this.#openUntil(now);
    return named(sequence);
  }

  /** To be called when `nextWakeMs` has come; harmless at any other time. */
  wake(now: MonotonicMs): readonly LockOutcome[] {
    this.hardware.battery?.idle(now - this.#idleSince);
    this.#idleSince = now;
    if (this.#boltOpenUntil !== undefined && now >= this.#boltOpenUntil) this.lock();
    this.#clock.keepMarks(now);
    this.#powered.keep(this.#clock.counter(now));
    this.#tellWear(now);
    return this.#keypad.wake(now).map(() => this.#timeOut(now));
  }

  nextWakeMs(): MonotonicMs | undefined {
    const keypad = this.#keypad.nextWakeMs();
    // The last moment still belongs to the entry, so the keypad is due just after it.
    const due = [...(keypad === undefined ? [] : [keypad + 1]), this.#boltOpenUntil ?? Number.POSITIVE_INFINITY];
    const earliest = Math.min(...due);
    return Number.isFinite(earliest) ? monotonicMs(earliest) : undefined;
  }

  /** Somebody locks by touch, or the relock time has come. */
  lock(): void {
    if (this.#boltOpenUntil === undefined) return;
    this.#boltOpenUntil = undefined;
    if (!this.#turnedByKey) this.hardware.battery?.moveBolt();
    this.#turnedByKey = false;
  }

  get bolt(): "locked" | "unlocked" {
    return this.#boltOpenUntil === undefined ? "locked" : "unlocked";
  }

  get policy(): {
    readonly epoch: number;
    readonly version: number;
    readonly root: Uint8Array;
    readonly stale: boolean;
  } {
    const { epoch, version, root, stale } = this.#held ?? noPolicy;
    return { epoch, version, root, stale };
  }

  get log(): AuditLog | undefined {
    return this.#paired?.log;
  }

  get battery(): BatteryReading | undefined {
    return this.hardware.battery?.reading();
  }

  clock(now: MonotonicMs): ReturnType<LockClock["read"]> {
    return this.#clock.read(now);
  }

  /** For `LockSync`; undefined before pairing. */
  get pairing(): LockPairing | undefined {
    return this.#paired?.record;
  }

  facts(now: MonotonicMs): LockFacts {
    const paired = this.#paired;
    assert(paired !== undefined, "only a paired lock is synced");
    const { epoch, version, root } = this.policy;
    const staged = this.#store.readStaged();
    return {
      model: this.hardware.model.name,
      firmware: this.hardware.firmware,
      hardware: this.hardware.hardware,
      bootCount: this.bootCount,
      uptimeSeconds: Math.floor(this.#clock.uptimeMs(now) / 1000),
      policy: { epoch, version, root },
      ...(this.#held === undefined ? {} : { heldPolicy: this.#held.policy }),
      ...(staged === undefined ? {} : { staged }),
      log: {
        first: paired.log.first,
        next: paired.log.next,
        headBefore: paired.log.headBefore,
        chainHead: paired.log.head,
      },
      clock: { state: this.#clock.state, now: this.#clock.counter(now) },
      battery: wholeBattery(this.battery),
    };
  }

  /** Does what a sync asks for, and tells the sync machine what came of it. */
  perform(action: LockAction, sync: LockSync, now: MonotonicMs): void {
    const paired = this.#paired;
    assert(paired !== undefined, "only a paired lock is synced");
    switch (action.kind) {
      case "set-clock":
        return this.#setClock(action, now);
      case "keep-keyset": {
        const record = { ...paired.record, keyset: action.keyset };
        this.#store.writePairing(record);
        this.#paired = { ...paired, record };
        return sync.keysetKept();
      }
      case "begin-staging":
        return this.#store.beginStaging(action.manifestHash);
      case "stage":
        return this.#store.stage(action.offset, action.bytes);
      case "commit": {
        if (action.bundle.length > BANK_LIMIT_BYTES) return sync.commitFailed();
        this.#commit(action, now);
        return sync.commitDone(action);
      }
      case "read-log": {
        const { log } = paired;
        const from = log.readableFrom(action.from);
        return sync.logRead(from, log.read(from, action.limitEntries), log.next);
      }
      case "free-log":
        return sync.logFreed(this.#freeLog(paired.log, action.through, action.chainHead));
      case "end":
        return;
    }
  }

  /** The six bytes on the air. */
  advertisement(now: MonotonicMs): Uint8Array {
    const log = this.log;
    const clockNotSet = this.#clock.read(now).quality !== "set";
    const waiting = log === undefined ? 0 : log.next - log.first;
    const bytes = encodeAdvertisement({
      wantsSync: this.#held === undefined || clockNotSet || waiting >= WAITING_ENTRIES,
      clockNotSet,
      batteryLow: (this.battery?.percent ?? 100) < BATTERY_LOW_PERCENT,
      tamper: false,
      versionBits: versionBitsOf(this.policy.version),
      logHeadBits: logHeadBitsOf(log === undefined ? 0 : log.next - 1, this.hardware.door),
    });
    assert(bytes.ok, "the bits of an advertisement fit");
    return bytes.value;
  }

  #usePairing(record: LockPairingRecord, faults: readonly FlashFault[], now: MonotonicMs): void {
    const { pairingId, keys } = record;
    const chain = { pairingId, key: keys.chain, firstSequence: this.#identity.firstSequence };
    this.#paired = { record, log: new AuditLog(this.#flash, chain, this.bootCount) };
    this.#log({ kind: "boot" }, now);
    for (const fault of faults) this.#logFault(fault, now);
    const { lost } = this.#identity;
    if (lost !== undefined) this.#logFault({ code: lost, count: 1 }, now);
    this.#identity.lossTold();
    this.#paired.log.tellLosses(this.#logTime(now));
  }

  /** What has rotted stands in the log now, if there is one: from here on flash says what the lock makes of it. SPEC L11-L18. */
  #settleRot(now: MonotonicMs): void {
    this.#throttle.settle(this.#powered.seconds(this.#clock.counter(now)));
    this.#marks.settle();
    this.#settleUses();
    this.#clock.keepMarks(now);
    this.#store.settleRot();
  }

  #settleUses(): void {
    if (this.#held?.stale === false) this.#marks.policyHeld(this.#held.policy);
  }

  /** SPEC L19: once in each boot. */
  #tellWear(now: MonotonicMs): void {
    const count = this.#flash.mostErased;
    if (this.#isWearTold || count < ERASE_CYCLES_LIMIT) return;
    this.#logFault({ code: "flash-worn", count }, now);
  }

  #logFault({ code, count }: FlashFault, now: MonotonicMs): void {
    if (code === "flash-worn") this.#isWearTold = true;
    this.#log({ kind: "fault", before: faultNumberByCode[code], after: count }, now);
  }

  #loadPolicy(): void {
    const held = this.#store.readPolicy();
    this.#held = held === undefined ? undefined : { ...held, indexed: indexPolicy(held.policy) };
  }

  #enter(digits: string, times: readonly MonotonicMs[], now: MonotonicMs): LockOutcome {
    const paired = this.#paired;
    const policy = this.#held?.policy;
    if (paired === undefined || policy === undefined) return this.#judge({ kind: "code", digits }, false, now);
    // SPEC C8: the try is counted and persisted before anything is compared, so that pulling the battery gives none back.
    const tag = entryTag(paired.record.keys.entryTag, digits);
    const { quality, unixMs } = this.#clock.read(now);
    const time = {
      poweredSeconds: this.#powered.seconds(this.#clock.counter(now)),
      unixSeconds: quality === "set" && unixMs !== undefined ? unixSeconds(unixMs / 1000) : undefined,
    };
    const admitted = this.#throttle.admit(policy, tag, time, paired.record.dailyKeys);
    const outcome = this.#judge({ kind: "code", digits, digitTimesMs: times }, !admitted, now);
    if (admitted && outcome.recognised) this.#throttle.refund(policy, tag);
    return outcome;
  }

  #timeOut(now: MonotonicMs): LockOutcome {
    const reason = "ENTRY_TIMEOUT";
    const sequence = this.#log({ kind: "access-denied", reason, failedChecks: [reason] }, now);
    return { ...unusableEntry, indicator: "timeout", reason, failedChecks: [reason], ...named(sequence) };
  }

  #judge(attempt: Attempt, keypadLockedOut: boolean, now: MonotonicMs): LockOutcome {
    const paired = this.#paired;
    if (paired === undefined) return unusableEntry;
    const held = this.#held;
    if (held === undefined) return this.#denyWithoutPolicy(attempt, paired, now);
    const decision = decide(
      held.indexed,
      this.#state(paired, keypadLockedOut, now),
      attempt,
      this.#clock.forDecision(now).now,
    );
    // SPEC L1: what the decision uses up, then the log entry, then the bolt. Each write may be the last one.
    this.#marks.keep(decision.marks);
    const sequence = this.#log(decisionFacts(decision), now);
    if (decision.granted) this.#openBolt(now);
    return decisionOutcome(decision, sequence);
  }

  /** SPEC L7: a paired lock that was never synced knows nobody. */
  #denyWithoutPolicy(attempt: Attempt, paired: Paired, now: MonotonicMs): LockOutcome {
    const reason = "CREDENTIAL_UNKNOWN";
    const tagged =
      attempt.kind === "code" ? { entryTag: u32Bytes(entryTag(paired.record.keys.entryTag, attempt.digits)) } : {};
    const sequence = this.#log({ kind: "access-denied", reason, failedChecks: [reason], ...tagged }, now);
    return { ...unusableEntry, reason, failedChecks: [reason], ...named(sequence) };
  }

  #state(paired: Paired, keypadLockedOut: boolean, now: MonotonicMs): LockState {
    return {
      clock: this.#clock.forDecision(now).clock,
      codeKey: paired.record.keys.codeHash,
      entryTagKey: paired.record.keys.entryTag,
      dailyKeys: paired.record.dailyKeys,
      usedSlots: this.#marks.usedSlots,
      usesSpent: this.#marks.usesSpent,
      keypadLockedOut,
      battery: batteryState(this.battery),
      ...(this.hardware.deadbolt === undefined ? {} : { deadboltExtended: this.hardware.deadbolt.extended }),
    };
  }

  #openBolt(now: MonotonicMs): void {
    if (this.#boltOpenUntil === undefined) this.hardware.battery?.moveBolt();
    this.#boltOpenUntil = this.#openUntil(now);
  }

  #openUntil(now: MonotonicMs): MonotonicMs {
    return monotonicMs(now + (this.hardware.model.relockSeconds ?? SECONDS_UNTIL_TOUCHED) * 1000);
  }

  #setClock(action: Extract<LockAction, { kind: "set-clock" }>, now: MonotonicMs): void {
    const { clock, oldUnixMs: before, newUnixMs: after, written, signedBy } = action;
    this.#clock.put(clock, now);
    if (written) this.#log({ kind: "clock-set", ...(before === undefined ? {} : { before }), after }, now);
    // A delegate may tell a time that has not come; what it says uses no code's day up.
    if (signedBy === "authority") this.#dropPastSlots(after);
  }

  /** SPEC C4: marks of single-use codes go whose civil day a signed time has passed. */
  #dropPastSlots(time: UnixMs): void {
    const zone = this.#held?.policy.zone;
    const seconds = unixSeconds(time / 1000);
    const offset = zone === undefined ? undefined : offsetAt(zone, seconds);
    // Where the zone is not known nothing says which day is over.
    if (offset === undefined) return;
    this.#marks.signedDay(civilDay(civilSeconds(seconds, offset)), this.#paired?.record.dailyKeys ?? []);
  }

  #commit(next: Extract<LockAction, { kind: "commit" }>, now: MonotonicMs): void {
    const before = this.policy.version;
    this.#store.commitPolicy(next);
    this.#loadPolicy();
    this.#settleUses();
    this.#log({ kind: "policy-committed", before, after: next.version }, now);
  }

  #freeLog(log: AuditLog, through: number, chainHead: Uint8Array): FreeOutcome {
    const own = log.headAt(through);
    // Only what the authority holds unchanged may be freed: its head must be the one that this lock has there.
    if (own === undefined || !own.every((byte, index) => byte === chainHead[index])) {
      return { refusal: "chain-mismatch" };
    }
    log.release(through);
    return { through };
  }

  #log(facts: Omit<AuditFacts, "clock" | "unixSeconds">, now: MonotonicMs): number | undefined {
    return this.#paired?.log.append({ ...this.#logTime(now), ...facts });
  }

  #logTime(now: MonotonicMs): Pick<AuditFacts, "clock" | "unixSeconds"> {
    const { quality, unixMs } = this.#clock.read(now);
    return { clock: quality, ...(unixMs === undefined ? {} : { unixSeconds: unixSeconds(unixMs / 1000) }) };
  }
}

interface Paired {
  readonly record: LockPairingRecord;
  readonly log: AuditLog;
}

/** What the bench gives a lock in its hand: a pairing without the air. The keys follow from it and the lock's own. */
export interface BenchGrant extends Pick<LockPairingRecord, "pairingId" | "root" | "dailyKeys"> {
  readonly keyset: SignedBlob;
  /** Where its log begins to number; absent: 1. */
  readonly firstSequence?: number;
}

type FreeOutcome = Parameters<LockSync["logFreed"]>[0];

function decisionFacts(decision: Decision): Omit<AuditFacts, "clock" | "unixSeconds"> {
  const { granted, primaryReason, failedChecks, warnings, credentialId, credentialKind, entryTag: tag } = decision;
  return {
    kind: granted ? "access-granted" : "access-denied",
    ...(credentialId === undefined ? {} : { credential: credentialId }),
    ...(credentialKind === undefined ? {} : { credentialType: credentialKind }),
    ...(primaryReason === undefined ? {} : { reason: primaryReason }),
    ...(failedChecks.length === 0 ? {} : { failedChecks: failedChecks.slice(0, FAILED_CHECKS_KEPT) }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(tag === undefined ? {} : { entryTag: u32Bytes(tag) }),
  };
}

function decisionOutcome(decision: Decision, sequence: number | undefined): LockOutcome {
  const { granted, primaryReason, failedChecks, warnings, credentialId, daily } = decision;
  return {
    granted,
    recognised: credentialId !== undefined || daily !== undefined,
    indicator: granted ? "spin" : "blink",
    ...(primaryReason === undefined ? {} : { reason: primaryReason }),
    failedChecks,
    warnings,
    ...named(sequence),
  };
}

function named(sequence: number | undefined): { readonly sequence?: number } {
  return sequence === undefined ? {} : { sequence };
}

/** A wired lock has no battery to report; its supply is full. */
function wholeBattery(reading: BatteryReading | undefined): LockFacts["battery"] {
  if (reading === undefined) return { millivolts: WIRED_MILLIVOLTS, percent: 100 };
  return { millivolts: reading.millivolts, percent: Math.round(reading.percent) };
}

function batteryState(reading: BatteryReading | undefined): LockState["battery"] {
  if (reading === undefined) return "wired";
  if (reading.percent < BATTERY_EMPTY_PERCENT) return "empty";
  return reading.percent < BATTERY_LOW_PERCENT ? "low" : "ok";
}

/** Nothing was judged, so nothing is logged; the digits blink. */
export const unusableEntry: LockOutcome = {
  granted: false,
  recognised: false,
  indicator: "blink",
  failedChecks: [],
  warnings: [],
};
/** What a `door` entry says: the numbers of its `before` and `after`. */
const DOOR_CLOSED = 0;
const DOOR_OPEN = 1;
const noPolicy = { epoch: 0, version: 0, root: new Uint8Array(32), stale: false };

/** The entry format has room for this many reasons; the primary one is first. */
const FAILED_CHECKS_KEPT = 8;
/** Comings and goings are told on the air in batches only: so many entries wait before a lock wants a visit for them. */
const WAITING_ENTRIES = 32;
/** A model that does not lock by itself is locked by its resident's touch; this one takes that long. */
const SECONDS_UNTIL_TOUCHED = 10;
const BATTERY_EMPTY_PERCENT = 2;
const WIRED_MILLIVOLTS = 12_000;
const DIGITS_WITHOUT_POLICY = 7;
