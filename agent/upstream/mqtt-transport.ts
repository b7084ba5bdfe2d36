/**
 * The upstream connection over mqtt.js, as transport only. Its own reconnecting, its offline store and its queue are off:
 * they replay one message per round trip, lose messages above 65,535 in silence and come back all in the same second
 * (reference: mqtt, findings 4 and 5; part 2.2).
 */
import { readFile } from "node:fs/promises";
import type { TLSSocket } from "node:tls";
import type { IClientOptions, MqttClient } from "mqtt";
import type { DeviceId } from "../../protocol/base/units.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import { formatTopic } from "../../protocol/wire/topics.ts";
import type { KnownTime } from "../enrolment/trusted-time.ts";
import {
  type UpstreamConnection,
  UpstreamError,
  type UpstreamListener,
  type UpstreamTransport,
} from "../ports/upstream.ts";

export interface MqttTransportOptions {
  readonly url: string;
  readonly site: string;
  readonly gateway: DeviceId;
  readonly username: string;
  /** Read anew at each connection, so that a changed password needs no restart. Absent: none. */
  readonly passwordFile?: string | undefined;
  /** PEM files, read anew at each connection as well. `caFile` absent: the machine's own list of authorities. */
  readonly caFile?: string | undefined;
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** What time it is, and whether that is known; while it is not, a server under `caFile` is judged by SPEC I10. */
  readonly now?: (() => KnownTime) | undefined;
  /** From the first packet to the broker's word that it takes us. */
  readonly connectTimeoutMs?: number;
}

export function createMqttTransport(options: MqttTransportOptions): UpstreamTransport {
  return { connect: (listener) => connect(options, listener) };
}

async function connect(options: MqttTransportOptions, listener: UpstreamListener): Promise<UpstreamConnection> {
  const { default: mqtt } = await import("mqtt");
  const files = await readFiles(options);
  const early = await openEarly(options, files);
  const settings: IClientOptions = {
    clientId: options.gateway,
    username: options.username,
    ...files,
    protocolVersion: 4,
    clean: true,
    keepalive: KEEPALIVE_SECONDS,
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    will: { topic: willTopic(options), payload: Buffer.from(willPayload(options.gateway)), qos: 1, retain: true },
  };
  const client = early === undefined ? mqtt.connect(options.url, settings) : new mqtt.MqttClient(() => early, settings);
  let reason = "closed by the peer";
  client.on("error", (error) => {
    reason = error.message === "" ? error.name : error.message;
  });
  client.on("message", (topic, payload) => listener.message(topic, payload));
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

/** The connection of a machine that does not know the time to a server that it can judge all the same; undefined: mqtt.js makes it. */
async function openEarly(
  { url, now, connectTimeoutMs = CONNECT_TIMEOUT_MS }: MqttTransportOptions,
  { ca, cert, key }: Awaited<ReturnType<typeof readFiles>>,
): Promise<TLSSocket | undefined> {
  const time = now?.();
  const where = new URL(url);
  if (time === undefined || time.trusted || ca === undefined || where.protocol !== "mqtts:") return undefined;
  const { openPinnedTls } = await import("../enrolment/pinned-chain.ts");
  const shown = { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
  return openPinnedTls({ url: where, ca, ...shown, floor: time.now, limitMs: connectTimeoutMs }).catch(
    (cause: unknown) => {
      throw connectError(cause);
    },
  );
}

function asConnection(client: MqttClient): UpstreamConnection {
  return {
    publish: async (topic, payload, { retain }) => {
      // mqtt.js would keep it and send it at a time of its own choosing.
      if (!client.connected) throw new UpstreamError("closed", "not connected");
      await client.publishAsync(topic, payload, { qos: 1, retain }).catch(rethrow);
    },
    subscribe: async (filters) => {
      if (!client.connected) throw new UpstreamError("closed", "not connected");
      // SPEC G27: a subscription at QoS 1 takes a cluster that has lost a node longer to make than a link is waited for.
      await client.subscribeAsync([...filters], { qos: 0 }).catch(rethrow);
    },
    close: () =>
      new Promise<void>((resolve) => {
        if (client.disconnected && client.disconnecting) return resolve();
        // Not forced at first: what is under way and DISCONNECT are sent, unless nobody reads them any more.
        const force = setTimeout(() => client.end(true, () => resolve()), CLOSE_MS);
        client.end(false, {}, () => {
          clearTimeout(force);
          resolve();
        });
      }),
  };
}

function rethrow(cause: unknown): never {
  throw new UpstreamError("closed", cause instanceof Error ? cause.message : "failed", { cause });
}

function connectError(cause: unknown): UpstreamError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  // MQTT 3.1.1 part 3.2.2.3: return codes 1 to 5 say that the broker is there and does not want us.
  if (typeof code === "number") return new UpstreamError("refused", `refused with return code ${code}`, { cause });
  const message = cause instanceof Error && cause.message !== "" ? cause.message : String(code ?? "no connection");
  return new UpstreamError("unreachable", message, { cause });
}

/** What of the connection stands in files, under the names that mqtt.js has for it. */
async function readFiles({ passwordFile, caFile, certificateFile, keyFile }: MqttTransportOptions) {
  const [password, ca, cert, key] = await Promise.all([
    readNamed(passwordFile, "password file"),
    readNamed(caFile, "file of certificate authorities"),
    readNamed(certificateFile, "certificate file"),
    readNamed(keyFile, "key file"),
  ]);
  return {
    ...(password === undefined ? {} : { password: password.trimEnd() }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function readNamed(path: string | undefined, what: string): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new UpstreamError("refused", `the ${what} cannot be read`, { cause });
  }
}

/** SPEC U6: what the broker says of a gateway that is gone without a word. */
function willPayload(gateway: DeviceId): string {
  return formatPayload(stateSchema, { v: 1, device: gateway, online: false, heardAt: null });
}

function willTopic({ site, gateway }: MqttTransportOptions): string {
  return formatTopic({ site, device: gateway, channel: "state" });
}

/** A black hole is noticed after one and a half of these. */
const KEEPALIVE_SECONDS = 20;
const CONNECT_TIMEOUT_MS = 8_000;
const CLOSE_MS = 500;
