/**
 * The upstream MQTT broker: only gateways connect, each with its password; everything that is not allowed is refused.
 *
 * Theory: what a gateway publishes is handed to the intake before the broker acknowledges it (`authorizePublish` runs before
 * PUBACK; reference/mqtt.md finding 1), so an acknowledged event is on disk. MQTT 3.1.1 has no word for "not allowed": a topic
 * of another site closes the connection, while a message that is merely wrong is acknowledged, counted and dropped, because
 * closing would have the gateway send it again for ever.
 */
import { createServer, type Server, type Socket } from "node:net";
import {
  Aedes,
  type AedesOptions,
  type AuthenticateError,
  type Client,
  type PublishPacket,
  type Subscription,
} from "aedes";
import { equalBytes, utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import { formatTopic, isRetained, parseTopic, TOPIC_LIMIT_CHARACTERS, type Topic } from "../../protocol/wire/topics.ts";
import { limitFrames } from "./frame-limit.ts";
import type { CloudLog } from "./log.ts";

/** What the broker asks of the authority and the intake. */
export interface BrokerRules {
  readonly site: () => string | undefined;
  /** SHA-256 of the gateway's password; undefined: no such gateway. */
  readonly passwordHash: (gateway: DeviceId) => Uint8Array | undefined;
  /** Handles a message of a permitted topic before it is acknowledged. False: drop it. */
  readonly intake: (gateway: DeviceId, topic: Topic, payload: Uint8Array) => boolean;
  /** Counts a message that was not permitted or too large. */
  readonly refused: (from: string, topic: string, code: BrokerRefusal, bytes: number) => void;
}

export type BrokerRefusal = "topic-not-permitted" | "device-not-represented" | "packet-too-large";

export interface OutgoingMessage {
  readonly topic: Topic;
  readonly payload: string;
}

export type ListenFault = { readonly code: "port-in-use"; readonly port: number };

/** Where gateways and authority meet: a broker of this process, or somebody else's (`external-upstream.ts`). */
export interface UpstreamPort {
  readonly linkIsUp: boolean;
  readonly port: number;
  /** Begins. Fault: port-in-use. */
  listen(port: number): Promise<Result<number, ListenFault>>;
  /** The world's fault: takes the link down, or up again. */
  setLink(up: boolean): Promise<Result<number, ListenFault>>;
  /** The world's other fault. */
  loseReceipts(lost: boolean): void;
  readonly receiptsAreLost: boolean;
  publish(message: OutgoingMessage): void;
  close(): Promise<void>;
}

export class UpstreamBroker implements UpstreamPort {
  readonly #aedes: Aedes;
  readonly #rules: BrokerRules;
  readonly #log: CloudLog;
  readonly #sockets = new Set<Socket>();
  readonly #gatewayByClient = new WeakMap<Client, DeviceId>();
  #server: Server | undefined;
  #port = 0;
  #receiptsAreLost = false;

  private constructor(aedes: Aedes, rules: BrokerRules, log: CloudLog) {
    this.#aedes = aedes;
    this.#rules = rules;
    this.#log = log;
  }

  static async create(rules: BrokerRules, log: CloudLog): Promise<UpstreamBroker> {
    const aedes = await Aedes.createBroker(brokerOptions);
    const broker = new UpstreamBroker(aedes, rules, log);
    aedes.authenticate = (client, username, password, done) => broker.#authenticate(client, username, password, done);
    aedes.authorizePublish = (client, packet, done) => broker.#authorizePublish(client, packet, done);
    aedes.authorizeSubscribe = (client, subscription, done) => done(null, broker.#permitted(client, subscription));
    // A broken connection is no fault of ours; without a listener it would be thrown.
    aedes.on("clientError", (client, error) =>
      log.debug({ client: client.id, message: error.message }, "client error"),
    );
    aedes.on("connectionError", (_client, error) => log.debug({ message: error.message }, "connection error"));
    return broker;
  }

  /** Listens on loopback; port 0 takes a free one. Fault: port-in-use. */
  async listen(port: number): Promise<Result<number, ListenFault>> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    server.maxConnections = connectionsMax;
    const bound = await bindServer(server, port);
    if (bound === undefined) return failed({ code: "port-in-use", port });
    this.#server = server;
    this.#port = bound;
    return ok(bound);
  }

  get linkIsUp(): boolean {
    return this.#server !== undefined;
  }

  get port(): number {
    return this.#port;
  }

  /** The world's fault: cuts every connection and stops listening, or listens again on the same port. */
  async setLink(up: boolean): Promise<Result<number, ListenFault>> {
    if (up === this.linkIsUp) return ok(this.#port);
    if (up) return this.listen(this.#port);
    await this.#stopListening();
    return ok(this.#port);
  }

  /** The world's other fault: receipts get lost on their way, so that gateways must say everything again. */
  loseReceipts(lost: boolean): void {
    this.#receiptsAreLost = lost;
  }

  get receiptsAreLost(): boolean {
    return this.#receiptsAreLost;
  }

  /** Sends a message of the authority; those of retained channels stay for gateways that come later. */
  publish({ topic, payload }: OutgoingMessage): void {
    if (this.#receiptsAreLost && topic.channel === "receipt") return;
    const packet: PublishPacket = {
      cmd: "publish",
      topic: formatTopic(topic),
      payload: Buffer.from(payload),
      // SPEC V9: a command goes to who listens now; at QoS 1 the broker would keep it for who comes back.
      qos: topic.channel === "command" ? 0 : 1,
      dup: false,
      retain: isRetained(topic.channel),
    };
    this.#aedes.publish(packet, (error) => {
      if (error !== undefined && error !== null)
        this.#log.warn({ topic: packet.topic, message: error.message }, "publish failed");
    });
  }

  async close(): Promise<void> {
    await this.#stopListening();
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
  }

  async #stopListening(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    limitFrames(socket, packetLimitBytes, () => {
      this.#rules.refused(socket.remoteAddress ?? "", "", "packet-too-large", packetLimitBytes);
    });
    this.#aedes.handle(socket);
  }

  #authenticate(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: AuthenticateError | null, success: boolean | null) => void,
  ): void {
    const gateway = parseDeviceId(username ?? "");
    const expected = gateway === undefined ? undefined : this.#rules.passwordHash(gateway);
    const matches = expected !== undefined && equalBytes(expected, sha256(password ?? utf8("")));
    if (gateway === undefined || !matches || client.id.length > clientIdMax) {
      this.#log.warn(
        { client: client.id.slice(0, clientIdMax) },
        "connection refused: unknown gateway or wrong password",
      );
      return done(connectionRefused("unknown gateway or wrong password", 4), false);
    }
    // Without a site no topic is permitted; a gateway that is told so tries again later instead of being cut off.
    if (this.#rules.site() === undefined) return done(connectionRefused("no site yet", 3), false);
    this.#gatewayByClient.set(client, gateway);
    return done(null, true);
  }

  #authorizePublish(client: Client | null, packet: PublishPacket, done: (error?: Error | null) => void): void {
    // The broker's own messages (heartbeat) have no client.
    if (client === null) return done(null);
    const gateway = this.#gatewayByClient.get(client);
    const topic = packet.topic.length <= TOPIC_LIMIT_CHARACTERS ? parseTopic(packet.topic) : undefined;
    const payload = new Uint8Array(Buffer.from(packet.payload));
    if (gateway === undefined || topic === undefined || !this.#mayPublish(gateway, topic)) {
      this.#rules.refused(gateway ?? "", packet.topic, "topic-not-permitted", payload.length);
      return done(new Error("topic not permitted"));
    }
    if (!this.#rules.intake(gateway, topic, payload)) dropPacket(packet);
    // Only state is kept by a broker: a retained event would come again to whoever connects.
    else packet.retain = isRetained(topic.channel);
    return done(null);
  }

  /** A gateway writes what devices say and answer, and its commands to the authority; it never writes what the authority says. */
  #mayPublish(gateway: DeviceId, topic: Topic): boolean {
    if (topic.site !== this.#rules.site()) return false;
    if (topic.channel === "command") return topic.device === authorityName;
    if (topic.channel === "desired" || topic.channel === "receipt") return false;
    if (topic.channel === "result" && topic.name === "gateway") return topic.device === gateway;
    if (topic.channel === "result" && topic.name !== "unlock") return false;
    return !topic.device.startsWith("gateway-") || topic.device === gateway;
  }

  /** Gives the subscription back when it is one that the gateway needs; null tells the broker to refuse it. */
  #permitted(client: Client, subscription: Subscription): Subscription | null {
    const gateway = this.#gatewayByClient.get(client);
    const site = this.#rules.site();
    const [prefix, version, ofSite, device, channel, name, ...rest] = subscription.topic.split("/");
    if (gateway === undefined || site === undefined || rest.length > 0) return null;
    if (prefix !== "dl" || version !== "1" || ofSite !== site || device === undefined) return null;
    const forDevices = (channel === "desired" || channel === "receipt") && name === undefined;
    const forCommands = channel === "command" && name === "unlock";
    const isOwn = (channel === "result" && name !== undefined) || (channel === "command" && name === "gateway");
    const forItself = isOwn && device === gateway;
    if ((forDevices || forCommands) && (device === "+" || parseDeviceId(device) !== undefined)) return subscription;
    return forItself ? subscription : null;
  }
}

/** Acknowledged, but routed where nobody may listen. */
function dropPacket(packet: PublishPacket): void {
  packet.topic = droppedTopic;
  packet.payload = Buffer.alloc(0);
  packet.retain = false;
}

/** MQTT 3.1.1 part 3.2.2.3: 3 is "server unavailable", 4 "bad user name or password". */
function connectionRefused(message: string, returnCode: 3 | 4): AuthenticateError {
  return Object.assign(new Error(message), { returnCode });
}

/** The port that the server took, or undefined when it is in use. Another failure of the system is thrown. */
export function bindServer(server: Server, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    };
    server.once("error", onError);
    server.listen(port, "127.0.0.1", () => {
      server.removeListener("error", onError);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

const authorityName = "authority";
const droppedTopic = "dropped";
const clientIdMax = 64;
/** One site has one gateway or a few; more connections than this are a fault or an attack. */
const connectionsMax = 64;
/** A payload at its limit, its topic and the packet's header. */
const packetLimitBytes = PAYLOAD_LIMIT_BYTES + 1024;

const brokerOptions: AedesOptions = {
  id: "doorlink-cloud",
  // One frozen subscriber stalls the others for this long (reference/mqtt.md finding 8).
  drainTimeout: 2_000,
  connectTimeout: 10_000,
  maxTopicLevels: 12,
  queueLimit: 42,
  maxInflightInbound: 100,
};
