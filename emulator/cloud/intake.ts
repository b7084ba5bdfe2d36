/**
 * What gateways send, taken in: any bytes under any permitted topic are stored, answered, or refused with a named fault.
 *
 * The order is the promise: events are on disk before the broker acknowledges them and before their receipt goes out. A message
 * that cannot be taken is counted and dropped; the connection and every other message stay as they are.
 */
import type { z } from "zod";
import { base64ToBytes, bytesToBase64 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { type Birth, birthSchema } from "../../protocol/wire/messages/birth.ts";
import {
  leaseCommandSchema,
  leaseResultSchema,
  pairCommandSchema,
  pairResultSchema,
  stickerCommandSchema,
  stickerResultSchema,
  timeCommandSchema,
  timeResultSchema,
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  unlockResultSchema,
} from "../../protocol/wire/messages/command.ts";
import { eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { GATEWAY_COMMAND_LIMIT_BYTES, gatewayResultSchema } from "../../protocol/wire/messages/gateway-command.ts";
import { healthSchema } from "../../protocol/wire/messages/health.ts";
import { exposureSchema, reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, type PayloadFault, parsePayload } from "../../protocol/wire/payload.ts";
import { DELEGATION_SECONDS_MAX } from "../../protocol/wire/time-delegate.ts";
import { AUTHORITY_ID, formatTopic, type Topic } from "../../protocol/wire/topics.ts";
import type { WorldClock } from "../world/clock.ts";
import type { Authority } from "./authority.ts";
import type { BrokerRefusal, OutgoingMessage } from "./broker.ts";
import type { Carried, LogFault, ReportFault, TimeFault } from "./carried.ts";
import { blobFields, desiredOfGateway } from "./desired.ts";
import type { DeviceTable } from "./device-table.ts";
import type { GatewayOrders, OrderResultFault } from "./gateway-orders.ts";
import { speakerOf } from "./lock-words.ts";
import type { CloudLog } from "./log.ts";
import type { EventRecord } from "./record.ts";
import type { StickerDesk } from "./sticker-desk.ts";
import type { UnlockResultFault, Unlocks } from "./unlocks.ts";
import type { VisitLeaseDesk } from "./visit-leases.ts";

export type IntakeFault =
  | PayloadFault
  | { readonly code: "device-unknown" }
  | { readonly code: "device-mismatch" }
  | { readonly code: "gateway-mismatch" }
  | LogFault
  | ReportFault
  | UnlockResultFault
  | OrderResultFault
  | { readonly code: "command-unknown" };

export interface IntakeParts {
  readonly authority: Authority;
  readonly record: EventRecord;
  readonly table: DeviceTable;
  readonly carried: Carried;
  readonly unlocks: Unlocks;
  readonly orders: GatewayOrders;
  readonly stickers: StickerDesk;
  readonly leases: VisitLeaseDesk;
  readonly clock: WorldClock;
  readonly log: CloudLog;
  /** Sends what the authority says; called after what it answers is on disk. */
  readonly send: (message: OutgoingMessage) => void;
  /** What is desired has changed for more than one device. */
  readonly onPaired: () => void;
}

export class Intake {
  readonly #parts: IntakeParts;
  /** When each gateway was last told what ends by itself. */
  readonly #toldAtByGateway = new Map<DeviceId, UnixMs>();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Takes one message of a gateway. False: it was refused, counted, and is to be dropped. Never throws for what it was given. */
  receive(gateway: DeviceId, topic: Topic, payload: Uint8Array): boolean {
    const now = this.#parts.clock.nowMs();
    const taken = this.#take(gateway, topic, payload, now);
    if (taken.ok) {
      this.#renew(gateway, now);
      this.#parts.carried.renewPolicies(now);
      return true;
    }
    this.refuse(gateway, formatTopic(topic), taken.fault.code, payload.length);
    return false;
  }

  /** A gateway that is heard has its delegation renewed by half of its life. */
  #renew(gateway: DeviceId, now: UnixMs): void {
    const toldAt = this.#toldAtByGateway.get(gateway);
    if (toldAt === undefined) this.#toldAtByGateway.set(gateway, now);
    if (toldAt === undefined || now - toldAt < (DELEGATION_SECONDS_MAX * 1000) / 2) return;
    this.#parts.authority.renewCourier(gateway);
    this.#tellGateway(gateway, now);
  }

  #tellGateway(gateway: DeviceId, now: UnixMs): void {
    const message = desiredOfGateway(this.#parts.authority, gateway);
    if (message === undefined) return;
    this.#toldAtByGateway.set(gateway, now);
    this.#parts.send(message);
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
          if (topic.device === gateway) this.#parts.orders.heardBoot(gateway, message.gatewayBoot);
          this.#parts.carried.knowsDesired(topic.device, message.sync?.desired ?? null, now);
        });
      case "result":
        return topic.name === "gateway"
          ? this.#gatewayResult(gateway, topic, payload)
          : this.#unlockResult(gateway, topic, payload);
      case "reported":
        return topic.device === gateway
          ? this.#exposure(gateway, payload, now)
          : this.#reported(gateway, topic, payload, now);
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
    const batch = parsePayload(eventBatchSchema, payload);
    if (!batch.ok) return batch;
    const { device, events } = batch.value;
    if (device !== topic.device) return failed({ code: "device-mismatch" });
    return this.#parts.carried.takeEvents(device, events, now);
  }

  #birth(gateway: DeviceId, topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const birth = parsePayload(birthSchema, payload);
    if (!birth.ok) return birth;
    if (birth.value.device !== topic.device) return failed({ code: "device-mismatch" });
    const via = topic.device === gateway ? undefined : gateway;
    if (birth.value.via !== via) return failed({ code: "gateway-mismatch" });
    this.#parts.table.put(topic.device, "birth", birth.value, now);
    this.#parts.unlocks.heardBoot(topic.device, birth.value.bootCount, birth.value.boot);
    if (topic.device === gateway) this.#gatewayBorn(gateway, birth.value, now);
    return ok(undefined);
  }

  #gatewayBorn(gateway: DeviceId, birth: Birth, now: UnixMs): void {
    const { authority, log } = this.#parts;
    const key = keyFrom(birth.courierPublicKey);
    if (key === undefined) {
      log.warn({ gateway }, "gateway was born without a courier key: it gets no certificate and cannot sync locks");
    } else {
      authority.courierSeen(gateway, key, keyFrom(birth.timePublicKey) ?? null);
    }
    this.#tellGateway(gateway, now);
  }

  /** SPEC G24: a gateway that comes back says at first what it knew when it went; another has spoken for the device since. */
  #isAnothersToSay(device: DeviceId, via: DeviceId | undefined): boolean {
    const speaker = via === undefined ? undefined : speakerOf(this.#parts, device);
    return speaker !== undefined && speaker !== via;
  }

  #keep<Schema extends z.ZodType<{ readonly device: DeviceId; readonly via?: DeviceId | undefined }>>(
    topic: Topic,
    schema: Schema,
    payload: Uint8Array,
    put: (message: z.output<Schema>) => void,
  ): Result<void, IntakeFault> {
    const message = parsePayload(schema, payload);
    if (!message.ok) return message;
    if (message.value.device !== topic.device) return failed({ code: "device-mismatch" });
    if (!this.#isAnothersToSay(topic.device, message.value.via)) put(message.value);
    return ok(undefined);
  }

  #reported(gateway: DeviceId, topic: Topic, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const message = parsePayload(reportedSchema, payload);
    if (!message.ok) return message;
    const { device, courier } = message.value;
    if (device !== topic.device) return failed({ code: "device-mismatch" });
    if (courier !== undefined && courier !== gateway) return failed({ code: "gateway-mismatch" });
    return this.#parts.carried.takeReport(message.value, now);
  }

  #exposure(gateway: DeviceId, payload: Uint8Array, now: UnixMs): Result<void, IntakeFault> {
    const message = parsePayload(exposureSchema, payload);
    if (!message.ok) return message;
    if (message.value.gateway !== gateway) return failed({ code: "gateway-mismatch" });
    this.#parts.table.put(gateway, "exposure", message.value, now);
    return ok(undefined);
  }

  #gatewayResult(gateway: DeviceId, topic: Topic, payload: Uint8Array): Result<void, IntakeFault> {
    const result = parsePayload(gatewayResultSchema, payload, GATEWAY_COMMAND_LIMIT_BYTES);
    if (!result.ok) return result;
    if (result.value.device !== topic.device || topic.device !== gateway) return failed({ code: "device-mismatch" });
    return this.#parts.orders.heardResult(gateway, result.value);
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
    if (topic.device !== AUTHORITY_ID) return failed({ code: "command-unknown" });
    if (topic.name === "pair") return this.#pair(gateway, topic, payload);
    if (topic.name === "lease") return this.#lease(gateway, topic, payload);
    if (topic.name === "sticker") return this.#sticker(gateway, topic, payload);
    if (topic.name !== "time") return failed({ code: "command-unknown" });
    const command = parsePayload(timeCommandSchema, payload);
    if (!command.ok) return command;
    const { id, from, device, nonce } = command.value;
    if (from !== gateway) return failed({ code: "gateway-mismatch" });
    const { carried } = this.#parts;
    const answer = device === gateway ? carried.answerGatewayTime(nonce, now) : carried.answerTime(device, nonce, now);
    const result = answer.ok
      ? { state: "done" as const, answer: blobFields(answer.value) }
      : { state: "refused" as const, reason: timeRefusals[answer.fault.code] };
    this.#parts.send({
      topic: { site: topic.site, device: gateway, channel: "result", name: "time" },
      payload: formatPayload(timeResultSchema, { v: 1, id, device, ...result }),
    });
    return ok(undefined);
  }

  /** A lock's word on its way into a pairing. What it gets is sealed for it alone. SPEC Z9. */
  #pair(gateway: DeviceId, topic: Topic, payload: Uint8Array): Result<void, IntakeFault> {
    const { authority, send, log, onPaired } = this.#parts;
    const command = parsePayload(pairCommandSchema, payload);
    if (!command.ok) return command;
    const { id, from, device, confirmation } = command.value;
    if (from !== gateway) return failed({ code: "gateway-mismatch" });
    const done =
      confirmation === undefined
        ? authority.beginPairing(command.value)
        : authority.confirmPairing(command.value, confirmation);
    log.info(
      {
        device,
        gateway,
        step: confirmation === undefined ? "accept" : "confirm",
        fault: done.ok ? undefined : done.fault.code,
      },
      "pairing",
    );
    const sealed = done.ok && done.value !== undefined ? { sealed: bytesToBase64(done.value.sealed) } : {};
    const result = done.ok
      ? { state: "done" as const, ...sealed }
      : { state: "refused" as const, reason: done.fault.code };
    send({
      topic: { site: topic.site, device: gateway, channel: "result", name: "pair" },
      payload: formatPayload(pairResultSchema, { v: 1, id, device, ...result }),
    });
    if (done.ok) onPaired();
    return ok(undefined);
  }

  /** A gateway asks whether it may visit a lock, or says that its visit is over. SPEC G20. */
  #lease(gateway: DeviceId, topic: Topic, payload: Uint8Array): Result<void, IntakeFault> {
    const { authority, leases, send } = this.#parts;
    const command = parsePayload(leaseCommandSchema, payload);
    if (!command.ok) return command;
    const { id, from, device, action } = command.value;
    if (from !== gateway) return failed({ code: "gateway-mismatch" });
    if (action === "end") {
      leases.end(gateway, device);
      return ok(undefined);
    }
    const isLock = authority.state.pairings[device] !== undefined;
    const judged = isLock ? leases.take(gateway, device) : undefined;
    const result =
      judged === undefined
        ? { state: "refused" as const, reason: "no-such-lock" as const }
        : judged.granted
          ? { state: "done" as const, forMs: judged.forMs }
          : { state: "refused" as const, reason: "held" as const, forMs: judged.forMs, by: judged.by };
    send({
      topic: { site: topic.site, device: gateway, channel: "result", name: "lease" },
      payload: formatPayload(leaseResultSchema, { v: 1, id, device, ...result }),
    });
    return ok(undefined);
  }

  /** A gateway asks for a change of a panel's sticker. The panel's new list is said before the result, so that who asked has it. SPEC Q59. */
  #sticker(gateway: DeviceId, topic: Topic, payload: Uint8Array): Result<void, IntakeFault> {
    const command = parsePayload(stickerCommandSchema, payload);
    if (!command.ok) return command;
    const { id, from, device, action, rotation } = command.value;
    if (from !== gateway) return failed({ code: "gateway-mismatch" });
    const done = this.#parts.stickers.request({ gateway, panel: device, action, rotation });
    const result = done.ok
      ? { state: "done" as const, rotation: done.value.rotation }
      : { state: "refused" as const, reason: done.fault.code };
    this.#parts.send({
      topic: { site: topic.site, device: gateway, channel: "result", name: "sticker" },
      payload: formatPayload(stickerResultSchema, { v: 1, id, device, ...result }),
    });
    return ok(undefined);
  }
}

function keyFrom(text: string | undefined): Uint8Array | undefined {
  const bytes = text === undefined ? undefined : base64ToBytes(text);
  return bytes?.length === keyBytes ? bytes : undefined;
}

const keyBytes = 32;
const timeRefusals: Readonly<Record<TimeFault["code"], string>> = {
  "not-a-paired-lock": "not a paired lock",
  "bad-nonce": "a nonce has 16 bytes",
};
