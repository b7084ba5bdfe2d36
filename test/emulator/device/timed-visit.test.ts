import { describe, expect, it } from "vitest";
import { TimedLock } from "../../../emulator/device/timed-lock.ts";
import { likelyVisit, runTimedVisit, type VisitModel, type VisitResult } from "../../../emulator/device/timed-visit.ts";
import { encodePolicy } from "../../../protocol/access/policy.ts";
import { buildPolicy } from "../../world/policy-builder.ts";

const base = buildPolicy({ version: 1 });
const next = buildPolicy({ version: 2 });
const startMs = 60_000;

function visit(model: VisitModel, seed = 1): { readonly result: VisitResult; readonly lock: TimedLock } {
  const lock = new TimedLock("c2-lobby", base.issuedAt);
  lock.install(base);
  const result = runTimedVisit(model, lock, lock.load(next, base), { seed, startMs });
  if (result === undefined) throw new Error("the visit came to no report");
  return { result, lock };
}

describe("a visit in emulated time", () => {
  it("asks in the order of the sync, and the lock holds the new policy", () => {
    const { result, lock } = visit(likelyVisit);
    expect(result.exchanges.map(({ asked }) => asked)).toEqual([
      "handshake",
      "greet",
      "time",
      "manifest",
      "release",
      "read-log",
      "read-log",
      "finish",
    ]);
    expect(lock.firmware.policy.version).toBe(next.version);
    expect(result.exchanges.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
      result.frameBytes.reduce((sum, bytes) => sum + bytes, 0),
    );
  });

  it("takes no less than connect, services, the authority, the lock's work and two events for each answer", () => {
    const { result } = visit(likelyVisit);
    const { connectMs, servicesMs, authorityMs } = likelyVisit;
    expect(result.exchanges[0]?.atMs).toBe(startMs + connectMs + servicesMs);
    const trips = 3.5;
    const least = startMs + connectMs + servicesMs + authorityMs + trips * 50;
    expect(result.committedMs).toBeGreaterThan(least);
    expect(result.closedMs).toBeGreaterThan((result.committedMs ?? 0) + 100);
  });

  it("slow flash delays the commit by what it takes to write the bank and the records before it", () => {
    const fast = visit({ ...likelyVisit, lock: { ...likelyVisit.lock, flashByteMs: 0 } }).result;
    const slow = visit({ ...likelyVisit, lock: { ...likelyVisit.lock, flashByteMs: 0.5 } }).result;
    const [bank, record] = [encodePolicy(next).length, 128];
    // The clock's record, the bank with its entry in the log, and the release.
    expect(slow.lockBusyMs - fast.lockBusyMs).toBeCloseTo(0.5 * (bank + 3 * record), 6);
    const laterMs = (slow.committedMs ?? 0) - (fast.committedMs ?? 0);
    expect(laterMs).toBeGreaterThan(0.5 * (bank + record));
    // The clock's record may cost its time and the wait for a connection event.
    expect(laterMs).toBeLessThan(0.5 * (bank + 2 * record) + 51);
  });

  it("the same seed gives the same visit, and loss makes it longer in the middle", () => {
    const lossy = { ...likelyVisit, link: { ...likelyVisit.link, loss: 0.3 } };
    expect(visit(lossy, 5).result).toEqual(visit(lossy, 5).result);
    const quietMs = visit(likelyVisit).result.closedMs;
    const lossyMs = [1, 2, 3].map((seed) => visit(lossy, seed).result.closedMs).sort((left, right) => left - right)[1];
    expect(lossyMs).toBeGreaterThan(quietMs);
  });

  it("a link that carries nothing ends in no report, and the lock keeps what it held", () => {
    const lock = new TimedLock("c2-lobby", base.issuedAt);
    lock.install(base);
    const dead = { ...likelyVisit, link: { ...likelyVisit.link, loss: 1 } };
    expect(runTimedVisit(dead, lock, lock.load(next, base), { seed: 1, startMs })).toBeUndefined();
    expect(lock.firmware.policy.version).toBe(base.version);
  });
});
