/**
 * Everything that goes wrong on the air and in BlueZ, by name, each drawn from a seed as a change of the air's profile, so that one
 * of them or all at once can be put on and taken off with `setProfile`.
 *
 * Two faults are no property of the air: the D-Bus daemon that dies (`PrivateBus.crash`), and the agent that is killed (its process).
 */
import type { SeededRandom } from "../world/random.ts";
import { type AirProfile, DEFAULT_AIR_PROFILE } from "./air-profile.ts";

export type AirFaultName = (typeof airFaultNames)[number];

/** In the order in which they are drawn; where two change the same field, the later one holds. */
export const airFaultNames = [
  "link-drop",
  "loss",
  "reorder",
  "duplicates",
  "mtu",
  "swallowed-write",
  "slow-connect",
  "slow-disconnect",
  "services-late",
  "services-when-asked",
  "services-early",
  "services-never",
  "in-progress",
  "bluetoothd-restarts",
] as const;

/** One fault as `random` draws it. */
export function drawAirFault(name: AirFaultName, random: SeededRandom): Partial<AirProfile> {
  const between = (least: number, most: number): number => least + random.integer(most - least + 1);
  switch (name) {
    case "link-drop":
      return { linkLossAtByte: between(1, VISIT_BYTES) };
    case "loss":
      return { silentLossShare: between(1, 30) / 100 };
    case "reorder":
      return { reorderDepth: between(1, 8) };
    case "duplicates":
      return { duplicateShare: between(1, 30) / 100 };
    case "mtu":
      return { mtu: between(23, 517), tellsMtu: random.next() < 0.5 };
    case "swallowed-write":
      return { swallowedCommands: { from: between(1, 30), count: between(1, 12) } };
    case "slow-connect":
      return { slowConnectShare: between(20, 80) / 100 };
    case "slow-disconnect":
      return { disconnectMs: between(2_001, 4_000) };
    case "services-late":
      return { servicesResolved: "with-objects", servicesMs: between(1_000, 8_000) };
    case "services-when-asked":
      return { servicesResolved: "when-asked" };
    case "services-early":
      return { servicesResolved: "early" };
    case "services-never":
      return { servicesNeverShare: between(20, 80) / 100 };
    case "in-progress":
      return { busyShare: between(10, 50) / 100 };
    case "bluetoothd-restarts":
      return { daemonDeath: { atByte: between(1, VISIT_BYTES), downMs: between(100, 20_000) } };
  }
}

/** Each fault by itself is drawn or not: `share` (0..1) is how often. All of them at once: 1. */
export function drawAirFaults(
  random: SeededRandom,
  share: number,
): { readonly names: readonly AirFaultName[]; readonly profile: Partial<AirProfile> } {
  // Each fault takes its numbers also when it is left out, so that one more or less does not change the others.
  const drawn = airFaultNames.map((name) => ({
    name,
    isOn: random.next() < share,
    profile: drawAirFault(name, random),
  }));
  const on = drawn.filter(({ isOn }) => isOn);
  let profile: Partial<AirProfile> = {};
  for (const each of on) profile = { ...profile, ...each.profile };
  return { names: on.map(({ name }) => name), profile };
}

/** The change of profile that takes every fault off again. */
export function withoutAirFaults(): Partial<AirProfile> {
  const { timeScale: _kept, ...quiet } = DEFAULT_AIR_PROFILE;
  return quiet;
}

/** Bytes within which a cut falls: a visit that brings nothing crosses two thousand, one with some pages several. */
const VISIT_BYTES = 6_000;
