/**
 * The authority as a client of somebody else's broker, which may be a cluster: gateways and authority meet there, and neither keeps it.
 *
 * Theory: nothing rests on what that broker does. Its PUBACK proves no disk, so receipts are what gateways go by, and they are sent only after
 * the record has an event. What it forgets is said again: everything desired on each connection. What it loses is asked for again by
 * whoever misses it. Who wrote a message it does not tell; the message does, and the broker's rights keep one site's gateways
 * out of another's topics. SPEC G26.
 */
import { readFile } from "node:fs/promises";
import mqtt, { type IPublishPacket, type MqttClient } from "mqtt";
import { ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../../protocol/base/units.ts";
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import { AUTHORITY_ID, formatTopic, isRetained, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import type { WorldClock } from "../world/clock.ts";
import type { BrokerRefusal, ListenFault, OutgoingMessage, UpstreamPort } from "./broker.ts";
import type { CloudLog } from "./log.ts";

export interface ExternalUpstreamSettings {
  /** One or more addresses of the same broker, tried in turn. */
  readonly urls: readonly string[];
  readonly username: string | undefined;
  /** Read anew at each connection. */
  readonly passwordFile: string | undefined;
  /** PEM of who signed the broker's certificate; the machine's own list when undefined. */
  readonly caFile: string | undefined;
}

/** What it asks of the authority and the intake. */
export interface ExternalRules {
  readonly site: () => string | undefined;
  readonly isGateway: (id: string) => boolean;
  /** The gateway whose word on a device counts; undefined: none yet. */
  readonly speakerOf: (device: DeviceId) => string | undefined;
  readonly intake: (gateway: DeviceId, topic: Topic, payload: Uint8Array) => boolean;
  readonly refused: (from: string, topic: string, code: BrokerRefusal, bytes: number) => void;
  /** A connection stands and hears: everything desired is to be said. */
  readonly onConnected: () => void;
}

export interface ExternalUpstreamOptions {
  readonly settings: ExternalUpstreamSettings;
  readonly rules: ExternalRules;
  readonly clock: WorldClock;
  /** 0 <= value < 1. */
  readonly fraction: () => number;
  readonly log: CloudLog;
}

interface Waiting {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  readonly qos: 0 | 1;
}

export class ExternalUpstream implements UpstreamPort {
  readonly port = 0;
  readonly #options: ExternalUpstreamOptions;
  #client: MqttClient | undefined;
  #isWanted = false;
  #isLinked = false;
  #site: string | undefined;
  #turn = 0;
  #failures = 0;
  #receiptsAreLost = false;
  #cancelRetry: () => void = () => undefined;
  /** By topic: of a retained message and of a receipt only the latest counts. */
  readonly #latestByTopic = new Map<string, Waiting>();
  #once: Waiting[] = [];
  #inFlight = 0;

  constructor(options: ExternalUpstreamOptions) {
    this.#options = options;
  }

  /** Begins to connect, for ever; fulfilled at once, because that the broker is away is a state and no fault. `port` is not used. */
  async listen(_port: number): Promise<Result<number, ListenFault>> {
    this.#isWanted = true;
    this.#connect();
    return ok(0);
  }

  get linkIsUp(): boolean {
    return this.#isLinked;
  }

  async setLink(up: boolean): Promise<Result<number, ListenFault>> {
    this.#isWanted = up;
    if (up) this.#connect();
    else this.#drop("the world cut the link");
    return ok(0);
  }

  loseReceipts(lost: boolean): void {
    this.#receiptsAreLost = lost;
  }

  get receiptsAreLost(): boolean {
    return this.#receiptsAreLost;
  }

  /** Sends what the authority says, or drops it while there is no link: what is desired is said anew then, and the rest asked for anew. */
  publish({ topic, payload }: OutgoingMessage): void {
    if (this.#receiptsAreLost && topic.channel === "receipt") return;
    this.#hearSite();
    if (!this.#isLinked) return;
    const text = formatTopic(topic);
    const retain = isRetained(topic.channel);
    // SPEC V9: a command is for who listens now.
    const waiting: Waiting = { topic: text, payload, retain, qos: topic.channel === "command" ? 0 : 1 };
    if (retain || topic.channel === "receipt") this.#latestByTopic.set(text, waiting);
    else this.#once = [...this.#once, waiting].slice(-onceLimit);
    this.#pump();
  }

  async close(): Promise<void> {
    this.#isWanted = false;
    this.#cancelRetry();
    const client = this.#client;
    this.#drop("closed here");
    await client?.endAsync(true).catch(() => undefined);
  }

  #connect(): void {
    const { settings, log } = this.#options;
    if (!this.#isWanted || this.#client !== undefined) return;
    this.#cancelRetry();
    const url = settings.urls[this.#turn % settings.urls.length];
    if (url === undefined) return;
    this.#open(url).catch((error: unknown) => {
      log.warn({ url, message: error instanceof Error ? error.message : String(error) }, "no link to the broker");
      this.#again();
    });
  }

  async #open(url: string): Promise<void> {
    const { settings, log } = this.#options;
    const { username, passwordFile, caFile } = settings;
    const password = passwordFile === undefined ? undefined : (await readFile(passwordFile, "utf8")).trimEnd();
    const ca = caFile === undefined ? undefined : await readFile(caFile);
    if (!this.#isWanted || this.#client !== undefined) return;
    const client = mqtt.connect(url, {
      clientId: `authority-${this.#options.rules.site() ?? "new"}`,
      protocolVersion: 4,
      clean: true,
      keepalive: keepaliveSeconds,
      connectTimeout: connectMs,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
    });
    this.#client = client;
    let reason = "closed by the peer";
    client.on("error", (error) => {
      reason = error.message === "" ? error.name : error.message;
    });
    client.on("message", (topic, payload, packet) => this.#message(topic, payload, packet));
    client.once("connect", () => this.#connected(client, url));
    client.once("close", () => {
      if (this.#client !== client) return;
      log.warn({ url, reason }, "no link to the broker");
      this.#drop(reason);
      this.#again();
    });
  }

  #connected(client: MqttClient, url: string): void {
    if (this.#client !== client) return;
    this.#options.log.info({ url }, "linked to the broker");
    this.#site = undefined;
    this.#hearSite();
  }

  /** Subscribes to the site's topics, once it is known which site this is. */
  #hearSite(): void {
    const { rules, log } = this.#options;
    const client = this.#client;
    const site = rules.site();
    if (client?.connected !== true || site === undefined || site === this.#site) return;
    this.#site = site;
    client
      // SPEC G27: at QoS 1 a cluster that has lost a node takes seconds for each of them (nats-server 2.9).
      .subscribeAsync(filtersOf(site), { qos: 0 })
      .then(() => {
        if (this.#client !== client) return;
        this.#isLinked = true;
        this.#failures = 0;
        rules.onConnected();
      })
      .catch((error: unknown) => {
        log.warn(
          { message: error instanceof Error ? error.message : String(error) },
          "the broker took no subscription",
        );
        client.end(true);
      });
  }

  #drop(reason: string): void {
    const client = this.#client;
    this.#client = undefined;
    this.#isLinked = false;
    this.#site = undefined;
    this.#inFlight = 0;
    this.#latestByTopic.clear();
    this.#once = [];
    if (client === undefined) return;
    this.#options.log.debug({ reason }, "left the broker");
    client.end(true);
  }

  /** By the next address, after a wait that is uniform below min(cap, first wait doubled). */
  #again(): void {
    if (!this.#isWanted) return;
    const { clock, fraction } = this.#options;
    this.#client = undefined;
    this.#turn += 1;
    this.#failures += 1;
    const ceilingMs = Math.min(retryCapMs, retryFirstMs * 2 ** Math.min(this.#failures - 1, 10));
    this.#cancelRetry = clock.after(Math.floor(ceilingMs * fraction()), () => this.#connect());
  }

  #pump(): void {
    const client = this.#client;
    while (client?.connected === true && this.#inFlight < windowMessages) {
      const next = this.#once.shift() ?? this.#latestByTopic.values().next().value;
      if (next === undefined) return;
      if (this.#latestByTopic.get(next.topic) === next) this.#latestByTopic.delete(next.topic);
      this.#send(client, next);
    }
  }

  #send(client: MqttClient, { topic, payload, retain, qos }: Waiting): void {
    const { clock, log } = this.#options;
    this.#inFlight += 1;
    // A broker that answers pings and acknowledges nothing is as good as none: its cluster has no leader.
    const cancel = clock.after(pubackMs, () => {
      log.warn({ topic }, "no PUBACK");
      client.end(true);
    });
    client
      .publishAsync(topic, payload, { qos, retain })
      .catch((error: unknown) => log.debug({ topic, message: String(error) }, "publish failed"))
      .finally(() => {
        cancel();
        if (this.#client !== client) return;
        this.#inFlight -= 1;
        this.#pump();
      });
  }

  #message(text: string, payload: Uint8Array, { retain }: IPublishPacket): void {
    const { rules } = this.#options;
    const topic = parseTopic(text);
    if (topic === undefined || topic.site !== rules.site())
      return rules.refused("", text, "topic-not-permitted", payload.length);
    // SPEC T3: what is only ever said live came out of a broker's memory.
    if (retain && !isRetained(topic.channel)) return rules.refused("", text, "topic-not-permitted", payload.length);
    if (payload.length > PAYLOAD_LIMIT_BYTES) return rules.refused("", text, "packet-too-large", payload.length);
    const gateway = this.#sender(topic, payload);
    if (gateway === undefined) return rules.refused("", text, "topic-not-permitted", payload.length);
    rules.intake(gateway, topic, new Uint8Array(payload));
  }

  /** Which gateway says this; undefined: one that is not registered. Where nothing says it, it is nobody's in particular. */
  #sender(topic: Topic, payload: Uint8Array): DeviceId | undefined {
    const { rules } = this.#options;
    const registered = (id: string | undefined): DeviceId | undefined => {
      const parsed = id === undefined ? undefined : parseDeviceId(id);
      return parsed !== undefined && rules.isGateway(parsed) ? parsed : undefined;
    };
    if (topic.device.startsWith("gateway-")) return registered(topic.device);
    if (topic.device === AUTHORITY_ID) return registered(namedIn(payload, ["from"]));
    if (topic.channel === "result") return registered(rules.speakerOf(topic.device)) ?? unnamedGateway;
    const named = namedIn(payload, ["via", "courier"]);
    return named === undefined ? unnamedGateway : registered(named);
  }
}

/** The first of these keys that the JSON object has as a text. */
function namedIn(payload: Uint8Array, keys: readonly string[]): string | undefined {
  let message: unknown;
  try {
    message = JSON.parse(new TextDecoder().decode(payload));
  } catch {
    // The intake says what is wrong with it.
    return undefined;
  }
  if (typeof message !== "object" || message === null) return undefined;
  const named = Object.entries(message).find(([key, value]) => keys.includes(key) && typeof value === "string");
  return named === undefined ? undefined : String(named[1]);
}

/** What gateways say; what this authority says itself is not among it. */
function filtersOf(site: string): string[] {
  const said = ["birth", "state", "health", "reported", "event", "result/unlock", "result/gateway"].map(
    (tail) => `dl/1/${site}/+/${tail}`,
  );
  return [...said, `dl/1/${site}/${AUTHORITY_ID}/command/+`];
}

/** Registered nowhere: nothing is renewed in its name. */
const unnamedGateway = "gateway-unnamed" as DeviceId;
const keepaliveSeconds = 20;
const connectMs = 8_000;
/** A cluster that lost a node takes some seconds to agree on a leader. */
const pubackMs = 15_000;
const retryFirstMs = 250;
const retryCapMs = 10_000;
/** Messages without a PUBACK. nats-server sends 100 by default before it waits for a client, and gets no more from one. */
const windowMessages = 64;
/** Answers that nobody reads any more are dropped, the oldest first. */
const onceLimit = 1_000;
