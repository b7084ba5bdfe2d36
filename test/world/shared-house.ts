/**
 * One site with several gateways: many locks that most of them hear, an authority, and the agent's own loop once for each gateway, on one
 * stepped clock. What the gateways do to each other is watched from the locks' side: who is linked to which lock, and from when to when.
 */
import type { VisitOutcome } from "../../agent/ports/visit.ts";
import { keycard } from "../../emulator/device/keycard.ts";
import type { Peripheral } from "../../emulator/radio/air.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { AgentBox } from "./agent-box.ts";
import { type HousePlan, type PlannedLock, planHouse, siteText } from "./house-plan.ts";
import { LockBox } from "./lock-box.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { VirtualAir } from "./virtual-air.ts";
import { START_OF_SITE, VirtualCloud } from "./virtual-cloud.ts";

/** What the emulated authority gives. */
export const LEASE_MS = 120_000;
export const gateways = ["gateway-main", "gateway-two"] as const satisfies readonly string[];
export type GatewayName = (typeof gateways)[number];

/** A link to a lock, as the lock sees it. */
export interface SeenLink {
  readonly gateway: GatewayName;
  readonly device: DeviceId;
  readonly fromMs: number;
  /** Undefined while it stands. */
  untilMs: number | undefined;
}

export class SharedHouse {
  readonly clock: SteppedClock;
  readonly cloud: VirtualCloud;
  readonly plan: HousePlan;
  readonly locks: readonly LockBox[];
  readonly agents: readonly AgentBox[];
  /** In the order of their beginning. */
  readonly links: SeenLink[] = [];
  /** Locks that two gateways were linked to at once. */
  readonly overlaps: string[] = [];
  /** In the order of their end. */
  readonly outcomes: { readonly gateway: GatewayName; readonly device: DeviceId; readonly outcome: VisitOutcome }[] =
    [];
  readonly #airs: readonly VirtualAir[];
  readonly #outOfReach = new Set<string>();
  readonly #faint = new Set<string>();

  private constructor(clock: SteppedClock, cloud: VirtualCloud, plan: HousePlan) {
    this.clock = clock;
    this.cloud = cloud;
    this.plan = plan;
    cloud.importSite(siteText(plan));
    this.#airs = gateways.map((name) => new VirtualAir(clock, seededRandom(1, `air/${name}`)));
    this.locks = plan.locks.map((planned) => this.#lock(planned));
    for (const name of gateways)
      cloud.cloud.authority.registerGateway(name as DeviceId, "a password nobody needs here");
    cloud.publish();
    this.agents = gateways.map((name, index) => this.#agent(name as DeviceId, index));
  }

  /** All locks paired and behind; no gateway started. */
  static async build({ locks }: { readonly locks: number }): Promise<SharedHouse> {
    const clock = new SteppedClock(START_OF_SITE * 1000);
    const plan = { ...planHouse(seededRandom(1, "house"), 0), locks: Array.from({ length: locks }, plannedLock) };
    const doors = plan.locks.map(({ door }) => door);
    const people = plan.people.map(({ code: _code, ...person }) => ({ ...person, doors }));
    return new SharedHouse(clock, await VirtualCloud.start(1, clock), { ...plan, people });
  }

  async close(): Promise<void> {
    for (const agent of this.agents) agent.kill();
    await this.cloud.cloud.close();
  }

  agent(name: GatewayName): AgentBox {
    const agent = this.agents.find(({ id }) => id === name);
    assert(agent !== undefined, "the gateway is one of the house");
    return agent;
  }

  async start(...names: readonly GatewayName[]): Promise<void> {
    for (const name of names) {
      const starting = this.agent(name).start();
      await this.clock.advance(100);
      await starting;
    }
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** Lets time pass until it holds; gives how long that took. Not before `limitMs` is over: undefined. */
  async until(holds: () => boolean, limitMs: number, stepMs = STEP_MS): Promise<number | undefined> {
    const fromMs = this.clock.monotonicMs();
    while (!holds()) {
      if (this.clock.monotonicMs() - fromMs >= limitMs) return undefined;
      await this.clock.advance(stepMs);
    }
    return this.clock.monotonicMs() - fromMs;
  }

  /** Out of a gateway's reach, or in it again. */
  reach(name: GatewayName, device: string, isInReach: boolean): void {
    if (isInReach) this.#outOfReach.delete(`${name} ${device}`);
    else this.#outOfReach.add(`${name} ${device}`);
  }

  /** A gateway hears it, and comes to no session with it. */
  makeFaint(name: GatewayName, device: string): void {
    this.#faint.add(`${name} ${device}`);
  }

  /** Somebody comes to every door; each lock has an entry more. */
  come(): void {
    const [person] = this.plan.people;
    assert(person !== undefined, "somebody lives here");
    const key = makeCardKey(this.cloud.cloud.authority.keys.cardSecret, person.card, 1);
    for (const lock of this.locks) lock.card(keycard(person.card, key));
  }

  /** Somebody is revoked at every door. */
  revoke(): void {
    const next = this.plan.people.find(({ isListed, isRevoked }, index) => index > 0 && isListed && !isRevoked);
    assert(next !== undefined, "somebody can be revoked");
    next.isRevoked = true;
    this.cloud.revoke(next.id);
  }

  isNewest({ device, firmware }: LockBox): boolean {
    return firmware?.policy.version === this.cloud.newest(device).version;
  }

  allNewest(): boolean {
    return this.locks.every((lock) => this.isNewest(lock));
  }

  /** Every entry of every log is recorded once, as the lock chained it. */
  logFaults(): readonly string[] {
    const { record, chains } = this.cloud.cloud;
    const { duplicates, conflicting } = record.summary();
    const doubled = duplicates + conflicting === 0 ? [] : [`${duplicates} doubled, ${conflicting} conflicting`];
    const lost = this.locks.flatMap(({ device, entries }) => {
      const written = entries.map(nameOf);
      const recorded = record.events({ device }).map(({ boot, sequence }) => `${boot}/${sequence}`);
      const missing = written.filter((name) => !recorded.includes(name));
      const strange = recorded.filter((name) => !written.includes(name));
      const state = chains.state(device);
      const isWhole = state?.through === entries.length && state.brokenAt === null;
      return [
        ...missing.map((name) => `${device} lost ${name}`),
        ...strange.map((name) => `${device} never wrote ${name}`),
      ].concat(isWhole ? [] : [`${device} checked through ${state?.through} of ${entries.length}`]);
    });
    return [...doubled, ...lost];
  }

  linksSince(fromMs: number): readonly SeenLink[] {
    return this.links.filter((link) => link.fromMs >= fromMs);
  }

  #agent(gateway: DeviceId, index: number): AgentBox {
    const air = this.#airs[index];
    assert(air !== undefined, "every gateway has its air");
    return new AgentBox({
      gateway,
      clock: this.clock,
      air,
      cloud: this.cloud,
      random: seededRandom(1, `agent/${gateway}`),
      onDeath: () => undefined,
      onFatal: (error) => {
        throw new Error(`${gateway} died`, { cause: error });
      },
      onPolicySent: () => undefined,
      onVisit: ({ id }, { lock }, outcome) => {
        this.outcomes.push({ gateway: id === gateways[0] ? gateways[0] : gateways[1], device: lock.device, outcome });
      },
      log: () => undefined,
    });
  }

  #lock({ device, model, address }: PlannedLock): LockBox {
    const lock = new LockBox({
      device,
      model,
      address,
      door: "communal",
      driftPpm: 0,
      clock: this.clock,
      random: seededRandom(1, `lock/${device}`),
      onBroken: (what) => {
        throw new Error(`${device}: ${what}`);
      },
      onPowerLost: () => undefined,
      onActed: () => undefined,
    });
    for (const [index, air] of this.#airs.entries()) {
      const gateway = gateways[index] ?? gateways[0];
      air.put(address, () => this.#watched(gateway, lock));
    }
    const { authority } = this.cloud.cloud;
    const paired = authority.pairLock({ device, address, staticPublicKey: x25519PublicKey(lock.staticPrivateKey) });
    assert(paired.ok, "the locks of the plan can be paired");
    const { pairingId, root, keyset, dailyKeys, keyEpoch } = paired.value;
    const chainKey = authority.pairingKeys(device)?.chain;
    assert(chainKey !== undefined, "a paired lock has its keys");
    const keys = dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key }));
    lock.pair({ pairingId, root, keyset, dailyKeys: keys }, chainKey, unixMs(this.clock.nowMs()));
    return lock;
  }

  #watched(gateway: GatewayName, lock: LockBox): Peripheral | undefined {
    const { device } = lock;
    const peripheral = this.#outOfReach.has(`${gateway} ${device}`) ? undefined : lock.peripheral();
    if (peripheral === undefined) return undefined;
    if (this.#faint.has(`${gateway} ${device}`)) {
      return { ...peripheral, onConnection: () => ({ frame: () => undefined, ended: () => undefined }) };
    }
    return {
      ...peripheral,
      onConnection: (connection) => {
        const link: SeenLink = { gateway, device, fromMs: this.clock.monotonicMs(), untilMs: undefined };
        const others = this.links.filter((seen) => seen.device === device && seen.untilMs === undefined);
        if (others.length > 0) this.overlaps.push(`${device} at ${link.fromMs} ms`);
        this.links.push(link);
        const listener = peripheral.onConnection(connection);
        return {
          frame: (bytes) => listener.frame(bytes),
          ended: (reason) => {
            link.untilMs = this.clock.monotonicMs();
            listener.ended(reason);
          },
        };
      },
    };
  }
}

function plannedLock(_: unknown, index: number): PlannedLock {
  const name = String(index + 1).padStart(3, "0");
  const address = `C0:FF:EE:00:0${Math.floor((index + 1) / 256)}:${((index + 1) % 256).toString(16).toUpperCase().padStart(2, "0")}`;
  return { device: `lock-${name}` as DeviceId, model: "C2", address, door: `door-${name}`, kind: "COMMUNAL" };
}

function nameOf(bytes: Uint8Array): string {
  const read = auditEntry.decode(bytes);
  assert(read.ok, "a lock's entries decode");
  return `${read.value.boot}/${read.value.sequence}`;
}

const STEP_MS = 1_000;
