/**
 * Phones as couriers: what the authority gives the signed-in phone of somebody who manages the site for one lock, and what it takes back
 * from it. A phone is trusted with nothing that a gateway is not: it cannot read what it carries, and what it brings counts by the lock's
 * own seals and MACs. It has no time delegation. SPEC O2, Y17.
 */
import type { Role } from "../../protocol/access/roles.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { isRevoked, personById } from "../../protocol/site/rights.ts";
import { issueCourierCertificate } from "../../protocol/sync/authority.ts";
import type { CourierLoad } from "../../protocol/sync/courier-sync.ts";
import type { DeviceEvent } from "../../protocol/wire/messages/event.ts";
import { auditBatch } from "../../protocol/wire/sealing.ts";
import { lockReport, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { WorldClock } from "../world/clock.ts";
import type { AuditChains } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { PairingState } from "./authority-state.ts";
import type { Carried, LogFault, ReportFault, TimeFault } from "./carried.ts";
import type { EventRecord } from "./record.ts";

/** A phone, and whose account is signed in on it. */
export interface SignedInPhone {
  readonly phone: string;
  readonly person: string;
}

/** What a phone needs to visit one lock. */
export interface PhoneLoad {
  readonly device: DeviceId;
  readonly lock: Pick<PairingState, "address" | "staticPublicKey" | "pairingId">;
  /** When its certificate ends. */
  readonly notAfter: UnixSeconds;
  readonly load: CourierLoad;
}

/** What a phone brings back of one lock: batches as the lock sealed them, oldest first, and the lock's last word. */
export interface PhoneDelivery {
  readonly batches: readonly Uint8Array[];
  readonly report?: { readonly report: Uint8Array; readonly mac: Uint8Array };
}

/** What the authority holds of the lock's log now, and how much of it the lock may forget. */
export interface PhoneReceipt {
  readonly device: DeviceId;
  readonly through: number | null;
  readonly missing: readonly { readonly from: number; readonly to: number }[];
  readonly releasable: number;
}

export type CarryFault =
  | { readonly code: "no-such-person" | "ACCOUNT_REVOKED" }
  | { readonly code: "ROLE_MAY_NOT_CARRY"; readonly role: Role }
  /** Holders are named as devices are, and this phone is not. */
  | { readonly code: "not-a-holder-name" }
  | { readonly code: "no-such-device" | "not-a-ble-lock" | "not-paired" };

export type DeliveryFault = CarryFault | LogFault | ReportFault;

export interface PhoneCouriersParts {
  readonly authority: Authority;
  readonly chains: AuditChains;
  readonly record: EventRecord;
  readonly carried: Carried;
  readonly clock: WorldClock;
  /** Something that a phone brought was refused. */
  readonly refused: (phone: string, what: string, code: (LogFault | ReportFault)["code"], bytes: number) => void;
}

export class PhoneCouriers {
  readonly #parts: PhoneCouriersParts;

  constructor(parts: PhoneCouriersParts) {
    this.#parts = parts;
  }

  /** A certificate for this lock alone and all that there is to bring to it. Faults: those of CarryFault. */
  load(by: SignedInPhone, deviceName: string, staticPublicKey: Uint8Array): Result<PhoneLoad, CarryFault> {
    const allowed = this.#allowed(by, deviceName);
    if (!allowed.ok) return allowed;
    const { device, holder, pairing } = allowed.value;
    const { authority, chains, record, carried, clock } = this.#parts;
    carried.renewPolicies(clock.nowMs());
    const { roles, keyset, state } = authority;
    const policy = state.policies[device];
    const [known] = authority.pairingsOf(device);
    if (policy === undefined || known === undefined) return failed({ code: "not-paired" });
    const notAfter = unixSeconds(authority.now() + certificateSeconds);
    const { address, pairingId, staticPublicKey: lockPublicKey } = pairing;
    const certificate = issueCourierCertificate(roles, {
      staticPublicKey,
      holder,
      role: "courier",
      locks: [pairingId],
      notAfter,
    });
    const release = chains.release(device);
    const { epoch, version } = policy;
    const load: CourierLoad = {
      certificate,
      keyset: { epoch: state.keyset.epoch, blob: keyset },
      policy: { epoch, version, bundles: authority.bundles.of(roles, known, policy) },
      ...(release === null ? {} : { release }),
      logFrom: (record.receipt(device).through ?? 0) + 1,
    };
    return ok({ device, lock: { address, staticPublicKey: lockPublicKey, pairingId }, notAfter, load });
  }

  /** Faults: those of CarryFault, not-a-paired-lock, bad-nonce. */
  answerTime(by: SignedInPhone, deviceName: string, nonce: Uint8Array): Result<SignedBlob, CarryFault | TimeFault> {
    const allowed = this.#allowed(by, deviceName);
    if (!allowed.ok) return allowed;
    return this.#parts.carried.answerTime(allowed.value.device, nonce, this.#parts.clock.nowMs());
  }

  /**
   * Takes what a phone brought, by the same checks and into the same record as a gateway's. What is good of it is kept whatever is wrong
   * with the rest; the first fault is the answer. Faults: those of DeliveryFault.
   */
  deliver(by: SignedInPhone, deviceName: string, delivery: PhoneDelivery): Result<PhoneReceipt, DeliveryFault> {
    const allowed = this.#allowed(by, deviceName);
    if (!allowed.ok) return allowed;
    const { device, holder } = allowed.value;
    const { chains, record } = this.#parts;
    const refused = [this.#takeBatches(device, delivery.batches), this.#takeReport(device, holder, delivery.report)];
    const fault = refused.find((each) => each !== undefined);
    if (fault !== undefined) {
      const bytes = delivery.batches.reduce((sum, batch) => sum + batch.length, 0);
      this.#parts.refused(by.phone, `courier/${device}/log`, fault.code, bytes);
      return failed(fault);
    }
    return ok({ device, ...record.receipt(device), releasable: chains.state(device)?.through ?? 0 });
  }

  #takeBatches(device: DeviceId, batches: readonly Uint8Array[]): LogFault | undefined {
    if (batches.length === 0) return undefined;
    const taken = this.#parts.carried.takeEvents(device, batches.map(sealedLogEvent), this.#parts.clock.nowMs());
    return taken.ok ? undefined : taken.fault;
  }

  #takeReport(device: DeviceId, courier: DeviceId, said: PhoneDelivery["report"]): ReportFault | undefined {
    if (said === undefined) return undefined;
    const { carried, clock } = this.#parts;
    const read = lockReport.decode(said.report);
    // What does not read has no MAC of the lock either.
    if (!read.ok) return { code: "report-not-verified" };
    const { epoch, version, clock: quality, logNext } = read.value;
    const now = clock.nowMs();
    const reading = { v: 1 as const, device, policy: { epoch, version }, clock: quality, logNext, courier };
    const taken = carried.takeReport({ ...reading, ...said, at: unixSeconds(now / 1000) }, now);
    return taken.ok ? undefined : taken.fault;
  }

  /** Whether this phone may carry to that lock at all. */
  #allowed({ phone, person: id }: SignedInPhone, deviceName: string): Result<Allowed, CarryFault> {
    const { authority } = this.#parts;
    const { site, state } = authority;
    const person = site === undefined ? undefined : personById(site, id);
    if (site === undefined || person === undefined) return failed({ code: "no-such-person" });
    if (isRevoked(person, authority.now())) return failed({ code: "ACCOUNT_REVOKED" });
    if (person.role !== "MANAGER") return failed({ code: "ROLE_MAY_NOT_CARRY", role: person.role });
    const holder = parseDeviceId(phone);
    if (holder === undefined) return failed({ code: "not-a-holder-name" });
    const device = site.devices.find((each) => each.id === deviceName);
    if (device === undefined) return failed({ code: "no-such-device" });
    if (modelByName[device.model].network !== "ble") return failed({ code: "not-a-ble-lock" });
    const pairing = state.pairings[device.id];
    return pairing === undefined ? failed({ code: "not-paired" }) : ok({ device: device.id, holder, pairing });
  }
}

interface Allowed {
  readonly device: DeviceId;
  readonly holder: DeviceId;
  readonly pairing: PairingState;
}

/** A batch as the event that a gateway makes of it; one that does not read is refused as such when it is opened. */
function sealedLogEvent(raw: Uint8Array): DeviceEvent {
  const batch = auditBatch.decode(raw);
  const { from, count } = batch.ok ? batch.value : { from: 0, count: 1 };
  const last = Math.max(0, from + count - 1);
  return {
    boot: 0,
    sequence: last,
    at: { unixSeconds: null, quality: "unset" },
    kind: "sealed-log",
    facts: { first: from, last },
    raw,
  };
}

/**
 * SPEC O2: a lock whose clock a delegate put forward must still take the courier that brings the authority's time, so 7 days are left on
 * what is handed out; one more is for the way to the lock.
 */
const certificateSeconds = 8 * 86_400;
