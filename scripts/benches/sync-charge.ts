/**
 * What the radio of one lock draws in a year under our way of syncing, beside full replacement each day and beside a connection that
 * is never closed. Frames and seconds come from visits of the real machines; charges are a model:
 * Charges are the model of `emulator/radio/radio-charge.ts`.
 */

import { TimedLock } from "../../emulator/device/timed-lock.ts";
import { likelyVisit, runTimedVisit } from "../../emulator/device/timed-visit.ts";
import {
  advertisementMicrocoulombs,
  connectionMicrocoulombs,
  eventsMicrocoulombs,
} from "../../emulator/radio/radio-charge.ts";
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { type Figure, rounded } from "./result.ts";
import { changed, issuedAt, newShare, policyOf } from "./sync-policies.ts";

export const chargeModel =
  "radio charge: 12 uC an advertisement each second; 5.4 mA while the radio is on; a connection event costs 5.8 uC and a frame of 244 bytes 13.5 uC more; a lock of 1,000 credentials is visited where 3 % change a day and at half its lease of 30 days, always for ten changes; the processor and the flash are not in it";

export function chargeFigures(): readonly Figure[] {
  const base = policyOf(credentials - changes * newShare);
  const next = changed(base, changes);
  const [delta, snapshot] = [visitCharge(base, next), visitCharge(undefined, next)];
  const advertising = (yearSeconds * advertisementMicrocoulombs) / microcoulombsPerMilliampHour;
  const visits = (delta * visitsPerYear) / microcoulombsPerMilliampHour;
  const daily = (snapshot * daysPerYear) / microcoulombsPerMilliampHour;
  const connected = (everyMs: number) =>
    eventsMicrocoulombs((yearSeconds * 1_000) / everyMs) / microcoulombsPerMilliampHour + visits;
  const year = advertising + visits;
  const beside = (id: string, value: number, name: string, other: number, limit?: number): Figure => ({
    id,
    value: rounded(value),
    unit: "mAh a year",
    anchor: { name, value: rounded(other) },
    ratio: rounded(value / other),
    ...(limit === undefined ? {} : { target: `ratio <= ${limit}` }),
    holds: limit === undefined || value / other <= limit,
  });
  return [
    {
      id: "charge-visit-10-changes",
      value: Math.round(delta),
      unit: "uC",
      anchor: { name: "visit with the whole policy", value: Math.round(snapshot) },
      ratio: rounded(delta / snapshot),
      holds: true,
    },
    beside("charge-year-beside-full-replacement-daily", year, "full replacement daily", advertising + daily, 1),
    beside("charge-year-visits-alone", visits, "full replacement daily, without advertising", daily, 0.05),
    beside("charge-year-beside-always-connected", year, "always connected, 50 ms", connected(intervalMs), 0.2),
    beside("charge-year-beside-connected-with-latency", year, "always connected, an event a second", connected(1_000)),
  ];
}

function visitCharge(held: LockPolicy | undefined, next: LockPolicy): number {
  const lock = new TimedLock("c2-lobby", issuedAt);
  if (held !== undefined) lock.install(held);
  const startMs = 60_000;
  const visit = runTimedVisit(likelyVisit, lock, lock.load(next, held), { seed: 1, startMs });
  assert(visit?.committedMs !== undefined, "the visit commits");
  const connectedMs = visit.closedMs - startMs - likelyVisit.connectMs;
  return connectionMicrocoulombs(connectedMs, intervalMs, visit.frameBytes);
}

const intervalMs = likelyVisit.link.intervalMs ?? 50;
const credentials = 1_000;
const changes = 10;
const daysPerYear = 365.25;
const yearSeconds = daysPerYear * 86_400;
const microcoulombsPerMilliampHour = 3_600_000;
/** Three of a hundred days bring a change, and half the lease of 30 days a visit at least. */
const visitsPerYear = daysPerYear * 0.03 + daysPerYear / 15;
