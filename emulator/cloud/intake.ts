/**
 * What gateways send, taken in: any bytes under any permitted topic are stored, answered, or refused with a named fault.
 *
 * The order is the promise: events are on disk before the broker acknowledges them and before their receipt goes out. A message
 * that cannot be taken is counted and dropped; the connection and every other message stay as they are.
 */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { answerTime } from "../../protocol/sync/authority.ts";
import { auditEntryToEvent } from "../../protocol/wire/audit-entry.ts";
import { type Birth, birthSchema } from "../../protocol/wire/messages/birth.ts";
import {
  timeCommandSchema,
  timeResultSchema,
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  unlockResultSchema,
} from "../../protocol/wire/messages/command.ts";
import { type DeviceEvent, eventBatchSchema, standardsOf } from "../../protocol/wire/messages/event.ts";
import { healthSchema } from "../../protocol/wire/messages/health.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { exposureSchema, reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, type PayloadFault, parsePayload } from "../../protocol/wire/payload.ts";
import { AUTHORITY_ID, formatTopic, type Topic } from "../../protocol/wire/topics.ts";
import type { WorldClock } from "../world/clock.ts";
import type { AuditChains, ReportVerdict } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { BrokerRefusal, OutgoingMessage } from "./broker.ts";
import { blobFields, desiredOfGateway, desiredOfLock } from "./desired.ts";
import { type DeviceReportFault, takeDeviceReport } from "./device-reports.ts";
import type { DeviceTable } from "./device-table.ts";
import type { CloudLog } from "./log.ts";
import { nameEvent } from "./naming.ts";
import type { EventRecord } from "./record.ts";
import type { UnlockResultFault, Unlocks } from "./unlocks.ts";

export type IntakeFault =
  | PayloadFault
  | { readonly code: "device-unknown" }
  | { readonly code: "device-mismatch" }
  | { readonly code: "gateway-mismatch" }
  | { readonly code: "entry-not-as-chained"; readonly sequence: number }
  | { readonly code: `report-${Exclude<ReportVerdict, "verified">}` }
  | DeviceReportFault
  | { readonly code: "standards-not-of-reason"; readonly sequence: number }
  | UnlockResultFault
  | { readonly code: "command-unknown" };

export interface IntakeParts {
  readonly authority: Authority;
  readonly record: EventRecord;
  readonly table: DeviceTable;
  readonly chains: AuditChains;
  readonly unlocks: Unlocks;
  readonly clock: WorldClock;
  readonly log: CloudLog;
  /** Sends what the authority says; called after what it answers is on disk. */
  readonly send: (message: OutgoingMessage) => void;
}

export class Intake {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Takes one message of a gateway. False: it was refused, counted, and is to be dropped. Never throws for what it was given. */
  receive(gateway: DeviceId, topic: Topic, payload: Uint8Array): boolean {
    const now = this.#parts.clock.nowMs();
    const taken = this.#take(gateway, topic, payload, now);
    if (taken.ok) return true;
    this.refuse(gateway, formatTopic(topic), taken.fault.code, payload.length);
    return false;
  }

  refuse(from: string, topic: string, code: IntakeFault["code"] | BrokerRefusal, bytes: number): void {
    this.#parts.record.refuse({ at: this.#parts.clock.nowMs(), from, topic, code, bytes });
    this.#parts.log.warn({ from, topic: topic.slice(0, 200), code, bytes }, "message refused");
  }

  #take(gateway: DeviceId, topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    if (topic.channel === "command") return this.#command(gateway, topic, payload, now);
    if (topic.device !== gateway && !this.#represents(topic.device)) return failed({ code: "device-unknown" });
    switch (topic.channel) {
      case "event":
        return this.#events(topic, payload, now);
      case "birth":
        return this.#birth(gateway, topic, payload, now);
      case "state":
        return this.#keep(topic, stateSchema, payload, (message) =>
          this.#parts.table.put(topic.device, "state", message, now),
        );
      case "health":
        return this.#keep(topic, healthSchema, payload, (message) => {
          this.#parts.table.put(topic.device, "health", message, now);
          this.#parts.unlocks.heardBoot(topic.device, message.bootCount, message.boot);
        });
      case "result":
        return this.#unlockResult(gateway, topic, payload);
      case "reported":
        return topic.device === gateway ? this.#exposure(gateway, payload, now) : this.#reported(topic, payload, now);
      default:
        return failed({ code: "command-unknown" });
    }
  }

  /** A site has one gateway or a few, and each of them may speak for every device of the site. */
  #represents(device: DeviceId): boolean {
    const site = this.#parts.authority.site;
    return [...(site?.devices ?? []), ...(site?.panels ?? [])].some(({ id }) => id === device);
  }

  #events(topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const { authority, record, chains } = this.#parts;
    const batch = parsePayload(eventBatchSchema, payload);
    if (!batch.ok) return batch;
    const { device, events } = batch.value;
    if (device !== topic.device) return failed({ code: "device-mismatch" });
    const mistold = events.find((event) => !isStandardsOfReason(event));
    if (mistold !== undefined) return failed({ code: "standards-not-of-reason", sequence: mistold.sequence });
    if (authority.state.pairings[device] !== undefined) {
      const wrong = events.find((event) => !isAsChained(event));
      if (wrong !== undefined) return failed({ code: "entry-not-as-chained", sequence: wrong.sequence });
    }
    record.append(device, events, now, (event) => nameEvent(authority, record, device, event));
    const before = chains.state(device)?.through;
    chains.eventsCame(device, now);
    this.#sendReceipt(topic.site, device);
    this.#sendRelease(device, before);
    return ok(undefined);
  }

  #sendReceipt(site: string, device: DeviceId): void {
    const { through, missing } = this.#parts.record.receipt(device);
    const payload = formatPayload(receiptSchema, { v: 1, device, through, missing: [...missing] });
    this.#parts.send({ topic: { site, device, channel: "receipt" }, payload });
  }

  /** A lock's release travels with its policy; it goes out anew when more of its log has been checked. */
  #sendRelease(device: DeviceId, before: number | undefined): void {
    const { authority, chains, send } = this.#parts;
    if (chains.state(device)?.through === before) return;
    const message = desiredOfLock(authority, device, chains.release(device));
    if (message !== undefined) send(message);
  }

  #birth(gateway: DeviceId, topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const birth = parsePayload(birthSchema, payload);
    if (!birth.ok) return birth;
    if (birth.value.device !== topic.device) return failed({ code: "device-mismatch" });
    const via = topic.device === gateway ? undefined : gateway;
    if (birth.value.via !== via) return failed({ code: "gateway-mismatch" });
    this.#parts.table.put(topic.device, "birth", birth.value, now);
    this.#parts.unlocks.heardBoot(topic.device, birth.value.bootCount, birth.value.boot);
    if (topic.device === gateway) this.#gatewayBorn(gateway, birth.value);
    return ok(undefined);
  }

  #gatewayBorn(gateway: DeviceId, birth: Birth): void {
    const { authority, log, send } = this.#parts;
    const key = birth.courierPublicKey === undefined ? undefined : Buffer.from(birth.courierPublicKey, "base64");
    if (key === undefined || key.length !== courierKeyBytes) {
      log.warn({ gateway }, "gateway was born without a courier key: it gets no certificate and cannot sync locks");
    } else {
      authority.courierSeen(gateway, new Uint8Array(key));
    }
    const message = desiredOfGateway(authority, gateway);
    if (message !== undefined) send(message);
  }

  #keep<Schema extends z.ZodType<{ readonly device: DeviceId }>>(
    topic: Topic,
    schema: Schema,
    payload: Uint8Array,
    put: (message: z.output<Schema>) => void,
  ): Result<void, IntakeFault> {
    const message = parsePayload(schema, payload);
    if (!message.ok) return message;
    if (message.value.device !== topic.device) return failed({ code: "device-mismatch" });
    put(message.value);
    return ok(undefined);
  }

  #reported(topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const { chains, table } = this.#parts;
    const message = parsePayload(reportedSchema, payload);
    if (!message.ok) return message;
    const { device, report, mac } = message.value;
    if (device !== topic.device) return failed({ code: "device-mismatch" });
    // SPEC M14: only a lock's report was carried by somebody.
    if (message.value.courier === undefined) return takeDeviceReport(this.#parts, message.value, now);
    const before = chains.state(device)?.through;
    const verdict = chains.reportCame(device, report, mac, now);
    // A report without the lock's own MAC is a gateway's word only, and is not taken.
    if (verdict !== "verified") return failed({ code: `report-${verdict}` });
    table.put(device, "reported", message.value, now);
    // What the lock reports as lost is asked for no more.
    if (chains.state(device)?.through !== before) this.#sendReceipt(topic.site, device);
    this.#sendRelease(device, before);
    return ok(undefined);
  }

  #exposure(gateway: DeviceId, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const message = parsePayload(exposureSchema, payload);
    if (!message.ok) return message;
    if (message.value.gateway !== gateway) return failed({ code: "gateway-mismatch" });
    this.#parts.table.put(gateway, "exposure", message.value, now);
    return ok(undefined);
  }

  #unlockResult(gateway: DeviceId, topic: Topic, payload: Uint8Array): Result<void, IntakeFault> {
    if (topic.name !== "unlock") return failed({ code: "command-unknown" });
    const result = parsePayload(unlockResultSchema, payload, UNLOCK_PAYLOAD_LIMIT_BYTES);
    if (!result.ok) return result;
    if (result.value.device !== topic.device) return failed({ code: "device-mismatch" });
    return this.#parts.unlocks.heardResult(gateway, result.value);
  }

  /** A lock asks, through its courier, what time it is. The answer is for the lock's nonce alone and opens nothing. */
  #command(gateway: DeviceId, topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    if (topic.device !== AUTHORITY_ID || topic.name !== "time") return failed({ code: "command-unknown" });
    const command = parsePayload(timeCommandSchema, payload);
    if (!command.ok) return command;
    const { id, from, device, nonce } = command.value;
    if (from !== gateway) return failed({ code: "gateway-mismatch" });
    const payloadText = formatPayload(timeResultSchema, { v: 1, id, device, ...this.#timeFor(device, nonce, now) });
    this.#parts.send({
      topic: { site: topic.site, device: gateway, channel: "result", name: "time" },
      payload: payloadText,
    });
    return ok(undefined);
  }

  #timeFor(device: DeviceId, nonce: Uint8Array, now: UnixMs) {
    const { state, keys } = this.#parts.authority;
    const pairing = state.pairings[device];
    if (pairing === undefined) return { state: "refused", reason: "not a paired lock" } as const;
    if (nonce.length !== nonceBytes) return { state: "refused", reason: "a nonce has 16 bytes" } as const;
    const { pairingId } = pairing;
    const answer = answerTime(keys.roles, { pairingId, nonce, unixMs: now, radiusMs: clockRadiusMs });
    return { state: "done", answer: blobFields(answer) } as const;
  }
}

/**
 * Whether an event says no more and no less than the entry that the lock chained. The gateway may add only that the firmware
 * reports no reason, the vendor's text, and the reason in the standards' words.
 */
function isAsChained(event: DeviceEvent): boolean {
  if (event.raw === undefined) return false;
  const entry = auditEntryToEvent(event.raw);
  if (!entry.ok) return false;
  const { raw: _chained, ...written } = entry.value;
  const { raw: _carried, detail: _detail, reasonAbsent: _absent, standards: _standards, ...said } = event;
  return isDeepStrictEqual({ ...said }, { ...written });
}

/** Codes of standards follow from the reason beside them; others would be somebody's invention. */
function isStandardsOfReason({ kind, reason, standards }: DeviceEvent): boolean {
  if (standards === undefined) return true;
  return kind === "access-denied" && reason !== undefined && isDeepStrictEqual(standards, standardsOf(reason));
}

const courierKeyBytes = 32;
const nonceBytes = 16;
/** How far off this machine's clock may be: it is kept by the network. */
const clockRadiusMs = 100;
