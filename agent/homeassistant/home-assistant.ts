/**
 * Keeps Home Assistant's broker saying what is true: discovery and states, retained, said again when they change and on each connection;
 * what this gateway once said of a device that is gone is cleared. Its own connection, tried again with full jitter for as long as the agent
 * runs. Nothing waits for it, nothing that comes from there is obeyed, and a broker that is away is a state and no fault. SPEC G38-G40.
 */
import { pause, withDeadline } from "../base/deadline.ts";
import type { StatusView } from "../http/views.ts";
import {
  type BrokerConnection,
  BrokerLinkError,
  type BrokerMessage,
  type BrokerTransport,
} from "../ports/broker-transport.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import { type BackoffRules, fullJitterMs } from "../upstream/backoff.ts";
import {
  availabilityTopic,
  configFilter,
  type DoorWord,
  type HomeAssistantNames,
  ownDeviceOf,
  showDevices,
  topicsOf,
} from "./discovery.ts";

export interface HomeAssistantOptions {
  readonly names: HomeAssistantNames;
  readonly transport: BrokerTransport;
  readonly backoff: BackoffRules;
  readonly intervalMs: number;
  readonly status: () => Promise<StatusView>;
  readonly doorOf: (device: string) => DoorWord | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class HomeAssistant {
  readonly #options: HomeAssistantOptions;
  readonly #stop = new AbortController();
  /** What the broker has by this connection. */
  readonly #saidByTopic = new Map<string, string>();
  /** Devices that the broker remembers of us. */
  readonly #remembered = new Set<string>();
  #connection: BrokerConnection | undefined;
  #running: Promise<void> = Promise.resolve();
  #again = new AbortController();

  constructor(options: HomeAssistantOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Says `offline` where there is a link; the broker says it otherwise. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#again.abort();
    await this.#running;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  async #run(): Promise<void> {
    const { clock, random, backoff, log } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const startedMs = clock.monotonicMs();
      const fault = await this.#connectOnce();
      if (this.#stop.signal.aborted) return;
      failures = clock.monotonicMs() - startedMs >= STABLE_MS ? 1 : failures + 1;
      const waitMs = fullJitterMs(backoff, failures, random.fraction());
      // Once for each time that it goes away: a broker that stays away fills no log.
      if (failures === 1) log.warn({ fault, waitMs }, "no link to Home Assistant's broker");
      await pause(clock, waitMs, this.#stop.signal);
    }
  }

  /** One connection from its first packet to its end; gives the reason of the end. */
  async #connectOnce(): Promise<string> {
    const { transport, names, log } = this.#options;
    const closed = Promise.withResolvers<string>();
    const over = new AbortController();
    const will = { topic: availabilityTopic(names), payload: "offline" };
    let connection: BrokerConnection | undefined;
    try {
      const listener = {
        message: (message: BrokerMessage) => this.#message(message),
        closed: (reason: string) => {
          closed.resolve(reason);
          over.abort();
        },
      };
      connection = await this.#within(transport.connect(listener, will), CONNECT_MS, this.#stop.signal);
      this.#connection = connection;
      this.#saidByTopic.clear();
      this.#remembered.clear();
      await this.#within(connection.subscribe([configFilter(names), `${names.discoveryPrefix}/status`]), ANSWER_MS);
      log.info({}, "linked to Home Assistant's broker");
      await Promise.race([this.#speak(connection, over.signal), closed.promise]);
      return over.signal.aborted ? await closed.promise : "stopped";
    } catch (error) {
      return error instanceof BrokerLinkError ? error.message : String(error);
    } finally {
      this.#connection = undefined;
      // The transport ends what does not close by itself.
      await connection?.close();
    }
  }

  /** Says what changed, at each interval and when somebody asks, until the connection or the agent ends. */
  async #speak(connection: BrokerConnection, over: AbortSignal): Promise<void> {
    const { clock, intervalMs, names } = this.#options;
    const availability = availabilityTopic(names);
    while (!over.aborted && !this.#stop.signal.aborted) {
      this.#again = new AbortController();
      await this.#sayAll(connection);
      await this.#say(connection, availability, "online");
      await pause(clock, intervalMs, AbortSignal.any([this.#again.signal, over]));
    }
    if (!over.aborted) await this.#say(connection, availability, "offline");
  }

  async #sayAll(connection: BrokerConnection): Promise<void> {
    const { status, doorOf, names } = this.#options;
    const devices = showDevices(await status(), doorOf, names);
    const shown = new Set(devices.map(({ configTopic }) => configTopic));
    for (const device of [...this.#remembered]) {
      const { config, state } = topicsOf(device, names);
      if (shown.has(config)) continue;
      // An empty message ends both: Home Assistant takes the device away, the broker forgets the states.
      await this.#say(connection, config, "");
      await this.#say(connection, state, "");
      this.#remembered.delete(device);
    }
    for (const { configTopic, config, stateTopic, state } of devices) {
      const device = ownDeviceOf(configTopic, names);
      if (device !== undefined) this.#remembered.add(device);
      await this.#say(connection, configTopic, config);
      await this.#say(connection, stateTopic, state);
    }
  }

  async #say(connection: BrokerConnection, topic: string, payload: string): Promise<void> {
    if (this.#saidByTopic.get(topic) === payload) return;
    await this.#within(connection.publish(topic, payload, { qos: 1, retain: true }), ANSWER_MS);
    this.#saidByTopic.set(topic, payload);
  }

  /** What is read from there: which of our devices the broker remembers, and that Home Assistant has started. Nothing is done for it. */
  #message({ topic, payload, retained }: BrokerMessage): undefined {
    const { names } = this.#options;
    if (topic === `${names.discoveryPrefix}/status`) {
      if (retained || new TextDecoder().decode(payload.subarray(0, STATUS_LIMIT_BYTES)) !== "online") return;
      // It reads what is retained by itself, but asks for states to be said again.
      this.#saidByTopic.clear();
      this.#again.abort();
      return;
    }
    const device = payload.length === 0 ? undefined : ownDeviceOf(topic, names);
    if (device === undefined || this.#remembered.has(device) || this.#remembered.size >= REMEMBERED_LIMIT) return;
    this.#remembered.add(device);
    this.#again.abort();
  }

  #within<Value>(work: Promise<Value>, limitMs: number, signal?: AbortSignal): Promise<Value> {
    const { clock: timers } = this.#options;
    const expired = (): Error => new BrokerLinkError("timeout", `no answer in ${limitMs / 1000} s`);
    return withDeadline(work, { timers, limitMs, expired, ...(signal === undefined ? {} : { signal }) });
  }
}

const CONNECT_MS = 10_000;
const ANSWER_MS = 15_000;
const STABLE_MS = 5_000;
const STATUS_LIMIT_BYTES = 16;
/** A site has a thousand devices at most; whoever fills the broker with more of our names gets no more of our memory. */
const REMEMBERED_LIMIT = 4_096;
