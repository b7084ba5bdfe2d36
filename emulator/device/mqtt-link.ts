/**
 * The network side of a device that speaks MQTT for itself (panels, readers, R2): birth, state with a last will, health, and
 * its events, each sent until a receipt covers it.
 *
 * Reconnecting is done here and not by the client library: its fixed pause would bring all devices of a site back in the
 * same instant. After each connection the device says everything again from the last receipt on, under the same names.
 */
import mqtt, { type MqttClient } from "mqtt";
import { z } from "zod";
import type { DeviceId } from "../../protocol/base/units.ts";
import { formatEnrolmentTopic } from "../../protocol/wire/enrolment-topic.ts";
import { birthSchema } from "../../protocol/wire/messages/birth.ts";
import {
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  type UnlockCommandMessage,
  unlockCommandSchema,
  unlockResultSchema,
} from "../../protocol/wire/messages/command.ts";
import { type DeviceDesired, deviceDesiredSchema } from "../../protocol/wire/messages/desired.ts";
import { EVENT_BATCH_LIMIT, eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { healthSchema } from "../../protocol/wire/messages/health.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { type Channel, formatTopic } from "../../protocol/wire/topics.ts";
import type { WorldClock } from "../world/clock.ts";
import type { CertificateRenewal } from "./certificate-renewal.ts";
import type { EventJournal } from "./event-journal.ts";
import { refusalToAnswer, type UnlockAnswer } from "./networked-device.ts";
import { reconnectPauseMs } from "./reconnect-pause.ts";

export interface MqttLinkOptions {
  readonly url: string;
  readonly site: string;
  readonly device: DeviceId;
  readonly password: string | null;
  /** Where the URL says mqtts, PEM: who may have signed the broker's certificate, and this device's own, for a broker that wants one. */
  readonly tls?: { readonly ca: string; readonly certificate?: string; readonly key?: string };
  /** The device's own certificate from its gateway, which may be another one at each connection. */
  readonly renewal?: CertificateRenewal;
  readonly journal: EventJournal;
  readonly clock: WorldClock;
  /** 0..1, for the pause before the next try. */
  readonly jitter: () => number;
  /** Networked devices of the site, this one included, so that they do not all come back at once. 1 when absent. */
  readonly siteDevices?: number;
  readonly birth: () => z.input<typeof birthSchema>;
  readonly health: () => z.input<typeof healthSchema>;
  /** What the device holds, under its MAC; undefined: it has no key for that. */
  readonly reported: () => z.input<typeof reportedSchema> | undefined;
  /** The authority's word on what this device should hold; what the device holds is said after it. */
  readonly onDesired: (desired: DeviceDesired) => void;
  /** Judges an unlock command and, if it is good, carries it out; gives the answers in order. */
  readonly onUnlock: (message: UnlockCommandMessage) => readonly UnlockAnswer[];
  /** Told when the link comes or goes, and why it went where that is known. */
  readonly onChange: (change: { readonly connected: boolean; readonly error?: string }) => void;
}

export class MqttLink {
  readonly #options: MqttLinkOptions;
  #client: MqttClient | undefined;
  #connected = false;
  #stopped = false;
  #failures = 0;
  /** How often in a row events were sent and no receipt came, over all connections. */
  #unanswered = 0;
  /** First sequence that was not yet sent on this connection. */
  #nextToSend = 1;
  #cancelTimer: () => void = () => undefined;
  #cancelHealth: () => void = () => undefined;

  constructor(options: MqttLinkOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#connected;
  }

  start(): void {
    const { url, device, password, renewal } = this.#options;
    const tls = renewal?.tls() ?? this.#options.tls;
    const client = mqtt.connect(url, {
      ...(tls === undefined ? {} : { ca: tls.ca }),
      ...(tls?.certificate === undefined ? {} : { cert: tls.certificate }),
      ...(tls?.key === undefined ? {} : { key: tls.key }),
      clientId: device,
      username: device,
      ...(password === null ? {} : { password }),
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepalive: KEEPALIVE_SECONDS,
      queueQoSZero: false,
      will: { topic: this.#topic("state"), payload: Buffer.from(this.#state(false)), qos: 1, retain: true },
    });
    this.#client = client;
    let error: string | undefined;
    client.on("connect", () => this.#connectedNow());
    client.on("message", (topic, payload, { retain }) => {
      if (topic === this.#topic("receipt")) this.#receiptCame(payload);
      else if (topic === this.#topic("desired")) this.#desiredCame(payload);
      else if (topic === this.#answerTopic) this.#options.renewal?.answer(new Uint8Array(payload));
      else if (topic === this.#topic("command", "unlock")) this.#unlockCame(payload, retain);
    });
    client.on("error", (cause) => {
      error = cause.message;
    });
    client.once("close", () => this.#closedNow(client, error));
  }

  /** There is something new to send: an event in the journal, or another state of health. */
  notify(what: "event" | "health"): void {
    if (!this.#connected) return;
    if (what === "health") this.#publishRetained("health", formatPayload(healthSchema, this.#options.health()));
    else this.#sendEvents();
  }

  /** Asks for the next certificate when two thirds of this one's life are over. */
  renewIfDue(): void {
    const { renewal, device } = this.#options;
    if (renewal === undefined || !this.#connected) return;
    renewal.request().then((payload) => {
      if (payload === undefined) return;
      this.#client?.publish(formatEnrolmentTopic({ client: device, end: "request" }), payload, { qos: 1 });
    });
  }

  /** Says goodbye in order; fulfilled within `STOP_LIMIT_MS`, whatever the broker does. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    this.#cancelHealth();
    const client = this.#client;
    if (client === undefined) return;
    const goodbye = this.#connected ? this.#publishRetained("state", this.#state(false)) : Promise.resolve();
    await Promise.race([goodbye, new Promise<void>((resolve) => this.#options.clock.after(STOP_LIMIT_MS, resolve))]);
    client.end(true);
  }

  #connectedNow(): void {
    const { journal, birth, health, onChange } = this.#options;
    this.#connected = true;
    this.#failures = 0;
    this.#nextToSend = journal.through + 1;
    const topics = [this.#topic("receipt"), this.#topic("desired"), this.#topic("command", "+")];
    if (this.#options.renewal !== undefined) topics.push(this.#answerTopic);
    this.#client?.subscribe(topics, { qos: 1 }, (error) => {
      // Without receipts nothing would ever be freed: a broker that refuses them is left and tried again.
      if (error !== null) this.#client?.end(true);
    });
    this.#publishRetained("birth", formatPayload(birthSchema, birth()));
    this.#publishRetained("state", this.#state(true));
    this.#publishRetained("health", formatPayload(healthSchema, health()));
    this.#sayReported();
    this.#sayHealthRegularly();
    this.renewIfDue();
    this.#sendEvents();
    onChange({ connected: true });
  }

  #closedNow(client: MqttClient, error: string | undefined): void {
    this.#cancelTimer();
    this.#cancelHealth();
    client.removeAllListeners();
    // A late error of a connection that is over has no reader any more, and an error without a listener ends the process.
    client.on("error", () => undefined);
    client.end(true);
    const was = this.#connected;
    this.#connected = false;
    if (this.#stopped) return;
    if (was || this.#failures === 0) {
      this.#options.onChange({ connected: false, ...(error === undefined ? {} : { error }) });
    }
    this.#failures += 1;
    const { clock, jitter, siteDevices = 1 } = this.#options;
    const pauseMs = reconnectPauseMs({ siteDevices }, this.#failures, jitter());
    this.#cancelTimer = clock.after(pauseMs, () => this.start());
  }

  #receiptCame(payload: Uint8Array): void {
    const receipt = parsePayload(receiptSchema, payload);
    // A payload that is no receipt is not answered; the events stay and are sent again when their time comes.
    if (!receipt.ok || receipt.value.device !== this.#options.device) return;
    this.#unanswered = 0;
    const { through, missing } = receipt.value;
    if (through !== null) this.#options.journal.receive(through);
    for (const { from, to } of missing) this.#sendRange(from, to);
    this.#sendEvents();
  }

  #desiredCame(payload: Uint8Array): void {
    const desired = parsePayload(deviceDesiredSchema, payload);
    // The signature is what counts; what does not even read is as if it had not come.
    if (!desired.ok || desired.value.device !== this.#options.device) return;
    this.#options.onDesired(desired.value);
    this.#sayReported();
  }

  #sayReported(): void {
    const reported = this.#options.reported();
    if (reported !== undefined) this.#publishRetained("reported", formatPayload(reportedSchema, reported));
  }

  #unlockCame(payload: Uint8Array, retained: boolean): void {
    const message = parsePayload(unlockCommandSchema, payload, UNLOCK_PAYLOAD_LIMIT_BYTES);
    if (!message.ok) {
      // What has no id cannot be answered; what has one is told that it was refused, not that nobody is there.
      const id = commandIdOf(payload);
      if (id !== undefined) this.#answerUnlock(id, [refusalToAnswer("malformed-command")]);
      return;
    }
    const { id, device } = message.value;
    if (device !== this.#options.device) return this.#answerUnlock(id, [refusalToAnswer("wrong-device")]);
    // SPEC V9: what comes out of a broker's memory was said at some other time.
    if (retained) return this.#answerUnlock(id, [refusalToAnswer("retained")]);
    this.#answerUnlock(id, this.#options.onUnlock(message.value));
  }

  #answerUnlock(id: string, answers: readonly UnlockAnswer[]): void {
    const { device } = this.#options;
    for (const answer of answers) {
      const payload = formatPayload(unlockResultSchema, { v: 1, id, device, ...answer });
      this.#client?.publish(this.#topic("result", "unlock"), payload, { qos: 1 });
    }
  }

  /** Sends what has not been sent on this connection, at most a window beyond the last receipt, and watches for the receipt. */
  #sendEvents(): void {
    const { journal } = this.#options;
    const last = Math.min(journal.next - 1, journal.through + WINDOW_EVENTS);
    if (last >= this.#nextToSend) {
      this.#sendRange(this.#nextToSend, last);
      this.#nextToSend = last + 1;
    }
    this.#watchReceipt();
  }

  #watchReceipt(): void {
    this.#cancelTimer();
    const { journal, clock } = this.#options;
    if (journal.through >= journal.next - 1) return;
    const waitMs = Math.min(RECEIPT_TIMEOUT_MS * 2 ** Math.min(this.#unanswered, 6), RECEIPT_TIMEOUT_CAP_MS);
    this.#cancelTimer = clock.after(waitMs, () => {
      this.#unanswered += 1;
      // SPEC B18: a broker may have lost the subscription and still answer; only a new connection makes a new one.
      if (this.#unanswered % UNANSWERED_PER_CONNECTION === 0) return void this.#client?.end(true);
      this.#nextToSend = journal.through + 1;
      this.#sendEvents();
    });
  }

  #sendRange(from: number, to: number): void {
    const { journal, device } = this.#options;
    for (let first = from; first <= to; first += EVENT_BATCH_LIMIT) {
      const entries = journal.read(first, to, EVENT_BATCH_LIMIT);
      if (entries.length === 0) return;
      const batch = { v: 1 as const, device, events: entries.map(({ event }) => event) };
      this.#client?.publish(this.#topic("event"), formatPayload(eventBatchSchema, batch), { qos: 1 });
    }
  }

  #sayHealthRegularly(): void {
    this.#cancelHealth = this.#options.clock.after(HEALTH_EVERY_MS, () => {
      this.notify("health");
      this.renewIfDue();
      this.#sayHealthRegularly();
    });
  }

  #publishRetained(channel: Channel, payload: string): Promise<void> {
    return new Promise((resolve) => {
      // An error here means that the connection ends, and everything retained is said again on the next one.
      this.#client?.publish(this.#topic(channel), payload, { qos: 1, retain: true }, () => resolve());
    });
  }

  #state(online: boolean): string {
    const { device, clock } = this.#options;
    const heardAt = online ? Math.floor(clock.nowMs() / 1000) : null;
    return formatPayload(stateSchema, { v: 1, device, online, heardAt });
  }

  get #answerTopic(): string {
    return formatEnrolmentTopic({ client: this.#options.device, end: "answer" });
  }

  #topic(channel: Channel, name?: string): string {
    const { site, device } = this.#options;
    return formatTopic({ site, device, channel, ...(name === undefined ? {} : { name }) });
  }
}

/** The id of a message that is otherwise no unlock command; undefined where there is none. */
function commandIdOf(payload: Uint8Array): string | undefined {
  const named = parsePayload(namedCommand, payload, UNLOCK_PAYLOAD_LIMIT_BYTES);
  return named.ok ? named.value.id : undefined;
}

const namedCommand = z.object({ id: unlockCommandSchema.shape.id });

const CONNECT_TIMEOUT_MS = 5_000;
const KEEPALIVE_SECONDS = 15;
const STOP_LIMIT_MS = 500;
/** A receipt follows a commit to disk, which takes milliseconds; after this long the message or the receipt was lost. */
const RECEIPT_TIMEOUT_MS = 3_000;
/** The gateway may be away for days; its devices do not send everything again every 3 s all the while. */
const RECEIPT_TIMEOUT_CAP_MS = 60_000;
const UNANSWERED_PER_CONNECTION = 4;
/** Events under way without a receipt: four full batches. */
const WINDOW_EVENTS = 4 * EVENT_BATCH_LIMIT;
const HEALTH_EVERY_MS = 30_000;
