import { describe, expect, it, onTestFinished } from "vitest";
import type { DeviceId } from "../../protocol/base/units.ts";
import { gateways, LEASE_MS, SharedHouse } from "./shared-house.ts";

const [main, two] = gateways;

async function openHouse(options: { readonly locks: number }): Promise<SharedHouse> {
  const house = await SharedHouse.build(options);
  onTestFinished(() => house.close());
  return house;
}

/** Everything came to rest: both gateways, the authority and every lock say the same. */
async function expectRest(house: SharedHouse, ...running: (typeof gateways)[number][]): Promise<void> {
  await house.until(() => house.logFaults().length === 0, 60_000);
  expect(house.logFaults()).toEqual([]);
  expect(house.cloud.refused).toEqual([]);
  for (const name of running) {
    const { gateway } = house.agent(name);
    const states = house.locks.map(({ device }) => gateway?.lockState(device).state);
    expect(new Set(states)).toEqual(new Set(["in-sync"]));
    expect(gateway?.exposures()).toEqual([]);
  }
}

describe("several gateways at one site", () => {
  it("[G20] each lock is visited once for what is new, never by two at once, and each gateway knows what the other brought", async () => {
    const house = await openHouse({ locks: 16 });
    await house.start(main, two);
    expect(await house.until(() => house.allNewest(), LEASE_MS)).toBeDefined();
    expect(house.links).toHaveLength(16);
    for (let round = 1; round <= 2; round++) {
      house.come();
      house.revoke();
      expect(await house.until(() => house.allNewest(), LEASE_MS)).toBeDefined();
      await house.pass(5_000);
      expect(house.links).toHaveLength(16 * (round + 1));
    }
    expect(house.overlaps).toEqual([]);
    // They share the work: neither does more than three quarters of it.
    for (const name of gateways)
      expect(house.links.filter(({ gateway }) => gateway === name).length).toBeGreaterThan(12);
    await expectRest(house, main, two);
  });

  it("[G22] a gateway dies in a visit: the other takes the lock over within a lease, and nothing is lost or doubled", async () => {
    const house = await openHouse({ locks: 8 });
    await house.start(main, two);
    await house.until(() => house.allNewest(), LEASE_MS);
    house.come();
    house.revoke();
    const isVisiting = (): boolean =>
      house.links.some(({ gateway, untilMs }) => gateway === main && untilMs === undefined);
    expect(await house.until(isVisiting, 10_000, 50)).toBeDefined();
    await house.pass(200);
    const cut = house.links.find(({ gateway, untilMs }) => gateway === main && untilMs === undefined)?.device;
    house.agent(main).kill();
    const tookMs = await house.until(() => house.allNewest(), 2 * LEASE_MS);
    expect(tookMs).toBeGreaterThan(LEASE_MS / 2);
    expect(tookMs).toBeLessThanOrEqual(LEASE_MS + 5_000);
    const last = house.links.findLast(({ device }) => device === cut);
    expect(last?.gateway).toBe(two);
    expect(house.overlaps).toEqual([]);
    await house.start(main);
    await house.pass(10_000);
    await expectRest(house, main, two);
  });

  it("[G19] with the authority out of reach for a lease each visits by itself; then all is as if it had been there", async () => {
    const house = await openHouse({ locks: 6 });
    await house.start(main, two);
    await house.until(() => house.allNewest(), LEASE_MS);
    house.come();
    house.revoke();
    await house.pass(45);
    for (const name of gateways) house.cloud.setLink(name as DeviceId, false);
    const cutAtMs = house.clock.monotonicMs();
    await house.pass(LEASE_MS - 5_000);
    // A visit that had its lease goes on; none begins.
    expect(house.linksSince(cutAtMs + 1_000)).toEqual([]);
    expect(await house.until(() => house.allNewest(), 60_000)).toBeDefined();
    for (const name of gateways) house.cloud.setLink(name as DeviceId, true);
    await house.pass(90_000);
    await expectRest(house, main, two);
  });

  it("[G19] a gateway that alone is cut off leaves the locks to the other for a lease, and does no harm after it", async () => {
    const house = await openHouse({ locks: 6 });
    await house.start(main, two);
    await house.until(() => house.allNewest(), LEASE_MS);
    house.cloud.setLink(main as DeviceId, false);
    for (let round = 0; round < 3; round++) {
      const atMs = house.clock.monotonicMs();
      house.come();
      house.revoke();
      expect(await house.until(() => house.allNewest(), 60_000)).toBeDefined();
      // What it hears on the air tells it that somebody else was there; it looks once, and holds nothing newer that it could bring.
      const links = house.linksSince(atMs);
      expect(links.filter(({ gateway }) => gateway === two)).toHaveLength(6);
      if (round === 0) expect(links).toHaveLength(6);
      await house.pass(LEASE_MS);
    }
    house.cloud.setLink(main as DeviceId, true);
    await house.pass(30_000);
    await expectRest(house, main, two);
  });

  it("[G20] what only one of them hears, that one visits; what both hear is visited by one", async () => {
    const house = await openHouse({ locks: 6 });
    const [first, second] = house.locks;
    house.reach(two, first?.device ?? "", false);
    house.reach(main, second?.device ?? "", false);
    await house.start(main, two);
    expect(await house.until(() => house.allNewest(), 60_000)).toBeDefined();
    expect(house.links.filter(({ device }) => device === first?.device).map(({ gateway }) => gateway)).toEqual([main]);
    expect(house.links.filter(({ device }) => device === second?.device).map(({ gateway }) => gateway)).toEqual([two]);
    expect(house.links).toHaveLength(6);
    // It never heard the lock, and knows that it is well: from the authority.
    expect(house.agent(two).gateway?.lockFacts(first?.device ?? ("" as DeviceId)).reported?.version).toBe(1);
  });

  it("[G20] who asks at one gateway for a lock that the other visits is told so at once, and gets it a moment later", async () => {
    const house = await openHouse({ locks: 1 });
    const device = house.locks[0]?.device ?? ("" as DeviceId);
    // It hangs in the handshake for ten seconds.
    house.makeFaint(main, device);
    await house.start(main);
    await house.pass(1_000);
    await house.start(two);
    const answers: unknown[] = [];
    const ask = (): void => {
      void house
        .agent(two)
        .gateway?.requestSync(device)
        .then((answer) => answers.push(answer));
    };
    ask();
    expect(await house.until(() => answers.length === 1, 1_000, 50)).toBeDefined();
    expect(answers[0]).toEqual({ device, fault: { code: "other-gateway", reason: main } });
    await house.pass(15_000);
    ask();
    expect(await house.until(() => answers.length === 2, 20_000)).toBeDefined();
    expect(answers[1]).toMatchObject({ device, outcome: "in-sync" });
  });

  it("[G22] a gateway that hears a lock and cannot reach it keeps the other from it for a lease at most", async () => {
    const house = await openHouse({ locks: 3 });
    for (const { device } of house.locks) house.makeFaint(main, device);
    await house.start(main);
    await house.pass(1_000);
    await house.start(two);
    expect(await house.until(() => house.allNewest(), LEASE_MS + 20_000)).toBeDefined();
    expect(house.links.every(({ gateway }) => gateway === two)).toBe(true);
    expect(house.links).toHaveLength(3);
  });

  it("[G23] what one brought of a log the other does not read again", async () => {
    const house = await openHouse({ locks: 2 });
    await house.start(main);
    house.come();
    await house.until(() => house.allNewest(), 60_000);
    await house.pass(5_000);
    house.agent(main).kill();
    await house.start(two);
    house.come();
    house.revoke();
    expect(await house.until(() => house.allNewest(), LEASE_MS)).toBeDefined();
    const read = house.outcomes.filter(({ gateway }) => gateway === two).map(({ outcome }) => outcome.logEntries);
    // Each lock: the entry of who came, and the one on the policy that the other gateway had brought.
    expect(read.every((entries) => entries <= 3)).toBe(true);
    expect(read.some((entries) => entries > 0)).toBe(true);
    await expectRest(house, two);
  });

  it("[G24] of a lock one gateway speaks, the one that was there last; one that comes back says nothing over it", async () => {
    const house = await openHouse({ locks: 2 });
    await house.start(main);
    await house.until(() => house.allNewest(), 60_000);
    const { table } = house.cloud.cloud;
    const viaOf = (): readonly unknown[] =>
      house.locks.flatMap(({ device }) => [
        table.latest(device, "state")?.body.via,
        table.latest(device, "health")?.body.via,
      ]);
    await house.pass(61_000);
    expect(viaOf()).toEqual([main, main, main, main]);
    house.agent(main).kill();
    await house.start(two);
    house.revoke();
    await house.until(() => house.allNewest(), LEASE_MS);
    await house.pass(61_000);
    expect(viaOf()).toEqual([two, two, two, two]);
    const synced = house.locks.map(({ device }) => table.latest(device, "health")?.body.sync?.state);
    expect(synced).toEqual(["in-sync", "in-sync"]);
    await house.start(main);
    await house.pass(130_000);
    expect(viaOf()).toEqual([two, two, two, two]);
    expect(house.overlaps).toEqual([]);
    await expectRest(house, main, two);
  });

  it("[G25] somebody revoked stands in both gateways' exposures until one of them has been there, and then in neither", async () => {
    const house = await openHouse({ locks: 3 });
    await house.start(main, two);
    await house.until(() => house.allNewest(), 60_000);
    house.reach(main, house.locks[0]?.device ?? "", false);
    house.reach(two, house.locks[0]?.device ?? "", false);
    house.revoke();
    await house.pass(20_000);
    const exposed = gateways.map((name) =>
      house
        .agent(name)
        .gateway?.exposures()
        .map(({ device }) => device),
    );
    expect(exposed).toEqual([["lock-001"], ["lock-001"]]);
    house.reach(two, "lock-001", true);
    expect(await house.until(() => house.allNewest(), LEASE_MS)).toBeDefined();
    await house.pass(1_000);
    await expectRest(house, main, two);
  });
});
