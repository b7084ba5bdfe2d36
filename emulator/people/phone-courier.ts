/**
 * A signed-in phone as a courier: what it took from the cloud for each lock, what locks gave it for the cloud, and its visits.
 *
 * Theory of operation. Before a visit it fetches what is newest; without a network it goes with what it has. What a lock says is kept here
 * until the cloud has taken it, at once or when there is a network again; the lock keeps it all the same, because only a release of
 * the authority frees it, so a phone that is lost loses nothing. When the cloud says that this phone may carry no more it drops what it
 * had for that lock. Nothing that it carries can be read here. SPEC Y17.
 */

import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { bytesToHex, equalBytes } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import type { WorldClock } from "../world/clock.ts";
import type { AccountFault } from "./app-account.ts";
import type { CourierCloud, LockLoad } from "./courier-cloud.ts";
import {
  type CarriedBatch,
  type CarriedReport,
  type ConnectLink,
  type PhoneVisitFault,
  type PhoneVisitOutcome,
  visitByPhone,
} from "./phone-visit.ts";

export interface PhoneCourierOptions {
  readonly phone: string;
  readonly staticPrivateKey: Uint8Array;
  /** 32 fresh bytes each time. */
  readonly ephemeralKey: () => Uint8Array;
  readonly cloud: CourierCloud;
  readonly clock: WorldClock;
  /** Aborted: nothing is tried again. */
  readonly signal: AbortSignal;
  readonly onPage?: (device: DeviceId, load: LockLoad["load"], totalBytes: number) => void;
}

export interface PhoneSyncRequest {
  readonly device: DeviceId;
  readonly connect: ConnectLink;
  /** The phone has no network at the door. */
  readonly isOffline?: boolean;
}

/** As the agent answers for a sync of its own, and what became of what the lock said. */
export interface PhoneSyncDone extends Omit<PhoneVisitOutcome, "fault" | "reported"> {
  readonly device: DeviceId;
  readonly phone: string;
  /** `pending`: the lock went on holding something older than what was carried to it. */
  readonly outcome: "in-sync" | "pending";
  readonly to: CarriedReport["policy"];
  /** False: it is still on the phone, which brings it when it has a network. */
  readonly uploaded: boolean;
}

export type PhoneSyncFault =
  | AccountFault
  | PhoneVisitFault
  /** Without a network, and nothing was fetched for this lock before. */
  | { readonly code: "nothing-to-carry" }
  /** It is at a lock already: a phone has one radio. */
  | { readonly code: "phone-busy" };

/** What one pairing of a lock said, not yet with the cloud. */
interface Kept {
  readonly pairingId: Uint8Array;
  batches: readonly CarriedBatch[];
  report: CarriedReport | undefined;
}

export class PhoneCourier {
  readonly #options: PhoneCourierOptions;
  readonly #loads = new Map<DeviceId, LockLoad>();
  readonly #keptByDevice = new Map<DeviceId, Map<string, Kept>>();
  #isVisiting = false;
  #uploading: Promise<boolean> | undefined;
  #retries = 0;
  #cancelRetry: () => void = () => undefined;

  constructor(options: PhoneCourierOptions) {
    this.#options = options;
  }

  /** Batches that the cloud has not taken yet. */
  get waiting(): number {
    return this.#allKept().reduce((sum, { kept }) => sum + kept.batches.length, 0);
  }

  /** One visit to one lock. Faults: as listed; what was learned and stored until then is not lost. */
  async sync(request: PhoneSyncRequest): Promise<Result<PhoneSyncDone, PhoneSyncFault>> {
    if (this.#isVisiting) return failed({ code: "phone-busy" });
    this.#isVisiting = true;
    try {
      return await this.#syncNow(request);
    } finally {
      this.#isVisiting = false;
    }
  }

  /** Brings the cloud what waits; true: nothing waits any more. */
  upload(): Promise<boolean> {
    this.#uploading ??= this.#uploadNow().finally(() => {
      this.#uploading = undefined;
    });
    return this.#uploading;
  }

  async #syncNow({
    device,
    connect,
    isOffline = false,
  }: PhoneSyncRequest): Promise<Result<PhoneSyncDone, PhoneSyncFault>> {
    const taken = isOffline ? this.#held(device) : await this.#fetch(device);
    if (!taken.ok) return taken;
    const { fault, reported, ...facts } = await this.#visit(device, taken.value, connect, isOffline);
    const uploaded = isOffline ? this.#isEmpty() : await this.upload();
    if (!uploaded) this.#retryLater();
    if (fault !== undefined) return failed(fault);
    if (reported === null) return failed({ code: "lock-broke-protocol" });
    const { policy } = taken.value.load;
    const isBehind = policy !== undefined && comparePolicyOrder(reported.policy, policy) < 0;
    const { phone } = this.#options;
    return ok({ device, phone, outcome: isBehind ? "pending" : "in-sync", to: reported.policy, ...facts, uploaded });
  }

  #held(device: DeviceId): Result<LockLoad, PhoneSyncFault> {
    const held = this.#loads.get(device);
    return held === undefined ? failed({ code: "nothing-to-carry" }) : ok(held);
  }

  async #fetch(device: DeviceId): Promise<Result<LockLoad, PhoneSyncFault>> {
    const { cloud, staticPrivateKey } = this.#options;
    const fetched = await cloud.load(device, x25519PublicKey(staticPrivateKey));
    if (fetched.ok) {
      this.#loads.set(device, fetched.value);
      return fetched;
    }
    const held = this.#loads.get(device);
    if (isPassing(fetched.fault)) return held === undefined ? fetched : ok(held);
    this.#loads.delete(device);
    return fetched;
  }

  async #visit(
    device: DeviceId,
    { lock, load }: LockLoad,
    connect: ConnectLink,
    isOffline: boolean,
  ): Promise<PhoneVisitOutcome> {
    const { clock, cloud, staticPrivateKey, ephemeralKey, onPage } = this.#options;
    const kept = this.#keptOf(device, lock.pairingId);
    const last = kept.batches.at(-1);
    const logFrom = Math.max(load.logFrom, last === undefined ? 0 : last.from + last.count);
    const outcome = await visitByPhone({
      connect,
      clock,
      staticPrivateKey,
      ephemeralPrivateKey: ephemeralKey(),
      lock,
      load: { ...load, logFrom },
      askTime: async (nonce) => (isOffline ? undefined : cloud.time(device, nonce)),
      keepBatch: (batch) => {
        if (this.waiting >= KEPT_BATCHES_LIMIT) return false;
        kept.batches = [...kept.batches, batch];
        return true;
      },
      ...(onPage === undefined ? {} : { onPage: (_sent, total) => onPage(device, load, total) }),
    });
    // The latest report says all that those before it said.
    if (outcome.reported !== null) kept.report = outcome.reported;
    return outcome;
  }

  #keptOf(device: DeviceId, pairingId: Uint8Array): Kept {
    const byPairing = this.#keptByDevice.get(device) ?? new Map<string, Kept>();
    this.#keptByDevice.set(device, byPairing);
    const name = bytesToHex(pairingId);
    const kept = byPairing.get(name) ?? { pairingId, batches: [], report: undefined };
    byPairing.set(name, kept);
    return kept;
  }

  #allKept(): readonly { readonly device: DeviceId; readonly kept: Kept }[] {
    return [...this.#keptByDevice].flatMap(([device, byPairing]) =>
      [...byPairing.values()].map((kept) => ({ device, kept })),
    );
  }

  #isEmpty(): boolean {
    return this.#nextKept() === undefined;
  }

  #nextKept() {
    return this.#allKept().find(({ kept }) => kept.batches.length > 0 || kept.report !== undefined);
  }

  /** Looks anew after each part: a visit may have brought more meanwhile. */
  async #uploadNow(): Promise<boolean> {
    for (let next = this.#nextKept(); next !== undefined; next = this.#nextKept()) {
      if (!(await this.#uploadPart(next.device, next.kept))) return false;
    }
    this.#retries = 0;
    return true;
  }

  /** As much as one request takes, the report with the last of it. False: not now. */
  async #uploadPart(device: DeviceId, kept: Kept): Promise<boolean> {
    const batches = kept.batches.slice(0, BATCHES_PER_REQUEST);
    const isLast = batches.length === kept.batches.length;
    const report = isLast ? kept.report : undefined;
    const delivered = await this.#options.cloud.deliver(device, {
      batches: batches.map(({ batch }) => batch),
      ...(report === undefined ? {} : { report }),
    });
    if (!delivered.ok && isPassing(delivered.fault)) return false;
    // Taken, or refused for good: what the lock has and nobody brought, it gives to the next courier.
    kept.batches = kept.batches.slice(batches.length);
    if (kept.report === report) kept.report = undefined;
    if (delivered.ok) this.#readFrom(device, kept.pairingId, (delivered.value.through ?? 0) + 1);
    return true;
  }

  /** What the authority has need not be read again, also by what was fetched before it had it. */
  #readFrom(device: DeviceId, pairingId: Uint8Array, logFrom: number): void {
    const held = this.#loads.get(device);
    if (held === undefined || !equalBytes(held.lock.pairingId, pairingId) || held.load.logFrom >= logFrom) return;
    this.#loads.set(device, { ...held, load: { ...held.load, logFrom } });
  }

  #retryLater(): void {
    const { clock, signal } = this.#options;
    this.#cancelRetry();
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#retries, RETRY_DOUBLINGS_MAX));
    this.#retries += 1;
    this.#cancelRetry = clock.after(delayMs, () => {
      if (signal.aborted) return;
      void this.upload().then((isDone) => {
        if (!isDone) this.#retryLater();
      });
    });
  }
}

/** The network or the cloud is away, or has trouble of its own: the same may go through later. */
function isPassing(fault: AccountFault): boolean {
  if (fault.code === "cloud-refused") return fault.status >= 500;
  return fault.code === "cloud-unreachable" || fault.code === "cloud-bad-answer";
}

/** As many as the cloud takes at once. */
const BATCHES_PER_REQUEST = 64;
/** 4.4 MB at most, which is several locks' whole rings. */
const KEPT_BATCHES_LIMIT = 1_024;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const RETRY_DOUBLINGS_MAX = 6;
