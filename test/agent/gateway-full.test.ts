/** A gateway whose disk is full: nothing ends, nothing is acknowledged that is not kept, and it goes on by itself. SPEC G62. */
import { describe, expect, it } from "vitest";
import { StoreError } from "../../agent/ports/store.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { lockId, sighting, site, startGateway, tellSite, visitOutcome } from "../world/gateway-builder.ts";

const panelId = "panel-r20" as DeviceId;

const events = (sequence: number): Uint8Array => {
  const event = { boot: 1, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "access-granted" };
  return utf8(JSON.stringify({ v: 1, device: panelId, events: [event] }));
};

describe("a gateway without room", () => {
  it("[G62] acknowledges no event, counts it by name, and takes it when there is room", async () => {
    const world = await startGateway();
    await tellSite(world);
    world.store.full = true;
    await expect(world.gateway.intake.take(panelId, "event", events(1))).rejects.toMatchObject({ code: "full" });
    expect(world.gateway.intake.refused()).toMatchObject({ "store-full": 1 });
    expect(world.broker.sent.filter(({ channel }) => channel === "receipt")).toEqual([]);
    // What a device says of itself goes on.
    const state = utf8(JSON.stringify({ v: 1, device: panelId, online: true, heardAt: 1 }));
    await world.gateway.intake.take(panelId, "state", state);
    await world.clock.advance(0);
    expect(world.upstream.latest("panel-r20/state")).toMatchObject({ online: true });
    world.store.full = false;
    await world.gateway.intake.take(panelId, "event", events(1));
    await world.clock.advance(0);
    expect(world.broker.sent.at(-1)?.payload).toContain('"through":1');
    expect(world.fatal).toEqual([]);
  });

  it("[G62] a lock keeps its log: it is visited for its policy, and its log is not read", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    world.store.full = true;
    const answer = world.gateway.requestSync(lockId);
    await world.clock.advance(1_000);
    expect(await answer).toMatchObject({ fault: { code: "protocol", reason: "store-full" } });
    expect(world.visits.at(-1)).toMatchObject({ readsLog: false });
    world.store.full = false;
    const again = world.gateway.requestSync(lockId);
    await world.clock.advance(1_000);
    expect(await again).toMatchObject({ outcome: "in-sync" });
    expect(world.visits.at(-1)).toMatchObject({ readsLog: true });
  });

  it("[G62] a disk that takes nothing at all, not even what the gateway notes, stops no loop for good", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 2 }) });
    await tellSite(world, { version: 2 });
    world.radio.sightings = [sighting({ wantsSync: true })];
    world.store.failing = new StoreError("full", "no room");
    await world.clock.advance(180_000);
    await expect(world.gateway.intake.take(panelId, "event", events(1))).rejects.toMatchObject({ code: "full" });
    world.upstream.say(`dl/1/${site}/${panelId}/receipt`, { v: 1, device: panelId, through: 1, missing: [] });
    await world.clock.advance(60_000);
    expect(world.fatal).toEqual([]);
    expect(world.logged.some(({ text }) => text.includes("no room on the disk"))).toBe(true);
    const visits = world.visits.length;
    world.store.failing = undefined;
    await world.clock.advance(180_000);
    expect(world.visits.length).toBeGreaterThan(visits);
    await world.gateway.intake.take(panelId, "event", events(1));
    await world.clock.advance(1_000);
    expect(world.upstream.latest("panel-r20/event")).toMatchObject({ events: [{ sequence: 1 }] });
    expect(world.gateway.lockState(lockId)).toMatchObject({ state: "in-sync" });
  });

  it("[G61] a log full of holes is refused by name, and its device is told what is missing", async () => {
    const world = await startGateway();
    await tellSite(world);
    for (let first = 1; first <= 2_047; first += 128) {
      const odd = Array.from({ length: 64 }, (_, index) => first + 2 * index);
      const all = odd.map((sequence) => JSON.parse(new TextDecoder().decode(events(sequence))).events[0]);
      await world.gateway.intake.take(panelId, "event", utf8(JSON.stringify({ v: 1, device: panelId, events: all })));
    }
    await world.gateway.intake.take(panelId, "event", events(9_999));
    await world.clock.advance(0);
    expect(world.gateway.intake.refused()).toMatchObject({ "too-many-holes": 1 });
    expect(JSON.parse(world.broker.sent.at(-1)?.payload ?? "{}")).toMatchObject({
      through: 1,
      missing: expect.arrayContaining([{ from: 2, to: 2 }]),
    });
  });
});
