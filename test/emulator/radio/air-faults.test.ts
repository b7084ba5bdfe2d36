import { describe, expect, it } from "vitest";
import { airFaultNames, drawAirFault, drawAirFaults, withoutAirFaults } from "../../../emulator/radio/air-faults.ts";
import { DEFAULT_AIR_PROFILE } from "../../../emulator/radio/air-profile.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

const seeds = Array.from({ length: 300 }, (_, seed) => seed);

describe("faults of the air", () => {
  it.each(airFaultNames)("%s changes the profile, the same for the same seed", (name) => {
    const drawn = seeds.map((seed) => drawAirFault(name, seededRandom(seed, name)));
    for (const profile of drawn) expect({ ...DEFAULT_AIR_PROFILE, ...profile }).not.toEqual(DEFAULT_AIR_PROFILE);
    expect(seeds.map((seed) => drawAirFault(name, seededRandom(seed, name)))).toEqual(drawn);
  });

  it("each stays in the bounds that were asked for, and reaches them", () => {
    const all = seeds.map((seed) => drawAirFaults(seededRandom(seed, "all"), 1).profile);
    const range = (values: readonly (number | undefined)[]): readonly [number, number] => {
      const numbers = values.map((value) => value ?? Number.NaN);
      return [Math.min(...numbers), Math.max(...numbers)];
    };
    expect(range(all.map(({ silentLossShare }) => silentLossShare))).toEqual([0.01, 0.3]);
    expect(range(all.map(({ reorderDepth }) => reorderDepth))).toEqual([1, 8]);
    const [smallest, largest] = range(all.map(({ mtu }) => mtu));
    expect([smallest >= 23, smallest < 30, largest > 510, largest <= 517]).toEqual([true, true, true, true]);
    for (const { slowConnectShare, disconnectMs } of all) {
      expect(slowConnectShare).toBeGreaterThan(0);
      expect(disconnectMs).toBeGreaterThanOrEqual(2_000);
    }
  });

  it("all at once has every name, none has none, and a share in between has some", () => {
    expect(drawAirFaults(seededRandom(1, "all"), 1).names).toEqual(airFaultNames);
    expect(drawAirFaults(seededRandom(1, "all"), 0)).toEqual({ names: [], profile: {} });
    const counts = seeds.map((seed) => drawAirFaults(seededRandom(seed, "some"), 0.3).names.length);
    expect(new Set(counts).size).toBeGreaterThan(4);
  });

  it("are all taken off again, at the same speed of time", () => {
    const { profile } = drawAirFaults(seededRandom(3, "all"), 1);
    const running = { ...DEFAULT_AIR_PROFILE, timeScale: 0.002 };
    expect({ ...running, ...profile, ...withoutAirFaults() }).toEqual(running);
  });
});
