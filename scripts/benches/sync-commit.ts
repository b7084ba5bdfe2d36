/**
 * From the advertisement that the radio answers to the flip of the lock's bank, for ten changes: the median over seeds, each with
 * another moment in the connection interval. Real machines over the model of `emulator/device/timed-visit.ts`.
 */

import { TimedLock } from "../../emulator/device/timed-lock.ts";
import { likelyVisit, runTimedVisit, type VisitModel } from "../../emulator/device/timed-visit.ts";
import { assert } from "../../protocol/base/result.ts";
import { type Figure, median } from "./result.ts";
import { changed, issuedAt, newShare, policyOf } from "./sync-policies.ts";

export const visitModel =
  "visit: 4 frames of 244 bytes each 50 ms (20 kB/s); 65 ms to connect and 400 ms for services (BlueZ 5.66 in the virtual machine); 60 ms to the authority and back; the lock takes 60 ms for the handshake, 30 ms for a signature, 0.5 us a byte to open and hash, 41 us a word to write flash, erased ahead";
export const commitModel =
  "advertisement to commit: begins with the advertisement that the radio's connection request answers; the one by which the gateway chose the lock came an advertising interval (1 s) or more before";

export function commitFigures(seeds: number): readonly Figure[] {
  const measure = (id: string, credentials: number, model: VisitModel, isJudged: boolean): Figure => {
    const ms = Math.round(median(commitTimes(credentials, model, credentials === largest ? largestSeeds : seeds)));
    const target = isJudged ? { target: `value <= ${limitMs.toLocaleString("en")}` } : {};
    return { id, value: ms, unit: "ms, median", ...target, holds: !isJudged || ms <= limitMs };
  };
  const lossy = (loss: number): VisitModel => ({ ...likelyVisit, link: { ...likelyVisit.link, loss } });
  const idleLock = { handshakeMs: 0, signatureMs: 0, byteMs: 0, flashByteMs: 0 };
  return [
    measure("commit-10-changes-loss-0", usual, likelyVisit, true),
    measure("commit-10-changes-loss-1", usual, lossy(0.01), true),
    measure("commit-10-changes-loss-10", usual, lossy(0.1), false),
    measure("commit-10-changes-of-5000", largest, likelyVisit, false),
    measure("commit-10-changes-loss-10-link-alone", usual, { ...lossy(0.1), lock: idleLock }, false),
  ];
}

function commitTimes(credentials: number, model: VisitModel, seeds: number): readonly number[] {
  const changes = 10;
  const base = policyOf(credentials - changes * newShare);
  const next = changed(base, changes);
  return Array.from({ length: seeds }, (_, seed) => {
    const lock = new TimedLock("c2-lobby", issuedAt);
    lock.install(base);
    const startMs = 60_000 + seed * oddMs;
    const visit = runTimedVisit(model, lock, lock.load(next, base), { seed, startMs });
    // A visit that came to nothing is the next visit's delay, and counts as the longest.
    if (visit?.committedMs === undefined) return Number.POSITIVE_INFINITY;
    assert(lock.firmware.policy.version === next.version, "the lock holds what was meant");
    return visit.committedMs - startMs;
  });
}

const limitMs = 1_500;
const usual = 1_000;
const largest = 5_000;
/** Without loss, seeds differ by the moment in the connection interval alone. */
const largestSeeds = 3;
/** No multiple of a connection interval, so that the seeds fall anywhere into it. */
const oddMs = 17.3;
