/**
 * The embedded MQTT broker: aedes, fenced. What is fixed here was measured (reference: mqtt, findings 1, 8, 9):
 * a message is dealt with in `authorizePublish`, which runs before PUBACK, so an acknowledged event is on disk; persistence stays in
 * memory; a frozen subscriber is given up after 2 seconds; a packet's length is looked at before aedes sees a byte of it.
 */
import { createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { Aedes, type AedesOptions, type Client } from "aedes";
import { type DeviceId, parseDeviceId } from "../../protocol/base/units.ts";
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import { formatTopic, isRetained, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import { BrokerError, type IntakeChannel, type SiteBroker, type SiteIntake } from "../ports/site-broker.ts";
import { PacketGuard } from "./packet-guard.ts";

export interface BrokerOptions {
  readonly site: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Listens on loopback. Throws BrokerError: port-in-use, unavailable. */
export async function openAedesBroker(options: BrokerOptions, intake: SiteIntake): Promise<SiteBroker> {
  const aedes = await Aedes.createBroker(brokerRules(options.site, intake));
  aedes.on("clientError", (client, error) => {
    // Who was not let in was counted as that; whoever was let in has a connection to lose.
    if ("errorCode" in error) return;
    intake.refuse({ code: "connection-error", client: client.id, detail: error.message });
  });
  aedes.on("connectionError", (_client, error) => intake.refuse({ code: "connection-error", detail: error.message }));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.setNoDelay(true);
    aedes.handle(guarded(socket, intake));
  });
  const port = await listen(server, options.port).catch((error: unknown) => {
    // Its heartbeat would keep a process alive that has nothing to do.
    aedes.close();
    throw error;
  });
  const clientByDevice = (device: DeviceId): Client | undefined => connectedClients(aedes).get(device);
  return {
    port,
    publish: (topic, payload) => publish(aedes, topic, payload),
    disconnect: (device) => clientByDevice(device)?.close(),
    connected: () => [...connectedClients(aedes).keys()],
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function brokerRules(site: string, intake: SiteIntake): AedesOptions {
  return {
    drainTimeout: DRAIN_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxTopicLevels: TOPIC_LEVELS_MAX,
    authenticate: (client, _username, password, done) => {
      const device = parseDeviceId(client.id);
      const isListed = device !== undefined && intake.admits(device);
      if (isListed && intake.isPasswordOf(device, password ?? new Uint8Array(0))) return done(null, true);
      const code = isListed ? "wrong-password" : "not-admitted";
      intake.refuse({ code, client: client.id.slice(0, SHOWN_CHARACTERS) });
      done(null, false);
    },
    authorizePublish: (client, packet, done) => {
      const device = parseDeviceId(client?.id ?? "");
      const own = device === undefined ? undefined : ownTopic(site, device, packet.topic);
      if (device === undefined || own === undefined) {
        const topic = packet.topic.slice(0, SHOWN_CHARACTERS);
        intake.refuse({ code: "foreign-topic", client: client?.id ?? "none", detail: topic });
        return done(new Error("a device publishes on its own topics only"));
      }
      intake.take(device, own, bytesOf(packet.payload)).then(
        () => {
          // Nobody but the gateway reads what devices say, and the gateway has it: nothing is left to route or retain.
          packet.topic = TAKEN_TOPIC;
          packet.payload = "";
          packet.retain = false;
          done(null);
        },
        () => done(new Error("not kept")),
      );
    },
    authorizeSubscribe: (client, subscription, done) => {
      if (ownSubscriptions(site, client.id).includes(subscription.topic)) return done(null, subscription);
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

function ownTopic(site: string, device: DeviceId, text: string): IntakeChannel | undefined {
  const topic = parseTopic(text);
  if (topic === undefined || topic.site !== site || topic.device !== device) return undefined;
  // The one command that goes to a device is the one that it answers.
  if (topic.name !== undefined && topic.name !== "unlock") return undefined;
  return intakeChannels.find((channel) => channel === topic.channel);
}

function ownSubscriptions(site: string, device: string): readonly string[] {
  return ["receipt", "desired", "command/+"].map((tail) => `dl/1/${site}/${device}/${tail}`);
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

/** aedes keeps its clients in a table that its types leave out; ids are those that `authenticate` let in. */
function connectedClients(aedes: Aedes): ReadonlyMap<DeviceId, Client> {
  const clients: unknown = Reflect.get(aedes, "clients");
  if (typeof clients !== "object" || clients === null) return new Map();
  return new Map(Object.entries(clients).map(([id, client]) => [id as DeviceId, client as Client]));
}

/** The socket with the guard in front of its reading side. */
function guarded(socket: Socket, intake: SiteIntake): Duplex {
  const guard = new PacketGuard(PACKET_LIMIT_BYTES);
  const through = new Duplex({
    read: () => socket.resume(),
    write: (chunk, _encoding, done) => {
      socket.write(chunk, done);
    },
    final: (done) => {
      socket.end(done);
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    const fault = guard.feed(chunk);
    if (fault !== undefined) {
      const detail = fault.code === "packet-too-large" ? `${fault.announcedBytes} bytes announced` : "";
      intake.refuse({ code: fault.code, detail });
      socket.destroy();
    } else if (!through.push(chunk)) socket.pause();
  });
  socket.on("end", () => through.push(null));
  socket.on("error", (error) => through.destroy(error));
  socket.on("close", () => through.destroy());
  return through;
}

async function listen(server: Server, port: number): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  } catch (cause) {
    const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    throw inUse
      ? new BrokerError("port-in-use", `MQTT broker: port ${port} is in use`, { cause })
      : new BrokerError("unavailable", `MQTT broker: cannot listen on port ${port}`, { cause });
  }
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

function bytesOf(payload: string | Buffer): Uint8Array {
  return typeof payload === "string" ? Buffer.from(payload) : payload;
}

const intakeChannels: readonly IntakeChannel[] = ["birth", "state", "health", "reported", "event", "result"];
/** The payload's limit, and a topic and a message id beside it. */
const PACKET_LIMIT_BYTES = PAYLOAD_LIMIT_BYTES + 1024;
/** One frozen panel may hold up the others this long and no longer. */
const DRAIN_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** `dl/1/<site>/<device>/<channel>/<name>`. */
const TOPIC_LEVELS_MAX = 6;
/** Nobody may subscribe to it; it carries nothing. */
const TAKEN_TOPIC = "taken";
/** How much of a name that a peer chose is worth a log line. */
const SHOWN_CHARACTERS = 64;
