import { describe, expect, it } from "vitest";
import { Documents } from "../../../emulator/cloud/documents.ts";
import { openCloudDatabase } from "../../../emulator/cloud/record.ts";
import { VisitLeaseDesk } from "../../../emulator/cloud/visit-leases.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const [main, two, three] = ["gateway-main", "gateway-two", "gateway-three"] as DeviceId[] as [
  DeviceId,
  DeviceId,
  DeviceId,
];
const lock = "lock-1" as DeviceId;
const another = "lock-2" as DeviceId;
const leaseSeconds = 120;
const LEASE_MS = leaseSeconds * 1000;

function openDesk() {
  const clock = new SteppedClock();
  const database = openCloudDatabase(":memory:");
  if (!database.ok) throw new Error(database.fault.code);
  const documents = new Documents(database.value);
  const restart = (): VisitLeaseDesk => new VisitLeaseDesk({ documents, clock, leaseSeconds });
  return { clock, restart, desk: restart() };
}

describe("the authority's leases", () => {
  it("[G22] one gateway at a time; the lease ends by itself, or when its holder says so and nobody else", async () => {
    const { clock, desk } = openDesk();
    expect(desk.take(main, lock)).toEqual({ granted: true, forMs: LEASE_MS });
    expect(desk.take(two, another)).toEqual({ granted: true, forMs: LEASE_MS });
    desk.end(two, lock);
    expect(desk.take(two, lock)).toMatchObject({ granted: false, by: main });
    desk.reported(lock);
    desk.end(main, lock);
    expect(desk.take(two, lock).granted).toBe(true);
    await clock.advance(LEASE_MS - 1);
    expect(desk.take(main, lock)).toEqual({ granted: false, forMs: 1, by: two });
    await clock.advance(1);
    expect(desk.take(main, lock).granted).toBe(true);
  });

  it("[G22] who was refused is next when the visit came to nothing, for 10 s from when it was told to ask again; not when the lock has reported", async () => {
    const { clock, desk } = openDesk();
    desk.take(main, lock);
    await clock.advance(30_000);
    expect(desk.take(two, lock)).toEqual({ granted: false, forMs: 15_000, by: main });
    expect(desk.take(three, lock).granted).toBe(false);
    desk.end(main, lock);
    expect(desk.take(main, lock)).toEqual({ granted: false, forMs: 25_000, by: two });
    expect(desk.take(three, lock).granted).toBe(false);
    await clock.advance(15_000);
    expect(desk.take(two, lock).granted).toBe(true);
    desk.end(two, lock);

    desk.take(main, another);
    desk.take(two, another);
    desk.reported(another);
    desk.end(main, another);
    expect(desk.take(main, another).granted).toBe(true);

    // Who does not come back has no claim any more, and who asks after it has the next.
    const third = "lock-3" as DeviceId;
    desk.take(main, third);
    desk.take(two, third);
    await clock.advance(25_000);
    desk.take(three, third);
    desk.end(main, third);
    expect(desk.take(two, third)).toMatchObject({ granted: false, by: three });
    await clock.advance(25_000);
    expect(desk.take(main, third).granted).toBe(true);
  });

  it("[G22] nobody waits for a lease longer than it lasts", async () => {
    const { clock, desk } = openDesk();
    // Real clocks have fractions, and the wire has none.
    await clock.advance(0.3);
    desk.take(main, lock);
    await clock.advance(1_000);
    let waitedMs = 0;
    for (let judged = desk.take(two, lock); !judged.granted; judged = desk.take(two, lock)) {
      expect(Number.isInteger(judged.forMs)).toBe(true);
      await clock.advance(judged.forMs);
      waitedMs += judged.forMs;
    }
    expect(waitedMs).toBe(LEASE_MS - 1_000);
  });

  it("[G22] its holder may ask again: anew where nobody waits, for what is left where somebody does", async () => {
    const { clock, desk } = openDesk();
    desk.take(main, lock);
    await clock.advance(60_000);
    expect(desk.take(main, lock)).toEqual({ granted: true, forMs: LEASE_MS });
    desk.take(two, lock);
    await clock.advance(10_000);
    expect(desk.take(main, lock)).toEqual({ granted: true, forMs: LEASE_MS - 10_000 });
    await clock.advance(LEASE_MS - 15_000);
    desk.take(two, lock);
    expect(desk.take(main, lock)).toMatchObject({ granted: false, by: two });
  });

  it("[G22] a restart forgets nobody who is under way, and frees what was ended", async () => {
    const { clock, desk, restart } = openDesk();
    desk.take(main, lock);
    desk.take(two, another);
    desk.end(two, another);
    await clock.advance(LEASE_MS / 2);
    // Its monotonic clock begins anew: nothing can be told but that somebody had the lease.
    clock.setWall(Date.UTC(2030, 0, 1));
    const again = restart();
    expect(again.take(two, another).granted).toBe(true);
    expect(again.take(two, lock)).toMatchObject({ granted: false, by: main });
    expect(again.take(main, lock).granted).toBe(true);
  });
});
