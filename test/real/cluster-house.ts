/**
 * One site with two gateways over a cluster of three nats-server nodes, all real but for the locks and the air: the agents are processes with
 * their own D-Bus, disk and configuration; the authority is the emulated cloud as a client of the cluster, with its record on disk. Every lock
 * is in reach of both agents. What the gateways do to each other is watched from the locks' side.
 */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cloudKeysFromSeed } from "../../emulator/cloud/authority-keys.ts";
import { type Cloud, createCloud } from "../../emulator/cloud/cloud.ts";
import { createCloudLog } from "../../emulator/cloud/log.ts";
import { keycard } from "../../emulator/device/keycard.ts";
import type { Peripheral } from "../../emulator/radio/air.ts";
import { type FakeBluez, startFakeBluez } from "../../emulator/radio/fake-bluez.ts";
import { type PrivateBus, startPrivateBus } from "../../emulator/radio/private-bus.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { type SeededRandom, seededRandom } from "../../emulator/world/random.ts";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { type HousePlan, planHouse, siteText } from "../world/house-plan.ts";
import { LockBox } from "../world/lock-box.ts";
import { type AgentProcess, startAgent } from "./agent-process.ts";
import { type NatsCluster, startNatsCluster } from "./brokers/start-nats.ts";
import { readmeAccounts } from "./brokers/upstream-rights.ts";

export const clusterGateways = ["gateway-main", "gateway-two"] as const satisfies readonly string[];
export type ClusterGateway = (typeof clusterGateways)[number];

export interface ClusterHouseOptions {
  readonly folder: string;
  readonly locks: number;
  readonly leaseSeconds: number;
}

export interface ClusterLink {
  readonly gateway: ClusterGateway;
  readonly device: DeviceId;
  readonly fromMs: number;
  untilMs: number | undefined;
}

/** How a round went. Seconds count from the revocation. */
export interface ClusterRound {
  /** Until every lock held the newest policy; undefined: not in time. */
  readonly sweptSeconds: number | undefined;
  /** Of each lock; infinite: not in time. */
  readonly newestSeconds: readonly number[];
  /** Until the authority also had every log, checked; undefined: not in time. */
  readonly wholeSeconds: number | undefined;
  readonly visits: number;
}

interface Reach {
  readonly gateway: ClusterGateway;
  readonly bus: PrivateBus;
  readonly bluez: FakeBluez;
}

export class ClusterHouse {
  readonly cluster: NatsCluster;
  readonly cloud: Cloud;
  readonly locks: readonly LockBox[];
  readonly agents = new Map<ClusterGateway, AgentProcess>();
  readonly links: ClusterLink[] = [];
  /** Locks that two agents were linked to at once. */
  readonly overlaps: string[] = [];
  readonly #options: ClusterHouseOptions;
  readonly #plan: HousePlan;
  readonly #reaches: readonly Reach[];

  private constructor(
    options: ClusterHouseOptions,
    parts: {
      readonly cluster: NatsCluster;
      readonly cloud: Cloud;
      readonly plan: HousePlan;
      readonly reaches: readonly Reach[];
    },
  ) {
    this.#options = options;
    this.cluster = parts.cluster;
    this.cloud = parts.cloud;
    this.#plan = parts.plan;
    this.#reaches = parts.reaches;
    const { authority } = this.cloud;
    const imported = authority.importSite(siteText(this.#plan), unixSeconds(Date.now() / 1000));
    assert(imported.ok, "the site is sound");
    for (const gateway of clusterGateways) authority.registerGateway(gateway as DeviceId, PASSWORD);
    this.locks = this.#plan.locks.map((planned, index) => this.#lock(planned, index));
  }

  /** Cluster, cloud and locks are there; no agent yet. */
  static async start(options: ClusterHouseOptions): Promise<ClusterHouse> {
    const { folder, locks, leaseSeconds } = options;
    const cluster = await startNatsCluster({
      folder: join(folder, "nats"),
      more: `http: "127.0.0.1:-1"\n${readmeAccounts(PASSWORD)}`,
    });
    const passwordFile = join(folder, "password");
    await writeFile(passwordFile, `${PASSWORD}\n`);
    const random = seededRandom(1, `cloud/${performance.now()}`);
    const created = await createCloud({
      stateDirectory: join(folder, "cloud"),
      keys: cloudKeysFromSeed(seededRandom(1, "authority").bytes(32)),
      publicUrl: "http://127.0.0.1:8701",
      ports: { clock: realClock, random: (length) => random.bytes(length) },
      log: createCloudLog("silent"),
      visitLeaseSeconds: leaseSeconds,
      externalBroker: {
        urls: cluster.nodes.map(({ url }) => url),
        username: "maple-authority",
        passwordFile,
        caFile: undefined,
      },
    });
    if (!created.ok) throw new Error(created.fault.code);
    const reaches = await Promise.all(clusterGateways.map((gateway) => startReach(gateway, folder)));
    const house = new ClusterHouse(options, { cluster, cloud: created.value, plan: planOf(locks), reaches });
    await created.value.broker.listen(0);
    return house;
  }

  async startAgent(gateway: ClusterGateway): Promise<void> {
    const folder = join(this.#options.folder, gateway);
    await mkdir(folder, { recursive: true });
    const reach = this.#reaches.find((one) => one.gateway === gateway);
    assert(reach !== undefined, "every gateway has its air");
    const path = join(folder, "gateway.yaml");
    // Each begins at another node.
    const turn = clusterGateways.indexOf(gateway);
    const urls = this.cluster.nodes.map((_, index, all) => all[(index + turn) % all.length]?.url ?? "");
    await writeFile(
      path,
      `site: maple-court
gateway: ${gateway}
stateDir: .
broker: { port: 0 }
http: { port: 0 }
upstream:
  urls: ${JSON.stringify(urls)}
  username: maple-${gateway}
  passwordFile: ${join(this.#options.folder, "password")}
  reconnect: { firstMs: 200, capMs: 3000 }
bluetooth: { busAddress: "${reach.bus.address}" }
health: { intervalSeconds: 60 }
`,
    );
    this.agents.set(gateway, await startAgent(path));
  }

  async killAgent(gateway: ClusterGateway): Promise<void> {
    await this.agents.get(gateway)?.stop("SIGKILL");
    this.agents.delete(gateway);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.agents.values()].map((agent) => agent.stop("SIGKILL")));
    await this.cloud.close();
    for (const { bluez } of this.#reaches) bluez.close();
    for (const lock of this.locks) lock.powerOff();
    await Promise.all([...this.#reaches.map(({ bus }) => bus.stop()), this.cluster.stop()]);
  }

  /** Somebody comes to every door; each log has an entry more. */
  come(): void {
    const [person] = this.#plan.people;
    assert(person !== undefined, "somebody lives here");
    const key = makeCardKey(this.cloud.authority.keys.cardSecret, person.card, 1);
    for (const lock of this.locks) lock.card(keycard(person.card, key));
  }

  /** Somebody is revoked at every door: each lock has a newer policy to hear of, at once. */
  revoke(): void {
    const next = this.#plan.people.find(({ isListed, isRevoked }, index) => index > 0 && isListed && !isRevoked);
    assert(next !== undefined, "somebody can be revoked");
    next.isRevoked = true;
    const revoked = this.cloud.authority.revoke(next.id);
    assert(revoked.ok, "the person is known");
    this.cloud.publishDesired();
  }

  isNewest({ device, firmware }: LockBox): boolean {
    return firmware?.policy.version === this.cloud.authority.state.policies[device]?.version;
  }

  behind(): readonly LockBox[] {
    return this.locks.filter((lock) => !this.isNewest(lock));
  }

  /**
   * Somebody comes to every door and somebody is revoked at all of them; a quarter of the locks later `strike` happens. Ends when every lock holds the
   * newest policy and the authority has every log whole, or after `limitMs`.
   */
  async round(limitMs: number, strike: () => Promise<void> = async () => undefined): Promise<ClusterRound> {
    const fromMs = performance.now();
    const visitsBefore = this.links.length;
    this.come();
    this.revoke();
    const newestAtMs = new Map<DeviceId, number>();
    let isStruck = false;
    let isWhole = false;
    while (!isWhole && performance.now() - fromMs < limitMs) {
      await pause(POLL_MS);
      for (const lock of this.locks) {
        if (!newestAtMs.has(lock.device) && this.isNewest(lock))
          newestAtMs.set(lock.device, performance.now() - fromMs);
      }
      if (!isStruck && newestAtMs.size * 4 >= this.locks.length) {
        isStruck = true;
        await strike();
      }
      const { lost, unchecked } = newestAtMs.size === this.locks.length ? this.logFaults() : { lost: 1, unchecked: 1 };
      isWhole = lost + unchecked === 0;
      // Going through every log is work, and the agents have but two cores with us.
      if (newestAtMs.size === this.locks.length && !isWhole) await pause(10 * POLL_MS);
    }
    const sweptMs = newestAtMs.size < this.locks.length ? undefined : Math.max(...newestAtMs.values());
    return {
      sweptSeconds: sweptMs === undefined ? undefined : sweptMs / 1000,
      newestSeconds: this.locks.map(({ device }) => (newestAtMs.get(device) ?? Number.POSITIVE_INFINITY) / 1000),
      wholeSeconds: isWhole ? (performance.now() - fromMs) / 1000 : undefined,
      visits: this.links.length - visitsBefore,
    };
  }

  /** Kills a node of the cluster; gives how to bring it back, which tells after how many seconds all nodes were up to date again. */
  async killNode(index: number): Promise<() => Promise<number | undefined>> {
    const node = this.cluster.nodes[index];
    assert(node !== undefined, "the cluster has three nodes");
    await node.kill();
    return async () => {
      await node.start();
      return this.healthyAfter();
    };
  }

  /** Every node says of itself that it is up to date: only then may the next one go, or two of three are behind. Undefined: not in a minute. */
  async healthyAfter(): Promise<number | undefined> {
    const fromMs = performance.now();
    for (;;) {
      const healthy = await Promise.all(this.cluster.nodes.map(isHealthy));
      const seconds = (performance.now() - fromMs) / 1000;
      if (healthy.every((one) => one)) return seconds;
      if (seconds > HEALTHY_LIMIT_SECONDS) return undefined;
      await pause(10 * POLL_MS);
    }
  }

  /** Resident memory of the agents' processes, from the kernel. */
  agentsResidentMiB(): readonly number[] {
    return [...this.agents.values()].map(({ pid }) => {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
    });
  }

  /** Entries that a lock wrote and the authority does not have, and names it has twice or that no lock wrote. */
  logFaults(): { readonly lost: number; readonly doubled: number; readonly unchecked: number } {
    const { record, chains } = this.cloud;
    const { duplicates, conflicting } = record.summary();
    let [lost, doubled, unchecked] = [0, duplicates + conflicting, 0];
    for (const { device, entries } of this.locks) {
      const written = new Set(entries.map(nameOf));
      const recorded = new Set(record.events({ device }).map(({ boot, sequence }) => `${boot}/${sequence}`));
      lost += [...written].filter((name) => !recorded.has(name)).length;
      doubled += [...recorded].filter((name) => !written.has(name)).length;
      const state = chains.state(device);
      if (state?.through !== entries.length || state.brokenAt !== null) unchecked += 1;
    }
    return { lost, doubled, unchecked };
  }

  #lock({ device, model, address }: HousePlan["locks"][number], index: number): LockBox {
    const lock = new LockBox({
      device,
      model,
      address,
      door: "communal",
      driftPpm: 0,
      clock: realClock,
      random: seededRandom(index + 1, "lock"),
      onBroken: (what) => {
        throw new Error(`${device}: ${what}`);
      },
      onPowerLost: () => undefined,
      onActed: () => undefined,
    });
    const { authority } = this.cloud;
    const paired = authority.pairLock({ device, address, staticPublicKey: x25519PublicKey(lock.staticPrivateKey) });
    assert(paired.ok, "the locks of the plan can be paired");
    const { pairingId, root, keyset, dailyKeys, keyEpoch } = paired.value;
    const chainKey = authority.pairingKeys(device)?.chain;
    assert(chainKey !== undefined, "a paired lock has its keys");
    const keys = dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key }));
    lock.pair({ pairingId, root, keyset, dailyKeys: keys }, chainKey, unixMs(Date.now()));
    for (const { gateway, bluez } of this.#reaches) bluez.addPeripheral(this.#watched(gateway, lock));
    return lock;
  }

  #watched(gateway: ClusterGateway, lock: LockBox): Peripheral {
    const { device, address } = lock;
    const there = (): Peripheral => {
      const peripheral = lock.peripheral();
      assert(peripheral !== undefined, "no lock of this house loses its power");
      return peripheral;
    };
    return {
      address,
      name: device,
      advertisement: () => there().advertisement(),
      onConnection: (connection) => {
        const link: ClusterLink = { gateway, device, fromMs: performance.now(), untilMs: undefined };
        if (this.links.some((seen) => seen.device === device && seen.untilMs === undefined)) {
          this.overlaps.push(`${device} by ${gateway}`);
        }
        this.links.push(link);
        const listener = there().onConnection(connection);
        return {
          frame: (bytes) => listener.frame(bytes),
          ended: (reason) => {
            link.untilMs = performance.now();
            listener.ended(reason);
          },
        };
      },
    };
  }
}

async function startReach(gateway: ClusterGateway, folder: string): Promise<Reach> {
  const searchPath = process.env["PATH"];
  const bus = await startPrivateBus({
    directory: join(folder, `bus-${gateway}`),
    clock: realClock,
    ...(searchPath === undefined ? {} : { searchPath }),
  });
  if (!bus.ok) throw new Error(bus.fault.code);
  const random: SeededRandom = seededRandom(1, `air/${gateway}`);
  const bluez = await startFakeBluez({
    busAddress: bus.value.address,
    clock: realClock,
    random: () => random.next(),
    // Every lock is heard every 2 s, as in life; the default would be every 50 ms, times the locks, times the gateways.
    profile: { advertisingIntervalMs: 40_000 },
  });
  if (!bluez.ok) throw new Error(bluez.fault.code);
  return { gateway, bus: bus.value, bluez: bluez.value };
}

function planOf(locks: number): HousePlan {
  const plan = planHouse(seededRandom(1, "house"), 0);
  const planned = Array.from({ length: locks }, (_, index) => {
    const name = String(index + 1).padStart(3, "0");
    const low = (index % 256).toString(16).toUpperCase().padStart(2, "0");
    const address = `C0:FF:EE:00:0${Math.floor(index / 256)}:${low}`;
    return {
      device: `lock-${name}` as DeviceId,
      model: "C2" as const,
      address,
      door: `door-${name}`,
      kind: "COMMUNAL" as const,
    };
  });
  const doors = planned.map(({ door }) => door);
  return {
    ...plan,
    locks: planned,
    people: plan.people.map(({ code: _code, ...person }) => ({ ...person, isListed: true, doors })),
  };
}

function nameOf(bytes: Uint8Array): string {
  const read = auditEntry.decode(bytes);
  assert(read.ok, "a lock's entries decode");
  return `${read.value.boot}/${read.value.sequence}`;
}

/** By the node's own word, which knows whether its streams have what the others have. */
async function isHealthy(node: NatsCluster["nodes"][number]): Promise<boolean> {
  const port = [...node.said().matchAll(/Starting http monitor on 127\.0\.0\.1:(\d+)/g)].at(-1)?.[1];
  if (port === undefined) return false;
  const url = `http://127.0.0.1:${port}/healthz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  return answer?.ok === true;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const POLL_MS = 100;
const HEALTHY_LIMIT_SECONDS = 60;
/** Of every user of the cluster. */
export const PASSWORD = "a-password-of-this-house";
