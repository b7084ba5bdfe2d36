/**
 * The site's broker when it is an external one (Mosquitto, EMQX, a cluster), behind the same port as the embedded one.
 *
 * Its word proves nothing: it acknowledges what it has not written, forgets what it acknowledged, drops from full queues and may not
 * deliver at all (reference: mqtt, findings 1 to 3). So an event counts when it is in the store, and its device hears that in
 * a receipt; nothing waits for a broker and nothing rests on its memory. A link counts as up when the gateway hears its own
 * state come back, and it is tried again and again for as long as the agent runs. SPEC B12-B19.
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { formatTopic, isRetained, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import { pause, withDeadline } from "../base/deadline.ts";
import { secondsOf } from "../devices.ts";
import {
  type BrokerConnection,
  BrokerLinkError,
  type BrokerMessage,
  type BrokerTransport,
} from "../ports/broker-transport.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { BrokerLink, IntakeChannel, SiteBroker, SiteIntake } from "../ports/site-broker.ts";
import { type BackoffRules, fullJitterMs } from "../upstream/backoff.ts";
import { IntakeLanes } from "./intake-lanes.ts";
import { LatestByTopic } from "./latest-by-topic.ts";

export interface ExternalBrokerOptions {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly transport: BrokerTransport;
  readonly backoff: BackoffRules;
  /** A device whose certificates were taken back is heard no more, whatever the broker thinks of them (SPEC I9). */
  readonly isRevoked?: (device: DeviceId) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Begins to connect, and never fails: what fails later is the state of the link. */
export function openExternalBroker(options: ExternalBrokerOptions, intake: SiteIntake): SiteBroker {
  const broker = new ExternalBroker(options, intake);
  broker.start();
  return broker;
}

interface Link {
  readonly connection: BrokerConnection;
  readonly outgoing: LatestByTopic;
  /** Aborted when the link ended, or the agent stops. */
  readonly over: AbortSignal;
}

class ExternalBroker implements SiteBroker {
  readonly #options: ExternalBrokerOptions;
  readonly #intake: SiteIntake;
  readonly #stop = new AbortController();
  readonly #lanes = new IntakeLanes(LANE_LIMITS);
  /** Latest payload of each retained topic of ours, to be said again on each link. Empty: to be cleared, once. */
  readonly #retainedByTopic = new Map<string, string>();
  readonly #online = new Set<DeviceId>();
  readonly #stateTopic: string;
  #link: Link | undefined;
  #status: Omit<BrokerLink, "url">;
  /** Called when the gateway's own state comes back. */
  #heardItself: () => void = () => undefined;
  /** What the link's own machine does next, and when at the latest. */
  #next = { step: "connect", dueMs: 0 };
  #running: Promise<void> = Promise.resolve();

  constructor(options: ExternalBrokerOptions, intake: SiteIntake) {
    this.#options = options;
    this.#intake = intake;
    this.#stateTopic = formatTopic({ site: options.site, device: options.gateway, channel: "state" });
    this.#status = { connected: false, sinceMs: options.clock.nowMs(), lastFault: null };
  }

  get port(): number {
    return this.#options.transport.port;
  }

  start(): void {
    this.#running = this.#run();
  }

  publish(topic: Topic, payload: string): void {
    const text = formatTopic(topic);
    if (isRetained(topic.channel)) this.#retainedByTopic.set(text, payload);
    if (topic.channel === "command") return this.#command(text, payload);
    // A receipt that has no link is lost: its device sends again, and gets another.
    this.#link?.outgoing.put({ topic: text, payload, retain: isRetained(topic.channel) });
  }

  /** The broker keeps the connection, which is not ours to end; nothing of it is taken any more, and what it was to hold is cleared. */
  disconnect(device: DeviceId): void {
    this.#online.delete(device);
    this.#clearStrangers();
  }

  connected(): readonly DeviceId[] {
    return [...this.#online];
  }

  linkState(): BrokerLink {
    return { url: this.#options.transport.url, ...this.#status };
  }

  async beat(): Promise<void> {
    const { step, dueMs } = this.#next;
    const lateMs = this.#options.clock.monotonicMs() - dueMs;
    if (lateMs > 0) throw new Error(`${step} is overdue by ${Math.ceil(lateMs / 1000)} s`);
  }

  async close(): Promise<void> {
    const { clock, gateway } = this.#options;
    const payload = formatPayload(stateSchema, {
      v: 1,
      device: gateway,
      online: false,
      heardAt: secondsOf(clock.nowMs()),
    });
    const goodbye = this.#link?.connection.publish(this.#stateTopic, payload, { qos: 1, retain: true });
    // A broker that does not take it says it by the last will.
    if (goodbye !== undefined) await Promise.race([goodbye.catch(() => undefined), pause(clock, GOODBYE_MS)]);
    this.#stop.abort();
    await this.#running;
    await Promise.race([this.#lanes.idle(), pause(clock, GOODBYE_MS)]);
  }

  async #run(): Promise<void> {
    const { clock, random, backoff, log } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const startedMs = clock.monotonicMs();
      this.#expect("connect", CONNECT_LIMIT_MS);
      const fault = await this.#connectOnce();
      if (this.#stop.signal.aborted) return;
      failures = clock.monotonicMs() - startedMs >= STABLE_MS ? 1 : failures + 1;
      const waitMs = fullJitterMs(backoff, failures, random.fraction());
      log.warn({ fault, failures, waitMs }, "no link to the site's broker");
      this.#expect("connect", waitMs);
      await pause(clock, waitMs, this.#stop.signal);
    }
  }

  /** From the first try to the end of the link; gives why it ended. */
  async #connectOnce(): Promise<string> {
    const gone = Promise.withResolvers<never>();
    // Waited for only while there is a link.
    gone.promise.catch(() => undefined);
    const giveUp = (error: BrokerLinkError): void => gone.reject(error);
    const stop = (): void => giveUp(new BrokerLinkError("closed", "closed here"));
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    const over = new AbortController();
    let connection: BrokerConnection | undefined;
    let fault = "closed here";
    try {
      connection = await Promise.race([this.#connect(giveUp, over.signal), gone.promise]);
      const outgoing = this.#outgoing(connection, giveUp);
      const link = { connection, outgoing, over: AbortSignal.any([over.signal, this.#stop.signal]) };
      this.#link = link;
      await Promise.race([this.#keepLink(link), gone.promise]);
    } catch (error) {
      if (!(error instanceof BrokerLinkError)) throw error;
      fault = error.message;
    }
    over.abort();
    this.#stop.signal.removeEventListener("abort", stop);
    this.#link = undefined;
    this.#online.clear();
    this.#noteLink(false, fault);
    await connection?.close();
    return fault;
  }

  async #connect(giveUp: (error: BrokerLinkError) => void, over: AbortSignal): Promise<BrokerConnection> {
    const { transport, gateway } = this.#options;
    const payload = formatPayload(stateSchema, { v: 1, device: gateway, online: false, heardAt: null });
    const connecting = transport.connect(
      {
        // What is still in its buffers when the link is over comes again: nothing of it was receipted.
        message: (message) => (over.aborted ? undefined : this.#message(message)),
        closed: (reason) => giveUp(new BrokerLinkError("closed", reason)),
      },
      { topic: this.#stateTopic, payload },
    );
    // A connection that comes too late is closed by whom nobody waits for.
    const closeLate = (late: BrokerConnection): void => void (over.aborted && late.close());
    const within = this.#within(connecting, CONNECT_LIMIT_MS, "no connection");
    connecting.then(closeLate, () => undefined);
    return within;
  }

  /** Subscribes, hears itself, says what is retained, and goes on hearing itself until it is stopped or does not. */
  async #keepLink(link: Link): Promise<void> {
    const { clock, log, transport } = this.#options;
    const { connection, outgoing, over } = link;
    this.#expect("subscribe", ANSWER_LIMIT_MS);
    await this.#within(connection.subscribe(this.#filters()), ANSWER_LIMIT_MS, "no SUBACK");
    await this.#hearItself(link);
    if (over.aborted) return;
    this.#noteLink(true, null);
    log.info({ broker: transport.url }, "linked to the site's broker");
    this.#clearStrangers();
    for (const [topic, payload] of this.#retainedByTopic) outgoing.put({ topic, payload, retain: true });
    while (!over.aborted) {
      this.#expect("heartbeat", HEARTBEAT_MS);
      await pause(clock, HEARTBEAT_MS, over);
      if (over.aborted) return;
      this.#clearStrangers();
      await this.#hearItself(link);
    }
  }

  /** SPEC B16: a broker that takes everything and delivers nothing answers every PINGREQ. */
  async #hearItself({ connection, over }: Link): Promise<void> {
    const { clock, gateway } = this.#options;
    this.#expect("answer", 2 * ANSWER_LIMIT_MS);
    const echo = new Promise<void>((resolve) => {
      this.#heardItself = resolve;
    });
    const heardAt = secondsOf(clock.nowMs());
    const payload = formatPayload(stateSchema, { v: 1, device: gateway, online: true, heardAt });
    const said = connection.publish(this.#stateTopic, payload, { qos: 1, retain: true });
    await this.#within(said, ANSWER_LIMIT_MS, "no PUBACK");
    await withDeadline(echo, {
      timers: clock,
      limitMs: ANSWER_LIMIT_MS,
      expired: () => new BrokerLinkError("no-echo", "the broker takes messages and does not deliver them"),
      signal: over,
    }).catch((error: unknown) => {
      if (!over.aborted) throw error;
    });
  }

  #outgoing(connection: BrokerConnection, giveUp: (error: BrokerLinkError) => void): LatestByTopic {
    return new LatestByTopic(async ({ topic, payload, retain }) => {
      try {
        await this.#within(connection.publish(topic, payload, { qos: 1, retain }), ANSWER_LIMIT_MS, "no PUBACK");
      } catch (error) {
        giveUp(error instanceof BrokerLinkError ? error : new BrokerLinkError("closed", "failed", { cause: error }));
        throw error;
      }
      // What was to be forgotten is.
      if (retain && payload === "") this.#retainedByTopic.delete(topic);
    }, PUBLISH_WINDOW);
  }

  /** SPEC V9: at QoS 0 and not retained, so that nobody keeps it for a device that is away. */
  #command(topic: string, payload: string): void {
    this.#link?.connection.publish(topic, payload, { qos: 0, retain: false }).catch(() => undefined);
  }

  #message({ topic: text, payload, retained }: BrokerMessage): Promise<void> | undefined {
    const { site, gateway } = this.#options;
    const topic = parseTopic(text);
    const channel = topic === undefined ? undefined : intakeChannelOf(topic);
    if (topic === undefined || topic.site !== site || channel === undefined) {
      this.#intake.refuse({ code: "not-a-topic", detail: text.slice(0, SHOWN_CHARACTERS) });
      return undefined;
    }
    const { device } = topic;
    if (device === gateway && channel === "state" && !retained) this.#heardItself();
    // Another gateway of the site says how it is, as this one does.
    if (device.startsWith(GATEWAY_PREFIX)) return undefined;
    const refusal = this.#whyNot(device);
    if (refusal !== undefined) {
      // One line a minute for all of them: where several gateways share a broker each hears the devices of the others.
      this.#intake.refuse({ code: refusal, detail: device });
      return undefined;
    }
    // Cleared, by whoever may.
    if (payload.length === 0 && isRetained(channel)) return undefined;
    this.#noteOnline(device, channel, payload, retained);
    const from = retained ? ("memory" as const) : ("device" as const);
    const work = {
      bytes: payload.length,
      // Events are only added to; of words the last one counts.
      isShared: channel === "event",
      run: () => this.#take(device, channel, payload, from),
    };
    if (!this.#lanes.offer(device, work)) {
      this.#intake.refuse({ code: "too-many-at-once", client: device });
    }
    return this.#lanes.room();
  }

  async #take(device: DeviceId, channel: IntakeChannel, payload: Uint8Array, from: "device" | "memory"): Promise<void> {
    try {
      await this.#within(this.#intake.take(device, channel, payload, from), TAKE_LIMIT_MS, "not kept in time");
      // It has been there all along and waits ever longer for a receipt.
      if (from === "memory" && channel === "state" && this.#online.has(device)) {
        await this.#within(this.#intake.remind(device), TAKE_LIMIT_MS, "not read in time");
      }
    } catch {
      // No receipt goes out, so the device keeps it and sends it again.
      this.#intake.refuse({ code: "not-kept", client: device });
    }
  }

  #noteOnline(device: DeviceId, channel: IntakeChannel, payload: Uint8Array, retained: boolean): void {
    if (channel === "state") {
      const state = parsePayload(stateSchema, payload);
      if (state.ok && state.value.online) this.#online.add(device);
      else this.#online.delete(device);
    } else if (!retained) this.#online.add(device);
  }

  /** What a device was to hold is not left behind when the authority takes the device away. */
  #clearStrangers(): void {
    for (const [text, payload] of this.#retainedByTopic) {
      const device = parseTopic(text)?.device;
      if (payload === "" || device === undefined || this.#whyNot(device) === undefined) continue;
      this.#retainedByTopic.set(text, "");
      this.#link?.outgoing.put({ topic: text, payload: "", retain: true });
    }
  }

  #filters(): readonly string[] {
    const { site } = this.#options;
    return ["birth", "state", "health", "reported", "event", "result/unlock"].map((tail) => `dl/1/${site}/+/${tail}`);
  }

  #expect(step: string, withinMs: number): void {
    this.#next = { step, dueMs: this.#options.clock.monotonicMs() + withinMs + STEP_GRACE_MS };
  }

  /** Whose words count. */
  #whyNot(device: DeviceId): "not-admitted" | "certificate-revoked" | undefined {
    if (!this.#intake.admits(device)) return "not-admitted";
    return this.#options.isRevoked?.(device) === true ? "certificate-revoked" : undefined;
  }

  #noteLink(connected: boolean, fault: string | null): void {
    const { clock } = this.#options;
    const before = this.#status;
    const sinceMs = before.connected === connected ? before.sinceMs : clock.nowMs();
    this.#status = { connected, sinceMs, lastFault: fault ?? before.lastFault };
  }

  #within<Value>(work: Promise<Value>, limitMs: number, what: string): Promise<Value> {
    const expired = (): Error => new BrokerLinkError("timeout", `${what} in ${limitMs / 1000} s`);
    return withDeadline(work, { timers: this.#options.clock, limitMs, expired });
  }
}

function intakeChannelOf({ channel, name }: Topic): IntakeChannel | undefined {
  if (name !== undefined && name !== "unlock") return undefined;
  return intakeChannels.find((known) => known === channel);
}

const intakeChannels: readonly IntakeChannel[] = ["birth", "state", "health", "reported", "event", "result"];
const GATEWAY_PREFIX = "gateway-";
/**
 * In memory and not yet in the store: as many messages as a site's devices have under way at once (100 with four batches each), and
 * sixteen of the largest; of one device its window, said again a few times while the disk was slow.
 */
const LANE_LIMITS = { messages: 512, bytes: 8 * 1024 * 1024, messagesPerDevice: 64 };
/** Publishes without a PUBACK: below the 65,535 ids of MQTT and the queues of every broker, above what a round trip needs. */
const PUBLISH_WINDOW = 64;
const CONNECT_LIMIT_MS = 10_000;
/** A broker on the site's own network answers in milliseconds; one that is restarting within this. */
const ANSWER_LIMIT_MS = 15_000;
/** A link that delivers nothing is found out after at most this and one answer's limit. */
const HEARTBEAT_MS = 20_000;
/** A commit takes milliseconds, on a card that is dying seconds. */
const TAKE_LIMIT_MS = 30_000;
/** A link that lasted this long was one, and the next try comes soon. */
const STABLE_MS = 30_000;
const GOODBYE_MS = 500;
/** A step may be late by this on a machine that is busy, before anybody says that it stopped. */
const STEP_GRACE_MS = 15_000;
const SHOWN_CHARACTERS = 64;
