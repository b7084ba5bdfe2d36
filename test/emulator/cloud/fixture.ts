/** A cloud in memory on a stepped clock, its small site, and the lock's end of a pairing, for the tests of the cloud. */

import { cloudKeysFromSeed } from "../../../emulator/cloud/authority-keys.ts";
import type { OutgoingMessage } from "../../../emulator/cloud/broker.ts";
import { createCloud } from "../../../emulator/cloud/cloud.ts";
import { type CloudLog, createCloudLog } from "../../../emulator/cloud/log.ts";
import { SteppedClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { entryTag } from "../../../protocol/access/lookup.ts";
import { policyRoot } from "../../../protocol/access/policy.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { type DeviceId, parseDeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import {
  authorityPublicKeys,
  derivePairingKeys,
  macReport,
  type PairingKeys,
} from "../../../protocol/sync/authority.ts";
import { type AuditEntry, auditChainNext, auditChainStart, auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { type LockReport, lockReport } from "../../../protocol/wire/signed-objects.ts";

/** Thursday 2026-12-24 at noon in New York. */
export const noon = unixSeconds(Date.parse("2026-12-24T12:00:00-05:00") / 1000);
export const publicUrl = "http://127.0.0.1:8701";

export const siteText = `
site: {id: maple-court, name: Maple Court, timeZone: America/New_York, doorcodeDigits: 7,
       propertyManager: {name: Maple Management, phone: "+1 555 0100", email: desk@maple.example}}
doors:
  - {id: lobby, name: Lobby, kind: COMMUNAL, company: maple}
  - {id: garage, name: Garage, kind: COMMUNAL, company: maple}
  - {id: roof, name: Roof terrace, kind: COMMUNAL, company: maple}
devices:
  - {id: lobby-lock, model: C2, door: lobby, serial: C2-0001, address: "C0:FF:EE:00:00:02"}
  - {id: garage-lock, model: M2, door: garage, serial: M2-0001, address: "C0:FF:EE:00:00:03"}
  - {id: roof-lock, model: C1, door: roof, serial: C1-0001, address: "C0:FF:EE:00:00:04", state: assigned}
  - {id: gate-r29, model: R29, door: garage, serial: R29-0001}
panels:
  - {id: lobby-link, name: Lobby panel, door: lobby}
  - {id: roof-link, name: Roof panel, door: roof}
units: [{id: unit-1a, name: 1A}, {id: unit-2b, name: 2B}]
people:
  - {id: alice, name: Alice Ames, email: alice@maple.example, role: RESIDENT, unit: unit-1a, showInIntercom: true}
  - {id: bob, name: "Bob <i>Barker</i>", email: bob@maple.example, role: RESIDENT, unit: unit-2b, showInIntercom: true}
  - {id: nora-no-unit, name: Nora Nounit, email: nora@maple.example, role: RESIDENT, showInIntercom: true}
  - {id: ned-no-key, name: Ned Nokey, email: ned@maple.example, role: RESIDENT, unit: unit-2b, showInIntercom: true}
  - {id: hana-hidden, name: Hana Hidden, email: hana@maple.example, role: RESIDENT, unit: unit-2b, showInIntercom: false}
  - {id: carl, name: Carl Cleaner, email: carl@maple.example, role: NON_RESIDENT}
accessGroups:
  - {id: residents, name: Residents, doors: [lobby, roof], members: [alice, bob, nora-no-unit, hana-hidden]}
  - {id: garage, name: Garage, doors: [garage], members: [alice, carl]}
credentials:
  - {id: alice-app, kind: app-key, person: alice}
  - {id: alice-code, kind: permanent-doorcode, person: alice, code: "4815162", doors: [lobby]}
  - {id: bob-app, kind: app-key, person: bob}
  - {id: carl-code, kind: permanent-doorcode, person: carl, code: "2342108"}
world: {what: only the emulated site reads}
`;

export function deviceId(text: string): DeviceId {
  const id = parseDeviceId(text);
  if (id === undefined) throw new Error(`${text} is no device id`);
  return id;
}

export const gateway = deviceId("gateway-main");
export const gatewayPassword = "correct horse battery staple";

export interface CloudOrder {
  readonly stateDirectory?: string;
  readonly site?: string;
  readonly start?: number;
  readonly log?: CloudLog;
}

/** A cloud with its site imported and its gateway registered, at noon. */
export async function startCloud({
  stateDirectory = ":memory:",
  site = siteText,
  start = noon,
  log = createCloudLog("silent"),
}: CloudOrder = {}) {
  const clock = new SteppedClock(start * 1000);
  const random = seededRandom(7, "test/cloud");
  const created = await createCloud({
    stateDirectory,
    keys: cloudKeysFromSeed(seededRandom(7, "authority").bytes(32)),
    publicUrl,
    ports: { clock, random: (length) => random.bytes(length) },
    log,
  });
  if (!created.ok) throw new Error(created.fault.code);
  const cloud = created.value;
  const imported = cloud.authority.importSite(site, unixSeconds(start));
  if (!imported.ok) throw new Error(JSON.stringify(imported.fault));
  cloud.authority.registerGateway(gateway, gatewayPassword);
  return { cloud, clock };
}

export type TestCloud = Awaited<ReturnType<typeof startCloud>>["cloud"];

/** What the broker keeps or sends is caught here instead, so that a test without sockets sees it. */
export function catchMessages(cloud: TestCloud): OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  cloud.broker.publish = (message) => {
    messages.push(message);
  };
  return messages;
}

/** The lock's end: its key, its pairing, its chained log and its reports. */
export class PairedLock {
  readonly device: DeviceId;
  readonly keys: PairingKeys;
  readonly pairingId: Uint8Array;
  readonly dailyKey: Uint8Array;
  readonly #cloud: TestCloud;
  /** The chain head after each sequence; the first is the head before any entry. */
  readonly #heads: Uint8Array[];
  /** The bytes of its entries, oldest first. */
  readonly #entries: Uint8Array[] = [];
  /** The sequence before its log's first (SPEC Z12). */
  readonly #base: number;
  #first: number;

  private constructor(
    device: DeviceId,
    keys: PairingKeys,
    { pairingId, firstSequence }: { readonly pairingId: Uint8Array; readonly firstSequence: number },
    dailyKey: Uint8Array,
    cloud: TestCloud,
  ) {
    this.#cloud = cloud;
    this.device = device;
    this.#base = firstSequence - 1;
    this.#first = firstSequence;
    this.keys = keys;
    this.pairingId = pairingId;
    this.dailyKey = dailyKey;
    this.#heads = [auditChainStart(keys.chain, pairingId)];
  }

  /** `as` is another lock of that name: one with a static key of its own. */
  static pair(cloud: TestCloud, id: string, as = id): PairedLock {
    const device = deviceId(id);
    const privateKey = seededRandom(7, `lock/${as}`).bytes(32);
    const staticPublicKey = x25519PublicKey(privateKey);
    const paired = cloud.authority.pairLock({ device, staticPublicKey, address: "C0:FF:EE:00:00:02" });
    if (!paired.ok) throw new Error(paired.fault.code);
    const { pairingId, dailyKeys, firstSequence } = paired.value;
    const authority = authorityPublicKeys(cloud.authority.keys.roles);
    const keys = derivePairingKeys(privateKey, authority.static, pairingId);
    if (keys === undefined) throw new Error("a low-order key");
    return new PairedLock(device, keys, { pairingId, firstSequence }, dailyKeys[0]?.key ?? new Uint8Array(0), cloud);
  }

  /** Writes an entry to the log and gives it sealed, alone in its batch, as the JSON of a gateway's event. */
  log(entry: Partial<AuditEntry> & Pick<AuditEntry, "kind">) {
    const sequence = this.#base + this.#heads.length;
    const bytes = auditEntry.encode({ sequence, boot: 1, unixSeconds: noon, clock: "set", ...entry });
    this.#entries.push(bytes);
    this.#heads.push(auditChainNext(this.keys.chain, this.#headAt(sequence - 1), bytes));
    return this.sealed(sequence, sequence);
  }

  /** Entries of its log as one batch. */
  sealed(first: number, last: number) {
    return this.sealedAs(first, this.#entries.slice(first - 1 - this.#base, last - this.#base));
  }

  /** Whatever bytes under the seal of this lock. */
  sealedAs(first: number, entries: readonly Uint8Array[]) {
    const batch = auditBatch.encode(sealAuditBatch(this.keys.audit, this.pairingId, first, entries));
    return sealedEvent(batch, first, first + entries.length - 1);
  }

  /** The ring was full: everything up to and with `through` is gone. */
  lose(through: number): void {
    this.#first = through + 1;
  }

  #headAt(sequence: number): Uint8Array {
    const head = this.#heads[sequence - this.#base];
    if (head === undefined) throw new Error(`the log has no entry ${sequence}`);
    return head;
  }

  tag(code: string): Uint8Array {
    const tag = new Uint8Array(4);
    new DataView(tag.buffer).setUint32(0, entryTag(this.keys.entryTag, code));
    return tag;
  }

  deny(code: string, at = noon) {
    return this.log({
      kind: "access-denied",
      reason: "CREDENTIAL_UNKNOWN",
      failedChecks: ["CREDENTIAL_UNKNOWN"],
      entryTag: this.tag(code),
      unixSeconds: at,
    });
  }

  /** The root of a version that the authority still knows; of others nobody asks. */
  #rootOf(epoch: number, version: number): Uint8Array {
    const held = this.#cloud.authority.state.policies[this.device];
    const known = held === undefined ? [] : [held, ...held.former, ...held.behind];
    const policy = known.find((each) => each.epoch === epoch && each.version === version);
    return policy === undefined ? new Uint8Array(32) : policyRoot(policy.bundle);
  }

  /** `reported` as the gateway publishes it; `said` is changed in the report itself, under the lock's MAC. */
  report(
    version: number,
    change: { readonly mac?: Uint8Array; readonly epoch?: number; readonly said?: Partial<LockReport> } = {},
  ) {
    const { epoch = 1, said = {} } = change;
    const report = lockReport.encode({
      pairingId: this.pairingId,
      epoch,
      version,
      root: this.#rootOf(epoch, version),
      bootCount: 1,
      clock: "set",
      logNext: this.#base + this.#heads.length,
      chainHead: this.#headAt(this.#base + this.#heads.length - 1),
      nonce: new Uint8Array(16),
      logFirst: this.#first,
      headBefore: this.#headAt(this.#first - 1),
      keysetEpoch: epoch,
      clockSource: "authority",
      ...said,
    });
    return {
      v: 1,
      device: this.device,
      policy: { epoch, version },
      clock: "set",
      logNext: said.logNext ?? this.#base + this.#heads.length,
      report: bytesToBase64(report),
      mac: bytesToBase64(change.mac ?? macReport(this.keys.report, report)),
      at: noon,
      courier: gateway,
    };
  }
}

/** A batch as a gateway sends it on, in JSON: it names it by the last sequence and by the boot of the lock's hello. */
export function sealedEvent(batch: Uint8Array, first: number, last: number) {
  return {
    boot: 1,
    sequence: last,
    at: { unixSeconds: null, quality: "unset" },
    kind: "sealed-log",
    facts: { first, last },
    raw: bytesToBase64(batch),
  };
}

/** An event of a networked device. */
export function plainEvent(sequence: number, more: Readonly<Record<string, unknown>> = {}) {
  return {
    boot: 1,
    sequence,
    at: { unixSeconds: noon, quality: "set" },
    kind: "access-granted",
    person: "alice",
    ...more,
  };
}

export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
