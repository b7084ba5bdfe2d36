/**
 * A night round of 300 locks by one radio, in emulated time: the agent's own schedule (`chooseVisit`) over what its radio hears, and
 * for each visit the real machines of `emulator/device/timed-visit.ts`. The loop is that of `agent/gateway.ts`: visit while there is whom to visit,
 * otherwise listen until there is; it ends when a whole scan brought nobody. A radio does one thing at a time.
 */
import { chooseVisit, type LockCandidate, pauseAfterMs } from "../../agent/sync/schedule.ts";
import { TimedLock } from "../../emulator/device/timed-lock.ts";
import { likelyVisit, runTimedVisit, type VisitModel } from "../../emulator/device/timed-visit.ts";
import { DEFAULT_AIR_PROFILE } from "../../emulator/radio/air-profile.ts";
import { type SeededRandom, seededRandom } from "../../emulator/world/random.ts";
import { visitBy } from "../../protocol/access/lease.ts";
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { type MonotonicMs, monotonicMs } from "../../protocol/base/units.ts";
import { decodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import type { Figure } from "./result.ts";
import { changed, issuedAt, newShare, policyOf } from "./sync-policies.ts";

export const nightModel =
  "night round: 300 locks of 200 credentials that advertise each second; four of five advertisements are heard (300 x 0.38 ms on each channel collide with two more intervals of 0.38 ms: a fifth); a connection waits for the lock's next heard advertisement; ten changes where changed, 1 % loss; the lock closes the link; the last scan, which finds nobody, is counted";

export interface NightRound {
  readonly seconds: number;
  /** Visits that went through, and those that did not. */
  readonly visits: number;
  readonly failures: number;
  /** Locks that hold the newest policy at the end. */
  readonly newest: number;
}

/** `quick`: the round of all changed locks is made with a fifth of them, in a fifth of the time. */
export function nightFigures(quick: boolean): readonly Figure[] {
  const all = quick ? lockCount / 5 : lockCount;
  return [
    ...roundFigures("3-percent-changed", lockCount, Math.ceil(lockCount * typicalShare), typicalLimitSeconds),
    ...roundFigures("all-changed", all, all, (allLimitSeconds * all) / lockCount),
  ];
}

function roundFigures(name: string, locks: number, changedLocks: number, limitSeconds: number): readonly Figure[] {
  const round = nightRound({ locks, changedLocks, seed: 1 });
  const isWhole = round.newest === locks && round.visits === changedLocks;
  const seconds = Math.round(round.seconds);
  const id = `night-${locks}-locks-${name}`;
  const inTime = { target: `value <= ${limitSeconds}`, holds: isWhole && round.seconds <= limitSeconds };
  const visits = { value: round.visits, unit: "visits", anchor: { name: "locks that changed", value: changedLocks } };
  return [
    { id, value: seconds, unit: "s", ...inTime },
    { id: `${id}-visits`, ...visits, ratio: round.visits / changedLocks, target: "ratio = 1", holds: isWhole },
  ];
}

/** So many locks of which the first `changedLocks` wait for a newer policy. */
export function nightRound(options: {
  readonly locks: number;
  readonly changedLocks: number;
  readonly seed: number;
  readonly visit?: VisitModel;
}): NightRound {
  return new Night(options).run();
}

interface NightLock {
  readonly bench: TimedLock;
  /** Within the advertising interval. */
  readonly phaseMs: number;
  readonly isChanged: boolean;
  /** Of what it last reported. */
  version: number;
  visitedAtMs: MonotonicMs;
  failures: number;
  pauseMs: number;
  seen: LockCandidate["seen"];
}

class Night {
  readonly #base: LockPolicy;
  readonly #next: LockPolicy;
  readonly #locks: readonly NightLock[];
  readonly #random: SeededRandom;
  readonly #visitModel: VisitModel;
  readonly #visitByMs: MonotonicMs;
  #nowMs = 0;
  #visits = 0;
  #failures = 0;

  constructor({ locks, changedLocks, seed, visit }: Parameters<typeof nightRound>[0]) {
    this.#base = policyOf(lockCredentials - changes * newShare);
    this.#next = changed(this.#base, changes);
    this.#random = seededRandom(seed, "night");
    this.#visitModel = visit ?? { ...likelyVisit, link: { ...likelyVisit.link, loss: 0.01 } };
    const halfLease = visitBy(this.#base);
    assert(halfLease !== undefined, "the policy has a lease");
    this.#visitByMs = monotonicMs((halfLease - issuedAt) * 1_000);
    this.#locks = Array.from({ length: locks }, (_, index) => this.#lock(index, index < changedLocks));
  }

  run(): NightRound {
    for (;;) {
      assert(this.#nowMs < hopelessMs, "a night round ends");
      const chosen = this.#choose();
      if (chosen !== undefined) this.#visit(chosen);
      else if (!this.#scan()) break;
    }
    const { version } = this.#next;
    const newest = this.#locks.filter((lock) => !lock.isChanged || lock.bench.firmware.policy.version === version);
    return { seconds: this.#nowMs / 1_000, visits: this.#visits, failures: this.#failures, newest: newest.length };
  }

  #lock(index: number, isChanged: boolean): NightLock {
    const bench = new TimedLock(`lock-${index}`, issuedAt);
    bench.install(this.#base);
    return {
      bench,
      phaseMs: this.#random.next() * advertisingMs,
      isChanged,
      version: this.#base.version,
      // Last night.
      visitedAtMs: monotonicMs(-86_400_000),
      failures: 0,
      pauseMs: 0,
      seen: null,
    };
  }

  #choose(): NightLock | undefined {
    const candidates = this.#locks.map((lock) => this.#candidate(lock));
    const chosen = chooseVisit(candidates, monotonicMs(this.#nowMs), { automatic: true });
    return this.#locks.find(({ bench }) => bench.device === chosen?.device);
  }

  #candidate(lock: NightLock): LockCandidate {
    const { epoch, version } = lock.isChanged ? this.#next : this.#base;
    return {
      device: lock.bench.device,
      asked: false,
      desired: { epoch, version },
      urgent: null,
      holds: { epoch, version: lock.version },
      exposed: false,
      pendingSince: lock.version === version ? null : issuedAt,
      seen: lock.seen,
      visitedAtMs: lock.visitedAtMs,
      pauseMs: lock.pauseMs,
      visitByMs: this.#visitByMs,
      visitsToday: 0,
    };
  }

  /** Listens until somebody is worth a visit; false: nobody was in a whole scan. */
  #scan(): boolean {
    const endMs = this.#nowMs + scanMs;
    for (let stepMs = firstLookMs; this.#nowMs < endMs; stepMs = Math.min(stepMs * 2, longestLookMs)) {
      const untilMs = Math.min(this.#nowMs + stepMs, endMs);
      for (const lock of this.#locks) this.#hear(lock, this.#nowMs, untilMs);
      this.#nowMs = untilMs;
      if (this.#choose() !== undefined) return true;
    }
    return false;
  }

  #hear(lock: NightLock, fromMs: number, untilMs: number): void {
    const nextMs = nextAdvertisementMs(lock, fromMs);
    if (nextMs >= untilMs || this.#random.next() >= heardShare) return;
    const read = decodeAdvertisement(lock.bench.firmware.advertisement(monotonicMs(nextMs)));
    assert(read.ok, "a lock's advertisement can be read");
    lock.seen = { atMs: monotonicMs(untilMs), rssi: -60, advertisement: read.value };
  }

  #visit(lock: NightLock): void {
    let startMs = nextAdvertisementMs(lock, this.#nowMs);
    while (this.#random.next() >= heardShare) startMs += advertisingMs;
    const load = lock.isChanged ? lock.bench.load(this.#next, this.#base) : lock.bench.loadWithout();
    const seed = this.#random.integer(2 ** 31);
    const visit = runTimedVisit(this.#visitModel, lock.bench, load, { seed, startMs });
    this.#nowMs = visit?.closedMs ?? startMs + brokenVisitMs;
    lock.visitedAtMs = monotonicMs(this.#nowMs);
    lock.seen = null;
    lock.failures = visit === undefined ? lock.failures + 1 : 0;
    lock.pauseMs = pauseAfterMs(lock.failures, this.#random.next());
    if (visit === undefined) this.#failures += 1;
    else {
      this.#visits += 1;
      lock.version = lock.bench.firmware.policy.version;
    }
  }
}

function nextAdvertisementMs({ phaseMs }: NightLock, fromMs: number): number {
  return phaseMs + Math.ceil((fromMs - phaseMs) / advertisingMs) * advertisingMs;
}

const lockCount = 300;
const typicalShare = 0.03;
const typicalLimitSeconds = 60;
const allLimitSeconds = 900;
const lockCredentials = 200;
const changes = 10;
const advertisingMs = DEFAULT_AIR_PROFILE.advertisingIntervalMs;
const heardShare = 0.8;
/** As `agent/gateway.ts` and `agent/ble/scan.ts` have it. */
const scanMs = 4_000;
const firstLookMs = 50;
const longestLookMs = 800;
/** Ten seconds without progress end a session, and BlueZ takes two to disconnect. */
const brokenVisitMs = 12_000;
const hopelessMs = 2 * 3_600_000;
