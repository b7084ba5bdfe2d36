/**
 * A small world for what several couriers do to one lock: the authority, locks on the air, a gateway's visits and a manager's phone, on one
 * stepped clock. The gateway's visit is the agent's own code, the phone's the emulator's; what each keeps between visits is here.
 */
import { runVisit } from "../../agent/ble/visit.ts";
import type { SealedRun, VisitOutcome } from "../../agent/ports/visit.ts";
import { keycard } from "../../emulator/device/keycard.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { answerTime, issueCourierCertificate } from "../../protocol/sync/authority.ts";
import { lockDesiredSchema } from "../../protocol/wire/messages/desired.ts";
import { reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { eventsOf, gatewayId } from "./hostile-courier.ts";
import { type HousePlan, planHouse, siteText } from "./house-plan.ts";
import { LockBox } from "./lock-box.ts";
import { PhoneBox } from "./phone-box.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { newAdapter, VirtualAir, VirtualRadio } from "./virtual-air.ts";
import { START_OF_SITE, VirtualCloud } from "./virtual-cloud.ts";

export class Carriers {
  readonly clock: SteppedClock;
  readonly air: VirtualAir;
  readonly cloud: VirtualCloud;
  readonly plan: HousePlan;
  readonly locks: readonly LockBox[];
  readonly phone: PhoneBox;
  readonly gatewayAdapter = newAdapter();
  readonly #courierPrivateKey: Uint8Array;
  readonly #random;
  /** What the gateway has on its disk of each lock. */
  readonly #runs = new Map<DeviceId, SealedRun[]>();

  private constructor(seed: number, crowd: number, clockErrorMs: number, clock: SteppedClock, cloud: VirtualCloud) {
    this.clock = clock;
    this.cloud = cloud;
    this.air = new VirtualAir(clock, seededRandom(seed, "air"));
    this.plan = planHouse(seededRandom(seed, "house"), crowd);
    this.#random = seededRandom(seed, "carriers");
    this.#courierPrivateKey = this.#random.bytes(32);
    cloud.importSite(siteText(this.plan));
    cloud.cloud.authority.registerGateway(gatewayId, "a password nobody needs here");
    this.locks = this.plan.locks.map(({ device, model, address, kind }) => {
      const lock = new LockBox({
        device,
        model,
        address,
        door: kind === "COMMUNAL" ? "communal" : "residence",
        driftPpm: 0,
        clock,
        random: seededRandom(seed, `lock/${device}`),
        onBroken: (what) => {
          throw new Error(`${device}: ${what}`);
        },
        onPowerLost: () => undefined,
        onActed: () => undefined,
      });
      this.air.put(address, () => lock.peripheral());
      this.#pair(lock, clockErrorMs);
      return lock;
    });
    cloud.publish();
    this.phone = new PhoneBox({
      phone: "manager-phone",
      person: "manager",
      clock,
      air: this.air,
      cloud,
      random: seededRandom(seed, "phone"),
    });
  }

  /** `crowd`: further credentials at every door, so that a policy has a size; `clockErrorMs`: how far off each lock's clock is at first. */
  static async open({ seed = 1, crowd = 300, clockErrorMs = 0 } = {}): Promise<Carriers> {
    const clock = new SteppedClock(START_OF_SITE * 1000);
    return new Carriers(seed, crowd, clockErrorMs, clock, await VirtualCloud.start(seed, clock));
  }

  close(): Promise<void> {
    return this.cloud.cloud.close();
  }

  get lobby(): LockBox {
    const [lobby] = this.locks;
    assert(lobby !== undefined, "a house has a lock");
    return lobby;
  }

  get roof(): LockBox {
    const roof = this.locks[1];
    assert(roof !== undefined, "a house has two locks");
    return roof;
  }

  /** Somebody comes to a door: an entry more in its log. */
  knock(lock: LockBox, times = 1): void {
    const [person] = this.plan.people;
    assert(person !== undefined, "somebody lives here");
    const key = makeCardKey(this.cloud.cloud.authority.keys.cardSecret, person.card, 1);
    for (let time = 0; time < times; time++) lock.card(keycard(person.card, key));
  }

  desired(device: DeviceId) {
    const text = this.cloud.desiredHistory.get(device)?.at(-1);
    assert(text !== undefined, "a paired lock has something to get");
    const read = parsePayload(lockDesiredSchema, utf8(text));
    assert(read.ok, "the authority's documents parse");
    return read.value;
  }

  /** Lets time pass until `work` is done. */
  async during<Value>(work: Promise<Value>, limitMs = 200_000): Promise<Value> {
    let isDone = false;
    const watched = work.finally(() => {
      isDone = true;
    });
    for (let waitedMs = 0; waitedMs < limitMs && !isDone; waitedMs += 50) await this.clock.advance(50);
    assert(isDone, "it ends in time");
    return watched;
  }

  /** The gateway's courier, as the agent visits. `tellsTime` false: its link upstream is too slow for that. */
  async visitByGateway(lock: LockBox, { tellsTime = true } = {}): Promise<VisitOutcome> {
    const { authority } = this.cloud.cloud;
    const pairing = authority.state.pairings[lock.device];
    assert(pairing !== undefined, "the lock is paired");
    const { staticPublicKey, pairingId } = pairing;
    const runs = this.#runs.get(lock.device) ?? [];
    this.#runs.set(lock.device, runs);
    const last = runs.at(-1);
    const nowSeconds = unixSeconds(this.clock.nowMs() / 1000);
    const outcome = await this.during(
      runVisit({
        radio: new VirtualRadio(this.air, this.gatewayAdapter),
        address: lock.address,
        courier: {
          staticPrivateKey: this.#courierPrivateKey,
          certificate: issueCourierCertificate(authority.roles, {
            staticPublicKey: x25519PublicKey(this.#courierPrivateKey),
            holder: gatewayId,
            role: "courier",
            locks: [],
            notAfter: unixSeconds(nowSeconds + 30 * 86_400),
          }),
        },
        lock: { device: lock.device, staticPublicKey, pairingId },
        desired: this.desired(lock.device),
        logFrom: last === undefined ? 1 : last.from + last.count,
        askTime: async (nonce) => {
          const now = unixMs(this.clock.nowMs());
          const answer = answerTime(authority.roles, { pairingId, nonce, unixMs: now, radiusMs: 100 });
          return tellsTime ? { answer } : undefined;
        },
        storeRun: async (run) => {
          runs.push(run);
        },
        onProgress: () => undefined,
        clock: this.clock,
        random: { bytes: (length) => this.#random.bytes(length), fraction: () => this.#random.next() },
      }),
    );
    this.uploadByGateway(lock, outcome);
    return outcome;
  }

  /** All that the gateway has of a lock, as its outbox sends it, and the report of a visit. */
  uploadByGateway(lock: LockBox, { reported }: VisitOutcome): void {
    const { device } = lock;
    for (const run of this.#runs.get(device) ?? []) this.say("event", device, eventsOf(device, run));
    if (reported === null) return;
    const { report, mac, ...reading } = reported;
    const at = unixSeconds(this.clock.nowMs() / 1000);
    const own = { report: bytesToBase64(report), mac: bytesToBase64(mac) };
    this.say(
      "reported",
      device,
      formatPayload(reportedSchema, { v: 1, device, ...reading, ...own, at, courier: gatewayId }),
    );
  }

  /** A message of the gateway, as it is; false when the authority refused it. */
  say(channel: "event" | "reported", device: DeviceId, payload: string): boolean {
    return this.cloud.cloud.intake.receive(gatewayId, { site: "maple-court", device, channel }, utf8(payload));
  }

  #pair(lock: LockBox, clockErrorMs: number): void {
    const { authority } = this.cloud.cloud;
    const { device, address, staticPrivateKey } = lock;
    const paired = authority.pairLock({ device, address, staticPublicKey: x25519PublicKey(staticPrivateKey) });
    assert(paired.ok, "the locks of the plan can be paired");
    const { pairingId, root, keyset, dailyKeys, keyEpoch } = paired.value;
    const chainKey = authority.pairingKeys(device)?.chain;
    assert(chainKey !== undefined, "a paired lock has its keys");
    const keys = dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key }));
    lock.pair({ pairingId, root, keyset, dailyKeys: keys }, chainKey, unixMs(this.clock.nowMs() + clockErrorMs));
  }
}
