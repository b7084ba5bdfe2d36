/**
 * Two locks, an authority and a gateway on one stepped clock, without any fault but one: the lock of the lobby is hostile when it is told
 * to be. The gateway is the agent's own loop, as in the sync world.
 */
import type { VisitOutcome } from "../../agent/ports/visit.ts";
import { keycard } from "../../emulator/device/keycard.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { AgentBox } from "./agent-box.ts";
import { type HousePlan, planHouse, siteText } from "./house-plan.ts";
import { LockBox } from "./lock-box.ts";
import type { Lie } from "./lock-lies.ts";
import type { FrameLie } from "./lying-visit.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { VirtualAir } from "./virtual-air.ts";
import { START_OF_SITE, VirtualCloud } from "./virtual-cloud.ts";

export class LyingHouse {
  readonly clock: SteppedClock;
  readonly cloud: VirtualCloud;
  readonly plan: HousePlan;
  readonly liar: LockBox;
  readonly other: LockBox;
  readonly agent: AgentBox;
  /** Of visits to the liar, and whether it lied in each. */
  readonly visits: { readonly outcome: VisitOutcome; readonly lied: boolean }[] = [];

  private constructor(clock: SteppedClock, cloud: VirtualCloud, crowd: number) {
    this.clock = clock;
    this.cloud = cloud;
    this.plan = planHouse(seededRandom(1, "house"), crowd);
    cloud.importSite(siteText(this.plan));
    const air = new VirtualAir(clock, seededRandom(1, "air"));
    const [liar, other] = this.plan.locks.slice(0, 2).map((planned) => this.#lock(air, planned));
    assert(liar !== undefined && other !== undefined, "a house has two locks");
    this.liar = liar;
    this.other = other;
    cloud.publish();
    cloud.cloud.authority.registerGateway(gateway, "a password nobody needs here");
    this.agent = new AgentBox({
      gateway,
      clock,
      air,
      cloud,
      random: seededRandom(1, "agent"),
      onDeath: () => undefined,
      onFatal: (error) => {
        throw new Error("the gateway died", { cause: error });
      },
      onPolicySent: () => undefined,
      onVisit: ({ adapter }, { lock }, outcome) => {
        if (lock.device !== liar.device) return;
        this.visits.push({ outcome, lied: liar.lieOver(adapter.link?.lockEnd) !== undefined });
      },
      log: () => undefined,
    });
  }

  /** With both locks in sync and some entries in each log. `crowd`: so many more credentials, for policies of several pages. */
  static async open({ crowd = 0 } = {}): Promise<LyingHouse> {
    const clock = new SteppedClock(START_OF_SITE * 1000);
    const house = new LyingHouse(clock, await VirtualCloud.start(1, clock), crowd);
    const starting = house.agent.start();
    await clock.advance(200);
    await starting;
    await house.pass(60_000);
    assert(house.isInSync(house.liar) && house.isInSync(house.other), "an honest house comes in sync");
    return house;
  }

  async close(): Promise<void> {
    this.agent.kill();
    await this.cloud.cloud.close();
  }

  async pass(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += 1_000) await this.clock.advance(1_000);
  }

  /** From now on the first lock tells this lie to everybody; undefined: it is honest. */
  lie(lie: Lie | FrameLie | undefined): void {
    const { pairing } = this.other.firmware ?? {};
    assert(pairing !== undefined, "the locks are paired");
    this.liar.drawLie = () => (lie === undefined ? undefined : { lie, otherPairingId: pairing.pairingId });
  }

  /** Somebody comes to a door, and the manager revokes somebody: each lock has something to say and to hear. */
  stir(): void {
    const [person] = this.plan.people;
    assert(person !== undefined, "somebody lives here");
    const key = makeCardKey(this.cloud.cloud.authority.keys.cardSecret, person.card, 1);
    for (const lock of [this.liar, this.other]) {
      for (let time = 0; time < 3; time++) lock.card(keycard(person.card, key));
    }
    const next = this.plan.people.find(({ isListed, isRevoked }, index) => index > 0 && isListed && !isRevoked);
    assert(next !== undefined, "somebody can be revoked");
    next.isRevoked = true;
    this.cloud.revoke(next.id);
  }

  /** An operator asks for a lock, and what came of it. */
  async ask(lock: LockBox): Promise<unknown> {
    const answer = this.agent.gateway?.requestSync(lock.device);
    let isAnswered = false;
    void answer?.then(() => {
      isAnswered = true;
    });
    for (let waitedMs = 0; waitedMs < ASK_LIMIT_MS && !isAnswered; waitedMs += 500) await this.clock.advance(500);
    assert(isAnswered, "an operator gets an answer");
    return answer;
  }

  isInSync({ device, firmware }: LockBox): boolean {
    const holds = firmware?.policy.version;
    return this.agent.gateway?.lockState(device).state === "in-sync" && holds === this.cloud.newest(device).version;
  }

  /** The authority has its whole log, checked. */
  isLogWhole(lock: LockBox): boolean {
    const state = this.cloud.cloud.chains.state(lock.device);
    return state?.through === lock.entries.length && state.brokenAt === null;
  }

  #lock(air: VirtualAir, { device, model, address, kind }: HousePlan["locks"][number]): LockBox {
    const lock = new LockBox({
      device,
      model,
      address,
      door: kind === "COMMUNAL" ? "communal" : "residence",
      driftPpm: 0,
      clock: this.clock,
      random: seededRandom(1, `lock/${device}`),
      onBroken: (what) => {
        throw new Error(`${device}: ${what}`);
      },
      onPowerLost: () => undefined,
      onActed: () => undefined,
    });
    air.put(address, () => lock.peripheral());
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
}

const gateway = "gateway-main" as DeviceId;
/** A visit takes 90 s at most, and another may be under way. */
const ASK_LIMIT_MS = 200_000;
