/**
 * What a courier that means harm gains, walked deed by deed: a stolen gateway and a stolen phone of somebody who manages the site, each with
 * what the authority gave it. Afterwards an honest courier comes, and lock and authority are as they are where no thief ever was.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { exposureView } from "../../emulator/cloud/exposure.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { Carriers } from "./carriers.ts";
import { HostileCourier, type HostileDeed, hostileDeeds } from "./hostile-courier.ts";
import type { LockBox } from "./lock-box.ts";

const phone = { phone: "manager-phone", person: "manager" };
const thieves = ["gateway", "phone"] as const;
const walks = thieves.flatMap((thief) => hostileDeeds.map((deed) => [thief, deed] as const));

/** A lock that holds version 1 of its policy, a clock an hour off and entries that nobody has read; version 2 revokes somebody. */
async function before(): Promise<Carriers> {
  const world = await Carriers.open({ crowd: 400, clockErrorMs: HOUR_MS });
  for (const lock of [world.lobby, world.roof]) {
    await world.visitByGateway(lock, { tellsTime: false });
    world.knock(lock, 3);
  }
  world.cloud.revoke("person-3");
  return world;
}

async function strike(world: Carriers, deed: HostileDeed, as: (typeof thieves)[number]): Promise<HostileCourier> {
  const random = seededRandom(5, `${as}/${deed}`);
  const thief = new HostileCourier(world.clock, world.air, world.cloud, random, as === "phone" ? phone : undefined);
  // At the other lock first: what it heard there is told here.
  await world.during(thief.strike(deed, world.roof, world.lobby));
  for (let times = 0; times < 3; times++) await world.during(thief.strike(deed, world.lobby, world.roof));
  return thief;
}

/** Two honest visits: the second brings the release of what the first brought home. */
async function honestly(world: Carriers, by: (typeof thieves)[number]): Promise<void> {
  for (const lock of [world.lobby, world.roof]) {
    for (let visits = 0; visits < 2; visits++) {
      const done = by === "gateway" ? await world.visitByGateway(lock) : await world.during(world.phone.sync(lock));
      expect(done).toMatchObject({ ok: true });
    }
  }
}

/** All that counts of a lock and of what its authority knows of it. */
function stateOf({ cloud }: Carriers, lock: LockBox) {
  const { policy, log } = lock.firmware ?? {};
  const { record, chains, authority, table } = cloud.cloud;
  const chain = chains.state(lock.device);
  const recorded = record.rawEntries(lock.device, 1, lock.entries.length + 1);
  return {
    policy: [policy?.epoch, policy?.version, bytesToHex(policy?.root ?? new Uint8Array(0)), policy?.stale],
    isFreed: log?.first === log?.next,
    isRecorded: recorded.map(bytesToHex).join() === lock.entries.map(bytesToHex).join(),
    isChecked: chain?.through === lock.entries.length && chain.brokenAt === null && chain.unchecked === 0,
    known: [chain?.report?.epoch, chain?.report?.version],
    shown: table.latest(lock.device, "reported")?.body.policy,
    pending: authority.state.policies[lock.device]?.revocations,
    exposures: exposureView(cloud.cloud).reckoned.filter(({ device }) => device === lock.device),
    doubled: [record.summary().duplicates, record.summary().conflicting, record.summary().gaps],
  };
}

function clockErrorMs({ clock, lobby }: Carriers): number {
  const reading = lobby.firmware?.clock(clock.monotonicMs());
  return Math.abs((reading?.unixMs ?? 0) - clock.nowMs());
}

const statesOf = (world: Carriers) => [stateOf(world, world.lobby), stateOf(world, world.roof)];

/** Where no thief ever was. */
let peaceful: ReturnType<typeof statesOf>;
beforeAll(async () => {
  const world = await before();
  await honestly(world, "gateway");
  peaceful = statesOf(world);
  await world.close();
});

describe("what a hostile courier gains", () => {
  it("no thief: the newest policy, all of the log recorded, checked and freed, nobody exposed", () => {
    expect(peaceful).toMatchObject(
      Array.from({ length: 2 }, () => ({
        isFreed: true,
        isRecorded: true,
        isChecked: true,
        known: [1, 2],
        exposures: [],
        doubled: [0, 0, 0],
      })),
    );
  });

  it.each(walks)("[Y17] a stolen %s that %s gains delay, and a second of time at most", async (as, deed) => {
    const robbed = await before();
    const held = robbed.lobby.firmware?.policy.version;
    const thief = await strike(robbed, deed, as);
    // Meanwhile: a version that somebody signed, none older than before; the clock as it was, or right within a second.
    const version = robbed.lobby.firmware?.policy.version ?? 0;
    expect(version).toBeGreaterThanOrEqual(held ?? 0);
    const signed = robbed.cloud.signed(robbed.lobby.device, 1, version);
    expect(robbed.lobby.firmware?.policy.root).toEqual(signed?.root);
    const error = clockErrorMs(robbed);
    expect(error <= SECOND_MS || Math.abs(error - HOUR_MS) <= SECOND_MS).toBe(true);
    expect(thief.believed).toEqual([]);
    // What one kind of courier spoilt the other kind puts right.
    await honestly(robbed, as === "gateway" ? "phone" : "gateway");
    expect(statesOf(robbed)).toEqual(peaceful);
    expect(clockErrorMs(robbed)).toBeLessThanOrEqual(SECOND_MS);
    await robbed.close();
  });

  it("[Y17] [J4] with a true delegation it gains time within that, until the authority's next answer", async () => {
    const world = await before();
    const start = world.clock.nowMs();
    await strike(world, "stretches-delegation", "gateway");
    const reading = world.lobby.firmware?.clock(world.clock.monotonicMs());
    expect(reading?.unixMs).toBeGreaterThan(start + 6 * DAY_MS);
    expect(reading?.unixMs).toBeLessThan(world.clock.nowMs() + 7 * DAY_MS);
    await honestly(world, "gateway");
    expect(clockErrorMs(world)).toBeLessThanOrEqual(SECOND_MS);
    await world.close();
  });

  it("[O2] a phone's certificate outlasts that: it brings the authority's time to a lock that no gateway reaches", async () => {
    const world = await before();
    await strike(world, "stretches-delegation", "gateway");
    const done = await world.during(world.phone.sync(world.lobby));
    expect(done).toMatchObject({ ok: true, value: { clock: { written: true }, to: { version: 2 } } });
    expect(clockErrorMs(world)).toBeLessThanOrEqual(SECOND_MS);
    await world.close();
  });
});

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
