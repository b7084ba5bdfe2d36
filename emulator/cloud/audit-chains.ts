/**
 * Whether the record holds a BLE lock's log whole and unchanged: the chain over the recorded entries must meet the head that
 * the lock itself reported under its MAC. Up to there the log is checked, and only that much is released on the lock.
 *
 * Events and reports come in either order, so a report waits until the record has reached it. Entries that the lock itself
 * lost (its ring was full) cannot be chained over: the report then says, under its MAC, from which sequence on it has entries and
 * the head before it, and the chain goes on from there. An entry `log-gap` proves nothing before the chain has met it, or a gateway
 * could write one of its own and have the lock free what nobody has. Source: SPEC Y9.
 */
import { z } from "zod";
import { comparePolicyOrder, policyRoot } from "../../protocol/access/policy.ts";
import { bytesToHex, equalBytes } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { auditChainHead, signRelease, verifyReport } from "../../protocol/sync/authority.ts";
import { auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import { base64Field, uint32 } from "../../protocol/wire/messages/fields.ts";
import type { LockReport, SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Authority } from "./authority.ts";
import { type PolicyState, withBase64 } from "./authority-state.ts";
import type { Documents } from "./documents.ts";
import type { EventRecord } from "./record.ts";
import type { PolicyVersion } from "./version-order.ts";

const chainSchema = z.object({
  pairingId: base64Field(16),
  /** Sequence up to which the chain met a reported head, and that head. */
  through: uint32,
  head: base64Field(32),
  /** Sequence at which a reported head was not met; null while all is well. */
  brokenAt: uint32.nullable(),
  /** How many entries up to `through` no head covers, because the lock had lost some before a report met them. */
  unchecked: uint32,
  /** The latest report with its MAC verified. */
  report: z
    .object({
      epoch: uint32,
      version: uint32,
      bootCount: uint32.default(0),
      logFirst: uint32,
      headBefore: base64Field(32),
      logNext: uint32,
      chainHead: base64Field(32),
      at: z.number(),
    })
    .nullable(),
});
export type ChainState = z.output<typeof chainSchema>;

export type ReportVerdict =
  | "verified"
  | "not-paired"
  | "wrong-pairing"
  | "not-verified"
  | "beyond-numbers"
  /** The lock says under its own MAC that it holds what this authority never signed for it: a later version, or another root. */
  | "policy-not-signed";

export class AuditChains {
  readonly #authority: Authority;
  readonly #record: EventRecord;
  readonly #documents: Documents;
  readonly #stateByDevice = new Map<string, ChainState>();
  /** Nonces for which the time was asked since the latest report was taken: a report with one of them was made after it. */
  readonly #askedByDevice = new Map<string, readonly string[]>();

  constructor(authority: Authority, record: EventRecord, documents: Documents) {
    this.#authority = authority;
    this.#record = record;
    this.#documents = documents;
  }

  /** Undefined for a device that is not paired. */
  state(device: string): ChainState | undefined {
    const pairing = this.#authority.state.pairings[device];
    if (pairing === undefined) return undefined;
    const known = this.#stateByDevice.get(device) ?? this.#documents.get(documentName(device), chainSchema)?.body;
    // A new pairing is a new lock with a new log. Its keys are reckoned only for that: it is asked for often.
    const valid = known !== undefined && equalBytes(known.pairingId, pairing.pairingId);
    const state = valid ? known : this.#newState(device, pairing.pairingId);
    if (state !== undefined) this.#stateByDevice.set(device, state);
    return state;
  }

  #newState(device: string, pairingId: Uint8Array): ChainState | undefined {
    const keys = this.#authority.pairingKeys(device);
    return keys === undefined ? undefined : newChain(keys.chain, pairingId);
  }

  /** Takes a lock's report as its gateway carried it. Only one with the lock's own MAC counts. */
  reportCame(device: DeviceId, bytes: Uint8Array, mac: Uint8Array, at: UnixMs): ReportVerdict {
    const state = this.state(device);
    const keys = this.#authority.pairingKeys(device);
    if (state === undefined || keys === undefined) return "not-paired";
    const report = verifyReport(keys.report, bytes, mac);
    if (!report.ok) return "not-verified";
    if (!equalBytes(report.value.pairingId, state.pairingId)) return "wrong-pairing";
    if (report.value.logNext > this.#authority.sequenceMax(device)) return "beyond-numbers";
    // SPEC Y20: what was never signed is held by no lock, and such a word ends no exposure.
    if (!this.#wasSigned(device, report.value)) return "policy-not-signed";
    this.#authority.pairingHeld(device);
    // A retained report comes again at every connection, and an older one may come late: neither takes anything back.
    if (state.report === null || !this.#isOutdated(device, report.value, state)) {
      this.#askedByDevice.delete(device);
      const begun = state.report === null ? this.#begunAt(device, state, report.value) : state;
      this.#save(device, { ...begun, report: reportFields(report.value, at) }, at);
      this.#authority.confirmPolicy(device, report.value);
    }
    this.#advance(device, at);
    return "verified";
  }

  /** A lock asks for the time with the nonce that its report of the same visit will have. */
  timeAsked(device: DeviceId, nonce: Uint8Array): void {
    const asked = [...(this.#askedByDevice.get(device) ?? []), bytesToHex(nonce)];
    this.#askedByDevice.set(device, asked.slice(-askedKept));
  }

  /**
   * Older by its numbers, unless the lock asked for the time in that visit after the latest report had come, and the numbers of that one
   * are nothing but its own word: then the lock has lied about them, and would never be heard again. SPEC Y20.
   */
  #isOutdated(device: DeviceId, came: LockReport, { report: latest, through }: ChainState): boolean {
    if (latest === null || !isOlder(came, latest)) return false;
    const isFresh = this.#askedByDevice.get(device)?.includes(bytesToHex(came.nonce)) ?? false;
    const isSameNumbers = came.bootCount === latest.bootCount && came.logNext === latest.logNext;
    return !isFresh || !(isSameNumbers || !this.#isProven(device, latest, through));
  }

  /** The record holds the log up to this report, checked, and its last entry is of the boot that the report names. */
  #isProven(device: DeviceId, { bootCount, logNext }: NonNullable<ChainState["report"]>, through: number): boolean {
    if (through < logNext - 1) return false;
    const [bytes] = this.#record.rawEntries(device, logNext - 1, logNext - 1);
    const last = bytes === undefined ? undefined : auditEntry.decode(bytes);
    return last?.ok === true && last.value.boot === bootCount;
  }

  /** A version that was given out, in the epoch in which it was, and with its root where its bytes are still known; or no policy at all. */
  #wasSigned(device: DeviceId, { epoch, version, root }: LockReport): boolean {
    if (version === 0) return epoch === 0;
    const newest = this.#authority.state.policies[device];
    if (newest === undefined || version > newest.version || !isOfItsEpoch({ epoch, version }, newest)) return false;
    const known = [newest, ...newest.former, ...newest.behind].find((policy) => policy.version === version);
    return known === undefined || (known.epoch === epoch && equalBytes(policyRoot(known.bundle), root));
  }

  /**
   * The first report of a pairing says where its log begins: behind that of the pairing before it, which the factory reset wiped. What of
   * that one did not come in time is lost. SPEC Z10.
   */
  #begunAt(device: DeviceId, state: ChainState, { logFirst, headBefore }: LockReport): ChainState {
    const isBeginning = logFirst > 1 && equalBytes(headBefore, state.head);
    if (!isBeginning) return state;
    const from = (this.#record.receipt(device).through ?? 0) + 1;
    if (from < logFirst) this.#record.confirmLoss(device, { from, to: logFirst - 1 });
    return { ...state, through: logFirst - 1 };
  }

  /** To be called when events of the device were recorded. */
  eventsCame(device: DeviceId, at: UnixMs): void {
    if (this.state(device) !== undefined) this.#advance(device, at);
  }

  /** Frees the lock's ring as far as its log is recorded and checked; null: nothing yet. */
  release(device: string): SignedBlob | null {
    const state = this.state(device);
    if (state === undefined || state.through === 0) return null;
    const { pairingId, through, head } = state;
    return signRelease(this.#authority.roles, { pairingId, through, chainHead: head });
  }

  #advance(device: DeviceId, at: UnixMs): void {
    const state = this.state(device);
    if (state === undefined || state.report === null) return;
    const { logFirst, headBefore, logNext, chainHead } = state.report;
    const target = logNext - 1;
    if (target <= state.through) return;
    const whole = this.#chain(device, state.head, state.through + 1, target);
    if (whole !== undefined && equalBytes(whole, chainHead)) {
      return this.#save(device, { ...state, through: target, head: whole, brokenAt: null }, at);
    }
    // SPEC Y9: that a part is lost is believed only when the lock says so under its MAC, and what it has follows from there.
    // A lock that has lost something has written so since: without an entry behind it, it is a number and nothing else.
    const isLost = logFirst > state.through + 1 && logFirst < logNext;
    const kept = isLost ? this.#chain(device, headBefore, logFirst, target) : undefined;
    if (kept !== undefined && equalBytes(kept, chainHead)) {
      const lastLost = logFirst - 1;
      this.#record.confirmLoss(device, { from: state.through + 1, to: lastLost });
      const unchecked = state.unchecked + lastLost - state.through;
      return this.#save(device, { ...state, through: target, head: kept, brokenAt: null, unchecked }, at);
    }
    // What has not come yet is no fault; what was declared lost and is there at the lock is one, and so is another head.
    const firstAtLock = isLost ? logFirst : state.through + 1;
    const isBroken = whole !== undefined || kept !== undefined || this.#isDeclaredLost(device, firstAtLock, target);
    if (isBroken) this.#save(device, { ...state, brokenAt: target }, at);
  }

  /** Whether an entry of `first` to `last` is not recorded and some `log-gap` says that it is lost. */
  #isDeclaredLost(device: DeviceId, first: number, last: number): boolean {
    return this.#record.declaredLosses(device, { from: first, to: last }) > 0;
  }

  /** The head after entry `last`, from the head before `first`; undefined when an entry on the way is not there. */
  #chain(device: DeviceId, before: Uint8Array, first: number, last: number): Uint8Array | undefined {
    const key = this.#authority.pairingKeys(device)?.chain;
    if (key === undefined) return undefined;
    let head = before;
    for (let next = first; next <= last; ) {
      const entries = this.#record.rawEntries(device, next, last);
      if (entries.length === 0) return undefined;
      head = auditChainHead(key, head, entries);
      next += entries.length;
    }
    return head;
  }

  #save(device: DeviceId, state: ChainState, at: UnixMs): void {
    this.#stateByDevice.set(device, state);
    this.#documents.put(documentName(device), withBase64(state), at);
  }
}

function newChain(chainKey: Uint8Array, pairingId: Uint8Array): ChainState {
  return {
    pairingId,
    through: 0,
    head: auditChainStart(chainKey, pairingId),
    brokenAt: null,
    unchecked: 0,
    report: null,
  };
}

function reportFields(report: LockReport, at: UnixMs): ChainState["report"] {
  const { epoch, version, bootCount, logFirst, headBefore, logNext, chainHead } = report;
  return { epoch, version, bootCount, logFirst, headBefore, logNext, chainHead, at };
}

/** Versions go on through the epochs, so each has one. What came before the first start that was kept is of some epoch before that one. */
function isOfItsEpoch({ epoch, version }: PolicyVersion, { epoch: latest, epochStarts }: PolicyState): boolean {
  const own = epochStarts.findLast((start) => start.version <= version);
  return own === undefined ? epoch < (epochStarts[0]?.epoch ?? latest + 1) : epoch === own.epoch;
}

/**
 * Reports are ordered by what only grows on a lock: its boots and its log. Its policy does not, because a lock whose newer one has rotted
 * serves by the older (SPEC L3); it tells two apart only where nothing else does.
 */
function isOlder(left: LockReport, right: NonNullable<ChainState["report"]>): boolean {
  const [boots, log] = [left.bootCount - right.bootCount, left.logNext - right.logNext];
  if (boots === 0 && log === 0) return comparePolicyOrder(left, right) < 0;
  return boots <= 0 && log <= 0;
}

/** As many couriers as may be on their way with one lock's reports. */
const askedKept = 8;

/** Numbered by its shape: a state of another shape is begun anew, and the whole log is chained over again. */
const documentName = (device: string): string => `chain-3/${device}`;
