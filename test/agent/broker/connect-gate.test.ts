import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressKey, ConnectGate, defaultGateRules, type GateRules } from "../../../agent/broker/connect-gate.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";

const rules: GateRules = { ...defaultGateRules, unknownLimit: 100_000, unknownPerAddressLimit: 100_000 };
const at = (ms: number) => monotonicMs(ms);

/** Everybody arrives at 0; gives by second how many were let through, and how many were refused. */
function run(gate: ConnectGate<number>, arrivals: readonly string[], seconds: number) {
  const through: number[] = [];
  const throughAt = new Map<number, number>();
  let refused = 0;
  arrivals.forEach((address, index) => {
    const answer = gate.arrive(index, address, at(0));
    if (answer === "through") throughAt.set(index, 0);
    if (answer === "refused") refused += 1;
  });
  for (let ms = 10; ms <= seconds * 1000; ms += 10) {
    const woken = gate.wake(at(ms));
    for (const connection of woken.through) throughAt.set(connection, ms);
    refused += woken.refused.length;
  }
  for (const ms of throughAt.values()) through[Math.floor(ms / 1000)] = (through[Math.floor(ms / 1000)] ?? 0) + 1;
  return { through, throughAt, refused };
}

describe("connect gate", () => {
  it("[B9] a thousand devices that come back at once and try again are all in within eleven seconds, at the rate", () => {
    const gate = new ConnectGate<number>(rules, at(0));
    const out = new Set(Array.from({ length: 1_000 }, (_, device) => device));
    const perSecond: number[] = [];
    let inAt = 0;
    for (let ms = 0; out.size > 0 && ms < 60_000; ms += 10) {
      const letIn = (device: number): void => {
        out.delete(device);
        perSecond[Math.floor(ms / 1000)] = (perSecond[Math.floor(ms / 1000)] ?? 0) + 1;
        inAt = ms;
      };
      for (const device of gate.wake(at(ms)).through) letIn(device);
      // Whoever was refused tries again each second, at a time of its own.
      for (const device of out) {
        if (ms % 1_000 !== (device % 100) * 10) continue;
        gate.left(device, `10.0.${device >> 8}.${device & 255}`);
        if (gate.arrive(device, `10.0.${device >> 8}.${device & 255}`, at(ms)) === "through") letIn(device);
      }
    }
    expect(inAt).toBeLessThan(11_000);
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(rules.burst + rules.perSecond);
  });

  it("[B9] one address that floods gets its share and delays nobody else", () => {
    const flood = new Array<string>(400).fill("10.0.0.66");
    const devices = Array.from({ length: 50 }, (_, device) => `10.0.1.${device}`);
    const { throughAt, refused } = run(new ConnectGate<number>(rules, at(0)), [...flood, ...devices], 4);
    const ofFlood = [...throughAt.keys()].filter((index) => index < 400).length;
    expect(ofFlood).toBeLessThanOrEqual(rules.perAddressBurst + 3 * rules.perAddressPerSecond + 1);
    for (let device = 400; device < 450; device++) expect(throughAt.get(device)).toBeLessThan(1_000);
    expect(refused).toBe(400 - ofFlood);
  });

  it("[B9] devices behind this machine's loopback share only the rate of all", () => {
    const { through } = run(new ConnectGate<number>(rules, at(0)), new Array<string>(300).fill("127.0.0.1"), 3);
    expect(through.reduce((sum, count) => sum + (count ?? 0), 0)).toBe(300);
  });

  it("[B9] who has not said who he is holds no more than his address's places, and gives them back", () => {
    const gate = new ConnectGate<number>({ ...rules, unknownPerAddressLimit: 2 }, at(0));
    expect([0, 1, 2].map((index) => gate.arrive(index, "10.0.0.66", at(0)))).toEqual(["through", "through", "waiting"]);
    expect(gate.arrive(3, "10.0.0.7", at(0))).toBe("waiting");
    expect(gate.wake(at(10)).through).toEqual([3]);
    gate.known("10.0.0.66");
    expect(gate.wake(at(20)).through).toEqual([2]);
  });

  it("[B9] nobody waits longer than the limit, and who leaves is forgotten", () => {
    const gate = new ConnectGate<number>({ ...rules, unknownLimit: 1 }, at(0));
    expect([0, 1, 2].map((index) => gate.arrive(index, "10.0.0.1", at(0)))).toEqual(["through", "waiting", "waiting"]);
    gate.left(1, "10.0.0.1");
    expect(gate.wake(at(rules.waitMs)).refused).toEqual([]);
    expect(gate.wake(at(rules.waitMs + 1)).refused).toEqual([2]);
    expect(gate.nextWakeMs(at(5_000))).toBeUndefined();
  });

  it("[B9] whatever arrives, leaves and is known, in any order: the rate holds and nobody is served twice", () => {
    const step = fc.record({ address: fc.integer({ min: 0, max: 5 }), waits: fc.integer({ min: 0, max: 300 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const small: GateRules = { ...rules, perSecond: 10, burst: 5, waitingLimit: 20, waitingPerAddressLimit: 8 };
        const gate = new ConnectGate<number>(small, at(0));
        const served = new Set<number>();
        let now = 0;
        const serve = (connection: number): void => {
          expect(served.has(connection)).toBe(false);
          served.add(connection);
        };
        steps.forEach(({ address, waits }, index) => {
          now += waits;
          const woken = gate.wake(at(now));
          woken.through.forEach(serve);
          if (gate.arrive(index, `10.0.0.${address}`, at(now)) === "through") serve(index);
        });
        expect(served.size).toBeLessThanOrEqual(5 + (now / 1000) * 10 + 1e-6);
      }),
      { numRuns: 60 },
    );
  });

  it("[B9] an address of IPv6 counts by its network, one of IPv4 by itself", () => {
    expect(addressKey("::ffff:10.1.2.3")).toBe("10.1.2.3");
    expect(addressKey("fe80::1:2%eth0")).toBe("fe80:0:0:0::");
    expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::");
    expect(addressKey("2001:db8:1:2::6")).toBe("2001:db8:1:2::");
    expect(addressKey("::1")).toBe("::1");
  });
});
