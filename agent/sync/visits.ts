/**
 * One visit as the gateway makes it: what to bring is taken from the authority's documents, what comes back is on disk before the
 * lock is told so, and what the lock reported is kept as its last word. The radio work itself is behind the port.
 */
import { equalBytes } from "../../protocol/base/bytes.ts";
import { type DeviceId, type MonotonicMs, monotonicMs, type UnixSeconds } from "../../protocol/base/units.ts";
import type { Health } from "../../protocol/wire/messages/health.ts";
import type { Reported } from "../../protocol/wire/messages/reported.ts";
import { type LockReport, lockReport, logRelease, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { type DeviceTable, emptyHealth, type SiteDevice, secondsOf } from "../devices.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Radio } from "../ports/radio.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type {
  GivenTime,
  PolicyVersion,
  RunVisit,
  SealedRun,
  VisitFault,
  VisitOptions,
  VisitOutcome,
  VisitProgress,
} from "../ports/visit.ts";
import { FIRST_SEQUENCE, highest } from "../store/coverage.ts";
import { storedCovers } from "../store/event-body.ts";
import { type AuditHead, documentToAuditHead, endLogAt, sealedRunToAppend } from "./audit-log.ts";
import { type Confirmed, isLaterReport } from "./confirmed.ts";
import { isNewer } from "./exposure.ts";
import { SiteTime } from "./site-time.ts";
import {
  documentToVisitRecord,
  noVisit,
  recordAfterOther,
  recordAfterVisit,
  recordOfPairing,
  type VisitEnd,
  type VisitRecord,
  visitRecordToDocument,
} from "./visit-record.ts";

export interface VisitsOptions {
  readonly store: Store;
  readonly table: DeviceTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly radio: Radio;
  readonly runVisit: RunVisit;
  readonly courierPrivateKey: Uint8Array;
  readonly gateway: DeviceId;
  readonly askTime: (device: DeviceId, nonce: Uint8Array) => Promise<SignedBlob | "refused" | undefined>;
  readonly onStored: (device: DeviceId, first: number, last: number) => void;
  /** What was kept of this device from a sequence on is not kept any more. */
  readonly onDropped: (device: DeviceId, from: number) => void;
  /** Upstream does not take all that it is sent of this device. */
  readonly isUntaken: (device: DeviceId) => boolean;
  /** The lowest sequence of this device that upstream asks for again; undefined: none. */
  readonly askedFrom?: (device: DeviceId) => number | undefined;
  /** What the authority published last is known here. */
  readonly knowsNewest: () => boolean;
}

/** What `POST /api/sync` answers. */
export type SyncAnswer = SyncDone | { readonly device: DeviceId; readonly fault: SyncFault };

export interface SyncDone {
  readonly device: DeviceId;
  /** `pending`: the visit went through, and something newer was published meanwhile. */
  readonly outcome: "in-sync" | "pending";
  readonly from: PolicyVersion | null;
  readonly to: PolicyVersion;
  readonly clock: VisitOutcome["clock"];
  readonly logEntries: number;
  readonly battery: VisitOutcome["battery"];
  readonly firmware: string | null;
  readonly durationMs: number;
  readonly bytes: number;
  /** When the lock's own report came. */
  readonly reportedAt: UnixSeconds;
}

export interface SyncFault {
  readonly code:
    | VisitFault["code"]
    | "unknown-device"
    | "not-a-ble-lock"
    | "not-paired"
    | "no-certificate"
    | "other-gateway"
    /** Nobody who asked wants it any more. */
    | "withdrawn"
    | "stopping";
  readonly reason?: string;
}

/** What is known of the visits to one lock since the start. */
export interface VisitTrace {
  readonly endedAtMs: MonotonicMs | null;
  /** A visit is under way since then; null: none is. */
  readonly since: UnixSeconds | null;
  readonly progress: (VisitProgress & { readonly active: boolean }) | null;
  /** In the last visit that ended. */
  readonly hasSpoken: boolean;
  /** When the authority last told of another courier's visit. */
  readonly otherToldAtMs: MonotonicMs | null;
}

/** What a lock holds by its latest report that is known here. */
export interface Held {
  readonly policy: PolicyVersion;
  /** When it came: here, or by the authority's clock to another gateway. */
  readonly at: UnixSeconds;
  /** The gateway that brought it; null: the authority had it from none of them. */
  readonly by: DeviceId | null;
}

interface VisitPlan extends VisitOptions {
  /** Why the log is not read, when it is not. */
  readonly unread: "log-not-taken" | "store-full";
}

interface VisitNeeds {
  readonly address: string;
  readonly staticPublicKey: Uint8Array;
  readonly pairingId: Uint8Array;
  readonly certificate: VisitOptions["courier"]["certificate"];
}

export class Visits {
  readonly #options: VisitsOptions;
  readonly #siteTime: SiteTime;
  readonly #recordById = new Map<DeviceId, VisitRecord>();
  readonly #traceById = new Map<DeviceId, VisitTrace>();

  constructor(options: VisitsOptions) {
    this.#options = options;
    this.#siteTime = new SiteTime(options.clock, options.courierPrivateKey);
  }

  async load(): Promise<void> {
    for (const document of await this.#options.store.readDocuments("visit")) {
      this.#recordById.set(document.device, documentToVisitRecord(document));
    }
  }

  record(device: DeviceId): VisitRecord {
    return this.#recordById.get(device) ?? noVisit;
  }

  trace(device: DeviceId): VisitTrace {
    return this.#traceById.get(device) ?? noTrace;
  }

  /** Notes since when something newer waits for a lock. Called when a desired document came and after each visit. */
  async notePending(device: DeviceId): Promise<void> {
    const record = this.record(device);
    const pending = this.isPending(device);
    if (pending === (record.pendingSince !== null)) return;
    await this.#keepRecord(device, { ...record, pendingSince: pending ? this.#now() : null });
  }

  /**
   * When the last visit ended, on the monotonic clock; null: not known. A visit of an earlier run is placed by the wall clock,
   * unless that was set back since, so that a restart does not cost every lock a visit.
   */
  visitedAtMs(device: DeviceId): MonotonicMs | null {
    const { clock } = this.#options;
    const { endedAtMs, otherToldAtMs } = this.trace(device);
    const { lastVisitAt } = this.record(device);
    if (otherToldAtMs !== null) return monotonicMs(Math.max(otherToldAtMs, endedAtMs ?? 0));
    if (endedAtMs !== null || lastVisitAt === null) return endedAtMs;
    const agoMs = clock.nowMs() - lastVisitAt * 1000;
    return agoMs < 0 ? null : monotonicMs(clock.monotonicMs() - agoMs);
  }

  /** By when what the lock reported wants a visit again: half of its lease. Null: it has none, or it is not known here. */
  visitBy(device: DeviceId): UnixSeconds | null {
    const { table } = this.#options;
    const desired = table.lockDesired(device);
    const holds = this.held(device)?.policy;
    if (desired === undefined || holds === undefined) return this.record(device).visitBy;
    const isSame = desired.policy.epoch === holds.epoch && desired.policy.version === holds.version;
    return isSame ? desired.visitBy : this.record(device).visitBy;
  }

  /** By the later of this gateway's own visit and what the authority tells of another's. SPEC G23. */
  held(device: DeviceId): Held | null {
    const { table, gateway } = this.#options;
    const own = this.reported(device);
    const confirmed = table.lockDesired(device)?.confirmed ?? null;
    const ownReport = own === null ? undefined : readReport(own);
    if (confirmed !== null && (own === null || isLaterReport(confirmed, ownReport, gateway))) {
      const { epoch, version, at, by } = confirmed;
      return { policy: { epoch, version }, at, by };
    }
    return own === null ? null : { policy: own.policy, at: own.at, by: gateway };
  }

  /** Whether this gateway is the one to say upstream how this lock is. SPEC G24. */
  speaksFor(device: DeviceId): boolean {
    const by = this.held(device)?.by ?? null;
    return by === null || by === this.#options.gateway;
  }

  /** To be called when a desired document of a lock came; `before` is what the one before it said. True: another courier was there. */
  async noteConfirmed(device: DeviceId, before: Confirmed | null): Promise<boolean> {
    const { table, gateway, clock } = this.#options;
    const confirmed = table.lockDesired(device)?.confirmed ?? null;
    if (confirmed === null || this.held(device)?.at !== confirmed.at || confirmed.by === gateway) return false;
    const isKnown = before !== null && before.at === confirmed.at && before.logNext === confirmed.logNext;
    if (isKnown) return false;
    this.#traceById.set(device, { ...this.trace(device), otherToldAtMs: clock.monotonicMs() });
    await this.#keepRecord(device, recordAfterOther(this.record(device), confirmed));
    return true;
  }

  /** The lock's last report, unless it was another's under the same name, its own from before it was reset, or of what nobody published. */
  reported(device: DeviceId): Reported | null {
    const { table } = this.#options;
    const { reported } = table.words(device);
    const pairingId = table.device(device)?.pairingId;
    if (reported !== null && this.#isBeyond(device, reported.policy)) return null;
    if (reported === null || pairingId === undefined) return reported;
    const reporter = pairingOf(reported);
    return reporter === undefined || equalBytes(reporter, pairingId) ? reported : null;
  }

  /** SPEC G18: no lock holds what its authority never published; a gateway that may have missed something cannot tell. */
  #isBeyond(device: DeviceId, policy: PolicyVersion): boolean {
    const { table, knowsNewest } = this.#options;
    const desired = table.lockDesired(device);
    return desired !== undefined && isNewer(policy, desired.policy) && knowsNewest();
  }

  /** The lock itself was met in the last visit. */
  hasSpoken(device: DeviceId): boolean {
    return this.trace(device).hasSpoken;
  }

  isPending(device: DeviceId): boolean {
    const { table } = this.#options;
    const desired = table.lockDesired(device);
    const holds = this.held(device);
    return desired !== undefined && (holds === null || isNewer(desired.policy, holds.policy));
  }

  /**
   * Visits now. Faults are values; only a broken store is thrown. `isAutomatic`: nobody asked for it. `limitMs`: it is given up after so long,
   * if that is shorter than a visit's own limit.
   */
  async visit(device: DeviceId, isAutomatic: boolean, limitMs?: number): Promise<SyncAnswer> {
    const { log, runVisit, clock, table } = this.#options;
    const plan = await this.#plan(device);
    if ("code" in plan) return { device, fault: plan };
    log.info({ device, step: "visit" }, "visiting");
    const brought = table.lockDesired(device);
    this.#traceById.set(device, { ...this.trace(device), since: this.#now(), progress: null });
    const before = this.record(device);
    const record = recordOfPairing(before, plan.lock.pairingId);
    if (record !== before) await this.#keepRecord(device, record);
    const handOver = this.#watchHandOver(device, brought?.policy);
    const visited = await runVisit({
      ...plan,
      ...(limitMs === undefined ? {} : { limitMs }),
      onProgress: (progress) => {
        plan.onProgress(progress);
        handOver.heard(progress);
      },
    });
    const timed = { ...visited, durationMs: Math.round(visited.durationMs) };
    const outcome = this.#believed(device, plan.readsLog === false ? logNotTaken(timed, plan.unread) : timed);
    if (visited.ok) await this.#endLog(device, plan.lock.pairingId, visited.reported.logNext);
    const progress = this.#lastProgress(device, false);
    const handedOver = await handOver.settled();
    await this.#keepOutcome(device, outcome, { isAutomatic, brought, handedOver });
    const hasSpoken = outcome.from !== null || outcome.reported !== null;
    this.#traceById.set(device, {
      endedAtMs: clock.monotonicMs(),
      since: null,
      progress,
      hasSpoken,
      otherToldAtMs: null,
    });
    const fault = outcome.ok ? undefined : outcome.fault;
    const { durationMs, bytes, logEntries, deltaRefused } = outcome;
    if (deltaRefused !== null) {
      log.warn({ device, ...deltaRefused }, "the lock could not use the delta: the snapshot was sent as well");
    }
    log.info({ device, fault: fault?.code, reason: fault?.reason, durationMs, bytes, logEntries }, "visit ended");
    return outcome.ok ? this.#done(device, outcome) : { device, fault: outcome.fault };
  }

  #believed(device: DeviceId, outcome: VisitOutcome): VisitOutcome {
    if (outcome.reported === null || !this.#isBeyond(device, outcome.reported.policy)) return outcome;
    const fault = outcome.ok ? ({ code: "protocol", reason: "report-beyond-published" } as const) : outcome.fault;
    return { ...outcome, ok: false, fault, reported: null };
  }

  /** Everything is there that a visit needs. A lock of which this is not true is no candidate: it would be chosen again at once. */
  canVisit(device: DeviceId): boolean {
    return this.missing(device) === null;
  }

  /** What is missing for a visit, so that somebody can see why none is made. */
  missing(device: DeviceId): SyncFault["code"] | null {
    const needs = this.#needs(device);
    return "code" in needs ? needs.code : null;
  }

  /** What a visit to this lock needs besides what is on disk, or what is missing. */
  #needs(device: DeviceId): VisitNeeds | SyncFault {
    const { table } = this.#options;
    const known = table.device(device);
    if (known === undefined) return { code: "unknown-device" };
    if (known.network !== "ble") return { code: "not-a-ble-lock" };
    const { address, staticPublicKey, pairingId } = known;
    if (address === undefined || staticPublicKey === undefined || pairingId === undefined)
      return { code: "not-paired" };
    const certificate = table.gateway?.courierCertificate ?? null;
    if (certificate === null) return { code: "no-certificate" };
    return { address, staticPublicKey, pairingId, certificate };
  }

  async #plan(device: DeviceId): Promise<VisitPlan | SyncFault> {
    const { table, store, radio, clock, random, courierPrivateKey } = this.#options;
    const needs = this.#needs(device);
    if ("code" in needs) return needs;
    const { address, staticPublicKey, pairingId, certificate } = needs;
    const stored = (await store.readDocuments("audit-head")).find((document) => document.device === device);
    let head = documentToAuditHead(stored, pairingId);
    const reading = await this.#reading(device, head);
    const desired = table.lockDesired(device);
    return {
      radio,
      address,
      courier: { staticPrivateKey: courierPrivateKey, certificate },
      lock: { device, staticPublicKey, pairingId },
      ...(desired === undefined ? {} : { desired }),
      ...reading,
      askTime: (nonce) => this.#timeFor(device, pairingId, nonce),
      storeRun: async (run) => {
        head = await this.#storeRun(device, head, run);
      },
      onProgress: (progress) =>
        this.#traceById.set(device, { ...this.trace(device), progress: { ...progress, active: true } }),
      clock,
      random,
    };
  }

  /**
   * From where to read the log: behind what is here, and behind what upstream has where it does not take what is here. SPEC G17.
   */
  async #reading(
    device: DeviceId,
    { next }: AuditHead,
  ): Promise<Pick<VisitPlan, "logFrom" | "logAgainFrom" | "readsLog" | "unread">> {
    const { store, isUntaken } = this.#options;
    const waiting = (await store.outbox()).find((entry) => entry.device === device);
    // SPEC G23: what another courier brought, and the authority has checked, is not read again.
    const from = Math.max(next, this.#released(device) + 1);
    const logAgainFrom = Math.min(from, Math.max(FIRST_SEQUENCE, (waiting?.receipted ?? from - 1) + 1));
    const isRefused = waiting !== undefined && isUntaken(device);
    const isFull = (await store.space()).filling === "full";
    const lacking = await this.#lackingFrom(device, from);
    return {
      logFrom: Math.min(isRefused ? logAgainFrom : from, lacking),
      logAgainFrom: Math.min(logAgainFrom, lacking),
      // SPEC G62: the lock keeps in its ring what there is no room for here.
      readsLog: !isFull && (waiting?.depth ?? 0) < (isRefused ? UNTAKEN_ENTRIES_LIMIT : WAITING_ENTRIES_LIMIT),
      unread: isFull ? "store-full" : "log-not-taken",
    };
  }

  /** SPEC U12: what upstream asks for and is not here any more the lock may still have. `otherwise`: it has all, or it is here. */
  async #lackingFrom(device: DeviceId, otherwise: number): Promise<number> {
    const asked = this.#options.askedFrom?.(device);
    if (asked === undefined || asked >= otherwise) return otherwise;
    const [next] = await this.#options.store.readEvents(device, asked - 1, 1);
    const isHere = next !== undefined && (storedCovers(next.body)?.first ?? next.sequence) <= asked;
    return isHere ? otherwise : asked;
  }

  /** Through which sequence the authority has this lock's log, by its release; 0: nothing is known of that. */
  #released(device: DeviceId): number {
    const blob = this.#options.table.lockDesired(device)?.release;
    const read = blob === null || blob === undefined ? undefined : logRelease.decode(blob.bytes);
    const pairingId = this.#options.table.device(device)?.pairingId;
    if (read?.ok !== true || pairingId === undefined || !equalBytes(read.value.pairingId, pairingId)) return 0;
    return read.value.through;
  }

  /** The authority's word while it can be had, else the site's own, if the authority has delegated it. */
  async #timeFor(device: DeviceId, pairingId: Uint8Array, nonce: Uint8Array): Promise<GivenTime | undefined> {
    const { clock, askTime, table } = this.#options;
    const askedAt = clock.monotonicMs();
    const answer = await askTime(device, nonce);
    // SPEC J9: an authority that says no has answered.
    if (answer === "refused") return undefined;
    if (answer === undefined) return this.#siteTime.answer(table.gateway?.timeDelegate ?? null, pairingId, nonce);
    this.#siteTime.note(answer, askedAt);
    return { answer };
  }

  async #storeRun(device: DeviceId, head: AuditHead, run: SealedRun): Promise<AuditHead> {
    const { store, clock, onStored } = this.#options;
    const { append, head: after } = sealedRunToAppend(device, head, run, clock.nowMs());
    const { refused } = await store.appendEvents(append);
    // The lock is not told that its entries are kept, and its visit ends.
    if (refused !== undefined) throw new Error(refused);
    onStored(device, run.from, after.next - 1);
    return after;
  }

  /** What is here of a log from its own end on was never in it: a lock told it that was not itself. SPEC G17. */
  async #endLog(device: DeviceId, pairingId: Uint8Array, next: number): Promise<void> {
    const { store, clock, log, onDropped } = this.#options;
    const stored = (await store.readDocuments("audit-head")).find((document) => document.device === device);
    const isBeyond =
      documentToAuditHead(stored, pairingId).next > next || highest(await store.coverage(device)) >= next;
    if (!isBeyond) return;
    log.warn({ device, next }, "dropped entries beyond the end of the lock's log");
    await store.appendEvents(endLogAt(device, pairingId, next, clock.nowMs()));
    onDropped(device, next);
  }

  /**
   * Notes on disk that a policy may have gone over before anybody knows what came of it, so that a gateway that dies in that moment
   * comes back knowing that it does not know. SPEC G11.
   */
  #watchHandOver(device: DeviceId, brought: PolicyVersion | undefined) {
    const reported = this.held(device)?.policy ?? null;
    let isMissingPages = false;
    let handedOver: VisitRecord["handedOver"] = null;
    let kept: Promise<{ readonly error?: unknown }> = Promise.resolve({});
    return {
      heard: ({ step, done, of }: VisitProgress): void => {
        if (step === "policy") isMissingPages = done !== of;
        // A small policy rides along with its manifest, which follows the clock at once and says nothing of its own.
        if (brought === undefined || handedOver !== null || step === "connecting" || step === "handshake") return;
        if (reported !== null && !isNewer(brought, reported)) return;
        handedOver = { epoch: brought.epoch, version: brought.version, at: this.#now() };
        kept = this.#keepRecord(device, { ...this.record(device), handedOver }).then(
          () => ({}),
          (error: unknown) => ({ error }),
        );
      },
      /** What the lock may hold now without having said so. Throws what the store threw. */
      settled: async (): Promise<VisitRecord["handedOver"]> => {
        const { error } = await kept;
        if (error !== undefined) throw error;
        return isMissingPages ? null : handedOver;
      },
    };
  }

  async #keepOutcome(
    device: DeviceId,
    outcome: VisitOutcome,
    visit: Pick<VisitEnd, "isAutomatic" | "brought" | "handedOver">,
  ): Promise<void> {
    const { table, gateway, random, knowsNewest } = this.#options;
    const at = this.#now();
    const { reported } = outcome;
    const known = table.device(device);
    const reportedBefore = this.held(device)?.policy ?? null;
    if (outcome.from !== null || reported !== null) {
      await table.keep(device, {
        state: { v: 1, device, online: true, heardAt: at },
        health: visitToHealth(device, table.words(device).health, outcome, at),
        ...(known === undefined || outcome.bootCount === null ? {} : { birth: visitToBirth(known, gateway, outcome) }),
        ...(reported === null ? {} : { reported: { v: 1, device, ...reported, at, courier: gateway } }),
      });
    }
    const end = {
      ...visit,
      at,
      outcome,
      reportedBefore,
      isNewest: knowsNewest(),
      fraction: random.fraction(),
    };
    await this.#keepRecord(device, recordAfterVisit(this.record(device), end));
    await this.notePending(device);
  }

  #done(device: DeviceId, outcome: Extract<VisitOutcome, { ok: true }>): SyncDone {
    const { from, clock, logEntries, battery, firmware, durationMs, bytes, reported } = outcome;
    const result = this.isPending(device) ? "pending" : "in-sync";
    return {
      device,
      outcome: result,
      from,
      to: reported.policy,
      clock,
      logEntries,
      battery,
      firmware,
      durationMs,
      bytes,
      reportedAt: this.#now(),
    };
  }

  #lastProgress(device: DeviceId, active: boolean): VisitTrace["progress"] {
    const { progress } = this.trace(device);
    return progress === null ? null : { ...progress, active };
  }

  async #keepRecord(device: DeviceId, record: VisitRecord): Promise<void> {
    this.#recordById.set(device, record);
    await this.#options.store.putDocuments([visitRecordToDocument(device, record)]);
  }

  #now(): UnixSeconds {
    return secondsOf(this.#options.clock.nowMs());
  }
}

/** In the report's own words; undefined when it cannot be read. The authority checks it, this only tells one pairing from another. */
function pairingOf(reported: Reported): Uint8Array | undefined {
  return readReport(reported)?.pairingId;
}

function readReport(reported: Reported): LockReport | undefined {
  const known = readByReport.get(reported);
  if (known !== undefined) return known;
  const read = lockReport.decode(reported.report);
  if (!read.ok) return undefined;
  readByReport.set(reported, read.value);
  return read.value;
}

/** The schedule asks for every lock several times a second. */
const readByReport = new WeakMap<Reported, LockReport>();

/** The rest went through, but upstream takes nothing of what this lock says of itself, or there is no room for it: somebody must look at it. */
function logNotTaken(outcome: VisitOutcome, reason: VisitPlan["unread"]): VisitOutcome {
  return outcome.ok ? { ...outcome, ok: false, fault: { code: "protocol", reason } } : outcome;
}

/** Four times what a lock's ring holds, 18 MB at most: what upstream does not take is not collected for ever. */
const UNTAKEN_ENTRIES_LIMIT = 4_096;
/** Two months without a link at a door of a thousand comings and goings a day; 290 MB, if a lock makes a batch of each entry. */
const WAITING_ENTRIES_LIMIT = 65_536;

const noTrace: VisitTrace = { endedAtMs: null, since: null, progress: null, hasSpoken: false, otherToldAtMs: null };

/** What a visit learned, each fact with the time of the visit; what it did not learn keeps its older time. */
function visitToHealth(device: DeviceId, before: Health | null, outcome: VisitOutcome, at: UnixSeconds): Health {
  const health = before ?? emptyHealth(device, at);
  const { battery, firmware, clock, reported, uptimeSeconds, bootCount } = outcome;
  const driftMs = clock === null || clock.oldMs === null ? null : Math.round(clock.newMs - clock.oldMs);
  return {
    ...health,
    battery: battery === null ? health.battery : { ...battery, at },
    firmware: firmware === null ? health.firmware : { version: firmware, at },
    clock: reported === null ? health.clock : { quality: reported.clock, driftMs, at },
    uptimeSeconds: uptimeSeconds ?? health.uptimeSeconds,
    bootCount: bootCount ?? health.bootCount,
    lastSyncAt: outcome.ok ? at : health.lastSyncAt,
    at,
  };
}

function visitToBirth(known: SiteDevice, via: DeviceId, { bootCount, firmware, hardware }: VisitOutcome) {
  return { v: 1 as const, device: known.id, model: known.model, via, bootCount: bootCount ?? 0, firmware, hardware };
}
