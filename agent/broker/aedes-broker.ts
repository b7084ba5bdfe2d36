/**
 * The embedded MQTT broker: aedes, fenced. What is fixed here was measured (reference: mqtt, findings 1, 8, 9):
 * a message is dealt with in `authorizePublish`, which runs before PUBACK, so an acknowledged event is on disk; persistence stays in
 * memory; a frozen subscriber is given up after 2 seconds; a packet's length is looked at before aedes sees a byte of it.
 */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Aedes, type AedesOptions, type Client, type PublishPacket } from "aedes";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, monotonicMs, parseDeviceId, unixMs } from "../../protocol/base/units.ts";
import { formatEnrolmentTopic, isClaimClient } from "../../protocol/wire/enrolment-topic.ts";
import { ENROLMENT_PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/messages/enrolment.ts";
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import { formatTopic, isRetained, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import type { Clock } from "../ports/clock.ts";
import type { BrokerRefusal, IntakeChannel, SiteBroker, SiteIntake } from "../ports/site-broker.ts";
import { createAedesBeat } from "./aedes-beat.ts";
import { type BrokerTls, openListener, type Peer } from "./broker-listener.ts";
import { ClaimConnections } from "./claim-connections.ts";
import { type GateRules, isOwnAddress } from "./connect-gate.ts";
import { guardStream } from "./guarded-stream.ts";

export interface BrokerOptions {
  readonly site: string;
  /** Loopback when absent; anywhere else with `tls` alone. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: BrokerTls;
  readonly enrolment?: BrokerEnrolment;
  /** How many may connect how fast. */
  readonly gate?: GateRules;
  /** Sockets live in this process's own time when absent. */
  readonly clock?: Clock;
}

/** Certificates of the site's devices: who asks for one, and whose are good no more. */
export interface BrokerEnrolment {
  /** One request of a claim connection, or of a device over its own; gives the answer's payload. Rejected when it could not be kept. */
  readonly answer: (peer: EnrolmentPeer, payload: Uint8Array) => Promise<string>;
  /** Whether a certificate that was good when it was shown still is. */
  readonly isGood: (shown: Extract<Peer, { kind: "device" }>) => boolean;
  /** A device whose certificates were revoked is not let in by its password either. */
  readonly isRevoked: (device: DeviceId) => boolean;
}
export type EnrolmentPeer = { readonly kind: "claim" } | { readonly kind: "device"; readonly device: DeviceId };

/** Listens on loopback, or where `options` say. Throws BrokerError: port-in-use, unavailable. */
export async function openAedesBroker(options: BrokerOptions, intake: SiteIntake): Promise<SiteBroker> {
  const { clock = processClock, enrolment, host = LOOPBACK, tls } = options;
  assert(tls !== undefined || isOwnAddress(host), "beyond loopback there is TLS");
  const peers: Peers = new WeakMap();
  const claims = new ClaimConnections(clock);
  const aedes = await Aedes.createBroker(brokerRules(options, intake, peers));
  routeNothingTaken(aedes);
  aedes.on("clientError", (client, error) => {
    // Who was not let in was counted as that; whoever was let in has a connection to lose.
    if ("errorCode" in error) return;
    intake.refuse({ code: "connection-error", client: client.id, detail: error.message });
  });
  aedes.on("connectionError", (_client, error) => intake.refuse({ code: "connection-error", detail: error.message }));
  const listener = await openListener({
    host,
    port: options.port,
    clock,
    ...(tls === undefined ? {} : { tls }),
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    refuse: (refusal) => intake.refuse(refusal),
    onError: (error) => intake.refuse({ code: "connection-error", detail: String(error) }),
    serve: (socket, peer, known) => {
      const stream = guarded(socket, intake, peer.kind === "claim" ? CLAIM_PACKET_LIMIT_BYTES : PACKET_LIMIT_BYTES);
      peers.set(stream, { peer, known, requests: 0 });
      if (peer.kind === "claim" && !claims.admit(socket)) {
        intake.refuse({ code: "too-many-connections", detail: "claims" });
        return void socket.destroy();
      }
      aedes.handle(stream);
    },
  }).catch((error: unknown) => {
    // Its heartbeat would keep a process alive that has nothing to do.
    aedes.close();
    throw error;
  });
  const clientByDevice = (device: DeviceId): Client | undefined => connectedClients(aedes).get(device);
  const stopExpiring = endExpired({ aedes, clock, peers, enrolment, intake });
  return {
    port: listener.port,
    publish: (topic, payload) => publish(aedes, topic, payload),
    disconnect: (device) => clientByDevice(device)?.close(),
    connected: () => [...connectedClients(aedes).keys()].filter((id) => !isClaimClient(id)),
    linkState: () => null,
    beat: createAedesBeat(aedes),
    close: async () => {
      stopExpiring();
      listener.stop();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await listener.close();
    },
  };
}

type Peers = WeakMap<object, { readonly peer: Peer; readonly known: () => void; requests: number }>;

function brokerRules(options: BrokerOptions, intake: SiteIntake, peers: Peers): AedesOptions {
  const { site, enrolment } = options;
  return {
    drainTimeout: DRAIN_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxTopicLevels: TOPIC_LEVELS_MAX,
    authenticate: (client, _username, password, done) => {
      const met = peers.get(client.conn);
      const refusal =
        met === undefined ? "not-admitted" : whyNotIn(client, met.peer, password ?? undefined, intake, enrolment);
      if (refusal === undefined) {
        met?.known();
        return done(null, true);
      }
      intake.refuse({ code: refusal, client: client.id.slice(0, SHOWN_CHARACTERS) });
      done(null, false);
    },
    authorizePublish: (client, packet, done) => {
      const peer = client === null ? undefined : peers.get(client.conn)?.peer;
      if (client !== null && peer !== undefined && isOwnRequest(client, peer, packet.topic)) {
        if (!mayAsk(peers, client)) {
          intake.refuse({ code: "too-many-requests", client: client.id });
          return done(new Error("a claim is a few questions"));
        }
        const answered = answerRequest(client, peer, bytesOf(packet.payload), enrolment);
        return void answered.then((fault) => {
          // Whoever asked hears nothing then, and asks again.
          if (fault !== undefined) intake.refuse({ code: "connection-error", client: client.id, detail: fault });
          emptied(packet);
          done(null);
        });
      }
      const device = peer === undefined || peer.kind === "claim" ? undefined : parseDeviceId(client?.id ?? "");
      const own = device === undefined ? undefined : ownTopic(site, device, packet.topic);
      if (device === undefined || own === undefined) {
        const topic = packet.topic.slice(0, SHOWN_CHARACTERS);
        intake.refuse({ code: "foreign-topic", client: client?.id ?? "none", detail: topic });
        return done(new Error("a device publishes on its own topics only"));
      }
      intake.take(device, own, bytesOf(packet.payload)).then(
        () => {
          // Nobody but the gateway reads what devices say, and the gateway has it: nothing is left to route or retain.
          emptied(packet);
          done(null);
        },
        () => done(new Error("not kept")),
      );
    },
    authorizeSubscribe: (client, subscription, done) => {
      const peer = peers.get(client.conn)?.peer;
      if (peer !== undefined && subscriptionsOf(site, client.id, peer).includes(subscription.topic)) {
        return done(null, subscription);
      }
      intake.refuse({
        code: "foreign-subscription",
        client: client.id,
        detail: subscription.topic.slice(0, SHOWN_CHARACTERS),
      });
      // MQTT 3.1.1 part 3.9.3: the subscription is answered with failure and the connection goes on.
      done(null, null);
    },
  };
}

/** Why this CONNECT is refused; undefined: it is not. */
function whyNotIn(
  client: Client,
  peer: Peer,
  password: Uint8Array | undefined,
  intake: SiteIntake,
  enrolment: BrokerEnrolment | undefined,
): BrokerRefusal["code"] | undefined {
  // SPEC I2: a claim leaves no session behind.
  if (peer.kind === "claim") {
    return isClaimClient(client.id) && client.clean && enrolment !== undefined ? undefined : "not-admitted";
  }
  const device = parseDeviceId(client.id);
  // SPEC B10: a certificate is good for its own name alone.
  if (peer.kind === "device" && peer.device !== device) return "wrong-name";
  if (device === undefined || !intake.admits(device)) return "not-admitted";
  if (peer.kind === "device") return enrolment?.isGood(peer) === true ? undefined : "certificate-revoked";
  if (enrolment?.isRevoked(device) === true) return "certificate-revoked";
  return intake.isPasswordOf(device, password ?? new Uint8Array(0)) ? undefined : "wrong-password";
}

/** SPEC I3: who has proved nothing asks a few times at most on one connection. */
function mayAsk(peers: Peers, client: Client): boolean {
  const met = peers.get(client.conn);
  if (met === undefined) return false;
  met.requests += 1;
  return met.peer.kind !== "claim" || met.requests <= CLAIM_REQUESTS_LIMIT;
}

function isOwnRequest(client: Client, peer: Peer, topic: string): boolean {
  return peer.kind !== "open" && topic === formatEnrolmentTopic({ client: client.id, end: "request" });
}

/** The answer goes to this one connection and to nobody who calls himself the same. Gives what went wrong here, if anything did. */
async function answerRequest(
  client: Client,
  peer: Peer,
  payload: Uint8Array,
  enrolment: BrokerEnrolment | undefined,
): Promise<string | undefined> {
  if (enrolment === undefined || peer.kind === "open") return undefined;
  try {
    const answer = await enrolment.answer(peer, payload);
    const topic = formatEnrolmentTopic({ client: client.id, end: "answer" });
    client.publish({ cmd: "publish", topic, payload: answer, qos: 0, retain: false, dup: false }, () => undefined);
    return undefined;
  } catch (error) {
    return `enrolment: ${error instanceof Error ? error.message : "failed"}`;
  }
}

/** Certificates also end while their connection lives. */
function endExpired(parts: {
  readonly aedes: Aedes;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly enrolment: BrokerEnrolment | undefined;
  readonly intake: SiteIntake;
}): () => void {
  const { aedes, clock, peers, enrolment, intake } = parts;
  if (enrolment === undefined) return () => undefined;
  let cancel: () => void = () => undefined;
  const next = (): void => {
    cancel = clock.after(EXPIRY_LOOK_MS, () => {
      for (const [device, client] of connectedClients(aedes)) {
        const peer = peers.get(client.conn)?.peer;
        if (peer?.kind !== "device" || enrolment.isGood(peer)) continue;
        intake.refuse({ code: "certificate-expired", client: device });
        client.close();
      }
      next();
    });
  };
  next();
  return () => cancel();
}

function emptied(packet: { topic: string; payload: string | Buffer; retain: boolean }): void {
  packet.topic = TAKEN_TOPIC;
  packet.payload = "";
  packet.retain = false;
}

function ownTopic(site: string, device: DeviceId, text: string): IntakeChannel | undefined {
  const topic = parseTopic(text);
  if (topic === undefined || topic.site !== site || topic.device !== device) return undefined;
  // The one command that goes to a device is the one that it answers.
  if (topic.name !== undefined && topic.name !== "unlock") return undefined;
  return intakeChannels.find((channel) => channel === topic.channel);
}

function subscriptionsOf(site: string, client: string, { kind }: Peer): readonly string[] {
  const own = ["receipt", "desired", "command/+"].map((tail) => `dl/1/${site}/${client}/${tail}`);
  const answer = formatEnrolmentTopic({ client, end: "answer" });
  if (kind === "claim") return [answer];
  return kind === "device" ? [...own, answer] : own;
}

function publish(aedes: Aedes, topic: Topic, payload: string): void {
  const packet = {
    cmd: "publish" as const,
    topic: formatTopic(topic),
    payload,
    // SPEC V9: at QoS 1 the broker would keep a command for a device that is away, and say it again.
    qos: topic.channel === "command" ? (0 as const) : (1 as const),
    retain: isRetained(topic.channel),
    dup: false,
  };
  // A device that is away gets its receipt after its next batch; nothing of ours depends on this one arriving.
  aedes.publish(packet, () => undefined);
}

/**
 * What the intake took goes to nobody, and finding nobody would cost the broker's router more than the intake took. aedes hands on what
 * clients publish with the client between packet and callback, which its types leave out.
 */
function routeNothingTaken(aedes: Aedes): void {
  const route = aedes.publish.bind(aedes);
  aedes.publish = (packet: PublishPacket, ...rest: readonly unknown[]) => {
    const done = rest.at(-1);
    if (packet.topic === TAKEN_TOPIC && typeof done === "function") done(null);
    else Reflect.apply(route, aedes, [packet, ...rest]);
  };
}

/** aedes keeps its clients in a table that its types leave out; ids are those that `authenticate` let in. */
function connectedClients(aedes: Aedes): ReadonlyMap<DeviceId, Client> {
  const clients: unknown = Reflect.get(aedes, "clients");
  if (typeof clients !== "object" || clients === null) return new Map();
  return new Map(Object.entries(clients).map(([id, client]) => [id as DeviceId, client as Client]));
}

/** A device's socket; a packet that is too large ends it, counted and named. */
function guarded(socket: Socket, intake: SiteIntake, limitBytes: number): Duplex {
  return guardStream(socket, limitBytes, (fault) => {
    const detail = fault.code === "packet-too-large" ? `${fault.announcedBytes} bytes announced` : "";
    intake.refuse({ code: fault.code, detail });
  });
}

function bytesOf(payload: string | Buffer): Uint8Array {
  return typeof payload === "string" ? Buffer.from(payload) : payload;
}

const intakeChannels: readonly IntakeChannel[] = ["birth", "state", "health", "reported", "event", "result"];
/** The payload's limit, and a topic and a message id beside it. */
const PACKET_LIMIT_BYTES = PAYLOAD_LIMIT_BYTES + 1024;
/** A claim's one request, and its topic. */
const CLAIM_PACKET_LIMIT_BYTES = ENROLMENT_PAYLOAD_LIMIT_BYTES + 1024;
const CLAIM_REQUESTS_LIMIT = 8;
const EXPIRY_LOOK_MS = 60_000;
const LOOPBACK = "127.0.0.1";
const processClock: Clock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
/** One frozen panel may hold up the others this long and no longer. */
const DRAIN_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** `dl/1/<site>/<device>/<channel>/<name>`. */
const TOPIC_LEVELS_MAX = 6;
/** Nobody may subscribe to it; it carries nothing. */
const TAKEN_TOPIC = "taken";
/** How much of a name that a peer chose is worth a log line. */
const SHOWN_CHARACTERS = 64;
