/**
 * Takes what the site's networked devices say. An event is on disk before this returns, and only then is it acknowledged and
 * receipted; a payload at fault is dropped with its name and a count, acknowledged to MQTT so that it does not come again and
 * again, and covered by no receipt, so that the device keeps what it meant to say. SPEC B1-B6.
 */
import type { Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { isDevicePassword } from "../../protocol/wire/device-login.ts";
import { type Birth, birthSchema } from "../../protocol/wire/messages/birth.ts";
import {
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  type UnlockResult,
  unlockResultSchema,
} from "../../protocol/wire/messages/command.ts";
import { type EventBatch, eventBatchSchema, withStandards } from "../../protocol/wire/messages/event.ts";
import { type Health, healthSchema } from "../../protocol/wire/messages/health.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { type Reported, reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { type DeviceState, stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, type PayloadFault, parsePayload } from "../../protocol/wire/payload.ts";
import { type DeviceTable, emptyHealth, secondsOf } from "../devices.ts";
import { doorOfEvents } from "../doors.ts";
import { faultOfEvents } from "../faults.ts";
import { judgeDevice, withReasonAbsent } from "../health.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { BrokerRefusal, IntakeChannel, SiteIntake } from "../ports/site-broker.ts";
import { isStoreFull, type Store } from "../ports/store.ts";
import { type Coverage, coverageToReceipt } from "../store/coverage.ts";
import { eventToStored } from "../store/event-body.ts";
import { type RememberedFault, readRemembered } from "./remembered-words.ts";

export interface IntakeOptions {
  readonly store: Store;
  readonly table: DeviceTable;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells a device how far its events are on disk. */
  readonly sendReceipt: (device: DeviceId, payload: string) => void;
  readonly onStored: (device: DeviceId, first: number, last: number) => void;
  /** New events are on disk. */
  readonly onEvents?: (events: EventBatch["events"]) => Promise<void>;
  /** A device's words changed. */
  readonly onWords: (device: DeviceId) => void;
  /** A device says what is wrong with its own memory; fulfilled when that is kept. */
  readonly onDoor?: (device: DeviceId, door: "open" | "closed") => Promise<void>;
  readonly onFault?: (device: DeviceId, code: string) => Promise<void>;
  /** A device answered an unlock command. */
  readonly onUnlockResult: (result: UnlockResult) => void;
}

type IntakeFault = RememberedFault | { readonly code: "too-many-holes" };

interface OwedReceipt {
  /** Which answer of the store it is from: a later one knows more. */
  readonly answer: number;
  readonly coverage: Coverage;
}

export class Intake implements SiteIntake {
  readonly #options: IntakeOptions;
  readonly #refusedByCode = new Map<string, number>();
  readonly #conflictingByDevice = new Map<DeviceId, number>();
  /** Whose receipt is to be sent, and what it says. */
  readonly #owedByDevice = new Map<DeviceId, OwedReceipt>();
  /** Of the store, so far. */
  #answers = 0;
  /** When what was last logged, so that a peer that is refused all day fills neither the log nor this. */
  readonly #loggedAtMs = new Map<string, number>();

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** How often what was refused, by the name of its fault. */
  refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refusedByCode);
  }

  admits(device: DeviceId): boolean {
    return this.#options.table.device(device)?.network === "mqtt";
  }

  /** SPEC B7: a device without a hash in the authority's word has no password that would do. */
  isPasswordOf(device: DeviceId, password: Uint8Array): boolean {
    const login = this.#options.table.device(device)?.login;
    return login !== undefined && isDevicePassword(login, password);
  }

  /** By device: how many events came under a name that another event has already. */
  conflicting(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#conflictingByDevice);
  }

  async take(
    device: DeviceId,
    channel: IntakeChannel,
    payload: Uint8Array,
    from: "device" | "memory" = "device",
  ): Promise<void> {
    if (from === "memory") return this.#remember(device, channel, payload);
    switch (channel) {
      case "event":
        return this.#accept(device, channel, parsePayload(eventBatchSchema, payload), (batch) => this.#events(batch));
      case "birth":
        return this.#accept(device, channel, parsePayload(birthSchema, payload), (birth) => this.#birth(birth));
      case "state":
        return this.#accept(device, channel, parsePayload(stateSchema, payload), (state) => this.#state(state));
      case "health":
        return this.#accept(device, channel, parsePayload(healthSchema, payload), (health) => this.#health(health));
      case "reported":
        return this.#accept(device, channel, parsePayload(reportedSchema, payload), (said) => this.#reported(said));
      case "result":
        return this.#accept(
          device,
          channel,
          parsePayload(unlockResultSchema, payload, UNLOCK_PAYLOAD_LIMIT_BYTES),
          async (result) => this.#options.onUnlockResult(result),
        );
    }
  }

  async remind(device: DeviceId): Promise<void> {
    const coverage = await this.#options.store.coverage(device);
    this.#answers += 1;
    this.#oweReceipt(device, { answer: this.#answers, coverage });
  }

  /** SPEC B14: what was said at some earlier time tells what is, and nobody was heard now. */
  async #remember(device: DeviceId, channel: IntakeChannel, payload: Uint8Array): Promise<void> {
    const { table, clock, onWords } = this.#options;
    const read = readRemembered(device, channel, payload, table.words(device), secondsOf(clock.nowMs()));
    if (!read.ok) return this.#drop(device, channel, read.fault);
    if (read.value === undefined) return;
    await table.keep(device, read.value);
    onWords(device);
  }

  /** The device is connected and so was heard, whatever it had to say. */
  heard(device: DeviceId): Promise<void> {
    return this.#heard(device, {});
  }

  refuse(refusal: BrokerRefusal): void {
    this.#count(refusal.code);
    if (this.#isNews(`${refusal.client ?? ""} ${refusal.code}`)) {
      this.#options.log.warn({ ...refusal }, "refused at the broker");
    }
  }

  async #accept<Message extends { readonly device: DeviceId }>(
    device: DeviceId,
    channel: IntakeChannel,
    read: Result<Message, PayloadFault>,
    accept: (message: Message) => Promise<void>,
  ): Promise<void> {
    if (!read.ok) return this.#drop(device, channel, read.fault);
    // SPEC B2: who speaks is who is connected, whatever the payload says.
    if (read.value.device !== device) {
      return this.#drop(device, channel, { code: "another-device", named: read.value.device });
    }
    await accept(read.value);
  }

  async #events(batch: EventBatch): Promise<void> {
    const { store, table, clock, onStored, onFault, onEvents } = this.#options;
    const { device } = batch;
    const known = table.device(device);
    const judgement = known === undefined ? undefined : judgeDevice(known, table.words(device), table.floors);
    const events = batch.events.map((event) => eventToStored(withReasonAbsent(withStandards(event), judgement)));
    const append = { device, receivedAtMs: clock.nowMs(), events };
    const { coverage, stored, conflicting, refused } = await store.appendEvents(append).catch((error: unknown) => {
      // SPEC G62: not acknowledged, so that the device keeps it.
      if (isStoreFull(error)) this.refuse({ code: "store-full", client: device });
      throw error;
    });
    this.#answers += 1;
    const answer = this.#answers;
    if (refused !== undefined) this.#drop(device, "event", { code: refused });
    if (conflicting > 0) this.#noteConflict(device, conflicting);
    const sequences = events.map(({ sequence }) => sequence);
    if (stored > 0) onStored(device, Math.min(...sequences), Math.max(...sequences));
    if (stored > 0) await onEvents?.(batch.events);
    const fault = stored > 0 ? faultOfEvents(batch.events) : undefined;
    if (fault !== undefined) await onFault?.(device, fault);
    const door = stored > 0 ? doorOfEvents(batch.events) : undefined;
    if (door !== undefined) await this.#options.onDoor?.(device, door);
    this.#oweReceipt(device, { answer, coverage });
    await this.#heard(device, {});
  }

  /** One commit has the messages of many; a device that has ten in it is told once, in the same turn of the event loop. */
  #oweReceipt(device: DeviceId, owed: OwedReceipt): void {
    if (this.#owedByDevice.size === 0) setImmediate(() => this.#sayReceipts());
    // Who had a fault noted meanwhile comes here behind later commits, and knows less than they do.
    if ((this.#owedByDevice.get(device)?.answer ?? 0) < owed.answer) this.#owedByDevice.set(device, owed);
  }

  #sayReceipts(): void {
    const owed = [...this.#owedByDevice];
    this.#owedByDevice.clear();
    for (const [device, { coverage }] of owed) {
      const receipt = { v: 1 as const, device, ...coverageToReceipt(coverage) };
      this.#options.sendReceipt(device, formatPayload(receiptSchema, receipt));
    }
  }

  /** SPEC B6: the one that was there stays; that there was another is not kept silent, for one of the two is not true. */
  #noteConflict(device: DeviceId, count: number): void {
    this.#conflictingByDevice.set(device, (this.#conflictingByDevice.get(device) ?? 0) + count);
    if (this.#isNews(`${device} conflicting`)) {
      this.#options.log.warn({ device, count }, "events came under names that others have already");
    }
  }

  async #birth(birth: Birth): Promise<void> {
    const { table, clock } = this.#options;
    const at = secondsOf(clock.nowMs());
    const health = table.words(birth.device).health ?? emptyHealth(birth.device, at);
    const firmware = birth.firmware === null ? health.firmware : { version: birth.firmware, at };
    const { bootCount, boot } = birth;
    const fresh = { ...health, firmware, bootCount, ...(boot === undefined ? {} : { boot }) };
    await this.#heard(birth.device, { birth, health: fresh });
  }

  async #health(health: Health): Promise<void> {
    const before = this.#options.table.words(health.device).health;
    // A device that leaves its firmware out of its health has said it in its birth.
    await this.#heard(health.device, { health: { ...health, firmware: health.firmware ?? before?.firmware ?? null } });
  }

  /** What a device says it holds. Whether it is so its authority knows, which can check the MAC (SPEC M14). */
  async #reported(reported: Reported): Promise<void> {
    // SPEC M14: only a courier's report names one; a device that did would have its words read as a lock's.
    if (reported.courier !== undefined) {
      const fault = { code: "payload-bad-shape", path: "courier", expected: "a report of the device itself" } as const;
      return this.#drop(reported.device, "reported", fault);
    }
    await this.#heard(reported.device, { reported });
  }

  async #state(state: DeviceState): Promise<void> {
    const { table, onWords } = this.#options;
    if (state.online) return this.#heard(state.device, { state });
    // A last will, or a leave: it was not heard now, it was last heard when it was last heard.
    const heardAt = table.words(state.device).state?.heardAt ?? null;
    await table.keep(state.device, { state: { ...state, heardAt } });
    onWords(state.device);
  }

  /** Keeps the words. The time of hearing alone goes to disk once a minute, so that a talkative device does not wear it out. */
  async #heard(device: DeviceId, words: Parameters<DeviceTable["keep"]>[1]): Promise<void> {
    const { table, clock, onWords } = this.#options;
    const before = table.words(device).state;
    const heardAt = secondsOf(clock.nowMs());
    const fresh = before?.online === true && heardAt - (before.heardAt ?? 0) < HEARD_STEP_SECONDS;
    if (fresh && Object.keys(words).length === 0) return;
    await table.keep(device, { ...words, state: { v: 1, device, online: true, heardAt } });
    onWords(device);
  }

  #drop(device: DeviceId, channel: IntakeChannel, fault: IntakeFault): void {
    this.#count(fault.code);
    if (!this.#isNews(`${device} ${channel} ${fault.code}`)) return;
    this.#options.log.warn({ device, channel, code: fault.code, where: whereOf(fault) }, "refused a payload");
  }

  #isNews(what: string): boolean {
    const now = this.#options.clock.monotonicMs();
    const before = this.#loggedAtMs.get(what);
    if (before !== undefined && now - before < SAME_REFUSAL_MS) return false;
    if (this.#loggedAtMs.size >= REFUSALS_REMEMBERED) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(what, now);
    return true;
  }

  #count(code: string): void {
    this.#refusedByCode.set(code, (this.#refusedByCode.get(code) ?? 0) + 1);
  }
}

/** Where in the message, never what stood there: a path is cut short, because a peer may choose its keys. */
function whereOf(fault: IntakeFault): string | undefined {
  return fault.code === "payload-bad-shape" ? fault.path.slice(0, 48) : undefined;
}

const HEARD_STEP_SECONDS = 60;
/** The same refusal of the same peer is logged once in this time; the counts go on. */
const SAME_REFUSAL_MS = 60_000;
const REFUSALS_REMEMBERED = 512;
