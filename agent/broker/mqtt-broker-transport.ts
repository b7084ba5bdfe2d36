/**
 * A connection to an external broker over mqtt.js, as transport only: its own reconnecting, its offline store and its queue are off
 * (reference: mqtt, findings 4 and 5). What comes in is handed on one by one and held back when told to; how large a packet may
 * be is looked at before the library holds a byte of it.
 */
import { readFile } from "node:fs/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import type { IClientOptions, MqttClient } from "mqtt";
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import {
  type BrokerConnection,
  BrokerLinkError,
  type BrokerListener,
  type BrokerTransport,
} from "../ports/broker-transport.ts";
import { PacketGuard } from "./packet-guard.ts";

export interface MqttBrokerOptions {
  /** `mqtt://host[:port]` or `mqtts://host[:port]`. */
  readonly url: string;
  readonly clientId: string;
  readonly username?: string | undefined;
  /** Files are read anew at each connection, so that what was renewed needs no restart. */
  readonly passwordFile?: string | undefined;
  /** Who may have signed the broker's certificate; the machine's own list when absent. PEM, as the next two. */
  readonly caFile?: string | undefined;
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export function createMqttBrokerTransport(options: MqttBrokerOptions): BrokerTransport {
  const { port } = addressOf(options.url);
  return { url: options.url, port, connect: (listener, will) => connect(options, listener, will) };
}

async function connect(
  options: MqttBrokerOptions,
  listener: BrokerListener,
  will: { readonly topic: string; readonly payload: string },
): Promise<BrokerConnection> {
  const { default: mqtt } = await import("mqtt");
  const secrets = await readSecrets(options);
  let reason = "closed by the broker";
  const noteReason = (text: string): void => {
    reason = text;
  };
  const settings: IClientOptions = {
    clientId: options.clientId,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(secrets.password === undefined ? {} : { password: secrets.password }),
    protocolVersion: 4,
    // Nothing of ours rests on what a broker remembers: devices send again what has no receipt (SPEC B13).
    clean: true,
    keepalive: KEEPALIVE_SECONDS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
  };
  const open = socketOpener(options.url, secrets, noteReason);
  const client = new mqtt.MqttClient(open, settings);
  client.on("error", (error) => noteReason(error.message === "" ? error.name : error.message));
  // The next packet is not looked at before this is called back, and then the socket is not read either.
  client.handleMessage = ({ topic, payload, retain }, done) => {
    const held = listener.message({ topic, payload: bytesOf(payload), retained: retain });
    if (held === undefined) done();
    else held.then(() => done());
  };
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
      client.once("close", () => reject(new Error(reason)));
    });
  } catch (cause) {
    client.end(true);
    throw connectError(cause);
  }
  client.once("close", () => listener.closed(reason));
  return asConnection(client);
}

function asConnection(client: MqttClient): BrokerConnection {
  const checkLink = (): void => {
    // mqtt.js would keep it and send it at a time of its own choosing.
    if (!client.connected) throw new BrokerLinkError("closed", "not connected");
  };
  return {
    publish: async (topic, payload, { qos, retain }) => {
      checkLink();
      await client.publishAsync(topic, payload, { qos, retain }).catch(rethrow);
    },
    subscribe: async (filters) => {
      checkLink();
      await client.subscribeAsync([...filters], { qos: 1 }).catch((cause: unknown) => {
        if (isRefusal(cause)) throw new BrokerLinkError("refused", "the broker refuses a subscription", { cause });
        rethrow(cause);
      });
    },
    close: () =>
      new Promise<void>((resolve) => {
        if (client.disconnected && client.disconnecting) return resolve();
        // Not forced at first: what is under way and DISCONNECT are sent, unless nobody reads them any more.
        const force = setTimeout(() => client.end(true, () => resolve()), CLOSE_MS);
        client.end(!client.connected, {}, () => {
          clearTimeout(force);
          resolve();
        });
      }),
  };
}

/** Throws BrokerLinkError refused: the files are no certificates and keys that belong together. */
function socketOpener(url: string, secrets: Secrets, noteReason: (text: string) => void): () => Socket {
  const { host, port, isTls } = addressOf(url);
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const secureContext = isTls ? makeSecureContext(secrets) : undefined;
  return () => {
    const socket =
      secureContext === undefined
        ? connectTcp({ host, port })
        : connectTls({ host, port, ...servername, secureContext });
    socket.setNoDelay(true);
    const guard = new PacketGuard(PACKET_LIMIT_BYTES);
    // Before mqtt.js pipes the same chunks into its parser.
    socket.on("data", (chunk: Buffer) => {
      const fault = guard.feed(chunk);
      if (fault === undefined) return;
      noteReason(fault.code);
      socket.destroy();
    });
    socket.on("error", (error) => noteReason(error.message));
    return socket;
  };
}

function makeSecureContext({ ca, certificate, key }: Secrets): SecureContext {
  try {
    return createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(certificate === undefined ? {} : { cert: certificate }),
      ...(key === undefined ? {} : { key }),
      minVersion: "TLSv1.2",
    });
  } catch (cause) {
    // OpenSSL's own words name no line of ours, and may quote what it found.
    throw new BrokerLinkError("refused", "the CA, certificate or key file cannot be used", { cause });
  }
}

interface Secrets {
  readonly password?: string;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
}

async function readSecrets(options: MqttBrokerOptions): Promise<Secrets> {
  const { passwordFile, caFile, certificateFile, keyFile } = options;
  const [password, ca, certificate, key] = await Promise.all([
    readNamed(passwordFile, "password"),
    readNamed(caFile, "CA"),
    readNamed(certificateFile, "certificate"),
    readNamed(keyFile, "key"),
  ]);
  return {
    ...(password === undefined ? {} : { password: password.trimEnd() }),
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
  };
}

async function readNamed(path: string | undefined, what: string): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new BrokerLinkError("refused", `the ${what} file cannot be read`, { cause });
  }
}

function addressOf(text: string): { readonly host: string; readonly port: number; readonly isTls: boolean } {
  const url = new URL(text);
  const isTls = url.protocol === "mqtts:";
  // An IPv6 address stands in brackets in a URL and nowhere else.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, port: url.port === "" ? (isTls ? TLS_PORT : PLAIN_PORT) : Number(url.port), isTls };
}

function bytesOf(payload: string | Buffer): Uint8Array {
  return typeof payload === "string" ? Buffer.from(payload) : payload;
}

/** MQTT 3.1.1 part 3.9.3: there was a SUBACK, with 0x80 in it. */
function isRefusal(cause: unknown): boolean {
  return cause instanceof Error && "packet" in cause;
}

function rethrow(cause: unknown): never {
  throw new BrokerLinkError("closed", cause instanceof Error ? cause.message : "failed", { cause });
}

function connectError(cause: unknown): BrokerLinkError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  // MQTT 3.1.1 part 3.2.2.3: return codes 1 to 5 say that the broker is there and does not want us.
  if (typeof code === "number") return new BrokerLinkError("refused", `refused with return code ${code}`, { cause });
  const message = cause instanceof Error && cause.message !== "" ? cause.message : String(code ?? "no connection");
  return new BrokerLinkError("unreachable", message, { cause });
}

const PLAIN_PORT = 1883;
const TLS_PORT = 8883;
/**
 * Twice the payload's limit: what is too large for the protocol is refused as a message, and only what a broker should never have let
 * pass costs the link (SPEC B19).
 */
const PACKET_LIMIT_BYTES = 2 * PAYLOAD_LIMIT_BYTES;
/** A black hole is noticed after one and a half of these. */
const KEEPALIVE_SECONDS = 20;
const CONNECT_TIMEOUT_MS = 8_000;
const CLOSE_MS = 500;
