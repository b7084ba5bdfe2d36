/**
 * The world test: locks, gateways, an authority, people and thieves on one air and one clock, drawn from one seed.
 *
 * Theory of operation. A run has two parts. In the first, each step draws something that happens (somebody comes to a door, the manager
 * changes the site, a link drops at a byte, a lock loses its power at a flash write, an agent is killed, a thief strikes) and lets some
 * time pass. In the second, faults stop, and everything must come to rest within a bounded time. What must hold always is looked at
 * after everything that a lock's firmware does and after each step; what must hold at the end, at the end. The same seed gives the same
 * log, byte for byte: nothing here reads a real clock or a random source.
 */
import type { PolicyVersion, VisitOptions, VisitOutcome } from "../../agent/ports/visit.ts";
import { exposureView } from "../../emulator/cloud/exposure.ts";
import { keycard } from "../../emulator/device/keycard.ts";
import type { LockOutcome } from "../../emulator/device/lock.ts";
import { type SeededRandom, seededRandom } from "../../emulator/world/random.ts";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { decide } from "../../protocol/access/decide.ts";
import { bytesToHex, equalBytes, utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import type { PairingKeys } from "../../protocol/sync/authority.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { PAGE_BYTES } from "../../protocol/wire/signed-objects.ts";
import { AgentBox } from "./agent-box.ts";
import { HostileCourier, hostileDeeds } from "./hostile-courier.ts";
import { cardNumber, type HousePlan, type PlannedPerson, planHouse, siteText } from "./house-plan.ts";
import { LockBox, type ToldLie } from "./lock-box.ts";
import { drawLie } from "./lock-lies.ts";
import { frameLies } from "./lying-visit.ts";
import { PhoneBox } from "./phone-box.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { type Adapter, drawLinkFault, kindAir, VirtualAir, type VirtualLink } from "./virtual-air.ts";
import { type SignedPolicy, START_OF_SITE, VirtualCloud } from "./virtual-cloud.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly steps?: number;
  /** Lines of the agents' own logs go among the world's, to look into a failure. */
  readonly verbose?: boolean;
}

export interface WorldCounts {
  mixedStates: number;
  lockouts: number;
  eventsLost: number;
  eventsDoubled: number;
  resentBeyondWindow: number;
  /** Older policies taken, chains broken, exposures not said, honest messages refused, no rest at the end, agents that died. */
  otherFaults: number;
}

export interface WorldReport {
  readonly seed: number;
  /** Links, power and processes that were cut. */
  readonly cuts: number;
  readonly visits: number;
  readonly attempts: number;
  readonly events: number;
  /** Lies that hostile locks told. */
  readonly liars: number;
  readonly virtualSeconds: number;
  readonly counts: WorldCounts;
  readonly failures: readonly { readonly step: number; readonly what: string }[];
  readonly log: readonly string[];
  /** SHA-256 over the log, in which every frame of the air stands as a digest. */
  readonly digest: string;
}

export async function runSyncWorld(options: WorldOptions): Promise<WorldReport> {
  const world = await SyncWorld.build(options);
  try {
    return await world.run();
  } finally {
    await world.close();
  }
}

/** How a bundle came over to one lock, across visits and couriers. */
interface Transfer {
  readonly name: string;
  sentBytes: number;
  /** What may be sent again, because of the cuts that there were. */
  againBytes: number;
  /** The visit under way: its link, and the position in its stream at which the bundle began. */
  current: { readonly link: VirtualLink; readonly from: number } | undefined;
}

class SyncWorld {
  readonly #options: Required<WorldOptions>;
  readonly #clock: SteppedClock;
  readonly #random: SeededRandom;
  readonly #air: VirtualAir;
  readonly #cloud: VirtualCloud;
  readonly #plan: HousePlan;
  readonly #locks: LockBox[] = [];
  readonly #agents: AgentBox[] = [];
  readonly #thief: HostileCourier;
  /** Of somebody who manages the site: the third courier. */
  readonly #phone: PhoneBox;
  readonly #log: string[] = [];
  readonly #failures: { step: number; what: string }[] = [];
  readonly #counts: WorldCounts = {
    mixedStates: 0,
    lockouts: 0,
    eventsLost: 0,
    eventsDoubled: 0,
    resentBeyondWindow: 0,
    otherFaults: 0,
  };
  readonly #heldByLock = new Map<
    DeviceId,
    { readonly epoch: number; readonly version: number; readonly root: Uint8Array }
  >();
  readonly #keysByLock = new Map<DeviceId, PairingKeys>();
  /** Locks that have lied: what is said of them is not theirs to prove until all has come to rest. */
  readonly #doubted = new Set<DeviceId>();
  /** They have sworn their own log away: nobody can have it whole again. */
  readonly #forsworn = new Set<DeviceId>();
  /** Hostile to the end. */
  #incurable: DeviceId | undefined;
  readonly #transferByLock = new Map<DeviceId, Transfer>();
  #frames: Uint8Array = new Uint8Array(32);
  #step = 0;
  #isCalm = false;
  #cuts = 0;
  #visits = 0;
  #attempts = 0;
  #cards = 0;
  #lies = 0;
  #firstCuts = 5;

  private constructor(options: Required<WorldOptions>, cloud: VirtualCloud, clock: SteppedClock) {
    const { seed } = options;
    this.#options = options;
    this.#clock = clock;
    this.#cloud = cloud;
    this.#random = seededRandom(seed, "world");
    this.#plan = planHouse(seededRandom(seed, "house"), this.#drawCrowd());
    this.#air = new VirtualAir(clock, seededRandom(seed, "air"));
    this.#air.onFrame = (direction, frame) => {
      this.#frames = sha256(new Uint8Array([...this.#frames, direction === "to-lock" ? 1 : 2, ...frame]));
    };
    // In every other world it is a phone that was stolen, and not a gateway.
    const stolen = seed % 2 === 0 ? { phone: "stolen-phone", person: "manager" } : undefined;
    this.#thief = new HostileCourier(clock, this.#air, cloud, seededRandom(seed, "thief"), stolen);
    this.#phone = new PhoneBox({
      phone: "manager-phone",
      person: "manager",
      clock,
      air: this.#air,
      cloud,
      random: seededRandom(seed, "phone"),
      onPolicySent: (phone, device, { policy }, of) => this.#policyBegins(phone.adapter.link, device, policy, of),
    });
  }

  static async build(given: WorldOptions): Promise<SyncWorld> {
    const options = { steps: DEFAULT_STEPS, verbose: false, ...given };
    const clock = new SteppedClock(START_OF_SITE * 1000);
    const cloud = await VirtualCloud.start(options.seed, clock);
    const world = new SyncWorld(options, cloud, clock);
    world.#cloud.importSite(siteText(world.#plan));
    world.#putLocks();
    // Two gateways make good what one of them loses, so in many worlds there is one alone.
    const count = world.#random.next() < 0.5 ? 1 : 2;
    for (const gateway of gateways.slice(0, count)) await world.#putAgent(gateway);
    return world;
  }

  async run(): Promise<WorldReport> {
    for (this.#step = 1; this.#step <= this.#options.steps; this.#step++) {
      this.#happen();
      await this.#clock.advance(this.#drawPauseMs());
      this.#look();
    }
    await this.#calmDown();
    await this.#rest();
    this.#judge();
    const { seed } = this.#options;
    this.#tell(`end ${JSON.stringify(this.#counts)}`);
    return {
      seed,
      cuts: this.#cuts,
      visits: this.#visits,
      attempts: this.#attempts,
      events: this.#cloud.cloud.record.summary().events,
      liars: this.#lies,
      virtualSeconds: Math.round(this.#clock.monotonicMs() / 1000),
      counts: this.#counts,
      failures: this.#failures,
      log: this.#log,
      digest: bytesToHex(sha256(utf8(this.#log.join("\n")))),
    };
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) agent.kill();
    await this.#cloud.cloud.close();
  }

  // What there is.

  #putLocks(): void {
    const { authority } = this.#cloud.cloud;
    for (const { device, model, address, kind } of this.#plan.locks) {
      const box = new LockBox({
        device,
        model,
        address,
        door: kind === "COMMUNAL" ? "communal" : "residence",
        driftPpm: this.#random.integer(201) - 100,
        clock: this.#clock,
        random: seededRandom(this.#options.seed, `lock/${device}`),
        onBroken: (what) => this.#fail("eventsLost", `${device}: ${what}`),
        onPowerLost: (lost, region) => this.#powerLost(lost, region),
        onActed: (acted) => this.#lookAtPolicy(acted),
      });
      box.onLie = (lie) => this.#lied(box, lie);
      this.#locks.push(box);
      this.#air.put(address, () => box.peripheral());
      const paired = authority.pairLock({ device, address, staticPublicKey: x25519PublicKey(box.staticPrivateKey) });
      assert(paired.ok, "the locks of the plan can be paired");
      const { pairingId, root, keyset, dailyKeys, keyEpoch } = paired.value;
      const chainKey = authority.pairingKeys(device)?.chain;
      assert(chainKey !== undefined, "a paired lock has its keys");
      const errorMs = this.#draw([0, 0, 1_500, -3_600_000, 86_400_000, -this.#clock.nowMs() + 1]);
      this.#tell(`${device} paired, its clock off by ${errorMs} ms`);
      box.pair(
        { pairingId, root, keyset, dailyKeys: dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key })) },
        chainKey,
        unixMs(this.#clock.nowMs() + errorMs),
      );
    }
    this.#cloud.publish();
  }

  async #putAgent(gateway: DeviceId): Promise<void> {
    this.#cloud.cloud.authority.registerGateway(gateway, "a password nobody needs here");
    const box = new AgentBox({
      gateway,
      clock: this.#clock,
      air: this.#air,
      cloud: this.#cloud,
      random: seededRandom(this.#options.seed, `agent/${gateway}`),
      onDeath: (agent) => this.#agentDied(agent),
      onFatal: (error) => this.#fail("otherFaults", `${gateway} died of ${String(error)}`),
      onPolicySent: (agent, { lock, desired }, of) =>
        this.#policyBegins(agent.adapter.link, lock.device, desired?.policy, of),
      onVisit: (agent, visit, outcome) => this.#visitEnded(agent, visit, outcome),
      log: (text) => {
        if (this.#options.verbose) this.#tell(text);
      },
    });
    this.#agents.push(box);
    this.#armFirstVisit(box);
    await this.#startAgent(box);
  }

  async #startAgent(box: AgentBox): Promise<void> {
    let isStarted = false;
    const starting = box.start().then(() => {
      isStarted = true;
    });
    for (let turn = 0; turn < 100 && !isStarted; turn++) await this.#clock.advance(5);
    if (isStarted) await starting;
  }

  // What happens.

  #happen(): void {
    const weight = deeds.reduce((sum, [, share]) => sum + share, 0);
    let drawn = this.#random.integer(weight);
    const [deed] = deeds.find(([, share]) => {
      drawn -= share;
      return drawn < 0;
    }) ?? ["nothing"];
    this.#do(deed);
  }

  #do(deed: (typeof deeds)[number][0] | "nothing"): void {
    const lock = this.#draw(this.#locks);
    const agent = this.#draw(this.#agents);
    switch (deed) {
      case "attempt":
        return this.#attempt(lock, this.#draw(this.#plan.people));
      case "revoke":
        return this.#revoke();
      case "change-site":
        return this.#changeSite();
      case "rotate-keys":
        return this.#rotateKeys();
      case "link-fault":
        return this.#armLink(agent);
      case "flash-cut":
        return this.#armFlash(lock);
      case "battery":
        return this.#pullBattery(lock);
      case "kill-agent":
        return this.#killAgent(agent);
      case "upstream":
        return this.#cutUpstream(agent);
      case "air":
        return this.#changeAir();
      case "reach":
        return this.#leaveReach(lock);
      case "bluetoothd":
        return this.#stopDaemon(agent);
      case "agent-clock":
        return this.#moveWallClock(agent);
      case "thief":
        return this.#strike(lock);
      case "asked":
        return this.#ask(agent, lock);
      case "phone-sync":
        return this.#carryByPhone(lock);
      case "liar":
        return this.#turnHostile(lock);
      case "nothing":
        return;
    }
  }

  #attempt(lock: LockBox, person: PlannedPerson): void {
    const before = this.#signedOn(lock);
    if (lock.firmware === undefined || before === undefined) return;
    const withCode = person.code !== undefined && this.#random.next() < 0.3;
    const entries = lock.entries.length;
    const outcome = withCode ? lock.type(person.code ?? "") : this.#presentCard(lock, person);
    this.#attempts += 1;
    const said = outcome === undefined ? "power went" : outcome.granted ? "granted" : (outcome.reason ?? "denied");
    this.#tell(`${person.id} at ${lock.device} with ${withCode ? "code" : "card"}: ${said}`);
    // Somebody who moved in meanwhile is judged by what the lock decided by, and nobody is judged by a lock that lost its power.
    if (outcome === undefined) return;
    this.#judgeAttempt(lock, person, withCode, before, outcome);
    const logged = lock.entries.length - entries;
    if (logged !== 1) this.#fail("eventsLost", `${lock.device} wrote ${logged} entries for one attempt`);
  }

  #presentCard(lock: LockBox, { card }: PlannedPerson): LockOutcome | undefined {
    return lock.card(keycard(card, makeCardKey(this.#cloud.cloud.authority.keys.cardSecret, card, 1)));
  }

  #judgeAttempt(
    lock: LockBox,
    person: PlannedPerson,
    withCode: boolean,
    held: SignedPolicy,
    { granted }: LockOutcome,
  ): void {
    const by = (signed: SignedPolicy): boolean => this.#isEntitled(signed, lock.device, person, withCode);
    if (granted === by(held)) return;
    if (granted) return this.#fail("mixedStates", `${lock.device} let ${person.id} in against version ${held.version}`);
    const everybodySaysYes = this.#cloud.signedSince(lock.device, held.version).every(by);
    const what = `${lock.device} kept ${person.id} out, whom version ${held.version} lets in`;
    this.#fail(everybodySaysYes ? "lockouts" : "mixedStates", what);
  }

  /** What a lock in perfect order would say by this policy. */
  #isEntitled(signed: SignedPolicy, device: DeviceId, person: PlannedPerson, withCode: boolean): boolean {
    const keys = this.#keysByLock.get(device) ?? this.#cloud.cloud.authority.pairingKeys(device);
    assert(keys !== undefined, "every lock is paired");
    this.#keysByLock.set(device, keys);
    const now = unixSeconds(this.#clock.nowMs() / 1000);
    const state = {
      clock: { quality: "set" as const, highWater: now, poweredSecondsUnset: 0 },
      codeKey: keys.codeHash,
      entryTagKey: keys.entryTag,
      dailyKeys: [],
      usedSlots: new Set<string>(),
      usesSpent: new Map<string, number>(),
      keypadLockedOut: false,
      battery: "ok" as const,
    };
    const attempt = withCode
      ? ({ kind: "code", digits: person.code ?? "" } as const)
      : ({ kind: "token", tokenKind: "keycard", value: person.card, authentic: true } as const);
    return decide(signed.indexed, state, attempt, now).granted;
  }

  #revoke(): void {
    const candidates = this.#plan.people.filter(
      ({ isListed, isRevoked }, index) => index > 0 && isListed && !isRevoked,
    );
    const person = candidates[this.#random.integer(Math.max(1, candidates.length))];
    if (person === undefined) return;
    person.isRevoked = true;
    this.#tell(`the manager revokes ${person.id}`);
    this.#cloud.revoke(person.id);
  }

  #changeSite(): void {
    const index = 1 + this.#random.integer(this.#plan.people.length - 1);
    const person = this.#plan.people[index];
    if (person === undefined) return;
    if (!person.isListed) {
      person.isListed = true;
      this.#tell(`${person.id} moves in`);
    } else {
      this.#cards += 1;
      person.card = cardNumber(index, this.#cards);
      this.#tell(`${person.id} gets another card`);
    }
    this.#cloud.importSite(siteText(this.#plan));
  }

  #rotateKeys(): void {
    const { epoch } = this.#cloud.cloud.authority.rotateKeys();
    this.#tell(`the authority signs with the keys of epoch ${epoch}`);
    this.#cloud.publish();
  }

  #armLink(agent: AgentBox): void {
    const fault = drawLinkFault(this.#random, this.#plan.crowd * 24 + 2_300);
    agent.adapter.armed = fault;
    this.#tell(`${agent.id} shall meet ${JSON.stringify(fault)}`);
  }

  /** Only a whole policy has several pages, and most are brought in the first visits: where there is one, these are cut in the middle of it. */
  #armFirstVisit({ id, adapter }: AgentBox): void {
    if (this.#plan.crowd < CROWD_OF_PAGES || this.#isCalm || this.#firstCuts === 0) return;
    this.#firstCuts -= 1;
    const atByte = SHORT_VISIT_BYTES + this.#random.integer(this.#plan.crowd * 7);
    adapter.armed = { kind: "cut", atByte };
    this.#tell(`${id} shall meet ${JSON.stringify(adapter.armed)} in a first visit`);
  }

  #armFlash(lock: LockBox): void {
    // A visit that commits programs and erases some forty pages; how much of the last one gets done follows from its number.
    const nth = 1 + this.#random.integer(36);
    const share = (nth * 0.37) % 1;
    this.#tell(
      `${lock.device} shall lose power at program or erasure ${nth} of its flash, ${share.toFixed(2)} of it done`,
    );
    lock.flash.cutPowerAtWrite(nth, share);
  }

  #pullBattery(lock: LockBox): void {
    if (lock.firmware === undefined) return;
    this.#tell(`somebody pulls the battery of ${lock.device}`);
    lock.powerOff();
    this.#powerLost(lock, "battery");
  }

  #powerLost(lock: LockBox, region: string): void {
    this.#cuts += 1;
    const backMs = this.#isCalm ? 1_000 : this.#draw([500, 3_000, 20_000]);
    this.#tell(`${lock.device} lost its power (${region}), back in ${backMs} ms`);
    this.#air.drop(lock.address);
    this.#clock.after(backMs, () => {
      lock.powerOn();
      this.#tell(`${lock.device} boots`);
    });
  }

  #killAgent(agent: AgentBox): void {
    if (!agent.isAlive) return;
    if (this.#random.next() < 0.5) {
      const nth = 1 + this.#random.integer(25);
      this.#tell(`${agent.id} shall be killed in store call ${nth}`);
      return agent.killAtStoreCall(nth);
    }
    agent.kill();
    this.#agentDied(agent);
  }

  #agentDied(agent: AgentBox): void {
    this.#cuts += 1;
    const backMs = this.#isCalm ? 100 : this.#draw([200, 2_000, 15_000]);
    this.#tell(`kill -9 ${agent.id}, started again in ${backMs} ms`);
    this.#clock.after(backMs, () => {
      if (!agent.isAlive) void agent.start();
    });
  }

  #cutUpstream(agent: AgentBox): void {
    const forMs = 500 + this.#random.integer(60_000);
    this.#tell(`${agent.id} is cut from the authority for ${forMs} ms`);
    this.#cloud.setLink(agent.id, false);
    this.#clock.after(forMs, () => this.#cloud.setLink(agent.id, true));
  }

  #changeAir(): void {
    this.#air.conditions = {
      loss: 0.01 + this.#random.next() * 0.29,
      duplication: this.#random.next() * 0.1,
      reorderDepth: this.#random.integer(9),
      intervalMs: this.#draw([15, 30, 50]),
      framesPerEvent: this.#draw([2, 4, 6, 10]),
    };
    this.#tell(`the air: ${JSON.stringify(this.#air.conditions)}`);
  }

  #leaveReach(lock: LockBox): void {
    const forMs = 1_000 + this.#random.integer(60_000);
    this.#tell(`${lock.device} is out of reach for ${forMs} ms`);
    if (lock.inReach) this.#cuts += 1;
    lock.inReach = false;
    this.#air.drop(lock.address);
    this.#clock.after(forMs, () => {
      lock.inReach = true;
    });
  }

  #stopDaemon(agent: AgentBox): void {
    const downMs = 1_000 + this.#random.integer(30_000);
    this.#tell(`bluetoothd of ${agent.id} is down for ${downMs} ms`);
    this.#cuts += 1;
    agent.adapter.brokenUntilMs = this.#clock.monotonicMs() + downMs;
    agent.adapter.brokenBy = "no-bluetooth";
    agent.adapter.link?.drop();
  }

  #moveWallClock(agent: AgentBox): void {
    agent.wallErrorMs = this.#draw([0, 3_600_000, 86_400_000, -this.#clock.nowMs() + 1_000]);
    this.#tell(`${agent.id}'s wall clock is off by ${agent.wallErrorMs} ms`);
  }

  #strike(lock: LockBox): void {
    const deed = this.#draw(hostileDeeds);
    const other = this.#draw(this.#locks.filter((each) => each !== lock));
    const errorBefore = this.#clockErrorMs(lock);
    this.#tell(`a thief at ${lock.device}: ${deed}`);
    // Whatever it staged there replaces what was staged, so that the next honest courier begins anew: delay, which is its due.
    this.#transferByLock.delete(lock.device);
    const struck = this.#thief.strike(deed, lock, other).then((ended) => {
      this.#transferByLock.delete(lock.device);
      this.#tell(`the thief at ${lock.device} (${deed}): ${ended ?? "was busy elsewhere"}`);
      for (const lie of this.#thief.believed.splice(0)) this.#fail("otherFaults", `the authority believed ${lie}`);
      const errorAfter = this.#clockErrorMs(lock);
      if (errorBefore === undefined || errorAfter === undefined) return;
      if (errorAfter > errorBefore + CLOCK_TOLERANCE_MS) {
        this.#fail(
          "otherFaults",
          `${lock.device}: a thief moved its clock from ${errorBefore} to ${errorAfter} ms off`,
        );
      }
    });
    struck.catch((error: unknown) => this.#fail("otherFaults", `the thief's own program died: ${String(error)}`));
  }

  #ask(agent: AgentBox, lock: LockBox): void {
    this.#tell(`an operator of ${agent.id} asks for ${lock.device}`);
    void agent.gateway?.requestSync(lock.device);
  }

  /** The manager holds a phone to a lock, at times without a network, at times with a link that breaks. */
  #carryByPhone({ device, address }: LockBox): void {
    const phone = this.#phone;
    phone.isOnline = this.#random.next() < 0.75;
    if (this.#random.next() < 0.4) {
      phone.adapter.armed = drawLinkFault(this.#random, this.#plan.crowd * 24 + 2_300);
    }
    this.#tell(`the manager's phone at ${device}${phone.isOnline ? "" : ", offline"}`);
    const carried = phone.sync({ device, address }).then((done) => {
      const ended = done.ok ? `went through, ${done.value.logEntries} entries` : done.fault.code;
      this.#tell(`the manager's phone at ${device}: ${ended}`);
      if (!done.ok && done.fault.code === "lock-silent") this.#cuts += 1;
      if (!done.ok && done.fault.code === "phone-busy") return;
      this.#visits += 1;
      this.#weighTransfer(device);
      if (done.ok) this.#lookAtLies(phone.id, phone.adapter, device);
    });
    carried.catch((error: unknown) => this.#fail("otherFaults", `the phone's program died: ${String(error)}`));
  }

  /**
   * Somebody has got into this lock: for a while, or for ever, it lies to whoever connects. It has its keys, so its sessions are true ones.
   * One lock of a world may be hostile to the end, so that there are honest ones beside it.
   */
  #turnHostile(lock: LockBox): void {
    const isIncurable = this.#incurable === undefined && this.#random.next() < 0.15;
    if (isIncurable) this.#incurable = lock.device;
    const forMs = 2_000 + this.#random.integer(60_000);
    const random = seededRandom(this.#options.seed, `liar/${lock.device}/${this.#step}`);
    const frameShare = this.#draw([0, 0.2, 1]);
    const other = this.#draw(this.#locks.filter((each) => each !== lock)).firmware?.pairing?.pairingId;
    this.#tell(`${lock.device} turns hostile ${isIncurable ? "for ever" : `for ${forMs} ms`}`);
    lock.drawLie = () => {
      const isOfFrames = random.next() < frameShare;
      const lie = isOfFrames ? frameLies[random.integer(frameLies.length)] : drawLie(random);
      return lie === undefined ? undefined : { lie, otherPairingId: other ?? random.bytes(16) };
    };
    if (isIncurable) return;
    this.#clock.after(forMs, () => {
      if (this.#incurable === lock.device) return;
      lock.drawLie = () => undefined;
      this.#tell(`${lock.device} is honest again`);
    });
  }

  #lied(lock: LockBox, { name, kind, told }: ToldLie): void {
    this.#lies += 1;
    this.#doubted.add(lock.device);
    if (kind === "forsworn") this.#forsworn.add(lock.device);
    // What it asks for again and again is nobody's loss but its own.
    this.#transferByLock.delete(lock.device);
    if (told === 1) this.#tell(`${lock.device} lies: ${name}`);
  }

  // What is looked at.

  #signedOn(lock: LockBox): SignedPolicy | undefined {
    const policy = lock.firmware?.policy;
    return policy === undefined ? undefined : this.#cloud.signed(lock.device, policy.epoch, policy.version);
  }

  /** After everything that the firmware did: exactly one signed version, and never an older one than before. */
  #lookAtPolicy(lock: LockBox): void {
    const policy = lock.firmware?.policy;
    const before = this.#heldByLock.get(lock.device);
    if (policy === undefined || policy.version === 0) {
      if (before !== undefined) this.#fail("mixedStates", `${lock.device} has no policy any more`);
      return;
    }
    const { epoch, version, root, stale } = policy;
    if (before?.root === root) return;
    const signed = this.#cloud.signed(lock.device, epoch, version);
    if (signed === undefined || !equalBytes(signed.root, root)) {
      this.#fail("mixedStates", `${lock.device} decides by ${epoch}/${version}, which nobody signed like this`);
    }
    const isOlder =
      before !== undefined && (epoch < before.epoch || (epoch === before.epoch && version < before.version));
    if (isOlder || stale) this.#fail("otherFaults", `${lock.device} went back to ${version}${stale ? ", stale" : ""}`);
    if (before?.version !== version) this.#tell(`${lock.device} decides by version ${version}`);
    this.#heldByLock.set(lock.device, { epoch, version, root });
  }

  #look(): void {
    for (const refusal of this.#cloud.refused.splice(0)) {
      if ([...this.#doubted].some((device) => refusal.includes(`/${device}/`))) continue;
      this.#fail("otherFaults", `the authority refused ${refusal}`);
    }
    this.#lookAtAuthority();
    const { policies } = this.#cloud.cloud.authority.state;
    const reckoned = exposureView(this.#cloud.cloud).reckoned;
    for (const { device } of this.#locks) {
      if (this.#doubted.has(device)) continue;
      const held = this.#heldByLock.get(device)?.version ?? 0;
      const open = (policies[device]?.revocations ?? []).filter(({ version }) => version > held);
      for (const { person } of open) {
        if (reckoned.some((each) => each.device === device && each.person === person)) continue;
        this.#fail("otherFaults", `the authority does not know that ${device} still lets ${person} in`);
      }
      for (const agent of this.#agents) this.#lookAtExposures(agent, device, held);
    }
  }

  /** Whatever a lock says: the authority's newest policy stays the newest, and nothing is believed of a lock that has not said it itself. */
  #lookAtAuthority(): void {
    const { authority, chains } = this.#cloud.cloud;
    for (const lock of this.#locks) {
      const { device } = lock;
      const newest = this.#cloud.newest(device);
      const state = authority.state.policies[device];
      if (state?.version !== newest.version || state.epoch !== newest.epoch) {
        this.#fail("otherFaults", `the authority's newest for ${device} is ${state?.version}, not ${newest.version}`);
      }
      const { report, through = 0 } = chains.state(device) ?? {};
      if (
        report != null &&
        this.#cloud.signed(device, report.epoch, report.version) === undefined &&
        report.version > 0
      ) {
        this.#fail("otherFaults", `the authority believes that ${device} holds ${report.epoch}/${report.version}`);
      }
      if (this.#doubted.has(device)) continue;
      const held = this.#heldByLock.get(device)?.version ?? 0;
      if ((report?.version ?? 0) > held) {
        this.#fail(
          "otherFaults",
          `the authority believes that ${device} holds ${report?.version}, and it holds ${held}`,
        );
      }
      if (through > lock.entries.length) this.#fail("otherFaults", `${device} may free what it never wrote`);
    }
  }

  /** A gateway that was told of a revocation says it until the lock itself reported the version that ends it. */
  #lookAtExposures(agent: AgentBox, device: DeviceId, held: number): void {
    const { gateway } = agent;
    if (gateway === undefined) return;
    const wanted = gateway.table.lockDesired(device)?.policy.version ?? 0;
    if (gateway.lockState(device).state === "in-sync" && held < wanted) {
      this.#fail("otherFaults", `${agent.id} says that ${device} is in sync, which holds ${held} of ${wanted}`);
    }
    for (const { person, version } of gateway.table.lockDesired(device)?.revocations ?? []) {
      if (version <= held) continue;
      if (gateway.exposures().some((each) => each.device === device && each.person === person)) continue;
      this.#fail("otherFaults", `${agent.id} does not say that ${device} still lets ${person} in`);
    }
  }

  #policyBegins(link: VirtualLink | undefined, device: DeviceId, policy: PolicyVersion | undefined, of: number): void {
    // A visit whose agent was killed has ended too, though nobody said so.
    this.#weighTransfer(device);
    const name = `${policy?.epoch}/${policy?.version}/${of}`;
    const known = this.#transferByLock.get(device);
    const transfer = known?.name === name ? known : { name, sentBytes: 0, againBytes: 0, current: undefined };
    transfer.current = link === undefined ? undefined : { link, from: link.courierStreamBytes };
    this.#transferByLock.set(device, transfer);
  }

  #visitEnded(agent: AgentBox, visit: VisitOptions, outcome: VisitOutcome): void {
    this.#visits += 1;
    const { device } = visit.lock;
    const ended = outcome.ok ? "went through" : `${outcome.fault.code} ${outcome.fault.reason ?? ""}`;
    if (!outcome.ok && (outcome.fault.code === "radio" || outcome.fault.code === "timeout")) this.#cuts += 1;
    this.#tell(`${agent.id} at ${device}: ${ended}, ${outcome.bytes} bytes, ${outcome.logEntries} entries`);
    this.#weighTransfer(device);
    if (outcome.ok) this.#lookAtLies(agent.id, agent.adapter, device);
    this.#armFirstVisit(agent);
  }

  /** A session in which the lock contradicted itself is no visit that went through; the lie was told to nobody else. */
  #lookAtLies(courier: string, { link }: Adapter, device: DeviceId): void {
    const lock = this.#locks.find((each) => each.device === device);
    const lie = lock?.lieOver(link?.lockEnd);
    if (lie?.kind === "contradicted")
      this.#fail("otherFaults", `${courier} at ${device} did not see through ${lie.name}`);
  }

  /** A cut may cost what was on its way in this session, and the page that was not whole; no more may be sent again. */
  #weighTransfer(device: DeviceId): void {
    const transfer = this.#transferByLock.get(device);
    if (transfer?.current === undefined || this.#doubted.has(device)) return;
    const { name, current } = transfer;
    const { courierStreamBytes, courierAckedBytes } = current.link;
    transfer.current = undefined;
    transfer.sentBytes += courierStreamBytes - current.from;
    const length = Number(name.split("/")[2]);
    const allowed = length + length / 32 + OTHER_MESSAGES_BYTES + transfer.againBytes;
    const onItsWay = courierStreamBytes - Math.max(current.from, courierAckedBytes);
    transfer.againBytes += onItsWay + PAGE_BYTES + PAGE_HEAD_BYTES;
    if (transfer.sentBytes <= allowed) return;
    const what = `${device}: ${name} took ${transfer.sentBytes} bytes, ${Math.round(allowed)} allowed`;
    this.#fail("resentBeyondWindow", what);
  }

  #clockErrorMs(lock: LockBox): number | undefined {
    const reading = lock.firmware?.clock(this.#clock.monotonicMs());
    if (reading?.quality !== "set" || reading.unixMs === undefined) return undefined;
    return Math.abs(reading.unixMs - this.#clock.nowMs());
  }

  // How it ends.

  /** Everything that was broken is whole again, and nothing more is broken. */
  async #calmDown(): Promise<void> {
    this.#isCalm = true;
    this.#tell("faults stop");
    this.#air.conditions = { ...kindAir, loss: 0.02, reorderDepth: 2 };
    for (const lock of this.#locks) {
      lock.flash.cutPowerAtWrite(NEVER);
      lock.inReach = true;
      if (lock.device !== this.#incurable) lock.drawLie = () => undefined;
    }
    this.#phone.isOnline = true;
    this.#phone.adapter.armed = undefined;
    for (const agent of this.#agents) {
      agent.killAtStoreCall(NEVER);
      agent.adapter.armed = undefined;
      agent.adapter.brokenUntilMs = 0;
      agent.wallErrorMs = 0;
      this.#cloud.setLink(agent.id, true);
    }
    // The longest that a lock or an agent stays away by the world's own doing.
    await this.#clock.advance(LONGEST_ABSENCE_MS);
    for (const lock of this.#locks) {
      lock.powerOn();
      lock.flash.cutPowerAtWrite(NEVER);
    }
    for (const agent of this.#agents) if (!agent.isAlive) await this.#startAgent(agent);
  }

  /** First by itself, then as an operator who asks for every lock would have it. */
  async #rest(): Promise<void> {
    const isNewest = (): boolean =>
      this.#curable().every(
        ({ device }) => this.#heldByLock.get(device)?.version === this.#cloud.newest(device).version,
      );
    for (let waitedMs = 0; waitedMs < REST_LIMIT_MS && !isNewest(); waitedMs += 5_000) {
      await this.#clock.advance(5_000);
      this.#look();
    }
    if (!isNewest()) this.#fail("otherFaults", "a lock did not get its newest policy by itself in time");
    for (let round = 0; round < ASKED_ROUNDS && this.#whyNotAtRest().length > 0; round++) {
      for (const agent of this.#agents) await this.#syncAll(agent);
    }
    for (const why of this.#whyNotAtRest()) this.#fail("otherFaults", `not at rest: ${why}`);
  }

  async #syncAll(agent: AgentBox): Promise<void> {
    if (this.#whyNotAtRest().length === 0) return;
    for (const lock of this.#curable()) await this.#sync(agent, lock);
    // What came home goes on to the authority.
    await this.#clock.advance(15_000);
    this.#look();
  }

  async #sync(agent: AgentBox, lock: LockBox): Promise<void> {
    let isAnswered = false;
    void agent.gateway?.requestSync(lock.device).then(() => {
      isAnswered = true;
    });
    for (let waitedMs = 0; waitedMs < VISIT_LIMIT_MS && !isAnswered; waitedMs += 250) await this.#clock.advance(250);
    if (!isAnswered) this.#fail("otherFaults", `${agent.id} never answered for ${lock.device}`);
  }

  #whyNotAtRest(): readonly string[] {
    const { chains, table } = this.#cloud.cloud;
    const reasons: string[] = [];
    for (const lock of this.#curable()) {
      const state = chains.state(lock.device);
      const isWhole = state?.through === lock.entries.length;
      if (this.#forsworn.has(lock.device)) {
        if (!isWhole && state?.brokenAt === null)
          reasons.push(`${lock.device}: its log is not whole, and nobody says so`);
        continue;
      }
      if (!isWhole) reasons.push(`${lock.device}: log checked through ${state?.through} of ${lock.entries.length}`);
      if (state?.brokenAt !== null) reasons.push(`${lock.device}: chain broken at ${state?.brokenAt}`);
      if ((this.#clockErrorMs(lock) ?? Number.POSITIVE_INFINITY) > CLOCK_TOLERANCE_MS)
        reasons.push(`${lock.device}: clock off by ${this.#clockErrorMs(lock)} ms`);
    }
    for (const agent of this.#agents) {
      const isCurable = ({ device }: { readonly device: DeviceId }): boolean => device !== this.#incurable;
      const said = (table.latest(agent.id, "exposure")?.body.exposures ?? []).filter(isCurable);
      const own = (agent.gateway?.exposures() ?? []).filter(isCurable);
      for (const { device } of this.#curable()) {
        const state = agent.gateway?.lockState(device);
        if (state?.state !== "in-sync") reasons.push(`${agent.id}: ${device} is ${state?.state} (${state?.why})`);
      }
      if (own.length + said.length > 0) reasons.push(`${agent.id}: still says ${JSON.stringify([own, said])}`);
    }
    const { waiting } = this.#phone.courier;
    if (waiting > 0) reasons.push(`the manager's phone still has ${waiting} batches`);
    const reckoned = exposureView(this.#cloud.cloud).reckoned.filter(({ device }) => device !== this.#incurable);
    if (reckoned.length > 0) reasons.push(`the authority still reckons ${JSON.stringify(reckoned)}`);
    return reasons;
  }

  /** All but the one that is hostile to the end. */
  #curable(): readonly LockBox[] {
    return this.#locks.filter(({ device }) => device !== this.#incurable);
  }

  /** Each lock's own log against the authority's record, and everybody once at every door. */
  #judge(): void {
    const { record } = this.#cloud.cloud;
    const summary = record.summary();
    if (summary.duplicates > 0) this.#fail("eventsDoubled", `${summary.duplicates} names twice in the record`);
    if (summary.conflicting > 0 && this.#doubted.size === 0)
      this.#fail("eventsDoubled", `${summary.conflicting} names with two contents`);
    for (const lock of this.#locks) {
      const isOwnLoss = lock.device === this.#incurable || this.#forsworn.has(lock.device);
      if (!isOwnLoss) this.#judgeLog(lock);
      for (const person of this.#plan.people) this.#attempt(lock, person);
    }
  }

  #judgeLog({ device, entries }: LockBox): void {
    const { record } = this.#cloud.cloud;
    const written = entries.map(nameOf);
    const recorded = record.events({ device }).map(({ boot, sequence }) => `${boot}/${sequence}`);
    const raw = record.rawEntries(device, 1, entries.length);
    const missing = written.filter((name) => !recorded.includes(name));
    const strange = recorded.filter((name) => !written.includes(name));
    if (missing.length > 0) this.#fail("eventsLost", `${device}: ${missing.join(" ")} never arrived`);
    if (strange.length > 0) this.#fail("eventsDoubled", `${device}: ${strange.join(" ")} was never written`);
    const isSame = entries.every((entry, index) => equalBytes(entry, raw[index] ?? new Uint8Array(0)));
    if (!isSame) this.#fail("eventsLost", `${device}: the record is not what the lock chained`);
  }

  #fail(count: keyof WorldCounts, what: string): void {
    this.#counts[count] += 1;
    this.#failures.push({ step: this.#step, what: `${count}: ${what}` });
    this.#tell(`FAILURE ${count}: ${what}`);
  }

  #tell(text: string): void {
    const seconds = (this.#clock.monotonicMs() / 1000).toFixed(3);
    this.#log.push(`${seconds} ${this.#step} ${bytesToHex(this.#frames.subarray(0, 4))} ${text}`);
  }

  #draw<Value>(values: readonly Value[]): Value {
    const drawn = values[this.#random.integer(values.length)];
    assert(drawn !== undefined, "something to draw from");
    return drawn;
  }

  /** Mostly two pages of policy, at times so many that a transfer is cut more than once. */
  #drawCrowd(): number {
    const drawn = this.#random.integer(20);
    if (drawn < 13) return 40 + this.#random.integer(60);
    if (drawn < 16) return 200;
    return drawn < 19 ? CROWD_OF_PAGES : 2_000;
  }

  #drawPauseMs(): number {
    const drawn = this.#random.integer(10);
    if (drawn < 5) return 50 + this.#random.integer(2_500);
    return drawn < 9 ? 2_000 + this.#random.integer(15_000) : 30_000 + this.#random.integer(60_000);
  }
}

function nameOf(bytes: Uint8Array): string {
  const read = auditEntry.decode(bytes);
  assert(read.ok, "a lock's entries decode");
  return `${read.value.boot}/${read.value.sequence}`;
}

const gateways = ["gateway-main" as DeviceId, "gateway-two" as DeviceId];

/** What may happen in a step, and how often beside the others. */
const deeds = [
  ["attempt", 22],
  ["revoke", 4],
  ["change-site", 5],
  ["rotate-keys", 1],
  ["link-fault", 18],
  ["flash-cut", 10],
  ["battery", 4],
  ["kill-agent", 8],
  ["upstream", 5],
  ["air", 6],
  ["reach", 4],
  ["bluetoothd", 3],
  ["agent-clock", 2],
  ["thief", 8],
  ["asked", 8],
  ["phone-sync", 8],
  ["liar", 8],
] as const;

/** From here on a whole policy takes four pages or more: seven bytes for each of the crowd. */
const CROWD_OF_PAGES = 1_000;
/** What a visit without a policy crosses at most. */
const SHORT_VISIT_BYTES = 1_500;
const DEFAULT_STEPS = 22;
/** Half an hour: the longest back-off of a lock is ten minutes, and two couriers may be in each other's way. */
const REST_LIMIT_MS = 30 * 60_000;
const LONGEST_ABSENCE_MS = 21_000;
const ASKED_ROUNDS = 6;
const VISIT_LIMIT_MS = 200_000;
/** A clock is written when it is off by more than 2 s; half of a round trip and the drift of an hour come on top. */
const CLOCK_TOLERANCE_MS = 3_500;
/** Release, log requests and good-bye of a visit that also brought a policy. */
const OTHER_MESSAGES_BYTES = 1_024;
const PAGE_HEAD_BYTES = 64;
const NEVER = Number.MAX_SAFE_INTEGER;
