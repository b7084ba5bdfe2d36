/**
 * What was brought from a device, taken in: its log, its report, its question what time it is. The same for a gateway over MQTT and for
 * a phone over HTTP: who carried it gives it no weight, the device's own seals and MACs do.
 *
 * The order is the promise: what is taken is on disk before its receipt goes out. Receipts and releases go to every gateway, whoever
 * carried, so that each knows what the authority has.
 */
import { isDeepStrictEqual } from "node:util";
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { answerTime } from "../../protocol/sync/authority.ts";
import { type DeviceEvent, standardsOf } from "../../protocol/wire/messages/event.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import type { Reported } from "../../protocol/wire/messages/reported.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import { type LockReport, lockReport, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { AuditChains, ReportVerdict } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { OutgoingMessage } from "./broker.ts";
import { desiredOfDevice, desiredOfLock } from "./desired.ts";
import { type DeviceReportFault, takeDeviceReport } from "./device-reports.ts";
import type { DeviceTable } from "./device-table.ts";
import { type LockLogFault, openLockLog } from "./lock-log.ts";
import { lockWordsOf } from "./lock-words.ts";
import { nameEvent } from "./naming.ts";
import { hasFallenBack } from "./pending-revocations.ts";
import type { EventRecord } from "./record.ts";
import type { PolicyVersion } from "./version-order.ts";
import type { VisitLeaseDesk } from "./visit-leases.ts";

export type LogFault =
  /** A lock's log comes sealed; anything else in its name is nobody's word. */
  | { readonly code: "log-not-sealed"; readonly sequence: number }
  | LockLogFault
  | { readonly code: "standards-not-of-reason"; readonly sequence: number };

export type ReportFault = { readonly code: `report-${Exclude<ReportVerdict, "verified">}` } | DeviceReportFault;

export type TimeFault = { readonly code: "not-a-paired-lock" | "bad-nonce" };

export interface CarriedParts {
  readonly authority: Authority;
  readonly record: EventRecord;
  readonly table: DeviceTable;
  readonly chains: AuditChains;
  readonly leases: VisitLeaseDesk;
  /** Sends what the authority says; called after what it answers is on disk. */
  readonly send: (message: OutgoingMessage) => void;
}

export class Carried {
  readonly #parts: CarriedParts;
  #policiesRenewedAt: UnixMs | undefined;
  readonly #saidAgainAtByDevice = new Map<DeviceId, UnixMs>();

  constructor(parts: CarriedParts) {
    this.#parts = parts;
  }

  /**
   * Records a device's events, a lock's once they are opened. A run that does not open keeps none of those beside it from the record; it
   * is what the fault names. Faults: those of LogFault. SPEC E3.
   */
  takeEvents(device: DeviceId, events: readonly DeviceEvent[], now: UnixMs): Result<void, LogFault> {
    const { authority, record, chains } = this.#parts;
    const mistold = events.find((event) => !isStandardsOfReason(event));
    if (mistold !== undefined) return failed({ code: "standards-not-of-reason", sequence: mistold.sequence });
    const opened = this.#opened(device, events);
    const found = opened.flatMap((run) => (run.ok ? run.value : []));
    const fault = opened.find((run) => !run.ok);
    const answer = fault === undefined || fault.ok ? ok(undefined) : fault;
    if (found.length === 0) return answer;
    record.append(device, found, now, (event) => nameEvent(authority, record, device, event));
    const before = chains.state(device)?.through;
    chains.eventsCame(device, now);
    this.#sendReceipt(device);
    this.#sendRelease(device, before);
    return answer;
  }

  /**
   * Takes a lock's report. An older one than is known takes nothing back: neither what the chain stands on nor what people are shown.
   * Faults: report-not-as-said (the reading beside it is another), and what its MAC and its pairing say.
   */
  takeReport(said: Reported, now: UnixMs): Result<void, ReportFault> {
    const { authority, chains, table, leases } = this.#parts;
    const { device, report: bytes, mac } = said;
    // SPEC M14: only a lock's report was carried by somebody.
    if (said.courier === undefined) return this.#takeDeviceReport(said, now);
    const report = lockReport.decode(bytes);
    if (report.ok && !isAsSaid(said, report.value)) return failed({ code: "report-not-as-said" });
    const before = chains.state(device)?.through;
    const policyBefore = authority.state.policies[device];
    const confirmedBefore = lockWordsOf(this.#parts, device).confirmed;
    const verdict = chains.reportCame(device, bytes, mac, now);
    // A report without the lock's own MAC is its courier's word only, and is not taken.
    if (verdict !== "verified") return failed({ code: `report-${verdict}` });
    const latest = chains.state(device)?.report;
    if (report.ok && latest?.logNext === said.logNext && isSameVersion(latest, said.policy)) {
      table.put(device, "reported", said, now);
    }
    // What the lock reports as lost is asked for no more.
    if (chains.state(device)?.through !== before) this.#sendReceipt(device);
    const isNews = !isDeepStrictEqual(lockWordsOf(this.#parts, device).confirmed, confirmedBefore);
    if (isNews) leases.reported(device);
    // SPEC G3: whom a lock that fell back lets in again, and the way from what it holds now. SPEC G23: the other gateways hear of this visit.
    if (isNews || hasFallenBack(policyBefore, authority.state.policies[device])) this.sendDesired(device);
    else this.#sendRelease(device, before);
    return ok(undefined);
  }

  #takeDeviceReport(said: Reported, now: UnixMs): Result<void, ReportFault> {
    const { authority } = this.#parts;
    const before = authority.state.policies[said.device];
    const taken = takeDeviceReport(this.#parts, said, now);
    if (hasFallenBack(before, authority.state.policies[said.device])) this.sendDesired(said.device);
    return taken;
  }

  /** What a lock or networked device is to be, said anew because something of it is another. */
  sendDesired(device: DeviceId): void {
    const { authority, send } = this.#parts;
    const message =
      desiredOfLock(authority, device, lockWordsOf(this.#parts, device)) ?? desiredOfDevice(authority, device);
    if (message !== undefined) send(message);
  }

  /**
   * A gateway says which policy it means to bring to a lock. One that is behind what was published has lost it on the way: it is said again, at most once a
   * minute. SPEC G27.
   */
  knowsDesired(device: DeviceId, known: PolicyVersion | null, now: UnixMs): void {
    const newest = this.#parts.authority.state.policies[device];
    if (known === null || newest === undefined || comparePolicyOrder(known, newest) >= 0) return;
    const last = this.#saidAgainAtByDevice.get(device);
    if (last !== undefined && Math.abs(now - last) < saidAgainMs) return;
    this.#saidAgainAtByDevice.set(device, now);
    this.sendDesired(device);
  }

  /** To be called whenever a courier is heard: while none is, nobody could carry a renewed policy either. SPEC J10. */
  renewPolicies(now: UnixMs): void {
    const last = this.#policiesRenewedAt;
    if (last !== undefined && Math.abs(now - last) < renewalIntervalMs) return;
    this.#policiesRenewedAt = now;
    for (const device of this.#parts.authority.renewPolicies()) this.sendDesired(device);
  }

  /** The answer for one lock's nonce alone; it opens nothing. Faults: not-a-paired-lock, bad-nonce. */
  answerTime(device: DeviceId, nonce: Uint8Array, now: UnixMs): Result<SignedBlob, TimeFault> {
    const { state, roles } = this.#parts.authority;
    const pairing = state.pairings[device];
    if (pairing === undefined) return failed({ code: "not-a-paired-lock" });
    if (nonce.length !== nonceBytes) return failed({ code: "bad-nonce" });
    const { pairingId } = pairing;
    this.#parts.chains.timeAsked(device, nonce);
    return ok(answerTime(roles, { pairingId, nonce, unixMs: now, radiusMs: clockRadiusMs }));
  }

  /** What time it is, for a gateway that does not know: under a pairing id that no lock has. Faults: bad-nonce. SPEC I10. */
  answerGatewayTime(nonce: Uint8Array, now: UnixMs): Result<SignedBlob, TimeFault> {
    if (nonce.length !== nonceBytes) return failed({ code: "bad-nonce" });
    const { roles } = this.#parts.authority;
    return ok(answerTime(roles, { pairingId: new Uint8Array(16), nonce, unixMs: now, radiusMs: clockRadiusMs }));
  }

  /** What a lock sealed as the events it is of, run by run; what a networked device says as it came. SPEC E3. */
  #opened(device: DeviceId, events: readonly DeviceEvent[]): readonly Result<readonly DeviceEvent[], LogFault>[] {
    const { authority } = this.#parts;
    const pairings = authority.pairingsOf(device);
    return events.map((event) => {
      const isSealed = event.kind === "sealed-log";
      if (isSealed !== pairings.length > 0) return failed({ code: "log-not-sealed", sequence: event.sequence });
      if (!isSealed) return ok([event]);
      const isBeyond = event.sequence > authority.sequenceMax(device);
      return isBeyond ? failed({ code: "batch-not-as-said", sequence: event.sequence }) : openLockLog(pairings, event);
    });
  }

  #sendReceipt(device: DeviceId): void {
    const { authority, record, send } = this.#parts;
    const site = authority.site?.id;
    if (site === undefined) return;
    const { through, missing } = record.receipt(device);
    const payload = formatPayload(receiptSchema, { v: 1, device, through, missing: [...missing] });
    send({ topic: { site, device, channel: "receipt" }, payload });
  }

  /** A lock's release travels with its policy; it goes out anew when more of its log has been checked. */
  #sendRelease(device: DeviceId, before: number | undefined): void {
    if (this.#parts.chains.state(device)?.through !== before) this.sendDesired(device);
  }
}

/** Codes of standards follow from the reason beside them; others would be somebody's invention. */
function isStandardsOfReason({ kind, reason, standards }: DeviceEvent): boolean {
  if (standards === undefined) return true;
  return kind === "access-denied" && reason !== undefined && isDeepStrictEqual(standards, standardsOf(reason));
}

function isAsSaid({ policy, clock, logNext }: Reported, report: LockReport): boolean {
  return isSameVersion(report, policy) && report.clock === clock && report.logNext === logNext;
}

function isSameVersion(
  left: { readonly epoch: number; readonly version: number },
  right: { readonly epoch: number; readonly version: number },
): boolean {
  return left.epoch === right.epoch && left.version === right.version;
}

/** Leases are days long, and looking at every policy is not free. */
const renewalIntervalMs = 60_000;
/** As often as a gateway says how a lock stands. */
const saidAgainMs = 60_000;
const nonceBytes = 16;
/** How far off this machine's clock may be: it is kept by the network. */
const clockRadiusMs = 100;
