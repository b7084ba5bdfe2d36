/**
 * Whether the record holds a BLE lock's log whole and unchanged: the chain over the recorded entries must meet the head that
 * the lock itself reported under its MAC. Up to there the log is checked, and only that much is released on the lock.
 *
 * Events and reports come in either order, so a report waits until the record has reached it. Entries that the lock itself
 * lost (its ring was full) cannot be chained over; the next report is then the new place to go on from.
 */
import { z } from "zod";
import { equalBytes } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { auditChainHead, signRelease, verifyReport } from "../../protocol/sync/authority.ts";
import { auditChainStart } from "../../protocol/wire/audit-entry.ts";
import { base64Field, uint32 } from "../../protocol/wire/messages/fields.ts";
import type { LockReport, SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Authority } from "./authority.ts";
import { withBase64 } from "./authority-state.ts";
import type { Documents } from "./documents.ts";
import type { EventRecord } from "./record.ts";
import { compareVersions } from "./version-order.ts";

const chainSchema = z.object({
  pairingId: base64Field(16),
  /** Sequence up to which the chain met a reported head, and that head. */
  through: uint32,
  head: base64Field(32),
  /** Sequence at which a reported head was not met; null while all is well. */
  brokenAt: uint32.nullable(),
  /** The latest report with its MAC verified. */
  report: z
    .object({ epoch: uint32, version: uint32, logNext: uint32, chainHead: base64Field(32), at: z.number() })
    .nullable(),
});
export type ChainState = z.output<typeof chainSchema>;

export type ReportVerdict = "verified" | "not-paired" | "wrong-pairing" | "not-verified";

export class AuditChains {
  readonly #authority: Authority;
  readonly #record: EventRecord;
  readonly #documents: Documents;
  readonly #stateByDevice = new Map<string, ChainState>();

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
    // A new pairing is a new lock with a new log.
    const valid = known !== undefined && equalBytes(known.pairingId, pairing.pairingId);
    const state = valid ? known : newChain(pairing.pairingId);
    this.#stateByDevice.set(device, state);
    return state;
  }

  /** Takes a lock's report as its gateway carried it. Only one with the lock's own MAC counts. */
  reportCame(device: DeviceId, bytes: Uint8Array, mac: Uint8Array, at: UnixMs): ReportVerdict {
    const state = this.state(device);
    const keys = this.#authority.pairingKeys(device);
    if (state === undefined || keys === undefined) return "not-paired";
    const report = verifyReport(keys.report, bytes, mac);
    if (!report.ok) return "not-verified";
    if (!equalBytes(report.value.pairingId, state.pairingId)) return "wrong-pairing";
    // A retained report comes again at every connection, and an older one may come late: neither takes anything back.
    if (state.report === null || !isOlder(report.value, state.report)) {
      this.#save(device, { ...state, report: reportFields(report.value, at) }, at);
    }
    this.#advance(device, at);
    return "verified";
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
    return signRelease(this.#authority.keys.roles, { pairingId, through, chainHead: head });
  }

  #advance(device: DeviceId, at: UnixMs): void {
    const state = this.state(device);
    if (state === undefined || state.report === null) return;
    const target = state.report.logNext - 1;
    if (target <= state.through || (this.#record.receipt(device).through ?? 0) < target) return;
    const chained = this.#chain(device, state, target);
    if (chained === undefined) {
      // The lock said itself that a part is lost; what follows is held to its latest reported head from here on.
      this.#save(device, { ...state, through: target, head: state.report.chainHead }, at);
    } else if (equalBytes(chained, state.report.chainHead)) {
      this.#save(device, { ...state, through: target, head: chained, brokenAt: null }, at);
    } else {
      this.#save(device, { ...state, brokenAt: target }, at);
    }
  }

  /** The head after entry `target`; undefined when an entry on the way is not there. */
  #chain(device: DeviceId, state: ChainState, target: number): Uint8Array | undefined {
    let head = state.head;
    for (let next = state.through + 1; next <= target; ) {
      const entries = this.#record.rawEntries(device, next, target);
      if (entries.length === 0) return undefined;
      head = auditChainHead(head, entries);
      next += entries.length;
    }
    return head;
  }

  #save(device: DeviceId, state: ChainState, at: UnixMs): void {
    this.#stateByDevice.set(device, state);
    this.#documents.put(documentName(device), withBase64(state), at);
  }
}

function newChain(pairingId: Uint8Array): ChainState {
  return { pairingId, through: 0, head: auditChainStart(pairingId), brokenAt: null, report: null };
}

function reportFields({ epoch, version, logNext, chainHead }: LockReport, at: UnixMs): ChainState["report"] {
  return { epoch, version, logNext, chainHead, at };
}

/** Reports are ordered by what only grows on a lock: policy (epoch, version), then log. */
function isOlder(left: LockReport, right: NonNullable<ChainState["report"]>): boolean {
  const order = compareVersions(left, right);
  return order === 0 ? left.logNext < right.logNext : order < 0;
}

const documentName = (device: string): string => `chain/${device}`;
