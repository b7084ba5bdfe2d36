/**
 * The site's one loop. It listens for locks, decides whom to visit, visits one at a time, and says upstream what changed. What
 * a peer did wrong comes to it as a value; a radio or a link that is broken is a state that it waits out; a broken store ends
 * it, because nothing may be acknowledged any more. SPEC G1.
 */

import { type DeviceId, monotonicMs, type UnixMs, unixSeconds } from "../protocol/base/units.ts";
import type { FloorTable } from "../protocol/firmware/floor-table.ts";
import type { GatewayAnswer } from "../protocol/wire/messages/gateway-command.ts";
import type { SyncWord } from "../protocol/wire/messages/health.ts";
import type { Channel } from "../protocol/wire/topics.ts";
import { announceDevice, announceExposure, announceGateway, type GatewaySelf, goodbyeOf } from "./announce.ts";
import { pause, withDeadline } from "./base/deadline.ts";
import { Intake } from "./broker/intake.ts";
import { DeviceTable, type SiteDevice, secondsOf } from "./devices.ts";
import { LatestDoors } from "./doors.ts";
import { LatestFaults } from "./faults.ts";
import { findFirmware, type GatewayWords } from "./health.ts";
import type { SelfFacts, SelfSource } from "./machine/self-facts.ts";
import type { Clock } from "./ports/clock.ts";
import type { Log } from "./ports/log.ts";
import type { RunPairing } from "./ports/pairing.ts";
import { type Radio, RadioError, type Sighting } from "./ports/radio.ts";
import type { Random } from "./ports/random.ts";
import type { BrokerLink, SiteBroker } from "./ports/site-broker.ts";
import { isStoreFull, type Store } from "./ports/store.ts";
import type { UpstreamTransport } from "./ports/upstream.ts";
import type { RunVisit } from "./ports/visit.ts";
import type { Begin } from "./remote/gateway-commands.ts";
import { Remote, type RemoteOptions } from "./remote/remote.ts";
import { StickerChecks } from "./sticker-checks.ts";
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
import { type Permission, VisitLeases } from "./sync/visit-leases.ts";
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
  /** How fast what had waited for a link goes up; infinite when absent. SPEC U10. */
  readonly backlogEventsPerSecond?: () => number;
  readonly schedule: ScheduleRules;
  readonly healthIntervalMs: number;
  /** What firmware versions mean; absent: what doorlink ships. */
  readonly floors?: FloorTable | undefined;
  /** Measures this machine; absent: nothing is known of it. */
  readonly selfSource?: SelfSource;
  /** What the authority may do with this gateway itself. */
  readonly remote?: RemoteOptions;
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
  /** Of those who want it only if it begins in their time; `anyTime`: somebody wants it whenever it is. */
  readonly begins: Begin[];
  anyTime: boolean;
}

export class Gateway {
  readonly self: GatewaySelf;
  readonly table: DeviceTable;
  readonly visits: Visits;
  readonly upstream: Upstream;
  readonly intake: Intake;
  readonly remote: Remote;
  readonly #unlocks: UnlockRelay;
  readonly #options: GatewayOptions;
  readonly #stop = new AbortController();
  readonly #sightings: Sightings;
  readonly #leases: VisitLeases;
  readonly #askedById = new Map<DeviceId, Asked>();
  readonly #pairings: Pairings;
  readonly #pairingsAsked: PairingAsked[] = [];
  /** Aborted to make the radio loop look again at once: somebody asked, or something newer came. */
  #wake = new AbortController();
  #broker: SiteBroker | undefined;
  #exposures: readonly Exposure[] = [];
  #exposuresById: ReadonlyMap<string, readonly Exposure[]> = new Map();
  #exposuresSaid = "";
  readonly #faults: LatestFaults;
  readonly stickerChecks: StickerChecks;
  readonly doors: LatestDoors;
  #selfFacts: SelfFacts | null = null;
  #radioStatus: RadioStatus;
  #cancelTick: () => void = () => undefined;
  #running: Promise<unknown> = Promise.resolve();
  #fullSaidAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: GatewayOptions) {
    const { self, store, clock, random, log } = options;
    this.#options = options;
    this.table = new DeviceTable(store, self.gateway, options.floors);
    this.#sightings = new Sightings(clock);
    this.#faults = new LatestFaults(store);
    this.stickerChecks = new StickerChecks(store);
    this.doors = new LatestDoors(store);
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
      onGatewayCommand: (payload) => this.remote.command(payload),
      onLinked: () => {
        // SPEC M24: how long this run has lasted is worth most when it is fresh.
        this.#announceSelf();
        this.remote.linked();
      },
      ...(options.backlogEventsPerSecond === undefined
        ? {}
        : { backlogEventsPerSecond: options.backlogEventsPerSecond }),
      // SPEC Y9: of a lock's own log nobody believes a gateway that something is lost.
      mayDeclareLost: (device) => this.table.device(device)?.network !== "ble",
      onStoreError: (error) => this.#fatal(error),
    });
    this.remote = new Remote(options.remote ?? {}, {
      site: self.site,
      gateway: self.gateway,
      store,
      table: this.table,
      clock,
      log,
      tell: (topic, payload) => this.upstream.tell(topic, payload),
      sync: (device, begin) => this.requestSync(device, begin),
      diagnose: () => this.#diagnose(),
      onChanged: () => {
        this.#handOnAll();
        this.#exposuresSaid = "";
        this.#reckonExposures();
      },
      onStoreError: (error) => this.#storeFailed(error),
    });
    this.self = { ...self, boot: this.remote.boot };
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
      onDoor: (device, door) => this.doors.note(device, door),
      onFault: (device, code) => this.#noteFault(device, code),
      onEvents: (events) => this.remote.noteEvents(events),
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
      // SPEC U10: a lock's log goes up in its own order, whatever else is new.
      onStored: (device, first, last) => this.upstream.eventsStored(device, first, last, "in-order"),
      onDropped: (device, from) => this.upstream.eventsDropped(device, from),
      isUntaken: (device) => this.upstream.isUntaken(device),
      askedFrom: (device) => this.upstream.askedFrom(device),
      knowsNewest: () => this.#knowsNewest(),
    });
    this.#leases = new VisitLeases({
      clock,
      port: {
        take: (device) => this.upstream.askLease(device),
        end: (device) => this.upstream.endLease(device),
      },
      leaseMs: () => this.#visitLeaseMs(),
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
    await this.remote.load();
    await this.table.load(this.#options.log);
    await this.visits.load();
    await this.#faults.load();
    await this.stickerChecks.load();
    await this.doors.load();
    await this.#measureSelf();
  }

  /** Begins to work; `broker` is where devices hear their receipts. */
  start(broker: SiteBroker): void {
    this.#broker = broker;
    this.#handOnAll();
    this.#announceAll();
    this.#reckonExposures();
    this.#scheduleTick();
    this.#running = Promise.all([this.upstream.run(), this.#radioForEver()]);
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

  /**
   * Somebody wants this lock visited now. Two who want the same get the same visit. `begin`: only if it says so when the visit can
   * begin; without anybody who still wants it there is none (`withdrawn`).
   */
  requestSync(device: DeviceId, begin?: Begin): Promise<SyncAnswer> {
    const waiting = this.#askedById.get(device);
    if (waiting !== undefined) {
      if (begin === undefined) waiting.anyTime = true;
      else waiting.begins.push(begin);
      return waiting.answer;
    }
    const known = this.table.device(device);
    if (known === undefined) return Promise.resolve({ device, fault: { code: "unknown-device" } });
    if (known.network !== "ble") return Promise.resolve({ device, fault: { code: "not-a-ble-lock" } });
    if (this.#stop.signal.aborted) return Promise.resolve({ device, fault: { code: "stopping" } });
    const { promise, resolve } = Promise.withResolvers<SyncAnswer>();
    const begins = begin === undefined ? [] : [begin];
    this.#askedById.set(device, { answer: promise, settle: resolve, begins, anyTime: begin === undefined });
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

  exposuresOf(device: DeviceId): readonly Exposure[] {
    return this.#exposuresById.get(device) ?? [];
  }

  /** Of this machine, as last measured; null: never. */
  selfFacts(): SelfFacts | null {
    return this.#selfFacts;
  }

  /** By its latest advertisement, which nobody signs. */
  saysTampered(device: DeviceId): boolean {
    return this.#sightings.seen(device)?.advertisement.tamper ?? false;
  }

  /** What this gateway says of a device beside the device's own words. SPEC G30. */
  gatewayWords(device: SiteDevice): GatewayWords {
    const { id } = device;
    const heard = this.#sightings.heard(id);
    const holdsPolicy = device.network === "ble" || this.table.deviceOrder(id) !== undefined;
    const exposed = this.exposuresOf(id);
    const of = (what: Exposure["what"]): number => exposed.filter((exposure) => exposure.what === what).length;
    const since = exposed.length === 0 ? null : unixSeconds(Math.min(...exposed.map((exposure) => exposure.since)));
    return {
      sync: this.syncWord(device),
      firmware: findFirmware(device, this.table.words(id), this.table.floors),
      signal: heard === null || heard.rssi === null ? null : { rssi: heard.rssi, at: secondsOf(heard.unixMs) },
      exposure: holdsPolicy ? { revoked: of("revoked"), signedOut: of("signed-out"), since } : null,
      lastFault: this.#faults.of(id),
    };
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
    const held = this.visits.held(device);
    const desired = this.table.lockDesired(device);
    const heardOnAir = this.#sightings.heard(device)?.unixMs;
    const heard = [state?.heardAt ?? null, heardOnAir === undefined ? null : secondsOf(heardOnAir)];
    const heardAt = Math.max(...heard.map((at) => at ?? NEVER_HEARD));
    return {
      desired: desired?.policy ?? null,
      urgent: desired?.urgent ?? null,
      reported: held === null ? null : { ...held.policy, at: held.at },
      pendingSince: record.pendingSince,
      visitingSince: this.visits.trace(device).since,
      handedOver: record.handedOver,
      fault:
        record.lastFault === null || record.lastVisitAt === null
          ? null
          : { ...record.lastFault, at: record.lastVisitAt },
      heardAt: heardAt === NEVER_HEARD ? null : unixSeconds(heardAt),
      // Where another gateway of the site speaks for it, silence here says nothing of the lock.
      silentSeconds: this.visits.speaksFor(device) ? this.#sightings.silentSeconds(device) : null,
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
    const candidate = this.#candidate(device);
    return { ...candidate, judged: judgeVisit(candidate, clock.monotonicMs(), schedule) };
  }

  /** On the air or in a visit; null: not since the start. */
  heard(device: DeviceId): Heard | null {
    return this.#sightings.heard(device);
  }

  /** Ends the connection of a networked device that may not go on. */
  disconnect(device: DeviceId): void {
    this.#broker?.disconnect(device);
  }

  brokerPort(): number | null {
    return this.#broker?.port ?? null;
  }

  brokerConnected(): readonly DeviceId[] {
    return this.#broker?.connected() ?? [];
  }

  /** Null: the broker is in this process. */
  brokerLink(): BrokerLink | null {
    return this.#broker?.linkState() ?? null;
  }

  /** A visit of which nothing can be noted on disk is no visit: the radio rests until there may be room. */
  async #radioForEver(): Promise<void> {
    for (;;) {
      try {
        return await this.#radioLoop();
      } catch (error) {
        if (!isStoreFull(error)) throw error;
        this.#noteFull();
        await pause(this.#options.clock, FULL_PAUSE_MS, this.#stop.signal);
      }
    }
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
        await this.#visitIfLeased(chosen.device, chosen.reason);
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

  /** Visits if no other gateway of the site does. SPEC G20. */
  async #visitIfLeased(device: DeviceId, reason: VisitReason): Promise<void> {
    const { log } = this.#options;
    const permission = await this.#leases.take(device, reason === "asked");
    if (this.#stop.signal.aborted) return;
    if (!permission.may) {
      const { holdOff, by } = permission;
      log.info({ device, reason, holdOff, by }, "no lease for a visit");
      return this.#settleAsked(device, {
        device,
        fault: { code: "other-gateway", ...(by === undefined ? {} : { reason: by }) },
      });
    }
    // Another's visit may have become known while this one was asked for.
    if (this.#isDue(device) && (await this.#isStillWanted(device, reason))) {
      await this.#visit(device, reason, permission);
    }
    if (permission.leased) this.#leases.end(device);
  }

  /** SPEC M25: who asked within a time is asked again now. */
  async #isStillWanted(device: DeviceId, reason: VisitReason): Promise<boolean> {
    const asked = this.#askedById.get(device);
    if (reason !== "asked" || asked === undefined) return true;
    const wanted = await Promise.all(asked.begins.splice(0).map((begin) => begin()));
    if (asked.anyTime || wanted.includes(true)) return !this.#stop.signal.aborted;
    // Somebody may have come while the others were asked.
    if (asked.begins.length === 0) this.#settleAsked(device, { device, fault: { code: "withdrawn" } });
    return false;
  }

  #isDue(device: DeviceId): boolean {
    const { clock, schedule } = this.#options;
    return judgeVisit(this.#candidate(device), clock.monotonicMs(), schedule)?.heldOff === null;
  }

  #settleAsked(device: DeviceId, answer: SyncAnswer): void {
    this.#askedById.get(device)?.settle(answer);
    this.#askedById.delete(device);
  }

  async #visit(device: DeviceId, reason: VisitReason, { until }: Extract<Permission, { may: true }>): Promise<void> {
    const { log, clock } = this.#options;
    log.info({ device, reason }, "a visit is due");
    // SPEC G21: it ends, with the radio's own good-bye, before another gateway may begin.
    const limitMs = until === null ? undefined : Math.max(0, until - clock.monotonicMs() - GOOD_BYE_MS);
    const answer = await this.visits.visit(device, reason !== "asked", limitMs);
    this.#sightings.forget(device);
    if (this.visits.hasSpoken(device)) this.#sightings.spoke(device);
    this.#settleAsked(device, answer);
    this.#noteRadioOf(answer);
    if ("fault" in answer && answer.fault.code !== "stopping") await this.#noteFault(device, answer.fault.code);
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
    const visitable = this.#locks().filter(({ id }) => this.#askedById.has(id) || this.visits.canVisit(id));
    return visitable.map(({ id }) => this.#candidate(id));
  }

  #candidate(device: DeviceId): LockCandidate {
    const { clock } = this.#options;
    const desired = this.table.lockDesired(device);
    const record = this.visits.record(device);
    const visitBy = this.visits.visitBy(device);
    return {
      device,
      asked: this.#askedById.has(device),
      desired: desired?.policy ?? null,
      urgent: desired?.urgent ?? null,
      holds: this.visits.held(device)?.policy ?? null,
      exposed: this.#exposuresById.has(device),
      pendingSince: record.pendingSince,
      seen: this.#sightings.seen(device),
      visitedAtMs: this.visits.visitedAtMs(device),
      pauseMs: record.pauseMs,
      visitByMs: visitBy === null ? null : monotonicMs(clock.monotonicMs() + visitBy * 1000 - clock.nowMs()),
      visitsToday: visitsToday(record, secondsOf(clock.nowMs())),
      leaseHoldOff: this.#leases.holdOff(device),
    };
  }

  /** It has been linked for long enough to hold what the authority published last. */
  #knowsNewest(): boolean {
    const { connected, sinceMs } = this.upstream.status();
    return connected && this.#options.clock.nowMs() - sinceMs >= RETAINED_MS;
  }

  async #desired(device: DeviceId, payload: Uint8Array): Promise<void> {
    const { log, clock } = this.#options;
    const before = this.table.lockDesired(device)?.confirmed ?? null;
    const taken = await this.table.takeDesired(device, payload, clock.nowMs());
    // What another gateway of the site is told comes here as well.
    if (!taken.ok && taken.fault.code === "not-ours") return;
    if (!taken.ok) {
      const where = taken.fault.code === "payload-bad-shape" ? taken.fault.path.slice(0, 64) : undefined;
      log.warn({ device, code: taken.fault.code, where }, "refused a desired document");
      return;
    }
    log.info({ device, kind: taken.value }, "took a desired document");
    if (taken.value === "lock") {
      if (await this.visits.noteConfirmed(device, before)) {
        this.#leases.forget(device);
        // What was heard before that visit is about the lock as it was.
        this.#sightings.forget(device);
      }
      await this.visits.notePending(device);
    }
    if (taken.value === "gateway") {
      await this.remote.takeSettings(this.table.gateway?.settings);
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

  /** What a networked device holds, only the gateway knows that it speaks to. SPEC G25. */
  #reckonsFor(id: DeviceId): boolean {
    const device = this.table.device(id);
    if (device === undefined) return false;
    return device.network !== "mqtt" || this.#visitLeaseMs() === null || this.#wasHeard(id);
  }

  #reckonExposures(): void {
    const known = this.table.policiesDesired().filter(({ device }) => this.#reckonsFor(device));
    const now = secondsOf(this.#options.clock.nowMs());
    this.#exposures = findExposures(known, (device) => this.visits.held(device)?.policy ?? null, now);
    this.#exposuresById = Map.groupBy(this.#exposures, ({ device }) => device);
    const said = JSON.stringify(this.#exposures);
    if (said === this.#exposuresSaid) return;
    this.#exposuresSaid = said;
    const nowMs = this.#options.clock.nowMs();
    announceExposure(this.self, this.#exposures, nowMs, this.#retain, this.remote.report());
  }

  #announce(id: DeviceId): void {
    const device = this.table.device(id);
    if (device === undefined) return;
    const words = { ...this.table.words(id), ...this.gatewayWords(device) };
    const left = this.#leftToOthers(device);
    announceDevice(this.self, device, words, this.#options.clock.nowMs(), (topic, payload) => {
      if (left.includes(topic.channel)) this.upstream.leave(topic);
      else this.upstream.retain(topic, payload);
    });
  }

  /** What another gateway of the site says of a device, so that a retained topic has one voice at a time. SPEC G24. */
  #leftToOthers({ id, network }: SiteDevice): readonly Channel[] {
    if (this.#visitLeaseMs() === null) return [];
    if (network === "ble") return this.visits.speaksFor(id) ? [] : ["birth", "state", "health", "reported"];
    if (network === "passive" || this.brokerConnected().includes(id)) return [];
    // Where it went from here, if anywhere, the state tells by when it was heard.
    return this.#wasHeard(id) ? ["birth", "health", "reported"] : ["birth", "state", "health", "reported"];
  }

  #wasHeard(device: DeviceId): boolean {
    return this.table.words(device).state !== null;
  }

  /** Null: this is the site's only gateway. */
  #visitLeaseMs(): number | null {
    const seconds = this.table.gateway?.visitLeaseSeconds ?? null;
    return seconds === null ? null : seconds * 1000;
  }

  #announceSelf(): void {
    announceGateway(this.self, this.#selfFacts, this.#options.clock.nowMs(), this.#retain);
  }

  #announceAll(): void {
    this.#announceSelf();
    for (const { id } of this.table.devices()) this.#announce(id);
  }

  readonly #retain = (topic: Parameters<Upstream["retain"]>[0], payload: string): void =>
    this.upstream.retain(topic, payload);

  /** Ages grow although nothing happens: everything is said again at an interval. */
  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.after(this.#options.healthIntervalMs, () => {
      this.#tick()
        .catch((error: unknown) => this.#fatal(error))
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#scheduleTick();
        });
    });
  }

  async #tick(): Promise<void> {
    // MQTT's own keep-alive says that a connected device is there, also when it has nothing to say. SPEC B14: of an external
    // broker's connections nobody here knows anything but what devices say.
    if (this.brokerLink() === null) for (const device of this.brokerConnected()) await this.intake.heard(device);
    announceGateway(this.self, this.#selfFacts, this.#options.clock.nowMs(), this.#retain);
    for (const device of this.table.devices()) this.#announce(device.id);
    // A revocation that was dated ahead has come.
    this.#reckonExposures();
  }

  #noteFault(device: DeviceId, code: string): Promise<void> {
    return this.#faults.note(device, code, secondsOf(this.#options.clock.nowMs()));
  }

  /** A disk or a sensor that does not answer in time leaves what was known before, with its age. */
  async #measureSelf(): Promise<void> {
    const { selfSource, clock } = this.#options;
    if (selfSource === undefined) return;
    const limit = { timers: clock, limitMs: MEASURE_MS, expired: () => new Error("no answer in time") };
    this.#selfFacts = await withDeadline(selfSource.measure(), limit).catch(() => this.#selfFacts);
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

  #noteFull(): void {
    const { clock, log } = this.#options;
    const now = clock.monotonicMs();
    if (now - this.#fullSaidAtMs < FULL_SAID_MS) return;
    this.#fullSaidAtMs = now;
    log.error({ fault: "store-full" }, "there is no room on the disk: what cannot be kept is asked for again later");
  }

  /** SPEC G62: a disk without room is waited out; whatever else a store throws ends it. */
  /** What an operator upstream asks first; no person and no address is in it. */
  async #diagnose(): Promise<NonNullable<GatewayAnswer["diagnosis"]>> {
    const { clock, store } = this.#options;
    const states = this.#locks().map(({ id }) => this.lockState(id).state);
    const locks = [...new Set(states)].map((state) => ({ state, locks: states.filter((one) => one === state).length }));
    const refused = Object.entries(this.intake.refused()).map(([code, times]) => ({ code, times }));
    return {
      version: this.self.version,
      uptimeSeconds: Math.max(0, Math.floor((clock.nowMs() - this.self.startedAtMs) / 1000)),
      outboxDepth: (await store.outbox()).reduce((sum, { depth }) => sum + depth, 0),
      linkAttempts: this.upstream.status().attempts,
      radioFault: this.#radioStatus.fault,
      devicesConnected: this.brokerConnected().length,
      locks,
      refused: refused.slice(0, 64),
    };
  }

  /** A disk that is full is waited out; any other failure of the store ends the gateway. */
  #storeFailed(error: unknown): void {
    if (isStoreFull(error)) this.#noteFull();
    else this.#fatal(error);
  }

  #fatal(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (isStoreFull(error)) return this.#noteFull();
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
const MEASURE_MS = 5_000;
const FULL_PAUSE_MS = 10_000;
const FULL_SAID_MS = 60_000;
const SCAN_MS = 4_000;
/** Between two scans the adapter is free for others on this machine. */
const SCAN_REST_MS = 1_000;
const IDLE_MS = 60_000;
const NEVER_HEARD = -1;
/** The longest that the radio takes to end a link of its own. */
const GOOD_BYE_MS = 6_000;
/** Retained documents come at once after a subscription. */
const RETAINED_MS = 5_000;
const RADIO_RETRY_MS = 2_000;
const RADIO_RETRY_CAP_MS = 60_000;
