import { describe, expect, it } from "vitest";
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import {
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  sighting,
  site,
  startGateway,
} from "../world/gateway-builder.ts";

const panel = "panel-r20" as DeviceId;

/** A gateway that is told that it has others beside it, and hears its lock. */
async function startShared(visitLeaseSeconds: number | null = 120): Promise<GatewayWorld> {
  const world = await startGateway();
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, { ...gatewayDesired(), visitLeaseSeconds });
  world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 1 }));
  await world.clock.advance(0);
  return world;
}

/** Answers every question for a lease. */
function answerLeases(world: GatewayWorld, answer: object): void {
  world.upstream.onPublish = ({ topic, payload }) => {
    if (!topic.endsWith("authority/command/lease")) return;
    const { id, device, action } = JSON.parse(payload);
    if (action === "take")
      world.upstream.say(`dl/1/${site}/${gatewayId}/result/lease`, { v: 1, id, device, ...answer });
  };
}

describe("a gateway among others", () => {
  it("[G20] [G21] visits when it was granted the lock, gives the visit up before the lease ends, and says that it is over", async () => {
    const world = await startShared();
    answerLeases(world, { state: "done", forMs: 30_000 });
    world.radio.sightings = [sighting()];
    await world.clock.advance(6_000);
    expect(world.visits).toHaveLength(1);
    expect(world.visits[0]?.limitMs).toBe(24_000);
    const actions = world.upstream.messages("authority/command/lease").map(({ action }) => action);
    expect(actions).toEqual(["take", "end"]);
  });

  it("[G20] visits nothing that it was refused, and shows why; the only gateway of a site asks nobody", async () => {
    const world = await startShared();
    answerLeases(world, { state: "refused", reason: "held", by: "gateway-two", forMs: 15_000 });
    world.radio.sightings = [sighting()];
    await world.clock.advance(12_000);
    expect(world.visits).toEqual([]);
    expect(world.gateway.scheduled(lockId).judged).toEqual({ reason: "never-met", heldOff: "other-gateway" });
    await world.clock.advance(12_000);
    expect(world.upstream.messages("authority/command/lease")).toHaveLength(2);

    const alone = await startShared(null);
    alone.radio.sightings = [sighting()];
    await alone.clock.advance(6_000);
    expect(alone.visits).toHaveLength(1);
    expect(alone.visits[0]).not.toHaveProperty("limitMs");
    expect(alone.upstream.messages("authority/command/lease")).toEqual([]);
  });

  it("[G19] without an answer nothing is visited for a lease", async () => {
    const world = await startShared();
    world.radio.sightings = [sighting()];
    await world.clock.advance(100_000);
    expect(world.visits).toEqual([]);
    await world.clock.advance(30_000);
    expect(world.visits).toHaveLength(1);
  });

  it("[G23] knows by the authority what another brought, and visits for nothing of it", async () => {
    const world = await startShared();
    const confirmed = { epoch: 1, version: 1, bootCount: 2, logNext: 9, at: 1_790_000_000, by: "gateway-two" };
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, { ...lockDesired({ version: 1, revision: 5 }), confirmed });
    world.radio.sightings = [sighting({ version: 1 })];
    await world.clock.advance(120_000);
    expect(world.visits).toEqual([]);
    expect(world.upstream.messages("authority/command/lease")).toEqual([]);
    expect(world.gateway.lockState(lockId)).toMatchObject({ state: "in-sync", since: 1_790_000_000 });
    // And says nothing of the lock: that is the other's to say.
    const before = world.upstream.messages(`${lockId}/health`).length;
    await world.clock.advance(180_000);
    expect(world.upstream.messages(`${lockId}/health`).length).toBe(before);
  });

  it("[G24] of a networked device it says something while the device is here, and its last state after that", async () => {
    const world = await startShared();
    const said = (): readonly string[] =>
      world.upstream.published.map(({ topic }) => topic).filter((topic) => topic.includes(`/${panel}/`));
    await world.clock.advance(61_000);
    expect(said()).toEqual([]);
    world.broker.devices = [panel];
    await world.gateway.intake.take(
      panel,
      "state",
      utf8(JSON.stringify({ v: 1, device: panel, online: true, heardAt: null })),
    );
    await world.clock.advance(1_000);
    expect(world.upstream.latest(`${panel}/state`)).toMatchObject({ online: true, via: gatewayId });
    expect(world.upstream.latest(`${panel}/health`)).toMatchObject({ via: gatewayId });
    world.broker.devices = [];
    await world.clock.advance(11 * 60_000);
    const before = said().length;
    world.upstream.setLink(false);
    world.upstream.setLink(true);
    await world.clock.advance(65_000);
    expect(said().slice(before)).toEqual([`dl/1/${site}/${panel}/state`]);
    expect(world.upstream.latest(`${panel}/state`)).toMatchObject({ online: false });
  });
});
