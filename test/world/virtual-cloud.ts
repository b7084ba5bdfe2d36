/**
 * The authority of the sync world: the emulated cloud itself (authority, record, chains, intake) on the stepped clock, with a broker in
 * memory between it and the gateways. It keeps every policy version that was ever signed, so that what a lock holds can be named.
 */
import {
  type UpstreamConnection,
  UpstreamError,
  type UpstreamListener,
  type UpstreamTransport,
} from "../../agent/ports/upstream.ts";
import { cloudKeysFromSeed } from "../../emulator/cloud/authority-keys.ts";
import type { OutgoingMessage } from "../../emulator/cloud/broker.ts";
import { type Cloud, createCloud } from "../../emulator/cloud/cloud.ts";
import { createCloudLog } from "../../emulator/cloud/log.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { decodePolicy, policyRoot } from "../../protocol/access/policy.ts";
import { type IndexedPolicy, indexPolicy } from "../../protocol/access/policy-index.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { unixSeconds } from "../../protocol/base/units.ts";
import { formatTopic, isRetained, parseTopic } from "../../protocol/wire/topics.ts";
import type { SteppedClock } from "./stepped-clock.ts";

export interface SignedPolicy {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
  readonly indexed: IndexedPolicy;
}

interface Connection {
  readonly gateway: DeviceId;
  readonly listener: UpstreamListener;
  filters: readonly string[];
  isOpen: boolean;
}

export class VirtualCloud {
  readonly cloud: Cloud;
  /** Desired documents of each lock as they were published, oldest first: what a thief may have kept. */
  readonly desiredHistory = new Map<string, string[]>();
  /** Messages of gateways that were refused. */
  readonly refused: string[] = [];
  readonly #clock: SteppedClock;
  readonly #signedByLock = new Map<string, Map<string, SignedPolicy>>();
  readonly #retained = new Map<string, string>();
  readonly #connections = new Set<Connection>();
  readonly #linkDown = new Set<DeviceId>();

  private constructor(cloud: Cloud, clock: SteppedClock) {
    this.cloud = cloud;
    this.#clock = clock;
    cloud.broker.publish = (message) => this.#publish(message);
  }

  static async start(seed: number, clock: SteppedClock): Promise<VirtualCloud> {
    const random = seededRandom(seed, "cloud");
    const created = await createCloud({
      stateDirectory: ":memory:",
      keys: cloudKeysFromSeed(seededRandom(seed, "authority").bytes(32)),
      publicUrl: "http://127.0.0.1:8701",
      ports: { clock, random: (length) => random.bytes(length) },
      log: createCloudLog("silent"),
    });
    if (!created.ok) throw new Error(created.fault.code);
    return new VirtualCloud(created.value, clock);
  }

  /** The site as its manager has it now; locks get new versions where something changed for them. */
  importSite(text: string): void {
    const imported = this.cloud.authority.importSite(text, unixSeconds(START_OF_SITE));
    if (!imported.ok) throw new Error(JSON.stringify(imported.fault));
    this.publish();
  }

  revoke(person: string): void {
    const revoked = this.cloud.authority.revoke(person);
    if (!revoked.ok) throw new Error(revoked.fault.code);
    this.publish();
  }

  publish(): void {
    this.#noteSigned();
    this.cloud.publishDesired();
  }

  signed(device: string, epoch: number, version: number): SignedPolicy | undefined {
    return this.#signedByLock.get(device)?.get(`${epoch}/${version}`);
  }

  newest(device: string): SignedPolicy {
    const newest = [...(this.#signedByLock.get(device)?.values() ?? [])].at(-1);
    assert(newest !== undefined, "a paired lock has a policy");
    return newest;
  }

  /** Everything signed for a lock from this version on. */
  signedSince(device: string, version: number): readonly SignedPolicy[] {
    return [...(this.#signedByLock.get(device)?.values() ?? [])].filter((signed) => signed.version >= version);
  }

  setLink(gateway: DeviceId, up: boolean): void {
    if (up) this.#linkDown.delete(gateway);
    else this.#linkDown.add(gateway);
    if (up) return;
    for (const connection of [...this.#connections]) if (connection.gateway === gateway) this.#cut(connection, "cut");
  }

  linkIsUp(gateway: DeviceId): boolean {
    return !this.#linkDown.has(gateway);
  }

  /** A gateway that was killed: its connection is gone, and nobody hears that. */
  hangUp(gateway: DeviceId): void {
    for (const connection of [...this.#connections]) {
      if (connection.gateway !== gateway) continue;
      connection.isOpen = false;
      this.#connections.delete(connection);
    }
  }

  transport(gateway: DeviceId): UpstreamTransport {
    return { connect: (listener) => this.#connect(gateway, listener) };
  }

  async #connect(gateway: DeviceId, listener: UpstreamListener): Promise<UpstreamConnection> {
    await this.#travel();
    if (!this.linkIsUp(gateway)) throw new UpstreamError("unreachable", "the link is down");
    const connection: Connection = { gateway, listener, filters: [], isOpen: true };
    this.#connections.add(connection);
    const open = (): void => {
      if (!connection.isOpen) throw new UpstreamError("closed", "not connected");
    };
    return {
      publish: async (topic, payload) => {
        open();
        await this.#travel();
        open();
        this.#take(gateway, topic, payload);
        await this.#travel();
        open();
      },
      subscribe: async (filters) => {
        open();
        await this.#travel();
        open();
        connection.filters = filters;
        for (const [topic, payload] of this.#retained) this.#deliver(connection, topic, payload);
      },
      close: async () => this.#cut(connection, "closed here"),
    };
  }

  #take(gateway: DeviceId, text: string, payload: string): void {
    const topic = parseTopic(text);
    assert(topic !== undefined, "the agent publishes well-formed topics");
    if (!this.cloud.intake.receive(gateway, topic, utf8(payload))) {
      const why = this.cloud.record.refusals(1)[0]?.["code"];
      this.refused.push(`${text}: ${String(why)}`);
    }
    this.#noteSigned();
  }

  #publish(message: OutgoingMessage): void {
    const topic = formatTopic(message.topic);
    if (isRetained(message.topic.channel)) this.#retained.set(topic, message.payload);
    if (message.topic.channel === "desired") {
      const history = this.desiredHistory.get(message.topic.device) ?? [];
      if (history.at(-1) !== message.payload) history.push(message.payload);
      this.desiredHistory.set(message.topic.device, history);
    }
    for (const connection of this.#connections) this.#deliver(connection, topic, message.payload);
  }

  #deliver(connection: Connection, topic: string, payload: string): void {
    if (!connection.filters.some((filter) => matches(filter, topic))) return;
    this.#clock.after(TRAVEL_MS, () => {
      if (connection.isOpen) connection.listener.message(topic, utf8(payload));
    });
  }

  #cut(connection: Connection, reason: string): void {
    if (!connection.isOpen) return;
    connection.isOpen = false;
    this.#connections.delete(connection);
    connection.listener.closed(reason);
  }

  #noteSigned(): void {
    for (const [device, { epoch, version, bundle }] of Object.entries(this.cloud.authority.state.policies)) {
      const signed = this.#signedByLock.get(device) ?? new Map<string, SignedPolicy>();
      this.#signedByLock.set(device, signed);
      const name = `${epoch}/${version}`;
      if (signed.has(name)) continue;
      const policy = decodePolicy(bundle);
      assert(policy.ok, "the authority's policies decode");
      signed.set(name, { epoch, version, root: policyRoot(bundle), indexed: indexPolicy(policy.value) });
    }
  }

  #travel(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(TRAVEL_MS, resolve);
    });
  }
}

function matches(filter: string, topic: string): boolean {
  const [wanted, actual] = [filter.split("/"), topic.split("/")];
  return wanted.length === actual.length && wanted.every((part, index) => part === "+" || part === actual[index]);
}

/** The site's relative times resolve against one instant, however often it is imported. */
export const START_OF_SITE = Date.UTC(2026, 10, 20, 8) / 1000;
const TRAVEL_MS = 20;
