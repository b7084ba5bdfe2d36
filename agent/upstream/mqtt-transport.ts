/**
 * The upstream connection over mqtt.js, as transport only. Its own reconnecting, its offline store and its queue are off:
 * they replay one message per round trip, lose messages above 65,535 in silence and come back all in the same second
 * (reference: mqtt, findings 4 and 5; part 2.2).
 */
import { readFile } from "node:fs/promises";
import type { MqttClient } from "mqtt";
import type { DeviceId } from "../../protocol/base/units.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import { formatTopic } from "../../protocol/wire/topics.ts";
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
  readonly passwordFile?: string;
}

export function createMqttTransport(options: MqttTransportOptions): UpstreamTransport {
  return { connect: (listener) => connect(options, listener) };
}

async function connect(options: MqttTransportOptions, listener: UpstreamListener): Promise<UpstreamConnection> {
  const { default: mqtt } = await import("mqtt");
  const client = mqtt.connect(options.url, {
    clientId: options.gateway,
    username: options.username,
    ...(options.passwordFile === undefined ? {} : { password: await readPassword(options.passwordFile) }),
    protocolVersion: 4,
    clean: true,
    keepalive: KEEPALIVE_SECONDS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    will: { topic: willTopic(options), payload: Buffer.from(willPayload(options.gateway)), qos: 1, retain: true },
  });
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

function asConnection(client: MqttClient): UpstreamConnection {
  return {
    publish: async (topic, payload, { retain }) => {
      // mqtt.js would keep it and send it at a time of its own choosing.
      if (!client.connected) throw new UpstreamError("closed", "not connected");
      await client.publishAsync(topic, payload, { qos: 1, retain }).catch(rethrow);
    },
    subscribe: async (filters) => {
      if (!client.connected) throw new UpstreamError("closed", "not connected");
      await client.subscribeAsync([...filters], { qos: 1 }).catch(rethrow);
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

async function readPassword(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trimEnd();
  } catch (cause) {
    throw new UpstreamError("refused", "the password file cannot be read", { cause });
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
