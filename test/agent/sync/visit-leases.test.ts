import { describe, expect, it } from "vitest";
import { type LeaseAnswer, VisitLeases } from "../../../agent/sync/visit-leases.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const lock = "lock-1" as DeviceId;
const another = "lock-2" as DeviceId;
const neighbour = "gateway-two" as DeviceId;
const LEASE_MS = 120_000;

function leasesWith(answers: (LeaseAnswer | undefined)[], leaseMs: number | null = LEASE_MS, answerTakesMs = 0) {
  const clock = new SteppedClock();
  const asked: string[] = [];
  const ended: string[] = [];
  const leases = new VisitLeases({
    clock,
    port: {
      take: async (device) => {
        asked.push(device);
        await clock.advance(answerTakesMs);
        return answers.shift();
      },
      end: (device) => ended.push(device),
    },
    leaseMs: () => leaseMs,
  });
  return { clock, leases, asked, ended };
}

describe("a gateway's leases", () => {
  it("[G19] the only gateway of a site asks nobody", async () => {
    const { leases, asked } = leasesWith([], null);
    expect(leases.holdOff(lock)).toBeNull();
    expect(await leases.take(lock, false)).toEqual({ may: true, until: null, leased: false });
    expect(asked).toEqual([]);
  });

  it("[G21] a lease counts from the question on the gateway's own clock, and never for longer than the site's leases last", async () => {
    const granted = (forMs: number): LeaseAnswer => ({ granted: true, forMs });
    const { leases, clock } = leasesWith([granted(LEASE_MS), granted(10_000), granted(LEASE_MS * 30)], LEASE_MS, 700);
    // The wall clock goes to another century meanwhile, and nothing follows from it.
    clock.setWall(0);
    expect(await leases.take(lock, false)).toEqual({ may: true, until: LEASE_MS, leased: true });
    expect(await leases.take(lock, false)).toEqual({ may: true, until: 10_700, leased: true });
    expect(await leases.take(lock, false)).toEqual({ may: true, until: LEASE_MS + 1_400, leased: true });
  });

  it("[G20] a refusal holds off that lock alone, until the time it names, until the other's visit is known, and for a lease at most", async () => {
    const refused = (forMs: number): LeaseAnswer => ({ granted: false, forMs, by: neighbour });
    const { leases, clock } = leasesWith([refused(5_000), refused(5_000), refused(LEASE_MS * 9), refused(0)]);
    expect(await leases.take(lock, false)).toEqual({ may: false, holdOff: "other-gateway", by: neighbour });
    expect([leases.holdOff(lock), leases.holdOff(another)]).toEqual(["other-gateway", null]);
    await clock.advance(5_000);
    expect(leases.holdOff(lock)).toBeNull();
    await leases.take(lock, false);
    leases.forget(lock);
    expect(leases.holdOff(lock)).toBeNull();
    await leases.take(lock, false);
    await clock.advance(LEASE_MS);
    expect(leases.holdOff(lock)).toBeNull();
    // A refusal without a time is not asked about again at once.
    await leases.take(lock, true);
    expect(leases.holdOff(lock)).toBe("other-gateway");
  });

  it("[G19] without an answer nothing is visited for a lease, then everything; one answer begins it anew; who waits in person waits for nothing", async () => {
    const { leases, clock, asked } = leasesWith([]);
    expect(await leases.take(lock, true)).toEqual({ may: true, until: null, leased: false });
    expect(await leases.take(lock, false)).toEqual({ may: false, holdOff: "no-answer", by: undefined });
    expect(leases.holdOff(another)).toBe("no-answer");
    while (clock.monotonicMs() < LEASE_MS) {
      await clock.advance(1_000);
      if (leases.holdOff(lock) === null && clock.monotonicMs() < LEASE_MS) {
        expect(await leases.take(lock, false)).toMatchObject({ may: false });
      }
    }
    expect(asked.length).toBeLessThanOrEqual(LEASE_MS / 2_000 + 2);
    expect(leases.holdOff(lock)).toBeNull();
    expect(await leases.take(lock, false)).toEqual({ may: true, until: null, leased: false });
    // From then on a visit does not even wait for the answer that does not come.
    expect(await leases.take(another, false)).toEqual({ may: true, until: null, leased: true });
    const again = leasesWith([undefined, { granted: true, forMs: LEASE_MS }, undefined]);
    await again.leases.take(lock, false);
    await again.clock.advance(LEASE_MS);
    expect(await again.leases.take(lock, false)).toMatchObject({ may: true, leased: true });
    expect(await again.leases.take(lock, false)).toMatchObject({ may: false, holdOff: "no-answer" });
  });

  it("[G19] the first answer that comes while it goes alone puts everything in order again", async () => {
    const { leases, clock, asked } = leasesWith([
      undefined,
      undefined,
      { granted: false, forMs: 5_000, by: neighbour },
    ]);
    await leases.take(lock, false);
    await clock.advance(LEASE_MS);
    expect(await leases.take(lock, false)).toMatchObject({ may: true, leased: false });
    expect(await leases.take(lock, false)).toMatchObject({ may: true, leased: true });
    await clock.advance(0);
    // Asked in earnest again, and again without an answer: a lease begins anew.
    expect(await leases.take(lock, false)).toMatchObject({ may: false, holdOff: "no-answer" });
    expect(asked).toHaveLength(4);
  });
});
