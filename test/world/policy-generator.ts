/** Lock policies of every shape from one number, drawn from small pools so that two of them have much in common. */
import { credentialKinds, credentialStates } from "../../protocol/access/credential-kind.ts";
import type { Grant, LockPolicy, PolicyCredential, PolicySchedule } from "../../protocol/access/policy.ts";
import { type DeviceId, localDay, unixSeconds } from "../../protocol/base/units.ts";
import { seededRandom } from "./lossy-link.ts";
import { buildPolicy } from "./policy-builder.ts";

export function generatePolicy(seed: number, version = 1): LockPolicy {
  const random = seededRandom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const chance = (percent: number): boolean => random() * 100 < percent;
  const some = <Item>(items: readonly Item[], percent: number): Item[] => items.filter(() => chance(percent));
  const schedules = some(scheduleNames, 60).map((id): PolicySchedule => {
    const from = below(3) * 60;
    return { id, weekly: [[from, from + 60]], dated: chance(20) ? [[unixSeconds(5), unixSeconds(9)]] : [] };
  });
  if (chance(30)) schedules.reverse();
  const grant = (): Grant => ({
    ...(schedules.length > 0 && chance(60) ? { schedule: below(schedules.length) } : {}),
    observesHolidays: chance(50),
    ...(chance(20) ? { until: unixSeconds(1_800_000_000 + below(3)) } : {}),
  });
  const rights = Array.from({ length: 1 + below(6) }, () => Array.from({ length: below(3) }, grant));
  const issuedAt = 1_790_000_000 + below(3) * 86_400;
  const shift = chance(70) ? issuedAt : 1_790_000_000;
  const span = [unixSeconds(shift - 604_800), unixSeconds(shift + 8 * 365 * 86_400)] as const;
  const transitions = [1_790_000_000, 1_800_000_000, 2_042_300_000].filter((at) => at > span[0] && at < span[1]);
  const keycard = { keycard: unixSeconds(shift + 7 * 86_400) };
  const licence = { kind: "dated", from: unixSeconds(1), until: unixSeconds(1_800_000_000 + below(2)) } as const;
  return buildPolicy({
    version,
    epoch: 1 + below(2),
    siteId: chance(90) ? "maple-court" : "oak",
    deviceId: (chance(90) ? "c1-lobby" : "c1-gate") as DeviceId,
    model: chance(80) ? "C1" : "C2",
    doorAssigned: chance(80),
    takes: credentialKinds.filter(() => chance(90)),
    issuedAt: unixSeconds(issuedAt),
    leaseEnd: chance(50) ? {} : { app: unixSeconds(shift + 86_400), ...(chance(50) ? keycard : {}) },
    ...(chance(50) ? { licence: chance(20) ? { kind: "never-activated" as const } : licence } : {}),
    zone: {
      from: span[0],
      until: span[1],
      initialOffsetSeconds: -18_000,
      transitions: transitions.map((at, index) => ({ at: unixSeconds(at), offsetSeconds: index * 3_600 })),
    },
    schedules,
    holidays: some(["eve", "labour", "new-year"], 50).map((id) => ({
      id,
      fromDay: localDay(20_782),
      toDay: localDay(20_782 + below(2)),
      workingHours: chance(50) ? [] : [[600, 840] as const],
    })),
    rights,
    credentials: some(credentialIds, 60).map((id) => credential(id)),
  });

  function credential(id: string): PolicyCredential {
    const bytes = (length: number) => new Uint8Array(length).fill(below(3));
    const from = unixSeconds(1_790_000_000 + below(2));
    return {
      id,
      kind: credentialKinds[chance(80) ? 1 : below(credentialKinds.length)] ?? "pin",
      state: credentialStates[chance(80) ? 0 : below(credentialStates.length)] ?? "active",
      assigned: chance(90),
      rights: below(rights.length),
      ...(chance(50) ? { keypadLookup: bytes(8) } : {}),
      ...(chance(30) ? { tokenLookup: bytes(8) } : {}),
      ...(chance(30) ? { cardKey: bytes(16) } : {}),
      ...(chance(20) ? { validFrom: from } : {}),
      ...(chance(20) ? { validUntil: unixSeconds(from + 1 + below(3)) } : {}),
      ...(chance(10) ? { revokedFrom: from } : {}),
      ...(chance(10) ? { usesAllowed: below(1_000_001) } : {}),
      ...(chance(10) ? { certificatesFrom: from } : {}),
    };
  }
}

const scheduleNames = ["day", "early", "late", "night", "weekend"];
const credentialIds = ["a", "alice-app", "alice-code", "b", "ben-card-1", "ben-card-10", "ben-card-2", "z", "zoë", "öl"]
  .concat(Array.from({ length: 12 }, (_, index) => `code-${index}`))
  .sort((left, right) => (left < right ? -1 : 1));
