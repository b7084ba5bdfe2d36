import { describe, expect, it } from "vitest";
import { Sightings } from "../../../agent/sync/sightings.ts";
import { lockAddress, lockId, sighting } from "../../world/gateway-builder.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const locks = [{ id: lockId, address: lockAddress }];

describe("what was heard", () => {
  it("[G10] silence counts from when the gateway began to listen, from when the lock was last heard, and not while it is deaf", async () => {
    const clock = new SteppedClock();
    const sightings = new Sightings(clock);
    await clock.advance(100_000);
    expect(sightings.silentSeconds(lockId)).toBeNull();
    sightings.listens(true);
    await clock.advance(40_000);
    sightings.listens(true);
    expect(sightings.silentSeconds(lockId)).toBe(40);
    sightings.note([sighting()], locks);
    await clock.advance(7_000);
    expect(sightings.silentSeconds(lockId)).toBe(7);
    sightings.listens(false);
    expect(sightings.silentSeconds(lockId)).toBeNull();
    await clock.advance(500_000);
    sightings.listens(true);
    expect(sightings.silentSeconds(lockId)).toBe(0);
  });

  it("a wall clock that is set does not make a lock silent", async () => {
    const clock = new SteppedClock();
    const sightings = new Sightings(clock);
    sightings.listens(true);
    sightings.note([sighting()], locks);
    clock.setWall(clock.nowMs() + 86_400_000);
    expect(sightings.silentSeconds(lockId)).toBe(0);
  });

  it("after a visit the advertisement of before says nothing more, and the lock was heard all the same", async () => {
    const clock = new SteppedClock();
    const sightings = new Sightings(clock);
    sightings.note([sighting()], locks);
    expect(sightings.seen(lockId)).toMatchObject({ rssi: -60 });
    await clock.advance(5_000);
    sightings.forget(lockId);
    sightings.spoke(lockId);
    expect(sightings.seen(lockId)).toBeNull();
    expect(sightings.heard(lockId)).toEqual({ atMs: clock.monotonicMs(), unixMs: clock.nowMs(), rssi: -60 });
  });

  it("takes no stranger and nothing that does not read", () => {
    const sightings = new Sightings(new SteppedClock());
    sightings.note([{ ...sighting(), address: "C0:FF:EE:00:00:99" }], locks);
    sightings.note([{ ...sighting(), advertisement: new Uint8Array(3) }], locks);
    expect(sightings.heard(lockId)).toBeNull();
  });
});
