/**
 * One visit as the gateway makes it: what to bring is taken from the authority's documents, what comes back is on disk before the
 * lock is told so, and what the lock reported is kept as its last word. The radio work itself is behind the port.
 */
import { type DeviceId, type MonotonicMs, monotonicMs, type UnixSeconds } from "../../protocol/base/units.ts";
import type { Health } from "../../protocol/wire/messages/health.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { type DeviceTable, emptyHealth, type SiteDevice, secondsOf } from "../devices.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Radio } from "../ports/radio.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type { PolicyVersion, RunVisit, VisitFault, VisitOptions, VisitOutcome, VisitProgress } from "../ports/visit.ts";
import { type AuditHead, documentToAuditHead, readAuditEntries } from "./audit-log.ts";
import { isNewer } from "./exposure.ts";
import { documentToVisitRecord, noVisit, type VisitRecord, visitRecordToDocument } from "./visit-record.ts";

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
  readonly askTime: (device: DeviceId, nonce: Uint8Array) => Promise<SignedBlob | undefined>;
  readonly onStored: (device: DeviceId, first: number, last: number) => void;
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
}

export interface SyncFault {
  readonly code:
    | VisitFault["code"]
    | "unknown-device"
    | "not-a-ble-lock"
    | "not-paired"
    | "no-certificate"
    | "stopping";
  readonly reason?: string;
}

/** What is known of the visits to one lock since the start. */
export interface VisitTrace {
  readonly endedAtMs: MonotonicMs | null;
  readonly progress: (VisitProgress & { readonly active: boolean }) | null;
}

interface VisitNeeds {
  readonly address: string;
  readonly staticPublicKey: Uint8Array;
  readonly pairingId: Uint8Array;
  readonly certificate: VisitOptions["courier"]["certificate"];
}

export class Visits {
  readonly #options: VisitsOptions;
  readonly #recordById = new Map<DeviceId, VisitRecord>();
  readonly #traceById = new Map<DeviceId, VisitTrace>();

  constructor(options: VisitsOptions) {
    this.#options = options;
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
    return this.#traceById.get(device) ?? { endedAtMs: null, progress: null };
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
    const { endedAtMs } = this.trace(device);
    const { lastVisitAt } = this.record(device);
    if (endedAtMs !== null || lastVisitAt === null) return endedAtMs;
    const agoMs = clock.nowMs() - lastVisitAt * 1000;
    return agoMs < 0 ? null : monotonicMs(clock.monotonicMs() - agoMs);
  }

  isPending(device: DeviceId): boolean {
    const { table } = this.#options;
    const desired = table.lockDesired(device);
    const holds = table.words(device).reported;
    return desired !== undefined && (holds === null || isNewer(desired.policy, holds.policy));
  }

  /** Visits now. Faults are values; only a broken store is thrown. */
  async visit(device: DeviceId): Promise<SyncAnswer> {
    const { log, runVisit, clock } = this.#options;
    const plan = await this.#plan(device);
    if ("code" in plan) return { device, fault: plan };
    log.info({ device, step: "visit" }, "visiting");
    const visited = await runVisit(plan);
    const outcome = { ...visited, durationMs: Math.round(visited.durationMs) };
    this.#traceById.set(device, { endedAtMs: clock.monotonicMs(), progress: this.#lastProgress(device, false) });
    await this.#keepOutcome(device, outcome, plan.desired?.policy);
    const fault = outcome.ok ? undefined : outcome.fault;
    const { durationMs, bytes, logEntries } = outcome;
    log.info({ device, fault: fault?.code, reason: fault?.reason, durationMs, bytes, logEntries }, "visit ended");
    return outcome.ok ? this.#done(device, outcome) : { device, fault: outcome.fault };
  }

  /** Everything is there that a visit needs. A lock of which this is not true is no candidate: it would be chosen again at once. */
  canVisit(device: DeviceId): boolean {
    return !("code" in this.#needs(device));
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

  async #plan(device: DeviceId): Promise<VisitOptions | SyncFault> {
    const { table, store, radio, clock, random, courierPrivateKey, askTime } = this.#options;
    const needs = this.#needs(device);
    if ("code" in needs) return needs;
    const { address, staticPublicKey, pairingId, certificate } = needs;
    const stored = (await store.readDocuments("audit-head")).find((document) => document.device === device);
    let head = documentToAuditHead(stored, pairingId);
    const desired = table.lockDesired(device);
    return {
      radio,
      address,
      courier: { staticPrivateKey: courierPrivateKey, certificate },
      lock: { device, staticPublicKey, pairingId },
      ...(desired === undefined ? {} : { desired }),
      logFrom: head.next,
      askTime: (nonce) => askTime(device, nonce),
      storeEntries: async (entries) => {
        head = await this.#storeEntries(device, head, entries);
      },
      onProgress: (progress) =>
        this.#traceById.set(device, { ...this.trace(device), progress: { ...progress, active: true } }),
      clock,
      random,
    };
  }

  async #storeEntries(device: DeviceId, head: AuditHead, entries: readonly Uint8Array[]): Promise<AuditHead> {
    const { store, clock, onStored } = this.#options;
    if (entries.length === 0) return head;
    const read = readAuditEntries(device, head, entries, clock.nowMs());
    if (!read.ok) throw new Error(`log entries refused: ${read.fault.code}`);
    const { append, head: after } = read.value;
    await store.appendEvents(append);
    onStored(device, append.events[0]?.sequence ?? head.next, after.next - 1);
    return after;
  }

  async #keepOutcome(device: DeviceId, outcome: VisitOutcome, brought: PolicyVersion | undefined): Promise<void> {
    const { table, gateway } = this.#options;
    const at = this.#now();
    const { reported } = outcome;
    const known = table.device(device);
    if (outcome.from !== null || reported !== null) {
      await table.keep(device, {
        state: { v: 1, device, online: true, heardAt: at },
        health: visitToHealth(device, table.words(device).health, outcome, at),
        ...(known === undefined || outcome.bootCount === null ? {} : { birth: visitToBirth(known, gateway, outcome) }),
        ...(reported === null ? {} : { reported: { v: 1, device, ...reported, at, courier: gateway } }),
      });
    }
    const record = this.record(device);
    const lastFault = outcome.ok ? null : { ...outcome.fault };
    // A lock that let everything happen and still does not hold what was brought is not visited again at once.
    const arrived = outcome.ok && (brought === undefined || !isNewer(brought, outcome.reported.policy));
    const failures = arrived ? 0 : record.failures + 1;
    await this.#keepRecord(device, { ...record, lastVisitAt: at, lastFault, failures });
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
