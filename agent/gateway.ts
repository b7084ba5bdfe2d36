/**
 * The site's one loop. It listens for locks, decides whom to visit, visits one at a time, and says upstream what changed. What
 * a peer did wrong comes to it as a value; a radio or a link that is broken is a state that it waits out; a broken store ends
 * it, because nothing may be acknowledged any more. SPEC G1.
 */

import { type DeviceId, monotonicMs, type UnixMs, unixSeconds } from "../protocol/base/units.ts";
import type { SyncWord } from "../protocol/wire/messages/health.ts";
import { announceDevice, announceExposure, announceGateway, type GatewaySelf, goodbyeOf } from "./announce.ts";
import { pause } from "./base/deadline.ts";
import { Intake } from "./broker/intake.ts";
import { DeviceTable, type SiteDevice, secondsOf } from "./devices.ts";
import type { Clock } from "./ports/clock.ts";
import type { Log } from "./ports/log.ts";
import type { RunPairing } from "./ports/pairing.ts";
import { type Radio, RadioError, type Sighting } from "./ports/radio.ts";
import type { Random } from "./ports/random.ts";
import type { SiteBroker } from "./ports/site-broker.ts";
import type { Store } from "./ports/store.ts";
import type { UpstreamTransport } from "./ports/upstream.ts";
import type { RunVisit } from "./ports/visit.ts";
import { type Exposure, findExposures } from "./sync/exposure.ts";
import { type LockFacts, type LockState, lockState } from "./sync/lock-state.ts";
import { type PairingAnswer, Pairings, type PairRequest } from "./sync/pairings.ts";
import {
  chooseVisit,
  judgeVisit,
  type LockCandidate,
  type ScheduleRules,
  type VisitJudgement,
  type VisitReason,
} from "./sync/schedule.ts";
import { type Heard, Sightings } from "./sync/sightings.ts";
import { visitsToday } from "./sync/visit-record.ts";
import { type SyncAnswer, Visits } from "./sync/visits.ts";
import { UnlockRelay } from "./unlock-relay.ts";
import type { BackoffRules } from "./upstream/backoff.ts";
import { Upstream } from "./upstream/upstream.ts";

export interface GatewayOptions {
  readonly self: GatewaySelf;
  readonly store: Store;
  readonly radio: Radio;
  readonly runVisit: RunVisit;
  readonly runPairing: RunPairing;
  readonly transport: UpstreamTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly courierPrivateKey: Uint8Array;
  readonly backoff: BackoffRules;
  readonly schedule: ScheduleRules;
  readonly healthIntervalMs: number;
  /** Heard once: the store is broken, and the process must end. */
  readonly onFatal: (error: unknown) => void;
}

export interface RadioStatus {
  /** Null: not used yet, so nobody knows. */
  readonly working: boolean | null;
  /** The code of the RadioError that keeps it from working. */
  readonly fault: string | null;
  readonly sinceMs: UnixMs;
}

interface PairingAsked {
  readonly request: PairRequest;
  readonly settle: (answer: PairingAnswer) => void;
}

interface Asked {
  readonly answer: Promise<SyncAnswer>;
  readonly settle: (answer: SyncAnswer) => void;
}

export class Gateway {
  readonly self: GatewaySelf;
  readonly table: DeviceTable;
  readonly visits: Visits;
  readonly upstream: Upstream;
  readonly intake: Intake;
  readonly #unlocks: UnlockRelay;
  readonly #options: GatewayOptions;
  readonly #stop = new AbortController();
  readonly #sightings: Sightings;
  readonly #askedById = new Map<DeviceId, Asked>();
  readonly #pairings: Pairings;
  readonly #pairingsAsked: PairingAsked[] = [];
  /** Aborted to make the radio loop look again at once: somebody asked, or something newer came. */
  #wake = new AbortController();
  #broker: SiteBroker | undefined;
  #exposures: readonly Exposure[] = [];
  #exposuresSaid = "";
  #radioStatus: RadioStatus;
  #cancelTick: () => void = () => undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: GatewayOptions) {
    const { self, store, clock, random, log } = options;
    this.#options = options;
    this.self = self;
    this.table = new DeviceTable(store, self.gateway);
    this.#sightings = new Sightings(clock);
    this.#radioStatus = { working: null, fault: null, sinceMs: clock.nowMs() };
    this.upstream = new Upstream({
      site: self.site,
      gateway: self.gateway,
      transport: options.transport,
      store,
      clock,
      random,
      log,
      backoff: options.backoff,
      onDesired: (device, payload) => this.#desired(device, payload),
      onUnlock: (device, payload) => this.#unlocks.forward(device, payload),
      onStoreError: (error) => this.#fatal(error),
    });
    this.#unlocks = new UnlockRelay({
      site: self.site,
      gateway: self.gateway,
      table: this.table,
      clock,
      log,
      broker: () => this.#broker,
      tell: (topic, payload) => this.upstream.tell(topic, payload),
    });
    const onStored = (device: DeviceId, first: number, last: number): void =>
      this.upstream.eventsStored(device, first, last);
    this.intake = new Intake({
      store,
      table: this.table,
      clock,
      log,
      sendReceipt: (device, payload) => this.#broker?.publish({ site: self.site, device, channel: "receipt" }, payload),
      onStored,
      onWords: (device) => {
        this.#unlocks.heard(device);
        this.#announce(device);
        this.#reckonExposures();
      },
      onUnlockResult: (result) => this.#unlocks.answer(result),
    });
    this.visits = new Visits({
      store,
      table: this.table,
      clock,
      random,
      log,
      radio: options.radio,
      runVisit: options.runVisit,
      courierPrivateKey: options.courierPrivateKey,
      gateway: self.gateway,
      askTime: (device, nonce) => this.upstream.askTime(device, nonce),
      onStored,
      onDropped: (device, from) => this.upstream.eventsDropped(device, from),
      isUntaken: (device) => this.upstream.isUntaken(device),
      knowsNewest: () => this.#knowsNewest(),
    });
    this.#pairings = new Pairings({
      table: this.table,
      upstream: this.upstream,
      clock,
      random,
      log,
      radio: options.radio,
      runPairing: options.runPairing,
      courierPrivateKey: options.courierPrivateKey,
    });
  }

  /** Reads what the last run knew. */
  async load(): Promise<void> {
    await this.table.load(this.#options.log);
    await this.visits.load();
  }

  /** Begins to work; `broker` is where devices hear their receipts. */
  start(broker: SiteBroker): void {
    this.#broker = broker;
    this.#handOnAll();
    this.#announceAll();
    this.#reckonExposures();
    this.#scheduleTick();
    this.#running = Promise.all([this.upstream.run(), this.#radioLoop()]);
    this.#running.catch((error: unknown) => this.#fatal(error));
  }

  /** Ends every loop; fulfilled when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancelTick();
    this.#wakeRadio();
    for (const [device, asked] of this.#askedById) asked.settle({ device, fault: { code: "stopping" } });
    this.#askedById.clear();
    for (const { request, settle } of this.#pairingsAsked.splice(0)) {
      settle({ device: request.device, fault: { code: "stopping" } });
    }
    const { radio, clock } = this.#options;
    await Promise.all([radio.close(), this.upstream.close(goodbyeOf(this.self, clock.nowMs()))]);
    await this.#running.catch(() => undefined);
  }

  /** Somebody wants this lock visited now. Two who want the same get the same visit. */
  requestSync(device: DeviceId): Promise<SyncAnswer> {
    const waiting = this.#askedById.get(device);
    if (waiting !== undefined) return waiting.answer;
    const known = this.table.device(device);
    if (known === undefined) return Promise.resolve({ device, fault: { code: "unknown-device" } });
    if (known.network !== "ble") return Promise.resolve({ device, fault: { code: "not-a-ble-lock" } });
    if (this.#stop.signal.aborted) return Promise.resolve({ device, fault: { code: "stopping" } });
    const { promise, resolve } = Promise.withResolvers<SyncAnswer>();
    this.#askedById.set(device, { answer: promise, settle: resolve });
    this.#wakeRadio();
    return promise;
  }

  /** Somebody stands before this lock with the card from its box. The radio does it as soon as what it does now is over. */
  requestPairing(request: PairRequest): Promise<PairingAnswer> {
    const { device } = request;
    const objection = this.#stop.signal.aborted ? { code: "stopping" as const } : this.#pairings.objection(request);
    if (objection !== undefined) return Promise.resolve({ device, fault: objection });
    if (this.#pairingsAsked.length >= PAIRINGS_WAITING_LIMIT)
      return Promise.resolve({ device, fault: { code: "busy" } });
    const { promise, resolve } = Promise.withResolvers<PairingAnswer>();
    this.#pairingsAsked.push({ request, settle: resolve });
    this.#wakeRadio();
    return promise;
  }

  exposures(): readonly Exposure[] {
    return this.#exposures;
  }

  radioStatus(): RadioStatus {
    return this.#radioStatus;
  }

  /** How the door sync of a BLE lock stands. SPEC G10. */
  lockState(device: DeviceId): LockState {
    return lockState(this.lockFacts(device), secondsOf(this.#options.clock.nowMs()));
  }

  lockFacts(device: DeviceId): LockFacts {
    const record = this.visits.record(device);
    const { state } = this.table.words(device);
    const reported = this.visits.reported(device);
    const desired = this.table.lockDesired(device);
    const heardOnAir = this.#sightings.heard(device)?.unixMs;
    const heard = [state?.heardAt ?? null, heardOnAir === undefined ? null : secondsOf(heardOnAir)];
    const heardAt = Math.max(...heard.map((at) => at ?? NEVER_HEARD));
    return {
      desired: desired?.policy ?? null,
      urgent: desired?.urgent ?? null,
      reported: reported === null ? null : { ...reported.policy, at: reported.at },
      pendingSince: record.pendingSince,
      visitingSince: this.visits.trace(device).since,
      handedOver: record.handedOver,
      fault:
        record.lastFault === null || record.lastVisitAt === null
          ? null
          : { ...record.lastFault, at: record.lastVisitAt },
      heardAt: heardAt === NEVER_HEARD ? null : unixSeconds(heardAt),
      silentSeconds: this.#sightings.silentSeconds(device),
      visitBy: this.visits.visitBy(device),
      wentBackAt: record.wentBack?.at ?? null,
    };
  }

  /** The same as the authority is told; null for whatever is not visited. SPEC M17. */
  syncWord({ id, network }: SiteDevice): SyncWord | null {
    if (network !== "ble") return null;
    const { desired, reported, heardAt } = this.lockFacts(id);
    return { ...this.lockState(id), desired, reported, heardAt };
  }

  /** What the schedule goes by; `judgeVisit` says what it makes of it. */
  scheduled(device: DeviceId): LockCandidate & { readonly judged: VisitJudgement | undefined } {
    const { clock, schedule } = this.#options;
    const candidate = this.#candidate(device, this.#exposedLocks());
    return { ...candidate, judged: judgeVisit(candidate, clock.monotonicMs(), schedule) };
  }

  /** On the air or in a visit; null: not since the start. */
  heard(device: DeviceId): Heard | null {
    return this.#sightings.heard(device);
  }

  brokerPort(): number | null {
    return this.#broker?.port ?? null;
  }

  brokerConnected(): readonly DeviceId[] {
    return this.#broker?.connected() ?? [];
  }

  /** Listen, choose, visit, again. */
  async #radioLoop(): Promise<void> {
    const { clock, schedule } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const asked = this.#pairingsAsked.shift();
      if (asked !== undefined) {
        asked.settle(await this.#pairings.pair(asked.request));
        continue;
      }
      const chosen = this.#chooseVisit();
      if (chosen !== undefined) {
        await this.#visit(chosen.device, chosen.reason);
        continue;
      }
      this.#wake = new AbortController();
      if (!this.#hasLocks() || !schedule.automatic) {
        await pause(clock, IDLE_MS, this.#wake.signal);
        continue;
      }
      failures = (await this.#scan()) ? 0 : failures + 1;
      if (this.#pairingsAsked.length > 0 || this.#chooseVisit() !== undefined) continue;
      const restMs = failures === 0 ? SCAN_REST_MS : Math.min(RADIO_RETRY_MS * failures, RADIO_RETRY_CAP_MS);
      await pause(clock, restMs, this.#wake.signal);
    }
  }

  #chooseVisit(): ReturnType<typeof chooseVisit> {
    const { clock, schedule } = this.#options;
    return chooseVisit(this.#candidates(), clock.monotonicMs(), schedule);
  }

  async #visit(device: DeviceId, reason: VisitReason): Promise<void> {
    this.#options.log.info({ device, reason }, "a visit is due");
    const answer = await this.visits.visit(device, reason !== "asked");
    this.#sightings.forget(device);
    if (this.visits.hasSpoken(device)) this.#sightings.spoke(device);
    this.#askedById.get(device)?.settle(answer);
    this.#askedById.delete(device);
    this.#noteRadioOf(answer);
    this.#announce(device);
    // Said again after each visit even if nothing changed, so that its age upstream is the age of the last look.
    this.#exposuresSaid = "";
    this.#reckonExposures();
  }

  /** False: the radio does not work at the moment. */
  async #scan(): Promise<boolean> {
    const { radio } = this.#options;
    const enough = (sightings: readonly Sighting[]): boolean => {
      this.#noteSightings(sightings);
      return this.#pairingsAsked.length > 0 || this.#chooseVisit() !== undefined;
    };
    try {
      this.#sightings.listens(true);
      this.#noteSightings(await radio.scan({ durationMs: SCAN_MS, signal: this.#wake.signal, enough }));
      this.#noteRadio(null);
      return true;
    } catch (error) {
      if (!(error instanceof RadioError)) throw error;
      this.#sightings.listens(false);
      if (!this.#stop.signal.aborted) this.#noteRadio(error.code);
      return false;
    }
  }

  #noteSightings(sightings: readonly Sighting[]): void {
    this.#sightings.note(sightings, this.#locks());
  }

  /** What a visit says of the radio itself: a lost link is the lock's or the air's fault, a missing bus is not. */
  #noteRadioOf(answer: SyncAnswer): void {
    if (!("fault" in answer)) return this.#noteRadio(null);
    const { code, reason = "" } = answer.fault;
    if (code === "radio" && radioFaults.has(reason)) this.#noteRadio(reason);
  }

  /** Says once, and not every few seconds, that the radio stopped or came back. */
  #noteRadio(fault: string | null): void {
    const before = this.#radioStatus;
    if (before.working === (fault === null) && fault === before.fault) return;
    const { log, clock } = this.#options;
    this.#radioStatus = { working: fault === null, fault, sinceMs: clock.nowMs() };
    if (fault === null) log.info({}, "the radio works");
    else log.warn({ fault }, "the radio does not work; locks cannot be visited until it does");
  }

  #candidates(): readonly LockCandidate[] {
    const exposed = this.#exposedLocks();
    const visitable = this.#locks().filter(({ id }) => this.#askedById.has(id) || this.visits.canVisit(id));
    return visitable.map(({ id }) => this.#candidate(id, exposed));
  }

  #candidate(device: DeviceId, exposed: ReadonlySet<string>): LockCandidate {
    const { clock } = this.#options;
    const desired = this.table.lockDesired(device);
    const record = this.visits.record(device);
    const visitBy = this.visits.visitBy(device);
    return {
      device,
      asked: this.#askedById.has(device),
      desired: desired?.policy ?? null,
      urgent: desired?.urgent ?? null,
      holds: this.visits.reported(device)?.policy ?? null,
      exposed: exposed.has(device),
      pendingSince: record.pendingSince,
      seen: this.#sightings.seen(device),
      visitedAtMs: this.visits.visitedAtMs(device),
      pauseMs: record.pauseMs,
      visitByMs: visitBy === null ? null : monotonicMs(clock.monotonicMs() + visitBy * 1000 - clock.nowMs()),
      visitsToday: visitsToday(record, secondsOf(clock.nowMs())),
    };
  }

  /** It has been linked for long enough to hold what the authority published last. */
  #knowsNewest(): boolean {
    const { connected, sinceMs } = this.upstream.status();
    return connected && this.#options.clock.nowMs() - sinceMs >= RETAINED_MS;
  }

  #exposedLocks(): ReadonlySet<string> {
    return new Set<string>(this.#exposures.map(({ device }) => device));
  }

  async #desired(device: DeviceId, payload: Uint8Array): Promise<void> {
    const { log, clock } = this.#options;
    const taken = await this.table.takeDesired(device, payload, clock.nowMs());
    if (!taken.ok) {
      const where = taken.fault.code === "payload-bad-shape" ? taken.fault.path.slice(0, 64) : undefined;
      log.warn({ device, code: taken.fault.code, where }, "refused a desired document");
      return;
    }
    log.info({ device, kind: taken.value }, "took a desired document");
    if (taken.value === "lock") await this.visits.notePending(device);
    if (taken.value === "gateway") {
      this.#dropStrangers();
      this.#handOnAll();
      this.#announceAll();
    } else this.#announce(device);
    if (taken.value === "device") this.#handOn(device);
    this.#reckonExposures();
    this.#wakeRadio();
  }

  /**
   * Gives a networked device the authority's word as it came, retained, so that one that is away hears it when it is back. The
   * device itself finds out whether it is good (SPEC M15).
   */
  #handOn(device: DeviceId): void {
    const order = this.table.deviceOrder(device);
    if (order === undefined || this.table.device(device)?.network !== "mqtt") return;
    this.#broker?.publish({ site: this.self.site, device, channel: "desired" }, order.text);
  }

  #handOnAll(): void {
    for (const { id } of this.table.devices()) this.#handOn(id);
  }

  /** Devices that the authority took away are not heard any more. */
  #dropStrangers(): void {
    for (const device of this.brokerConnected()) {
      if (!this.intake.admits(device)) this.#broker?.disconnect(device);
    }
  }

  #reckonExposures(): void {
    const known = this.table.policiesDesired().filter(({ device }) => this.table.device(device) !== undefined);
    const now = secondsOf(this.#options.clock.nowMs());
    this.#exposures = findExposures(known, (device) => this.visits.reported(device)?.policy ?? null, now);
    const said = JSON.stringify(this.#exposures);
    if (said === this.#exposuresSaid) return;
    this.#exposuresSaid = said;
    announceExposure(this.self, this.#exposures, this.#options.clock.nowMs(), this.#retain);
  }

  #announce(id: DeviceId): void {
    const device = this.table.device(id);
    if (device === undefined) return;
    const sync = this.syncWord(device);
    announceDevice(this.self, device, { ...this.table.words(id), sync }, this.#options.clock.nowMs(), this.#retain);
  }

  #announceAll(): void {
    announceGateway(this.self, this.#options.clock.nowMs(), this.#retain);
    for (const { id } of this.table.devices()) this.#announce(id);
  }

  readonly #retain = (topic: Parameters<Upstream["retain"]>[0], payload: string): void =>
    this.upstream.retain(topic, payload);

  /** Ages grow although nothing happens: everything is said again at an interval. */
  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.after(this.#options.healthIntervalMs, () => {
      this.#tick().catch((error: unknown) => this.#fatal(error));
    });
  }

  async #tick(): Promise<void> {
    // MQTT's own keep-alive says that a connected device is there, also when it has nothing to say.
    for (const device of this.brokerConnected()) await this.intake.heard(device);
    announceGateway(this.self, this.#options.clock.nowMs(), this.#retain);
    for (const device of this.table.devices()) this.#announce(device.id);
    // A revocation that was dated ahead has come.
    this.#reckonExposures();
    if (!this.#stop.signal.aborted) this.#scheduleTick();
  }

  #locks(): readonly SiteDevice[] {
    return this.table.devices().filter(({ network }) => network === "ble");
  }

  #hasLocks(): boolean {
    return this.#locks().some(({ address }) => address !== undefined);
  }

  #wakeRadio(): void {
    this.#wake.abort();
  }

  #fatal(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#options.onFatal(error);
  }
}

/** Codes of a RadioError that are about this machine and not about one lock. */
const radioFaults: ReadonlySet<string> = new Set([
  "no-bus",
  "no-bluetooth",
  "no-adapter",
  "adapter-off",
  "access-denied",
]);
/** BLE locks advertise at least every 2 s; four seconds hear all that are in reach. */
/** One person stands before one lock; more than a few at once is a mistake. */
const PAIRINGS_WAITING_LIMIT = 4;
const SCAN_MS = 4_000;
/** Between two scans the adapter is free for others on this machine. */
const SCAN_REST_MS = 1_000;
const IDLE_MS = 60_000;
const NEVER_HEARD = -1;
/** Retained documents come at once after a subscription. */
const RETAINED_MS = 5_000;
const RADIO_RETRY_MS = 2_000;
const RADIO_RETRY_CAP_MS = 60_000;
