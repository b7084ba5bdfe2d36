/**
 * Each lie of a hostile lock, told by itself for a while: to the agent's own loop, and by it to the authority. What the sync world draws
 * by seed is listed here.
 */
import { describe, expect, it } from "vitest";
import { type Lie, lies } from "./lock-lies.ts";
import { LyingHouse } from "./lying-house.ts";
import { type FrameLie, frameLies } from "./lying-visit.ts";

const named = lies.map((lie) => [lie.name, lie] as const);

async function told(lie: Lie | FrameLie): Promise<LyingHouse> {
  // Pages are asked for only where there are several.
  const crowd = typeof lie !== "string" && lie.name.startsWith("pages") ? 400 : 0;
  const house = await LyingHouse.open({ crowd });
  house.lie(lie);
  if (crowd > 0) house.cloud.cloud.authority.rotateKeys();
  house.stir();
  for (let time = 0; time < 3; time++) await house.ask(house.liar);
  await house.pass(15_000);
  return house;
}

describe("a lock that lies inside a true session", () => {
  it.each(named)(
    "[Y20] %s: harms nobody else, and all is well when it is honest again",
    async (_name, lie) => {
      const house = await told(lie);
      const { liar, other, cloud } = house;
      expect(liar.lies.some((each) => each.told > 0)).toBe(true);
      const lied = house.visits.filter((visit) => visit.lied);
      if (lie.kind === "contradicted") expect(lied.map(({ outcome }) => outcome.ok)).not.toContain(true);
      const believed = cloud.cloud.chains.state(liar.device)?.report;
      const { epoch = 0, version = 0 } = believed ?? {};
      if (version > 0) expect(cloud.signed(liar.device, epoch, version)).toBeDefined();
      expect(house.isInSync(other)).toBe(true);
      expect(house.isLogWhole(other)).toBe(true);

      house.lie(undefined);
      house.stir();
      // An operator, or the schedule within its longest pause.
      for (let time = 0; time < 3; time++) {
        await house.ask(liar);
        await house.pass(45_000);
      }
      expect(house.agent.gateway?.lockState(liar.device)).toMatchObject({ state: "in-sync" });
      expect(house.isInSync(liar)).toBe(true);
      expect(house.isInSync(other)).toBe(true);
      expect(house.agent.gateway?.exposures()).toEqual([]);
      if (lie.kind !== "forsworn") expect(house.isLogWhole(liar)).toBe(true);
      else if (!house.isLogWhole(liar)) expect(cloud.cloud.chains.state(liar.device)?.brokenAt).not.toBeNull();
      expect(house.isLogWhole(other)).toBe(true);
      await house.close();
    },
    60_000,
  );

  it.each(frameLies)(
    "[Y20] %s: ends the visit, and all is well when it is honest again",
    async (lie) => {
      const house = await told(lie);
      const { liar, other } = house;
      const lied = house.visits.filter((visit) => visit.lied);
      expect(lied.length).toBeGreaterThan(0);
      expect(lied.every(({ outcome }) => !outcome.ok)).toBe(true);
      expect(house.isInSync(other)).toBe(true);
      house.lie(undefined);
      // A visit that is under way answers the first time that somebody asks.
      for (let time = 0; time < 2; time++) await house.ask(liar);
      await house.pass(15_000);
      expect(house.isInSync(liar)).toBe(true);
      expect(house.isLogWhole(liar)).toBe(true);
      expect(house.isLogWhole(other)).toBe(true);
      await house.close();
    },
    60_000,
  );
});
